"""Responses between service selection and the charge loop, and after it."""

from __future__ import annotations

from dataclasses import replace

from pyiso15118.checks import limits_problem
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.errors import RemoteProtocolError
from pyiso15118.evcc.session import Ending, Session, Situation, Step
from pyiso15118.evcc.steering import ending, settled
from pyiso15118.evcc.steps import again, give_up, measured, notified, phases
from pyiso15118.evcc.transitions import Outcome
from pyiso15118.events import (
    ZERO_POWER,
    AcLimits,
    AcPower,
    ChargingStarted,
    ChargingStopped,
    DcLimits,
    EnergyNeeds,
    Event,
    EvseLimitsReceived,
    MobilityNeedsMode,
    MobilityNeedsReceived,
    PreChargeReached,
    PreChargeStarted,
    SchedulesOffered,
    StandbyAnswered,
    StopRequested,
)
from pyiso15118.messages import ac, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import profile_problem, tuples_from_message

Code = ct.responseCodeType
Processing = ct.processingType


# ---- parameter discovery ------------------------------------------------------------------------------------------


def handle_charge_parameter_discovery(
    response: dc.DC_ChargeParameterDiscoveryRes | ac.AC_ChargeParameterDiscoveryRes, situation: Situation
) -> Step:
    session = situation.session
    limits: DcLimits | AcLimits
    frequency_hz = None
    if session.is_der and isinstance(response, ac.AC_ChargeParameterDiscoveryRes):
        from pyiso15118.evcc.der import handle_charge_parameter_discovery as handle_der

        return handle_der(response, situation)
    if isinstance(response, ac.AC_ChargeParameterDiscoveryRes):
        _check_kind(response.AC_CPDResEnergyTransferMode, ac.BPT_AC_CPDResEnergyTransferMode, session)
        limits = ac_limits(response.AC_CPDResEnergyTransferMode, bpt=session.service.is_bpt)
        frequency_hz = measured("EVSENominalFrequency", response.AC_CPDResEnergyTransferMode.EVSENominalFrequency)
    else:
        _check_kind(response.DC_CPDResEnergyTransferMode, dc.BPT_DC_CPDResEnergyTransferMode, session)
        limits = _dc_limits(response.DC_CPDResEnergyTransferMode)
    if problem := limits_problem(limits):
        return give_up(session, f"the EVSE's {problem}")
    event = EvseLimitsReceived(limits=limits, nominal_frequency_hz=frequency_hz)
    session = replace(session, transfer=replace(session.transfer, evse_limits=limits))
    vehicle = situation.vehicle
    if isinstance(vehicle, UpdateDcVehicle) and isinstance(limits, DcLimits):
        target_v = vehicle.target_voltage_v
        if target_v > limits.max_voltage_v:
            why = f"the EVSE goes up to {limits.max_voltage_v:g} V, the vehicle needs {target_v:g} V"
            return replace(give_up(session, why), events=(event,))
    return Step(outcome=Outcome.DONE, session=session, events=(event,))


def _check_kind(mode: object, bpt_type: type[object], session: Session) -> None:
    if isinstance(mode, bpt_type) is not session.service.is_bpt:
        raise RemoteProtocolError(f"{type(mode).__name__} does not belong to the selected service")


def _dc_limits(mode: dc.DC_CPDResEnergyTransferMode) -> DcLimits:
    limits = DcLimits(
        max_charge_power_w=float(mode.EVSEMaximumChargePower),
        min_charge_power_w=float(mode.EVSEMinimumChargePower),
        max_charge_current_a=float(mode.EVSEMaximumChargeCurrent),
        min_charge_current_a=float(mode.EVSEMinimumChargeCurrent),
        max_voltage_v=float(mode.EVSEMaximumVoltage),
        min_voltage_v=float(mode.EVSEMinimumVoltage),
    )
    if not isinstance(mode, dc.BPT_DC_CPDResEnergyTransferMode):
        return limits
    return replace(
        limits,
        max_discharge_power_w=abs(float(mode.EVSEMaximumDischargePower)),
        min_discharge_power_w=abs(float(mode.EVSEMinimumDischargePower)),
        max_discharge_current_a=abs(float(mode.EVSEMaximumDischargeCurrent)),
        min_discharge_current_a=abs(float(mode.EVSEMinimumDischargeCurrent)),
    )


