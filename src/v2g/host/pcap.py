"""Captures as Wireshark opens them (pcapng), of bytes that no network card saw: IPv6, TCP and UDP around them are made
here, with right lengths, sequence numbers and checksums."""

from __future__ import annotations

import struct
from typing import IO, Final

from pyiso15118.capture import Host

LINKTYPE_RAW: Final = 101
"""Packets begin with their IP header."""
MAX_SEGMENT_BYTES: Final = 16_384
_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_OPT_COMMENT: Final = 1
_OPT_NAME: Final = 2
_OPT_APPLICATION: Final = 4
_TCP: Final = 6
_UDP: Final = 17
_HOP_LIMIT: Final = 64
_WINDOW: Final = 65_535
_FIN, _SYN, _PSH, _ACK = 0x01, 0x02, 0x08, 0x10


class CaptureWriter:
    """Writes packets into ``file``. ``comment`` is shown in the capture's properties."""

    def __init__(self, file: IO[bytes], application: str, comment: str) -> None:
        self._file = file
        options = _option(_OPT_COMMENT, comment) + _option(_OPT_APPLICATION, application) + _option(0, "")
        self._block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + options)
        self._block(
            _INTERFACE,
            struct.pack("<HHI", LINKTYPE_RAW, 0, 0) + _option(_OPT_NAME, "v2gtp") + _option(0, ""),
        )

    def packet(self, unix_s: float, data: bytes, comment: str = "") -> None:
        """One packet from its IP header on, at a time of microseconds."""
        micros = max(0, round(unix_s * 1e6))
        head = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(data), len(data))
        options = _option(_OPT_COMMENT, comment) + _option(0, "") if comment else b""
        self._block(_PACKET, head + _padded(data) + options)

    def _block(self, kind: int, body: bytes) -> None:
        size = struct.pack("<I", len(body) + 12)
        self._file.write(struct.pack("<I", kind) + size + body + size)


class TcpConversation:
    """The packets of one TCP connection: ``vehicle`` connects to ``station``.

    Bytes are given with their offset in their direction; what lies between two of them was not recorded, and is seen
    as a gap.
    """

    def __init__(self, writer: CaptureWriter, vehicle: Host, station: Host) -> None:
        self._writer = writer
        self._vehicle = vehicle
        self._station = station
        self._next = {True: 0, False: 0}
        """Offset behind what the station sent (True), and what it received."""

    def open(self, unix_s: float, comment: str = "") -> None:
        """The handshake."""
        self._send(unix_s, False, _SYN, -1, None, b"", comment)
        self._send(unix_s, True, _SYN | _ACK, -1, 0, b"")
        self._send(unix_s, False, _ACK, 0, 0, b"")

    def data(self, unix_s: float, offset: int, data: bytes, *, sent: bool, comment: str = "") -> None:
        """Bytes that the station ``sent``, or received; as several segments where they are many."""
        for start in range(0, len(data), MAX_SEGMENT_BYTES):
            piece = data[start : start + MAX_SEGMENT_BYTES]
            self._send(unix_s, sent, _PSH | _ACK, offset + start, self._next[not sent], piece, comment)
            self._next[sent] = max(self._next[sent], offset + start + len(piece))
            comment = ""

    def close(self, unix_s: float) -> None:
        """Both ends finish."""
        ours, theirs = self._next[True], self._next[False]
        self._send(unix_s, True, _FIN | _ACK, ours, theirs, b"")
        self._send(unix_s, False, _FIN | _ACK, theirs, ours + 1, b"")
        self._send(unix_s, True, _ACK, ours + 1, theirs + 1, b"")

    def _send(
        self, unix_s: float, sent: bool, flags: int, offset: int, ack: int | None, data: bytes, comment: str = ""
    ) -> None:
        source, target = (self._station, self._vehicle) if sent else (self._vehicle, self._station)
        # Offset 0 follows the SYN, which has number 0.
        numbers = (offset + 1) & 0xFFFFFFFF, 0 if ack is None else (ack + 1) & 0xFFFFFFFF
        head = struct.pack(">HHIIBBHHH", source.port, target.port, *numbers, 5 << 4, flags, _WINDOW, 0, 0)
        self._writer.packet(unix_s, _packet(_TCP, source, target, head, 16, data), comment)


def udp_packet(source: Host, target: Host, data: bytes) -> bytes:
    """A datagram from its IP header on."""
    head = struct.pack(">HHHH", source.port, target.port, 8 + len(data), 0)
    return _packet(_UDP, source, target, head, 6, data)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _packet(protocol: int, source: Host, target: Host, head: bytes, checksum_at: int, data: bytes) -> bytes:
    if source.address.version != 6 or target.address.version != 6:
        raise ValueError(f"captures are written of IPv6, not of {source} and {target}")
    size = len(head) + len(data)
    addresses = source.address.packed + target.address.packed
    found = checksum(addresses + struct.pack(">II", size, protocol) + head + data)
    # In UDP zero would say that there is none.
    if protocol == _UDP:
        found = found or 0xFFFF
    head = head[:checksum_at] + struct.pack(">H", found) + head[checksum_at + 2 :]
    return struct.pack(">IHBB", 6 << 28, size, protocol, _HOP_LIMIT) + addresses + head + data


def _option(code: int, text: str) -> bytes:
    value = text.encode()[:60_000]
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
