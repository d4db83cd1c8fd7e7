"""How a simulated device misbehaves, and what the connection of the guard makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import pytest

from v2g.clock import SystemClock
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.simulation.modbus_device import ModbusDevice

TIMING = LinkTiming(request_timeout_s=5.0, connect_timeout_s=5.0, backoff_first_s=0.0)


class Counting:
    """Two registers as one value that goes from 0x0000FFFF to 0x00010000 and back."""

    def __init__(self) -> None:
        self.renders = 0

    def span(self, table: Table) -> tuple[int, int]:
        return 0, 8

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        self.renders += 1
        return ([0, 0xFFFF] if self.renders % 2 else [1, 0]) * 4

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        return True

    def point_names(self) -> tuple[str, ...]:
        return ()


@pytest.fixture
async def device(unused_tcp_port: int) -> AsyncIterator[ModbusDevice]:
    made = ModbusDevice("device", "127.0.0.1", unused_tcp_port, Counting(), SystemClock())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def link(device: ModbusDevice) -> AsyncIterator[ModbusLink]:
    made = ModbusLink("X", ModbusEndpoint("127.0.0.1", device.port, 7), SystemClock(), lambda: 0.0, TIMING)
    yield made
    await made.close()


@pytest.mark.parametrize("code", [1, 4, 6, 77])
async def test_it_refuses_reads_and_writes_with_any_code_and_does_not_obey(
    device: ModbusDevice, link: ModbusLink, code: int
) -> None:
    device.exception = code
    with pytest.raises(DeviceError, match=rf"exception {code}\)"):
        await link.read(Table.INPUT, 0, 2)
    with pytest.raises(DeviceError, match=rf"exception {code}\)"):
        await link.write(0, [1])
    assert device.writes == 0
    assert link.state.online
    device.heal()
    assert await link.read(Table.INPUT, 0, 2) == [0, 0xFFFF]


async def test_it_answers_as_another_unit(device: ModbusDevice, link: ModbusLink) -> None:
    device.other_unit = 99
    with pytest.raises(DeviceError, match="unit 99 answered instead of 7"):
        await link.read(Table.INPUT, 0, 2)
    with pytest.raises(DeviceError, match="unit 99 answered instead of 7"):
        await link.write(0, [1])
    device.heal()
    assert await link.read(Table.INPUT, 0, 2) == [1, 0]


@pytest.mark.parametrize(("by", "told"), [(-1, 1), (-9, 0), (1, 3)])
async def test_it_answers_with_another_length(device: ModbusDevice, link: ModbusLink, by: int, told: int) -> None:
    device.length_error = by
    with pytest.raises(DeviceError, match=f"answered with {told} registers"):
        await link.read(Table.INPUT, 0, 2)
    await link.write(0, [1])
    device.heal()
    assert await link.read(Table.INPUT, 0, 2) == [1, 0]


async def test_every_third_read_is_torn(device: ModbusDevice, link: ModbusLink) -> None:
    device.tear_every = 3
    seen = [tuple(await link.read(Table.INPUT, 0, 2)) for _ in range(6)]
    assert seen == [(0, 0xFFFF), (1, 0), (0, 0), (1, 0), (0, 0xFFFF), (1, 0xFFFF)]
    device.heal()
    assert await link.read(Table.INPUT, 0, 2) == [0, 0xFFFF]
