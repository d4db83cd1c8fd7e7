"""The temperatures' curve in braille dots, or in letters where a terminal has none. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from v2g.cli.watch_lines import DIM, HOT, OIL, WARN, Line, Span, joined, padded
from v2g.control.messages import ThermalResult
from v2g.control.messages_course import CourseResult

_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE: Final = 0x2800
_AXIS: Final = 6
"""Cells of ``120 ┤``, and one of room."""
_LABELS: Final = 9
_LEAST: Final = (24, 5)
_GAP_S: Final = 90.0
_SHOW_LIMIT_WITHIN_K: Final = 40.0
_STEPS_K: Final = (5, 10, 20, 25, 50, 100, 200, 500)
_PAST_TO_AHEAD: Final = 2.0
_DIFFERS_K: Final = 1.0

Point = tuple[float, float | None]
"""Seconds from now (negative: past), °C; None is a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """``name`` stands at its end; ``past`` is drawn whole, of ``ahead`` one dot in ``every``."""

    name: str
    style: str
    past: Sequence[Point]
    ahead: Sequence[Point]
    every: int = 2


def curves(thermal: ThermalResult, course: CourseResult | None) -> tuple[Curve, ...]:
    """Hot spot and top oil: what was, is and comes; and the hot spot without V2G where that makes a difference."""
    past = course.past if course is not None else ()
    ahead = course.ahead if course is not None else ()
    alone = Curve(
        name="no V2G",
        style=DIM,
        past=(),
        ahead=[(0.0, thermal.hot_spot_c), *((point.in_s, point.base_hot_spot_c) for point in ahead)],
        every=4,
    )
    differs = bool(ahead) and abs(ahead[-1].base_hot_spot_c - ahead[-1].hot_spot_c) >= _DIFFERS_K
    return (
        Curve(
            name="hot spot",
            style=HOT,
            past=[*((-point.ago_s, point.hot_spot_c) for point in past), (0.0, thermal.hot_spot_c)],
            ahead=[(0.0, thermal.hot_spot_c), *((point.in_s, point.hot_spot_c) for point in ahead)],
        ),
        Curve(
            name="top oil",
            style=OIL,
            past=[*((-point.ago_s, point.top_oil_c) for point in past), (0.0, thermal.top_oil_c)],
            ahead=[(0.0, thermal.top_oil_c), *((point.in_s, point.top_oil_c) for point in ahead)],
        ),
        *((alone,) if differs else ()),
    )


def chart(
    series: Sequence[Curve], limit_c: float | None, horizon_s: float, width: int, height: int, *, ascii_only: bool
) -> list[Line]:
    """``height`` lines: the plot, and below it the axis of time. Empty where there is no room or nothing to draw."""
    values = [value for curve in series for _, value in (*curve.past, *curve.ahead) if value is not None]
    if width < _LEAST[0] or height < _LEAST[1] or not values or horizon_s <= 0.0:
        return []
    labels = _LABELS if width >= 40 else 0
    grid = _Grid(
        columns=width - _AXIS - labels,
        rows=height - 1,
        from_s=-_PAST_TO_AHEAD * horizon_s,
        until_s=horizon_s,
        span_c=_span(values, limit_c),
        ascii_only=ascii_only,
    )
    for curve in reversed(series):
        grid.draw(curve)
    return [*grid.lines(series, limit_c, labels), _times(grid, horizon_s)]


def _span(values: Sequence[float], limit_c: float | None) -> tuple[float, float]:
    low, high = min(values), max(values)
    if limit_c is not None and low <= limit_c <= high + _SHOW_LIMIT_WITHIN_K:
        high = max(high, limit_c)
    step = next((step for step in _STEPS_K if (high - low) / step <= 4.0), _STEPS_K[-1])
    bottom, top = floor(low / step) * step, ceil(high / step) * step
    return float(bottom), float(top if top > bottom else bottom + step)


