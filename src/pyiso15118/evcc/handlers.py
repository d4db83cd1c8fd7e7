"""What each response means to the vehicle: one pure function each. FAILED responses never come here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.evcc.requests import SCHEMA_ID
from pyiso15118.evcc.session import Session, Situation, Step
from pyiso15118.evcc.transitions import Outcome, State
from pyiso15118.events import (
    ChargeLoopAnswered,
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    DcLimits,
    EnergyService,
    EnergyServiceSelected,
    Event,
    EvseLimitsReceived,
    PreChargeReached,
    PreChargeStarted,
    ProtocolAgreed,
    SessionStarted,
    StopRequested,
)
from pyiso15118.machine import MAX_MAGNITUDE, SESSION_ID_BYTES, limits_problem, sane_loop_limits
from pyiso15118.messages import Namespace, app_protocol, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct

Processing = ct.processingType
Notification = ct.evseNotificationType


def give_up(session: Session, why: str) -> Step:
    """End the session properly, for a reason of ours."""
    return Step(outcome=Outcome.STOP, session=replace(session, gave_up=why))


def handle_supported_app_protocol(response: app_protocol.supportedAppProtocolRes, situation: Situation) -> Step:
    if response.SchemaID != SCHEMA_ID:
        raise RemoteProtocolError(f"supportedAppProtocolRes with SchemaID {response.SchemaID}, offered was {SCHEMA_ID}")
    event = ProtocolAgreed(namespace=Namespace.DC.value, schema_id=SCHEMA_ID)
    return Step(outcome=Outcome.DONE, session=situation.session, events=(event,))


def handle_session_setup(response: cm.SessionSetupRes, situation: Situation) -> Step:
    session_id = response.Header.SessionID
    if len(session_id) != SESSION_ID_BYTES or not any(session_id):
        raise RemoteProtocolError(f"SessionSetupRes with SessionID {session_id.hex().upper()}, which names no session")
    event = SessionStarted(session_id=session_id, evccid=situation.config.evccid, evse_id=response.EVSEID)
    return Step(
        outcome=Outcome.DONE, session=replace(situation.session, session_id=session_id, set_up=True), events=(event,)
    )


def handle_authorization_setup(response: cm.AuthorizationSetupRes, situation: Situation) -> Step:
    if cm.authorizationType.EIM not in response.AuthorizationServices:
        return give_up(situation.session, "the EVSE does not offer external identification (EIM)")
    return Step(outcome=Outcome.DONE, session=situation.session)


def handle_authorization(response: cm.AuthorizationRes, situation: Situation) -> Step:
    if response.EVSEProcessing is not Processing.Finished:
        return _again(situation)
    if response.ResponseCode.startswith("WARNING"):
        return give_up(situation.session, f"authorisation was refused: {response.ResponseCode}")
    return Step(outcome=Outcome.DONE, session=situation.session)


def handle_service_discovery(response: cm.ServiceDiscoveryRes, situation: Situation) -> Step:
    offered = {s.ServiceID for s in response.EnergyTransferServiceList.Service}
    candidates = tuple(s for s in situation.config.services if s in offered)
    session = replace(situation.session, candidates=candidates)
    if not candidates:
        return give_up(session, f"the EVSE offers services {sorted(offered)}, none that this vehicle wants")
    return Step(outcome=Outcome.DONE, session=session)


def handle_service_detail(response: cm.ServiceDetailRes, situation: Situation) -> Step:
    """Takes the first parameter set of dynamic mode, one with MobilityNeedsMode 1 (by the EVCC) if there is one."""
    session = situation.session
    if response.ServiceID != session.service:
        raise RemoteProtocolError(
            f"ServiceDetailRes for service {response.ServiceID}, asked was {session.service.value}"
        )
    dynamic = [
        (parameters.get("MobilityNeedsMode") != 1, s.ParameterSetID)
        for s in response.ServiceParameterList.ParameterSet
        if (parameters := _integers(s)).get("ControlMode") == ControlMode.DYNAMIC
    ]
    if dynamic:
        return Step(outcome=Outcome.DONE, session=replace(session, parameter_set_id=min(dynamic)[1]))
    if len(session.candidates) > 1:
        return Step(outcome=Outcome.AGAIN, session=replace(session, candidates=session.candidates[1:]))
    return give_up(session, "the EVSE offers no dynamic control mode")


def handle_service_selection(response: cm.ServiceSelectionRes, situation: Situation) -> Step:
    session = situation.session
    event = EnergyServiceSelected(
        service=session.service, control_mode=ControlMode.DYNAMIC, parameter_set_id=session.parameter_set_id
    )
    return Step(outcome=Outcome.DONE, session=session, events=(event,))


def handle_charge_parameter_discovery(response: dc.DC_ChargeParameterDiscoveryRes, situation: Situation) -> Step:
    mode = response.DC_CPDResEnergyTransferMode
    bpt = isinstance(mode, dc.BPT_DC_CPDResEnergyTransferMode)
    if bpt is not (situation.session.service is EnergyService.DC_BPT):
        raise RemoteProtocolError(f"{type(mode).__name__} does not belong to the selected service")
    limits = DcLimits(
        max_charge_power_w=float(mode.EVSEMaximumChargePower),
        min_charge_power_w=float(mode.EVSEMinimumChargePower),
        max_charge_current_a=float(mode.EVSEMaximumChargeCurrent),
        min_charge_current_a=float(mode.EVSEMinimumChargeCurrent),
        max_voltage_v=float(mode.EVSEMaximumVoltage),
        min_voltage_v=float(mode.EVSEMinimumVoltage),
        **_discharge(mode),
    )
    if problem := limits_problem(limits):
        return give_up(situation.session, f"the EVSE's {problem}")
    session = replace(situation.session, evse_limits=limits)
    target_v = situation.vehicle.target_voltage_v if situation.vehicle else 0.0
    if target_v > limits.max_voltage_v:
        why = f"the EVSE goes up to {limits.max_voltage_v:g} V, the vehicle needs {target_v:g} V"
        return replace(give_up(session, why), events=(EvseLimitsReceived(limits=limits),))
    return Step(outcome=Outcome.DONE, session=session, events=(EvseLimitsReceived(limits=limits),))


def handle_schedule_exchange(response: cm.ScheduleExchangeRes, situation: Situation) -> Step:
    if response.EVSEProcessing is not Processing.Finished:
        return _again(situation)
    return Step(outcome=Outcome.DONE, session=situation.session)


def handle_cable_check(response: dc.DC_CableCheckRes, situation: Situation) -> Step:
    if response.EVSEProcessing is not Processing.Finished:
        return _again(situation)
    return Step(outcome=Outcome.DONE, session=situation.session, events=(PreChargeStarted(),))


def handle_pre_charge(response: dc.DC_PreChargeRes, situation: Situation) -> Step:
    """Repeats until both voltages match and the contactors are closed; the request after that says Finished."""
    session, vehicle = situation.session, situation.vehicle
    if session.pre_charge_finished:
        return Step(outcome=Outcome.DONE, session=session)
    events: tuple[Event, ...] = ()
    evse_v = _measured("EVSEPresentVoltage", response.EVSEPresentVoltage)
    if not session.pre_charge_reached and vehicle is not None:
        reached = abs(evse_v - vehicle.target_voltage_v) <= situation.config.pre_charge_tolerance_v
        if reached:
            session = replace(session, pre_charge_reached=True)
            events = (PreChargeReached(evse_present_voltage_v=evse_v),)
    return Step(
        outcome=Outcome.AGAIN,
        session=session,
        events=events,
        pause_s=situation.config.timers.ongoing_period_s,
    )


def handle_power_delivery_start(response: cm.PowerDeliveryRes, situation: Situation) -> Step:
    """A warning means that the EVSE does not do what was asked: no energy then, and a proper end."""
    if response.ResponseCode.startswith("WARNING"):
        return give_up(situation.session, f"PowerDelivery(Start) was answered {response.ResponseCode}")
    return _notified(
        Step(outcome=Outcome.DONE, session=situation.session, events=(ChargingStarted(),)), response.EVSEStatus
    )


def handle_charge_loop(response: dc.DC_ChargeLoopRes, situation: Situation) -> Step:
    mode = response.CLResControlMode
    if not isinstance(mode, dc.Dynamic_DC_CLResControlMode):
        raise RemoteProtocolError(f"{type(mode).__name__} in the charge loop of dynamic mode")
    discovered = situation.session.evse_limits
    bpt = mode if isinstance(mode, dc.BPT_Dynamic_DC_CLResControlMode) else None
    limits = DcLimits(
        max_charge_power_w=float(mode.EVSEMaximumChargePower),
        min_charge_power_w=float(mode.EVSEMinimumChargePower),
        max_charge_current_a=float(mode.EVSEMaximumChargeCurrent),
        max_voltage_v=float(mode.EVSEMaximumVoltage),
        min_voltage_v=float(bpt.EVSEMinimumVoltage) if bpt else discovered.min_voltage_v if discovered else 0.0,
        max_discharge_power_w=abs(float(bpt.EVSEMaximumDischargePower)) if bpt else 0.0,
        min_discharge_power_w=abs(float(bpt.EVSEMinimumDischargePower)) if bpt else 0.0,
        max_discharge_current_a=abs(float(bpt.EVSEMaximumDischargeCurrent)) if bpt else 0.0,
    )
    answered = ChargeLoopAnswered(
        evse_present_voltage_v=_measured("EVSEPresentVoltage", response.EVSEPresentVoltage),
        evse_present_current_a=_measured("EVSEPresentCurrent", response.EVSEPresentCurrent),
        limits=sane_loop_limits(limits, discovered),
    )
    step = Step(
        outcome=Outcome.AGAIN,
        session=situation.session,
        events=(answered,),
        pause_s=situation.config.timers.charge_loop_period_s,
    )
    return _notified(step, response.EVSEStatus)


def handle_power_delivery_stop(response: cm.PowerDeliveryRes, situation: Situation) -> Step:
    session = replace(situation.session, contactors_closed=False)
    return Step(outcome=Outcome.DONE, session=session, events=(ChargingStopped(),))


def handle_welding_detection(response: dc.DC_WeldingDetectionRes, situation: Situation) -> Step:
    """Repeats until the EVSE's output is free of voltage or the time is up; the request after that says Finished."""
    session, config = situation.session, situation.config
    if session.welding_checked:
        return Step(outcome=Outcome.DONE, session=session)
    free = float(response.EVSEPresentVoltage) < config.welding_voltage_v
    if free or situation.series_s >= config.welding_detection_s:
        return Step(outcome=Outcome.AGAIN, session=replace(session, welding_checked=True))
    return _again(situation)


