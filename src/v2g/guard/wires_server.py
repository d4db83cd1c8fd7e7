"""``wires.sock``: set-points and reloads in, images and answers out, one orchestrator at a time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from v2g.guard.framing import FrameError, FrameReader, frame
from v2g.guard.link import Image, Reload, Reloaded, Setpoints
from v2g.guard.wires_core import SetpointsRefused
from v2g.hardware.file_owner import discard_untrusted
from v2g.telemetry import logs

_UCRED = struct.Struct("3i")
_STUCK_IMAGES = 20
"""A peer that took none of this many images in a row is given up."""


class WiresSocketError(Exception):
    """The socket cannot be served; the message names the path and the remedy."""


class WiresServer:
    """Serves ``path``. ``on_setpoints`` gets each frame and may raise :class:`SetpointsRefused`.

    ``on_reload`` gets each wish to read the configuration again. ``on_peer`` is called when an orchestrator connects;
    it replaces the one before. Only processes of ``uids`` may connect, by default those of this process's own user and
    root: to be in the socket's group is not enough.
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
        self._uids = frozenset((0, os.geteuid()) if uids is None else uids)
        self._on_setpoints = on_setpoints
        self._on_peer = on_peer
        self._on_reload = on_reload
        self._server: asyncio.Server | None = None
        self._lock_fd = -1
        self._peer: _Peer | None = None
        self._encoder = msgspec.msgpack.Encoder()

    @property
    def connected(self) -> bool:
        return self._peer is not None

    async def start(self) -> None:
        """Raises :class:`WiresSocketError`, also while another ``wires`` serves this path."""
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            discard_untrusted(lock)
            self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WiresSocketError(f"another v2g-guard wires serves {self._path}; stop it first") from None
        except OSError as error:
            raise WiresSocketError(
                f"cannot lock {lock}: {error.strerror}; the run directory must exist and belong to the guard's user"
            ) from None
        try:
            listener = _bind(self._path)
            self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Peer(self), sock=listener)
        except OSError as error:
            raise WiresSocketError(f"cannot serve {self._path}: {error.strerror or error}") from None

    def publish(self, image: Image) -> None:
        """Send the image to whoever listens; one that does not read loses images, then its connection."""
        if self._peer is not None:
            self._peer.publish(frame(self._encoder.encode(image)))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
        if self._peer is not None:
            self._peer.end()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def admits(self, connection: socket.socket) -> bool:
        """The kernel's word on who connected (SO_PEERCRED); a refusal is logged."""
        pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if uid in self._uids:
            return True
        logs.daemon_log().error(
            "WIRES_PEER_REFUSED", f"process {pid} of user {uid} may not command the inverters", pid=pid, uid=uid
        )
        return False

    def joined(self, peer: _Peer) -> None:
        if self._peer is not None:
            logs.daemon_log().warning("WIRES_PEER_REPLACED", "a newer orchestrator takes the place of the older one")
            self._peer.end()
        self._peer = peer
        self._on_peer()

    def left(self, peer: _Peer) -> None:
        if self._peer is peer:
            self._peer = None

    def received(self, message: Setpoints | Reload) -> None:
        if isinstance(message, Reload):
            self._on_reload(message)
        else:
            self._on_setpoints(message)

    def answer(self, reloaded: Reloaded) -> None:
        """To whoever is connected; an orchestrator that has gone needs no answer."""
        if self._peer is not None:
            self._peer.send(frame(self._encoder.encode(reloaded)))


class _Peer(asyncio.Protocol):
    def __init__(self, server: WiresServer) -> None:
        self._server = server
        self._frames = FrameReader()
        self._decoder = msgspec.msgpack.Decoder(Setpoints | Reload)
        self._transport: asyncio.Transport | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a Unix stream server makes no other
        if not self._server.admits(transport.get_extra_info("socket")):
            transport.abort()
            return
        self._transport = transport
        self._server.joined(self)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._frames.feed(data):
                if self._transport is None:
                    return
                message = self._decoder.decode(payload)
                try:
                    self._server.received(message)
                except SetpointsRefused as error:
                    logs.daemon_log().warning("SETPOINTS_REFUSED", f"a frame of set-points is not used: {error}")
        except (FrameError, msgspec.DecodeError) as error:
            logs.daemon_log().error("WIRES_PEER_GARBAGE", f"the orchestrator's connection is closed: {error}")
            self.end()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def publish(self, data: bytes) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() == 0:
            self._unread = 0
            self._transport.write(data)
            return
        self._unread += 1
        if self._unread >= _STUCK_IMAGES:
            logs.daemon_log().warning("WIRES_PEER_STUCK", "the orchestrator does not read; its connection is closed")
            self.end()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._server.left(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.left(self)


def _bind(path: Path) -> socket.socket:
    # The lock is held, so a socket left here has no owner any more.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Nobody may connect before the mode is set: a bound socket refuses until it listens.
        listener.bind(str(path))
        path.chmod(0o660)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
