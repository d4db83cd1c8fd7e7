"""A driver's end of plc.sock that says what a test tells it to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from v2g.host.framing import FrameReader, frame
from v2g.plc.link import Pilots


class FakePlcDriver:
    """Keeps what it is told. ``connections`` counts peers since the beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.got: list[Pilots] = []
        self.connections = 0
        self.writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.connections += 1
        frames = FrameReader()
        while data := await reader.read(1000):
            self.got += [msgspec.msgpack.decode(payload, type=Pilots) for payload in frames.feed(data)]

    def say(self, *messages: object) -> None:
        self.write(b"".join(frame(msgspec.msgpack.encode(message)) for message in messages))

    def write(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def hang_up(self) -> None:
        assert self.writer is not None
        self.writer.close()
        self.writer = None

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        if self.writer is not None:
            self.writer.close()
        await asyncio.sleep(0)
