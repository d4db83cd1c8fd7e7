from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.calibration_data import Prepared
from v2g.thermal.calibration_fit import Problem, correlation_rows, simulate, student_95, vector_of, with_vector
from v2g.thermal.calibration_hot_spot import unit_response
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import ThermalParameters, from_nameplate

ONAN = from_nameplate(cooling="ONAN", rated_kva=40e3, top_oil_rise_k=52, hot_spot_gradient_k=26, loss_ratio_r=6)


def prepared(steps_s: list[float], seed: int, starts: tuple[int, ...]) -> Prepared:
    rng = Random(seed)
    rows = len(steps_s)
    return Prepared(
        t_s=np.cumsum(steps_s),
        k_squared=np.array([rng.uniform(0.0, 1.4) ** 2 for _ in range(rows)]),
        ambient_c=np.array([rng.uniform(-20.0, 40.0) for _ in range(rows)]),
        top_oil_c=np.array([rng.uniform(20.0, 90.0) for _ in range(rows)]),
        winding_c=np.full(rows, np.nan),
        use=np.ones(rows, dtype=bool),
        use_winding=np.zeros(rows, dtype=bool),
        starts=starts,
        jumps=0,
        rows_left_out=0,
    )


@settings(max_examples=examples(40), deadline=None)
@given(
    steps_s=st.lists(st.floats(0.01, 7200.0), min_size=4, max_size=300),
    seed=st.integers(0, 1000),
    tau_o_s=st.floats(600.0, 86_400.0),
)
def test_a_simulation_is_the_models_own_steps(steps_s: list[float], seed: int, tau_o_s: float) -> None:
    params = replace(ONAN, tau_o_s=tau_o_s, load_loss_factor=1.1)
    middle = len(steps_s) // 2
    data = prepared(steps_s, seed, (0, middle, len(steps_s)))
    oil_c = simulate(params, data, np.array([50.0, 20.0]))
    state = steady_state(params, 0.0, 0.0)
    for row in range(len(steps_s)):
        if row in (0, middle):
            state = state.with_top_oil(50.0 if row == 0 else 20.0)
        else:
            k_pu = float(data.k_squared[row]) ** 0.5
            state = step(state, params, k_pu, float(data.ambient_c[row]), steps_s[row])
        assert oil_c[row] == pytest.approx(state.theta_o_c, abs=1e-6)


def test_the_winding_over_oil_is_the_models_own() -> None:
    data = prepared([60.0] * 500, 7, (0, 500))
    state = steady_state(ONAN, float(data.k_squared[0]) ** 0.5, 0.0)
    response = unit_response(ONAN, data)
    for row in range(1, 500):
        state = step(state, ONAN, float(data.k_squared[row]) ** 0.5, 20.0, 60.0)
        assert ONAN.dtheta_hr_k * response[row] == pytest.approx(state.h1_k - state.h2_k, abs=1e-9)


def test_derivatives_are_those_of_the_simulation() -> None:
    data = prepared([300.0] * 400, 3, (0, 150, 400))
    data = replace(data, top_oil_c=simulate(ONAN, data, np.array([50.0, 30.0])))
    problem = Problem(ONAN, data)
    weight = np.ones(400)
    vector = vector_of(ONAN)
    _, jacobian = problem.evaluate(vector, weight)
    for index in range(3):
        change = [1e-5 if at == index else 0.0 for at in range(3)]
        above, _ = problem.evaluate(tuple(v + d for v, d in zip(vector, change, strict=True)), weight)  # type: ignore[arg-type]
        below, _ = problem.evaluate(tuple(v - d for v, d in zip(vector, change, strict=True)), weight)  # type: ignore[arg-type]
        numeric = -(above - below) / 2e-5
        assert np.allclose(jacobian[:, index], numeric, atol=1e-4)


def test_a_vector_makes_the_parameters_again() -> None:
    params: ThermalParameters = replace(ONAN, dtheta_or_k=44.0, tau_o_s=9_000.0, x=0.9)
    again = with_vector(ONAN, vector_of(params))
    assert (again.dtheta_or_k, again.x, again.tau_o_s) == pytest.approx((44.0, 0.9, 9_000.0))


@pytest.mark.parametrize(("degrees", "quantile"), [(4, 2.776), (6, 2.447), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_students_quantile(degrees: int, quantile: float) -> None:
    assert student_95(degrees) == pytest.approx(quantile, rel=0.01)


def test_the_correlation_of_errors_is_measured() -> None:
    rng = np.random.default_rng(2)
    white = rng.normal(size=20_000)
    assert correlation_rows(white) == pytest.approx(1.0, abs=0.3)
    stays = np.exp(-1 / 20.0)
    lasting = np.zeros(20_000)
    for row in range(1, 20_000):
        lasting[row] = stays * lasting[row - 1] + white[row]
    # (1 + φ) / (1 - φ) of a first-order process.
    assert correlation_rows(lasting) == pytest.approx((1 + stays) / (1 - stays), rel=0.25)
