"""One peer at a time at a socket that only some users may use; both daemons' sockets are of this kind."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from v2g.host.framing import FrameError, frame
from v2g.host.peer_socket import PeerNews, PeerSocket, PeerSocketBusy, PeerSocketError


class Site:
    def __init__(self, path: Path, **more: object) -> None:
        self.path = path
        self.got: list[bytes] = []
        self.peers = 0
        self.news: list[tuple[PeerNews, dict[str, int]]] = []
        self.server = PeerSocket(path, self.take, self.count, self.tell, **more)  # type: ignore[arg-type]

    def take(self, payload: bytes) -> None:
        if payload == b"bad":
            raise FrameError("bad")
        self.got.append(payload)

    def count(self) -> None:
        self.peers += 1

    def tell(self, news: PeerNews, text: str, fields: dict[str, int]) -> None:
        assert text
        self.news.append((news, fields))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(2.0):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path / "some.sock")
    await site.server.start()
    yield site
    await site.server.close()


async def test_payloads_go_both_ways(site: Site) -> None:
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    writer.write(frame(b"one") + frame(b"two"))
    await until(lambda: site.got == [b"one", b"two"])
    site.server.publish(b"three")
    site.server.send(b"four")
    assert await reader.readexactly(len(frame(b"three") + frame(b"four"))) == frame(b"three") + frame(b"four")
    writer.close()
    await until(lambda: not site.server.connected)


async def test_what_is_said_to_nobody_is_forgotten(site: Site) -> None:
    site.server.publish(b"x")
    site.server.send(b"y")
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    await until(lambda: site.server.connected)
    site.server.send(b"z")
    assert await reader.readexactly(5) == frame(b"z")
    writer.close()


async def test_garbage_is_told_and_ends_the_connection(site: Site) -> None:
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    writer.write(frame(b"bad") + frame(b"never"))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert site.got == []
    assert site.news == [(PeerNews.GARBAGE, {})]
    writer.close()


async def test_a_frame_above_the_sockets_own_limit_is_garbage(tmp_path: Path) -> None:
    site = Site(tmp_path / "small.sock", max_bytes=8)
    await site.server.start()
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    writer.write(frame(b"123456789"))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert site.news == [(PeerNews.GARBAGE, {})]
    writer.close()
    await site.server.close()


async def test_who_may_not_connect_is_told_with_pid_and_user(tmp_path: Path) -> None:
    site = Site(tmp_path / "some.sock", uids={os.getuid() + 1})
    await site.server.start()
    reader, writer = await asyncio.open_unix_connection(str(site.path))
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert site.news == [(PeerNews.REFUSED, {"pid": os.getpid(), "uid": os.getuid()})]
    assert site.peers == 0
    writer.close()
    await site.server.close()


async def test_a_newer_peer_replaces_the_older(site: Site) -> None:
    older, older_writer = await asyncio.open_unix_connection(str(site.path))
    await until(lambda: site.peers == 1)
    _, writer = await asyncio.open_unix_connection(str(site.path))
    with contextlib.suppress(ConnectionError):
        assert await older.read() == b""
    assert site.news == [(PeerNews.REPLACED, {})]
    assert site.server.connected
    for one in (writer, older_writer):
        one.close()


async def test_a_second_server_is_busy_and_may_try_again_later(site: Site) -> None:
    second = Site(site.path)
    with pytest.raises(PeerSocketBusy):
        await second.server.start()
    await site.server.close()
    await second.server.start()
    await second.server.close()


async def test_a_place_where_nothing_can_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(PeerSocketError, match=r"cannot lock .*/none/some\.sock\.lock: No such file"):
        await Site(tmp_path / "none" / "some.sock").server.start()


async def test_the_lock_is_cleared_first_by_whoever_knows_how(tmp_path: Path) -> None:
    cleared: list[Path] = []
    site = Site(tmp_path / "some.sock", clear=cleared.append)
    await site.server.start()
    await site.server.close()
    assert cleared == [tmp_path / "some.sock.lock"]