class _Grid:
    def __init__(
        self,
        *,
        columns: int,
        rows: int,
        from_s: float,
        until_s: float,
        span_c: tuple[float, float],
        ascii_only: bool,
    ) -> None:
        self.columns, self.rows = columns, rows
        self._from_s, self._until_s = from_s, until_s
        self._low_c, self._high_c = span_c
        self._ascii = ascii_only
        self._across, self._up = (1, 1) if ascii_only else (2, 4)
        self._cells: dict[tuple[int, int], tuple[int, str, str]] = {}
        """Dots, style and letter by (row, column)."""

    def column(self, at_s: float) -> int:
        """Of dots."""
        share = (at_s - self._from_s) / (self._until_s - self._from_s)
        return round(share * (self.columns * self._across - 1))

    def row(self, value_c: float) -> int:
        share = (self._high_c - value_c) / (self._high_c - self._low_c)
        return min(max(round(share * (self.rows * self._up - 1)), 0), self.rows * self._up - 1)

    def draw(self, curve: Curve) -> None:
        self._stroke(curve.past, curve, 1)
        self._stroke(curve.ahead, curve, curve.every)

    def _stroke(self, points: Sequence[Point], curve: Curve, every: int) -> None:
        before: tuple[float, float] | None = None
        for at_s, value_c in points:
            if value_c is None or at_s < self._from_s:
                before = None
                continue
            gap = every == 1 and before is not None and at_s - before[0] > _GAP_S
            if before is None or gap:
                self._dot(self.column(at_s), self.row(value_c), curve, every)
            else:
                self._segment(before, (at_s, value_c), curve, every)
            before = at_s, value_c

    def _segment(self, begin: tuple[float, float], end: tuple[float, float], curve: Curve, every: int) -> None:
        x1, x2 = self.column(begin[0]), self.column(end[0])
        y1, y2 = self.row(begin[1]), self.row(end[1])
        steps = max(abs(x2 - x1), abs(y2 - y1), 1)
        for step in range(steps + 1):
            self._dot(x1 + round((x2 - x1) * step / steps), y1 + round((y2 - y1) * step / steps), curve, every)

    def _dot(self, x: int, y: int, curve: Curve, every: int) -> None:
        if every > 1 and x % every:
            return
        cell = y // self._up, x // self._across
        dots = 0 if self._ascii else _DOTS[y % 4][x % 2]
        letter = curve.name[0].upper() if every == 1 else curve.name[0]
        self._cells[cell] = (self._cells.get(cell, (0, "", ""))[0] | dots, curve.style, letter)

    def lines(self, series: Sequence[Curve], limit_c: float | None, labels: int) -> list[Line]:
        now = self.column(0.0) // self._across
        limit_row = None
        if limit_c is not None and self._low_c <= limit_c <= self._high_c:
            limit_row = self.row(limit_c) // self._up
        names = self._names(series, limit_row) if labels else {}
        ticks = {
            self.row(value) // self._up: f"{value:.0f}"
            for value in ((self._low_c + self._high_c) / 2.0, self._low_c, self._high_c)
        }
        lines = []
        for row in range(self.rows):
            spans = [Span(f"{ticks.get(row, ''):>{_AXIS - 2}} {'┤' if row in ticks else '│'}", DIM)]
            for column in range(self.columns):
                if (found := self._cells.get((row, column))) is not None:
                    dots, style, letter = found
                    spans.append(Span(letter if self._ascii else chr(_BRAILLE + dots), style))
                elif row == limit_row:
                    spans.append(Span("╌", WARN))
                elif column == now:
                    spans.append(Span("│", DIM))
                else:
                    spans.append(Span(" "))
            if labels:
                name, style = names.get(row, ("", ""))
                spans.append(Span(padded(f" {name}", labels), style))
            lines.append(joined(spans))
        return lines

    def _names(self, series: Sequence[Curve], limit_row: int | None) -> dict[int, tuple[str, str]]:
        """At the rows where the curves end; those that would share one go below each other."""
        taken: dict[int, tuple[str, str]] = {} if limit_row is None else {limit_row: ("limit", WARN)}
        for curve in series:
            last = next((value for _, value in reversed([*curve.past, *curve.ahead]) if value is not None), None)
            if last is None:
                continue
            wanted = self.row(last) // self._up
            near = sorted(range(self.rows), key=lambda row: (abs(row - wanted), -row))
            free = next((row for row in near if row not in taken), None)
            if free is not None:
                taken[free] = (curve.name, curve.style)
        return taken


def _times(grid: _Grid, horizon_s: float) -> Line:
    row = [" "] * (grid.columns + _AXIS)
    now = _AXIS + grid.column(0.0) * grid.columns // max(grid.column(horizon_s) + 1, 1)
    minutes = horizon_s / 60.0
    texts = (
        (_AXIS, f"{_PAST_TO_AHEAD * minutes:.0f} min ago"),
        (now - 1, "now"),
        (grid.columns + _AXIS, f"in {minutes:.0f} min"),
    )
    for number, (at, text) in enumerate(texts):
        begin = at if number < 2 else at - len(text)
        if begin + len(text) <= len(row) and all(char == " " for char in row[max(begin - 1, 0) : begin + len(text)]):
            row[begin : begin + len(text)] = text
    return (Span("".join(row), DIM),)
