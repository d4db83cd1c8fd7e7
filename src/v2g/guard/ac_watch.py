"""The measured current and power of a vehicle at an AC EVSE against what it may have. Pure.

The vehicle's own inverter sets the power, so all that ``wires`` can do about one that does not obey is to open the
contactor; it then stays open until the plug was out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from v2g.course import FOLLOW_S, Course
from v2g.hardware.ports import AcEvseReading

TOLERANCE_W = 500.0
TOLERANCE = 0.1
"""Beyond what it was told: auxiliaries of a vehicle that is told nothing, and its own meter's error."""
OVERCURRENTS = ((1.1, 5.0), (1.25, 1.0))
"""(Share of the rated current, seconds): before a miniature circuit breaker of that rating acts (it carries 1.13 times
its current for an hour, IEC 60898-1), and no sooner than the 5 s in which a vehicle has to follow the pilot."""
DISCHARGE_OFF_W = 200.0
"""Less than this back into the grid is a filter's, or the meter's error."""
DISCHARGE_OFF_S = 0.5
"""Three readings."""

UNPLUGGED_S = 0.5
"""A device that starts anew may say for a reading that nothing is plugged in."""

OVERDRAW = "overdraw"
DISCHARGE_OFF = "ac_discharge_off"


@dataclass(frozen=True, slots=True)
class Latched:
    """Why the contactor stays open until the plug was out: a name of ``Applied.bound_by``, and words for people."""

    bound_by: str
    text: str


class _Lasting:
    """Since when something has held without a break."""

    __slots__ = ("_since_s",)

    def __init__(self) -> None:
        self._since_s: float | None = None

    def update(self, holds: bool, now_s: float) -> float:
        """For how long; below zero: it does not hold."""
        if not holds:
            self._since_s = None
            return -1.0
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s


class VehicleWatch:
    """One vehicle. ``tell`` what it may exchange, ``observe`` what it does; ``latched`` is the verdict."""

    def __init__(self) -> None:
        self.latched: Latched | None = None
        self._told = Course()
        self._rated = Course()
        self._excess = _Lasting()
        self._discharge = _Lasting()
        self._unplugged = _Lasting()
        self._overcurrent = tuple(_Lasting() for _ in OVERCURRENTS)

    def plugged(self, plugged: bool, now_s: float) -> None:
        """A reading's word. The verdict ends once the plug was out for :data:`UNPLUGGED_S`."""
        if self._unplugged.update(not plugged, now_s) >= UNPLUGGED_S:
            self.latched = None

    def tell(self, power_w: float, now_s: float) -> None:
        """From ``now_s`` on it may exchange this, W, positive: charge."""
        self._told.add(power_w, now_s)

    def unknown(self) -> None:
        """Nothing is measured: what has lasted until now lasts no longer."""
        for lasting in (self._excess, self._discharge, *self._overcurrent):
            lasting.update(False, 0.0)

    def observe(
        self,
        reading: AcEvseReading,
        rated_a: float,
        allow_discharge: bool,
        now_s: float,
        *,
        ending: bool = False,
        droop_w: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """``rated_a``: what a phase may carry. Latches what has lasted too long; the first verdict stays. ``droop_w``:
        so far below and above what it is told the frequency may take a vehicle that exchanges something.

        ``ending``: the session is over, and the contactor about to open: a vehicle whose session was lost was not
        told that it may have nothing.
        """
        power_w, told_w = reading.total_w, self._told.last
        less_w, more_w = droop_w if told_w else (0.0, 0.0)
        self._rated.add(rated_a, now_s)
        # More than it is told now, for the whole time, and more than at any moment of that time: who follows a ramp
        # a little late is within it.
        excess_s = self._excess.update(not ending and not _within(power_w, told_w - less_w, told_w + more_w), now_s)
        discharge_s = self._discharge.update(not allow_discharge and power_w < -DISCHARGE_OFF_W, now_s)
        # A device that lowers its own rating gives the vehicle as long.
        most_a, rated_a = reading.most_a, self._rated.highest
        over_s = [
            lasting.update(most_a > share * rated_a, now_s)
            for lasting, (share, _) in zip(self._overcurrent, OVERCURRENTS, strict=True)
        ]
        if self.latched is not None:
            return
        if discharge_s >= DISCHARGE_OFF_S:
            self.latched = Latched(DISCHARGE_OFF, f"it discharges {-power_w:.0f} W, which this site does not allow")
        elif any(lasted_s > limit_s for lasted_s, (_, limit_s) in zip(over_s, OVERCURRENTS, strict=True)):
            self.latched = Latched(OVERDRAW, f"{most_a:.1f} A in a phase rated for {rated_a:.0f} A")
        elif excess_s >= FOLLOW_S and not _within(power_w, self._told.lowest - less_w, self._told.highest + more_w):
            self.latched = Latched(OVERDRAW, f"{power_w:.0f} W measured, it was told {told_w:.0f} W")


def _within(power_w: float, low_w: float, high_w: float) -> bool:
    """Less than told, towards zero, is as told."""
    most_w, least_w = max(high_w, 0.0), min(low_w, 0.0)
    ceiling_w = most_w * (1.0 + TOLERANCE) + TOLERANCE_W
    floor_w = least_w * (1.0 + TOLERANCE) - TOLERANCE_W
    return math.isfinite(power_w) and floor_w <= power_w <= ceiling_w
