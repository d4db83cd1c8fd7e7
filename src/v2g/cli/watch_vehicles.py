"""The live view's table of EVSEs and their vehicles, for hundreds of them and for few columns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len

from v2g.cli.watch_lines import BAD, DIM, GOOD, HEAD, STRONG, WARN, Line, Span, padded, safe
from v2g.control.messages import EvseLine

_UNKNOWN: Final = "?"
_GAP: Final = 1
_SMALL_W: Final = 0.5
_STATES: Final = {"charging": GOOD, "discharging": STRONG}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    title: str
    text: Callable[[EvseLine], str]
    rank: int
    """The highest goes first where there is no room."""
    least: int
    most: int
    right: bool = False


def _kilowatts(power_w: float | None) -> str:
    if power_w is None:
        return _UNKNOWN
    if abs(power_w) < _SMALL_W:
        return "0.00"
    return f"{'chg' if power_w > 0 else 'dis'} {abs(power_w) / 1e3:.2f}"


def _long_power(power_w: float | None) -> str:
    return _kilowatts(power_w).replace("chg", "charge").replace("dis", "discharge")


def _vehicle(evse: EvseLine) -> str:
    return safe(evse.paused if evse.session is None else evse.session.vehicle)


def _state(evse: EvseLine) -> str:
    if evse.session is None:
        return "paused" if evse.paused else "free"
    return safe(evse.session.state)


def _soc(evse: EvseLine) -> str:
    if evse.session is None:
        return ""
    return _UNKNOWN if evse.session.soc_pct is None else f"{evse.session.soc_pct} %"


def _leaves(evse: EvseLine) -> str:
    energy = evse.session.energy if evse.session is not None else None
    if energy is None:
        return ""
    minutes = max(0, round(energy.departs_in_s / 60.0))
    words = f"{minutes // 60}h{minutes % 60:02d}" if minutes >= 60 else f"{minutes} min"
    return f"~{words}" if energy.departure_assumed else words


def _bound(evse: EvseLine) -> str:
    if evse.fault:
        return f"FAULT: {safe(evse.fault)}"
    return safe(evse.bound_by or "")


def _columns(wide: bool) -> tuple[_Column, ...]:
    power = _long_power if wide else _kilowatts
    widest = 24 if wide else 16
    return (
        _Column(title="EVSE", text=lambda evse: safe(evse.evse_id), rank=0, least=9, most=widest),
        _Column(title="VEHICLE", text=_vehicle, rank=6, least=8, most=widest + 6 if wide else 12),
        _Column(title="STATE", text=_state, rank=1, least=11, most=16),
        _Column(title="SOC", text=_soc, rank=3, least=5, most=5, right=True),
        _Column(title="POWER kW", text=lambda evse: power(evse.power_w), rank=2, least=8, most=18, right=True),
        _Column(title="GRANT kW", text=lambda evse: power(evse.granted_w), rank=5, least=8, most=18, right=True),
        _Column(title="LEAVES", text=_leaves, rank=7, least=6, most=8, right=True),
        _Column(title="BOUND BY", text=_bound, rank=4, least=10, most=400),
    )


def sorted_evses(evses: Sequence[EvseLine]) -> list[EvseLine]:
    """Faults first, then vehicles, then what is free; otherwise as configured."""
    return sorted(evses, key=lambda evse: 0 if evse.fault else 1 if evse.session is not None else 2)


def vehicles(evses: Sequence[EvseLine], width: int, most: int, first: int = 0) -> tuple[list[Line], tuple[str, ...]]:
    """At most ``most`` lines, from the ``first``-th row on; and the columns that had no room."""
    rows = sorted_evses(evses)
    if not rows:
        return [(Span("VEHICLES", HEAD), Span(" no EVSE is configured", DIM))], ()
    first = min(max(first, 0), max(0, len(rows) - max(most - 2, 1)))
    room = most - 1
    shown = rows[first : first + room]
    hidden = len(rows) - len(shown)
    if hidden:
        shown = shown[: max(room - 1, 0)]
    chosen, left_out = _chosen(_columns(width >= 110), rows, width)
    widths = _widths(chosen, rows, width)
    lines: list[Line] = [
        _row([column.title for column in chosen], chosen, widths, [HEAD] * len(chosen)),
        *(_line(evse, chosen, widths) for evse in shown),
    ]
    if hidden and len(lines) < most:
        lines.append((Span(_more(rows, first, len(shown)), DIM),))
    elif hidden:
        lines[0] = (Span(f"VEHICLES {_more(rows, 0, 0).removeprefix('and ')}", HEAD),)
    return lines, left_out


def _more(rows: Sequence[EvseLine], first: int, shown: int) -> str:
    above, below = rows[:first], rows[first + shown :]
    words = [
        f"{_counted(part)} {where}".strip()
        for part, where in ((below, "below" if above else ""), (above, "above"))
        if part
    ]
    return "and " + ", ".join(words)


def _counted(rows: Sequence[EvseLine]) -> str:
    vehicles = sum(evse.session is not None for evse in rows)
    free = len(rows) - vehicles
    parts = []
    if vehicles:
        parts.append(f"{vehicles} more {'vehicle' if vehicles == 1 else 'vehicles'}")
    if free:
        parts.append(f"{free} free {'EVSE' if free == 1 else 'EVSEs'}")
    return " and ".join(parts)


def _chosen(columns: Sequence[_Column], rows: Sequence[EvseLine], width: int) -> tuple[list[_Column], tuple[str, ...]]:
    chosen = list(columns)
    dropped: list[str] = []
    while len(chosen) > 1 and sum(_need(column, rows) for column in chosen) + _GAP * (len(chosen) - 1) > width:
        gone = max(chosen, key=lambda column: column.rank)
        chosen.remove(gone)
        dropped.append(gone.title.removesuffix(" kW").lower())
    return chosen, tuple(dropped)


def _need(column: _Column, rows: Sequence[EvseLine]) -> int:
    return min(max(column.least, len(column.title)), _wish(column, rows))


def _wish(column: _Column, rows: Sequence[EvseLine]) -> int:
    longest = max((cell_len(column.text(evse)) for evse in rows), default=0)
    return max(len(column.title), min(longest, column.most))


def _widths(columns: Sequence[_Column], rows: Sequence[EvseLine], width: int) -> list[int]:
    """Each what it needs, then, from the first on, what it wishes; the last has the rest."""
    widths = [_need(column, rows) for column in columns]
    room = width - sum(widths) - _GAP * (len(columns) - 1)
    for number, column in enumerate(columns):
        more = min(max(room, 0), max(0, _wish(column, rows) - widths[number]))
        widths[number] += more
        room -= more
    return [max(1, each) for each in widths]


def _line(evse: EvseLine, columns: Sequence[_Column], widths: Sequence[int]) -> Line:
    styles = []
    for column in columns:
        if column.title == "BOUND BY":
            styles.append(BAD if evse.fault else DIM)
        elif column.title == "STATE":
            state = evse.session.state if evse.session is not None else ""
            styles.append(DIM if evse.session is None else _STATES.get(state, WARN))
        else:
            styles.append(BAD if evse.fault and column.title == "EVSE" else "")
    texts = [column.text(evse) for column in columns]
    if evse.fault and all(column.title != "BOUND BY" for column in columns):
        texts[0] = "!" + texts[0]
    return _row(texts, columns, widths, styles)


def _row(texts: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], styles: Sequence[str]) -> Line:
    spans: list[Span] = []
    for text, column, width, style in zip(texts, columns, widths, styles, strict=True):
        if spans:
            spans.append(Span(" " * _GAP))
        spans.append(Span(padded(text, width, right=column.right), style))
    return tuple(spans)
