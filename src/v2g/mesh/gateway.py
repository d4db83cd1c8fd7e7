"""Which gateway of a region speaks for it in the north: one at a time, by who is alive and the configured order. Pure.

A gateway has two sessions, one in its region and one in the north, and this project's own code between them: sums go
up, a cap comes down. Nothing is routed from the one to the other, so that two gateways that are live for a moment
cannot make messages circle, as two that Zenoh joins do; they say the same twice, and the tighter of their caps holds.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

TAKE_OVER_S: Final = 2.0
"""The one before us in the order has been gone so long: two leases of its links."""


class Role(enum.StrEnum):
    NONE = "none"
    LIVE = "live"
    STANDBY = "standby"


class Gatekeeper:
    """Of ``voice``, one of ``gateways``, the first of them by preference. Call :meth:`step` every cycle."""

    def __init__(self, voice: str, gateways: Sequence[str], take_over_s: float = TAKE_OVER_S) -> None:
        self._before = tuple(gateways[: gateways.index(voice)]) if voice in gateways else ()
        self._role = Role.STANDBY if voice in gateways else Role.NONE
        self._take_over_s = take_over_s
        self._gone_since_s: float | None = None

    def step(self, now_s: float, alive: frozenset[str]) -> Role:
        """``alive``: nodes of the region that are seen alive, by liveliness."""
        if self._role is Role.NONE:
            return self._role
        if any(each in alive for each in self._before):
            # Of two the earlier speaks: at once, for what it says comes before.
            self._gone_since_s, self._role = None, Role.STANDBY
            return self._role
        if self._gone_since_s is None:
            self._gone_since_s = now_s
        if not self._before or now_s - self._gone_since_s >= self._take_over_s:
            self._role = Role.LIVE
        return self._role
