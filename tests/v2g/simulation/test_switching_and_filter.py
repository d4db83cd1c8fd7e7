"""Distortion and heat of the simulated inverter's bridge, and its registers beside SunSpec's."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from v2g.hardware.register_map import load_map
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import SUNS
from v2g.simulation.composed_image import ComposedImage, FilterImage
from v2g.simulation.grid_source import GridSource
from v2g.simulation.inverter import SimInverter
from v2g.simulation.site import Charger, Site
from v2g.simulation.sunspec_image import SunSpecImage
from v2g.simulation.sunspec_registers import BASE_ADDRESS
from v2g.simulation.switching import SHARES, Bridge
from v2g.simulation.thermal_plant import TransformerPlant
from v2g.simulation.waveforms import SAMPLE_RATE_HZ, Recorder

MAP = load_map("v2g-filter")
CARRIER, SWITCH = MAP.points["carrier_hz"].address, MAP.points["switch_temperature_c"].address


def new_inverter() -> SimInverter:
    return SimInverter(rated_w=22_000.0, nominal_voltage_v=277.0, nominal_frequency_hz=60.0)


@pytest.fixture
def inverter() -> SimInverter:
    return new_inverter()


@pytest.fixture
def image(inverter: SimInverter) -> ComposedImage:
    lock = threading.RLock()
    return ComposedImage(SunSpecImage(inverter, "1", lock), FilterImage(inverter.bridge, lock))


def shown(image: ComposedImage, address: int) -> int:
    return image.render(Table.HOLDING, {}, 0.0)[address - image.span(Table.HOLDING)[0]]


def test_distortion_falls_with_the_square_of_the_carrier() -> None:
    bridge = Bridge(normal_thd=0.06)
    assert bridge.thd == 0.06
    assert bridge.set_carrier(16_000.0)
    assert bridge.thd == pytest.approx(0.015)
    assert not bridge.set_carrier(17_000.0)
    assert bridge.carrier_hz == 16_000.0


def test_switches_warm_with_power_and_carrier() -> None:
    idle, normal, fast = Bridge(), Bridge(), Bridge(carrier_hz=16_000.0)
    for _ in range(200):
        idle.step(0.0, 1.0)
        normal.step(1.0, 1.0)
        fast.step(1.0, 1.0)
    assert [round(bridge.temperature_c) for bridge in (idle, normal, fast)] == [35, 75, 95]
    fast.held_temperature_c = 120.0
    assert fast.temperature_c == 120.0


def test_sunspec_and_filter_answer_on_one_connection(image: ComposedImage, inverter: SimInverter) -> None:
    assert (shown(image, BASE_ADDRESS), shown(image, BASE_ADDRESS + 1)) == tuple(SUNS)
    assert (shown(image, MAP.identity[0].address), shown(image, CARRIER)) == (0x5646, 8_000)
    assert shown(image, SWITCH) == 350
    assert image.write(CARRIER, [12_000], 0.0)
    assert inverter.bridge.carrier_hz == 12_000.0
    assert not image.write(CARRIER, [20_000], 0.0)
    assert not image.write(SWITCH, [1], 0.0)
    assert not image.write(CARRIER + 50, [1], 0.0)
    assert shown(image, CARRIER) == 12_000


def test_a_lie_reaches_the_image_that_has_the_point(image: ComposedImage) -> None:
    lies = {"switch_temperature_c": 90.0, "701.Hz": 61.0}
    assert set(lies) < set(image.point_names())
    registers = image.render(Table.HOLDING, lies, 0.0)
    assert registers[SWITCH - image.span(Table.HOLDING)[0]] == 900


def test_images_that_overlap_are_refused(inverter: SimInverter) -> None:
    lock = threading.RLock()
    with pytest.raises(ValueError, match="shown twice"):
        ComposedImage(FilterImage(inverter.bridge, lock), FilterImage(inverter.bridge, lock))


def test_the_recorder_shows_the_inverters_distortion_at_feeder_and_transformer() -> None:
    site = Site(
        grid=GridSource(nominal_voltage_v=277.0, nominal_frequency_hz=60.0),
        transformer=TransformerPlant(ambient_c=25.0, load_pu=0.3),
        chargers={"E1": Charger(evse_id="E1", inverter=new_inverter())},
        rated_va=250_000.0,
        base_load_drift_w=0.0,
    )
    charger = site.chargers["E1"].inverter
    charger.power_w, charger.bridge.normal_thd = -10_000.0, 0.06
    site.breaker_commanded = True
    site.breaker.command(True, 0.0)
    site.breaker.step(10.0)
    recorder = Recorder(site)
    recorder.record(64, 10.0, 10.0 + 64 / SAMPLE_RATE_HZ)
    n = 64 * 12
    samples = recorder.record(n, 11.0, 11.0 + n / SAMPLE_RATE_HZ)
    for first in (3, 6):
        spectrum = np.abs(np.fft.rfft(samples[:, first : first + 3], axis=0)) / n * np.sqrt(2.0)
        found = [spectrum[12 * order] for order in SHARES]
        ampere = 10_000.0 / 3 / 277.0
        assert np.sqrt(np.sum(np.square(found), axis=0)) / ampere == pytest.approx([0.06] * 3, rel=0.03)
        assert found[0] / found[1] == pytest.approx([1.6] * 3, rel=0.1)
