from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.error_bounds import ErrorBounds

PRIOR = (1.0, 2.0, 3.0)


def make(two_sided: bool = True, coverage: float = 0.95) -> ErrorBounds:
    return ErrorBounds(PRIOR, coverage=coverage, two_sided=two_sided, floor=1e-4)


def feed(bounds: ErrorBounds, errors: list[float], minute: int = 0) -> int:
    """Errors of every minute ahead; how many lay within the bound of the next minute."""
    within = 0
    for offset, error in enumerate(errors):
        at = (minute + offset) % 1440
        scale = bounds.scale(at)
        factors = bounds.factors
        within += abs(error) <= factors[0] * scale
        bounds.learn_next(at, error)
        for n in range(1, len(PRIOR) + 1):
            bounds.learn(n, error, factors[n - 1], scale)
    return within


def gauss(size: int, spread: float, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [rng.gauss(0.0, spread) for _ in range(size)]


def heavy(size: int) -> list[float]:
    rng = random.Random(2)
    return [0.01 * rng.gauss(0.0, 1.0) / max(abs(rng.gauss(0.0, 1.0)), 0.05) for _ in range(size)]


def test_the_prior_holds_before_anything_is_learned() -> None:
    bounds = make()
    assert bounds.bounds(bounds.scale(0)) == pytest.approx(PRIOR)


def test_the_prior_fades_as_errors_are_seen() -> None:
    bounds = make()
    feed(bounds, gauss(60, 1e-3))
    assert bounds.bounds(bounds.scale(60))[0] == pytest.approx(0.5)
    feed(bounds, gauss(6_000, 1e-3))
    assert bounds.bounds(bounds.scale(60))[0] < 0.015


@pytest.mark.parametrize("errors", [gauss(4_000, 0.02), heavy(4_000)], ids=["normal", "heavy tails"])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_as_many_errors_lie_within_as_meant_whatever_their_distribution(errors: list[float], coverage: float) -> None:
    bounds = make(coverage=coverage)
    feed(bounds, errors[:1_000])
    assert feed(bounds, errors[1_000:]) / 3_000 == pytest.approx(coverage, abs=0.012)


def test_one_sided_bounds_care_only_for_what_comes_above() -> None:
    cold, warm = make(two_sided=False), make(two_sided=False)
    falling = [-abs(error) for error in gauss(3_000, 0.1)]
    feed(cold, falling)
    feed(warm, [-error for error in falling])
    assert cold.bounds(0.1)[0] < 0.5 * warm.bounds(0.1)[0]


def test_a_burst_of_errors_widens_within_minutes_and_narrows_over_an_hour_or_more() -> None:
    bounds = make()
    feed(bounds, gauss(1_440 * 2, 0.01))
    calm = bounds.bounds(bounds.scale(0))[0]
    feed(bounds, gauss(5, 0.2, seed=9))
    wide = bounds.bounds(bounds.scale(5))[0]
    assert wide > 4.0 * calm
    feed(bounds, gauss(20, 0.01, seed=10), minute=5)
    assert bounds.bounds(bounds.scale(25))[0] > 2.0 * calm
    feed(bounds, gauss(1_440, 0.01, seed=11), minute=25)
    assert bounds.bounds(bounds.scale(25))[0] < 1.5 * calm


def test_no_bound_is_far_beyond_the_largest_error_ever_seen() -> None:
    bounds = make()
    feed(bounds, gauss(1_440, 0.02))
    feed(bounds, [0.9] * 12)
    assert 0.9 <= bounds.bounds(bounds.scale(12))[0] <= 1.25 * 0.9


def test_bounds_widen_at_once_after_a_dead_calm() -> None:
    bounds = make()
    feed(bounds, [0.0] * 20_000)
    feed(bounds, [0.1, -0.1] * 5)
    assert bounds.bounds(bounds.scale(10))[0] > 0.1


def test_the_time_of_day_that_is_always_restless_is_wide_before_it_begins() -> None:
    bounds = make()
    for day in range(6):
        feed(bounds, gauss(720, 0.001, seed=day) + gauss(720, 0.05, seed=50 + day))
    feed(bounds, gauss(715, 0.001, seed=99))
    assert bounds.scale(725) > 4.0 * bounds.scale(680)


def test_absence_brings_the_prior_back() -> None:
    bounds = make()
    feed(bounds, gauss(6_000, 1e-3))
    before = bounds.bounds(bounds.scale(0))[0]
    bounds.forget(300.0)
    assert bounds.bounds(bounds.scale(0))[0] > 0.9
    assert before < 0.02
    bounds.forget(1e9)
    assert bounds.bounds(bounds.scale(0)) == pytest.approx(PRIOR)


def test_what_was_learned_comes_back_the_same() -> None:
    first, second = make(), make()
    feed(first, gauss(500, 0.02))
    second.recall(first.memory())
    assert second.memory() == first.memory()
    assert second.bounds(second.scale(700)) == first.bounds(first.scale(700))


def test_damaged_bounds_are_refused() -> None:
    kept = make().memory()
    for damaged in (kept[:-1], [-1.0, *kept[1:]], [float("nan"), *kept[1:]]):
        with pytest.raises(ValueError, match="damaged"):
            make().recall(damaged)


@pytest.mark.parametrize("coverage", [0.4, 1.0, float("nan")])
def test_a_coverage_that_cannot_be_is_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage"):
        make(coverage=coverage)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.floats(-20.0, 20.0), max_size=80), st.booleans())
def test_any_errors_leave_bounds_that_are_positive_and_never_fall(errors: list[float], two_sided: bool) -> None:
    bounds = make(two_sided=two_sided)
    feed(bounds, errors)
    said = bounds.bounds(bounds.scale(0))
    assert all(bound > 0.0 for bound in said)
    assert list(said) == sorted(said)
