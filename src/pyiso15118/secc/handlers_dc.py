"""Requests of DC charging, from parameter discovery to welding detection: one pure function each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pyiso15118.commands import UpdateEvse
from pyiso15118.events import (
    CableCheckRequested,
    ChargeLoopReceived,
    DcLimits,
    EnergyNeeds,
    EnergyNeedsReceived,
    EnergyService,
    Event,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    VehicleLimitsReceived,
)
from pyiso15118.machine import rational
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.messages import dc
from pyiso15118.secc.handlers import Code, Processing, failed
from pyiso15118.secc.session import Hold, Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome


def handle_charge_parameter_discovery(request: dc.DC_ChargeParameterDiscoveryReq, situation: Situation) -> Reply:
    """Exchanges limits. FAILED_WrongChargeParameter for the wrong mode and for limits that leave nothing in common."""
    mode = request.DC_CPDReqEnergyTransferMode
    bpt = _is_bpt(situation.session)
    ours = situation.config.limits
    if isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode) is not bpt:
        detail = f"{type(mode).__name__} does not belong to the selected service"
        return failed(request, Code.FAILED_WrongChargeParameter, detail, situation)
    limits = _discovered_limits(mode)
    if problem := _limits_problem(limits, ours):
        return failed(request, Code.FAILED_WrongChargeParameter, problem, situation)
    return Reply(
        response=dc.DC_ChargeParameterDiscoveryRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            DC_CPDResEnergyTransferMode=_cpd_mode(ours, bpt, situation.config.negative_discharge_limits),
        ),
        session=replace(situation.session, vehicle_limits=limits),
        outcome=Outcome.DONE,
        events=(VehicleLimitsReceived(limits=limits),),
    )


def handle_schedule_exchange(request: cm.ScheduleExchangeReq, situation: Situation) -> Reply:
    """Takes the vehicle's needs. Dynamic mode has no schedule to agree on, so the answer is never Ongoing."""
    mode = request.Dynamic_SEReqControlMode
    if mode is None:
        detail = "ScheduleExchangeReq of scheduled mode, dynamic mode was selected"
        return failed(request, Code.FAILED, detail, situation)
    needs = EnergyNeeds(
        departure_time_s=mode.DepartureTime,
        target_energy_wh=float(mode.EVTargetEnergyRequest),
        max_energy_wh=float(mode.EVMaximumEnergyRequest),
        min_energy_wh=float(mode.EVMinimumEnergyRequest),
        max_v2x_energy_wh=_optional(mode.EVMaximumV2XEnergyRequest),
        min_v2x_energy_wh=_optional(mode.EVMinimumV2XEnergyRequest),
        min_soc_pct=mode.MinimumSOC,
        target_soc_pct=mode.TargetSOC,
    )
    return Reply(
        response=cm.ScheduleExchangeRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            EVSEProcessing=Processing.Finished,
            Dynamic_SEResControlMode=cm.Dynamic_SEResControlModeType(),
        ),
        session=situation.session,
        outcome=Outcome.DONE,
        events=(EnergyNeedsReceived(needs=needs),),
    )


def handle_cable_check(request: dc.DC_CableCheckReq, situation: Situation) -> Reply | Hold:
    """Ongoing until the owner says how the insulation test ended; FAILED if it failed or took too long."""
    session = situation.session
    events: tuple[Event, ...] = ()
    since = session.cable_check_since
    if since is None:
        since = situation.now
        session = replace(session, cable_check_since=since)
        events = (CableCheckRequested(),)
    result = session.cable_check
    if result is not None and not result.passed:
        detail = f"cable check failed: {result.detail or 'no detail given'}"
        return failed(request, Code.FAILED, detail, situation)
    if result is None and situation.now - since >= situation.config.timers.cable_check_s:
        detail = f"cable check took longer than {situation.config.timers.cable_check_s:g} s"
        return failed(request, Code.FAILED, detail, situation)
    if result is None and not situation.held_out:
        return Hold(for_s=situation.config.response_hold_s, session=session, events=events)
    return Reply(
        response=dc.DC_CableCheckRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            EVSEProcessing=Processing.Ongoing if result is None else Processing.Finished,
        ),
        session=session,
        outcome=Outcome.AGAIN if result is None else Outcome.DONE,
    )


