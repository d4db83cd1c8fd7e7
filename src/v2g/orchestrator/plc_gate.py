"""Who may open a V2G session at an EVSE with a powerline link, and how long it may go on. No input or output.

Fails closed: a link that is not known to be up is down, and a driver that is silent knows no vehicle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from v2g.config.schema import Evse
from v2g.control.messages_plc import PlcLine, PlcState
from v2g.guard.link import Image
from v2g.plc.link import EvsePilot
from v2g.sessions.watch import is_fresh

_LOOPBACK = "lo"
UNKNOWN_MAC = "its MAC address is not known: it does not answer neighbour solicitations"
_NO_LINE = "kplc-driver has no such link: systemctl restart kplc-driver, if the configuration was changed"
_UNDER_WAY = frozenset({PlcState.KEYING, PlcState.FREE, PlcState.WAITING, PlcState.MATCHING, PlcState.JOINING})


class Links(Protocol):
    """What ``kplc-driver`` said last."""

    @property
    def lines(self) -> Mapping[str, PlcLine]: ...

    def silent(self, now_s: float) -> str: ...


class PlcGate:
    """An EVSE without ``plc`` is not concerned. MAC addresses are lower-case with colons; ``now_s`` is monotonic.

    On the loopback no vehicle has a MAC address: there it suffices that the EVSE's link is up.
    """

    def __init__(self, evses: Iterable[Evse], links: Links) -> None:
        concerned = [(evse, evse.plc) for evse in evses if evse.plc is not None]
        self._on_loopback = {evse.id: evse.interface == _LOOPBACK for evse, _ in concerned}
        self._measured = [evse.id for evse, plc in concerned if plc.pilot == "evse"]
        self._links = links
        self._bound: dict[str, str] = {}

    @property
    def evse_ids(self) -> tuple[str, ...]:
        """Those that have a powerline link."""
        return tuple(self._on_loopback)

    @property
    def in_session(self) -> tuple[str, ...]:
        """Those where a vehicle was let in and is still."""
        return tuple(self._bound)

    @property
    def lines(self) -> Mapping[str, PlcLine]:
        """What ``kplc-driver`` said last of them, by EVSE."""
        return self._links.lines

    def silent(self, now_s: float) -> str:
        """Why nothing new is known of any link; empty: the driver is heard."""
        return self._links.silent(now_s)

    def needs_mac(self, evse_id: str) -> bool:
        """A peer there is judged by its MAC address."""
        return self._on_loopback.get(evse_id) is False

    def joins(self, evse_id: str, now_s: float) -> bool:
        """A vehicle was matched there, and its link is about to be up: whoever asks now is judged in a moment."""
        line = self._links.lines.get(evse_id)
        return line is not None and line.state is PlcState.JOINING and not self._links.silent(now_s)

    def refusal(self, evse_id: str, mac: str | None, now_s: float) -> str | None:
        """Why a peer with ``mac`` (None: unknown) is not served at the EVSE; None: it is."""
        if evse_id not in self._on_loopback:
            return None
        if down := self._down(evse_id, now_s):
            return f"the powerline link is not up: {down}"
        matched = self._vehicle(evse_id)
        if not self.needs_mac(evse_id):
            return None
        if mac is None:
            return UNKNOWN_MAC
        if mac != matched:
            return f"its MAC address is {mac}, and the vehicle that was matched here is {matched}"
        return None

    def begin(self, evse_id: str, mac: str | None, now_s: float) -> str | None:
        """A session begins: it is bound to the vehicle that is matched now. As :meth:`refusal`, judged once more."""
        refusal = self.refusal(evse_id, mac, now_s)
        if refusal is None and (matched := self._vehicle(evse_id)) is not None:
            self._bound[evse_id] = matched
        return refusal

    def end(self, evse_id: str) -> None:
        """The session there is over."""
        self._bound.pop(evse_id, None)

    def ending(self, evse_id: str, now_s: float) -> str:
        """Why no session may go on at the EVSE, without figures; empty: it may."""
        if evse_id not in self._on_loopback:
            return ""
        if silent := self._links.silent(now_s):
            return f"powerline link not known: {silent}"
        if down := self._down(evse_id, now_s):
            return f"powerline link lost: {down}"
        bound, matched = self._bound.get(evse_id), self._vehicle(evse_id)
        if bound is not None and bound != matched:
            return f"powerline link lost: {bound} was matched when the session began, and {matched} is now"
        return ""

    def note(self, evse_id: str, now_s: float) -> str:
        """What is wrong with the link, for the status; empty: nothing, nobody is there, or matching is under way."""
        if evse_id not in self._on_loopback:
            return ""
        line = self._links.lines.get(evse_id)
        quiet = line is not None and line.state in _UNDER_WAY and not line.problem
        down = self._down(evse_id, now_s)
        return f"no powerline link: {down}" if down and (not quiet or self._links.silent(now_s)) else ""

    def pilot_error(self, evse_id: str, now_s: float) -> bool:
        """State E or F is wanted on the pilot now."""
        line = self._links.lines.get(evse_id)
        return evse_id in self._on_loopback and line is not None and line.pilot_error and not self._links.silent(now_s)

    def pilots(self, wires: Image | None, now_s: float) -> tuple[EvsePilot, ...]:
        """The pilots that EVSEs' devices measure, for the driver; what is old or missing is unknown."""
        readings = {reading.evse_id: reading for reading in wires.evses} if wires is not None else {}
        told = []
        for evse_id in self._measured:
            reading = readings.get(evse_id)
            pilot = reading.pilot if reading is not None and is_fresh(reading, now_s) else None
            told.append(
                EvsePilot(
                    evse_id=evse_id,
                    state=pilot.state if pilot is not None else None,
                    toggles=pilot.toggles if pilot is not None else None,
                )
            )
        return tuple(told)

    def _vehicle(self, evse_id: str) -> str | None:
        line = self._links.lines.get(evse_id)
        if line is None or line.state is not PlcState.LINKED or not line.vehicle_mac:
            return None
        return line.vehicle_mac.lower()

    def _down(self, evse_id: str, now_s: float) -> str:
        """Why the EVSE's link is not up; empty: it is."""
        if silent := self._links.silent(now_s):
            return silent
        line = self._links.lines.get(evse_id)
        if line is None:
            return _NO_LINE
        if self._vehicle(evse_id) is None:
            return line.problem or line.state.value
        return ""
