"""A small powerline in memory: EVSEs, vehicles, their modems, attenuation, delay and loss. Time is injected."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.ev import EvMachine, EvSlacConfig, EvState
from pyiso15118.slac.evse import EvseMachine, EvseSlacConfig
from pyiso15118.slac.frame import decode_frame
from pyiso15118.slac.messages import CM_ATTEN_PROFILE_IND, CM_MNBC_SOUND_IND
from support.slac_rig import AT_ONCE, on_wire

KEY_S, POLL_S = 0.05, 0.3
"""A modem takes its key; the network is looked at."""
JOINS_S = 1.0
"""After the later of two modems has taken the same key they find each other."""


@dataclass
class Node:
    machine: Any
    mac: Mac
    nid: bytes = b""
    nmk: bytes = b""
    keyed_at: float = 0.0
    asked: tuple[bytes, bytes] = (b"", b"")
    """NID and NMK of the last key that the modem was told to take."""
    events: list[slac.Event] = field(default_factory=list)

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Line:
    """Vehicle ``n`` is plugged in at EVSE ``n % evses``. Everybody hears every frame, whoever it is for.

    ``loses(number)``: whether the frame's copy of this number, counted over all receivers, is lost. ``pairs_db``: of
    (EVSE, vehicle), by their numbers, where it is neither ``own_db`` nor ``other_db``.
    """

    def __init__(
        self,
        evses: int,
        vehicles: int,
        *,
        own_db: int = 8,
        other_db: int = 30,
        pairs_db: Mapping[tuple[int, int], int] | None = None,
        delay_s: float = 0.005,
        loses: Callable[[int], bool] = lambda number: False,
        validate: bool = False,
        seed: int = 5,
    ) -> None:
        chance = Random(seed)
        self.now = 0.0
        self.evses = [
            self._node(EvseMachine, EvseSlacConfig(evse_mac=mac, validate=validate), mac, chance)
            for mac in (bytes((2, 0, 0, 0, 0x0A, n)) for n in range(evses))
        ]
        self.vehicles = [
            self._node(EvMachine, EvSlacConfig(ev_mac=mac, use_validation=validate), mac, chance)
            for mac in (bytes((2, 0, 0, 0, 0x0C, n)) for n in range(vehicles))
        ]
        self.own_db, self.other_db, self.pairs_db = own_db, other_db, dict(pairs_db or {})
        self.delay_s, self.loses = delay_s, loses
        self.given: list[tuple[Mac, bytes]] = []
        self._numbers, self._order = itertools.count(), itertools.count()
        self._agenda: list[tuple[float, int, Node, Callable[[float], None]]] = []
        self._toggles = [0] * evses

    @staticmethod
    def _node(kind: Any, config: Any, mac: Mac, chance: Random) -> Node:
        return Node(kind(config, random=chance.randbytes), mac)

    def evse_of(self, vehicle: Node) -> Node:
        return self.evses[self.vehicles.index(vehicle) % len(self.evses)]

    def begin(self, apart_s: float = 0.0, *, everywhere: bool = False) -> None:
        """``everywhere``: at EVSEs without a vehicle of ours the pilot shows one that is silent."""
        for evse in self.evses:
            evse.machine.start(self.now)
            self._settle(evse)
        self.run(2 * KEY_S)
        for number, vehicle in enumerate(self.vehicles):
            evse = self.evse_of(vehicle)
            self._later(number * apart_s, evse, lambda now, evse=evse: evse.machine.plugged(True, now))
            self._later(number * apart_s, vehicle, vehicle.machine.start)
        if everywhere:
            for evse in self.evses[len(self.vehicles) :]:
                evse.machine.plugged(True, self.now)
        self._later(POLL_S, self.evses[0], self._poll)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        at_once = 0
        while True:
            due = [(at, node) for node in self.nodes if (at := node.machine.next_deadline()) is not None]
            at, node = min(due, key=lambda one: one[0], default=(until + 1.0, None))
            call: Callable[[float], None]
            if self._agenda and self._agenda[0][0] <= at:
                at, _, node, call = self._agenda[0]
                if at <= until:
                    heapq.heappop(self._agenda)
            elif node is not None:
                call = node.machine.handle_timer
            if node is None or at > until:
                self.now = until
                return
            at_once = at_once + 1 if at <= self.now else 0
            assert at_once < AT_ONCE * len(self.nodes) ** 2, f"spins at {self.now:.3f} s: {node.machine.state}"
            self.now = max(self.now, at)
            call(self.now)
            self._settle(node)

    @property
    def nodes(self) -> list[Node]:
        return [*self.evses, *self.vehicles]

    def _later(self, seconds: float, node: Node, call: Callable[[float], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), node, call))

    def _settle(self, node: Node) -> None:
        for data in node.machine.frames_to_send():
            for other in self.nodes:
                if other is not node and not self.loses(next(self._numbers)):
                    self._hear(other, data)
                    self._measure(other, node, data)
        while (event := node.machine.next_event()) is not None:
            node.events.append(event)
            self._on_event(node, event)

    def _hear(self, node: Node, data: bytes, after_s: float = 0.0) -> None:
        self._later(self.delay_s + after_s, node, lambda now: node.machine.receive_frame(data, now))

    def _measure(self, evse: Node, vehicle: Node, data: bytes) -> None:
        if (
            evse in self.evses
            and vehicle in self.vehicles
            and isinstance(decode_frame(data).message, CM_MNBC_SOUND_IND)
        ):
            pair = self.evses.index(evse), self.vehicles.index(vehicle)
            level = self.pairs_db.get(pair, self.own_db if self.evse_of(vehicle) is evse else self.other_db)
            profile = CM_ATTEN_PROFILE_IND(pev_mac=vehicle.mac, aag=(level,) * 58)
            self._hear(evse, on_wire(profile, b"\x06" + evse.mac[1:], evse.mac), 0.001)

    def _on_event(self, node: Node, event: slac.Event) -> None:
        match event:
            case slac.SetKey():
                if node in self.evses:
                    self.given.append((node.mac, event.nmk))
                node.nid, node.nmk, node.asked = b"", b"", (event.nid, event.nmk)
                self._later(KEY_S, node, lambda now: self._key(node, (event.nid, event.nmk), now))
            case slac.ToggleWanted():
                place = self.vehicles.index(node) % len(self.evses)
                for n in range(1, event.count + 1):
                    self._later(2 * n * event.each_s, self.evses[place], lambda now: self._toggle(place, now))
                self._later(2 * event.count * event.each_s, node, lambda now: node.machine.toggled(event.count, now))
            case slac.PilotErrorWanted():
                for vehicle in self.vehicles:
                    if self.evse_of(vehicle) is node and vehicle.machine.state in (EvState.FAILED, EvState.IDLE):
                        self._later(event.for_s + 0.1, vehicle, vehicle.machine.start)

    def _key(self, node: Node, key: tuple[bytes, bytes], now: float) -> None:
        if node.asked == key:
            (node.nid, node.nmk), node.keyed_at = key, now
            node.machine.key_set(now)

    def _toggle(self, place: int, now: float) -> None:
        self._toggles[place] += 1
        self.evses[place].machine.toggles(self._toggles[place], now)

    def _poll(self, now: float) -> None:
        for evse in self.evses:
            joined = [v for v in self.vehicles if v.mac == evse.machine.vehicle and self._joined(v, evse, now)]
            evse.machine.link(bool(joined), now)
            self._settle(evse)
        for vehicle in self.vehicles:
            joined = [e for e in self.evses if e.mac == vehicle.machine.chosen and self._joined(vehicle, e, now)]
            vehicle.machine.link(bool(joined), now)
            self._settle(vehicle)
        self._later(POLL_S, self.evses[0], self._poll)

    @staticmethod
    def _joined(vehicle: Node, evse: Node, now: float) -> bool:
        later = max(vehicle.keyed_at, evse.keyed_at)
        return bool(vehicle.nid) and (vehicle.nid, vehicle.nmk) == (evse.nid, evse.nmk) and now >= later + JOINS_S
