"""Set-points read back within a deadline, whatever the driver."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.hardware.setpoint_watch import SOUND_AFTER_S, TAKEN_WITHIN_S, SetpointWatch

RATING_W = 20_000.0


def watched(*steps: tuple[float, float | None, float]) -> SetpointWatch:
    """(time, written or None, shown) one after another."""
    watch = SetpointWatch()
    for now_s, written_w, shown_w in steps:
        if written_w is not None:
            watch.wrote(written_w, now_s)
        else:
            watch.look(shown_w, True, RATING_W, now_s)
    return watch


def test_a_set_point_that_is_shown_in_time_is_no_problem() -> None:
    assert watched((0.0, 5000.0, 0), (0.9, None, 0.0), (1.0, None, 5000.0), (9.0, None, 5000.0)).problem is None


def test_a_set_point_that_is_not_shown_in_time_names_both_powers() -> None:
    problem = watched((0.0, 5000.0, 0), (1.01, None, 0.0)).problem or ""
    assert "set-point not taken: 5000 W written, 0 W read back after 1 s" in problem


def test_a_set_point_that_is_written_again_does_not_start_the_deadline_anew() -> None:
    steps = [(0.3 * n, 5000.0 if n % 2 == 0 else None, 0.0) for n in range(6)]
    assert watched(*steps).problem is not None


def test_a_device_that_follows_late_but_in_time_is_no_problem() -> None:
    """A ramp of a new set-point every 0.2 s, shown 0.6 s later."""
    watch = SetpointWatch()
    for n in range(40):
        watch.wrote(100.0 * n, 0.2 * n)
        watch.look(100.0 * max(0, n - 3), True, 0.0, 0.2 * n + 0.01)
        assert watch.problem is None


def test_a_device_that_stops_following_is_noticed_while_set_points_change() -> None:
    watch = SetpointWatch()
    for n in range(12):
        watch.wrote(1000.0 * n, 0.2 * n)
        watch.look(3000.0 if n > 3 else 1000.0 * n, True, RATING_W, 0.2 * n + 0.01)
    assert watch.problem is not None


def test_what_a_device_drops_after_it_took_it_is_not_its_failure_until_it_is_written_again() -> None:
    taken_and_reverted = [(0.0, 5000.0, 0), (0.2, None, 5000.0), (4.0, None, 0.0), (9.0, None, 0.0)]
    assert watched(*taken_and_reverted).problem is None
    assert watched(*taken_and_reverted, (9.1, 5000.0, 0), (10.2, None, 0.0)).problem is not None


def test_zero_is_shown_by_a_set_point_that_is_not_in_force() -> None:
    watch = SetpointWatch()
    watch.wrote(0.0, 0.0)
    watch.look(0.0, False, RATING_W, 2.0)
    assert watch.problem is None
    watch.wrote(500.0, 2.0)
    watch.look(500.0, False, 0.0, 4.0)
    assert "none in force" in (watch.problem or "")


def test_a_set_point_that_the_device_does_not_tell_is_not_taken() -> None:
    problem = watched((0.0, 0.0, 0), (1.01, None, math.nan)).problem or ""
    assert "0 W written, nothing read back" in problem


def test_a_device_is_trusted_again_when_it_was_sound_for_a_while() -> None:
    failed = [(0.0, 5000.0, 0), (1.1, None, 0.0), (1.2, 0.0, 0), (1.3, None, 0.0)]
    end_s = 1.3 + SOUND_AFTER_S
    assert watched(*failed, (end_s - 0.1, None, 0.0)).problem is not None
    assert watched(*failed, (end_s + 0.1, None, 0.0)).problem is None


@settings(max_examples=examples(60))
@given(writes=st.lists(st.floats(-RATING_W, RATING_W), min_size=1, max_size=80), delay=st.integers(0, 4))
def test_no_device_that_takes_set_points_within_the_deadline_is_ever_a_problem(writes: list[float], delay: int) -> None:
    watch = SetpointWatch()
    for n, power_w in enumerate(writes):
        watch.wrote(power_w, 0.2 * n)
        shown_w = writes[n - delay] if n >= delay else 0.0
        watch.look(shown_w, True, RATING_W, 0.2 * n)
    assert TAKEN_WITHIN_S > 0.8
    assert watch.problem is None
