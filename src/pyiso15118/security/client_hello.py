"""A ClientHello by hand, and what a server answers in the clear: to ask a TLS server what it takes (RFC 8446).

Only for probing. No handshake follows from it, so nothing here is secret or random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyiso15118.errors import RemoteProtocolError

SUITES = {
    "TLS_AES_128_GCM_SHA256": 0x1301,
    "TLS_AES_256_GCM_SHA384": 0x1302,
    "TLS_CHACHA20_POLY1305_SHA256": 0x1303,
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": 0xC02C,
}
"""The last is one of TLS 1.2."""
GROUPS = {"secp256r1": 0x0017, "secp384r1": 0x0018, "secp521r1": 0x0019, "x25519": 0x001D, "x448": 0x001E}
SIGNATURES = {"ecdsa_secp256r1_sha256": 0x0403, "ecdsa_secp384r1_sha384": 0x0503, "ecdsa_secp521r1_sha512": 0x0603,
              "ed25519": 0x0807, "ed448": 0x0808}  # fmt: skip
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    109: "missing_extension", 110: "unsupported_extension", 116: "certificate_required",
}  # fmt: skip

_ALERT, _HANDSHAKE = 21, 22
_SERVER_HELLO = 2
_TLS12, _TLS13 = 0x0303, 0x0304
_SUPPORTED_GROUPS, _SIGNATURE_ALGORITHMS, _SUPPORTED_VERSIONS, _KEY_SHARE = 10, 13, 43, 51
_RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: ``alert`` by name, or the version, suite and group of a ServerHello."""

    alert: str | None = None
    version: str = ""
    suite: str = ""
    group: str = ""

    @property
    def refused(self) -> bool:
        return self.alert is not None


def client_hello(
    *,
    suites: Sequence[str],
    groups: Sequence[str],
    signatures: Sequence[str],
    shares: Mapping[str, bytes],
    tls13: bool = True,
) -> bytes:
    """One TLS record. ``shares``: public keys by group, as TLS writes them; without TLS 1.3 none goes out."""
    extensions = _extension(_SUPPORTED_GROUPS, _vector(2, _numbers(GROUPS, groups)))
    extensions += _extension(_SIGNATURE_ALGORITHMS, _vector(2, _numbers(SIGNATURES, signatures)))
    if tls13:
        extensions += _extension(_SUPPORTED_VERSIONS, _vector(1, _TLS13.to_bytes(2)))
        entries = b"".join(GROUPS[group].to_bytes(2) + _vector(2, key) for group, key in shares.items())
        extensions += _extension(_KEY_SHARE, _vector(2, entries))
    body = _TLS12.to_bytes(2) + bytes(32) + _vector(1, bytes(32))
    body += _vector(2, _numbers(SUITES, suites)) + _vector(1, b"\x00") + _vector(2, extensions)
    message = b"\x01" + _vector(3, body)
    return bytes([_HANDSHAKE]) + b"\x03\x01" + _vector(2, message)


def read_answer(data: bytes) -> Answer:
    """Of the first record. Raises :class:`RemoteProtocolError` for anything but an alert or a ServerHello."""
    record = _Reader(data)
    kind = record.number(1)
    record.take(2)
    content = _Reader(record.vector(2))
    if kind == _ALERT:
        content.take(1)
        number = content.number(1)
        return Answer(alert=ALERTS.get(number, f"alert {number}"))
    if kind != _HANDSHAKE or content.number(1) != _SERVER_HELLO:
        raise RemoteProtocolError("a TLS server answered a ClientHello with neither an alert nor a ServerHello")
    return _server_hello(_Reader(content.vector(3)))


def _server_hello(hello: _Reader) -> Answer:
    version = hello.number(2)
    retry = hello.take(32) == _RETRY_RANDOM
    hello.vector(1)
    suite = hello.number(2)
    hello.take(1)
    group = 0
    extensions = _Reader(hello.vector(2) if hello.left else b"")
    while extensions.left:
        name, content = extensions.number(2), _Reader(extensions.vector(2))
        if name == _SUPPORTED_VERSIONS:
            version = content.number(2)
        elif name == _KEY_SHARE:
            group = content.number(2)
    if retry:
        # It takes the group and wants another share: none of our questions leads there.
        return Answer(alert="hello_retry_request")
    return Answer(
        version={_TLS13: "TLSv1.3", _TLS12: "TLSv1.2"}.get(version, f"{version:#06x}"),
        suite=_name(SUITES, suite),
        group=_name(GROUPS, group),
    )


class _Reader:
    """Takes from the front, never beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise RemoteProtocolError("a TLS record ends too early")
        self._position += count
        return self._data[self._position - count : self._position]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))


def _numbers(known: Mapping[str, int], names: Sequence[str]) -> bytes:
    return b"".join(known[name].to_bytes(2) for name in names)


def _name(known: Mapping[str, int], number: int) -> str:
    return next((name for name, value in known.items() if value == number), f"{number:#06x}")


def _vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size) + content


def _extension(number: int, content: bytes) -> bytes:
    return number.to_bytes(2) + _vector(2, content)
