"""One side, import or export, of one member: what it may take, what it says that it takes, and what it asks for. Pure.

Taking less is free: it is done at once and told with the next state. Taking more goes in three steps, so that two
members never take the same room, whatever is lost, late or doubled on the way:

1. *Ask.* The member says up to where it would go: its part of the allocation that everybody computes of the same facts.
2. *Be heard.* Each peer says which of our states it has seen last. A peer may count us by that one, by a later one, or,
   once they have expired, with the worst of our rating. A state that is older than ``lapse_s`` has expired everywhere.
3. *Take*, up to the least of all that a peer may count us with, and as far as the limits have room, every peer counted
   with what it claims or asks, whichever is more.

So at any time each peer counts us with at least what we may take. Whoever takes more makes sure that this and what it
counts all others with fit together into the limits; those others have no more than it counts them with.

Guaranteed, under loss, delay, doubling, reordering, one-way deafness, partition, healing, late and restarted members:
the sum below a group of what members may take, or of their flows while those still fall to it, stays within its limit.

On condition that the floors fit and stand still; that all hold the same limit; that every member is honest, speaks with
one voice, flows no more than it may or its floor, and no more than its rating; that receivers drop a state that comes
after a later one of the same life of its sender; and that no state counts for longer than ``lapse_s`` after it was
made: how long one is valid, plus by how much two clocks may differ.

Floors, and what makes room by flowing the other way, are flows that nobody commands here: where one rises, the sum may
exceed the limit by that rise until the others have heard and come down. A limit that is lowered binds each member once
it knows, all of them once they agree on the facts again. A state that a sender with a wrong clock made in advance, and
that somebody held back, may count for longer than is said above.

Not guaranteed, only measured: how soon all have their part. Peers that answer hold nobody up for longer than they take
to answer, and one that does not, be it deaf, absent or slow, for ``lapse_s`` after each ask. A peer that is not heard
counts with its worst, and what that needs is lost to the others at once; the way back goes at the ramp.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from v2g.mesh.filling import Claimant, fill

CLOSE_W: Final = 1.0
"""Asks that differ by less are the same."""
LAPSE_S: Final = 5.0
LONGEST_STEP_S: Final = 1.0
"""More time than this between two steps does not let what may be taken rise by more."""
STEADY_S: Final = 10.0
STEADY_PU: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A peer as it counts now. Side watts. ``sequence``: the last state of ours that it has seen; 0: none.

    ``present``: its last state has not expired. One that does not say that it has seen us may be present.
    """

    id: str
    groups: tuple[str, ...]
    weight: float
    worst_w: float
    present: bool
    floor_w: float = 0.0
    wish_w: float = 0.0
    claim_w: float = 0.0
    ask_w: float = 0.0
    sequence: int = 0

    @property
    def counted_w(self) -> float:
        return max(self.claim_w, self.ask_w) if self.present else self.worst_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Of this side, W: ``floor_w`` cannot be helped, ``flow_w`` is measured, ``worst_w`` what the rating allows.

    None for a flow that is not known: everybody counts with the worst then, and nothing may be taken. A wish beyond the
    rating ends there.
    """

    id: str
    groups: tuple[str, ...]
    weight: float
    worst_w: float
    floor_w: float
    wish_w: float
    flow_w: float | None


@dataclass(frozen=True, slots=True)
class _Said:
    sequence: int
    at_s: float
    counted_w: float


class Steady:
    """A value without its noise: the greatest of the last ``STEADY_S``; a fall beyond the band is taken at once."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()

    def step(self, value: float, band: float, now_s: float) -> float:
        recent = self._recent
        while recent and recent[0][0] < now_s - STEADY_S:
            recent.popleft()
        if recent and value < recent[0][1] - band:
            recent.clear()
        while recent and recent[-1][1] <= value:
            recent.pop()
        recent.append((now_s, value))
        return recent[0][1]


