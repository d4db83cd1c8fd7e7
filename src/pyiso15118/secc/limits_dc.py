"""DC limits on their way between messages and the owner: what a vehicle says is checked, what the EVSE says is bounded.

The EVSE's limits and their sign, the vehicle's limits in both control modes, and what the loop grants.
"""

from __future__ import annotations

from typing import Any

from pyiso15118.checks import limits_problem, rational, sane_loop_limits
from pyiso15118.events import DcLimits, EnergyNeeds
from pyiso15118.messages import common_types as ct
from pyiso15118.messages import dc
from pyiso15118.schedules.wire import MAX_MAGNITUDE
from pyiso15118.secc import limits_mcs
from pyiso15118.secc.needs import NO_NEEDS
from pyiso15118.secc.session import Situation


def discovered_limits(mode: dc.DC_CPDReqEnergyTransferMode) -> DcLimits:
    """The vehicle's limits as sent; those of discharge as magnitudes, for some stacks send them negative."""
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
        **discharge,
    )


def discovery_problem(vehicle: DcLimits, evse: DcLimits, *, mcs: bool = False) -> str | None:
    """Why these limits cannot be charged with, in words; None if they can."""
    if problem := limits_problem(vehicle):
        return f"the vehicle's {problem}"
    if mcs and (problem := limits_mcs.problem(evse, vehicle)):
        return problem
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


def target_problem(target_v: float, situation: Situation) -> str | None:
    """Why the EVSE is not brought to a voltage, in words; None if both sides bear it."""
    least_v, most_v = voltage_window(vehicle_dc_limits(situation), evse_dc_limits(situation))
    if least_v <= target_v <= most_v:
        return None
    return f"pre-charge to {target_v:g} V asked for, vehicle and EVSE have only {least_v:g}..{most_v:g} V in common"


def evse_ratings(situation: Situation) -> DcLimits:
    """The ratings of an EVSE with a DC service, which has some."""
    limits = situation.config.limits
    if limits is None:
        raise TypeError(f"{situation.config.evse_id} has no DC limits, yet serves DC")
    return limits


def evse_dc_limits(situation: Situation) -> DcLimits:
    """What the vehicle was offered at parameter discovery: the ratings, under MCS fitted to the vehicle's limits."""
    limits, vehicle = evse_ratings(situation), vehicle_dc_limits(situation)
    return limits_mcs.fitted(limits, vehicle) if situation.session.is_mcs and vehicle is not None else limits


def vehicle_dc_limits(situation: Situation) -> DcLimits | None:
    """What the vehicle declared at parameter discovery."""
    limits = situation.session.vehicle_limits
    return limits if isinstance(limits, DcLimits) else None


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


def granted(offered: DcLimits, now: DcLimits, *, charge: bool, discharge: bool) -> DcLimits:
    """:func:`loop_limits`, those of a direction that is closed at zero."""
    limits = loop_limits(offered, now)
    if charge and discharge:
        return limits
    return DcLimits(
        max_charge_power_w=limits.max_charge_power_w if charge else 0.0,
        min_charge_power_w=limits.min_charge_power_w if charge else 0.0,
        max_charge_current_a=limits.max_charge_current_a if charge else 0.0,
        min_charge_current_a=limits.min_charge_current_a if charge else 0.0,
        max_voltage_v=limits.max_voltage_v,
        min_voltage_v=limits.min_voltage_v,
        max_discharge_power_w=limits.max_discharge_power_w if discharge else 0.0,
        min_discharge_power_w=limits.min_discharge_power_w if discharge else 0.0,
        max_discharge_current_a=limits.max_discharge_current_a if discharge else 0.0,
        min_discharge_current_a=limits.min_discharge_current_a if discharge else 0.0,
    )


def cpd_mode(limits: DcLimits, bpt: bool, negative: bool) -> dc.DC_CPDResEnergyTransferMode:
    """The EVSE's ratings for parameter discovery."""
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
    sign = -1.0 if negative else 1.0
    return dc.BPT_DC_CPDResEnergyTransferMode(
        **fields,
        EVSEMaximumDischargePower=rational(sign * limits.max_discharge_power_w),
        EVSEMinimumDischargePower=rational(sign * limits.min_discharge_power_w),
        EVSEMaximumDischargeCurrent=rational(sign * limits.max_discharge_current_a),
        EVSEMinimumDischargeCurrent=rational(sign * limits.min_discharge_current_a),
    )


