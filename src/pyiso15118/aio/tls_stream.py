"""TLS on a stream of asyncio: small in memory, and a handshake does not hold up the other sessions of the process.

asyncio's own TLS runs each handshake in the loop's thread: with P-521 that is milliseconds, with a key on a TPM much
more, for every vehicle that connects. Here the steps of a station's handshakes run on a thread beside the loop; OpenSSL
leaves the interpreter to others meanwhile. Buffers are shared by all streams of a thread.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import ssl
import threading
from concurrent.futures import Executor
from typing import Any

from pyiso15118.aio.network import NetworkError, address_of
from pyiso15118.security.profile import TlsEndpoint, TlsObject

log = logging.getLogger("pyiso15118")

READ_BYTES = 16_384
"""Taken from the socket at once, and the most that one TLS record holds."""
_MOST_IDLE_BYTES = 65_536
"""A peer may send so much that carries nothing (KeyUpdate, empty records): each of them costs us a new key or so."""
_IDLE_FOR_ONE = 64
"""Bytes on the wire for each byte carried. One byte in each record, the dearest way to say something, takes 23."""


class _ReadBuffer(threading.local):
    """What was read is taken out before anything else is read, so a thread needs one buffer for all its streams."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_read_buffer = _ReadBuffer()


class _State(enum.Enum):
    HANDSHAKE = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    """Our close_notify is on its way, the peer's is awaited; what it still sends is thrown away."""
    CLOSED = enum.auto()


async def secure(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: TlsEndpoint | ssl.SSLContext,
    *,
    server_side: bool,
    patience_s: float,
    shutdown_s: float,
    workers: Executor | None = None,
) -> TlsStream:
    """TLS from here on: ``protocol`` gets what the peer says once the handshake is done, which is awaited.

    ``patience_s``: so long in all the peer may let us wait for its part. ``shutdown_s``: so long it may take to say
    that it closes, too. ``workers``: where the handshake's steps run; None: in the loop, for a process with one stream.
    Raises ``ssl.SSLError`` for a handshake that fails and :class:`NetworkError` for one that does not end.
    """
    stream = TlsStream(transport, protocol, context, server_side, shutdown_s, workers)
    await stream.handshake(patience_s)
    return stream


