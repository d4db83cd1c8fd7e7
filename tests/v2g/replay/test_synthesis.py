from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.grid.estimation import Estimator
from v2g.replay.stimulus import Segment
from v2g.replay.synthesis import I_TR, I_V2G, V_BUS, V_INV, CaseStimulus, LiveInverterSide, SampledRecord, SlowRecord

RATE_HZ = 3840.0
HEALTHY = Segment(d=0.2, v=(1.0, 1.0, 1.0), f=60.0)


def rows(stimulus, n: int = 1000) -> np.ndarray:
    return np.concatenate([block for block, _ in stimulus.blocks(n)])


def case(*segments: Segment, **changes) -> CaseStimulus:
    return CaseStimulus(segments, 60.0, RATE_HZ, **changes)


def frequency_hz(samples: np.ndarray) -> float:
    """From the rising zero crossings of phase a."""
    v = samples[:, 0]
    up = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
    at = up - v[up] / (v[up + 1] - v[up])
    return float((len(at) - 1) / (at[-1] - at[0]) * RATE_HZ)


@given(n=st.integers(1, 700), lengths=st.lists(st.floats(0.001, 0.3), min_size=1, max_size=4))
@settings(max_examples=examples(40), deadline=None)
def test_the_waveform_does_not_depend_on_how_it_is_cut_into_blocks(n: int, lengths: list[float]) -> None:
    segments = [
        Segment(d=d, v=(1.0, 0.5, 0.9), f=60.0 - number, r=2.0 if number % 2 else None, ph=(0.0, 20.0, 0.0))
        for number, d in enumerate(lengths)
    ]
    assert np.array_equal(rows(case(*segments), n), rows(case(*segments), 10_000))


def test_no_block_is_longer_than_asked_for_however_long_the_event() -> None:
    lengths = [len(block) for block, _ in case(replace(HEALTHY, d=30.0), HEALTHY).blocks(3840)]
    assert max(lengths) == 3840
    assert sum(lengths) == round(30.2 * RATE_HZ)


def test_a_step_of_frequency_keeps_the_phase() -> None:
    samples = rows(case(HEALTHY, replace(HEALTHY, f=63.0)))
    steps = np.abs(np.diff(samples[:, 0]))
    most = 277.0 * math.sqrt(2) * 2 * math.pi * 63.0 / RATE_HZ
    assert steps.max() <= most * 1.001


def test_a_ramp_arrives_at_its_frequency_and_stays() -> None:
    samples = rows(case(HEALTHY, Segment(d=2.0, v=(1.0, 1.0, 1.0), f=63.0, r=3.0)))
    begin = round(0.2 * RATE_HZ)
    assert frequency_hz(samples[begin + round(0.45 * RATE_HZ) : begin + round(0.55 * RATE_HZ)]) == pytest.approx(
        61.5, abs=0.05
    )
    assert frequency_hz(samples[begin + round(1.05 * RATE_HZ) :]) == pytest.approx(63.0, abs=0.01)


def test_a_ramp_that_is_cut_short_hands_on_the_frequency_it_reached() -> None:
    ramp = Segment(d=0.5, v=(1.0, 1.0, 1.0), f=65.0, r=2.0)
    samples = rows(case(HEALTHY, ramp, Segment(d=1.0, v=(1.0, 1.0, 1.0), f=60.0, r=0.001)))
    assert frequency_hz(samples[round(0.75 * RATE_HZ) :]) == pytest.approx(61.0, abs=0.01)


def test_a_phase_jump_moves_the_phases_it_names_and_no_other() -> None:
    before = rows(case(HEALTHY, HEALTHY))
    after = rows(case(HEALTHY, replace(HEALTHY, ph=(0.0, 60.0, 0.0))))
    begin = round(0.2 * RATE_HZ)
    assert np.array_equal(before[:, [0, 2]], after[:, [0, 2]])
    sixth = RATE_HZ / 60.0 / 6.0
    ahead = np.interp(np.arange(begin, begin + 200) + sixth, np.arange(len(before)), before[:, 1])
    assert after[begin : begin + 200, 1] == pytest.approx(ahead, abs=1.5)


