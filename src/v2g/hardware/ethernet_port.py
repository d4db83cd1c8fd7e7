"""Raw Ethernet frames of HomePlug AV (Ethertype 0x88E1): at an interface, or at a simulated powerline's socket."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import errno
import itertools
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from pyiso15118.slac.frame import ETHERTYPE

FRAMES_PER_TURN: Final = 32
"""So many are read before others get their turn; what waits meanwhile is the kernel's to keep, or to drop."""
UNIX_SCHEME: Final = "unix:"

_MAX_FRAME_BYTES = 1522
"""Of Ethernet without its checksum, with a VLAN tag."""
_RECEIVE_BUFFER_BYTES = 1 << 18
_ADDRESSES_BYTES = 12
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_STATISTICS = struct.Struct("=II")
_ARPHRD_ETHER = 1
_MAX_PATH_BYTES = 107
_GONE = frozenset({errno.ENETDOWN, errno.ENODEV, errno.ENXIO, errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN})
_numbers = itertools.count()

OnFrame = Callable[[bytes], None]
OnLost = Callable[[str], None]


class PortError(Exception):
    """The port cannot be opened: what is wrong, where, and what to do."""


@dataclass(slots=True)
class PortCounters:
    """Since the port was made. ``dropped``: too long, or the kernel had no room for it; ``unsent``: it took none."""

    received: int = 0
    sent: int = 0
    dropped: int = 0
    unsent: int = 0


class FramePort(Protocol):
    """One end of an Ethernet segment.

    ``start`` raises :class:`PortError`; afterwards ``on_frame`` gets each frame that others sent, never more than
    ``FRAMES_PER_TURN`` in one turn of the loop. When the port is lost, it closes itself and calls ``on_lost`` once,
    with a reason for people; it may be started again. ``send`` never raises and never waits.
    """

    counters: PortCounters

    @property
    def mac(self) -> bytes:
        """Six bytes: whose frames are sent from here. Known once it was started."""
        ...

    def send(self, data: bytes) -> None: ...

    async def start(self, on_frame: OnFrame, on_lost: OnLost) -> None: ...

    def close(self) -> None: ...


class _SocketPort(abc.ABC):
    """What both kinds share: reading by turns, sending, and the end."""

    def __init__(self, name: str) -> None:
        self.counters = PortCounters()
        self._name = name
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_frame: OnFrame = lambda data: None
        self._on_lost: OnLost = lambda reason: None

    def send(self, data: bytes) -> None:
        if self._socket is None:
            self.counters.unsent += 1
            return
        try:
            self._socket.send(data)
        except OSError as error:
            self.counters.unsent += 1
            if error.errno in _GONE:
                self._lost(error)
            return
        self.counters.sent += 1

    async def start(self, on_frame: OnFrame, on_lost: OnLost) -> None:
        self.close()
        self._on_frame, self._on_lost = on_frame, on_lost
        self._socket = self._open()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        found, self._socket = self._socket, None
        if found is not None:
            if self._loop is not None:
                self._loop.remove_reader(found)
            found.close()

    @abc.abstractmethod
    def _open(self) -> socket.socket:
        """Raises :class:`PortError`."""

    @abc.abstractmethod
    def _receive(self, found: socket.socket) -> bytes | None:
        """The next frame; None: one that is not taken. Raises OSError."""

    @abc.abstractmethod
    def _reason(self, error: OSError) -> str:
        """For people."""

    def _read(self) -> None:
        for _ in range(FRAMES_PER_TURN):
            found = self._socket
            if found is None:
                return
            try:
                data = self._receive(found)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._lost(error)
                return
            if data is not None:
                self.counters.received += 1
                self._on_frame(data)

    def _lost(self, error: OSError) -> None:
        self.close()
        reason = self._reason(error)
        if self._loop is not None:
            # Not at once: who sends is in the middle of something that the loss would change under its hands.
            self._loop.call_soon(self._on_lost, reason)


