"""How late the ticks were: counts in a fixed histogram, so that nothing grows."""

from __future__ import annotations

from v2g.histogram import Histogram

LATE_AFTER_S = 0.005
"""A tick that starts later than this after its deadline counts as late."""

TOLD_EDGES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)
"""Of the counts that the status block tells."""

_STEPS_PER_OCTAVE = 8
_FIRST_S = 1e-6
_RATIO: float = 2.0 ** (1 / _STEPS_PER_OCTAVE)
_BINS = 24 * _STEPS_PER_OCTAVE
"""1 us to 17 s in steps of 9 %."""


class LatenessStats:
    """Counts lateness; percentiles are right to one bin, 9 %."""

    def __init__(self) -> None:
        self._edges: tuple[float, ...] = tuple(_FIRST_S * _RATIO**index for index in range(_BINS))
        self._counts = [0] * (_BINS + 1)
        self.ticks = 0
        self.late_ticks = 0
        self.worst_s = 0.0
        self.told = Histogram(TOLD_EDGES)

    def observe(self, lateness_s: float) -> None:
        self.ticks += 1
        self.told.observe(max(0.0, lateness_s))
        if lateness_s > LATE_AFTER_S:
            self.late_ticks += 1
        if lateness_s > self.worst_s:
            self.worst_s = lateness_s
        low, high = 0, _BINS
        while low < high:
            middle = (low + high) // 2
            if self._edges[middle] < lateness_s:
                low = middle + 1
            else:
                high = middle
        self._counts[low] += 1

    def percentile_s(self, percent: float) -> float:
        """Upper edge of the bin that holds the percentile; 0 before the first tick."""
        if self.ticks == 0:
            return 0.0
        wanted = percent / 100.0 * self.ticks
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min(self.worst_s, self._edges[min(index, _BINS - 1)])
        return self.worst_s
