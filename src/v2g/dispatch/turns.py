"""Turns: who takes part where the minimum powers of all vehicles do not fit the limits together.

A vehicle charges nothing or at least its floor. Whoever can be brought to its floor is, before anyone gets more; the
others wait, and the one that has waited longest is next as soon as others have had their dwell time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from v2g.dispatch.filling import Limit

HOLD_AFTER_S: Final = 600.0
"""Once somebody has waited so long, nobody else should get more than its floor; see :attr:`Admission.hold_floors`."""
MARGIN: Final = 0.05
"""Of its floor: room that must be there besides where it has to last."""
ROOM_S: Final = 60.0
"""So long it has to last for one who comes back before a dwell time is over, or where others just had to leave."""
_GRAIN_S: Final = 1.0
"""Capacities of one second are remembered as their least, however often it is asked."""
_HEADS: Final = 8
"""So many at the head of the queue keep others out; more cost time and give nothing to the first."""
_ROUNDING: Final = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A vehicle that wants power. Magnitudes, W. ``index`` is the one it has in the loads of the limits.

    ``floor_w``: below it, it takes nothing; 0: it can take any power and always takes part. ``weight``: its urgency.
    ``idle_s``: for how long it has had no power, whatever for; it has waited as long at least.
    """

    evse_id: str
    index: int
    floor_w: float
    cap_w: float
    weight: float
    idle_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """``impossible``: who can have no turn at present, and why; it does not wait. ``waiting_s``: how long who waits."""

    admitted: frozenset[str] = frozenset()
    waiting_s: Mapping[str, float] = field(default_factory=dict)
    impossible: Mapping[str, str] = field(default_factory=dict)

    @property
    def longest_wait_s(self) -> float:
        return max(self.waiting_s.values(), default=0.0)

    @property
    def hold_floors(self) -> bool:
        """Somebody has waited for more than 600 s: give nobody more than its floor until it has its turn."""
        return self.longest_wait_s > HOLD_AFTER_S


@dataclass(slots=True)
class _Vehicle:
    """``gave_way_at_s``: left as a limit fell. ``possible_at_s``: fitted last. ``waits``: since the last step."""

    turn_since_s: float | None = None
    left_at_s: float = -inf
    gave_way_at_s: float = -inf
    possible_at_s: float = -inf
    waited_s: float = 0.0
    without_s: float = 0.0
    """Since a turn that was one: it may have had to leave before it started."""
    waits: bool = False


class Turns:
    """:meth:`admit` with every allocation. What it carries over: who has its turn since when, who waits how long.

    Nobody starves. One that has waited for ``dwell_s`` keeps others out of room that it needs, and one that has waited
    twice that out of every limit that it loads; so when it has waited three times that, all that stand in its way have
    had their dwell time, and it takes their place. With ``n`` vehicles none waits for more than ``(n + 3) * dwell_s``
    under limits with positive coefficients, if it fits them alone at least once in any ``dwell_s``.
    """

    def __init__(self, dwell_s: float) -> None:
        if not 0.0 < dwell_s < inf:
            raise ValueError(f"a dwell time of {dwell_s:g} s: it must be above 0 and finite")
        self.dwell_s = dwell_s
        self._vehicles: dict[str, _Vehicle] = {}
        self._last_s = -inf
        self._last: tuple[tuple[Claim, ...], tuple[Limit, ...]] | None = None
        self._admission = Admission()
        self._capacities: deque[tuple[float, list[float]]] = deque()
        self._past: tuple[dict[str, _Vehicle], deque[tuple[float, list[float]]]] = {}, deque()

    def admit(self, claims: Sequence[Claim], limits: Sequence[Limit], now_s: float) -> Admission:
        """Who takes part at ``now_s`` (monotonic). The floors of the admitted fit all ``limits`` together.

        Limits may have coefficients below 0 (the difference of two phases): such a load makes room for others. A
        vehicle that is no longer among ``claims`` is forgotten. The order of ``claims`` does not matter. A second call
        at the same time starts from the same past, whatever the one before it came to: the last one counts. Raises
        ``ValueError`` for two claims of one EVSE or index.
        """
        asked = (tuple(sorted(claims, key=lambda claim: claim.evse_id)), tuple(limits))
        if now_s == self._last_s and asked == self._last:
            return self._admission
        by_id = {claim.evse_id: claim for claim in asked[0]}
        if len(by_id) != len(asked[0]) or len({claim.index for claim in claims}) != len(by_id):
            raise ValueError("two claims of one EVSE, or of one index in the limits: each may have one")
        if now_s != self._last_s:
            self._go_on(max(0.0, now_s - self._last_s) if self._last_s > -inf else 0.0, now_s)
        vehicles, capacities = self._past
        self._vehicles = {evse_id: replace(vehicles.get(evse_id) or _Vehicle()) for evse_id in by_id}
        self._capacities = deque(capacities)
        for evse_id, claim in by_id.items():
            vehicle = self._vehicles[evse_id]
            if vehicle.turn_since_s is None:
                vehicle.waited_s = max(vehicle.waited_s, claim.idle_s)
        impossible = _impossible(asked[0], limits)
        used = _Used(asked[0], limits, self._lasting_w(limits, now_s))
        self._admission = _Step(self.dwell_s, self._vehicles, by_id, impossible, used, now_s).run()
        self._last_s, self._last = now_s, asked
        return self._admission

    def _go_on(self, elapsed_s: float, now_s: float) -> None:
        for vehicle in self._vehicles.values():
            since_s = vehicle.turn_since_s
            if vehicle.waits:
                vehicle.waited_s += elapsed_s
            if since_s is not None and now_s - since_s >= ROOM_S:
                vehicle.without_s = 0.0
            elif vehicle.waits or since_s is not None:
                vehicle.without_s += elapsed_s
        self._past = self._vehicles, self._capacities

    def _lasting_w(self, limits: Sequence[Limit], now_s: float) -> list[float]:
        if self._capacities and len(self._capacities[-1][1]) != len(limits):
            self._capacities.clear()
        while self._capacities and now_s - self._capacities[0][0] > ROOM_S:
            self._capacities.popleft()
        if len(self._capacities) > 1 and now_s - self._capacities[-2][0] < _GRAIN_S:
            _, earlier_w = self._capacities.pop()
            self._capacities.append(
                (now_s, [min(*pair) for pair in zip(earlier_w, _capacities_w(limits), strict=True)])
            )
        else:
            self._capacities.append((now_s, _capacities_w(limits)))
        return [min(column) for column in zip(*(row for _, row in self._capacities), strict=True)]


