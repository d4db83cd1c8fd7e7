"""Voltages, frequency events and what the recorder makes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from v2g.hardware.waveform import CHANNELS
from v2g.simulation.grid_source import GridSource
from v2g.simulation.inverter import SimInverter
from v2g.simulation.site import Charger, Site
from v2g.simulation.thermal_plant import TransformerPlant
from v2g.simulation.waveforms import SAMPLE_RATE_HZ, Recorder

NOW = 1000.0


def grid() -> GridSource:
    return GridSource(nominal_voltage_v=277.0, nominal_frequency_hz=60.0)


def site() -> Site:
    charger = Charger(
        evse_id="E1", inverter=SimInverter(rated_w=22_000.0, nominal_voltage_v=277.0, nominal_frequency_hz=60.0)
    )
    return Site(
        grid=grid(),
        transformer=TransformerPlant(ambient_c=25.0, load_pu=0.3),
        chargers={"E1": charger},
        rated_va=250_000.0,
        base_load_drift_w=0.0,
    )


def column(name: str) -> int:
    return CHANNELS.index(name)


def test_a_frequency_step_keeps_the_phase_continuous() -> None:
    source = grid()
    before = source.angles(100, SAMPLE_RATE_HZ)
    source.set_frequency(62.5, NOW)
    after = source.angles(100, SAMPLE_RATE_HZ)
    joined = np.unwrap(np.concatenate([before[:, 0], after[:, 0]]))
    steps = np.diff(joined)
    assert steps[:99] == pytest.approx(2 * math.pi * 60.0 / SAMPLE_RATE_HZ)
    assert steps[99:] == pytest.approx(2 * math.pi * 62.5 / SAMPLE_RATE_HZ)
    assert source.last_event_at_s == NOW


def test_a_ramp_arrives_at_its_target_and_stays() -> None:
    source = grid()
    source.set_frequency(59.0, NOW, ramp_hz_s=2.0)
    source.angles(SAMPLE_RATE_HZ // 4, SAMPLE_RATE_HZ)
    assert source.frequency_hz == pytest.approx(59.5)
    source.angles(SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    assert source.frequency_hz == 59.0


def test_a_phase_jump_moves_one_phase_only() -> None:
    source = grid()
    source.jump_phase([60.0, 0.0, 0.0], NOW)
    angles = source.angles(1, SAMPLE_RATE_HZ)[0]
    assert math.degrees(angles[0] - angles[1]) == pytest.approx(180.0)
    assert math.degrees(angles[2] - angles[1]) == pytest.approx(240.0)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda source: source.set_frequency(0.0, NOW), "1..200 Hz"),
        (lambda source: source.set_frequency(50.0, NOW, ramp_hz_s=-1.0), "above zero"),
        (lambda source: source.set_voltage([1.0, 1.0], NOW), "three values"),
        (lambda source: source.set_voltage([1.0, 1.0, 4.0], NOW), "0..3 pu"),
        (lambda source: source.jump_phase([10.0], NOW), "three values"),
    ],
)
def test_impossible_events_are_refused_in_words(act, words) -> None:
    with pytest.raises(ValueError, match=words):
        act(grid())


def test_samples_show_the_powers_of_the_site() -> None:
    plant = site()
    plant.breaker.closed = True
    plant.chargers["E1"].inverter.power_w = -10_000.0
    recorder = Recorder(plant)
    recorder.record(64, NOW, NOW + 1 / 60)
    samples = recorder.record(64 * 30, NOW + 1 / 60, NOW + 0.5 + 1 / 60)
    volts = samples[:, [column(f"v_bus_{p}") for p in "abc"]]
    feeder = samples[:, [column(f"i_v2g_{p}") for p in "abc"]]
    transformer = samples[:, [column(f"i_tr_{p}") for p in "abc"]]
    assert np.sqrt((volts**2).mean(0)) == pytest.approx([277.0] * 3, rel=2e-3)
    assert (volts * feeder).sum(1).mean() == pytest.approx(-10_000.0, rel=5e-3)
    assert (volts * transformer).sum(1).mean() == pytest.approx(70_000.0, rel=5e-3)


def test_a_low_phase_gets_more_current_for_the_same_power() -> None:
    plant = site()
    plant.breaker.closed = True
    plant.grid.set_voltage([0.8, 1.0, 1.0], NOW)
    recorder = Recorder(plant)
    samples = recorder.record(64 * 10, NOW, NOW + 1 / 6)
    rms = np.sqrt((samples[:, [column("i_tr_a"), column("i_tr_b")]] ** 2).mean(0))
    assert rms[0] / rms[1] == pytest.approx(1.25, rel=0.01)


def test_an_open_breaker_leaves_the_inverter_side_dead_from_the_moment_of_opening() -> None:
    plant = site()
    plant.breaker.closed = True
    recorder = Recorder(plant)
    plant.breaker.closed = False
    plant.breaker.changed_at_s = NOW + 0.5 / SAMPLE_RATE_HZ + 32 / SAMPLE_RATE_HZ
    samples = recorder.record(64, NOW, NOW + 64 / SAMPLE_RATE_HZ)
    inverter_side = np.abs(samples[:, column("v_inv_b")])
    assert inverter_side[:32].max() > 200.0
    assert inverter_side[33:].max() < 2.0
    assert np.abs(samples[:, column("v_bus_b")]).max() > 300.0


def test_a_lost_transducer_is_not_taken_rather_than_zero() -> None:
    plant = site()
    recorder = Recorder(plant)
    recorder.lost_channels.add(column("v_bus_c"))
    samples = recorder.record(20, NOW, NOW + 0.005)
    assert np.isnan(samples[:, column("v_bus_c")]).all()
    assert not np.isnan(samples[:, column("v_bus_a")]).any()


def angle_deg(samples: np.ndarray, name: str) -> float:
    turns = np.exp(-2j * math.pi * 60.0 / SAMPLE_RATE_HZ * np.arange(len(samples)))
    return math.degrees(float(np.angle((samples[:, column(name)] * turns).sum())))


def between_deg(samples: np.ndarray, phase: str) -> float:
    return (angle_deg(samples, f"v_inv_{phase}") - angle_deg(samples, f"v_bus_{phase}") + 180.0) % 360.0 - 180.0


def joined() -> Site:
    plant = site()
    plant.breaker.closed = True
    return plant


def test_a_wrong_gain_of_one_transducer_shows_in_its_samples_only() -> None:
    right, wrong = (Recorder(joined()) for _ in range(2))
    wrong.gains[column("v_bus_a")] = 0.97
    one, other = (recorder.record(64, NOW, NOW + 1 / 60) for recorder in (right, wrong))
    assert other[:, column("v_bus_a")] == pytest.approx(0.97 * one[:, column("v_bus_a")])
    assert np.array_equal(np.delete(one, column("v_bus_a"), 1), np.delete(other, column("v_bus_a"), 1))


def test_an_offset_of_the_inverter_side_transducers_leads_by_its_angle() -> None:
    recorder = Recorder(joined())
    recorder.feeder_side.offset_deg = (7.0, 0.0, -3.0)
    samples = recorder.record(640, NOW, NOW + 1 / 6)
    assert [between_deg(samples, phase) for phase in "abc"] == pytest.approx([7.0, 0.0, -3.0], abs=0.05)


def test_two_exchanged_conductors_show_as_plus_and_minus_120_degrees() -> None:
    recorder = Recorder(joined())
    recorder.feeder_side.order = (0, 2, 1)
    samples = recorder.record(640, NOW, NOW + 1 / 6)
    found = [between_deg(samples, phase) for phase in "abc"]
    assert [abs(angle) for angle in found] == pytest.approx([0.0, 120.0, 120.0], abs=0.05)
    assert found[1] == pytest.approx(-found[2], abs=0.05)


def test_an_evse_with_channels_of_its_own_has_an_offset_of_its_own() -> None:
    recorder = Recorder(joined(), own={"E1": ("v_e1_a", "v_e1_b", "v_e1_c")})
    assert recorder.channels[12:] == ("v_e1_a", "v_e1_b", "v_e1_c")
    recorder.own_sides["E1"].offset_deg = (2.0, 2.0, 2.0)
    samples = recorder.record(640, NOW, NOW + 1 / 6)
    turns = np.exp(-2j * math.pi * 60.0 / SAMPLE_RATE_HZ * np.arange(640))
    own, bus = (np.degrees(np.angle((samples[:, at] * turns).sum())) for at in (12, column("v_bus_a")))
    assert own - bus == pytest.approx(2.0, abs=0.05)
    assert between_deg(samples, "a") == pytest.approx(0.0, abs=0.05)


def test_an_open_relay_takes_the_inverter_side_and_the_power_away() -> None:
    plant = joined()
    plant.chargers["E1"].inverter.power_w = -10_000.0
    plant.relay.closed = False
    samples = Recorder(plant).record(64, NOW, NOW + 1 / 60)
    assert np.abs(samples[:, column("v_inv_a")]).max() < 2.0
    assert np.abs(samples[:, column("i_v2g_a")]).max() < 1.0


def drifted(generated_w: float, seconds: float) -> GridSource:
    source = grid()
    source.switch_mains(False, NOW)
    for _ in range(round(seconds / 0.005)):
        source.drift(generated_w, 10_000.0, 0.005)
    return source


def test_a_matched_island_keeps_voltage_and_frequency() -> None:
    source = drifted(10_000.0, 2.0)
    assert source.bus_pu == pytest.approx((1.0, 1.0, 1.0))
    assert source.frequency_hz == pytest.approx(60.0)


def test_an_island_with_half_of_its_load_fed_sags_and_slows_down() -> None:
    source = drifted(5_000.0, 0.4)
    assert source.bus_pu[0] == pytest.approx(math.sqrt(0.5), rel=1e-3)
    assert source.frequency_hz == pytest.approx(58.0)


def test_an_island_that_nothing_feeds_is_dead_and_the_mains_bring_everything_back() -> None:
    source = drifted(0.0, 0.5)
    assert max(source.bus_pu) < 0.001
    source.switch_mains(True, NOW + 1.0)
    assert source.bus_pu == (1.0, 1.0, 1.0)
    assert source.frequency_hz == 60.0


def test_nothing_passes_the_transformer_while_the_mains_are_lost() -> None:
    plant = joined()
    plant.chargers["E1"].inverter.power_w = -10_000.0
    plant.grid.switch_mains(False, NOW)
    samples = Recorder(plant).record(64, NOW, NOW + 1 / 60)
    assert np.abs(samples[:, column("i_tr_a")]).max() < 1.0
    assert np.abs(samples[:, column("i_v2g_a")]).max() > 10.0
    assert plant.transformer_va() == 0.0
