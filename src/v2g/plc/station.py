"""One EVSE's powerline link: the EVSE's machine of SLAC and the one of its modem, put together. No input or output.

The owner, after every call: sends :meth:`Station.frames_to_send`, writes :meth:`Station.records`, publishes
:meth:`Station.line` where :attr:`Station.version` has grown, and calls :meth:`Station.handle_timer` at
:meth:`Station.next_deadline`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import BROADCAST, MAC_BYTES, Mac, mac_text
from pyiso15118.slac.evse import EvseMachine, EvseSlacConfig, EvseState
from pyiso15118.slac.keys import new_nmk, nid_of
from pyiso15118.slac.modem import (
    KeyInstalled,
    KeyRefused,
    ModemConfig,
    ModemEvent,
    ModemFound,
    ModemLost,
    ModemMachine,
    StationLink,
    StationsSeen,
)
from pyiso15118.slac.timers import EvseSlacTimers
from v2g.clock import Clock
from v2g.config.schema_plc import EvsePlc, Plc
from v2g.control.messages_plc import PlcLine, PlcModem, PlcState
from v2g.hardware.ports import PilotState
from v2g.plc.pilot_input import PilotInput
from v2g.plc.story import NOT_ADMITTED, Record, Story

_ERROR_FADES_S = 2.0
"""After an error on the pilot its device needs a moment to show a state of the vehicle's again."""
_STATES = {
    EvseState.KEYING: PlcState.KEYING,
    EvseState.FREE: PlcState.FREE,
    EvseState.WAITING: PlcState.WAITING,
    EvseState.MATCHING: PlcState.MATCHING,
    EvseState.JOINING: PlcState.JOINING,
    EvseState.LINKED: PlcState.LINKED,
    EvseState.ERROR: PlcState.ERROR,
}
_FORGETS_FAILURE = (PlcState.FREE, PlcState.LINKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StationConfig:
    evse_id: str
    interface: str
    plc: EvsePlc
    site: Plc


class Station:
    """``random``: from a cryptographic source. ``elsewhere``: at which other EVSE of the site a vehicle is matched."""

    def __init__(
        self,
        config: StationConfig,
        clock: Clock,
        random: Callable[[int], bytes],
        elsewhere: Callable[[Mac], str | None] = lambda mac: None,
    ) -> None:
        self.config = config
        self.version = 0
        self._clock = clock
        self._random = random
        self._elsewhere = elsewhere
        self._story = Story(config.evse_id, config.site.warn_db, clock)
        self._pilot = PilotInput()
        self._evse: EvseMachine | None = None
        self._modem: ModemMachine | None = None
        self._reset_wanted = config.plc.reset_modem
        self._port_problem = "not opened yet"
        self._modem_problem = ""
        self._admission_problem = ""
        self._link: StationLink | None = None
        self._error_until = 0.0
        self._state = PlcState.NO_MODEM
        self._since_unix_s = clock.unix_s()
        self._stopping = False

    # ---- what the owner sees ----

    @property
    def evse_id(self) -> str:
        return self.config.evse_id

    @property
    def linked_mac(self) -> Mac | None:
        """Of the vehicle whose link is up."""
        evse = self._evse
        return evse.vehicle if evse is not None and evse.state is EvseState.LINKED else None

    @property
    def matched_mac(self) -> Mac | None:
        """Of the vehicle that has the key."""
        return self._evse.vehicle if self._evse is not None else None

    @property
    def modem_found(self) -> bool:
        return self._modem is not None and self._modem.found

    @property
    def rekeyed(self) -> bool:
        """After :meth:`stop`: nothing is left to wait for."""
        return self._modem is None or not self._modem.found or self._modem.keyed

    @property
    def problem(self) -> str:
        """For people; empty: none."""
        if self._state is PlcState.NO_MODEM:
            return self._port_problem or self._modem_problem
        return "; ".join(text for text in (self._story.failure, self._pilot_problem, self._admission_problem) if text)

    @property
    def _pilot_problem(self) -> str:
        source = self.config.plc.pilot
        if source == "none" or self._pilot.state is not None or self.linked_mac is not None:
            return ""
        who = "the EVSE's device" if source == "evse" else "the modem's board"
        return f"{who} does not tell the pilot, and no vehicle is matched until it does: v2g-tool pilot check"

    def frames_to_send(self) -> list[bytes]:
        """The modem's first: a key is in it before a vehicle is told of it."""
        machines = (self._modem, self._evse)
        return [data for machine in machines if machine is not None for data in machine.frames_to_send()]

    def records(self) -> list[Record]:
        return self._story.records()

    def line(self) -> PlcLine:
        mac = self._modem.mac if self._modem is not None else None
        linked = self.linked_mac
        link = self._link if linked is not None else None
        return PlcLine(
            evse_id=self.config.evse_id,
            interface=self.config.interface,
            state=self._state,
            vehicle_mac=mac_text(linked) if linked is not None else None,
            since_unix_s=self._since_unix_s,
            attenuation=self._story.attenuation,
            modem=PlcModem(mac=mac_text(mac), version=self._modem.version) if mac and self._modem else None,
            nid=self._evse.nid.hex() if mac and self._evse else "",
            tx_mbps=link.tx_mbps if link is not None else None,
            rx_mbps=link.rx_mbps if link is not None else None,
            packet_loss=link.packet_loss if link is not None else None,
            signal_db=link.signal_db if link is not None else None,
            pilot_error=self._state is PlcState.ERROR,
            problem=self.problem,
            history=tuple(self._story.history),
        )

    def next_deadline(self) -> float | None:
        """In seconds of the clock's ``monotonic_s``; None: nothing is awaited."""
        machines = (self._modem, self._evse)
        due = [machine.next_deadline() for machine in machines if machine is not None]
        return min((at for at in due if at is not None), default=None)

    # ---- what the owner tells ----

    def port_opened(self, mac: Mac) -> None:
        """The interface is there, and has this address."""
        now = self._clock.monotonic_s()
        site, plc = self.config.site, self.config.plc
        self._port_problem, self._modem_problem = "", "looking for the modem"
        self._modem = ModemMachine(ModemConfig(host_mac=mac, poll_s=site.poll_s, reset=self._reset_wanted))
        self._reset_wanted = False
        self._evse = EvseMachine(
            EvseSlacConfig(
                evse_mac=mac,
                parallel_matchings=site.parallel_matchings,
                calibration_db=plc.calibration_db,
                needs_pilot=plc.pilot != "none",
                validate=site.validate,
                timers=EvseSlacTimers(tt_evse_slac_init_s=site.init_s, tt_match_join_s=site.join_s),
            ),
            random=self._random,
        )
        self._modem.start(now)
        self._tell_pilot(now)
        self._settle(now)

    def port_lost(self, reason: str) -> None:
        """It is gone, or could not be opened."""
        now = self._clock.monotonic_s()
        if self._evse is not None:
            self._evse.modem_lost(reason, now)
            self._settle(now)
        if reason != self._port_problem:
            self._story.port_lost(reason)
            self._port_problem = reason
            self.version += 1
        self._modem = self._evse = None
        self._look(now)

    def receive_frame(self, data: bytes) -> None:
        now = self._clock.monotonic_s()
        if self._modem is None or self._evse is None:
            return
        own_mac = self._evse.config.evse_mac
        # What goes to another host is none of our business, though a bridge or a promiscuous interface lets us hear it.
        if data[:MAC_BYTES] in (own_mac, BROADCAST):
            self._modem.receive_frame(data, now)
            self._evse.receive_frame(data, now)
        if self.config.plc.pilot == "modem" and self._pilot.hear(data, own_mac):
            self._tell_pilot(now)
        self._settle(now)

    def handle_timer(self) -> None:
        now = self._clock.monotonic_s()
        for machine in (self._modem, self._evse):
            if machine is not None and (due := machine.next_deadline()) is not None and now >= due:
                machine.handle_timer(now)
        self._tell_pilot(now)
        self._settle(now)

    def pilot(self, state: PilotState | None, toggles: int | None = None) -> None:
        """As the EVSE's device measures it; None: not known. ``toggles``: its own count since it was plugged in."""
        if self.config.plc.pilot == "evse":
            now = self._clock.monotonic_s()
            self._pilot.take(state, toggles)
            self._tell_pilot(now)
            self._settle(now)

    def admission(self, problem: str) -> None:
        """Why the firewall does not admit the vehicle that is linked; empty: it does, or there is nothing to admit."""
        if problem and problem != self._admission_problem:
            self._story.tell(
                "error", NOT_ADMITTED, f"the linked vehicle could not be admitted by the firewall: {problem}"
            )
        if problem != self._admission_problem:
            self._admission_problem = problem
            self.version += 1

    def stop(self) -> None:
        """Everything ends, and the modem gets a key that nobody has: no vehicle stays linked without a watch."""
        now = self._clock.monotonic_s()
        self._stopping = True
        if self._evse is not None:
            self._evse.modem_lost("kplc-driver stops", now)
            self._settle(now)
        if self._modem is not None and self._modem.found:
            nmk = new_nmk(self._random)
            self._modem.watch(None, now)
            self._modem.set_key(nid_of(nmk), nmk, now)

    # ---- inside ----

    def _tell_pilot(self, now: float) -> None:
        evse = self._evse
        if evse is None:
            return
        if self.config.plc.pilot == "none":
            evse.plugged(None, now)
            return
        # An error that we asked for is no news of the vehicle.
        if self._pilot.shows_fault and (evse.state is EvseState.ERROR or now < self._error_until):
            return
        evse.plugged(self._pilot.plugged, now)
        evse.toggles(self._pilot.toggles, now)

    def _settle(self, now: float) -> None:
        modem, evse = self._modem, self._evse
        while modem is not None and evse is not None:
            told = modem.next_event()
            if told is not None:
                self._on_modem(told, modem, evse, now)
                continue
            event = evse.next_event()
            if event is None:
                break
            self._on_evse(event, modem, evse, now)
        self._look(now)

    def _look(self, now: float) -> None:
        found = self._modem is not None and self._modem.found
        state = _STATES[self._evse.state] if found and self._evse is not None else PlcState.NO_MODEM
        if state is self._state:
            return
        if self._state is PlcState.ERROR:
            self._error_until = now + _ERROR_FADES_S
        if state in _FORGETS_FAILURE:
            self._story.failure = ""
        self._state, self._since_unix_s = state, self._clock.unix_s()
        self.version += 1

    def _on_modem(self, event: ModemEvent, modem: ModemMachine, evse: EvseMachine, now: float) -> None:
        self.version += 1
        match event:
            case ModemFound():
                self._modem_problem = ""
                evse.modem_mac = event.mac
                self._story.modem_found(event.mac, event.version)
                if not self._stopping:
                    evse.start(now)
            case ModemLost():
                self._modem_problem = f"no modem at {self.config.interface}: {event.reason}"
                self._pilot.forget_source()
                self._story.modem_lost(event.reason)
                modem.watch(None, now)
                evse.modem_mac = None
                evse.modem_lost(event.reason, now)
            case KeyInstalled():
                if event.nid == evse.nid:
                    self._story.key_taken()
                    evse.key_set(now)
            case KeyRefused():
                if not self._stopping:
                    evse.key_failed(event.reason, now)
            case StationsSeen():
                self._link = event.vehicle
                evse.link(event.vehicle is not None, now, event.problem or "its modem has left our network")

    def _on_evse(self, event: ev.Event, modem: ModemMachine, evse: EvseMachine, now: float) -> None:
        self.version += 1
        match event:
            case ev.SetKey():
                modem.watch(None, now)
                modem.set_key(event.nid, event.nmk, now)
            case ev.MatchingStarted():
                self._story.started(event)
            case ev.Sounded():
                self._story.sounded(event, evse.vehicle)
            case ev.Validated():
                self._story.validated(event)
            case ev.Matched():
                modem.watch(event.pev_mac, now)
                self._story.matched(event)
            case ev.LinkUp():
                self._story.link_up(event, self._link)
            case ev.LinkDown():
                self._link = None
                modem.watch(None, now)
                self._story.link_down(event)
            case ev.MatchingFailed():
                if evse.vehicle is None:
                    modem.watch(None, now)
                self._story.failed(event, self._excuse(event, evse), self._pilot.duty_pct)
            case _:
                pass

    def _excuse(self, event: ev.MatchingFailed, evse: EvseMachine) -> str:
        """Why a matching that ended is nobody's failure."""
        if event.unplugged or self._stopping:
            return event.reason
        if event.pev_mac is None:
            return ""
        if (place := self._elsewhere(event.pev_mac)) is not None:
            return f"it is matched at {place}, and heard here by crosstalk"
        if evse.vehicle is not None and evse.vehicle != event.pev_mac:
            return f"{mac_text(evse.vehicle)} is, and this one is heard by crosstalk"
        return ""
