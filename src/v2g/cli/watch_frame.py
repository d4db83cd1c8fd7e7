"""One frame of the live view: a pure function of what the daemon said, of the time and of the terminal's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from rich.cells import cell_len

from v2g.cli import watch_parts as parts
from v2g.cli.render import span
from v2g.cli.watch_chart import chart, curves
from v2g.cli.watch_lines import BAD, DIM, Line, Span, filled, fitted, joined, line, safe, to_ascii, wrapped
from v2g.cli.watch_vehicles import sorted_evses, vehicles
from v2g.control.messages import StatusResult, ThermalResult
from v2g.control.messages_course import CourseResult
from v2g.control.messages_mesh import MeshResult

_WIDE: Final = (120, 30)
_LEAST_CHART: Final = 6
_MOST_FACTS: Final = 6
_TALL_CHART: Final = 18
_DEFAULT_HORIZON_S: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the daemon said last, at ``taken_s`` of the viewer's monotonic clock and ``time_of_day`` of its wall clock.
    ``problem``: why it does not answer since then; empty while it does."""

    status: StatusResult
    thermal: ThermalResult | None = None
    course: CourseResult | None = None
    mesh: MeshResult | None = None
    notes: tuple[str, ...] = ()
    """Of the command itself, shown behind the daemon's problems."""
    taken_s: float = 0.0
    time_of_day: str = ""
    problem: str = ""
    stale_after_s: float = 3.0
    """Nothing newer for so long is said, although an answer may still come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How it is looked at. ``first``: row of the table of vehicles at its top; ``keys``: a person can press some."""

    width: int
    height: int
    first: int = 0
    keys: bool = False
    ascii_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """``wish`` lines are enough for it, with less than ``least`` it is left out. ``lines`` gets its height."""

    name: str
    least: int
    wish: int
    lines: Callable[[int], Sequence[Line]]


def frame(snapshot: Snapshot, view: View, now_s: float, time_of_day: str) -> list[Line]:
    """At most ``view.height`` lines of at most ``view.width`` cells."""
    width, height = max(view.width, 1), max(view.height, 1)
    head = [parts.header(snapshot.status, time_of_day, width), *_banner(snapshot, width, now_s)]
    head = head[:height]
    left_out: list[str] = []
    sections = _sections(snapshot, view, width, height, left_out)
    room = height - len(head)
    heights = _shared(sections, room)
    if view.keys or len(heights) < len(sections) or _dropped_columns(snapshot, view):
        heights = _shared(sections, room - 1)
    body: list[Line] = []
    for section in sections:
        if section.name in heights:
            body += list(section.lines(heights[section.name]))[: heights[section.name]]
        else:
            left_out.append(section.name)
    foot = _foot(left_out, view)
    if foot and room > 0:
        gap = height - len(head) - len(body) - 1
        body = [*body, *([()] * gap if view.keys else []), foot]
    lines = [joined(fitted(each, width)) for each in [*head, *body][:height]]
    return [to_ascii(each) for each in lines] if view.ascii_only else lines


def last_row(snapshot: Snapshot) -> int:
    """The highest sensible ``first``."""
    return max(0, len(sorted_evses(snapshot.status.evses)) - 1)


def _banner(snapshot: Snapshot, width: int, now_s: float) -> list[Line]:
    age_s = max(0.0, now_s - snapshot.taken_s)
    if not snapshot.problem and age_s <= snapshot.stale_after_s:
        return []
    why = safe(snapshot.problem) or "it has not ended the connection: it hangs, or the host is overloaded"
    ago = span(age_s)
    text = f"NO ANSWER for {ago}: what is shown is of {snapshot.time_of_day}. Trying again: {why}"
    return [line(Span(piece, BAD)) for piece in wrapped(text, width, 2)]


def _sections(snapshot: Snapshot, view: View, width: int, height: int, left_out: list[str]) -> list[_Section]:
    status, thermal = snapshot.status, snapshot.thermal
    found = [*parts.problems(status), *map(safe, snapshot.notes)]
    in_full = parts.alarms_wish(found, width) if found else 1

    def table(most: int) -> list[Line]:
        lines, columns = vehicles(status.evses, width, most, view.first)
        left_out.extend(columns)
        return lines

    tables = [
        _Section(name="vehicles", least=2, wish=1 + max(len(status.evses), 1), lines=table),
        _Section(
            name="orders", least=1, wish=1 + len(status.orders), lines=partial(parts.orders, status.orders, width)
        ),
        _Section(name="alarms", least=1, wish=in_full, lines=partial(parts.alarms, found, width)),
    ]
    if width >= _WIDE[0] and height >= _WIDE[1] and thermal is not None:
        return [_wide(snapshot, view, width), *tables]
    facts = [
        _Section(name=name, least=1, wish=len(lines(_MOST_FACTS)), lines=lines)
        for name, lines in (
            ("grid", partial(parts.grid, status.guard, width)),
            ("transformer", partial(parts.transformer, status, thermal, width)),
            ("headroom", partial(parts.headroom, status, thermal, width)),
        )
    ]
    if snapshot.mesh is not None and snapshot.mesh.members:
        mesh = partial(parts.mesh, snapshot.mesh, width)
        facts.append(_Section(name="mesh", least=1, wish=len(mesh(_MOST_FACTS)), lines=mesh))
    if thermal is None:
        return [*facts, *tables]
    return [*facts, _chart_section(snapshot, view, width), *tables]


