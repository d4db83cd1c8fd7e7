"""Contacts that wires mirrors: a position while it is known, nothing while it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from v2g.clock import ManualClock
from v2g.config.paths import run_paths
from v2g.config.schema import Config
from v2g.config.sensors import parse_sensor_map
from v2g.guard.link import SensorState
from v2g.guard.wires_sensors import WiresSensors
from v2g.hardware.contact import ContactReader
from v2g.hardware.ports import PilotReading, PilotState, Quantity
from v2g.telemetry import logs

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


FILES = """\
sensors:
  ambient_c: {{source: {{file: {path}}}, unit: °C, scale: 0.001, range: [-50, 85]}}
"""


class Read:
    """One small file, read by the real reader in injected time."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "temp1_input"
        self.clock = ManualClock(100.0)
        config = msgspec.convert({**SITE, "paths": {"run_dir": str(run_dir)}}, Config)
        sensors = parse_sensor_map(FILES.format(path=self.path))
        self.sensors = WiresSensors(config, sensors, run_paths(config), self.clock, lambda: 0.5)

    async def state(self) -> SensorState:
        """After one reading of what is due."""
        (reader,) = self.sensors._readers.values()
        await reader.read(reader.sensings)
        reader._tell()
        (state,) = self.sensors.states(self.clock.monotonic_s())
        return state


@pytest.fixture
async def read(tmp_path: Path) -> AsyncIterator[Read]:
    logs.configure(tmp_path)
    made = Read(tmp_path)
    yield made
    await made.sensors.close()


async def test_the_number_in_a_file_is_scaled_and_has_the_time_of_its_reading(read: Read) -> None:
    read.path.write_text("23500\n")
    state = await read.state()
    assert (state.value, state.raw, state.as_of_s, state.problem) == (23.5, 23500, 100.0, "")
    assert [(r.quantity, r.value) for r in read.sensors.readings(100.0)] == [(Quantity.AMBIENT_C, 23.5)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("", "holds no number"),
        ("warm", "holds no number"),
        ("99000", "outside -50..85"),
        ("nan", ""),
    ],
)
async def test_a_file_that_tells_nothing_has_no_value_and_says_why(read: Read, content: str | None, said: str) -> None:
    if content is not None:
        read.path.write_text(content)
    state = await read.state()
    assert state.value is None
    assert state.problem
    assert said in state.problem
    assert read.sensors.readings(100.0) == ()


async def test_a_file_that_is_gone_and_back_is_told_once_each(read: Read, tmp_path: Path) -> None:
    read.path.write_text("20000")
    await read.state()
    read.path.unlink()
    for _ in range(3):
        read.clock.advance(1.0)
        await read.state()
    read.path.write_text("21000")
    assert (await read.state()).value == 21.0
    codes = [line.split()[2] for line in (tmp_path / "comms.log").read_text().splitlines()]
    assert codes == ["SENSOR_DROPPED", "SENSOR_BACK"]


async def test_a_value_of_a_file_that_is_not_read_any_more_grows_old(read: Read) -> None:
    read.path.write_text("20000")
    await read.state()
    read.clock.advance(3600.0)
    (state,) = read.sensors.states(read.clock.monotonic_s())
    assert (state.value, bool(state.problem)) == (None, True)
