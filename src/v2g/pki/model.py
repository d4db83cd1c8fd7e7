"""The seams of the room: keys and their homes, enrolment, errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey
"""A key in a token is one of the first kind, too: it signs, and gives nothing else away."""


class PkiError(Exception):
    """A certificate, key, file, server or token that cannot be used: its name, the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class KeyReference:
    """What stands for a key on the disk: the name of its file in ``pki.dir`` and its content.

    For a key in a file, ``private.key`` and its PEM; for one in a token, ``private.key.uri`` and its PKCS#11 URI.
    """

    file_name: str
    content: bytes


class KeyHome(Protocol):
    """Where keys of one kind live: files, or a PKCS#11 token."""

    @property
    def description(self) -> str:
        """For people: ``file /etc/ssl/v2g/private.key`` or ``token v2g (pkcs11:token=v2g;…)``; never a PIN."""
        ...

    def generate(self) -> tuple[PrivateKey, KeyReference]:
        """A new key, not in use yet. Raises :class:`PkiError`."""
        ...

    def load(self, reference: bytes) -> PrivateKey:
        """The key that the content of an installed reference stands for. Raises :class:`PkiError`."""
        ...

    def discard(self, reference: bytes) -> None:
        """Forget a key that is no longer or never was in use: remove it from the token. Raises :class:`PkiError`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The credential in use, by which a renewal proves itself to the server. ``key`` is the reference's file."""

    chain: Path
    key: Path
    key_uri: str = ""
    """PKCS#11 URI where the key is in a token; ``key`` then cannot be read as a key."""


class Enroller(Protocol):
    """A server that signs certificates."""

    def enrol(
        self, csr: x509.CertificateSigningRequest, key: PrivateKey, current: Current | None
    ) -> Sequence[x509.Certificate]:
        """The leaf and what came with it, in the server's order; nothing of it is verified yet but its transport.

        ``current``: this is a renewal. Blocks for ``timeout_s`` at most. Raises :class:`PkiError`.
        """
        ...
