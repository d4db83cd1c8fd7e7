"""The methods of the control socket about certificates: ``pki.status`` and ``pki.reload``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyiso15118.aio import SeccServer
from v2g.control.messages import NoParams
from v2g.control.messages_pki import PkiReloadResult, PkiStatusResult
from v2g.control.server import Caller, Method, Refused, Role
from v2g.orchestrator.credentials import Credentials
from v2g.telemetry.logs import EventLog


class PkiApi:
    """What is refused raises :class:`Refused`, and is in the log."""

    def __init__(self, credentials: Credentials, secc: Callable[[], SeccServer | None], log: EventLog) -> None:
        self._credentials = credentials
        self.secc = secc
        """None before it listens."""
        self._log = log

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("pki.status", Role.VIEWER, NoParams, self.status),
            Method("pki.reload", Role.ENGINEER, NoParams, self.reload),
        )

    async def status(self, params: NoParams, caller: Caller) -> PkiStatusResult:
        return self._credentials.status()

    async def reload(self, params: NoParams, caller: Caller) -> PkiReloadResult:
        """Also what SIGHUP asks for."""
        secc = self.secc()
        if secc is None:
            raise Refused("the controller is starting: it reads its certificates by itself", code="STARTING")
        return await self.take(secc, caller)

    async def check(self, caller: Caller) -> None:
        """Whether a reload would be taken now; as it is refused there, and nothing is changed."""
        try:
            await self._credentials.check()
        except Refused as error:
            self._log.error(error.code, str(error), by=caller.user)
            raise

    async def take(self, secc: SeccServer, caller: Caller) -> PkiReloadResult:
        try:
            result = await self._credentials.reload(secc)
        except Refused as error:
            self._log.error(error.code, str(error), by=caller.user)
            raise
        self._log.info("PKI_RELOADED", result.message, by=caller.user)
        for evse_id, reason in result.unusable.items():
            self._log.error("EVSE_UNREACHABLE", f"{evse_id}: no vehicle can connect: {reason}")
        return result
