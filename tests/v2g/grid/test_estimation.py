from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.grid.estimate import EstimationError, Validity, system_frequency
from v2g.grid.estimation import Estimator

EVENTS = Path(__file__).resolve().parents[3] / "../shared/data/grid/events"
NOMINAL_V = 277.0
NO_CURRENT = np.zeros((20000, 3))


def three_phase(
    amplitude, n: int, sample_rate_hz: float = 3840, frequency_hz: float = 60.0, angle: float = 0.0, lag: float = 0.0
):
    time_s = np.arange(n) / sample_rate_hz
    turn = 2 * np.pi * frequency_hz * time_s[:, None] + angle - lag - np.array([0, 2, 4]) * np.pi / 3
    return np.sqrt(2) * np.asarray(amplitude) * np.sin(turn)


def estimate(estimator: Estimator, volts):
    return estimator.estimate(volts, NO_CURRENT[: len(volts)], NO_CURRENT[: len(volts)])


@settings(max_examples=examples(100), deadline=None)
@given(
    frequency_hz=st.floats(50, 66),
    angle=st.floats(0, 6.3),
    v_pu=st.floats(0.4, 1.3),
    sample_rate_hz=st.sampled_from([3200, 3840, 4000, 9973, 20000]),
)
def test_a_clean_sine_is_measured_to_a_millihertz_and_half_a_per_mille(frequency_hz, angle, v_pu, sample_rate_hz):
    estimator = Estimator(sample_rate_hz, 60.0, NOMINAL_V)
    volts = three_phase(v_pu * NOMINAL_V, estimator.window_samples, sample_rate_hz, frequency_hz, angle)
    estimate(estimator, volts)
    found = estimate(estimator, volts)
    assert found.validity is Validity.VALID
    assert found.frequency_hz == pytest.approx(frequency_hz, abs=1e-3)
    assert found.v_pu == pytest.approx((v_pu,) * 3, rel=5e-4)


@settings(max_examples=examples(60), deadline=None)
@given(
    current=st.tuples(*[st.floats(0, 400)] * 3),
    lag=st.floats(-math.pi, math.pi),
    frequency_hz=st.floats(57, 63),
)
def test_power_has_the_sign_of_the_flow_and_reactive_power_that_of_the_lag(current, lag, frequency_hz):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    n = estimator.window_samples
    volts = three_phase(NOMINAL_V, n, frequency_hz=frequency_hz)
    amperes = three_phase(current, n, frequency_hz=frequency_hz, lag=lag)
    found = estimator.estimate(volts, amperes, -amperes)
    for phase, ampere in enumerate(current):
        va = NOMINAL_V * ampere
        assert found.transformer.va[phase] == pytest.approx(va, rel=3e-3, abs=1e-3)
        assert found.transformer.w[phase] == pytest.approx(va * math.cos(lag), abs=3e-3 * va + 1e-3)
        assert found.transformer.var[phase] == pytest.approx(va * math.sin(lag), abs=3e-3 * va + 1e-3)
        assert found.feeder.w[phase] == pytest.approx(-found.transformer.w[phase], abs=1e-6 * va + 1e-9)
    assert found.feeder.total_var == pytest.approx(-found.transformer.total_var, abs=1e-3)


def test_harmonics_count_in_the_rms_and_not_in_the_frequency():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    n = estimator.window_samples
    volts = three_phase(NOMINAL_V, n)
    for order, share in ((2, 0.02), (5, 0.06), (7, 0.05)):
        volts = volts + share * three_phase(NOMINAL_V, n, frequency_hz=60.0 * order)
    found = estimate(estimator, volts)
    assert found.v_pu[0] == pytest.approx(math.sqrt(1 + 0.02**2 + 0.06**2 + 0.05**2), rel=1e-4)
    assert found.frequency_hz == pytest.approx(60.0, abs=1e-3)


def test_one_phase_far_off_does_not_move_the_system_frequency():
    assert system_frequency((60.0, 68.0, 60.01), 60.0) == 60.01
    assert system_frequency((60.0, 63.0, None), 60.0) == 60.0
    assert system_frequency((None, 63.0, None), 60.0) == 63.0
    assert system_frequency((None, None, None), 60.0) is None


