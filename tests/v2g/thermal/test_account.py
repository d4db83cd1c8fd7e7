"""Loss of life. Hours at rated ageing; the day is an ordinal."""

from __future__ import annotations

import csv
import math
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.thermal.account import HOTTEST_COUNTED_C, AgeingAccount, AgeingTotals
from v2g.thermal.ageing import relative_ageing_rate

DAY = 739_000


def account(
    totals: AgeingTotals | None = None, *, upgraded: bool = False, budget_h: float | None = None
) -> AgeingAccount:
    return AgeingAccount(upgraded_paper=upgraded, budget_h_per_day=budget_h, totals=totals)


@pytest.mark.parametrize("upgraded", [False, True])
@pytest.mark.parametrize(
    ("name", "time", "hot_spot", "suffix"),
    [
        ("iec_difference_equation_example_onaf.csv", "t_min", "hot_spot_exact_zoh", "_exact_zoh"),
        ("iec_difference_equation_example_onaf.csv", "t_min", "hot_spot_diffeq", "_diffeq"),
        ("dynamic_dist_400kVA.csv", "t_min", "hot_spot_C", ""),
    ],
)
def test_loss_of_life_of_the_worked_examples(
    shared_data: Path, name: str, time: str, hot_spot: str, suffix: str, upgraded: bool
) -> None:
    with (shared_data / "thermal" / name).open() as file:
        rows = list(csv.DictReader(file))
    counted, before_min = account(upgraded=upgraded), float(rows[0][time])
    column = f"L_min_{'upgraded' if upgraded else 'nonupgraded'}{suffix}"
    rounding_min = 10.0 ** -len(rows[-1][column].partition(".")[2])
    for row in rows[1:]:
        now_min = float(row[time])
        counted.step(float(row[hot_spot]), (now_min - before_min) * 60.0, DAY)
        before_min = now_min
        published = float(row[column])
        assert counted.totals.total_h * 60.0 == pytest.approx(published, rel=1e-4, abs=rounding_min)
    assert counted.totals.total_h * 60.0 == pytest.approx(published, rel=1e-4)
    assert counted.totals.counted_h == pytest.approx((before_min - float(rows[0][time])) / 60.0)


def test_an_hour_at_98_degrees_costs_kraft_paper_an_hour() -> None:
    counted = account()
    assert counted.step(98.0, 3600.0, DAY) == pytest.approx(1.0)
    assert counted.totals == AgeingTotals(day=DAY, today_h=1.0, total_h=1.0, counted_h=1.0)


def test_a_new_day_begins_at_zero_and_remembers_yesterday() -> None:
    counted = account()
    counted.step(98.0, 3600.0, DAY)
    counted.step(104.0, 1800.0, DAY + 1)
    assert counted.totals == AgeingTotals(day=DAY + 1, today_h=1.0, yesterday_h=1.0, total_h=2.0, counted_h=1.5)


def test_days_that_nobody_saw_are_not_yesterday() -> None:
    counted = account()
    counted.step(98.0, 3600.0, DAY)
    counted.step(98.0, 3600.0, DAY + 3)
    assert counted.totals == AgeingTotals(day=DAY + 3, today_h=1.0, yesterday_h=0.0, total_h=2.0, counted_h=2.0)


def test_a_clock_set_back_goes_on_with_the_present_day() -> None:
    counted = account()
    counted.step(98.0, 3600.0, DAY)
    counted.step(98.0, 3600.0, DAY - 20_000)
    counted.step(98.0, 3600.0, DAY)
    assert counted.totals == AgeingTotals(day=DAY, today_h=3.0, total_h=3.0, counted_h=3.0)


def test_a_clock_that_was_years_ahead_holds_a_spent_budget_for_a_day_at_most() -> None:
    counted = account(AgeingTotals(day=DAY + 5000, today_h=24.0, total_h=24.0), budget_h=24.0)
    for _ in range(24):
        counted.step(20.0, 3600.0, DAY)
    assert counted.totals.today_h > 24.0
    counted.step(98.0, 3600.0, DAY)
    assert (counted.totals.day, counted.totals.today_h) == (DAY, 1.0)


def test_totals_survive_a_restart() -> None:
    first = account()
    first.step(104.0, 3600.0, DAY)
    kept = msgspec.json.decode(msgspec.json.encode(first.totals), type=AgeingTotals)
    again = account(kept)
    again.step(98.0, 3600.0, DAY)
    assert again.totals == AgeingTotals(day=DAY, today_h=3.0, total_h=3.0, counted_h=2.0)


@pytest.mark.parametrize("field", ["today_h", "yesterday_h", "total_h", "counted_h"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_kept_totals_that_are_none_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"ageing total {field} = "):
        AgeingTotals(day=DAY, **{field: value})


def test_a_spoilt_file_is_a_validation_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="ageing total total_h"):
        msgspec.json.decode(b'{"day": 1, "total_h": -3}', type=AgeingTotals)


