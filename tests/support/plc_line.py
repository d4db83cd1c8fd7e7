"""Stations of ``kplc-driver`` and vehicles on the simulated powerline, without processes; time jumps."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.ev import EvMachine, EvSlacConfig, EvState
from pyiso15118.slac.modem import (
    KeyInstalled,
    KeyRefused,
    ModemConfig,
    ModemEvent,
    ModemFound,
    ModemLost,
    ModemMachine,
    StationsSeen,
)
from v2g.clock import ManualClock
from v2g.config.schema_plc import EvsePlc, Plc
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.hardware.ports import PilotState
from v2g.plc.station import Station, StationConfig
from v2g.plc.story import Record
from v2g.simulation.powerline_model import Powerline
from v2g.simulation.powerline_modem import Make, Modem

CALIBRATION_DB = 5.0


class Host(Protocol):
    """What sits behind a modem."""

    def receive(self, data: bytes, now: float) -> None: ...

    def sends(self, now: float) -> list[bytes]: ...

    def next_deadline(self) -> float | None: ...

    def handle_timer(self, now: float) -> None: ...


@dataclass
class Place:
    """One EVSE as the driver has it."""

    station: Station
    mac: Mac
    records: list[Record] = field(default_factory=list)

    def receive(self, data: bytes, now: float) -> None:
        self.station.receive_frame(data)

    def sends(self, now: float) -> list[bytes]:
        self.records += self.station.records()
        return self.station.frames_to_send()

    def next_deadline(self) -> float | None:
        return self.station.next_deadline()

    def handle_timer(self, now: float) -> None:
        self.station.handle_timer()

    @property
    def line(self) -> PlcLine:
        return self.station.line()


class Car:
    """A vehicle's two machines, put together as in :mod:`v2g.simulation.vehicle_plc`."""

    def __init__(self, mac: Mac, chance: random.Random, *, toggles: bool) -> None:
        self.mac = mac
        self.events: list[ev.Event] = []
        self.plugged = False
        self.station: Station | None = None
        """Whose pilot it is connected with."""
        self._ev = EvMachine(EvSlacConfig(ev_mac=mac, use_validation=toggles), random=chance.randbytes)
        self._toggles: list[tuple[float, PilotState]] = []
        self._wanted = self._done = 0
        self._modem = ModemMachine(ModemConfig(host_mac=mac, reset=False, cco_capability=0))

    @property
    def linked(self) -> bool:
        return self._ev.state is EvState.LINKED

    @property
    def chosen(self) -> Mac | None:
        return self._ev.chosen

    def plug(self, station: Station | None, now: float) -> None:
        self.plugged, self.station = True, station
        self._pilot(PilotState.B)
        self._modem.start(now)

    def unplug(self, now: float) -> None:
        self._pilot(PilotState.A)
        self._toggles.clear()
        self.plugged, self.station, self._done = False, None, 0
        self._ev.unplugged(now)
        self._modem.stop()

    def receive(self, data: bytes, now: float) -> None:
        if self.plugged:
            self._modem.receive_frame(data, now)
            self._ev.receive_frame(data, now)

    def sends(self, now: float) -> list[bytes]:
        while (told := self._modem.next_event()) is not None:
            self._on_modem(told, now)
        while (event := self._ev.next_event()) is not None:
            self.events.append(event)
            self._on_event(event, now)
        return [*self._modem.frames_to_send(), *self._ev.frames_to_send()]

    def next_deadline(self) -> float | None:
        toggle_due = self._toggles[0][0] if self._toggles else None
        due = [at for at in (self._modem.next_deadline(), self._ev.next_deadline(), toggle_due) if at is not None]
        return min(due, default=None)

    def handle_timer(self, now: float) -> None:
        while self._toggles and self._toggles[0][0] <= now:
            state = self._toggles.pop(0)[1]
            self._done += state is PilotState.B
            self._pilot(state)
            if not self._toggles:
                self._ev.toggled(self._wanted, now)
        self._modem.handle_timer(now)
        self._ev.handle_timer(now)

    def _on_modem(self, told: ModemEvent, now: float) -> None:
        match told:
            case ModemFound():
                self._ev.start(now)
            case ModemLost():
                self._ev.unplugged(now)
            case KeyInstalled():
                self._ev.key_set(now)
            case KeyRefused(reason=reason):
                self._ev.key_failed(reason, now)
            case StationsSeen():
                self._ev.link(told.vehicle is not None, now)

    def _on_event(self, event: ev.Event, now: float) -> None:
        match event:
            case ev.SetKey():
                self._modem.set_key(event.nid, event.nmk, now)
            case ev.Matched():
                self._modem.watch(event.evse_mac, now)
            case ev.LinkDown():
                self._modem.watch(None, now)
                if self.plugged:
                    self._ev.start(now)
            case ev.ToggleWanted():
                self._wanted = event.count
                halves = [PilotState.C, PilotState.B] * event.count
                self._toggles = [(now + event.each_s * at, state) for at, state in enumerate(halves)]
            case ev.MatchingFailed(final=True, unplugged=False):
                self._ev.start(now)

    def _pilot(self, state: PilotState) -> None:
        if self.station is not None:
            self.station.pilot(state, self._done)


