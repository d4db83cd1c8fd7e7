"""A whole session against our own vehicle, and what every step of it answers."""

from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.commands import Abort, Authorize
from pyiso15118.events import (
    AuthorizationRequested,
    CableCheckRequested,
    ControlMode,
    DcChargeLoopReceived,
    EndReason,
    EnergyNeedsReceived,
    EnergyService,
    EnergyServiceSelected,
    FrameIgnored,
    MessageReceived,
    MessageSent,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    ProtocolAgreed,
    SessionEnded,
    SessionStarted,
    VehicleLimitsReceived,
)
from pyiso15118.messages import app_protocol
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State
from pyiso15118.v2gtp import encode_frame

Code = ct.responseCodeType
DC_STATES = [s for s in State if s not in (State.SESSION_STOP, State.ENDED)]


def charged(bench: Any, loops: int = 3) -> Any:
    """A whole session."""
    bench.reach(State.CHARGE_LOOP)
    for _ in range(loops):
        bench.ask(bench.request(State.CHARGE_LOOP))
    bench.deliver(cm.chargeProgressType.Stop)
    if bench.machine.state is State.WELDING_DETECTION:
        bench.ask(bench.request(State.WELDING_DETECTION))
    bench.ask(bench.request(State.SESSION_STOP))
    assert bench.end.reason is EndReason.STOPPED
    return bench


def test_whole_session_tells_its_owner_everything_in_order(secc_bench: Any) -> None:
    assert [type(e) for e in charged(secc_bench()).told] == [
        ProtocolAgreed,
        SessionStarted,
        AuthorizationRequested,
        EnergyServiceSelected,
        VehicleLimitsReceived,
        EnergyNeedsReceived,
        CableCheckRequested,
        PreChargeRequested,
        PowerDeliveryStarted,
        DcChargeLoopReceived,
        DcChargeLoopReceived,
        DcChargeLoopReceived,
        PowerDeliveryStopped,
        SessionEnded,
    ]


def test_every_response_is_announced_after_its_request(secc_bench: Any) -> None:
    bench = charged(secc_bench())
    names = [e.name for e in bench.events if isinstance(e, MessageReceived | MessageSent)]
    assert len(names) % 2 == 0
    for request, response in zip(names[::2], names[1::2], strict=True):
        assert response == request.removesuffix("Req") + "Res"


def test_session_values_reach_the_owner(secc_bench: Any) -> None:
    told = {type(e): e for e in charged(secc_bench()).told}
    assert told[SessionStarted] == SessionStarted(
        session_id=bytes(range(1, 9)), evccid="WMIV1234567890ABCDEX", evse_id="US*V2G*E1"
    )
    assert told[EnergyServiceSelected] == EnergyServiceSelected(
        service=EnergyService.DC_BPT, control_mode=ControlMode.DYNAMIC, parameter_set_id=1
    )
    assert told[VehicleLimitsReceived].limits.max_discharge_power_w == 10_000
    assert told[EnergyNeedsReceived].needs.departure_time_s == 7200
    loop = told[DcChargeLoopReceived]
    assert (loop.limits.max_discharge_current_a, loop.needs.target_energy_wh, loop.target_current_a) == (
        30,
        20_000,
        None,
    )


