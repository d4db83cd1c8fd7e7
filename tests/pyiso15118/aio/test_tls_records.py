"""Records as a vehicle may cut, mix and repeat them: none is left unread, and a flood of empty ones ends the stream.

The vehicle is one by libssl, which can be asked for a KeyUpdate.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from pyiso15118.aio.tls_stream import READ_BYTES, TlsStream, secure
from pyiso15118.security.tls_token import TokenTlsConnection, TokenTlsContext
from support.elsewhere import signer_of
from support.stations import Contexts

pytestmark = pytest.mark.parametrize("library", ["pyOpenSSL", "ssl", "elsewhere"], indirect=True, scope="module")
TIMEOUT_S = 10.0


class Vehicle:
    """Its TLS in memory, and the station's end, fed by hand: no socket decides where the stream is cut."""

    def __init__(self, contexts: Contexts) -> None:
        self.context = TokenTlsContext(
            contexts.vehicle.chain, signer_of(contexts.vehicle.key), [contexts.v2g], server_side=False
        )
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls: TokenTlsConnection = self.context.wrap_bio(self.incoming, self.outgoing)
        self._update = ctypes.CDLL("libssl.so.3").SSL_key_update
        self._update.argtypes = (ctypes.c_void_p, ctypes.c_int)

    def key_update(self, *, wanted_of_us: bool) -> None:
        assert self._update(self.tls._ssl, int(wanted_of_us)) == 1
        self.tls.do_handshake()


class Above(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = bytearray()
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


class Link:
    def __init__(self, contexts: Contexts) -> None:
        self.vehicle, self.above = Vehicle(contexts), Above()
        self._contexts = contexts
        self._one, self._two = socket.socketpair()
        self.stream: TlsStream

    async def open(self) -> Link:
        loop = asyncio.get_running_loop()
        self._one.setblocking(False)
        self._two.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=self._one)
        opening = asyncio.create_task(
            secure(
                transport,
                self.above,
                self._contexts.server,
                server_side=True,
                patience_s=TIMEOUT_S,
                shutdown_s=TIMEOUT_S,
            )
        )
        while True:
            try:
                self.vehicle.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(self._two, self.vehicle.outgoing.read())
                self.vehicle.incoming.write(await loop.sock_recv(self._two, 65_536))
        await loop.sock_sendall(self._two, self.vehicle.outgoing.read())
        self.stream = await opening
        return self

    def deliver(self, data: bytes) -> None:
        """As one read of the station's socket."""
        self.stream.get_buffer(len(data))[: len(data)] = data
        self.stream.buffer_updated(len(data))

    def close(self) -> None:
        self.stream.abort()
        self._two.close()


@pytest.fixture
async def link(strict: Contexts) -> AsyncIterator[Link]:
    opened = await Link(strict).open()
    yield opened
    opened.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(8))
async def test_records_of_every_kind_cut_anywhere_are_read_as_soon_as_they_are_there(link: Link, seed: int) -> None:
    choose = random.Random(seed)
    for _ in range(6):
        wire, said = b"", b""
        for _ in range(choose.randrange(1, 10)):
            if choose.random() < 0.3:
                link.vehicle.key_update(wanted_of_us=choose.random() < 0.5)
            else:
                data = choose.randbytes(choose.choice([1, 8, 300, READ_BYTES, choose.randrange(1, 40_000)]))
                link.vehicle.tls.write(data)
                said += data
            wire += link.vehicle.outgoing.read()
        link.above.received.clear()
        while wire:
            size = min(choose.choice([1, 5, 6, 30, READ_BYTES, len(wire)]), READ_BYTES)
            link.deliver(wire[:size])
            wire = wire[size:]
        assert link.above.received == said


@pytest.mark.parametrize("wanted_of_us", [False, True])
async def test_key_updates_without_end_end_the_stream(
    link: Link, caplog: pytest.LogCaptureFixture, wanted_of_us: bool
) -> None:
    flood = b""
    while len(flood) < 70_000:
        link.vehicle.key_update(wanted_of_us=wanted_of_us)
        flood += link.vehicle.outgoing.read()
    with caplog.at_level(logging.WARNING, "pyiso15118"):
        for start in range(0, len(flood), READ_BYTES):
            link.deliver(flood[start : start + READ_BYTES])
    await until(lambda: link.above.lost)
    assert "carry nothing" in caplog.text


async def test_small_records_and_key_updates_among_messages_are_no_flood(link: Link) -> None:
    for number in range(6000):
        if number % 50 == 0:
            link.vehicle.key_update(wanted_of_us=False)
        link.vehicle.tls.write(b"x")
        link.deliver(link.vehicle.outgoing.read())
    assert len(link.above.received) == 6000
    assert not link.stream._transport.is_closing()


async def test_a_record_read_in_pieces_hides_none_after_it(link: Link) -> None:
    tls = link.stream.get_extra_info("ssl_object")
    link.vehicle.tls.write(b"a" * 5000)
    link.vehicle.tls.write(b"b")
    link.stream._incoming.write(link.vehicle.outgoing.read())
    read = tls.read(1024)
    while link.stream._incoming.pending or tls.pending():
        try:
            read += tls.read(1024)
        except ssl.SSLWantReadError:
            break
    assert read == b"a" * 5000 + b"b"
