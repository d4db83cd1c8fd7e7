"""What a vehicle was told within the time in which it may still follow. Pure; time is an argument."""

from __future__ import annotations

from collections import deque
from typing import Final

FOLLOW_S: Final = 2.0
"""A vehicle has this long to follow what it is told: two responses of the charge loop may be late, and its inverter
ramps. IEC 61851-1:2017 Table A.6 gives 5 s for a current offered by the pilot's duty cycle; a set-point of ISO 15118-20
comes in every loop of 0.25 s."""

_HISTORY: Final = 256


class Course:
    """What has held within the last :data:`FOLLOW_S`."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=_HISTORY)

    def add(self, value: float, now_s: float) -> None:
        values = self._values
        if not values or values[-1][1] != value:
            values.append((now_s, value))
        # The first one that stays was in force at the beginning of that time.
        while len(values) > 1 and values[1][0] <= now_s - FOLLOW_S:
            values.popleft()

    @property
    def steady(self) -> bool:
        """Only one value has held."""
        return len(self._values) == 1

    @property
    def last(self) -> float:
        return self._values[-1][1] if self._values else 0.0

    @property
    def lowest(self) -> float:
        return min((value for _, value in self._values), default=0.0)

    @property
    def highest(self) -> float:
        return max((value for _, value in self._values), default=0.0)