def _chart_section(snapshot: Snapshot, view: View, width: int) -> _Section:
    return _Section(name="curve", least=_LEAST_CHART, wish=_TALL_CHART, lines=partial(_chart, snapshot, view, width))


def _chart(snapshot: Snapshot, view: View, width: int, height: int) -> list[Line]:
    thermal = snapshot.thermal
    if thermal is None:
        return []
    horizon_s = thermal.horizon_s or _DEFAULT_HORIZON_S
    drawn = chart(
        curves(thermal, snapshot.course),
        thermal.hot_spot_limit_c,
        horizon_s,
        width,
        height,
        ascii_only=view.ascii_only,
    )
    if drawn:
        return drawn
    problem = snapshot.course.problem if snapshot.course is not None else ""
    return [line(Span(safe(problem) or "no curve: no temperature of the transformer is known", DIM))]


def _wide(snapshot: Snapshot, view: View, width: int) -> _Section:
    """The curve at the left, the facts at its right."""
    right = max(48, width * 2 // 5)
    left = width - right - 3

    def lines(height: int) -> list[Line]:
        drawn = _chart(snapshot, view, left, height)
        status, thermal = snapshot.status, snapshot.thermal
        facts = [
            *parts.grid(status.guard, right, 4),
            (),
            *parts.transformer(status, thermal, right, 6),
            (),
            *parts.headroom(status, thermal, right, 5),
        ]
        if snapshot.mesh is not None and snapshot.mesh.members:
            facts += [(), *parts.mesh(snapshot.mesh, right, 2)]
        facts += [(), *parts.devices(status, right)][: max(0, height - len(facts))]
        rows = max(len(drawn), min(len(facts), height))
        return [
            (
                *filled(drawn[row] if row < len(drawn) else (), left),
                Span(" │ ", DIM),
                *fitted(facts[row] if row < len(facts) else (), right),
            )
            for row in range(rows)
        ]

    return _Section(name="curve, grid, transformer and headroom", least=12, wish=_TALL_CHART, lines=lines)


_TURNS: Final = (
    ("grid", 1), ("headroom", 1), ("vehicles", 2), ("alarms", 1), ("transformer", 1), ("orders", 1),
    ("vehicles", 5), ("alarms", 3), ("transformer", 2), ("headroom", 2), ("grid", 2), ("mesh", 1),
    ("curve", _LEAST_CHART),
    ("alarms", 4), ("headroom", 3), ("grid", 3), ("orders", 3), ("vehicles", 7), ("curve", 9), ("grid", 6),
    ("headroom", 4), ("transformer", 4), ("mesh", 2), ("alarms", 7), ("vehicles", 14), ("orders", 5), ("curve", 12),
    ("alarms", 400), ("vehicles", 4000), ("orders", 400), ("curve", _TALL_CHART),
)  # fmt: skip
"""Who gets up to how many lines, in turn."""


def _shared(sections: Sequence[_Section], room: int) -> dict[str, int]:
    """Heights by name; who is not in it is left out."""
    by_key = {_key(section): section for section in sections}
    heights: dict[str, int] = {}
    for key, most in _TURNS:
        section = by_key.get(key)
        if section is None or (key not in heights and section.least > room):
            continue
        had = heights.get(key, 0)
        gets = max(had, section.least, min(section.wish, most))
        heights[key] = min(gets, had + room)
        room -= heights[key] - had
    return {by_key[key].name: height for key, height in heights.items()}


def _key(section: _Section) -> str:
    return section.name.split(",")[0]


def _dropped_columns(snapshot: Snapshot, view: View) -> bool:
    return bool(vehicles(snapshot.status.evses, max(view.width, 1), 2)[1])


def _foot(left_out: Sequence[str], view: View) -> Line:
    keys = "q quits, arrows scroll" if view.keys else ""
    if not left_out:
        return (Span(keys, DIM),) if keys else ()
    names = list(dict.fromkeys(left_out))
    text = f"no room for: {', '.join(names)}"
    if cell_len(text) > view.width:
        text = f"no room for {len(names)} things here"
    if keys and cell_len(text) + len(keys) + 3 <= view.width:
        text += f" · {keys}"
    return (Span(text, DIM),)
