"""The orchestrator's end of ``wires.sock``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from v2g.guard.link import Image, Reload, Reloaded, Setpoints
from v2g.host.framing import FrameError, FrameReader, frame

_RETRY_FIRST_S = 0.05
_RETRY_MAX_S = 0.25
_TELL_AFTER_S = 1.0
_MAX_UNSENT_BYTES = 1 << 18
_READ_BYTES = 1 << 16
RELOAD_WITHIN_S = 5.0


class WiresClient:
    """Keeps a connection to ``wires``; loses nothing but time when ``wires`` restarts.

    ``image`` is the newest one of this connection, None without a connection: its ``as_of_s`` tells how old it is.
    ``on_change(connected, reason)`` is called when the connection comes and goes, and with ``False`` once ``wires``
    could not be reached for a second, and again when the reason of that changes.
    """

    def __init__(self, path: Path, on_change: Callable[[bool, str], None] = lambda connected, reason: None) -> None:
        self._path = path
        self._on_change = on_change
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Image | Reloaded)
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._reloads: dict[int, asyncio.Future[Reloaded]] = {}
        self._reload_id = 0
        self.image: Image | None = None

    @property
    def connected(self) -> bool:
        return self._writer is not None

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="wires-client")

    def send(self, setpoints: Setpoints) -> bool:
        """False when they could not be sent: no connection, or ``wires`` does not read. Leases then run out there."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            return False
        writer.write(frame(self._encoder.encode(setpoints)))
        return True

    async def reload(self, by: str, within_s: float = RELOAD_WITHIN_S) -> Reloaded:
        """Let ``wires`` read the configuration and the sensor map again. No answer is a refusal, too."""
        writer = self._writer
        if writer is None:
            return Reloaded(id=0, accepted=False, message="v2g-guard-wires is not connected; is it running?")
        self._reload_id += 1
        own_id = self._reload_id
        answer: asyncio.Future[Reloaded] = asyncio.get_running_loop().create_future()
        self._reloads[own_id] = answer
        try:
            writer.write(frame(self._encoder.encode(Reload(id=own_id, by=by))))
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            message = f"v2g-guard-wires did not answer within {within_s:g} s; see comms.log"
            return Reloaded(id=own_id, accepted=False, message=message)
        finally:
            del self._reloads[own_id]

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        delay_s, waited_s, told = _RETRY_FIRST_S, 0.0, ""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError as error:
                reason = f"{self._path}: {error.strerror or error}; is v2g-guard-wires running?"
                if waited_s >= _TELL_AFTER_S and reason != told:
                    told = reason
                    self._on_change(False, reason)
            else:
                delay_s, waited_s, told = _RETRY_FIRST_S, 0.0, ""
                self._on_change(False, await self._serve(reader, writer))
            await asyncio.sleep(delay_s)
            waited_s += delay_s
            delay_s = min(delay_s * 2, _RETRY_MAX_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        frames = FrameReader()
        self._writer = writer
        self._on_change(True, "")
        try:
            while data := await reader.read(_READ_BYTES):
                for payload in frames.feed(data):
                    message = self._decoder.decode(payload)
                    if isinstance(message, Image):
                        self.image = message
                    elif (waiting := self._reloads.get(message.id)) is not None and not waiting.done():
                        waiting.set_result(message)
            return "v2g-guard-wires closed the connection"
        except (OSError, FrameError, msgspec.DecodeError) as error:
            return f"v2g-guard-wires: {error}"
        finally:
            self._writer = None
            self.image = None
            writer.transport.abort()
