"""The bounds of one vehicle at one DC EVSE: its own limits, its stage's, the inverter's, and its state of charge.

All bounds are powers at the inverter's AC terminals, positive charges. What a DC limit permits of discharge is
lowered by the inverter's losses, so that the vehicle's own side stays within it; charging needs no such margin. Every
bound expires with the data it rests on, and a value that is no number gives 0 W.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Final, Protocol

from v2g.dispatch.constraints import Bound
from v2g.dispatch.wants import Wants

SOC_MAX_AGE_S: Final = 60.0
"""A vehicle need not repeat its state of charge with every message; at 22 kW a minute is less than 1 % of a battery."""
RESUME_ABOVE_PCT: Final = 1.0
"""State of charge is told in whole percent, rounded either way: only what is told as more than this above the floor is
surely so much above it."""
REACTION_S: Final = 2.0
"""So long energy may flow on after the last reading: its age, a set-point's lease and the inverter's ramp."""
DISCHARGE_EFFICIENCY: Final = 0.9
"""Of battery to meter, the least that is usual: so much more leaves the battery than is counted."""
LEAST_CAPACITY_WH: Final = 1_000.0
MOST_CAPACITY_WH: Final = 2_000_000.0
"""A heavy truck has about 1 MWh; more is a mistake of units."""
SOC_IMPLAUSIBLE: Final = "SoC implausible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """What the configuration says of one EVSE. Magnitudes.

    ``inverter_max_*_w``: limits of the site below the inverter's own rating, at its AC terminals, or None.
    ``inverter_efficiency``: DC to AC. ``min_soc_pct``: of :class:`Wants` that nobody gave.
    """

    max_charge_w: float
    max_discharge_w: float
    max_current_a: float
    inverter_max_charge_w: float | None = None
    inverter_max_discharge_w: float | None = None
    inverter_efficiency: float = 1.0
    min_soc_pct: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleData:
    """What the vehicle said last, believed until ``expires_at_s`` (its state of charge until ``soc_expires_at_s``).

    Limits are magnitudes; a discharge limit of either sign is read as one. ``min_energy_wh`` and ``max_energy_wh`` are
    EVMinimumEnergyRequest and EVMaximumEnergyRequest: positive is still to be charged, zero or negative says that the
    minimum (the maximum) is covered. ``min_soc_pct`` is the vehicle's own and counts where it is above the site's.
    ``max_*_a``: of a vehicle at a DC EVSE. ``departs_at_s``: monotonic.

    ``min_v2x_energy_wh`` and ``max_v2x_energy_wh`` are EVMinimum- and EVMaximumV2XEnergyRequest: the energy from now to
    the lower and to the upper end of the range within which the vehicle lets its battery be cycled. A minimum below
    zero is what may be taken out; above zero the battery is below the range. A maximum below zero: it is above it.
    """

    expires_at_s: float
    max_charge_w: float
    max_discharge_w: float
    max_charge_a: float = 0.0
    max_discharge_a: float = 0.0
    soc_pct: float | None = None
    soc_expires_at_s: float = inf
    min_soc_pct: float | None = None
    min_energy_wh: float | None = None
    max_energy_wh: float | None = None
    min_charge_w: float = 0.0
    """Below it the vehicle charges nothing at all; likewise ``min_discharge_w``. Magnitudes."""
    min_discharge_w: float = 0.0
    target_energy_wh: float | None = None
    target_soc_pct: float | None = None
    min_v2x_energy_wh: float | None = None
    max_v2x_energy_wh: float | None = None
    capacity_wh: float | None = None
    departs_at_s: float | None = None
    discharged_since_soc_wh: float | None = None
    """By the EVSE's meter, less what was charged, since this state of charge was first told; None: not metered, the
    EVSE's rating is assumed since it was last told."""
    held_at_floor: bool = False
    """It was at its floor, and has not been clearly above it since."""
    soc_doubt: str = ""
    """Why its state of charge is not believed; empty: it is."""


