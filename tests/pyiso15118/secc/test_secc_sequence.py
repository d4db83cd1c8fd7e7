"""What is not allowed: sequence errors, foreign sessions, and that the table and the machine agree."""

from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.events import EndReason, MessageSent, PowerDeliveryStopped, SessionEnded
from pyiso15118.messages import Namespace, ac, app_protocol, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import TRANSITIONS, State
from pyiso15118.secc.machine import HANDLERS
from pyiso15118.v2gtp import FrameReader, PayloadType, encode_frame

Code = ct.responseCodeType
STATES = [s for s in State if s not in (State.ENDED, State.SESSION_STOP)]
LIVE = STATES[STATES.index(State.CHARGE_LOOP) :]
OTHERS: dict[str, Any] = {
    "PowerDeliveryReq": lambda h: cm.PowerDeliveryReq(
        Header=h, EVProcessing=ct.processingType.Finished, ChargeProgress=cm.chargeProgressType.Stop
    ),
    "SessionStopReq": lambda h: cm.SessionStopReq(Header=h, ChargingSession=cm.chargingSessionType.Terminate),
    "VehicleCheckInReq": lambda h: cm.VehicleCheckInReq(
        Header=h,
        EVCheckInStatus=cm.evCheckInStatusType.CheckIn,
        ParkingMethod=cm.parkingMethodType.Manual,
    ),
    "VehicleCheckOutReq": lambda h: cm.VehicleCheckOutReq(
        Header=h, EVCheckOutStatus=cm.evCheckOutStatusType.CheckOut, CheckOutTime=0
    ),
    "MeteringConfirmationReq": lambda h: cm.MeteringConfirmationReq(
        Header=h,
        SignedMeteringData=cm.SignedMeteringDataType(
            Id="id1",
            SessionID=bytes(8),
            MeterInfo=ct.MeterInfoType(MeterID="m", ChargedEnergyReadingWh=1),
            Dynamic_SMDTControlMode=cm.Dynamic_SMDTControlModeType(),
        ),
    ),
    "CertificateInstallationReq": lambda h: cm.CertificateInstallationReq(
        Header=h,
        OEMProvisioningCertificateChain=cm.SignedCertificateChainType(Id="id1", Certificate=b"x"),
        ListOfRootCertificateIDs=ct.ListOfRootCertificateIDsType(
            RootCertificateID=[ct.xmldsig.X509IssuerSerialType(X509IssuerName="CN=x", X509SerialNumber=1)]
        ),
        MaximumContractCertificateChains=1,
    ),
}


ONE = ct.RationalNumberType(Exponent=0, Value=1)
AC_REQUESTS: dict[str, Any] = {
    "AC_ChargeParameterDiscoveryReq": lambda h: ac.AC_ChargeParameterDiscoveryReq(
        Header=h,
        AC_CPDReqEnergyTransferMode=ac.AC_CPDReqEnergyTransferMode(EVMaximumChargePower=ONE, EVMinimumChargePower=ONE),
    ),
    "AC_ChargeLoopReq": lambda h: ac.AC_ChargeLoopReq(
        Header=h,
        MeterInfoRequested=False,
        CLReqControlMode=ac.Scheduled_AC_CLReqControlMode(EVPresentActivePower=ONE),
    ),
}


def every_request(bench: Any) -> dict[str, Any]:
    requests = {}
    for state in STATES:
        request = bench.request(state)
        requests[type(request).__name__] = request
    return requests | {name: build(bench.header()) for name, build in OTHERS.items()}


@pytest.mark.parametrize("state", STATES)
def test_every_request_out_of_place_gets_a_sequence_error_of_its_own_type(secc_bench: Any, state: State) -> None:
    names = every_request(secc_bench())
    wrong = [n for n in names if n not in TRANSITIONS[state]]
    assert len(wrong) >= 13
    for name in wrong:
        bench = secc_bench().reach(state)
        response = bench.ask(every_request(bench)[name])
        assert type(response).__name__ == name.removesuffix("Req") + "Res"
        expected = "Failed_NoNegotiation" if name == "supportedAppProtocolReq" else Code.FAILED_SequenceError
        assert response.ResponseCode == expected
        assert bench.end.reason is EndReason.FAILED_BY_US
        assert bench.end.response_code == expected
        assert name in bench.end.detail


