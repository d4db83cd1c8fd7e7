"""Hosts at the datagram sockets of a simulated powerline."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from v2g.hardware.ethernet_port import DatagramPort
from v2g.simulation.powerline_config import StationConfig
from v2g.simulation.powerline_ports import TapPort, UnixPort, VethPort, port_of

MAC = bytes((2, 0, 0, 0, 0, 1))
FRAME = bytes(range(60))


class Rig:
    """The port of a station, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "line"
        self.frames: list[tuple[str, bytes]] = []
        self.hellos: list[tuple[str, bytes, bool]] = []
        self.port = UnixPort(
            "s1",
            self.path,
            lambda name, data: self.frames.append((name, data)),
            lambda name, mac, plugged: self.hellos.append((name, mac, plugged)),
        )
        self.port.start()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, as the names of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="v2g") as name:
        yield Path(name)


@pytest.fixture
async def rig(folder: Path) -> AsyncIterator[Rig]:
    made = Rig(folder)
    yield made
    made.port.close()


class Client:
    """A host by a socket of its own, which reads when it is told to."""

    def __init__(self, rig: Rig, name: str = "host") -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(rig.path.with_name(name)))
        self.socket.connect(str(rig.path))

    def say(self, data: bytes) -> None:
        self.socket.send(data)

    def hello(self, **words: object) -> None:
        self.say(json.dumps({"mac": MAC.hex(":"), **words}).encode())

    def read(self) -> list[bytes]:
        got = []
        try:
            while True:
                got.append(self.socket.recv(2048))
        except BlockingIOError:
            return got


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_driver_s_port_says_hello_and_frames_go_both_ways(rig: Rig) -> None:
    got: list[bytes] = []
    port = DatagramPort(f"unix:{rig.path}", MAC)
    await port.start(got.append, lambda reason: None)
    port.send(FRAME)
    await settled()
    assert rig.hellos == [("s1", MAC, True)]
    assert rig.frames == [("s1", FRAME)]
    rig.port.send(FRAME[::-1])
    await settled()
    assert got == [FRAME[::-1]]
    port.close()


async def test_nothing_is_taken_from_a_host_before_its_hello_nor_beside_the_one_that_said_it(rig: Rig) -> None:
    first, second = Client(rig, "first"), Client(rig, "second")
    first.say(FRAME)
    await settled()
    assert rig.frames == []
    first.hello()
    second.say(FRAME)
    first.say(FRAME)
    await settled()
    assert rig.frames == [("s1", FRAME)]
    second.hello(plugged=False)
    second.say(FRAME)
    first.say(FRAME)
    await settled()
    assert len(rig.frames) == 2
    assert rig.hellos[-1] == ("s1", MAC, False)


@pytest.mark.parametrize(
    "words", [b'{"', b'{"mac": 7}', b'{"mac": "nobody"}', b'{"mac": "02:00:00:00:00:01"', b'{"plugged": true}']
)
async def test_a_hello_that_cannot_be_read_makes_nobody_the_host(rig: Rig, words: bytes) -> None:
    client = Client(rig)
    client.say(words)
    client.say(FRAME)
    await settled()
    assert (rig.hellos, rig.frames) == ([], [])


async def test_what_comes_at_once_reaches_a_host_that_reads_later(rig: Rig) -> None:
    client = Client(rig)
    client.hello()
    await settled()
    sent = [bytes((at,)) * 60 for at in range(100)]
    for data in sent:
        rig.port.send(data)
    assert client.read() == sent


async def test_a_host_that_does_not_read_holds_nobody_up(rig: Rig) -> None:
    client = Client(rig)
    client.hello()
    await settled()
    for _ in range(5000):
        rig.port.send(FRAME)
    assert 100 <= len(client.read()) < 5000
    rig.port.send(FRAME[::-1])
    assert client.read() == [FRAME[::-1]]


async def test_a_host_that_is_gone_costs_nothing(rig: Rig) -> None:
    client = Client(rig)
    client.hello()
    await settled()
    client.socket.close()
    for _ in range(10):
        rig.port.send(FRAME)
    again = Client(rig, "again")
    again.hello()
    await settled()
    rig.port.send(FRAME)
    assert again.read() == [FRAME]


async def test_its_socket_is_the_owner_s_alone_and_goes_with_it(folder: Path) -> None:
    rig = Rig(folder)
    assert rig.path.stat().st_mode & 0o777 == 0o600
    rig.port.close()
    assert not rig.path.exists()
    rig.port.send(FRAME)
    rig.port.close()


async def test_a_socket_that_a_dead_process_left_is_replaced(folder: Path) -> None:
    (folder / "line").touch()
    rig = Rig(folder)
    Client(rig).hello()
    await settled()
    assert len(rig.hellos) == 1
    rig.port.close()


def test_each_kind_of_port_has_its_own_class() -> None:
    kinds = {}
    for kind in ("unix", "tap", "veth"):
        config = StationConfig(name="s", kind=kind, address="x", modem_mac="02:00:00:00:00:01")
        kinds[kind] = type(port_of(config, lambda name, data: None, lambda name, mac, plugged: None))
    assert kinds == {"unix": UnixPort, "tap": TapPort, "veth": VethPort}
