"""The life of a session, ours against ours: pause, standby, renegotiation, stop wherever it stands."""

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.commands import (
    Command,
    EnterStandby,
    LeaveStandby,
    OfferSchedules,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    StopCharging,
)
from pyiso15118.evcc import TRANSITIONS, Outcome, State
from pyiso15118.events import (
    AuthorizationRequested,
    CableCheckRequested,
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PowerProfileReceived,
    PreChargeRequested,
    RenegotiationStarted,
    ScheduleRequested,
    SchedulesOffered,
    SessionStarted,
    StandbyAnswered,
    StandbyEntered,
    StandbyLeft,
    WarningReceived,
)
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import flat_schedule

VEHICLE_CERTIFICATE, SECC_CERTIFICATE = b"certificate of the vehicle", b"certificate of the SECC"
OTHER_SESSION = bytes(range(9, 17))
Notification = ct.evseNotificationType
DC_BPT, DC, AC_BPT, AC = EnergyService.DC_BPT, EnergyService.DC, EnergyService.AC_BPT, EnergyService.AC
SERVICES = [DC_BPT, AC_BPT]
MODES = list(ControlMode)


def charging(
    pair: Any, station: Any = None, *, service: Any = DC_BPT, mode: Any = ControlMode.DYNAMIC, **more: Any
) -> Any:
    """In the loop, and staying there."""
    return pair(station, services=(service,), control_modes=(mode,), loops=10_000, **more).looped(2)


def stop(session: Any) -> Any:
    session.command(StopCharging())
    session.run()
    session.check_ended_well()
    assert (session.end.reason, session.secc_end.reason) == (EndReason.STOPPED, EndReason.STOPPED)
    return session


# ---- pause and resume ---------------------------------------------------------------------------------------------


def paused(pair: Any, station: Any, service: Any = DC_BPT, mode: Any = ControlMode.DYNAMIC) -> Any:
    session = charging(
        pair,
        station,
        service=service,
        mode=mode,
        secc={"peer_certificate": VEHICLE_CERTIFICATE},
        evcc={"peer_certificate": SECC_CERTIFICATE},
    )
    session.command(PauseCharging())
    session.run()
    session.check_ended_well()
    assert (session.end.reason, session.secc_end.reason) == (EndReason.PAUSED, EndReason.PAUSED)
    return session


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
def test_twenty_minutes_of_pause_and_the_session_goes_on(pair: Any, station: Any, service: Any, mode: Any) -> None:
    place = station()
    first = paused(pair, place, service, mode)
    session = pair(
        place,
        at=first.now + 1200.0,
        services=(service,),
        control_modes=(mode,),
        secc={"peer_certificate": VEHICLE_CERTIFICATE, "paused": first.secc.paused},
        evcc={"peer_certificate": SECC_CERTIFICATE, "paused": first.machine.paused},
        session_id=OTHER_SESSION,
    ).run()
    session.check_ended_well()
    assert session.end.reason is EndReason.STOPPED
    assert [e.resumed for e in session.told_of(SessionStarted)] == [True, True]
    assert {e.session_id for e in session.told_of(SessionStarted)} == {bytes(range(1, 9))}
    kind = "AC" if service.is_ac else "DC"
    assert session.sent[:3] == ["supportedAppProtocolReq", "SessionSetupReq", f"{kind}_ChargeParameterDiscoveryReq"]
    assert not session.told_of(AuthorizationRequested)
    assert {(e.service, e.control_mode) for e in session.told_of(EnergyServiceSelected)} == {(service, mode)}
    assert len(session.told_of(EnergyServiceSelected)) == 2
    assert len(session.loop_answers) == 3


def test_another_vehicle_with_the_old_session_id_gets_a_fresh_session(pair: Any, station: Any) -> None:
    place = station()
    first = paused(pair, place)
    session = pair(
        place,
        at=first.now + 60.0,
        secc={"peer_certificate": b"another vehicle", "paused": first.secc.paused},
        evcc={"peer_certificate": SECC_CERTIFICATE, "paused": first.machine.paused},
        session_id=OTHER_SESSION,
    ).run()
    session.check_ended_well()
    assert session.requests("SessionSetupReq")[0].Header.SessionID == bytes(range(1, 9))
    assert [e.resumed for e in session.told_of(SessionStarted)] == [False, False]
    assert {e.session_id for e in session.told_of(SessionStarted)} == {OTHER_SESSION}
    assert session.told_of(AuthorizationRequested)
    assert session.end.reason is EndReason.STOPPED


