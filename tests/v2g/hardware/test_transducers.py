"""Transducers of one Modbus device."""

from __future__ import annotations

from typing import Any

import pytest

from support.sensors import entry
from v2g.clock import ManualClock
from v2g.config.sensors import parse_sensor_map
from v2g.hardware.ports import DeviceError, Quantity
from v2g.hardware.registers import Table
from v2g.hardware.transducers import ModbusTransducers


def transducers(registers: Any, memory_link: Any, clock: ManualClock) -> tuple[ModbusTransducers, Any]:
    oil = entry("top_oil_c", register=16).replace("{host", "{table: holding, host")
    text = "sensors:\n" + oil + entry("ambient_c", register=4, scale=1)
    link = memory_link(registers)
    registers.tables[Table.HOLDING][16] = 600
    registers.tables[Table.INPUT][4] = 21
    return ModbusTransducers(link, tuple(parse_sensor_map(text)), clock), link


async def test_values_are_scaled_and_carry_their_time(registers: Any, memory_link: Any, clock: ManualClock) -> None:
    device, _ = transducers(registers, memory_link, clock)
    readings = await device.read()
    assert [(r.quantity, r.value) for r in readings] == [(Quantity.TOP_OIL_C, 60.0), (Quantity.AMBIENT_C, 21.0)]
    assert {r.as_of_s for r in readings} == {clock.monotonic_s()}
    assert device.dropped == {}


async def test_an_implausible_value_is_dropped_with_its_reason(
    registers: Any, memory_link: Any, clock: ManualClock
) -> None:
    device, _ = transducers(registers, memory_link, clock)
    registers.tables[Table.HOLDING][16] = 0x7FFF
    assert [r.quantity for r in await device.read()] == [Quantity.AMBIENT_C]
    assert "top_oil_c reads 3276.7, outside -40..150" in device.dropped[Quantity.TOP_OIL_C]
    registers.tables[Table.HOLDING][16] = 600
    assert len(await device.read()) == 2
    assert device.dropped == {}


async def test_a_refused_register_costs_only_its_sensor(registers: Any, memory_link: Any, clock: ManualClock) -> None:
    device, _ = transducers(registers, memory_link, clock)
    registers.missing.add(16)
    assert [r.quantity for r in await device.read()] == [Quantity.AMBIENT_C]
    assert "exception 2" in device.dropped[Quantity.TOP_OIL_C]


async def test_silence_is_an_error(registers: Any, memory_link: Any, clock: ManualClock) -> None:
    device, link = transducers(registers, memory_link, clock)
    link.lose = 1
    with pytest.raises(DeviceError):
        await device.read()
