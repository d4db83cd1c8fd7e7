from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.grid.estimate import EstimationError
from v2g.grid.metering import Metering, MeteringRecord

NOMINAL_V = 277.0
RATED_A = 100.0
TURNS = -np.array([0, 2, -2]) * np.pi / 3
MIX = {5: 0.06, 7: 0.04, 11: 0.03, 13: 0.02}


def sine(phi, turns=TURNS):
    return math.sqrt(2) * np.cos(np.asarray(phi)[:, None] + turns)


def phase_of(frequency_hz, rate_hz: float, seconds: float):
    """Of a constant, or of a function of the time in seconds."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    if not callable(frequency_hz):
        return 2 * np.pi * frequency_hz * time_s + 0.3
    return np.cumsum(2 * np.pi * frequency_hz(time_s) / rate_hz)


def distorted(phi, levels):
    return sine(phi) + sum(level * sine(order * phi, order * TURNS) for order, level in levels.items())


def feed(
    metering: Metering, rate_hz: float, volts, feeder_a=None, transformer_a=None, begin: int = 0, chunk: int = 577
) -> list[MeteringRecord]:
    still = np.zeros_like(volts)
    found: list[MeteringRecord] = []
    for start in range(0, len(volts), chunk):
        part = slice(start, start + chunk)
        index = begin + min(start + chunk, len(volts))
        found += metering.feed(
            index,
            index / rate_hz,
            volts[part],
            (still if transformer_a is None else transformer_a)[part],
            (still if feeder_a is None else feeder_a)[part],
        )
    return found


def meter(volts, rate_hz: float = 3840, nominal_hz: float = 60.0, **kwargs) -> list[MeteringRecord]:
    return feed(Metering(rate_hz, nominal_hz, NOMINAL_V, RATED_A), rate_hz, volts, **kwargs)


@settings(max_examples=examples(25), deadline=None)
@given(
    nominal_hz=st.sampled_from([50.0, 60.0]),
    offset_hz=st.floats(-5, 5),
    rate_hz=st.sampled_from([3200, 3840, 4000, 6400, 9973, 20000]),
    dc=st.floats(-0.05, 0.05),
    chunk=st.integers(1, 2000),
)
def test_frequency_is_within_10_mhz_whatever_disturbs_it(nominal_hz, offset_hz, rate_hz, dc, chunk):
    phi = phase_of(nominal_hz + offset_hz, rate_hz, 1.6)
    flicker = 1 + 0.015 * np.cos(2 * np.pi * 8.8 * np.arange(len(phi)) / rate_hz)
    volts = NOMINAL_V * (distorted(phi, MIX) * flicker[:, None] + dc + 0.05 * sine(phi, -TURNS))
    told = [r.frequency_hz for r in meter(volts, rate_hz, nominal_hz, chunk=max(chunk, 50)) if r.frequency_hz]
    assert told
    assert told == pytest.approx([nominal_hz + offset_hz] * len(told), abs=0.002)


@pytest.mark.parametrize("offset_hz", [0, 0.3, -1.7])
@pytest.mark.parametrize("rate_hz", [3200, 4000, 6400, 10000])
def test_distortion_does_not_leak_at_a_frequency_beside_nominal(rate_hz, offset_hz):
    phi = phase_of(60.0 + offset_hz, rate_hz, 1.0)
    records = meter(NOMINAL_V * distorted(phi, MIX), rate_hz)
    thd_pct = 100 * math.sqrt(sum(level**2 for level in MIX.values()))
    for record in records:
        assert record.thd_v_pct == pytest.approx((thd_pct,) * 3, abs=0.01)
        for order, level in enumerate(record.harmonics_v_pct, start=2):
            assert level == pytest.approx((100 * MIX.get(order, 0.0),) * 3, abs=0.02)
        assert record.v_pu == pytest.approx((math.sqrt(1 + (thd_pct / 100) ** 2),) * 3, rel=1e-4)


@pytest.mark.parametrize(
    ("rate_hz", "nominal_hz", "highest"),
    [(3200, 60, 23), (3840, 60, 28), (3200, 50, 28), (6400, 50, 50), (20000, 60, 50)],
)
def test_the_highest_harmonic_is_what_the_rate_allows(rate_hz, nominal_hz, highest):
    metering = Metering(rate_hz, nominal_hz, NOMINAL_V, RATED_A)
    assert metering.highest_harmonic == highest
    phi = phase_of(nominal_hz, rate_hz, 0.8)
    record = feed(metering, rate_hz, NOMINAL_V * distorted(phi, {highest: 0.01}))[-1]
    assert len(record.harmonics_v_pct) == highest - 1
    assert record.harmonics_v_pct[-1] == pytest.approx((1.0,) * 3, abs=0.02)


def test_blocks_follow_one_another_at_ten_cycles_of_the_present_frequency():
    for hz in (57.0, 60.0, 63.0):
        records = meter(NOMINAL_V * sine(phase_of(hz, 3840, 3.0)))
        gaps = np.diff([record.at_s for record in records])
        assert gaps == pytest.approx([10 / hz] * len(gaps), abs=1e-4)


@pytest.mark.parametrize("rate_hz_s", [0.5, 2.0, 3.0, -0.5, -2.0, -3.0])
def test_on_a_ramp_the_frequency_belongs_to_the_centre_it_names(rate_hz_s):
    began_s = 1.0

    def frequency_hz(time_s):
        return 60.0 + rate_hz_s * np.clip(time_s - began_s, 0.0, None)

    records = meter(NOMINAL_V * sine(phase_of(frequency_hz, 4000, 2.6)), 4000)
    told = [r for r in records if r.frequency_hz is not None and r.frequency_at_s > began_s + 0.5]
    assert len(told) >= 2
    for record in told:
        assert record.frequency_hz == pytest.approx(frequency_hz(record.frequency_at_s), abs=0.010)
        assert record.thd_v_pct == pytest.approx((0.0,) * 3, abs=0.8)


@pytest.mark.parametrize("jumps_deg", [(20, 20, 20), (-20, -20, -20), (60, 0, 0), (0, 0, 60)])
def test_a_phase_jump_is_no_frequency_until_it_has_left_the_sixty_cycles(jumps_deg):
    phi = phase_of(60.0, 3840, 5.0)
    jumped = np.where(np.arange(len(phi)) < 2 * 3840, 0.0, 1.0)[:, None] * np.radians(jumps_deg)
    records = meter(NOMINAL_V * math.sqrt(2) * np.cos(phi[:, None] + TURNS + jumped))
    told = [r for r in records if r.frequency_hz is not None]
    assert [r.frequency_hz for r in told] == pytest.approx([60.0] * len(told), abs=0.010)
    silent = [r.at_s for r in records if r.frequency_hz is None and r.at_s > 1.2]
    assert silent
    assert min(silent) > 1.9
    assert max(silent) < 3.1


@pytest.mark.parametrize("v_pu", [0.0, 0.02, 0.25])
def test_below_the_floor_there_is_a_voltage_and_no_frequency(v_pu):
    noise = np.random.default_rng(3).normal(0.0, 0.002 * NOMINAL_V, (3 * 3840, 3))
    records = meter(v_pu * NOMINAL_V * sine(phase_of(47.0, 3840, 3.0)) + noise)
    assert len(records) >= 13
    assert {record.frequency_hz for record in records} == {None}
    assert records[-1].v_pu == pytest.approx((v_pu,) * 3, rel=0.1, abs=0.003)
    assert records[-1].thd_v_pct == (0.0, 0.0, 0.0)


def test_white_noise_is_never_a_frequency():
    for seed in range(5):
        volts = np.random.default_rng(seed).normal(0.0, NOMINAL_V, (4 * 3840, 3))
        assert {record.frequency_hz for record in meter(volts)} == {None}


@pytest.mark.parametrize("turns", [TURNS, -TURNS])
@pytest.mark.parametrize("alive", [(1, 1, 1), (1, 0, 0), (0, 1, 1)])
def test_one_live_phase_is_enough_and_so_is_the_other_rotation(turns, alive):
    volts = NOMINAL_V * sine(phase_of(59.2, 3840, 3.5), turns) * alive
    assert meter(volts)[-1].frequency_hz == pytest.approx(59.2, abs=0.001)


def test_rated_current_distortion_is_of_rated_current_and_thd_of_the_fundamental():
    phi = phase_of(60.2, 3840, 1.0)
    feeder_a = 20.0 * distorted(phi, {3: 0.10, 5: 0.20}) + 0.8
    record = meter(NOMINAL_V * sine(phi), feeder_a=feeder_a, transformer_a=2 * feeder_a)[-1]
    assert record.thd_i_pct == pytest.approx((100 * math.hypot(0.1, 0.2),) * 3, abs=0.02)
    assert record.trd_pct == pytest.approx((math.sqrt(2.0**2 + 4.0**2 + 0.8**2),) * 3, abs=0.01)
    assert record.harmonics_i_pct[1] == pytest.approx((2.0,) * 3, abs=0.01)
    assert record.dc_injection_pct == pytest.approx((0.8,) * 3, abs=0.01)
    assert record.transformer_harmonics_a[0] == pytest.approx((40.0,) * 3, abs=0.01)
    assert record.transformer_harmonics_a[4] == pytest.approx((8.0,) * 3, abs=0.01)


def test_distortion_of_next_to_no_current_is_not_told_of_the_fundamental():
    phi = phase_of(60.0, 3840, 1.0)
    record = meter(NOMINAL_V * sine(phi), feeder_a=0.5 * distorted(phi, {5: 0.5}))[-1]
    assert record.thd_i_pct == (0.0, 0.0, 0.0)
    assert record.trd_pct == pytest.approx((0.25,) * 3, abs=0.01)


@pytest.mark.parametrize("offset_hz", [-4.0, 4.0])
def test_what_lies_within_5_hz_belongs_to_the_harmonic(offset_hz):
    phi = phase_of(50.0, 6400, 1.0)
    beside = phase_of(250.0 + offset_hz, 6400, 1.0)
    record = meter(NOMINAL_V * sine(phi), 6400, 50.0, feeder_a=50 * sine(phi) + 3 * sine(beside))[-1]
    assert record.harmonics_i_pct[3] == pytest.approx((3.0,) * 3, rel=0.1)
    assert record.harmonics_i_pct[2][0] < 0.3


@settings(max_examples=examples(20), deadline=None)
@given(negative=st.floats(0, 0.3), zero=st.floats(0, 0.1), hz=st.floats(57, 62))
def test_unbalance_is_negative_over_positive_sequence_without_the_zero_sequence(negative, zero, hz):
    phi = phase_of(hz, 3840, 0.6)
    volts = NOMINAL_V * (sine(phi) + negative * sine(phi, -TURNS) + zero * sine(phi, np.zeros(3)))
    assert meter(volts)[-1].unbalance_pct == pytest.approx(100 * negative, abs=0.02)


@pytest.mark.parametrize("what", ["gap", "not finite", "written anew"])
def test_a_gap_drops_its_block_and_the_frequency_begins_anew(what):
    volts = NOMINAL_V * sine(phase_of(60.0, 3840, 5.0))
    metering = Metering(3840, 60.0, NOMINAL_V, RATED_A)
    at = 2 * 3840
    before = feed(metering, 3840, volts[:at], chunk=384)
    if what == "not finite":
        volts[at + 100, 1] = np.nan
        after = feed(metering, 3840, volts[at:], begin=at, chunk=384)
    else:
        after = feed(metering, 3840, volts[at:], begin=at + 500 if what == "gap" else 0, chunk=384)
    assert before[-1].frequency_hz == pytest.approx(60.0, abs=1e-3)
    assert [record.frequency_hz for record in after[:5]] == [None] * 5
    assert after[-1].frequency_hz == pytest.approx(60.0, abs=1e-3)
    assert all(record.v_pu == pytest.approx((1.0,) * 3, abs=1e-4) for record in after)
    last = 3.0 if what == "written anew" else 5.0 + (500 / 3840 if what == "gap" else 0.0)
    assert after[-1].at_s == pytest.approx(last - 0.12, abs=0.1)


def test_samples_that_are_never_finite_give_no_record():
    volts = NOMINAL_V * sine(phase_of(60.0, 3840, 1.0))
    assert meter(volts, feeder_a=np.full_like(volts, np.nan)) == []


def test_a_rapid_change_is_told_once_with_its_size_sign_phase_and_time():
    metering = Metering(3840, 60.0, NOMINAL_V, RATED_A)
    volts = NOMINAL_V * sine(phase_of(60.4, 3840, 6.0))
    volts[2 * 3840 :, 1] *= 0.94
    volts[4 * 3840 :, 2] *= 1.04
    assert feed(metering, 3840, volts)
    first, second = metering.rapid_changes()
    assert (first.phase, second.phase) == ("B", "C")
    assert first.change_pct == pytest.approx(-6.0, abs=0.05)
    assert second.change_pct == pytest.approx(4.0, abs=0.05)
    assert first.duration_s == pytest.approx(1 / 60, abs=0.009)
    assert first.at_s == pytest.approx(2.0, abs=0.05)
    assert second.at_s == pytest.approx(4.0, abs=0.05)
    assert metering.rapid_changes() == ()


def test_the_duration_of_a_change_is_how_long_the_voltage_moved():
    metering = Metering(3840, 60.0, NOMINAL_V, RATED_A)
    volts = NOMINAL_V * sine(phase_of(60.0, 3840, 5.0))
    volts *= np.interp(np.arange(len(volts)) / 3840, [2.0, 2.5], [1.0, 1.08])[:, None]
    feed(metering, 3840, volts)
    changes = metering.rapid_changes()
    assert [change.phase for change in changes] == ["A", "B", "C"]
    for change in changes:
        assert change.change_pct == pytest.approx(8.0, abs=0.1)
        assert change.duration_s == pytest.approx(0.4, abs=0.03)


def test_a_slow_change_and_a_small_one_are_not_rapid():
    metering = Metering(3840, 60.0, NOMINAL_V, RATED_A)
    phi = phase_of(59.0, 3840, 6.0)
    slow = np.linspace(1.0, 0.88, len(phi))[:, None]
    slow[len(phi) // 2 :] *= 1.009
    feed(metering, 3840, NOMINAL_V * sine(phi) * slow)
    assert metering.rapid_changes() == ()


@pytest.mark.parametrize("rate_hz", [1000, 48_000])
def test_a_rate_that_metering_cannot_use_is_refused(rate_hz):
    with pytest.raises(EstimationError, match="3200 to 20000"):
        Metering(rate_hz, 60.0, NOMINAL_V, RATED_A)
