"""One SLAC machine on a desk: time is injected, what it sends and tells is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import BROADCAST, Mac
from pyiso15118.slac.ev import EvMachine, EvSlacConfig
from pyiso15118.slac.evse import EvseMachine, EvseSlacConfig
from pyiso15118.slac.frame import Frame, decode_frame, encode_frame
from pyiso15118.slac.messages import (
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_CHAR_RSP,
    CM_ATTEN_PROFILE_IND,
    CM_MNBC_SOUND_IND,
    CM_SLAC_MATCH_CNF,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_CNF,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    CM_VALIDATE_CNF,
    CM_VALIDATE_REQ,
    Message,
)

Told = TypeVar("Told")
EVSE_MAC: Mac = bytes.fromhex("020000000a01")
MODEM_MAC: Mac = bytes.fromhex("020000000b01")
EV_MAC: Mac = bytes.fromhex("020000000c01")
GROUPS = 58
SOUNDS = 10
AT_ONCE = 10
"""Timers that follow each other without any time between."""


def on_wire(message: Message, source: Mac, destination: Mac = BROADCAST) -> bytes:
    return encode_frame(Frame(source=source, destination=destination, message=message))


@dataclass
class Rig:
    """``sent`` and ``events`` grow; :meth:`fresh` forgets them."""

    machine: EvseMachine | EvMachine
    now: float = 100.0
    sent: list[Frame] = field(default_factory=list)
    events: list[slac.Event] = field(default_factory=list)

    def do(self, call: Callable[..., None], *args: Any) -> None:
        call(*args, self.now)
        self.collect()

    def collect(self) -> None:
        self.sent += [decode_frame(data) for data in self.machine.frames_to_send()]
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)

    def hear(self, message: Message, source: Mac, destination: Mac = BROADCAST) -> None:
        self.do(self.machine.receive_frame, on_wire(message, source, destination))

    def wait(self, seconds: float) -> None:
        """Every timer in between is handled when it is due."""
        until = self.now + seconds
        at_once = 0
        while (due := self.machine.next_deadline()) is not None and due <= until:
            at_once = at_once + 1 if due <= self.now else 0
            assert at_once < AT_ONCE, f"spins at {self.now:.3f} s"
            self.now = max(self.now, due)
            self.do(self.machine.handle_timer)
        self.now = until

    def fresh(self) -> None:
        self.sent.clear()
        self.events.clear()

    def told(self, kind: type[Told]) -> list[Told]:
        return [event for event in self.events if isinstance(event, kind)]

    def answers(self, kind: type[Told]) -> list[Told]:
        return [frame.message for frame in self.sent if isinstance(frame.message, kind)]


class EvseRig(Rig):
    machine: EvseMachine

    def __init__(self, *, boots: bool = True, plugged: bool = True, **settings: Any) -> None:
        super().__init__(EvseMachine(EvseSlacConfig(evse_mac=EVSE_MAC, **settings), random=Random(7).randbytes))
        if boots:
            self.do(self.machine.start)
            self.do(self.machine.key_set)
        if plugged:
            self.do(self.machine.plugged, True)
        if boots:
            self.events.clear()

    def link(self, up: bool, reason: str = "") -> None:
        self.machine.link(up, self.now, reason)
        self.collect()

    def lose_modem(self, reason: str = "it is gone") -> None:
        self.machine.modem_lost(reason, self.now)
        self.collect()

    def linked(self, vehicle: Vehicle) -> None:
        vehicle.until_match()
        vehicle.match()
        self.link(True)


@dataclass
class Vehicle:
    """A vehicle's frames, by hand."""

    rig: EvseRig
    mac: Mac = EV_MAC
    run_id: bytes = b"run-0001"

    def ask(self) -> None:
        self.rig.hear(CM_SLAC_PARM_REQ(run_id=self.run_id), self.mac)

    def begin_sounds(self, times: int = 3) -> None:
        for _ in range(times):
            message = CM_START_ATTEN_CHAR_IND(
                num_sounds=SOUNDS, time_out_100ms=6, forwarding_sta=self.mac, run_id=self.run_id
            )
            self.rig.hear(message, self.mac)

    def sound(self, cnt: int) -> None:
        self.rig.hear(CM_MNBC_SOUND_IND(cnt=cnt, run_id=self.run_id, rnd=bytes(16)), self.mac)

    def profile(self, db: int | Sequence[int] = 8, modem: Mac = MODEM_MAC) -> None:
        levels = (db,) * GROUPS if isinstance(db, int) else tuple(db)
        self.rig.hear(CM_ATTEN_PROFILE_IND(pev_mac=self.mac, aag=levels), modem)

    def sounds(self, db: int = 8, count: int = SOUNDS) -> None:
        for cnt in reversed(range(SOUNDS - count, SOUNDS)):
            self.sound(cnt)
            self.profile(db)

    def respond(self, result: int = 0, to: Mac = EVSE_MAC) -> None:
        self.rig.hear(CM_ATTEN_CHAR_RSP(source_address=self.mac, run_id=self.run_id, result=result), self.mac, to)

    def validate(self, timer: int) -> None:
        self.rig.hear(CM_VALIDATE_REQ(timer=timer), self.mac, EVSE_MAC)

    def match(self, evse: Mac = EVSE_MAC, to: Mac = EVSE_MAC) -> None:
        self.rig.hear(CM_SLAC_MATCH_REQ(pev_mac=self.mac, evse_mac=evse, run_id=self.run_id), self.mac, to)

    def until_sounds(self) -> None:
        self.ask()
        self.begin_sounds()

    def until_told(self, db: int = 8) -> None:
        self.until_sounds()
        self.sounds(db)
        self.rig.wait(0.1)

    def until_match(self, db: int = 8) -> None:
        self.until_told(db)
        self.respond()


