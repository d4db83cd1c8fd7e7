"""Channels of one Modbus device, and numbers in small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.sensors import entry
from v2g.clock import ManualClock
from v2g.config.sensors import parse_sensor_map
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.hardware.sensing import Sensing
from v2g.hardware.transducers import read_number, read_registers


def device(registers: Any, memory_link: Any) -> tuple[Any, dict[str, Sensing]]:
    oil = entry("top_oil_c", register=16).replace("{host", "{table: holding, host")
    door = "  door: {source: {modbus: {host: 192.0.2.10, register: 4, bit: 3}}}\n"
    registers.tables[Table.HOLDING][16] = 600
    registers.tables[Table.INPUT][4] = 0b1000
    sensors = parse_sensor_map("sensors:\n" + oil + door)
    return memory_link(registers), {channel.name: Sensing(channel) for channel in sensors}


async def test_values_and_contacts_are_read_with_their_time(
    registers: Any, memory_link: Any, clock: ManualClock
) -> None:
    link, sensings = device(registers, memory_link)
    await read_registers(link, sensings.values(), clock)
    now_s = clock.monotonic_s()
    assert sensings["top_oil_c"].look(now_s) == (60.0, now_s, "", 600)
    assert sensings["door"].look(now_s).value == 1.0
    registers.tables[Table.INPUT][4] = 0b0111
    await read_registers(link, sensings.values(), clock)
    assert sensings["door"].look(now_s).value == 0.0


async def test_a_refused_register_costs_only_its_channel(registers: Any, memory_link: Any, clock: ManualClock) -> None:
    link, sensings = device(registers, memory_link)
    registers.missing.add(16)
    await read_registers(link, sensings.values(), clock)
    assert "exception 2" in sensings["top_oil_c"].problem
    assert sensings["door"].problem == ""


async def test_silence_is_an_error_of_all_channels(registers: Any, memory_link: Any, clock: ManualClock) -> None:
    link, sensings = device(registers, memory_link)
    link.lose = 1
    with pytest.raises(DeviceError):
        await read_registers(link, sensings.values(), clock)
    assert all(sensing.problem for sensing in sensings.values())


def test_a_number_is_read_from_a_small_file(tmp_path: Path) -> None:
    (tmp_path / "in_temp_input").write_text("21375\n")
    assert read_number(tmp_path / "in_temp_input") == 21375.0
    (tmp_path / "broken").write_bytes(b"\xff" * 5000)
    with pytest.raises(DeviceError, match="broken: holds no number"):
        read_number(tmp_path / "broken")
    with pytest.raises(DeviceError, match="gone: No such file"):
        read_number(tmp_path / "gone")