def test_a_vehicle_does_not_name_its_session_to_another_evse(pair: Any, station: Any) -> None:
    place = station()
    first = paused(pair, place)
    session = pair(
        place,
        at=first.now + 60.0,
        secc={"peer_certificate": VEHICLE_CERTIFICATE, "paused": first.secc.paused},
        evcc={"peer_certificate": b"another SECC", "paused": first.machine.paused},
        session_id=OTHER_SESSION,
    ).run()
    session.check_ended_well()
    assert session.requests("SessionSetupReq")[0].Header.SessionID == bytes(8)
    assert [e.resumed for e in session.told_of(SessionStarted)] == [False, False]
    assert session.end.reason is EndReason.STOPPED


def test_an_evse_may_ask_for_a_pause(pair: Any) -> None:
    session = charging(pair)
    session.station.update(notification=Notification.Pause, notification_max_delay_s=60)
    session.run()
    session.check_ended_well()
    assert (session.end.reason, session.secc_end.reason) == (EndReason.PAUSED, EndReason.PAUSED)


@pytest.mark.parametrize("service", SERVICES)
def test_an_evse_may_ask_for_a_pause_with_its_schedule(pair: Any, station: Any, service: Any) -> None:
    place = station()
    place.answers[ScheduleRequested] = lambda _: place.command(
        OfferSchedules(tuples=(flat_schedule(1_000.0),), go_to_pause=True)
    )
    session = pair(place, services=(service,), control_modes=(ControlMode.SCHEDULED,)).run()
    session.check_ended_well()
    assert not session.told_of(ChargingStarted)
    assert (session.end.reason, session.secc_end.reason) == (EndReason.PAUSED, EndReason.PAUSED)


def test_a_pause_that_is_not_allowed_ends_the_session(pair: Any, station: Any) -> None:
    session = charging(pair, station(pause_allowed=False))
    session.command(PauseCharging())
    session.run()
    session.check_ended_well()
    assert session.end.response_code == "FAILED_PauseNotAllowed"


# ---- standby ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_evse", [False, True])
def test_standby_is_granted_and_ended_by_either_side(pair: Any, service: Any, mode: Any, by_evse: bool) -> None:
    session = charging(pair, service=service, mode=mode)
    session.command(EnterStandby())
    session.looped(5)
    assert [e.granted for e in session.told_of(StandbyAnswered)] == [True]
    assert len(session.told_of(StandbyEntered)) == 1
    assert not session.told_of(StandbyLeft)
    if by_evse:
        session.station.update(notification=Notification.ExitStandby)
    else:
        session.command(LeaveStandby())
    session.run(stop=lambda: bool(session.told_of(StandbyLeft)))
    session.station.update(notification=None)
    session.looped(5)
    assert session.progress == ["Start", "Standby", "Start"]
    assert len(session.told_of(StandbyLeft)) == 1
    stop(session)


def test_refused_standby_leaves_charging_as_it_is(pair: Any, station: Any) -> None:
    session = charging(pair, station(standby_allowed=False))
    session.command(EnterStandby())
    session.looped(5)
    assert [e.granted for e in session.told_of(StandbyAnswered)] == [False]
    assert not session.told_of(StandbyEntered)
    assert not session.told_of(PowerDeliveryStopped)
    assert session.told_of(WarningReceived)[0].response_code == "WARNING_StandbyNotAllowed"
    stop(session)


# ---- renegotiation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_evse", [False, True])
def test_a_schedule_is_renegotiated_by_either_side(pair: Any, service: Any, mode: Any, by_evse: bool) -> None:
    session = charging(pair, service=service, mode=mode)
    session.station.tuples = (flat_schedule(4_000.0, id=9),)
    if by_evse:
        session.station.update(notification=Notification.ScheduleRenegotiation)
    else:
        session.command(RenegotiateSchedule())
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    session.station.update(notification=None)
    session.looped(5)
    assert session.progress == ["Start", "ScheduleRenegotiation", "Start"]
    assert not session.told_of(ChargingStopped)
    assert not session.told_of(PowerDeliveryStopped)
    assert [e.service for e in session.told_of(RenegotiationStarted)] == [False]
    assert len(session.told_of(PreChargeRequested)) == (0 if service.is_ac else 1)
    if mode is ControlMode.SCHEDULED:
        assert [t.id for e in session.told_of(SchedulesOffered) for t in e.tuples] == [1, 9]
        assert [e.renegotiation for e in session.told_of(ScheduleRequested)] == [False, True]
        assert session.told_of(PowerProfileReceived)[1].profile.selected_tuple_id == 9
    stop(session)