def handle_pre_charge(request: dc.DC_PreChargeReq, situation: Situation) -> Reply | Hold:
    """Reports the EVSE's voltage, at once when it has arrived at the vehicle's target, else after a while."""
    session, evse, config = situation.session, situation.evse, situation.config
    target_v = float(request.EVTargetVoltage)
    if not 0 <= target_v <= config.limits.max_voltage_v:
        detail = f"pre-charge to {target_v:g} V asked for, this EVSE goes up to {config.limits.max_voltage_v:g} V"
        return failed(request, Code.FAILED, detail, situation)
    events: tuple[Event, ...] = ()
    if session.pre_charge_target_v != target_v:
        present_v = float(request.EVPresentVoltage)
        events = (PreChargeRequested(target_voltage_v=target_v, ev_present_voltage_v=present_v),)
        session = replace(session, pre_charge_target_v=target_v)
    if evse is not None and evse.fault is not None:
        return failed(request, Code.FAILED, f"EVSE fault during pre-charge: {evse.fault}", situation)
    arrived = evse is not None and abs(evse.present_voltage_v - target_v) <= config.pre_charge_tolerance_v
    if not arrived and not situation.held_out:
        return Hold(for_s=config.response_hold_s, session=session, events=events)
    if evse is None:
        return failed(request, Code.FAILED, _stale(situation, "pre-charge"), situation)
    return Reply(
        response=dc.DC_PreChargeRes(
            Header=situation.header, ResponseCode=Code.OK, EVSEPresentVoltage=rational(evse.present_voltage_v)
        ),
        session=session,
        outcome=Outcome.DONE,
        events=events,
    )


def handle_power_delivery(request: cm.PowerDeliveryReq, situation: Situation) -> Reply | Hold:
    """Start, Stop, and what this EVSE declines with a warning: Standby and schedule renegotiation."""
    progress = request.ChargeProgress
    if progress is cm.chargeProgressType.Stop:
        return _stop_power_delivery(situation)
    if progress is cm.chargeProgressType.Standby:
        return _power_delivery(Code.WARNING_StandbyNotAllowed, Outcome.AGAIN, situation)
    if progress is cm.chargeProgressType.ScheduleRenegotiation:
        return _power_delivery(Code.WARNING_ScheduleRenegotiationFailed, Outcome.AGAIN, situation)
    if situation.session.charging or request.EVProcessing is not Processing.Finished:
        return _power_delivery(Code.OK, Outcome.AGAIN, situation)
    return _start_power_delivery(request, situation)


def _start_power_delivery(request: cm.PowerDeliveryReq, situation: Situation) -> Reply | Hold:
    evse, config = situation.evse, situation.config
    if evse is not None and evse.fault is not None:
        return failed(request, Code.FAILED_PowerDeliveryNotApplied, f"EVSE fault: {evse.fault}", situation)
    target_v = situation.session.pre_charge_target_v or 0.0
    if evse is None:
        code, detail = Code.FAILED_PowerDeliveryNotApplied, _stale(situation, "PowerDelivery")
    elif not evse.contactors_closed:
        code, detail = Code.FAILED_ContactorError, "the EVSE's contactors are open"
    elif abs(evse.present_voltage_v - target_v) > config.pre_charge_tolerance_v:
        code = Code.FAILED_PowerDeliveryNotApplied
        detail = (
            f"pre-charge out of tolerance: {evse.present_voltage_v:.1f} V at the EVSE, {target_v:.1f} V asked for, "
            f"±{config.pre_charge_tolerance_v:g} V allowed"
        )
    else:
        started = replace(situation, session=replace(situation.session, charging=True))
        return _power_delivery(Code.OK, Outcome.START, started, (PowerDeliveryStarted(),))
    if not situation.held_out:
        return Hold(for_s=config.power_delivery_hold_s, session=situation.session)
    return failed(request, code, detail, situation)


