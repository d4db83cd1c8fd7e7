"""Shares of nested limits by weighted max-min fairness above what cannot be helped. Pure, exact, no iteration.

One side at a time: the import side counts flows positive downstream, the export side the same flows with their signs
turned. Everybody gets its floor; what the limits leave above the floors is filled by one level for all, each in
proportion to its weight, until its wish is met or a group above it is full (progressive filling: Bertsekas and
Gallager, Data Networks, section 6.5.2). Nobody can have more without somebody in a full group, who has no more above
its floor by weight, having less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """``floor_w``: what it takes in any case; ``wish_w``: where it stops; a wish below the floor counts as the floor.

    ``groups``: those above it, the innermost first; ``weight`` above 0.
    """

    id: str
    floor_w: float
    wish_w: float
    groups: tuple[str, ...]
    weight: float = 1.0


def fill(claimants: Sequence[Claimant], limits_w: Mapping[str, float]) -> dict[str, float]:
    """What each may take at most, W. ``limits_w``: of every group that is named; inf: none.

    Floors beyond a limit leave its members at their floors. The result depends on the values alone, not on the order.
    """
    ordered = sorted(claimants, key=lambda each: ((each.wish_w - each.floor_w) / each.weight, each.id))
    rooms = {group: limit_w for group, limit_w in limits_w.items() if limit_w < inf}
    weights = dict.fromkeys(rooms, 0.0)
    open_in: dict[str, list[Claimant]] = {group: [] for group in rooms}
    for each in ordered:
        for group in each.groups:
            if group in rooms:
                rooms[group] -= each.floor_w
                if each.wish_w > each.floor_w:
                    weights[group] += each.weight
                    open_in[group].append(each)
    shares = {each.id: each.floor_w for each in ordered}
    closed = {each.id for each in ordered if not each.wish_w > each.floor_w}
    level = 0.0

    def close(each: Claimant, share_w: float) -> None:
        closed.add(each.id)
        shares[each.id] = share_w
        for group in each.groups:
            if group in rooms:
                weights[group] -= each.weight
                # What it has taken is gone for good; what the level has given the others is in ``weights * level``.
                rooms[group] -= share_w - each.floor_w

    def full() -> list[tuple[float, str]]:
        return [
            (max(level, max(0.0, rooms[group]) / weights[group]), group)
            for group, members in open_in.items()
            if weights[group] > 0.0 and any(member.id not in closed for member in members)
        ]

    waiting = [each for each in ordered if each.id not in closed]
    for each in waiting:
        met_at = (each.wish_w - each.floor_w) / each.weight
        while each.id not in closed and (soonest := min(full(), default=None)) is not None and soonest[0] < met_at:
            level, group = soonest
            for member in open_in[group]:
                if member.id not in closed:
                    close(member, member.floor_w + member.weight * level)
        if each.id not in closed:
            level = max(level, met_at)
            close(each, each.wish_w)
    return shares
