"""The method ``sensors.reload``: configuration and sensor map read again by the guard and by ``wires``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from v2g.control.messages import NoParams
from v2g.control.messages_sensors import SensorsReloadResult
from v2g.control.server import Caller, Method, Refused, Role
from v2g.guard.link import Reloaded
from v2g.orchestrator.guard_link import GuardLink


class SensorsApi:
    """What is refused raises :class:`Refused`; the guard reads first, and where it refuses ``wires`` is not asked."""

    def __init__(self, link: GuardLink, reload_wires: Callable[[str], Awaitable[Reloaded]]) -> None:
        self._link = link
        self._reload_wires = reload_wires

    def methods(self) -> tuple[Method[Any], ...]:
        return (Method("sensors.reload", Role.ENGINEER, NoParams, self.reload),)

    async def reload(self, params: NoParams, caller: Caller) -> SensorsReloadResult:
        guard = await self._link.require("adopt_settings", caller, "SENSORS_REFUSED")
        wires = await self._reload_wires(caller.user)
        if not wires.accepted:
            raise Refused(
                f"the guard works by what was read, v2g-guard-wires does not: {wires.message}; correct it and reload "
                "again",
                code="HALF_RELOADED",
            )
        return SensorsReloadResult(message=wires.message, digest=guard.digest)
