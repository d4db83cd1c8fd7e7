from __future__ import annotations

from math import cos, pi

import pytest

from v2g.thermal.calendar import DayType
from v2g.thermal.profile import DayProfile


def evening(minute: int) -> float:
    return 1.0 - cos(2 * pi * minute / 1440)


def learned(days: int, kind: DayType = DayType.WORKDAY, scale: float = 1.0) -> DayProfile:
    profile = DayProfile()
    for _ in range(days):
        for minute in range(1440):
            profile.learn(kind, minute, scale * evening(minute), 0.0)
    return profile


@pytest.fixture(scope="module")
def workdays() -> DayProfile:
    return learned(3)


@pytest.mark.parametrize("minute", [0, 1, 3, 359, 720, 1083, 1425, 1438, 1439])
def test_the_usual_course_is_told_across_slots_and_midnight(workdays: DayProfile, minute: int) -> None:
    usual = workdays.expect(DayType.WORKDAY, minute, 0.0, 15)
    assert usual is not None
    assert usual == pytest.approx([evening((minute + n) % 1440) for n in range(16)], abs=5e-3)


def test_between_slots_it_is_a_line_without_steps(workdays: DayProfile) -> None:
    course = [workdays.expect(DayType.WORKDAY, minute, 0.0, 1) for minute in range(1440)]
    assert all(usual is not None and abs(usual[1] - usual[0]) < 0.006 for usual in course)


def test_nothing_is_usual_before_anything_was_seen() -> None:
    profile = DayProfile()
    assert profile.expect(DayType.SUNDAY, 600, 0.0, 15) is None
    for minute in range(600, 640):
        profile.learn(DayType.SUNDAY, minute, 1.0, 0.0)
    assert profile.expect(DayType.SUNDAY, 610, 0.0, 15) is not None
    assert profile.expect(DayType.SUNDAY, 630, 0.0, 15) is None


def test_an_unseen_kind_of_day_leans_on_the_others_until_it_is_known(workdays: DayProfile) -> None:
    profile = DayProfile()
    profile.recall(workdays.memory())
    assert profile.expect(DayType.SUNDAY, 600, 0.0, 1) == pytest.approx(workdays.expect(DayType.WORKDAY, 600, 0.0, 1))
    for _ in range(8):
        for minute in range(590, 620):
            profile.learn(DayType.SUNDAY, minute, 5.0, 0.0)
    sunday = profile.expect(DayType.SUNDAY, 600, 0.0, 1)
    workday = profile.expect(DayType.WORKDAY, 600, 0.0, 1)
    assert sunday is not None
    assert workday is not None
    assert sunday[0] > 4.0
    assert workday[0] < 4.0


def test_a_changed_habit_is_learned_within_weeks() -> None:
    profile = learned(15)
    for _ in range(15):
        for minute in range(600, 640):
            profile.learn(DayType.WORKDAY, minute, -1.0, 0.0)
    usual = profile.expect(DayType.WORKDAY, 610, 0.0, 5)
    assert usual is not None
    assert usual[0] < 0.0


def test_load_that_grows_with_cold_is_told_for_a_cold_never_seen() -> None:
    profile = DayProfile()
    for day in range(14):
        cold_k = float(day % 7)
        for minute in range(360, 480):
            value = 1.0 + 0.1 * cold_k
            profile.learn_slope(minute, value, cold_k)
            profile.learn(DayType.WORKDAY, minute, value, cold_k)
    cold = profile.expect(DayType.WORKDAY, 420, 12.0, 5)
    mild = profile.expect(DayType.WORKDAY, 420, 0.0, 5)
    assert cold is not None
    assert mild is not None
    assert cold[0] == pytest.approx(2.2, abs=0.5)
    assert cold[0] > mild[0] + 0.5


def test_what_was_learned_comes_back_and_its_size_never_grows(workdays: DayProfile) -> None:
    profile = DayProfile()
    size = len(profile.memory())
    profile.recall(workdays.memory())
    assert profile.memory() == workdays.memory()
    assert len(profile.memory()) == size


def test_a_damaged_profile_is_refused(workdays: DayProfile) -> None:
    kept = workdays.memory()
    for damaged in (kept[:-1], [float("inf"), *kept[1:]], [-1.0] * len(kept), [1e300, *kept[1:]]):
        with pytest.raises(ValueError, match="damaged"):
            DayProfile().recall(damaged)
