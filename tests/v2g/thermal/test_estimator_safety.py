"""Whatever the sensors say: no error comes out, and no heat is hidden."""

from __future__ import annotations

import random
from math import inf, nan, sin
from timeit import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.thermal_following import SETTINGS, kept
from v2g.simulation.thermal_plant import TransformerPlant
from v2g.thermal.estimator import Estimator
from v2g.thermal.kept import Kept
from v2g.thermal.sensed import Sensed

anything = st.one_of(
    st.none(),
    st.floats(),
    st.floats(-60.0, 160.0),
    st.sampled_from([nan, inf, -inf, -400.0, 330.0, 1e308, -1e308, 0.0]),
)
times = st.one_of(st.floats(), st.floats(0.0, 10.0), st.sampled_from([0.01, 1.0, 3600.0, 86_400.0, -5.0, 0.0]))


@settings(max_examples=examples(60), deadline=None)
@given(
    steps=st.lists(st.tuples(times, anything, anything, anything, anything, anything), max_size=25),
    stored=st.one_of(
        st.none(),
        st.builds(
            Kept,
            unix_s=st.floats(),
            theta_o_c=st.floats(),
            h1_k=st.floats(),
            h2_k=st.floats(),
            bias_k=st.floats(),
            gradient_factor=st.floats(),
            k_pu=st.floats(),
            ambient_c=st.floats(),
        ),
        st.builds(
            kept, unix_s=st.floats(0.0, 4000.0), theta_o_c=st.floats(-60.0, 250.0), bias_k=st.floats(-1e308, 1e308)
        ),
    ),
)
def test_no_input_raises_or_makes_a_state_that_is_no_number(
    steps: list[tuple[float, float | None, float | None, float | None, float | None, float | None]], stored: Kept | None
) -> None:
    estimator = Estimator(SETTINGS, stored, 3600.0)
    now = 0.0
    for dt, k, ambient_c, top_oil_c, winding_c, f_hl in steps:
        now = now + dt if abs(dt) < 1e9 else dt
        got = estimator.step(
            Sensed(k_pu=k, ambient_c=ambient_c, top_oil_c=top_oil_c, winding_c=winding_c, f_hl=f_hl), now
        )
        if got is not None:
            assert -1e6 < got.state.hot_spot_c < 1e7
            assert 0.0 <= got.margin_k <= SETTINGS.margin_limit_k
            assert abs(got.bias_k) <= 40.0
        estimator.kept(now)
        now = now if abs(now) < 1e9 else 0.0


BELOW_TRUTH_K = 25.0
"""The counted hot-spot with its margin is never further below the truth than this while power may flow, in the
runs below. Of it 10 K are what the shadow lets a sensor lie. Most comes about where the load was not measured for
hours while top-oil was frozen: nothing tells then how warm the oil has become. Runs of twenty days came to 23 K there,
and to 17 K else."""


def _garbled(rng: random.Random, fault: str, true_c: float, frozen_c: float) -> float | None:
    match fault:
        case "lost":
            return None
        case "nan":
            return nan
        case "kelvin":
            return true_c + 273.15
        case "frozen":
            return frozen_c
        case "low":
            return true_c - 40.0
        case "high":
            return true_c + 40.0
        case "open":
            return -49.0
        case "spikes":
            return true_c if rng.random() < 0.9 else rng.uniform(-400.0, 400.0)
        case "slides":
            return true_c - 9.0
    return true_c


def _worst_below(seed: int, days: float, dt: float) -> float:
    """How far the counted hot-spot was below the truth at worst, with sensors failing at random, and together."""
    rng = random.Random(seed)
    faults = ("ok", "ok", "ok", "lost", "nan", "kelvin", "frozen", "low", "high", "open", "spikes", "slides")
    plant = TransformerPlant(ambient_c=20.0, load_pu=0.5)
    estimator = Estimator(SETTINGS)
    k, until, worst = 0.5, 6 * 3600.0, -inf
    fault = {"oil": "ok", "air": "ok", "load": "ok"}
    frozen = {"oil": 0.0, "air": 0.0}
    now = 0.0
    while now < days * 86_400.0:
        now += dt
        if rng.random() < dt / 5400.0:
            k = rng.uniform(0.1, 1.3)
        plant.ambient_c = 20.0 + 8.0 * sin(now / 86_400.0 * 6.283)
        plant.step(k, dt)
        if now > until:
            until = now + rng.uniform(600.0, 8 * 3600.0)
            fault = {
                "oil": rng.choice(faults),
                "air": rng.choice(faults),
                "load": rng.choice(("ok", "lost")),
            }
            frozen = {"oil": round(plant.top_oil_c), "air": round(plant.ambient_c)}
        got = estimator.step(
            Sensed(
                k_pu=k if fault["load"] == "ok" else None,
                ambient_c=_garbled(rng, fault["air"], round(plant.ambient_c), frozen["air"]),
                top_oil_c=_garbled(rng, fault["oil"], round(plant.top_oil_c), frozen["oil"]),
            ),
            now,
        )
        if got is not None and not got.no_power:
            worst = max(worst, plant.hot_spot_c - got.state.hot_spot_c - got.margin_k)
    return worst


@pytest.mark.parametrize("seed", [1, 2])
def test_failing_sensors_never_hide_heat(seed: int) -> None:
    assert _worst_below(seed, 3.0, 60.0) < BELOW_TRUTH_K


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 40))
def test_failing_sensors_never_hide_heat_for_long(seed: int) -> None:
    assert _worst_below(seed, 10.0, 60.0) < BELOW_TRUTH_K


@pytest.mark.bench
def test_one_step_takes_microseconds() -> None:
    estimator = Estimator(SETTINGS)
    now = [0.0]

    def one() -> None:
        now[0] += 1.0
        estimator.step(
            Sensed(k_pu=0.5, ambient_c=25.0 + now[0] % 3 / 10, top_oil_c=45.0 + now[0] % 7 / 10, f_hl=1.5), now[0]
        )

    best_s = min(repeat(one, number=100, repeat=200)) / 100
    print(f"{best_s * 1e6:.1f} µs")
    assert best_s < 15e-6
