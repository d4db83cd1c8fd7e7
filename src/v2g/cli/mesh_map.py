"""``v2g-tool mesh map``: the mesh as an SVG picture, as one node knows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from v2g.cli.mesh_text import direction, group_depths
from v2g.control.messages_mesh import MeshGroupLine, MeshMemberLine, MeshResult

_NODE = (196, 84)
_GAP = (26, 58)
_MARGIN = 28
_HEAD = 76
_GROUP = 20
_BAR = 150
_PER_ROW = 10
_LEAST_WIDTH = 900
_INK, _PALE, _LINE, _FULL = "#1c2833", "#5d6d7e", "#7f8c8d", "#c0392b"
_COLOURS = {
    "ours": "#d6eaf8",
    "present": "#e8f6ef",
    "stopped": "#ece4f3",
    "head": "#fdf2d0",
    "deaf": "#fbe3c8",
    "absent": "#f5d4d0",
}
_WORDS = {
    "ours": "this node",
    "present": "present",
    "stopped": "no energy may flow",
    "head": "head",
    "deaf": "does not hear us: rating",
    "absent": "not heard: rating",
}
Place = tuple[int, int]


def mesh_svg(result: MeshResult) -> str:
    """Groups as a tree on top; members below by hops from us, those of other islands last; links with round trips."""
    rows = _rows(result)
    columns = max(map(len, rows))
    top = _HEAD + _GROUP * len(result.groups)
    width = max(2 * _MARGIN + columns * (_NODE[0] + _GAP[0]), _LEAST_WIDTH)
    height = top + len(rows) * (_NODE[1] + _GAP[1]) + _MARGIN
    title = f"mesh {result.network}{'/' + result.region if result.region else ''}, as {result.node} knows it"
    centres = {
        line.voice: (
            _MARGIN + column * (_NODE[0] + _GAP[0]) + _NODE[0] // 2,
            top + _MARGIN + row * (_NODE[1] + _GAP[1]) + _NODE[1] // 2,
        )
        for row, lines in enumerate(rows)
        for column, line in enumerate(lines)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(_printable(title))}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(_MARGIN, 30, title, size=17),
        _legend(_MARGIN, 52),
        *_groups(result.groups),
        *(_islands(rows, centres, width) if len(result.islands) > 1 else ()),
        *_links(result, centres),
        *(_member(line, *centres[line.voice]) for line in result.members),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _rows(result: MeshResult) -> list[list[MeshMemberLine]]:
    """A row for each number of hops, at most so long; beside each other who is below the same."""
    near: dict[int, list[MeshMemberLine]] = {}
    far: dict[int, list[MeshMemberLine]] = {}
    sizes = {number: len(island) for number, island in enumerate(result.islands, start=1)}
    for line in result.members:
        if line.hops is not None:
            near.setdefault(line.hops, []).append(line)
        else:
            # Who is alone stands with the others that are.
            far.setdefault(line.island if sizes.get(line.island, 1) > 1 else 0, []).append(line)
    rows: list[list[MeshMemberLine]] = []
    columns: dict[str, float] = {}
    for lines in [*(near[hops] for hops in sorted(near)), *(far[island] for island in sorted(far, reverse=True))]:
        ordered = sorted(lines, key=lambda line: (_above(line, columns), line.id))
        columns.update({line.voice: column % _PER_ROW for column, line in enumerate(ordered)})
        rows += [ordered[at : at + _PER_ROW] for at in range(0, len(ordered), _PER_ROW)]
    return rows


def _above(line: MeshMemberLine, columns: Mapping[str, float]) -> float:
    found = [columns[other] for other in line.links if other in columns]
    return sum(found) / len(found) if found else float(_PER_ROW)


def _groups(groups: Sequence[MeshGroupLine]) -> Iterable[str]:
    depths = group_depths(groups)
    for number, group in enumerate(groups):
        x, y = _MARGIN + 18 * depths[group.id], _HEAD + 12 + _GROUP * number
        yield _text(x, y, group.id, size=13)
        x = _MARGIN + 200
        for name, counted_w, limit_w in (
            ("import", group.counted_import_w, group.import_w),
            ("export", group.counted_export_w, group.export_w),
        ):
            if limit_w is not None:
                yield _bar(x, y - 9, _BAR, 10, max(0.0, counted_w), limit_w)
                yield _text(x + 4, y, f"{name} {max(0.0, counted_w) / 1e3:.1f} of {limit_w / 1e3:g} kW", size=10)
            x += _BAR + 12
        binds = [name for name, is_so in (("import", group.binds_import), ("export", group.binds_export)) if is_so]
        words = [
            f"{group.present} of {group.members} heard",
            *([f"binds our {' and '.join(binds)}"] if binds else []),
            *([f"capped by {group.cap.by}"] if group.cap is not None else []),
        ]
        yield _text(x, y, _cut(", ".join(words), 54), size=11, colour=_PALE)


def _islands(rows: Sequence[Sequence[MeshMemberLine]], centres: Mapping[str, Place], width: int) -> Iterable[str]:
    """A frame around the rows of each; ours has no name but this."""
    spans: dict[str, list[int]] = {}
    for row in rows:
        first = row[0]
        name = "our island" if first.hops is not None else "other islands"
        spans.setdefault(name, []).append(centres[first.voice][1])
    for name, heights in spans.items():
        top, bottom = min(heights) - _NODE[1] // 2 - 20, max(heights) + _NODE[1] // 2 + 12
        yield (
            f'<rect x="{_MARGIN // 2}" y="{top}" width="{width - _MARGIN}" height="{bottom - top}" rx="8" fill="none" '
            f'stroke="{_LINE}" stroke-dasharray="2 4"/>'
        )
        yield _text(_MARGIN, top + 14, name, size=11, colour=_PALE)


def _links(result: MeshResult, centres: Mapping[str, Place]) -> list[str]:
    drawn, parts = set(), []
    trips_ms = {link.node: link.round_trip_ms for link in result.links if link.up}
    for line in result.members:
        for other in line.links:
            pair = frozenset((line.voice, other))
            if other not in centres or len(pair) != 2 or pair in drawn:
                continue
            drawn.add(pair)
            (x1, y1), (x2, y2) = centres[line.voice], centres[other]
            # In one row a straight line would go behind those between.
            bend = _NODE[1] // 2 + 24 if y1 == y2 and abs(x1 - x2) > _NODE[0] + _GAP[0] else 0
            middle = (x1 + x2) // 2, (y1 + y2) // 2 - bend
            parts.append(
                f'<path d="M {x1} {y1} Q {middle[0]} {middle[1] - bend} {x2} {y2}" fill="none" stroke="{_LINE}" '
                'stroke-width="1.6"/>'
            )
            neighbour = next((name for name in pair if name != result.node), "")
            trip_ms = trips_ms.get(neighbour) if result.node in pair else None
            if trip_ms is not None:
                parts.append(_text(middle[0] + 6, middle[1] - 4, f"{trip_ms:.1f} ms", size=11, colour=_PALE))
    return parts


def _member(line: MeshMemberLine, x: int, y: int) -> str:
    left, top = x - _NODE[0] // 2, y - _NODE[1] // 2
    kind = _kind(line)
    flow = "flow not known" if line.flow_w is None else f"{direction(line.flow_w)} {abs(line.flow_w) / 1e3:.1f} kW"
    hot = [] if line.hot_spot_c is None else [f"hot-spot {line.hot_spot_c:.0f} °C"]
    counts = "may" if line.present else "counts"
    shares = f"import {max(0.0, line.import_share_w) / 1e3:.1f}, export {max(0.0, line.export_share_w) / 1e3:.1f} kW"
    may = f"{counts} {shares}" if line.worst_import_w or line.worst_export_w else "no transformer"
    rest = [
        *([f"{line.vehicles} EV"] if line.vehicles else []),
        *([f"{line.loss_pct:.0f}% lost"] if line.loss_pct else []),
        *([f"island {line.island}"] if line.island > 1 else []),
        line.permit,
    ]
    flows = "" if may == "no transformer" else ", ".join([flow, *hot])
    rows = [line.group, flows, may, ", ".join(filter(None, rest))]
    name = _text(left + 8, top + 18, _cut(line.id, 24), size=13)
    texts = "".join(
        _text(left + 8, top + 31 + 13 * number, _cut(row, 36), size=10) for number, row in enumerate(rows) if row
    )
    bar = ""
    if line.flow_w is not None and line.present and flows:
        share_w = line.import_share_w if line.flow_w >= 0.0 else line.export_share_w
        bar = _bar(left + 8, top + _NODE[1] - 9, _NODE[0] - 16, 4, abs(line.flow_w), max(0.0, share_w))
    dash = ' stroke-dasharray="5 3"' if kind in ("absent", "deaf") else ""
    return (
        f'<g class="{kind}"><rect x="{left}" y="{top}" width="{_NODE[0]}" height="{_NODE[1]}" rx="6" '
        f'fill="{_COLOURS[kind]}" stroke="{_PALE}"{dash}/>{name}{texts}{bar}</g>'
    )


def _bar(x: int, y: int, width: int, height: int, value_w: float, of_w: float) -> str:
    """How much of a limit is taken; red from all of it on."""
    part = min(1.0, value_w / of_w) if of_w > 0.0 else float(value_w > 0.0)
    colour = _FULL if value_w > 0.0 and part >= 1.0 else "#aed6c4"
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#ffffff" stroke="{_LINE}" '
        f'stroke-width="0.5"/><rect x="{x}" y="{y}" width="{round(part * width)}" height="{height}" fill="{colour}"/>'
    )


def _kind(line: MeshMemberLine) -> str:
    if line.ourselves:
        return "ours"
    if line.deaf:
        return "deaf"
    if not line.present:
        return "absent"
    if line.permit:
        return "stopped"
    return "head" if line.head else "present"


def _legend(x: int, y: int) -> str:
    parts = []
    for kind, colour in _COLOURS.items():
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}" stroke="{_PALE}"/>')
        parts.append(_text(x + 17, y, _WORDS[kind], size=11, colour=_PALE))
        x += 28 + round(6.3 * len(_WORDS[kind]))
    return "".join(parts)


def _text(x: int, y: int, words: str, *, size: int = 12, colour: str = _INK) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill={quoteattr(colour)}>{escape(_printable(words))}</text>'


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _printable(words: str) -> str:
    """XML has no way to write most control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
