"""Rapid voltage changes: how far a one-cycle RMS moves within one second (IEEE 1547-2018 7.2.2)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

WITHIN_S = 1.0


@dataclass(slots=True)
class _Change:
    at_s: float
    change_pct: float


class VoltageChanges:
    """Three phases; ``least_pct`` of nominal is the smallest change that is told."""

    def __init__(self, least_pct: float) -> None:
        self._least_pct = least_pct
        self._found: list[tuple[float, int, float]] = []
        self._under_way: list[_Change | None] = [None, None, None]
        self._seen: tuple[deque[tuple[float, float]], ...] = (deque(), deque(), deque())

    def reset(self) -> None:
        """Forget what came before a gap; a change under way is told."""
        for phase in range(3):
            self._end(phase)
            self._seen[phase].clear()

    def feed(self, at_s: Samples, v_pct: Samples) -> None:
        """``v_pct[n, 3]``: one-cycle RMS in per cent of nominal at ``at_s[n]``, ascending."""
        times: list[float] = at_s.tolist()
        for phase in range(3):
            values: list[float] = v_pct[:, phase].tolist()
            seen = self._seen[phase]
            seen.extend(zip(times, values, strict=True))
            before = [value for _, value in seen]
            # The usual second is quiet: one look instead of one for each half cycle.
            if self._under_way[phase] is not None or max(before) - min(before) >= self._least_pct:
                self._walk(phase, len(times))
            while seen[0][0] < times[-1] - WITHIN_S:
                seen.popleft()

    def take(self) -> tuple[tuple[float, int, float], ...]:
        """Time, phase and change in per cent of nominal of what is over, each once."""
        found = tuple(self._found)
        self._found.clear()
        return found

    def _walk(self, phase: int, new: int) -> None:
        seen = list(self._seen[phase])
        for end in range(len(seen) - new, len(seen)):
            at_s = seen[end][0]
            second = [v for t, v in seen[: end + 1] if t >= at_s - WITHIN_S]
            low, high = min(second), max(second)
            if high - low < self._least_pct:
                self._end(phase)
                continue
            last_low = len(second) - 1 - second[::-1].index(low)
            last_high = len(second) - 1 - second[::-1].index(high)
            signed = high - low if last_high > last_low else low - high
            change = self._under_way[phase]
            if change is None:
                self._under_way[phase] = _Change(at_s, signed)
            elif abs(signed) > abs(change.change_pct):
                change.change_pct = signed

    def _end(self, phase: int) -> None:
        change = self._under_way[phase]
        if change is not None:
            self._found.append((change.at_s, phase, change.change_pct))
            self._under_way[phase] = None
