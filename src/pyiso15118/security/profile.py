"""The TLS profiles by their values, and the seams behind which any TLS library can stand."""

from __future__ import annotations

import enum
import ssl
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pyiso15118.errors import Iso15118Error

if TYPE_CHECKING:
    from pyiso15118.security.tls_peer import PeerTrust

STRICT_SUITES = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""[V2G20-2458], [V2G20-2459]. TLS_AES_128_GCM_SHA256 is not in the standard's profile."""
ROLES = frozenset({"CPO", "OEM", "MO", "CPS", "V2G"})
"""Domain components by which ISO 15118 certificates say whose they are."""


class TlsProfile(enum.StrEnum):
    """``strict``: what ISO 15118-20 demands; ``compat``: P-256 besides, as peers in the field have it."""

    STRICT = "strict"
    COMPAT = "compat"


GROUPS = {
    TlsProfile.STRICT: ("secp521r1", "X448"),
    TlsProfile.COMPAT: ("secp521r1", "X448", "prime256v1"),
}
"""[V2G20-1634], in OpenSSL's spelling; ``compat`` adds P-256."""
SIGNATURES = {
    TlsProfile.STRICT: ("ecdsa_secp521r1_sha512", "ed448"),
    TlsProfile.COMPAT: ("ecdsa_secp521r1_sha512", "ed448", "ecdsa_secp256r1_sha256"),
}
KEY_TYPES = frozenset({"secp521r1", "ed448"})
"""Of every certificate in profile ``strict``."""


class TlsError(Iso15118Error):
    """A certificate, a key or a peer that TLS as configured cannot use. The message names file or peer and remedy."""


@runtime_checkable
class TlsObject(Protocol):
    """One TLS connection in memory, as ``ssl.SSLObject`` has it; errors are those of :mod:`ssl`.

    Another library's may also have ``group()``, the name of the key exchange's group, and ``get_unverified_chain()``,
    what the peer sent in DER, leaf first: both as ``ssl`` has them in later versions of Python.
    """

    @property
    def server_side(self) -> bool:
        """Whether this end is the SECC."""

    def do_handshake(self) -> None:
        """Go on with the handshake; raises ``ssl.SSLWantReadError`` until it is done."""

    def read(self, len: int = 1024, /) -> bytes:
        """At most so many bytes of what the peer said; empty where it said that it closes."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """How many of these bytes were taken."""

    def unwrap(self) -> object:
        """Say that we close."""

    def pending(self) -> int:
        """Not 0 where a read gives something without more of the stream."""

    def version(self) -> str | None:
        """``TLSv1.3``; None before the handshake."""

    def cipher(self) -> tuple[str, str, int] | None:
        """Name, version and secret bits of the suite; None before the handshake."""

    def getpeercert(self, binary_form: bool = False, /) -> object:
        """The peer's certificate, in DER where ``binary_form``; None where it showed none."""


@runtime_checkable
class TlsEndpoint(Protocol):
    """What makes connections of one profile and side; whatever library is behind it. May be used by several threads."""

    profile: TlsProfile
    server_side: bool
    trust: PeerTrust | None
    """What the peer's chain is held to after the handshake; None where nothing is left to check then."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False) -> TlsObject:
        """A connection whose records come from ``incoming`` and go to ``outgoing``."""
