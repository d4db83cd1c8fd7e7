"""Which gateway of a region speaks for it in the north: one at a time, by who is alive and the configured order. Pure.

A gateway has two sessions, one in its region and one in the north, and this project's own code between them: sums go
up, a cap comes down. Zenoh 1.10.2 has regions of its own, which it joins at a gateway; with two gateways of one region
each message came twice in small trials, back into the region too, and circled in larger ones. Here nothing is routed
from the one session to the other, so that two gateways that are live for a moment cannot make messages circle by
construction; they say the same twice, and the tighter of their caps holds.

Alive is whose liveliness token is there. A token is not signed, may outlive a program that hangs, and may be forgotten
on the way; so states, which are signed, have the last word where they are known.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
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
        self._no_token_since_s: dict[str, float] = {}

    def step(self, now_s: float, alive: frozenset[str], heard_at_s: Mapping[str, float] | None = None) -> Role:
        """``alive``: nodes of the region whose token is there. ``heard_at_s``: when the last state came, of each whose
        last state counts still; None: states are not looked at."""
        if self._role is Role.NONE:
            return self._role
        there = [self._is_there(each, now_s, alive, heard_at_s) for each in self._before]
        if any(there):
            # Of two the earlier speaks: at once, for what it says comes before.
            self._gone_since_s, self._role = None, Role.STANDBY
            return self._role
        if self._gone_since_s is None:
            self._gone_since_s = now_s
        if not self._before or now_s - self._gone_since_s >= self._take_over_s:
            self._role = Role.LIVE
        return self._role

    def _is_there(
        self, gateway: str, now_s: float, alive: frozenset[str], heard_at_s: Mapping[str, float] | None
    ) -> bool:
        if gateway in alive:
            self._no_token_since_s.pop(gateway, None)
            return heard_at_s is None or gateway in heard_at_s
        since_s = self._no_token_since_s.setdefault(gateway, now_s)
        # Who still speaks when its token is gone is there: only the token was lost.
        return heard_at_s is not None and heard_at_s.get(gateway, since_s) > since_s
