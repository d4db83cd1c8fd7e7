"""Where the hosts of a simulated powerline are: datagram sockets, TAP interfaces, ends of veth pairs."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.addresses import Mac, parse_mac
from v2g.simulation.powerline_config import StationConfig

OnFrame = Callable[[str, bytes], None]
OnHello = Callable[[str, Mac, bool], None]
"""Station, its host's MAC address, and whether it is plugged in."""

FRAMES_PER_TURN = 64
_MAX_BYTES = 2048
_HELLO = b'{"'
_ETH_P_ALL = 0x0003
_TUN = Path("/dev/net/tun")
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_IFREQ = struct.Struct("16sH22x")
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x17, 0x15, 0x1F, 0x24, 0x2C)
"""ETHTOOL_STXCSUM, _SRXCSUM, _STSO, _SGSO, _SGRO."""


class HostPort(Protocol):
    """The end of one station's host. ``send`` never raises and never waits."""

    def start(self) -> None:
        """Raises OSError."""

    def send(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says of itself at a datagram socket; again when it is unplugged or plugged in."""

    mac: str
    plugged: bool = True


def port_of(config: StationConfig, on_frame: OnFrame, on_hello: OnHello) -> HostPort:
    if config.kind == "unix":
        return UnixPort(config.name, Path(config.address), on_frame, on_hello)
    if config.kind == "tap":
        return TapPort(config.name, config.address, on_frame)
    return VethPort(config.name, config.address, on_frame)


class UnixPort:
    """A datagram socket; the host that said hello last is the one that gets frames."""

    def __init__(self, name: str, path: Path, on_frame: OnFrame, on_hello: OnHello) -> None:
        self._name = name
        self._path = path
        self._on_frame, self._on_hello = on_frame, on_hello
        self._socket: socket.socket | None = None
        self._peer: str | None = None

    def start(self) -> None:
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def send(self, data: bytes) -> None:
        if self._socket is not None and self._peer is not None:
            with contextlib.suppress(OSError):
                self._socket.sendto(data, self._peer)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        for _ in range(FRAMES_PER_TURN):
            if self._socket is None:
                return
            try:
                data, peer = self._socket.recvfrom(_MAX_BYTES)
            except OSError:
                return
            if data.startswith(_HELLO):
                self._greet(data, peer)
            elif peer == self._peer:
                self._on_frame(self._name, data)

    def _greet(self, data: bytes, peer: str) -> None:
        try:
            hello = msgspec.json.decode(data, type=Hello)
            mac = parse_mac(hello.mac)
        except (msgspec.MsgspecError, LocalProtocolError):
            return
        self._peer = peer
        self._on_hello(self._name, mac, hello.plugged)


class _Descriptor:
    """Reads frames from a file descriptor until it is closed."""

    def __init__(self, name: str, on_frame: OnFrame) -> None:
        self._name = name
        self._on_frame = on_frame
        self._fd = -1

    def send(self, data: bytes) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self._fd, data)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _begin(self, fd: int) -> None:
        self._fd = fd
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> None:
        for _ in range(FRAMES_PER_TURN):
            if self._fd < 0:
                return
            try:
                data = os.read(self._fd, _MAX_BYTES)
            except OSError:
                return
            self._on_frame(self._name, data)


class TapPort(_Descriptor):
    """A TAP interface. It has no offloads, so that checksums are as on a wire. Needs CAP_NET_ADMIN."""

    def __init__(self, name: str, interface: str, on_frame: OnFrame) -> None:
        super().__init__(name, on_frame)
        self._interface = interface

    def start(self) -> None:
        fd = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(self._interface.encode(), _IFF_TAP | _IFF_NO_PI))
        except OSError:
            os.close(fd)
            raise
        self._begin(fd)


class VethPort(_Descriptor):
    """This end of a veth pair, by a packet socket for every kind of frame. Needs CAP_NET_RAW."""

    def __init__(self, name: str, interface: str, on_frame: OnFrame) -> None:
        super().__init__(name, on_frame)
        self._interface = interface
        self._socket: socket.socket | None = None

    def start(self) -> None:
        without_offloads(self._interface)
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            found.bind((self._interface, _ETH_P_ALL))
        except OSError:
            found.close()
            raise
        self._socket = found
        self._begin(found.fileno())

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket, self._fd = None, -1

    def _read(self) -> None:
        for _ in range(FRAMES_PER_TURN):
            if self._socket is None:
                return
            try:
                data, sender = self._socket.recvfrom(_MAX_BYTES)
            except OSError:
                return
            if sender[2] != socket.PACKET_OUTGOING:
                self._on_frame(self._name, data)


def without_offloads(interface: str) -> None:
    """Checksums are computed and segments cut before a frame leaves. What a driver does not know is passed over."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0))
            # struct ifreq: the name and a pointer to struct ethtool_value.
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            with contextlib.suppress(OSError):
                fcntl.ioctl(probe, _SIOCETHTOOL, request.ljust(40, b"\0"))
