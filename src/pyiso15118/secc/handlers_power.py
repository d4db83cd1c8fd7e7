"""PowerDelivery: energy starts, rests, is renegotiated and stops; the vehicle's power profile.

Contactors and voltage are asked of the owner and never assumed: a start waits for them and fails without.
"""

from __future__ import annotations

from msgspec.structs import replace

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.events import (
    BptChannel,
    ContactorRequested,
    Event,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PowerProfileReceived,
    RenegotiationStarted,
    StandbyEntered,
    StandbyLeft,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules import PowerProfile, PowerWatch, ScheduleTuple, profile_problem, tolerance_code
from pyiso15118.secc.answers import Code, Processing, ac_evse, dc_evse, evse_status, failed, stale
from pyiso15118.secc.config import SeccConfig
from pyiso15118.secc.limits_dc import target_problem
from pyiso15118.secc.session import Hold, Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome, State

Progress = cm.chargeProgressType


def handle_power_delivery(request: cm.PowerDeliveryReq, situation: Situation) -> Reply | Hold:
    """Start, Stop, Standby, ScheduleRenegotiation, as the state permits.

    Standby and renegotiation are granted from the charge loop, elsewhere declined with a warning, and the session goes
    on. Stop is served always.
    """
    match request.ChargeProgress:
        case Progress.Stop:
            return _stop(request, situation)
        case Progress.Start if situation.state is not State.CABLE_CHECK:
            pass
        case _ if situation.state is State.SCHEDULE_RENEGOTIATION:
            pass
        case Progress.Standby:
            return _standby(situation)
        case Progress.ScheduleRenegotiation:
            return _renegotiate(situation)
    if situation.state in (State.CABLE_CHECK, State.SCHEDULE_RENEGOTIATION):
        detail = f"PowerDelivery({request.ChargeProgress}) arrived where {situation.state.value} was expected"
        return failed(request, Code.FAILED_SequenceError, detail, situation)
    return _start(request, situation)


def _standby(situation: Situation) -> Reply:
    session = situation.session
    if situation.state is State.STANDBY:
        return _reply(Code.OK, Outcome.AGAIN, situation)
    if situation.state is not State.CHARGE_LOOP or not situation.config.standby_allowed:
        return _reply(Code.WARNING_StandbyNotAllowed, Outcome.AGAIN, situation)
    evse = dc_evse(situation)
    # Contactors are closed yet: the EVSE's voltage is the battery's.
    voltage_v = None if evse is None else evse.present_voltage_v
    resting = replace(session, charging=False, standby=True, standby_voltage_v=voltage_v)
    return _reply(Code.OK, Outcome.STANDBY, replace(situation, session=resting), (StandbyEntered(),))


def _renegotiate(situation: Situation) -> Reply:
    if situation.state is not State.CHARGE_LOOP:
        return _reply(Code.WARNING_ScheduleRenegotiationFailed, Outcome.AGAIN, situation)
    events = (RenegotiationStarted(service=False),)
    afresh = replace(situation.session, schedule_since=None)
    return _reply(Code.OK, Outcome.RENEGOTIATE, replace(situation, session=afresh), events)


def _start(request: cm.PowerDeliveryReq, situation: Situation) -> Reply | Hold:
    """The profile is judged before any contactor closes: what is refused must not energise the outlet."""
    session, finished = situation.session, request.EVProcessing is Processing.Finished
    evse = situation.evse
    if evse is not None and evse.fault is not None:
        return failed(request, Code.FAILED_PowerDeliveryNotApplied, f"EVSE fault: {evse.fault}", situation)
    try:
        profile = None if request.EVPowerProfile is None else PowerProfile.from_message(request.EVPowerProfile)
    except RemoteProtocolError as error:
        return failed(request, Code.FAILED_EVPowerProfileInvalid, str(error), situation)
    if profile is not None and (problem := _profile_problem(profile, session)):
        return failed(request, problem[0], problem[1], situation)
    if finished and profile is None and session.is_scheduled and (session.profile_due or session.profile is None):
        detail = "PowerDelivery(Start) without a power profile, which scheduled mode needs"
        return failed(request, Code.FAILED_EVPowerProfileInvalid, detail, situation)
    events: tuple[Event, ...] = ()
    if session.is_ac and not session.live:
        events = (ContactorRequested(),)
        session = replace(session, live=True, energized=True)
        situation = replace(situation, session=session)
    if not finished:
        return _reply(Code.OK, Outcome.AGAIN, situation, events)
    if not session.charging:
        obstacle = _ac_obstacle(situation) if session.is_ac else _dc_obstacle(situation)
        if obstacle is not None:
            code, detail, final = obstacle
            if not final and not situation.held_out:
                return Hold(for_s=situation.config.power_delivery_hold_s, session=session, events=events)
            return failed(request, code, detail, situation, events)
    return _started(request, profile, situation, events)


def _started(
    request: cm.PowerDeliveryReq, profile: PowerProfile | None, situation: Situation, events: tuple[Event, ...]
) -> Reply:
    session, state = situation.session, situation.state
    code = Code.OK
    if profile is not None:
        code = tolerance_code(profile)
        events = (*events, PowerProfileReceived(profile=profile))
        watch = _watch(profile, session.offered, situation.config)
        obedience = replace(session.obedience, off_plan_since=None)
        session = replace(session, profile=profile, profile_due=False, watch=watch, obedience=obedience)
    channel = _channel(request, session)
    if session.standby:
        events = (*events, StandbyLeft())
    if state is State.POWER_DELIVERY or channel != session.channel:
        events = (*events, PowerDeliveryStarted(channel=channel))
    session = replace(session, charging=True, standby=False, standby_voltage_v=None, channel=channel)
    outcome = Outcome.AGAIN if state is State.CHARGE_LOOP else Outcome.START
    return _reply(code, outcome, replace(situation, session=session), events)


def _profile_problem(profile: PowerProfile, session: Session) -> tuple[Code, str] | None:
    if profile.selected_tuple_id is None and session.is_scheduled:
        return Code.FAILED_ScheduleSelectionInvalid, "a power profile of dynamic mode, scheduled mode was selected"
    problem = profile_problem(profile, session.offered)
    return None if problem is None else (problem.code, problem.reason)


def _watch(profile: PowerProfile, offered: tuple[ScheduleTuple, ...], config: SeccConfig) -> PowerWatch | None:
    chosen = next((offer for offer in offered if offer.id == profile.selected_tuple_id), None)
    if chosen is None:
        return None
    schedules = [s for s in (chosen.charging, chosen.discharging) if s is not None]
    most_w = max(abs(slot.total_w) for schedule in schedules for slot in schedule.power.slots)
    return PowerWatch(profile, chosen, margin_w=config.limit_tolerance_w + config.limit_tolerance * most_w)


def _channel(request: cm.PowerDeliveryReq, session: Session) -> str | None:
    """With separate channels the one chosen; charging where the vehicle does not say, so that nothing is discharged
    unasked."""
    parameters, offer = session.parameter_set, session.offer
    if parameters is None or offer is None or not offer.service.has_bpt_parameters:
        return None
    if parameters.bpt_channel is not BptChannel.SEPARATED:
        return None
    return str(request.BPT_ChannelSelection or cm.channelSelectionType.Charge)


Obstacle = tuple[Code, str, bool]
"""Why energy cannot flow yet: code, words, and whether waiting is in vain."""


def _dc_obstacle(situation: Situation) -> Obstacle | None:
    evse, session, config = dc_evse(situation), situation.session, situation.config
    target_v = session.pre_charge_target_v or 0.0
    if session.standby and session.standby_voltage_v is not None:
        target_v = session.standby_voltage_v
    if problem := target_problem(target_v, situation):
        return Code.FAILED_PowerDeliveryNotApplied, problem, True
    if evse is None:
        return Code.FAILED_PowerDeliveryNotApplied, stale(situation, "PowerDelivery"), False
    if not evse.contactors_closed:
        return Code.FAILED_ContactorError, "the EVSE's contactors are open", False
    if abs(evse.present_voltage_v - target_v) <= config.pre_charge_tolerance_v:
        return None
    what = "voltage after standby" if session.standby else "pre-charge"
    detail = (
        f"{what} out of tolerance: {evse.present_voltage_v:.1f} V at the EVSE, {target_v:.1f} V asked for, "
        f"±{config.pre_charge_tolerance_v:g} V allowed"
    )
    return Code.FAILED_PowerDeliveryNotApplied, detail, False


def _ac_obstacle(situation: Situation) -> Obstacle | None:
    evse = ac_evse(situation)
    if evse is None:
        return Code.FAILED_PowerDeliveryNotApplied, stale(situation, "PowerDelivery"), False
    if not evse.contactor_closed:
        return Code.FAILED_ContactorError, "the EVSE's contactor is open", False
    return None


def _stop(request: cm.PowerDeliveryReq, situation: Situation) -> Reply | Hold:
    """OK once current (DC) or contactor (AC) are off; FAILED if that takes too long or cannot be seen: the vehicle must
    know. Where energy never could flow there is nothing to wait for."""
    session, config = situation.session, situation.config
    outcome = Outcome.SKIP if session.is_ac else Outcome.STOP
    events: tuple[Event, ...] = ()
    if session.live:
        events = (PowerDeliveryStopped(reason="the vehicle asked to stop"),)
        session = session.stopped()
    off, code, detail = (_ac_is_off if session.is_ac else _dc_is_off)(situation)
    if off or not session.energized:
        cold = replace(situation, session=replace(session, energized=False))
        return _reply(Code.OK, outcome, cold, events)
    if not situation.held_out:
        return Hold(for_s=config.power_delivery_hold_s, session=session, events=events)
    return failed(request, code, detail, replace(situation, session=session), events)


def _dc_is_off(situation: Situation) -> tuple[bool, Code, str]:
    evse, config = dc_evse(situation), situation.config
    code = Code.FAILED_PowerDeliveryNotApplied
    if evse is None:
        return False, code, stale(situation, "PowerDelivery(Stop)")
    detail = (
        f"{evse.present_current_a:.1f} A still flow {config.power_delivery_hold_s:g} s after PowerDelivery(Stop), "
        f"±{config.stop_current_a:g} A allowed"
    )
    return abs(evse.present_current_a) <= config.stop_current_a, code, detail


def _ac_is_off(situation: Situation) -> tuple[bool, Code, str]:
    evse, hold_s = ac_evse(situation), situation.config.power_delivery_hold_s
    if evse is None:
        return False, Code.FAILED_PowerDeliveryNotApplied, stale(situation, "PowerDelivery(Stop)")
    detail = f"the EVSE's contactor is still closed {hold_s:g} s after PowerDelivery(Stop)"
    return not evse.contactor_closed, Code.FAILED_ContactorError, detail


def _reply(code: Code, outcome: Outcome, situation: Situation, events: tuple[Event, ...] = ()) -> Reply:
    return Reply(
        response=cm.PowerDeliveryRes(
            Header=situation.header, ResponseCode=code, EVSEStatus=evse_status(situation.evse)
        ),
        session=situation.session,
        outcome=outcome,
        events=events,
    )
