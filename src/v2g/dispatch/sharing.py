"""One direction of an allocation: its claims share what orders, groups and site permit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite
from typing import Final

from v2g.dispatch.claims import LEAST_W, Claim, Service, stated
from v2g.dispatch.constraints import Intersection
from v2g.dispatch.filling import Filled, Limit, fill, fill_balanced, unbalance_limits
from v2g.dispatch.inputs import Settings
from v2g.dispatch.turns import Admission, Turns
from v2g.dispatch.turns import Claim as TurnClaim

OTHERS_WAIT: Final = "others wait for their turn"
_PHASES: Final = "abc"
_DECIMALS: Final = 6
"""Of a watt: nobody orders more, and 9999.999999999 W is hard to read."""
_LEAST_SHARE: Final = 1e-9
"""Of a megawatt it is a milliwatt."""


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """A group with its interval of this moment. ``shares``: the part of each vehicle's power that counts."""

    limits: Intersection
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Room:
    """What a group leaves to one direction, as a magnitude."""

    source: str
    capacity_w: float
    shares: Mapping[str, float]


class Direction:
    """Charge (``sign`` 1) or discharge (-1), with whose turn it is."""

    def __init__(self, sign: float, settings: Settings) -> None:
        self._sign = sign
        self._unbalance_w = settings.unbalance_w
        self._turns = Turns(settings.dwell_s)
        self._opposite_spread_w = 0.0
        self.rooms: tuple[Room, ...] = ()
        """Of the last :meth:`share`."""
        self.idle_s: Mapping[str, float] = {}
        """By EVSE, for how long its vehicle has had no power: so long it waits for its turn, whatever it rested for."""
        self.waits_s: Mapping[str, float] = {}
        """Likewise: by EVSE, for how long its vehicle has been waiting for its turn."""

    def adopt(self, settings: Settings) -> None:
        self._unbalance_w = settings.unbalance_w
        self._turns.dwell_s = settings.dwell_s

    def potential(self, claims: Sequence[Claim]) -> None:
        """Set ``target_w`` and ``own_w`` to what orders and vehicles alone would lead to."""
        active = _active(claims)
        budgets = _budgets(active)
        _greedy(active, [limit for _, limit in budgets])
        self._fill([claim for claim in active if claim.reason is None], ())
        for claim in claims:
            claim.own_w = claim.target_w

    def share(
        self,
        claims: Sequence[Claim],
        groups: Iterable[GroupLimit],
        opposite: Sequence[Claim],
        ignored_w: Mapping[str, float],
        now_s: float,
    ) -> None:
        """Set ``target_w`` and ``reason`` of ``claims``.

        ``opposite``: claims of the other direction with what flows of them, which makes room. ``ignored_w``: by EVSE,
        signed power beyond what its vehicle was told, which takes room.
        """
        self.rooms = tuple(self._room(group, opposite, ignored_w) for group in groups)
        active = _active(claims)
        self._opposite_spread_w = _spread(opposite, [claim.target_w for claim in opposite])
        limits = [*(limit for _, limit in _budgets(active, turns=True)), *room_limits(active, self.rooms)]
        if self._unbalance_w is not None:
            limits += unbalance_limits([c.vehicle.phases for c in active], self._left_unbalance_w())
        turns = self._turns.admit(
            [
                TurnClaim(
                    evse_id=claim.evse_id,
                    index=index,
                    floor_w=claim.minimum_w,
                    cap_w=claim.cap_w,
                    weight=claim.weight,
                    idle_s=self.idle_s.get(claim.evse_id, 0.0),
                )
                for index, claim in enumerate(active)
            ],
            limits,
            now_s,
        )
        self.waits_s = turns.waiting_s
        taking_part = []
        for claim in active:
            if claim.evse_id not in turns.admitted:
                claim.reason = self._why_out(claim, turns)
                continue
            taking_part.append(claim)
            if turns.hold_floors and claim.minimum_w:
                claim.cap_w, claim.source = claim.floor_w, OTHERS_WAIT
        self._fill(taking_part, self.rooms)

    def _left_unbalance_w(self) -> float:
        """Beside what the other direction has; never so little that rounding would count."""
        return max(LEAST_W, (self._unbalance_w or 0.0) - self._opposite_spread_w)

    def balance_powers(self, claims: Sequence[Claim]) -> None:
        """Lower ``power_w`` where a phase waits for the ramp of its counterweight. Minima stay."""
        if self._unbalance_w is None:
            return
        claims = [claim for claim in claims if claim.power_w > 0.0]
        least_w = self._left_unbalance_w()
        if _spread(claims, [claim.power_w for claim in claims]) <= least_w:
            return
        powers_w = [claim.power_w for claim in claims]
        floors_w = [min(claim.power_w, claim.minimum_w) for claim in claims]
        phases = [claim.vehicle.phases for claim in claims]
        if _spread(claims, floors_w) > least_w:
            return
        for claim, power_w in zip(
            claims, fill_balanced(powers_w, powers_w, (), phases, least_w, floors_w).shares, strict=True
        ):
            claim.power_w = power_w if power_w >= LEAST_W else 0.0

    def _why_out(self, claim: Claim, turns: Admission) -> str:
        if claim.evse_id not in turns.impossible:
            return f"waits for its turn: it needs at least {claim.floor_w:.0f} W"
        tightest = min(
            (room for room in self.rooms if room.shares.get(claim.evse_id, 0.0) > 0.0),
            key=lambda room: room.capacity_w / room.shares[claim.evse_id],
            default=None,
        )
        if tightest is not None and tightest.capacity_w < claim.floor_w * tightest.shares[claim.evse_id]:
            return tightest.source
        phases = claim.vehicle.phases
        if self._unbalance_w is not None and claim.floor_w <= min(claim.cap_w, claim.service.wanted_w):
            return f"unbalance of phase {_PHASES[phases.index(max(phases))]}"
        return claim.floor_source

    def _room(self, group: GroupLimit, opposite: Sequence[Claim], ignored_w: Mapping[str, float]) -> Room:
        limits, shares = group.limits, group.shares
        if self._sign > 0.0:
            end_w, source = stated(limits.hi_w, limits.hi_source)
        else:
            end_w, source = stated(-limits.lo_w, limits.lo_source)
        if limits.lo_w == limits.hi_w == 0.0:
            # Nothing is known, or nothing may flow: what the other side would do makes no room.
            return Room(source, 0.0, shares)
        help_w = fsum(shares.get(claim.evse_id, 0.0) * claim.target_w for claim in opposite)
        taken_w = fsum(
            shares.get(evse_id, 0.0) * abs(power_w)
            for evse_id, power_w in ignored_w.items()
            if power_w * self._sign > 0.0
        )
        return Room(source, max(0.0, end_w + help_w - taken_w), shares)

    def _fill(self, claims: Sequence[Claim], rooms: Sequence[Room]) -> None:
        if not claims:
            return
        budgets = _budgets(claims)
        limits = [*(limit for _, limit in budgets), *room_limits(claims, rooms)]
        caps = [claim.cap_w for claim in claims]
        weights = [claim.weight for claim in claims]
        floors = [claim.minimum_w for claim in claims]
        try:
            if self._unbalance_w is None or not rooms:
                filled = fill(caps, weights, limits, floors)
            else:
                phases = [claim.vehicle.phases for claim in claims]
                filled = fill_balanced(caps, weights, limits, phases, self._left_unbalance_w(), floors)
        except ValueError as error:
            # What cannot be shared out is nobody's, and the other direction goes on.
            for claim in claims:
                claim.target_w, claim.reason = 0.0, f"contradiction: {error}"
            return
        _take(claims, filled, budgets, rooms)


