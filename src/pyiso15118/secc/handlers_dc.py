"""Requests of DC charging, from parameter discovery to welding detection: one pure function each."""

from __future__ import annotations

from dataclasses import replace

from pyiso15118.commands import UpdateEvse
from pyiso15118.events import (
    CableCheckRequested,
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
from pyiso15118.secc.limits import (
    cpd_mode,
    discovered_limits,
    discovery_problem,
    loop_event,
    loop_limits,
    loop_mode,
    needs_problem,
    schedule_needs,
    voltage_window,
    within_volts,
)
from pyiso15118.secc.session import Hold, Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome


def handle_charge_parameter_discovery(request: dc.DC_ChargeParameterDiscoveryReq, situation: Situation) -> Reply:
    """Exchanges limits. FAILED_WrongChargeParameter for the wrong mode, for limits that cannot be (negative, above 1e9,
    minimum above maximum) and for voltages that leave nothing in common."""
    mode = request.DC_CPDReqEnergyTransferMode
    bpt = _is_bpt(situation.session)
    ours = situation.config.limits
    if isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode) is not bpt:
        detail = f"{type(mode).__name__} does not belong to the selected service"
        return failed(request, Code.FAILED_WrongChargeParameter, detail, situation)
    limits = discovered_limits(mode)
    if problem := discovery_problem(limits, ours):
        return failed(request, Code.FAILED_WrongChargeParameter, problem, situation)
    return Reply(
        response=dc.DC_ChargeParameterDiscoveryRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            DC_CPDResEnergyTransferMode=cpd_mode(ours, bpt, situation.config.negative_discharge_limits),
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
    needs = schedule_needs(mode)
    if problem := needs_problem(needs):
        return failed(request, Code.FAILED, problem, situation)
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
    """Reports the EVSE's voltage, at once when it has arrived at the vehicle's target, else after a while.

    FAILED for a target outside what both sides declared they bear: no recorded vehicle that charged asks for that.
    """
    session, evse, config = situation.session, situation.evse, situation.config
    target_v = float(request.EVTargetVoltage)
    if problem := _target_problem(target_v, situation):
        return failed(request, Code.FAILED, problem, situation)
    events: tuple[Event, ...] = ()
    if session.pre_charge_target_v != target_v:
        present_v = within_volts(request.EVPresentVoltage)
        events = (PreChargeRequested(target_voltage_v=target_v, ev_present_voltage_v=present_v),)
        session = replace(session, pre_charge_target_v=target_v, live=True)
    if evse is not None and evse.fault is not None:
        return failed(request, Code.FAILED, f"EVSE fault during pre-charge: {evse.fault}", situation)
    arrived = evse is not None and abs(evse.present_voltage_v - target_v) <= config.pre_charge_tolerance_v
    if not arrived and not situation.held_out:
        return Hold(for_s=config.response_hold_s, session=session, events=events)
    situation = replace(situation, session=session)
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
        return _stop_power_delivery(request, situation)
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
    if problem := _target_problem(target_v, situation):
        return failed(request, Code.FAILED_PowerDeliveryNotApplied, problem, situation)
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


def _stop_power_delivery(request: cm.PowerDeliveryReq, situation: Situation) -> Reply | Hold:
    """OK once the current is gone; FAILED if that takes too long or cannot be seen: the vehicle must know."""
    evse, config = situation.evse, situation.config
    events: tuple[Event, ...] = ()
    if situation.session.live:
        events = (PowerDeliveryStopped(reason="the vehicle asked to stop"),)
        situation = replace(situation, session=replace(situation.session, charging=False, live=False))
    if evse is not None and abs(evse.present_current_a) <= config.stop_current_a:
        return _power_delivery(Code.OK, Outcome.STOP, situation, events)
    if not situation.held_out:
        return Hold(for_s=config.power_delivery_hold_s, session=situation.session, events=events)
    detail = _stale(situation, "PowerDelivery(Stop)")
    if evse is not None:
        detail = (
            f"{evse.present_current_a:.1f} A still flow {config.power_delivery_hold_s:g} s after PowerDelivery(Stop), "
            f"±{config.stop_current_a:g} A allowed"
        )
    return failed(request, Code.FAILED_PowerDeliveryNotApplied, detail, situation, events)


def _target_problem(target_v: float, situation: Situation) -> str | None:
    least_v, most_v = voltage_window(situation.session.vehicle_limits, situation.config.limits)
    if least_v <= target_v <= most_v:
        return None
    return f"pre-charge to {target_v:g} V asked for, vehicle and EVSE have only {least_v:g}..{most_v:g} V in common"


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
            CLResControlMode=loop_mode(loop_limits(config.limits, evse.limits), bpt, config.negative_discharge_limits),
        ),
        session=replace(session, loop_answered=True, meter_info_sent=session.meter_info_sent or meter_info is not None),
        outcome=Outcome.DONE,
        events=(loop_event(request, mode, session.vehicle_limits),),
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


def _is_bpt(session: Session) -> bool:
    return session.offer is not None and session.offer.service is EnergyService.DC_BPT


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
