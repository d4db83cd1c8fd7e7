"""A bench for the charger's side: a SECC machine, its owner, and a vehicle whose every request a test can bend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118 import exi
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    Command,
    OfferSchedules,
    SetMobilityNeeds,
    UpdateAcEvse,
    UpdateDcEvse,
)
from pyiso15118.events import (
    AcLimits,
    AcPower,
    AuthorizationRequested,
    CableCheckRequested,
    ContactorRequested,
    ControlMode,
    DcLimits,
    EnergyService,
    Event,
    MessageReceived,
    MessageSent,
    PowerDeliveryStopped,
    PreChargeRequested,
    ScheduleRequested,
    SessionEnded,
)
from pyiso15118.messages import ac, app_protocol, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.paused import PausedSession
from pyiso15118.schedules import flat_schedule, follow
from pyiso15118.secc import ParameterSet, SeccConfig, SeccMachine, ServiceOffer, State
from pyiso15118.v2gtp import FrameReader, encode_frame, namespace_of, payload_type_of
from support.fleet.parts import EVSE_LIMITS

EVSE = UpdateDcEvse(present_voltage_v=0.0, present_current_a=0.0, limits=EVSE_LIMITS, contactors_closed=False)
START = 1000.0
UNIX_OFFSET = 1_700_000_000.0


def counted_bytes(n: int) -> bytes:
    return bytes(range(1, n + 1))


def rational(value: float) -> ct.RationalNumberType:
    return ct.RationalNumberType.of(value)


def is_quiet(event: Event) -> bool:
    return isinstance(event, MessageReceived | MessageSent)


AC_LIMITS = AcLimits(
    max_charge_power=AcPower(7_400.0, 7_400.0, 7_400.0),
    max_discharge_power=AcPower(5_000.0, 5_000.0, 5_000.0),
)
DYNAMIC = ParameterSet(id=1)
AC_EVSE = UpdateAcEvse(contactor_closed=False, target_active_power=AcPower(3_000.0, 3_000.0, 3_000.0))


class SeccBench:
    """A SECC machine. ``answers`` says what its owner does at an event; by default it plays a perfect EVSE.

    ``service`` and ``parameter_set``: the only ones offered; by default DC_BPT and DC in dynamic mode.
    """

    def __init__(
        self,
        service: EnergyService | None = None,
        parameter_set: ParameterSet = DYNAMIC,
        peer_certificate: bytes | None = None,
        certified_name: str | None = None,
        paused: PausedSession | None = None,
        **config: Any,
    ) -> None:
        defaults: dict[str, Any] = {"evse_id": "US*V2G*E1", "limits": EVSE_LIMITS, "standby_allowed": True}
        if service is not None:
            defaults["services"] = (ServiceOffer(service=service, parameter_sets=(parameter_set,)),)
        self.service = service or EnergyService.DC_BPT
        self.scheduled = parameter_set.control_mode is ControlMode.SCHEDULED
        if self.service.is_ac:
            defaults |= {"limits": None, "ac_limits": AC_LIMITS, "ac_nominal_frequency_hz": 50.0}
        self.config = SeccConfig(**(defaults | config))
        self.machine = SeccMachine(
            self.config,
            random=counted_bytes,
            unix_offset_s=UNIX_OFFSET,
            peer_certificate=peer_certificate,
            certified_name=certified_name,
            paused=paused,
        )
        self.now = START
        self.evse: Any = AC_EVSE if self.service.is_ac else EVSE
        self.events: list[Event] = []
        self.answers: dict[type[Event], Callable[[Any], None]] = {
            AuthorizationRequested: lambda _: self.command(Authorize(granted=True)),
            ScheduleRequested: self.offer_schedules,
            CableCheckRequested: lambda _: self.finish_cable_check(),
            PreChargeRequested: lambda e: self.update(present_voltage_v=e.target_voltage_v),
            ContactorRequested: lambda _: self.update(contactor_closed=True),
            PowerDeliveryStopped: lambda _: self.switch_off(),
        }
        self.told_at = self.answered_at = self.now
        self.bad_news = False
        self.offered = (flat_schedule(22_000.0, discharge_power_w=-20_000.0),)
        self._reader = FrameReader()
        self.machine.start(self.now)

    # ---- owner ----

    def command(self, command: Command) -> None:
        self.machine.command(command, self.now)
        if isinstance(command, UpdateDcEvse | UpdateAcEvse):
            self.told_at = self.now
        if self.machine.state in LATE and command in (CableCheckFinished(passed=False), Authorize(granted=False)):
            self.bad_news = True
        self._take_events()

    def update(self, **changes: Any) -> None:
        self.evse = replace(self.evse, **changes)
        self.command(self.evse)

    def switch_off(self) -> None:
        self.update(**({"contactor_closed": False} if self.service.is_ac else {"present_current_a": 0.0}))

    def offer_schedules(self, asked: ScheduleRequested) -> None:
        if asked.control_mode is ControlMode.SCHEDULED:
            self.command(OfferSchedules(tuples=self.offered))
        else:
            self.command(SetMobilityNeeds(departure_time_s=7200, min_soc_pct=40, target_soc_pct=80))

    def finish_cable_check(self) -> None:
        self.update(contactors_closed=True)
        self.command(CableCheckFinished(passed=True))

    def _take_events(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            answer = self.answers.get(type(event))
            if answer is not None:
                answer(event)

    @property
    def told(self) -> list[Event]:
        """Events without the messages themselves."""
        return [e for e in self.events if not is_quiet(e)]

    @property
    def end(self) -> SessionEnded:
        last = self.events[-1]
        assert isinstance(last, SessionEnded)
        return last

    # ---- time ----

    def advance(self, seconds: float) -> list[Any]:
        """Let time pass, every deadline on the way handled, and give what was sent meanwhile."""
        until = self.now + seconds
        while (deadline := self.machine.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.machine.handle_timer(self.now)
            self._take_events()
        self.now = until
        return self.sent()

    # ---- vehicle ----

    def header(self, session_id: bytes | None = None) -> ct.MessageHeaderType:
        own = self.machine.session.session_id
        return ct.MessageHeaderType(SessionID=own if session_id is None else session_id, TimeStamp=1_700_000_000)

    def sent(self) -> list[Any]:
        messages = []
        while data := self.machine.data_to_send():
            self._reader.feed(data)
            frames = list(self._reader)
            assert len(frames) == 1
            messages.append(exi.decode(namespace_of(frames[0].payload_type), frames[0].payload))
        return messages

    def feed(self, data: bytes) -> list[Any]:
        self.machine.receive_data(data, self.now)
        self._take_events()
        return self.sent()

    def frame(self, message: Any) -> bytes:
        namespace = next(
            ns for ns, module in MODULES.items() if getattr(module, type(message).__name__, None) is type(message)
        )
        return encode_frame(payload_type_of(namespace), exi.encode(message))

    def ask(self, message: Any) -> Any:
        """Send a request and wait for its one response, as long as the SECC may take."""
        responses = self.feed(self.frame(message))
        latest = self.now + 1.5
        while not responses and (deadline := self.machine.next_deadline()) is not None and deadline <= latest:
            responses = self.advance(deadline - self.now)
        assert len(responses) <= 1
        if responses:
            self.answered_at = self.now
        return responses[0] if responses else None

    def request(self, state: State, **changes: Any) -> Any:
        """A good request for a state."""
        cls, fields = self._good(state)
        if cls is app_protocol.supportedAppProtocolReq:
            return cls(**(fields | changes))
        return cls(**({"Header": self.header()} | fields | changes))

    def _good(self, state: State) -> tuple[type[Any], dict[str, Any]]:
        state = SAME_REQUEST.get(state, state)
        if state in COMMON:
            return COMMON[state]
        match state:
            case State.APP_PROTOCOL:
                return app_protocol.supportedAppProtocolReq, {"AppProtocol": [protocol(is_ac=self.service.is_ac)]}
            case State.SERVICE_DETAIL:
                return cm.ServiceDetailReq, {"ServiceID": int(self.service)}
            case State.SERVICE_SELECTION:
                chosen = cm.SelectedServiceType(ServiceID=int(self.service), ParameterSetID=1)
                return cm.ServiceSelectionReq, {"SelectedEnergyTransferService": chosen}
            case State.SCHEDULE_EXCHANGE:
                return cm.ScheduleExchangeReq, SCHEDULED_NEEDS if self.scheduled else DYNAMIC_NEEDS
            case State.POWER_DELIVERY:
                profile = follow(self.machine.session.offered[0]) if self.machine.session.offered else None
                return cm.PowerDeliveryReq, {
                    "EVProcessing": _FINISHED,
                    "ChargeProgress": cm.chargeProgressType.Start,
                    "EVPowerProfile": profile and profile.to_message(),
                }
            case State.CHARGE_PARAMETER_DISCOVERY if self.service.is_ac:
                mode = AC_CPD if self.service.is_bpt else plain(AC_CPD, ac.AC_CPDReqEnergyTransferMode)
                return ac.AC_ChargeParameterDiscoveryReq, {"AC_CPDReqEnergyTransferMode": mode}
            case State.CHARGE_PARAMETER_DISCOVERY:
                mode = CPD if self.service.is_bpt else plain(CPD, dc.DC_CPDReqEnergyTransferMode)
                return dc.DC_ChargeParameterDiscoveryReq, {"DC_CPDReqEnergyTransferMode": mode}
            case State.CHARGE_LOOP:
                fields = {"MeterInfoRequested": False, "CLReqControlMode": self._loop_mode()}
                if self.service.is_ac:
                    return ac.AC_ChargeLoopReq, fields
                return dc.DC_ChargeLoopReq, fields | {"EVPresentVoltage": rational(400)}
        raise AssertionError(state)

    def _loop_mode(self) -> Any:
        bpt, mode = LOOP_MODES[self.service.is_ac, self.scheduled]
        return bpt if self.service.is_bpt else plain(bpt, mode)

    def deliver(self, progress: cm.chargeProgressType, **changes: Any) -> Any:
        """Ask for a PowerDelivery that is no start."""
        request = self.request(State.POWER_DELIVERY, ChargeProgress=progress, EVPowerProfile=None)
        return self.ask(msgspec.structs.replace(request, **changes))

    def reach(self, state: State) -> SeccBench:
        """Bring the session to ``state`` by good requests."""
        progress = cm.chargeProgressType
        for _ in range(30):
            if self.machine.state is state:
                return self
            if self.machine.state is State.CHARGE_LOOP and state in BEYOND:
                self.ask(self.request(State.CHARGE_LOOP))
                response = self.deliver(progress[BEYOND[state]])
            else:
                response = self.ask(self.request(self.machine.state))
            assert not str(response.ResponseCode).upper().startswith("FAILED"), response
        raise AssertionError(f"{state} was not reached from {self.machine.state}")


BEYOND = {
    State.STANDBY: "Standby",
    State.SCHEDULE_RENEGOTIATION: "ScheduleRenegotiation",
    State.POWER_DELIVERY_AGAIN: "ScheduleRenegotiation",
    State.WELDING_DETECTION: "Stop",
    State.SESSION_STOP: "Stop",
}
"""How a state is reached from the charge loop."""
LATE = {State.PRE_CHARGE, State.POWER_DELIVERY, State.CHARGE_LOOP, *BEYOND}
SAME_REQUEST = {
    State.STANDBY: State.CHARGE_LOOP,
    State.SCHEDULE_RENEGOTIATION: State.SCHEDULE_EXCHANGE,
    State.POWER_DELIVERY_AGAIN: State.POWER_DELIVERY,
}


def protocol(*, is_ac: bool) -> app_protocol.AppProtocolType:
    return app_protocol.AppProtocolType(
        ProtocolNamespace=f"urn:iso:std:iso:15118:-20:{'AC' if is_ac else 'DC'}",
        VersionNumberMajor=1,
        VersionNumberMinor=0,
        SchemaID=7,
        Priority=1,
    )


def plain(mode: Any, cls: type[Any]) -> Any:
    """``mode`` without what only its bidirectional kind has."""
    return cls(**{name: getattr(mode, name) for name in cls.__struct_fields__})


MODULES = {
    "urn:iso:15118:2:2010:AppProtocol": app_protocol,
    "urn:iso:std:iso:15118:-20:CommonMessages": cm,
    "urn:iso:std:iso:15118:-20:DC": dc,
    "urn:iso:std:iso:15118:-20:AC": ac,
}

CPD = dc.BPT_DC_CPDReqEnergyTransferMode(
    EVMaximumChargePower=rational(11_000),
    EVMinimumChargePower=rational(100),
    EVMaximumChargeCurrent=rational(32),
    EVMinimumChargeCurrent=rational(0),
    EVMaximumVoltage=rational(450),
    EVMinimumVoltage=rational(300),
    EVMaximumDischargePower=rational(10_000),
    EVMinimumDischargePower=rational(0),
    EVMaximumDischargeCurrent=rational(30),
    EVMinimumDischargeCurrent=rational(0),
)
LOOP_MODE = dc.BPT_Dynamic_DC_CLReqControlMode(
    EVTargetEnergyRequest=rational(20_000),
    EVMaximumEnergyRequest=rational(40_000),
    EVMinimumEnergyRequest=rational(-20_000),
    EVMaximumChargePower=rational(11_000),
    EVMinimumChargePower=rational(0),
    EVMaximumChargeCurrent=rational(32),
    EVMaximumVoltage=rational(450),
    EVMinimumVoltage=rational(300),
    EVMaximumDischargePower=rational(10_000),
    EVMinimumDischargePower=rational(0),
    EVMaximumDischargeCurrent=rational(30),
)
_FINISHED = ct.processingType.Finished

_ENERGIES = {
    "EVTargetEnergyRequest": rational(40_000),
    "EVMaximumEnergyRequest": rational(60_000),
    "EVMinimumEnergyRequest": rational(-20_000),
}
AC_CPD = ac.BPT_AC_CPDReqEnergyTransferMode(
    EVMaximumChargePower=rational(3_600),
    EVMaximumChargePower_L2=rational(3_600),
    EVMaximumChargePower_L3=rational(3_600),
    EVMinimumChargePower=rational(100),
    EVMaximumDischargePower=rational(3_000),
    EVMinimumDischargePower=rational(0),
)
_AC_LOOP: dict[str, Any] = {
    "EVMaximumChargePower": rational(3_600),
    "EVMaximumChargePower_L2": rational(3_600),
    "EVMaximumChargePower_L3": rational(3_600),
    "EVMinimumChargePower": rational(100),
    "EVPresentActivePower": rational(9_000),
    "EVPresentReactivePower": rational(-50),
    "EVMaximumDischargePower": rational(3_000),
    "EVMinimumDischargePower": rational(0),
} | _ENERGIES
LOOP_MODES: dict[tuple[bool, bool], tuple[Any, type[Any]]] = {
    (False, False): (LOOP_MODE, dc.Dynamic_DC_CLReqControlMode),
    (False, True): (
        dc.BPT_Scheduled_DC_CLReqControlMode(EVTargetCurrent=rational(25), EVTargetVoltage=rational(400)),
        dc.Scheduled_DC_CLReqControlMode,
    ),
    (True, False): (ac.BPT_Dynamic_AC_CLReqControlMode(**_AC_LOOP), ac.Dynamic_AC_CLReqControlMode),
    (True, True): (ac.BPT_Scheduled_AC_CLReqControlMode(**_AC_LOOP), ac.Scheduled_AC_CLReqControlMode),
}
"""By whether AC and whether scheduled: the mode with discharge, and the type of that without."""
SCHEDULED_NEEDS: dict[str, Any] = {
    "MaximumSupportingPoints": 12,
    "Scheduled_SEReqControlMode": cm.Scheduled_SEReqControlModeType(DepartureTime=7200, **_ENERGIES),
}
DYNAMIC_NEEDS: dict[str, Any] = {
    "MaximumSupportingPoints": 12,
    "Dynamic_SEReqControlMode": cm.Dynamic_SEReqControlModeType(
        DepartureTime=7200, MinimumSOC=30, TargetSOC=80, **_ENERGIES
    ),
}

COMMON: dict[State, tuple[type[Any], dict[str, Any]]] = {
    State.SESSION_SETUP: (cm.SessionSetupReq, {"EVCCID": "WMIV1234567890ABCDEX"}),
    State.AUTHORIZATION_SETUP: (cm.AuthorizationSetupReq, {}),
    State.AUTHORIZATION: (
        cm.AuthorizationReq,
        {
            "SelectedAuthorizationService": cm.authorizationType.EIM,
            "EIM_AReqAuthorizationMode": cm.EIM_AReqAuthorizationModeType(),
        },
    ),
    State.SERVICE_DISCOVERY: (cm.ServiceDiscoveryReq, {}),
    State.CABLE_CHECK: (dc.DC_CableCheckReq, {}),
    State.PRE_CHARGE: (
        dc.DC_PreChargeReq,
        {"EVProcessing": _FINISHED, "EVPresentVoltage": rational(395), "EVTargetVoltage": rational(400)},
    ),
    State.WELDING_DETECTION: (dc.DC_WeldingDetectionReq, {"EVProcessing": _FINISHED}),
    State.SESSION_STOP: (cm.SessionStopReq, {"ChargingSession": cm.chargingSessionType.Terminate}),
}


@pytest.fixture
def secc_bench() -> type[SeccBench]:
    return SeccBench


@pytest.fixture
def evse_limits() -> DcLimits:
    return EVSE_LIMITS


@pytest.fixture
def ac_limits() -> AcLimits:
    return AC_LIMITS
