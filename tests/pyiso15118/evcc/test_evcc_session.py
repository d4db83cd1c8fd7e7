"""The vehicle's side: a whole session, its timers, and an EVSE that does not behave."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118.commands import (
    Abort,
    Authorize,
    ContactorsClosed,
    EnterStandby,
    RenegotiateSchedule,
    StopCharging,
    UpdateAcVehicle,
    UpdateDcVehicle,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import TRANSITIONS, EvccConfig, EvccMachine, Outcome, State
from pyiso15118.evcc.handlers import HANDLERS
from pyiso15118.evcc.requests import BUILDERS
from pyiso15118.events import (
    ChargingStarted,
    ChargingStopped,
    DcChargeLoopAnswered,
    EndReason,
    EnergyServiceSelected,
    EvseLimitsReceived,
    MessageReceived,
    MessageSent,
    PreChargeReached,
    PreChargeStarted,
    ProtocolAgreed,
    SessionEnded,
    SessionStarted,
    StopRequested,
)
from pyiso15118.messages import ac
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.timers import EvccTimers

Code = ct.responseCodeType
ONGOING = ct.processingType.Ongoing
rational = ct.RationalNumberType.of
SESSION_ID = bytes(range(1, 9))


def drain(machine: EvccMachine) -> list[Any]:
    events = []
    while (event := machine.next_event()) is not None:
        events.append(event)
    return events


def header(session_id: bytes = SESSION_ID) -> ct.MessageHeaderType:
    return ct.MessageHeaderType(SessionID=session_id, TimeStamp=1)


def changing(**changes: Any) -> Any:
    return lambda message: msgspec.structs.replace(message, **changes)


def test_whole_session_tells_its_owner_everything_in_order(bench: Any) -> None:
    session = bench(loops=2).run()
    assert session.told_kinds == [
        ProtocolAgreed,
        SessionStarted,
        EnergyServiceSelected,
        EvseLimitsReceived,
        PreChargeStarted,
        PreChargeReached,
        ChargingStarted,
        DcChargeLoopAnswered,
        DcChargeLoopAnswered,
        ChargingStopped,
        SessionEnded,
    ]
    assert session.end.reason is EndReason.STOPPED


def test_requests_follow_the_dc_sequence(bench: Any) -> None:
    assert bench(loops=2).run().sent_once == [
        "supportedAppProtocolReq",
        "SessionSetupReq",
        "AuthorizationSetupReq",
        "AuthorizationReq",
        "ServiceDiscoveryReq",
        "ServiceDetailReq",
        "ServiceSelectionReq",
        "DC_ChargeParameterDiscoveryReq",
        "ScheduleExchangeReq",
        "DC_CableCheckReq",
        "DC_PreChargeReq",
        "PowerDeliveryReq",
        "DC_ChargeLoopReq",
        "PowerDeliveryReq",
        "DC_WeldingDetectionReq",
        "SessionStopReq",
    ]


def test_the_last_pre_charge_and_welding_requests_say_finished(bench: Any) -> None:
    session = bench().run()
    for name in ("DC_PreChargeReq", "DC_WeldingDetectionReq"):
        processing = [m.EVProcessing for m in session.requests(name)]
        assert processing[-1] == "Finished"
        assert set(processing[:-1]) == {"Ongoing"}


def test_loop_requests_go_out_well_within_a_quarter_second_of_each_response(bench: Any) -> None:
    session = bench(loops=5).run()
    assert len(session.loop_answers) == 5
    assert EvccTimers().charge_loop_period_s == 0.2
    assert 4 * 0.2 <= session.now - 1000.0 < 4 * 0.2 + 0.15


def test_the_evses_limits_are_magnitudes_whatever_their_sign(bench: Any, evse: Any) -> None:
    station = evse()
    station.sign = -1
    session = bench(station).run()
    assert session.told_of(EvseLimitsReceived)[0].limits.max_discharge_power_w == 20_000
    assert session.loop_answers[0].limits.max_discharge_power_w == 20_000
    assert session.loop_answers[0].limits.max_discharge_current_a == 70


def test_a_vehicle_may_send_its_discharge_limits_negative(bench: Any) -> None:
    for negative, sign in ((False, 1), (True, -1)):
        session = bench(negative_discharge_limits=negative).run()
        mode = session.requests("DC_ChargeParameterDiscoveryReq")[0].DC_CPDReqEnergyTransferMode
        assert float(mode.EVMaximumDischargePower) == sign * 10_000
        loop = session.requests("DC_ChargeLoopReq")[0].CLReqControlMode
        assert float(loop.EVMaximumDischargeCurrent) == sign * 30


def test_refused_authorization_ends_the_session_properly(bench: Any) -> None:
    session = bench()
    session.evse.bend("AuthorizationRes", changing(ResponseCode=Code.WARNING_EIMAuthorizationFailure))
    session.run()
    assert session.sent[-1] == "SessionStopReq"
    assert session.end.reason is EndReason.FAILED_BY_US
    assert "WARNING_EIMAuthorizationFailure" in session.end.detail


def test_the_wish_of_the_evse_to_stop_is_followed(bench: Any) -> None:
    session = bench(loops=1000).looped(3)
    session.evse.notification = ct.evseNotificationType.Terminate
    session.run()
    (stop,) = session.told_of(StopRequested)
    assert (stop.notification, stop.max_delay_s) == ("Terminate", 7)
    assert session.end.reason is EndReason.STOPPED
    assert session.requests("SessionStopReq")[0].ChargingSession == "Terminate"


STOPPABLE = [
    s
    for s, outcomes in TRANSITIONS.items()
    if Outcome.STOP in outcomes and s not in (State.SESSION_SETUP, State.CERTIFICATE_INSTALLATION)
]
"""Certificate installation is reached with a provisioning credential only and tested with Plug and Charge."""
PAUSING = {
    State.AUTHORIZATION: "AuthorizationRes",
    State.SCHEDULE_EXCHANGE: "ScheduleExchangeRes",
    State.CABLE_CHECK: "DC_CableCheckRes",
    State.PRE_CHARGE: None,
    State.CHARGE_LOOP: None,
    State.STANDBY: None,
    State.SCHEDULE_RENEGOTIATION: "ScheduleExchangeRes",
    State.WELDING_DETECTION: None,
}
"""States in which a request waits before it goes out again, and the response to make them so."""
WISHES = {
    State.STANDBY: EnterStandby(),
    State.POWER_DELIVERY_STANDBY: EnterStandby(),
    State.POWER_DELIVERY_RENEGOTIATION: RenegotiateSchedule(),
    State.SCHEDULE_RENEGOTIATION: RenegotiateSchedule(),
}


@pytest.mark.parametrize(
    ("state", "awaiting"), [(s, True) for s in [*STOPPABLE, State.WELDING_DETECTION]] + [(s, False) for s in PAUSING]
)
def test_charging_can_be_stopped_in_any_state(bench: Any, scheduled: Any, state: State, awaiting: bool) -> None:
    """Whether its request is out or waits before it goes out again."""
    scheduled.value_added = [65]
    welding = state is State.WELDING_DETECTION
    session = bench(scheduled, loops=3 if welding else 1000, value_added=(65,))
    if state in WISHES:
        session.looped()
        session.command(WISHES[state])
    machine = session.machine
    if welding:
        session.evse.bend("DC_WeldingDetectionRes", changing(EVSEPresentVoltage=rational(300)))
    if not awaiting and (name := PAUSING[state]):
        session.run(stop=lambda: machine.state is state)
        session.evse.bend(name, changing(EVSEProcessing=ONGOING))
    session.run(stop=lambda: machine.state is state and (awaiting or machine._send_at is not None))
    assert machine.state is state
    session.command(StopCharging())
    session.run()
    assert [r.ChargingSession for r in session.requests("SessionStopReq")] == ["Terminate"]
    assert session.sent[-1] == "SessionStopReq"
    assert session.end.reason is EndReason.STOPPED
    assert session.told_of(ChargingStopped) or not session.told_of(ChargingStarted)


def test_stopping_before_the_session_exists_just_ends_it() -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    machine.start(0.0)
    machine.command(StopCharging(), 0.1)
    assert [type(e) for e in drain(machine)] == [MessageSent, SessionEnded]
    assert machine.closed


def test_abort_while_charging_opens_the_contactors_first(bench: Any) -> None:
    session = bench(loops=1000).looped()
    session.command(Abort(reason="crash sensor"))
    told = drain(session.machine)
    assert [type(e) for e in told[-2:]] == [ChargingStopped, SessionEnded]
    assert told[-1].reason is EndReason.ABORTED


def test_a_failed_response_ends_the_session_with_its_code(bench: Any) -> None:
    session = bench(loops=1000).looped()
    session.evse.bend("DC_ChargeLoopRes", changing(ResponseCode=Code.FAILED))
    session.run()
    assert session.told_kinds[-2:] == [ChargingStopped, SessionEnded]
    assert (session.end.reason, session.end.response_code) == (EndReason.FAILED_BY_PEER, "FAILED")


def test_vehicle_data_may_come_late(bench: Any, vehicle: UpdateDcVehicle, ac_vehicle: UpdateAcVehicle) -> None:
    session = bench().start(vehicle=False).run(max_s=1.0)
    assert session.machine.state is State.CHARGE_PARAMETER_DISCOVERY
    session.command(ac_vehicle)
    assert session.run(max_s=1.0).machine.state is State.CHARGE_PARAMETER_DISCOVERY, "an AC vehicle is no DC vehicle"
    session.command(vehicle)
    assert session.run().end.reason is EndReason.STOPPED


def test_vehicle_data_that_never_comes_ends_the_session(bench: Any) -> None:
    session = bench().start(vehicle=False).run()
    assert session.end.reason is EndReason.TIMEOUT_EVCC
    assert "no vehicle state" in session.end.detail


# ---- timers ----


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (State.AUTHORIZATION_SETUP, 2.0),
        (State.SERVICE_DETAIL, 5.0),
        (State.VALUE_ADDED_DETAIL, 5.0),
        (State.CHARGE_PARAMETER_DISCOVERY, 2.0),
        (State.POWER_DELIVERY_START, 2.0),
        (State.CHARGE_LOOP, 0.5),
    ],
)
def test_a_missing_response_ends_the_session(bench: Any, evse: Any, state: State, seconds: float) -> None:
    station = evse()
    station.value_added = [65]
    session = bench(station, loops=1000, value_added=(65,)).until(state)
    machine, since = session.machine, session.now
    drain(machine)
    machine.handle_timer(since + seconds - 0.01)
    assert not machine.closed
    machine.handle_timer(since + seconds + 0.01)
    told = drain(machine)
    assert told[-1].reason is EndReason.TIMEOUT_EVCC
    assert any(isinstance(e, ChargingStopped) for e in told) is (
        state in (State.CHARGE_LOOP, State.POWER_DELIVERY_START)
    )


@pytest.mark.parametrize(
    ("name", "seconds", "what"),
    [
        ("AuthorizationRes", 60.0, "Authorization"),
        ("ScheduleExchangeRes", 60.0, "ScheduleExchange"),
        ("DC_CableCheckRes", 40.0, "DC_CableCheck"),
    ],
)
def test_an_evse_that_stays_ongoing_is_given_up(bench: Any, name: str, seconds: float, what: str) -> None:
    session = bench()
    session.evse.bend(name, changing(EVSEProcessing=ONGOING))
    session.run()
    assert session.end.reason is EndReason.TIMEOUT_EVCC
    assert f"{what} was not finished in time" in session.end.detail
    assert seconds <= session.now - 1000.0 < seconds + 1.0


def test_a_pre_charge_that_never_arrives_is_given_up(bench: Any) -> None:
    session = bench()
    session.evse.bend("DC_PreChargeRes", changing(EVSEPresentVoltage=rational(100)))
    session.run()
    assert session.end.reason is EndReason.TIMEOUT_EVCC
    assert "DC_PreCharge" in session.end.detail
    assert not session.told_of(ChargingStarted)


def test_setup_is_bounded_as_a_whole() -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    machine.start(0.0)
    assert machine.next_deadline() == 2.0
    machine.handle_timer(2.0)
    assert machine.closed


# ---- a SECC that does not behave ----


def test_a_response_of_the_wrong_kind_ends_the_session(bench: Any) -> None:
    session = bench().until(State.SERVICE_DISCOVERY)
    session.feed(cm.ServiceSelectionRes(Header=header(), ResponseCode=Code.OK))
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert "ServiceSelectionRes arrived where ServiceDiscoveryRes was expected" in session.end.detail


def test_an_ac_response_in_a_dc_session_ends_the_session(bench: Any) -> None:
    session = bench(loops=1000).until(State.CHARGE_LOOP)
    session.feed(
        ac.AC_ChargeLoopRes(Header=header(), ResponseCode=Code.OK, CLResControlMode=ac.Scheduled_AC_CLResControlMode())
    )
    assert session.told_kinds[-2:] == [ChargingStopped, SessionEnded]
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert "AC_ChargeLoopRes arrived where DC_ChargeLoopRes was expected" in session.end.detail


def test_a_foreign_session_id_in_a_response_ends_the_session(bench: Any) -> None:
    session = bench().until(State.SERVICE_SELECTION)
    session.feed(cm.ServiceSelectionRes(Header=header(bytes(8)), ResponseCode=Code.OK))
    assert "not this session's" in session.end.detail


def test_two_responses_to_one_request_end_the_session(bench: Any) -> None:
    session = bench(loops=1000).looped()
    last = next(e for e in reversed(session.events) if isinstance(e, MessageReceived))
    session.feed(last.message)
    assert session.end.reason is EndReason.FAILED_BY_PEER


def test_garbage_ends_the_session(bench: Any) -> None:
    session = bench().until(State.CABLE_CHECK)
    session.machine.receive_data(b"HTTP/1.1 200 OK\r\n", session.now)
    assert drain(session.machine)[-1].reason is EndReason.PROTOCOL_ERROR


# ---- owner's nonsense, and the table ----


def test_commands_that_make_no_sense_are_refused(vehicle: UpdateDcVehicle) -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    with pytest.raises(LocalProtocolError, match="before PreChargeReached"):
        machine.command(ContactorsClosed(), 0.0)
    with pytest.raises(LocalProtocolError, match="no command for an EVCC"):
        machine.command(Authorize(granted=True), 0.0)
    with pytest.raises(LocalProtocolError, match="present_soc_pct is 101"):
        machine.command(replace(vehicle, present_soc_pct=101), 0.0)
    with pytest.raises(LocalProtocolError, match="target_voltage_v is inf"):
        machine.command(replace(vehicle, target_voltage_v=float("inf")), 0.0)
    machine.start(0.0)
    with pytest.raises(LocalProtocolError, match="started already"):
        machine.start(1.0)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"evccid": ""}, "evccid"),
        ({"services": ()}, "services is empty"),
        ({"control_modes": ()}, "control_modes is empty"),
        ({"bpt_channels": ()}, "bpt_channels is empty"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        EvccConfig(**({"evccid": "X"} | changes))


def test_every_state_of_the_table_is_reached_built_and_handled() -> None:
    working = set(State) - {State.IDLE, State.ENDED}
    assert set(TRANSITIONS) == set(State)
    assert set(BUILDERS) == set(HANDLERS) == working
    assert {to for outcomes in TRANSITIONS.values() for to in outcomes.values()} == set(State) - {State.IDLE}
    assert all(Outcome.DONE in TRANSITIONS[s] for s in working - {State.CHARGE_LOOP})


def test_what_leads_to_the_end_ends() -> None:
    """From every state the STOP outcomes lead to SessionStop without a loop."""
    for state in TRANSITIONS:
        seen = [state]
        while Outcome.STOP in TRANSITIONS[seen[-1]]:
            seen.append(TRANSITIONS[seen[-1]][Outcome.STOP])
            assert len(seen) < 4
        if len(seen) > 1:
            assert seen[-1] in (State.SESSION_STOP, State.POWER_DELIVERY_STOP)


# ---- time ----


@pytest.mark.parametrize(
    ("stamp", "secc_unix_s"),
    [
        (1_800_000_000_000_000, 1_800_000_000),
        (1_800_000_000, 1_800_000_000),
        (2**64 - 1, 1_700_001_000),
        (0, 1_700_001_000),
    ],
)
def test_after_session_setup_the_vehicle_counts_by_the_seccs_clock(
    bench: Any, evse: Any, stamp: int, secc_unix_s: int
) -> None:
    """In seconds, as several stacks stamp, or in microseconds; its own clock where the SECC's cannot be."""
    station = evse()
    station.time_stamp = stamp
    session = bench(station).run()
    first, setup, after, *_ = [r.message for r in session.events if isinstance(r, MessageSent)]
    assert not hasattr(first, "Header")
    assert setup.Header.TimeStamp // 1_000_000 == 1_700_001_000
    assert after.Header.TimeStamp // 1_000_000 == secc_unix_s