@pytest.mark.parametrize("hot_spot_c", [1000.0, 1e9, math.inf])
@pytest.mark.parametrize("upgraded", [False, True])
def test_an_impossible_hot_spot_is_capped_and_said(hot_spot_c: float, upgraded: bool) -> None:
    counted = account(upgraded=upgraded)
    expected = relative_ageing_rate(HOTTEST_COUNTED_C, upgraded_paper=upgraded)
    assert counted.step(hot_spot_c, 1.0, DAY) == expected
    assert counted.totals.total_h == pytest.approx(expected / 3600.0)
    assert "beyond the ageing equations: counted as 200 °C" in counted.note
    counted.step(90.0, 1.0, DAY)
    assert counted.note == ""


def test_a_hot_spot_below_absolute_zero_costs_nothing_and_is_said() -> None:
    counted = account(upgraded=True)
    assert counted.step(-273.0, 3600.0, DAY) < 1e-12
    assert counted.note


def test_a_hot_spot_that_is_no_number_is_not_counted() -> None:
    counted = account()
    assert counted.step(math.nan, 3600.0, DAY) == 0.0
    assert counted.totals == AgeingTotals(day=DAY)
    assert counted.note == "hot-spot is not a number: ageing is not counted meanwhile"


@pytest.mark.parametrize(("dt_s", "counted_h"), [(-5.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1e7, 1.0)])
def test_time_that_cannot_be_is_not_counted(dt_s: float, counted_h: float) -> None:
    counted = account()
    counted.step(98.0, dt_s, DAY)
    assert counted.totals.counted_h == counted.totals.total_h == counted_h


def test_without_a_budget_there_is_no_limit() -> None:
    assert account().hot_spot_limit_c(3600.0) is None


def test_the_whole_budget_for_the_whole_day() -> None:
    assert account(budget_h=24.0).hot_spot_limit_c(86_400.0) == pytest.approx(98.0)
    assert account(budget_h=24.0, upgraded=True).hot_spot_limit_c(86_400.0) == pytest.approx(110.0)


def test_what_is_left_over_may_be_used_faster() -> None:
    counted = account(AgeingTotals(day=DAY, today_h=8.0), budget_h=24.0)
    assert counted.hot_spot_limit_c(4 * 3600.0) == pytest.approx(98.0 + 12.0)


@given(st.floats(0.1, 48.0), st.floats(7200.0, 86_400.0), st.booleans())
def test_the_budget_lasts_exactly_for_the_rest_of_the_day(budget_h: float, left_s: float, upgraded: bool) -> None:
    counted = account(budget_h=budget_h, upgraded=upgraded)
    limit_c = counted.hot_spot_limit_c(left_s)
    assert limit_c is not None
    rest_s = left_s
    while rest_s > 0.0:
        counted.step(limit_c, min(rest_s, 3600.0), DAY)
        rest_s -= 3600.0
    assert counted.totals.today_h == pytest.approx(budget_h)


@pytest.mark.parametrize(("today_h", "left_s"), [(24.0, 3600.0), (30.0, 3600.0), (0.0, math.nan), (0.0, math.inf)])
def test_a_spent_budget_leaves_forty_degrees(today_h: float, left_s: float) -> None:
    counted = account(AgeingTotals(day=DAY, today_h=today_h), budget_h=24.0)
    assert counted.hot_spot_limit_c(left_s) == 40.0


@pytest.mark.parametrize("left_s", [0.0, -60.0, 1.0])
def test_the_last_minute_of_a_day_does_not_lift_the_limit_out_of_sight(left_s: float) -> None:
    limit_c = account(budget_h=240.0).hot_spot_limit_c(left_s)
    assert limit_c is not None
    assert 40.0 <= limit_c <= 200.0


@pytest.mark.parametrize("upgraded", [False, True])
def test_what_is_left_at_midnight_is_not_burnt_before_it(upgraded: bool) -> None:
    counted = account(budget_h=4.0, upgraded=upgraded)
    counted.step(98.0 if not upgraded else 110.0, 3600.0, DAY)
    limits = []
    for n in range(180):
        limit_c = counted.hot_spot_limit_c((180 - n) * 60.0)
        assert limit_c is not None
        limits.append(limit_c)
        counted.step(limit_c, 60.0, DAY)
    assert counted.totals.today_h <= 4.0
    assert all(abs(later - before) < 1.0 for before, later in pairwise(limits))
    counted.step(limits[-1], 1.0, DAY + 1)
    tomorrow_c = counted.hot_spot_limit_c(86_400.0)
    assert tomorrow_c is not None
    assert limits[-1] - tomorrow_c < 14.0
