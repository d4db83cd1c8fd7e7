"""Exact water-filling with group limits: weighted max-min fairness.

A level rises from 0 and every share with it, in proportion to its weight, from its floor to its cap; where a limit is
reached, all that load it stop (progressive filling; Bertsekas and Gallager, Data Networks, 6.5.2). No unit is assumed;
watts in this house.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite
from typing import Final

ROUNDING: Final = 1e-9
"""By so much of a limit its floors may exceed it: their sum is not exact."""
LEAST_WEIGHT: Final = 1e-15
"""Of the greatest: smaller ones count as this, so that no sum of rates is lost in rounding."""
_COEFFICIENTS: Final = (1e-9, 1e9)
_BELOW: Final = 1.0 - 2.0**-50
"""Keeps the sum of the rounded shares below the limit."""
_SEARCH_ROUNDS: Final = 60
_RAISE_ROUNDS: Final = 30

Phases = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Limit:
    """The sum over ``loads`` (index of a share, coefficient) of coefficient times share is at most ``capacity``."""

    capacity: float
    loads: Sequence[tuple[int, float]]
    name: str = ""

    def called(self, index: int) -> str:
        return self.name or f"limit {index}"


@dataclass(frozen=True, slots=True)
class Filled:
    """``bound_by``: index of the limit that stopped a share; None where its own cap did, or its weight is 0."""

    shares: list[float]
    bound_by: list[int | None]


def fill(
    caps: Sequence[float],
    weights: Sequence[float],
    limits: Sequence[Limit],
    floors: Sequence[float] | None = None,
) -> Filled:
    """The shares, ``floors <= x <= caps``, for which the sorted vector of x/weight is lexicographically greatest.

    ``caps`` and capacities may be infinite, but something must bound every share with a weight above 0. A share of
    weight 0 gets its floor. Coefficients: 1e-9..1e9. The weighted sums never exceed a limit (with floors: by more than
    rounding). O(n log n + events * limits).

    Raises ``ValueError`` for floors that a limit does not hold, a share that nothing bounds, arguments out of range.
    """
    return _Filling(caps, weights, limits, [0.0] * len(caps) if floors is None else floors).run()


class _Filling:
    """One run. Of each limit: what the moving shares may have (room), and how fast they take it (rate)."""

    def __init__(
        self, caps: Sequence[float], weights: Sequence[float], limits: Sequence[Limit], floors: Sequence[float]
    ) -> None:
        _check_shares(caps, weights, floors)
        self.caps, self.floors, self.limits = caps, floors, limits
        greatest = max(weights, default=0.0)
        self.weights = [max(weight / greatest, LEAST_WEIGHT) if weight > 0.0 else 0.0 for weight in weights]
        self.shares = list(floors)
        self.bound_by: list[int | None] = [None] * len(caps)
        self.settled = [not (w > 0.0 and f < c) for w, f, c in zip(self.weights, floors, caps, strict=True)]
        self.moving = [False] * len(caps)
        self.loads: list[list[tuple[int, float]]] = [[] for _ in caps]
        for k, limit in enumerate(limits):
            _check_limit(k, limit, floors)
            if limit.capacity < inf:
                for i, coefficient in limit.loads:
                    self.loads[i].append((k, coefficient))
        # Each is the unevaluated sum of two floats: small rates must survive the removal of great ones.
        self.room = [_room(limit, floors) for limit in limits]
        self.room_rest = [0.0] * len(limits)
        self.rate = [0.0] * len(limits)
        self.rate_rest = [0.0] * len(limits)
        self.movers = [0] * len(limits)
        self.full_at = [inf] * len(limits)

    def run(self) -> Filled:
        still = [i for i, settled in enumerate(self.settled) if not settled]
        starts = sorted((self.floors[i] / self.weights[i], i) for i in still)
        ends = sorted((self.caps[i] / self.weights[i], i) for i in still if self.caps[i] < inf)
        started = ended = 0
        while True:
            start_at = starts[started][0] if started < len(starts) else inf
            end_at = ends[ended][0] if ended < len(ends) else inf
            full_at = min(self.full_at, default=inf)
            if full_at < start_at and full_at < end_at:
                self._saturate(self.full_at.index(full_at))
            elif started < len(starts) and start_at <= end_at:
                self._start(starts[started][1])
                started += 1
            elif ended < len(ends):
                i = ends[ended][1]
                if not self.settled[i]:
                    self._settle(i, self.caps[i], None)
                ended += 1
            else:
                break
        if False in self.settled:
            raise ValueError(f"share {self.settled.index(False)} has neither a finite cap nor a limit: give it one")
        return Filled(self.shares, self.bound_by)

    def _start(self, i: int) -> None:
        if self.settled[i]:
            return
        self.moving[i] = True
        for k, coefficient in self.loads[i]:
            _add(self.room, self.room_rest, k, coefficient * self.floors[i])
            _add(self.rate, self.rate_rest, k, coefficient * self.weights[i])
            self.movers[k] += 1
            self._foresee(k)

    def _saturate(self, k: int) -> None:
        level = self.full_at[k] * _BELOW
        for i, _ in self.limits[k].loads:
            if not self.settled[i]:
                self._settle(i, max(self.floors[i], min(self.caps[i], self.weights[i] * level)), k)

    def _settle(self, i: int, share: float, bound_by: int | None) -> None:
        self.settled[i] = True
        self.bound_by[i] = bound_by
        if not self.moving[i]:
            return
        self.shares[i] = share
        for k, coefficient in self.loads[i]:
            _add(self.room, self.room_rest, k, -coefficient * share)
            _add(self.rate, self.rate_rest, k, -coefficient * self.weights[i])
            self.movers[k] -= 1
            self._foresee(k)

    def _foresee(self, k: int) -> None:
        self.full_at[k] = (
            (self.room[k] + self.room_rest[k]) / (self.rate[k] + self.rate_rest[k]) if self.movers[k] else inf
        )


def _add(sums: list[float], rests: list[float], k: int, value: float) -> None:
    before = sums[k]
    after = before + value
    taken = after - before
    rests[k] += (before - (after - taken)) + (value - taken)
    sums[k] = after


def _room(limit: Limit, floors: Sequence[float]) -> float:
    return fsum((limit.capacity, *(-coefficient * floors[i] for i, coefficient in limit.loads)))


def _check_shares(caps: Sequence[float], weights: Sequence[float], floors: Sequence[float]) -> None:
    if not len(caps) == len(weights) == len(floors):
        raise ValueError(f"{len(caps)} caps, {len(weights)} weights and {len(floors)} floors: one each is needed")
    for i, (cap, weight, floor) in enumerate(zip(caps, weights, floors, strict=True)):
        if not (0.0 <= floor <= cap and isfinite(floor)):
            raise ValueError(f"share {i}: a floor of {floor:g} with a cap of {cap:g}; 0 <= floor <= cap is needed")
        if not (isfinite(weight) and weight >= 0.0):
            raise ValueError(f"share {i}: a weight of {weight:g}; it must be finite and not below 0")


def _check_limit(k: int, limit: Limit, floors: Sequence[float]) -> None:
    least, greatest = _COEFFICIENTS
    for i, coefficient in limit.loads:
        if not 0 <= i < len(floors):
            raise ValueError(f"{limit.called(k)} is loaded by share {i}, of {len(floors)}")
        if not least <= coefficient <= greatest:
            raise ValueError(
                f"{limit.called(k)}: coefficient {coefficient:g} of share {i} is outside {least:g}..{greatest:g}"
            )
    used = fsum(coefficient * floors[i] for i, coefficient in limit.loads)
    if not used <= limit.capacity + ROUNDING * abs(limit.capacity):
        raise ValueError(f"{limit.called(k)} holds {limit.capacity:g}, its floors need {used:g}: let fewer take part")


def fill_balanced(
    caps: Sequence[float],
    weights: Sequence[float],
    limits: Sequence[Limit],
    phases: Sequence[Phases],
    unbalance: float,
    floors: Sequence[float] | None = None,
) -> Filled:
    """:func:`fill`, and besides no phase has more than ``unbalance`` (>= 0) above another.

    ``phases``: the part of a share in each phase. In ``bound_by`` ``len(limits) + p`` is the load of phase ``p``.

    1. Every phase is held below ``unbalance + least``; such a filling is feasible where the lightest phase has
       ``least`` or more. The greatest such ``least`` is searched as a root, and the feasible side of it is kept. (To
       put the lightest phase of one filling in the next one does not do: a heavy phase that gives way under a limit
       of the site lets the light one rise, and the other way round, so that fillings take turns at being infeasible.)
    2. A share of two phases may be held by the one though it adds nothing to the difference. So all shares become
       floors, and each difference's positive part may grow to ``unbalance`` and the negative part as it is. Shares
       only rise, hence also every negative part, and the result is feasible again; this is repeated while it helps.

    Nobody is held by an unbalance to which it does not add. So this is not the lexicographic maximum under these
    limits: that would take from a share of the same site limit to let a light phase support a heavy one.

    Raises ``ValueError`` as :func:`fill`, and where the floors cannot be balanced.
    """
    floors = [0.0] * len(caps) if floors is None else floors
    if len(phases) != len(caps):
        raise ValueError(f"{len(caps)} caps and {len(phases)} phases: one each is needed")
    if not unbalance >= 0.0:
        raise ValueError(f"an unbalance of {unbalance:g}: it must not be below 0")
    balance = _Balance(caps, weights, limits, phases, unbalance, floors)
    free = fill(caps, weights, limits, floors)
    sums = balance.sums(free.shares)
    if max(sums) - min(sums) <= unbalance:
        return free
    return balance.raised(balance.searched(max(sums), min(sums)))


class _Balance:
    def __init__(
        self,
        caps: Sequence[float],
        weights: Sequence[float],
        limits: Sequence[Limit],
        phases: Sequence[Phases],
        unbalance: float,
        floors: Sequence[float],
    ) -> None:
        self.caps, self.weights, self.limits = caps, weights, limits
        self.unbalance, self.floors = unbalance, floors
        parts = [_uneven(triple) for triple in phases]
        self.loads = [_positive(enumerate(part[p] for part in parts)) for p in range(3)]
        self.two_phases = any(sum(one > 0.0 for one in part) == 2 for part in parts)
        self.differences = [
            (
                p,
                _positive(enumerate(part[p] - part[q] for part in parts)),
                _positive(enumerate(part[q] - part[p] for part in parts)),
            )
            for p in range(3)
            for q in range(3)
            if p != q
        ]

    def sums(self, shares: Sequence[float]) -> list[float]:
        return [_loaded(loads, shares) for loads in self.loads]

    def at(self, least: float) -> tuple[Filled, float]:
        held = [Limit(self.unbalance + least, loads) for loads in self.loads]
        filled = fill(self.caps, self.weights, [*self.limits, *held], self.floors)
        return filled, min(self.sums(filled.shares)) - least

    def searched(self, heaviest: float, lightest: float) -> Filled:
        """Regula falsi with halving (Illinois) between a feasible filling and the free one, which is not."""
        floor_sums = self.sums(self.floors)
        lo, hi = max(0.0, max(floor_sums) - self.unbalance), heaviest - self.unbalance
        best, above = self.at(lo)
        if above < -ROUNDING * max(floor_sums):
            p = floor_sums.index(max(floor_sums))
            raise ValueError(
                f"phase {p}: its floors need {floor_sums[p]:g}, by more than {self.unbalance:g} above another phase: "
                "let fewer take part"
            )
        slope_lo, slope_hi, last = above, lightest - hi, 0
        grain = 1e-13 * heaviest
        level = False
        for _ in range(_SEARCH_ROUNDS):
            if hi - lo <= 10.0 * grain:
                break
            if at_root := above <= 2.0 * grain:
                least = (lo + hi) / 2.0 if level else min(lo + ROUNDING * heaviest, (lo + hi) / 2.0)
            else:
                least = (lo * slope_hi - hi * slope_lo) / (slope_hi - slope_lo) - grain
                if not lo < least < hi:
                    least = (lo + hi) / 2.0
            filled, gap = self.at(least)
            if gap >= -grain:
                lo, best, above, slope_lo = least, filled, gap, max(0.0, gap)
                slope_hi = slope_hi / 2.0 if last > 0 else slope_hi
                last, level = 1, at_root
            elif at_root and not level:
                break
            else:
                hi, slope_hi = least, gap
                slope_lo = slope_lo / 2.0 if last < 0 else slope_lo
                last = -1
        return best

    def raised(self, filled: Filled) -> Filled:
        """Step 2. Where two phases lift each other by small steps, longer ones are tried and kept if feasible."""
        if not self.two_phases:
            return filled
        past = [self._counterweights(filled)]
        length = 0.0
        for _ in range(_RAISE_ROUNDS):
            earlier = past[-3] if len(past) > 2 else past[0]
            hoped = [now + length * (now - was) for now, was in zip(past[-1], earlier, strict=True)]
            rows = [
                Limit(max(self.unbalance + w, _loaded(positive, filled.shares)), positive)
                for w, (_, positive, _) in zip(hoped, self.differences, strict=True)
            ]
            raised = fill(self.caps, self.weights, [*self.limits, *rows], filled.shares)
            sums = self.sums(raised.shares)
            if length > 0.0 and max(sums) - min(sums) > self.unbalance:
                length = length / 4.0 if length > 1.0 else 0.0
                continue
            gain = max(after - was for after, was in zip(raised.shares, filled.shares, strict=True))
            filled = Filled(raised.shares, [self._phase(index) for index in raised.bound_by])
            past.append(self._counterweights(filled))
            if gain > ROUNDING * max(filled.shares):
                length = 2.0 * length if length else float(len(past) > 2)
            elif length == 0.0:
                break
            else:
                length = 0.0
        return filled

    def _counterweights(self, filled: Filled) -> list[float]:
        return [_loaded(negative, filled.shares) for _, _, negative in self.differences]

    def _phase(self, index: int | None) -> int | None:
        first = len(self.limits)
        return index if index is None or index < first else first + self.differences[index - first][0]


def unbalance_limits(phases: Sequence[Phases], unbalance: float) -> list[Limit]:
    """Six limits, one for each difference of two phases, with coefficients of both signs: for ``turns``, not for fill.

    Shares that keep them are balanced by themselves.
    """
    parts = [_uneven(triple) for triple in phases]
    return [
        Limit(unbalance, [(i, d) for i, part in enumerate(parts) if (d := part[p] - part[q]) != 0.0])
        for p in range(3)
        for q in range(3)
        if p != q
    ]


def _uneven(triple: Phases) -> Phases:
    """What a share adds to the difference of two phases: a part that all three have alike adds nothing."""
    if not all(isfinite(part) and part >= 0.0 for part in triple):
        raise ValueError(f"phases {triple}: three finite parts, none below 0, are needed")
    least = min(triple)
    a, b, c = (part - least if part - least > _COEFFICIENTS[0] else 0.0 for part in triple)
    return a, b, c


def _positive(loads: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(i, coefficient) for i, coefficient in loads if coefficient >= _COEFFICIENTS[0]]


def _loaded(loads: Iterable[tuple[int, float]], shares: Sequence[float]) -> float:
    return fsum(coefficient * shares[i] for i, coefficient in loads)
