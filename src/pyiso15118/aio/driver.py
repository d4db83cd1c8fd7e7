"""Moves bytes between a stream and a machine, and keeps the machine's one timer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar, cast

from pyiso15118.aio.network import Address, address_of
from pyiso15118.aio.tap import Tap
from pyiso15118.aio.tcp_info import TcpState, tcp_state
from pyiso15118.aio.turnaround import OnTurnaround, TurnaroundClock
from pyiso15118.commands import Abort, Command
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import EndReason, Event, SessionEnded
from pyiso15118.machine import Machine
from pyiso15118.security.profile import TlsObject, TlsProfile
from pyiso15118.security.tls_peer import PeerIdentity, check_connection, peer_identity

log = logging.getLogger("pyiso15118")

MachineT = TypeVar("MachineT", bound=Machine)

MAX_EARLY_BYTES = 65_536
MAX_WAITING_EVENTS = 4096
MAX_WRITE_BUFFER_BYTES = 65_536
TLS_SHUTDOWN_S = 2.0
LINGER_S = 3.0
"""A closed stream that does not drain in this time is cut, so that a dead peer cannot keep an EVSE busy."""


def peer_certificate(transport: asyncio.Transport) -> bytes | None:
    """The peer's leaf in DER; None without TLS, and where the peer showed none."""
    tls = transport.get_extra_info("ssl_object")
    found = tls.getpeercert(True) if isinstance(tls, TlsObject) else None
    return found if isinstance(found, bytes) else None


def certified_name(profile: TlsProfile, transport: asyncio.Transport) -> str | None:
    """What the vehicle must call itself: in profile strict, its certificate's common name; None: it may choose."""
    tls = transport.get_extra_info("ssl_object")
    identity = peer_identity(tls) if profile is TlsProfile.STRICT and isinstance(tls, TlsObject) else None
    return identity.common_name if identity is not None else None


