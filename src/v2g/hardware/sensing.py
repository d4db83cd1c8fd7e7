"""From a raw reading to a value that may be used: scale, calibrated factor, plausibility, filter, age. No I/O."""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import NamedTuple

from v2g.hardware.sensor_map import Channel


class Seen(NamedTuple):
    """What a channel shows at one moment. ``value`` None: none that may be used, ``problem`` says why."""

    value: float | None
    as_of_s: float | None
    problem: str
    raw: float | None


class Sensing:
    """One channel with its recent readings. ``factor``: calibrated, the value is multiplied by it."""

    def __init__(self, channel: Channel, factor: float = 1.0) -> None:
        self.channel = channel
        self.factor = factor
        self._recent: deque[float] = deque(maxlen=channel.filter.median or 1)
        self._value: float | None = None
        self._as_of_s: float | None = None
        self._raw: float | None = None
        self._problem = "not read yet"

    def take(self, raw: float, as_of_s: float) -> None:
        """A reading; an implausible one leaves the value before, which ages."""
        channel = self.channel
        self._raw = raw
        value = (raw * channel.scale + channel.offset) * self.factor
        if not (math.isfinite(value) and channel.minimum <= value <= channel.maximum):
            self._problem = (
                f"{channel.name} reads {value:g} {channel.unit}, outside {channel.minimum:g}..{channel.maximum:g}; "
                "is the transducer connected and its scale in sensor_map.conf right?"
            )
            return
        self._value = self._filtered(value, as_of_s)
        self._as_of_s, self._problem = as_of_s, ""

    def switch(self, closed: bool, as_of_s: float) -> None:
        """A reading of a contact: the value is 1 for closed."""
        self._raw = self._value = float(closed)
        self._as_of_s, self._problem = as_of_s, ""

    def fail(self, problem: str) -> None:
        self._problem = problem

    @property
    def problem(self) -> str:
        """Why the last reading gave nothing; empty where it gave a value."""
        return self._problem

    def look(self, now_s: float) -> Seen:
        if self._as_of_s is None:
            return Seen(None, None, self._problem, self._raw)
        if not now_s - self._as_of_s <= self.channel.max_age_s:
            old = f"{now_s - self._as_of_s:.1f} s old, {self.channel.max_age_s:g} s are allowed"
            return Seen(None, self._as_of_s, f"{old}: {self._problem}" if self._problem else old, self._raw)
        return Seen(self._value, self._as_of_s, self._problem, self._raw)

    def _filtered(self, value: float, as_of_s: float) -> float:
        time_constant_s = self.channel.filter.time_constant_s
        if time_constant_s is not None:
            # After a gap the old value says nothing more.
            if self._value is None or self._as_of_s is None or as_of_s - self._as_of_s > self.channel.max_age_s:
                return value
            return self._value + (value - self._value) * -math.expm1((self._as_of_s - as_of_s) / time_constant_s)
        if self._as_of_s is not None and as_of_s - self._as_of_s > self.channel.max_age_s:
            self._recent.clear()
        self._recent.append(value)
        return median(self._recent)
