"""The method ``plc``: powerline links as ``kplc-driver`` told of them last."""

from __future__ import annotations

from typing import Any

from v2g.clock import Clock
from v2g.config.schema import Config
from v2g.control.messages_plc import PlcLine, PlcParams, PlcResult, PlcState
from v2g.control.server import Caller, Method, Refused, Role
from v2g.orchestrator.plc_gate import Links

NO_LINKS = "no EVSE of this site has a powerline link (evses[].plc)"
_NOT_TOLD = "kplc-driver has not told of it: systemctl restart kplc-driver, if the configuration was changed"


class PlcApi:
    """What is asked for by an unknown EVSE, or by one without a powerline link, raises :class:`Refused`."""

    def __init__(self, config: Config, links: Links, clock: Clock) -> None:
        self._evses = {evse.id: evse for evse in config.evses}
        self._links = links
        self._clock = clock

    def methods(self) -> tuple[Method[Any], ...]:
        return (Method("plc", Role.VIEWER, PlcParams, self.show),)

    async def show(self, params: PlcParams, caller: Caller) -> PlcResult:
        wanted = [evse_id for evse_id, evse in self._evses.items() if evse.plc is not None]
        if params.evse_id is not None:
            wanted = [self._known(params.evse_id)]
        if not wanted:
            return PlcResult(evses=(), problem=NO_LINKS)
        silent = self._links.silent(self._clock.monotonic_s())
        lines = self._links.lines
        return PlcResult(
            evses=tuple(lines.get(evse_id) or self._untold(evse_id, silent) for evse_id in wanted), problem=silent
        )

    def _untold(self, evse_id: str, silent: str) -> PlcLine:
        return PlcLine(
            evse_id=evse_id,
            interface=self._evses[evse_id].interface,
            state=PlcState.NO_MODEM,
            problem=silent or _NOT_TOLD,
        )

    def _known(self, evse_id: str) -> str:
        evse = self._evses.get(evse_id)
        if evse is None:
            raise Refused(f"there is no EVSE {evse_id!r}; there are {', '.join(self._evses)}", code="UNKNOWN_EVSE")
        if evse.plc is None:
            linked = ", ".join(other.id for other in self._evses.values() if other.plc is not None)
            more = f"; these have: {linked}" if linked else ""
            raise Refused(f"{evse_id} has no powerline link (evses[].plc){more}", code="NO_PLC")
        return evse_id
