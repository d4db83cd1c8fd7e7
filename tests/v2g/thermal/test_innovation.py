"""Drift of a sensor, error of a model, and neither: two weeks of residuals against a plant of another kind."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import exp, pi, sin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.simulation.thermal_plant import TransformerPlant
from v2g.thermal.innovation import Finding, InnovationMonitor, Verdict
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import ThermalParameters, from_nameplate

PARAMS = from_nameplate(
    cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.8
)
DAYS, DT = 14, 600.0
PER_DAY = int(86_400 / DT)
FIRST = PER_DAY // 2


@cache
def plant() -> tuple[tuple[float, float, float], ...]:
    """(K, ambient, top-oil) by ten minutes."""
    transformer = TransformerPlant(ambient_c=15.0, load_pu=0.5)
    rows = []
    for n in range(DAYS * PER_DAY):
        hour = n * DT / 3600.0
        k = 0.6 + 0.25 * sin((hour - 12.0) / 12.0 * pi) + 0.25 * (hour % 31.0 > 24.0)
        transformer.ambient_c = 15.0 + 8.0 * sin((hour - 9.0) / 12.0 * pi) + 3.0 * sin(hour / 40.0)
        transformer.step(k, DT)
        rows.append((k, transformer.ambient_c, transformer.top_oil_c))
    return tuple(rows)


def watch(
    params: ThermalParameters,
    *,
    drift_k_per_day: float = 0.0,
    from_day: float = 3.0,
    sun_k: float = 0.0,
    step_k: float = 0.0,
    step_day: float = 7.0,
    until_day: float = DAYS,
) -> tuple[list[tuple[float, Verdict]], Finding]:
    """Each change of verdict with its day, and the last finding."""
    monitor = InnovationMonitor()
    rows = plant()
    shadow = steady_state(params, rows[0][0], rows[0][1])
    filtered_c = rows[0][1]
    verdicts: list[tuple[float, Verdict]] = [(0.0, Verdict.LEARNING)]
    for n, (k, ambient_c, oil_c) in enumerate(rows[: int(until_day * PER_DAY)]):
        shadow = step(shadow, params, k, ambient_c, DT)
        filtered_c += (ambient_c - filtered_c) * (1.0 - exp(-DT / params.tau_o_s))
        day = n / PER_DAY
        read_c = oil_c + drift_k_per_day * max(0.0, day - from_day) + sun_k * max(0.0, sin((day - 0.25) * 2.0 * pi))
        if day > step_day:
            read_c += step_k * (1.0 - exp(-(day - step_day) * 8.0))
        if n < FIRST:
            continue
        monitor.observe(round(read_c) - shadow.theta_o_c, shadow.theta_o_c - filtered_c, DT, n * DT)
        if monitor.finding.verdict is not verdicts[-1][1]:
            verdicts.append((day, monitor.finding.verdict))
    return verdicts, monitor.finding


@pytest.mark.soak
@pytest.mark.parametrize("dor", [1.0, 0.85])
@pytest.mark.parametrize(("rate", "within_days"), [(-4.0, 6.0), (-1.5, 7.5), (1.5, 7.5)])
def test_a_drift_is_told_from_whatever_model_error_there_is(dor: float, rate: float, within_days: float) -> None:
    params = replace(PARAMS, dtheta_or_k=55.0 * dor)
    verdicts, finding = watch(params, drift_k_per_day=rate)
    day, verdict = verdicts[-1]
    assert verdict is Verdict.SENSOR_DRIFT
    assert 3.0 < day < 3.0 + within_days
    assert finding.drift_k_per_day == pytest.approx(rate, rel=0.3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dtheta_or_k": 55.0 * 0.8},
        {"dtheta_or_k": 55.0 * 1.2},
        {"dtheta_or_k": 55.0 * 0.85, "tau_o_s": 10_800.0 * 1.2},
        {"dtheta_or_k": 55.0 * 0.85, "r": 3.0},
    ],
)
def test_a_wrong_nameplate_is_model_error_and_never_drift(wrong: dict[str, float]) -> None:
    verdicts, finding = watch(replace(PARAMS, **wrong))
    assert finding.verdict is Verdict.MODEL_ERROR
    assert Verdict.SENSOR_DRIFT not in {verdict for _, verdict in verdicts}


@pytest.mark.soak
def test_the_model_error_scales_with_the_rise() -> None:
    _, finding = watch(replace(PARAMS, dtheta_or_k=55.0 * 0.8))
    assert finding.rise_share > 0.2
    assert finding.explained_k(40.0) > finding.explained_k(10.0) + 5.0


def test_a_right_model_and_a_right_sensor_are_neither() -> None:
    verdicts, finding = watch(PARAMS)
    assert [verdict for _, verdict in verdicts] == [Verdict.LEARNING, Verdict.CONSISTENT]
    assert finding.drift_k_per_day == 0.0


def test_the_sun_of_every_day_is_no_drift() -> None:
    verdicts, _ = watch(PARAMS, sun_k=6.0)
    assert Verdict.SENSOR_DRIFT not in {verdict for _, verdict in verdicts}


@settings(max_examples=6, deadline=None)
@given(step_k=st.sampled_from([-8.0, -5.0, 5.0, 8.0]), step_day=st.floats(3.0, 10.0))
def test_a_step_that_settles_is_no_drift(step_k: float, step_day: float) -> None:
    verdicts, _ = watch(PARAMS, step_k=step_k, step_day=step_day)
    assert Verdict.SENSOR_DRIFT not in {verdict for _, verdict in verdicts}


def test_nothing_is_said_before_two_days() -> None:
    verdicts, _ = watch(replace(PARAMS, dtheta_or_k=40.0), drift_k_per_day=-6.0, from_day=0.0, until_day=2.4)
    assert [verdict for _, verdict in verdicts] == [Verdict.LEARNING]


def verdict_of(monitor: InnovationMonitor) -> Verdict:
    return monitor.finding.verdict


def fed(
    monitor: InnovationMonitor, hours: float, residual_k: float, per_hour: float = 0.0, start_h: float = 0.0
) -> float:
    h = start_h
    while h < start_h + hours:
        h += 0.5
        monitor.observe(residual_k + per_hour * (h - start_h), 30.0, 1800.0, h * 3600.0)
    return h


def test_a_drift_stays_found_until_the_reading_is_back() -> None:
    monitor = InnovationMonitor()
    h = fed(monitor, 200.0, 0.0, -0.1)
    assert verdict_of(monitor) is Verdict.SENSOR_DRIFT
    h = fed(monitor, 100.0, -20.0, start_h=h)
    assert verdict_of(monitor) is Verdict.SENSOR_DRIFT
    back_k = monitor.finding.explained_k(30.0)
    h = fed(monitor, 10.0, back_k, start_h=h)
    assert verdict_of(monitor) is Verdict.LEARNING
    fed(monitor, 60.0, back_k, start_h=h)
    assert verdict_of(monitor) is not Verdict.SENSOR_DRIFT


def test_two_hours_hardly_observed_count_for_nothing() -> None:
    monitor = InnovationMonitor()
    for n in range(400):
        monitor.observe(-0.1 * n, 30.0, 60.0, n * 3600.0)
    assert verdict_of(monitor) is Verdict.LEARNING
