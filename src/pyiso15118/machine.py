"""What both state machines share: frames in and out, the event queue, the end of a session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any

from pyiso15118 import exi
from pyiso15118.checks import check_text, printable
from pyiso15118.commands import Abort, Command
from pyiso15118.errors import ExiError, RemoteProtocolError
from pyiso15118.events import (
    EndReason,
    Event,
    FrameIgnored,
    MessageReceived,
    MessageSent,
    ProtocolAgreed,
    SessionEnded,
)
from pyiso15118.exi.schema import is_announced
from pyiso15118.messages import Namespace
from pyiso15118.schedules.wire import MICROSECONDS
from pyiso15118.v2gtp import SIDE_STREAMS, Frame, FrameReader, PayloadType, encode_frame, namespace_of, payload_type_of

SESSION_ID_BYTES = 8
APP_PROTOCOL_MAX_BYTES = 4096
"""Longest payload before a protocol is agreed: twenty protocols with the longest names fit, little else does."""
MAX_WAITING_MESSAGES = 4
"""A peer waits for the answer before it asks again; so many messages at once are borne, more are an attack."""


class Machine(ABC):
    """A session without sockets, clock or chance.

    The owner feeds what it received and the time, sends what :meth:`data_to_send` gives, acts on :meth:`next_event`
    and calls :meth:`handle_timer` when :meth:`next_deadline` has passed. When data and a deadline are due at once,
    data goes first. ``now`` is in monotonic seconds and never runs backwards; ``unix_offset_s`` added to it gives Unix
    time. Once :attr:`closed` is true the owner sends what is left and closes the stream; later calls do nothing.
    """

    def __init__(self, *, max_payload_bytes: int, unix_offset_s: float) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._reader = FrameReader(min(APP_PROTOCOL_MAX_BYTES, max_payload_bytes))
        self._unix_offset_s = self._secc_offset_s = unix_offset_s
        self._out: deque[bytes] = deque()
        self._events: deque[Event] = deque()
        self._ended = False
        self._frame = Frame(0, b"")
        """The one at hand: just received, or waiting for its answer."""

    # ---- what the owner calls ----

    @property
    def closed(self) -> bool:
        """The session is over: send what is left, then close the stream."""
        return self._ended

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes of the stream, cut anywhere. Never raises for what a peer may send."""
        if self._ended:
            return
        try:
            self._reader.feed(data)
        except RemoteProtocolError as error:
            self._end(EndReason.PROTOCOL_ERROR, str(error))
            return
        if self._reader.whole_frames(MAX_WAITING_MESSAGES + 1) > MAX_WAITING_MESSAGES:
            detail = (
                f"more than {MAX_WAITING_MESSAGES} messages arrived at once, each should await the answer to the last"
            )
            self._end(EndReason.PROTOCOL_ERROR, detail)
            return
        self._read_frames(now)

    def receive_eof(self, now: float) -> None:
        """The stream has ended, cleanly or not."""
        self._end(EndReason.PEER_CLOSED, "the peer closed the stream without SessionStop")

    def command(self, command: Command, now: float) -> None:
        """What the owner wants. Raises :class:`LocalProtocolError`, and changes nothing, for nonsense; ignored after
        the end."""
        if self._ended:
            return
        if isinstance(command, Abort):
            check_text("Abort", reason=command.reason)
            self._end(EndReason.ABORTED, command.reason)
        else:
            self._command(command, now)
            self._read_frames(now)

    def handle_timer(self, now: float) -> None:
        """Act on every deadline that has passed; calling too early is harmless."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            self._timeout(now)
            self._read_frames(now)

    @abstractmethod
    def next_deadline(self) -> float | None:
        """When :meth:`handle_timer` must be called at the latest; None: no timer runs, or the session is over."""

    def data_to_send(self) -> bytes:
        """One whole frame, or nothing. Call until empty and write each by itself: some peers read no split frames."""
        return self._out.popleft() if self._out else b""

    def next_event(self) -> Event | None:
        """The oldest event not yet taken, or None."""
        return self._events.popleft() if self._events else None

    # ---- what the two machines fill in ----

    @abstractmethod
    def _receive_message(self, message: Any, now: float) -> None: ...

    @abstractmethod
    def _command(self, command: Command, now: float) -> None: ...

    @abstractmethod
    def _timeout(self, now: float) -> None:
        """Act on the earliest deadline, which has passed. Afterwards it must have moved on or be gone."""

    @abstractmethod
    def _stop_energy(self, reason: str) -> None:
        """Emit the event that ends energy flow and voltage, if there may be any."""

    @property
    def _side_streams(self) -> frozenset[PayloadType]:
        """Those of :data:`SIDE_STREAMS` that the machine listens to now; the others are skipped."""
        return frozenset()

    @property
    @abstractmethod
    def _agreed(self) -> Namespace | None:
        """The namespace of energy messages that this session agreed on; None before."""

    def _may_read(self) -> bool:
        return True

    # ---- shared ----

    def _read_frames(self, now: float) -> None:
        while not self._ended and self._may_read():
            try:
                frame = self._reader.next_frame()
                if frame is None:
                    return
                self._receive_frame(frame, now)
            except (RemoteProtocolError, ExiError) as error:
                self._end(EndReason.PROTOCOL_ERROR, str(error))

    def _receive_frame(self, frame: Frame, now: float) -> None:
        payload_type = frame.payload_type
        namespace = namespace_of(payload_type)
        unheard = payload_type in SIDE_STREAMS and payload_type not in self._side_streams
        # A stranger must not have us import and compile a message set that this session does not speak.
        if namespace is None or unheard or (is_announced(namespace) and namespace is not self._agreed):
            self._emit(FrameIgnored(payload_type=frame.payload_type, payload_bytes=len(frame.payload)))
            return
        self._frame = frame
        message = exi.decode(namespace, frame.payload)
        self._emit(MessageReceived(name=type(message).__name__, message=message, payload=frame.payload))
        self._receive_message(message, now)

    def _send(self, namespace: Namespace, message: Any, payload_type: PayloadType | None = None) -> bool:
        """Queue one message, on the main stream unless another ``payload_type`` is named. False, and the session is
        over, if it cannot be encoded."""
        try:
            payload = exi.encode(message)
        except ExiError as error:
            self._end(EndReason.FAILED_BY_US, f"{type(message).__name__} cannot be encoded: {error}")
            return False
        self._out.append(encode_frame(payload_type or payload_type_of(namespace), payload))
        self._emit(MessageSent(name=type(message).__name__, message=message, payload=payload))
        return True

    def _emit(self, event: Event) -> None:
        if isinstance(event, ProtocolAgreed):
            self._reader.max_payload_bytes = self._max_payload_bytes
        self._events.append(event)

    def _unix_s(self, now: float) -> int:
        return max(0, int(now + self._unix_offset_s))

    def _timestamp(self, now: float) -> int:
        """Of a header: SECC time in microseconds ([V2G20-1534])."""
        return max(0, int((now + self._secc_offset_s) * MICROSECONDS))

    def _end(self, reason: EndReason, detail: str, response_code: str | None = None) -> None:
        if self._ended:
            return
        detail = printable(detail)
        self._stop_energy(detail)
        self._ended = True
        self._reader.clear()
        self._emit(SessionEnded(reason=reason, detail=detail, response_code=response_code))
