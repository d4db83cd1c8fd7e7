"""``v2g-tool mesh map``: the mesh as an SVG picture, as one node knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from v2g.control.messages_mesh import MeshGroupLine, MeshMemberLine, MeshResult

_NODE = (150, 66)
_GAP = (26, 58)
_MARGIN = 28
_HEAD = 76
_PER_ROW = 10
_INK, _PALE, _LINE = "#1c2833", "#5d6d7e", "#7f8c8d"
_COLOURS = {"ours": "#d6eaf8", "present": "#e8f6ef", "head": "#fdf2d0", "deaf": "#fbe3c8", "absent": "#f5d4d0"}
_WORDS = {
    "ours": "this node",
    "present": "present",
    "head": "head",
    "deaf": "does not hear us",
    "absent": "not heard: rating",
}


def mesh_svg(result: MeshResult) -> str:
    """Members by hops from us, top down; links as lines with the round trip; limits of groups on top."""
    places = _places(result.members)
    columns = max((x for x, _ in places.values()), default=0) + 1
    rows = max((y for _, y in places.values()), default=0) + 1
    top = _HEAD + 18 * len(result.groups)
    width = 2 * _MARGIN + max(columns * (_NODE[0] + _GAP[0]), 640)
    height = top + rows * (_NODE[1] + _GAP[1]) + 2 * _MARGIN
    title = f"mesh {result.network}{'/' + result.region if result.region else ''}, as {result.node} knows it"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(_MARGIN, 30, title, size=17),
        _legend(_MARGIN, 50),
    ]
    for number, group in enumerate(result.groups):
        parts.append(_text(_MARGIN, _HEAD + 6 + 18 * number, _group_words(group)))
    centres = {
        voice: (
            _MARGIN + x * (_NODE[0] + _GAP[0]) + _NODE[0] // 2,
            top + _MARGIN + y * (_NODE[1] + _GAP[1]) + _NODE[1] // 2,
        )
        for voice, (x, y) in places.items()
    }
    parts += _links(result, centres)
    parts += [_member(line, *centres[line.voice]) for line in result.members]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _places(members: Sequence[MeshMemberLine]) -> dict[str, tuple[int, int]]:
    """Column and row of each voice: a row for each number of hops, the unreachable last."""
    by_hops: dict[int, list[str]] = {}
    farthest = max((line.hops for line in members if line.hops is not None), default=0)
    for line in members:
        by_hops.setdefault(line.hops if line.hops is not None else farthest + 1, []).append(line.voice)
    places, row = {}, 0
    for hops in sorted(by_hops):
        voices = by_hops[hops]
        for at in range(0, len(voices), _PER_ROW):
            for column, voice in enumerate(voices[at : at + _PER_ROW]):
                places[voice] = column, row
            row += 1
    return places


def _links(result: MeshResult, centres: Mapping[str, tuple[int, int]]) -> list[str]:
    drawn, parts = set(), []
    trips_ms = {link.node: link.round_trip_ms for link in result.links if link.up}
    for line in result.members:
        for other in line.links:
            pair = frozenset((line.voice, other))
            if other not in centres or len(pair) != 2 or pair in drawn:
                continue
            drawn.add(pair)
            (x1, y1), (x2, y2) = centres[line.voice], centres[other]
            parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{_LINE}" stroke-width="1.6"/>')
            neighbour = next((name for name in pair if name != result.node), "")
            trip_ms = trips_ms.get(neighbour) if result.node in pair else None
            if trip_ms is not None:
                parts.append(_text((x1 + x2) // 2 + 6, (y1 + y2) // 2 - 4, f"{trip_ms:.1f} ms", colour=_PALE))
    return parts


def _member(line: MeshMemberLine, x: int, y: int) -> str:
    left, top = x - _NODE[0] // 2, y - _NODE[1] // 2
    flow = "?" if line.flow_w is None else f"{line.flow_w / 1e3:.1f}"
    hot = "" if line.hot_spot_c is None else f", hot-spot {line.hot_spot_c:.0f} °C"
    vehicles = "" if not line.vehicles else f"{line.vehicles} EV"
    rows = [
        f"flow {flow} kW{hot}",
        f"import {max(0.0, line.import_share_w) / 1e3:.1f}, export {max(0.0, line.export_share_w) / 1e3:.1f} kW",
        ", ".join(filter(None, [vehicles, f"island {line.island}" if line.island > 1 else "", line.permit[:18]])),
    ]
    kind = _kind(line)
    texts = "".join(_text(left + 8, top + 33 + 14 * number, row, size=10) for number, row in enumerate(rows) if row)
    dash = ' stroke-dasharray="5 3"' if kind in ("absent", "deaf") else ""
    return (
        f'<g><rect x="{left}" y="{top}" width="{_NODE[0]}" height="{_NODE[1]}" rx="6" fill="{_COLOURS[kind]}" '
        f'stroke="{_PALE}"{dash}/>{_text(left + 8, top + 18, line.id, size=13)}{texts}</g>'
    )


def _kind(line: MeshMemberLine) -> str:
    if line.ourselves:
        return "ours"
    if line.deaf:
        return "deaf"
    if not line.present:
        return "absent"
    return "head" if line.head else "present"


def _legend(x: int, y: int) -> str:
    parts = []
    for kind, colour in _COLOURS.items():
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}" stroke="{_PALE}"/>')
        parts.append(_text(x + 17, y, _WORDS[kind], colour=_PALE))
        x += 30 + 7 * len(_WORDS[kind])
    return "".join(parts)


def _group_words(group: MeshGroupLine) -> str:
    sides = [
        f"{name} {max(0.0, counted_w) / 1e3:.1f} of {limit_w / 1e3:g} kW"
        for name, counted_w, limit_w in (
            ("import", group.counted_import_w, group.import_w),
            ("export", group.counted_export_w, group.export_w),
        )
        if limit_w is not None
    ]
    binds = ", binds us" if group.binds_import or group.binds_export else ""
    return f"{group.id}: {', '.join(sides) or 'no limit'}; {group.present} of {group.members} heard{binds}"


def _text(x: int, y: int, words: str, *, size: int = 12, colour: str = _INK) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill={quoteattr(colour)}>{escape(_printable(words))}</text>'


def _printable(words: str) -> str:
    """XML has no way to write most control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)
