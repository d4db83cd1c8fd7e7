"""The messages of sessions in memory: the first and the last of each, and on demand all of them. Pure.

Nothing is written to a disk here. Always kept are the first bytes of a session, with its setup and authorisation, and
the last ones, with its end; of sessions that are over, the newest few. A recording keeps everything of an EVSE for a
time, within a bound of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pyiso15118.aio import Address

MAX_RECORDED_BYTES: Final = 8 << 20
"""Of a recording, all sessions together."""
PIECE_COST_BYTES: Final = 150
"""What a piece takes in memory besides its bytes."""
MAX_DISCOVERIES: Final = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """``at``: monotonic seconds. ``offset``: of its first byte in its direction. ``number``: in its session."""

    number: int
    at: float
    sent: bool
    offset: int
    data: bytes

    @property
    def cost(self) -> int:
        return len(self.data) + PIECE_COST_BYTES


@dataclass(frozen=True, slots=True)
class Discovery:
    """An SDP request and our answer, as datagrams."""

    at: float
    evse_id: str
    vehicle: Address
    request: bytes
    response: bytes


@dataclass(slots=True)
class Recording:
    """Of ``evse_id``, or of all where it is empty, until ``until_s``. ``full``: its room was used up."""

    evse_id: str
    until_s: float
    left_bytes: int = MAX_RECORDED_BYTES
    full: bool = False

    def covers(self, evse_id: str, now_s: float) -> bool:
        return self.evse_id in ("", evse_id) and now_s < self.until_s and not self.full


class SessionTrace:
    """A :class:`pyiso15118.aio.Tap`: one connection's pieces."""

    def __init__(
        self, book: TraceBook, number: int, evse_id: str, vehicle: Address, station: Address, *, secured: bool
    ) -> None:
        self.number = number
        self.evse_id = evse_id
        self.vehicle = vehicle
        self.station = station
        self.secured = secured
        self.session_id = ""
        self.began_at: float | None = None
        self.last_at: float | None = None
        self.over = False
        self.pieces_seen = 0
        self.bytes_seen_of = {True: 0, False: 0}
        self.discovery: Discovery | None = None
        self._book = book
        self._head: list[Piece] = []
        self._head_left = book.keep_bytes // 4
        self._tail: deque[Piece] = deque()
        self._tail_left = book.keep_bytes - self._head_left
        self._recorded: list[Piece] = []

    def bytes_seen(self, data: bytes, at: float, *, sent: bool) -> None:
        piece = Piece(self.pieces_seen, at, sent, self.bytes_seen_of[sent], data)
        self.pieces_seen += 1
        self.bytes_seen_of[sent] += len(data)
        self.last_at = at
        if self.began_at is None:
            self.began_at = at
        recording = self._book.recording
        if recording is not None and recording.covers(self.evse_id, at):
            self._record(piece, recording)
        cost = piece.cost
        if self._head_left >= cost:
            self._head_left -= cost
            self._head.append(piece)
            return
        # What comes after one that did not fit is not its head any more.
        self._head_left = 0
        self._tail.append(piece)
        self._tail_left -= cost
        while self._tail_left < 0 and self._tail:
            self._tail_left += self._tail.popleft().cost

    def ended(self, session_id: bytes) -> None:
        self.session_id = session_id.hex().upper() if any(session_id) else ""
        self.over = True
        self._book.ended(self)

    @property
    def pieces(self) -> list[Piece]:
        """What is kept, in order."""
        kept = {piece.number: piece for piece in (*self._head, *self._recorded, *self._tail)}
        return [kept[number] for number in sorted(kept)]

    @property
    def complete(self) -> bool:
        """Nothing was left out since the connection began."""
        return len({piece.number for piece in (*self._head, *self._recorded, *self._tail)}) == self.pieces_seen

    def forget_recorded(self) -> None:
        self._recorded = []

    def _record(self, piece: Piece, recording: Recording) -> None:
        if recording.left_bytes < piece.cost:
            recording.full = True
            return
        recording.left_bytes -= piece.cost
        self._recorded.append(piece)


@dataclass(slots=True)
class TraceBook:
    """A :class:`pyiso15118.aio.Tracer`. ``keep_bytes``: of each session; ``keep_sessions``: that are over."""

    keep_sessions: int
    keep_bytes: int
    recording: Recording | None = None
    _live: dict[int, SessionTrace] = field(default_factory=dict)
    _over: deque[SessionTrace] = field(default_factory=deque)
    _discoveries: dict[tuple[str, str], Discovery] = field(default_factory=dict)
    _opened: int = 0

    def opened(self, evse_id: str, vehicle: Address, station: Address, *, secured: bool) -> SessionTrace:
        self._opened += 1
        trace = SessionTrace(self, self._opened, evse_id, vehicle, station, secured=secured)
        trace.discovery = self._discoveries.pop((evse_id, vehicle.host), None)
        self._live[trace.number] = trace
        return trace

    def discovered(self, evse_id: str, vehicle: Address, request: bytes, response: bytes, at: float) -> None:
        # A vehicle that asks from ever new addresses must not fill our memory.
        if len(self._discoveries) >= MAX_DISCOVERIES:
            del self._discoveries[next(iter(self._discoveries))]
        self._discoveries[evse_id, vehicle.host] = Discovery(at, evse_id, vehicle, request, response)

    def ended(self, trace: SessionTrace) -> None:
        """Called by the trace itself."""
        self._live.pop(trace.number, None)
        # Who connects and says nothing must not push out what is worth keeping.
        if not trace.pieces_seen:
            return
        self._over.append(trace)
        while len(self._over) > self.keep_sessions:
            self._over.popleft()

    def record(self, evse_id: str, until_s: float) -> Recording:
        """Keep everything of an EVSE, or of all, from now on; what an earlier recording kept is forgotten."""
        for trace in self.traces:
            trace.forget_recorded()
        self.recording = Recording(evse_id, until_s)
        return self.recording

    def stop(self) -> Recording | None:
        """End the recording; what it kept stays."""
        stopped, self.recording = self.recording, None
        return stopped

    @property
    def traces(self) -> tuple[SessionTrace, ...]:
        """The newest last."""
        return tuple(sorted((*self._over, *self._live.values()), key=lambda trace: trace.number))
