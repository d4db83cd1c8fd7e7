"""TLS 1.3 records opened by secrets that somebody wrote down (RFC 8446, sections 5 and 7)."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, Protocol

MAX_SESSIONS: Final = 1024
"""Of how many handshakes secrets are kept; of more the oldest are given up."""
_LINE: Final = re.compile(rb"(CLIENT|SERVER)_TRAFFIC_SECRET_0 ([0-9a-fA-F]{64}) ((?:[0-9a-fA-F]{2}){32,48})\s*")
_TAG_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Suite:
    """``hash_name``: as :mod:`hashlib` knows it. ``key_bytes``: of the cipher."""

    name: str
    cipher: str
    key_bytes: int
    hash_name: str


SUITES: Final = {
    0x1301: Suite("TLS_AES_128_GCM_SHA256", "aes", 16, "sha256"),
    0x1302: Suite("TLS_AES_256_GCM_SHA384", "aes", 32, "sha384"),
    0x1303: Suite("TLS_CHACHA20_POLY1305_SHA256", "chacha", 32, "sha256"),
}


class Secrets:
    """A key log as browsers and TLS libraries write it (SSLKEYLOGFILE), and as some vehicles and stations send it about
    by UDP for those who test them."""

    def __init__(self) -> None:
        self._found: dict[bytes, dict[bool, bytes]] = {}

    def add(self, text: bytes) -> bool:
        """Take the lines that name secrets of TLS 1.3 for messages; whether there were any."""
        found = False
        for line in text.splitlines():
            match = _LINE.fullmatch(line)
            if match is not None:
                found = True
                random = bytes.fromhex(match[2].decode())
                if random not in self._found and len(self._found) >= MAX_SESSIONS:
                    del self._found[next(iter(self._found))]
                secrets = self._found.setdefault(random, {})
                secrets[match[1] == b"SERVER"] = bytes.fromhex(match[3].decode())
        return found

    def traffic(self, random: bytes, *, server: bool) -> bytes | None:
        """The first secret of one direction's messages; ``random`` is the ClientHello's."""
        return self._found.get(random, {}).get(server)


class _Cipher(Protocol):
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class RecordKey:
    """Opens the records of one direction under one secret, each by its number."""

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self._suite = suite
        self._secret = secret
        self._iv = self._expand(b"iv", 12)
        self._cipher = _cipher(suite, self._expand(b"key", suite.key_bytes))
        self._number = 0

    def open(self, record: bytes) -> tuple[int, bytes] | None:
        """Content type and content of a record given with its header; None where it is not the next of this key."""
        from cryptography.exceptions import InvalidTag

        if len(record) < 5 + _TAG_BYTES:
            return None
        nonce = (int.from_bytes(self._iv) ^ self._number).to_bytes(12)
        try:
            inner = self._cipher.decrypt(nonce, record[5:], record[:5]).rstrip(b"\0")
        except InvalidTag:
            return None
        self._number += 1
        return (inner[-1], inner[:-1]) if inner else (0, b"")

    def updated(self) -> RecordKey:
        """The key after a KeyUpdate."""
        return RecordKey(self._suite, self._expand(b"traffic upd", len(self._secret)))

    def _expand(self, label: bytes, size: int) -> bytes:
        """HKDF-Expand-Label with no context."""
        name = b"tls13 " + label
        info = size.to_bytes(2) + bytes([len(name)]) + name + b"\0"
        # None asked here is longer than one hash.
        return hmac.new(self._secret, info + b"\x01", getattr(hashlib, self._suite.hash_name)).digest()[:size]


def _cipher(suite: Suite, key: bytes) -> _Cipher:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

    return AESGCM(key) if suite.cipher == "aes" else ChaCha20Poly1305(key)
