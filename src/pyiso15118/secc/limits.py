"""Limits on their way between messages and the owner: what a vehicle says is checked, what the EVSE says is bounded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyiso15118.events import ChargeLoopReceived, DcLimits, EnergyNeeds
from pyiso15118.machine import MAX_MAGNITUDE, limits_problem, rational, sane_loop_limits
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.messages import dc


def discovered_limits(mode: dc.DC_CPDReqEnergyTransferMode) -> DcLimits:
    """The vehicle's limits as sent; those of discharge as magnitudes, for some stacks send them negative."""
    bpt = isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode)
    discharge: dict[str, float] = {}
    if isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode):
        discharge = {
            "max_discharge_power_w": abs(float(mode.EVMaximumDischargePower)),
            "min_discharge_power_w": abs(float(mode.EVMinimumDischargePower)),
            "max_discharge_current_a": abs(float(mode.EVMaximumDischargeCurrent)),
            "min_discharge_current_a": abs(float(mode.EVMinimumDischargeCurrent)),
        }
    return DcLimits(
        max_charge_power_w=float(mode.EVMaximumChargePower),
        min_charge_power_w=float(mode.EVMinimumChargePower),
        max_charge_current_a=float(mode.EVMaximumChargeCurrent),
        min_charge_current_a=float(mode.EVMinimumChargeCurrent),
        max_voltage_v=float(mode.EVMaximumVoltage),
        min_voltage_v=float(mode.EVMinimumVoltage),
        **(discharge if bpt else {}),
    )


def discovery_problem(vehicle: DcLimits, evse: DcLimits) -> str | None:
    """Why these limits cannot be charged with, in words; None if they can."""
    if problem := limits_problem(vehicle):
        return f"the vehicle's {problem}"
    least_v, most_v = voltage_window(vehicle, evse)
    if least_v > most_v or vehicle.max_voltage_v == 0:
        return (
            f"the vehicle's voltage range {vehicle.min_voltage_v:g}..{vehicle.max_voltage_v:g} V does not meet "
            f"the EVSE's {evse.min_voltage_v:g}..{evse.max_voltage_v:g} V"
        )
    return None


def voltage_window(vehicle: DcLimits | None, evse: DcLimits) -> tuple[float, float]:
    """What both sides bear, in V: the only targets that are pre-charged to."""
    if vehicle is None:
        return evse.min_voltage_v, evse.max_voltage_v
    return max(vehicle.min_voltage_v, evse.min_voltage_v), min(vehicle.max_voltage_v, evse.max_voltage_v)


def schedule_needs(mode: cm.Dynamic_SEReqControlModeType) -> EnergyNeeds:
    """The needs of ScheduleExchange as sent."""
    return EnergyNeeds(
        departure_time_s=mode.DepartureTime,
        target_energy_wh=float(mode.EVTargetEnergyRequest),
        max_energy_wh=float(mode.EVMaximumEnergyRequest),
        min_energy_wh=float(mode.EVMinimumEnergyRequest),
        max_v2x_energy_wh=_optional(mode.EVMaximumV2XEnergyRequest),
        min_v2x_energy_wh=_optional(mode.EVMinimumV2XEnergyRequest),
        min_soc_pct=mode.MinimumSOC,
        target_soc_pct=mode.TargetSOC,
    )


def needs_problem(needs: EnergyNeeds) -> str | None:
    """The first energy beyond ±1e9 Wh, in words."""
    for name in _ENERGIES:
        value = getattr(needs, name)
        if value is not None and abs(value) > MAX_MAGNITUDE:
            return f"the vehicle's {name} is {value:g}, must be within ±1e9"
    return None


def within_volts(value: ct.RationalNumberType) -> float:
    """A voltage that the vehicle measured, brought into 0..1e9 V."""
    return min(max(0.0, float(value)), MAX_MAGNITUDE)


def loop_limits(offered: DcLimits, now: DcLimits) -> DcLimits:
    """What may be sent in the loop: never more than was offered at parameter discovery ([V2G20-2654])."""
    charge_w = min(offered.max_charge_power_w, now.max_charge_power_w)
    charge_a = min(offered.max_charge_current_a, now.max_charge_current_a)
    discharge_w = min(offered.max_discharge_power_w, now.max_discharge_power_w)
    discharge_a = min(offered.max_discharge_current_a, now.max_discharge_current_a)
    return DcLimits(
        max_charge_power_w=charge_w,
        min_charge_power_w=min(now.min_charge_power_w, charge_w),
        max_charge_current_a=charge_a,
        min_charge_current_a=min(now.min_charge_current_a, charge_a),
        max_voltage_v=min(offered.max_voltage_v, now.max_voltage_v),
        min_voltage_v=max(offered.min_voltage_v, now.min_voltage_v),
        max_discharge_power_w=discharge_w,
        min_discharge_power_w=min(now.min_discharge_power_w, discharge_w),
        max_discharge_current_a=discharge_a,
        min_discharge_current_a=min(now.min_discharge_current_a, discharge_a),
    )


def _discharge_fields(limits: DcLimits, negative: bool) -> dict[str, ct.RationalNumberType]:
    sign = -1.0 if negative else 1.0
    return {
        "EVSEMaximumDischargePower": rational(sign * limits.max_discharge_power_w),
        "EVSEMinimumDischargePower": rational(sign * limits.min_discharge_power_w),
        "EVSEMaximumDischargeCurrent": rational(sign * limits.max_discharge_current_a),
    }


