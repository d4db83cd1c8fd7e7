"""Vehicles that were recorded at other stations charge at ours: their bytes unchanged, our answers of the same kind.

The test owns what the recorded station decided: its randomness, its services and parameter sets, its limits, its
schedules, how often it said Ongoing, whether its contactors closed; and the clock.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    OfferSchedules,
    SetMobilityNeeds,
    UpdateAcEvse,
    UpdateDcEvse,
)
from pyiso15118.events import (
    AcChargeLoopReceived,
    AcLimits,
    AcPower,
    AuthorizationRequested,
    BptChannel,
    ContactorRequested,
    ControlMode,
    DcChargeLoopReceived,
    DcLimits,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    GeneratorMode,
    MobilityNeedsMode,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    SessionEnded,
    SignatureVerified,
)
from pyiso15118.messages import ac, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.schedules import tuples_from_message
from pyiso15118.secc import ParameterSet, SeccConfig, SeccMachine, ServiceOffer, State
from pyiso15118.security.chain import TrustAnchors
from pyiso15118.security.tls import TlsProfile
from pyiso15118.v2gtp import FrameReader, encode_frame, namespace_of

START = 1000.0
STEP_S = 0.02
FIRST_DISCOVERY_FRAME = 0x9000

_TOO_HIGH = (
    "DC_PreChargeReq",
    "FAILED",
    "asks to be pre-charged to 20,000 V, far above what it and the station declared; the recorded station said OK",
)
EXCEPTIONS: dict[str, tuple[str, str, str]] = {
    "2026_07_21_iso20_dc_pnc_notls_frames_log_1fa1c6": _TOO_HIGH,
    "2026_07_21_iso20_dc_pnc_tls_josev_evcc_pnc_session_log_7144d2": _TOO_HIGH,
    "2026_07_21_iso20_dc_tcp_reverse_evcc_session_fullloop_log_044a1a": _TOO_HIGH,
    "2026_07_21_iso20_dc_tls_reverse_josev_evcc_tls13_mutual_session_log_e4ac1b": _TOO_HIGH,
    "2026_08_03_everest_ac_frames_iso20_ac_log_62c686": (
        "supportedAppProtocolReq",
        "Failed_NoNegotiation",
        "speaks the protocol of DC only and was offered AC in it, which this station does not do",
    ),
    "2026_08_09_everest_ac_contactor_injection_frames_inject_log_aabd54": (
        "PowerDeliveryReq",
        "FAILED_EVPowerProfileInvalid",
        "plans 10 kW where the only schedule has 0 W ([V2G20-478]); the recorded station did not look",
    ),
}
"""Recording: the request at which our answer is of another kind, its code, and what the vehicle did there. Such an
answer ends the session, so nothing is replayed after it."""
RECORDINGS = 41
WITH_CONTRACT = 14


@dataclass(frozen=True)
class Step:
    """A request and the answer it got."""

    payload_type: int
    payload: bytes
    request: Any
    response: Any

    @property
    def names(self) -> tuple[str, str]:
        return type(self.request).__name__, type(self.response).__name__


def kind(code: object) -> str:
    return str(code).upper().partition("_")[0]


def steps_of(path: Path) -> list[Step]:
    messages = []
    for row in map(json.loads, path.read_text().splitlines()):
        payload_type, payload = int(row["payload_type"], 16), bytes.fromhex(row["hex"])
        if payload_type >= FIRST_DISCOVERY_FRAME:
            continue
        messages.append((row["dir"], payload_type, payload, exi.decode(namespace_of(payload_type), payload)))
    steps = []
    for asked, answered in itertools.pairwise(messages):
        if asked[0] == "ev->evse" and answered[0] == "evse->ev":
            steps.append(Step(asked[1], asked[2], asked[3], answered[3]))
    return steps


class Station:
    """Our SECC and an owner that decides as the recorded station did."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.answers = {type(step.response).__name__: step.response for step in steps}
        self.requests = {type(step.request).__name__: step.request for step in steps}
        self.now = START
        self.limits = self._dc_limits()
        stamp = self.answers["SessionSetupRes"].Header.TimeStamp
        self.machine = SeccMachine(
            self._config(),
            random=self._random,
            unix_offset_s=(stamp if stamp < 10**11 else stamp / 10**6) - START,
        )
        self.machine.start(self.now)
        self.events: list[Any] = []
        self.voltage_v = 0.0
        self.contactor_wanted = False
        self._reader = FrameReader()

    # ---- the recorded station's decisions ----

    def _random(self, n: int) -> bytes:
        if n == 16:
            return self.answers["AuthorizationSetupRes"].PnC_ASResAuthorizationMode.GenChallenge
        return self.answers["SessionSetupRes"].Header.SessionID

    def _config(self) -> SeccConfig:
        setup = self.answers["AuthorizationSetupRes"]
        shown = self.requests["AuthorizationReq"].PnC_AReqAuthorizationMode
        anchors = None
        if cm.authorizationType.PnC in setup.AuthorizationServices:
            tops = shown.ContractCertificateChain.SubCertificates.Certificate[-1:] if shown is not None else ()
            anchors = TrustAnchors.from_certificates(*tops)
        return SeccConfig(
            evse_id=self.answers["SessionSetupRes"].EVSEID,
            services=tuple(self._services()),
            limits=self.limits,
            ac_limits=self._ac_limits(),
            ac_nominal_frequency_hz=50.0,
            authorization=tuple(setup.AuthorizationServices),
            contract_anchors=anchors,
            profile=TlsProfile.COMPAT,
        )

    def _services(self) -> Iterator[ServiceOffer]:
        details = {
            step.response.ServiceID: step.response.ServiceParameterList.ParameterSet
            for step in self.steps
            if isinstance(step.response, cm.ServiceDetailRes)
        }
        for listed in self.answers["ServiceDiscoveryRes"].EnergyTransferServiceList.Service:
            sets = tuple(map(parameter_set, details.get(listed.ServiceID, ()))) or (ParameterSet(id=1),)
            yield ServiceOffer(service=EnergyService(listed.ServiceID), parameter_sets=sets, free=listed.FreeService)

    def _dc_limits(self) -> DcLimits:
        response = self.answers.get("DC_ChargeParameterDiscoveryRes")
        mode: Any = response and response.DC_CPDResEnergyTransferMode
        bpt = isinstance(mode, dc.BPT_DC_CPDResEnergyTransferMode)
        return DcLimits(
            max_charge_power_w=float(mode.EVSEMaximumChargePower) if mode else 50_000.0,
            max_charge_current_a=float(mode.EVSEMaximumChargeCurrent) if mode else 125.0,
            max_voltage_v=float(mode.EVSEMaximumVoltage) if mode else 1000.0,
            min_voltage_v=float(mode.EVSEMinimumVoltage) if mode else 150.0,
            max_discharge_power_w=abs(float(mode.EVSEMaximumDischargePower)) if bpt else 0.0,
            max_discharge_current_a=abs(float(mode.EVSEMaximumDischargeCurrent)) if bpt else 0.0,
        )

    def _ac_limits(self) -> AcLimits:
        response = self.answers.get("AC_ChargeParameterDiscoveryRes")
        mode: Any = response and response.AC_CPDResEnergyTransferMode
        bpt = isinstance(mode, ac.BPT_AC_CPDResEnergyTransferMode)
        return AcLimits(
            max_charge_power=AcPower(float(mode.EVSEMaximumChargePower) if mode else 22_000.0),
            max_discharge_power=AcPower(abs(float(mode.EVSEMaximumDischargePower)) if bpt else 0.0),
        )

    # ---- one step ----

    def answer(self, step: Step) -> list[Any]:
        """What our SECC answers to the recorded bytes, the owner deciding as recorded."""
        self.now += STEP_S
        if self.machine.state is not State.APP_PROTOCOL:
            self._update(step)
        self.machine.receive_data(encode_frame(step.payload_type, step.payload), self.now)
        self._take_events(step)
        responses = self._sent()
        while not responses and (deadline := self.machine.next_deadline()) is not None:
            self.now = max(self.now, deadline)
            self.machine.handle_timer(self.now)
            self._take_events(step)
            responses = self._sent()
        return responses

    def _update(self, step: Step) -> None:
        opened = str(step.response.ResponseCode) == "FAILED_ContactorError"
        if self.machine.session.is_ac:
            command: Any = UpdateAcEvse(
                contactor_closed=self.contactor_wanted and not opened, present_active_power=AcPower(0.0)
            )
        else:
            command = UpdateDcEvse(
                present_voltage_v=self.voltage_v,
                present_current_a=0.0,
                limits=self.limits,
                contactors_closed=not opened,
            )
        self.machine.command(command, self.now)

    def _take_events(self, step: Step) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, PreChargeRequested):
                self.voltage_v = event.target_voltage_v
                self._update(step)
            elif isinstance(event, ContactorRequested | PowerDeliveryStopped):
                self.contactor_wanted = isinstance(event, ContactorRequested)
                self._update(step)
        self._decide(step)
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)

    def _decide(self, step: Step) -> None:
        """What the recorded station had decided by the time of its answer, if ours still waits for it."""
        finished = str(getattr(step.response, "EVSEProcessing", "")) == "Finished"
        if not finished or self.machine.closed or kind(step.response.ResponseCode) == "FAILED":
            return
        session, state = self.machine.session, self.machine.state
        if state is State.AUTHORIZATION and session.authorization_since is not None:
            self.machine.command(Authorize(granted=True), self.now)
        elif state is State.SCHEDULE_EXCHANGE and session.schedule_since is not None:
            mode = step.response.Scheduled_SEResControlMode
            if mode is not None:
                self.machine.command(OfferSchedules(tuples=tuples_from_message(mode)), self.now)
            else:
                self.machine.command(SetMobilityNeeds(), self.now)
        elif state is State.CABLE_CHECK and session.cable_check_since is not None:
            self.machine.command(CableCheckFinished(passed=True), self.now)

    def _sent(self) -> list[Any]:
        messages = []
        while data := self.machine.data_to_send():
            self._reader.feed(data)
            messages += [exi.decode(namespace_of(f.payload_type), f.payload) for f in self._reader]
        return messages


