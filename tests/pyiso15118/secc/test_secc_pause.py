"""Pause and resume, and the way back to service discovery."""

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.events import (
    ContactorRequested,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    RenegotiationStarted,
    SessionStarted,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.paused import PausedSession
from pyiso15118.secc import ParameterSet, State

Code = ct.responseCodeType
Progress = cm.chargeProgressType
Stop = cm.chargingSessionType
VEHICLE, STRANGER = b"the vehicle's leaf", b"another leaf"
OLD = bytes(range(1, 9))


def paused_at(secc_bench: Any, state: State = State.WELDING_DETECTION, **config: Any) -> PausedSession:
    bench = secc_bench(peer_certificate=VEHICLE, **config).reach(state)
    response = bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.Pause))
    assert response.ResponseCode is Code.OK
    assert bench.end.reason is EndReason.PAUSED
    return bench.machine.paused


def setup(bench: Any, session_id: bytes = OLD, evccid: str = "WMIV1234567890ABCDEX") -> Any:
    bench.reach(State.SESSION_SETUP)
    return bench.ask(bench.request(State.SESSION_SETUP, Header=bench.header(session_id), EVCCID=evccid))


def test_a_paused_session_is_kept_as_plain_values(secc_bench: Any) -> None:
    paused = paused_at(secc_bench)
    assert (paused.session_id, paused.evccid, paused.evse_id) == (OLD, "WMIV1234567890ABCDEX", "US*V2G*E1")
    assert (paused.service, paused.parameter_set_id, paused.emaid) == (EnergyService.DC_BPT, 1, None)
    assert paused.belongs_to(VEHICLE)
    assert not paused.belongs_to(STRANGER)


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC])
def test_the_paused_session_goes_on_at_parameter_discovery(secc_bench: Any, service: EnergyService) -> None:
    state = State.SESSION_STOP if service.is_ac else State.WELDING_DETECTION
    paused = paused_at(secc_bench, state, service=service)
    bench = secc_bench(service=service, peer_certificate=VEHICLE, paused=paused)
    response = setup(bench)
    assert (response.ResponseCode, response.Header.SessionID) == (Code.OK_OldSessionJoined, OLD)
    assert bench.machine.state is State.CHARGE_PARAMETER_DISCOVERY
    started, selected = bench.told[-2:]
    assert started == SessionStarted(session_id=OLD, evccid="WMIV1234567890ABCDEX", evse_id="US*V2G*E1", resumed=True)
    assert isinstance(selected, EnergyServiceSelected)
    assert selected.service is service
    bench.reach(State.CHARGE_LOOP)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK


@pytest.mark.parametrize(
    "changes",
    [
        {"peer_certificate": STRANGER},
        {"peer_certificate": None},
        {"session_id": bytes(8)},
        {"session_id": bytes(range(2, 10))},
        {"evccid": "SOMEBODYELSE"},
        {"evse_id": "US*V2G*E2"},
        {"service": EnergyService.DC},
        {"parameter_set": ParameterSet(id=2)},
        {"service": EnergyService.AC_BPT},
        {"paused": None},
    ],
)
def test_whatever_else_comes_gets_a_fresh_session(secc_bench: Any, changes: dict[str, Any]) -> None:
    paused = paused_at(secc_bench)
    asked = {name: changes.pop(name) for name in ("session_id", "evccid") if name in changes}
    options: dict[str, Any] = {"peer_certificate": VEHICLE, "paused": paused, "service": EnergyService.DC_BPT}
    bench = secc_bench(**(options | changes))
    bench.machine._random = lambda n: b"\x77" * n
    response = setup(bench, **asked)
    assert (response.ResponseCode, response.Header.SessionID) == (Code.OK_NewSessionEstablished, b"\x77" * 8)
    assert bench.machine.state is State.AUTHORIZATION_SETUP
    assert not bench.told[-1].resumed
    assert bench.machine.paused is None


@pytest.mark.parametrize("allowed", [False, True])
def test_without_tls_a_session_resumes_only_in_test_mode(secc_bench: Any, allowed: bool) -> None:
    bench = secc_bench().reach(State.WELDING_DETECTION)
    bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.Pause))
    paused = bench.machine.paused
    assert paused.peer_binding == b""
    response = setup(secc_bench(paused=paused, resume_without_certificate=allowed))
    assert (response.ResponseCode is Code.OK_OldSessionJoined) is allowed
    assert setup(secc_bench(paused=paused, peer_certificate=VEHICLE)).ResponseCode is Code.OK_NewSessionEstablished