class StageReading(Protocol):
    """What is needed of a reading of the DC output stage; power and current of either direction."""

    @property
    def as_of_s(self) -> float: ...

    @property
    def present_voltage_v(self) -> float: ...

    @property
    def max_current_a(self) -> float: ...

    @property
    def max_power_w(self) -> float: ...


class InverterReading(Protocol):
    """What is needed of a reading of the inverter: its ratings at the AC terminals, magnitudes, and its state.

    Without a connection to the grid it gets no power; without its own reversion to zero it does not discharge.
    """

    @property
    def as_of_s(self) -> float: ...

    @property
    def max_charge_w(self) -> float: ...

    @property
    def max_discharge_w(self) -> float: ...

    @property
    def connected(self) -> bool: ...

    @property
    def reversion_armed(self) -> bool: ...


def vehicle_bounds(
    ratings: Ratings,
    vehicle: VehicleData,
    stage: StageReading,
    inverter: InverterReading,
    readings_max_age_s: float,
    now_s: float,
    *,
    wants: Wants | None = None,
) -> tuple[Bound, ...]:
    """The bounds of a vehicle whose charge loop runs. Readings are believed for ``readings_max_age_s``.

    ``wants``: what the site asks for this vehicle now; None: ``ratings.min_soc_pct``. Its battery's bounds are those of
    :func:`battery_bounds`.
    """
    stage_until_s = stage.as_of_s + readings_max_age_s
    inverter_until_s = inverter.as_of_s + readings_max_age_s
    volts = stage.present_voltage_v
    efficiency = ratings.inverter_efficiency if 0.0 < ratings.inverter_efficiency <= 1.0 else 0.0
    stage_w = lower(stage.max_current_a, ratings.max_current_a) * volts
    return (
        power_bound(
            vehicle.max_discharge_w * efficiency, vehicle.max_charge_w, "vehicle power limit", vehicle.expires_at_s
        ),
        power_bound(
            vehicle.max_discharge_a * volts * efficiency,
            vehicle.max_charge_a * volts,
            "vehicle current limit",
            min(vehicle.expires_at_s, stage_until_s),
        ),
        power_bound(
            lower(stage.max_power_w, ratings.max_discharge_w) * efficiency,
            lower(stage.max_power_w, ratings.max_charge_w),
            "EVSE rating",
            stage_until_s,
        ),
        power_bound(stage_w * efficiency, stage_w, "EVSE current limit", stage_until_s),
        power_bound(
            lower(inverter.max_discharge_w, ratings.inverter_max_discharge_w),
            lower(inverter.max_charge_w, ratings.inverter_max_charge_w),
            "inverter rating",
            inverter_until_s,
        ),
        *_state_bounds(inverter, inverter_until_s),
        *battery_bounds(wants or Wants(min_soc_pct=ratings.min_soc_pct), vehicle, ratings.max_discharge_w, now_s),
    )


def _state_bounds(inverter: InverterReading, until_s: float) -> tuple[Bound, ...]:
    if not inverter.connected:
        return (Bound(0.0, 0.0, "inverter not connected", until_s),)
    if not inverter.reversion_armed:
        return (Bound(0.0, inf, "reversion of the inverter not armed", until_s),)
    return ()


def power_bound(discharge_w: float, charge_w: float, source: str, expires_at_s: float) -> Bound:
    """Magnitudes as a bound; what is no number gives 0 W."""
    if not (isfinite(discharge_w) and isfinite(charge_w)):
        return Bound(0.0, 0.0, f"{source} unknown", expires_at_s)
    return Bound(-abs(discharge_w), max(0.0, charge_w), source, expires_at_s)


def lower(device: float, configured: float | None) -> float:
    """What a device says, of either sign, kept below what is configured; no number stays no number."""
    magnitude = abs(device)
    return configured if configured is not None and configured < magnitude else magnitude


def known_soc(vehicle: VehicleData, now_s: float) -> float | None:
    """What it told last, while that is not too old."""
    return vehicle.soc_pct if now_s < vehicle.soc_expires_at_s else None


