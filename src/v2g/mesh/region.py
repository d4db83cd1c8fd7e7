"""A region as its gateway speaks for it in the north: its members' sums up, the cap of its group down. Pure."""

from __future__ import annotations

from math import inf, isfinite

from v2g.mesh.messages import MOST_W, Cap, Flexible, Range, State
from v2g.mesh.node import Facts, MeshNode, Sums, Verdict
from v2g.mesh.roster import Group


def region_facts(node: MeshNode, group: Group, now_s: float) -> Facts:
    """``node``: the gateway's own in its region; ``group``: that the region is, whose limits its wishes end at.

    A member that is not heard counts with the worst of its rating, and the region's flow is then not known.
    """
    states: list[State] = []
    floor = [0.0, 0.0]
    wish = [0.0, 0.0]
    held = [0.0, 0.0]
    whole = True
    for member_id in node.roster.below[group.id]:
        member = node.roster.members[member_id]
        heard = node.book.heard(member_id)
        state = heard.state if heard is not None and heard.fresh(now_s) else None
        if member_id == node.member.id:
            state = node.last_told
        if state is None:
            whole = False
            for sums in (floor, wish, held):
                sums[0] -= member.export_w
                sums[1] += member.import_w
            continue
        states.append(state)
        for sums, told in ((floor, state.floor), (wish, state.wish)):
            sums[0] += told.lo_w
            sums[1] += told.hi_w
        # What is asked for is not held before the region may have more.
        held[0] += state.claim.lo_w
        held[1] += state.claim.hi_w
    return Facts(
        flow_w=_sum([state.flow_w for state in states]) if whole else None,
        base_w=_sum([state.base_w for state in states]) if whole else None,
        capability=_ranges([state.capability for state in states]),
        ahead=_ranges([state.ahead for state in states]),
        hot_spot_c=max((state.hot_spot_c for state in states if state.hot_spot_c is not None), default=None),
        flexible=Flexible(
            vehicles=sum(state.flexible.vehicles for state in states),
            needed_wh=sum(state.flexible.needed_wh for state in states),
            surplus_wh=sum(state.flexible.surplus_wh for state in states),
        ),
        permit="" if whole else "some members are not heard",
        sums=Sums(
            floor=Range(*floor),
            wish=Range(max(wish[0], min(floor[0], -group.export_w)), min(wish[1], max(floor[1], group.import_w))),
            held=Range(*held),
        ),
    )


def region_cap(group: Group, verdict: Verdict) -> Cap:
    """What the north leaves the region, as a cap of its group. A limit that its floors exceed is told as it is."""
    return Cap(
        group=group.id,
        import_w=_magnitude(verdict.import_w, group.import_w),
        export_w=_magnitude(verdict.export_w, group.export_w),
        reason=f"share of the north ({verdict.import_by or 'its wish'})"[:160],
    )


def _magnitude(may_w: float, limit_w: float) -> float:
    if may_w == -inf:
        return 0.0
    return max(0.0, min(may_w, limit_w, MOST_W))


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and isfinite(value)]
    return sum(known) if len(known) == len(values) else None


def _ranges(ranges: list[Range]) -> Range:
    return Range(sum(each.lo_w for each in ranges), sum(each.hi_w for each in ranges))