def handle_session_stop(response: cm.SessionStopRes, situation: Situation) -> Step:
    return Step(outcome=Outcome.DONE, session=situation.session)


HANDLERS: dict[State, Callable[[Any, Situation], Step]] = {
    State.APP_PROTOCOL: handle_supported_app_protocol,
    State.SESSION_SETUP: handle_session_setup,
    State.AUTHORIZATION_SETUP: handle_authorization_setup,
    State.AUTHORIZATION: handle_authorization,
    State.SERVICE_DISCOVERY: handle_service_discovery,
    State.SERVICE_DETAIL: handle_service_detail,
    State.SERVICE_SELECTION: handle_service_selection,
    State.CHARGE_PARAMETER_DISCOVERY: handle_charge_parameter_discovery,
    State.SCHEDULE_EXCHANGE: handle_schedule_exchange,
    State.CABLE_CHECK: handle_cable_check,
    State.PRE_CHARGE: handle_pre_charge,
    State.POWER_DELIVERY_START: handle_power_delivery_start,
    State.CHARGE_LOOP: handle_charge_loop,
    State.POWER_DELIVERY_STOP: handle_power_delivery_stop,
    State.WELDING_DETECTION: handle_welding_detection,
    State.SESSION_STOP: handle_session_stop,
}


def _again(situation: Situation) -> Step:
    return Step(outcome=Outcome.AGAIN, session=situation.session, pause_s=situation.config.timers.ongoing_period_s)


