"""A vehicle's powerline modem: found, matched to an EVSE by SLAC, kept in its network while the plug is in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import mac_text
from pyiso15118.slac.ev import EvMachine, EvSlacConfig
from pyiso15118.slac.modem import (
    KeyInstalled,
    KeyRefused,
    ModemConfig,
    ModemFound,
    ModemLost,
    ModemMachine,
    StationsSeen,
)
from v2g.clock import Clock
from v2g.hardware.ethernet_port import DatagramPort, FramePort, PortError
from v2g.simulation.plant_client import PlantNotReachable, PlantRefused

_AGAIN_S = 1.0
"""After a matching that failed for good, a lost link or a lost port."""

Toggle = Callable[[int, float], Awaitable[None]]
"""Makes so many B-C-B toggles of the pilot, each half so many seconds long; as :meth:`Cable.toggle` does."""


class PowerlinePlug:
    """``await run()`` until cancelled. :attr:`linked` is set while the modems are in one network.

    ``on_lost`` is called when a link that was up is lost; ``say`` gets lines for people.
    """

    def __init__(
        self,
        port: FramePort,
        clock: Clock,
        say: Callable[[str], None],
        on_lost: Callable[[str], None],
        toggle: Toggle | None = None,
        *,
        direct_db: float = 10.0,
        indirect_db: float = 20.0,
    ) -> None:
        self.linked = asyncio.Event()
        self.attenuation_db: float | None = None
        self._port = port
        self._clock = clock
        self._say = say
        self._on_lost = on_lost
        self._toggle = toggle
        self._limits = direct_db, indirect_db
        self._lost = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._starting: asyncio.TimerHandle | None = None
        self._toggling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """The port is opened again whenever it is lost."""
        try:
            while True:
                self._lost.clear()
                try:
                    await self._port.start(self._on_frame, self._on_port_lost)
                except PortError as error:
                    self._say(str(error))
                else:
                    self._begin()
                    await self._lost.wait()
                    self._down("the modem's port is lost")
                await asyncio.sleep(_AGAIN_S)
        finally:
            self._end()

    def _begin(self) -> None:
        direct_db, indirect_db = self._limits
        mac = self._port.mac
        self._ev = EvMachine(
            EvSlacConfig(
                ev_mac=mac,
                direct_db=direct_db,
                indirect_db=indirect_db,
                use_validation=self._toggle is not None,
            ),
            random=secrets.token_bytes,
        )
        self._modem = ModemMachine(ModemConfig(host_mac=mac, reset=False, cco_capability=0))
        self._modem.start(self._clock.monotonic_s())
        self._pump()

    def _end(self) -> None:
        for waiting in (self._timer, self._starting, self._toggling):
            if waiting is not None:
                waiting.cancel()
        if isinstance(self._port, DatagramPort):
            self._port.send(msgspec.json.encode({"mac": mac_text(self._port.mac), "plugged": False}))
        self._port.close()
        self.linked.clear()

    def _on_port_lost(self, reason: str) -> None:
        self._say(reason)
        self._lost.set()

    def _on_frame(self, data: bytes) -> None:
        now_s = self._clock.monotonic_s()
        self._modem.receive_frame(data, now_s)
        self._ev.receive_frame(data, now_s)
        self._pump()

    def _pump(self) -> None:
        """Until neither machine has anything to say, then a timer for what is awaited."""
        now_s = self._clock.monotonic_s()
        for machine in (self._modem, self._ev):
            due_s = machine.next_deadline()
            if due_s is not None and due_s <= now_s:
                machine.handle_timer(now_s)
        busy = True
        while busy:
            busy = False
            for frame in (*self._modem.frames_to_send(), *self._ev.frames_to_send()):
                self._port.send(frame)
            while (told := self._modem.next_event()) is not None:
                busy = True
                self._on_modem(told, now_s)
            while (event := self._ev.next_event()) is not None:
                busy = True
                self._on_event(event, now_s)
        self._arm(now_s)

    def _arm(self, now_s: float) -> None:
        due = [at for at in (self._modem.next_deadline(), self._ev.next_deadline()) if at is not None]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, min(due) - now_s), self._pump)

    def _on_modem(self, told: object, now_s: float) -> None:
        match told:
            case ModemFound():
                self._ev.start(now_s)
            case ModemLost(reason=reason):
                self._ev.unplugged(now_s)
                self._say(f"own modem: {reason}")
            case KeyInstalled():
                self._ev.key_set(now_s)
            case KeyRefused(reason=reason):
                self._ev.key_failed(reason, now_s)
            case StationsSeen():
                self._ev.link(told.vehicle is not None, now_s)

    def _on_event(self, event: slac.Event, now_s: float) -> None:
        match event:
            case slac.SetKey():
                self._modem.set_key(event.nid, event.nmk, now_s)
            case slac.Matched():
                self._modem.watch(event.evse_mac, now_s)
            case slac.LinkUp():
                self.attenuation_db = event.attenuation.average_db
                self._say(f"matched, {event.attenuation.average_db:.1f} dB, {event.took_s:.1f} s")
                self.linked.set()
            case slac.LinkDown(reason=reason):
                self._down(reason)
                self._again()
            case slac.MatchingFailed(unplugged=False):
                again = "; no further attempt for now" if event.final else ""
                self._say(f"not matched at {event.step}: {event.reason}{again}")
                if event.final:
                    self._again()
            case slac.ToggleWanted():
                self._toggling = asyncio.get_running_loop().create_task(self._make_toggles(event))

    def _down(self, reason: str) -> None:
        was = self.linked.is_set()
        self.linked.clear()
        self._modem.watch(None, self._clock.monotonic_s())
        if was:
            self._on_lost(reason)

    def _again(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        self._starting = asyncio.get_running_loop().call_later(_AGAIN_S, self._start_again)

    def _start_again(self) -> None:
        if not self._lost.is_set() and self._modem.found:
            self._ev.start(self._clock.monotonic_s())
            self._pump()

    async def _make_toggles(self, wanted: slac.ToggleWanted) -> None:
        if self._toggle is None:
            return
        try:
            await self._toggle(wanted.count, wanted.each_s)
        except (PlantNotReachable, PlantRefused) as error:
            self._say(f"the pilot cannot be toggled: {error}")
            return
        self._ev.toggled(wanted.count, self._clock.monotonic_s())
        self._pump()
