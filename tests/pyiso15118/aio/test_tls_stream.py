"""TLS streams over socket pairs: both ends ours, or one end by hand, so that it can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from pyiso15118.aio.network import NetworkError
from pyiso15118.aio.tls_stream import READ_BYTES, TlsStream, secure
from support.stations import Contexts

T = TypeVar("T")
pytestmark = pytest.mark.parametrize("library", ["pyOpenSSL", "ssl", "elsewhere"], indirect=True, scope="module")
TIMEOUT_S = 5.0


@dataclass
class Top(asyncio.Protocol):
    """The protocol above: keeps what it is told."""

    received: bytearray = field(default_factory=bytearray)
    pieces: int = 0
    ends: list[str] = field(default_factory=list)
    paused: int = 0
    on_data: Callable[[], None] = lambda: None

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.pieces += 1
        self.on_data()

    def eof_received(self) -> bool:
        self.ends.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append("lost")

    def pause_writing(self) -> None:
        self.paused += 1


class Peer:
    """The other end by hand: a socket, and TLS in memory."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool = False) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side)

    async def flush(self) -> None:
        if data := self.outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def fill(self) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self.sock, 65_536)
        self.incoming.write(data)
        return bool(data)

    async def until(self, action: Callable[[], T]) -> T:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    await self.flush()
                    if not await self.fill():
                        raise ConnectionError("end of stream") from None

    async def handshake(self) -> None:
        await self.until(self.tls.do_handshake)
        await self.flush()

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self.flush()

    async def read(self) -> bytes:
        return await self.until(lambda: self.tls.read(65_536))


