"""A quantity's course over time: straight lines between points."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite


class Course:
    """Before its first point a course has the first value, after the last one the last."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        """``points``: minute and value. Raises ValueError: none, not numbers, or minutes that do not grow."""
        if not points:
            raise ValueError("a profile needs at least one point [minute, value]")
        if not all(isfinite(number) for point in points for number in point):
            raise ValueError("a profile's points [minute, value] must be numbers")
        if any(later[0] <= earlier[0] for earlier, later in pairwise(points)):
            raise ValueError(f"a profile's minutes must grow: {[minute for minute, _ in points]}")
        self._minutes = [float(minute) for minute, _ in points]
        self._values = [float(value) for _, value in points]

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(self._values)

    def at(self, minute: float) -> float:
        after = bisect_right(self._minutes, minute)
        if after == 0:
            return self._values[0]
        if after == len(self._minutes):
            return self._values[-1]
        begin, end = self._minutes[after - 1], self._minutes[after]
        share = (minute - begin) / (end - begin)
        return self._values[after - 1] + share * (self._values[after] - self._values[after - 1])
