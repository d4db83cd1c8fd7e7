"""Plots over time as inline SVG: lines with their range, bands, limits, marks; gaps are shaded. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape as xml_escape

from v2g.cli.report_series import Series, Window
from v2g.telemetry.lines import escape

WIDTH: Final = 960
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 128, 30, 34
_HEIGHT: Final = 250
_INK, _PALE, _GRID, _GAP = "#1c2833", "#52606d", "#dfe3e7", "#eceff1"
COLOURS: Final = ("#b5361c", "#0b66a8", "#2b7a3d", "#8a5a00", "#7b3f98", "#00736b", "#9c2d62", "#4f5b66")
DASHES: Final = ("", "7 3", "2 2", "9 3 2 3", "4 4", "12 3", "1 3", "6 2 1 2 1 2")
"""Beside the colours, for who sees none and for paper; by the curve's place in its plot."""
_STEPS_H: Final = (0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 720, 2160)
_MOST_TICKS: Final = 10
_LABEL_PX: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A series by its means; ``ranged``: lowest to highest as a pale band behind it."""

    name: str
    series: Series
    style: int
    ranged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What lies between two series, such as what was permitted; as far as the axis reaches, which it does not widen."""

    name: str
    low: Series
    high: Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A limit, or a nominal value."""

    name: str
    value: float
    style: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A moment, with words for who points at it."""

    unix_s: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """``title`` is its alternative text's first sentence; ``words`` tell the rest of it."""

    title: str
    unit: str
    window: Window
    zone: tzinfo | None
    curves: Sequence[Curve] = ()
    bands: Sequence[Band] = ()
    levels: Sequence[Level] = ()
    marks: Sequence[Mark] = ()
    gaps: Sequence[tuple[float, float]] = ()
    words: str = ""
    from_zero: bool = False
    within: tuple[float, float] | None = field(default=None)
    """The axis spans at least this."""


def text(words: str) -> str:
    """For between tags and for attributes: nothing that a browser or a terminal would obey."""
    return xml_escape(escape(words), {'"': "&quot;", "'": "&#39;"})


def svg(plot: Plot, number: int) -> str:
    """``number`` makes its ids its own within the page."""
    low, high = _span(plot)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    window = plot.window
    inner_w, inner_h = WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(unix_s: float) -> float:
        return _LEFT + (unix_s - window.since_s) / (window.until_s - window.since_s) * inner_w

    def y(value: float) -> float:
        return _TOP + (high - min(max(value, low), high)) / (high - low) * inner_h

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="plot{number}t plot{number}d" class="plot">',
        f'<title id="plot{number}t">{text(plot.title)}, {text(plot.unit)}</title>',
        f'<desc id="plot{number}d">{text(plot.words)}</desc>',
        f'<text x="{_LEFT}" y="16" class="t">{text(plot.title)}, {text(plot.unit)}</text>',
        *(_gap(x(begin), x(end)) for begin, end in plot.gaps),
        *_bands(plot.bands, x, y),
        *(_tick(y(value), _number(value, ticks)) for value in ticks),
        *_times(plot, x),
        f'<rect x="{_LEFT}" y="{_TOP}" width="{inner_w}" height="{inner_h}" fill="none" stroke="{_PALE}"/>',
        *_levels(plot.levels, y),
        *(part for place, curve in enumerate(plot.curves) for part in _curve(curve, _dash(place), x, y)),
        *(_mark(x(mark.unix_s), mark.words) for mark in plot.marks),
        *_labels(plot, y, low, high),
        "</svg>",
    ]
    return "\n".join(parts)


def _span(plot: Plot) -> tuple[float, float]:
    values = [level.value for level in plot.levels]
    for curve in plot.curves:
        values += [value for value in (curve.series.lowest, curve.series.highest) if value is not None]
    if plot.within is not None:
        values += plot.within
    if plot.from_zero or not values:
        values.append(0.0)
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Round values that span both, four to eight of them."""
    rough = (high - low) / 5.0
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * 0.999)
    return [number * step for number in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def _number(value: float, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0]
    digits = max(0, min(6, -floor(log10(step) + 1e-9)))
    if digits and abs(step * 10**digits - round(step * 10**digits)) > 1e-6:
        digits += 1
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") if round(value, digits) else "0"


def _tick(at: float, words: str) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="{_GRID}"/>'
        f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" class="n">{words}</text>'
    )


def _gap(begin: float, end: float) -> str:
    return (
        f'<rect x="{begin:.1f}" y="{_TOP}" width="{max(end - begin, 0.7):.1f}" '
        f'height="{_HEIGHT - _TOP - _BOTTOM}" fill="{_GAP}"><title>no record</title></rect>'
    )


def _times(plot: Plot, x: Callable[[float], float]) -> Iterator[str]:
    window = plot.window
    hours = (window.until_s - window.since_s) / 3600.0
    step_h = next((step for step in _STEPS_H if hours / step <= _MOST_TICKS), _STEPS_H[-1])
    for unix_s in _local_ticks(window, plot.zone, step_h):
        at = x(unix_s)
        local = datetime.fromtimestamp(unix_s, UTC).astimezone(plot.zone)
        midnight = local.hour == local.minute == 0
        words = f"{local:%d %b}" if midnight else f"{local:%H:%M}"
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="{_GRID}"/>'
        yield f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 16}" class="x">{words}</text>'


def _local_ticks(window: Window, zone: tzinfo | None, step_h: float) -> Iterator[float]:
    """Round times of the site's clock; days that begin with a change of the clock have theirs all the same."""
    begin = datetime.fromtimestamp(window.since_s, UTC).astimezone(zone).replace(tzinfo=None)
    local = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    while True:
        unix_s = local.replace(tzinfo=zone).timestamp() if zone is not None else local.timestamp()
        if unix_s >= window.until_s:
            return
        if unix_s >= window.since_s:
            yield unix_s
        local += timedelta(hours=step_h)


