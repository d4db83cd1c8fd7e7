"""What one vehicle needs and what it can spare, from what it says and what the site wants of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.dispatch.vehicle import VehicleData


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What the site asks for one vehicle. Percentages of its battery."""

    min_soc_pct: float
    max_soc_pct: float = 100.0
    assumed_capacity_wh: float = 50_000.0
    assumed_stay_s: float = 8 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Magnitudes in Wh, of the battery.

    ``needed_wh``: to what its driver wants at departure. ``room_wh``: until it takes no more, never below
    ``needed_wh``. ``surplus_wh``: above the higher of its floors; 0 where that is not known. ``departs_at_s``:
    monotonic; assumed where the vehicle does not say, or says a time in the past.
    """

    needed_wh: float
    room_wh: float
    surplus_wh: float
    departs_at_s: float
    departure_assumed: bool
    floor_pct: float
    soc_pct: float | None
    capacity_wh: float
    capacity_assumed: bool
    remarks: tuple[str, ...] = ()
    """What of the vehicle's word is not believed or cannot be, in words for people."""

    def urgency_w(self, now_s: float) -> float:
        """Mean power that its need takes until departure, W."""
        raise NotImplementedError


def energy_of(vehicle: VehicleData, wants: Wants, now_s: float) -> Energy:
    """A vehicle's energy at ``now_s``.

    The target is the vehicle's TargetSOC, else EVTargetEnergyRequest, else EVMaximumEnergyRequest, else full
    (``max_soc_pct``). A min-SoC above the target raises the target to it, with a remark. A departure in the past
    counts as ``assumed_stay_s`` from now, with a remark.
    """
    raise NotImplementedError
