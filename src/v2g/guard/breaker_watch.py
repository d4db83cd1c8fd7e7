"""What the breaker's position says about the command: opened by itself, or failed to open. Pure."""

from __future__ import annotations

import enum

BREAKER_SLACK_S = 0.1
"""A breaker that is still closed this long after its opening time failed to open."""
FEEDBACK_LOST_AFTER_S = 0.1
"""A breaker that is held closed and said so, and says open or nothing for this long, has left by itself."""


class Left(enum.Enum):
    """How a breaker that is held closed is no longer known to be closed."""

    OPENED = "open"
    UNKNOWN = "nothing"


class BreakerWatch:
    """One call a tick. ``failed``: commanded open for its opening time and still closed; until it is seen open."""

    def __init__(self) -> None:
        self.failed = False
        self._closed_at_s: float | None = None
        self._open_since_s: float | None = None

    def step(self, now_s: float, held: bool, closed: bool | None, opening_time_s: float) -> Left | None:
        """``held``: commanded closed since the last call; ``closed``: its position, None when unknown."""
        if closed is False:
            self.failed = False
        if not held:
            self._closed_at_s = None
            if self._open_since_s is None:
                self._open_since_s = now_s
            if closed and now_s - self._open_since_s > opening_time_s + BREAKER_SLACK_S:
                self.failed = True
            return None
        self._open_since_s = None
        if closed:
            self._closed_at_s = now_s
        if self._closed_at_s is None or now_s - self._closed_at_s <= FEEDBACK_LOST_AFTER_S:
            return None
        return Left.UNKNOWN if closed is None else Left.OPENED
