"""Segments into the bytes of TCP streams, in order and each once; bounded whatever comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from pyiso15118.capture.network import Host, Transport

MAX_WAITING: Final = 256
MAX_WAITING_BYTES: Final = 1 << 20
MAX_WAITING_S: Final = 1.0
"""So many segments of a stream, so many bytes and so long may one before them be waited for; then it counts as lost."""
MAX_FLOWS: Final = 1024
"""Streams followed at once; of more the oldest is given up."""
_SYN: Final = 0x02


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a TCP stream in order, or one datagram (``udp``).

    ``begins``: the connection was seen to begin right before it. ``gap``: bytes before it are missing.
    """

    unix_s: float
    source: Host
    target: Host
    data: bytes
    udp: bool = False
    gap: bool = False
    begins: bool = False


@dataclass(slots=True)
class _Flow:
    expected: int
    begins: bool = False
    waiting: dict[int, Piece] = field(default_factory=dict)
    waiting_bytes: int = 0


class Streams:
    """All TCP streams of a capture, each direction by itself."""

    def __init__(self) -> None:
        self._flows: dict[tuple[Host, Host], _Flow] = {}

    def segment(self, unix_s: float, found: Transport) -> Iterator[Piece]:
        """What a segment makes readable."""
        key = found.source, found.target
        number, flags = int.from_bytes(found.body[4:8]), found.body[13]
        if flags & _SYN:
            if (before := self._flows.pop(key, None)) is not None:
                yield from _rest(before)
            yield from self._follow(key, _Flow(number + 1 & 0xFFFFFFFF, begins=True))
            return
        data = found.body[max(20, 4 * (found.body[12] >> 4)) :]
        if not data:
            return
        if key not in self._flows:
            yield from self._follow(key, _Flow(number))
        flow = self._flows[key]
        held = flow.waiting.get(number)
        if held is None or len(data) > len(held.data):
            flow.waiting_bytes += len(data) - (len(held.data) if held is not None else 0)
            flow.waiting[number] = Piece(unix_s, *key, data)
        yield from _ready(flow)
        while flow.waiting and _too_long(flow, unix_s):
            yield from _jump(flow)

    def rest(self) -> Iterator[Piece]:
        """What still waits for something lost, when the capture is over."""
        flows, self._flows = self._flows, {}
        yield from sorted((piece for flow in flows.values() for piece in _rest(flow)), key=lambda piece: piece.unix_s)

    def _follow(self, key: tuple[Host, Host], flow: _Flow) -> Iterator[Piece]:
        if len(self._flows) >= MAX_FLOWS:
            yield from _rest(self._flows.pop(next(iter(self._flows))))
        self._flows[key] = flow


def _too_long(flow: _Flow, unix_s: float) -> bool:
    first = next(iter(flow.waiting.values()))
    return (
        len(flow.waiting) > MAX_WAITING
        or flow.waiting_bytes > MAX_WAITING_BYTES
        or unix_s - first.unix_s > MAX_WAITING_S
    )


def _ready(flow: _Flow) -> Iterator[Piece]:
    """What follows without a gap; what came twice is left out."""
    moved = True
    while moved:
        moved = False
        for number in list(flow.waiting):
            behind = number - flow.expected & 0xFFFFFFFF
            already = (1 << 32) - behind if behind >= 1 << 31 else 0
            if behind and not already:
                continue
            piece = _taken(flow, number)
            if already < len(piece.data):
                data = piece.data[already:]
                flow.expected = flow.expected + len(data) & 0xFFFFFFFF
                yield replace(piece, data=data, begins=flow.begins)
                flow.begins = False
            moved = True


def _jump(flow: _Flow) -> Iterator[Piece]:
    """Go on behind a gap, at the first segment that is there."""
    first = min(flow.waiting, key=lambda number: number - flow.expected & 0xFFFFFFFF)
    piece = _taken(flow, first)
    flow.expected = first + len(piece.data) & 0xFFFFFFFF
    flow.begins = False
    yield replace(piece, gap=True)
    yield from _ready(flow)


def _taken(flow: _Flow, number: int) -> Piece:
    piece = flow.waiting.pop(number)
    flow.waiting_bytes -= len(piece.data)
    return piece


def _rest(flow: _Flow) -> Iterator[Piece]:
    while flow.waiting:
        yield from _jump(flow)
