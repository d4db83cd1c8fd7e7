from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from support.thermal_records import plant_record, record
from v2g.thermal.calibration import CalibrationData, CalibrationError, calibrate
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import ThermalParameters, from_nameplate

NAMEPLATE = from_nameplate(
    cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
)
TRUTH = replace(NAMEPLATE, dtheta_or_k=47.3, tau_o_s=8_500.0, x=0.88, dtheta_hr_k=26.0)


@cache
def days() -> CalibrationData:
    return record(TRUTH, 5, seed=1)


def changed(**columns: object) -> CalibrationData:
    return replace(days(), **columns)  # type: ignore[arg-type]


def inside(found: object, truth: ThermalParameters) -> list[bool]:
    values = (truth.dtheta_or_k, truth.tau_o_s / 60.0, truth.x)
    parameters = (found.dtheta_or, found.tau_o, found.x)  # type: ignore[attr-defined]
    return [one.low is not None and one.low <= value <= one.high for one, value in zip(parameters, values, strict=True)]


def record_with(params: ThermalParameters, loads: np.ndarray, air: np.ndarray) -> np.ndarray:
    state = steady_state(params, float(loads[0]), float(air[0]))
    oil = []
    for k_pu, ambient_c in zip(loads.tolist(), air.tolist(), strict=True):
        state = step(state, params, k_pu, ambient_c, 60.0)
        oil.append(state.theta_o_c)
    return np.array(oil) + np.random.default_rng(1).normal(0.0, 0.2, len(oil))


def test_the_parameters_that_made_the_data_are_found() -> None:
    found = calibrate(days(), NAMEPLATE)
    assert found.dtheta_or.value == pytest.approx(47.3, abs=0.5)
    assert found.tau_o.value == pytest.approx(8_500 / 60, abs=3.0)
    assert found.x.value == pytest.approx(0.88, abs=0.02)
    assert found.params.dtheta_or_k == found.dtheta_or.value
    assert found.held_out_after.rmse_k < 0.1 * found.held_out_before.rmse_k
    assert found.held_out_after.rmse_k == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    ("length", "seeds"),
    [(2, 7), pytest.param(2, 60, marks=pytest.mark.soak), pytest.param(5, 60, marks=pytest.mark.soak)],
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(length: float, seeds: int) -> None:
    hits = [
        hit
        for seed in range(seeds)
        for noise_min, quantum_k in ((1e-3, 0.0), (60.0, 0.0), (1e-3, 1.0))
        for hit in inside(
            calibrate(record(TRUTH, length, seed, noise_min=noise_min, quantum_k=quantum_k), NAMEPLATE), TRUTH
        )
    ]
    # The three of one fit err together: the allowance is for a third as many independent ones, three deviations wide.
    fits = len(hits) / 3
    assert sum(hits) / len(hits) >= 0.93 - 3.0 * (0.95 * 0.05 / fits) ** 0.5


def test_intervals_shrink_with_days() -> None:
    def width(length: float) -> float:
        found = calibrate(record(TRUTH, length, seed=2), NAMEPLATE).dtheta_or
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width(2) > 1.3 * width(8)


def test_another_physics_is_followed_much_better_after_than_before() -> None:
    found = calibrate(plant_record(3, seed=3), NAMEPLATE)
    assert found.held_out_after.rmse_k < 0.5 * found.held_out_before.rmse_k
    assert found.fitted_after.rmse_k < 0.3 * found.fitted_before.rmse_k
    assert found.hot_spot.measured
    # The plant's: 1.22 times 18 K at rated load and 75 °C of copper.
    assert found.hot_spot.low_k < 1.22 * 18.0 < found.hot_spot.high_k


def test_a_winding_sensor_tells_the_gradient() -> None:
    spot = calibrate(days(), NAMEPLATE).hot_spot
    assert spot.measured
    assert spot.low_k < 26.0 < spot.high_k
    assert spot.gradient_k == pytest.approx(26.0, abs=0.7)
    assert spot.factor == pytest.approx(26.0 / 23.0 * 1.1, abs=0.05)


def test_a_power_transformers_lagging_oil_is_taken_into_account() -> None:
    onan = from_nameplate(cooling="ONAN", rated_kva=40e3, top_oil_rise_k=52, hot_spot_gradient_k=26, loss_ratio_r=6)
    truth = replace(onan, dtheta_or_k=45.0, dtheta_hr_k=20.0, tau_o_s=10_000.0, x=0.9)
    found = calibrate(record(truth, 5, seed=4), onan)
    assert found.dtheta_or.value == pytest.approx(45.0, abs=0.7)
    assert found.hot_spot.gradient_k == pytest.approx(20.0, abs=0.7)
    assert found.hot_spot.average_gradient_k == pytest.approx(26.0 / 1.3)


def test_without_a_winding_sensor_the_factor_keeps_its_range() -> None:
    found = calibrate(changed(winding_c=None), NAMEPLATE)
    spot = found.hot_spot
    assert not spot.measured
    assert found.params.dtheta_hr_k == 23.0
    assert (spot.factor_low, spot.factor, spot.factor_high) == pytest.approx((1.0, 1.1, 2.1))
    assert spot.hot_spot_c == pytest.approx(20.0 + found.dtheta_or.value + 23.0)
    assert spot.hot_spot_high_c == pytest.approx(20.0 + found.dtheta_or.value + 23.0 / 1.1 * 2.1)
    assert "no winding sensor" in spot.remark


