"""An EVSE's owner and a vehicle for DC_BPT in dynamic mode: all that benches and soaks know of the machines' API."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from pyiso15118 import exi
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    Command,
    ContactorsClosed,
    StopCharging,
    UpdateDcEvse,
    UpdateDcVehicle,
)
from pyiso15118.evcc import EvccConfig, EvccMachine
from pyiso15118.events import (
    AuthorizationRequested,
    CableCheckRequested,
    ChargingStarted,
    DcChargeLoopAnswered,
    DcChargeLoopReceived,
    DcLimits,
    EnergyNeeds,
    Event,
    PowerDeliveryStopped,
    PreChargeReached,
    PreChargeRequested,
    SessionEnded,
)
from pyiso15118.messages import Namespace, dc
from pyiso15118.secc import SeccConfig, SeccMachine
from pyiso15118.timers import EvccTimers
from pyiso15118.v2gtp import HEADER_BYTES, PayloadType

EVSE_LIMITS = DcLimits(
    max_charge_power_w=22_000.0,
    max_charge_current_a=80.0,
    max_voltage_v=920.0,
    min_voltage_v=150.0,
    max_discharge_power_w=20_000.0,
    max_discharge_current_a=70.0,
)
VEHICLE = UpdateDcVehicle(
    present_voltage_v=395.0,
    target_voltage_v=400.0,
    limits=DcLimits(
        max_charge_power_w=11_000.0,
        min_charge_power_w=100.0,
        max_charge_current_a=32.0,
        max_voltage_v=450.0,
        min_voltage_v=300.0,
        max_discharge_power_w=10_000.0,
        max_discharge_current_a=30.0,
    ),
    needs=EnergyNeeds(
        departure_time_s=3600, target_energy_wh=20_000.0, max_energy_wh=40_000.0, min_energy_wh=-20_000.0
    ),
    present_soc_pct=50,
    battery_capacity_wh=60_000.0,
)
_TIMERS = EvccTimers(ongoing_period_s=0.05)


def prepare() -> None:
    """Generate the codec's functions now, as a station does at its start."""
    exi.prepare(Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC)


def evse_id(number: int) -> str:
    return f"US*V2G*E{number}"


def secc_config(number: int) -> SeccConfig:
    """All timeouts as the standard has them: 0.5 s of silence in the loop end the session."""
    return SeccConfig(evse_id=evse_id(number), limits=EVSE_LIMITS)


def secc_machine(number: int = 1) -> SeccMachine:
    return SeccMachine(secc_config(number), random=secrets.token_bytes, unix_offset_s=1_700_000_000.0)


class EvseOwner:
    """A perfect EVSE, which tells its state anew at each turn of the loop."""

    def __init__(self) -> None:
        self.loops = 0
        self.end: str | None = None
        self._voltage_v = 0.0

    def answers(self, event: Event) -> Iterator[Command]:
        match event:
            case DcChargeLoopReceived():
                self.loops += 1
                yield self._state(current_a=-25.0 - self.loops % 2)
            case AuthorizationRequested():
                yield Authorize(granted=True)
            case CableCheckRequested():
                yield self._state()
                yield CableCheckFinished(passed=True)
            case PreChargeRequested():
                self._voltage_v = event.target_voltage_v
                yield self._state()
            case PowerDeliveryStopped():
                self._voltage_v = 0.0
                yield self._state()
            case SessionEnded():
                self.end = event.reason.value

    def _state(self, current_a: float = 0.0) -> UpdateDcEvse:
        return UpdateDcEvse(
            present_voltage_v=self._voltage_v,
            present_current_a=current_a,
            limits=EVSE_LIMITS,
            contactors_closed=True,
        )


class VehicleSession:
    """A perfect vehicle on our EVCC machine. Stops of itself after ``loops`` turns, where given."""

    def __init__(self, now: float, loops: int | None = None) -> None:
        self.machine = EvccMachine(
            EvccConfig(evccid="WMIV1234567890ABCDEX", timers=_TIMERS), random=secrets.token_bytes, unix_offset_s=0.0
        )
        self.charging = False
        self.end: str | None = None
        self._loops_left = loops
        self.machine.command(VEHICLE, now)
        self.machine.start(now)

    def frames(self, now: float) -> list[bytes]:
        """Acts on what happened; gives what is to be sent. The first frame once ``charging`` is the loop's request."""
        while (event := self.machine.next_event()) is not None:
            match event:
                case PreChargeReached():
                    self.machine.command(ContactorsClosed(), now)
                case ChargingStarted():
                    self.charging = True
                case DcChargeLoopAnswered():
                    self._count(now)
                case SessionEnded():
                    self.end = event.reason.value
        frames = []
        while frame := self.machine.data_to_send():
            frames.append(frame)
        return frames

    def _count(self, now: float) -> None:
        if self._loops_left is not None:
            self._loops_left -= 1
            if self._loops_left == 0:
                self.machine.command(StopCharging(), now)


def is_good_response(frame: bytes) -> bool:
    """Whether a frame is a charge-loop response that says OK."""
    if int.from_bytes(frame[2:4], "big") != PayloadType.DC:
        return False
    message = exi.decode(Namespace.DC, frame[HEADER_BYTES:])
    return isinstance(message, dc.DC_ChargeLoopRes) and message.ResponseCode == "OK"


class TurnBench:
    """Both machines joined in memory and brought into the charge loop, for timing one turn without a stream."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.secc = secc_machine()
        self.owner = EvseOwner()
        self.secc.start(self.now)
        self.request = b""
        vehicle = VehicleSession(self.now)
        while not vehicle.charging:
            for frame in vehicle.frames(self.now):
                if vehicle.charging:
                    self.request = frame
                    break
                self.secc.receive_data(frame, self.now)
            self.take_events()
            while data := self.secc.data_to_send():
                vehicle.machine.receive_data(data, self.now)
            self.now += 0.05
            vehicle.machine.handle_timer(self.now)
            self.secc.handle_timer(self.now)
        self.response = self.turn()

    def take_events(self) -> None:
        while (event := self.secc.next_event()) is not None:
            for command in self.owner.answers(event):
                self.secc.command(command, self.now)

    def ask(self) -> bytes:
        """A request in, its response out."""
        self.now += 0.25
        self.secc.receive_data(self.request, self.now)
        return self.secc.data_to_send()

    def turn(self) -> bytes:
        """As :meth:`ask`, the events taken and the owner's news given."""
        response = self.ask()
        self.take_events()
        return response
