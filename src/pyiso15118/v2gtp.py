"""V2G transfer protocol: the eight-byte header before every message, on TCP, TLS and UDP.

version (0x01) | inverse version (0xFE) | payload type (2 bytes) | payload length (4 bytes) | payload
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.messages import Namespace

VERSION = 0x01
HEADER_BYTES = 8
MAX_PAYLOAD_BYTES = 65_536

_HEADER = struct.Struct(">BBHI")


class PayloadType(enum.IntEnum):
    """What a payload is: the schema it is encoded by, or a discovery message."""

    SAP = 0x8001
    MAINSTREAM = 0x8002
    AC = 0x8003
    DC = 0x8004
    """Also carries the messages of MCS."""
    ACDP = 0x8005
    WPT = 0x8006
    DER_IEC = 0x8010
    DER_SAE = 0x8011
    SCHEDULE_RENEGOTIATION = 0x8101
    METERING_CONFIRMATION = 0x8102
    ACDP_STATUS = 0x8103
    PARKING_STATUS = 0x8104
    SDP_REQUEST = 0x9000
    SDP_RESPONSE = 0x9001


_NAMESPACES: dict[int, Namespace] = {
    PayloadType.SAP: Namespace.APP_PROTOCOL,
    PayloadType.MAINSTREAM: Namespace.COMMON_MESSAGES,
    PayloadType.AC: Namespace.AC,
    PayloadType.DC: Namespace.DC,
    PayloadType.ACDP: Namespace.ACDP,
    PayloadType.WPT: Namespace.WPT,
    PayloadType.DER_IEC: Namespace.AC_DER_IEC,
    PayloadType.DER_SAE: Namespace.AC_DER_SAE,
    PayloadType.SCHEDULE_RENEGOTIATION: Namespace.COMMON_MESSAGES,
    PayloadType.METERING_CONFIRMATION: Namespace.COMMON_MESSAGES,
    PayloadType.ACDP_STATUS: Namespace.ACDP,
}

SIDE_STREAMS = frozenset(
    {
        PayloadType.SCHEDULE_RENEGOTIATION,
        PayloadType.METERING_CONFIRMATION,
        PayloadType.ACDP_STATUS,
        PayloadType.PARKING_STATUS,
    }
)
"""Streams beside the main one, each with a request of its own outstanding."""

_PAYLOAD_TYPES: dict[Namespace, PayloadType] = {
    Namespace.APP_PROTOCOL: PayloadType.SAP,
    Namespace.COMMON_MESSAGES: PayloadType.MAINSTREAM,
    Namespace.AC: PayloadType.AC,
    Namespace.DC: PayloadType.DC,
    Namespace.ACDP: PayloadType.ACDP,
    Namespace.WPT: PayloadType.WPT,
    Namespace.AC_DER_IEC: PayloadType.DER_IEC,
    Namespace.AC_DER_SAE: PayloadType.DER_SAE,
}


def namespace_of(payload_type: int) -> Namespace | None:
    """The schema of an EXI payload; None where the type is unknown, or of a schema this package does not have."""
    return _NAMESPACES.get(payload_type)


def payload_type_of(namespace: Namespace) -> PayloadType:
    """The payload type of the main stream for messages of ``namespace``.

    Raises :class:`LocalProtocolError` for a namespace that has no messages of its own.
    """
    try:
        return _PAYLOAD_TYPES[namespace]
    except KeyError:
        raise LocalProtocolError(f"{namespace} has no messages that could be sent") from None


class Frame(NamedTuple):
    """One V2GTP message. ``payload_type`` may be one that :class:`PayloadType` does not know."""

    payload_type: int
    payload: bytes


def encode_frame(payload_type: int, payload: bytes) -> bytes:
    """Header and payload. Raises :class:`LocalProtocolError` if a field does not fit its width."""
    try:
        return _HEADER.pack(VERSION, VERSION ^ 0xFF, payload_type, len(payload)) + payload
    except struct.error:
        raise LocalProtocolError(
            f"payload type {payload_type:#x} with {len(payload)} bytes is no V2GTP frame"
        ) from None


def _decode_header(header: bytes, max_payload_bytes: int) -> tuple[int, int]:
    version, inverse, payload_type, length = _HEADER.unpack(header)
    if version != VERSION or inverse != VERSION ^ 0xFF:
        raise RemoteProtocolError(
            f"V2GTP header starts with {version:#04x} {inverse:#04x} instead of 0x01 0xfe: not a V2GTP stream"
        )
    if length > max_payload_bytes:
        raise RemoteProtocolError(
            f"V2GTP payload of {length} bytes announced, more than the {max_payload_bytes} bytes allowed"
        )
    return payload_type, length


def decode_datagram(data: bytes, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> Frame:
    """The one frame that fills a datagram exactly. Raises :class:`RemoteProtocolError` otherwise."""
    if len(data) < HEADER_BYTES:
        raise RemoteProtocolError(f"datagram of {len(data)} bytes is shorter than a V2GTP header")
    payload_type, length = _decode_header(data[:HEADER_BYTES], max_payload_bytes)
    if len(data) != HEADER_BYTES + length:
        raise RemoteProtocolError(
            f"datagram carries {len(data) - HEADER_BYTES} bytes where its V2GTP header announces {length}"
        )
    return Frame(payload_type, data[HEADER_BYTES:])


class FrameReader:
    """Takes a byte stream in any pieces and gives whole frames.

    Memory is bounded: a header is judged as soon as its eight bytes are there, so an announced length above
    ``max_payload_bytes`` is refused before its payload is awaited; and data is refused while more than one frame
    of the longest kind lies unread. Iterate until exhausted after each ``feed``.
    """

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        if max_payload_bytes < 1:
            raise ValueError(f"max_payload_bytes is {max_payload_bytes}, must be at least 1")
        self.max_payload_bytes = max_payload_bytes
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        """How many bytes wait for the rest of their frame or for being read."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Append received bytes. Raises :class:`RemoteProtocolError` if too much lies unread already."""
        if len(self._buffer) > HEADER_BYTES + self.max_payload_bytes:
            raise RemoteProtocolError(
                f"{len(self._buffer)} bytes of further messages arrived before the first was answered"
            )
        self._buffer += data

    def whole_frames(self, at_most: int) -> int:
        """How many whole frames lie unread, counted no further than ``at_most`` and up to the first bad header."""
        start = count = 0
        while count < at_most and len(self._buffer) >= start + HEADER_BYTES:
            try:
                _, length = _decode_header(bytes(self._buffer[start : start + HEADER_BYTES]), self.max_payload_bytes)
            except RemoteProtocolError:
                break
            start += HEADER_BYTES + length
            if len(self._buffer) < start:
                break
            count += 1
        return count

    def clear(self) -> None:
        """Forget everything not yet read."""
        self._buffer.clear()

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None. Raises :class:`RemoteProtocolError`: the stream cannot be read on then."""
        buffer = self._buffer
        if len(buffer) < HEADER_BYTES:
            return None
        payload_type, length = _decode_header(bytes(buffer[:HEADER_BYTES]), self.max_payload_bytes)
        end = HEADER_BYTES + length
        if len(buffer) < end:
            return None
        payload = bytes(buffer[HEADER_BYTES:end])
        del buffer[:end]
        return Frame(payload_type, payload)

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self.next_frame()) is not None:
            yield frame
