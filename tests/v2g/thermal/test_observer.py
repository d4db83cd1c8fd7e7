"""The observer: exact without measurements, stable and the same at any step with them, and what its bias learns."""

from __future__ import annotations

from dataclasses import replace
from math import exp, inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.observer import Observer, ObserverGains
from v2g.thermal.parameters import COOLING, ThermalParameters, from_nameplate

dts = st.floats(0.01, 3600.0)


def of_mode(mode: str) -> ThermalParameters:
    return from_nameplate(
        cooling=mode, rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )


def near(state: ThermalState, other: ThermalState, within_k: float) -> bool:
    return all(
        abs(a - b) <= within_k
        for a, b in (
            (state.theta_o_c, other.theta_o_c),
            (state.h1_k, other.h1_k),
            (state.h2_k, other.h2_k),
        )
    )


@pytest.mark.parametrize("mode", COOLING)
@pytest.mark.parametrize("factor", [1.0, 1.3])
def test_without_measurements_it_is_the_model_with_bias_and_factor(mode: str, factor: float) -> None:
    params = of_mode(mode)
    start = ThermalState(50.0, 10.0, 3.0)
    observer = Observer(start, bias_k=4.0, gradient_factor=factor)
    scaled = replace(params, dtheta_hr_k=params.dtheta_hr_k * factor)
    for dt in (0.01, 60.0, 3600.0):
        start = step(start, scaled, 0.9, 24.0, dt)
        got = observer.step(params, 0.9, 20.0, dt)
        assert near(got.state, start, 1e-9)
    assert (got.bias_k, got.gradient_factor, got.innovation_k, got.winding_innovation_k) == (4.0, factor, None, None)


def test_many_steps_and_one_lead_to_the_same_place(distribution: ThermalParameters) -> None:
    many, one = Observer(ThermalState(50.0, 10.0, 0.0)), Observer(ThermalState(50.0, 10.0, 0.0))
    for _ in range(360):
        many.step(distribution, 0.9, 20.0, 10.0)
    assert near(many.estimate.state, one.step(distribution, 0.9, 20.0, 3600.0).state, 1e-9)


@given(dt=dts, error_k=st.floats(-3.0, 3.0), bias_k=st.floats(-15.0, 15.0), mode=st.sampled_from(sorted(COOLING)))
@settings(max_examples=examples(60), deadline=None)
def test_at_any_step_the_error_dies_out_with_the_poles_asked_for(
    dt: float, error_k: float, bias_k: float, mode: str
) -> None:
    params = of_mode(mode)
    gains = ObserverGains()
    truth = steady_state(params, 0.8, 20.0 + bias_k)
    observer = Observer(truth.with_top_oil(truth.theta_o_c + error_k))
    steps = int(10.0 * gains.bias_s / dt) + 12
    if steps > 3000:
        steps, dt = 3000, 10.0 * gains.bias_s / 3000
    for _ in range(steps):
        got = observer.step(params, 0.8, 20.0, dt, truth.theta_o_c)
    assert got.state.theta_o_c == pytest.approx(truth.theta_o_c, abs=0.05)
    assert got.bias_k == pytest.approx(bias_k, abs=0.1)


def test_the_bias_error_falls_by_its_time_constant(distribution: ThermalParameters) -> None:
    gains = ObserverGains(oil_s=10.0, bias_s=3600.0)
    truth = steady_state(distribution, 0.8, 30.0)
    for dt in (1.0, 10.0, 100.0, 900.0):
        observer = Observer(truth, gains=gains)
        for _ in range(round(3600.0 / dt)):
            got = observer.step(distribution, 0.8, 20.0, dt, truth.theta_o_c)
        assert got.bias_k == pytest.approx(10.0 * (1.0 - exp(-1.0)), abs=0.25)


def test_the_state_moves_alike_at_steps_of_ten_milliseconds_and_of_a_minute(distribution: ThermalParameters) -> None:
    start = steady_state(distribution, 0.8, 20.0)
    read_c = start.theta_o_c + 1.5
    fine, coarse = Observer(start), Observer(start)
    for _ in range(6000):
        fine.step(distribution, 0.8, 20.0, 0.01, read_c)
    coarse.step(distribution, 0.8, 20.0, 60.0, read_c)
    assert fine.estimate.state.theta_o_c == pytest.approx(coarse.estimate.state.theta_o_c, abs=0.02)
    assert fine.estimate.bias_k == pytest.approx(coarse.estimate.bias_k, abs=0.15)


