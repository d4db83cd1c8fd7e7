from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.waveform_tests import Frequency, Waveform, constant, ramp, steady, switched
from v2g.grid.estimate import Estimate
from v2g.grid.estimation import Estimator
from v2g.grid.rate import ROCOF_WINDOW_S, PhaseJump, PhaseJumpDetector, Rocof

JUMP_S = 0.5


def wave(f0_hz: float = 60.0, **given) -> Waveform:
    return Waveform(**{"row": "", "what": "", "f0_hz": f0_hz, "duration_s": 1.0, "frequency": steady(f0_hz)} | given)


def ticks(
    waveform: Waveform, phi0_rad: float = 0.0, rate_hz: float = 3840, tick_s: float = 0.01, snr_db: float | None = None
) -> Iterator[tuple[float, Estimate]]:
    """Time of the newest sample and the estimate, every ``tick_s``."""
    samples = waveform.samples_pu(rate_hz, phi0_rad, snr_db) * 277
    estimator, none = Estimator(rate_hz, waveform.f0_hz, 277.0), np.zeros_like(samples)
    n, hop = estimator.window_samples, round(tick_s * rate_hz)
    for end in range(n, len(samples) + 1, hop):
        rows = slice(end - n, end)
        yield (end - 1) / rate_hz, estimator.estimate(samples[rows], none[rows], none[rows])


def jumps(waveform: Waveform, **given) -> tuple[list[tuple[float, PhaseJump]], list[float]]:
    """Jumps with the time they were told at, and the times at which the detector was settling."""
    detector, told, settling = PhaseJumpDetector(waveform.f0_hz), [], []
    for newest_s, estimate in ticks(waveform, **given):
        tag_s = newest_s - estimate.centre_age_s
        jump = detector.step(tag_s, estimate.v_phasor_pu, estimate.frequency_hz)
        if jump is not None:
            told.append((newest_s, jump))
        if detector.settling:
            settling.append(newest_s)
    return told, settling


def fed(points) -> float | None:
    rocof = Rocof()
    return [rocof.step(*point) for point in points][-1]


@given(st.floats(-10, 10), st.floats(0.002, 0.03), st.floats(0, 1e5))
def test_the_rate_of_a_ramp_is_its_slope(slope, tick_s, start_s):
    tags = start_s + tick_s * np.arange(int(2 * ROCOF_WINDOW_S / tick_s) + 2)
    assert fed([(tag, 60 + slope * (tag - start_s)) for tag in tags]) == pytest.approx(slope, abs=1e-4)


def test_there_is_no_rate_before_a_tenth_of_a_second_is_full():
    rocof = Rocof()
    rates = [rocof.step(0.01 * i, 60.0) for i in range(12)]
    assert rates[:10] == [None] * 10
    assert rates[10:] == [pytest.approx(0.0, abs=1e-9)] * 2


def test_a_step_of_frequency_is_averaged_over_the_window():
    rates = []
    rocof = Rocof()
    for i in range(60):
        rates.append(rocof.step(0.01 * i, 60.0 if i < 30 else 60.1))
    assert max(rate for rate in rates if rate) <= 1.5 * 0.1 / ROCOF_WINDOW_S
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_unknown_frequencies_are_left_out_and_a_long_gap_starts_over():
    short = [(0.01 * i, None if i in (5, 6, 7) else 60 + 0.02 * i) for i in range(14)]
    assert fed(short) == pytest.approx(2.0, abs=1e-9)
    rocof = Rocof()
    for i in range(12):
        rocof.step(0.01 * i, 60.0)
    assert rocof.step(0.25, None) is None
    assert rocof.step(0.26, 59.0) is None
    assert rocof.step(0.10, 60.0) is None, "a clock that ran back starts over, too"


def test_a_window_judged_twice_counts_once():
    once = [(0.01 * i, 60 + 0.01 * i * i) for i in range(11)]
    assert fed(sorted(once + once[5:])) == fed(once)


