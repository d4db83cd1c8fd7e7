"""Rapid voltage changes: how far a one-cycle RMS moves within one second (IEEE 1547-2018 7.2.2)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """``at_s``: when it had become large enough to be told; ``duration_s``: from a tenth of it to nine."""

    at_s: float
    change_pct: float
    duration_s: float


class VoltageChanges:
    """Three phases; ``least_pct`` of nominal is the smallest change that is told."""

    def __init__(self, least_pct: float) -> None:
        self._least_pct = least_pct
        self._found: list[tuple[int, Change]] = []
        self._under_way: list[Change | None] = [None, None, None]
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

    def take(self) -> tuple[tuple[int, Change], ...]:
        """Phase and change of what is over, each once."""
        found = tuple(self._found)
        self._found.clear()
        return found

    def _walk(self, phase: int, new: int) -> None:
        seen = list(self._seen[phase])
        for end in range(len(seen) - new, len(seen)):
            at_s = seen[end][0]
            second = [pair for pair in seen[: end + 1] if pair[0] >= at_s - WITHIN_S]
            low, high = min(second, key=_value), max(second, key=_value)
            size = high[1] - low[1]
            if size < self._least_pct:
                self._end(phase)
                continue
            change = self._under_way[phase]
            if change is None or size > abs(change.change_pct):
                signed = size if high[0] > low[0] else -size
                began_s = at_s if change is None else change.at_s
                self._under_way[phase] = Change(began_s, signed, _duration_s(second, low, high))

    def _end(self, phase: int) -> None:
        change = self._under_way[phase]
        if change is not None:
            self._found.append((phase, change))
            self._under_way[phase] = None


def _value(pair: tuple[float, float]) -> float:
    return pair[1]


def _duration_s(second: list[tuple[float, float]], low: tuple[float, float], high: tuple[float, float]) -> float:
    first, last = (high, low) if high[0] < low[0] else (low, high)
    tenth = (last[1] - first[1]) / 10.0
    rising = tenth > 0.0
    left_s = max(t for t, v in second if t <= last[0] and (v <= first[1] + tenth if rising else v >= first[1] + tenth))
    there_s = min(t for t, v in second if t > left_s and (v >= last[1] - tenth if rising else v <= last[1] - tenth))
    return there_s - left_s
