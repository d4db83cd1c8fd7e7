"""Who made a bundle: Ed25519 or ECDSA with P-521 and SHA-512 over the manifest's exact bytes.

``manifest.sig`` is JSON: ``key``, the SHA-256 of the signer's public key (SubjectPublicKeyInfo, DER) in hex, and
``signature`` in base64. The key only tells a foreign bundle from a changed one; what counts is the trusted keys here.
"""

from __future__ import annotations

import base64
import datetime
import glob
import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP521R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from v2g.host.firmware.errors import FirmwareError

_MAX_KEY_BYTES: Final = 64 << 10
_MAX_KEYS: Final = 64

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


class _Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class TrustedKey:
    key: PublicKey
    id: str
    path: Path


@dataclass(frozen=True, slots=True)
class Trusted:
    """``unusable``: files that were named and cannot be used, each with the reason."""

    keys: tuple[TrustedKey, ...]
    unusable: tuple[str, ...]


def load_trusted(patterns: Iterable[str], unix_s: float, owners: frozenset[int] = frozenset({0})) -> Trusted:
    """Public keys and certificates (PEM). ``owners``: whose files count; besides, nobody else may write them."""
    keys: list[TrustedKey] = []
    unusable: list[str] = []
    paths = sorted({Path(name) for pattern in patterns for name in glob.glob(pattern)})  # noqa: PTH207
    for path in paths[:_MAX_KEYS]:
        try:
            key = _public_key(_owned(path, owners), unix_s)
        except (OSError, ValueError) as error:
            unusable.append(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
            continue
        keys.append(TrustedKey(key, key_id(key), path))
    if len(paths) > _MAX_KEYS:
        unusable.append(f"{len(paths) - _MAX_KEYS} more: at most {_MAX_KEYS} are read")
    return Trusted(tuple(keys), tuple(unusable))


def verify(manifest: bytes, signature: bytes | None, trusted: Trusted, patterns: Iterable[str]) -> TrustedKey:
    """Whose bundle it is. Raises :class:`FirmwareError`."""
    places = ", ".join(patterns)
    why = "".join(f"; {text}" for text in trusted.unusable)
    if signature is None:
        raise FirmwareError("the bundle is not signed (it has no manifest.sig): take the one that its maker signed")
    if not trusted.keys:
        raise FirmwareError(
            f"no key is trusted here ({places}{why}): put the maker's public key there, after comparing its fingerprint"
        )
    try:
        told = msgspec.json.decode(signature, type=_Signature)
        value = base64.b64decode(told.signature, validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise FirmwareError(f"manifest.sig of the bundle cannot be read ({error}): fetch the bundle anew") from None
    matching = [key for key in trusted.keys if key.id == told.key]
    if not matching:
        ours = ", ".join(f"{key.id[:16]} ({key.path})" for key in trusted.keys)
        raise FirmwareError(
            f"the bundle is signed by the key {told.key[:16]!a}, and trusted here are {ours}{why}: take the "
            "bundle of the right maker; or put his public key there, after comparing its fingerprint"
        )
    for key in matching:
        if _holds(key.key, value, manifest):
            return key
    raise FirmwareError(
        f"the signature by {matching[0].id[:16]} ({matching[0].path}) does not hold: manifest.json was changed after "
        "it was signed; do not use this file, and fetch it anew from its maker"
    )


def sign(manifest: bytes, key: PrivateKey) -> bytes:
    """The content of ``manifest.sig``."""
    value = key.sign(manifest) if isinstance(key, Ed25519PrivateKey) else key.sign(manifest, ECDSA(SHA512()))
    told = _Signature(key=key_id(key.public_key()), signature=base64.b64encode(value).decode())
    return msgspec.json.encode(told) + b"\n"


def load_private_key(path: Path, password: bytes | None) -> PrivateKey:
    """Raises :class:`FirmwareError`; TypeError where ``password`` is missing or needless."""
    try:
        key = load_pem_private_key(path.read_bytes()[:_MAX_KEY_BYTES], password)
    except OSError as error:
        raise FirmwareError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FirmwareError(f"{path} is no private key in PEM, or the password is wrong ({error})") from None
    if isinstance(key, Ed25519PrivateKey) or (isinstance(key, EllipticCurvePrivateKey) and _p521(key.public_key())):
        return key
    raise FirmwareError(
        f"{path} is neither an Ed25519 nor a P-521 key: make one with openssl genpkey -algorithm ed25519 -out {path}"
    )


def key_id(key: PublicKey) -> str:
    """SHA-256 of its SubjectPublicKeyInfo, hex."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _holds(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ECDSA(SHA512()))
    except InvalidSignature:
        return False
    return True


def _public_key(data: bytes, unix_s: float) -> PublicKey:
    if b"-----BEGIN CERTIFICATE-----" in data:
        certificate = x509.load_pem_x509_certificate(data)
        now = datetime.datetime.fromtimestamp(unix_s, datetime.UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            raise ValueError(f"is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d} only; is this host's clock right?")
        key: object = certificate.public_key()
    else:
        try:
            key = load_pem_public_key(data)
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from None
    if isinstance(key, Ed25519PublicKey) or (isinstance(key, EllipticCurvePublicKey) and _p521(key)):
        return key
    raise ValueError("is neither an Ed25519 nor a P-521 key")


def _p521(key: EllipticCurvePublicKey) -> bool:
    return isinstance(key.curve, SECP521R1)


def _owned(path: Path, owners: frozenset[int]) -> bytes:
    """Who may write a trusted key decides what runs here as root."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        for what, found in ((path, os.fstat(fd)), (path.parent, path.parent.stat())):
            if found.st_uid not in owners:
                raise ValueError(f"is not used: {what} belongs to uid {found.st_uid}; chown root {what}")
            if found.st_mode & 0o022:
                raise ValueError(f"is not used: {what} may be written by others; chmod go-w {what}")
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("is no file")
        return file.read(_MAX_KEY_BYTES)
