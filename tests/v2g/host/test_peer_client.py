"""The client's end against a real :class:`PeerSocket`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from v2g.host.peer_client import PeerClient
from v2g.host.peer_socket import PeerSocket


class Both:
    """A server and a client, and what the client was told, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[bytes] = []
        self.told: list[str] = []
        self.received: list[bytes] = []
        self.news = asyncio.Event()
        self.server = PeerSocket(path, self._receive, lambda: None, lambda news, text, fields: None)
        self.client = PeerClient(
            path,
            "the server",
            on_payload=self._take,
            on_up=lambda: self._tell("up"),
            on_down=self._tell,
            on_unreachable=lambda error, waited_s: self._tell(type(error).__name__),
            max_unsent_bytes=1 << 16,
        )

    def _receive(self, payload: bytes) -> None:
        self.received.append(payload)
        self.news.set()

    def _take(self, payload: bytes) -> None:
        if payload == b"garbage":
            raise msgspec.DecodeError("no message")
        self.heard.append(payload)
        self.news.set()

    def _tell(self, text: str) -> None:
        self.told.append(text)
        self.news.set()

    async def until(self, text: str) -> None:
        async with asyncio.timeout(5.0):
            while text not in self.told:
                self.news.clear()
                await self.news.wait()

    async def meet(self) -> None:
        """Both ends know of the connection; what was told before does not count any more."""
        await self.until("up")
        async with asyncio.timeout(5.0):
            while not self.server.connected:
                await asyncio.sleep(0)
        self.told.clear()


@pytest.fixture
async def both(tmp_path: Path) -> Both:
    return Both(tmp_path / "peer.sock")


async def test_it_waits_for_its_server_and_says_each_time_that_it_cannot_be_reached(both: Both) -> None:
    await both.client.start()
    await both.until("FileNotFoundError")
    assert not both.client.send(b"lost")
    await both.server.start()
    await both.until("up")
    assert both.client.connected
    assert both.client.send(b"hello")
    async with asyncio.timeout(5.0):
        while not both.received:
            await asyncio.sleep(0)
    assert both.received == [b"hello"]
    await both.client.close()
    assert not both.client.connected
    await both.server.close()


async def test_what_cannot_be_read_ends_the_connection_with_the_reason_and_another_is_made(both: Both) -> None:
    await both.server.start()
    await both.client.start()
    await both.meet()
    both.server.publish(b"well")
    both.server.send(b"garbage")
    await both.until("the server: no message")
    assert both.heard == [b"well"]
    await both.until("up")
    assert both.told == ["the server: no message", "up"]
    await both.client.close()
    await both.server.close()


async def test_a_server_that_goes_is_told_and_looked_for_again(both: Both) -> None:
    await both.server.start()
    await both.client.start()
    await both.meet()
    await both.server.close()
    await both.until("FileNotFoundError")
    assert both.told[0] in ("the server closed the connection", "the server: [Errno 104] Connection reset by peer")
    assert not both.client.connected
    await both.client.close()
