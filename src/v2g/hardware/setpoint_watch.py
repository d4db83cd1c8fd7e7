"""Whether an inverter takes the set-points that are written into it. Pure."""

from __future__ import annotations

import math
from collections import deque

TAKEN_WITHIN_S = 1.0
"""As long as a reading may be old before it stops the power. At least two readings fall into it (``Inverter.poll_s``
is 0.5 s at most), and a gateway that hands set-points on once a half second keeps it.
"""
SOUND_AFTER_S = 10.0
"""So long what is written must be seen before a device that failed is trusted again: it would otherwise be ordered to
a power that it does not take, once every second."""
_TOLERANCE = 0.01
"""Of the rating: devices that keep a set-point in percent show it rounded."""
_HISTORY = 64


class SetpointWatch:
    """Compares what was written with what the device shows. W, positive: into the vehicle."""

    def __init__(self) -> None:
        self.problem: str | None = None
        """Why no power may be ordered, for people."""
        self._written: deque[tuple[float, float]] = deque(maxlen=_HISTORY)
        self._unseen_since_s: float | None = None
        self._sound_since_s: float | None = None

    def wrote(self, power_w: float, now_s: float) -> None:
        """``power_w``: in the device's own resolution."""
        self._written.append((now_s, power_w))
        if self._unseen_since_s is None:
            self._unseen_since_s = now_s

    def look(self, shown_w: float, enabled: bool, rating_w: float, now_s: float) -> None:
        """A reading from after the last write; ``shown_w`` NaN: the device tells none.

        One that shows an earlier set-point of a run of changes is on its way: the deadline then counts from the change
        after it."""
        if not self._written or self._unseen_since_s is None:
            self._settle(now_s)
            return
        tolerance_w = _TOLERANCE * rating_w + 1e-6
        newest = len(self._written) - 1
        for number in range(newest, -1, -1):
            written_s, power_w = self._written[number]
            if number != newest and now_s - written_s > TAKEN_WITHIN_S:
                break
            if (enabled or power_w == 0.0) and abs(shown_w - power_w) <= tolerance_w:
                self._unseen_since_s = None if number == newest else self._written[number + 1][0]
                break
        if self._unseen_since_s is None:
            self._settle(now_s)
            return
        self._sound_since_s = None
        # The first failure is the one to be told: zero is ordered from then on.
        if self.problem is None and now_s - self._unseen_since_s > TAKEN_WITHIN_S:
            told = "nothing" if math.isnan(shown_w) else f"{shown_w:.0f} W"
            shown = told if enabled else "none in force"
            self.problem = (
                f"set-point not taken: {self._written[-1][1]:.0f} W written, {shown} read back after "
                f"{TAKEN_WITHIN_S:g} s; does another controller write into it, or is it under local control?"
            )

    def forget(self) -> None:
        """A new connection: what was written before says nothing of what the device shows."""
        self._written.clear()
        self._unseen_since_s = None

    def _settle(self, now_s: float) -> None:
        if self._sound_since_s is None:
            self._sound_since_s = now_s
        if now_s - self._sound_since_s >= SOUND_AFTER_S:
            self.problem = None