def test_a_record_without_binding_fits_no_certificate_even_in_test_mode(secc_bench: Any) -> None:
    paused = replace(paused_at(secc_bench), peer_binding=b"")
    bench = secc_bench(paused=paused, peer_certificate=VEHICLE, resume_without_certificate=True)
    assert setup(bench).ResponseCode is Code.OK_NewSessionEstablished


def test_a_pause_that_is_not_allowed_fails_and_stops_energy(secc_bench: Any) -> None:
    bench = secc_bench(pause_allowed=False).reach(State.CHARGE_LOOP)
    response = bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.Pause))
    assert response.ResponseCode is Code.FAILED_PauseNotAllowed
    assert any(isinstance(e, PowerDeliveryStopped) for e in bench.told)
    assert bench.machine.paused is None


def test_a_pause_from_the_loop_stops_energy_first(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.Pause))
    assert isinstance(bench.told[-2], PowerDeliveryStopped)
    assert bench.machine.paused is not None


def test_a_pause_before_a_service_was_selected_leaves_nothing_to_resume(secc_bench: Any) -> None:
    assert paused_at(secc_bench, State.SERVICE_SELECTION) is None


def test_terminate_leaves_nothing_to_resume(secc_bench: Any) -> None:
    bench = secc_bench(peer_certificate=VEHICLE).reach(State.WELDING_DETECTION)
    bench.ask(bench.request(State.SESSION_STOP))
    assert bench.machine.paused is None


def test_a_session_may_pause_again_and_again(secc_bench: Any) -> None:
    paused = paused_at(secc_bench)
    for _ in range(2):
        bench = secc_bench(peer_certificate=VEHICLE, paused=paused)
        assert setup(bench).ResponseCode is Code.OK_OldSessionJoined
        bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.Pause))
        paused = bench.machine.paused
    assert paused.session_id == OLD


# ---- service renegotiation ----


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
@pytest.mark.parametrize(
    "state", [State.CHARGE_PARAMETER_DISCOVERY, State.SCHEDULE_EXCHANGE, State.POWER_DELIVERY, State.CHARGE_LOOP]
)
def test_service_renegotiation_goes_on_from_service_discovery(
    secc_bench: Any, state: State, service: EnergyService
) -> None:
    bench = secc_bench(service=service).reach(state)
    assert any(isinstance(e, PreChargeRequested | ContactorRequested) for e in bench.told) is bench.machine.session.live
    live = bench.machine.session.live
    response = bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.ServiceRenegotiation))
    assert response.ResponseCode is Code.OK
    assert bench.told[-1] == RenegotiationStarted(service=True)
    assert isinstance(bench.told[-2], PowerDeliveryStopped) is live
    assert bench.machine.state is State.SERVICE_DISCOVERY
    assert response.Header.SessionID == OLD
    bench.reach(State.CHARGE_LOOP)
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.OK
    assert sum(isinstance(e, PowerDeliveryStarted) for e in bench.told) == (2 if state is State.CHARGE_LOOP else 1)


def test_after_a_renegotiation_nothing_is_left_of_the_first_service(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.WELDING_DETECTION)
    bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.ServiceRenegotiation))
    session = bench.machine.session
    assert (session.offer, session.vehicle_limits, session.cable_check, session.pre_charge_target_v) == (None,) * 4
    assert session.authorization.granted
    again = bench.ask(bench.request(State.SESSION_STOP, ChargingSession=Stop.ServiceRenegotiation))
    assert again.ResponseCode is Code.FAILED_NoServiceRenegotiationSupported


def test_whether_services_can_be_renegotiated_is_announced(secc_bench: Any) -> None:
    for supported in (False, True):
        bench = secc_bench(service_renegotiation=supported).reach(State.SERVICE_DISCOVERY)
        assert bench.ask(bench.request(State.SERVICE_DISCOVERY)).ServiceRenegotiationSupported is supported


def test_a_stop_without_a_start_needs_no_voltage_check(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CABLE_CHECK)
    assert bench.deliver(Progress.Stop).ResponseCode is Code.OK
    assert bench.machine.state is State.WELDING_DETECTION
    assert not any(isinstance(e, PowerDeliveryStopped) for e in bench.told)


def test_power_does_not_start_without_a_cable_check(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CABLE_CHECK)
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.FAILED_SequenceError
