"""Whose MAC address an IPv6 address of a link has: from the kernel's neighbour table (rtnetlink), else from EUI-64.

Reading the table needs no privilege. Numbers and layouts are those of ``linux/netlink.h``, ``linux/rtnetlink.h`` and
``linux/neighbour.h``, in the byte order of the host.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_RTM_NEWNEIGH, _RTM_GETNEIGH = 28, 30
_NDA_DST, _NDA_LLADDR = 1, 2
_HEADER = struct.Struct("=IHHII")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF
_UNUSABLE = 0x01 | 0x20
"""States NUD_INCOMPLETE and NUD_FAILED: the address may be an old one."""
_TIMEOUT_S = 0.05
_MOST_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of the table. ``mac`` is None while the kernel has none that holds."""

    address: IPv6Address
    interface: int
    mac: bytes | None


def mac_of(host: str, interface: int) -> str | None:
    """As ``02:00:00:00:00:01``, None where nobody knows. ``interface``: the index. Quick; raises nothing.

    For people: whoever gives himself an address says by it what he likes. :func:`table_mac` is for decisions.
    """
    if (known := table_mac(host, interface)) is not None:
        return known
    address = _address(host)
    mac = eui64_mac(address) if address is not None else None
    return mac.hex(":") if mac is not None else None


def table_mac(host: str, interface: int) -> str | None:
    """As :func:`mac_of`, by the kernel's table alone: to where frames for ``host`` are sent."""
    address = _address(host)
    if address is None or interface <= 0:
        return None
    mac = None
    with contextlib.suppress(OSError):
        mac = _ask(address, interface)
    return mac.hex(":") if mac is not None else None


def _address(host: str) -> IPv6Address | None:
    try:
        return IPv6Address(host.split("%", 1)[0])
    except AddressValueError:
        return None


def eui64_mac(address: IPv6Address) -> bytes | None:
    """What an address that was made from a MAC address was made from (RFC 4291, appendix A)."""
    tail = address.packed[8:]
    if not address.is_link_local or tail[3:5] != b"\xff\xfe":
        return None
    return bytes([tail[0] ^ 0x02]) + tail[1:3] + tail[5:]


def request(address: IPv6Address, interface: int, sequence: int = 1) -> bytes:
    """The question for one entry."""
    body = _NEIGHBOUR.pack(socket.AF_INET6, interface, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + 16, _NDA_DST) + address.packed
    return _HEADER.pack(_HEADER.size + len(body), _RTM_GETNEIGH, _NLM_F_REQUEST, sequence, 0) + body


def parse(data: bytes) -> Iterator[Neighbour]:
    """The entries in what the kernel sent. What is cut off or of another kind is passed over."""
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data) or kind == _NLMSG_ERROR:
            return
        if kind == _RTM_NEWNEIGH and (found := _neighbour(data[_HEADER.size : length])) is not None:
            yield found
        data = data[_aligned(length) :]


def _neighbour(body: bytes) -> Neighbour | None:
    if len(body) < _NEIGHBOUR.size:
        return None
    family, interface, state, _, _ = _NEIGHBOUR.unpack_from(body)
    attributes = dict(_attributes(body[_NEIGHBOUR.size :]))
    address = attributes.get(_NDA_DST, b"")
    if family != socket.AF_INET6 or len(address) != 16:
        return None
    mac = attributes.get(_NDA_LLADDR, b"")
    holds = len(mac) == 6 and any(mac) and not state & _UNUSABLE
    return Neighbour(IPv6Address(address), interface, mac if holds else None)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            return
        yield kind & _TYPE_MASK, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _ask(address: IPv6Address, interface: int) -> bytes | None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(_TIMEOUT_S)
        netlink.bind((0, 0))
        netlink.sendto(request(address, interface), (0, 0))
        data, sender = netlink.recvfrom(_MOST_BYTES)
    if sender[0] != 0:
        return None
    return next((n.mac for n in parse(data) if n.address == address and n.interface == interface), None)
