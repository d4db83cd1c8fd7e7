"""How quickly vehicles and the backhaul answer, as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from v2g.cli.tables import table
from v2g.control.messages import StatusResult

_UNKNOWN = "?"


def timing_parts(status: StatusResult) -> list[str]:
    """Paragraphs for ``v2g-tool status``; none without a session and without a heartbeat LED or probe."""
    rows = list(_sessions(status))
    parts = []
    if rows:
        head = ("EVSE", "ASKS AGAIN AFTER", "99 % WITHIN", "ABOVE 0.25 S", "ROUND TRIP", "SENT AGAIN")
        parts += ["", "TURNAROUND", table(head, rows)]
    if status.backhaul is not None:
        parts += ["", f"BACKHAUL  {_backhaul(status)}"]
    return parts


def _sessions(status: StatusResult) -> Iterator[tuple[str, ...]]:
    for evse in status.evses:
        timing = evse.session.timing if evse.session is not None else None
        if timing is None:
            continue
        yield (
            evse.evse_id,
            _ms(timing.turnaround_median_s),
            _ms(timing.turnaround_p99_s),
            f"{timing.slow} of {timing.turns}",
            _ms(timing.rtt_s),
            _UNKNOWN if timing.retransmits is None else str(timing.retransmits),
        )


def _backhaul(status: StatusResult) -> str:
    line = status.backhaul
    if line is None:
        return ""
    if line.problem:
        return f"{line.target}: {line.problem}"
    loss = "too few probes yet" if line.loss is None else f"{100.0 * line.loss:.0f} % of the last minute's probes lost"
    light = f"; heartbeat {status.heartbeat}" if status.heartbeat else ""
    return f"{line.target}: {loss}, round trip {_ms(line.round_trip_s)}{light}"


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms"
