"""What ``v2g-tool mesh`` says, for a screen of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill

from v2g.cli.render import span, table
from v2g.control.messages_mesh import MeshGroupLine, MeshMemberLine, MeshPingResult, MeshResult
from v2g.telemetry.lines import escape
from v2g.units import format_power

_WAITS = {"acknowledgement": "not all know yet what we take", "ramp": "power rises by its ramp", "room": "no room"}
_COLUMNS = 80
_SHOWN_DROPS = 6
_LEGEND = "kW; im: imports, ex: exports; hops to it / from it to the substation; RTT in ms;\n* ourselves"


def mesh_text(result: MeshResult) -> str:
    """Head, limits, members, links, islands, and what was dropped."""
    if not result.members:
        return result.problem
    parts = [result.problem] if result.problem else []
    parts += [_head(result), _groups(result.groups), _members(result.members, result.groups, len(result.islands) > 1)]
    if result.north:
        parts.append("north, as we hear it for our region\n" + _members(result.north, (), False))
    parts.append(_links(result))
    if len(result.islands) > 1:
        parts.append(_islands(result.islands))
    parts.append("\n".join(filter(None, [_wire(result), _drops(result)])))
    return "\n\n".join(filter(None, parts))


def ping_text(result: MeshPingResult) -> str:
    """One line each, then the sum."""
    hops = f", {result.hops} hop{'s' if result.hops != 1 else ''}" if result.hops is not None else ""
    lines = [f"{escape(result.node)}{hops}"]
    for number, trip_ms in enumerate(result.round_trips_ms, start=1):
        lines.append(f"  {number:3}  {'no answer within 2 s' if trip_ms is None else f'{trip_ms:.2f} ms'}")
    answered = sorted(trip_ms for trip_ms in result.round_trips_ms if trip_ms is not None)
    total = len(result.round_trips_ms)
    summary = f"{len(answered)} of {total} answered"
    if answered:
        summary += (
            f", {answered[0]:.2f} / {answered[len(answered) // 2]:.2f} / {answered[-1]:.2f} ms (least/median/most)"
        )
    return "\n".join([*lines, summary])


def direction(flow_w: float) -> str:
    return "imports" if flow_w >= 0.0 else "exports"


def group_depths(groups: Sequence[MeshGroupLine]) -> Mapping[str, int]:
    """How many groups are above each."""
    parents = {group.id: group.parent for group in groups}
    depths = {}
    for group in parents:
        above, depth = parents[group], 0
        while above in parents and depth < len(parents):
            above, depth = parents[above], depth + 1
        depths[group] = depth
    return depths


def _head(result: MeshResult) -> str:
    where = f"{result.network}/{result.region}" if result.region else result.network
    role = f", gateway: {result.role}" if result.role else ""
    present = sum(line.present for line in result.members)
    lines = [
        f"mesh {escape(where)}, node {escape(result.node)}{role}: {present} of {len(result.members)} members present"
    ]
    for name, limit_w, by in (
        ("import", result.import_w, result.import_by),
        ("export", result.export_w, result.export_by),
    ):
        if limit_w is not None and by:
            lines.append(f"  our {name} is held to {format_power(max(0.0, limit_w))}: {escape(_WAITS.get(by, by))}")
    if result.loss_pct is not None:
        lines.append(f"  of the members' messages of the last minute {result.loss_pct:.1f} % were lost")
    return "\n".join(lines)


def _groups(groups: Sequence[MeshGroupLine]) -> str:
    depths = group_depths(groups)
    rows, remarks = [], []
    for group in groups:
        binds = [name for name, is_so in (("import", group.binds_import), ("export", group.binds_export)) if is_so]
        rows.append(
            (
                "  " * depths[group.id] + group.id,
                f"{group.present}/{group.members}",
                _of(group.counted_import_w, group.import_w),
                _of(group.counted_export_w, group.export_w),
                _flow(group.flow_w),
                f"binds our {' and '.join(binds)}" if binds else "",
            )
        )
        if group.cap is not None:
            cap = group.cap
            ends = "within seconds unless told anew" if cap.ordered_s is None else f"in {span(cap.ordered_s)}"
            reason = f": {escape(cap.reason)}" if cap.reason else ""
            remarks.append(
                f"{escape(group.id)}: {escape(cap.by)} caps it at {format_power(cap.import_w)} import, "
                f"{format_power(cap.export_w)} export; it ends {ends}{reason}"
            )
    return "\n".join(
        [table(("GROUP", "HEARD", "IMPORT/LIMIT", "EXPORT/LIMIT", "FLOW", ""), rows), *map(_wrap, remarks)]
    )


def _members(members: Sequence[MeshMemberLine], groups: Sequence[MeshGroupLine], in_islands: bool) -> str:
    """By group, in the order of the groups, each below its name where there are more than one."""
    order = {group.id: number for number, group in enumerate(groups)}
    ordered = sorted(members, key=lambda line: (order.get(line.group, len(order)), line.id))
    several = len({line.group for line in ordered}) > 1
    head = ("MEMBER", "HOPS", "RTT", "LOSS", "AGE", "FLOW", "IMPORT", "EXPORT", "HOT", "EV", "STATE")
    first, *rows = table(
        (*head, "ISL") if in_islands else head,
        [(*_member(line, several), str(line.island)) if in_islands else _member(line, several) for line in ordered],
    ).split("\n")
    lines, group = [first], None
    for line, row in zip(ordered, rows, strict=True):
        if several and line.group != group:
            group = line.group
            lines.append(escape(group))
        lines.append(row)
    return "\n".join([*lines, *(_wrap(remark) for line in ordered for remark in _remarks(line)), _LEGEND])


def _member(line: MeshMemberLine, indented: bool) -> tuple[str, ...]:
    return (
        ("  " if indented else "") + line.id + ("*" if line.ourselves else ""),
        _hops(line),
        "-" if line.round_trip_ms is None else f"{line.round_trip_ms:.1f}",
        "-" if line.loss_pct is None else f"{line.loss_pct:.0f}%",
        "-" if line.age_s is None else f"{line.age_s:.0f}s" if line.age_s < 600 else f"{line.age_s // 60:.0f}min",
        _flow(line.flow_w),
        _kw(line.import_share_w),
        _kw(line.export_share_w),
        "-" if line.hot_spot_c is None else f"{line.hot_spot_c:.0f}",
        "-" if line.vehicles is None else str(line.vehicles),
        _state(line),
    )


def _hops(line: MeshMemberLine) -> str:
    here = "-" if line.hops is None else str(line.hops)
    return here if line.hops_to_substation is None else f"{here}/{line.hops_to_substation}"


def _state(line: MeshMemberLine) -> str:
    if line.deaf:
        return "deaf"
    if not line.present:
        return "absent"
    return "no V2G" if line.permit else "head" if line.head else "ok"


def _remarks(line: MeshMemberLine) -> Iterable[str]:
    counts = f"it counts with {format_power(line.worst_import_w)} import, {format_power(line.worst_export_w)} export"
    if not line.worst_import_w and not line.worst_export_w:
        counts = "it has no transformer"
    if line.deaf:
        yield f"{escape(line.id)} is heard and does not hear us: {counts}"
    elif not line.present:
        since = "was not heard yet" if line.age_s is None else f"was not heard for {span(line.age_s)}"
        yield f"{escape(line.id)} {since}: {counts}"
    elif line.permit:
        yield f"{escape(line.id)}: no energy may flow: {escape(line.permit)}"


def _links(result: MeshResult) -> str:
    rows = [
        (
            link.node or "no member",
            link.address,
            "up" if link.up else "down",
            span(link.since_s) if link.since_s is not None else "never up",
            "-" if link.round_trip_ms is None else f"{link.round_trip_ms:.1f} ms",
        )
        for link in result.links
    ]
    return table(("LINK", "ADDRESS", "", "FOR", "ROUND TRIP"), rows) if rows else "no links"


def _islands(islands: tuple[tuple[str, ...], ...]) -> str:
    lines = [f"{len(islands)} islands, ours first; each balances what it knows"]
    lines += [_wrap(f"  {number}: {escape(', '.join(island))}") for number, island in enumerate(islands, start=1)]
    return "\n".join(lines)


def _wire(result: MeshResult) -> str:
    wire = result.wire
    if wire is None:
        return ""
    text = (
        f"since the start: {wire.received} messages received ({wire.received_bytes / 1e6:.1f} MB), "
        f"{wire.sent} sent ({wire.sent_bytes / 1e6:.1f} MB)"
    )
    left_out = [
        f"{count} {words}"
        for count, words in ((wire.dropped, "left out for a late loop"), (wire.unsent, "not sent"))
        if count
    ]
    return "\n".join([_wrap(text), *(f"  {words}" for words in left_out)])


def _drops(result: MeshResult) -> str:
    if not result.drops:
        return ""
    lines = [_wrap(f"dropped since the start: {_counts(result.drops)}")]
    senders = sorted(result.drops_by_sender.items(), key=lambda each: -sum(each[1].values()))
    lines += [_wrap(f"  of {escape(sender)}: {_counts(reasons)}") for sender, reasons in senders[:_SHOWN_DROPS]]
    if len(senders) > _SHOWN_DROPS:
        lines.append(f"  and of {len(senders) - _SHOWN_DROPS} others (--json has all)")
    return "\n".join(lines)


def _wrap(line: str) -> str:
    return fill(line, _COLUMNS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _counts(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items())


def _of(counted_w: float, limit_w: float | None) -> str:
    return f"{_kw(counted_w)}/{'-' if limit_w is None else _kw(limit_w)}"


def _flow(flow_w: float | None) -> str:
    return "?" if flow_w is None else f"{direction(flow_w)[:2]} {abs(flow_w) / 1e3:.1f}"


def _kw(value_w: float) -> str:
    """A share of one side may be below nothing: it then has to go the other way."""
    return f"{max(0.0, value_w) / 1e3:.1f}"
