"""Durations and the like, counted in fixed buckets, so that nothing grows. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


def geometric(first: float, last: float, per_octave: int) -> tuple[float, ...]:
    """Edges from ``first`` to ``last`` or just beyond, so many for each doubling."""
    ratio: float = 2.0 ** (1.0 / per_octave)
    edges = [first]
    while edges[-1] < last:
        edges.append(first * ratio ** len(edges))
    return tuple(edges)


class Histogram:
    """``edges`` ascend; a value belongs to the first bucket whose edge it does not exceed, or to the one beyond all."""

    __slots__ = ("count", "counts", "edges", "total", "worst")

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = tuple(edges)
        self.counts = [0] * (len(self.edges) + 1)
        """By bucket, not added up."""
        self.count = 0
        self.total = 0.0
        """Sum of all values."""
        self.worst = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.edges, value)] += 1
        self.count += 1
        self.total += value
        if value > self.worst:
            self.worst = value

    def quantile(self, share: float) -> float | None:
        """Upper edge of the bucket that holds it, ``share`` being 0..1; None while there is no value."""
        if not self.count:
            return None
        wanted, seen = share * self.count, 0
        for edge, count in zip(self.edges, self.counts, strict=False):
            seen += count
            if count and seen >= wanted:
                return min(edge, self.worst)
        return self.worst