def believed_capacity_wh(vehicle: VehicleData) -> float | None:
    """What it says of its battery where such a battery can be."""
    told = vehicle.capacity_wh
    return told if told is not None and LEAST_CAPACITY_WH <= told <= MOST_CAPACITY_WH else None


def floor_of(vehicle: VehicleData, wants: Wants) -> tuple[float, str]:
    """The higher of both minima in %, and whose it is. A minimum of the vehicle that cannot be forbids discharge."""
    own = vehicle.min_soc_pct
    if own is None or own <= wants.min_soc_pct:
        return wants.min_soc_pct, wants.min_soc_from
    if not own <= 100.0:
        return 100.0, f"the vehicle's MinimumSOC of {own:g} % cannot be"
    return own, "the vehicle's own"


def least_pct(vehicle: VehicleData, wants: Wants) -> float:
    """Up to where it is charged first, %: :func:`floor_of` without a minimum of the vehicle that cannot be."""
    own = vehicle.min_soc_pct
    return max(wants.min_soc_pct, own if own is not None and 0.0 <= own <= 100.0 else 0.0)


def ceiling_pct(vehicle: VehicleData, wants: Wants) -> float:
    """Up to where it is charged, %: the site's max-SoC, or what vehicle and min-SoC want above it."""
    target = vehicle.target_soc_pct
    wanted = target if target is not None and 0.0 <= target <= 100.0 else 0.0
    return max(wants.max_soc_pct, wanted, least_pct(vehicle, wants))


def battery_bounds(wants: Wants, vehicle: VehicleData, discharge_w: float, now_s: float) -> tuple[Bound, ...]:
    """What the state of the battery permits. ``discharge_w``: the EVSE's rating, a magnitude.

    Discharge: not while EVMinimumEnergyRequest is above zero (the vehicle must first be charged). Where a state of
    charge is told, only above the floor (:func:`floor_of`) by more than has left the battery since it was told; after
    that, only above the floor by :data:`RESUME_ABOVE_PCT`. Where it is told and not believed, none.

    A V2X energy range (dynamic control mode of a BPT service) is the range of cycling that the vehicle consents to.
    EVMinimumV2XEnergyRequest is the energy to its lower end, EVMaximumV2XEnergyRequest that to its upper end, both
    counted from now and positive for charging: the battery is within the range while the first is below zero and the
    second is not. Outside it there is no discharge. Without a state of charge there is none without the whole range.

    Charge: none at or above :func:`ceiling_pct` nor while EVMaximumEnergyRequest is zero or negative.
    """
    return (
        *_first_charged(vehicle),
        *_soc_bounds(wants, vehicle, discharge_w, now_s),
        *_range_bounds(vehicle, now_s),
        *_full_bounds(wants, vehicle, now_s),
    )


def _no_discharge(source: str, until_s: float) -> tuple[Bound, ...]:
    return (Bound(0.0, inf, source, until_s),)


def _first_charged(vehicle: VehicleData) -> tuple[Bound, ...]:
    least_wh = vehicle.min_energy_wh
    if least_wh is None or least_wh <= 0.0:
        return ()
    if not isfinite(least_wh):
        return _no_discharge("min-SoC: EVMinimumEnergyRequest is no number", vehicle.expires_at_s)
    return _no_discharge(
        f"min-SoC: EVMinimumEnergyRequest: {least_wh / 1e3:.1f} kWh are to be charged first", vehicle.expires_at_s
    )


