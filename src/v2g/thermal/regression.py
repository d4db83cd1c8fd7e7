"""Least squares learned online: how much each of a few signals has proved to be worth. Pure.

Normal equations with forgetting, pulled towards prior weights by a ridge, so that they always have a solution and start
from what is reasonable. A sample far beyond the usual error (a fast charger switched on) counts no more than one at
its edge; with a near edge the weights are those of a median rather than of a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

_ERROR_RATE: Final = 0.01
_LEAST_ERROR: Final = 1e-4
"""Or a calm of days would make every later error an outlier."""
_MOST_WEIGHT: Final = 1e3


class OnlineRegression:
    """``target ≈ Σ weightᵢ·signalᵢ``. Signals and target share a unit in which 1 is much."""

    __slots__ = (
        "_edge",
        "_keep",
        "_learned",
        "_mean_error",
        "_prior",
        "_products",
        "_ridge",
        "_size",
        "_solve_every",
        "weights",
    )

    def __init__(
        self,
        prior: Sequence[float],
        *,
        ridge: float,
        window: float,
        edge: float = 3.0,
        solve_every: int = 1,
        phase: int = 0,
    ) -> None:
        """``window``: samples after which one counts 1/e; ``edge``: errors count fully up to so many mean absolute
        errors; ``solve_every``: samples between two solutions, of which the first comes ``phase`` samples early, so
        that several need not be solved at once."""
        self._prior = tuple(prior)
        self._size = len(self._prior)
        self._ridge = ridge
        self._edge = edge
        self._keep = 1.0 - 1.0 / window
        self._solve_every = solve_every
        self._learned = phase
        self._mean_error = 0.0
        self._products = [[0.0] * (self._size + 1 - index) for index in range(self._size)]
        """Upper triangle, row by row from the diagonal on; last in each, the products with the target."""
        self.weights: list[float] = list(self._prior)

    def learn(self, signals: Sequence[float], target: float) -> None:
        error = target - self.predict(signals)
        size = error if error >= 0.0 else -error
        mean = self._mean_error
        edge = self._edge * mean
        share = 1.0 if mean == 0.0 or size <= edge else edge / size
        most = 3.0 * mean
        mean = size if mean == 0.0 else mean + _ERROR_RATE * ((size if size < most else most) - mean)
        self._mean_error = mean if mean > _LEAST_ERROR else _LEAST_ERROR
        keep, tail = self._keep, [*signals, target]
        for index, row in enumerate(self._products):
            scaled = share * tail[index]
            self._products[index] = [keep * old + scaled * new for old, new in zip(row, tail[index:], strict=True)]
        self._learned += 1
        if self._learned % self._solve_every == 0:
            self._solve()

    def predict(self, signals: Sequence[float]) -> float:
        value = 0.0
        for weight, signal in zip(self.weights, signals, strict=True):
            value += weight * signal
        return value

    def _solve(self) -> bool:
        """The weights stay as they are where there is no solution, which only a damaged memory brings about."""
        size, ridge = self._size, self._ridge
        rows = [row[:] for row in self._products]
        for index, row in enumerate(rows):
            row[0] += ridge
            row[-1] += ridge * self._prior[index]
        for pivot in range(size):
            top = rows[pivot]
            if not top[0] > 0.0:
                return False
            inverse = 1.0 / top[0]
            for below in range(1, size - pivot):
                factor = top[below] * inverse
                if factor:
                    row = rows[pivot + below]
                    rows[pivot + below] = [a - factor * b for a, b in zip(row, top[below:], strict=True)]
        solution = [0.0] * size
        for index in range(size - 1, -1, -1):
            row = rows[index]
            value = row[-1]
            for column in range(1, size - index):
                value -= row[column] * solution[index + column]
            solution[index] = value / row[0]
        if not all(-_MOST_WEIGHT < weight < _MOST_WEIGHT for weight in solution):
            return False
        self.weights = solution
        return True

    def memory(self) -> list[float]:
        kept = [self._mean_error]
        for row in self._products:
            kept += row
        return kept

    @property
    def memory_size(self) -> int:
        return 1 + self._size * (self._size + 3) // 2

    def recall(self, kept: Sequence[float]) -> None:
        """Raises ValueError for what no :meth:`memory` of this size gives."""
        if len(kept) != self.memory_size or not all(map(isfinite, kept)) or kept[0] < 0.0:
            raise ValueError("weights of the forecast are damaged")
        position = 1
        for row in self._products:
            row[:] = kept[position : position + len(row)]
            if row[0] < 0.0:
                raise ValueError("weights of the forecast are damaged: a square is negative")
            position += len(row)
        self._mean_error = kept[0]
        if not self._solve():
            raise ValueError("weights of the forecast are damaged: they have no solution")