def parameter_set(recorded: cm.ParameterSetType) -> ParameterSet:
    values = {p.Name: p.intValue for p in recorded.Parameter if p.intValue is not None}
    return ParameterSet(
        id=recorded.ParameterSetID,
        control_mode=ControlMode(values["ControlMode"]),
        mobility_needs_mode=MobilityNeedsMode(values["MobilityNeedsMode"]),
        connector=values["Connector"],
        pricing=values.get("Pricing", 0),
        bpt_channel=BptChannel(values.get("BPTChannel", 1)),
        generator_mode=GeneratorMode(values.get("GeneratorMode", 1)),
        nominal_voltage_v=values.get("EVSENominalVoltage"),
    )


@cache
def replayed(path: Path) -> tuple[list[Step], list[list[Any]], Station]:
    """The steps of a recording, our answers up to the first that ends the session, and our station afterwards."""
    steps = steps_of(path)
    station = Station(steps)
    answers = []
    for step in steps:
        answers.append(station.answer(step))
        if station.machine.closed:
            break
    return steps, answers, station


@pytest.fixture(scope="module")
def recordings(shared_data: Path) -> dict[str, Path]:
    base = shared_data / "iso15118"
    paths = [*base.glob("sessions/*.jsonl"), *base.glob("captures/*.jsonl")]
    return {path.stem: path for path in sorted(paths)}


