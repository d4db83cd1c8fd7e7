"""The coming day from what was learned, from the present where nothing was, and how wide it may be missed."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import cos, exp, pi

import msgspec
import pytest

from v2g.thermal.calendar import DayType, LocalMinute
from v2g.thermal.day_ahead import UNKNOWN_AMBIENT_K, UNKNOWN_BASE_PU, DayAhead, DayErrors, day_ahead
from v2g.thermal.forecast import Forecaster, ForecastMemory, MinuteMeans

RATED_VA = 400e3
DAY = 1440
MONDAY = 29_000_160
"""A local midnight, as a number of minutes."""
SEEN_EVERY_MIN = 2


def local(minute: int) -> LocalMinute:
    weekday = minute // DAY % 7
    kind = {5: DayType.SATURDAY, 6: DayType.SUNDAY}.get(weekday, DayType.WORKDAY)
    return LocalMinute(MONDAY + minute, kind, minute % DAY)


def calendar(unix_s: float) -> LocalMinute:
    return local(int(unix_s // 60.0) - MONDAY)


def unix_s(minute: int) -> float:
    return (MONDAY + minute) * 60.0


def street_w(minute: int) -> float:
    """A peak of 190 kW at 19:00 on workdays, half of it at the weekend."""
    scale = 1.0 if minute // DAY % 7 < 5 else 0.5
    return scale * (100e3 + 90e3 * cos(2 * pi * (minute - 1140) / DAY))


def air_c(minute: int) -> float:
    return 18.0 + 5.0 * cos(2 * pi * (minute - 900) / DAY)


class Learned:
    def __init__(self, days: int) -> None:
        self.forecaster = Forecaster(rated_va=RATED_VA)
        self.errors = DayErrors(RATED_VA)
        for minute in range(0, days * DAY, SEEN_EVERY_MIN):
            means = MinuteMeans(at=local(minute), base_w=street_w(minute), base_var=30e3, ambient_c=air_c(minute))
            self.errors.observe(self.forecaster, means)
            self.forecaster.observe(means)
        self.now = days * DAY

    def ahead(self, steps: int = 96, minute: int | None = None, more_w: float = 0.0) -> DayAhead:
        now = self.now if minute is None else minute
        return day_ahead(
            self.forecaster, self.errors, calendar, now_unix_s=unix_s(now), base_w=street_w(now) + more_w,
            base_var=30e3, ambient_c=air_c(now), near_margin_w=5e3, rated_va=RATED_VA, steps=steps,
        )  # fmt: skip


@pytest.fixture(scope="module")
def fortnight() -> Learned:
    """Two weeks: a Monday comes."""
    return Learned(14)


def mean(values: Callable[[int], float], minute: int) -> float:
    return sum(values(minute + n) for n in range(15)) / 15.0


def test_an_experienced_day_is_the_day_that_is_usual(fortnight: Learned) -> None:
    told = fortnight.ahead()
    for n in range(0, 96, 7):
        assert told.base_w[n] == pytest.approx(mean(street_w, fortnight.now + 15 * n), abs=12e3)
        assert told.ambient_c[n] == pytest.approx(mean(air_c, fortnight.now + 15 * n), abs=0.5)
        assert told.base_var[n] == pytest.approx(30e3, rel=0.01)
    assert told.notes == ()


def test_a_weekend_is_not_a_workday(fortnight: Learned) -> None:
    friday = fortnight.now + 4 * DAY
    told = fortnight.ahead(steps=288, minute=friday)
    evening = 19 * 4
    assert told.base_w[evening] > 1.3 * told.base_w[evening + 96]
    assert told.base_w[evening] == pytest.approx(190e3, abs=20e3)


def test_what_is_unusual_now_fades_over_the_first_hours(fortnight: Learned) -> None:
    usual, more = fortnight.ahead(), fortnight.ahead(more_w=40e3)
    apart = [one - other for one, other in zip(more.base_w, usual.base_w, strict=True)]
    assert apart[0] == pytest.approx(40e3 * exp(-450.0 / 7200.0))
    assert apart[8] == pytest.approx(40e3 * exp(-7650.0 / 7200.0))
    assert apart[-1] < 10.0


def watched(spread_w: float) -> Learned:
    """Three workdays learned, and a fortnight of such days, each apart by as much all day, held against them."""
    learned, chance = Learned(3), random.Random(3)
    for _ in range(14):
        apart_w = chance.gauss(0.0, spread_w)
        for minute in range(0, DAY, 3):
            base_w = street_w(minute) + apart_w
            means = MinuteMeans(at=local(minute), base_w=base_w, base_var=30e3, ambient_c=air_c(minute))
            for _ in range(3):
                learned.errors.observe(learned.forecaster, means)
    return learned


def test_days_alike_leave_a_narrow_margin_and_days_apart_one_that_covers_nearly_all_of_them() -> None:
    narrow, wild = watched(1e3).ahead(), watched(30e3).ahead()
    assert narrow.base_margin_w[48] < 20e3
    assert 1.3 * 30e3 < wild.base_margin_w[48] < 2.2 * 30e3
    assert wild.base_margin_w[0] < wild.base_margin_w[48], "the next quarter of an hour is known better"
    assert min(wild.base_margin_w) >= 5e3
    chance = random.Random(8)
    days = [chance.gauss(0.0, 30e3) for _ in range(400)]
    assert sum(apart_w <= wild.base_margin_w[48] for apart_w in days) / 400 > 0.9


def test_with_nothing_learned_the_present_goes_on_with_a_wide_margin_and_a_note() -> None:
    told = Learned(0).ahead()
    assert set(told.base_w) == {street_w(0)}
    assert set(told.ambient_c) == {air_c(0)}
    assert told.base_margin_w[0] < told.base_margin_w[-1] == pytest.approx(UNKNOWN_BASE_PU * RATED_VA, rel=1e-3)
    assert told.ambient_margin_k[-1] == pytest.approx(UNKNOWN_AMBIENT_K, rel=1e-3)
    assert told.notes == (
        "base load of 24.0 h of the coming 24 h is taken to stay as it is, with a wide margin: nothing was learned of "
        "those hours yet",
        "ambient temperature of 24.0 h of the coming 24 h is taken to stay as it is, with a wide margin: nothing was "
        "learned of those hours yet",
    )


def test_hours_that_were_not_seen_yet_stay_as_they_are_and_are_counted() -> None:
    half = Learned(0)
    for minute in range(DAY // 2):
        half.forecaster.observe(MinuteMeans(at=local(minute), base_w=street_w(minute), base_var=0.0, ambient_c=15.0))
    told = half.ahead(minute=DAY // 2 - 30)
    assert "base load of 12" in told.notes[0]


@pytest.mark.parametrize(("steps", "step_s"), [(0, 900.0), (289, 900.0), (10, 50.0)])
def test_a_horizon_that_cannot_be_is_refused(steps: int, step_s: float) -> None:
    learned = Learned(0)
    with pytest.raises(ValueError, match="give whole minutes, and 72 h at most"):
        day_ahead(
            learned.forecaster, learned.errors, calendar, now_unix_s=unix_s(0), base_w=0.0, base_var=0.0,
            ambient_c=0.0, near_margin_w=0.0, rated_va=RATED_VA, steps=steps, step_s=step_s,
        )  # fmt: skip


def test_the_errors_survive_a_restart_and_damage_is_refused() -> None:
    learned = Learned(1)
    kept = msgspec.json.decode(
        msgspec.json.encode(ForecastMemory(version=1, data={"errors": learned.errors.memory()})), type=ForecastMemory
    ).data["errors"]
    again = DayErrors(RATED_VA)
    again.recall(kept)
    assert [again.base_margin_w(minute) for minute in range(0, DAY, 30)] == [
        learned.errors.base_margin_w(minute) for minute in range(0, DAY, 30)
    ]
    again.recall(())
    for damaged in (kept[:-1], [-1.0, *kept[1:]], [float("nan"), *kept[1:]]):
        with pytest.raises(ValueError, match="damaged"):
            DayErrors(RATED_VA).recall(damaged)
