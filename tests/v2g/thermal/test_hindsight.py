from __future__ import annotations

import random
from dataclasses import replace

import pytest

from v2g.thermal.hindsight import Hindsight
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import ThermalParameters

MINUTES = 15


def follow(
    hindsight: Hindsight, real: ThermalParameters, taken: ThermalParameters, minutes: int, seed: int = 1
) -> tuple[list[float], list[float]]:
    """Errors of predictions a quarter of an hour ahead of a transformer under random load, and the margins then."""
    rng, now_s, k = random.Random(seed), 0.0, 0.8
    state = steady_state(real, k, 20.0)
    begun: list[tuple[float, float]] = []
    errors, margins = [], []
    for n in range(minutes):
        if rng.random() < 1.0 / 40.0:
            k = rng.uniform(0.1, 1.4)
        for _ in range(6):
            now_s += 10.0
            state = step(state, real, k, 20.0, 10.0)
            hindsight.step(taken, state.theta_o_c, 0.0, k, 20.0, now_s, n % 1440, known=True)
        begun = [(step_oil(theta_c, taken, k), margin_k) for theta_c, margin_k in begun]
        if len(begun) == MINUTES:
            predicted_c, margin_k = begun.pop(0)
            errors.append(state.theta_o_c - predicted_c)
            margins.append(margin_k)
        begun.append((state.theta_o_c, hindsight.margins_k[-1]))
    return errors, margins


def step_oil(theta_o_c: float, params: ThermalParameters, k: float) -> float:
    return step(steady_state(params, 0.0, 0.0).with_top_oil(theta_o_c), params, k, 20.0, 60.0).theta_o_c


def test_the_margin_covers_the_errors_that_the_model_has(distribution: ThermalParameters) -> None:
    real = replace(distribution, dtheta_or_k=distribution.dtheta_or_k * 1.2)
    errors, margins = follow(Hindsight(MINUTES), real, distribution, 4_000)
    late = list(zip(errors, margins, strict=True))[1_000:]
    assert max(error for error, _ in late) > 1.0
    within = sum(error <= margin for error, margin in late) / len(late)
    assert 0.92 < within < 0.99


def test_a_model_that_is_right_needs_next_to_no_margin(distribution: ThermalParameters) -> None:
    hindsight = Hindsight(MINUTES)
    assert hindsight.margins_k[-1] == pytest.approx(0.75)
    follow(hindsight, distribution, distribution, 3_000)
    assert hindsight.margins_k[-1] < 0.1
    assert list(hindsight.margins_k) == sorted(hindsight.margins_k)


def test_what_was_begun_before_a_gap_teaches_nothing(distribution: ThermalParameters) -> None:
    hindsight = Hindsight(MINUTES)
    follow(hindsight, distribution, distribution, 600)
    before = hindsight.memory()
    now_s = 36_000.0
    for n in range(60):
        known = n > 5
        hindsight.step(distribution, 90.0, 0.0, 0.8, 20.0, now_s + n, 0, known=known)
    hindsight.step(distribution, 90.0, 0.0, 0.8, 20.0, now_s + 4_000.0, 0, known=True)
    hindsight.step(distribution, 40.0, 0.0, 0.8, 20.0, now_s + 4_001.0, 0, known=True)
    assert hindsight.memory() == before


def test_it_survives_a_restart_and_refuses_what_is_damaged(distribution: ThermalParameters) -> None:
    hindsight, again = Hindsight(MINUTES), Hindsight(MINUTES)
    follow(hindsight, replace(distribution, dtheta_or_k=70.0), distribution, 300)
    again.recall(hindsight.memory())
    assert again.memory() == hindsight.memory()
    for damaged in ((), hindsight.memory()[:-1], [float("nan"), *hindsight.memory()[1:]]):
        with pytest.raises(ValueError, match="damaged"):
            again.recall(damaged)
