"""Voltage and frequency ride-through (IEEE 1547-2018 6.4.2, 6.5.2): what the DER has to do now, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass

from v2g.grid.settings import (
    FrequencyRegion,
    Measured,
    Operation,
    RideThroughSettings,
    Side,
    TripSetting,
    TripSettings,
    VoltageRegion,
)

FREQUENCY_WINDOW_S = 600.0
"""Times outside the continuous band add up until the frequency has been inside it for this long."""
_BIN_PU = 0.01
_NOMINAL_PU = 1.0


@dataclass(frozen=True, slots=True)
class RideThroughState:
    """``remaining_s``: how long the present disturbance must still be ridden through; infinity while continuous.

    ``may_trip``: the times or the number of consecutive disturbances that must be survived are used up.
    """

    operation: Operation
    remaining_s: float
    disturbances: int
    may_trip: bool


class RideThrough:
    """Counts disturbances and times. Time is an argument; one call for each measurement.

    Times are cumulative as in the figures of the standard: within one disturbance the time at 0.4 p.u. counts for
    every region that is left at 0.4 p.u., and the least that remains of any of them is what remains.
    """

    def __init__(self, settings: RideThroughSettings) -> None:
        self._settings = settings
        self._low = _Side([region for region in settings.voltage if region.hi_pu <= _NOMINAL_PU], Side.UNDER)
        self._high = _Side([region for region in reversed(settings.voltage) if region.lo_pu >= _NOMINAL_PU], Side.OVER)
        self._frequency = _FrequencyTime(settings.frequency)
        self.reset()

    def reset(self) -> None:
        """Nothing is known of the past."""
        self._before_s: float | None = None
        self._disturbed = False
        self._ended_s = -math.inf
        self._first_s = -math.inf
        self._count = 0
        self._low.clear()
        self._high.clear()
        self._frequency.clear()

    def step(self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None) -> RideThroughState:
        """The hardest operation of the three phases and the frequency. An unknown frequency asks for nothing."""
        dt_s = 0.0 if self._before_s is None else max(0.0, now_s - self._before_s)
        self._before_s = now_s
        self._low.spend(dt_s)
        self._high.spend(dt_s)
        voltage = max(voltage_region(self._settings, v).operation for v in v_pu)
        self._count_disturbance(now_s, voltage > Operation.CONTINUOUS)
        frequency = self._frequency.step(dt_s, frequency_hz)
        voltage_s = min(self._low.remaining_s(min(v_pu)), self._high.remaining_s(max(v_pu)))
        remaining_s = min(voltage_s, self._frequency.remaining_s)
        return RideThroughState(
            operation=max(voltage, frequency),
            remaining_s=remaining_s,
            disturbances=self._count,
            may_trip=remaining_s <= 0.0 or (self._disturbed and self._count > self._settings.sets),
        )

    def _count_disturbance(self, now_s: float, disturbed: bool) -> None:
        if disturbed and not self._disturbed and now_s - self._ended_s >= self._settings.min_gap_s:
            if now_s - self._first_s >= self._settings.count_window_s:
                self._count = 0
                self._first_s = now_s
            self._count += 1
            self._low.clear()
            self._high.clear()
        elif self._disturbed and not disturbed:
            self._ended_s = now_s
        self._disturbed = disturbed


class _Side:
    """The times spent beyond each level of under- or over-voltage. A sloping region is cut into narrow ones."""

    def __init__(self, regions: list[VoltageRegion], side: Side) -> None:
        self._regions = [narrow for region in regions for narrow in _narrowed(region)]
        self._side = side
        self._outer_s = [
            region.ride_through_s(region.hi_pu if side is Side.UNDER else region.lo_pu) for region in self._regions
        ]
        self.clear()

    def clear(self) -> None:
        self._spent_s = [0.0] * len(self._regions)
        self._depth = 0

    def spend(self, dt_s: float) -> None:
        """``dt_s`` passed at the voltage of the last call of :meth:`remaining_s`."""
        for index in range(self._depth):
            self._spent_s[index] += dt_s

    def remaining_s(self, v_pu: float) -> float:
        """Infinity where nothing of this side is touched."""
        self._depth = 0
        least_s = math.inf
        for index, region in enumerate(self._regions):
            if not (v_pu < region.hi_pu if self._side is Side.UNDER else v_pu > region.lo_pu):
                break
            self._depth = index + 1
            inside = v_pu >= region.lo_pu if self._side is Side.UNDER else v_pu <= region.hi_pu
            asked_s = region.ride_through_s(v_pu) if inside else self._outer_s[index]
            least_s = min(least_s, asked_s - self._spent_s[index])
        return max(0.0, least_s)


class _FrequencyTime:
    def __init__(self, regions: tuple[FrequencyRegion, ...]) -> None:
        self._regions = regions
        self.clear()

    def clear(self) -> None:
        self._spent_s = 0.0
        self._inside_s = 0.0
        self._region: FrequencyRegion | None = None

    @property
    def remaining_s(self) -> float:
        if self._region is None or self._region.operation is Operation.CONTINUOUS:
            return math.inf
        return max(0.0, self._region.ride_through_s - self._spent_s)

    def step(self, dt_s: float, frequency_hz: float | None) -> Operation:
        if self._region is not None and self._region.operation is not Operation.CONTINUOUS:
            self._spent_s += dt_s
            self._inside_s = 0.0
        else:
            self._inside_s += dt_s
            if self._inside_s >= FREQUENCY_WINDOW_S:
                self._spent_s = 0.0
        self._region = None if frequency_hz is None else frequency_region(self._regions, frequency_hz)
        return Operation.CONTINUOUS if self._region is None else self._region.operation


def voltage_region(ride_through: RideThroughSettings, v_pu: float) -> VoltageRegion:
    """The row that holds at ``v_pu``; the lowest for what is no number."""
    for region in ride_through.voltage:
        if v_pu > region.lo_pu if region.lo_pu >= _NOMINAL_PU else v_pu >= region.lo_pu:
            return region
    return ride_through.voltage[-1]


def frequency_region(regions: tuple[FrequencyRegion, ...], frequency_hz: float) -> FrequencyRegion | None:
    """The row that holds, on a boundary the one that asks for more; None for what is no number."""
    found = None
    for region in regions:
        if region.lo_hz <= frequency_hz <= region.hi_hz and (
            found is None or region.ride_through_s > found.ride_through_s
        ):
            found = region
    return found


def required_s(ride_through: RideThroughSettings, v_pu: float) -> float:
    """How long ``v_pu`` must be ridden through; 0 where nothing is asked, infinity in continuous operation."""
    return voltage_region(ride_through, v_pu).ride_through_s(v_pu)


def conflicts(trips: TripSettings, ride_through: RideThroughSettings) -> tuple[str, ...]:
    """Elements that would trip inside a region that must be ridden through, in words with clause and both times."""
    found = (conflict(element, ride_through) for element in trips.elements)
    return tuple(words for words in found if words)


def conflict(element: TripSetting, ride_through: RideThroughSettings) -> str:
    """The same for one element (or for a relay described as one); empty where there is none."""
    if element.quantity is Measured.ROCOF:
        if element.threshold >= ride_through.rocof_hz_s:
            return ""
        return (
            f"{element.element} trips above {element.threshold:g} Hz/s, but {ride_through.rocof_hz_s:g} Hz/s must be "
            f"ridden through ({ride_through.rocof_clause})"
        )
    if element.quantity is Measured.FREQUENCY:
        rows = [(row.lo_hz, row.hi_hz, row.ride_through_s) for row in ride_through.frequency]
        unit, clause = "Hz", ride_through.frequency_clause
    elif element.quantity is Measured.VOLTAGE:
        rows = [
            (row.lo_pu, row.hi_pu, row.ride_through_s(min(row.hi_pu, element.threshold) if row.slope_s_per_pu else 0.0))
            for row in ride_through.voltage
        ]
        unit, clause = "p.u.", ride_through.clause
    else:
        return ""
    over = element.side is Side.OVER
    touched = [row for row in rows if (row[1] > element.threshold if over else row[0] < element.threshold)]
    if not touched:
        return ""
    lo, hi, asked_s = max(touched, key=lambda row: row[2])
    if element.time_s >= asked_s:
        return ""
    lo, hi = (max(lo, element.threshold), hi) if over else (lo, min(hi, element.threshold))
    asked = "without end" if math.isinf(asked_s) else f"for {asked_s:.4g} s"
    return (
        f"{element.element} trips after {element.time_s:g} s {'above' if over else 'below'} {element.threshold:g} "
        f"{unit}, but {lo:g} to {hi:g} {unit} must be ridden through {asked} ({clause})"
    )


def _narrowed(region: VoltageRegion) -> list[VoltageRegion]:
    if not region.slope_s_per_pu:
        return [region]
    count = max(1, round((region.hi_pu - region.lo_pu) / _BIN_PU))
    edges = [region.lo_pu + (region.hi_pu - region.lo_pu) * index / count for index in range(count + 1)]
    return [
        VoltageRegion(lo, hi, region.operation, region.ride_through_s(lo), region.slope_s_per_pu)
        for lo, hi in zip(reversed(edges[:-1]), reversed(edges[1:]), strict=True)
    ]