def _stop_power_delivery(situation: Situation) -> Reply | Hold:
    evse, config = situation.evse, situation.config
    events: tuple[Event, ...] = ()
    if situation.session.charging:
        events = (PowerDeliveryStopped(reason="the vehicle asked to stop"),)
        situation = replace(situation, session=replace(situation.session, charging=False))
    at_rest = evse is not None and abs(evse.present_current_a) <= config.stop_current_a
    if not at_rest and not situation.held_out:
        return Hold(for_s=config.power_delivery_hold_s, session=situation.session, events=events)
    return _power_delivery(Code.OK, Outcome.STOP, situation, events)


def _power_delivery(code: Code, outcome: Outcome, situation: Situation, events: tuple[Event, ...] = ()) -> Reply:
    return Reply(
        response=cm.PowerDeliveryRes(Header=situation.header, ResponseCode=code, EVSEStatus=_status(situation.evse)),
        session=situation.session,
        outcome=outcome,
        events=events,
    )


def handle_charge_loop(request: dc.DC_ChargeLoopReq, situation: Situation) -> Reply:
    """One turn of the loop. An EVSE that is faulted, silent or open ends it with FAILED."""
    session, evse, config = situation.session, situation.evse, situation.config
    mode = request.CLReqControlMode
    bpt = isinstance(mode, dc.BPT_Dynamic_DC_CLReqControlMode)
    if not isinstance(mode, dc.Dynamic_DC_CLReqControlMode) or (bpt and not _is_bpt(session)):
        detail = f"{type(mode).__name__} does not belong to the selected service and control mode"
        return failed(request, Code.FAILED, detail, situation)
    if evse is None:
        return failed(request, Code.FAILED, _stale(situation, "the charge loop"), situation)
    if evse.fault is not None:
        return failed(request, Code.FAILED, f"EVSE fault: {evse.fault}", situation)
    if not evse.contactors_closed:
        detail = "the EVSE's contactors opened during the charge loop"
        return failed(request, Code.FAILED_ContactorError, detail, situation)
    metered = evse.charged_energy_wh is not None
    meter_info = None
    if metered and (request.MeterInfoRequested or not session.meter_info_sent):
        meter_info = _meter_info(evse, situation)
    return Reply(
        response=dc.DC_ChargeLoopRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            EVSEStatus=_status(evse),
            MeterInfo=meter_info,
            EVSEPresentCurrent=rational(evse.present_current_a),
            EVSEPresentVoltage=rational(evse.present_voltage_v),
            EVSEPowerLimitAchieved=evse.power_limit_achieved,
            EVSECurrentLimitAchieved=evse.current_limit_achieved,
            EVSEVoltageLimitAchieved=evse.voltage_limit_achieved,
            CLResControlMode=_loop_mode(loop_limits(config.limits, evse.limits), bpt, config.negative_discharge_limits),
        ),
        session=replace(session, meter_info_sent=session.meter_info_sent or meter_info is not None),
        outcome=Outcome.DONE,
        events=(_loop_event(request, mode, session.vehicle_limits),),
    )


def handle_welding_detection(request: dc.DC_WeldingDetectionReq, situation: Situation) -> Reply | Hold:
    """Reports the EVSE's voltage after the vehicle opened its contactors."""
    evse = situation.evse
    if evse is None:
        if not situation.held_out:
            return Hold(for_s=situation.config.response_hold_s, session=situation.session)
        return failed(request, Code.FAILED, _stale(situation, "welding detection"), situation)
    return Reply(
        response=dc.DC_WeldingDetectionRes(
            Header=situation.header, ResponseCode=Code.OK, EVSEPresentVoltage=rational(evse.present_voltage_v)
        ),
        session=situation.session,
        outcome=Outcome.DONE,
    )


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


def _is_bpt(session: Session) -> bool:
    return session.offer is not None and session.offer.service is EnergyService.DC_BPT


def _optional(value: ct.RationalNumberType | None) -> float | None:
    return None if value is None else float(value)


def _stale(situation: Situation, where: str) -> str:
    return f"no state of the EVSE younger than {situation.config.evse_state_max_age_s:g} s at {where}"


