"""The orchestrator's end of plc.sock: drivers that come, go, restart, fall silent or talk nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from support.plc_driver import FakePlcDriver
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.hardware.ports import PilotState
from v2g.host.framing import frame
from v2g.plc.link import EvsePilot, Pilots, PlcAlive, PlcChange, PlcImage
from v2g.plc.link_client import NO_WORD, PlcClient

E1 = "US*V2G*E1"
UP = PlcLine(evse_id=E1, interface="evse1", state=PlcState.LINKED, vehicle_mac="02:00:00:00:00:01")
DOWN = msgspec.structs.replace(UP, state=PlcState.FREE, vehicle_mac=None)
PILOTS = Pilots(as_of_s=1.0, pilots=(EvsePilot(evse_id=E1, state=PilotState.B, toggles=3),))


async def until(condition: Callable[[], object], within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FakePlcDriver]:
    driver = FakePlcDriver(tmp_path / "plc.sock")
    await driver.start()
    yield driver
    await driver.close()


@pytest.fixture
async def client(driver: FakePlcDriver) -> AsyncIterator[PlcClient]:
    client = PlcClient(driver.path)
    assert not client.send(PILOTS)
    await client.start()
    await until(lambda: driver.connections == 1 and client.connected)
    yield client
    await client.close()


async def test_lines_come_in_and_pilots_go_out(driver: FakePlcDriver, client: PlcClient) -> None:
    assert (client.lines, client.as_of_s) == ({}, None)
    driver.say(PlcImage(as_of_s=5.0, lines=(UP,)))
    await until(lambda: client.lines)
    assert client.lines == {E1: UP}
    assert client.silent(5.9) == ""
    driver.say(PlcChange(as_of_s=6.0, lines=(DOWN,)), PlcAlive(as_of_s=6.2))
    await until(lambda: client.as_of_s == 6.2)
    assert client.lines == {E1: DOWN}
    assert client.send(PILOTS)
    await until(lambda: driver.got)
    assert driver.got == [PILOTS]


async def test_a_driver_that_is_connected_and_says_nothing_is_silent(driver: FakePlcDriver, client: PlcClient) -> None:
    assert client.silent(0.0) == "kplc-driver is connected and silent; see systemctl status kplc-driver"
    driver.say(PlcImage(as_of_s=5.0, lines=(UP,)))
    await until(lambda: client.lines)
    assert client.silent(6.1).startswith("kplc-driver is connected and silent")


async def test_a_driver_that_restarts_is_found_again_and_counts_from_its_first_whole_image(
    driver: FakePlcDriver, client: PlcClient
) -> None:
    driver.say(PlcImage(as_of_s=5.0, lines=(UP,)))
    await until(lambda: client.lines)
    driver.hang_up()
    await until(lambda: driver.connections == 2 and client.connected)
    driver.say(PlcAlive(as_of_s=9.0), PlcChange(as_of_s=9.0, lines=(UP,)), PlcImage(as_of_s=9.1, lines=(DOWN,)))
    await until(lambda: client.as_of_s == 9.1)
    assert client.lines == {E1: DOWN}


@pytest.mark.parametrize(
    "garbage",
    [
        bytes(4),
        b"\xff\xff\xff\xff",
        frame(b"\xc1"),
        frame(msgspec.msgpack.encode({"type": "Nonsense"})),
        frame(msgspec.msgpack.encode({"type": "PlcAlive", "as_of_s": "soon"})),
        frame(msgspec.msgpack.encode({"type": "PlcImage", "as_of_s": 7.0, "lines": [{"evse_id": E1}]})),
    ],
)
async def test_nonsense_ends_the_connection_and_not_the_client(
    driver: FakePlcDriver, client: PlcClient, garbage: bytes
) -> None:
    driver.say(PlcImage(as_of_s=5.0, lines=(UP,)))
    await until(lambda: client.lines)
    driver.write(garbage)
    await until(lambda: driver.connections == 2)
    assert client.as_of_s == 5.0
    driver.say(PlcImage(as_of_s=8.0, lines=(DOWN,)))
    await until(lambda: client.as_of_s == 8.0)


async def test_a_driver_that_is_not_there_is_told_with_the_place_and_the_remedy(tmp_path: Path) -> None:
    client = PlcClient(tmp_path / "plc.sock")
    assert NO_WORD in client.silent(0.0)
    await client.start()
    await until(lambda: "cannot be reached" in client.silent(0.0))
    assert str(tmp_path / "plc.sock") in client.silent(0.0)
    assert "systemctl status kplc-driver" in client.silent(0.0)
    await client.close()


async def test_a_driver_that_does_not_read_is_not_waited_for(driver: FakePlcDriver, client: PlcClient) -> None:
    assert driver.writer is not None
    driver.writer.transport.pause_reading()  # type: ignore[attr-defined]
    many = Pilots(as_of_s=1.0, pilots=tuple(EvsePilot(evse_id=E1 * 20, state=None) for _ in range(200)))
    for _ in range(200):
        if not client.send(many):
            return
    raise AssertionError("what was not read was kept without end")