def dynamic_mode(
    limits: DcLimits, bpt: bool, negative: bool, needs: EnergyNeeds = NO_NEEDS
) -> dc.Dynamic_DC_CLResControlMode:
    """What the loop says in dynamic mode; ``needs`` where the SECC provides the mobility needs."""
    if not bpt:
        return dc.Dynamic_DC_CLResControlMode(
            DepartureTime=needs.departure_time_s,
            MinimumSOC=needs.min_soc_pct,
            TargetSOC=needs.target_soc_pct,
            EVSEMaximumChargePower=rational(limits.max_charge_power_w),
            EVSEMinimumChargePower=rational(limits.min_charge_power_w),
            EVSEMaximumChargeCurrent=rational(limits.max_charge_current_a),
            EVSEMaximumVoltage=rational(limits.max_voltage_v),
        )
    sign = -1.0 if negative else 1.0
    return dc.BPT_Dynamic_DC_CLResControlMode(
        DepartureTime=needs.departure_time_s,
        MinimumSOC=needs.min_soc_pct,
        TargetSOC=needs.target_soc_pct,
        EVSEMaximumChargePower=rational(limits.max_charge_power_w),
        EVSEMinimumChargePower=rational(limits.min_charge_power_w),
        EVSEMaximumChargeCurrent=rational(limits.max_charge_current_a),
        EVSEMaximumVoltage=rational(limits.max_voltage_v),
        EVSEMaximumDischargePower=rational(sign * limits.max_discharge_power_w),
        EVSEMinimumDischargePower=rational(sign * limits.min_discharge_power_w),
        EVSEMaximumDischargeCurrent=rational(sign * limits.max_discharge_current_a),
        EVSEMinimumVoltage=rational(limits.min_voltage_v),
    )


def scheduled_mode(limits: DcLimits, bpt: bool, negative: bool) -> dc.Scheduled_DC_CLResControlMode:
    """What the loop says in scheduled mode."""
    fields: dict[str, Any] = {
        "EVSEMaximumChargePower": rational(limits.max_charge_power_w),
        "EVSEMinimumChargePower": rational(limits.min_charge_power_w),
        "EVSEMaximumChargeCurrent": rational(limits.max_charge_current_a),
        "EVSEMaximumVoltage": rational(limits.max_voltage_v),
    }
    if not bpt:
        return dc.Scheduled_DC_CLResControlMode(**fields)
    sign = -1.0 if negative else 1.0
    return dc.BPT_Scheduled_DC_CLResControlMode(
        **fields,
        EVSEMaximumDischargePower=rational(sign * limits.max_discharge_power_w),
        EVSEMinimumDischargePower=rational(sign * limits.min_discharge_power_w),
        EVSEMaximumDischargeCurrent=rational(sign * limits.max_discharge_current_a),
        EVSEMinimumVoltage=rational(limits.min_voltage_v),
    )


_DynamicReq = dc.Dynamic_DC_CLReqControlMode
_ScheduledReq = dc.Scheduled_DC_CLReqControlMode


def vehicle_limits(mode: _DynamicReq | _ScheduledReq, bpt: bool, discovered: DcLimits | None) -> DcLimits:
    """The vehicle's limits in the loop; impossible ones take power away, they never give it.

    Where scheduled mode leaves one out, and for minimum currents, which the loop does not have, those of parameter
    discovery hold, the latter within what is possible now.
    """
    known = discovered or _NO_LIMITS
    charge_a = _or(mode.EVMaximumChargeCurrent, known.max_charge_current_a)
    discharge: Any = mode if bpt else None
    discharge_a = 0.0
    if discharge is not None:
        discharge_a = abs(_or(discharge.EVMaximumDischargeCurrent, known.max_discharge_current_a))
    limits = DcLimits(
        max_charge_power_w=_or(mode.EVMaximumChargePower, known.max_charge_power_w),
        min_charge_power_w=_or(mode.EVMinimumChargePower, known.min_charge_power_w),
        max_charge_current_a=charge_a,
        min_charge_current_a=min(known.min_charge_current_a, charge_a),
        max_voltage_v=_or(mode.EVMaximumVoltage, known.max_voltage_v),
        min_voltage_v=_or(mode.EVMinimumVoltage, known.min_voltage_v),
        max_discharge_power_w=abs(_or(discharge.EVMaximumDischargePower, known.max_discharge_power_w)) if bpt else 0.0,
        min_discharge_power_w=abs(_or(discharge.EVMinimumDischargePower, known.min_discharge_power_w)) if bpt else 0.0,
        max_discharge_current_a=discharge_a,
        min_discharge_current_a=min(known.min_discharge_current_a, discharge_a),
    )
    return sane_loop_limits(limits, discovered)


def without_power(limits: DcLimits) -> DcLimits:
    """Voltages stay, everything else is zero."""
    return DcLimits(
        max_charge_power_w=0.0,
        max_charge_current_a=0.0,
        max_voltage_v=limits.max_voltage_v,
        min_voltage_v=limits.min_voltage_v,
    )


def served(mode: _ScheduledReq, limits: DcLimits, present_v: float) -> tuple[float, float]:
    """Current (A) and voltage (V) that the vehicle wants, served up to the limits ([V2G20-2188]).

    ``present_v``: by which a power limit bounds the current.
    """
    volts = max(present_v, 1.0)
    most_a = min(limits.max_charge_current_a, limits.max_charge_power_w / volts)
    least_a = -min(limits.max_discharge_current_a, limits.max_discharge_power_w / volts)
    current_a = min(max(least_a, float(mode.EVTargetCurrent)), most_a)
    voltage_v = min(max(limits.min_voltage_v, float(mode.EVTargetVoltage)), limits.max_voltage_v)
    return current_a, voltage_v


def _or(value: ct.RationalNumberType | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)


_NO_LIMITS = DcLimits(max_charge_power_w=0.0, max_charge_current_a=0.0, max_voltage_v=0.0, min_voltage_v=0.0)