def _soc_bounds(wants: Wants, vehicle: VehicleData, discharge_w: float, now_s: float) -> tuple[Bound, ...]:
    if vehicle.soc_doubt:
        return _no_discharge(f"{SOC_IMPLAUSIBLE}: {vehicle.soc_doubt}", vehicle.expires_at_s)
    floor_pct, whose = floor_of(vehicle, wants)
    source = f"min-SoC {floor_pct:g} %" + (f" ({whose})" if whose else "")
    soc_pct = known_soc(vehicle, now_s)
    if soc_pct is None:
        at_floor = "min-SoC: it was at its floor by its last word or the meter, and is not surely above it"
        return _no_discharge(at_floor, vehicle.expires_at_s) if vehicle.held_at_floor else ()
    until_s = vehicle.soc_expires_at_s
    if not 0.0 <= soc_pct <= 100.0:
        return _no_discharge(f"min-SoC: a state of charge of {soc_pct:g} % is impossible", until_s)
    if vehicle.held_at_floor:
        return _no_discharge(f"{source}: discharge resumes above {floor_pct + RESUME_ABOVE_PCT:g} %", until_s)
    if not soc_pct > floor_pct:
        return _no_discharge(source, until_s)
    if not above_floor_wh(wants, vehicle, soc_pct) > _gone_wh(vehicle, discharge_w, now_s):
        return _no_discharge(f"{source}: what has been discharged since {soc_pct:g} % was told reaches it", until_s)
    return (Bound(-inf, inf, source, until_s),)


def above_floor_wh(wants: Wants, vehicle: VehicleData, soc_pct: float) -> float:
    """Between ``soc_pct`` and the floor, in the battery; negative below it."""
    capacity_wh = believed_capacity_wh(vehicle) or wants.assumed_capacity_wh
    return (soc_pct - floor_of(vehicle, wants)[0]) / 100.0 * capacity_wh


def _gone_wh(vehicle: VehicleData, discharge_w: float, now_s: float) -> float:
    """Out of the battery since its state of charge was told, and until a stop takes effect."""
    told_w = abs(vehicle.max_discharge_w)
    power_w = min(discharge_w, told_w) if isfinite(told_w) else discharge_w
    metered_wh = vehicle.discharged_since_soc_wh
    if metered_wh is None or not isfinite(metered_wh):
        told_at_s = vehicle.soc_expires_at_s - SOC_MAX_AGE_S
        metered_wh = power_w * max(0.0, now_s - told_at_s) / 3600.0 if isfinite(told_at_s) else 0.0
    return (metered_wh + power_w * REACTION_S / 3600.0) / DISCHARGE_EFFICIENCY


def range_problem(vehicle: VehicleData, *, needed: bool) -> str:
    """Why the vehicle's V2X energy range permits no discharge; empty: it does. ``needed``: it has to be there."""
    least_wh, most_wh = vehicle.min_v2x_energy_wh, vehicle.max_v2x_energy_wh
    if needed and (least_wh is None or most_wh is None):
        return "min-SoC: state of charge unknown, and " + (
            "no V2X energy range" if least_wh is None and most_wh is None else "only one end of a V2X energy range"
        )
    if least_wh is not None and not least_wh < 0.0:
        return (
            f"vehicle V2X range: EVMinimumV2XEnergyRequest is {least_wh:g} Wh, the battery is not above its lower end"
        )
    if most_wh is not None and not most_wh >= 0.0:
        return f"vehicle V2X range: EVMaximumV2XEnergyRequest is {most_wh:g} Wh, the battery is above its upper end"
    return ""


def _range_bounds(vehicle: VehicleData, now_s: float) -> tuple[Bound, ...]:
    problem = range_problem(vehicle, needed=known_soc(vehicle, now_s) is None)
    return _no_discharge(problem, vehicle.expires_at_s) if problem else ()


def _full_bounds(wants: Wants, vehicle: VehicleData, now_s: float) -> tuple[Bound, ...]:
    soc_pct = known_soc(vehicle, now_s)
    full = soc_pct is not None and soc_pct >= 100.0
    if vehicle.max_energy_wh is not None and not vehicle.max_energy_wh > 0.0:
        full = True
    if full:
        return (Bound(-inf, 0.0, "vehicle full", vehicle.expires_at_s),)
    most_pct = ceiling_pct(vehicle, wants)
    if soc_pct is None or not soc_pct >= most_pct:
        return ()
    if vehicle.target_soc_pct is None and vehicle.target_energy_wh is not None and vehicle.target_energy_wh > 0.0:
        return ()
    return (Bound(-inf, 0.0, f"max-SoC {most_pct:g} %", vehicle.expires_at_s),)
