"""One connection: what is told of its vehicle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from pyiso15118 import events as ev
from pyiso15118.aio import Address
from support.kept_log import KeptLog
from v2g.clock import SystemClock
from v2g.sessions.supervisor import SessionSupervisor


class Connection:
    """A vehicle that says who it is and goes."""

    peer_address = "[fe80::1]:50000"
    paused = None

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


class Known(Connection):
    """With a certificate, at an address of a link."""

    peer_address = Address("fe80::aa:bbff:fecc:ddee", 50000, 7)

    def __init__(self, evccid: str, common_name: str = "WMIV1") -> None:
        super().__init__(evccid, f"CN={common_name}")
        self.peer_identity = SimpleNamespace(
            subject=f"CN={common_name}", common_name=common_name, fingerprint="ab" * 32
        )


def told(rig: Any, connection: Connection, mac: str | None = "02:aa:bb:cc:dd:ee") -> KeptLog:
    log, asked = KeptLog(), []

    def find_mac(peer: Any) -> str | None:
        asked.append(peer)
        return mac

    asyncio.run(SessionSupervisor(rig.bay, connection, log, lambda *_: None, SystemClock(), find_mac).run())
    assert asked == [connection.peer_address]
    return log


def fields_of(log: KeptLog, code: str) -> dict[str, object]:
    return next(fields for _, said, _, fields in log.lines if said == code)


def test_mac_certificate_and_evccid_stand_in_one_line(rig: Any) -> None:
    fields = fields_of(told(rig, Known("WMIV1")), "SESSION_START")
    assert fields["mac"] == "02:aa:bb:cc:dd:ee"
    assert fields["certificate"] == "sha256:" + "ab" * 32
    assert fields["evccid"] == "WMIV1"


def test_what_nobody_knows_is_said_to_be_unknown(rig: Any) -> None:
    connection = Known("WMIV1")
    connection.peer_identity = None  # type: ignore[assignment]
    fields = fields_of(told(rig, connection, mac=None), "CONNECTED")
    assert (fields["mac"], fields["certificate"]) == ("unknown", "none")


def test_a_name_that_the_certificate_does_not_have_is_told(rig: Any) -> None:
    log = told(rig, Known("OTHER"))
    assert "the vehicle's certificate is for WMIV1" in dict(log.said)["EVCCID_NOT_CERTIFIED"]
    assert "EVCCID_NOT_CERTIFIED" not in told(rig, Known("WMIV1")).codes()