@pytest.mark.parametrize("v_pu", [0.0, 0.01, 0.1, 0.29])
def test_below_the_floor_there_is_no_frequency_but_a_voltage(v_pu):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    found = estimate(estimator, three_phase(v_pu * NOMINAL_V, estimator.window_samples, frequency_hz=45.0))
    assert found.validity is Validity.VALID
    assert found.frequency_hz is None
    assert found.v_pu == pytest.approx((v_pu,) * 3, rel=0.2, abs=1e-9)


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 10_000), v_pu=st.floats(0.0, 1.5))
def test_white_noise_is_never_a_frequency(seed, v_pu):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    noise = np.random.default_rng(seed).normal(0.0, v_pu * NOMINAL_V, (estimator.window_samples, 3))
    assert estimate(estimator, noise).frequency_hz is None


def test_the_noise_after_a_blackout_is_never_a_frequency():
    path = EVENTS / "iberia_2025-04-28_toledo_2s.csv"
    if not path.exists():
        pytest.skip(f"reference data absent: {path}")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    collapse = next(i for i, row in enumerate(rows) if float(row["v_l1_pu"]) < 0.1)
    recorded = [(float(r["freq_hz"]), [float(r[f"v_l{k}_pu"]) for k in (1, 2, 3)]) for r in rows if r["freq_hz"]]
    after = [(f, v) for f, v in recorded[collapse:] if max(v) < 0.1]
    before = [(f, v) for f, v in recorded[:collapse] if min(v) > 0.9]
    assert len(after) > 500
    assert min(f for f, _ in after) < 45.0, "the recorder went on printing frequencies"
    estimator = Estimator(3200, 50.0, NOMINAL_V)
    n, noise = estimator.window_samples, np.random.default_rng(7)
    for f, v in after[::5]:
        volts = three_phase(np.array(v) * NOMINAL_V, n, 3200, f) + noise.normal(0, 0.01 * NOMINAL_V, (n, 3))
        found = estimate(estimator, volts)
        assert found.frequency_hz is None
        assert max(found.v_pu) < 0.2
    for f, v in before[::100]:
        found = estimate(estimator, three_phase(np.array(v) * NOMINAL_V, n, 3200, f))
        assert found.frequency_hz == pytest.approx(f, abs=2e-3)


@pytest.mark.parametrize("name", ["pow_xtz_220kV_busI_seg0_3200Hz.csv", "pow_xtz_220kV_busI_seg2_3200Hz.csv"])
def test_a_recorded_fault_on_one_phase_leaves_the_frequency_alone(name):
    path = EVENTS / name
    if not path.exists():
        pytest.skip(f"reference data absent: {path}")
    # Per unit of the peak or of the RMS: the record's own first cycle is the measure.
    samples = np.loadtxt(path, delimiter=",", skiprows=1)[:, 1:4]
    estimator = Estimator(3200, 50.0, float(np.sqrt((samples[:64] ** 2).mean())))
    lowest = 9.9
    for end in range(estimator.window_samples, len(samples), 16):
        found = estimate(estimator, samples[:end])
        lowest = min(lowest, *found.v_pu)
        assert found.frequency_hz == pytest.approx(50.0, abs=0.5)
    assert 0.6 < lowest < 0.75


@pytest.mark.parametrize(("bad", "validity"), [(math.nan, "not finite"), (math.inf, "not finite"), (150.0, "stuck")])
def test_impossible_samples_are_not_measured(bad, validity):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    volts = three_phase(NOMINAL_V, estimator.window_samples)
    volts[-64:, 2] = bad
    found = estimate(estimator, volts)
    assert found.validity == validity
    assert found.frequency_hz is None


def test_a_dead_bus_is_a_voltage_of_zero_and_not_a_stuck_converter():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    found = estimate(estimator, np.full((estimator.window_samples, 3), 0.5))
    assert found.validity is Validity.VALID
    assert max(found.v_pu) < 0.01


@pytest.mark.parametrize("sample_rate_hz", [3199, 20001, 0, math.nan])
def test_rates_outside_the_range_are_refused(sample_rate_hz):
    with pytest.raises(EstimationError, match="the guard needs 3200 to 20000 Hz"):
        Estimator(sample_rate_hz, 60.0, NOMINAL_V)


def test_too_few_samples_are_refused():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    with pytest.raises(EstimationError, match="191 samples: 192 are needed"):
        estimate(estimator, np.zeros((191, 3)))