def test_every_recorded_request_gets_the_same_message_of_the_same_kind(recordings: dict[str, Path]) -> None:
    assert len(recordings) == RECORDINGS
    for name, path in recordings.items():
        steps, answers, _ = replayed(path)
        excepted = EXCEPTIONS.get(name)
        for number, (step, given) in enumerate(zip(steps, answers, strict=False)):
            where = f"{name}, request {number}"
            assert [type(answer).__name__ for answer in given] == [step.names[1]], where
            (answer,) = given
            if excepted and excepted[0] == step.names[0] and kind(answer.ResponseCode) == "FAILED":
                assert kind(step.response.ResponseCode) == "OK", where
                continue
            assert kind(answer.ResponseCode) == kind(step.response.ResponseCode), where
            assert getattr(answer, "EVSEProcessing", None) == getattr(step.response, "EVSEProcessing", None), where
        assert len(answers) == len(steps) or name in EXCEPTIONS, name


def test_the_exceptions_are_where_they_are_said_to_be(recordings: dict[str, Path]) -> None:
    for name, (request, code, _) in EXCEPTIONS.items():
        steps, answers, station = replayed(recordings[name])
        assert steps[len(answers) - 1].names[0] == request, name
        assert str(answers[-1][0].ResponseCode) == code, name
        assert station.events[-1].response_code == code, name