@pytest.mark.parametrize("name", AC_REQUESTS)
@pytest.mark.parametrize("state", STATES)
def test_an_ac_request_at_a_dc_station_gets_a_sequence_error_of_its_own_type(
    secc_bench: Any, state: State, name: str
) -> None:
    bench = secc_bench().reach(state)
    data = encode_frame(PayloadType.AC, exi.encode(AC_REQUESTS[name](bench.header())))
    bench.machine.receive_data(data, bench.now)
    bench._take_events()
    charging = [PowerDeliveryStopped] if state in LIVE and state is not State.WELDING_DETECTION else []
    assert [type(e) for e in bench.events][-len(charging) - 2 :] == [*charging, MessageSent, SessionEnded]
    response = bench.events[-2]
    assert response.name == name.removesuffix("Req") + "Res"
    assert response.message.ResponseCode is Code.FAILED_SequenceError
    assert exi.decode(Namespace.AC, response.payload) == response.message
    assert (bench.end.reason, bench.end.response_code) == (EndReason.FAILED_BY_US, Code.FAILED_SequenceError)
    assert name in bench.end.detail


@pytest.mark.parametrize("name", AC_REQUESTS)
def test_the_refusal_of_an_ac_request_is_framed_as_an_ac_message(secc_bench: Any, name: str) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    data = encode_frame(PayloadType.AC, exi.encode(AC_REQUESTS[name](bench.header())))
    bench.machine.receive_data(data, bench.now)
    reader = FrameReader()
    reader.feed(bench.machine.data_to_send())
    (frame,) = reader
    assert frame.payload_type == PayloadType.AC


@pytest.mark.parametrize("state", [s for s in STATES if s not in (State.APP_PROTOCOL, State.SESSION_SETUP)])
def test_a_foreign_session_id_is_an_unknown_session(secc_bench: Any, state: State) -> None:
    for foreign in (bytes(8), b"\x09" * 8, b"\x01\x02"):
        bench = secc_bench().reach(state)
        request = bench.request(state, Header=bench.header(foreign))
        response = bench.ask(request)
        assert response.ResponseCode is Code.FAILED_UnknownSession
        assert foreign.hex().upper() in bench.end.detail


def test_a_failure_while_charging_stops_energy_before_it_is_sent(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CABLE_CHECK))
    assert [type(e) for e in bench.events[-3:]] == [PowerDeliveryStopped, MessageSent, SessionEnded]


def test_a_response_sent_to_the_secc_ends_the_session_without_an_answer(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    response = dc.DC_CableCheckRes(
        Header=bench.header(), ResponseCode=Code.OK, EVSEProcessing=ct.processingType.Finished
    )
    assert bench.feed(bench.frame(response)) == []
    assert bench.end.reason is EndReason.PROTOCOL_ERROR


@pytest.mark.parametrize("part", ["response", "element that is no message"])
def test_an_ac_message_that_is_no_request_ends_the_session_without_an_answer(secc_bench: Any, part: str) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    message: Any = ac.AC_CPDReqEnergyTransferMode(EVMaximumChargePower=ONE, EVMinimumChargePower=ONE)
    if part == "response":
        message = ac.AC_ChargeLoopRes(
            Header=bench.header(), ResponseCode=Code.OK, CLResControlMode=ac.Scheduled_AC_CLResControlMode()
        )
    assert bench.feed(encode_frame(PayloadType.AC, exi.encode(message))) == []
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.PROTOCOL_ERROR


def test_a_broken_ac_payload_ends_the_session_without_an_answer(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    assert bench.feed(encode_frame(PayloadType.AC, b"\x80\xff")) == []
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert bench.end.reason is EndReason.PROTOCOL_ERROR


def test_a_second_protocol_negotiation_is_refused(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SERVICE_DETAIL)
    response = bench.ask(bench.request(State.APP_PROTOCOL))
    assert isinstance(response, app_protocol.supportedAppProtocolRes)
    assert response.ResponseCode == "Failed_NoNegotiation"


def test_every_request_of_the_table_has_a_handler_and_every_handler_a_place() -> None:
    assert {name for requests in TRANSITIONS.values() for name in requests} == set(HANDLERS)


def test_every_state_of_the_table_can_be_reached() -> None:
    reached = {to for requests in TRANSITIONS.values() for outcomes in requests.values() for to in outcomes.values()}
    assert reached | {State.APP_PROTOCOL} == set(State)
    assert set(TRANSITIONS) == set(State)
