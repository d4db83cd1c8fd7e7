"""Ports for raw frames: the simulated line's datagrams; a packet socket in a network namespace of its own."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from v2g.hardware.ethernet_port import FRAMES_PER_TURN, DatagramPort, PacketPort, PortError, frame_port

MAC = bytes.fromhex("020000000001")
FRAME = MAC + bytes.fromhex("0200000000ff") + b"\x88\xe1" + b"\x01\x00\xa0" + bytes(43)
TESTS = Path(__file__).resolve().parents[2]


class Line:
    """The other end: a datagram socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(2.0)

    def hello(self) -> tuple[dict[str, str], str]:
        data, peer = self.socket.recvfrom(2000)
        return json.loads(data), peer


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path / "line")


class Host:
    def __init__(self, path: Path) -> None:
        self.port = DatagramPort(f"unix:{path}", MAC)
        self.frames: list[bytes] = []
        self.lost: list[str] = []

    async def start(self) -> None:
        await self.port.start(self.frames.append, self.lost.append)


@pytest.fixture
async def host(line: Line) -> AsyncIterator[Host]:
    host = Host(line.path)
    await host.start()
    yield host
    host.port.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(2.0):
        while not condition():
            await asyncio.sleep(0.001)


async def test_it_says_whose_it_is_first_and_then_only_frames(line: Line, host: Host) -> None:
    hello, peer = line.hello()
    assert hello == {"mac": "02:00:00:00:00:01"}
    assert peer.startswith(f"{line.path}.{os.getpid()}.")
    host.port.send(FRAME)
    assert line.socket.recv(2000) == FRAME
    line.socket.sendto(FRAME, peer)
    await until(lambda: host.frames)
    assert host.frames == [FRAME]
    assert (host.port.counters.sent, host.port.counters.received) == (1, 1)


async def test_its_own_end_is_removed_with_it(line: Line, host: Host) -> None:
    _, peer = line.hello()
    assert Path(peer).exists()
    host.port.close()
    assert not Path(peer).exists()
    host.port.send(FRAME)
    assert host.port.counters.unsent == 1


async def test_a_line_that_is_not_there_is_named_with_a_remedy(tmp_path: Path) -> None:
    host = Host(tmp_path / "none")
    with pytest.raises(PortError, match=r"/none: No such file or directory; does the simulated powerline run\?"):
        await host.start()
    assert list(tmp_path.iterdir()) == []


async def test_a_path_that_the_kernel_does_not_take_is_named(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="longer than 107 bytes"):
        await DatagramPort(f"unix:{tmp_path / ('x' * 100)}", MAC).start(lambda data: None, lambda reason: None)


async def test_a_line_that_goes_is_told_once_and_can_be_opened_again(line: Line, host: Host) -> None:
    line.hello()
    line.socket.close()
    line.path.unlink()
    for _ in range(3):
        host.port.send(FRAME)
    assert host.lost == []
    await until(lambda: host.lost)
    await asyncio.sleep(0)
    assert len(host.lost) == 1
    again = Line(line.path)
    await host.start()
    again.hello()
    _, peer = host.port.send(FRAME), again.socket.recv(2000)
    assert peer == FRAME


async def test_only_so_many_frames_are_read_in_one_turn(
    line: Line, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, peer = line.hello()
    turns: list[int] = []

    def count() -> None:
        turns.append(len(host.frames))
        if len(host.frames) < 200:
            asyncio.get_running_loop().call_soon(count)

    def flood() -> None:
        for _ in range(200):
            line.socket.sendto(FRAME, peer)

    flooding = asyncio.create_task(asyncio.to_thread(flood))
    await asyncio.sleep(0.02)
    count()
    await until(lambda: len(host.frames) == 200)
    await flooding
    steps = [after - before for before, after in itertools.pairwise(turns)]
    assert max(steps, default=0) <= FRAMES_PER_TURN


async def test_what_is_no_frame_is_counted_and_dropped(line: Line, host: Host) -> None:
    _, peer = line.hello()
    line.socket.sendto(b"short", peer)
    line.socket.sendto(bytes(2000), peer)
    line.socket.sendto(FRAME, peer)
    await until(lambda: host.frames)
    assert host.frames == [FRAME]
    assert host.port.counters.dropped == 2


async def test_a_reader_that_closes_the_port_gets_nothing_more(line: Line) -> None:
    port = DatagramPort(f"unix:{line.path}", MAC)
    got: list[bytes] = []

    def once(data: bytes) -> None:
        got.append(data)
        port.close()

    await port.start(once, lambda reason: None)
    _, peer = line.hello()
    for _ in range(3):
        line.socket.sendto(FRAME, peer)
    await until(lambda: got)
    await asyncio.sleep(0.01)
    assert len(got) == 1


async def test_who_else_knows_the_path_of_our_end_is_not_heard(line: Line, host: Host) -> None:
    _, peer = line.hello()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger, pytest.raises(OSError) as refused:
        stranger.sendto(FRAME, peer)
    assert refused.value.errno == errno.EPERM


async def test_an_interface_that_is_not_there_is_named_with_a_remedy() -> None:
    port = PacketPort("v2gnone0")
    with pytest.raises(PortError) as refused:
        await port.start(lambda data: None, lambda reason: None)
    assert str(refused.value).startswith(("there is no interface v2gnone0", "v2gnone0: raw Ethernet is not allowed"))


def test_the_kind_of_port_follows_its_address() -> None:
    assert isinstance(frame_port("evse1", "", MAC), PacketPort)
    found = frame_port("lo", "unix:/run/v2g/line", MAC)
    assert isinstance(found, DatagramPort)
    assert found.mac == MAC


@pytest.mark.interop
def test_a_packet_socket_among_real_frames() -> None:
    """In a namespace of its own: plain and tagged frames, other kinds, too long ones, an interface that goes."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and ip")
    namespace = f"v2geth{os.getpid() % 100_000}"
    made = subprocess.run(("ip", "netns", "add", namespace), capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
    try:
        done = subprocess.run(
            ("ip", "netns", "exec", namespace, sys.executable, "-m", "support.ethernet_probe"),
            capture_output=True,
            text=True,
            timeout=60.0,
            check=False,
            cwd=TESTS,
        )
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
    finally:
        subprocess.run(("ip", "netns", "del", namespace), check=False)
    assert seen["mac"] == "02:00:00:00:00:0a"
    assert seen["plain"] == [seen["sent"]["plain"]]
    assert seen["tagged"] == [seen["sent"]["tagged"].replace("81002005", "")]
    assert seen["priority"] == [seen["sent"]["priority"].replace("8100e000", "")]
    assert seen["other kind"] == []
    assert seen["own"] == []
    assert seen["arrived at the other end"] is True
    assert seen["flood"]["received"] + seen["flood"]["dropped"] == 20_000
    assert seen["flood"]["most in a turn"] <= FRAMES_PER_TURN
    assert seen["down"] == "interface v2ga is down: ip link set v2ga up"
    assert seen["start while down"] == "interface v2ga is down: ip link set v2ga up"
    assert seen["after up"] == 1
    assert seen["gone"].startswith(("there is no interface v2ga", "interface v2ga is down"))
    assert seen["loopback"] == "lo is no Ethernet interface; name the one that the powerline modem is at"
