"""Parameters and results of ``trace.list`` (viewer), ``trace.start``, ``trace.stop`` and ``trace.fetch`` (engineer)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from v2g.control.messages import Params

MAX_DURATION_S = 3600.0


class TraceStartParams(Params, frozen=True, kw_only=True):
    evse_id: str = ""
    """Empty: all."""
    duration_s: Annotated[float, Meta(gt=0, le=MAX_DURATION_S)] = 600.0


class TraceFetchParams(Params, frozen=True, kw_only=True):
    number: int
    """Of the trace, as ``trace.list`` tells it."""
    after: int = -1
    """Only pieces with a higher number."""


class TraceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One connection. ``session``: its identifier in hexadecimal, empty where none was set up. ``age_s``: since its
    first bytes; ``quiet_s``: since its last. ``complete``: nothing was left out."""

    number: int
    session: str
    evse_id: str
    vehicle: str
    station: str
    secured: bool
    over: bool
    age_s: float
    quiet_s: float
    pieces: int
    kept: int
    kept_bytes: int
    complete: bool


class TraceListResult(msgspec.Struct, frozen=True, kw_only=True):
    """The newest last. ``recording_evse``: of what is being recorded in full, empty: of all; None: nothing is."""

    traces: tuple[TraceLine, ...]
    recording_evse: str | None = None
    recording_left_s: float = 0.0
    recording_full: bool = False


class TraceStartResult(msgspec.Struct, frozen=True, kw_only=True):
    evse_id: str
    duration_s: float
    room_bytes: int


class TraceStopResult(msgspec.Struct, frozen=True, kw_only=True):
    stopped: bool
    """False: nothing was being recorded."""
    full: bool = False
    """Its room was used up before its time."""


class TracePiece(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``offset``: of its first byte in its direction; bytes in base64."""

    number: int
    unix_s: float
    sent: bool
    offset: int
    data: bytes


class TraceFetchResult(msgspec.Struct, frozen=True, kw_only=True):
    """``more``: ask again with ``after``. ``discovery``: when, from where, SDP request and answer before it."""

    line: TraceLine
    pieces: tuple[TracePiece, ...]
    more: bool
    discovery: tuple[float, str, bytes, bytes] | None = None
