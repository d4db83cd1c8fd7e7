"""Whether an inverter by register map goes to zero by itself when nobody talks to it: written, read back, seen."""

from __future__ import annotations

import enum
import math
from typing import Final

from v2g.hardware.map_schema import RegisterMap
from v2g.hardware.register_map import RegisterImage

PROBE_AGAIN_S: Final = 30.0
_EXPIRED_MARGIN_S = 1.0


class _State(enum.Enum):
    UNKNOWN = "unknown"
    """Nothing was written on this connection."""
    PROBING = "probing"
    ARMED = "armed"
    ABSENT = "absent"


class MapReversion:
    """``reversion_s``: the time that is asked for; ``timeout_s``: the one that is written or that the device has."""

    def __init__(self, map_: RegisterMap, reversion_s: int) -> None:
        self.problem: str | None = None
        """Why it is not armed, for people."""
        self.timeout_s = float(reversion_s)
        self._map = map_
        self._never = self._why_never(reversion_s)
        self._state = _State.UNKNOWN
        self._since_s = 0.0
        self._refreshed_s = -math.inf
        self._remaining_s: float | None = None
        self._echoes = 0
        self._echo: float | None = None
        self._echo_at_s = -math.inf
        if self._never is not None:
            self._give_up(self._never)

    @property
    def armed(self) -> bool:
        return self._state is _State.ARMED

    @property
    def reads_back(self) -> bool:
        """The set-point can be read back."""
        points = self._map.points
        return all(points[r].access == "rw" for r in ("setpoint_w", "setpoint_magnitude_w", "direction") if r in points)

    def lost(self) -> None:
        """A new connection."""
        if self._never is None:
            self._state, self._echoes, self._remaining_s, self._echo = _State.UNKNOWN, 0, None, None

    def hides(self, now_s: float) -> bool:
        """A refresh at this moment would hide a countdown that is being looked for."""
        counts = self._map.reversion is not None and self._map.reversion.remaining is not None
        return counts and self._state is _State.PROBING and now_s - self._since_s <= self.timeout_s + _EXPIRED_MARGIN_S

    def refreshed(self, now_s: float) -> None:
        """A whole command was written."""
        self._refreshed_s = now_s
        self._remaining_s = None
        again = self._state is _State.ABSENT and self._never is None and now_s - self._since_s > PROBE_AGAIN_S
        if self._state is _State.UNKNOWN or again:
            self._state, self._since_s, self._echoes = _State.PROBING, now_s, 0

    def observe(self, image: RegisterImage, sent: RegisterImage, now_s: float) -> None:
        """What a reading says of it."""
        if self._never is not None or self._state in (_State.UNKNOWN, _State.ABSENT):
            return
        wrong = self._not_held(image)
        seen = self._seen(image, sent, now_s)
        if self._state is _State.PROBING:
            if wrong is None and seen:
                self._state, self.problem = _State.ARMED, None
            elif now_s - self._since_s > self.timeout_s + _EXPIRED_MARGIN_S:
                self._since_s = now_s
                self._give_up(wrong or "the proof that its reversion to zero runs was not seen")
        elif wrong is not None or not self._runs(image, now_s):
            self._state, self._echoes = _State.UNKNOWN, 0
            self.problem = wrong or "its reversion to zero does not run any more"

    def _why_never(self, reversion_s: int) -> str | None:
        reversion, points = self._map.reversion, self._map.points
        if reversion is None:
            return f"its register map {self._map.name} states no reversion to zero that can be seen"
        if not self.reads_back:
            return "its set-point cannot be read back"
        if reversion.remaining is None and reversion.echo is None:
            return f"its register map {self._map.name} has neither a countdown nor the echo of a heartbeat"
        if reversion.written is None:
            self.timeout_s = self._map.watchdog_s
            if self._map.watchdog_s > reversion_s:
                return f"it goes to zero after {self._map.watchdog_s:g} s only; reversion_s is {reversion_s}"
            return None
        low, high = points[reversion.written].min, points[reversion.written].max
        if (low is not None and reversion_s < low) or (high is not None and reversion_s > high):
            return f"its reversion time is {low} to {high} s; reversion_s is {reversion_s}"
        return None

    def _not_held(self, image: RegisterImage) -> str | None:
        written = self._map.reversion.written if self._map.reversion is not None else None
        if written is not None and image.number(written) != self.timeout_s:
            return f"it does not keep its reversion time of {self.timeout_s:g} s"
        wrong = image.wrong_constant()
        return f"it is not in remote control: {wrong}" if wrong is not None else None

    def _seen(self, image: RegisterImage, sent: RegisterImage, now_s: float) -> bool:
        reversion = self._map.reversion
        if reversion is None:
            return False
        if reversion.remaining is not None:
            remaining_s, last_s = image.optional_number(reversion.remaining), self._remaining_s
            self._remaining_s = remaining_s
            return remaining_s is not None and last_s is not None and 0 <= remaining_s < last_s <= self.timeout_s
        echo = image.number(reversion.echo or "")
        if echo == sent.number("heartbeat") and echo != self._echo:
            self._echo, self._echo_at_s = echo, now_s
            self._echoes += 1
        # One value can be there by chance.
        return self._echoes >= 2

    def _runs(self, image: RegisterImage, now_s: float) -> bool:
        reversion = self._map.reversion
        if reversion is None:
            return False
        if reversion.remaining is not None:
            remaining_s = image.optional_number(reversion.remaining)
            return bool(remaining_s) or now_s - self._refreshed_s >= self.timeout_s - 1
        return now_s - self._echo_at_s < self.timeout_s

    def _give_up(self, problem: str) -> None:
        self._state = _State.ABSENT
        self.problem = problem