@pytest.mark.parametrize("jump_deg", [20.0, -20.0])
def test_a_jump_of_all_phases_leaves_the_trip_range_within_15_ms(jump_deg):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    time_s = np.arange(2000) / 3840
    for start in np.linspace(0, np.pi, 5):
        angle = 2 * np.pi * 60 * time_s + start + np.radians(jump_deg) * (time_s >= 0.25)
        volts = NOMINAL_V * np.sqrt(2) * np.sin(angle[:, None] - np.array([0, 2, 4]) * np.pi / 3)
        beyond = 0
        for end in range(900, 1300):
            frequency_hz = estimate(estimator, volts[:end]).frequency_hz
            beyond += frequency_hz is not None and not 56.5 <= frequency_hz <= 62.0
        assert beyond / 3840 <= 0.015


@pytest.mark.parametrize(("frequency_hz", "told_hz"), [(36.0, 39.0), (25.0, 39.0), (84.0, 81.0), (90.0, 81.0)])
def test_one_sine_of_a_frequency_far_outside_is_told_as_the_end_of_the_range(frequency_hz, told_hz):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    found = estimate(estimator, three_phase(NOMINAL_V, estimator.window_samples, frequency_hz=frequency_hz))
    assert found.frequency_hz == pytest.approx(told_hz)