class PacketPort(_SocketPort):
    """An AF_PACKET socket, bound to 0x88E1 on ``interface``. Needs CAP_NET_RAW.

    Frames with a VLAN tag arrive too, whichever it is, and without it: the kernel takes it out and keeps it from
    sockets that are bound to one kind. What is sent from here has none.
    """

    def __init__(self, interface: str) -> None:
        super().__init__(interface)
        self._mac = b""

    @property
    def mac(self) -> bytes:
        return self._mac

    def close(self) -> None:
        self._count_drops()
        super().close()

    def count_drops(self) -> int:
        """What the kernel has had no room for since the port was made."""
        self._count_drops()
        return self.counters.dropped

    def _open(self) -> socket.socket:
        try:
            # Protocol 0 until it is bound: else it would take frames of every interface first.
            found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
        except PermissionError:
            raise PortError(
                f"{self._name}: raw Ethernet is not allowed; it needs CAP_NET_RAW, which kplc-driver.service gives"
            ) from None
        except OSError as error:
            raise PortError(f"{self._name}: this kernel has no packet sockets: {error.strerror}") from None
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            found.bind((self._name, ETHERTYPE))
            if down := found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(down, os.strerror(down))
            kind, address = found.getsockname()[3:5]
        except OSError as error:
            found.close()
            raise PortError(self._reason(error)) from None
        if kind != _ARPHRD_ETHER or len(address) != 6:
            found.close()
            raise PortError(f"{self._name} is no Ethernet interface; name the one that the powerline modem is at")
        self._mac = bytes(address)
        return found

    def _receive(self, found: socket.socket) -> bytes | None:
        data, _, flags, sender = found.recvmsg(_MAX_FRAME_BYTES)
        if sender[2] == socket.PACKET_OUTGOING:
            return None
        if flags & socket.MSG_TRUNC or len(data) < _ADDRESSES_BYTES:
            self.counters.dropped += 1
            return None
        return data

    def _reason(self, error: OSError) -> str:
        if error.errno in (errno.ENODEV, errno.ENXIO):
            return f"there is no interface {self._name}: is the modem plugged in, and evses[].interface its name?"
        if error.errno == errno.ENETDOWN:
            return f"interface {self._name} is down: ip link set {self._name} up"
        return f"interface {self._name}: {error.strerror or error}"

    def _count_drops(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                value = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
                self.counters.dropped += _STATISTICS.unpack(value)[1]


class DatagramPort(_SocketPort):
    """A port of a simulated powerline: each datagram is one frame, the first one says whose: ``{"mac": "02:…"}``.

    ``address`` is ``unix:/path`` of the segment's socket. Its own socket is beside it, ``<path>.<pid>.<n>``.
    """

    def __init__(self, address: str, mac: bytes) -> None:
        self._path = address.removeprefix(UNIX_SCHEME)
        super().__init__(self._path)
        self._mac = mac
        self._own: Path | None = None

    @property
    def mac(self) -> bytes:
        return self._mac

    def close(self) -> None:
        super().close()
        own, self._own = self._own, None
        if own is not None:
            with contextlib.suppress(OSError):
                own.unlink()

    def _open(self) -> socket.socket:
        own = f"{self._path}.{os.getpid()}.{next(_numbers)}"
        if len(os.fsencode(own)) > _MAX_PATH_BYTES:
            raise PortError(f"{own}: this path is longer than {_MAX_PATH_BYTES} bytes; use a shorter run directory")
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            found.bind(own)
            self._own = Path(own)
            found.connect(self._path)
            found.send(msgspec.json.encode({"mac": self._mac.hex(":")}))
        except OSError as error:
            found.close()
            self.close()
            raise PortError(self._reason(error)) from None
        return found

    def _receive(self, found: socket.socket) -> bytes | None:
        data, _, flags, _ = found.recvmsg(_MAX_FRAME_BYTES)
        if flags & socket.MSG_TRUNC or len(data) < _ADDRESSES_BYTES:
            self.counters.dropped += 1
            return None
        return data

    def _reason(self, error: OSError) -> str:
        return f"{self._path}: {error.strerror or error}; does the simulated powerline run?"


def frame_port(interface: str, address: str, mac: bytes) -> FramePort:
    """``address`` empty: a :class:`PacketPort` at ``interface``; else a :class:`DatagramPort` that bears ``mac``."""
    return DatagramPort(address, mac) if address else PacketPort(interface)