def test_innovation_is_measured_minus_predicted(distribution: ThermalParameters) -> None:
    start = ThermalState(50.0, 10.0, 0.0)
    predicted = step(start, distribution, 0.8, 20.0, 60.0)
    got = Observer(start).step(distribution, 0.8, 20.0, 60.0, 52.0)
    assert got.innovation_k == pytest.approx(52.0 - predicted.theta_o_c)


def test_without_learning_bias_and_factor_stay(distribution: ThermalParameters) -> None:
    observer = Observer(ThermalState(50.0, 10.0, 0.0), bias_k=2.0, gradient_factor=1.1)
    for _ in range(100):
        got = observer.step(distribution, 0.8, 20.0, 60.0, 51.0, 75.0, learn=False)
    assert (got.bias_k, got.gradient_factor) == (2.0, 1.1)
    assert got.state.theta_o_c == pytest.approx(51.0, abs=1.0)


def test_bias_is_limited_and_leaves_its_limit_without_delay(distribution: ThermalParameters) -> None:
    gains = ObserverGains(bias_limit_k=5.0)
    truth = steady_state(distribution, 0.8, 40.0)
    observer = Observer(truth, gains=gains)
    for _ in range(2000):
        got = observer.step(distribution, 0.8, 20.0, 60.0, truth.theta_o_c)
    assert got.bias_k == 5.0
    below_c = got.state.theta_o_c - 0.5
    assert observer.step(distribution, 0.8, 20.0, 60.0, below_c).bias_k < 5.0


def test_a_jump_is_taken_into_the_state_and_hardly_into_the_bias(distribution: ThermalParameters) -> None:
    truth = steady_state(distribution, 0.8, 20.0)
    observer = Observer(truth)
    worst = 0.0
    for _ in range(120):
        got = observer.step(distribution, 0.8, 20.0, 60.0, truth.theta_o_c - 9.0)
        worst = max(worst, abs(got.bias_k))
    assert got.state.theta_o_c == pytest.approx(truth.theta_o_c - 9.0, abs=0.3)
    assert worst < 12.0


def test_a_hot_spot_sensor_teaches_the_gradient_within_a_day(distribution: ThermalParameters) -> None:
    real = replace(distribution, dtheta_hr_k=29.0)
    truth = steady_state(real, 0.9, 20.0)
    observer = Observer(steady_state(distribution, 0.9, 20.0))
    for _ in range(1440):
        got = observer.step(distribution, 0.9, 20.0, 60.0, truth.theta_o_c, truth.hot_spot_c)
    assert got.gradient_factor == pytest.approx(29.0 / 23.0, abs=0.02)
    assert got.state.hot_spot_c == pytest.approx(truth.hot_spot_c, abs=0.2)


def test_a_hot_spot_sensor_at_no_load_teaches_nothing_absurd(distribution: ThermalParameters) -> None:
    observer = Observer(steady_state(distribution, 0.0, 20.0))
    for _ in range(1440):
        got = observer.step(distribution, 0.0, 20.0, 60.0, None, observer.estimate.state.theta_o_c + 2.0)
    assert got.gradient_factor == 1.0


def test_factor_is_limited(distribution: ThermalParameters) -> None:
    observer = Observer(steady_state(distribution, 1.0, 20.0), gradient_factor=99.0)
    assert observer.estimate.gradient_factor == 2.0
    for _ in range(5000):
        got = observer.step(distribution, 1.0, 20.0, 600.0, None, 0.0)
    assert got.gradient_factor == 0.5


def test_a_state_and_a_bias_are_taken_over(distribution: ThermalParameters) -> None:
    observer = Observer(ThermalState(50.0, 10.0, 0.0), bias_k=2.0)
    observer.set_state(ThermalState(70.0, 5.0, 1.0))
    assert observer.estimate.state == ThermalState(70.0, 5.0, 1.0)
    assert observer.estimate.bias_k == 2.0
    observer.set_bias(-99.0)
    assert observer.estimate.bias_k == -40.0
    assert observer.estimate.state.theta_o_c == 70.0


@pytest.mark.parametrize(
    ("k", "ambient_c", "dt", "oil_c", "hot_c"),
    [
        (nan, 20.0, 1.0, None, None),
        (0.5, inf, 1.0, None, None),
        (0.5, 20.0, -1.0, None, None),
        (0.5, 20.0, nan, 45.0, None),
        (0.5, 20.0, 1.0, nan, None),
        (0.5, 20.0, 1.0, 45.0, -inf),
    ],
)
def test_what_is_no_number_raises_and_leaves_the_state(
    distribution: ThermalParameters, k: float, ambient_c: float, dt: float, oil_c: float | None, hot_c: float | None
) -> None:
    observer = Observer(ThermalState(50.0, 10.0, 0.0))
    before = observer.estimate
    with pytest.raises(ValueError, match=r"thermal step|not a number"):
        observer.step(distribution, k, ambient_c, dt, oil_c, hot_c)
    assert observer.estimate is before