def _notified(step: Step, status: ct.EVSEStatusType | None) -> Step:
    """Terminate and Pause stop charging; the other notifications are passed on to the owner, no more."""
    if status is None:
        return step
    notification = status.EVSENotification
    event = StopRequested(notification=str(notification), max_delay_s=status.NotificationMaxDelay)
    step = replace(step, events=(*step.events, event))
    if notification in (Notification.Terminate, Notification.Pause):
        pausing = notification is Notification.Pause
        return replace(step, session=replace(step.session, stopping=True, pausing=pausing))
    return step


def _measured(name: str, value: ct.RationalNumberType) -> float:
    if abs(float(value)) > MAX_MAGNITUDE:
        raise RemoteProtocolError(f"{name} is {float(value):g}, which nothing can have measured")
    return float(value)


def _discharge(mode: dc.DC_CPDResEnergyTransferMode) -> dict[str, float]:
    if not isinstance(mode, dc.BPT_DC_CPDResEnergyTransferMode):
        return {}
    return {
        "max_discharge_power_w": abs(float(mode.EVSEMaximumDischargePower)),
        "min_discharge_power_w": abs(float(mode.EVSEMinimumDischargePower)),
        "max_discharge_current_a": abs(float(mode.EVSEMaximumDischargeCurrent)),
        "min_discharge_current_a": abs(float(mode.EVSEMinimumDischargeCurrent)),
    }


def _integers(parameter_set: cm.ParameterSetType) -> dict[str, int]:
    """Parameters with an integer value of any width, by name. Of a name given twice the last counts."""
    values: dict[str, int] = {}
    for parameter in parameter_set.Parameter:
        for value in (parameter.intValue, parameter.shortValue, parameter.byteValue):
            if value is not None:
                values[parameter.Name] = value
    return values