class Slow:
    """A context whose handshakes wait for a sign, wherever they run."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.sign = threading.Event()
        self.began = threading.Event()

    def wrap_bio(self, *args: Any, **named: Any) -> Any:
        tls = self._context.wrap_bio(*args, **named)
        handshake = tls.do_handshake

        def do_handshake() -> None:
            self.began.set()
            assert self.sign.wait(TIMEOUT_S), "nobody gave the sign: the loop stands still"
            handshake()

        tls.do_handshake = do_handshake  # type: ignore[method-assign]
        return tls


class Wire:
    """A connected pair of sockets; what is opened on them is cut at the end."""

    def __init__(self) -> None:
        self.one, self.two = socket.socketpair()
        self.one.setblocking(False)
        self.two.setblocking(False)
        self._transports: list[asyncio.Transport] = []

    async def open(
        self,
        top: Top,
        context: ssl.SSLContext | Slow,
        *,
        server_side: bool = True,
        patience_s: float = TIMEOUT_S,
        shutdown_s: float = TIMEOUT_S,
        workers: Executor | None = None,
    ) -> TlsStream:
        """A station's end, or with ``server_side`` false a vehicle's."""
        sock = self.one if server_side else self.two
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=sock)
        self._transports.append(transport)
        async with asyncio.timeout(TIMEOUT_S):
            return await secure(
                transport,
                top,
                cast(ssl.SSLContext, context),
                server_side=server_side,
                patience_s=patience_s,
                shutdown_s=shutdown_s,
                workers=workers,
            )

    async def close(self) -> None:
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)
        self.one.close()
        self.two.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    await wire.close()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def workers() -> Any:
    with ThreadPoolExecutor(1) as executor:
        yield executor


# ---- both ends ours ----


async def test_what_one_end_writes_the_other_gets(wire: Wire, strict: Contexts, workers: Executor) -> None:
    below, above = Top(), Top()
    station, vehicle = await asyncio.gather(
        wire.open(below, strict.server, workers=workers), wire.open(above, strict.client, server_side=False)
    )
    large = bytes(range(256)) * 300
    station.write(b"answer")
    vehicle.write(large)
    await until(lambda: above.received == b"answer" and below.received == large)
    assert station.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert station.get_extra_info("peername") is not None
    vehicle.close()
    await until(lambda: below.ends == ["eof", "lost"] and above.ends == ["lost"])
    assert station.is_closing()
    assert vehicle.is_closing()


async def test_one_record_is_handed_over_as_one_piece(wire: Wire, strict: Contexts) -> None:
    below = Top()
    _, vehicle = await asyncio.gather(
        wire.open(below, strict.server), wire.open(Top(), strict.client, server_side=False)
    )
    for _ in range(3):
        vehicle.write(b"x" * READ_BYTES)
    await until(lambda: len(below.received) == 3 * READ_BYTES)
    assert below.pieces == 3


async def test_several_records_read_at_once_are_all_handed_over(wire: Wire, strict: Contexts) -> None:
    below, peer = Top(), Peer(wire.two, strict.client)
    await asyncio.gather(wire.open(below, strict.server), peer.handshake())
    for piece in (b"one", b"two", b"three"):
        peer.tls.write(piece)
    await peer.flush()
    await until(lambda: below.received == b"onetwothree")


async def test_data_in_the_same_segment_as_the_end_of_the_handshake_is_not_lost(
    wire: Wire, strict: Contexts, workers: Executor
) -> None:
    below, peer = Top(), Peer(wire.two, strict.client)

    async def vehicle() -> None:
        await peer.until(peer.tls.do_handshake)
        await peer.send(b"first request")

    await asyncio.gather(wire.open(below, strict.server, workers=workers), vehicle())
    await until(lambda: below.received == b"first request")


async def test_records_cut_anywhere_are_put_together(wire: Wire, strict: Contexts) -> None:
    below, peer = Top(), Peer(wire.two, strict.client)
    await asyncio.gather(wire.open(below, strict.server), peer.handshake())
    peer.tls.write(b"cut into single bytes")
    for byte in peer.outgoing.read():
        await asyncio.get_running_loop().sock_sendall(wire.two, bytes([byte]))
        await asyncio.sleep(0)
    await until(lambda: below.received == b"cut into single bytes")


# ---- the handshake ----


async def test_the_loop_goes_on_while_a_handshake_computes(wire: Wire, strict: Contexts, workers: Executor) -> None:
    slow, top = Slow(strict.server), Top()
    opening = asyncio.create_task(wire.open(top, slow, workers=workers))
    peer = asyncio.create_task(Peer(wire.two, strict.client).handshake())
    await until(slow.began.is_set)
    assert not opening.done()
    slow.sign.set()
    await asyncio.gather(opening, peer)


async def test_time_that_we_take_is_not_taken_from_the_peers_patience(
    wire: Wire, strict: Contexts, workers: Executor
) -> None:
    slow = Slow(strict.server)
    loop = asyncio.get_running_loop()
    opening = asyncio.create_task(wire.open(Top(), slow, workers=workers, patience_s=0.05))
    peer = asyncio.create_task(Peer(wire.two, strict.client).handshake())
    await until(slow.began.is_set)
    later = loop.create_future()
    loop.call_later(0.1, later.set_result, None)
    await later
    slow.sign.set()
    await asyncio.gather(opening, peer)


async def test_a_peer_that_leaves_the_handshake_unfinished_is_given_up(wire: Wire, strict: Contexts) -> None:
    with pytest.raises(NetworkError, match="did not finish the TLS handshake in time"):
        await wire.open(Top(), strict.server, patience_s=0.01)
    assert await asyncio.get_running_loop().sock_recv(wire.two, 100) == b""


async def test_a_peer_that_trickles_its_handshake_is_given_up_all_the_same(
    wire: Wire, strict: Contexts, workers: Executor
) -> None:
    opening = asyncio.create_task(wire.open(Top(), strict.server, workers=workers, patience_s=0.05))
    peer = Peer(wire.two, strict.client)
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    with contextlib.suppress(OSError):
        for byte in peer.outgoing.read():
            await asyncio.get_running_loop().sock_sendall(wire.two, bytes([byte]))
            await asyncio.sleep(0.005)
    with pytest.raises(NetworkError, match="in time"):
        await opening


async def test_a_peer_that_leaves_during_the_handshake_ends_it(wire: Wire, strict: Contexts, workers: Executor) -> None:
    opening = asyncio.create_task(wire.open(Top(), strict.server, workers=workers))
    await asyncio.sleep(0)
    wire.two.close()
    with pytest.raises(NetworkError, match="closed during the TLS handshake"):
        await opening


async def test_a_stream_closed_while_its_handshake_computes_ends_without_a_word(
    wire: Wire, strict: Contexts, workers: Executor
) -> None:
    slow, top = Slow(strict.server), Top()
    opening = asyncio.create_task(wire.open(top, slow, workers=workers))
    peer = asyncio.create_task(Peer(wire.two, strict.client).handshake())
    await until(slow.began.is_set)
    opening.cancel()
    wire.one.close()
    slow.sign.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    peer.cancel()
    assert top.ends == []


async def test_whoever_leaves_before_its_turn_takes_no_turn(wire: Wire, strict: Contexts, workers: Executor) -> None:
    busy = threading.Event()
    workers.submit(busy.wait, TIMEOUT_S)
    slow = Slow(strict.server)
    opening = asyncio.create_task(wire.open(Top(), slow, workers=workers))
    peer = Peer(wire.two, strict.client)
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    await peer.flush()
    await until(lambda: cast(ThreadPoolExecutor, workers)._work_queue.qsize())
    wire._transports[0].abort()
    with pytest.raises(NetworkError, match="closed during the TLS handshake"):
        await opening
    busy.set()
    await asyncio.get_running_loop().run_in_executor(workers, lambda: None)
    assert not slow.began.is_set()


async def test_a_vehicle_without_a_certificate_is_told_so(wire: Wire, strict: Contexts, workers: Executor) -> None:
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.verify_mode = ssl.CERT_NONE
    peer = Peer(wire.two, anonymous)
    opening = asyncio.create_task(wire.open(Top(), strict.server, workers=workers))
    await peer.handshake()
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        await opening
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        await peer.read()


async def test_workers_that_are_gone_end_the_handshake(wire: Wire, strict: Contexts) -> None:
    executor = ThreadPoolExecutor(1)
    sign = threading.Event()
    executor.submit(sign.wait)
    opening = asyncio.create_task(wire.open(Top(), strict.server, workers=executor))
    peer = asyncio.create_task(Peer(wire.two, strict.client).handshake())
    await until(lambda: executor._work_queue.qsize())
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(NetworkError, match="shuts down"):
        await opening
    sign.set()
    with pytest.raises(ConnectionError):
        await peer


# ---- the end ----


async def test_closing_waits_for_the_peers_word_and_throws_away_what_comes_before(wire: Wire, strict: Contexts) -> None:
    top, peer = Top(), Peer(wire.two, strict.client)
    stream, _ = await asyncio.gather(wire.open(top, strict.server), peer.handshake())
    stream.write(b"last response")
    stream.close()
    stream.write(b"too late")
    assert await peer.read() == b"last response"
    assert await peer.read() == b""
    assert top.ends == []
    await peer.send(b"one more request")
    with contextlib.suppress(ssl.SSLError):
        peer.tls.unwrap()
    await peer.flush()
    await until(lambda: top.ends == ["lost"])
    assert top.received == b""


async def test_requests_that_lie_unread_do_not_keep_a_stream_from_closing(wire: Wire, strict: Contexts) -> None:
    top, peer = Top(), Peer(wire.two, strict.client)
    stream, _ = await asyncio.gather(wire.open(top, strict.server), peer.handshake())
    top.on_data = stream.close
    for _ in range(3):
        peer.tls.write(b"request")
    await peer.flush()
    await until(lambda: stream.is_closing())
    assert top.received == b"request"
    assert await peer.read() == b""
    with contextlib.suppress(ssl.SSLError):
        peer.tls.unwrap()
    await peer.flush()
    await until(lambda: top.ends == ["lost"])


async def test_a_peer_that_never_says_that_it_closes_is_cut_off(wire: Wire, strict: Contexts) -> None:
    top, peer = Top(), Peer(wire.two, strict.client)
    stream, _ = await asyncio.gather(wire.open(top, strict.server, shutdown_s=0.01), peer.handshake())
    stream.close()
    await until(lambda: top.ends == ["lost"])


async def test_a_peer_that_closes_is_answered_and_the_stream_closed(wire: Wire, strict: Contexts) -> None:
    top, peer = Top(), Peer(wire.two, strict.client)
    await asyncio.gather(wire.open(top, strict.server), peer.handshake())
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.unwrap()
    await peer.flush()
    await peer.until(peer.tls.unwrap)
    await until(lambda: top.ends == ["eof", "lost"])


async def test_a_stream_cut_without_close_notify_is_an_end_of_stream(wire: Wire, strict: Contexts) -> None:
    top, peer = Top(), Peer(wire.two, strict.client)
    stream, _ = await asyncio.gather(wire.open(top, strict.server), peer.handshake())
    stream.write(b"response")
    assert await peer.read() == b"response"
    wire.two.close()
    await until(lambda: top.ends == ["eof", "lost"])


async def test_a_broken_record_ends_the_stream_and_the_peer_is_told(wire: Wire, strict: Contexts) -> None:
    top, peer = Top(), Peer(wire.two, strict.client)
    await asyncio.gather(wire.open(top, strict.server), peer.handshake())
    peer.tls.write(b"request")
    record = bytearray(peer.outgoing.read())
    record[-1] ^= 1
    await asyncio.get_running_loop().sock_sendall(wire.two, record)
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        await peer.read()
    await until(lambda: top.ends == ["lost"])
    assert top.received == b""


async def test_a_peer_that_does_not_read_is_noticed(wire: Wire, strict: Contexts) -> None:
    top, peer = Top(), Peer(wire.two, strict.client)
    stream, _ = await asyncio.gather(wire.open(top, strict.server), peer.handshake())
    stream.set_write_buffer_limits(high=1000)
    while not top.paused:
        stream.write(b"x" * 60_000)
    assert stream.get_write_buffer_size() > 1000
    stream.abort()
    await until(lambda: top.ends == ["lost"])