class SimulatedLine:
    """``evses`` places ``EVSE 1`` … and ``cars`` vehicles ``vehicle 1`` …, none of which is plugged in; all modems
    are of one ``make``. ``validate``: by toggles of the pilot."""

    def __init__(
        self,
        evses: int,
        cars: int,
        *,
        make: Make = "qualcomm",
        loss: float = 0.0,
        seed: int = 1,
        validate: bool = False,
    ) -> None:
        self.clock = ManualClock()
        self.chance = random.Random(seed)
        self.powerline = Powerline(random.Random(seed + 1), default_db=32.0, loss=loss)
        self.places: list[Place] = []
        self.cars: list[Car] = []
        self.hosts: dict[str, Host] = {}
        for number in range(1, evses + 1):
            mac = bytes((2, 0, 0, 0, 1, number))
            config = StationConfig(
                evse_id=f"E{number}",
                interface=f"evse{number}",
                plc=EvsePlc(calibration_db=CALIBRATION_DB),
                site=Plc(validate=validate),
            )
            place = Place(Station(config, self.clock, self.chance.randbytes, self._elsewhere(number - 1)), mac)
            self.places.append(place)
            self._add(f"EVSE {number}", place, mac, bytes((2, 0, 0, 0x51, 1, number)), make, CALIBRATION_DB)
            place.station.port_opened(mac)
        for number in range(1, cars + 1):
            mac = bytes((2, 0, 0, 0, 2, number))
            car = Car(mac, self.chance, toggles=validate)
            self.cars.append(car)
            self._add(f"vehicle {number}", car, mac, bytes((2, 0, 0, 0x5E, 2, number)), make, 0.0)
        self.until(lambda: self.all_in(PlcState.FREE))

    def _add(self, name: str, host: Host, mac: Mac, modem_mac: Mac, make: Make, offset_db: float) -> None:
        self.hosts[name] = host
        modem = Modem(
            name=name,
            host_mac=mac,
            modem_mac=modem_mac,
            make=make,
            offset_db=offset_db,
            plugged=isinstance(host, Place),
        )
        self.powerline.add(modem)

    def _elsewhere(self, own: int) -> Callable[[Mac], str | None]:
        def find(mac: Mac) -> str | None:
            others = (place.station for at, place in enumerate(self.places) if at != own)
            return next((one.evse_id for one in others if one.matched_mac == mac), None)

        return find

    # ---- what is done; numbers from 1 ----

    @property
    def now(self) -> float:
        return self.clock.monotonic_s()

    def attenuate(self, evse: int, car: int, db: float) -> None:
        self.powerline.set_attenuation(f"EVSE {evse}", f"vehicle {car}", db)

    def plug(self, car: int, evse: int | None) -> None:
        """The vehicle's modem is on the line and begins; ``evse``: whose pilot shows it, None: nobody's."""
        self.powerline.stations[f"vehicle {car}"].plugged = True
        self.cars[car - 1].plug(self.places[evse - 1].station if evse is not None else None, self.now)

    def unplug(self, car: int) -> None:
        self.powerline.stations[f"vehicle {car}"].plugged = False
        self.cars[car - 1].unplug(self.now)

    # ---- what is seen ----

    def all_in(self, state: PlcState) -> bool:
        return all(place.line.state is state for place in self.places)

    def mac(self, car: int) -> str:
        return mac_text(self.cars[car - 1].mac)

    def vehicles(self) -> list[str | None]:
        """Linked at each EVSE."""
        return [place.line.vehicle_mac for place in self.places]

    def told(self, code: str) -> Iterator[Record]:
        return (record for place in self.places for record in place.records if record.code == code)

    # ---- time ----

    def until(self, condition: Callable[[], object], within_s: float = 40.0) -> float:
        """How long it took, in steps of 50 ms."""
        began = self.now
        while not condition():
            said = [f"{one.code} {one.message}" for place in self.places for one in place.records]
            assert self.now - began < within_s, "\n".join(said)
            self.run(0.05)
        return self.now - began

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            self._exchange()
            due = [host.next_deadline() for host in self.hosts.values()]
            first = min((at for at in (*due, self.powerline.next_due()) if at is not None), default=None)
            if first is None or first > end:
                break
            self.clock.advance(max(0.0, first - self.now))
            for host in self.hosts.values():
                at = host.next_deadline()
                if at is not None and at <= self.now:
                    host.handle_timer(self.now)
        self.clock.advance(max(0.0, end - self.now))
        self._exchange()

    def _exchange(self) -> None:
        """Until nobody has anything to send at this moment."""
        busy = True
        while busy:
            busy = False
            for delivery in self.powerline.take(self.now):
                busy = True
                self.hosts[delivery.station].receive(delivery.data, self.now)
            for name, host in self.hosts.items():
                for data in host.sends(self.now):
                    busy = True
                    self.powerline.from_host(name, data, self.now)