def cpd_mode(limits: DcLimits, bpt: bool, negative: bool) -> dc.DC_CPDResEnergyTransferMode:
    fields: dict[str, Any] = {
        "EVSEMaximumChargePower": rational(limits.max_charge_power_w),
        "EVSEMinimumChargePower": rational(limits.min_charge_power_w),
        "EVSEMaximumChargeCurrent": rational(limits.max_charge_current_a),
        "EVSEMinimumChargeCurrent": rational(limits.min_charge_current_a),
        "EVSEMaximumVoltage": rational(limits.max_voltage_v),
        "EVSEMinimumVoltage": rational(limits.min_voltage_v),
    }
    if not bpt:
        return dc.DC_CPDResEnergyTransferMode(**fields)
    minimum_a = -limits.min_discharge_current_a if negative else limits.min_discharge_current_a
    fields |= _discharge_fields(limits, negative) | {"EVSEMinimumDischargeCurrent": rational(minimum_a)}
    return dc.BPT_DC_CPDResEnergyTransferMode(**fields)


def loop_mode(limits: DcLimits, bpt: bool, negative: bool) -> dc.Dynamic_DC_CLResControlMode:
    fields: dict[str, Any] = {
        "EVSEMaximumChargePower": rational(limits.max_charge_power_w),
        "EVSEMinimumChargePower": rational(limits.min_charge_power_w),
        "EVSEMaximumChargeCurrent": rational(limits.max_charge_current_a),
        "EVSEMaximumVoltage": rational(limits.max_voltage_v),
    }
    if not bpt:
        return dc.Dynamic_DC_CLResControlMode(**fields)
    fields |= _discharge_fields(limits, negative) | {"EVSEMinimumVoltage": rational(limits.min_voltage_v)}
    return dc.BPT_Dynamic_DC_CLResControlMode(**fields)


def loop_event(
    request: dc.DC_ChargeLoopReq, mode: dc.Dynamic_DC_CLReqControlMode, discovered: DcLimits | None
) -> ChargeLoopReceived:
    """What the vehicle says in the loop. Numbers that cannot be take power away, they never give it."""
    bpt = mode if isinstance(mode, dc.BPT_Dynamic_DC_CLReqControlMode) else None
    display = request.DisplayParameters
    limits = DcLimits(
        max_charge_power_w=float(mode.EVMaximumChargePower),
        min_charge_power_w=float(mode.EVMinimumChargePower),
        max_charge_current_a=float(mode.EVMaximumChargeCurrent),
        max_voltage_v=float(mode.EVMaximumVoltage),
        min_voltage_v=float(mode.EVMinimumVoltage),
        max_discharge_power_w=abs(float(bpt.EVMaximumDischargePower)) if bpt else 0.0,
        min_discharge_power_w=abs(float(bpt.EVMinimumDischargePower)) if bpt else 0.0,
        max_discharge_current_a=abs(float(bpt.EVMaximumDischargeCurrent)) if bpt else 0.0,
    )
    limits = sane_loop_limits(limits, discovered)
    if discovered is not None:
        # The loop has no minimum currents: those of discovery hold, within what is possible now.
        limits = replace(
            limits,
            min_charge_current_a=min(discovered.min_charge_current_a, limits.max_charge_current_a),
            min_discharge_current_a=min(discovered.min_discharge_current_a, limits.max_discharge_current_a),
        )
    needs = EnergyNeeds(
        departure_time_s=mode.DepartureTime,
        target_energy_wh=float(mode.EVTargetEnergyRequest),
        max_energy_wh=float(mode.EVMaximumEnergyRequest),
        min_energy_wh=float(mode.EVMinimumEnergyRequest),
        max_v2x_energy_wh=_optional(bpt.EVMaximumV2XEnergyRequest) if bpt else None,
        min_v2x_energy_wh=_optional(bpt.EVMinimumV2XEnergyRequest) if bpt else None,
        min_soc_pct=display.MinimumSOC if display else None,
        target_soc_pct=display.TargetSOC if display else None,
    )
    if needs_problem(needs):
        needs = replace(needs, **dict.fromkeys(_ENERGIES, None))
        limits = DcLimits(
            max_charge_power_w=0.0,
            max_charge_current_a=0.0,
            max_voltage_v=limits.max_voltage_v,
            min_voltage_v=limits.min_voltage_v,
        )
    capacity_wh = _optional(display.BatteryEnergyCapacity) if display else None
    return ChargeLoopReceived(
        ev_present_voltage_v=within_volts(request.EVPresentVoltage),
        limits=limits,
        needs=needs,
        present_soc_pct=display.PresentSOC if display else None,
        battery_capacity_wh=capacity_wh if capacity_wh is not None and 0 <= capacity_wh <= MAX_MAGNITUDE else None,
    )


_ENERGIES = ("target_energy_wh", "max_energy_wh", "min_energy_wh", "max_v2x_energy_wh", "min_v2x_energy_wh")


def _optional(value: ct.RationalNumberType | None) -> float | None:
    return None if value is None else float(value)
