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

SOC_MAX_AGE_S: Final = 60.0
"""A vehicle need not repeat its state of charge with every message; at 22 kW a minute is less than 1 % of a battery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """What the configuration says of one EVSE. Magnitudes.

    ``inverter_max_*_w``: limits of the site below the inverter's own rating, at its AC terminals, or None.
    ``inverter_efficiency``: DC to AC. At or below ``min_soc_pct`` a vehicle is not discharged.
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
    ``max_*_a``: of a vehicle at a DC EVSE. ``*_v2x_energy_wh``: EVMaximum- and EVMinimumV2XEnergyRequest; a minimum
    below zero is what the vehicle lets be taken out. ``departs_at_s``: monotonic.
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
) -> tuple[Bound, ...]:
    """The bounds of a vehicle whose charge loop runs. Readings are believed for ``readings_max_age_s``.

    State of charge: discharge only above the higher of both minima. Where it is not known, discharge only while the
    vehicle's own EVMinimumEnergyRequest is 0 or negative. Where neither is known, no discharge. No charge at 100 %, nor
    while EVMaximumEnergyRequest is 0 or negative.
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
        soc_bound(ratings.min_soc_pct, vehicle, now_s),
        *full_bound(vehicle, now_s),
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


def _known_soc(vehicle: VehicleData, now_s: float) -> float | None:
    return vehicle.soc_pct if now_s < vehicle.soc_expires_at_s else None


def soc_bound(site_min_soc_pct: float, vehicle: VehicleData, now_s: float) -> Bound:
    """Discharge only above the higher of both minima; see :func:`vehicle_bounds`."""
    soc_pct = _known_soc(vehicle, now_s)
    if soc_pct is not None:
        until_s = vehicle.soc_expires_at_s
        if not 0.0 <= soc_pct <= 100.0:
            return Bound(0.0, inf, f"min-SoC: a state of charge of {soc_pct:g} % is impossible", until_s)
        floor_pct = site_min_soc_pct
        if vehicle.min_soc_pct is not None and not vehicle.min_soc_pct <= floor_pct:
            floor_pct = vehicle.min_soc_pct
        return Bound(-inf if soc_pct > floor_pct else 0.0, inf, f"min-SoC {floor_pct:g} %", until_s)
    if vehicle.min_energy_wh is None or not isfinite(vehicle.min_energy_wh):
        return Bound(0.0, inf, "min-SoC: state of charge unknown", vehicle.expires_at_s)
    covered = vehicle.min_energy_wh <= 0.0
    return Bound(-inf if covered else 0.0, inf, "min-SoC: EVMinimumEnergyRequest", vehicle.expires_at_s)


def full_bound(vehicle: VehicleData, now_s: float) -> tuple[Bound, ...]:
    """No charge at 100 %, nor while EVMaximumEnergyRequest is 0 or negative."""
    soc_pct = _known_soc(vehicle, now_s)
    full = soc_pct is not None and soc_pct >= 100.0
    if vehicle.max_energy_wh is not None and not vehicle.max_energy_wh > 0.0:
        full = True
    return (Bound(-inf, 0.0, "vehicle full", vehicle.expires_at_s),) if full else ()