class EvRig(Rig):
    """A vehicle's machine and the EVSEs around it, by hand."""

    machine: EvMachine

    def __init__(self, **settings: Any) -> None:
        super().__init__(EvMachine(EvSlacConfig(ev_mac=EV_MAC, **settings), random=Random(11).randbytes))
        self.do(self.machine.start)

    @property
    def run_id(self) -> bytes:
        return self.told(slac.MatchingStarted)[-1].run_id

    def parm(self, evse: Mac, num_sounds: int = SOUNDS, **fields: Any) -> None:
        fields = {
            "num_sounds": num_sounds,
            "time_out_100ms": 6,
            "forwarding_sta": EV_MAC,
            "run_id": self.run_id,
        } | fields
        self.hear(CM_SLAC_PARM_CNF(**fields), evse, EV_MAC)

    def tell(self, evse: Mac, db: int, num_sounds: int = SOUNDS, run_id: bytes | None = None) -> None:
        message = CM_ATTEN_CHAR_IND(
            source_address=EV_MAC, run_id=run_id or self.run_id, num_sounds=num_sounds, aag=(db,) * GROUPS
        )
        self.hear(message, evse, EV_MAC)

    def confirm(self, evse: Mac, run_id: bytes | None = None, nmk: bytes = b"k" * 16, names: Mac | None = None) -> None:
        """``names``: the EVSE in the message, where that is another."""
        message = CM_SLAC_MATCH_CNF(
            pev_mac=EV_MAC, evse_mac=names or evse, run_id=run_id or self.run_id, nid=b"network", nmk=nmk
        )
        self.hear(message, evse, EV_MAC)

    def validated(self, evse: Mac, result: int, toggles: int = 0) -> None:
        self.hear(CM_VALIDATE_CNF(result=result, toggle_num=toggles), evse, EV_MAC)

    def until_choice(self, levels_db: dict[Mac, int]) -> None:
        """All EVSEs answer and tell their level."""
        for evse in levels_db:
            self.parm(evse)
        self.wait(0.2 + 13 * 0.03)
        for evse, level in levels_db.items():
            self.tell(evse, level)

    def until_linked(self, evse: Mac) -> None:
        self.until_choice({evse: 5})
        self.confirm(evse)
        self.do(self.machine.key_set)
        self.link(True)

    def link(self, up: bool, reason: str = "") -> None:
        self.machine.link(up, self.now, reason)
        self.collect()