def _status(evse: UpdateEvse | None) -> ct.EVSEStatusType | None:
    if evse is None or not evse.notify_stop:
        return None
    return ct.EVSEStatusType(NotificationMaxDelay=0, EVSENotification=ct.evseNotificationType.Terminate)


def _meter_info(evse: UpdateEvse, situation: Situation) -> ct.MeterInfoType:
    return ct.MeterInfoType(
        MeterID=situation.config.meter_id or situation.config.evse_id[:32],
        ChargedEnergyReadingWh=evse.charged_energy_wh or 0,
        BPT_DischargedEnergyReadingWh=evse.discharged_energy_wh if situation.config.meter_discharge_reading else None,
        MeterTimestamp=situation.header.TimeStamp,
    )


def _discovered_limits(mode: dc.DC_CPDReqEnergyTransferMode) -> DcLimits:
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


def _limits_problem(vehicle: DcLimits, evse: DcLimits) -> str | None:
    for name in ("max_charge_power_w", "min_charge_power_w", "max_charge_current_a", "min_charge_current_a"):
        if getattr(vehicle, name) < 0:
            return f"the vehicle's {name} is {getattr(vehicle, name):g}, negative"
    if vehicle.min_voltage_v > vehicle.max_voltage_v or vehicle.max_voltage_v <= 0:
        return f"the vehicle's voltage range is {vehicle.min_voltage_v:g}..{vehicle.max_voltage_v:g} V"
    if vehicle.max_voltage_v < evse.min_voltage_v or vehicle.min_voltage_v > evse.max_voltage_v:
        return (
            f"the vehicle's voltage range {vehicle.min_voltage_v:g}..{vehicle.max_voltage_v:g} V does not meet "
            f"the EVSE's {evse.min_voltage_v:g}..{evse.max_voltage_v:g} V"
        )
    return None


def _discharge_fields(limits: DcLimits, negative: bool) -> dict[str, ct.RationalNumberType]:
    sign = -1.0 if negative else 1.0
    return {
        "EVSEMaximumDischargePower": rational(sign * limits.max_discharge_power_w),
        "EVSEMinimumDischargePower": rational(sign * limits.min_discharge_power_w),
        "EVSEMaximumDischargeCurrent": rational(sign * limits.max_discharge_current_a),
    }


def _cpd_mode(limits: DcLimits, bpt: bool, negative: bool) -> dc.DC_CPDResEnergyTransferMode:
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


def _loop_mode(limits: DcLimits, bpt: bool, negative: bool) -> dc.Dynamic_DC_CLResControlMode:
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


def _loop_event(
    request: dc.DC_ChargeLoopReq, mode: dc.Dynamic_DC_CLReqControlMode, discovered: DcLimits | None
) -> ChargeLoopReceived:
    bpt = mode if isinstance(mode, dc.BPT_Dynamic_DC_CLReqControlMode) else None
    display = request.DisplayParameters
    limits = DcLimits(
        max_charge_power_w=max(0.0, float(mode.EVMaximumChargePower)),
        min_charge_power_w=max(0.0, float(mode.EVMinimumChargePower)),
        max_charge_current_a=max(0.0, float(mode.EVMaximumChargeCurrent)),
        min_charge_current_a=discovered.min_charge_current_a if discovered else 0.0,
        max_voltage_v=max(0.0, float(mode.EVMaximumVoltage)),
        min_voltage_v=max(0.0, float(mode.EVMinimumVoltage)),
        max_discharge_power_w=abs(float(bpt.EVMaximumDischargePower)) if bpt else 0.0,
        min_discharge_power_w=abs(float(bpt.EVMinimumDischargePower)) if bpt else 0.0,
        max_discharge_current_a=abs(float(bpt.EVMaximumDischargeCurrent)) if bpt else 0.0,
        min_discharge_current_a=discovered.min_discharge_current_a if discovered and bpt else 0.0,
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
    return ChargeLoopReceived(
        ev_present_voltage_v=float(request.EVPresentVoltage),
        limits=limits,
        needs=needs,
        present_soc_pct=display.PresentSOC if display else None,
        battery_capacity_wh=_optional(display.BatteryEnergyCapacity) if display else None,
    )
