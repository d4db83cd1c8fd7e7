"""The vehicle's side: a whole session, its timers, and an EVSE that does not behave."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118 import exi
from pyiso15118.commands import Abort, Authorize, ContactorsClosed, StopCharging, UpdateVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import TRANSITIONS, EvccConfig, EvccMachine, Outcome, State
from pyiso15118.evcc.handlers import HANDLERS
from pyiso15118.evcc.requests import BUILDERS
from pyiso15118.events import (
    AuthorizationRequested,
    CableCheckRequested,
    ChargeLoopAnswered,
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    EndReason,
    EnergyService,
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
from pyiso15118.messages import Namespace, ac
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import DC_SERVICES
from pyiso15118.timers import EvccTimers, SeccTimers
from pyiso15118.v2gtp import PayloadType, encode_frame, payload_type_of

rational = ct.RationalNumberType.of


def end(session: Any) -> SessionEnded:
    last = session.evcc_events[-1]
    assert isinstance(last, SessionEnded)
    return last


def requests_sent(session: Any) -> list[str]:
    return [e.name for e in session.evcc_events if isinstance(e, MessageSent)]


def drain(machine: EvccMachine) -> list[Any]:
    events = []
    while (event := machine.next_event()) is not None:
        events.append(event)
    return events


def test_whole_session_tells_its_owner_everything_in_order(pair: Any) -> None:
    session = pair(loops=2).run()
    assert [type(e) for e in session.evcc_told] == [
        ProtocolAgreed,
        SessionStarted,
        EnergyServiceSelected,
        EvseLimitsReceived,
        PreChargeStarted,
        PreChargeReached,
        ChargingStarted,
        ChargeLoopAnswered,
        ChargeLoopAnswered,
        ChargingStopped,
        SessionEnded,
    ]
    assert end(session).reason is EndReason.STOPPED


def test_requests_follow_the_dc_sequence(pair: Any) -> None:
    names = requests_sent(pair(loops=2).run())
    once = [n for i, n in enumerate(names) if i == 0 or n != names[i - 1]]
    assert once == [
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


def test_the_last_pre_charge_and_welding_requests_say_finished(pair: Any) -> None:
    sent = [e.message for e in pair().run().evcc_events if isinstance(e, MessageSent)]
    for name in ("DC_PreChargeReq", "DC_WeldingDetectionReq"):
        processing = [m.EVProcessing for m in sent if type(m).__name__ == name]
        assert processing[-1] == "Finished"
        assert set(processing[:-1]) == {"Ongoing"}


def test_loop_requests_go_out_well_within_a_quarter_second_of_each_response(pair: Any) -> None:
    session = pair(loops=5)
    session.run()
    loop = [e for e in session.evcc_told if isinstance(e, ChargeLoopAnswered)]
    assert len(loop) == 5
    assert EvccTimers().charge_loop_period_s == 0.2
    assert 4 * 0.2 <= session.now - 1000.0 < 4 * 0.2 + 0.15


def test_the_evses_limits_are_magnitudes_whatever_their_sign(pair: Any) -> None:
    session = pair(secc={"negative_discharge_limits": True}).run()
    told = {type(e): e for e in session.evcc_told}
    assert told[EvseLimitsReceived].limits.max_discharge_power_w == 20_000
    assert told[ChargeLoopAnswered].limits.max_discharge_power_w == 20_000


def test_the_first_wanted_service_that_is_offered_is_taken(pair: Any) -> None:
    session = pair(secc={"services": (DC_SERVICES[1],)}).run()
    selected = next(e for e in session.evcc_told if isinstance(e, EnergyServiceSelected))
    assert selected.service is EnergyService.DC


def test_no_common_service_ends_the_session_properly(pair: Any) -> None:
    session = pair(evcc={"services": (EnergyService.DC_BPT,)}, secc={"services": (DC_SERVICES[1],)}).run()
    assert requests_sent(session)[-1] == "SessionStopReq"
    assert end(session).reason is EndReason.FAILED_BY_US
    assert "none that this vehicle wants" in end(session).detail


def test_refused_authorization_ends_the_session_properly(pair: Any) -> None:
    session = pair()
    session.secc.answers[AuthorizationRequested] = lambda _: session.secc.command(Authorize(granted=False))
    session.run()
    assert requests_sent(session)[-1] == "SessionStopReq"
    assert "WARNING_EIMAuthorizationFailure" in end(session).detail


def test_the_wish_of_the_evse_to_stop_is_followed(pair: Any) -> None:
    session = pair(loops=1000)
    session.run(stop=lambda: sum(isinstance(e, ChargeLoopAnswered) for e in session.evcc_events) == 3)
    session.secc.update(notify_stop=True)
    session.run()
    stop = next(e for e in session.evcc_told if isinstance(e, StopRequested))
    assert (stop.notification, stop.max_delay_s) == ("Terminate", 0)
    assert end(session).reason is EndReason.STOPPED


@pytest.mark.parametrize(
    "state",
    [
        State.AUTHORIZATION,
        State.SERVICE_SELECTION,
        State.CABLE_CHECK,
        State.PRE_CHARGE,
        State.POWER_DELIVERY_START,
        State.CHARGE_LOOP,
        State.WELDING_DETECTION,
    ],
)
def test_charging_can_be_stopped_in_any_state(pair: Any, state: State) -> None:
    session = pair(loops=3 if state is State.WELDING_DETECTION else 1000)
    session.run(stop=lambda: session.evcc.state is state)
    assert session.evcc.state is state
    session.evcc.command(StopCharging(), session.now)
    session.run()
    assert requests_sent(session)[-1] == "SessionStopReq"
    assert end(session).reason is EndReason.STOPPED
    assert session.secc.end.reason is EndReason.STOPPED


def test_stopping_before_the_session_exists_just_ends_it(vehicle: UpdateVehicle) -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    machine.start(0.0)
    machine.command(StopCharging(), 0.1)
    assert [type(e) for e in drain(machine)] == [MessageSent, SessionEnded]
    assert machine.closed


def test_abort_while_charging_opens_the_contactors_first(pair: Any) -> None:
    session = pair(loops=1000)
    session.run(stop=lambda: session.evcc.state is State.CHARGE_LOOP)
    session.evcc.command(Abort(reason="crash sensor"), session.now)
    told = drain(session.evcc)
    assert [type(e) for e in told[-2:]] == [ChargingStopped, SessionEnded]
    assert told[-1].reason is EndReason.ABORTED


def test_a_failed_response_ends_the_session_with_its_code(pair: Any) -> None:
    session = pair(loops=1000)
    session.run(stop=lambda: session.evcc.state is State.CHARGE_LOOP)
    session.secc.update(fault="overtemperature")
    session.run()
    assert [type(e) for e in session.evcc_told[-2:]] == [ChargingStopped, SessionEnded]
    assert (end(session).reason, end(session).response_code) == (EndReason.FAILED_BY_PEER, "FAILED")


def test_vehicle_data_may_come_late(pair: Any, vehicle: UpdateVehicle) -> None:
    session = pair()
    session.evcc.start(session.now)
    session.run(max_s=1.0)
    assert session.evcc.state is State.CHARGE_PARAMETER_DISCOVERY
    session.evcc.command(vehicle, session.now)
    assert end(session.run()).reason is EndReason.STOPPED


# ---- timers ----


def silent(pair: Any, state: State) -> tuple[Any, float]:
    """A session whose SECC falls silent when ``state`` has just asked; and since when."""
    session = pair(loops=1000)
    session.run(stop=lambda: session.evcc.state is state)
    while session.evcc._send_at is not None:
        session.now = session.evcc.next_deadline()
        session.evcc.handle_timer(session.now)
    return session.evcc, session.now


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (State.AUTHORIZATION_SETUP, 2.0),
        (State.SERVICE_DETAIL, 5.0),
        (State.CHARGE_PARAMETER_DISCOVERY, 2.0),
        (State.POWER_DELIVERY_START, 2.0),
        (State.CHARGE_LOOP, 0.5),
    ],
)
def test_a_missing_response_ends_the_session(pair: Any, state: State, seconds: float) -> None:
    machine, since = silent(pair, state)
    drain(machine)
    machine.handle_timer(since + seconds - 0.01)
    assert not machine.closed
    machine.handle_timer(since + seconds + 0.01)
    told = drain(machine)
    assert told[-1].reason is EndReason.TIMEOUT_EVCC
    assert any(isinstance(e, ChargingStopped) for e in told) is (
        state in (State.CHARGE_LOOP, State.POWER_DELIVERY_START)
    )


def test_an_evse_that_stays_ongoing_is_given_up(pair: Any) -> None:
    session = pair(secc={"timers": SeccTimers(ongoing_s=900)})
    del session.secc.answers[AuthorizationRequested]
    session.run()
    assert end(session).reason is EndReason.TIMEOUT_EVCC
    assert 60.0 <= session.now - 1000.0 < 61.0


def test_a_cable_check_without_end_is_given_up(pair: Any) -> None:
    timers = SeccTimers(cable_check_s=900)
    session = pair(secc={"timers": timers})
    del session.secc.answers[CableCheckRequested]
    session.run()
    assert end(session).reason is EndReason.TIMEOUT_EVCC
    assert "DC_CableCheck" in end(session).detail
    assert 40.0 <= session.now - 1000.0 < 41.0


def test_a_pre_charge_that_never_arrives_is_given_up(pair: Any) -> None:
    session = pair()
    session.secc.answers = {k: v for k, v in session.secc.answers.items() if k.__name__ != "PreChargeRequested"}
    session.run()
    assert end(session).reason is EndReason.TIMEOUT_EVCC
    assert "DC_PreCharge" in end(session).detail
    assert not any(isinstance(e, ChargingStarted) for e in session.evcc_events)


def test_setup_is_bounded_as_a_whole() -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    machine.start(0.0)
    assert machine.next_deadline() == 2.0
    machine.handle_timer(2.0)
    assert machine.closed


# ---- a SECC that does not behave ----


def answer(session: Any, message: Any) -> None:
    names = Namespace.DC if type(message).__name__.startswith("DC_") else Namespace.COMMON_MESSAGES
    session.evcc.receive_data(encode_frame(payload_type_of(names), exi.encode(message)), session.now)


def waiting(pair: Any, state: State) -> Any:
    session = pair(loops=1000)
    session.run(stop=lambda: session.evcc.state is state)
    assert session.evcc._awaiting
    return session


def test_a_response_of_the_wrong_kind_ends_the_session(pair: Any) -> None:
    session = waiting(pair, State.SERVICE_DISCOVERY)
    header = ct.MessageHeaderType(SessionID=bytes(range(1, 9)), TimeStamp=1)
    answer(session, cm.ServiceSelectionRes(Header=header, ResponseCode=ct.responseCodeType.OK))
    told = drain(session.evcc)
    assert told[-1].reason is EndReason.FAILED_BY_PEER
    assert "ServiceSelectionRes arrived where ServiceDiscoveryRes was expected" in told[-1].detail


def test_an_ac_response_in_a_dc_session_ends_the_session(pair: Any) -> None:
    session = waiting(pair, State.CHARGE_LOOP)
    response = ac.AC_ChargeLoopRes(
        Header=ct.MessageHeaderType(SessionID=bytes(range(1, 9)), TimeStamp=1),
        ResponseCode=ct.responseCodeType.OK,
        CLResControlMode=ac.Scheduled_AC_CLResControlMode(),
    )
    session.evcc.receive_data(encode_frame(PayloadType.AC, exi.encode(response)), session.now)
    told = drain(session.evcc)
    assert [type(e) for e in told[-2:]] == [ChargingStopped, SessionEnded]
    assert told[-1].reason is EndReason.FAILED_BY_PEER
    assert "AC_ChargeLoopRes arrived where DC_ChargeLoopRes was expected" in told[-1].detail


def test_a_foreign_session_id_in_a_response_ends_the_session(pair: Any) -> None:
    session = waiting(pair, State.SERVICE_SELECTION)
    header = ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=1)
    answer(session, cm.ServiceSelectionRes(Header=header, ResponseCode=ct.responseCodeType.OK))
    assert "not this session's" in drain(session.evcc)[-1].detail


def test_two_responses_to_one_request_end_the_session(pair: Any) -> None:
    session = pair(loops=1000)
    session.run(stop=lambda: session.evcc.state is State.CHARGE_LOOP and session.loops_left < 999)
    last = next(e for e in reversed(session.evcc_events) if isinstance(e, MessageReceived))
    answer(session, last.message)
    assert drain(session.evcc)[-1].reason is EndReason.FAILED_BY_PEER


def test_garbage_ends_the_session(pair: Any) -> None:
    session = waiting(pair, State.CABLE_CHECK)
    session.evcc.receive_data(b"HTTP/1.1 200 OK\r\n", session.now)
    assert drain(session.evcc)[-1].reason is EndReason.PROTOCOL_ERROR


def test_a_parameter_set_of_dynamic_mode_provided_by_the_vehicle_is_preferred(pair: Any) -> None:
    session = waiting(pair, State.SERVICE_DETAIL)

    def parameter_set(set_id: int, **values: int) -> cm.ParameterSetType:
        parameters = [cm.ParameterType(Name=n, intValue=v) for n, v in values.items()]
        return cm.ParameterSetType(ParameterSetID=set_id, Parameter=parameters)

    sets = [
        parameter_set(1, ControlMode=ControlMode.SCHEDULED, MobilityNeedsMode=1),
        parameter_set(2, ControlMode=ControlMode.DYNAMIC, MobilityNeedsMode=2),
        parameter_set(3, ControlMode=ControlMode.DYNAMIC, MobilityNeedsMode=1),
    ]
    header = ct.MessageHeaderType(SessionID=bytes(range(1, 9)), TimeStamp=1)
    answer(
        session,
        cm.ServiceDetailRes(
            Header=header,
            ResponseCode=ct.responseCodeType.OK,
            ServiceID=6,
            ServiceParameterList=cm.ServiceParameterListType(ParameterSet=sets),
        ),
    )
    sent = drain(session.evcc)[-1]
    assert sent.message.SelectedEnergyTransferService.ParameterSetID == 3


def test_a_service_without_dynamic_mode_leads_to_the_next_one(pair: Any) -> None:
    session = waiting(pair, State.SERVICE_DETAIL)
    header = ct.MessageHeaderType(SessionID=bytes(range(1, 9)), TimeStamp=1)
    scheduled = cm.ParameterSetType(ParameterSetID=1, Parameter=[cm.ParameterType(Name="ControlMode", intValue=1)])
    response = cm.ServiceDetailRes(
        Header=header,
        ResponseCode=ct.responseCodeType.OK,
        ServiceID=6,
        ServiceParameterList=cm.ServiceParameterListType(ParameterSet=[scheduled]),
    )
    answer(session, response)
    assert drain(session.evcc)[-1].message.ServiceID == 2
    answer(session, msgspec.structs.replace(response, ServiceID=2))
    assert isinstance(drain(session.evcc)[-1].message, cm.SessionStopReq)


# ---- owner's nonsense, and the table ----


def test_commands_that_make_no_sense_are_refused(vehicle: UpdateVehicle) -> None:
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
    [({"evccid": ""}, "evccid"), ({"services": ()}, "at least one"), ({"services": (EnergyService.AC,)}, "AC is not")],
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