def _spread(claims: Sequence[Claim], powers_w: Sequence[float]) -> float:
    """By how much these powers load one phase more than another."""
    sums = [
        fsum(claim.vehicle.phases[p] * power_w for claim, power_w in zip(claims, powers_w, strict=True))
        for p in range(3)
    ]
    return max(sums) - min(sums)


def _active(claims: Sequence[Claim]) -> list[Claim]:
    active = []
    for claim in claims:
        claim.target_w, claim.reason = 0.0, None
        if claim.service.refused is not None:
            claim.reason = claim.service.refused
        elif claim.cap_w < LEAST_W or not 0.0 < claim.weight < inf:
            claim.reason = claim.source
        elif claim.cap_w < claim.floor_w:
            claim.reason = claim.floor_source
        elif claim.service.wanted_w > 0.0 or claim.service.turn_w > 0.0:
            active.append(claim)
    return active


def _budgets(claims: Sequence[Claim], *, turns: bool = False) -> list[tuple[Service, Limit]]:
    """The amount of each order, or of ``auto``, over its claims.

    ``turns``: what it may come to where somebody's minimum asks for more; else it is more only for the minima of those
    who have their turn.
    """
    of: dict[int, tuple[Service, list[tuple[int, float]]]] = {}
    for index, claim in enumerate(claims):
        if isfinite(claim.service.wanted_w):
            of.setdefault(id(claim.service), (claim.service, []))[1].append((index, 1.0))
    budgets = []
    for service, loads in of.values():
        amount_w = service.wanted_w
        if service.turn_w > amount_w:
            minima_w = fsum(claims[index].minimum_w for index, _ in loads)
            amount_w = max(amount_w, service.turn_w if turns else min(minima_w, service.turn_w))
        budgets.append((service, Limit(amount_w, loads)))
    return budgets


