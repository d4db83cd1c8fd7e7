"""The orchestrator's end of ``plc.sock``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from v2g.control.messages_plc import PlcLine
from v2g.host.peer_client import PeerClient
from v2g.plc.link import SILENT_AFTER_S, FromDriver, Pilots, PlcAlive, PlcImage

_MAX_UNSENT_BYTES = 1 << 16
NO_WORD = "kplc-driver was not heard yet"


class PlcLines:
    """What ``kplc-driver`` said last, by EVSE. Pure.

    ``lines`` stays as it is when the driver falls silent: :meth:`silent` tells whether it may be gone by.
    """

    def __init__(self) -> None:
        self.lines: Mapping[str, PlcLine] = {}
        self.as_of_s: float | None = None
        self._whole = False

    def begin(self) -> None:
        """A new connection: what is kept of an earlier one counts only until its own time is over."""
        self._whole = False

    def take(self, message: FromDriver) -> None:
        """Before its first whole image, a driver says nothing that could be used."""
        if isinstance(message, PlcImage):
            self._whole = True
            self.lines = {line.evse_id: line for line in message.lines}
        elif not self._whole:
            return
        elif not isinstance(message, PlcAlive):
            self.lines = {**self.lines, **{line.evse_id: line for line in message.lines}}
        self.as_of_s = message.as_of_s

    def is_fresh(self, now_s: float) -> bool:
        """Of the last ``SILENT_AFTER_S``, by CLOCK_MONOTONIC that all processes of a host share."""
        return self.as_of_s is not None and abs(now_s - self.as_of_s) <= SILENT_AFTER_S


class PlcClient:
    """Keeps a connection to ``kplc-driver``; loses nothing but time when that restarts.

    ``on_lines`` is called when links may have changed, for what cannot wait for the next control cycle.
    """

    def __init__(self, path: Path, on_lines: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._on_lines = on_lines
        self._known = PlcLines()
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(FromDriver)
        self._peer = PeerClient(
            path,
            "kplc-driver",
            on_payload=self._on_payload,
            on_up=self._known.begin,
            on_down=self._on_down,
            on_unreachable=self._on_unreachable,
            max_unsent_bytes=_MAX_UNSENT_BYTES,
        )
        self._lost = NO_WORD

    @property
    def lines(self) -> Mapping[str, PlcLine]:
        return self._known.lines

    @property
    def as_of_s(self) -> float | None:
        """When the driver spoke last, monotonic; None: never."""
        return self._known.as_of_s

    @property
    def connected(self) -> bool:
        return self._peer.connected

    def silent(self, now_s: float) -> str:
        """Why nothing is known of any link, with the remedy; empty: the driver was heard within ``SILENT_AFTER_S``."""
        if self._known.is_fresh(now_s):
            return ""
        if self.connected:
            return "kplc-driver is connected and silent; see systemctl status kplc-driver"
        return f"{self._lost}; see systemctl status kplc-driver"

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        await self._peer.start()

    def send(self, pilots: Pilots) -> bool:
        """False when they could not be sent: no connection, or the driver does not read."""
        return self._peer.send(self._encoder.encode(pilots))

    async def close(self) -> None:
        await self._peer.close()

    def _on_payload(self, payload: bytes) -> None:
        message = self._decoder.decode(payload)
        self._known.take(message)
        if not isinstance(message, PlcAlive):
            self._on_lines()

    def _on_down(self, reason: str) -> None:
        self._lost = reason

    def _on_unreachable(self, error: OSError, waited_s: float) -> None:
        self._lost = f"kplc-driver cannot be reached: {self._path}: {error.strerror or error}"
