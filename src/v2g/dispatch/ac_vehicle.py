"""The bounds of one vehicle at one AC EVSE: its own limits, contactor and meter, cable, and its state of charge.

All bounds are active powers of all phases at the EVSE, positive charges. The vehicle's own inverter exchanges them, so
no losses lie between what it is told and what is measured. Every bound expires with the data it rests on, and a value
that is no number gives 0 W.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Final, Literal, Protocol

from v2g.dispatch.constraints import Bound
from v2g.dispatch.vehicle import VehicleData, battery_bounds, lower, power_bound
from v2g.dispatch.wants import Wants

NOT_ALLOWED: Final = "AC discharge is not allowed at this site (evses[].allow_discharge)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcRatings:
    """What the configuration says of one AC EVSE. Magnitudes; ``max_current_a`` a phase.

    ``min_soc_pct``: of :class:`v2g.dispatch.wants.Wants` that nobody gave.
    """

    max_charge_w: float
    max_discharge_w: float
    max_current_a: float
    phases: Literal[1, 3]
    nominal_voltage_v: float
    """Line to neutral."""
    allow_discharge: bool = False
    min_soc_pct: float = 30.0


class CableReading(Protocol):
    """What is needed of the control pilot."""

    @property
    def proximity_a(self) -> float | None: ...


class ContactorReading(Protocol):
    """What is needed of a reading of contactor and meter."""

    @property
    def as_of_s(self) -> float: ...

    @property
    def voltage_v(self) -> tuple[float, float, float]: ...

    @property
    def max_current_a(self) -> float: ...

    @property
    def pilot(self) -> CableReading | None: ...


def ac_rated_w(ratings: AcRatings, evse: ContactorReading) -> tuple[float, float]:
    """What the EVSE carries now, (charge, discharge) in W, magnitudes: by configuration, device, cable and supply.

    A value that is no number gives 0; discharge that is not allowed is 0.
    """
    amps = [evse.max_current_a, ratings.max_current_a]
    if evse.pilot is not None and evse.pilot.proximity_a is not None:
        amps.append(evse.pilot.proximity_a)
    volts = min(map(_magnitude, evse.voltage_v[: ratings.phases]))
    carried_w = min(map(_magnitude, amps)) * volts * ratings.phases
    discharge_w = min(_magnitude(ratings.max_discharge_w), carried_w) if ratings.allow_discharge else 0.0
    return min(_magnitude(ratings.max_charge_w), carried_w), discharge_w


def ac_vehicle_bounds(
    ratings: AcRatings,
    vehicle: VehicleData,
    evse: ContactorReading,
    readings_max_age_s: float,
    now_s: float,
    *,
    bidirectional: bool,
    vehicle_phases: int | None = None,
    wants: Wants | None = None,
) -> tuple[Bound, ...]:
    """The bounds of a vehicle whose charge loop runs. Readings are believed for ``readings_max_age_s``.

    ``bidirectional``: the vehicle chose AC_BPT, which is its consent to be discharged. ``vehicle_phases``: how many
    phases it uses where it gave its limits by phase; None: all of the EVSE's. ``wants`` and the battery's bounds: as
    for a DC EVSE (:func:`v2g.dispatch.vehicle.battery_bounds`).
    """
    until_s = evse.as_of_s + readings_max_age_s
    phases = min(ratings.phases, ratings.phases if vehicle_phases is None else vehicle_phases)
    # The lowest phase: power is spread evenly, and none may pass its current.
    volts = min(map(_magnitude, evse.voltage_v[: ratings.phases]))
    device_w = lower(evse.max_current_a, ratings.max_current_a) * volts * phases
    cable_a = evse.pilot.proximity_a if evse.pilot is not None else None
    bounds = (
        power_bound(vehicle.max_discharge_w, vehicle.max_charge_w, "vehicle power limit", vehicle.expires_at_s),
        power_bound(ratings.max_discharge_w, ratings.max_charge_w, "EVSE rating", inf),
        power_bound(device_w, device_w, "EVSE current limit", until_s),
        *battery_bounds(wants or Wants(min_soc_pct=ratings.min_soc_pct), vehicle, ratings.max_discharge_w, now_s),
    )
    if cable_a is not None:
        cable_w = abs(cable_a) * volts * phases if isfinite(cable_a) else cable_a
        bounds = (*bounds, power_bound(cable_w, cable_w, "cable rating", until_s))
    if not ratings.allow_discharge:
        return (*bounds, Bound(0.0, inf, NOT_ALLOWED, inf))
    if not bidirectional:
        return (*bounds, Bound(0.0, inf, "the vehicle did not choose AC_BPT", vehicle.expires_at_s))
    return bounds


def _magnitude(value: float) -> float:
    return value if isfinite(value) and value > 0.0 else 0.0
