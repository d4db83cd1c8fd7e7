"""The station's process: ``python -m support.fleet.station FOLDER EVSES [echo]``.

With ``echo`` it is the floor instead: a plain asyncio TLS server that answers each request of the loop's size with as
many bytes as the loop's response has, and nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import cast

from pyiso15118.aio import Endpoint, SeccConnection, SeccServer
from pyiso15118.security import TlsProfile, server_context
from support.fleet import parts
from support.fleet.channel import Questions, tell, usage
from support.fleet.costs import Costs


class Station:
    """Owner of every session."""

    def __init__(self) -> None:
        self.owners: set[parts.EvseOwner] = set()
        self.ends: Counter[str] = Counter()
        self.turns_of_ended = 0
        self.costs = Costs()

    async def serve(self, connection: SeccConnection) -> None:
        owner = parts.EvseOwner()
        self.owners.add(owner)
        try:
            async for event in connection.events():
                for command in owner.answers(event):
                    connection.command(command)
        finally:
            self.owners.discard(owner)
            self.ends[owner.end or "none"] += 1
            self.turns_of_ended += owner.loops

    def figures(self) -> dict[str, object]:
        return {
            "own_s": dict(self.costs.own_s),
            "sessions": len(self.owners),
            "turns": self.turns_of_ended + sum(owner.loops for owner in self.owners),
            "ends": dict(self.ends),
        }


class Echo(asyncio.Protocol):
    """Answers every ``REQUEST_BYTES`` with ``RESPONSE``."""

    REQUEST_BYTES = 0
    RESPONSE = b""
    turns = 0
    sessions = 0

    def __init__(self) -> None:
        self._waiting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        Echo.sessions += 1

    def connection_lost(self, exc: Exception | None) -> None:
        Echo.sessions -= 1

    def data_received(self, data: bytes) -> None:
        self._waiting += len(data)
        while self._waiting >= self.REQUEST_BYTES:
            self._waiting -= self.REQUEST_BYTES
            Echo.turns += 1
            self._transport.write(self.RESPONSE)


async def answer_questions(figures: Station | None) -> None:
    """Until the run closes our standard input."""
    loop = asyncio.get_running_loop()
    questions, done = Questions(), loop.create_future()

    def read() -> None:
        for question in questions.read():
            if question.get("collect"):
                gc.collect()
            own = figures.figures() if figures else {"sessions": Echo.sessions, "turns": Echo.turns, "ends": {}}
            tell(**usage(), **own)
        if questions.closed and not done.done():
            loop.remove_reader(questions.fd)
            done.set_result(None)

    loop.add_reader(questions.fd, read)
    await done


async def main(folder: Path, evses: int, echo: bool) -> None:
    tls = server_context(TlsProfile.STRICT, folder / "secc.pem", folder / "secc.key", [folder / "oem.pem"])
    if echo:
        bench = parts.TurnBench()
        Echo.REQUEST_BYTES, Echo.RESPONSE = len(bench.request), bench.response
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Echo, "::1", 0, ssl=tls) for _ in range(evses)]
        tell(ports=[server.sockets[0].getsockname()[1] for server in servers])
        await answer_questions(None)
        return
    station = Station()
    if "costs" in sys.argv[3:]:
        station.costs.begin()
    endpoints = [
        Endpoint(config=parts.secc_config(number), interface="lo", sdp_port=None, tls=tls)
        for number in range(1, evses + 1)
    ]
    async with SeccServer(endpoints, station.serve) as server:
        tell(ports=[server.address(endpoint.evse_id).port for endpoint in endpoints])
        await answer_questions(station)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("pyiso15118").setLevel(logging.ERROR)
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), "echo" in sys.argv[3:]))
