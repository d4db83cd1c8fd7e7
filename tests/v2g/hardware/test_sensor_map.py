"""sensor_map.conf and the transducers that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.hardware.modbus import ModbusEndpoint
from v2g.hardware.ports import DeviceError, Quantity
from v2g.hardware.registers import RegisterType, Table, WordOrder
from v2g.hardware.sensor_map import SensorMapError, load_sensor_map, parse_sensor_map
from v2g.hardware.transducers import ModbusTransducers, by_device

GOOD = """
[top_oil_c]
source = modbus
host = 10.0.0.7     ; gateway
port = 1502
unit = 3
table = holding
register = 0x10
type = float32
word_order = little
scale = 0.1
offset = -5
min = -40
max = 150
max_age_s = 2.5

[ambient_c]
source = modbus
host = 10.0.0.7
port = 1502
unit = 3
register = 4
min = -50
max = 70
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SensorMapError) as caught:
        parse_sensor_map(text, "sensor_map.conf")
    return [str(problem) for problem in caught.value.problems]


def test_every_key_is_understood() -> None:
    oil, ambient = parse_sensor_map(GOOD)
    assert oil.quantity is Quantity.TOP_OIL_C
    assert oil.endpoint == ModbusEndpoint("10.0.0.7", 1502, 3)
    assert (oil.table, oil.register, oil.type, oil.word_order) == (
        Table.HOLDING, 16, RegisterType.FLOAT32, WordOrder.LITTLE,
    )  # fmt: skip
    assert (oil.scale, oil.offset, oil.minimum, oil.maximum, oil.max_age_s) == (0.1, -5.0, -40.0, 150.0, 2.5)
    assert (ambient.table, ambient.type, ambient.scale, ambient.max_age_s) == (
        Table.INPUT,
        RegisterType.INT16,
        1.0,
        5.0,
    )
    assert by_device((oil, ambient)) == {oil.endpoint: (oil, ambient)}


def test_the_shipped_example_is_valid() -> None:
    path = Path(__file__).resolve().parents[3] / "etc" / "v2g" / "sensor_map.conf"
    assert {sensor.quantity for sensor in load_sensor_map(path)} == {Quantity.TOP_OIL_C, Quantity.AMBIENT_C}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[top_oil_c]", "[oil]"), "[oil]: unknown quantity; known are top_oil_c, ambient_c, winding_c"),
        (("source = modbus", "source = rs485"), "[top_oil_c] source: 'rs485'; wanted is one of modbus"),
        (("port = 1502", "port = 99999"), "[top_oil_c] port: 99999 is not within 1..65535"),
        (("scale = 0.1", "scale = 0.1 K"), "[top_oil_c] scale: '0.1 K' is not a number; the unit belongs"),
        (("scale = 0.1", "scale = nan"), "[top_oil_c] scale: nan is not within"),
        (("scale = 0.1", "scale = 0"), "[top_oil_c] scale: 0 would turn every value into the offset"),
        (("type = float32", "type = real"), "[top_oil_c] type: 'real'; wanted is one of int16"),
        (("table = holding", "tabel = holding"), "[top_oil_c] tabel: unknown key; known are source"),
        (("max = 150", "max = -41"), "[top_oil_c] min: -40 is not below max (-41)"),
        (("min = -40\n", ""), "[top_oil_c] min: missing"),
        (("register = 0x10", "register = 65535"), "[top_oil_c] register: 65535 is not within 0..65534"),
    ],
)
def test_a_mistake_is_told_with_file_section_key_and_reason(change: tuple[str, str], said: str) -> None:
    (problem,) = problems(GOOD.replace(*change, 1))
    assert problem.startswith(f"sensor_map.conf: {said}")


def test_all_mistakes_are_told_at_once() -> None:
    assert len(problems(GOOD.replace("host = 10.0.0.7", "hots = 10.0.0.7").replace("max = 70", "max = hot"))) >= 5


@pytest.mark.parametrize(
    "text", ["top_oil_c = 5", "[top_oil_c]\nsource = modbus\n[top_oil_c]\n", "[top_oil_c]\nhost\n", "[unclosed\n"]
)
def test_what_is_no_ini_file_is_told_with_its_name(text: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith("sensor_map.conf: ")


def test_a_missing_or_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SensorMapError, match=r"none\.conf: No such file"):
        load_sensor_map(tmp_path / "none.conf")
    (tmp_path / "binary.conf").write_bytes(b"\xff\xfe\0")
    with pytest.raises(SensorMapError, match=r"binary\.conf: "):
        load_sensor_map(tmp_path / "binary.conf")


def transducers(registers: Any, memory_link: Any, clock: ManualClock) -> tuple[ModbusTransducers, Any]:
    text = GOOD.replace("type = float32", "type = int16")
    link = memory_link(registers)
    registers.tables[Table.HOLDING][16] = 650
    registers.tables[Table.INPUT][4] = 21
    return ModbusTransducers(link, parse_sensor_map(text), clock), link


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
    assert "top_oil_c reads 3271.7, outside -40..150" in device.dropped[Quantity.TOP_OIL_C]
    registers.tables[Table.HOLDING][16] = 650
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
