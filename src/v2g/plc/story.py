"""What happened on one EVSE's powerline link: lines for ``comms.log``, the history, the last failure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.events import Step
from pyiso15118.slac.modem import StationLink
from v2g.clock import Clock
from v2g.control.messages_plc import PlcAttenuation, PlcMatching
from v2g.plc.causes import explain, weak

FAILED, MATCHING, LINK, LINK_LOST = "0xEF22", "PLC_MATCHING", "PLC_LINK", "PLC_LINK_LOST"
ATTENUATION, MODEM, NOT_ADMITTED = "PLC_ATTENUATION", "PLC_MODEM", "PLC_NOT_ADMITTED"
HISTORY = 16
_MOST_RECORDS = 256

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Record:
    """One line of ``comms.log``."""

    level: Level
    code: str
    message: str
    fields: dict[str, object] = field(default_factory=dict)


class Story:
    """``warn_db``: above it a link is warned of."""

    def __init__(self, evse_id: str, warn_db: float, clock: Clock) -> None:
        self.failure = ""
        """The last one, until somebody else is there or a link is up."""
        self.attenuation: PlcAttenuation | None = None
        self.history: deque[PlcMatching] = deque(maxlen=HISTORY)
        self._evse_id = evse_id
        self._warn_db = warn_db
        self._clock = clock
        self._records: deque[Record] = deque(maxlen=_MOST_RECORDS)
        self._told_key = ""
        self._last: Attenuation | None = None

    def records(self) -> list[Record]:
        """Each is given once."""
        found = list(self._records)
        self._records.clear()
        return found

    def tell(self, level: Level, code: str, text: str, **fields: object) -> None:
        record = Record(level, code, f"{self._evse_id}: {text}", {"evse": self._evse_id, **fields})
        self._records.append(record)

    def modem_found(self, mac: Mac, version: str) -> None:
        text = f"modem {mac_text(mac)} answers, version {version}"
        self.tell("info", MODEM, text, modem=mac_text(mac), version=version)

    def modem_lost(self, reason: str) -> None:
        why = explain(Step.MODEM, None, warn_db=self._warn_db)
        text = f"no vehicle can be matched: the modem is lost: {reason}"
        self.tell("warning", MODEM, f"{text}; likely: {why.likely}; remedy: {why.remedy}")

    def port_lost(self, reason: str) -> None:
        self.tell("warning", MODEM, f"no vehicle can be matched: {reason}")

    def key_taken(self) -> None:
        self._told_key = ""

    def started(self, event: ev.MatchingStarted) -> None:
        mac = mac_text(event.pev_mac)
        self.tell("info", MATCHING, f"vehicle {mac} asks to be matched", mac=mac)

    def sounded(self, event: ev.Sounded, vehicle: Mac | None) -> None:
        """``vehicle``: that is matched here; others are heard by crosstalk then."""
        if vehicle in (None, event.pev_mac):
            self._measured(event.attenuation)
        mac, average_db = mac_text(event.pev_mac), round(event.attenuation.average_db, 1)
        text = f"vehicle {mac} is heard with {average_db:g} dB ({event.attenuation.sounds} sounds)"
        self.tell("info", MATCHING, text, mac=mac, attenuation_db=average_db)

    def validated(self, event: ev.Validated) -> None:
        mac = mac_text(event.pev_mac)
        what = "has proved" if event.passed else "has not proved"
        text = f"vehicle {mac} {what} that it is at this plug: {event.toggles} toggles of the pilot"
        self.tell("info" if event.passed else "warning", MATCHING, text, mac=mac, toggles=event.toggles)

    def _measured(self, attenuation: Attenuation) -> None:
        self.attenuation = PlcAttenuation(
            average_db=round(attenuation.average_db, 2),
            groups_db=tuple(round(level, 2) for level in attenuation.groups_db),
            sounds=attenuation.sounds,
            at_unix_s=self._clock.unix_s(),
        )

    def matched(self, event: ev.Matched) -> None:
        self._measured(event.attenuation)
        mac, average_db = mac_text(event.pev_mac), round(event.attenuation.average_db, 1)
        self.tell("info", MATCHING, f"vehicle {mac} is matched; the modems find each other", mac=mac)
        if event.attenuation.average_db > self._warn_db:
            why = weak(event.attenuation)
            text = (
                f"vehicle {mac} is matched with {average_db:g} dB, above {self._warn_db:g} dB: the link may break "
                f"under load; likely: {why.likely}; remedy: {why.remedy}"
            )
            self.tell("warning", ATTENUATION, text, mac=mac, attenuation_db=average_db)

    def link_up(self, event: ev.LinkUp, link: StationLink | None) -> None:
        mac, average_db = mac_text(event.pev_mac), round(event.attenuation.average_db, 1)
        took_s = round(event.took_s, 3)
        self._last = None
        self._remember(event.pev_mac, "linked", average_db=average_db, took_s=took_s)
        rates = ""
        if link is not None and link.tx_mbps is not None and link.rx_mbps is not None:
            rates = f", {link.tx_mbps:g}/{link.rx_mbps:g} Mbit/s"
        text = f"link to vehicle {mac} is up: {average_db:g} dB{rates}, {took_s:.1f} s after its first request"
        self.tell("info", LINK, text, mac=mac, attenuation_db=average_db, took_s=took_s)

    def link_down(self, event: ev.LinkDown) -> None:
        mac = mac_text(event.pev_mac)
        self._remember(event.pev_mac, "lost", reason=event.reason)
        self.failure = f"the link to {mac} was lost: {event.reason}"
        self.tell("warning", LINK_LOST, f"the link to vehicle {mac} is lost: {event.reason}", mac=mac)

    def failed(self, event: ev.MatchingFailed, excuse: str, pilot_duty_pct: float | None) -> None:
        """``excuse``: why it is nobody's failure; empty: it is one."""
        mac = mac_text(event.pev_mac) if event.pev_mac is not None else ""
        average_db = round(event.attenuation.average_db, 1) if event.attenuation is not None else None
        heard = f"; attenuation {average_db:g} dB" if average_db is not None else ""
        numbers: dict[str, object] = {"step": event.step.value}
        if mac:
            numbers["mac"] = mac
        if average_db is not None:
            numbers["attenuation_db"] = average_db
        if excuse:
            self.tell(
                "info",
                MATCHING,
                f"{f'vehicle {mac}' if mac else 'nobody'} is not matched here: {excuse}{heard}",
                **numbers,
            )
            return
        if event.step is Step.KEY:
            # It is tried again every few seconds, and one line says it all.
            if event.reason == self._told_key:
                return
            self._told_key = event.reason
        if event.pev_mac is not None or event.step is Step.PARM:
            self._last = event.attenuation
        why = explain(event.step, self._last, warn_db=self._warn_db, reason=event.reason, pilot_duty_pct=pilot_duty_pct)
        self._remember(event.pev_mac, "failed", event.step.value, event.reason, average_db=average_db)
        self.failure = f"PLC handshake failed at {event.step.value}: {event.reason}"
        subject = f"vehicle {mac}: " if mac else ""
        last = "; given up until it is plugged in again" if event.final else ""
        text = f"PLC handshake failed at {event.step.value}: {subject}{event.reason}{heard}{last}"
        self.tell("error", FAILED, f"{text}; likely: {why.likely}; remedy: {why.remedy}", **numbers)

    def _remember(
        self,
        mac: Mac | None,
        outcome: str,
        step: str = "",
        reason: str = "",
        *,
        average_db: float | None = None,
        took_s: float | None = None,
    ) -> None:
        self.history.append(
            PlcMatching(
                at_unix_s=self._clock.unix_s(),
                vehicle_mac=mac_text(mac) if mac is not None else "",
                outcome=outcome,
                step=step,
                reason=reason,
                average_db=average_db,
                took_s=took_s,
            )
        )