def _dash(number: int) -> str:
    return DASHES[number % len(DASHES)]


def _curve(curve: Curve, dash: str, x: Callable[[float], float], y: Callable[[float], float]) -> Iterator[str]:
    colour = COLOURS[curve.style % len(COLOURS)]
    for run in curve.series.runs():
        if curve.ranged and any(high - low > 0.0 for _, _, low, high in run):
            upper = [(x(at), y(high)) for at, _, _, high in run]
            lower = [(x(at), y(low)) for at, _, low, _ in reversed(run)]
            yield f'<path d="{_path([*upper, *lower])}Z" fill="{colour}" fill-opacity="0.16"/>'
        points = [(x(at), y(mean)) for at, mean, _, _ in run]
        if len(points) == 1:
            yield f'<circle cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="1.3" fill="{colour}"/>'
            continue
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        yield f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>'


def _bands(bands: Sequence[Band], x: Callable[[float], float], y: Callable[[float], float]) -> Iterator[str]:
    for band in bands:
        for run in _pairs(band):
            upper = [(x(at), y(high)) for at, _, high in run]
            lower = [(x(at), y(low)) for at, low, _ in reversed(run)]
            yield f'<path d="{_path([*upper, *lower])}Z" fill="#2b7a3d" fill-opacity="0.12"/>'


def _pairs(band: Band) -> Iterator[list[tuple[float, float, float]]]:
    run: list[tuple[float, float, float]] = []
    window = band.low.window
    for index in range(window.count):
        low, high = band.low.mean(index), band.high.mean(index)
        if low is None or high is None:
            if len(run) > 1:
                yield run
            run = []
        else:
            run.append((window.middle_s(index), low, high))
    if len(run) > 1:
        yield run


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _levels(levels: Sequence[Level], y: Callable[[float], float]) -> Iterator[str]:
    for level in levels:
        colour = COLOURS[level.style % len(COLOURS)]
        yield (
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(level.value):.1f}" y2="{y(level.value):.1f}" '
            f'stroke="{colour}" stroke-dasharray="2 4"/>'
        )


def _mark(at: float, words: str) -> str:
    return (
        f'<g><title>{text(words)}</title><line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" '
        f'stroke="{_INK}" stroke-width="0.8"/><path d="M{at - 5:.1f} {_TOP}L{at + 5:.1f} {_TOP}L{at:.1f} {_TOP + 8}Z" '
        f'fill="{_INK}"/></g>'
    )


def _labels(plot: Plot, y: Callable[[float], float], low: float, high: float) -> Iterator[str]:
    """At the right end, each at the height where its curve ends, none over another; with a piece of its line."""
    wanted: list[tuple[float, str, int, str]] = []
    for number, curve in enumerate(plot.curves):
        last = None
        for run in curve.series.runs():
            last = run[-1][1]
        if last is not None:
            wanted.append((y(last), curve.name, curve.style, _dash(number)))
    for level in plot.levels:
        if low <= level.value <= high:
            wanted.append((y(level.value), level.name, level.style, "2 4"))
    for band in plot.bands:
        middle = [band.high.mean(index) for index in range(band.high.window.count)]
        known = [value for value in middle if value is not None]
        if known:
            wanted.append((y(known[-1]) + _LABEL_PX, band.name, 2, "band"))
    if plot.marks:
        wanted.append((_TOP, "▼ trip", 7, ""))
    wanted.sort(key=lambda each: each[0])
    at = float(_TOP - _LABEL_PX)
    heights: list[float] = []
    for height, *_ in wanted:
        at = max(height, at + _LABEL_PX)
        heights.append(at)
    over = heights[-1] - (_HEIGHT - 6) if heights else 0.0
    if over > 0.0:
        for position in range(len(heights) - 1, -1, -1):
            below = heights[position + 1] - _LABEL_PX if position + 1 < len(heights) else _HEIGHT - 6.0
            heights[position] = min(heights[position], below)
    begin = WIDTH - _RIGHT + 6
    for height, (_, name, style, dash) in zip(heights, wanted, strict=True):
        colour = COLOURS[style % len(COLOURS)]
        dashes = f' stroke-dasharray="{dash}"' if dash and dash != "band" else ""
        if dash == "band":
            yield (f'<rect x="{begin}" y="{height - 5:.1f}" width="18" height="9" fill="#2b7a3d" fill-opacity="0.25"/>')
        elif not name.startswith("▼"):
            yield (
                f'<line x1="{begin}" x2="{begin + 18}" y1="{height:.1f}" y2="{height:.1f}" stroke="{colour}" '
                f'stroke-width="1.6"{dashes}/>'
            )
        yield f'<text x="{begin + 22}" y="{height + 4:.1f}" class="l" fill="{colour}">{text(_short(name))}</text>'


def _short(name: str, most: int = 17) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
