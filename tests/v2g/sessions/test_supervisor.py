"""One connection: what is told of its vehicle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from pyiso15118 import events as ev
from support.kept_log import KeptLog
from v2g.clock import SystemClock
from v2g.sessions.supervisor import SessionSupervisor


class Connection:
    """A vehicle that says who it is and goes."""

    peer_address = "[fe80::1]:50000"

    def __init__(self, evccid: str, subject: str) -> None:
        self.evccid = evccid
        self.peer_identity = SimpleNamespace(subject=subject)

    async def events(self) -> AsyncIterator[ev.Event]:
        yield ev.SessionStarted(session_id=bytes(8), evccid=self.evccid, evse_id="US*V2G*E1")

    def command(self, command: object) -> None:
        pass

    def abort(self, reason: str) -> None:
        pass


def test_what_a_vehicle_calls_itself_moves_no_cursor_and_ends_no_line(rig: Any) -> None:
    connection = Connection("WMI\x1b[2J\nANNA", "CN=\x1b]0;x\x07OEM")
    supervisor = SessionSupervisor(rig.bay, connection, KeptLog(), lambda *_: None, SystemClock())
    asyncio.run(supervisor.run())
    assert supervisor.info.evccid == "WMI\\x1b[2J\\nANNA"
    assert supervisor.info.identity == "CN=\\x1b]0;x\\x07OEM"
