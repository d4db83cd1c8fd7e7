"""What one vehicle needs and what it can spare, from what it says and what the site wants of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final

from v2g.dispatch.vehicle import (
    DISCHARGE_EFFICIENCY,
    VehicleData,
    above_floor_wh,
    believed_capacity_wh,
    ceiling_pct,
    floor_of,
    known_soc,
    least_pct,
    range_problem,
)
from v2g.dispatch.wants import Wants

__all__ = ["Energy", "Wants", "energy_of"]

_SHORTEST_S: Final = 60.0
"""A need that is due at once is not one of infinite power."""
_ROUNDING: Final = 0.01
"""State of charge is told in whole percent: by as much of the capacity two figures may differ."""


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
        """Mean power that its need takes until departure, W; what is due or overdue counts as due in a minute."""
        return self.needed_wh * 3600.0 / max(_SHORTEST_S, self.departs_at_s - now_s)


def energy_of(vehicle: VehicleData, wants: Wants, now_s: float) -> Energy:
    """A vehicle's energy at ``now_s``.

    The target is the vehicle's TargetSOC, else EVTargetEnergyRequest, else EVMaximumEnergyRequest, else full
    (``max_soc_pct``). A min-SoC above the target raises the target to it, with a remark. A departure in the past
    counts as ``assumed_stay_s`` from now, with a remark. Nothing exceeds what the battery holds; a capacity below the
    energy that is asked for leaves no surplus.
    """
    remarks: list[str] = []
    said = _Requests(vehicle, remarks)
    soc_pct = _soc(vehicle, now_s, remarks)
    capacity_wh, contradicted = _capacity(vehicle, wants, said, soc_pct, remarks)
    floor_pct, _ = floor_of(vehicle, wants)
    if vehicle.min_soc_pct is not None and not 0.0 <= vehicle.min_soc_pct <= 100.0:
        remarks.append(f"MinimumSOC of {vehicle.min_soc_pct:g} % cannot be")
    needed_wh, room_wh = (
        _by_soc(vehicle, wants, said, soc_pct, capacity_wh, remarks)
        if soc_pct is not None
        else _by_requests(wants, said, capacity_wh)
    )
    departs_at_s, departure_assumed = _departure(vehicle, wants, now_s, remarks)
    return Energy(
        needed_wh=needed_wh,
        room_wh=room_wh,
        surplus_wh=0.0 if contradicted else _surplus(vehicle, wants, soc_pct, capacity_wh),
        departs_at_s=departs_at_s,
        departure_assumed=departure_assumed,
        floor_pct=floor_pct,
        soc_pct=soc_pct,
        capacity_wh=capacity_wh,
        capacity_assumed=capacity_wh != vehicle.capacity_wh,
        remarks=tuple(remarks),
    )


class _Requests:
    """The vehicle's wishes as far as they are numbers; None: not told."""

    def __init__(self, vehicle: VehicleData, remarks: list[str]) -> None:
        self.target_wh = _number(vehicle.target_energy_wh, "EVTargetEnergyRequest", remarks)
        self.max_wh = _number(vehicle.max_energy_wh, "EVMaximumEnergyRequest", remarks)
        self.min_wh = _number(vehicle.min_energy_wh, "EVMinimumEnergyRequest", remarks)
        self.target_pct = _number(vehicle.target_soc_pct, "TargetSOC", remarks)
        if self.target_pct is not None and not 0.0 <= self.target_pct <= 100.0:
            counts = "counts as 100 %" if self.target_pct > 100.0 else "is ignored"
            remarks.append(f"TargetSOC of {self.target_pct:g} % cannot be: it {counts}")
            self.target_pct = 100.0 if self.target_pct > 100.0 else None
        if self.max_wh is not None and self.min_wh is not None and self.min_wh > max(0.0, self.max_wh):
            remarks.append(
                f"EVMinimumEnergyRequest of {_kwh(self.min_wh)} is above EVMaximumEnergyRequest of {_kwh(self.max_wh)}"
            )

    @property
    def named(self) -> tuple[tuple[str, float], ...]:
        values = {
            "EVTargetEnergyRequest": self.target_wh,
            "EVMaximumEnergyRequest": self.max_wh,
            "EVMinimumEnergyRequest": self.min_wh,
        }
        return tuple((name, value) for name, value in values.items() if value is not None)


def _number(value: float | None, name: str, remarks: list[str]) -> float | None:
    if value is None or isfinite(value):
        return value
    remarks.append(f"{name} is no number: it is ignored")
    return None


def _soc(vehicle: VehicleData, now_s: float, remarks: list[str]) -> float | None:
    soc_pct = known_soc(vehicle, now_s)
    if vehicle.soc_doubt:
        remarks.append(f"PresentSOC is not believed: {vehicle.soc_doubt}")
        return None
    if soc_pct is not None and not 0.0 <= soc_pct <= 100.0:
        remarks.append(f"PresentSOC of {soc_pct:g} % cannot be: it counts as unknown")
        return None
    return soc_pct