def _capacities_w(limits: Sequence[Limit]) -> list[float]:
    return [limit.capacity for limit in limits]


def _impossible(claims: Sequence[Claim], limits: Sequence[Limit]) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for claim in claims:
        if not 0.0 <= claim.floor_w < inf:
            reasons[claim.evse_id] = f"its least power of {claim.floor_w:g} W is no power"
        elif not claim.floor_w <= claim.cap_w:
            reasons[claim.evse_id] = (
                f"its least power of {claim.floor_w:g} W is above what it may have, {claim.cap_w:g} W"
            )
    by_index = {claim.index: claim for claim in claims if claim.evse_id not in reasons}
    for n, limit in enumerate(limits):
        help_w = sum(-a * by_index[i].floor_w for i, a in limit.loads if a < 0.0 and i in by_index)
        for i, coefficient in limit.loads:
            if i not in by_index or not coefficient * (claim := by_index[i]).floor_w > 0.0:
                continue
            if not _fits(coefficient * claim.floor_w - help_w, limit.capacity):
                reasons.setdefault(
                    claim.evse_id,
                    f"its least power of {claim.floor_w:g} W does not fit {limit.called(n)} even alone: that has "
                    f"{limit.capacity:g} W",
                )
    return reasons


def _fits(used_w: float, capacity_w: float) -> bool:
    return used_w <= capacity_w + _ROUNDING * abs(capacity_w)


