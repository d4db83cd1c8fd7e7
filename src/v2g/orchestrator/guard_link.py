"""What the control methods need of ``v2g-guard tick``: its status, and its answers to commands."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from v2g.clock import Clock
from v2g.control.server import Caller, Refused
from v2g.guard.status import MAX_AGE_S, GuardStatus, Permit
from v2g.guard.tick_commands import CommandError, CommandName, CommandReply


class Tick(Protocol):
    """Commands to ``v2g-guard tick``; blocks. Raises CommandError when it does not answer."""

    def __call__(
        self,
        command: CommandName,
        by: str,
        /,
        *,
        enabled: bool = True,
        evse_id: str = "",
        name: str = "",
        note: str = "",
    ) -> CommandReply: ...


class GuardReader(Protocol):
    """The status block of ``v2g-guard tick``."""

    def read(self, now_s: float) -> GuardStatus: ...


class GuardLink:
    """The guard as the handlers of the control socket see it; what it does not give raises :class:`Refused`."""

    def __init__(self, tick: Tick, reader: GuardReader, clock: Clock) -> None:
        self._tick = tick
        self._reader = reader
        self._clock = clock

    def status(self) -> GuardStatus:
        """As it is now, of whatever age."""
        return self._reader.read(self._clock.monotonic_s())

    def fresh(self) -> GuardStatus:
        """Fresh and measured."""
        guard = self.status()
        age_s = self._clock.monotonic_s() - guard.as_of_s
        if guard.permit is Permit.GUARD_STALE or not abs(age_s) <= MAX_AGE_S:
            raise Refused("v2g-guard tick is silent; see systemctl status v2g-guard-tick", code="GUARD_UNREACHABLE")
        if not guard.measured:
            raise Refused("the guard has no measurement; check the waveform buffer and its driver", code="NOT_MEASURED")
        return guard

    async def command(self, command: CommandName, caller: Caller, **fields: Any) -> CommandReply:
        """Its answer, a refusal included."""
        try:
            return await asyncio.to_thread(lambda: self._tick(command, caller.user, **fields))
        except CommandError as error:
            raise Refused(str(error), code="GUARD_UNREACHABLE") from None

    async def require(self, command: CommandName, caller: Caller, code: str, **fields: Any) -> CommandReply:
        """Its consent; a refusal of the guard's becomes ours, with ``code``."""
        reply = await self.command(command, caller, **fields)
        if not reply.accepted:
            raise Refused(reply.message, code=code)
        return reply
