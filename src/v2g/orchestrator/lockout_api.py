"""The methods ``lockout.set`` and ``lockout.show``: who may lock out the V2G breaker, and whose lock goes away."""

from __future__ import annotations

import datetime
from typing import Any

from v2g.control import messages
from v2g.control.messages_lockout import LockLine, LockoutParams, LockoutResult
from v2g.control.server import Caller, Method, Refused, Role
from v2g.guard.tick_commands import CommandReply
from v2g.orchestrator.guard_link import GuardLink


class LockoutApi:
    """Everybody from operator on locks and takes his own lock away. What is refused raises :class:`Refused`."""

    def __init__(self, link: GuardLink) -> None:
        self._link = link

    def methods(self) -> tuple[Method[Any], ...]:
        return (
            Method("lockout.set", Role.OPERATOR, LockoutParams, self.set),
            Method("lockout.show", Role.VIEWER, messages.NoParams, self.show),
        )

    async def set(self, params: LockoutParams, caller: Caller) -> LockoutResult:
        if params.force and params.enabled:
            raise Refused("nobody locks in another's name: leave --force out", code="BAD_LOCKOUT")
        if params.force and params.force != caller.user and caller.role < Role.ENGINEER:
            raise Refused(
                f"the lock of {params.force} is his to take away; an engineer may do it in his place",
                code="NOT_PERMITTED",
            )
        reply = await self._link.require(
            "lockout", caller, "LOCKOUT_NOT_SET", enabled=params.enabled, note=params.note, name=params.force
        )
        return _result(reply)

    async def show(self, params: messages.NoParams, caller: Caller) -> LockoutResult:
        return _result(await self._link.require("show_lockout", caller, "GUARD_UNREACHABLE"))


def _result(reply: CommandReply) -> LockoutResult:
    return LockoutResult(
        locks=tuple(LockLine(by=lock.by, at=_iso(lock.unix_s), note=lock.note) for lock in reply.locks),
        message=reply.message,
    )


def _iso(unix_s: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).isoformat(timespec="seconds")
    except (OverflowError, OSError, ValueError):
        return ""
