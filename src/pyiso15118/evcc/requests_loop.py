"""AC_ChargeLoopReq and DC_ChargeLoopReq. In standby the vehicle wants no power, whatever it can do."""

from __future__ import annotations

from typing import Any

from pyiso15118.checks import rational
from pyiso15118.commands import VehicleState
from pyiso15118.evcc.requests_energy import (
    ac_vehicle,
    any_vehicle,
    dc_discharge_limits,
    dc_vehicle,
    discharge_sign,
    energy_requests,
    optional,
    phase_limits,
    phase_power,
    v2x_requests,
)
from pyiso15118.evcc.session import Situation
from pyiso15118.evcc.wish import target_current_a
from pyiso15118.events import AcLimits, AcPower, DcLimits, EnergyNeeds
from pyiso15118.messages import ac, dc
from pyiso15118.messages import common_types as ct

_NO_AC_POWER = AcLimits(max_charge_power=AcPower(0.0))

_DC_MODES: dict[tuple[bool, bool], type[Any]] = {
    (False, False): dc.Dynamic_DC_CLReqControlMode,
    (False, True): dc.BPT_Dynamic_DC_CLReqControlMode,
    (True, False): dc.Scheduled_DC_CLReqControlMode,
    (True, True): dc.BPT_Scheduled_DC_CLReqControlMode,
}
_AC_MODES: dict[tuple[bool, bool], type[Any]] = {
    (False, False): ac.Dynamic_AC_CLReqControlMode,
    (False, True): ac.BPT_Dynamic_AC_CLReqControlMode,
    (True, False): ac.Scheduled_AC_CLReqControlMode,
    (True, True): ac.BPT_Scheduled_AC_CLReqControlMode,
}
"""By whether the mode is scheduled, and whether power may flow both ways."""


def build_charge_loop(situation: Situation) -> dc.DC_ChargeLoopReq | ac.AC_ChargeLoopReq:
    if situation.session.is_der:
        from pyiso15118.evcc.der import build_charge_loop as build_der

        return build_der(situation, display_parameters(any_vehicle(situation)), ac_fields(situation))
    if situation.session.is_ac:
        return ac.AC_ChargeLoopReq(
            Header=situation.header,
            DisplayParameters=display_parameters(any_vehicle(situation)),
            MeterInfoRequested=False,
            CLReqControlMode=_ac_mode(situation),
        )
    return dc.DC_ChargeLoopReq(
        Header=situation.header,
        DisplayParameters=display_parameters(any_vehicle(situation)),
        MeterInfoRequested=False,
        EVPresentVoltage=rational(dc_vehicle(situation).present_voltage_v),
        CLReqControlMode=_dc_mode(situation),
    )


def _dc_mode(situation: Situation) -> Any:
    vehicle, session = dc_vehicle(situation), situation.session
    limits, scheduled, bpt = vehicle.limits, session.is_scheduled, session.service.is_bpt
    if situation.in_standby:
        limits = DcLimits(
            max_charge_power_w=0.0,
            max_charge_current_a=0.0,
            max_voltage_v=limits.max_voltage_v,
            min_voltage_v=limits.min_voltage_v,
        )
    fields: dict[str, Any] = {
        "EVMaximumChargePower": rational(limits.max_charge_power_w),
        "EVMinimumChargePower": rational(limits.min_charge_power_w),
        "EVMaximumChargeCurrent": rational(limits.max_charge_current_a),
        "EVMaximumVoltage": rational(limits.max_voltage_v),
        "EVMinimumVoltage": rational(limits.min_voltage_v),
        **_needs(vehicle.needs, scheduled=scheduled, bpt=bpt),
    }
    if bpt:
        fields |= dc_discharge_limits(limits, discharge_sign(situation))
    if scheduled:
        fields["EVTargetCurrent"] = rational(target_current_a(situation, vehicle))
        fields["EVTargetVoltage"] = rational(vehicle.target_voltage_v)
    return _DC_MODES[scheduled, bpt](**fields)


def _ac_mode(situation: Situation) -> Any:
    session = situation.session
    return _AC_MODES[session.is_scheduled, session.service.is_bpt](**ac_fields(situation))


def ac_fields(situation: Situation) -> dict[str, Any]:
    """The elements of an AC request's control mode, by name."""
    vehicle, session = ac_vehicle(situation), situation.session
    scheduled, bpt = session.is_scheduled, session.service.is_bpt
    limits = _NO_AC_POWER if situation.in_standby else vehicle.limits
    fields = phase_limits("EV", limits, discharge_sign(situation), bpt=bpt)
    fields |= phase_power("EVPresentActivePower", vehicle.present_active_power)
    fields |= phase_power("EVPresentReactivePower", vehicle.present_reactive_power)
    return fields | _needs(vehicle.needs, scheduled=scheduled, bpt=bpt)


def _needs(needs: EnergyNeeds, *, scheduled: bool, bpt: bool) -> dict[str, Any]:
    if scheduled:
        return {
            "EVTargetEnergyRequest": optional(needs.target_energy_wh),
            "EVMaximumEnergyRequest": optional(needs.max_energy_wh),
            "EVMinimumEnergyRequest": optional(needs.min_energy_wh),
        }
    fields: dict[str, Any] = {"DepartureTime": needs.departure_time_s, **energy_requests(needs)}
    return fields | v2x_requests(needs) if bpt else fields


def display_parameters(vehicle: VehicleState) -> ct.DisplayParametersType | None:
    """What the vehicle shows of its battery; None where it tells nothing."""
    needs = vehicle.needs
    values = (vehicle.present_soc_pct, needs.min_soc_pct, needs.target_soc_pct, vehicle.battery_capacity_wh)
    if all(value is None for value in values):
        return None
    soc, target = vehicle.present_soc_pct, needs.target_soc_pct
    # Optional in the schema, but EcoG's SECC refuses display parameters without ChargingComplete.
    return ct.DisplayParametersType(
        PresentSOC=soc,
        MinimumSOC=needs.min_soc_pct,
        TargetSOC=target,
        ChargingComplete=soc is not None and target is not None and soc >= target,
        BatteryEnergyCapacity=optional(vehicle.battery_capacity_wh),
    )
