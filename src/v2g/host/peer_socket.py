"""A Unix stream socket that one process serves and one peer at a time uses: frames in, frames out."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Collection
from pathlib import Path

from v2g.host.framing import MAX_BYTES, FrameError, FrameReader, frame

_UCRED = struct.Struct("3i")
_STUCK_FRAMES = 20
"""A peer that took none of this many published frames in a row is given up."""


class PeerSocketError(Exception):
    """The socket cannot be served; the message names the path and the reason."""


class PeerSocketBusy(PeerSocketError):
    """Another process serves it."""


class PeerNews(enum.Enum):
    """What the owner may want to log. The text that comes with it is for people."""

    REFUSED = enum.auto()
    """A process of a user that may not connect; told with its ``pid`` and ``uid``."""
    REPLACED = enum.auto()
    """A newer peer takes the place of the older."""
    GARBAGE = enum.auto()
    STUCK = enum.auto()


Tell = Callable[[PeerNews, str, dict[str, int]], None]


class PeerSocket:
    """Serves ``path``. ``on_payload`` gets each frame's payload and raises :class:`FrameError` for one that cannot be
    read, which ends the connection. ``on_peer`` is called when a peer connects; it replaces the one before.

    Only processes of ``uids`` may connect, by default those of this process's own user and root: to be in the socket's
    group is not enough. ``clear`` is called with the lock's path before it is opened.
    """

    def __init__(
        self,
        path: Path,
        on_payload: Callable[[bytes], None],
        on_peer: Callable[[], None],
        tell: Tell,
        *,
        uids: Collection[int] | None = None,
        clear: Callable[[Path], None] = lambda path: None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._path = path
        self._uids = frozenset((0, os.geteuid()) if uids is None else uids)
        self.on_payload = on_payload
        self._on_peer = on_peer
        self.tell = tell
        self._clear = clear
        self.max_bytes = max_bytes
        self._server: asyncio.Server | None = None
        self._lock_fd = -1
        self._peer: _Peer | None = None

    @property
    def connected(self) -> bool:
        return self._peer is not None

    async def start(self) -> None:
        """Raises :class:`PeerSocketError`; :class:`PeerSocketBusy` while another process serves this path."""
        lock = self._path.with_name(self._path.name + ".lock")
        try:
            self._clear(lock)
            self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise PeerSocketBusy(f"another process serves {self._path}") from None
        except OSError as error:
            self._release()
            raise PeerSocketError(f"cannot lock {lock}: {error.strerror}") from None
        try:
            listener = _bind(self._path)
            self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Peer(self), sock=listener)
        except OSError as error:
            self._release()
            raise PeerSocketError(f"cannot serve {self._path}: {error.strerror or error}") from None

    def publish(self, payload: bytes) -> None:
        """To whoever listens; one that does not read loses payloads, then its connection."""
        if self._peer is not None:
            self._peer.publish(frame(payload, self.max_bytes))

    def send(self, payload: bytes) -> None:
        """As :meth:`publish`, for what must not be lost while the connection lasts."""
        if self._peer is not None:
            self._peer.send(frame(payload, self.max_bytes))

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self._path.unlink()
        if self._peer is not None:
            self._peer.end()
        self._release()

    def _release(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def admits(self, connection: socket.socket) -> bool:
        """The kernel's word on who connected (SO_PEERCRED); a refusal is told."""
        pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if uid in self._uids:
            return True
        self.tell(PeerNews.REFUSED, f"process {pid} of user {uid}", {"pid": pid, "uid": uid})
        return False

    def joined(self, peer: _Peer) -> None:
        if self._peer is not None:
            self.tell(PeerNews.REPLACED, "a newer peer takes the place of the older one", {})
            self._peer.end()
        self._peer = peer
        self._on_peer()

    def left(self, peer: _Peer) -> None:
        if self._peer is peer:
            self._peer = None


class _Peer(asyncio.Protocol):
    def __init__(self, server: PeerSocket) -> None:
        self._server = server
        self._frames = FrameReader(server.max_bytes)
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
                self._server.on_payload(payload)
        except FrameError as error:
            self._server.tell(PeerNews.GARBAGE, str(error), {})
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
        if self._unread >= _STUCK_FRAMES:
            self._server.tell(PeerNews.STUCK, "it does not read", {})
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