def test_an_even_load_keeps_the_exponent_and_says_so() -> None:
    data = days()
    loads = np.full(len(data.t_s), 0.7)
    truth = replace(TRUTH, x=NAMEPLATE.x)
    oil = record_with(truth, loads, np.asarray(data.ambient_c))
    found = calibrate(replace(data, k_pu=loads, top_oil_c=oil, winding_c=None), NAMEPLATE)
    assert found.x.value == NAMEPLATE.x
    assert found.x.low is None
    assert "varies too little" in found.x.kept
    assert found.dtheta_or.low is not None
    assert found.dtheta_or.high is not None
    assert found.dtheta_or.low < 47.3 < found.dtheta_or.high
    # What x is not known widens what is said of the rise at rated load.
    assert found.dtheta_or.high - found.dtheta_or.low > 3.0


def test_jumps_of_40_k_are_left_out_and_counted() -> None:
    oil = np.array(days().top_oil_c)
    oil[1000:1040] += 40.0
    oil[4000:4200] -= 40.0
    oil[6500:6505] = 850.0
    found = calibrate(changed(top_oil_c=oil), NAMEPLATE)
    assert found.outliers >= 245
    assert found.dtheta_or.value == pytest.approx(47.3, abs=0.5)
    assert found.held_out_after.max_abs_k < 2.0


def test_a_record_that_begins_within_a_jump_is_no_worse() -> None:
    oil = np.array(days().top_oil_c)
    oil[:60] += 40.0
    found = calibrate(changed(top_oil_c=oil, winding_c=None), NAMEPLATE)
    assert found.dtheta_or.value == pytest.approx(47.3, abs=0.5)
    assert 60 <= found.outliers < 120


def test_gaps_and_missing_readings_cost_only_their_rows() -> None:
    data = days()
    keep = np.ones(len(data.t_s), dtype=bool)
    keep[2000:2700] = False
    keep[5000:5090] = False
    oil, loads = np.array(data.top_oil_c), np.array(data.k_pu)
    oil[300:500] = np.nan
    loads[7000:7003] = np.nan
    gappy = CalibrationData(
        t_s=np.asarray(data.t_s)[keep],
        k_pu=loads[keep],
        ambient_c=np.asarray(data.ambient_c)[keep],
        top_oil_c=oil[keep],
    )
    found = calibrate(gappy, NAMEPLATE)
    assert found.segments == 3
    assert found.rows_left_out == 3
    assert found.dtheta_or.value == pytest.approx(47.3, abs=0.5)


def test_reverse_flow_counts_by_its_magnitude() -> None:
    loads = np.array(days().k_pu)
    loads[::7] *= -1.0
    assert calibrate(changed(k_pu=loads), NAMEPLATE).dtheta_or == calibrate(days(), NAMEPLATE).dtheta_or


def minutes(count: int) -> CalibrationData:
    data = days()
    return CalibrationData(
        t_s=data.t_s[:count],
        k_pu=data.k_pu[:count],
        ambient_c=data.ambient_c[:count],
        top_oil_c=data.top_oil_c[:count],
    )


def repeated_hour() -> CalibrationData:
    t_s = np.array(days().t_s)
    t_s[3000:] -= 3600.0
    return changed(t_s=t_s)


REFUSED = {
    "a day is the least": (lambda: minutes(1300), "21.7 hours"),
    "nothing": (lambda: minutes(0), "no ambient"),
    "kelvin air": (lambda: changed(ambient_c=np.asarray(days().ambient_c) + 273.15), "kelvin"),
    "kelvin oil": (lambda: changed(top_oil_c=np.asarray(days().top_oil_c) + 273.15), "kelvin"),
    "per cent": (lambda: changed(k_pu=100.0 * np.asarray(days().k_pu)), "per cent"),
    "no load": (lambda: changed(k_pu=np.full(len(days().t_s), np.nan)), "no load factor"),
    "exchanged": (lambda: changed(ambient_c=days().top_oil_c, top_oil_c=days().ambient_c), "exchanged"),
    "backwards": (lambda: changed(t_s=days().t_s[::-1]), "time does not rise at row 2"),
    "daylight saving": (repeated_hour, "daylight saving"),
    "stuck": (lambda: changed(top_oil_c=np.full(len(days().t_s), 48.0)), "moves by only 0.0 K"),
    "hours apart": (lambda: changed(t_s=60.0 * np.asarray(days().t_s)), "60 minutes apart"),
    "jumping": (lambda: changed(top_oil_c=days().top_oil_c + 40.0 * (np.arange(7200) % 3 == 0)), "jump"),
    "load of another": (lambda: changed(k_pu=0.1 * np.asarray(days().k_pu)), "cannot be told|none has"),
    "fans": (
        lambda: changed(top_oil_c=days().top_oil_c + 8.0 * np.sin(np.arange(7200) * np.pi / 30)),
        "5.. K of error",
    ),
    "ragged": (lambda: changed(k_pu=[0.5]), "k_pu has shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_calibrated_with_is_refused_in_words(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(CalibrationError, match=words):
        calibrate(make(), NAMEPLATE)


def test_parameters_that_are_right_already_are_kept() -> None:
    with pytest.raises(CalibrationError, match="nothing is gained"):
        calibrate(record(NAMEPLATE, 3, seed=5, noise_min=1e-3), NAMEPLATE)


def test_a_value_that_no_transformer_has_is_refused() -> None:
    data = days()
    air = np.asarray(data.ambient_c)
    # Twice the oil's rise over air: a rated power half of what K was calculated with, and more.
    with pytest.raises(CalibrationError, match="none has"):
        calibrate(changed(top_oil_c=air + 2.9 * (np.asarray(data.top_oil_c) - air), winding_c=None), NAMEPLATE)
