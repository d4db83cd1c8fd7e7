"""The host's own powerline modem as a machine: found, reset, given its key, and watched.

=========  ================================================  ==================================================
Phase      Meaning                                           Left by
=========  ================================================  ==================================================
OFF        not started                                       ``start``
RESETTING  VS_RS_DEV.REQ is out                              its answer, or none: not every modem knows it
PROBING    asked who it is                                   VS_SW_VER.CNF; any other answer and a second silence
PAUSED     did not answer; asked again after a pause         time; the pauses grow, and never end
FOUND      keyed and watched                                 two polls in a row without an answer
=========  ================================================  ==================================================

Who is in the network is asked by what the modem answers: VS_NW_INFO (Qualcomm: rates, and the host behind each modem),
else CC_DISCOVER_LIST with CM_NW_INFO and CM_NW_STATS (ST/IoTecha), else VS_PL_LNK_STATUS (somebody is there).
CC_DISCOVER_LIST names modems, not the hosts behind them, but the key is fresh for each session and only the matched
vehicle has it: the one other station in the network that has our NID is the vehicle's modem.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from dataclasses import dataclass

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.slac.addresses import LOCAL_MODEM, MAC_BYTES, Mac
from pyiso15118.slac.frame import decode_frame, is_homeplug
from pyiso15118.slac.machine import MOST_WAITING, Sender
from pyiso15118.slac.messages import CM_SET_KEY_CNF, CM_SET_KEY_REQ, Message
from pyiso15118.slac.modem_events import (
    KeyInstalled,
    KeyRefused,
    ModemConfig,
    ModemEvent,
    ModemFound,
    ModemLost,
    StationLink,
    StationsSeen,
)
from pyiso15118.slac.modem_network import MISSES, ModemNetwork
from pyiso15118.slac.network_messages import CM_NW_INFO_REQ
from pyiso15118.slac.vendor import VS_RS_DEV_CNF, VS_RS_DEV_REQ, VS_SW_VER_CNF, VS_SW_VER_REQ

__all__ = [
    "KeyInstalled",
    "KeyRefused",
    "ModemConfig",
    "ModemEvent",
    "ModemFound",
    "ModemLost",
    "ModemMachine",
    "StationLink",
    "StationsSeen",
]

UNKNOWN_VERSION = "unknown"
_TAKEN = frozenset({0x00, 0x01})
"""Results of CM_SET_KEY.CNF that mean success: 0x01 in all 36 that were recorded, 0x00 by HomePlug Green PHY. A modem
that meant a refusal by one of them is found out later: its network is not ours, and no vehicle joins it."""
_RESET_TRIES = 3
_LATER_TRIES = 2


class _Phase(enum.Enum):
    OFF = enum.auto()
    RESETTING = enum.auto()
    PROBING = enum.auto()
    PAUSED = enum.auto()
    FOUND = enum.auto()


@dataclass(slots=True)
class _Key:
    nid: bytes
    nmk: bytes
    sends: int = 0
    due: float | None = None
    installed: bool = False


class ModemMachine(Sender):
    """One modem. ``now`` is in monotonic seconds and never runs backwards. Used as :class:`Outbox` is.

    Answers count only from the modem that was found, and to our address: what vehicles send is not taken for them.
    What is not for it is counted by reason in :attr:`ignored`; nothing that is received raises.
    """

    def __init__(self, config: ModemConfig) -> None:
        super().__init__(config.host_mac)
        self.config = config
        self.mac: Mac | None = None
        """The modem's own address; None: not found."""
        self.version = ""
        self.ignored: Counter[str] = Counter()
        self._events: deque[ModemEvent] = deque(maxlen=MOST_WAITING)
        self._phase = _Phase.OFF
        self._reset_wanted = config.reset
        self._due: float | None = None
        self._tries = 0
        self._most_tries = config.probe_tries
        self._back_by: float | None = None
        self._candidate: Mac | None = None
        self._pause_s = config.retry_first_s
        self._told_lost = False
        self._key: _Key | None = None
        self._vehicle: Mac | None = None
        self._network = ModemNetwork(b"")
        self._misses = 0
        self._asked_at: float | None = None
        self._answered = True
        self._settled_at = 0.0

    # ---- the owner ----

    def next_event(self) -> ModemEvent | None:
        """The oldest event not yet taken, or None."""
        return self._events.popleft() if self._events else None

    @property
    def found(self) -> bool:
        """It answers, so its address is known."""
        return self._phase is _Phase.FOUND

    @property
    def keyed(self) -> bool:
        """It has confirmed the key that was set last."""
        return self._phase is _Phase.FOUND and self._key is not None and self._key.installed

    def start(self, now: float) -> None:
        """Look for the modem, from the beginning: at first, and whenever the interface is back."""
        self.stop()
        self._told_lost = False
        self._pause_s = self.config.retry_first_s
        if self._reset_wanted:
            self._phase, self._tries = _Phase.RESETTING, 0
            self._reset(now)
        else:
            self._probe_from(now, self.config.probe_tries)

    def stop(self) -> None:
        """Nothing is asked any more, until :meth:`start`."""
        self._phase, self._due, self._key = _Phase.OFF, None, None
        self.mac, self.version = None, ""

    def set_key(self, nid: bytes, nmk: bytes, now: float) -> None:
        """Ends in KeyInstalled, KeyRefused or ModemLost. Before the modem is found it is one more question to it."""
        self._key = _Key(nid, nmk)
        if self._phase is _Phase.FOUND:
            self._send_key(self._key, now)

    def watch(self, vehicle: Mac | None, now: float) -> None:
        """Whose modem is awaited in the network, by its host's address; None: nobody's."""
        if vehicle == self._vehicle:
            return
        self._vehicle = vehicle
        self._network.watch(vehicle)
        if self._phase is _Phase.FOUND and self._due is not None:
            self._due = min(self._due, now + self._poll_s)

    # ---- frames ----

    def receive_frame(self, data: bytes, now: float) -> None:
        """An Ethernet frame from the interface, of whatever kind."""
        source = data[MAC_BYTES : 2 * MAC_BYTES]
        if data[:MAC_BYTES] != self._own_mac or source == self._own_mac or not is_homeplug(data):
            self.ignored["not for us"] += 1
        elif self._phase is _Phase.OFF or (self.mac is not None and source != self.mac):
            self.ignored["not our modem"] += 1
        else:
            try:
                message = decode_frame(data).message
            except RemoteProtocolError:
                self.ignored["malformed"] += 1
                return
            if self._phase is _Phase.FOUND:
                self._on_answer(message, now)
            else:
                self._on_sign_of_life(source, message, now)

    def _on_answer(self, message: Message, now: float) -> None:
        if isinstance(message, CM_SET_KEY_CNF):
            self._on_key(message.result, now)
            return
        if self._network.answers(message):
            self._answered = True
        seen = self._network.take(message)
        if self._network.lost_key:
            self._lose(self._network.lost_key, now)
        elif seen is not None:
            self._events.append(seen)

    def _on_sign_of_life(self, source: Mac, message: Message, now: float) -> None:
        match message:
            case VS_RS_DEV_CNF():
                if self._phase is _Phase.RESETTING:
                    self._on_reset(message.mstatus, now)
            case VS_SW_VER_CNF() if self._phase is _Phase.PROBING:
                self._find(source, message.version.strip("\0 ") or UNKNOWN_VERSION, now)
            case _ if self._phase is _Phase.PROBING and (
                isinstance(message, CM_SET_KEY_CNF) or self._network.answers(message)
            ):
                # It answers something, so there is one; its version is awaited for a moment longer.
                self._candidate = self._candidate or source
            case _:
                self.ignored["no answer"] += 1

    # ---- finding it ----

    def _reset(self, now: float) -> None:
        self._tries += 1
        self._due = now + self.config.probe_s
        self._send(VS_RS_DEV_REQ(), LOCAL_MODEM)

    def _on_reset(self, mstatus: int, now: float) -> None:
        self._reset_wanted = False
        if mstatus != 0:
            self._probe_from(now, self.config.probe_tries)
            return
        self._probe_from(now + self.config.reset_pause_s, self.config.probe_tries)
        self._back_by = now + self.config.reset_within_s

    def _probe_from(self, at: float, tries: int) -> None:
        self._phase, self._tries, self._most_tries = _Phase.PROBING, 0, tries
        self._candidate, self._back_by, self._due = None, None, at

    def _probe(self, now: float) -> None:
        if self._candidate is not None and self._tries >= _LATER_TRIES:
            self._find(self._candidate, UNKNOWN_VERSION, now)
            return
        over = self._tries >= self._most_tries if self._back_by is None else now >= self._back_by
        if over:
            how = "it does not answer" if self._back_by is None else "it did not come back from its reset"
            self._lose(f"{how} (VS_SW_VER, CM_NW_INFO)", now)
            return
        self._tries += 1
        self._due = now + self.config.probe_s
        self._send(VS_SW_VER_REQ(), LOCAL_MODEM)
        self._send(CM_NW_INFO_REQ(), LOCAL_MODEM)
        if self._key is not None:
            self._ask_key(self._key)

    def _find(self, mac: Mac, version: str, now: float) -> None:
        self._phase, self.mac, self.version = _Phase.FOUND, mac, version
        self._told_lost = self._reset_wanted = False
        self._pause_s = self.config.retry_first_s
        self._network = ModemNetwork(mac)
        self._network.watch(self._vehicle)
        self._misses, self._asked_at, self._due = 0, None, now
        self._events.append(ModemFound(mac=mac, version=version))
        if self._key is not None:
            self._send_key(self._key, now)

    def _lose(self, reason: str, now: float) -> None:
        self.mac, self._key = None, None
        self._phase, self._due = _Phase.PAUSED, now + self._pause_s
        self._pause_s = min(2 * self._pause_s, self.config.retry_most_s)
        if not self._told_lost:
            self._told_lost = True
            self._events.append(ModemLost(reason=reason))

    # ---- its key ----

    def _send_key(self, key: _Key, now: float) -> None:
        key.sends += 1
        key.due = now + self.config.key_response_s
        self._ask_key(key)

    def _ask_key(self, key: _Key) -> None:
        capability = self.config.cco_capability
        self._send(CM_SET_KEY_REQ(nid=key.nid, new_key=key.nmk, cco_capability=capability), LOCAL_MODEM)

    def _on_key(self, result: int, now: float) -> None:
        key = self._key
        if key is None or key.installed:
            return
        if result not in _TAKEN:
            self._refuse(f"the modem answers CM_SET_KEY with 0x{result:02x}")
            return
        key.installed, key.due = True, None
        self._network.keyed(key.nid)
        self._settled_at = now + self.config.settle_s
        self._events.append(KeyInstalled(nid=key.nid))

    def _refuse(self, reason: str) -> None:
        self._key = None
        self._events.append(KeyRefused(reason=reason))

    # ---- watching it ----

    @property
    def _poll_s(self) -> float:
        return self.config.poll_s if self._vehicle is not None else self.config.idle_poll_s

    def _poll(self, now: float) -> None:
        self._misses = 0 if self._answered or self._asked_at is None else self._misses + 1
        keyed = self._key is not None and self._key.installed
        settling = keyed and now < self._settled_at and not self._network.present
        if self._misses >= MISSES and not settling:
            self._lose(f"it has not answered {self._misses} polls in a row", now)
            return
        for question in self._network.questions():
            self._send(question, LOCAL_MODEM)
        self._asked_at, self._answered = now, False
        self._due = now + self._poll_s

    # ---- time ----

    def next_deadline(self) -> float | None:
        """When :meth:`handle_timer` is due, in ``now``'s seconds; None: nothing is awaited."""
        key_due = self._key.due if self._key is not None and self._phase is _Phase.FOUND else None
        return min((at for at in (self._due, key_due) if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """What is due by ``now``."""
        key = self._key
        if self._phase is _Phase.FOUND and key is not None and key.due is not None and now >= key.due:
            if key.sends < self.config.key_tries:
                self._send_key(key, now)
            else:
                self._refuse(f"the modem does not answer CM_SET_KEY, {key.sends} times asked")
        if self._due is None or now < self._due:
            return
        match self._phase:
            case _Phase.RESETTING if self._tries < _RESET_TRIES:
                self._reset(now)
            case _Phase.RESETTING:
                self._reset_wanted = False
                self._probe_from(now, self.config.probe_tries)
                self._probe(now)
            case _Phase.PROBING:
                self._probe(now)
            case _Phase.PAUSED:
                self._probe_from(now, _LATER_TRIES)
                self._probe(now)
            case _Phase.FOUND:
                self._poll(now)
            case _Phase.OFF:
                self._due = None
