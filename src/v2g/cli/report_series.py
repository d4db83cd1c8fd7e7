"""Values over the time of a report, as many as a picture can show: means, lowest and highest, gaps as gaps. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Final

_MINUTE_S: Final = 60.0
MOST_BUCKETS: Final = 720


@dataclass(frozen=True, slots=True)
class Window:
    """Unix seconds ``since_s <= t < until_s``, in ``count`` buckets of ``bucket_s``, which are whole minutes."""

    since_s: float
    until_s: float
    bucket_s: float
    count: int

    @classmethod
    def over(cls, since_s: float, until_s: float, most: int = MOST_BUCKETS) -> Window:
        minutes = max(1, ceil((until_s - since_s) / _MINUTE_S))
        bucket_min = ceil(minutes / most)
        return cls(since_s, until_s, bucket_min * _MINUTE_S, ceil(minutes / bucket_min))

    def index(self, unix_s: float) -> int | None:
        """None for what is outside."""
        if not self.since_s <= unix_s < self.until_s:
            return None
        return min(int((unix_s - self.since_s) // self.bucket_s), self.count - 1)

    def middle_s(self, index: int) -> float:
        return min(self.since_s + (index + 0.5) * self.bucket_s, self.until_s)


class Series:
    """One quantity. A bucket without a value is a gap."""

    __slots__ = ("_counts", "_high", "_low", "_sums", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self._sums = [0.0] * window.count
        self._counts = [0] * window.count
        self._low: list[float | None] = [None] * window.count
        self._high: list[float | None] = [None] * window.count

    def add(self, unix_s: float, value: float | None, low: float | None = None, high: float | None = None) -> None:
        """``low`` and ``high``: within the minute, where they are known; else the value is both."""
        index = self.window.index(unix_s)
        if index is None or value is None or not isfinite(value):
            return
        self._sums[index] += value
        self._counts[index] += 1
        least = value if low is None or not isfinite(low) else min(low, value)
        most = value if high is None or not isfinite(high) else max(high, value)
        was_low, was_high = self._low[index], self._high[index]
        self._low[index] = least if was_low is None else min(was_low, least)
        self._high[index] = most if was_high is None else max(was_high, most)

    def scaled(self, factor: float) -> Series:
        """In another unit; ``factor`` above 0."""
        other = Series(self.window)
        other._counts = self._counts
        other._sums = [factor * value for value in self._sums]
        other._low = [None if value is None else factor * value for value in self._low]
        other._high = [None if value is None else factor * value for value in self._high]
        return other

    @property
    def is_empty(self) -> bool:
        return not any(self._counts)

    @property
    def lowest(self) -> float | None:
        return min((low for low in self._low if low is not None), default=None)

    @property
    def highest(self) -> float | None:
        return max((high for high in self._high if high is not None), default=None)

    def mean(self, index: int) -> float | None:
        return self._sums[index] / self._counts[index] if self._counts[index] else None

    def runs(self) -> Iterator[list[tuple[float, float, float, float]]]:
        """(middle in Unix seconds, mean, lowest, highest) of buckets in a row, broken at each gap."""
        run: list[tuple[float, float, float, float]] = []
        for index in range(self.window.count):
            mean, low, high = self.mean(index), self._low[index], self._high[index]
            if mean is None or low is None or high is None:
                if run:
                    yield run
                run = []
            else:
                run.append((self.window.middle_s(index), mean, low, high))
        if run:
            yield run


def gaps(series: Series) -> list[tuple[float, float]]:
    """(begin, end) in Unix seconds of what has no value."""
    window = series.window
    found: list[tuple[float, float]] = []
    for index in range(window.count):
        if series.mean(index) is not None:
            continue
        begin_s = window.since_s + index * window.bucket_s
        end_s = min(begin_s + window.bucket_s, window.until_s)
        if found and found[-1][1] >= begin_s:
            found[-1] = (found[-1][0], end_s)
        else:
            found.append((begin_s, end_s))
    return found
