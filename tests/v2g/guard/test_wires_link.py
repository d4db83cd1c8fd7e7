"""wires.sock: frames in any split, one orchestrator at a time, peers that send garbage or do not read."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from v2g.guard import link_client
from v2g.guard.link import DeviceHealth, Image, Reload, Reloaded, Setpoints
from v2g.guard.link_client import WiresClient
from v2g.guard.wires_core import SetpointsRefused
from v2g.guard.wires_server import WiresServer, WiresSocketError
from v2g.host.framing import frame


class Site:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: list[Setpoints] = []
        self.peers = 0
        self.refuse = False
        self.refused = 0
        self.server = WiresServer(path, self.take, self.count, self.reload)
        self.changes: list[tuple[bool, str]] = []

    def reload(self, reload: Reload) -> None:
        self.server.answer(Reloaded(id=reload.id, accepted=False, message=f"no, {reload.by}"))

    def take(self, setpoints: Setpoints) -> None:
        if self.refuse:
            self.refused += 1
            raise SetpointsRefused("no")
        self.frames.append(setpoints)

    def count(self) -> None:
        self.peers += 1

    def client(self) -> WiresClient:
        return WiresClient(self.path, lambda connected, reason: self.changes.append((connected, reason)))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path / "wires.sock")
    await site.server.start()
    yield site
    await site.server.close()


async def until(condition: Callable[[], object], within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


def image(sequence: int, padding: int = 0) -> Image:
    devices = tuple(DeviceHealth(name="x" * 1000, address="y", online=True) for _ in range(padding))
    return Image(sequence=sequence, as_of_s=1.0, permit=True, permit_reason="GRANTED", devices=devices)


async def test_setpoints_go_in_and_images_come_out(site: Site) -> None:
    client = site.client()
    assert not client.send(Setpoints(sequence=0, sent_at_s=0.0))
    await client.start()
    await until(lambda: client.connected)
    assert client.image is None
    assert client.send(Setpoints(sequence=1, sent_at_s=5.0))
    await until(lambda: site.frames)
    assert site.frames == [Setpoints(sequence=1, sent_at_s=5.0)]
    site.server.publish(image(7))
    await until(lambda: client.image)
    assert client.image == image(7)
    assert stat.S_IMODE(site.path.stat().st_mode) == 0o660
    await client.close()
    await until(lambda: not site.server.connected)


async def test_another_user_is_not_let_in_and_displaces_nobody(tmp_path: Path) -> None:
    site = Site(tmp_path / "wires.sock")
    site.server = WiresServer(site.path, site.take, site.count, site.reload, uids={os.getuid() + 1})
    await site.server.start()
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    writer.write(frame(msgspec.msgpack.encode(Setpoints(sequence=1, sent_at_s=0.0))))
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 2.0) == b""
    writer.close()
    assert (site.peers, site.frames, site.server.connected) == (0, [], False)
    await site.server.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
async def test_to_be_let_in_by_the_sockets_mode_is_not_enough() -> None:
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as stranger:
        site = Site(Path(directory) / "wires.sock")
        site.path.parent.chmod(0o755)
        await site.server.start()
        site.path.chmod(0o666)
        os.seteuid(65534)
        try:
            stranger.connect(str(site.path))
        finally:
            os.seteuid(0)
        stranger.setblocking(False)
        async with asyncio.timeout(2.0):
            with contextlib.suppress(ConnectionError):
                assert await asyncio.get_running_loop().sock_recv(stranger, 1) == b""
        assert (site.peers, site.server.connected) == (0, False)
        await site.server.close()


async def test_a_wires_that_is_not_there_is_told_once_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_client, "_TELL_AFTER_S", 0.02)
    site = Site(tmp_path / "wires.sock")
    client = site.client()
    await client.start()
    await until(lambda: site.changes)
    await asyncio.sleep(0.3)
    assert site.changes == [(False, f"{site.path}: No such file or directory; is v2g-guard-wires running?")]
    site.path.touch()
    await until(lambda: len(site.changes) == 2)
    assert "Connection refused" in site.changes[1][1]
    site.path.unlink()
    await site.server.start()
    await until(lambda: client.connected)
    assert site.changes[2:] == [(True, "")]
    await client.close()
    await site.server.close()


async def test_the_client_comes_back_when_wires_does(site: Site, tmp_path: Path) -> None:
    client = site.client()
    await client.start()
    await until(lambda: client.connected and site.server.connected)
    site.server.publish(image(1))
    await until(lambda: client.image)
    await site.server.close()
    await until(lambda: not client.connected)
    assert client.image is None
    again = Site(site.path)
    await again.server.start()
    await until(lambda: client.connected)
    assert [connected for connected, _ in site.changes] == [True, False, True]
    await client.close()
    await again.server.close()


async def test_a_newer_orchestrator_replaces_the_older(site: Site) -> None:
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    await until(lambda: site.server.connected)
    client = site.client()
    await client.start()
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    await until(lambda: client.connected)
    client.send(Setpoints(sequence=1, sent_at_s=0.0))
    await until(lambda: site.frames)
    assert site.peers == 2
    writer.close()
    await client.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        frame(b"\xc1"),
        frame(msgspec.msgpack.encode({"type": "Setpoints", "sequence": "one", "sent_at_s": 1.0})),
        frame(msgspec.msgpack.encode(image(1))),
    ],
)
async def test_garbage_ends_its_connection_and_the_next_is_served(site: Site, garbage: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    writer.write(garbage)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 2.0) == b""
    writer.close()
    assert site.frames == []
    client = site.client()
    await client.start()
    await until(lambda: client.connected)
    client.send(Setpoints(sequence=1, sent_at_s=0.0))
    await until(lambda: site.frames)
    await client.close()


async def test_a_refused_frame_keeps_the_connection(site: Site) -> None:
    client = site.client()
    await client.start()
    await until(lambda: client.connected)
    site.refuse = True
    client.send(Setpoints(sequence=1, sent_at_s=0.0))
    await until(lambda: site.refused)
    site.refuse = False
    client.send(Setpoints(sequence=2, sent_at_s=0.0))
    await until(lambda: site.frames)
    assert site.frames[0].sequence == 2
    assert client.connected
    await client.close()


async def test_a_peer_that_does_not_read_is_given_up_without_piling_up(site: Site) -> None:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(site.path))
    await until(lambda: site.server.connected)
    for sequence in range(60):
        site.server.publish(image(sequence, padding=50))
        await asyncio.sleep(0)
    assert not site.server.connected
    peer.close()


async def test_a_second_wires_is_refused_while_the_first_runs(site: Site) -> None:
    second = Site(site.path)
    with pytest.raises(WiresSocketError, match="another v2g-guard wires serves"):
        await second.server.start()
    client = site.client()
    await client.start()
    await until(lambda: client.connected)
    await client.close()


async def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "wires.sock"))
    dead.close()
    site = Site(tmp_path / "wires.sock")
    await site.server.start()
    await site.server.close()


async def test_a_missing_run_directory_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path / "none" / "wires.sock")
    with pytest.raises(WiresSocketError, match="the run directory must exist"):
        await site.server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
async def test_a_lock_that_another_user_holds_in_our_directory_does_not_keep_us_from_serving(tmp_path: Path) -> None:
    lock = tmp_path / "wires.sock.lock"
    lock.touch()
    os.chown(lock, 54_321, -1)
    with lock.open() as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        site = Site(tmp_path / "wires.sock")
        await site.server.start()
        await site.server.close()


# ---- programs of different versions ---------------------------------------------------------------------------------


class _OtherImage(msgspec.Struct, tag="Image", frozen=True, kw_only=True):
    """What a later version might send: a field that we need has become another."""

    protocol: int = 2
    version: str = "0.9.0"
    as_of_unix_s: float = 0.0


class _OtherSetpoints(msgspec.Struct, tag="Setpoints", frozen=True, kw_only=True):
    protocol: int = 2
    sequence: int = 1
    sent_at_s: float = 0.0


@pytest.mark.parametrize("readable", [True, False])
async def test_an_image_of_another_protocol_is_not_used_and_both_are_named(site: Site, readable: bool) -> None:
    other = Image(protocol=2, version="0.9.0", sequence=1, as_of_s=0.0, permit=True, permit_reason="")
    client = site.client()
    await client.start()
    await until(lambda: site.server.connected)
    site.server._socket.publish(msgspec.msgpack.encode(other if readable else _OtherImage()))
    await until(lambda: any(not connected for connected, _ in site.changes))
    reason = next(reason for connected, reason in site.changes if not connected)
    assert "it speaks protocol 2 (version 0.9.0), and this 1" in reason
    assert "restart both" in reason
    assert client.image is None
    await client.close()


async def test_set_points_of_another_protocol_are_not_used_and_the_connection_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("v2g.guard.wires_server._tell", lambda news, text, fields: told.append(f"{news.name}: {text}"))
    path = site.path.with_name("other.sock")
    server = WiresServer(path, site.take, site.count, site.reload)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(frame(msgspec.msgpack.encode(_OtherSetpoints())))
    assert await asyncio.wait_for(reader.read(), 2.0) == b""
    writer.close()
    await server.close()
    assert site.frames == []
    assert any("GARBAGE" in line and "it speaks protocol 2, and this 1" in line for line in told), told


async def test_an_older_program_that_tells_no_protocol_is_of_the_first_one(site: Site) -> None:
    old = {"type": "Setpoints", "sequence": 1, "sent_at_s": 0.0}
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    writer.write(frame(msgspec.msgpack.encode(old)))
    await until(lambda: site.frames)
    assert site.frames[0].protocol == 1
    writer.close()
    del reader
