"""Whose certificates count in a mesh: those of its authority, by name of a member, and not revoked."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from v2g.pki.bundle import is_authority
from v2g.pki.crl import CrlShelf
from v2g.pki.revocation import Verdict

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_CURVES = {"secp256r1": hashes.SHA256, "secp384r1": hashes.SHA384}
_MOST_DEPTH = 4


class Drop(enum.StrEnum):
    """Why an envelope is not taken."""

    MALFORMED = "malformed"
    FOREIGN = "foreign"
    """Of another network."""
    NOT_A_MEMBER = "not_a_member"
    UNKNOWN_CERTIFICATE = "unknown_certificate"
    """Its certificate has not come yet."""
    UNTRUSTED = "untrusted"
    """Its certificate is not of the mesh's authority, not of this name, or not valid now."""
    REVOKED = "revoked"
    UNSIGNED = "unsigned"
    EXPIRED = "expired"
    CLOCK = "clock"
    """Issued in the future, or expired for so long that its sender's clock must be wrong."""
    REPLAYED = "replayed"
    REORDERED = "reordered"
    FLOOD = "flood"
    CONTENT = "content"
    """Its signature holds, and it is no message."""


class TrustError(ValueError):
    """A certificate that does not count, and why."""

    def __init__(self, reason: Drop, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class Trust:
    """``authorities``: roots and intermediates, any of which may have issued a member's certificate."""

    def __init__(self, authorities: Sequence[x509.Certificate], revoked: CrlShelf | None = None) -> None:
        self._authorities = tuple(each for each in authorities if is_authority(each))
        self._shelf = revoked if revoked is not None else CrlShelf()
        if not self._authorities:
            raise ValueError("no certificate of an authority among those of the mesh")

    def check(self, der: bytes, sender: str, unix_s: float) -> PublicKey:
        """The key of ``sender``. Raises :class:`TrustError`."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            key = certificate.public_key()
            self._check_path(certificate, unix_s, _MOST_DEPTH)
        except TrustError:
            raise
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise TrustError(Drop.UNTRUSTED, f"certificate of {sender} cannot be read: {error}") from None
        if [name.value for name in names] != [sender]:
            called = ", ".join(str(name.value) for name in names) or "nobody"
            raise TrustError(Drop.UNTRUSTED, f"certificate that came from {sender} is of {called}")
        if is_authority(certificate):
            raise TrustError(Drop.UNTRUSTED, f"certificate of {sender} is an authority's, no member's")
        if not is_usable(key):
            raise TrustError(Drop.UNTRUSTED, f"certificate of {sender} has a key that is not P-256, P-384 or Ed25519")
        assert isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey)  # noqa: S101
        return key

    def _check_path(self, certificate: x509.Certificate, unix_s: float, depth: int) -> None:
        who = certificate.subject.rfc4514_string()
        now = datetime.fromtimestamp(unix_s, UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            until = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
            raise TrustError(Drop.UNTRUSTED, f"certificate {who} is valid from {until} only")
        issuer = next((each for each in self._authorities if _issued(each, certificate)), None)
        if issuer is None:
            raise TrustError(Drop.UNTRUSTED, f"certificate {who} is not of the mesh's authority")
        finding = self._shelf.look_up(certificate, issuer, at_unix_s=unix_s)
        if finding.verdict in (Verdict.REVOKED, Verdict.UNKNOWN):
            raise TrustError(Drop.REVOKED, finding.reason)
        if issuer.subject != issuer.issuer:
            if depth <= 0:
                raise TrustError(Drop.UNTRUSTED, f"the chain above {who} is too long")
            self._check_path(issuer, unix_s, depth - 1)


def is_usable(key: object) -> bool:
    """A public or private key that members may sign with."""
    curve = getattr(getattr(key, "curve", None), "name", None)
    return curve in _CURVES or "Ed25519" in type(key).__name__


def verify(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, ec.ECDSA(_CURVES[key.curve.name]()))
    except InvalidSignature:
        return False
    return True


def sign(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(_CURVES[key.curve.name]()))


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
