from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.control import connection as connection_module
from v2g.control import messages
from v2g.control.server import Caller, ControlServer, Method, Refused, Role


class Peer:
    """A client that may say anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> dict[str, Any] | None:
        data = await asyncio.wait_for(self.reader.readline(), 5)
        return None if not data else json.loads(data)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def raw(self, data: bytes) -> dict[str, Any] | None:
        await self.send(data + b"\n")
        return await self.line()

    async def call(self, method: str, params: Any = None, request_id: Any = 1) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": request_id, "method": method}
        answer = await self.raw(json.dumps(request | ({} if params is None else {"params": params})).encode())
        assert answer is not None
        return answer

    async def hello(self) -> dict[str, Any]:
        return await self.call("hello", {"client": "test", "protocol": messages.PROTOCOL_VERSION})


class Site:
    """A control server with handlers that remember, a user database that lies as told, and its audit lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.audit: list[tuple[str, dict[str, Any]]] = []
        self.groups: frozenset[str] = frozenset()
        self.orders: list[tuple[messages.DispatchParams, Caller]] = []
        self.hold = asyncio.Event()
        self.current = asyncio.Event()
        self.current.set()
        self.since_s: list[float] = []
        self.peers: list[Peer] = []
        methods: list[Method[Any]] = [
            Method("status", Role.VIEWER, messages.NoParams, self.status),
            Method("dispatch", Role.UTILITY, messages.DispatchParams, self.dispatch),
            Method("cancel", Role.OPERATOR, messages.CancelParams, self.cancel),
            Method("install", Role.ENGINEER, messages.NoParams, self.break_down),
            Method("wait", Role.VIEWER, messages.NoParams, self.wait),
        ]
        self.server = ControlServer(
            path,
            methods,
            Roles(),
            self.note,
            self.clock,
            caught_up=self.caught_up,
            lookup=lambda uid: ("alice", self.groups),
            own_uid=-1,
        )

    async def caught_up(self, since_s: float) -> None:
        self.since_s.append(since_s)
        await self.current.wait()

    def note(self, code: str, message: str = "", /, **fields: Any) -> None:
        self.audit.append((code, fields))

    async def status(self, params: messages.NoParams, caller: Caller) -> dict[str, Any]:
        return {"site": "s1"}

    async def dispatch(self, params: messages.DispatchParams, caller: Caller) -> messages.DispatchResult:
        if params.mode == "fly":
            raise Refused("vehicles do not fly", code="NO_WINGS")
        self.orders.append((params, caller))
        self.clock.advance(0.25)
        signed = -params.power_w
        return messages.DispatchResult(
            order_id=1, mode=params.mode, requested_w=params.power_w, granted_w=signed, duration_s=params.duration_s
        )

    async def cancel(self, params: messages.CancelParams, caller: Caller) -> messages.CancelResult:
        return messages.CancelResult(cancelled=())

    async def break_down(self, params: messages.NoParams, caller: Caller) -> None:
        raise KeyError("secret detail")

    async def wait(self, params: messages.NoParams, caller: Caller) -> dict[str, Any]:
        await self.hold.wait()
        return {}

    async def connect(self) -> Peer:
        peer = Peer(*await asyncio.open_unix_connection(str(self.path)))
        self.peers.append(peer)
        return peer

    async def greeted(self, *groups: str) -> Peer:
        self.groups = frozenset(groups)
        peer = await self.connect()
        assert "result" in await peer.hello()
        return peer


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    # The tests may run as root, who is an engineer everywhere: let the kernel speak of somebody else.
    monkeypatch.setattr("v2g.control.server.peer", lambda connection: (4321, 1000, 1000))
    running = Site(tmp_path / "control.sock")
    await running.server.start()
    yield running
    for peer in running.peers:
        peer.writer.close()
    await running.server.close()


@pytest.fixture
def pauses(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[float]]:
    """Called: from then on the waits of the server's pace, in seconds. They are over at once; by the clock of ``site``
    their time passes, unless ``time_stands``."""

    def begin(*, time_stands: bool = False) -> list[float]:
        passed: list[float] = []
        sleep = asyncio.sleep

        async def pause(seconds: float) -> None:
            passed.append(seconds)
            if not time_stands:
                site.clock.advance(seconds)
            await sleep(0)

        monkeypatch.setattr(connection_module.asyncio, "sleep", pause)
        return passed

    return begin
