"""A breaker that takes its time, hold-to-close: for replays in injected and in real time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """One pair of contacts. Times are those of the caller's clock, s.

    An opening once begun is completed; a closing whose command is withdrawn before the contact has moved does not
    happen.
    """

    opening_time_s: float
    closing_time_s: float
    closed: bool = False
    opened_at_s: float = -math.inf
    """When the contacts parted last."""
    closed_at_s: float = -math.inf
    _moves_at_s: float = math.inf
    _opening: bool = False

    def hold(self, close: bool, now_s: float) -> None:
        """What the coil says from ``now_s`` on."""
        self.move(now_s)
        if math.isfinite(self._moves_at_s):
            if not self._opening and not close:
                self._moves_at_s = math.inf
            return
        if close != self.closed:
            self._opening = not close
            self._moves_at_s = now_s + (self.closing_time_s if close else self.opening_time_s)

    def move(self, now_s: float) -> bool:
        """Let the contacts move whose time has come; True while they are closed."""
        if now_s >= self._moves_at_s:
            self.closed = not self._opening
            if self._opening:
                self.opened_at_s = self._moves_at_s
            else:
                self.closed_at_s = self._moves_at_s
            self._moves_at_s = math.inf
        return self.closed
