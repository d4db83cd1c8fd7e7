"""Every register map that is delivered: it loads, and the driver moves a device that is served from the same map."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.hardware.dc_evse import load_dc_map
from v2g.hardware.map_inverter import RegisterMapInverter, load_inverter_map
from v2g.hardware.ports import InverterCommand
from v2g.hardware.register_map import built_in_maps, known_maps, load_map
from v2g.hardware.registers import Table
from v2g.simulation.inverter import SimInverter
from v2g.simulation.map_image import MapImage

ETC = Path(__file__).parents[3] / "etc" / "v2g"
INVERTERS = [name for name in known_maps(ETC) if load_map(name, ETC).kind == "inverter"]

COUNTING = """
name: counting
ratings: { max_charge_w: 10000, max_discharge_w: 10000 }
reversion: { written: reversion_timeout_s, remaining: reversion_remaining_s }
points:
  power_w:               { table: input, address: 1, type: int32 }
  connected:             { table: input, address: 3, bit: 0 }
  reversion_remaining_s: { table: input, address: 4 }
  reversion_timeout_s:   { table: holding, address: 41, access: rw }
  setpoint_w:            { table: holding, address: 42, type: int32, access: rw }
"""


class Served:
    """A simulated device without a network; its inverter steps whenever it is read."""

    def __init__(self, map_name: str, config_dir: Path, clock: ManualClock) -> None:
        self.inverter = SimInverter(rated_w=4000, nominal_voltage_v=230, nominal_frequency_hz=50)
        self.inverter.connected = True
        self.clock = clock
        self.image = MapImage(self.inverter, load_inverter_map(map_name, config_dir), threading.RLock())

    def step(self) -> None:
        now_s = self.clock.monotonic_s()
        self.inverter.deliver(self.inverter.wanted_w(now_s, 1.0, (230.0, 230.0, 230.0), 50.0), 1.0)

    def read(self, table: Table, address: int, count: int) -> list[int]:
        self.step()
        first = self.image.span(table)[0]
        return self.image.render(table, {}, self.clock.monotonic_s())[address - first : address - first + count]

    def write(self, address: int, values: list[int]) -> bool:
        return self.image.write(address, values, self.clock.monotonic_s())


def test_maps_are_delivered() -> None:
    assert "victron-vebus" in INVERTERS
    assert set(built_in_maps()) <= set(known_maps(ETC))


@pytest.mark.parametrize("name", known_maps(ETC))
def test_every_map_fits_the_driver_of_its_kind(name: str) -> None:
    map_ = load_map(name, ETC)
    if map_.kind in ("inverter", "dc_evse"):
        load = load_inverter_map if map_.kind == "inverter" else load_dc_map
        assert load(name, ETC).points
    if name not in built_in_maps():
        assert map_.name == name
        assert map_.lacks or map_.reversion is not None


@pytest.mark.parametrize("name", INVERTERS)
@pytest.mark.parametrize("power_w", [1500.0, -1500.0, 0.0])
async def test_a_device_served_from_its_map_follows_the_set_point(
    name: str, power_w: float, clock: ManualClock, memory_link: Any
) -> None:
    served = Served(name, ETC, clock)
    driver = RegisterMapInverter("E1", memory_link(served), served.image.map, clock)
    await driver.apply(InverterCommand(power_w=power_w))
    clock.advance(0.1)
    reading = await driver.read()
    assert served.inverter.setpoint_w == power_w
    assert reading.power_w == pytest.approx(power_w, abs=10)
    assert (reading.connected, reading.fault) == (True, None)
    assert reading.max_charge_w > 0
    if served.image.map.reversion is None:
        assert not reading.reversion_armed
        assert driver.reversion_problem is not None


@pytest.mark.parametrize("name", INVERTERS)
async def test_a_device_that_nobody_talks_to_leaves_its_set_point(
    name: str, clock: ManualClock, memory_link: Any
) -> None:
    served = Served(name, ETC, clock)
    driver = RegisterMapInverter("E1", memory_link(served), served.image.map, clock)
    await driver.apply(InverterCommand(power_w=1500))
    clock.advance(served.image.map.watchdog_s + 1)
    served.step()
    assert (served.inverter.power_w, served.inverter.reversions) == (0, 1)


async def test_a_reversion_that_counts_is_proved_and_ends_a_discharge(
    tmp_path: Path, clock: ManualClock, memory_link: Any
) -> None:
    (tmp_path / "counting.yaml").write_text(COUNTING)
    served = Served("counting.yaml", tmp_path, clock)
    driver = RegisterMapInverter("E1", memory_link(served), served.image.map, clock)
    for _ in range(6):
        await driver.apply(InverterCommand(power_w=0))
        await driver.read()
        clock.advance(0.4)
    assert (await driver.read()).reversion_armed
    await driver.apply(InverterCommand(power_w=-2000))
    assert (await driver.read()).power_w == -2000
    clock.advance(3.1)
    served.step()
    assert served.inverter.power_w == 0
