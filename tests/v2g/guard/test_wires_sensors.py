"""Contacts that wires mirrors: a position while it is known, nothing while it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from v2g.clock import ManualClock
from v2g.config.paths import run_paths
from v2g.config.schema import Config
from v2g.config.sensors import parse_sensor_map
from v2g.guard.wires_sensors import WiresSensors
from v2g.hardware.contact import ContactReader
from v2g.hardware.ports import PilotReading, PilotState

TEXT = """\
sensors:
  door: {source: {modbus: {host: h, register: 0, bit: 3}}, closed_is: tripped}
  winding_stress_mpa: {source: {modbus: {host: h, register: 3}}, unit: MPa, range: [0, 400]}
  pilot_high_v@US*V2G*E1: {source: {modbus: {host: h, register: 4}}, scale: 0.1, unit: V, range: [-13, 13]}
  pilot_duty_pct@US*V2G*E1: {source: {modbus: {host: h, register: 5}}, unit: "%", range: [0, 100]}
"""
SITE = {
    "site": {"id": "s"}, "transformer": {"id": "T", "rated_kva": 250}, "grid": {"nominal_voltage_v": 277},
    "interlocks": {"winding_stress_limit_mpa": 120, "winding_stress_s": 1.0},
    "evses": [{"id": "US*V2G*E1", "kind": "DC", "interface": "lo", "inverter": {"modbus": {"host": "h"}},
               "dc": {"modbus": {"host": "g"}}}],
}  # fmt: skip


class Mirrored:
    def __init__(self, run_dir: Path) -> None:
        config = msgspec.convert({**SITE, "paths": {"run_dir": str(run_dir)}}, Config)
        self.paths = run_paths(config)
        self.sensors = WiresSensors(config, parse_sensor_map(TEXT), self.paths, ManualClock(), lambda: 0.5)
        self.sensing = self.sensors._sensings

    def shows(self, name: str, now_s: float) -> bool | None:
        self.sensors.mirror(now_s)
        reader = ContactReader(self.paths.contact(name))
        try:
            return reader.is_closed(now_s)
        finally:
            reader.close()


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[Mirrored]:
    made = Mirrored(tmp_path)
    yield made
    made.sensors._pool.shutdown()


def test_a_contact_is_closed_while_healthy_and_unknown_once_its_reading_is_old(mirrored: Mirrored) -> None:
    assert mirrored.shows("door", 9.0) is None
    mirrored.sensing["door"].switch(False, 10.0)
    assert mirrored.shows("door", 10.1) is True
    mirrored.sensing["door"].switch(True, 10.2)
    assert mirrored.shows("door", 10.3) is False
    assert mirrored.shows("door", 12.0) is None


def test_winding_stress_is_closed_within_its_limit_and_open_after_the_time_beyond_it(mirrored: Mirrored) -> None:
    stress = mirrored.sensing["winding_stress_mpa"]
    for at_s, raw, closed in ((10.0, 119, True), (11.0, 150, True), (11.9, 150, True), (12.1, 150, False)):
        stress.take(raw, at_s)
        assert mirrored.shows("winding_stress", at_s) is closed
    stress.take(100, 12.2)
    assert mirrored.shows("winding_stress", 12.2) is True
    assert mirrored.shows("winding_stress", 18.0) is None


def test_mapped_pilot_channels_take_the_place_of_what_the_device_told(mirrored: Mirrored) -> None:
    told = PilotReading(state=PilotState.B, high_v=9.0, duty_pct=5.0, earth_ohm=2.0)
    mirrored.sensing["pilot_high_v@US*V2G*E1"].take(60, 10.0)
    mirrored.sensing["pilot_duty_pct@US*V2G*E1"].take(7, 10.0)
    seen = mirrored.sensors.pilot("US*V2G*E1", told, 10.1)
    assert seen == PilotReading(state=PilotState.C, high_v=6.0, duty_pct=7.0, earth_ohm=2.0)
    assert mirrored.sensors.pilot("US*V2G*E2", told, 10.1) is told


def test_a_mapped_pilot_that_is_not_read_any_more_is_lost_whatever_the_device_tells(mirrored: Mirrored) -> None:
    told = PilotReading(state=PilotState.C, high_v=6.0)
    mirrored.sensing["pilot_high_v@US*V2G*E1"].take(60, 10.0)
    lost = mirrored.sensors.pilot("US*V2G*E1", told, 12.0)
    assert lost is not None
    assert (lost.state, lost.high_v) == (None, None)
    assert mirrored.sensors.pilot("US*V2G*E1", None, 12.0) == PilotReading()
