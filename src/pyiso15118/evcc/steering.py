"""Where a session goes next: the table of transitions, bent by what owner and EVSE want. And how they come to want it.

Pure functions of the session; the machine applies them.
"""

from __future__ import annotations

from dataclasses import replace

from pyiso15118.commands import (
    Command,
    ContactorsClosed,
    EnterStandby,
    LeaveStandby,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    SelectSchedule,
    StopCharging,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc.session import Ending, Session, Wishes
from pyiso15118.evcc.transitions import TRANSITIONS, Outcome, State
from pyiso15118.events import EnergyService
from pyiso15118.protocols import protocol_of
from pyiso15118.schedules import PowerProfile, profile_problem

CHARGING = frozenset(
    {
        State.POWER_DELIVERY_START,
        State.CHARGE_LOOP,
        State.POWER_DELIVERY_STANDBY,
        State.STANDBY,
        State.POWER_DELIVERY_RENEGOTIATION,
        State.SCHEDULE_RENEGOTIATION,
    }
)
"""Where standby and renegotiation can be asked for."""
BEFORE_START = frozenset(
    {
        State.CABLE_CHECK,
        State.PRE_CHARGE,
        State.POWER_DELIVERY_START,
    }
)
"""Where the schedules last offered await the vehicle's choice."""


def following(state: State, session: Session, outcome: Outcome) -> State:
    """The state after ``state`` was answered with ``outcome``. A wish to stop comes first."""
    table = TRANSITIONS[state]
    if session.stopping and Outcome.STOP in table:
        outcome = Outcome.STOP
    elif state is State.CHARGE_LOOP and session.wishes.schedule:
        outcome = Outcome.RENEGOTIATE
    elif state is State.CHARGE_LOOP and session.wishes.standby:
        outcome = Outcome.STANDBY
    elif state is State.STANDBY and (session.wishes.leave_standby or session.wishes.schedule):
        outcome = Outcome.DONE
    return _passed_over(table[outcome], session)


def redirected(state: State, session: Session) -> State:
    """Where a session goes whose next request is not out yet, after its owner has spoken."""
    if not session.stopping and state in (State.CHARGE_LOOP, State.STANDBY):
        return following(state, session, Outcome.AGAIN)
    return _passed_over(state, session)


def _passed_over(state: State, session: Session) -> State:
    """Nothing but what leads to the end, where the vehicle wants to stop."""
    while session.stopping and Outcome.STOP in TRANSITIONS[state]:
        state = TRANSITIONS[state][Outcome.STOP]
    return state


def ending(session: Session, how: Ending) -> Session:
    """End the present energy transfer, unless a stronger reason has been given already."""
    return replace(session, ending=max(session.ending, how))


def ordered(session: Session, state: State, command: Command) -> Session:
    """The session after its owner's command. Raises :class:`LocalProtocolError` where it is out of place."""
    match command:
        case ContactorsClosed():
            if not session.transfer.pre_charge_reached:
                raise LocalProtocolError("ContactorsClosed before PreChargeReached")
            return replace(session, transfer=replace(session.transfer, contactors_closed=True))
        case StopCharging():
            return ending(session, Ending.TERMINATE)
        case PauseCharging():
            if not session.transfer.is_selected or session.stop_sent is Ending.RENEGOTIATE:
                raise LocalProtocolError("PauseCharging before EnergyServiceSelected: there is nothing to resume yet")
            return ending(session, Ending.PAUSE)
        case SelectSchedule():
            return _selected(session, state, command.profile)
        case EnterStandby():
            _check_charging(session, state, command)
            return replace(session, wishes=replace(session.wishes, standby=True, leave_standby=False))
        case LeaveStandby():
            return _leaving_standby(session, state, command)
        case RenegotiateSchedule():
            _check_charging(session, state, command)
            return replace(session, wishes=replace(session.wishes, schedule=True))
        case RenegotiateService():
            _check_charging(session, state, command)
            return _renegotiating(session, command.services)
        case _:
            raise LocalProtocolError(f"{type(command).__name__} is no command for an EVCC")


def _check_charging(session: Session, state: State, command: Command) -> None:
    name = type(command).__name__
    if session.stopping:
        raise LocalProtocolError(f"{name}: charging is about to stop")
    if state not in CHARGING:
        raise LocalProtocolError(f"{name}: possible only while charging, between ChargingStarted and ChargingStopped")


def _leaving_standby(session: Session, state: State, command: Command) -> Session:
    _check_charging(session, state, command)
    wishes = session.wishes
    if state in (State.POWER_DELIVERY_STANDBY, State.STANDBY):
        return replace(session, wishes=replace(wishes, standby=False, leave_standby=True))
    if not wishes.standby:
        raise LocalProtocolError("LeaveStandby: the session is not in standby")
    return replace(session, wishes=replace(wishes, standby=False))


def _renegotiating(session: Session, services: tuple[int, ...]) -> Session:
    if not session.renegotiable:
        raise LocalProtocolError("RenegotiateService: the EVSE does not support it")
    try:
        wanted = tuple(EnergyService(service) for service in services)
    except ValueError:
        raise LocalProtocolError(f"RenegotiateService: services {services!r} are not all energy services") from None
    for service in wanted:
        if protocol_of(service) is not session.protocol:
            kind = session.protocol.rpartition(":")[2]
            raise LocalProtocolError(
                f"RenegotiateService: this session speaks {kind}, {service.name} needs another one"
            )
    return ending(replace(session, wishes=replace(session.wishes, services=wanted)), Ending.RENEGOTIATE)


def _selected(session: Session, state: State, profile: PowerProfile) -> Session:
    """The plan for the next PowerDelivery(Start); one given while charging is for the next offer, and judged by it."""
    if not isinstance(profile, PowerProfile):
        raise LocalProtocolError(f"SelectSchedule.profile is {profile!r}, must be PowerProfile")
    if session.transfer.parameters is None or not session.is_scheduled:
        raise LocalProtocolError("SelectSchedule: there are no schedules but in scheduled mode")
    if profile.selected_tuple_id is None:
        raise LocalProtocolError("SelectSchedule.profile names no schedule tuple")
    profile.to_message("SelectSchedule.profile")
    if state in BEFORE_START and session.transfer.profile is None:
        problem = profile_problem(profile, session.transfer.offered)
        if problem is not None:
            raise LocalProtocolError(f"SelectSchedule: {problem.reason}")
    return replace(session, transfer=replace(session.transfer, chosen=profile))


def settled(wishes: Wishes) -> Wishes:
    """What is left to be wished for once energy has stopped."""
    return Wishes(services=wishes.services)