def test_a_current_channel_that_holds_one_value_does_not_move():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    n = estimator.window_samples
    currents = np.zeros((n, 3))
    currents[:, 1] = 5.0
    currents[n // 2, 2] = 0.01
    found = estimator.estimate(three_phase(NOMINAL_V, n), currents, NO_CURRENT[:n])
    assert found.validity is Validity.VALID
    assert found.transformer_moves == (False, False, True)


RATES = [(3200, 50), (3200, 60), (4000, 60), (3840, 60), (6400, 50), (9973, 60), (20000, 60)]


def cosines(estimator: Estimator, frequency_hz: float, angles, amplitude=(1.0, 1.0, 1.0)):
    """Per-phase angles at the centre of the estimator's window."""
    n = estimator.window_samples
    time_s = (np.arange(n) - n / 2) / estimator.sample_rate_hz
    return (
        NOMINAL_V
        * np.sqrt(2)
        * np.asarray(amplitude)
        * np.cos(2 * np.pi * frequency_hz * time_s[:, None] + np.asarray(angles))
    )


def settled(estimator: Estimator, *arrays, **given):
    """The second estimate: the RMS window has found the frequency."""
    n = estimator.window_samples
    arrays = (arrays[0], *(arrays[1:] or (NO_CURRENT[:n], NO_CURRENT[:n])))
    estimator.estimate(*arrays, **given)
    return estimator.estimate(*arrays, **given)


angle = st.floats(-math.pi, math.pi)


@settings(max_examples=examples(150), deadline=None)
@given(
    rate=st.sampled_from(RATES),
    offset_hz=st.floats(-5, 5),
    angles=st.tuples(angle, angle, angle),
    v_pu=st.tuples(*[st.floats(0.4, 1.3)] * 3),
)
def test_a_phasor_is_that_of_the_windows_centre(rate, offset_hz, angles, v_pu):
    estimator = Estimator(*rate, NOMINAL_V)
    found = settled(estimator, cosines(estimator, rate[1] + offset_hz, angles, v_pu))
    for phasor, turn, amplitude in zip(found.v_phasor_pu, angles, v_pu, strict=True):
        assert abs(phasor - amplitude * np.exp(1j * turn)) < 1e-5
    assert found.frequency_hz == pytest.approx(rate[1] + offset_hz, abs=2e-4)
    assert found.centre_age_s == (estimator.window_samples / 2 - 1) / rate[0]


@given(turn=angle, v_pu=st.floats(0.1, 1.3), rate=st.sampled_from(RATES))
def test_a_balanced_set_is_all_positive_sequence(turn, v_pu, rate):
    estimator = Estimator(*rate, NOMINAL_V)
    thirds = np.array([0, 2, 4]) * np.pi / 3
    found = settled(estimator, cosines(estimator, rate[1], turn - thirds, [v_pu] * 3))
    assert (found.v1_pu, found.v2_pu, found.v0_pu) == pytest.approx((v_pu, 0, 0), abs=1e-6)
    swapped = settled(estimator, cosines(estimator, rate[1], turn + thirds, [v_pu] * 3))
    assert (swapped.v1_pu, swapped.v2_pu, swapped.v0_pu) == pytest.approx((0, v_pu, 0), abs=1e-6)
    alike = settled(estimator, cosines(estimator, rate[1], [turn] * 3, [v_pu] * 3))
    assert (alike.v1_pu, alike.v2_pu, alike.v0_pu) == pytest.approx((0, 0, v_pu), abs=1e-6)


@settings(max_examples=examples(60), deadline=None)
@given(tr=st.tuples(*[st.floats(0, 400)] * 3), feeder=st.tuples(*[st.floats(0, 400)] * 3), offset_hz=st.floats(-3, 3))
def test_currents_are_rms_over_one_cycle(tr, feeder, offset_hz):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    n, f_hz = estimator.window_samples, 60 + offset_hz
    volts = three_phase(NOMINAL_V, n, frequency_hz=f_hz)
    currents = three_phase(tr, n, frequency_hz=f_hz, lag=0.3), three_phase(feeder, n, frequency_hz=f_hz, lag=2.0)
    found = settled(estimator, volts, *currents)
    assert found.transformer_a == pytest.approx(tr, rel=1e-3, abs=1e-6)
    assert found.feeder_a == pytest.approx(feeder, rel=1e-3, abs=1e-6)


def test_a_fault_current_shows_within_one_cycle():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    n = estimator.window_samples
    amperes = three_phase(100.0, n)
    amperes[-64:, 1] *= 20
    found = settled(estimator, three_phase(NOMINAL_V, n), amperes, amperes)
    assert found.transformer_a == pytest.approx((100, 2000, 100), rel=1e-3)


@settings(max_examples=examples(100), deadline=None)
@given(
    rate=st.sampled_from(RATES),
    offset_hz=st.floats(-3, 3),
    bus=st.tuples(angle, angle, angle),
    shift_deg=st.floats(-179, 179),
    v_pu=st.floats(0.4, 1.3),
)
def test_the_angle_across_the_breaker_is_inverter_minus_bus(rate, offset_hz, bus, shift_deg, v_pu):
    estimator = Estimator(*rate, NOMINAL_V)
    f_hz = rate[1] + offset_hz
    volts = cosines(estimator, f_hz, bus)
    inverter = cosines(estimator, f_hz, np.array(bus) + np.radians(shift_deg), [v_pu] * 3)
    still = np.zeros_like(volts)
    found = settled(estimator, volts, still, still, inverter)
    assert found.inverter_angle_deg == pytest.approx((shift_deg,) * 3, abs=1e-3)
    assert found.inverter_v_pu == pytest.approx((v_pu,) * 3, rel=1e-3)
    assert found.inverter_frequency_hz is None
    assert estimator.phase_angles(volts, inverter) == pytest.approx((shift_deg,) * 3, abs=1e-3)


@pytest.mark.parametrize("slip_hz", [-1.0, 0.1, 0.3, 2.0])
def test_with_two_frequencies_the_angle_is_that_of_the_centre(slip_hz):
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    thirds = np.array([0, 2, 4]) * np.pi / 3
    volts, inverter = cosines(estimator, 60.0, -thirds), cosines(estimator, 60.0 + slip_hz, np.radians(40) - thirds)
    still = np.zeros_like(volts)
    found = settled(estimator, volts, still, still, inverter, inverter_frequency=True)
    assert found.inverter_angle_deg == pytest.approx((40.0,) * 3, abs=0.1)
    assert found.inverter_frequency_hz == pytest.approx(60.0 + slip_hz, abs=1e-3)
    assert found.frequency_hz == pytest.approx(60.0, abs=1e-6)


def test_opposite_phases_are_plus_180_degrees():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    volts = cosines(estimator, 60.0, [0.0, 0.0, 0.0])
    assert all(180 - abs(value) < 1e-9 for value in estimator.phase_angles(volts, -volts))
    assert min(estimator.phase_angles(volts, -volts)) > -180


def test_an_angle_to_a_dead_or_unknown_side_is_unknown():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    volts = cosines(estimator, 60.0, [0.0, 2.0, -2.0])
    dead = volts * [0.0, 0.25, 1.0]
    still = np.zeros_like(volts)
    found = settled(estimator, volts, still, still, dead, inverter_frequency=True)
    assert found.inverter_angle_deg == (None, None, pytest.approx(0.0, abs=1e-9))
    assert found.inverter_frequency_hz == pytest.approx(60.0, abs=1e-6), "of the one live phase"
    gap = volts.copy()
    gap[100, 0], gap[3, 2] = math.nan, math.inf
    assert estimator.phase_angles(volts, gap) == (None, pytest.approx(0.0, abs=1e-9), None)
    assert estimator.phase_angles(gap, volts)[0] is None


def test_a_gap_on_the_inverter_side_does_not_pass_for_a_dead_one():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    volts = cosines(estimator, 60.0, [0.0, 2.0, -2.0])
    gap = volts.copy()
    gap[100, 0] = math.nan
    still = np.zeros_like(volts)
    assert estimator.estimate(volts, still, still, gap).validity is Validity.NOT_FINITE
    assert estimator.estimate(volts, still, still).validity is Validity.VALID


def test_what_an_earlier_window_held_is_not_told_again():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    volts = cosines(estimator, 60.0, [0.0, 2.0, -2.0])
    still = np.zeros_like(volts)
    estimator.estimate(volts, still, still, volts)
    found = estimator.estimate(volts, still, still)
    assert found.inverter_v_pu == (0.0, 0.0, 0.0)
    assert found.inverter_angle_deg == (None, None, None)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_voltage_at_the_end_of_its_scale_is_clipped(sign):
    estimator = Estimator(3840, 60.0, NOMINAL_V, full_scale_v=500.0)
    volts = three_phase(NOMINAL_V, estimator.window_samples)
    assert estimate(estimator, volts).validity is Validity.VALID
    volts[-64, 1] = sign * 500.0
    found = estimate(estimator, volts)
    assert found.validity is Validity.CLIPPED
    assert (found.frequency_hz, found.v_pu) == (None, (0.0, 0.0, 0.0))
    old = three_phase(NOMINAL_V, estimator.window_samples)
    old[-65, 1] = sign * 500.0
    assert estimate(estimator, old).validity is Validity.VALID, "more than a cycle ago"
    assert estimate(Estimator(3840, 60.0, NOMINAL_V), volts).validity is Validity.VALID, "no scale is known"


def figures(found) -> list[float]:
    """Every number of an estimate."""
    told: list[float] = []
    rest = [getattr(found, name) for name in found.__slots__ if name != "validity"]
    while rest:
        value = rest.pop()
        if isinstance(value, tuple):
            rest.extend(value)
        elif isinstance(value, complex):
            told += [value.real, value.imag]
        elif isinstance(value, float):
            told.append(value)
        elif hasattr(value, "__slots__"):
            rest += [getattr(value, name) for name in value.__slots__]
    return told


finite = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -0.0, 1e-320, 1e49, 392.0]))