MCS_RECORDINGS = {
    "2026_08_05_everest_mcs_mcs_dynamic_410972": (EnergyService.MCS, 3),
    "2026_08_05_everest_mcs_mcs_scheduled_s1_0f316e": (EnergyService.MCS, 3),
    "2026_08_05_everest_mcs_mcs_scheduled_s2_32ceef": (EnergyService.MCS, 3),
    "2026_08_06_everest_mcs_reverse_recorded_mcs_reverse_eim_5709f3": (EnergyService.MCS, 26),
    "2026_08_06_everest_mcs_reverse_recorded_mcs_reverse_pnc_frames_log_04f6c9": (EnergyService.MCS, 33),
    "2026_08_05_everest_mcs_bpt_mcs_bpt_aa937d": (EnergyService.MCS_BPT, 0),
    "2026_08_05_everest_mcs_bpt_mcs_bpt_ranked_8cb2d4": (EnergyService.MCS_BPT, 0),
}
"""Service and turns of the charge loop. Those of MCS_BPT end at parameter discovery: their vehicle sent the mode of
one-way power there."""


def test_megawatt_sessions_run_to_the_end_but_where_the_vehicle_forgot_to_be_bidirectional(
    recordings: dict[str, Path],
) -> None:
    assert {name for name in recordings if "_mcs_" in name} == set(MCS_RECORDINGS)
    for name, (service, turns) in MCS_RECORDINGS.items():
        steps, answers, station = replayed(recordings[name])
        selected = [e for e in station.events if isinstance(e, EnergyServiceSelected)]
        assert [e.service for e in selected] == [service], name
        assert len(answers) == len(steps), name
        assert sum(isinstance(e, DcChargeLoopReceived) for e in station.events) == turns, name
        ended = station.events[-1]
        if service is EnergyService.MCS:
            assert ended.reason is EndReason.STOPPED, name
            continue
        assert ended.response_code == "FAILED_WrongChargeParameter", name
        assert "does not belong to the selected service" in ended.detail, name


def test_the_connectors_of_recorded_megawatt_stations_are_ours(recordings: dict[str, Path]) -> None:
    for name in MCS_RECORDINGS:
        steps, answers, _ = replayed(recordings[name])
        details = [(step.response, answer[0]) for step, answer in zip(steps, answers, strict=True)]
        ((theirs, ours),) = [pair for pair in details if isinstance(pair[0], cm.ServiceDetailRes)]
        assert ours.ServiceParameterList == theirs.ServiceParameterList, name


def test_recorded_vehicles_charge_from_start_to_stop(recordings: dict[str, Path]) -> None:
    charged = 0
    for name, path in recordings.items():
        steps, answers, station = replayed(path)
        if not isinstance(steps[len(answers) - 1].response, cm.SessionStopRes):
            continue
        charged += 1
        kinds = [type(event) for event in station.events]
        loops = [s for s in steps if isinstance(s.request, dc.DC_ChargeLoopReq | ac.AC_ChargeLoopReq)]
        assert kinds.count(PowerDeliveryStarted) == kinds.count(PowerDeliveryStopped) == 1, name
        assert kinds.count(DcChargeLoopReceived) + kinds.count(AcChargeLoopReceived) == len(loops), name
        assert kinds[-1] is SessionEnded, name
        assert station.events[-1].reason is EndReason.STOPPED, name
    assert charged >= 30


def test_signatures_of_recorded_contracts_are_verified_against_the_leaf_shown(recordings: dict[str, Path]) -> None:
    forms = []
    for name, path in recordings.items():
        steps, _, station = replayed(path)
        shown = [s.request for s in steps if isinstance(s.request, cm.AuthorizationReq)]
        if all(request.PnC_AReqAuthorizationMode is None for request in shown):
            continue
        verified = [e for e in station.events if isinstance(e, SignatureVerified)]
        asked = next(e for e in station.events if isinstance(e, AuthorizationRequested))
        assert len(verified) == 1, name
        assert asked.contract_chain[0] == shown[0].PnC_AReqAuthorizationMode.ContractCertificateChain.Certificate
        assert asked.emaid, name
        forms.append(verified[0].signed_info_form)
    assert len(forms) == WITH_CONTRACT
    assert set(forms) == {"xmldsig"}


def test_a_recorded_contract_without_its_root_is_refused_with_a_warning(recordings: dict[str, Path]) -> None:
    path = recordings["2026_08_14_everest_d20_dc_bpt_reverse_plain_everest_iso15118_20_dc_reverse_46c35b"]
    steps = steps_of(path)
    station = Station(steps)
    station.machine.config = replace(station.machine.config, contract_anchors=TrustAnchors())
    for step in steps:
        (answer,) = station.answer(step)
        if isinstance(step.request, cm.AuthorizationReq):
            break
    assert str(answer.ResponseCode) == "WARNING_CertificateValidationError"
    assert not any(isinstance(e, SignatureVerified | AuthorizationRequested) for e in station.events)
