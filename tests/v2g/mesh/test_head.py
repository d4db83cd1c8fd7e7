"""What a head's own meter shows and no member tells of is taken off the limit that all share."""

from __future__ import annotations

from math import inf, nan

import pytest

from v2g.mesh.head import CONFIRM_S, HOLD_S, LEAST_PU, Unexplained
from v2g.mesh.messages import MOST_W, Cap
from v2g.mesh.roster import Group

FEEDER = Group(id="feeder", import_w=200e3, export_w=100e3)
Row = tuple[float, float, float]
"""Measured, and between which the members' flows are by what they tell, W."""
AGREE: Row = (100e3, 100e3, 100e3)
LIE: Row = (150e3, 100e3, 100e3)


def run(one: Unexplained, row: Row, begin_s: float, duration_s: float, group: Group = FEEDER) -> Cap | None:
    cap = None
    for tenth in range(round(duration_s * 10) + 1):
        cap = one.cap(group, *row, begin_s + tenth / 10)
    return cap


def test_what_all_tell_and_the_meter_shows_needs_no_cap() -> None:
    one = Unexplained()
    assert run(one, AGREE, 0.0, 30.0) is None
    assert one.excess_w == 0.0


def test_what_is_beyond_for_long_enough_is_taken_off_the_import_limit_alone() -> None:
    one = Unexplained()
    assert run(one, LIE, 0.0, CONFIRM_S - 0.1) is None
    cap = run(one, LIE, CONFIRM_S, 1.0)
    assert cap is not None
    assert (cap.group, cap.import_w, cap.export_w) == ("feeder", 150e3, 100e3)
    assert "the meter shows 50.0 kW that no member tells of" in cap.reason
    assert one.excess_w == 50e3


def test_what_flows_back_beyond_what_is_told_is_taken_off_the_export_limit() -> None:
    one = Unexplained()
    cap = run(one, (-80e3, -20e3, -20e3), 0.0, 5.0)
    assert cap is not None
    assert (cap.import_w, cap.export_w) == (200e3, 40e3)
    assert one.excess_w == -60e3


def test_anywhere_between_the_least_and_the_most_that_members_tell_is_explained() -> None:
    """One that is not heard may draw or give its rating."""
    for flow_w in (0.0, 50e3, 199e3, 200e3):
        assert run(Unexplained(), (flow_w, 0.0, 200e3), 0.0, 5.0) is None


def test_a_step_that_members_tell_of_a_second_later_is_no_lie() -> None:
    one = Unexplained()
    run(one, AGREE, 0.0, 10.0)
    for begin_s in (10.0, 20.0, 30.0):
        assert run(one, LIE, begin_s, 1.0) is None
        assert run(one, (150e3, 150e3, 150e3), begin_s + 1.1, 8.0) is None


def test_only_what_lasted_all_the_time_counts() -> None:
    one = Unexplained()
    for tenth in range(100):
        excess_w = 50e3 if tenth % 2 else 20e3
        one.cap(FEEDER, 100e3 + excess_w, 100e3, 100e3, tenth / 10)
    assert one.excess_w == 20e3


def test_it_is_held_for_a_minute_after_it_was_seen_last() -> None:
    one = Unexplained()
    run(one, LIE, 0.0, 10.0)
    assert run(one, AGREE, 10.1, HOLD_S - 1.0) is not None
    assert run(one, AGREE, 10.1 + HOLD_S - 0.9, 2.0) is None
    assert one.excess_w == 0.0


def test_the_worst_of_the_last_minute_holds() -> None:
    one = Unexplained()
    run(one, LIE, 0.0, 10.0)
    run(one, (120e3, 100e3, 100e3), 10.1, 10.0)
    assert one.excess_w == 50e3
    run(one, (180e3, 100e3, 100e3), 20.2, 10.0)
    assert one.excess_w == 80e3


@pytest.mark.parametrize("reading_w", [nan, inf, -inf])
def test_a_meter_that_falls_silent_makes_nothing_good_that_it_showed(reading_w: float) -> None:
    one = Unexplained()
    run(one, LIE, 0.0, 10.0)
    cap = run(one, (reading_w, 100e3, 100e3), 10.1, 30.0)
    assert cap is not None
    assert (cap.import_w, one.excess_w) == (150e3, 50e3)
    assert run(one, (reading_w, 100e3, 100e3), 40.2, HOLD_S) is None


@pytest.mark.parametrize("reading_w", [nan, inf, -inf])
def test_a_meter_that_never_said_anything_accuses_nobody(reading_w: float) -> None:
    one = Unexplained()
    assert run(one, (reading_w, 0.0, 0.0), 0.0, 90.0) is None


def test_two_readings_around_a_silence_are_not_what_lasted() -> None:
    one = Unexplained()
    one.cap(FEEDER, 150e3, 100e3, 100e3, 0.0)
    run(one, (nan, 100e3, 100e3), 0.1, 9.0)
    assert one.cap(FEEDER, 150e3, 100e3, 100e3, 10.0) is None


@pytest.mark.parametrize(("excess_pu", "caps"), [(0.9 * LEAST_PU, False), (1.1 * LEAST_PU, True)])
def test_the_meters_own_error_is_no_accusation(excess_pu: float, caps: bool) -> None:
    row = (100e3 + excess_pu * FEEDER.import_w, 100e3, 100e3)
    assert (run(Unexplained(), row, 0.0, 5.0) is not None) is caps


def test_more_than_the_whole_limit_leaves_nothing_and_no_less() -> None:
    cap = run(Unexplained(), (900e3, 100e3, 100e3), 0.0, 5.0)
    assert cap is not None
    assert cap.import_w == 0.0


def test_where_there_is_no_limit_there_is_nothing_to_take_from() -> None:
    open_end = Group(id="feeder", import_w=inf, export_w=100e3)
    one = Unexplained()
    assert run(one, LIE, 0.0, 5.0, open_end) is None
    cap = run(one, (-80e3, 0.0, 0.0), 5.1, 5.0, open_end)
    assert cap is not None
    assert (cap.import_w, cap.export_w) == (MOST_W, 20e3)