def test_a_renegotiation_without_another_schedule_keeps_the_old_one(pair: Any) -> None:
    session = charging(pair, mode=ControlMode.SCHEDULED)
    session.station.tuples = ()
    session.command(RenegotiateSchedule())
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2, max_s=30.0)
    session.looped(5)
    assert session.told_of(WarningReceived)[0].response_code == "WARNING_ScheduleRenegotiationFailed"
    assert len(session.told_of(SchedulesOffered)) == 1
    assert session.told_of(PowerProfileReceived)[-1].profile.selected_tuple_id == 1
    stop(session)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_evse", [False, True])
def test_another_dc_service_is_agreed_and_the_cable_checked_again(pair: Any, mode: Any, by_evse: bool) -> None:
    session = pair(services=(DC_BPT, DC), control_modes=(mode,), loops=10_000).looped(2)
    if by_evse:
        session.station.update(notification=Notification.ServiceRenegotiation)
    else:
        session.command(RenegotiateService(services=(DC,)))
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    session.station.update(notification=None)
    session.looped(5)
    assert [r.ChargingSession for r in session.requests("SessionStopReq")] == ["ServiceRenegotiation"]
    services = [e.service for e in session.told_of(EnergyServiceSelected)]
    assert services.count(DC_BPT if by_evse else DC) >= 2
    assert len(session.told_of(CableCheckRequested)) == 2
    assert len(session.told_of(PreChargeRequested)) == 2
    assert len(session.told_of(AuthorizationRequested)) == 1
    assert [e.service for e in session.told_of(RenegotiationStarted)] == [True]
    assert len({e.session_id for e in session.told_of(SessionStarted)}) == 1
    assert len(session.told_of(ChargingStopped)) == 1
    stop(session)


def test_another_ac_service_is_agreed(pair: Any) -> None:
    session = pair(services=(AC_BPT, AC), loops=10_000).looped(2)
    session.command(RenegotiateService(services=(AC,)))
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    session.looped(5)
    assert [e.service for e in session.told_of(EnergyServiceSelected)].count(AC) == 2
    stop(session)


# ---- stop ---------------------------------------------------------------------------------------------------------

STOPPABLE = [
    s
    for s, outcomes in TRANSITIONS.items()
    if Outcome.STOP in outcomes
    and s not in (State.SESSION_SETUP, State.CERTIFICATE_INSTALLATION, State.VALUE_ADDED_DETAIL)
]
WISHES: dict[State, Command] = {
    State.STANDBY: EnterStandby(),
    State.POWER_DELIVERY_STANDBY: EnterStandby(),
    State.POWER_DELIVERY_RENEGOTIATION: RenegotiateSchedule(),
    State.SCHEDULE_RENEGOTIATION: RenegotiateSchedule(),
}


@pytest.mark.parametrize("state", [*STOPPABLE, State.WELDING_DETECTION], ids=lambda s: s.name)
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("command", [StopCharging(), PauseCharging()], ids=lambda c: type(c).__name__)
def test_a_session_can_be_stopped_and_paused_wherever_it_stands(
    pair: Any, state: State, service: Any, command: Command
) -> None:
    if service.is_ac and state in (State.CABLE_CHECK, State.PRE_CHARGE, State.WELDING_DETECTION):
        service = DC
    session = pair(
        services=(service,),
        control_modes=(ControlMode.SCHEDULED,),
        loops=3 if state is State.WELDING_DETECTION else 10_000,
    )
    if state in WISHES:
        session.looped()
        session.command(WISHES[state])
    session.run(stop=lambda: session.machine.state is state)
    assert session.machine.state is state
    nothing_yet = not session.machine.session.transfer.is_selected
    if isinstance(command, PauseCharging) and (nothing_yet or state is State.WELDING_DETECTION):
        command = StopCharging()
    session.command(command)
    session.run()
    session.check_ended_well()
    expected = EndReason.PAUSED if isinstance(command, PauseCharging) else EndReason.STOPPED
    assert (session.end.reason, session.secc_end.reason) == (expected, expected)


def test_a_wish_to_discharge_is_seen_on_the_other_side(pair: Any) -> None:
    session = pair(services=(DC_BPT,), control_modes=(ControlMode.SCHEDULED,))
    session.vehicle["dc"] = replace(session.vehicle["dc"], target_current_a=-20.0)
    session.run()
    session.check_ended_well()
    loops = [e for e in session.station.events if type(e).__name__ == "DcChargeLoopReceived"]
    assert {e.target_current_a for e in loops} == {-20.0}
    (received,) = session.told_of(PowerProfileReceived)
    assert received.profile.slots[0].power_w == -10_000
    assert session.told_of(PowerDeliveryStarted)
