"""What is usual at this time of this kind of day, and at this temperature. Pure, learned online.

Slots of five minutes of local time, for each kind of day and for all of them together; a kind of day that was seen
seldom leans on all. Each half hour has a slope on ``off_comfort_k``, by which heating and cooling load grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from v2g.thermal.calendar import MINUTES_OF_DAY, DayType

_SLOT_MIN: Final = 5
_SLOTS: Final = MINUTES_OF_DAY // _SLOT_MIN
_PARTS: Final = 48
_SLOTS_A_PART: Final = _SLOTS // _PARTS
_ALL_DAYS: Final = len(DayType)
_WINDOW: Final = 12.0
"""Days of a kind after which one counts 1/e."""
_LEAN: Final = 10.0
"""Minutes of a slot on one kind of day that count as much as the mean of all days."""
_LEARNED_ENOUGH: Final = 5.0 * MINUTES_OF_DAY / _PARTS
_PRIOR_VARIANCE_K2: Final = 4.0
_MOST: Final = 1e6


class DayProfile:
    """Of one signal, in any unit."""

    __slots__ = ("_counts", "_means", "_part_counts", "_parts", "_slopes")

    def __init__(self) -> None:
        self._means = [[0.0] * _SLOTS for _ in range(_ALL_DAYS + 1)]
        self._counts = [[0.0] * _SLOTS for _ in range(_ALL_DAYS + 1)]
        self._parts = [[0.0] * 4 for _ in range(_PARTS)]
        """Means of off-comfort and signal, variance of the one, covariance of both."""
        self._part_counts = [0.0] * _PARTS
        self._slopes = [0.0] * _PARTS

    def learn(self, day_type: DayType, minute: int, value: float, off_comfort_k: float) -> None:
        slot = minute // _SLOT_MIN % _SLOTS
        if off_comfort_k:
            value -= self._slope(slot) * off_comfort_k
        for table in (int(day_type), _ALL_DAYS):
            counts, means = self._counts[table], self._means[table]
            count = min(counts[slot] + 1.0, _WINDOW * _SLOT_MIN)
            counts[slot] = count
            means[slot] += (value - means[slot]) / count

    def learn_slope(self, minute: int, value: float, off_comfort_k: float) -> None:
        index = minute * _PARTS // MINUTES_OF_DAY % _PARTS
        part = self._parts[index]
        count = min(self._part_counts[index] + 1.0, _WINDOW * MINUTES_OF_DAY / _PARTS)
        self._part_counts[index] = count
        rate = 1.0 / count
        cold, signal = off_comfort_k - part[0], value - part[1]
        part[0] += rate * cold
        part[1] += rate * signal
        part[2] = (1.0 - rate) * (part[2] + rate * cold * cold)
        part[3] = (1.0 - rate) * (part[3] + rate * cold * signal)
        if count >= _LEARNED_ENOUGH:
            self._slopes[index] = part[3] / (part[2] + _PRIOR_VARIANCE_K2)

    def expect(self, day_type: DayType, minute: int, off_comfort_k: float, minutes: int) -> list[float] | None:
        """What is usual at ``minute`` and in each of the ``minutes`` after it; None while any of it is unknown.

        Past midnight the same kind of day goes on: for a quarter of an hour that is what the night is like.
        """
        first = (minute - _SLOT_MIN // 2) // _SLOT_MIN
        last = (minute + minutes - _SLOT_MIN // 2) // _SLOT_MIN + 1
        own, own_counts = self._means[day_type], self._counts[day_type]
        every, every_counts = self._means[_ALL_DAYS], self._counts[_ALL_DAYS]
        marks = []
        for number in range(first, last + 1):
            slot = number % _SLOTS
            if not every_counts[slot]:
                return None
            count = own_counts[slot]
            usual = (count * own[slot] + _LEAN * every[slot]) / (count + _LEAN)
            marks.append(usual + self._slope(slot) * off_comfort_k if off_comfort_k else usual)
        values = []
        position, into = 0, minute - _SLOT_MIN // 2 - first * _SLOT_MIN
        value, rise = marks[0], (marks[1] - marks[0]) / _SLOT_MIN
        value += into * rise
        for _ in range(minutes + 1):
            values.append(value)
            into += 1
            if into == _SLOT_MIN:
                into = 0
                position += 1
                value = marks[position]
                if position < len(marks) - 1:
                    rise = (marks[position + 1] - value) / _SLOT_MIN
            else:
                value += rise
        return values

    def _slope(self, slot: int) -> float:
        """Between the middles of the half hours, so that the profile has no step at their ends."""
        shifted = slot - _SLOTS_A_PART // 2
        index = shifted // _SLOTS_A_PART
        share = (shifted % _SLOTS_A_PART + 0.5) / _SLOTS_A_PART
        slopes = self._slopes
        return slopes[index] + share * (slopes[(index + 1) % _PARTS] - slopes[index])

    def memory(self) -> list[float]:
        kept: list[float] = []
        for table in (*self._means, *self._counts, *self._parts, self._part_counts, self._slopes):
            kept += table
        return kept

    def recall(self, kept: Sequence[float]) -> None:
        """Raises ValueError for what no :meth:`memory` gives."""
        tables = [*self._means, *self._counts, *self._parts, self._part_counts, self._slopes]
        if len(kept) != sum(map(len, tables)) or not all(-_MOST < value < _MOST for value in kept):
            raise ValueError("the profile of the forecast is damaged")
        position = 0
        for table in tables:
            table[:] = kept[position : position + len(table)]
            position += len(table)
        if min(map(min, self._counts)) < 0.0 or min(self._part_counts) < 0.0 or min(p[2] for p in self._parts) < 0.0:
            raise ValueError("the profile of the forecast is damaged: a count or variance is negative")
