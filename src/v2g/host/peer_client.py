"""The other end of a :class:`~v2g.host.peer_socket.PeerSocket`: a connection that is made again whenever it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from v2g.host.framing import FrameError, FrameReader, frame

_RETRY_FIRST_S = 0.05
_RETRY_MAX_S = 0.25
_READ_BYTES = 1 << 16


class PeerClient:
    """``server``: who serves ``path``, for people. What it says goes to ``on_payload``, which raises
    :class:`msgspec.DecodeError` for what cannot be read: that ends the connection.

    ``on_up()`` when a connection is made, ``on_down(reason)`` when it is lost, ``on_unreachable(error, waited_s)`` for
    each attempt that fails, ``waited_s`` after the first of them.
    """

    def __init__(
        self,
        path: Path,
        server: str,
        *,
        on_payload: Callable[[bytes], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        on_unreachable: Callable[[OSError, float], None],
        max_unsent_bytes: int,
    ) -> None:
        self._path = path
        self._server = server
        self._on_payload = on_payload
        self._on_up, self._on_down, self._on_unreachable = on_up, on_down, on_unreachable
        self._max_unsent_bytes = max_unsent_bytes
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._writer is not None

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"client of {self._path.name}")

    def send(self, payload: bytes) -> bool:
        """False when it could not be sent: no connection, or the server does not read."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > self._max_unsent_bytes:
            return False
        writer.write(frame(payload))
        return True

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        delay_s, waited_s = _RETRY_FIRST_S, 0.0
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError as error:
                self._on_unreachable(error, waited_s)
            else:
                delay_s, waited_s = _RETRY_FIRST_S, 0.0
                self._on_down(await self._serve(reader, writer))
            await asyncio.sleep(delay_s)
            waited_s += delay_s
            delay_s = min(delay_s * 2, _RETRY_MAX_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Why the connection ended."""
        frames = FrameReader()
        self._writer = writer
        self._on_up()
        try:
            while data := await reader.read(_READ_BYTES):
                for payload in frames.feed(data):
                    self._on_payload(payload)
            return f"{self._server} closed the connection"
        except (OSError, FrameError, msgspec.DecodeError) as error:
            return f"{self._server}: {error}"
        finally:
            self._writer = None
            writer.transport.abort()
