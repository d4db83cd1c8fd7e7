"""Packets down to what TCP and UDP carry: link layers, IPv6, IPv4."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

LINKTYPE_NULL: Final = 0
LINKTYPE_ETHERNET: Final = 1
LINKTYPE_RAW: Final = 101
"""Packets begin with their IP header."""
LINKTYPE_LOOP: Final = 108
LINKTYPE_SLL: Final = 113
"""Of Linux' device ``any``."""
LINKTYPE_IPV4: Final = 228
LINKTYPE_IPV6: Final = 229
LINKTYPE_SLL2: Final = 276
LINK_TYPES: Final = frozenset(
    {
        LINKTYPE_NULL,
        LINKTYPE_ETHERNET,
        LINKTYPE_RAW,
        LINKTYPE_LOOP,
        LINKTYPE_SLL,
        LINKTYPE_IPV4,
        LINKTYPE_IPV6,
        LINKTYPE_SLL2,
    }
)
"""Those that are read here; the numbers are tcpdump.org's."""
TCP: Final = 6
UDP: Final = 17
_IP_ETHERTYPES: Final = frozenset({0x0800, 0x86DD})
_VLAN_TAGS: Final = frozenset({0x8100, 0x88A8})
_EXTENSIONS: Final = frozenset({0, 43, 60})
"""Hop-by-hop, routing and destination options. What is fragmented is not put together."""


@dataclass(frozen=True, slots=True)
class Host:
    """One end: an address without a zone, and a port."""

    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        """``[fe80::1]:15118``, ``192.0.2.1:15118``."""
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Transport:
    """``protocol``: :data:`TCP` or :data:`UDP`. ``body`` begins with the header of it, ports first."""

    protocol: int
    source: Host
    target: Host
    body: bytes


def transport(link: int, data: bytes) -> Transport | None:
    """What a packet carries; None where it is neither TCP nor UDP over IP, or cut within its headers."""
    packet = _network(link, data)
    if not packet:
        return None
    found = _ipv6(packet) if packet[0] >> 4 == 6 else _ipv4(packet) if packet[0] >> 4 == 4 else None
    if found is None:
        return None
    protocol, source, target, body = found
    if len(body) < {TCP: 20, UDP: 8}.get(protocol, len(body) + 1):
        return None
    ports = int.from_bytes(body[:2]), int.from_bytes(body[2:4])
    return Transport(protocol, Host(source, ports[0]), Host(target, ports[1]), body)


def _network(link: int, data: bytes) -> bytes:
    """From the IP header on; empty where there is none."""
    if link == LINKTYPE_ETHERNET:
        return _of_ethertype(data, 12)
    if link == LINKTYPE_SLL:
        return data[16:] if int.from_bytes(data[14:16]) in _IP_ETHERTYPES else b""
    if link == LINKTYPE_SLL2:
        return data[20:] if int.from_bytes(data[:2]) in _IP_ETHERTYPES else b""
    if link in (LINKTYPE_NULL, LINKTYPE_LOOP):
        # The number before it differs by system; the packet says itself what it is.
        return data[4:]
    return data if link in LINK_TYPES else b""


def _of_ethertype(data: bytes, position: int) -> bytes:
    while int.from_bytes(data[position : position + 2]) in _VLAN_TAGS:
        position += 4
    return data[position + 2 :] if int.from_bytes(data[position : position + 2]) in _IP_ETHERTYPES else b""


def _ipv6(packet: bytes) -> tuple[int, IPv6Address, IPv6Address, bytes] | None:
    if len(packet) < 40:
        return None
    # Zero where the network card was to cut it into segments.
    size, protocol = int.from_bytes(packet[4:6]) or len(packet), packet[6]
    body = packet[40 : 40 + size]
    while protocol in _EXTENSIONS and len(body) >= 8:
        protocol, body = body[0], body[8 + 8 * body[1] :]
    return protocol, IPv6Address(packet[8:24]), IPv6Address(packet[24:40]), body


def _ipv4(packet: bytes) -> tuple[int, IPv4Address, IPv4Address, bytes] | None:
    if len(packet) < 20:
        return None
    head = 4 * (packet[0] & 0x0F)
    fragmented = int.from_bytes(packet[6:8]) & 0x3FFF
    if head < 20 or fragmented:
        return None
    size = int.from_bytes(packet[2:4]) or len(packet)
    return packet[9], IPv4Address(packet[12:16]), IPv4Address(packet[16:20]), packet[head:size]