class Side:
    """:meth:`step` with every state that is about to be told, and between them as often as one likes."""

    def __init__(self, ramp_w_s: float, lapse_s: float = LAPSE_S) -> None:
        """``ramp_w_s``: how fast what may be taken rises. ``lapse_s``: no state counts for longer after it was made, by
        anybody's clock."""
        self._ramp_w_s = ramp_w_s
        self._lapse_s = lapse_s
        self._stepped_at_s: float | None = None
        self._said: deque[_Said] = deque()
        self._first: _Said | None = None
        self._floors = Steady()
        self._wishes = Steady()
        self.may_w = -inf
        """Up to where its flow may go. Below its floor it is not: that cannot be helped."""
        self.claim_w = 0.0
        self.ask_w = 0.0
        self.floor_w = 0.0
        """As it is to be told: without its noise."""
        self.wish_w = 0.0
        self.target_w = 0.0
        """Its part of the allocation as it is computed now."""
        self.binding = ""
        """What keeps it from its wish: a group, ``acknowledgement``, ``ramp``, ``flow not known``; empty: nothing."""

    def step(self, own: Own, told: Sequence[Told], limits_w: Mapping[str, float], now_s: float) -> None:
        """``limits_w``: of the groups above it, W of this side; inf: none."""
        elapsed_s = 0.0 if self._stepped_at_s is None else max(0.0, now_s - self._stepped_at_s)
        self._stepped_at_s = now_s
        band_w = STEADY_PU * own.worst_w
        self.floor_w = self._floors.step(own.floor_w, band_w, now_s)
        # Others count it with its rating while they do not hear it: it must not take more than that.
        self.wish_w = max(self.floor_w, self._wishes.step(min(own.wish_w, own.worst_w), band_w, now_s))
        claimants = [_claimant(own, self.floor_w, self.wish_w)]
        for each in told:
            if each.present:
                claimants.append(_claimant(each, each.floor_w, each.wish_w))
            else:
                claimants.append(_claimant(each, each.worst_w, each.worst_w))
        self.target_w = target_w = fill(claimants, limits_w)[own.id]
        if own.flow_w is None:
            self.may_w, self.binding = -inf, "flow not known"
            self.claim_w = self.ask_w = max(own.worst_w, own.floor_w)
            return
        room_w, tightest = _room(own, told, limits_w)
        before_w = max(self.may_w, min(own.floor_w, target_w))
        if target_w <= before_w:
            self.may_w = target_w
            self.binding = tightest if target_w < self.wish_w - CLOSE_W else ""
        else:
            ways = {
                "ramp": before_w + self._ramp_w_s * min(elapsed_s, LONGEST_STEP_S),
                "acknowledgement": self._heard_w(told, now_s),
                tightest or "room": room_w,
            }
            binding = min(ways, key=ways.__getitem__)
            self.may_w = min(target_w, max(before_w, ways[binding]))
            short = self.may_w < target_w - CLOSE_W
            self.binding = binding if short else tightest if target_w < self.wish_w - CLOSE_W else ""
        self.ask_w = max(target_w, self.may_w)
        # Room is free for others once it is measured to be free.
        self.claim_w = max(self.may_w, own.flow_w)

    def said(self, sequence: int, now_s: float) -> None:
        """What stands here is told now as the state ``sequence``, which is above all before."""
        self._said.append(_Said(sequence, now_s, max(self.claim_w, self.ask_w)))
        if self._first is None:
            self._first = self._said[0]

    def _heard_w(self, told: Sequence[Told], now_s: float) -> float:
        """The least that any peer may count us with. It may hold any state since the one that it says it has seen, or
        since those that have expired."""
        if not told:
            return inf
        while self._said and self._said[0].at_s < now_s - self._lapse_s:
            self._said.popleft()
        if self._first is None:
            return -inf
        oldest = min(each.sequence for each in told)
        if oldest < self._first.sequence and now_s - self._first.at_s <= self._lapse_s:
            return -inf
        return min((each.counted_w for each in self._said if each.sequence >= oldest), default=-inf)


def _claimant(who: Own | Told, floor_w: float, wish_w: float) -> Claimant:
    return Claimant(id=who.id, floor_w=floor_w, wish_w=wish_w, groups=who.groups, weight=who.weight)


def _room(own: Own, told: Sequence[Told], limits_w: Mapping[str, float]) -> tuple[float, str]:
    """What the groups above have left for it, and the tightest of them."""
    rooms = {group: limits_w[group] for group in own.groups if limits_w.get(group, inf) < inf}
    for each in told:
        for group in each.groups:
            if group in rooms:
                rooms[group] -= each.counted_w
    if not rooms:
        return inf, ""
    tightest = min(rooms, key=rooms.__getitem__)
    return rooms[tightest], tightest