def test_no_time_corrects_nothing(distribution: ThermalParameters) -> None:
    observer = Observer(ThermalState(50.0, 10.0, 0.0))
    assert observer.step(distribution, 0.5, 20.0, 0.0, 60.0, 80.0).state == ThermalState(50.0, 10.0, 0.0)


def test_with_wrong_parameters_it_predicts_far_better_than_the_open_loop(distribution: ThermalParameters) -> None:
    wrong = replace(distribution, dtheta_or_k=55.0 * 0.85, tau_o_s=distribution.tau_o_s * 1.2, r=3.0)
    truth = free = steady_state(distribution, 0.5, 15.0)
    observer = Observer(free)
    errors: list[tuple[float, float]] = []
    ahead: list[tuple[float, float]] = []
    for n in range(3 * 1440):
        k = 0.5 + 0.4 * (n // 240 % 3 == 1) + 0.3 * (n // 97 % 5 == 2)
        truth = step(truth, distribution, k, 15.0, 60.0)
        free = step(free, wrong, k, 15.0, 60.0)
        got = observer.step(wrong, k, 15.0, 60.0, float(round(truth.theta_o_c)))
        if len(ahead) == 15:
            first, second = ahead.pop(0)
            if n > 1440:
                errors.append((abs(first - truth.theta_o_c), abs(second - truth.theta_o_c)))
        # What comes is taken as constant here, for both alike.
        then = step(got.state, wrong, k, 15.0 + got.bias_k, 900.0).theta_o_c
        ahead.append((step(free, wrong, k, 15.0, 900.0).theta_o_c, then))
    open_loop, observed = (sum(e[i] for e in errors) / len(errors) for i in (0, 1))
    assert open_loop > 3.5
    assert observed < 0.6


@pytest.mark.parametrize("error_k", [-2.0, 1.5, 9.0])
@pytest.mark.parametrize("dt", [1.0, 60.0])
def test_an_error_of_the_state_alone_hardly_passes_through_the_bias(
    distribution: ThermalParameters, error_k: float, dt: float
) -> None:
    truth = steady_state(distribution, 0.8, 17.0)
    observer = Observer(truth, bias_k=-3.0)
    observer.set_state(truth.with_top_oil(truth.theta_o_c + error_k))
    for _ in range(round(2 * 3600.0 / dt)):
        got = observer.step(distribution, 0.8, 20.0, dt, truth.theta_o_c)
        assert got.bias_k == pytest.approx(-3.0, abs=0.05 * abs(error_k) + 0.1)
    assert got.state.theta_o_c == pytest.approx(truth.theta_o_c, abs=0.05)


@pytest.mark.parametrize("lost_s", [10.0, 120.0, 7200.0])
def test_following_readings_under_a_load_that_is_only_assumed_teaches_nothing_afterwards(
    distribution: ThermalParameters, lost_s: float
) -> None:
    truth = steady_state(distribution, 0.3, 20.0)
    observer = Observer(truth)
    for _ in range(round(lost_s)):
        observer.step(distribution, 1.0, 20.0, 1.0, truth.theta_o_c, learn=False)
    for _ in range(3600):
        got = observer.step(distribution, 0.3, 20.0, 1.0, truth.theta_o_c)
        assert abs(got.bias_k) < 0.15


def test_an_open_loop_that_went_astray_teaches_nothing_when_the_sensor_is_back(distribution: ThermalParameters) -> None:
    truth = steady_state(distribution, 0.8, 21.5)
    observer = Observer(steady_state(distribution, 0.8, 20.0))
    for _ in range(600):
        observer.step(distribution, 0.8, 20.0, 60.0)
    for _ in range(240):
        got = observer.step(distribution, 0.8, 20.0, 60.0, truth.theta_o_c)
        assert -0.1 <= got.bias_k <= 1.65


def test_readings_that_are_missed_now_and_then_do_not_stop_learning(distribution: ThermalParameters) -> None:
    truth = steady_state(distribution, 0.8, 25.0)
    observer = Observer(steady_state(distribution, 0.8, 20.0))
    for n in range(8 * 3600):
        got = observer.step(distribution, 0.8, 20.0, 1.0, truth.theta_o_c if n % 5 else None)
    assert got.bias_k == pytest.approx(5.0, abs=0.2)
