"""Inverters in vehicles that keep to the site's grid code, as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from v2g.cli.tables import table
from v2g.control.messages import EvseLine
from v2g.control.messages_ac import DerLine

_UNKNOWN = "?"
_HEAD = ("EVSE", "INVERTER", "SAE J3072", "IN SERVICE", "SWITCH", "ALARMS", "GRID CODE")


def der_parts(evses: Sequence[EvseLine]) -> list[str]:
    """Paragraphs for ``v2g-tool status``; none without such a vehicle."""
    rows: list[tuple[str, ...]] = []
    remarks: list[str] = []
    for evse in evses:
        line = evse.session.der if evse.session is not None else None
        if line is None:
            continue
        rows.append(
            (
                evse.evse_id,
                line.inverter or _UNKNOWN,
                {True: "certified", False: "no", None: _UNKNOWN}[line.certified],
                {True: "yes", False: "NO", None: _UNKNOWN}[line.in_service],
                {True: "closed", False: "open", None: _UNKNOWN}[line.connected],
                line.alarms or ("held back by the grid" if line.grid_event else "none"),
                "handed over" if line.code_sent else "not yet",
            )
        )
        remarks += [f"  {evse.evse_id}: {remark}" for remark in _remarks(line)]
    return ["", "VEHICLES' INVERTERS", table(_HEAD, rows), *remarks] if rows else []


def _remarks(line: DerLine) -> list[str]:
    """What of the grid code the inverter does not keep to."""
    told = (
        ("does not carry out", line.not_enabled),
        ("hears of it with its next session", line.waits),
        ("no words for it in its protocol, the guard alone sees to it", line.left_out),
    )
    return [f"{words}: {', '.join(functions)}" for words, functions in told if functions]
