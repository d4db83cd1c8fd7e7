"""Slips between W and kW by history, rating and sum; the history of a day."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.utility.meter_check import DAY_MIN, DayHistory, Slip, SumWatch, agree, beyond_rating, slip_by_history

START_S = 1_700_000_040.0
"""A full minute."""


def history_of(*totals_w: float) -> DayHistory:
    history = DayHistory()
    for minute, total_w in enumerate((*totals_w, 1.0)):
        history.add(START_S + 60.0 * minute, (total_w, 0.0, 0.0))
    return history


def judged(total_w: float, history: DayHistory, standing: Slip | None = None) -> Slip | None:
    return slip_by_history((total_w, 0.0, 0.0), history, standing)


USUAL = (1500.0, 1800.0, 2000.0, 2000.0, 2100.0, 2300.0, 2600.0, 3000.0)
"""Median 2050 W."""


@pytest.mark.parametrize(
    ("told_w", "slip"),
    [
        (2.05, Slip.KW_AS_W),
        (2050.0 / 701, Slip.KW_AS_W),
        (2050.0 / 1399, Slip.KW_AS_W),
        (-2.05, Slip.KW_AS_W),
        (4.1, Slip.KW_AS_W),
        (4.3, None),
        (1.1, Slip.KW_AS_W),
        (1.0, None),
        (51.0, None),
        (2_050_000.0, Slip.W_AS_KW),
        (2050.0 * 701, Slip.W_AS_KW),
        (4_100_000.0, Slip.W_AS_KW),
        (4_300_000.0, None),
        (4000.0, None),
        (0.0, None),
    ],
)
def test_a_thousandth_and_a_thousandfold_of_the_median_are_a_slip(told_w: float, slip: Slip | None) -> None:
    assert judged(told_w, history_of(*USUAL)) is slip


def test_a_slip_stands_until_readings_come_back_near_the_median() -> None:
    history = history_of(*USUAL)
    assert judged(9.0, history) is None
    assert judged(9.0, history, Slip.KW_AS_W) is Slip.KW_AS_W
    assert judged(60.0, history, Slip.KW_AS_W) is Slip.KW_AS_W
    assert judged(70.0, history, Slip.KW_AS_W) is None
    assert judged(400_000.0, history, Slip.W_AS_KW) is Slip.W_AS_KW
    assert judged(5_000.0, history, Slip.W_AS_KW) is None


def test_with_little_history_or_hardly_any_load_nothing_is_judged() -> None:
    assert judged(2.0, history_of(*USUAL[:7])) is None
    assert judged(50_000.0, history_of(*[50.0] * 20)) is None


def test_a_slip_at_the_peak_of_a_day_is_found_though_it_is_far_from_the_median() -> None:
    history = history_of(*[300.0] * 20, 2_500.0)
    assert judged(1.9, history) is Slip.KW_AS_W
    assert judged(3.0, history) is Slip.KW_AS_W
    assert judged(4.0, history) is None


def test_a_load_that_is_known_to_switch_so_far_is_no_slip() -> None:
    assert judged(2.0, history_of(*USUAL, 2.1, 1.9)) is Slip.KW_AS_W
    assert judged(2.0, history_of(*USUAL, 2.1, 1.9, 2.0)) is None


@pytest.mark.parametrize(
    ("told_w", "verdict"),
    [
        (30_000.0, ""),
        (-30_000.0, ""),
        (31_000.0, "is more than the connection can carry"),
        (5_000_000.0, Slip.W_AS_KW),
        (-15_000_000.0, Slip.W_AS_KW),
        (30_000_000.0, "is more than the connection can carry"),
    ],
)
def test_beside_a_rating_of_15_kw(told_w: float, verdict: str) -> None:
    assert beyond_rating((told_w, 0.0, 0.0), 15_000.0) == verdict


def test_generation_in_one_phase_does_not_hide_consumption_in_another() -> None:
    assert beyond_rating((5_000_000.0, -5_000_000.0, 0.0), 15_000.0) is Slip.W_AS_KW


def test_means_of_a_minute_by_phase() -> None:
    history = DayHistory()
    for second, power_w in ((0, 100.0), (20, 200.0), (59, 600.0), (60, 40.0)):
        history.add(START_S + second, (power_w, 2 * power_w, 0.0))
    first = int(START_S // 60)
    assert history.means() == ((first, (300.0, 600.0, 0.0)), (first + 1, (40.0, 80.0, 0.0)))


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_history_is_of_a_day_and_no_longer(steps: list[int]) -> None:
    history, minute = DayHistory(), 0
    for step in steps:
        minute += step
        history.add(60.0 * minute, (float(minute), 0.0, 0.0))
    kept = [at for at, _ in history.means()]
    assert kept == sorted(kept)
    assert kept[-1] == minute
    assert len(kept) <= DAY_MIN + 1
    # The minute under way trims only when it closes.
    closed = kept[:-1]
    assert not closed or closed[0] > closed[-1] - DAY_MIN
    wanted = [at for at in (sum(steps[: n + 1]) for n in range(len(steps))) if not closed or at > closed[-1] - DAY_MIN]
    assert kept == wanted
    magnitudes = [total for _, (total, _, _) in history.means()[:-1]]
    assert history.median_w() == (median(magnitudes) if len(magnitudes) >= 8 else None)


# ---- the sum ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metered_w", "measured_w", "wanted"),
    [
        (50_000, 54_900, True),
        (10_000, 5_100, True),
        (50_000, 58_800, True),
        (50_000, 59_000, False),
        (100, 5_101, False),
    ],
)
def test_apart_is_more_than_15_percent_and_5_kw(metered_w: float, measured_w: float, wanted: bool) -> None:
    assert agree(metered_w, measured_w) is wanted


def test_a_contradiction_has_to_last_a_minute() -> None:
    watch = SumWatch()
    for now_s, measured_w, lasts in (
        (0, 60e3, False),
        (59, 60e3, False),
        (60, 60e3, True),
        (61, 32e3, False),
        (62, 60e3, False),
    ):
        watch.look({"c1": 20_000.0, "c2": 10_000.0}, measured_w, now_s)
        assert watch.lasts is lasts
    watch.look({"c1": 20_000.0, "c2": 10_000.0}, 60e3, 122.0)
    assert (watch.lasts, watch.slips) == (True, {})
    watch.look({"c1": 20_000.0, "c2": 10_000.0}, None, 123.0)
    assert not watch.lasts


def slips(powers_w: dict[str, float], measured_w: float) -> dict[str, Slip]:
    watch = SumWatch()
    for now_s in (0.0, 60.0):
        watch.look(powers_w, measured_w, now_s)
    return watch.slips


def test_the_one_meter_that_explains_it_is_named() -> None:
    assert slips({"c1": 12.0, "c2": 20_000.0, "c3": 5_000.0}, 37_000.0) == {"c1": Slip.KW_AS_W}
    assert slips({"c1": 12_000.0, "c2": 5_000_000.0}, 17_000.0) == {"c2": Slip.W_AS_KW}


def test_two_that_would_explain_it_are_not_named() -> None:
    assert slips({"c1": 12.0, "c2": 12.0, "c3": 5_000.0}, 17_000.0) == {}


def test_all_of_them_at_once_are_found() -> None:
    powers_w = {"c1": 12.0, "c2": 20.0, "c3": 5.0}
    assert slips(powers_w, 36_000.0) == dict.fromkeys(powers_w, Slip.KW_AS_W)
    powers_w = {meter: power_w * 1e6 for meter, power_w in powers_w.items()}
    assert slips(powers_w, 36_000.0) == dict.fromkeys(powers_w, Slip.W_AS_KW)
