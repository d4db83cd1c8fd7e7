"""What sites do today: nothing at all, or a fixed share for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from support.evening.world import Plugged, Reading

YEARLY_PEAK_PU = 0.66
"""Of the base load, per unit of rating, as a planner takes it for the fixed limits."""


class Uncontrolled:
    """Full power at once until the driver's target."""

    rests: ClassVar[Mapping[str, str]] = {}

    def powers_w(self, reading: Reading, vehicles: Sequence[Plugged]) -> list[float]:
        return [vehicle.max_charge_w if _wants(vehicle) else 0.0 for vehicle in vehicles]


class StaticLimits:
    """Each EVSE is fixed to an equal share of what the rating leaves over the yearly peak of the base load."""

    rests: ClassVar[Mapping[str, str]] = {}

    def __init__(self, rated_va: float, evses: int) -> None:
        self.share_w = rated_va * (1.0 - YEARLY_PEAK_PU) / evses

    def powers_w(self, reading: Reading, vehicles: Sequence[Plugged]) -> list[float]:
        return [min(vehicle.max_charge_w, self.share_w) if _wants(vehicle) else 0.0 for vehicle in vehicles]


def _wants(vehicle: Plugged) -> bool:
    return vehicle.energy_wh < vehicle.spec.capacity_wh * vehicle.spec.target_soc_pct / 100.0
