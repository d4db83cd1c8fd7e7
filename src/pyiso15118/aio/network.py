"""IPv6 interfaces and sockets. A link-local address means nothing without its interface, so both travel together."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import secrets
import socket
import struct
from dataclasses import dataclass, replace

from pyiso15118 import sdp
from pyiso15118.errors import Iso15118Error

LOOPBACK = "lo"
DYNAMIC_PORTS = range(49152, 65536)
"""Where the standard has the SECC's TCP port; vehicles in the field refuse an SDP response with any other."""
_PORT_ATTEMPTS = 32
_ALL_NODES = "ff02::1"
_DISCARD_PORT = 9


class NetworkError(Iso15118Error):
    """An interface, address or port that cannot be used. The message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP or UDP address. ``scope_id`` is the interface index of a link-local ``host``, else 0."""

    host: str
    port: int
    scope_id: int = 0

    def sockaddr(self) -> tuple[str, int, int, int]:
        """As :mod:`socket` wants it."""
        return (self.host, self.port, 0, self.scope_id)

    def __str__(self) -> str:
        scope = f"%{_interface_name(self.scope_id)}" if self.scope_id else ""
        return f"[{self.host}{scope}]:{self.port}"


def address_of(sockaddr: tuple[object, ...]) -> Address:
    """From what a socket gives: ``(host, port, flow, scope)``."""
    host = str(sockaddr[0]).split("%", 1)[0]
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    return Address(host, int(str(sockaddr[1])), int(str(scope)))


def interface_index(interface: str) -> int:
    """Raises :class:`NetworkError` if there is no such interface."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise NetworkError(f"there is no network interface {interface!r}; there are {names}") from None


def local_address(interface: str, host: str | None = None, port: int = 0) -> Address:
    """The address to listen on: ``host`` if given, ``::1`` on the loopback, else the interface's link-local address.

    Raises :class:`NetworkError`.
    """
    index = interface_index(interface)
    if host is not None:
        return _explicit(host, port, index)
    if interface == LOOPBACK:
        if _source_address("::1", index) is None:
            raise NetworkError(
                "the loopback has no IPv6 address: enable it with `sysctl net.ipv6.conf.lo.disable_ipv6=0`"
            )
        return Address("::1", port)
    address = _source_address(_ALL_NODES, index)
    if address is None or not address.is_link_local:
        raise NetworkError(
            f"interface {interface} has no IPv6 link-local address, or not yet a usable one (duplicate address "
            "detection takes up to 2 s): bring it up and enable IPv6 on it "
            f"(`sysctl net.ipv6.conf.{interface}.disable_ipv6=0`)"
        )
    return Address(str(address), port, index)


def _explicit(host: str, port: int, index: int) -> Address:
    try:
        address = ipaddress.IPv6Address(host.split("%", 1)[0])
    except ValueError:
        raise NetworkError(f"{host!r} is no IPv6 address; ISO 15118 knows only IPv6") from None
    return Address(str(address), port, index if address.is_link_local else 0)


def tcp_listener(address: Address) -> socket.socket:
    """A bound TCP socket; port 0 takes a free one of :data:`DYNAMIC_PORTS`. Raises :class:`NetworkError`."""
    if address.port:
        return _tcp_listener(address)
    for _ in range(_PORT_ATTEMPTS - 1):
        try:
            return _tcp_listener(replace(address, port=secrets.choice(DYNAMIC_PORTS)))
        except NetworkError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EADDRINUSE:
                raise
    return _tcp_listener(replace(address, port=secrets.choice(DYNAMIC_PORTS)))


def _tcp_listener(address: Address) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bind(sock, address, "TCP")
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def sdp_listener(interface: str, host: str | None, port: int) -> socket.socket:
    """A UDP socket that gets the SDP requests of one interface and no other. Raises :class:`NetworkError`.

    On the loopback, where multicast has no route, it takes unicast to ``::1``.
    """
    index = interface_index(interface)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if interface == LOOPBACK:
            # Else the loopback's port would be taken for every other interface's as well; an old kernel may refuse.
            with contextlib.suppress(NetworkError):
                _bind_to_device(sock, interface)
            _bind(sock, local_address(interface, host, port), "SDP (UDP)")
        else:
            _bind_to_device(sock, interface)
            _bind(sock, Address("::", port), f"SDP (UDP) on {interface}")
            group = socket.inet_pton(socket.AF_INET6, sdp.MULTICAST_GROUP)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", index))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def sdp_client(interface: str) -> tuple[socket.socket, str]:
    """A UDP socket for SDP requests on ``interface`` and the host to send them to. Raises :class:`NetworkError`."""
    index = interface_index(interface)
    source = local_address(interface)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        _bind(sock, source, f"SDP client on {interface}")
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock, "::1" if interface == LOOPBACK else sdp.MULTICAST_GROUP


def _bind(sock: socket.socket, address: Address, what: str) -> None:
    try:
        sock.bind(address.sockaddr())
    except OSError as error:
        remedy = ""
        if error.errno == errno.EADDRINUSE:
            remedy = ": another program has this port"
        elif error.errno == errno.EADDRNOTAVAIL:
            remedy = ": the address is not there, or not yet usable (duplicate address detection takes up to 2 s)"
        elif error.errno == errno.EACCES:
            remedy = ": a port below 1024 needs CAP_NET_BIND_SERVICE"
        raise NetworkError(f"{what}: cannot listen on {address}: {error.strerror}{remedy}") from error


def _bind_to_device(sock: socket.socket, interface: str) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError as error:
        raise NetworkError(
            f"cannot bind to interface {interface}: {error.strerror}; it may need CAP_NET_RAW"
        ) from error


def _source_address(peer: str, index: int) -> ipaddress.IPv6Address | None:
    """From which of its addresses the kernel would send to ``peer``; None: from none. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((peer, _DISCARD_PORT, 0, index))
            return ipaddress.IPv6Address(probe.getsockname()[0].split("%", 1)[0])
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            raise NetworkError("this host has no IPv6, which ISO 15118 needs: boot without ipv6.disable=1") from None
        return None


def _interface_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)
