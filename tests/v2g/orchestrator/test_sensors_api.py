"""sensors.reload: guard and wires, or a plain word about which of them does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.control.messages import NoParams
from v2g.control.server import Refused
from v2g.guard.link import Reloaded
from v2g.guard.tick_commands import CommandReply
from v2g.orchestrator.guard_link import GuardLink
from v2g.orchestrator.sensors_api import SensorsApi

ALICE: Any = SimpleNamespace(user="alice")


def api(guard: bool, wires: bool, asked: list[str]) -> SensorsApi:
    def tick(command: str, by: str, **fields: object) -> CommandReply:
        asked.append(f"{command} {by}")
        return CommandReply(accepted=guard, message="tick says", digest="01234567")

    async def reload(by: str) -> Reloaded:
        asked.append(f"wires {by}")
        return Reloaded(id=1, accepted=wires, message="wires says")

    reader: Any = None
    return SensorsApi(GuardLink(tick, reader, ManualClock()), reload)


async def test_both_read_again() -> None:
    asked: list[str] = []
    result = await api(True, True, asked).reload(NoParams(), ALICE)
    assert (result.message, result.digest) == ("wires says", "01234567")
    assert asked == ["adopt_settings alice", "wires alice"]


async def test_what_the_guard_refuses_is_not_asked_of_wires() -> None:
    asked: list[str] = []
    with pytest.raises(Refused, match="tick says"):
        await api(False, True, asked).reload(NoParams(), ALICE)
    assert asked == ["adopt_settings alice"]


async def test_one_without_the_other_is_said_plainly() -> None:
    with pytest.raises(Refused, match="the guard works by what was read, v2g-guard-wires does not: wires says"):
        await api(True, False, []).reload(NoParams(), ALICE)
