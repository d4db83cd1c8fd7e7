from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.ageing import relative_ageing_rate
from v2g.thermal.fleet import FleetParameters, FleetState, simulate
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, ThermalParameters, from_nameplate


def transformers() -> list[ThermalParameters]:
    """One of each cooling mode, all different."""
    return [
        dataclasses.replace(
            from_nameplate(
                cooling=cooling,
                rated_kva=100.0 * (n + 1),
                top_oil_rise_k=45.0 + 2.0 * n,
                hot_spot_gradient_k=20.0 + n,
                loss_ratio_r=4.0 + 0.5 * n,
            ),
            load_loss_factor=1.0 + 0.1 * (n % 3),
        )
        for n, cooling in enumerate(sorted(COOLING))
    ]


@settings(max_examples=examples(40), deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dt_s=st.floats(0.01, 3600.0) | st.lists(st.floats(0.01, 3600.0), min_size=11, max_size=11),
    from_steady_state=st.booleans(),
)
def test_each_transformer_moves_as_the_scalar_step_has_it(
    seed: int, dt_s: float | list[float], from_steady_state: bool
) -> None:
    fleet = transformers()
    random = np.random.default_rng(seed)
    k_pu = random.uniform(-2.0, 2.0, (12, len(fleet)))
    k_pu[random.random(k_pu.shape) < 0.1] = 0.0
    ambient_c = random.uniform(-40.0, 85.0, k_pu.shape)
    start = FleetState(
        theta_o_c=random.uniform(0.0, 100.0, len(fleet)),
        h1_k=random.uniform(0.0, 60.0, len(fleet)),
        h2_k=random.uniform(0.0, 30.0, len(fleet)),
    )
    course = simulate(FleetParameters.of(fleet), k_pu, ambient_c, dt_s, None if from_steady_state else start)
    for n, params in enumerate(fleet):
        state = (
            steady_state(params, k_pu[0, n], ambient_c[0, n])
            if from_steady_state
            else ThermalState(start.theta_o_c[n], start.h1_k[n], start.h2_k[n])
        )
        kraft_s = upgraded_s = 0.0
        for row in range(12):
            if row:
                dt = dt_s[row - 1] if isinstance(dt_s, list) else dt_s
                state = step(state, params, k_pu[row, n], ambient_c[row, n], dt)
                kraft_s += relative_ageing_rate(state.hot_spot_c, upgraded_paper=False) * dt
                upgraded_s += relative_ageing_rate(state.hot_spot_c, upgraded_paper=True) * dt
            assert course.top_oil_c[row, n] == pytest.approx(state.theta_o_c, abs=1e-9)
            assert course.hot_spot_c[row, n] == pytest.approx(state.hot_spot_c, abs=1e-9)
        assert course.loss_of_life_kraft_s[n] == pytest.approx(kraft_s, rel=1e-9)
        assert course.loss_of_life_upgraded_s[n] == pytest.approx(upgraded_s, rel=1e-9)
        assert (course.final.h1_k[n], course.final.h2_k[n]) == pytest.approx((state.h1_k, state.h2_k), abs=1e-9)


def test_one_load_and_ambient_hold_for_all() -> None:
    fleet = FleetParameters.of(transformers())
    k_pu = [0.5, 1.0, 1.2, 0.2]
    alike = simulate(fleet, k_pu, 20.0, 600.0)
    each = simulate(fleet, np.tile(np.array(k_pu)[:, None], (1, len(fleet))), np.full((4, len(fleet)), 20.0), 600.0)
    assert np.array_equal(alike.hot_spot_c, each.hot_spot_c)
    assert np.array_equal(alike.hot_spot_c, simulate(fleet, k_pu, [20.0] * 4, [600.0] * 3).hot_spot_c)


def test_a_study_may_be_cut_into_blocks() -> None:
    fleet = FleetParameters.of(transformers())
    k_pu = np.linspace(0.1, 1.4, 21)
    whole = simulate(fleet, k_pu, 25.0, 300.0)
    first = simulate(fleet, k_pu[:11], 25.0, 300.0)
    second = simulate(fleet, k_pu[10:], 25.0, 300.0, first.final)
    assert np.array_equal(second.hot_spot_c[-1], whole.hot_spot_c[-1])
    assert first.loss_of_life_kraft_s + second.loss_of_life_kraft_s == pytest.approx(whole.loss_of_life_kraft_s)


def test_the_state_to_go_on_with_is_not_changed_by_going_on() -> None:
    fleet = FleetParameters.of(transformers())
    first = simulate(fleet, [1.0, 1.0], 20.0, 60.0)
    kept = first.final.theta_o_c.copy()
    simulate(fleet, [1.5, 1.5, 1.5], 20.0, 600.0, first.final)
    assert np.array_equal(first.final.theta_o_c, kept)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"k_pu": [1.0, float("nan")]}, "k_pu holds a value that is not a number"),
        ({"k_pu": [1.0, 400.0]}, "beyond 100"),
        ({"k_pu": np.ones((2, 3))}, r"k_pu has the shape \(2, 3\): give \[n_steps\] for all or \[n_steps, 8\]"),
        ({"k_pu": 1.0}, "k_pu has the shape"),
        ({"k_pu": []}, "k_pu has the shape"),
        ({"ambient_c": [20.0] * 3}, r"ambient_c has the shape \(3, 1\): give \[2\] for all"),
        ({"ambient_c": float("inf")}, "ambient_c holds a value"),
        ({"dt_s": -60.0}, "dt_s holds a value that is negative"),
        ({"dt_s": float("nan")}, "dt_s holds a value"),
        ({"dt_s": [60.0, 60.0]}, r"dt_s has the shape \(2,\) for 2 rows"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], text: str) -> None:
    arguments: dict[str, object] = {"k_pu": [1.0, 1.0], "ambient_c": 20.0, "dt_s": 60.0, **change}
    with pytest.raises(ValueError, match=text):
        simulate(FleetParameters.of(transformers()), **arguments)  # type: ignore[arg-type]


def test_a_fleet_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no transformers"):
        FleetParameters.of([])


def test_numpy_is_loaded_by_the_call_only() -> None:
    code = "import sys, v2g.thermal.fleet; raise SystemExit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
