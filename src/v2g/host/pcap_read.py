"""Captures read back: pcapng and pcap, of raw IPv6 or Ethernet, into datagrams and the bytes of TCP streams."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import IO, Final

from v2g.host.pcap import LINKTYPE_RAW, Host

LINKTYPE_ETHERNET: Final = 1
LINKTYPE_IPV6: Final = 229
MAX_BLOCK_BYTES: Final = 1 << 20
MAX_WAITING: Final = 256
MAX_WAITING_S: Final = 1.0
"""So many segments, and so long, may one before them be waited for; then it counts as lost."""
_IPV6_ETHERTYPE: Final = 0x86DD
_EXTENSIONS: Final = frozenset({0, 43, 60})
_TCP: Final = 6
_UDP: Final = 17
_SYN: Final = 0x02


class CaptureError(Exception):
    """No capture, or one that is cut or broken; the text says where."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a TCP stream in order, or one datagram. ``gap``: bytes before it are missing."""

    unix_s: float
    source: Host
    target: Host
    data: bytes
    udp: bool = False
    gap: bool = False


@dataclass(slots=True)
class _Flow:
    expected: int | None = None
    waiting: dict[int, Piece] = field(default_factory=dict)


def pieces(file: IO[bytes]) -> Iterator[Piece]:
    """What a capture carries over IPv6, in the order in which it can be read. Raises :class:`CaptureError`."""
    flows: dict[tuple[Host, Host], _Flow] = {}
    for unix_s, link, data in packets(file):
        packet = _ipv6(link, data)
        if packet is None:
            continue
        protocol, source, target, body = packet
        if protocol == _UDP and len(body) >= 8:
            ports = struct.unpack_from(">HH", body)
            yield Piece(unix_s, Host(source, ports[0]), Host(target, ports[1]), body[8:], udp=True)
        elif protocol == _TCP and len(body) >= 20:
            yield from _segment(flows, unix_s, source, target, body)
    yield from sorted((piece for flow in flows.values() for piece in _rest(flow)), key=lambda piece: piece.unix_s)


def packets(file: IO[bytes]) -> Iterator[tuple[float, int, bytes]]:
    """Time, link type and bytes of each packet. Raises :class:`CaptureError`."""
    head = file.read(4)
    if head == b"\x0a\x0d\x0d\x0a":
        yield from _pcapng(file)
    elif head in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        yield from _pcap(file, head)
    else:
        raise CaptureError("this is no capture: neither pcapng nor pcap")


def _pcapng(file: IO[bytes]) -> Iterator[tuple[float, int, bytes]]:
    order, kind = "<", b"\x0a\x0d\x0d\x0a"
    links: list[tuple[int, float]] = []
    while kind:
        raw = _exactly(file, 4)
        if kind == b"\x0a\x0d\x0d\x0a":
            magic = _exactly(file, 4)
            order = "<" if magic == b"\x4d\x3c\x2b\x1a" else ">"
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                raise CaptureError("a section of the capture has no byte order")
            links = []
            body = magic + _exactly(file, _size(raw, order) - 16)
        else:
            body = _exactly(file, _size(raw, order) - 12)
        _exactly(file, 4)
        (number,) = struct.unpack(f"{order}I", kind)
        if number == 1 and len(body) >= 8:
            links.append((struct.unpack_from(f"{order}H", body)[0], _resolution(body[8:], order)))
        elif number == 6 and len(body) >= 20:
            interface, high, low, size = struct.unpack_from(f"{order}IIII", body)
            if interface < len(links):
                link, ticks = links[interface]
                yield ((high << 32) + low) / ticks, link, body[20 : 20 + size]
        kind = file.read(4)
        if 0 < len(kind) < 4:
            raise CaptureError("the capture is cut off")


def _size(raw: bytes, order: str) -> int:
    (size,) = struct.unpack(f"{order}I", raw)
    if not 16 <= size + 4 <= MAX_BLOCK_BYTES or size % 4:
        raise CaptureError(f"a block of the capture is {size} bytes long")
    return int(size)