def ac_limits(mode: ac.AC_CPDResEnergyTransferMode, *, bpt: bool) -> AcLimits:
    """Discharge limits are magnitudes, whatever their sign on the wire."""
    limits = AcLimits(
        max_charge_power=phases(mode, "EVSEMaximumChargePower") or ZERO_POWER,
        min_charge_power=phases(mode, "EVSEMinimumChargePower") or ZERO_POWER,
    )
    if not bpt:
        return limits
    has_least = hasattr(mode, "EVSEMinimumDischargePower")
    return replace(
        limits,
        max_discharge_power=_magnitude(phases(mode, "EVSEMaximumDischargePower")),
        min_discharge_power=_magnitude(phases(mode, "EVSEMinimumDischargePower") if has_least else None),
    )


def _magnitude(power: AcPower | None) -> AcPower:
    if power is None:
        return ZERO_POWER
    l2, l3 = power.l2, power.l3
    return AcPower(abs(power.l1), None if l2 is None else abs(l2), None if l3 is None else abs(l3))


# ---- schedule -----------------------------------------------------------------------------------------------------


def handle_schedule_exchange(response: cm.ScheduleExchangeRes, situation: Situation) -> Step:
    if response.EVSEProcessing is not Processing.Finished:
        return again(situation)
    return _scheduled(response, situation, Outcome.SKIP if situation.session.is_ac else Outcome.DONE)


def handle_schedule_renegotiation(response: cm.ScheduleExchangeRes, situation: Situation) -> Step:
    """A warning means that no other schedule was found: the old one holds."""
    if response.ResponseCode.startswith("WARNING"):
        return Step(outcome=Outcome.DONE, session=situation.session)
    if response.EVSEProcessing is not Processing.Finished:
        return again(situation)
    return _scheduled(response, situation, Outcome.DONE)


def _scheduled(response: cm.ScheduleExchangeRes, situation: Situation, outcome: Outcome) -> Step:
    session, transfer = situation.session, situation.session.transfer
    mode = response.Scheduled_SEResControlMode if session.is_scheduled else response.Dynamic_SEResControlMode
    if mode is None:
        kind = "scheduled" if session.is_scheduled else "dynamic"
        raise RemoteProtocolError(f"ScheduleExchangeRes without what belongs to {kind} mode")
    events: tuple[Event, ...] = ()
    pause_s = 0.0
    if isinstance(mode, cm.Scheduled_SEResControlModeType):
        tuples = tuple(offer.starting(situation.secc_unix_s) for offer in tuples_from_message(mode))
        chosen = transfer.chosen
        if chosen is not None and profile_problem(chosen, tuples) is not None:
            chosen = None
        session = replace(session, transfer=replace(transfer, offered=tuples, chosen=chosen, profile=None))
        events = (SchedulesOffered(tuples=tuples),)
        # Without the steps of DC in between, the owner would have no time to choose.
        pause_s = situation.config.timers.ongoing_period_s if outcome is Outcome.SKIP or transfer.charging else 0.0
    elif session.parameters.mobility_needs_mode is MobilityNeedsMode.BY_SECC:
        needs = EnergyNeeds(
            departure_time_s=mode.DepartureTime, min_soc_pct=mode.MinimumSOC, target_soc_pct=mode.TargetSOC
        )
        events = (MobilityNeedsReceived(needs=needs),)
    if response.GoToPause:
        session = ending(session, Ending.PAUSE)
        events += (StopRequested(notification=str(ct.evseNotificationType.Pause), max_delay_s=0),)
    return Step(outcome=outcome, session=session, events=events, pause_s=pause_s)


# ---- DC -----------------------------------------------------------------------------------------------------------


def handle_cable_check(response: dc.DC_CableCheckRes, situation: Situation) -> Step:
    if response.EVSEProcessing is not Processing.Finished:
        return again(situation)
    return Step(outcome=Outcome.DONE, session=situation.session, events=(PreChargeStarted(),))


