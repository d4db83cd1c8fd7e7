"""Captures made by hand: packets of each kind of link, in each kind of file."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from pyiso15118.capture import Host

VEHICLE = Host(ip_address("fe80::a:1"), 49_200)
STATION = Host(ip_address("fe80::1"), 61_341)
T0 = 1_767_323_045.25
SYN, ACK = 0x02, 0x10


def ip(source: Host, target: Host, protocol: int, body: bytes, *, extension: bytes = b"") -> bytes:
    """A packet from its IP header on; checksums are zero, which nobody here looks at."""
    addresses = source.address.packed + target.address.packed
    if source.address.version == 6:
        first = protocol if not extension else 60
        chained = bytes([protocol, len(extension) // 8 - 1]) + extension[2:] if extension else b""
        return struct.pack(">IHBB", 6 << 28, len(chained + body), first, 64) + addresses + chained + body
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + addresses + body


def tcp(source: Host, target: Host, number: int, data: bytes, flags: int = ACK) -> bytes:
    head = struct.pack(">HHIIBBHHH", source.port, target.port, number & 0xFFFFFFFF, 0, 5 << 4, flags, 65_535, 0, 0)
    return ip(source, target, 6, head + data)


def udp(source: Host, target: Host, data: bytes) -> bytes:
    return ip(source, target, 17, struct.pack(">HHHH", source.port, target.port, 8 + len(data), 0) + data)


def ethernet(packet: bytes, tags: Sequence[int] = ()) -> bytes:
    """With VLAN tags, and padded as short frames are."""
    between = b"".join(struct.pack(">HH", 0x8100, tag) for tag in tags)
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return (bytes(12) + between + struct.pack(">H", kind) + packet).ljust(60, b"\0")


def cooked(packet: bytes, version: int = 1) -> bytes:
    """Of Linux' device ``any``."""
    kind = struct.pack(">H", 0x86DD if packet[0] >> 4 == 6 else 0x0800)
    return bytes(14) + kind + packet if version == 1 else kind + bytes(18) + packet


def pcap(packets: Sequence[bytes], link: int, *, order: str = "<", nanoseconds: bool = False) -> bytes:
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    found = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65_535, link)]
    for number, data in enumerate(packets):
        ticks = round((T0 % 1 + number / 1000) * (1e9 if nanoseconds else 1e6))
        found.append(struct.pack(f"{order}IIII", int(T0), ticks, len(data), len(data)) + data)
    return b"".join(found)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += b"\0" * (-len(body) % 4)
    size = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + size + body + size


def pcapng(packets: Sequence[bytes], link: int, *, order: str = "<", options: bytes = b"", ticks: float = 1e6) -> bytes:
    """``options`` of the interface, ``ticks`` in a second."""
    found = [block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)]
    found.append(block(1, struct.pack(f"{order}HHI", link, 0, 0) + options, order))
    for number, data in enumerate(packets):
        at = round((T0 + number / 1000) * ticks)
        head = struct.pack(f"{order}IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(data), len(data))
        found.append(block(6, head + data, order))
    return b"".join(found)


@dataclass
class Conversation:
    """The packets of a TCP connection; the handshake is left out where ``begun``."""

    client: Host = VEHICLE
    server: Host = STATION
    begun: bool = False
    first_number: int = 0xFFFF_FF00
    """So that numbers soon begin again at 0."""
    packets: list[bytes] = field(default_factory=list)
    sent: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})

    def __post_init__(self) -> None:
        if not self.begun:
            self.packets.append(tcp(self.client, self.server, self.first_number - 1, b"", SYN))
            self.packets.append(tcp(self.server, self.client, self.first_number - 1, b"", SYN | ACK))

    def send(self, data: bytes, *, from_server: bool = False, size: int = 1400, lost: bool = False) -> None:
        """In segments of ``size``; what is ``lost`` moves the numbers on alone."""
        ends = (self.server, self.client) if from_server else (self.client, self.server)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if not lost:
                self.packets.append(tcp(*ends, self.first_number + self.sent[from_server], piece))
            self.sent[from_server] += len(piece)