def _resolution(options: bytes, order: str) -> float:
    """Ticks in a second: option if_tsresol, or microseconds."""
    while len(options) >= 4:
        code, size = struct.unpack_from(f"{order}HH", options)
        if code == 9 and size == 1 and len(options) >= 5:
            value = options[4]
            return float(2 ** (value & 0x7F)) if value & 0x80 else 10.0**value
        if code == 0:
            break
        options = options[4 + size + (-size % 4) :]
    return 1e6


def _pcap(file: IO[bytes], magic: bytes) -> Iterator[tuple[float, int, bytes]]:
    order = "<" if magic[0] in (0xD4, 0x4D) else ">"
    ticks = 1e9 if magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1e6
    (link,) = struct.unpack_from(f"{order}I", _exactly(file, 20), 16)
    while head := file.read(16):
        if len(head) < 16:
            raise CaptureError("the capture is cut off")
        seconds, fraction, size, _ = struct.unpack(f"{order}IIII", head)
        if size > MAX_BLOCK_BYTES:
            raise CaptureError(f"a packet of the capture is {size} bytes long")
        yield seconds + fraction / ticks, link & 0xFFFF, _exactly(file, size)


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size) if size > 0 else b""
    if len(data) < size:
        raise CaptureError("the capture is cut off")
    return data


def _ipv6(link: int, data: bytes) -> tuple[int, IPv6Address, IPv6Address, bytes] | None:
    if link == LINKTYPE_ETHERNET:
        if len(data) < 14 or int.from_bytes(data[12:14], "big") != _IPV6_ETHERTYPE:
            return None
        data = data[14:]
    elif link not in (LINKTYPE_RAW, LINKTYPE_IPV6):
        return None
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    size, protocol = int.from_bytes(data[4:6], "big"), data[6]
    body = data[40 : 40 + size]
    while protocol in _EXTENSIONS and len(body) >= 8:
        protocol, body = body[0], body[8 + 8 * body[1] :]
    return protocol, IPv6Address(data[8:24]), IPv6Address(data[24:40]), body


def _segment(
    flows: dict[tuple[Host, Host], _Flow], unix_s: float, source: IPv6Address, target: IPv6Address, body: bytes
) -> Iterator[Piece]:
    from_port, to_port, number, _, offset, flags = struct.unpack_from(">HHIIBB", body)
    key = (Host(source, from_port), Host(target, to_port))
    if flags & _SYN:
        flows[key] = _Flow((number + 1) & 0xFFFFFFFF)
        return
    data = body[4 * (offset >> 4) :]
    if not data:
        return
    flow = flows.setdefault(key, _Flow(number))
    flow.waiting.setdefault(number, Piece(unix_s, *key, data))
    yield from _ready(flow)
    waiting = next(iter(flow.waiting.values()), None)
    if waiting is not None and (len(flow.waiting) > MAX_WAITING or unix_s - waiting.unix_s > MAX_WAITING_S):
        yield from _jump(flow)


def _ready(flow: _Flow) -> Iterator[Piece]:
    """What follows without a gap; what came twice is left out."""
    moved = True
    while moved:
        moved = False
        for number in list(flow.waiting):
            behind = (number - (flow.expected or 0)) & 0xFFFFFFFF
            piece = flow.waiting[number]
            already = (1 << 32) - behind if behind >= 1 << 31 else 0
            if behind and not already:
                continue
            del flow.waiting[number]
            if already < len(piece.data):
                data = piece.data[already:]
                flow.expected = ((flow.expected or 0) + len(data)) & 0xFFFFFFFF
                yield Piece(piece.unix_s, piece.source, piece.target, data)
            moved = True


def _jump(flow: _Flow) -> Iterator[Piece]:
    """Go on behind a gap, at the first segment that is there."""
    first = min(flow.waiting, key=lambda number: (number - (flow.expected or 0)) & 0xFFFFFFFF)
    piece = flow.waiting.pop(first)
    flow.expected = (first + len(piece.data)) & 0xFFFFFFFF
    yield Piece(piece.unix_s, piece.source, piece.target, piece.data, gap=True)
    yield from _ready(flow)


def _rest(flow: _Flow) -> Iterator[Piece]:
    while flow.waiting:
        yield from _jump(flow)
