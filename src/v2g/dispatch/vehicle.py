"""A vehicle's bounds from plain values: its own limits, the inverter's, the EVSE's, and its state of charge.

All powers are those at the inverter's AC terminals in the end, positive charges. Every bound expires with the data it
rests on; a value that is missing or no number gives 0 W.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from v2g.dispatch.constraints import Bound
from v2g.dispatch.orders import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleData:
    """What the vehicle said last. Limits are magnitudes; a discharge limit of either sign is read as one.

    ``min_energy_wh`` and ``max_energy_wh`` are EVMinimumEnergyRequest and EVMaximumEnergyRequest: positive is still to
    be charged, zero or negative says that the minimum (the maximum) is covered.
    """

    as_of_s: float
    max_charge_w: float
    max_discharge_w: float
    max_charge_a: float
    max_discharge_a: float
    present_voltage_v: float
    """At the DC connection, for the limits of current."""
    soc_pct: float | None = None
    soc_as_of_s: float | None = None
    """When it said ``soc_pct``, which need not come with every message; None: with the rest."""
    min_soc_pct: float | None = None
    """The vehicle's own minimum; it counts where it is higher than the site's."""
    min_energy_wh: float | None = None
    max_energy_wh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InverterData:
    """What the inverter reported last. Ratings are magnitudes at its AC terminals."""

    as_of_s: float
    max_charge_w: float
    max_discharge_w: float
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseLimits:
    """Configured limits of the EVSE, magnitudes; already the lower of EVSE and inverter section where both set one."""

    max_charge_w: float
    max_discharge_w: float
    max_current_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxAges:
    """How old data may be before it counts as unknown, in s."""

    vehicle_s: float = 1.0
    """Twice the silence after which a session ends; raise it with that timeout."""
    inverter_s: float = 1.0
    soc_s: float = 60.0


def candidate(
    evse_id: str,
    *,
    vehicle: VehicleData,
    inverter: InverterData | None,
    evse: EvseLimits,
    min_soc_pct: float,
    now_s: float,
    max_ages: MaxAges | None = None,
    inverter_efficiency: float = 1.0,
) -> Candidate:
    """The candidate of an EVSE whose charge loop runs.

    ``min_soc_pct`` is the site's. ``inverter_efficiency`` (0..1, DC to AC) lowers the discharge that DC limits permit
    at the AC terminals, so that the vehicle's own side stays within them; charging needs no such margin.

    State of charge: discharge only above the higher of both minima. Where the vehicle does not say it, or said it too
    long ago, discharge only while its own EVMinimumEnergyRequest is 0 or negative. Where neither is known, or the SoC
    is impossible, no discharge: ``min-SoC unknown``. No charge at 100 % or while EVMaximumEnergyRequest is 0 or
    negative: ``vehicle full``.
    """
    ages = max_ages or MaxAges()
    vehicle_until_s = vehicle.as_of_s + ages.vehicle_s
    efficiency = inverter_efficiency if 0.0 < inverter_efficiency <= 1.0 else 0.0
    volts = vehicle.present_voltage_v
    return Candidate(
        evse_id=evse_id,
        bounds=(
            _bound(vehicle.max_discharge_w, vehicle.max_charge_w, efficiency, "vehicle power limit", vehicle_until_s),
            _bound(
                vehicle.max_discharge_a * volts,
                vehicle.max_charge_a * volts,
                efficiency,
                "vehicle current limit",
                vehicle_until_s,
            ),
            _inverter_bound(inverter, ages),
            _bound(evse.max_discharge_w, evse.max_charge_w, 1.0, "EVSE limit", inf),
            _bound(
                evse.max_current_a * volts,
                evse.max_current_a * volts,
                efficiency,
                "EVSE current limit",
                vehicle_until_s,
            ),
            _soc_bound(vehicle, min_soc_pct, ages, now_s),
            _full_bound(vehicle, ages, now_s),
        ),
    )


def _bound(discharge_w: float, charge_w: float, efficiency: float, source: str, expires_at_s: float) -> Bound:
    if not (isfinite(discharge_w) and isfinite(charge_w)):
        return Bound(0.0, 0.0, f"{source} unknown", expires_at_s)
    return Bound(-abs(discharge_w) * efficiency, max(0.0, charge_w), source, expires_at_s)


def _inverter_bound(inverter: InverterData | None, ages: MaxAges) -> Bound:
    if inverter is None:
        return Bound(0.0, 0.0, "inverter not seen", inf)
    until_s = inverter.as_of_s + ages.inverter_s
    if inverter.fault is not None:
        return Bound(0.0, 0.0, f"inverter fault: {inverter.fault}", until_s)
    return _bound(inverter.max_discharge_w, inverter.max_charge_w, 1.0, "inverter rating", until_s)


def _known_soc(vehicle: VehicleData, ages: MaxAges, now_s: float) -> tuple[float, float] | None:
    """State of charge and the time until which it holds."""
    if vehicle.soc_pct is None:
        return None
    said_s = vehicle.as_of_s if vehicle.soc_as_of_s is None else vehicle.soc_as_of_s
    until_s = said_s + ages.soc_s
    return (vehicle.soc_pct, until_s) if now_s < until_s else None


def _soc_bound(vehicle: VehicleData, site_min_pct: float, ages: MaxAges, now_s: float) -> Bound:
    vehicle_until_s = vehicle.as_of_s + ages.vehicle_s
    known = _known_soc(vehicle, ages, now_s)
    if known is not None:
        soc_pct, until_s = known
        if not 0.0 <= soc_pct <= 100.0:
            return Bound(0.0, inf, f"min-SoC unknown: a SoC of {soc_pct:g} % is impossible", until_s)
        floor_pct = site_min_pct
        if vehicle.min_soc_pct is not None and not vehicle.min_soc_pct <= site_min_pct:
            floor_pct = vehicle.min_soc_pct
        return Bound(-inf if soc_pct > floor_pct else 0.0, inf, "min-SoC", until_s)
    if vehicle.min_energy_wh is None or not isfinite(vehicle.min_energy_wh):
        return Bound(0.0, inf, "min-SoC unknown", vehicle_until_s)
    return Bound(
        -inf if vehicle.min_energy_wh <= 0.0 else 0.0, inf, "min-SoC (EVMinimumEnergyRequest)", vehicle_until_s
    )


def _full_bound(vehicle: VehicleData, ages: MaxAges, now_s: float) -> Bound:
    vehicle_until_s = vehicle.as_of_s + ages.vehicle_s
    known = _known_soc(vehicle, ages, now_s)
    full = known is not None and known[0] >= 100.0
    if vehicle.max_energy_wh is not None and not vehicle.max_energy_wh > 0.0:
        full = True
    return Bound(-inf, 0.0 if full else inf, "vehicle full", vehicle_until_s)
