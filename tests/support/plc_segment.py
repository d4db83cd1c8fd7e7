"""A powerline segment for tests without processes: stations of the driver, their modems, vehicles; time jumps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, mac_text
from pyiso15118.slac.ev import EvMachine, EvSlacConfig
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import CM_ATTEN_PROFILE_IND, CM_MNBC_SOUND_IND
from support.plc_modem import QUALCOMM, Modem
from v2g.clock import ManualClock
from v2g.config.schema_plc import EvsePlc, Plc
from v2g.hardware.ports import PilotState
from v2g.plc.station import Station, StationConfig
from v2g.plc.story import Record

HEARD_UP_TO_DB = 60.0


@dataclass
class Place:
    """One EVSE: the driver's station, its host's address, its modem."""

    station: Station
    mac: bytes
    modem: Modem
    records: list[Record] = field(default_factory=list)

    def told(self, code: str) -> list[Record]:
        return [record for record in self.records if record.code == code]


@dataclass
class Car:
    mac: bytes
    modem_mac: bytes
    machine: EvMachine
    nmk: bytes = b""
    joins: bool = True
    talks: bool = True
    events: list[ev.Event] = field(default_factory=list)


class Segment:
    """``db[car, evse]``: attenuation; above ``HEARD_UP_TO_DB`` nothing is heard."""

    def __init__(self, evses: int = 1, *, plc: EvsePlc | None = None, site: Plc | None = None) -> None:
        self.clock = ManualClock()
        self.chance = random.Random(1)
        self.db: dict[tuple[int, int], float] = {}
        self.cars: list[Car] = []
        self.places: list[Place] = []
        for at in range(evses):
            config = StationConfig(
                evse_id=f"E{at + 1}", interface=f"evse{at + 1}", plc=plc or EvsePlc(), site=site or Plc()
            )
            station = Station(config, self.clock, self.chance.randbytes, self._elsewhere(at))
            modem = Modem(QUALCOMM, mac=bytes((0, 1, 0x87, 0, 0, at + 1)))
            self.places.append(Place(station, bytes((2, 0, 0, 0, 0, at + 1)), modem))
            station.port_opened(self.places[-1].mac)
        self.run(0.0)

    def car(self, at_evse: int = 0, db: float = 8.0, **levels_db: float) -> Car:
        """Plugged in at ``at_evse``; ``evse1=40.0`` is what the second EVSE hears of it."""
        number = len(self.cars)
        mac = bytes((2, 0, 0, 0, 0xEE, number + 1))
        car = Car(
            mac,
            bytes((2, 0, 0, 0, 0x5E, number + 1)),
            EvMachine(EvSlacConfig(ev_mac=mac), random=self.chance.randbytes),
        )
        self.cars.append(car)
        for at in range(len(self.places)):
            self.db[number, at] = levels_db.get(f"evse{at}", db if at == at_evse else 100.0)
        self.places[at_evse].station.pilot(PilotState.B)
        car.machine.start(self.now)
        return car

    def unplug(self, car: Car, at_evse: int = 0) -> None:
        car.machine.unplugged(self.now)
        car.nmk = b""
        self.places[at_evse].station.pilot(PilotState.A)

    @property
    def now(self) -> float:
        return self.clock.monotonic_s()

    def _elsewhere(self, own: int) -> Callable[[bytes], str | None]:
        def find(mac: bytes) -> str | None:
            others = (place.station for at, place in enumerate(self.places) if at != own)
            return next((one.evse_id for one in others if one.matched_mac == mac), None)

        return find

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self._settle()
        while True:
            due = [place.station.next_deadline() for place in self.places]
            due += [car.machine.next_deadline() for car in self.cars]
            first = min((at for at in due if at is not None), default=None)
            if first is None or first > end:
                break
            self.clock.advance(max(0.0, first - self.now))
            for place in self.places:
                at = place.station.next_deadline()
                if at is not None and at <= self.now:
                    place.station.handle_timer()
            for car in self.cars:
                at = car.machine.next_deadline()
                if at is not None and at <= self.now:
                    car.machine.handle_timer(self.now)
            self._settle()
        self.clock.advance(max(0.0, end - self.now))
        self._settle()

    def until(self, condition: Callable[[], object], within_s: float = 30.0) -> float:
        """How long it took, in steps of 50 ms."""
        began = self.now
        while not condition():
            assert self.now - began < within_s, [record.message for place in self.places for record in place.records]
            self.run(0.05)
        return self.now - began

    def _settle(self) -> None:
        moved = True
        while moved:
            moved = False
            for at, place in enumerate(self.places):
                for data in place.station.frames_to_send():
                    moved = True
                    self._from_evse(at, place, data)
                place.records += place.station.records()
            for number, car in enumerate(self.cars):
                for data in car.machine.frames_to_send():
                    moved = True
                    self._from_car(number, data)
                while (event := car.machine.next_event()) is not None:
                    moved = True
                    self._on_car(car, event)
        for place in self.places:
            members = [(car.modem_mac, car.mac) for car in self.cars if car.nmk and car.nmk == place.modem.nmk]
            place.modem.members = members

    def _from_evse(self, at: int, place: Place, data: bytes) -> None:
        frame = decode_frame(data)
        if frame.destination == LOCAL_MODEM:
            for answer in place.modem.answer(frame.message, self.now):
                self.hear(place, encode_frame(Frame(source=place.modem.mac, destination=place.mac, message=answer)))
            return
        for number, car in enumerate(self.cars):
            if frame.destination in (BROADCAST, car.mac) and self.db[number, at] <= HEARD_UP_TO_DB:
                car.machine.receive_frame(data, self.now)

    def _from_car(self, number: int, data: bytes) -> None:
        car = self.cars[number]
        if not car.talks:
            return
        frame = decode_frame(data)
        for at, place in enumerate(self.places):
            level = self.db[number, at]
            if level > HEARD_UP_TO_DB or frame.destination not in (BROADCAST, place.mac) or not place.modem.on:
                continue
            self.hear(place, data)
            if isinstance(frame.message, CM_MNBC_SOUND_IND):
                profile = CM_ATTEN_PROFILE_IND(pev_mac=car.mac, aag=(round(level),) * 58)
                self.hear(place, encode_frame(Frame(source=place.modem.mac, destination=BROADCAST, message=profile)))

    def hear(self, place: Place, data: bytes) -> None:
        place.station.receive_frame(data)

    def _on_car(self, car: Car, event: ev.Event) -> None:
        car.events.append(event)
        if isinstance(event, ev.SetKey):
            car.machine.key_set(self.now)
            if car.joins:
                car.nmk = event.nmk
                car.machine.link(True, self.now)

    def story(self, at: int = 0) -> list[str]:
        return [f"{record.level.upper()} {record.code} {record.message}" for record in self.places[at].records]


def text(car: Car) -> str:
    return mac_text(car.mac)
