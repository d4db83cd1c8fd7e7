"""The driver's shell around stations: ports that fail, pilots that are old, the firewall, whoever connects."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from support.plc_modem import QUALCOMM, Modem
from v2g.clock import SystemClock
from v2g.config.schema_plc import EvsePlc, Plc
from v2g.control.messages_plc import PlcState
from v2g.hardware.ethernet_port import PortCounters, PortError
from v2g.hardware.ports import PilotState
from v2g.host.notify import Notifier
from v2g.plc import driver as driver_module
from v2g.plc.driver import Driver, simulated_mac
from v2g.plc.link import EvsePilot, Pilots
from v2g.plc.link_client import PlcClient
from v2g.plc.station import StationConfig

E1, E2 = "US*V2G*E1", "US*V2G*E2"


class FakePort:
    """A modem behind it answers at once. ``problem``: why it cannot be opened."""

    def __init__(self, interface: str, address: str, mac: bytes) -> None:
        self.counters = PortCounters()
        self.mac = mac
        self.modem = Modem(QUALCOMM)
        self.problem = ""
        self.starts = 0
        self.open = False
        self.on_frame: Callable[[bytes], None] = lambda data: None
        self.on_lost: Callable[[str], None] = lambda reason: None

    def send(self, data: bytes) -> None:
        frame = decode_frame(data)
        for answer in self.modem.answer(frame.message, time.monotonic()):
            back = encode_frame(Frame(source=self.modem.mac, destination=self.mac, message=answer))
            asyncio.get_running_loop().call_soon(self._hear, back)

    def _hear(self, data: bytes) -> None:
        if self.open:
            self.on_frame(data)

    async def start(self, on_frame: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self.starts += 1
        if self.problem:
            raise PortError(self.problem)
        self.on_frame, self.on_lost, self.open = on_frame, on_lost, True

    def close(self) -> None:
        self.open = False


class NoFirewall:
    def admit(self, interface: str, mac: str, for_s: float) -> None: ...

    def withdraw(self, interface: str, mac: str) -> None: ...


class Bench:
    def __init__(self, folder: Path) -> None:
        self.ports: dict[str, FakePort] = {}
        self.sock = folder / "plc.sock"
        self.stop = asyncio.Event()
        stations = [
            StationConfig(evse_id=name, interface=f"evse{at}", plc=EvsePlc(reset_modem=False), site=Plc())
            for at, name in enumerate((E1, E2), 1)
        ]
        self.driver = Driver(
            stations,
            self.sock,
            uids={0, os.getuid()},
            plc_sets={"evse1": "plc_macs_evse1"},
            firewall=NoFirewall(),
            clock=SystemClock(),
            notifier=Notifier({}),
            random=random.Random(3).randbytes,
            make_port=self._port,
        )
        self.client = PlcClient(self.sock)
        self.task: asyncio.Task[None] | None = None

    def _port(self, interface: str, address: str, mac: bytes) -> FakePort:
        return self.ports.setdefault(interface, FakePort(interface, address, mac))

    async def start(self) -> None:
        self.task = asyncio.create_task(self.driver.run(self.stop))
        await self.client.start()

    async def end(self) -> None:
        self.stop.set()
        await self.client.close()
        if self.task is not None:
            await self.task

    def state(self, evse_id: str) -> PlcState | None:
        line = self.client.lines.get(evse_id)
        return line.state if line is not None else None

    def pilots(self, state: PilotState | None, age_s: float = 0.0, *names: str) -> None:
        pilots = tuple(EvsePilot(evse_id=name, state=state) for name in names or (E1,))
        assert self.client.send(Pilots(as_of_s=time.monotonic() - age_s, pilots=pilots))


async def until(condition: Callable[[], object], within_s: float = 3.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(driver_module, "_PERIOD_S", 0.005)
    monkeypatch.setattr(driver_module, "_RETRY_FIRST_S", 0.01)
    bench = Bench(tmp_path)
    for link in bench.driver._links.values():
        link.retry_s = 0.01
    yield bench
    await bench.end()


async def test_whoever_connects_gets_all_links_at_once_and_changes_as_they_come(bench: Bench) -> None:
    await bench.start()
    await until(lambda: bench.state(E1) is PlcState.FREE and bench.state(E2) is PlcState.FREE)
    bench.pilots(PilotState.B)
    await until(lambda: bench.state(E1) is PlcState.WAITING)
    assert bench.state(E2) is PlcState.FREE


async def test_a_port_that_cannot_be_opened_is_told_tried_again_and_keeps_no_other_back(bench: Bench) -> None:
    bench.ports["evse1"].problem = "there is no interface evse1"
    await bench.start()
    await until(lambda: bench.state(E2) is PlcState.FREE)
    await until(lambda: bench.ports["evse1"].starts >= 3)
    line = bench.client.lines[E1]
    assert (line.state, line.problem) == (PlcState.NO_MODEM, "there is no interface evse1; tried again by itself")
    bench.ports["evse1"].problem = ""
    await until(lambda: bench.state(E1) is PlcState.FREE)


async def test_a_port_that_is_lost_is_opened_again(bench: Bench) -> None:
    await bench.start()
    await until(lambda: bench.state(E1) is PlcState.FREE)
    bench.ports["evse1"].problem = "interface evse1 is down: ip link set evse1 up"
    bench.ports["evse1"].close()
    bench.ports["evse1"].on_lost("interface evse1 is down: ip link set evse1 up")
    await until(lambda: bench.state(E1) is PlcState.NO_MODEM)
    bench.ports["evse1"].problem = ""
    await until(lambda: bench.state(E1) is PlcState.FREE)


async def test_pilots_that_are_old_when_they_come_are_not_used(bench: Bench) -> None:
    await bench.start()
    await until(lambda: bench.state(E1) is PlcState.FREE)
    bench.pilots(PilotState.B, 1.5)
    bench.pilots(PilotState.B, 0.0, E2)
    await until(lambda: bench.state(E2) is PlcState.WAITING)
    assert bench.state(E1) is PlcState.FREE


async def test_an_evse_that_is_not_named_any_more_has_an_unknown_pilot(bench: Bench) -> None:
    await bench.start()
    await until(lambda: bench.state(E1) is PlcState.FREE)
    bench.pilots(PilotState.B, 0.0, E1, E2)
    await until(lambda: bench.state(E2) is PlcState.WAITING)
    bench.pilots(PilotState.B, 0.0, E1)
    await until(lambda: bench.state(E2) is PlcState.FREE)
    assert bench.state(E1) is PlcState.WAITING


async def test_pilots_of_unknown_evses_change_nothing(bench: Bench) -> None:
    await bench.start()
    await until(lambda: bench.state(E1) is PlcState.FREE)
    bench.pilots(PilotState.B, 0.0, "US*V2G*E9")
    bench.pilots(PilotState.B, 0.0, E1)
    await until(lambda: bench.state(E1) is PlcState.WAITING)


async def test_the_end_gives_both_modems_another_key(bench: Bench) -> None:
    await bench.start()
    await until(lambda: bench.state(E1) is PlcState.FREE and bench.state(E2) is PlcState.FREE)
    before = [port.modem.nmk for port in bench.ports.values()]
    bench.stop.set()
    assert bench.task is not None
    await asyncio.wait_for(bench.task, 2.0)
    after = [port.modem.nmk for port in bench.ports.values()]
    assert not set(before) & set(after)
    assert not any(port.open for port in bench.ports.values())
    assert not bench.sock.exists()


async def test_a_modem_that_is_deaf_at_the_end_holds_it_up_for_a_second_at_most(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "STOP_WITHIN_S", 0.1)
    await bench.start()
    await until(lambda: bench.state(E1) is PlcState.FREE)
    bench.ports["evse1"].modem.on = False
    bench.stop.set()
    assert bench.task is not None
    began = time.monotonic()
    await asyncio.wait_for(bench.task, 2.0)
    assert time.monotonic() - began < 1.0


def test_a_simulated_lines_address_is_its_evses_own_and_always_the_same() -> None:
    assert simulated_mac(E1) == simulated_mac(E1) != simulated_mac(E2)
    assert (len(simulated_mac(E1)), simulated_mac(E1)[0]) == (6, 2)
