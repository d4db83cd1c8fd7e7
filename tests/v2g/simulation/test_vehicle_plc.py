"""A vehicle's end of a powerline: its port comes and goes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from v2g.clock import SystemClock
from v2g.hardware.ethernet_port import DatagramPort, OnFrame, OnLost, PortCounters, PortError
from v2g.simulation import vehicle_plc
from v2g.simulation.powerline_ports import UnixPort
from v2g.simulation.vehicle_plc import PowerlinePlug

MAC = bytes((2, 0, 0, 0, 2, 1))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vehicle_plc, "_AGAIN_S", 0.001)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as the names of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="v2g") as name:
        yield Path(name)


class Port:
    """Opens at the third attempt."""

    mac = MAC

    def __init__(self) -> None:
        self.counters = PortCounters()
        self.attempts = 0
        self.sent: list[bytes] = []
        self.open = False
        self.lose: OnLost = lambda reason: None

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def start(self, on_frame: OnFrame, on_lost: OnLost) -> None:
        self.attempts += 1
        if self.attempts < 3:
            raise PortError(f"attempt {self.attempts}: no modem")
        self.open, self.lose = True, on_lost

    def close(self) -> None:
        self.open = False


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.001)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_port_that_cannot_be_opened_is_told_and_tried_again_and_so_is_one_that_is_lost() -> None:
    port, said = Port(), []
    plug = PowerlinePlug(port, SystemClock(), said.append, said.append)
    running = asyncio.create_task(plug.run())
    await until(lambda: port.sent)
    assert said == ["attempt 1: no modem", "attempt 2: no modem"]
    port.lose("the interface is gone")
    await until(lambda: port.attempts == 4)
    assert said[2:] == ["the interface is gone"], "a link that never was is not lost"
    await ended(running)
    assert not port.open
    sent = len(port.sent)
    await asyncio.sleep(0.35)
    assert len(port.sent) == sent, "its machines ask nobody any more"


async def test_the_line_is_told_when_the_plug_comes_out(folder: Path) -> None:
    hellos: list[bool] = []
    line = UnixPort("s", folder / "line", lambda name, data: None, lambda name, mac, plugged: hellos.append(plugged))
    line.start()
    plug = PowerlinePlug(DatagramPort(f"unix:{folder / 'line'}", MAC), SystemClock(), print, print)
    running = asyncio.create_task(plug.run())
    await until(lambda: hellos == [True])
    await ended(running)
    await until(lambda: hellos == [True, False])
    line.close()