def test_what_the_vehicle_displays_reaches_the_owner(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    display = ct.DisplayParametersType(
        PresentSOC=50, MinimumSOC=20, TargetSOC=90, BatteryEnergyCapacity=ct.RationalNumberType.of(60_000)
    )
    bench.ask(bench.request(State.CHARGE_LOOP, DisplayParameters=display))
    loop = bench.told[-1]
    assert (loop.present_soc_pct, loop.battery_capacity_wh) == (50, 60_000)
    assert (loop.needs.min_soc_pct, loop.needs.target_soc_pct) == (20, 90)


def test_discharge_current_reaches_the_vehicle_negative(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(present_current_a=-25.0)
    assert float(bench.ask(bench.request(State.CHARGE_LOOP)).EVSEPresentCurrent) == -25


def test_plain_dc_is_served_without_discharge(secc_bench: Any) -> None:
    told = {type(e): e for e in charged(secc_bench(service=EnergyService.DC)).told}
    assert told[EnergyServiceSelected].service is EnergyService.DC
    assert told[DcChargeLoopReceived].limits.max_discharge_power_w == 0


# ---- supportedAppProtocol and SessionSetup ----


def protocol(namespace: str, priority: int, schema_id: int, major: int = 1, minor: int = 0) -> Any:
    return app_protocol.AppProtocolType(
        ProtocolNamespace=namespace,
        VersionNumberMajor=major,
        VersionNumberMinor=minor,
        SchemaID=schema_id,
        Priority=priority,
    )


DC = "urn:iso:std:iso:15118:-20:DC"


@pytest.mark.parametrize(
    ("offer", "code", "schema_id"),
    [
        ([("urn:din:70121:2012:MsgDef", 1, 1, 2, 0), (DC, 2, 9, 1, 0)], "OK_SuccessfulNegotiation", 9),
        ([(DC, 3, 1, 1, 0), (DC, 2, 2, 1, 0)], "OK_SuccessfulNegotiation", 2),
        ([(DC, 1, 4, 1, 5)], "OK_SuccessfulNegotiationWithMinorDeviation", 4),
        ([(DC, 1, 4, 2, 0)], "Failed_NoNegotiation", None),
        ([("urn:iso:std:iso:15118:-20:AC", 1, 1, 1, 0)], "Failed_NoNegotiation", None),
    ],
)
def test_the_vehicles_highest_priority_among_known_protocols_wins(
    secc_bench: Any, offer: list[tuple[str, int, int, int, int]], code: str, schema_id: int | None
) -> None:
    bench = secc_bench()
    request = app_protocol.supportedAppProtocolReq(AppProtocol=[protocol(*o) for o in offer])
    response = bench.ask(request)
    assert (response.ResponseCode, response.SchemaID) == (code, schema_id)
    assert bench.machine.closed is code.startswith("Failed")


@pytest.mark.parametrize("old_id", [bytes(8), b"\x01\x02\x03", bytes(range(8)), b""])
def test_any_session_id_in_the_first_request_gets_a_fresh_session(secc_bench: Any, old_id: bytes) -> None:
    bench = secc_bench().reach(State.SESSION_SETUP)
    response = bench.ask(bench.request(State.SESSION_SETUP, Header=bench.header(old_id)))
    assert response.ResponseCode is Code.OK_NewSessionEstablished
    assert response.Header.SessionID == bytes(range(1, 9))


def test_microsecond_time_stamps_are_accepted(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION_SETUP)
    header = ct.MessageHeaderType(SessionID=bytes(range(1, 9)), TimeStamp=1_761_655_989_168_000)
    assert bench.ask(bench.request(State.AUTHORIZATION_SETUP, Header=header)).ResponseCode is Code.OK


def test_header_time_is_unix_time_in_microseconds(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SESSION_SETUP)
    bench.now += 2.5
    assert bench.ask(bench.request(State.SESSION_SETUP)).Header.TimeStamp == 1_700_001_002_500_000


# ---- authorisation ----


def test_authorization_is_answered_at_once_when_the_owner_answers(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    response = bench.ask(bench.request(State.AUTHORIZATION))
    assert (response.ResponseCode, response.EVSEProcessing) == (Code.OK, "Finished")
    assert bench.now == 1000.0


def test_authorization_is_ongoing_until_the_owner_answers(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    bench.answers.clear()
    for _ in range(3):
        response = bench.ask(bench.request(State.AUTHORIZATION))
        assert (response.ResponseCode, response.EVSEProcessing) == (Code.OK, "Ongoing")
    bench.command(Authorize(granted=True))
    assert bench.ask(bench.request(State.AUTHORIZATION)).EVSEProcessing == "Finished"
    assert sum(isinstance(e, AuthorizationRequested) for e in bench.events) == 1


def test_refused_authorization_is_a_warning_and_may_be_asked_again(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    bench.answers[AuthorizationRequested] = lambda _: bench.command(Authorize(granted=False))
    response = bench.ask(bench.request(State.AUTHORIZATION))
    assert (response.ResponseCode, response.EVSEProcessing) == (Code.WARNING_EIMAuthorizationFailure, "Finished")
    bench.answers[AuthorizationRequested] = lambda _: bench.command(Authorize(granted=True))
    assert bench.ask(bench.request(State.AUTHORIZATION)).ResponseCode is Code.OK
    assert bench.machine.state is State.SERVICE_DISCOVERY


def test_a_refused_vehicle_cannot_go_on(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    bench.answers[AuthorizationRequested] = lambda _: bench.command(Authorize(granted=False))
    bench.ask(bench.request(State.AUTHORIZATION))
    assert bench.ask(bench.request(State.SERVICE_DISCOVERY)).ResponseCode is Code.FAILED_SequenceError


def test_plug_and_charge_is_declined_with_a_warning(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    request = bench.request(
        State.AUTHORIZATION,
        SelectedAuthorizationService=cm.authorizationType.PnC,
        EIM_AReqAuthorizationMode=None,
        PnC_AReqAuthorizationMode=cm.PnC_AReqAuthorizationModeType(
            Id="id1",
            GenChallenge=bytes(16),
            ContractCertificateChain=cm.ContractCertificateChainType(
                Certificate=b"x", SubCertificates=cm.SubCertificatesType(Certificate=[b"y"])
            ),
        ),
    )
    response = bench.ask(request)
    assert response.ResponseCode is Code.WARNING_AuthorizationSelectionInvalid
    assert bench.ask(bench.request(State.AUTHORIZATION)).ResponseCode is Code.OK


# ---- services ----


def test_services_offer_dynamic_mode_with_the_vehicle_providing_needs(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_DISCOVERY)
    discovery = bench.ask(bench.request(State.SERVICE_DISCOVERY))
    assert [s.ServiceID for s in discovery.EnergyTransferServiceList.Service] == [6, 2]
    sets = bench.ask(bench.request(State.SERVICE_DETAIL)).ServiceParameterList.ParameterSet
    assert [{p.Name: p.intValue for p in s.Parameter} for s in sets] == [
        {
            "Connector": 2,
            "ControlMode": 2,
            "MobilityNeedsMode": 1,
            "Pricing": 0,
            "BPTChannel": 1,
            "GeneratorMode": 1,
        }
    ]
    plain = bench.ask(bench.request(State.SERVICE_DETAIL, ServiceID=2)).ServiceParameterList.ParameterSet
    assert [p.Name for p in plain[0].Parameter] == ["Connector", "ControlMode", "MobilityNeedsMode", "Pricing"]


@pytest.mark.parametrize(("asked", "listed"), [([2], [2]), ([5, 6], [6]), ([1], [6, 2])])
def test_services_are_limited_to_those_the_vehicle_names_if_any_fits(
    secc_bench: Any, asked: list[int], listed: list[int]
) -> None:
    bench = secc_bench().reach(State.SERVICE_DISCOVERY)
    request = bench.request(State.SERVICE_DISCOVERY, SupportedServiceIDs=cm.ServiceIDListType(ServiceID=asked))
    assert [s.ServiceID for s in bench.ask(request).EnergyTransferServiceList.Service] == listed


def test_an_unknown_service_detail_fails(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_DETAIL)
    assert bench.ask(bench.request(State.SERVICE_DETAIL, ServiceID=5)).ResponseCode is Code.FAILED_ServiceIDInvalid
    assert (bench.end.reason, bench.end.response_code) == (EndReason.FAILED_BY_US, "FAILED_ServiceIDInvalid")


@pytest.mark.parametrize(("service", "parameter_set"), [(6, 2), (5, 1), (0, 0)])
def test_a_selection_that_was_not_offered_fails(secc_bench: Any, service: int, parameter_set: int) -> None:
    bench = secc_bench().reach(State.SERVICE_SELECTION)
    selected = cm.SelectedServiceType(ServiceID=service, ParameterSetID=parameter_set)
    response = bench.ask(bench.request(State.SERVICE_SELECTION, SelectedEnergyTransferService=selected))
    assert response.ResponseCode is Code.FAILED_ServiceSelectionInvalid


def test_a_value_added_service_that_was_not_offered_fails(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_SELECTION)
    extra = cm.SelectedServiceListType(SelectedService=[cm.SelectedServiceType(ServiceID=65, ParameterSetID=1)])
    response = bench.ask(bench.request(State.SERVICE_SELECTION, SelectedVASList=extra))
    assert response.ResponseCode is Code.FAILED_ServiceSelectionInvalid


# ---- the end ----


@pytest.mark.parametrize("state", [s for s in DC_STATES if s not in (State.APP_PROTOCOL, State.SESSION_SETUP)])
def test_the_vehicle_may_stop_the_session_at_any_time(secc_bench: Any, state: State) -> None:
    bench = secc_bench().reach(state)
    live = DC_STATES.index(state) >= DC_STATES.index(State.POWER_DELIVERY)
    response = bench.ask(stop_request(bench))
    assert response.ResponseCode is Code.OK
    assert bench.end.reason is EndReason.STOPPED
    assert any(isinstance(e, PowerDeliveryStopped) for e in bench.told) is live


def test_pause_ends_the_session_as_paused(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_DISCOVERY)
    assert bench.ask(stop_request(bench, cm.chargingSessionType.Pause)).ResponseCode is Code.OK
    assert bench.end.reason is EndReason.PAUSED


@pytest.mark.parametrize(("supported", "state"), [(True, State.SERVICE_DISCOVERY), (False, State.CHARGE_LOOP)])
def test_service_renegotiation_is_refused_without_a_service_and_where_not_supported(
    secc_bench: Any, supported: bool, state: State
) -> None:
    bench = secc_bench(service_renegotiation=supported).reach(state)
    response = bench.ask(stop_request(bench, cm.chargingSessionType.ServiceRenegotiation))
    assert response.ResponseCode is Code.FAILED_NoServiceRenegotiationSupported


def test_the_vehicles_own_words_are_kept_at_the_end(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_DISCOVERY)
    request = cm.SessionStopReq(
        Header=bench.header(),
        ChargingSession=cm.chargingSessionType.Terminate,
        EVTerminationCode="12",
        EVTerminationExplanation="door opened",
    )
    bench.ask(request)
    assert "12; door opened" in bench.end.detail


def test_control_characters_in_the_vehicles_words_are_escaped(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_DISCOVERY)
    bench.ask(
        cm.SessionStopReq(
            Header=bench.header(),
            ChargingSession=cm.chargingSessionType.Terminate,
            EVTerminationExplanation="a\nFAKE line\x1b[2J\u2028Ü",
        )
    )
    assert "a\\nFAKE line\\x1b[2J\\u2028Ü" in bench.end.detail
    assert bench.end.detail.isprintable()


def test_abort_while_charging_stops_energy_first(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.command(Abort(reason="operator"))
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert (bench.end.reason, bench.end.detail) == (EndReason.ABORTED, "operator")
    assert bench.machine.closed
    assert bench.machine.next_deadline() is None


def test_a_lost_stream_while_charging_stops_energy_first(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.machine.receive_eof(bench.now)
    bench._take_events()
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.PEER_CLOSED


def test_nothing_happens_after_the_end(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_DISCOVERY)
    bench.command(Abort(reason="operator"))
    count = len(bench.events)
    bench.command(Authorize(granted=True))
    bench.machine.receive_eof(bench.now)
    assert bench.feed(bench.frame(bench.request(State.SERVICE_DISCOVERY))) == []
    assert bench.advance(100.0) == []
    assert len(bench.events) == count


# ---- frames ----


def test_an_unknown_payload_type_is_skipped_and_told(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SESSION_SETUP)
    assert bench.feed(encode_frame(0x8006, b"wpt")) == []
    assert bench.told[-1] == FrameIgnored(payload_type=0x8006, payload_bytes=3)
    assert bench.ask(bench.request(State.SESSION_SETUP)).ResponseCode is Code.OK_NewSessionEstablished


@pytest.mark.parametrize("payload_type", [0x8005, 0x8006, 0x8010, 0x8011])
def test_a_message_set_that_was_not_agreed_on_is_neither_read_nor_compiled(
    secc_bench: Any, monkeypatch: pytest.MonkeyPatch, payload_type: int
) -> None:
    bench = secc_bench().reach(State.SESSION_SETUP)
    monkeypatch.setattr(exi, "decode", lambda *_: pytest.fail("was decoded"))
    assert bench.feed(encode_frame(payload_type, b"\x80\x00")) == []
    assert bench.told[-1] == FrameIgnored(payload_type=payload_type, payload_bytes=2)
    monkeypatch.undo()
    assert bench.ask(bench.request(State.SESSION_SETUP)).ResponseCode is Code.OK_NewSessionEstablished


@pytest.mark.parametrize("payload_type", [0x8101, 0x8102, 0x8103, 0x8104])
def test_a_main_stream_request_on_a_side_stream_is_skipped(secc_bench: Any, payload_type: int) -> None:
    bench = secc_bench().reach(State.SESSION_SETUP)
    payload = exi.encode(bench.request(State.SESSION_SETUP))
    assert bench.feed(encode_frame(payload_type, payload)) == []
    assert bench.told[-1] == FrameIgnored(payload_type=payload_type, payload_bytes=len(payload))
    assert bench.machine.state is State.SESSION_SETUP


@pytest.mark.parametrize("pieces", [1, 3])
def test_more_than_four_requests_at_once_end_the_session(secc_bench: Any, pieces: int) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    data = bench.frame(bench.request(State.CHARGE_LOOP))
    assert len(bench.feed(data * 4)) == 4
    for n in range(pieces):
        assert bench.feed(data * 5 if n == pieces - 1 else data[:0]) == []
    assert bench.end.reason is EndReason.PROTOCOL_ERROR
    assert "more than 4 messages arrived at once" in bench.end.detail
    assert isinstance(bench.told[-2], PowerDeliveryStopped)


def test_requests_that_pile_up_behind_one_that_waits_end_the_session(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    bench.answers.clear()
    data = bench.frame(bench.request(State.AUTHORIZATION))
    for _ in range(5):
        assert bench.feed(data) == []
    assert not bench.machine.closed
    assert bench.feed(data) == []
    assert bench.end.reason is EndReason.PROTOCOL_ERROR


@pytest.mark.parametrize("step", [1, 7, 8, 9, 1000])
def test_requests_may_arrive_in_pieces(secc_bench: Any, step: int) -> None:
    bench = secc_bench()
    data = bench.frame(bench.request(State.APP_PROTOCOL))
    responses = [r for i in range(0, len(data), step) for r in bench.feed(data[i : i + step])]
    assert [r.ResponseCode for r in responses] == ["OK_SuccessfulNegotiation"]


def test_requests_in_one_segment_are_answered_one_by_one(secc_bench: Any) -> None:
    bench = secc_bench()
    data = bench.frame(bench.request(State.APP_PROTOCOL)) + bench.frame(bench.request(State.SESSION_SETUP))
    assert [type(r).__name__ for r in bench.feed(data)] == ["supportedAppProtocolRes", "SessionSetupRes"]


def test_a_request_behind_one_that_waits_for_the_owner_is_answered_after_it(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION)
    bench.answers.clear()
    both = bench.frame(bench.request(State.AUTHORIZATION)) + bench.frame(bench.request(State.SERVICE_DISCOVERY))
    assert bench.feed(both) == []
    bench.command(Authorize(granted=True))
    assert [type(r).__name__ for r in bench.sent()] == ["AuthorizationRes", "ServiceDiscoveryRes"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not a V2GTP stream"),
        (encode_frame(0x8002, b"\xff" * 30), ""),
        (encode_frame(0x8002, b""), ""),
        (encode_frame(0x8004, b"\x80"), ""),
        (encode_frame(0x8002, bytes(65_537))[:8], "payload of 65537 bytes announced, more than the"),
    ],
)
def test_undecodable_bytes_end_the_session_without_a_response(secc_bench: Any, data: bytes, complaint: str) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    assert bench.feed(data) == []
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.PROTOCOL_ERROR
    assert complaint in bench.end.detail


def stop_request(bench: Any, how: cm.chargingSessionType = cm.chargingSessionType.Terminate) -> cm.SessionStopReq:
    return cm.SessionStopReq(Header=bench.header(), ChargingSession=how)


def test_long_messages_are_taken_only_once_a_protocol_is_agreed(secc_bench: Any) -> None:
    header_of_5_kilobytes = encode_frame(0x8002, bytes(5_000))[:8]
    early, agreed = secc_bench(), secc_bench().reach(State.SESSION_SETUP)
    early.feed(header_of_5_kilobytes)
    agreed.feed(header_of_5_kilobytes)
    assert early.end.reason is EndReason.PROTOCOL_ERROR
    assert "5000 bytes announced, more than the 4096" in early.end.detail
    assert not agreed.machine.closed
