"""Who may lock, and whose lock goes away, with a guard of a few lines."""

from __future__ import annotations

from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.control.messages import NoParams
from v2g.control.messages_lockout import LockoutParams
from v2g.control.server import Caller, Refused, Role
from v2g.guard.lockout import Lock
from v2g.guard.tick_commands import CommandReply
from v2g.orchestrator.guard_link import GuardLink
from v2g.orchestrator.lockout_api import LockoutApi


def caller(user: str, role: Role) -> Caller:
    return Caller(uid=1000, gid=1000, pid=1, user=user, role=role)


OPERATOR, ENGINEER = caller("olaf", Role.OPERATOR), caller("eva", Role.ENGINEER)


class Tick:
    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self.refuses = ""

    def __call__(
        self, command: str, by: str, /, *, enabled: bool = True, evse_id: str = "", name: str = "", note: str = ""
    ) -> CommandReply:
        self.commands.append((command, by, enabled, name, note))
        locks = (Lock(by="olaf", unix_s=1.7e9, note="CT 2"),)
        return CommandReply(accepted=not self.refuses, message=self.refuses or "done", locks=locks)


@pytest.fixture
def tick() -> Tick:
    return Tick()


@pytest.fixture
def api(tick: Tick) -> LockoutApi:
    return LockoutApi(GuardLink(tick, None, ManualClock()))  # type: ignore[arg-type]


def test_operators_lock_and_viewers_look(api: LockoutApi) -> None:
    roles = {method.name: method.role for method in api.methods()}
    assert roles == {"lockout.set": Role.OPERATOR, "lockout.show": Role.VIEWER}


async def test_the_lock_bears_the_caller_s_name_and_time(api: LockoutApi, tick: Tick) -> None:
    result = await api.set(LockoutParams(enabled=True, note="CT 2"), OPERATOR)
    assert tick.commands == [("lockout", "olaf", True, "", "CT 2")]
    assert (result.locks[0].by, result.locks[0].at) == ("olaf", "2023-11-14T22:13:20+00:00")
    assert (await api.show(NoParams(), OPERATOR)).locks == result.locks


async def test_another_s_lock_is_taken_away_by_an_engineer_only(api: LockoutApi, tick: Tick) -> None:
    with pytest.raises(Refused, match="an engineer may do it") as refused:
        await api.set(LockoutParams(enabled=False, force="eva"), OPERATOR)
    assert refused.value.code == "NOT_PERMITTED"
    with pytest.raises(Refused, match="another's name"):
        await api.set(LockoutParams(enabled=True, force="olaf"), ENGINEER)
    assert tick.commands == []
    await api.set(LockoutParams(enabled=False, force="olaf"), ENGINEER)
    assert tick.commands == [("lockout", "eva", False, "olaf", "")]


async def test_what_the_guard_refuses_is_quoted(api: LockoutApi, tick: Tick) -> None:
    tick.refuses = "the lock stays"
    with pytest.raises(Refused, match="the lock stays") as refused:
        await api.set(LockoutParams(enabled=False), OPERATOR)
    assert refused.value.code == "LOCKOUT_NOT_SET"
