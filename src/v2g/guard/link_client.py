"""The orchestrator's end of ``wires.sock``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from v2g.guard.link import LINK_PROTOCOL, Image, Reload, Reloaded, Setpoints, other_protocol
from v2g.host.framing import FrameError
from v2g.host.peer_client import PeerClient

_TELL_AFTER_S = 1.0
_MAX_UNSENT_BYTES = 1 << 18
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
        self._peer = PeerClient(
            path,
            "v2g-guard-wires",
            on_payload=self._on_payload,
            on_up=self._on_up,
            on_down=self._on_down,
            on_unreachable=self._on_unreachable,
            max_unsent_bytes=_MAX_UNSENT_BYTES,
        )
        self._told = ""
        self._reloads: dict[int, asyncio.Future[Reloaded]] = {}
        self._reload_id = 0
        self.image: Image | None = None

    @property
    def connected(self) -> bool:
        return self._peer.connected

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        await self._peer.start()

    def send(self, setpoints: Setpoints) -> bool:
        """False when they could not be sent: no connection, or ``wires`` does not read. Leases then run out there."""
        return self._peer.send(self._encoder.encode(setpoints))

    async def reload(self, by: str, within_s: float = RELOAD_WITHIN_S) -> Reloaded:
        """Let ``wires`` read the configuration and the sensor map again. No answer is a refusal, too."""
        if not self.connected:
            return Reloaded(id=0, accepted=False, message="v2g-guard-wires is not connected; is it running?")
        self._reload_id += 1
        own_id = self._reload_id
        answer: asyncio.Future[Reloaded] = asyncio.get_running_loop().create_future()
        self._reloads[own_id] = answer
        try:
            self._peer.send(self._encoder.encode(Reload(id=own_id, by=by)))
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            message = f"v2g-guard-wires did not answer within {within_s:g} s; see comms.log"
            return Reloaded(id=own_id, accepted=False, message=message)
        finally:
            del self._reloads[own_id]

    async def close(self) -> None:
        await self._peer.close()
        self.image = None

    def _on_payload(self, payload: bytes) -> None:
        try:
            message = self._decoder.decode(payload)
        except msgspec.DecodeError:
            if reason := other_protocol(payload):
                raise FrameError(reason) from None
            raise
        if isinstance(message, Image) and message.protocol != LINK_PROTOCOL:
            raise FrameError(other_protocol(payload))
        if isinstance(message, Image):
            self.image = message
        elif (waiting := self._reloads.get(message.id)) is not None and not waiting.done():
            waiting.set_result(message)

    def _on_up(self) -> None:
        self._told = ""
        self._on_change(True, "")

    def _on_down(self, reason: str) -> None:
        self.image = None
        self._on_change(False, reason)

    def _on_unreachable(self, error: OSError, waited_s: float) -> None:
        reason = f"{self._path}: {error.strerror or error}; is v2g-guard-wires running?"
        if waited_s >= _TELL_AFTER_S and reason != self._told:
            self._told = reason
            self._on_change(False, reason)