@pytest.mark.parametrize("f0_hz", [50.0, 60.0])
@pytest.mark.parametrize("degrees", [(20, 20, 20), (-20, -20, -20), (60, 0, 0), (0, 60, 0), (0, 0, -60), (8, 8, 8)])
def test_a_jump_is_told_once_within_100_ms_and_2_degrees(f0_hz, degrees):
    for phase in range(8):
        at_s = JUMP_S + phase * 0.00137
        waveform = wave(f0_hz, jump=switched(0.0, np.radians(degrees), at_s))
        told, _ = jumps(waveform, phi0_rad=phase * 0.8, snr_db=60.0)
        assert len(told) == 1
        told_s, jump = told[0]
        assert 0 < told_s - at_s <= 0.1
        assert jump.phase_deg == pytest.approx(degrees, abs=2.0)
        expected = np.degrees(np.angle(np.exp(1j * np.radians(degrees)).mean()))
        assert jump.sequence_deg == pytest.approx(expected, abs=2.0)
        assert jump.at_s == pytest.approx(at_s, abs=0.006)


def test_frequency_is_not_believed_while_a_jump_is_inside_the_windows():
    told, settling = jumps(wave(jump=switched(0.0, np.radians(20), JUMP_S)))
    assert JUMP_S < settling[0] < JUMP_S + 0.035
    assert settling[-1] < told[0][0]


@pytest.mark.parametrize("rate_hz_s", [3, -3, 10])
def test_a_ramp_is_no_jump(rate_hz_s):
    told, _ = jumps(wave(duration_s=2.0, frequency=ramp(60, rate_hz_s, 3)), snr_db=60.0)
    assert told == []


@pytest.mark.parametrize("to_hz", [57.0, 59.5, 61.0, 62.5, 66.0])
def test_a_step_of_frequency_is_no_jump(to_hz):
    for phase in range(8):
        at_s = JUMP_S + phase * 0.00137
        told, settling = jumps(wave(frequency=Frequency((at_s, at_s + 1e-9), (60.0, to_hz))), phi0_rad=phase * 0.8)
        assert told == []
        assert not settling or settling[-1] - at_s <= 0.1


def test_a_jump_on_a_ramp_is_told_right():
    waveform = wave(duration_s=1.5, frequency=ramp(60, -3, 3), jump=switched(0.0, np.radians(20), 1.0))
    told, _ = jumps(waveform)
    assert [jump.sequence_deg for _, jump in told] == [pytest.approx(20, abs=2)]


@pytest.mark.parametrize("v_pu", [(0.5, 0.5, 0.5), (0.0, 1.0, 1.0), (0.3, 0.3, 1.0), (0.0, 0.0, 0.0)])
def test_a_sag_without_a_jump_is_none(v_pu):
    told, _ = jumps(wave(magnitude=switched(1.0, v_pu, JUMP_S, JUMP_S + 0.2)), snr_db=60.0)
    assert told == []


def test_a_dead_bus_has_no_jump_in_its_noise():
    told, settling = jumps(wave(magnitude=constant(0.01)), snr_db=40.0)
    assert (told, settling) == ([], [])


def test_two_jumps_a_fifth_of_a_second_apart_are_two():
    both = switched(0.0, np.radians(20), 0.4), switched(0.0, np.radians(-20), 0.6)
    told, _ = jumps(wave(jump=lambda t: both[0](t) + both[1](t)))
    assert [round(jump.sequence_deg) for _, jump in told] == [20, -20]


@settings(max_examples=examples(40), deadline=None)
@given(
    degrees=st.floats(6, 175),
    sign=st.sampled_from([-1, 1]),
    tick_s=st.sampled_from([0.005, 0.01, 0.02]),
    phi0=st.floats(0, 6.3),
    f_hz=st.floats(58, 62),
)
def test_any_jump_of_all_phases_is_right_within_2_degrees(degrees, sign, tick_s, phi0, f_hz):
    waveform = wave(frequency=steady(f_hz), jump=switched(0.0, np.radians(sign * degrees), JUMP_S))
    told, _ = jumps(waveform, phi0_rad=phi0, tick_s=tick_s)
    assert [jump.sequence_deg for _, jump in told] == [pytest.approx(sign * degrees, abs=2.0)]
