"""``plc.sock``: pilots in, links out, one orchestrator at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from v2g.hardware.file_owner import discard_untrusted
from v2g.host.framing import FrameError
from v2g.host.peer_socket import PeerNews, PeerSocket, PeerSocketBusy, PeerSocketError
from v2g.plc.link import FromDriver, Pilots, ToDriver
from v2g.telemetry import logs


class PlcSocketError(Exception):
    """The socket cannot be served; the message names the path and the remedy."""


class PlcServer:
    """Serves ``path``. ``on_peer`` is called when an orchestrator connects; it replaces the one before.

    ``uids``: who may connect, as of :class:`PeerSocket`.
    """

    def __init__(
        self,
        path: Path,
        on_pilots: Callable[[Pilots], None],
        on_peer: Callable[[], None],
        uids: Collection[int] | None = None,
    ) -> None:
        self._path = path
        self._on_pilots = on_pilots
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(ToDriver)
        self._socket = PeerSocket(path, self._received, on_peer, _tell, uids=uids, clear=discard_untrusted)

    @property
    def connected(self) -> bool:
        return self._socket.connected

    async def start(self) -> None:
        """Raises :class:`PlcSocketError`, also while another driver serves this path."""
        try:
            await self._socket.start()
        except PeerSocketBusy:
            raise PlcSocketError(f"another kplc-driver serves {self._path}; stop it first") from None
        except PeerSocketError as error:
            raise PlcSocketError(
                f"{error}; the run directory must exist, and kplc-driver's user may write there: systemd-tmpfiles "
                "--create; a file that another user has left there has to be removed"
            ) from None

    def publish(self, message: FromDriver) -> None:
        """An orchestrator that does not read loses messages, then its connection; a new one begins with an image."""
        if self._socket.connected:
            self._socket.publish(self._encoder.encode(message))

    async def close(self) -> None:
        await self._socket.close()

    def _received(self, payload: bytes) -> None:
        try:
            pilots = self._decoder.decode(payload)
        except msgspec.DecodeError as error:
            raise FrameError(str(error)) from None
        self._on_pilots(pilots)


def _tell(news: PeerNews, text: str, fields: dict[str, int]) -> None:
    log = logs.daemon_log()
    match news:
        case PeerNews.REFUSED:
            log.error("PLC_PEER_REFUSED", f"{text} may not use kplc-driver's socket", **fields)
        case PeerNews.REPLACED:
            log.warning("PLC_PEER_REPLACED", "a newer orchestrator takes the place of the older one")
        case PeerNews.GARBAGE:
            log.error("PLC_PEER_GARBAGE", f"the orchestrator's connection is closed: {text}")
        case PeerNews.STUCK:
            log.warning("PLC_PEER_STUCK", "the orchestrator does not read; its connection is closed")
