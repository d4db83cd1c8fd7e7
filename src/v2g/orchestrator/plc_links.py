"""Powerline links beside the control cycle: the connection to ``kplc-driver``, who is let in, whose session ends."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from v2g.clock import Clock
from v2g.config.schema import Config
from v2g.control.server import Method
from v2g.host.neighbours import table_mac
from v2g.orchestrator.plc_admission import Admission, FindMac
from v2g.orchestrator.plc_api import PlcApi
from v2g.orchestrator.plc_gate import PlcGate
from v2g.orchestrator.site import Site
from v2g.plc.link import ALIVE_PERIOD_S, EvsePilot, Pilots
from v2g.plc.link_client import PlcClient
from v2g.sessions.supervisor import Log, Sessions

DRIVER = "PLC_DRIVER"
TELL_AFTER_S = 3.0
"""A driver that starts together with us is not told of as silent before."""


class PlcLinks:
    """Of one daemon. Without an EVSE with ``plc`` it does nothing. ``log``: the one of communication."""

    def __init__(
        self,
        config: Config,
        sock: Path,
        site: Site,
        sessions: Sessions,
        clock: Clock,
        log: Log,
        find_mac: FindMac = table_mac,
    ) -> None:
        self._site = site
        self._sessions = sessions
        self._clock = clock
        self._log = log
        self.client = PlcClient(sock)
        self.gate = PlcGate(config.evses, self.client)
        if self.gate.evse_ids:
            site.plc = self.gate
        self.admission = Admission(self.gate, clock, find_mac)
        self._api = PlcApi(config, self.client, clock)
        self._began_at_s = clock.monotonic_s()
        self._told = ""
        self._sent: tuple[EvsePilot, ...] = ()
        self._sent_at_s = -ALIVE_PERIOD_S

    def methods(self) -> tuple[Method[Any], ...]:
        return self._api.methods()

    async def start(self, stack: AsyncExitStack) -> None:
        """Connect to the driver, where there are links; ``stack`` closes it."""
        if self.gate.evse_ids:
            await self.client.start()
            stack.push_async_callback(self.client.close)

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        silent = self.client.silent(self._clock.monotonic_s()) if self.gate.evse_ids else ""
        return (f"no vehicle is served at {self._evses()}: {silent}",) if silent else ()

    def begin(self, evse_id: str, peer: Any) -> str | None:
        """A connection is about to be served; why it is not after all: the link may have gone in its handshake."""
        refusal = self.gate.begin(evse_id, self.admission.mac(evse_id, peer), self._clock.monotonic_s())
        if refusal is not None:
            self._log.warning("PLC_NOT_MATCHED", f"{evse_id}: session of {peer} not begun: {refusal}", evse=evse_id)
        return refusal

    def end(self, evse_id: str) -> None:
        self.gate.end(evse_id)

    def on_cycle(self, now_s: float) -> None:
        """After each cycle, which has taken the power of lost links already: close their sessions, tell the driver."""
        if not self.gate.evse_ids:
            return
        for evse_id in self.gate.in_session:
            if reason := self.gate.ending(evse_id, now_s):
                self._sessions.abort(evse_id, reason)
        self._tell_driver(now_s)
        self._send_pilots(now_s)

    def _tell_driver(self, now_s: float) -> None:
        silent = self.client.silent(now_s)
        if silent and not self._told and (self.client.as_of_s is not None or now_s - self._began_at_s >= TELL_AFTER_S):
            self._log.warning(DRIVER, f"no vehicle is served at {self._evses()}: {silent}")
            self._told = silent
        elif not silent and self._told:
            self._log.info(DRIVER, "kplc-driver is heard again")
            self._told = ""

    def _send_pilots(self, now_s: float) -> None:
        wires = self._site.image.wires if self._site.image is not None else None
        pilots = self.gate.pilots(wires, now_s)
        if not pilots or (pilots == self._sent and now_s - self._sent_at_s < ALIVE_PERIOD_S):
            return
        if self.client.send(Pilots(as_of_s=now_s, pilots=pilots)):
            self._sent, self._sent_at_s = pilots, now_s

    def _evses(self) -> str:
        ids = self.gate.evse_ids
        return ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")