class _Used:
    """What the floors of those who take part use of each limit."""

    def __init__(self, claims: Sequence[Claim], limits: Sequence[Limit], lasting_w: Sequence[float]) -> None:
        self.capacity_w = _capacities_w(limits)
        self.lasting_w = lasting_w
        self.used_w = [0.0] * len(limits)
        self.loaders = [0] * len(limits)
        self.differences = {n for n, limit in enumerate(limits) if any(a < 0.0 for _, a in limit.loads)}
        ids = {claim.index: claim.evse_id for claim in claims}
        self.loads: dict[str, dict[int, float]] = {claim.evse_id: {} for claim in claims}
        for n, limit in enumerate(limits):
            for i, coefficient in limit.loads:
                if i in ids and coefficient != 0.0:
                    self.loads[ids[i]][n] = self.loads[ids[i]].get(n, 0.0) + coefficient

    def add(self, claim: Claim, sign: int = 1) -> None:
        for n, coefficient in self.loads[claim.evse_id].items():
            self.used_w[n] += sign * coefficient * claim.floor_w
            self.loaders[n] += sign if coefficient * claim.floor_w > 0.0 else 0

    def exceeded(self) -> list[int]:
        """Limits that those who take part exceed; one that nobody loads is not kept by anybody's leaving."""
        return [
            n for n, loaders in enumerate(self.loaders) if loaders and not _fits(self.used_w[n], self.capacity_w[n])
        ]

    def full(self, claim: Claim, factor: float = 1.0, besides: Claim | None = None, lasting: bool = False) -> list[int]:
        """Limits that stand in the way of ``claim``, its floor taken ``factor`` times, with ``besides`` there too.

        ``lasting``: by the least capacity of the last minute.
        """
        others, other_w = ({}, 0.0) if besides is None else (self.loads[besides.evse_id], besides.floor_w)
        capacity_w = self.lasting_w if lasting else self.capacity_w
        return [
            n
            for n, coefficient in self.loads[claim.evse_id].items()
            if coefficient * claim.floor_w > 0.0
            and not _fits(
                self.used_w[n] + coefficient * claim.floor_w * factor + max(0.0, others.get(n, 0.0)) * other_w,
                capacity_w[n],
            )
        ]

    def is_loading(self, claim: Claim, limits: Sequence[int]) -> bool:
        loads = self.loads[claim.evse_id]
        return any(loads.get(n, 0.0) * claim.floor_w > 0.0 for n in limits)

    def is_relieving(self, claim: Claim, limits: Sequence[int]) -> bool:
        return any(self.loads[claim.evse_id].get(n, 0.0) * claim.floor_w < 0.0 for n in limits)

    def are_differences(self, limits: Sequence[int]) -> bool:
        return all(n in self.differences for n in limits)

    def share_a_limit(self, a: Claim, b: Claim) -> bool:
        return self.is_loading(b, [n for n, coefficient in self.loads[a.evse_id].items() if coefficient > 0.0])