def handle_pre_charge(response: dc.DC_PreChargeRes, situation: Situation) -> Step:
    """Repeats until both voltages match and the contactors are closed; the request after that says Finished."""
    session, vehicle, transfer = situation.session, situation.vehicle, situation.session.transfer
    if transfer.pre_charge_finished:
        return Step(outcome=Outcome.DONE, session=session)
    events: tuple[Event, ...] = ()
    evse_v = measured("EVSEPresentVoltage", response.EVSEPresentVoltage)
    if not transfer.pre_charge_reached and isinstance(vehicle, UpdateDcVehicle):
        reached = abs(evse_v - vehicle.target_voltage_v) <= situation.config.pre_charge_tolerance_v
        if reached:
            session = replace(session, transfer=replace(transfer, pre_charge_reached=True))
            events = (PreChargeReached(evse_present_voltage_v=evse_v),)
    return replace(again(situation), session=session, events=events)


def handle_welding_detection(response: dc.DC_WeldingDetectionRes, situation: Situation) -> Step:
    """Repeats until the EVSE's output is free of voltage or the time is up; the request after that says Finished."""
    session, config = situation.session, situation.config
    if session.transfer.welding_checked:
        return Step(outcome=Outcome.DONE, session=session)
    free = float(response.EVSEPresentVoltage) < config.welding_voltage_v
    if free or situation.series_s >= config.welding_detection_s:
        session = replace(session, transfer=replace(session.transfer, welding_checked=True))
        return Step(outcome=Outcome.AGAIN, session=session)
    return again(situation)


# ---- power delivery -----------------------------------------------------------------------------------------------


def handle_power_delivery_start(response: cm.PowerDeliveryRes, situation: Situation) -> Step:
    """A warning means that the EVSE does not do what was asked: no energy then, and a proper end.

    But not the one by which it takes note that the vehicle does not keep to its tolerance ([V2G20-1946]).
    """
    session, transfer = situation.session, situation.session.transfer
    code = response.ResponseCode
    declined = transfer.profile is not None and transfer.profile.tolerance_accepted is False
    if code.startswith("WARNING") and not (code is Code.WARNING_PowerToleranceNotConfirmed and declined):
        return give_up(session, f"PowerDelivery(Start) was answered {code}")
    if not transfer.start_finished:
        if situation.series_s >= situation.config.timers.ongoing_s:
            return give_up(session, "no schedule was selected in time")
        return notified(again(situation), response.EVSEStatus)
    session = replace(
        session,
        transfer=replace(transfer, charging=True, chosen=None, start_finished=False),
        wishes=replace(session.wishes, leave_standby=False),
    )
    step = Step(outcome=Outcome.DONE, session=session, events=(ChargingStarted(),))
    return notified(step, response.EVSEStatus)


def handle_power_delivery_standby(response: cm.PowerDeliveryRes, situation: Situation) -> Step:
    """A refusal is a warning, and charging goes on."""
    session = situation.session
    granted = not response.ResponseCode.startswith("WARNING")
    session = replace(session, wishes=replace(session.wishes, standby=False))
    step = Step(
        outcome=Outcome.DONE if granted else Outcome.AGAIN,
        session=session,
        events=(StandbyAnswered(granted=granted),),
    )
    return notified(step, response.EVSEStatus)


def handle_power_delivery_renegotiation(response: cm.PowerDeliveryRes, situation: Situation) -> Step:
    """A refusal is a warning, and charging goes on by the old schedule."""
    session = situation.session
    refused = response.ResponseCode.startswith("WARNING")
    session = replace(session, wishes=replace(session.wishes, schedule=False))
    step = Step(outcome=Outcome.AGAIN if refused else Outcome.DONE, session=session)
    return notified(step, response.EVSEStatus)


def handle_power_delivery_stop(response: cm.PowerDeliveryRes, situation: Situation) -> Step:
    session = situation.session
    session = replace(
        session,
        transfer=replace(session.transfer, contactors_closed=False, charging=False),
        wishes=settled(session.wishes),
    )
    outcome = Outcome.SKIP if session.is_ac else Outcome.DONE
    return Step(outcome=outcome, session=session, events=(ChargingStopped(),))
