"""What ``v2g-tool mesh`` says, for a screen of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable

from v2g.cli.render import span, table
from v2g.control.messages_mesh import MeshGroupLine, MeshMemberLine, MeshPingResult, MeshResult
from v2g.telemetry.lines import escape
from v2g.units import format_power

_WAITS = {"acknowledgement": "not all know yet what we take", "ramp": "power rises by its ramp", "room": "no room"}
_SHOWN_DROPS = 6


def mesh_text(result: MeshResult) -> str:
    """Head, limits, members, links, islands, and what was dropped."""
    if not result.members:
        return result.problem
    parts = [_head(result), _groups(result.groups), _members(result.members)]
    if result.north:
        parts.append("north, as we hear it for our region\n" + _members(result.north))
    parts.append(_links(result))
    if len(result.islands) > 1:
        parts.append(_islands(result.islands))
    if drops := _drops(result):
        parts.append(drops)
    if result.problem:
        parts.insert(0, result.problem)
    return "\n\n".join(parts)


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


def _groups(groups: Iterable[MeshGroupLine]) -> str:
    rows = []
    for group in groups:
        cap = f"cap by {group.cap.by}, {span(group.cap.ends_in_s)}" if group.cap is not None else ""
        binds = " and ".join(
            name for name, binds in (("import", group.binds_import), ("export", group.binds_export)) if binds
        )
        rows.append(
            (
                group.id,
                f"{group.present}/{group.members}",
                _of(max(0.0, group.counted_import_w), group.import_w),
                _of(max(0.0, group.counted_export_w), group.export_w),
                _flow(group.flow_w),
                ", ".join(filter(None, [f"binds our {binds}" if binds else "", cap])),
            )
        )
    return table(("GROUP", "HEARD", "IMPORT/LIMIT", "EXPORT/LIMIT", "FLOW", ""), rows)


def _members(members: Iterable[MeshMemberLine]) -> str:
    return table(
        ("MEMBER", "HOPS", "RTT ms", "LOSS", "AGE", "FLOW", "IMPORT", "EXPORT", "HOT", "EV", "STATE"),
        [_member(line) for line in members],
    )


def _member(line: MeshMemberLine) -> tuple[str, ...]:
    hops = "-" if line.hops_to_substation is None and line.hops is None else _hops(line)
    return (
        line.id + ("*" if line.ourselves else ""),
        hops,
        "-" if line.round_trip_ms is None else f"{line.round_trip_ms:.1f}",
        "-" if line.loss_pct is None else f"{line.loss_pct:.0f}%",
        "-" if line.age_s is None else f"{line.age_s:.0f}s" if line.age_s < 600 else span(line.age_s),
        _short(line.flow_w),
        _short(max(0.0, line.import_share_w)),
        _short(max(0.0, line.export_share_w)),
        "-" if line.hot_spot_c is None else f"{line.hot_spot_c:.0f}°",
        "-" if line.vehicles is None else str(line.vehicles),
        _state(line),
    )


def _hops(line: MeshMemberLine) -> str:
    """To it; behind a stroke, from it to the substation."""
    here = "-" if line.hops is None else str(line.hops)
    return here if line.hops_to_substation is None else f"{here}/{line.hops_to_substation}"


def _state(line: MeshMemberLine) -> str:
    if line.deaf:
        return "does not hear us: rating"
    if not line.present:
        return "not heard: rating"
    head = "head" if line.head else ""
    return ", ".join(filter(None, [head, line.permit[:24] or ("" if head else "ok")]))


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
    lines += [f"  {number}: {escape(', '.join(island))}" for number, island in enumerate(islands, start=1)]
    return "\n".join(lines)


def _drops(result: MeshResult) -> str:
    if not result.drops:
        return ""
    total = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in result.drops.items())
    worst = sorted(result.drops_by_sender.items(), key=lambda each: -sum(each[1].values()))[:_SHOWN_DROPS]
    lines = [f"dropped since the start: {total}"]
    for sender, reasons in worst:
        told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in reasons.items())
        lines.append(f"  of {escape(sender)}: {told}")
    return "\n".join(lines)


def _of(counted_w: float, limit_w: float | None) -> str:
    return f"{_short(counted_w)}/{_short(limit_w)}"


def _flow(flow_w: float | None) -> str:
    if flow_w is None:
        return "?"
    return f"{_short(abs(flow_w))} {'down' if flow_w >= 0 else 'up'}"


def _short(value_w: float | None) -> str:
    """kW, as a column has room for."""
    return "-" if value_w is None else f"{value_w / 1e3:.1f}"
