"""A session for the tour: our vehicle at our station, joined in memory, on a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Final

from pyiso15118 import sdp
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    ContactorsClosed,
    SetMobilityNeeds,
    StopCharging,
    UpdateDcEvse,
    UpdateDcVehicle,
)
from pyiso15118.evcc import EvccConfig, EvccMachine
from pyiso15118.events import (
    AuthorizationRequested,
    CableCheckRequested,
    DcChargeLoopAnswered,
    DcChargeLoopReceived,
    DcLimits,
    EnergyNeeds,
    Event,
    PowerDeliveryStopped,
    PreChargeReached,
    PreChargeRequested,
    ScheduleRequested,
    SessionEnded,
)
from pyiso15118.machine import Machine
from pyiso15118.secc import SeccConfig, SeccMachine
from pyiso15118.v2gtp import Frame, FrameReader, decode_datagram

UNIX_S: Final = 1_790_000_000.0
"""When it began; the same for each build, so that a build's pages differ only where the code does."""
TURNS: Final = 12
_CABLE_CHECK_S: Final = 1.5
_ANSWER_S: Final = 0.012
"""That either side takes for a message."""
_VEHICLE_LIMITS: Final = DcLimits(
    max_charge_power_w=11_000.0,
    max_charge_current_a=32.0,
    min_voltage_v=300.0,
    max_voltage_v=450.0,
    max_discharge_power_w=10_000.0,
    max_discharge_current_a=30.0,
)
_STATION_LIMITS: Final = replace(_VEHICLE_LIMITS, max_charge_power_w=22_000.0, max_voltage_v=500.0, min_voltage_v=200.0)


@dataclass(frozen=True, slots=True)
class Told:
    """A frame of a session, ``at_s`` seconds after its first."""

    at_s: float
    by_vehicle: bool
    secured: bool
    frame: Frame


class _Session:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.told: list[Told] = []
        self.evse = UpdateDcEvse(
            present_voltage_v=0.0, present_current_a=0.0, limits=_STATION_LIMITS, contactors_closed=False
        )
        self.turns = 0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.ended: list[SessionEnded] = []
        random = iter(range(1, 1000))
        self.station = SeccMachine(
            SeccConfig(evse_id="US*V2G*E1", limits=_STATION_LIMITS),
            random=lambda n: bytes(next(random) for _ in range(n)),
            unix_offset_s=UNIX_S - self.now_s,
        )
        self.vehicle = EvccMachine(
            EvccConfig(evccid="WMIV1234567890ABCDEX"), random=bytes, unix_offset_s=UNIX_S - self.now_s
        )
        self.readers = {True: FrameReader(), False: FrameReader()}

    def run(self) -> list[Told]:
        """Raises RuntimeError where the session does not end as it should."""
        for datagram, by_vehicle in (
            (sdp.encode(sdp.SdpRequest(security=sdp.Security.NONE)), True),
            (sdp.encode(sdp.SdpResponse(host=IPv6Address("fe80::1"), port=61_341, security=sdp.Security.NONE)), False),
        ):
            self._record(decode_datagram(datagram), by_vehicle)
        needs = EnergyNeeds(target_energy_wh=20_000.0, max_energy_wh=40_000.0, min_energy_wh=-10_000.0)
        state = UpdateDcVehicle(
            present_voltage_v=395.0, target_voltage_v=400.0, limits=_VEHICLE_LIMITS, needs=needs, present_soc_pct=50
        )
        self.station.start(self.now_s)
        self.station.command(self.evse, self.now_s)
        self.vehicle.command(state, self.now_s)
        self.vehicle.start(self.now_s)
        while not (self.station.closed and self.vehicle.closed):
            if not self._exchange() and not self._wait():
                break
        if [ended.reason.name for ended in self.ended] != ["STOPPED", "STOPPED"]:
            raise RuntimeError(f"the tour's session ended like this: {self.ended}")
        return self.told

    def _exchange(self) -> bool:
        moved = self._move(self.vehicle, self.station, by_vehicle=True)
        for event in _events(self.station):
            self._station_hears(event)
        moved = self._move(self.station, self.vehicle, by_vehicle=False) or moved
        for event in _events(self.vehicle):
            self._vehicle_hears(event)
        return moved

    def _move(self, source: Machine, sink: Machine, *, by_vehicle: bool) -> bool:
        moved = False
        while data := source.data_to_send():
            moved = True
            self.readers[by_vehicle].feed(data)
            for frame in self.readers[by_vehicle]:
                self._record(frame, by_vehicle)
            self.now_s += _ANSWER_S
            sink.receive_data(data, self.now_s)
        if source.closed and not sink.closed:
            sink.receive_eof(self.now_s)
        return moved

    def _record(self, frame: Frame, by_vehicle: bool) -> None:
        self.told.append(Told(self.now_s - 100.0, by_vehicle, False, frame))

    def _wait(self) -> bool:
        """For the next moment at which something is due; False where nothing is."""
        moments = [at for at, _ in self.due]
        moments += [at for each in (self.station, self.vehicle) if (at := each.next_deadline()) is not None]
        if not moments:
            return False
        self.now_s = max(self.now_s, min(moments))
        due = [act for at, act in self.due if at <= self.now_s]
        self.due = [(at, act) for at, act in self.due if at > self.now_s]
        for act in due:
            act()
        self._tell()
        self.vehicle.handle_timer(self.now_s)
        self.station.handle_timer(self.now_s)
        return True

    def _tell(self, **changes: object) -> None:
        self.evse = replace(self.evse, **changes)  # type: ignore[arg-type]
        if not self.station.closed:
            self.station.command(self.evse, self.now_s)

    def _station_hears(self, event: Event) -> None:
        match event:
            case AuthorizationRequested():
                self.station.command(Authorize(granted=True), self.now_s)
            case ScheduleRequested():
                self.station.command(SetMobilityNeeds(departure_time_s=7200, target_soc_pct=80), self.now_s)
            case CableCheckRequested():
                self.due.append((self.now_s + _CABLE_CHECK_S, self._finish_cable_check))
            case PreChargeRequested():
                self._tell(present_voltage_v=event.target_voltage_v)
            case DcChargeLoopReceived():
                self._tell(present_current_a=-20.0 if self.turns > TURNS // 2 else 25.0)
            case PowerDeliveryStopped():
                self._tell(present_current_a=0.0, present_voltage_v=5.0)
            case SessionEnded():
                self.ended.append(event)

    def _finish_cable_check(self) -> None:
        self._tell(contactors_closed=True)
        self.station.command(CableCheckFinished(passed=True), self.now_s)

    def _vehicle_hears(self, event: Event) -> None:
        match event:
            case PreChargeReached():
                self.vehicle.command(ContactorsClosed(), self.now_s)
            case DcChargeLoopAnswered():
                self.turns += 1
                if self.turns == TURNS:
                    self.vehicle.command(StopCharging(), self.now_s)
            case SessionEnded():
                self.ended.append(event)


def session() -> list[Told]:
    """From discovery to the stop, without TLS: DC_BPT, dynamic, twelve turns of the charge loop."""
    return _Session().run()


def _events(machine: Machine) -> list[Event]:
    found = []
    while (event := machine.next_event()) is not None:
        found.append(event)
    return found
