"""Voltage and frequency ride-through (IEEE 1547-2018 6.4.2, 6.5.2): what the DER has to do now, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.settings import Operation, RideThroughSettings, TripSettings


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
    """Counts disturbances and times. Time is an argument; one call for each measurement."""

    def __init__(self, settings: RideThroughSettings) -> None:
        raise NotImplementedError

    def step(self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None) -> RideThroughState:
        """The hardest operation of the three phases and the frequency. An unknown frequency asks for nothing."""
        raise NotImplementedError


def conflicts(trips: TripSettings, ride_through: RideThroughSettings) -> tuple[str, ...]:
    """Elements that would trip inside a region that must be ridden through, in words with clause and both times."""
    raise NotImplementedError


def required_s(ride_through: RideThroughSettings, v_pu: float) -> float:
    """How long ``v_pu`` must be ridden through; 0 where nothing is asked, infinity in continuous operation."""
    raise NotImplementedError
