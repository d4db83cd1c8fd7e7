"""How all sessions come to their end: power first, then vehicles are asked, then those that stay are ended. Pure.

1. Power goes to zero by the ramp that dispatch has, and is waited for by measurement.
2. Each vehicle is told EVSENotification Pause or Terminate, with the time that it has.
3. A vehicle that does not follow a Pause is told Terminate; one that follows neither is ended by us.
4. Contactors and locks open.

Each step is bounded, all of them together by :attr:`Drain.longest_s`. Power stays at zero until the drain is taken
away.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

from pyiso15118.messages.common_types import evseNotificationType
from v2g.sessions.watch import FLOWING_W

RAMP_AT_MOST_S = 3.0
"""A site whose power rises slower than this need not fall so slowly."""
ZERO_WITHIN_S = 3.0
"""After the ramp, for measured powers to follow it: devices are polled, inverters have ramps of their own."""
GRACE_S = 1.0
"""A vehicle that acts at the end of its time still has to say so."""
END_WITHIN_S = 5.0
"""From the last word until we end the session: PowerDelivery(Stop), welding detection and SessionStop."""
RELEASE_WITHIN_S = 3.0
"""Contactors and locks get this long to open after the last session."""


class Stage(enum.StrEnum):
    """Where it stands, as people read it."""

    RAMP = "power goes to zero"
    ASKED = "vehicles are asked to end their sessions"
    INSISTED = "those that stay are told to end them"
    RELEASE = "contactors and locks open"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """What a vehicle is asked for: ``notification`` Pause or Terminate, ``within_s`` its NotificationMaxDelay."""

    notification: evseNotificationType
    within_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One EVSE at one moment. ``power_w``: measured, None: unknown. ``released``: nothing is left of a session.
    ``rests``: the vehicle's side carries no current. ``may_pause``: its vehicle could resume, and may be asked to
    pause."""

    in_session: bool
    power_w: float | None
    released: bool
    rests: bool = True
    may_pause: bool = True

    @property
    def at_zero(self) -> bool:
        """Known to be; unknown is not zero."""
        return self.rests and self.power_w is not None and abs(self.power_w) < FLOWING_W


class Drain:
    """One of them. :meth:`step` at least ten times a second until :attr:`over`; all times monotonic."""

    def __init__(self, *, pause: bool, delay_s: int, ramp_pu_s: float, began_at_s: float) -> None:
        """``pause``: vehicles may come back to their sessions. ``delay_s``: what they have to act, above 0.
        ``ramp_pu_s``: how fast power falls, per unit a second, above 0; no slower than :data:`RAMP_AT_MOST_S`."""
        self.pause = pause
        self.stage = Stage.RAMP
        self.forced: tuple[str, ...] = ()
        """EVSEs whose sessions we had to end."""
        self._terminated: frozenset[str] = frozenset()
        self._delay_s = delay_s
        self._ramp_s = min(1.0 / ramp_pu_s, RAMP_AT_MOST_S)
        self._began_at_s = began_at_s
        self._asked_at_s = self._closed_at_s = math.inf

    @property
    def over(self) -> bool:
        return self.stage is Stage.OVER

    @property
    def longest_s(self) -> float:
        """From its beginning until it is over, at most."""
        return self._ramp_s + ZERO_WITHIN_S + self._delay_s + GRACE_S + END_WITHIN_S + RELEASE_WITHIN_S

    def share(self, now_s: float) -> float:
        """Of the power that dispatch grants, 0..1. One share for all: what was within limits in sum stays so."""
        if self.stage is not Stage.RAMP:
            return 0.0
        return min(1.0, max(0.0, 1.0 - (now_s - self._began_at_s) / self._ramp_s))

    def parting(self, evse_id: str, now_s: float) -> Parting | None:
        """What the vehicle there is asked for now; None: nothing yet."""
        if self.stage is Stage.RAMP:
            return None
        asks_pause = self.pause and self.stage is Stage.ASKED and evse_id not in self._terminated
        until_s = self._asked_at_s + self._delay_s
        if self.stage is not Stage.ASKED:
            until_s += GRACE_S + END_WITHIN_S
        return Parting(
            notification=evseNotificationType.Pause if asks_pause else evseNotificationType.Terminate,
            within_s=max(0, min(self._delay_s, math.ceil(until_s - now_s))),
        )

    def step(self, seen: Mapping[str, Seen], now_s: float) -> tuple[str, ...]:
        """Go on by what is seen of all EVSEs. Those whose sessions are to be ended at once: told once."""
        self._terminated = frozenset(evse_id for evse_id, each in seen.items() if not each.may_pause)
        if self.stage is Stage.RAMP and self._is_calm(seen, now_s):
            self.stage, self._asked_at_s = Stage.ASKED, now_s
        ended: tuple[str, ...] = ()
        if self.stage in (Stage.ASKED, Stage.INSISTED):
            ended = self._insist(seen, now_s)
        if self.stage is Stage.RELEASE:
            released = all(each.released for each in seen.values())
            if released or now_s - self._closed_at_s >= RELEASE_WITHIN_S:
                self.stage = Stage.OVER
        return ended

    def _is_calm(self, seen: Mapping[str, Seen], now_s: float) -> bool:
        served = [each for each in seen.values() if each.in_session]
        if not served:
            return True
        if self.share(now_s) > 0.0:
            return False
        waited = now_s - self._began_at_s >= self._ramp_s + ZERO_WITHIN_S
        return waited or all(each.at_zero for each in served)

    def _insist(self, seen: Mapping[str, Seen], now_s: float) -> tuple[str, ...]:
        left = tuple(evse_id for evse_id, each in seen.items() if each.in_session)
        late_s = now_s - (self._asked_at_s + self._delay_s + GRACE_S)
        if late_s >= 0.0 and self.stage is Stage.ASKED:
            self.stage = Stage.INSISTED
        if left and late_s < END_WITHIN_S:
            return ()
        self.stage, self._closed_at_s = Stage.RELEASE, now_s
        self.forced = left
        return left
