from __future__ import annotations

import random
from collections.abc import Callable
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.regression import OnlineRegression


def taught(regression: OnlineRegression, true: list[float], samples: int, seed: int = 1) -> OnlineRegression:
    rng = random.Random(seed)
    for _ in range(samples):
        signals = [rng.gauss(0.0, 1.0) for _ in true]
        target = sum(w * s for w, s in zip(true, signals, strict=True)) + rng.gauss(0.0, 0.1)
        regression.learn(signals, target)
    return regression


def test_weights_become_what_the_signals_are_worth() -> None:
    regression = taught(OnlineRegression([0.0, 0.0, 0.0], ridge=0.1, window=500.0), [0.8, -0.3, 0.0], 600)
    assert regression.weights == pytest.approx([0.8, -0.3, 0.0], abs=0.03)
    assert regression.predict([1.0, 1.0, 5.0]) == pytest.approx(0.5, abs=0.15)


def test_nothing_learned_leaves_the_prior() -> None:
    regression = OnlineRegression([0.5, 0.25], ridge=0.1, window=500.0)
    for _ in range(50):
        regression.learn([0.0, 0.0], 0.0)
    assert regression.weights == pytest.approx([0.5, 0.25])


def test_signals_that_say_the_same_share_the_weight_and_stay_finite() -> None:
    rng = random.Random(3)
    regression = OnlineRegression([0.0, 0.0], ridge=1e-3, window=200.0)
    for _ in range(400):
        x = rng.gauss(0.0, 1.0)
        regression.learn([x, x], x)
    assert regression.weights == pytest.approx([0.5, 0.5], abs=1e-3)


def test_old_worth_is_forgotten() -> None:
    regression = taught(OnlineRegression([0.0], ridge=0.01, window=100.0), [1.0], 400)
    taught(regression, [-1.0], 600, seed=2)
    assert regression.weights[0] == pytest.approx(-1.0, abs=0.1)


def test_a_few_huge_errors_hardly_move_the_weights() -> None:
    regression = taught(OnlineRegression([0.0, 0.0], ridge=0.1, window=2_000.0), [0.8, -0.3], 1_000)
    for _ in range(10):
        regression.learn([1.0, 1.0], 500.0)
    assert regression.weights == pytest.approx([0.8, -0.3], abs=0.1)


def test_what_was_learned_comes_back_the_same() -> None:
    first = taught(OnlineRegression([0.0, 0.0], ridge=0.1, window=500.0), [0.8, -0.3], 50)
    second = OnlineRegression([0.0, 0.0], ridge=0.1, window=500.0)
    second.recall(first.memory())
    assert second.weights == first.weights
    assert second.memory() == first.memory()


Damage = Callable[[list[float]], list[float]]


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept[:-1],
        lambda kept: [-1.0, *kept[1:]],
        lambda kept: [nan, *kept[1:]],
        lambda kept: [kept[0], -1.0, *kept[2:]],
        lambda kept: [*kept[:2], 1e9, *kept[3:]],
        lambda kept: [*kept[:-1], 1e300],
    ],
)
def test_damaged_weights_are_refused(damage: Damage) -> None:
    regression = taught(OnlineRegression([0.0, 0.0], ridge=0.1, window=500.0), [0.8, -0.3], 50)
    with pytest.raises(ValueError, match="damaged"):
        OnlineRegression([0.0, 0.0], ridge=0.1, window=500.0).recall(damage(regression.memory()))


def test_a_calm_of_days_does_not_stop_the_learning() -> None:
    regression = OnlineRegression([0.0], ridge=0.01, window=1_000.0)
    for _ in range(20_000):
        regression.learn([0.0], 0.0)
    taught(regression, [1.0], 1_500)
    assert regression.weights[0] == pytest.approx(1.0, abs=0.1)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.tuples(*[st.floats(-10.0, 10.0)] * 3), max_size=60))
def test_any_samples_leave_finite_weights(samples: list[tuple[float, float, float]]) -> None:
    regression = OnlineRegression([0.5, 0.0], ridge=0.02, window=50.0)
    for x, y, target in samples:
        regression.learn([x, y], target)
    assert all(abs(weight) < 1e6 for weight in regression.weights)