def room_limits(claims: Sequence[Claim], rooms: Sequence[Room]) -> list[Limit]:
    """What each room holds, over the claims that load it."""
    return [
        Limit(
            room.capacity_w,
            [
                (index, share)
                for index, claim in enumerate(claims)
                if (share := room.shares.get(claim.evse_id, 0.0)) > _LEAST_SHARE
            ],
        )
        for room in rooms
    ]


def _greedy(claims: Sequence[Claim], limits: Sequence[Limit]) -> None:
    """Leave out those of whom not all floors fit: the highest first."""
    left = [limit.capacity for limit in limits]
    loads: dict[int, list[tuple[int, float]]] = {}
    for number, limit in enumerate(limits):
        for index, share in limit.loads:
            loads.setdefault(index, []).append((number, share))
    for index in sorted(range(len(claims)), key=lambda i: (claims[i].floor_w, claims[i].evse_id)):
        claim = claims[index]
        if all(share * claim.minimum_w <= left[number] for number, share in loads.get(index, ())):
            for number, share in loads.get(index, ()):
                left[number] -= share * claim.minimum_w
        else:
            claim.reason = claim.floor_source


def _take(
    claims: Sequence[Claim], filled: Filled, budgets: Sequence[tuple[Service, Limit]], rooms: Sequence[Room]
) -> None:
    totals: dict[int, float] = {}
    for claim, share in zip(claims, filled.shares, strict=True):
        claim.target_w = round(share, _DECIMALS)
        totals[id(claim.service)] = totals.get(id(claim.service), 0.0) + share
    for claim, bound in zip(claims, filled.bound_by, strict=True):
        if bound is None:
            short = claim.service.order is None or claim.service.wanted_w - totals[id(claim.service)] > 1e-3
            claim.reason = claim.source if short else None
        elif bound < len(budgets):
            claim.reason = None
        elif bound < len(budgets) + len(rooms):
            claim.reason = rooms[bound - len(budgets)].source
        else:
            claim.reason = f"unbalance of phase {_PHASES[bound - len(budgets) - len(rooms)]}"
        if claim.target_w < LEAST_W:
            claim.target_w, claim.reason = 0.0, claim.reason or claim.floor_source
