"""Contexts whose private key is behind a call, for tests that need no token: the call has the key of a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pyiso15118.security import TlsProfile
from pyiso15118.security.tls_token import Sign, TokenTlsContext


def signer_of(key_file: Path, before: Callable[[], None] = lambda: None) -> Sign:
    """Signs digests of SHA-512 with the key of a file; ``before`` is called each time."""
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)

    def sign(digest: bytes) -> bytes:
        before()
        return key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA512())))

    return sign


def server_context_elsewhere(
    profile: TlsProfile, chain: Path, key: Path, anchors: Sequence[Path], **more: Any
) -> TokenTlsContext:
    """As ``server_context``, of profile strict."""
    assert profile is TlsProfile.STRICT
    return TokenTlsContext(chain, signer_of(key), anchors, **more)