class TlsStream(asyncio.BufferedProtocol, asyncio.Transport):
    """A protocol to the socket's transport, a transport to the protocol above."""

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.Protocol,
        context: TlsEndpoint | ssl.SSLContext,
        server_side: bool,
        shutdown_s: float,
        workers: Executor | None,
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._protocol = protocol
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: TlsObject | ssl.SSLObject = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._shutdown_s = shutdown_s
        self._workers = workers
        self._state = _State.HANDSHAKE
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._working: asyncio.Future[bool] | None = None
        self._patience_s = self._waiting_since = 0.0
        self._idle_bytes = 0
        self._view = _read_buffer.view

    # ---- the handshake ----

    async def handshake(self, patience_s: float) -> None:
        """Once, before anything else."""
        self._done = self._loop.create_future()
        self._patience_s = patience_s
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            raise NetworkError("the stream was closed before the TLS handshake")
        if self._tls.server_side:
            self._await_peer()
        else:
            self._step()
        try:
            await self._done
        finally:
            # An error knows the frames it came through, and through them this stream: no circle, please.
            self._done = None

    def _step(self) -> None:
        if self._workers is None:
            try:
                finished = self._try_handshake()
            except ssl.SSLError as error:
                self._handshake_failed(error)
            else:
                self._stepped(finished)
            return
        self._transport.pause_reading()
        self._working = self._loop.run_in_executor(self._workers, self._try_handshake)
        self._working.add_done_callback(self._worker_stepped)

    def _try_handshake(self) -> bool:
        """Whether the handshake is finished. On a worker's thread nothing but this touches the TLS state meanwhile."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _worker_stepped(self, step: asyncio.Future[bool]) -> None:
        self._working = None
        if step.cancelled():
            self._handshake_failed(NetworkError("the station shuts down"))
        elif (error := step.exception()) is not None:
            self._handshake_failed(error)
        elif self._state is _State.HANDSHAKE:
            self._stepped(step.result())

    def _stepped(self, finished: bool) -> None:
        self._flush()
        if not finished:
            self._await_peer()
            return
        self._state = _State.OPEN
        self._tell(None)
        self._transport.resume_reading()
        self._read()

    def _await_peer(self) -> None:
        self._waiting_since = self._loop.time()
        self._timer = self._loop.call_later(max(0.0, self._patience_s), self._out_of_patience)
        self._transport.resume_reading()

    def _out_of_patience(self) -> None:
        self._handshake_failed(NetworkError("the peer did not finish the TLS handshake in time"))

    def _handshake_failed(self, error: BaseException) -> None:
        if self._state is _State.HANDSHAKE:
            self._flush()
            self._tell(error)
            self.abort()

    def _tell(self, error: BaseException | None) -> None:
        self._stop_timer()
        if self._done is not None and not self._done.done():
            if error is None:
                self._done.set_result(None)
            else:
                self._done.set_exception(error)

    # ---- what the socket's transport calls ----

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._incoming.write(self._view[:nbytes])
        if self._state is _State.OPEN:
            self._idle_bytes += nbytes
            self._read()
        elif self._state is _State.HANDSHAKE:
            self._stop_timer()
            self._patience_s -= self._loop.time() - self._waiting_since
            self._step()
        elif self._state is _State.CLOSING:
            self._drain()

    def eof_received(self) -> bool:
        if self._state is _State.OPEN:
            self._protocol.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        state, self._state = self._state, _State.CLOSED
        self._tell(exc or NetworkError("the stream was closed during the TLS handshake"))
        if self._working is not None:
            # Whoever connects and leaves must not fill the queue that all vehicles' handshakes wait in.
            self._working.cancel()
        if state is not _State.HANDSHAKE:
            self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    # ---- what the protocol above calls ----

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the socket's transport, and ``ssl_object``."""
        return self._tls if name == "ssl_object" else self._transport.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """One record, or several above 16 kB; nothing once the stream is closing."""
        if self._state is not _State.OPEN:
            return
        try:
            while (written := self._tls.write(data)) < len(data):
                data = memoryview(data)[written:]
        except ssl.SSLError as error:
            self._break(error)
            return
        self._transport.write(self._outgoing.read())

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._state in (_State.CLOSING, _State.CLOSED)

    def close(self) -> None:
        """Say that we close, and close once the peer has said so or its time for that is over."""
        if self._state is _State.HANDSHAKE:
            self.abort()
        if self._state is not _State.OPEN:
            return
        self._state = _State.CLOSING
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # Ours is out; the peer's is not in yet, or what it had sent before lies unread.
            self._flush()
            self._timer = self._loop.call_later(self._shutdown_s, self._transport.abort)
            self._drain()
        else:
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        self._stop_timer()
        self._transport.abort()

    # ---- within ----

    def _read(self) -> None:
        """Hand over what is there. A second look only where something is left: not finding anything is dear."""
        tls, incoming = self._tls, self._incoming
        while self._state is _State.OPEN:
            try:
                data = tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._break(error)
                return
            if not data:
                self._protocol.eof_received()
                self.close()
                return
            self._idle_bytes = max(0, self._idle_bytes - _IDLE_FOR_ONE * len(data))
            self._protocol.data_received(data)
            if not incoming.pending and not tls.pending():
                break
        if self._state is not _State.OPEN:
            return
        if self._outgoing.pending:
            self._flush()
        if self._idle_bytes > _MOST_IDLE_BYTES:
            self._break(ssl.SSLError(ssl.SSL_ERROR_SSL, "the peer sends TLS records that carry nothing"))

    def _drain(self) -> None:
        """Throw away what comes before the peer's close_notify."""
        try:
            while self._tls.read(READ_BYTES):
                pass
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            # SSLZeroReturnError is the peer's close_notify; after anything else there is nothing to wait for either.
            pass
        self._stop_timer()
        self._transport.close()

    def _break(self, error: ssl.SSLError) -> None:
        """The stream cannot be read on: tell the peer, if it listens, and the protocol above by ``connection_lost``."""
        log.warning("%s: TLS broken off: %s", address_of(self.get_extra_info("peername") or ("::", 0)), error)
        self._flush()
        self.abort()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._transport.write(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
