"""What a node knows, as lines for people and programs. Pure."""

from __future__ import annotations

from math import inf

from v2g.control.messages_mesh import MeshCapLine, MeshGroupLine, MeshMemberLine
from v2g.mesh.messages import State
from v2g.mesh.node import MeshNode
from v2g.mesh.ports import LinkStatus
from v2g.mesh.roster import Group
from v2g.mesh.topology import hops_from
from v2g.mesh.watch import edges_now, islands_now


def member_lines(node: MeshNode, links: tuple[LinkStatus, ...], now_s: float) -> tuple[MeshMemberLine, ...]:
    """Every member, ourselves first, then by name."""
    edges = edges_now(node.voice, node.book, links, now_s)
    hops = hops_from(node.voice, edges)
    to_heads = [hops_from(head, edges) for head in sorted(node.roster.heads) if head in edges]
    islands = ordered_islands(node, links, now_s)
    of = {voice: number for number, island in enumerate(islands, start=1) for voice in island}
    lines = []
    for member in node.roster.members.values():
        ourselves = member.id == node.member.id
        heard = node.book.heard(member.id)
        fresh = heard is not None and heard.fresh(now_s)
        deaf = fresh and not node.book.present(member.id, now_s)
        state = node.last_told if ourselves else heard.state if heard is not None else None
        voice = node.voice if ourselves else heard.voice if heard is not None else member.voices[0]
        counts = state if ourselves or (fresh and not deaf) else None
        round_trip_s = heard.round_trip_s if heard is not None and fresh else None
        loss = heard.loss(now_s) if heard is not None else None
        way = [each[voice] for each in to_heads if voice in each]
        lines.append(
            MeshMemberLine(
                id=member.id,
                group=member.group,
                voice=voice,
                ourselves=ourselves,
                present=ourselves or (fresh and not deaf),
                deaf=deaf,
                age_s=0.0 if ourselves else now_s - heard.at_s if heard is not None else None,
                hops=hops.get(voice) if ourselves or fresh else None,
                hops_to_substation=min(way, default=None),
                round_trip_ms=round_trip_s * 1e3 if round_trip_s is not None else None,
                loss_pct=loss * 100.0 if loss is not None else None,
                flow_w=state.flow_w if state is not None else None,
                import_share_w=counts.claim.hi_w if counts is not None else member.import_w,
                export_share_w=-counts.claim.lo_w if counts is not None else member.export_w,
                worst_import_w=member.import_w,
                worst_export_w=member.export_w,
                capability_lo_w=state.capability.lo_w if state is not None else None,
                capability_hi_w=state.capability.hi_w if state is not None else None,
                top_oil_c=state.top_oil_c if state is not None else None,
                hot_spot_c=state.hot_spot_c if state is not None else None,
                vehicles=state.flexible.vehicles if state is not None else None,
                needed_wh=state.flexible.needed_wh if state is not None else None,
                surplus_wh=state.flexible.surplus_wh if state is not None else None,
                permit=state.permit if state is not None else "",
                links=state.links if state is not None and (ourselves or fresh) else (),
                island=of.get(voice, 0),
                head=member.head,
                version=state.version if state is not None else "",
                states_taken=heard.taken if heard is not None else 0,
                states_missed=heard.missed if heard is not None else 0,
            )
        )
    return tuple(sorted(lines, key=lambda line: (not line.ourselves, line.id)))


def group_lines(node: MeshNode, now_s: float, unix_s: float | None = None) -> tuple[MeshGroupLine, ...]:
    """``unix_s``: for how long our own caps are still told; None: that is left out."""
    verdict = node.verdict(now_s)
    lines = []
    for group in node.roster.groups.values():
        import_w, export_w = node.limits_w(now_s)[group.id]
        cap = node.book.cap(group.id, now_s)
        counted_import_w = counted_export_w = 0.0
        flows: list[float | None] = []
        present = 0
        for member_id in node.roster.below[group.id]:
            member = node.roster.members[member_id]
            state = _counting(node, member_id, now_s)
            present += state is not None
            if not member.import_w and not member.export_w:
                # It has no transformer: nobody counts it.
                continue
            counted_import_w += state.claim.hi_w if state is not None else member.import_w
            counted_export_w -= state.claim.lo_w if state is not None else -member.export_w
            flows.append(state.flow_w if state is not None else None)
        known = [flow_w for flow_w in flows if flow_w is not None]
        lines.append(
            MeshGroupLine(
                id=group.id,
                parent=group.parent,
                import_w=import_w if import_w < inf else None,
                export_w=export_w if export_w < inf else None,
                cap=MeshCapLine(
                    import_w=cap.cap.import_w,
                    export_w=cap.cap.export_w,
                    by=cap.by,
                    reason=cap.cap.reason,
                    ends_in_s=cap.valid_until_s - now_s,
                    ordered_s=_ordered_s(node, group, unix_s),
                )
                if cap is not None
                else None,
                counted_import_w=counted_import_w,
                counted_export_w=counted_export_w,
                flow_w=sum(known) if len(known) == len(flows) else None,
                members=len(node.roster.below[group.id]),
                present=present,
                binds_import=verdict.import_by == group.id,
                binds_export=verdict.export_by == group.id,
            )
        )
    return tuple(lines)


def _ordered_s(node: MeshNode, group: Group, unix_s: float | None) -> float | None:
    """A gateway renews its own of the region's group all the time."""
    ordered = node.asked_caps.get(group.id)
    if ordered is None or unix_s is None or group.capped:
        return None
    return ordered[1] - unix_s


def ordered_islands(node: MeshNode, links: tuple[LinkStatus, ...], now_s: float) -> tuple[tuple[str, ...], ...]:
    """Ours first."""
    islands = islands_now(node.roster, node.voice, node.book, links, now_s)
    return tuple(sorted(islands, key=lambda island: node.voice not in island))


def _counting(node: MeshNode, member_id: str, now_s: float) -> State | None:
    if member_id == node.member.id:
        return node.last_told
    voices = node.book.present(member_id, now_s)
    return max(voices, key=lambda heard: heard.at_s).state if voices else None