class StreamProtocol(asyncio.Protocol):
    """What asyncio calls. Keeps early data until a connection takes over: the first request may end the handshake."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._connection: Connection[Machine] | None = None
        self._early = bytearray()
        self._lost = False

    def attach(self, connection: Connection[Machine]) -> None:
        if not self._lost:
            self._connection = connection
        if self._early:
            connection.data_received(bytes(self._early))
            self._early.clear()
        if self._lost:
            connection.stream_lost()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._connection is not None:
            self._connection.data_received(data)
        elif len(self._early) + len(data) <= MAX_EARLY_BYTES:
            self._early += data
        elif self.transport is not None:
            self.transport.abort()

    def eof_received(self) -> bool:
        if self._connection is not None:
            self._connection.stream_lost()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        # Nothing that is over refers in a circle: what a session held is free at once, not when garbage is collected.
        connection, self._connection, self.transport = self._connection, None, None
        if connection is not None:
            connection.stream_lost()
            connection.stream_closed()

    @property
    def lost(self) -> bool:
        """The stream is gone, attached or not."""
        return self._lost

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.write_buffer_full()


class Connection(Generic[MachineT]):
    """A machine on a live stream. Commands act at once; events wait in a bounded queue.

    ``peer_identity`` is None without TLS, and where the peer showed no certificate. ``on_turnaround`` is called when a
    message was received for the first time since one of ours was written; None: nobody is. ``tap`` sees all bytes.
    """

    def __init__(
        self,
        machine: MachineT,
        protocol: StreamProtocol,
        transport: asyncio.Transport,
        *,
        profile: TlsProfile | None = None,
    ) -> None:
        """``profile`` None: no TLS. Raises :class:`TlsError` if the handshake's result is outside the profile."""
        self.machine = machine
        self.peer_identity: PeerIdentity | None = None
        self.cipher: str | None = None
        self.peer_address: Address = address_of(transport.get_extra_info("peername") or ("::", 0))
        self.local_address: Address = address_of(transport.get_extra_info("sockname") or ("::", 0))
        self.on_turnaround: OnTurnaround | None = None
        self.tap: Tap | None = None
        self._protocol = protocol
        self._transport = transport
        self._turnaround = TurnaroundClock()
        self._tcp_at_end: TcpState | None = None
        self._events: deque[Event] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self._overflowed = False
        self._broken = False
        self._told_end = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._linger: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        tls = transport.get_extra_info("ssl_object")
        if profile is not None:
            if not isinstance(tls, TlsObject):
                raise LocalProtocolError("a TLS profile was given for a stream without TLS")
            check_connection(profile, tls)
            self.peer_identity = peer_identity(tls)
            cipher = tls.cipher()
            self.cipher = cipher[0] if cipher else None

    # ---- for the owner ----

    @property
    def secured(self) -> bool:
        """The stream is TLS."""
        return self.cipher is not None

    def command(self, command: Command) -> None:
        """Hand a command to the machine now. Raises :class:`LocalProtocolError`; ignored once the session is over."""
        self._guarded(self.machine.command, command, owner=True)

    async def events(self) -> AsyncIterator[Event]:
        """Events in order, the last one being ``SessionEnded``; after it, none. For one reader."""
        while not self._told_end:
            while self._events:
                event = self._events.popleft()
                self._told_end = isinstance(event, SessionEnded)
                yield event
                if self._told_end:
                    return
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    async def closed(self) -> None:
        """Wait until the stream is closed, which is some time after ``SessionEnded``."""
        await self._closed.wait()

    def abort(self, reason: str) -> None:
        """End the session without SessionStop and close the stream."""
        self.command(Abort(reason=reason))

    def cut(self) -> None:
        """Close the stream without waiting for anything to drain."""
        self._transport.abort()

    def round_trip(self) -> TcpState | None:
        """What the kernel knows of the connection now; once the session is over, what it knew at its end, before the
        stream was closed. None where it knows nothing."""
        return self._tcp_at_end or tcp_state(self._transport.get_extra_info("socket"))

    # ---- for the protocol ----

    def begin(self) -> None:
        """Start moving bytes; what arrived early comes first."""
        self._transport.set_write_buffer_limits(high=MAX_WRITE_BUFFER_BYTES)
        self._protocol.attach(self)  # type: ignore[arg-type]
        self._guarded()

    def data_received(self, data: bytes) -> None:
        """From the stream: bytes of the peer, cut anywhere."""
        now = time.monotonic()
        self._turnaround.arrived(now)
        if self.tap is not None:
            self._show(data, now, sent=False)
        self._guarded(self.machine.receive_data, data)

    def stream_lost(self) -> None:
        """From the stream: the peer sends no more."""
        self._guarded(self.machine.receive_eof)

    def stream_closed(self) -> None:
        """From the stream: it is gone; nothing is sent or waited for any more."""
        for handle in (self._timer, self._linger):
            if handle is not None:
                handle.cancel()
        self._timer = self._linger = None
        self._closed.set()

    def write_buffer_full(self) -> None:
        """From the stream: the peer does not read. The connection is given up."""
        self.abort("the peer does not read what it is sent")
        self._transport.abort()

    # ---- within ----

    def _guarded(self, step: Callable[..., None] | None = None, *args: object, owner: bool = False) -> None:
        """One step of the machine and what follows from it. A defect ends this session in order, and no other."""
        if self._broken:
            return
        try:
            if step is not None:
                step(*args, time.monotonic())
        except Exception as error:
            if owner and isinstance(error, LocalProtocolError):
                raise
            self._fail(error)
        try:
            self._flush()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """End the session; where even that fails, in place of the machine."""
        reason = f"internal error: {type(error).__name__}: {error}"
        log.error("%s: %s", self.peer_address, reason, exc_info=error)
        try:
            self.machine.command(Abort(reason=reason), time.monotonic())
            self._flush()
        except Exception:
            log.exception("%s: the session cannot be ended in order", self.peer_address)
            self._broken = True
            if not self._told_end and not any(isinstance(event, SessionEnded) for event in self._events):
                self._events.append(SessionEnded(reason=EndReason.ABORTED, detail=reason))
            self._wake_reader()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._close_stream()

    def _flush(self) -> None:
        machine = self.machine
        written_at: float | None = None
        while data := machine.data_to_send():
            self._transport.write(data)
            written_at = time.monotonic()
            if self.tap is not None:
                self._show(data, written_at, sent=True)
        if (event := machine.next_event()) is not None:
            self._take_events(event)
        if written_at is not None:
            self._turnaround.written(written_at)
        if machine.closed:
            self._close_stream()
        self._arm()

    def _show(self, data: bytes, at: float, *, sent: bool) -> None:
        try:
            if self.tap is not None:
                self.tap.bytes_seen(data, at, sent=sent)
        except Exception:
            log.exception("%s: its bytes are traced no more", self.peer_address)
            self.tap = None

    def _close_stream(self) -> None:
        if self._tcp_at_end is None:
            self._tcp_at_end = self.round_trip()
        self._transport.close()
        if self._protocol.lost:
            self.stream_closed()
        elif self._linger is None:
            self._linger = self._loop.call_later(LINGER_S, self._transport.abort)

    def _take_events(self, event: Event | None) -> None:
        events = self._events
        while event is not None:
            events.append(event)
            self._turnaround.look(event, self.on_turnaround)
            event = self.machine.next_event()
        if len(events) > MAX_WAITING_EVENTS and not self._overflowed:
            self._overflowed = True
            log.error("%s: the session's owner left %d events unread, session aborted", self.peer_address, len(events))
            self.machine.command(Abort(reason="the session's owner does not read its events"), time.monotonic())
            self._take_events(self.machine.next_event())
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _arm(self) -> None:
        """One timer at most; one that fires before the deadline arms the next, so moving a deadline away is free."""
        deadline = self.machine.next_deadline()
        if self._timer is not None:
            if deadline is not None and self._timer_at <= deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer_at = deadline
            self._timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._timer_fired)

    def _timer_fired(self) -> None:
        """Let the loop read the sockets once more first: data that waited while the host stalled is not late."""
        self._timer = None
        if self._broken:
            return
        try:
            deadline = self.machine.next_deadline()
        except Exception as error:
            self._fail(error)
            return
        if deadline is None or deadline > time.monotonic():
            self._arm()
            return
        self._timer_at = deadline
        self._timer = self._loop.call_later(0, self._timer_confirmed)

    def _timer_confirmed(self) -> None:
        self._timer = None
        self._guarded(self.machine.handle_timer)