def _capacity(
    vehicle: VehicleData, wants: Wants, said: _Requests, soc_pct: float | None, remarks: list[str]
) -> tuple[float, bool]:
    """The capacity that counts, and whether what is told of it contradicts what is asked for."""
    free = 1.0 - (0.0 if soc_pct is None else min(soc_pct, 99.0)) / 100.0
    asked_wh = max((value for _, value in said.named), default=0.0)
    told_wh = believed_capacity_wh(vehicle)
    if told_wh is None:
        if vehicle.capacity_wh is not None:
            assumed = _kwh(wants.assumed_capacity_wh)
            remarks.append(f"BatteryCapacity of {vehicle.capacity_wh:g} Wh cannot be: {assumed} are assumed")
        # A vehicle that asks for more has a larger battery than the usual one.
        return max(wants.assumed_capacity_wh, asked_wh / free), False
    if asked_wh <= told_wh * (1.0 + _ROUNDING):
        return told_wh, False
    name = next(name for name, value in said.named if value == asked_wh)
    remarks.append(f"{name} of {_kwh(asked_wh)} is more than the BatteryCapacity of {_kwh(told_wh)}")
    return told_wh, True


def _by_soc(
    vehicle: VehicleData, wants: Wants, said: _Requests, soc_pct: float, capacity_wh: float, remarks: list[str]
) -> tuple[float, float]:
    """Needed and room, where the state of charge is known."""
    hold_wh = (100.0 - soc_pct) / 100.0 * capacity_wh

    def to(pct: float) -> float:
        return (pct - soc_pct) / 100.0 * capacity_wh

    for name, value in said.named:
        if value > hold_wh + _ROUNDING * capacity_wh:
            remarks.append(
                f"{name} of {_kwh(value)} is more than the {_kwh(hold_wh)} that {_kwh(capacity_wh)} of capacity take "
                f"at {soc_pct:g} %: it counts as {_kwh(hold_wh)}"
            )
    if said.target_pct is not None:
        target_wh = to(said.target_pct)
    elif said.target_wh is not None:
        target_wh = said.target_wh
    else:
        target_wh = to(wants.max_soc_pct) if said.max_wh is None else min(said.max_wh, to(wants.max_soc_pct))
    floor_pct, wanted_pct = least_pct(vehicle, wants), _wanted_pct(said, soc_pct, capacity_wh)
    if wanted_pct < floor_pct - 100.0 * _ROUNDING:
        whose = floor_of(vehicle, wants)[1]
        remarks.append(
            f"min-SoC of {floor_pct:g} %{f' ({whose})' if whose else ''} is above the vehicle's target of "
            f"{wanted_pct:.0f} %: it is charged to {floor_pct:g} %"
        )
    needed_wh = min(hold_wh, max(0.0, target_wh, to(floor_pct), said.min_wh or 0.0))
    room_wh = min(hold_wh, max(0.0, needed_wh, to(ceiling_pct(vehicle, wants))))
    if said.max_wh is None or said.max_wh >= room_wh:
        return needed_wh, room_wh
    takes_wh = max(0.0, said.max_wh)
    if needed_wh > takes_wh + _ROUNDING * capacity_wh:
        remarks.append(
            f"EVMaximumEnergyRequest of {_kwh(said.max_wh)} is less than the {_kwh(needed_wh)} to its target: "
            "the vehicle takes no more"
        )
    return min(needed_wh, takes_wh), takes_wh


def _wanted_pct(said: _Requests, soc_pct: float, capacity_wh: float) -> float:
    """Where the vehicle itself wants to be; 100 where it names no target."""
    if said.target_pct is not None:
        return said.target_pct
    return 100.0 if said.target_wh is None else soc_pct + 100.0 * said.target_wh / capacity_wh


def _by_requests(wants: Wants, said: _Requests, capacity_wh: float) -> tuple[float, float]:
    """Needed and room, where only energies are told: from an empty battery where none is."""
    asked_wh = said.target_wh if said.target_wh is not None else said.max_wh
    if asked_wh is None:
        wanted_pct = said.target_pct if said.target_pct is not None else wants.max_soc_pct
        asked_wh = wanted_pct / 100.0 * capacity_wh
    most_wh = capacity_wh if said.max_wh is None else min(capacity_wh, max(0.0, said.max_wh))
    return min(most_wh, max(0.0, asked_wh, said.min_wh or 0.0)), most_wh


def _surplus(vehicle: VehicleData, wants: Wants, soc_pct: float | None, capacity_wh: float) -> float:
    least_wh = vehicle.min_energy_wh
    first_charged = least_wh is not None and not least_wh <= 0.0
    if first_charged or vehicle.soc_doubt or vehicle.held_at_floor:
        return 0.0
    # One that was told and cannot be is worse than none.
    impossible = vehicle.soc_pct is not None and not 0.0 <= vehicle.soc_pct <= 100.0
    if impossible or range_problem(vehicle, needed=soc_pct is None):
        return 0.0
    within_wh = capacity_wh if vehicle.min_v2x_energy_wh is None else min(capacity_wh, -vehicle.min_v2x_energy_wh)
    if soc_pct is None:
        return within_wh
    gone_wh = (vehicle.discharged_since_soc_wh or 0.0) / DISCHARGE_EFFICIENCY
    above_wh = above_floor_wh(wants, vehicle, soc_pct) - (gone_wh if isfinite(gone_wh) else 0.0)
    return min(within_wh, max(0.0, above_wh))


def _departure(vehicle: VehicleData, wants: Wants, now_s: float, remarks: list[str]) -> tuple[float, bool]:
    told_s = vehicle.departs_at_s
    if told_s is not None and isfinite(told_s) and told_s > now_s:
        return told_s, False
    if told_s is not None:
        when = f"was {(now_s - told_s) / 60.0:.0f} min ago" if isfinite(told_s) else "is no time"
        remarks.append(f"DepartureTime {when}: {wants.assumed_stay_s / 3600.0:g} h from now are assumed")
    return now_s + wants.assumed_stay_s, True


def _kwh(energy_wh: float) -> str:
    return f"{energy_wh / 1e3:.1f} kWh"
