"""How much may come from one source, and from all of them, with bounded memory. Time is an argument."""

from __future__ import annotations

MOST_SOURCES = 64


class TokenBucket:
    """``burst`` at once, then ``rate_hz`` a second."""

    __slots__ = ("_at", "_burst", "_left", "_rate_hz")

    def __init__(self, rate_hz: float, burst: float) -> None:
        self._rate_hz = rate_hz
        self._burst = self._left = burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more may come at ``now`` (monotonic seconds)."""
        if self._at is not None:
            self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate_hz)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class SourceLimit:
    """A bucket for each source and one for all. Sources that were not heard for longest are forgotten first."""

    def __init__(self, *, each_hz: float, each_burst: float, all_hz: float, all_burst: float) -> None:
        self._each = (each_hz, each_burst)
        self._all = TokenBucket(all_hz, all_burst)
        self._sources: dict[str, TokenBucket] = {}

    def take(self, source: str, now: float) -> bool:
        """Whether one more of ``source`` may come. One that sends too much takes nothing from the others' share."""
        bucket = self._sources.pop(source, None) or TokenBucket(*self._each)
        self._sources[source] = bucket
        while len(self._sources) > MOST_SOURCES:
            del self._sources[next(iter(self._sources))]
        return bucket.take(now) and self._all.take(now)

    def __len__(self) -> int:
        return len(self._sources)
