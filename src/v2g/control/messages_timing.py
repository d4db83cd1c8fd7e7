"""How quickly a vehicle and the backhaul answer, as the status tells it. Seconds; shares 0..1."""

from __future__ import annotations

import msgspec


class TimingLine(msgspec.Struct, frozen=True, kw_only=True):
    """Of a session. ``turnaround_…_s``: from a charge-loop response written to the next request received; None before
    the charge loop. ``rtt_s``: the kernel's smoothed round trip, which is part of it; None: not known."""

    turns: int
    """Charge-loop turns so far."""
    turnaround_median_s: float | None = None
    turnaround_p99_s: float | None = None
    turnaround_worst_s: float | None = None
    slow: int = 0
    """Turns above 0.25 s."""
    rtt_s: float | None = None
    retransmits: int | None = None
    """Segments of ours that were sent again."""


class BackhaulLine(msgspec.Struct, frozen=True, kw_only=True):
    """The probe of the utility's gateway. ``loss``: of the last minute; None: too few probes yet."""

    target: str
    loss: float | None
    round_trip_s: float | None
    probes: int
    lost: int
    problem: str = ""
