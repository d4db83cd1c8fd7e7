"""Megawatt charging: what the EVSE's limits become for a vehicle, and which vehicles it cannot charge.

MCS has the messages of DC. What its services add on the SECC's side is the compatibility check of IEC 61851-23-3
(CC.5.6): the EVSE answers parameter discovery with limits that fit the vehicle's, and turns away a vehicle whose maxima
are not above the EVSE's minima. Rules and figures as libiso15118 of EVerest has them; those for the vehicle are not
published there and are not checked here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from pyiso15118.events import DcLimits

LOW_VOLTAGE_V = 500.0
"""Up to here the EVSE may pass the vehicle's maximum voltage by ``LOW_VOLTAGE_MARGIN_V``, but not this."""
LOW_VOLTAGE_MARGIN_V = 50.0
HIGH_VOLTAGE_FACTOR = 1.1
"""Above ``LOW_VOLTAGE_V`` it may pass it by this factor."""
ASSUMED_POWER_W = 200_000.0
"""At least so much does a vehicle take that declares no maximum power."""


@lru_cache(maxsize=64)
def fitted(evse: DcLimits, vehicle: DcLimits) -> DcLimits:
    """The EVSE's limits, none of its maxima for charging above what this vehicle declared; discharge as it was."""
    charge_w = min(evse.max_charge_power_w, _most_w(vehicle))
    charge_a = min(evse.max_charge_current_a, vehicle.max_charge_current_a)
    return replace(
        evse,
        max_charge_power_w=charge_w,
        min_charge_power_w=min(evse.min_charge_power_w, charge_w),
        max_charge_current_a=charge_a,
        min_charge_current_a=min(evse.min_charge_current_a, charge_a),
        max_voltage_v=min(evse.max_voltage_v, _most_v(vehicle)),
    )


def problem(evse: DcLimits, vehicle: DcLimits) -> str | None:
    """Why this vehicle cannot be charged, in words; None if it can."""
    for what, unit, least, most in (
        ("voltage", "V", evse.min_voltage_v, vehicle.max_voltage_v),
        ("current", "A", evse.min_charge_current_a, vehicle.max_charge_current_a),
        ("power", "W", evse.min_charge_power_w, _most_w(vehicle)),
    ):
        if least >= most:
            return f"the EVSE's least {what} of {least:g} {unit} is not below the vehicle's most of {most:g} {unit}"
    return None


def _most_v(vehicle: DcLimits) -> float:
    if vehicle.max_voltage_v <= LOW_VOLTAGE_V:
        return min(vehicle.max_voltage_v + LOW_VOLTAGE_MARGIN_V, LOW_VOLTAGE_V)
    return vehicle.max_voltage_v * HIGH_VOLTAGE_FACTOR


def _most_w(vehicle: DcLimits) -> float:
    if vehicle.max_charge_power_w > 0:
        return vehicle.max_charge_power_w
    return max(vehicle.max_voltage_v * vehicle.max_charge_current_a, ASSUMED_POWER_W)
