"""A bench for the vehicle's side: an EVCC machine, its owner, and an EVSE whose every answer a test can bend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pyiso15118 import exi
from pyiso15118.commands import Command, ContactorsClosed, StopCharging, UpdateAcVehicle, UpdateDcVehicle
from pyiso15118.evcc import EvccConfig, EvccMachine, State
from pyiso15118.events import (
    AcChargeLoopAnswered,
    AcLimits,
    AcPower,
    BptChannel,
    ControlMode,
    DcChargeLoopAnswered,
    EnergyService,
    Event,
    MessageReceived,
    MessageSent,
    MobilityNeedsMode,
    PreChargeReached,
    SessionEnded,
)
from pyiso15118.messages import Namespace, ac, app_protocol, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import ScheduleTuple, flat_schedule, tuples_to_message
from pyiso15118.v2gtp import FrameReader, encode_frame, namespace_of, payload_type_of
from support.fleet.parts import VEHICLE as DC_VEHICLE

START = 1000.0
UNIX_OFFSET = 1_700_000_000.0
SESSION_ID = bytes(range(1, 9))
CHALLENGE = bytes(range(16))
OK = ct.responseCodeType.OK
FINISHED = ct.processingType.Finished
ONGOING = ct.processingType.Ongoing

AC_VEHICLE = UpdateAcVehicle(
    limits=AcLimits(
        max_charge_power=AcPower(3_600.0, 3_600.0, 3_600.0),
        min_charge_power=AcPower(500.0),
        max_discharge_power=AcPower(3_000.0, 3_000.0, 3_000.0),
    ),
    needs=DC_VEHICLE.needs,
    present_active_power=AcPower(1_000.0, 1_100.0, 1_200.0),
    present_reactive_power=AcPower(-50.0),
)


def rational(value: float) -> ct.RationalNumberType:
    return ct.RationalNumberType.of(value)


def parameter_set(set_id: int, **values: int) -> cm.ParameterSetType:
    parameters = [cm.ParameterType(Name=name, intValue=value) for name, value in values.items()]
    return cm.ParameterSetType(ParameterSetID=set_id, Parameter=parameters)


class Evse:
    """A perfect EVSE, its answers hand-made. ``bend(name, change)`` changes every answer of that name on its way."""

    def __init__(
        self,
        services: tuple[EnergyService, ...] = (EnergyService.DC_BPT, EnergyService.DC),
        mode: ControlMode = ControlMode.DYNAMIC,
        mobility: MobilityNeedsMode = MobilityNeedsMode.BY_EVCC,
        channel: BptChannel = BptChannel.UNIFIED,
    ) -> None:
        self.services, self.mode = services, mode
        self.session_id = SESSION_ID
        self.parameter_sets = [
            parameter_set(
                1, ControlMode=mode, MobilityNeedsMode=mobility, BPTChannel=channel, GeneratorMode=1, Connector=2
            )
        ]
        self.authorizations = [cm.authorizationType.EIM]
        self.installs = False
        self.value_added: list[int] = []
        self.tuples: tuple[ScheduleTuple, ...] = (flat_schedule(22_000.0, discharge_power_w=-20_000.0),)
        self.voltage_v = 0.0
        self.current_a = 25.0
        self.sign = 1
        self.notification: ct.evseNotificationType | None = None
        self.meter: ct.MeterInfoType | None = None
        self.loop_power: dict[str, float] = {"EVSEMaximumChargePower": 22_000.0}
        self.bends: dict[str, Callable[[Any], Any]] = {}
        self.silent: set[str] = set()
        self.seen: list[Any] = []
        self.service = EnergyService.DC_BPT
        self.time_stamp = 1_700_001_000_000_000

    def bend(self, name: str, change: Callable[[Any], Any]) -> None:
        self.bends[name] = change

    def answer(self, request: Any) -> Any | None:
        name = type(request).__name__
        self.seen.append(request)
        if name in self.silent:
            return None
        response = getattr(self, f"_{name}")(request)
        return self.bends.get(type(response).__name__, lambda r: r)(response)

    def header(self) -> ct.MessageHeaderType:
        return ct.MessageHeaderType(SessionID=self.session_id, TimeStamp=self.time_stamp)

    def _res(self, response_type: type[Any], code: ct.responseCodeType = OK, **fields: Any) -> Any:
        return response_type(Header=self.header(), ResponseCode=code, **fields)

    def _status(self) -> ct.EVSEStatusType | None:
        if self.notification is None:
            return None
        return ct.EVSEStatusType(NotificationMaxDelay=7, EVSENotification=self.notification)

    # ---- common messages ----

    def _supportedAppProtocolReq(self, request: app_protocol.supportedAppProtocolReq) -> Any:
        namespaces = {Namespace.AC.value if s.is_ac else Namespace.DC.value for s in self.services}
        best = min((p for p in request.AppProtocol if p.ProtocolNamespace in namespaces), key=lambda p: p.Priority)
        return app_protocol.supportedAppProtocolRes(
            ResponseCode=app_protocol.responseCodeType.OK_SuccessfulNegotiation, SchemaID=best.SchemaID
        )

    def _SessionSetupReq(self, request: cm.SessionSetupReq) -> Any:
        new = request.Header.SessionID != self.session_id
        code = ct.responseCodeType.OK_NewSessionEstablished if new else ct.responseCodeType.OK_OldSessionJoined
        return self._res(cm.SessionSetupRes, code, EVSEID="US*V2G*E1")

    def _AuthorizationSetupReq(self, request: Any) -> Any:
        pnc = cm.authorizationType.PnC in self.authorizations
        return self._res(
            cm.AuthorizationSetupRes,
            AuthorizationServices=self.authorizations,
            CertificateInstallationService=self.installs,
            EIM_ASResAuthorizationMode=None if pnc else cm.EIM_ASResAuthorizationModeType(),
            PnC_ASResAuthorizationMode=cm.PnC_ASResAuthorizationModeType(GenChallenge=CHALLENGE) if pnc else None,
        )

    def _AuthorizationReq(self, request: Any) -> Any:
        return self._res(cm.AuthorizationRes, EVSEProcessing=FINISHED)

    def _ServiceDiscoveryReq(self, request: Any) -> Any:
        def listed(ids: list[int]) -> cm.ServiceListType:
            return cm.ServiceListType(Service=[cm.ServiceType(ServiceID=i, FreeService=False) for i in ids])

        return self._res(
            cm.ServiceDiscoveryRes,
            ServiceRenegotiationSupported=True,
            EnergyTransferServiceList=listed([int(s) for s in self.services]),
            VASList=listed(self.value_added) if self.value_added else None,
        )

    def _ServiceDetailReq(self, request: cm.ServiceDetailReq) -> Any:
        sets = self.parameter_sets
        if request.ServiceID in self.value_added:
            sets = [parameter_set(request.ServiceID * 10, Port=80), parameter_set(1, Port=81)]
        return self._res(
            cm.ServiceDetailRes,
            ServiceID=request.ServiceID,
            ServiceParameterList=cm.ServiceParameterListType(ParameterSet=sets),
        )

    def _ServiceSelectionReq(self, request: cm.ServiceSelectionReq) -> Any:
        self.service = EnergyService(request.SelectedEnergyTransferService.ServiceID)
        return self._res(cm.ServiceSelectionRes)

    def _ScheduleExchangeReq(self, request: cm.ScheduleExchangeReq) -> Any:
        scheduled = self.mode is ControlMode.SCHEDULED
        return self._res(
            cm.ScheduleExchangeRes,
            EVSEProcessing=FINISHED,
            Dynamic_SEResControlMode=None
            if scheduled
            else cm.Dynamic_SEResControlModeType(DepartureTime=7200, TargetSOC=80),
            Scheduled_SEResControlMode=tuples_to_message(self.tuples) if scheduled else None,
        )

    def _PowerDeliveryReq(self, request: cm.PowerDeliveryReq) -> Any:
        return self._res(cm.PowerDeliveryRes, EVSEStatus=self._status())

    def _MeteringConfirmationReq(self, request: Any) -> Any:
        return self._res(cm.MeteringConfirmationRes)

    def _SessionStopReq(self, request: Any) -> Any:
        return self._res(cm.SessionStopRes)

    # ---- DC ----

    def _DC_ChargeParameterDiscoveryReq(self, request: Any) -> Any:
        fields = {
            "EVSEMaximumChargePower": 22_000,
            "EVSEMinimumChargePower": 0,
            "EVSEMaximumChargeCurrent": 80,
            "EVSEMinimumChargeCurrent": 0,
            "EVSEMaximumVoltage": 920,
            "EVSEMinimumVoltage": 150,
        }
        mode: type[Any] = dc.DC_CPDResEnergyTransferMode
        if self.service.is_bpt:
            mode = dc.BPT_DC_CPDResEnergyTransferMode
            fields |= {
                "EVSEMaximumDischargePower": self.sign * 20_000,
                "EVSEMinimumDischargePower": 0,
                "EVSEMaximumDischargeCurrent": self.sign * 70,
                "EVSEMinimumDischargeCurrent": 0,
            }
        return self._res(
            dc.DC_ChargeParameterDiscoveryRes,
            DC_CPDResEnergyTransferMode=mode(**{k: rational(v) for k, v in fields.items()}),
        )

    def _DC_CableCheckReq(self, request: Any) -> Any:
        return self._res(dc.DC_CableCheckRes, EVSEProcessing=FINISHED)

    def _DC_PreChargeReq(self, request: dc.DC_PreChargeReq) -> Any:
        self.voltage_v = float(request.EVTargetVoltage)
        return self._res(dc.DC_PreChargeRes, EVSEPresentVoltage=rational(self.voltage_v))

    def _DC_ChargeLoopReq(self, request: Any) -> Any:
        fields = {"EVSEMaximumChargePower": 22_000.0, "EVSEMinimumChargePower": 0.0, "EVSEMaximumChargeCurrent": 80.0}
        fields |= {"EVSEMaximumVoltage": 920.0}
        if self.service.is_bpt:
            fields |= {
                "EVSEMaximumDischargePower": self.sign * 20_000.0,
                "EVSEMinimumDischargePower": 0.0,
                "EVSEMaximumDischargeCurrent": self.sign * 70.0,
                "EVSEMinimumVoltage": 150.0,
            }
        if self.mode is ControlMode.SCHEDULED:
            fields = dict(self.loop_power)
        modes: dict[tuple[bool, bool], type[Any]] = {
            (True, False): dc.Scheduled_DC_CLResControlMode,
            (True, True): dc.BPT_Scheduled_DC_CLResControlMode,
            (False, False): dc.Dynamic_DC_CLResControlMode,
            (False, True): dc.BPT_Dynamic_DC_CLResControlMode,
        }
        return self._res(
            dc.DC_ChargeLoopRes,
            EVSEStatus=self._status(),
            MeterInfo=self.meter,
            EVSEPresentCurrent=rational(self.current_a),
            EVSEPresentVoltage=rational(self.voltage_v),
            EVSEPowerLimitAchieved=False,
            EVSECurrentLimitAchieved=False,
            EVSEVoltageLimitAchieved=False,
            CLResControlMode=modes[self.mode is ControlMode.SCHEDULED, self.service.is_bpt](
                **{k: rational(v) for k, v in fields.items()}
            ),
        )

    def _DC_WeldingDetectionReq(self, request: Any) -> Any:
        return self._res(dc.DC_WeldingDetectionRes, EVSEPresentVoltage=rational(0))

    # ---- AC ----

    def _AC_ChargeParameterDiscoveryReq(self, request: Any) -> Any:
        fields = {"EVSEMaximumChargePower": 7_000, "EVSEMinimumChargePower": 0, "EVSENominalFrequency": 60}
        fields |= {"EVSEMaximumChargePower_L2": 7_000, "EVSEMaximumChargePower_L3": 7_000}
        mode: type[Any] = ac.AC_CPDResEnergyTransferMode
        if self.service.is_bpt:
            mode = ac.BPT_AC_CPDResEnergyTransferMode
            fields |= {"EVSEMaximumDischargePower": self.sign * 6_000, "EVSEMinimumDischargePower": 0}
        return self._res(
            ac.AC_ChargeParameterDiscoveryRes,
            AC_CPDResEnergyTransferMode=mode(**{k: rational(v) for k, v in fields.items()}),
        )

    def _AC_ChargeLoopReq(self, request: Any) -> Any:
        modes: dict[tuple[bool, bool], type[Any]] = {
            (True, False): ac.Scheduled_AC_CLResControlMode,
            (True, True): ac.BPT_Scheduled_AC_CLResControlMode,
            (False, False): ac.Dynamic_AC_CLResControlMode,
            (False, True): ac.BPT_Dynamic_AC_CLResControlMode,
        }
        scheduled = self.mode is ControlMode.SCHEDULED
        target = {} if scheduled else {"EVSETargetActivePower": rational(5_000)}
        return self._res(
            ac.AC_ChargeLoopRes,
            EVSEStatus=self._status(),
            MeterInfo=self.meter,
            CLResControlMode=modes[scheduled, self.service.is_bpt](**target),
        )


class Bench:
    """A vehicle and its owner at an :class:`Evse`. The owner plays perfectly and stops after ``loops``."""

    def __init__(
        self,
        evse: Evse | None = None,
        *,
        loops: int = 3,
        peer_certificate: bytes | None = None,
        paused: Any = None,
        **config: Any,
    ) -> None:
        self.evse = evse or Evse()
        self.machine = EvccMachine(
            EvccConfig(**({"evccid": "WMIV1234567890ABCDEX"} | config)),
            random=lambda n: bytes(range(1, n + 1)),
            unix_offset_s=UNIX_OFFSET,
            peer_certificate=peer_certificate,
            paused=paused,
        )
        self.now = START
        self.loops_left = loops
        self.events: list[Event] = []
        self.reactions: dict[type[Event], Callable[[Any], None]] = {
            PreChargeReached: lambda _: self.command(ContactorsClosed()),
            DcChargeLoopAnswered: lambda _: self._count_loop(),
            AcChargeLoopAnswered: lambda _: self._count_loop(),
        }
        self.frames: list[int] = []
        self._started = False

    def _count_loop(self) -> None:
        self.loops_left -= 1
        if self.loops_left == 0:
            self.command(StopCharging())

    def command(self, command: Command) -> None:
        self.machine.command(command, self.now)

    def start(self, vehicle: bool = True) -> Bench:
        if vehicle:
            self.command(DC_VEHICLE)
            self.command(AC_VEHICLE)
        self.machine.start(self.now)
        self._started = True
        return self

    def run(self, max_s: float = 300.0, stop: Callable[[], bool] = lambda: False) -> Bench:
        """Until the machine is closed, ``stop()`` is true, or ``max_s`` seconds have passed in the session."""
        if not self._started:
            self.start()
        until = self.now + max_s
        while not self.machine.closed and not stop():
            if self.exchange():
                continue
            deadline = self.machine.next_deadline()
            if deadline is None or deadline > until:
                break
            self.now = max(self.now, deadline)
            self.machine.handle_timer(self.now)
            self._take_events()
        self._take_events()
        return self

    def until(self, state: State) -> Bench:
        """Until the request of ``state`` is out and unanswered."""
        self.run(stop=lambda: self.machine.state is state and self.machine._awaiting)
        assert self.machine.state is state, self.machine.state
        return self

    def looped(self, times: int = 1) -> Bench:
        """Until the charge loop was answered ``times`` more."""
        already = len(self.loop_answers)
        return self.run(stop=lambda: len(self.loop_answers) >= already + times)

    def exchange(self) -> bool:
        """One request, and its answer."""
        self._take_events()
        data = self.machine.data_to_send()
        if not data:
            return False
        reader = FrameReader()
        reader.feed(data)
        (frame,) = list(reader)
        self.frames.append(frame.payload_type)
        response = self.evse.answer(exi.decode(namespace_of(frame.payload_type), frame.payload))
        if response is not None:
            self.feed(response, frame.payload_type)
        self._take_events()
        return True

    def feed(self, response: Any, payload_type: int | None = None) -> None:
        """A response, whatever was asked."""
        if payload_type is None:
            name = type(response).__name__
            namespace = {"DC_": Namespace.DC, "AC_": Namespace.AC}.get(name[:3], Namespace.COMMON_MESSAGES)
            payload_type = payload_type_of(namespace)
        self.machine.receive_data(encode_frame(payload_type, exi.encode(response)), self.now)
        self._take_events()

    def _take_events(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            reaction = self.reactions.get(type(event))
            if reaction is not None:
                reaction(event)

    # ---- what happened ----

    @property
    def told(self) -> list[Event]:
        """Events without the messages themselves."""
        return [e for e in self.events if not isinstance(e, MessageReceived | MessageSent)]

    @property
    def told_kinds(self) -> list[type[Event]]:
        return [type(e) for e in self.told]

    def told_of(self, kind: type[Any]) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]

    @property
    def loop_answers(self) -> list[Any]:
        return [e for e in self.events if isinstance(e, DcChargeLoopAnswered | AcChargeLoopAnswered)]

    @property
    def sent(self) -> list[str]:
        return [e.name for e in self.events if isinstance(e, MessageSent)]

    @property
    def sent_once(self) -> list[str]:
        """Requests in order, repetitions left out."""
        names = self.sent
        return [n for i, n in enumerate(names) if i == 0 or n != names[i - 1]]

    def requests(self, name: str) -> list[Any]:
        return [e.message for e in self.events if isinstance(e, MessageSent) and e.name == name]

    @property
    def progress(self) -> list[str]:
        """ChargeProgress of each PowerDeliveryReq."""
        return [str(r.ChargeProgress) for r in self.requests("PowerDeliveryReq")]

    @property
    def end(self) -> SessionEnded:
        last = self.events[-1]
        assert isinstance(last, SessionEnded), last
        return last


def changing(**changes: Any) -> Callable[[Any], Any]:
    return lambda message: msgspec.structs.replace(message, **changes)


def changing_mode(field: str, **changes: float) -> Callable[[Any], Any]:
    def change(message: Any) -> Any:
        mode = msgspec.structs.replace(getattr(message, field), **{k: rational(v) for k, v in changes.items()})
        return msgspec.structs.replace(message, **{field: mode})

    return change


@pytest.fixture
def bench() -> type[Bench]:
    return Bench


@pytest.fixture
def evse() -> type[Evse]:
    return Evse


@pytest.fixture
def scheduled() -> Evse:
    return Evse(mode=ControlMode.SCHEDULED)


@pytest.fixture
def vehicle() -> UpdateDcVehicle:
    return DC_VEHICLE


@pytest.fixture
def ac_vehicle() -> UpdateAcVehicle:
    return AC_VEHICLE
