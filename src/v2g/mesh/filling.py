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
from heapq import heapify, heapreplace
from math import fsum, inf
from typing import Final

_SUMMED_ANEW: Final = 1e-6
"""Of all weights of a group: a rest as small as this is summed anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """``floor_w``: what it takes in any case; ``wish_w``: where it stops; a wish below the floor counts as the floor.

    ``groups``: those above it, each once; ``weight`` above 0. The floor is finite; a wish may be infinite, but then a
    group above has a limit.
    """

    id: str
    floor_w: float
    wish_w: float
    groups: tuple[str, ...]
    weight: float = 1.0


def fill(claimants: Sequence[Claimant], limits_w: Mapping[str, float]) -> dict[str, float]:
    """What each may take at most, W. ``limits_w``: of every group that is named; inf: none.

    Floors beyond a limit leave its members at their floors. The result depends on the values alone, not on the order.
    O(n log n) with few groups above each.
    """
    waiting = sorted(
        ((each.wish_w - each.floor_w) / each.weight, each.id, each) for each in claimants if each.wish_w > each.floor_w
    )
    shares = {each.id: each.floor_w for each in claimants}
    floors: dict[str, list[float]] = {group: [] for group, limit_w in limits_w.items() if limit_w < inf}
    for each in claimants:
        for group in each.groups:
            if group in floors:
                floors[group].append(each.floor_w)
    # What is left above the floors of those below, without what the level has given to those that still wait.
    rooms = {group: limits_w[group] - fsum(below) for group, below in floors.items()}
    rates = dict.fromkeys(rooms, 0.0)
    open_in: dict[str, list[Claimant]] = {group: [] for group in rooms}
    for _, _, each in waiting:
        for group in each.groups:
            if group in rooms:
                rates[group] += each.weight
                open_in[group].append(each)
    totals = dict(rates)
    closed: set[str] = set()
    level = 0.0

    def close(each: Claimant, share_w: float) -> None:
        closed.add(each.id)
        shares[each.id] = share_w
        for group in each.groups:
            if group in rooms:
                rates[group] -= each.weight
                rooms[group] -= share_w - each.floor_w

    def full_from(group: str) -> float:
        """The level at which a group is full, if nobody below it stops before; inf: nobody is left there."""
        rate = rates[group]
        if rate <= _SUMMED_ANEW * totals[group]:
            # What is left of a sum after many differences is not exact.
            rate = rates[group] = fsum(each.weight for each in open_in[group] if each.id not in closed)
        return max(level, max(0.0, rooms[group]) / rate) if rate > 0.0 else inf

    # While members stop, their groups' levels only rise: what stands here is at most what is true.
    full_at = [(full_from(group), group) for group in rooms]
    heapify(full_at)
    for met_at, _, each in waiting:
        while each.id not in closed and full_at and full_at[0][0] < met_at:
            stood, group = full_at[0]
            at = full_from(group)
            if at <= stood:
                level = at
                for member in open_in[group]:
                    if member.id not in closed:
                        close(member, member.floor_w + member.weight * level)
                at = inf
            heapreplace(full_at, (at, group))
        if each.id not in closed:
            level = max(level, met_at)
            close(each, each.wish_w)
    return shares
