"""``wires.sock``: set-points and reloads in, images and answers out, one orchestrator at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from v2g.guard.link import LINK_PROTOCOL, Image, Reload, Reloaded, Setpoints, other_protocol
from v2g.guard.wires_core import SetpointsRefused
from v2g.hardware.file_owner import discard_untrusted
from v2g.host.framing import FrameError
from v2g.host.peer_socket import PeerNews, PeerSocket, PeerSocketBusy, PeerSocketError
from v2g.telemetry import logs


class WiresSocketError(Exception):
    """The socket cannot be served; the message names the path and the remedy."""


class WiresServer:
    """Serves ``path``. ``on_setpoints`` gets each frame and may raise :class:`SetpointsRefused`.

    ``on_reload`` gets each wish to read the configuration again. ``on_peer`` is called when an orchestrator connects;
    it replaces the one before. ``uids``: who may connect, as of :class:`PeerSocket`.
    """

    def __init__(
        self,
        path: Path,
        on_setpoints: Callable[[Setpoints], None],
        on_peer: Callable[[], None],
        on_reload: Callable[[Reload], None],
        uids: Collection[int] | None = None,
    ) -> None:
        self._path = path
        self._on_setpoints = on_setpoints
        self._on_reload = on_reload
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Setpoints | Reload)
        self._socket = PeerSocket(path, self._received, on_peer, _tell, uids=uids, clear=discard_untrusted)

    @property
    def connected(self) -> bool:
        return self._socket.connected

    async def start(self) -> None:
        """Raises :class:`WiresSocketError`, also while another ``wires`` serves this path."""
        try:
            await self._socket.start()
        except PeerSocketBusy:
            raise WiresSocketError(f"another v2g-guard wires serves {self._path}; stop it first") from None
        except PeerSocketError as error:
            raise WiresSocketError(f"{error}; the run directory must exist and belong to the guard's user") from None

    def publish(self, image: Image) -> None:
        """Send the image to whoever listens; one that does not read loses images, then its connection."""
        if self._socket.connected:
            self._socket.publish(self._encoder.encode(image))

    async def close(self) -> None:
        await self._socket.close()

    def answer(self, reloaded: Reloaded) -> None:
        """To whoever is connected; an orchestrator that has gone needs no answer."""
        self._socket.send(self._encoder.encode(reloaded))

    def _received(self, payload: bytes) -> None:
        try:
            message = self._decoder.decode(payload)
        except msgspec.DecodeError as error:
            raise FrameError(other_protocol(payload) or str(error)) from None
        if isinstance(message, Setpoints) and message.protocol != LINK_PROTOCOL:
            raise FrameError(other_protocol(payload))
        if isinstance(message, Reload):
            self._on_reload(message)
            return
        try:
            self._on_setpoints(message)
        except SetpointsRefused as error:
            logs.daemon_log().warning("SETPOINTS_REFUSED", f"a frame of set-points is not used: {error}")


def _tell(news: PeerNews, text: str, fields: dict[str, int]) -> None:
    log = logs.daemon_log()
    match news:
        case PeerNews.REFUSED:
            log.error("WIRES_PEER_REFUSED", f"{text} may not command the inverters", **fields)
        case PeerNews.REPLACED:
            log.warning("WIRES_PEER_REPLACED", "a newer orchestrator takes the place of the older one")
        case PeerNews.GARBAGE:
            log.error("WIRES_PEER_GARBAGE", f"the orchestrator's connection is closed: {text}")
        case PeerNews.STUCK:
            log.warning("WIRES_PEER_STUCK", "the orchestrator does not read; its connection is closed")
