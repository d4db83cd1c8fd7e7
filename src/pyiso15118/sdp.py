"""SECC discovery protocol: the vehicle multicasts a request, the SECC answers with its address, port and security."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv6Address

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.v2gtp import Frame, PayloadType, decode_datagram, encode_frame

MULTICAST_GROUP = "ff02::1"
"""All nodes of the link."""
PORT = 15118
"""UDP port of the SDP server."""


class Security(enum.IntEnum):
    """Whether there is TLS on the connection."""

    TLS = 0x00
    NONE = 0x10


class Transport(enum.IntEnum):
    """What the connection is made by; there is one."""

    TCP = 0x00


@dataclass(frozen=True, slots=True, kw_only=True)
class SdpRequest:
    """What the vehicle wants. Everything but TCP is reserved by the standard."""

    security: Security = Security.TLS
    transport: Transport = Transport.TCP


@dataclass(frozen=True, slots=True, kw_only=True)
class SdpResponse:
    """Where the SECC listens and whether with TLS. ``port`` in 1..65535; a link-local ``host`` carries no scope."""

    host: IPv6Address
    port: int
    security: Security = Security.TLS
    transport: Transport = Transport.TCP


def encode(message: SdpRequest | SdpResponse) -> bytes:
    """The datagram, V2GTP header included. Raises :class:`LocalProtocolError` for a port out of range."""
    trailer = bytes((message.security, message.transport))
    if isinstance(message, SdpRequest):
        return encode_frame(PayloadType.SDP_REQUEST, trailer)
    if not 1 <= message.port <= 65535:
        raise LocalProtocolError(f"SDP response with port {message.port}: must be within 1..65535")
    return encode_frame(PayloadType.SDP_RESPONSE, message.host.packed + message.port.to_bytes(2, "big") + trailer)


def decode_request(datagram: bytes) -> SdpRequest:
    """Raises :class:`RemoteProtocolError` for anything but a well-formed SDP request."""
    payload = _payload(datagram, PayloadType.SDP_REQUEST, 2)
    return SdpRequest(security=_security(payload[0]), transport=_transport(payload[1]))


def decode_response(datagram: bytes) -> SdpResponse:
    """Raises :class:`RemoteProtocolError` for anything but a well-formed SDP response with a port above 0."""
    payload = _payload(datagram, PayloadType.SDP_RESPONSE, 20)
    port = int.from_bytes(payload[16:18], "big")
    if port == 0:
        raise RemoteProtocolError("SDP response with port 0")
    return SdpResponse(
        host=IPv6Address(payload[:16]),
        port=port,
        security=_security(payload[18]),
        transport=_transport(payload[19]),
    )


def _payload(datagram: bytes, expected: PayloadType, length: int) -> bytes:
    frame: Frame = decode_datagram(datagram, max_payload_bytes=64)
    if frame.payload_type != expected:
        raise RemoteProtocolError(f"payload type {frame.payload_type:#06x} where {expected.name} was expected")
    if len(frame.payload) != length:
        raise RemoteProtocolError(f"{expected.name} of {len(frame.payload)} bytes instead of {length}")
    return frame.payload


def _security(value: int) -> Security:
    try:
        return Security(value)
    except ValueError:
        raise RemoteProtocolError(f"SDP security byte {value:#04x} is neither 0x00 (TLS) nor 0x10 (none)") from None


def _transport(value: int) -> Transport:
    try:
        return Transport(value)
    except ValueError:
        raise RemoteProtocolError(f"SDP transport byte {value:#04x} is not 0x00 (TCP)") from None
