"""The harmonic filter's driver against registers in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from v2g.hardware.filter_registers import RegisterFilter
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import RegisterMap, load_map
from v2g.hardware.registers import Table

MAP = load_map("v2g-filter")
CARRIER = MAP.points["carrier_hz"].address
LEVEL = "level: {table: holding, address: 7, type: uint16, scale: 0.1, access: rw, min: 0.3, max: 0.9, step: 0.2}"


@pytest.fixture
def device(registers: Any) -> Any:
    holding = registers.tables[Table.HOLDING]
    for item in MAP.identity:
        holding[item.address] = item.value
    holding[CARRIER] = 8_000
    holding[MAP.points["switch_temperature_c"].address] = 534
    return registers


@pytest.fixture
def link(device: Any, memory_link: Any) -> Any:
    link = memory_link(device)
    link.name, link.endpoint = "inverter E1", "192.0.2.1:502 unit 1"
    return link


@pytest.fixture
def driver(link: Any) -> RegisterFilter:
    return RegisterFilter(link, MAP)


def other_map(folder: Path, points: str) -> RegisterMap:
    (folder / "other.yaml").write_text(f"name: other\npoints: {{ {points} }}\n")
    return load_map("other.yaml", folder)


async def test_it_reads_carrier_and_temperature(driver: RegisterFilter) -> None:
    assert await driver.read() == 8_000.0
    assert await driver.temperature_c() == pytest.approx(53.4)
    assert driver.unit == "Hz"
    assert driver.steps == tuple(range(8_000, 16_001, 1_000))


async def test_it_writes_only_what_differs(driver: RegisterFilter, device: Any) -> None:
    await driver.apply(8_000.0)
    assert device.writes == []
    await driver.apply(12_000.0)
    assert device.writes == [(CARRIER, [12_000])]
    assert await driver.read() == 12_000.0


async def test_a_value_beside_the_steps_is_never_written(driver: RegisterFilter, device: Any) -> None:
    for value in (7_000.0, 8_500.0, 17_000.0, float("nan")):
        with pytest.raises(DeviceError, match=r"no step of 8000\.\.16000 by 1000"):
            await driver.apply(value)
    assert device.writes == []


async def test_a_device_that_keeps_its_own_value_refuses(driver: RegisterFilter, device: Any) -> None:
    device.after_write = lambda address, values: device.tables[Table.HOLDING].__setitem__(CARRIER, 8_000)
    with pytest.raises(DeviceError, match="written as 9000 and reads 8000; does the device allow remote setting"):
        await driver.apply(9_000.0)


async def test_another_device_is_not_commanded(driver: RegisterFilter, device: Any) -> None:
    device.tables[Table.HOLDING][MAP.identity[0].address] = 1
    with pytest.raises(DeviceError, match=r"no v2g-filter.*check inverter.harmonic_filter.map"):
        await driver.apply(9_000.0)
    assert device.writes == []


async def test_a_temperature_that_no_switch_has_is_unknown(driver: RegisterFilter, device: Any) -> None:
    device.tables[Table.HOLDING][MAP.points["switch_temperature_c"].address] = 0x7FFF
    assert await driver.temperature_c() is None


async def test_a_vendors_level_by_a_scaled_register(registers: Any, memory_link: Any, tmp_path: Path) -> None:
    driver = RegisterFilter(memory_link(registers), other_map(tmp_path, LEVEL.replace("level", "filter_level", 1)))
    assert driver.unit == ""
    for step in driver.steps:
        await driver.apply(step)
        assert await driver.read() == step
    assert [values for _, values in registers.writes] == [[3], [5], [7], [9]]
    assert await driver.temperature_c() is None


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (LEVEL, "has none"),
        (
            "carrier_hz: {table: holding, address: 0, access: rw, min: 1, max: 2, step: 1}, "
            + LEVEL.replace("level", "filter_level", 1).replace("address: 7", "address: 1"),
            "has both",
        ),
        ("carrier_hz: {table: holding, address: 0, min: 1, max: 2, step: 1}", "access rw"),
        ("carrier_hz: {table: holding, address: 0, access: rw, min: 1, max: 2}", "needs min"),
        ("carrier_hz: {table: holding, address: 0, access: rw, min: 2, max: 2, step: 1}", "no two steps"),
        ("carrier_hz: {table: holding, address: 0, access: rw, min: 2, max: 3, step: -1}", "a step is above 0"),
        ("carrier_hz: {table: holding, address: 0, access: rw, min: 2, max: .inf, step: 1}", "are finite"),
        ("carrier_hz: {table: holding, address: 0, access: rw, min: 0, max: 900, step: 1}", "more than 64"),
        ("carrier_hz: {table: holding, address: 0, access: rw, min: 0, max: 90000, step: 10000}", "does not fit"),
        ("carrier_hz: {table: holding, address: 0, access: rw, scale: 10, min: 0, max: 20, step: 1}", "finer"),
    ],
)
def test_a_map_that_cannot_be_a_filter_is_refused(
    points: str, reason: str, registers: Any, memory_link: Any, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match=reason):
        RegisterFilter(memory_link(registers), other_map(tmp_path, points))