def test_harmonics_add_to_the_root_mean_square() -> None:
    samples = rows(case(replace(HEALTHY, h={5: 0.06, 7: 0.04, 11: 0.03, 13: 0.02})))
    rms = np.sqrt(np.mean(samples[:, 0] ** 2)) / 277.0
    assert rms == pytest.approx(math.sqrt(1 + 0.06**2 + 0.04**2 + 0.03**2 + 0.02**2), rel=1e-6)


def test_a_loss_of_mains_is_told_with_the_block_in_which_it_holds() -> None:
    told = [(len(block), mains) for block, mains in case(HEALTHY, replace(HEALTHY, loss=True)).blocks(10_000)]
    assert told == [(768, True), (768, False)]


def test_in_service_the_feeder_discharges_against_the_base_load() -> None:
    samples = rows(case(HEALTHY))
    currents = np.sqrt(np.mean(samples**2, axis=0))
    assert currents[I_TR] == pytest.approx([70.0] * 3)
    assert currents[I_V2G] == pytest.approx([30.0] * 3)
    assert (samples[:, V_BUS] * samples[:, I_V2G]).mean() < 0.0


def test_a_live_inverter_side_differs_from_the_bus_by_what_the_case_says() -> None:
    side = LiveInverterSide(df_hz=0.0, dv_pu=0.05, dtheta_deg=12.0)
    samples = rows(case(HEALTHY, inverter_side=side))
    estimate = Estimator(RATE_HZ, 60.0, 277.0).estimate(
        samples[:, V_BUS], samples[:, I_TR], samples[:, I_V2G], samples[:, V_INV]
    )
    assert estimate.inverter_v_pu == pytest.approx([1.05] * 3, abs=1e-6)
    assert estimate.inverter_angle_deg == pytest.approx([12.0] * 3, abs=1e-3)


def slow_record(v: list[float], hz: list[float], **changes) -> SlowRecord:
    voltages = np.array(v)[:, None] * np.ones(3)
    return SlowRecord(np.arange(len(v)) * 2.0, np.array(hz), voltages, 50.0, 230.0, **changes)


def test_between_rows_of_a_slow_record_lie_straight_lines() -> None:
    samples = rows(slow_record([1.0, 0.8], [50.0, 49.0]))
    middle = samples[round(0.95 * RATE_HZ) : round(1.05 * RATE_HZ)]
    assert frequency_hz(middle) == pytest.approx(49.5, abs=0.03)
    assert np.sqrt(np.mean(middle[:, 0] ** 2)) / 230.0 == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("v_pu", [0.29, 0.1, 0.02, 0.001])
def test_below_the_floor_a_slow_record_is_noise_without_a_frequency(v_pu: float) -> None:
    samples = rows(slow_record([v_pu, v_pu], [47.4, 46.0]))
    assert np.sqrt(np.mean(samples[:, V_BUS] ** 2)) / 230.0 == pytest.approx(v_pu, rel=0.02)
    spectrum = np.abs(np.fft.rfft(samples[:, 0])) ** 2
    assert spectrum.max() < 0.01 * spectrum.sum(), "no line stands out"
    estimator = Estimator(RATE_HZ, 50.0, 230.0)
    for end in range(estimator.window_samples, len(samples), 38):
        part = samples[end - estimator.window_samples : end]
        assert estimator.estimate(part[:, V_BUS], part[:, I_TR], part[:, I_V2G]).frequency_hz is None


def test_a_part_of_a_slow_record_begins_and_ends_where_it_was_cut() -> None:
    record = slow_record([1.0, 0.8, 0.6], [50.0, 49.0, 48.0]).cut(1.0, 2.0)
    assert record.duration_s == 2.0
    assert record.v_pu[:, 0] == pytest.approx([0.9, 0.8, 0.7])
    assert record.frequency_hz == pytest.approx([49.5, 49.0, 48.5])


def test_recorded_samples_come_back_as_they_were() -> None:
    volts = np.random.default_rng(3).standard_normal((1000, 3))
    record = SampledRecord(volts, 4000.0, 50.0, 230.0)
    assert record.duration_s == 0.25
    assert np.array_equal(rows(record, 333)[:, V_BUS], volts)
    assert np.array_equal(rows(record.cut(0.1, 0.05))[:, V_BUS], volts[400:600])
