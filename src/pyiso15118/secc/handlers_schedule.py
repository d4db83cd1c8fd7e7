"""ScheduleExchange: the vehicle's needs, the owner's schedules or mobility needs, at the start and while charging.

The same handler answers on the main stream and beside the charge loop, where it never waits. Schedules offered beside
the loop are selected by the next PowerDelivery; in dynamic mode what was said holds at once.
"""

from __future__ import annotations

from msgspec.structs import replace

from pyiso15118.commands import OfferSchedules, SetMobilityNeeds
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.events import (
    ControlMode,
    EnergyNeeds,
    EnergyNeedsReceived,
    Event,
    MobilityNeedsMode,
    RenegotiationStarted,
    ScheduleRequested,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules import DynamicSchedule, EnergyOffer, ScheduleNeeds, tuples_to_message
from pyiso15118.secc.answers import Code, Processing, failed
from pyiso15118.secc.needs import needs_problem, owner_needs, schedule_needs
from pyiso15118.secc.session import Hold, Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome, State


def handle_schedule_exchange(request: cm.ScheduleExchangeReq, situation: Situation) -> Reply | Hold:
    """Ongoing until the owner answers; FAILED if it offers nothing, or nothing in time.

    While charging the schedules offered before go on instead, with WARNING_ScheduleRenegotiationFailed. Dynamic mode
    with needs by the vehicle has nothing to wait for.
    """
    session, config = situation.session, situation.config
    try:
        needs, offer = _read(request, session)
    except RemoteProtocolError as error:
        return failed(request, Code.FAILED, str(error), situation)
    again = situation.side or situation.state is State.SCHEDULE_RENEGOTIATION
    events: tuple[Event, ...] = ()
    since = session.schedule_since
    if since is None:
        since = situation.now
        session = replace(session, schedule_since=since, max_points=request.MaximumSupportingPoints)
        events = _first_events(request, needs, offer, session, again=again, side=situation.side)
    situation = replace(situation, session=session)
    waits = session.is_scheduled or session.owner_has_needs
    answer = session.schedule_answer if waits else None
    refused = isinstance(answer, OfferSchedules) and not answer.tuples
    if refused or (waits and answer is None and situation.now - since >= config.timers.ongoing_s):
        detail = "no schedule was offered"
        if not refused:
            detail = f"the owner answered ScheduleRequested not within {config.timers.ongoing_s:g} s"
        return _unchanged(request, situation, events, detail, again=again)
    if waits and answer is None:
        if not situation.held_out:
            return Hold(for_s=config.response_hold_s, session=session, events=events)
        return _response(Code.OK, situation, events, Processing.Ongoing)
    done = replace(session, schedule_since=None, schedule_answer=None)
    if isinstance(answer, OfferSchedules):
        tuples = tuple(offered.starting(situation.unix_s) for offered in answer.tuples)
        done = replace(done, offered=tuples, profile_due=True)
    try:
        return _response(Code.OK, replace(situation, session=done), events, answer=answer)
    except LocalProtocolError as error:
        return failed(request, Code.FAILED, f"what the owner offered cannot be sent: {error}", situation, events)


def _read(request: cm.ScheduleExchangeReq, session: Session) -> tuple[EnergyNeeds, EnergyOffer | None]:
    dynamic, scheduled = request.Dynamic_SEReqControlMode, request.Scheduled_SEReqControlMode
    if session.is_scheduled:
        if scheduled is None:
            raise RemoteProtocolError("ScheduleExchangeReq of dynamic mode, scheduled mode was selected")
        wanted = ScheduleNeeds.from_message(scheduled)
        return (
            EnergyNeeds(
                departure_time_s=wanted.departure_time_s,
                target_energy_wh=wanted.target_energy_wh,
                max_energy_wh=wanted.max_energy_wh,
                min_energy_wh=wanted.min_energy_wh,
            ),
            wanted.offer,
        )
    if dynamic is None:
        raise RemoteProtocolError("ScheduleExchangeReq of scheduled mode, dynamic mode was selected")
    needs = schedule_needs(dynamic)
    if problem := needs_problem(needs):
        raise RemoteProtocolError(problem)
    return needs, None


def _first_events(
    request: cm.ScheduleExchangeReq,
    needs: EnergyNeeds,
    offer: EnergyOffer | None,
    session: Session,
    *,
    again: bool,
    side: bool,
) -> tuple[Event, ...]:
    events: list[Event] = [RenegotiationStarted(service=False)] if side else []
    events.append(EnergyNeedsReceived(needs=needs))
    if session.is_scheduled or session.owner_has_needs:
        events.append(
            ScheduleRequested(
                control_mode=ControlMode.SCHEDULED if session.is_scheduled else ControlMode.DYNAMIC,
                mobility_needs_mode=MobilityNeedsMode.BY_SECC if session.owner_has_needs else MobilityNeedsMode.BY_EVCC,
                needs=needs,
                max_supporting_points=request.MaximumSupportingPoints,
                energy_offer=offer,
                renegotiation=again,
            )
        )
    return tuple(events)


def _unchanged(
    request: cm.ScheduleExchangeReq, situation: Situation, events: tuple[Event, ...], detail: str, *, again: bool
) -> Reply:
    if not again:
        return failed(request, Code.FAILED, detail, situation, events)
    done = replace(situation.session, schedule_since=None, schedule_answer=None)
    return _response(Code.WARNING_ScheduleRenegotiationFailed, replace(situation, session=done), events)


def _response(
    code: Code,
    situation: Situation,
    events: tuple[Event, ...],
    processing: Processing = Processing.Finished,
    answer: OfferSchedules | SetMobilityNeeds | None = None,
) -> Reply:
    """Raises :class:`LocalProtocolError` for schedules that cannot be sent."""
    session = situation.session
    dynamic: cm.Dynamic_SEResControlModeType | None = None
    scheduled: cm.Scheduled_SEResControlModeType | None = None
    if session.is_scheduled and session.offered and processing is Processing.Finished:
        scheduled = tuples_to_message(session.offered, max_points=session.max_points)
    else:
        dynamic = dynamic_schedule(situation).to_message()
    outcome = Outcome.AGAIN
    if processing is Processing.Finished:
        passes_cable_check = session.is_ac and situation.state is State.SCHEDULE_EXCHANGE
        outcome = Outcome.SKIP if passes_cable_check else Outcome.DONE
    return Reply(
        response=cm.ScheduleExchangeRes(
            Header=situation.header,
            ResponseCode=code,
            EVSEProcessing=processing,
            GoToPause=True if answer is not None and answer.go_to_pause else None,
            Dynamic_SEResControlMode=dynamic,
            Scheduled_SEResControlMode=scheduled,
        ),
        session=session,
        outcome=outcome,
        events=events,
    )


def dynamic_schedule(situation: Situation) -> DynamicSchedule:
    """What dynamic mode says: the needs only where the SECC provides them, prices wherever there are any."""
    session = situation.session
    if session.mobility is None or session.is_scheduled:
        return DynamicSchedule()
    needs = owner_needs(session, situation.now)
    schedule = DynamicSchedule(
        departure_time_s=needs.departure_time_s,
        min_soc_pct=needs.min_soc_pct,
        target_soc_pct=needs.target_soc_pct,
        prices=session.mobility.prices,
    )
    return schedule.starting(situation.unix_s)
