"""A light node's transformer: how its vehicles follow a verdict, and what it tells."""

from __future__ import annotations

import statistics
from itertools import pairwise
from math import inf
from random import Random

import pytest

from v2g.mesh.messages import Range
from v2g.mesh.node import Verdict
from v2g.simulation.light_config import LightModel
from v2g.simulation.light_model import LightTransformer

BASE_W = 30e3


def made(*, want_w: float, noise_w: float = 0.0, seed: str = "a") -> LightTransformer:
    model = LightModel(
        rated_w=100e3,
        base_w=BASE_W,
        noise_w=noise_w,
        want_charge_w=max(0.0, want_w),
        want_discharge_w=max(0.0, -want_w),
        ramp_w_s=10e3,
        vehicles=2,
    )
    return LightTransformer(model, Random(seed))


def told(import_w: float = inf, export_w: float = inf) -> Verdict:
    return Verdict(import_w=import_w, export_w=export_w, import_by="", export_by="", expires_at_s=inf)


def follow(transformer: LightTransformer, verdict: Verdict, begin_s: float, seconds: float) -> list[float]:
    steps = round(seconds / 0.1)
    powers = []
    for step in range(steps + 1):
        transformer.step(verdict, begin_s + 0.1 * step)
        powers.append(transformer.v2g_w)
    return powers


def test_power_rises_by_the_ramp_up_to_the_wish() -> None:
    powers = follow(made(want_w=22e3), told(), 0.0, 5.0)
    assert powers[0] == 0.0
    assert max(after - before for before, after in pairwise(powers)) == pytest.approx(1e3)
    assert powers[-1] == 22e3


@pytest.mark.parametrize(("sign", "verdict"), [(1, told(import_w=42e3)), (-1, told(export_w=-18e3))])
def test_the_flow_ends_at_the_verdict(sign: int, verdict: Verdict) -> None:
    transformer = made(want_w=sign * 60e3)
    follow(transformer, verdict, 0.0, 10.0)
    assert transformer.flow_w == BASE_W + sign * 12e3


def test_power_falls_at_once() -> None:
    transformer = made(want_w=22e3)
    follow(transformer, told(), 0.0, 5.0)
    transformer.step(told(import_w=BASE_W + 1e3), 5.2)
    assert transformer.v2g_w == 1e3


@pytest.mark.parametrize("want_w", [40e3, -40e3])
def test_a_base_load_above_the_limit_forces_no_vehicle(want_w: float) -> None:
    transformer = made(want_w=want_w)
    assert set(follow(transformer, told(import_w=10e3, export_w=-40e3), 0.0, 3.0)) == {0.0}


def test_without_any_verdict_vehicles_rest() -> None:
    transformer = made(want_w=22e3)
    follow(transformer, told(), 0.0, 5.0)
    transformer.step(told(import_w=-inf, export_w=-inf), 5.2)
    assert transformer.v2g_w == 0.0


def test_another_direction_begins_from_zero() -> None:
    transformer = made(want_w=20e3)
    follow(transformer, told(), 0.0, 5.0)
    transformer.model.want_charge_w, transformer.model.want_discharge_w = 0.0, 20e3
    powers = follow(transformer, told(), 5.2, 5.0)
    assert -3e3 <= powers[0] <= 0.0
    assert powers[-1] == -20e3


def test_noise_is_of_the_stated_size_and_the_same_for_the_same_seed() -> None:
    transformer, again, other = (made(want_w=0.0, noise_w=500.0, seed=seed) for seed in ("a", "a", "b"))
    bases = []
    for step in range(5000):
        for each in (transformer, again, other):
            each.step(told(), 0.1 * step)
        bases.append(transformer.base_w)
    assert transformer.base_w == again.base_w != other.base_w
    assert statistics.stdev(bases) == pytest.approx(500.0, rel=0.35)
    assert max(abs(base_w - BASE_W) for base_w in bases) <= 1500.0


def test_it_tells_its_flow_its_wish_and_its_vehicles() -> None:
    transformer = made(want_w=22e3)
    follow(transformer, told(import_w=35e3), 0.0, 5.0)
    facts = transformer.facts()
    assert (facts.flow_w, facts.base_w) == (35e3, BASE_W)
    assert (facts.want_lo_w, facts.want_hi_w, facts.capability) == (0.0, 22e3, Range(0.0, 22e3))
    assert facts.ahead == Range(-100e3, 70e3)
    assert facts.flexible.vehicles == 2


def test_who_tells_less_takes_the_difference_for_its_vehicles() -> None:
    transformer = made(want_w=60e3)
    transformer.under_w = 8e3
    follow(transformer, told(import_w=50e3), 0.0, 8.0)
    assert transformer.flow_w == 58e3
    assert (transformer.facts().flow_w, transformer.facts().base_w) == (50e3, BASE_W - 8e3)
