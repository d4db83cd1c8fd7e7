"""Requests between service selection and the charge loop, and after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyiso15118.checks import rational
from pyiso15118.commands import UpdateAcVehicle, UpdateDcVehicle, VehicleState
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc.session import Session, Situation
from pyiso15118.evcc.wish import channel, default_profile, forecast
from pyiso15118.events import AcLimits, AcPower, DcLimits, EnergyNeeds
from pyiso15118.messages import Namespace, ac, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import ScheduleNeeds

Processing = ct.processingType
Progress = cm.chargeProgressType

MAXIMUM_SUPPORTING_POINTS = 1024
DEPARTURE_UNKNOWN_S = 86_400
"""Sent where a departure time is mandatory and the vehicle knows none."""


# ---- parameter discovery ------------------------------------------------------------------------------------------


def build_charge_parameter_discovery(
    situation: Situation,
) -> dc.DC_ChargeParameterDiscoveryReq | ac.AC_ChargeParameterDiscoveryReq:
    header, bpt = situation.header, situation.session.service.is_bpt
    sign = discharge_sign(situation)
    if situation.session.is_der:
        from pyiso15118.evcc.der import build_charge_parameter_discovery as build_der

        return build_der(situation)
    if situation.session.is_ac:
        fields = phase_limits("EV", ac_vehicle(situation).limits, sign, bpt=bpt)
        ac_mode = ac.BPT_AC_CPDReqEnergyTransferMode if bpt else ac.AC_CPDReqEnergyTransferMode
        return ac.AC_ChargeParameterDiscoveryReq(Header=header, AC_CPDReqEnergyTransferMode=ac_mode(**fields))
    vehicle = dc_vehicle(situation)
    limits = vehicle.limits
    fields = {
        "EVMaximumChargePower": rational(limits.max_charge_power_w),
        "EVMinimumChargePower": rational(limits.min_charge_power_w),
        "EVMaximumChargeCurrent": rational(limits.max_charge_current_a),
        "EVMinimumChargeCurrent": rational(limits.min_charge_current_a),
        "EVMaximumVoltage": rational(limits.max_voltage_v),
        "EVMinimumVoltage": rational(limits.min_voltage_v),
        "TargetSOC": vehicle.needs.target_soc_pct,
    }
    mode: type[dc.DC_CPDReqEnergyTransferMode] = dc.DC_CPDReqEnergyTransferMode
    if bpt:
        mode = dc.BPT_DC_CPDReqEnergyTransferMode
        fields |= dc_discharge_limits(limits, sign)
        fields["EVMinimumDischargeCurrent"] = rational(sign * limits.min_discharge_current_a)
    return dc.DC_ChargeParameterDiscoveryReq(Header=header, DC_CPDReqEnergyTransferMode=mode(**fields))


# ---- schedule -----------------------------------------------------------------------------------------------------


def build_schedule_exchange(situation: Situation) -> cm.ScheduleExchangeReq:
    needs = any_vehicle(situation).needs
    scheduled = dynamic = None
    if situation.session.is_scheduled:
        scheduled = ScheduleNeeds(
            departure_time_s=needs.departure_time_s,
            target_energy_wh=needs.target_energy_wh,
            max_energy_wh=needs.max_energy_wh,
            min_energy_wh=needs.min_energy_wh,
            offer=any_vehicle(situation).energy_offer,
        ).to_message()
    else:
        dynamic = cm.Dynamic_SEReqControlModeType(
            DepartureTime=DEPARTURE_UNKNOWN_S if needs.departure_time_s is None else needs.departure_time_s,
            MinimumSOC=needs.min_soc_pct,
            TargetSOC=needs.target_soc_pct,
            **energy_requests(needs),
            **v2x_requests(needs),
        )
    return cm.ScheduleExchangeReq(
        Header=situation.header,
        MaximumSupportingPoints=MAXIMUM_SUPPORTING_POINTS,
        Dynamic_SEReqControlMode=dynamic,
        Scheduled_SEReqControlMode=scheduled,
    )


# ---- DC -----------------------------------------------------------------------------------------------------------


def build_cable_check(situation: Situation) -> dc.DC_CableCheckReq:
    return dc.DC_CableCheckReq(Header=situation.header)


def decide_pre_charge(situation: Situation) -> Session:
    session = situation.session
    transfer = session.transfer
    ready = transfer.pre_charge_reached and transfer.contactors_closed
    return replace(session, transfer=replace(transfer, pre_charge_finished=ready))


def build_pre_charge(situation: Situation) -> dc.DC_PreChargeReq:
    vehicle = dc_vehicle(situation)
    return dc.DC_PreChargeReq(
        Header=situation.header,
        EVProcessing=_processing(situation.session.transfer.pre_charge_finished),
        EVPresentVoltage=rational(vehicle.present_voltage_v),
        EVTargetVoltage=rational(vehicle.target_voltage_v),
    )


def build_welding_detection(situation: Situation) -> dc.DC_WeldingDetectionReq:
    return dc.DC_WeldingDetectionReq(
        Header=situation.header, EVProcessing=_processing(situation.session.transfer.welding_checked)
    )


# ---- power delivery -----------------------------------------------------------------------------------------------


def decide_power_delivery_start(situation: Situation) -> Session:
    """The plan: what the owner chose, what held before where no other schedule came, else the first offer."""
    session, vehicle = situation.session, any_vehicle(situation)
    transfer, now = session.transfer, situation.secc_unix_s
    if not session.is_scheduled:
        profile = forecast(vehicle, now)
    elif transfer.chosen is not None:
        profile = transfer.chosen
    elif transfer.profile is not None:
        profile = transfer.profile
    elif situation.config.select_schedules:
        return replace(session, transfer=replace(transfer, start_finished=False))
    else:
        profile = default_profile(transfer.offered[0], vehicle)
    transfer = replace(transfer, profile=profile, channel=channel(session, vehicle, profile, now), start_finished=True)
    return replace(session, transfer=transfer)


def build_power_delivery_start(situation: Situation) -> cm.PowerDeliveryReq:
    """Ongoing, and without a plan, until the owner has chosen a schedule where it wants to."""
    transfer = situation.session.transfer
    profile = transfer.profile if transfer.start_finished else None
    return cm.PowerDeliveryReq(
        Header=situation.header,
        EVProcessing=_processing(transfer.start_finished),
        ChargeProgress=Progress.Start,
        EVPowerProfile=profile.to_message() if profile else None,
        BPT_ChannelSelection=transfer.channel if transfer.start_finished else None,
    )


def build_power_delivery_standby(situation: Situation) -> cm.PowerDeliveryReq:
    return _power_delivery(situation, Progress.Standby)


def build_power_delivery_renegotiation(situation: Situation) -> cm.PowerDeliveryReq:
    return _power_delivery(situation, Progress.ScheduleRenegotiation)


def build_power_delivery_stop(situation: Situation) -> cm.PowerDeliveryReq:
    return _power_delivery(situation, Progress.Stop)


def _power_delivery(situation: Situation, progress: cm.chargeProgressType) -> cm.PowerDeliveryReq:
    # Optional in the schema, but EcoG's SECC refuses all but Stop without the plan that holds.
    plan = None if progress is Progress.Stop else situation.session.transfer.profile
    return cm.PowerDeliveryReq(
        Header=situation.header,
        EVProcessing=Processing.Finished,
        ChargeProgress=progress,
        EVPowerProfile=plan.to_message() if plan else None,
    )


def _processing(finished: bool) -> ct.processingType:
    return Processing.Finished if finished else Processing.Ongoing


# ---- parts, also of the charge loop -------------------------------------------------------------------------------


def any_vehicle(situation: Situation) -> VehicleState:
    if situation.vehicle is None:
        raise LocalProtocolError("this request needs the state of the vehicle first")
    return situation.vehicle


def dc_vehicle(situation: Situation) -> UpdateDcVehicle:
    if not isinstance(situation.vehicle, UpdateDcVehicle):
        raise LocalProtocolError("this request needs an UpdateDcVehicle command first")
    return situation.vehicle


def ac_vehicle(situation: Situation) -> UpdateAcVehicle:
    if not isinstance(situation.vehicle, UpdateAcVehicle):
        raise LocalProtocolError("this request needs an UpdateAcVehicle command first")
    return situation.vehicle


def discharge_sign(situation: Situation) -> int:
    """Discharge limits are magnitudes, sent negative to stacks that expect them so, and under AC_DER_SAE (8.3.5.2)."""
    negative = situation.config.negative_discharge_limits or situation.session.protocol is Namespace.AC_DER_SAE
    return -1 if negative else 1


def energy_requests(needs: EnergyNeeds) -> dict[str, ct.RationalNumberType]:
    """The three that dynamic mode needs."""
    return {
        "EVTargetEnergyRequest": rational(needs.target_energy_wh or 0.0),
        "EVMaximumEnergyRequest": rational(needs.max_energy_wh or 0.0),
        "EVMinimumEnergyRequest": rational(needs.min_energy_wh or 0.0),
    }


def v2x_requests(needs: EnergyNeeds) -> dict[str, Any]:
    return {
        "EVMaximumV2XEnergyRequest": optional(needs.max_v2x_energy_wh),
        "EVMinimumV2XEnergyRequest": optional(needs.min_v2x_energy_wh),
    }


def optional(value: float | None) -> ct.RationalNumberType | None:
    return None if value is None else rational(value)


def dc_discharge_limits(limits: DcLimits, sign: int) -> dict[str, Any]:
    return {
        "EVMaximumDischargePower": rational(sign * limits.max_discharge_power_w),
        "EVMinimumDischargePower": rational(sign * limits.min_discharge_power_w),
        "EVMaximumDischargeCurrent": rational(sign * limits.max_discharge_current_a),
    }


def phase_power(name: str, power: AcPower, sign: int = 1) -> dict[str, Any]:
    """A power by phase: the element ``name`` and those with its suffixes."""
    fields: dict[str, Any] = {name: rational(sign * power.l1)}
    if power.l2 is not None:
        fields[f"{name}_L2"] = rational(sign * power.l2)
    if power.l3 is not None:
        fields[f"{name}_L3"] = rational(sign * power.l3)
    return fields


def phase_limits(prefix: str, limits: AcLimits, sign: int, *, bpt: bool) -> dict[str, Any]:
    fields = phase_power(f"{prefix}MaximumChargePower", limits.max_charge_power)
    fields |= phase_power(f"{prefix}MinimumChargePower", limits.min_charge_power)
    if bpt:
        fields |= phase_power(f"{prefix}MaximumDischargePower", limits.max_discharge_power, sign)
        fields |= phase_power(f"{prefix}MinimumDischargePower", limits.min_discharge_power, sign)
    return fields
