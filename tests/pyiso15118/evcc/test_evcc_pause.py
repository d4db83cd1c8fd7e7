"""Pause and resume, as the vehicle sees them."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118.commands import PauseCharging, StopCharging
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import State
from pyiso15118.events import (
    BptChannel,
    ChargingStopped,
    ControlMode,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    MobilityNeedsMode,
    ProtocolAgreed,
    SchedulesOffered,
    SessionStarted,
    StopRequested,
)
from pyiso15118.messages import common_types as ct
from pyiso15118.paused import PausedSession, binding

SECC = b"certificate of the SECC"
OTHER = b"certificate of another SECC"
SESSION_ID = bytes(range(1, 9))
Notification = ct.evseNotificationType


def pausing(bench: Any, station: Any = None, **bench_args: Any) -> Any:
    """A session that was paused from the loop."""
    session = bench(station, peer_certificate=SECC, loops=1000, **bench_args).looped()
    session.command(PauseCharging())
    return session.run()


def test_a_pause_stops_energy_and_says_pause(bench: Any) -> None:
    session = pausing(bench)
    assert session.sent_once[-3:] == ["PowerDeliveryReq", "DC_WeldingDetectionReq", "SessionStopReq"]
    assert session.progress == ["Start", "Stop"]
    assert session.requests("SessionStopReq")[0].ChargingSession == "Pause"
    assert ChargingStopped in session.told_kinds
    assert session.end.reason is EndReason.PAUSED


def test_a_paused_session_is_a_plain_record(bench: Any, evse: Any) -> None:
    station = evse((EnergyService.DC_BPT,), ControlMode.SCHEDULED, channel=BptChannel.SEPARATED)
    station.value_added = [65]
    assert pausing(bench, station, value_added=(65,)).machine.paused == PausedSession(
        session_id=SESSION_ID,
        peer_binding=binding(SESSION_ID, SECC),
        evccid="WMIV1234567890ABCDEX",
        evse_id="US*V2G*E1",
        service=EnergyService.DC_BPT,
        parameter_set_id=1,
        control_mode=ControlMode.SCHEDULED,
        mobility_needs_mode=MobilityNeedsMode.BY_EVCC,
        bpt_channel=BptChannel.SEPARATED,
        value_added=((65, 650),),
    )


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_resumed_session_goes_on_at_parameter_discovery(
    bench: Any, evse: Any, service: EnergyService, mode: ControlMode
) -> None:
    station = evse((service,), mode)
    paused = pausing(bench, station, services=(service,)).machine.paused
    session = bench(station, services=(service,), peer_certificate=SECC, paused=paused).run()
    kind = "AC" if service.is_ac else "DC"
    assert session.sent[:4] == [
        "supportedAppProtocolReq",
        "SessionSetupReq",
        f"{kind}_ChargeParameterDiscoveryReq",
        "ScheduleExchangeReq",
    ]
    assert session.requests("SessionSetupReq")[0].Header.SessionID == SESSION_ID
    (started,) = session.told_of(SessionStarted)
    assert started.resumed
    (selected,) = session.told_of(EnergyServiceSelected)
    assert (selected.service, selected.control_mode, selected.parameter_set_id) == (service, mode, 1)
    assert bool(session.told_of(SchedulesOffered)) is (mode is ControlMode.SCHEDULED)
    assert session.end.reason is EndReason.STOPPED
    assert len(session.loop_answers) == 3


def test_a_resumed_session_may_be_paused_again(bench: Any, evse: Any) -> None:
    station = evse()
    paused = pausing(bench, station).machine.paused
    again = pausing(bench, station, paused=paused).machine.paused
    assert again == paused


@pytest.mark.parametrize(
    ("peer_certificate", "config", "change"),
    [
        (OTHER, {}, {}),
        (None, {}, {}),
        (None, {"resume_without_certificate": True}, {}),
        (SECC, {"evccid": "another vehicle"}, {}),
        (SECC, {}, {"peer_binding": b""}),
        (SECC, {"resume_without_certificate": True}, {"peer_binding": b""}),
    ],
)
def test_the_old_session_is_named_to_nobody_else(
    bench: Any, evse: Any, peer_certificate: bytes | None, config: dict[str, Any], change: dict[str, Any]
) -> None:
    """[V2G20-2539]."""
    station = evse()
    paused = replace(pausing(bench, station).machine.paused, **change)
    station.session_id = bytes(range(2, 10))
    session = bench(station, peer_certificate=peer_certificate, paused=paused, **config).run()
    assert session.requests("SessionSetupReq")[0].Header.SessionID == bytes(8)
    assert not session.told_of(SessionStarted)[0].resumed
    assert "AuthorizationReq" in session.sent
    assert session.end.reason is EndReason.STOPPED


def test_without_tls_a_test_mode_resumes(bench: Any, evse: Any) -> None:
    station = evse()
    session = bench(station, loops=1000).looped()
    session.command(PauseCharging())
    paused = session.run().machine.paused
    assert paused.peer_binding == b""
    session = bench(station, paused=paused, resume_without_certificate=True).run()
    assert session.told_of(SessionStarted)[0].resumed


def test_an_evse_that_forgot_begins_afresh_and_nothing_of_the_old_session_stands(bench: Any, evse: Any) -> None:
    """[V2G20-2615] to [V2G20-2617]."""
    station = evse((EnergyService.DC_BPT, EnergyService.DC))
    paused = replace(pausing(bench, station).machine.paused, service=EnergyService.DC, emaid="USV2G1")
    station.session_id = bytes(range(2, 10))
    session = bench(station, peer_certificate=SECC, paused=paused).run()
    assert session.requests("SessionSetupReq")[0].Header.SessionID == SESSION_ID
    assert not session.told_of(SessionStarted)[0].resumed
    assert session.sent_once[2:5] == ["AuthorizationSetupReq", "AuthorizationReq", "ServiceDiscoveryReq"]
    assert session.told_of(EnergyServiceSelected)[0].service is EnergyService.DC_BPT
    assert session.machine.session.emaid is None
    headers = {r.Header.SessionID for r in session.requests("ServiceDiscoveryReq")}
    assert headers == {station.session_id}


def test_an_evse_that_joins_another_session_is_left(bench: Any, evse: Any) -> None:
    station = evse()
    paused = pausing(bench, station).machine.paused
    other = ct.MessageHeaderType(SessionID=bytes(range(2, 10)), TimeStamp=1)
    station.bend("SessionSetupRes", lambda m: msgspec.structs.replace(m, Header=other))
    session = bench(station, peer_certificate=SECC, paused=paused).run()
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert "did not ask for" in session.end.detail


def test_the_protocol_of_the_paused_service_is_wanted_most(bench: Any, evse: Any) -> None:
    station = evse((EnergyService.AC, EnergyService.DC))
    wanted = {"services": (EnergyService.DC, EnergyService.AC)}
    paused = replace(pausing(bench, station, **wanted).machine.paused, service=EnergyService.AC)
    session = bench(station, peer_certificate=SECC, paused=paused, **wanted).run()
    assert session.told_of(ProtocolAgreed)[0].namespace.endswith("AC")
    assert session.told_of(SessionStarted)[0].resumed
    assert "AC_ChargeLoopReq" in session.sent


def test_an_evse_that_picks_the_other_protocol_gets_a_fresh_session(bench: Any, evse: Any) -> None:
    station = evse((EnergyService.DC,))
    wanted = {"services": (EnergyService.DC, EnergyService.AC)}
    paused = replace(pausing(bench, station, **wanted).machine.paused, service=EnergyService.AC)
    session = bench(station, peer_certificate=SECC, paused=paused, **wanted).run()
    assert session.requests("SessionSetupReq")[0].Header.SessionID == bytes(8)


def test_the_evse_may_ask_for_a_pause(bench: Any) -> None:
    """[V2G20-1850]."""
    session = bench(loops=1000, peer_certificate=SECC).looped()
    session.evse.notification = Notification.Pause
    session.run()
    assert [e.notification for e in session.told_of(StopRequested)] == ["Pause"]
    assert session.requests("SessionStopReq")[0].ChargingSession == "Pause"
    assert session.end.reason is EndReason.PAUSED
    assert session.machine.paused is not None


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC])
def test_the_evse_may_ask_for_a_pause_with_its_schedule(bench: Any, evse: Any, service: EnergyService) -> None:
    session = bench(evse((service,), ControlMode.SCHEDULED), services=(service,))
    session.evse.bend("ScheduleExchangeRes", lambda m: msgspec.structs.replace(m, GoToPause=True))
    session.run()
    assert session.sent_once[-2:] == ["ScheduleExchangeReq", "SessionStopReq"]
    assert session.told_of(SchedulesOffered)
    assert session.told_of(StopRequested)[0].notification == "Pause"
    assert session.end.reason is EndReason.PAUSED


def test_an_evse_that_refuses_the_pause_ends_the_session(bench: Any) -> None:
    session = bench(loops=1000).looped()
    session.evse.bend(
        "SessionStopRes", lambda m: msgspec.structs.replace(m, ResponseCode=ct.responseCodeType.FAILED_PauseNotAllowed)
    )
    session.command(PauseCharging())
    session.run()
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert session.machine.paused is None


def test_a_stop_overrides_a_pause_that_is_not_said_yet(bench: Any) -> None:
    session = bench(loops=1000).looped()
    session.command(PauseCharging())
    session.command(StopCharging())
    session.run()
    assert session.requests("SessionStopReq")[0].ChargingSession == "Terminate"
    assert session.end.reason is EndReason.STOPPED
    assert session.machine.paused is None


def test_a_stop_after_the_pause_was_said_comes_too_late(bench: Any) -> None:
    session = bench(loops=1000).looped()
    session.command(PauseCharging())
    session.until(State.SESSION_STOP)
    session.command(StopCharging())
    session.run()
    assert session.end.reason is EndReason.PAUSED


def test_there_is_nothing_to_pause_before_a_service_is_selected(bench: Any) -> None:
    session = bench().until(State.SERVICE_DETAIL)
    with pytest.raises(LocalProtocolError, match="nothing to resume"):
        session.command(PauseCharging())
    assert session.run().end.reason is EndReason.STOPPED


@pytest.mark.parametrize("state", [State.CHARGE_PARAMETER_DISCOVERY, State.CABLE_CHECK, State.PRE_CHARGE])
def test_a_pause_before_charging_goes_straight_to_session_stop(bench: Any, state: State) -> None:
    session = bench().until(state)
    session.command(PauseCharging())
    session.run()
    assert session.sent[-1] == "SessionStopReq"
    assert "PowerDeliveryReq" not in session.sent
    assert session.end.reason is EndReason.PAUSED
