"""What both state machines share: frames in and out, the event queue, the end of a session."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace
from typing import Any

from pyiso15118 import exi
from pyiso15118.commands import Abort, Command
from pyiso15118.errors import ExiError, LocalProtocolError, RemoteProtocolError
from pyiso15118.events import (
    DcLimits,
    EndReason,
    EnergyNeeds,
    Event,
    FrameIgnored,
    MessageReceived,
    MessageSent,
    ProtocolAgreed,
    SessionEnded,
)
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_types as ct
from pyiso15118.v2gtp import SIDE_STREAMS, Frame, FrameReader, encode_frame, namespace_of, payload_type_of

SESSION_ID_BYTES = 8
APP_PROTOCOL_MAX_BYTES = 4096
"""Longest payload before a protocol is agreed: twenty protocols with the longest names fit, little else does."""
MAX_WAITING_MESSAGES = 4
"""A peer waits for the answer before it asks again; so many messages at once are borne, more are an attack."""
MAX_MAGNITUDE = 1e9
"""In V, A, W and Wh: nothing that charges a vehicle comes near."""


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
        self._unix_offset_s = unix_offset_s
        self._out: deque[bytes] = deque()
        self._events: deque[Event] = deque()
        self._ended = False

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
        namespace = namespace_of(frame.payload_type)
        if namespace is None or frame.payload_type in SIDE_STREAMS:
            self._emit(FrameIgnored(payload_type=frame.payload_type, payload_bytes=len(frame.payload)))
            return
        message = exi.decode(namespace, frame.payload)
        self._emit(MessageReceived(name=type(message).__name__, message=message, payload=frame.payload))
        self._receive_message(message, now)

    def _send(self, namespace: Namespace, message: Any) -> bool:
        """Queue one message. False, and the session is over, if it cannot be encoded."""
        try:
            payload = exi.encode(message)
        except ExiError as error:
            self._end(EndReason.FAILED_BY_US, f"{type(message).__name__} cannot be encoded: {error}")
            return False
        self._out.append(encode_frame(payload_type_of(namespace), payload))
        self._emit(MessageSent(name=type(message).__name__, message=message, payload=payload))
        return True

    def _emit(self, event: Event) -> None:
        if isinstance(event, ProtocolAgreed):
            self._reader.max_payload_bytes = self._max_payload_bytes
        self._events.append(event)

    def _timestamp(self, now: float) -> int:
        return max(0, int(now + self._unix_offset_s))

    def _end(self, reason: EndReason, detail: str, response_code: str | None = None) -> None:
        if self._ended:
            return
        detail = printable(detail)
        self._stop_energy(detail)
        self._ended = True
        self._reader.clear()
        self._emit(SessionEnded(reason=reason, detail=detail, response_code=response_code))


def rational(value: float) -> ct.RationalNumberType:
    """``value`` as RationalNumber with as many digits as fit."""
    return ct.RationalNumberType.of(value)


def printable(text: str) -> str:
    """``text`` with everything escaped that is not printable: a peer's words may hold line feeds or terminal codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def limits_problem(limits: DcLimits) -> str | None:
    """What is impossible about a peer's limits, in words; None if every one is within 0..1e9 and no minimum above
    its maximum."""
    for name in limits.__dataclass_fields__:
        if not 0 <= getattr(limits, name) <= MAX_MAGNITUDE:
            return f"{name} is {getattr(limits, name):g}, must be within 0..1e9"
    for name in limits.__dataclass_fields__:
        if name.startswith("min_"):
            least, most = getattr(limits, name), getattr(limits, name.replace("min_", "max_"))
            if least > most:
                return f"{name} is {least:g}, above the maximum of {most:g}"
    return None


def sane_loop_limits(limits: DcLimits, discovered: DcLimits | None) -> DcLimits:
    """A peer's limits in the charge loop, nonsense turned into zero.

    A pair of power or current limits that is out of range or contradicts itself becomes 0..0; a voltage range that
    does becomes the discovered one, and every power and current 0.
    """
    pairs = {"charge_power_w", "charge_current_a", "discharge_power_w", "discharge_current_a"}
    changes: dict[str, float] = {}
    if not (0 <= limits.min_voltage_v <= limits.max_voltage_v <= MAX_MAGNITUDE and limits.max_voltage_v > 0):
        changes |= {f"{end}_{pair}": 0.0 for pair in pairs for end in ("min", "max")}
        changes["min_voltage_v"] = discovered.min_voltage_v if discovered else 0.0
        changes["max_voltage_v"] = discovered.max_voltage_v if discovered else 0.0
    else:
        for pair in pairs:
            if not 0 <= getattr(limits, f"min_{pair}") <= getattr(limits, f"max_{pair}") <= MAX_MAGNITUDE:
                changes |= {f"min_{pair}": 0.0, f"max_{pair}": 0.0}
    return replace(limits, **changes) if changes else limits


def is_number(value: object) -> bool:
    """A finite int or float, and no bool."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (isinstance(value, int) or math.isfinite(value))
    )


def check_limits(limits: DcLimits, what: str) -> None:
    """Raises :class:`LocalProtocolError` unless ``limits`` are :class:`DcLimits`, each a number within 0..1e9."""
    if not isinstance(limits, DcLimits):
        raise LocalProtocolError(f"{what} is {limits!r}, must be DcLimits")
    for name in limits.__dataclass_fields__:
        value = getattr(limits, name)
        if not (is_number(value) and 0 <= value <= MAX_MAGNITUDE):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be a number within 0..1e9")


def check_finite(what: str, **values: float) -> None:
    """Raises :class:`LocalProtocolError` unless every value is a number within ±1e9."""
    for name, value in values.items():
        if not (is_number(value) and abs(value) <= MAX_MAGNITUDE):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be a number within ±1e9")


def check_optional(what: str, **values: float | None) -> None:
    """Raises :class:`LocalProtocolError` unless every value is None or a number within ±1e9."""
    check_finite(what, **{name: value for name, value in values.items() if value is not None})


def check_flags(what: str, **values: bool) -> None:
    """Raises :class:`LocalProtocolError` unless every value is True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be True or False")


def check_text(what: str, **values: str) -> None:
    """Raises :class:`LocalProtocolError` unless every value is a text."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be a text")


def check_integers(what: str, most: int, **values: int | None) -> None:
    """Raises :class:`LocalProtocolError` unless every value is None or an integer within 0..``most``."""
    for name, value in values.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most):
            raise LocalProtocolError(f"{what}: {name} is {value!r}, must be an integer within 0..{most}")


def check_needs(needs: EnergyNeeds, what: str) -> None:
    """Raises :class:`LocalProtocolError` for energies that are no numbers, and for SOC or times out of range."""
    if not isinstance(needs, EnergyNeeds):
        raise LocalProtocolError(f"{what} is {needs!r}, must be EnergyNeeds")
    check_optional(
        what,
        target_energy_wh=needs.target_energy_wh,
        max_energy_wh=needs.max_energy_wh,
        min_energy_wh=needs.min_energy_wh,
        max_v2x_energy_wh=needs.max_v2x_energy_wh,
        min_v2x_energy_wh=needs.min_v2x_energy_wh,
    )
    check_integers(what, 100, min_soc_pct=needs.min_soc_pct, target_soc_pct=needs.target_soc_pct)
    check_integers(what, 2**32 - 1, departure_time_s=needs.departure_time_s)