@settings(max_examples=examples(150), deadline=None)
@given(
    rate=st.sampled_from(RATES[:4]),
    seed=st.integers(0, 1000),
    values=st.lists(finite, min_size=1, max_size=6),
    share=st.floats(0, 1),
)
def test_no_finite_sample_makes_a_figure_that_is_no_number(rate, seed, values, share):
    estimator, random = Estimator(*rate, NOMINAL_V), np.random.default_rng(seed)
    n = estimator.window_samples
    wave = np.tile(three_phase(NOMINAL_V, n, *rate), 4)
    chosen = np.where(random.random((n, 12)) < share, random.choice(values, (n, 12)), wave)
    for _ in range(2):
        found = estimator.estimate(*np.hsplit(chosen, 4), inverter_frequency=True)
        assert np.isfinite(figures(found)).all()
        assert found.validity is not Validity.VALID or len(figures(found)) >= 40


def test_a_hole_in_all_phases_leaves_no_frequency_while_it_is_in_the_window():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    n = estimator.window_samples
    volts = three_phase(NOMINAL_V, 3 * n)
    volts[n : n + 19] = 0.0
    assert estimate(estimator, volts[:n]).frequency_hz is not None
    for end in range(n + 10, 2 * n + 9):
        assert estimate(estimator, volts[end - n : end]).frequency_hz is None
    assert estimate(estimator, volts[n + 19 : 2 * n + 19]).frequency_hz == pytest.approx(60.0, abs=1e-3)


def test_a_hole_in_one_phase_leaves_the_frequency_to_the_others():
    estimator = Estimator(3840, 60.0, NOMINAL_V)
    volts = three_phase(NOMINAL_V, estimator.window_samples)
    volts[60:90, 0] = 0.0
    assert estimate(estimator, volts).frequency_hz == pytest.approx(60.0, abs=1e-3)