class _Step:
    """One admission: leave what no longer fits, then let in by waiting time, in the place of others where need be."""

    def __init__(
        self,
        dwell_s: float,
        vehicles: Mapping[str, _Vehicle],
        claims: Mapping[str, Claim],
        impossible: Mapping[str, str],
        used: _Used,
        now_s: float,
    ) -> None:
        self.dwell_s, self.vehicles, self.claims = dwell_s, vehicles, claims
        self.impossible, self.used, self.now_s = impossible, used, now_s
        self.taking_part: dict[str, Claim] = {}
        self.gave_way: list[Claim] = []

    def run(self) -> Admission:
        for evse_id, claim in self.claims.items():
            vehicle = self.vehicles[evse_id]
            if evse_id not in self.impossible:
                vehicle.possible_at_s = self.now_s
                if vehicle.turn_since_s is not None:
                    self._add(claim)
                elif claim.floor_w == 0.0:
                    self._enter(claim)
            elif vehicle.turn_since_s is not None:
                self._leave(claim)
        self._give_way()
        self.gave_way = [
            claim
            for evse_id, claim in self.claims.items()
            if self.now_s - self.vehicles[evse_id].gave_way_at_s < ROOM_S
        ]
        while self._let_in():
            pass
        for vehicle in self.vehicles.values():
            vehicle.waits = vehicle.turn_since_s is None and self._was_possible(vehicle)
        return Admission(
            admitted=frozenset(self.taking_part),
            waiting_s={e: v.without_s for e, v in self.vehicles.items() if v.waits and e not in self.impossible},
            impossible=self.impossible,
        )

    def _give_way(self) -> None:
        out: list[Claim] = []
        while exceeded := self.used.exceeded():
            first = min(self._loading(exceeded), key=self._gives_way_first)
            self._remove(first)
            out.append(first)
        for claim in self._put_back(out):
            self._leave(claim)
            self.vehicles[claim.evse_id].gave_way_at_s = self.now_s

    def _gives_way_first(self, claim: Claim) -> tuple[bool, float, float, str]:
        since_s = self._since_s(claim)
        return (self.now_s - since_s < self.dwell_s, claim.weight, since_s, claim.evse_id)

    def _let_in(self) -> bool:
        """One pass through the queue; True if it let anyone in, which may have made room in a difference."""
        entered = False
        overdue: list[Claim] = []
        for claim in self._queue():
            vehicle = self.vehicles[claim.evse_id]
            if claim.evse_id in self.taking_part:
                continue
            if claim.evse_id not in self.impossible and not any(self._keeps_out(other, claim) for other in overdue):
                entering = self._entering(claim)
                for one in entering:
                    self._enter(one)
                if entering:
                    entered = True
                    continue
            if vehicle.waited_s >= self.dwell_s and len(overdue) < _HEADS:
                overdue.append(claim)
        return entered

    def _entering(self, claim: Claim) -> list[Claim]:
        """``claim`` where it can come in now, alone, in the place of others, or with counterweights."""
        if self._left_just_now(claim):
            return [] if self.used.full(claim, 1.0 + MARGIN, lasting=True) else [claim]
        lasting = self._needs_lasting_room(claim)
        full = self.used.full(claim, lasting=lasting)
        if not full or self._displace_for(claim, lasting):
            return [claim]
        return self._with_counterweights(claim) if self.used.are_differences(full) else []

    def _needs_lasting_room(self, claim: Claim) -> bool:
        """Somebody just had to leave a limit that it loads: what room is there now may be noise."""
        return self.vehicles[claim.evse_id].waited_s < 2.0 * self.dwell_s and any(
            self.used.share_a_limit(claim, other) for other in self.gave_way
        )

    def _queue(self) -> list[Claim]:
        waiting = [
            claim
            for evse_id, claim in self.claims.items()
            if evse_id not in self.taking_part and self._was_possible(self.vehicles[evse_id])
        ]
        return sorted(waiting, key=lambda c: (-self.vehicles[c.evse_id].waited_s, -c.weight, c.evse_id))

    def _was_possible(self, vehicle: _Vehicle) -> bool:
        """Now or not long ago: a capacity that comes and goes must not cost a vehicle its place in the queue."""
        return self.now_s - vehicle.possible_at_s < self.dwell_s

    def _keeps_out(self, overdue: Claim, claim: Claim) -> bool:
        if self.vehicles[overdue.evse_id].waited_s >= 2.0 * self.dwell_s and self.used.share_a_limit(overdue, claim):
            return True
        return bool(self.used.full(claim, besides=overdue))

    def _displace_for(self, claim: Claim, lasting: bool) -> bool:
        """Make room by those whose dwell time is over, longest turn first; all stay where that is not enough."""
        out: list[Claim] = []
        had_their_turn = sorted(
            (c for c in self.taking_part.values() if self.now_s - self._since_s(c) >= self.dwell_s),
            key=lambda c: (self._since_s(c), c.weight, c.evse_id),
        )
        while in_the_way := [*self.used.full(claim, lasting=lasting), *self.used.exceeded()]:
            first = next((c for c in had_their_turn if self.used.is_loading(c, in_the_way)), None)
            if first is None:
                for other in out:
                    self._add(other)
                return False
            had_their_turn.remove(first)
            self._remove(first)
            out.append(first)
        self.used.add(claim)
        for other in self._put_back(out):
            self._leave(other)
        self.used.add(claim, -1)
        return True

    def _with_counterweights(self, claim: Claim) -> list[Claim]:
        """``claim`` and others that wait, where they fit differences of phases together and not one by one."""
        together: list[Claim] = []
        candidates = [c for c in self._queue() if c.evse_id not in self.impossible and not self._left_just_now(c)]
        following: Claim | None = claim
        while following is not None:
            candidates.remove(following)
            self.used.add(following)
            together.append(following)
            exceeded = self.used.exceeded()
            if not exceeded:
                break
            if not self.used.are_differences(exceeded):
                following = None
                break
            following = next((c for c in candidates if self.used.is_relieving(c, exceeded)), None)
        for one in together:
            self.used.add(one, -1)
        return together if following is not None else []

    def _left_just_now(self, claim: Claim) -> bool:
        return self.now_s - self.vehicles[claim.evse_id].left_at_s < self.dwell_s

    def _put_back(self, out: Sequence[Claim]) -> list[Claim]:
        """Of those removed, the last first, whoever fits after all; the others are returned."""
        still_out = []
        for claim in reversed(out):
            if self.used.full(claim):
                still_out.append(claim)
            else:
                self._add(claim)
        return still_out

    def _loading(self, limits: Sequence[int]) -> list[Claim]:
        return [claim for claim in self.taking_part.values() if self.used.is_loading(claim, limits)]

    def _since_s(self, claim: Claim) -> float:
        since_s = self.vehicles[claim.evse_id].turn_since_s
        return self.now_s if since_s is None else since_s

    def _add(self, claim: Claim) -> None:
        self.taking_part[claim.evse_id] = claim
        self.used.add(claim)

    def _remove(self, claim: Claim) -> None:
        del self.taking_part[claim.evse_id]
        self.used.add(claim, -1)

    def _enter(self, claim: Claim) -> None:
        self._add(claim)
        vehicle = self.vehicles[claim.evse_id]
        vehicle.turn_since_s, vehicle.waited_s = self.now_s, 0.0

    def _leave(self, claim: Claim) -> None:
        vehicle = self.vehicles[claim.evse_id]
        vehicle.turn_since_s, vehicle.left_at_s = None, self.now_s
