"""What the rules of ``wires`` share for both kinds of EVSE: times, and a magnitude under one bound after another."""

from __future__ import annotations

import math

from v2g.grid.protection import Block

STALE_S = 1.0
"""A reading older than this is no reading."""
MAX_LEASE_S = 5.0
"""A lease never lasts longer from its arrival, whatever it says."""
OPEN_BELOW_A = 1.0
"""Contactors open once the current is below this."""
START_GRACE_S = 1.0
"""After the start, EVSEs are left as they are for this long, so that a restart does not end a session."""
RELAY_BLOCKS = Block.RELAY_SETTING | Block.RELAY_FEEDBACK | Block.RELAY_FAILED
"""Each of them bars discharge."""

_TELL_ABOVE_W = 0.5


class Bounds:
    """A magnitude under one bound after another."""

    __slots__ = ("bound_by", "magnitude_w")

    def __init__(self, magnitude_w: float) -> None:
        self.magnitude_w = magnitude_w
        self.bound_by: str | None = None

    def at_most(self, limit_w: float, name: str) -> None:
        if limit_w < self.magnitude_w:
            self.become(limit_w, name)

    def become(self, magnitude_w: float, name: str) -> None:
        stopped = magnitude_w == 0 < self.magnitude_w
        if stopped or abs(magnitude_w - self.magnitude_w) > _TELL_ABOVE_W:
            self.bound_by = name
        self.magnitude_w = magnitude_w


def fraction(value: float) -> float:
    """0..1; what is no number allows nothing."""
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0


def is_stale(as_of_s: float, now_s: float) -> bool:
    return not -STALE_S <= now_s - as_of_s <= STALE_S


def least_magnitude(*values: float) -> float:
    """The lowest of several limits; one that is no number, or negative, allows nothing."""
    return min((value if math.isfinite(value) and value > 0 else 0.0) for value in values)
