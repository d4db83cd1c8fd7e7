"""One side, import or export, of one member: what it may take, what it says that it takes, and what it asks for. Pure.

Taking less is free: it is done at once and told with the next state. Taking more goes in three steps, so that two
members never take the same room, whatever is lost, late or doubled on the way:

1. *Ask.* The member says up to where it would go: its part of the allocation that everybody computes of the same facts.
2. *Be heard.* Each peer says which of its states it has seen last. Until all that are present have seen the ask, it
   does not count.
3. *Take*, up to what all have seen and as far as the limits have room, every peer counted with what it takes or asks,
   whichever is more.

Of two that have taken, one was the later to take; it had the other's ask, or the other had its ask before it asked
itself: so the sum of all that is taken keeps within the limits, with one exception: flows that nobody commands, the
base loads, and what makes room by flowing the other way. Those are followed, within a message and a ramp.

A peer that is not present (not heard, or deaf to what we say) counts with the worst that its rating allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from v2g.mesh.filling import Claimant, fill

_KEPT: Final = 256
"""States of ours whose asks are remembered: acknowledgements of older ones count as none."""
CLOSE_W: Final = 1.0
"""Asks that differ by less are the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A peer as it counts now. Side watts. ``sequence``: the last state of ours that it has seen; 0: none."""

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

    None for a flow that is not known: everybody counts with the worst then, and nothing is taken for vehicles.
    """

    id: str
    groups: tuple[str, ...]
    weight: float
    worst_w: float
    floor_w: float
    wish_w: float
    flow_w: float | None


class Side:
    """:meth:`step` with every state that is about to be told, and between them as often as one likes."""

    def __init__(self, ramp_w_s: float) -> None:
        """``ramp_w_s``: how fast what may be taken rises."""
        self._ramp_w_s = ramp_w_s
        self._stepped_at_s: float | None = None
        self._said: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self.may_w = -inf
        """Up to where its flow may go. Below its floor it is not: that cannot be helped."""
        self.claim_w = 0.0
        self.ask_w = 0.0
        self.target_w = 0.0
        """Its part of the allocation as it is computed now."""
        self.binding = ""
        """What keeps it from its wish: a group, or ``acknowledgement``, ``ramp``; empty: nothing."""

    def step(self, own: Own, told: Sequence[Told], limits_w: Mapping[str, float], now_s: float) -> None:
        """``limits_w``: of the groups above it, W of this side; inf: none."""
        elapsed_s = 0.0 if self._stepped_at_s is None else max(0.0, now_s - self._stepped_at_s)
        self._stepped_at_s = now_s
        claimants = [_claimant(own, own.floor_w, own.wish_w)]
        for each in told:
            if each.present:
                claimants.append(_claimant(each, each.floor_w, each.wish_w))
            else:
                claimants.append(_claimant(each, each.worst_w, each.worst_w))
        self.target_w = target_w = fill(claimants, limits_w)[own.id]
        room_w, tightest = _room(own, told, limits_w)
        least_w = min(own.floor_w, target_w)
        before_w = max(self.may_w, least_w)
        if target_w <= before_w:
            self.may_w = target_w
            self.binding = tightest if target_w < own.wish_w - CLOSE_W else ""
        else:
            ways = {
                "ramp": before_w + self._ramp_w_s * elapsed_s,
                "acknowledgement": self._heard_w(told),
                tightest or "room": room_w,
            }
            binding = min(ways, key=ways.__getitem__)
            self.may_w = min(target_w, max(before_w, ways[binding]))
            short = self.may_w < min(target_w, own.wish_w) - CLOSE_W
            self.binding = binding if short else tightest if target_w < own.wish_w - CLOSE_W else ""
        self.ask_w = max(target_w, self.may_w)
        # Room is free for others once it is measured to be free.
        self.claim_w = own.worst_w if own.flow_w is None else max(self.may_w, own.flow_w)

    def said(self, sequence: int) -> None:
        """What stands here now has been told as the state ``sequence``."""
        self._said.append((sequence, max(self.claim_w, self.ask_w)))

    def _heard_w(self, told: Sequence[Told]) -> float:
        """The least that any present peer may count us with, by the states that it may have seen last."""
        oldest = min((each.sequence for each in told if each.present), default=None)
        if oldest is None:
            return inf
        if not self._said or oldest < self._said[0][0]:
            return -inf
        return min((w for sequence, w in self._said if sequence >= oldest), default=-inf)


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
