"""Whose certificates count in a mesh: those of its authority, by name of a member, and not revoked."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID

from pyiso15118.security.chain import ChainError, common_name_of, extension_of, name_of
from v2g.pki.bundle import is_authority
from v2g.pki.crl import CrlShelf
from v2g.pki.revocation import Verdict

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
LARGEST_CERTIFICATE: Final = 4096
"""Bytes of DER."""
_CURVES: Final = {"secp256r1": hashes.SHA256, "secp384r1": hashes.SHA384}
_AUTHORITY_CURVES: Final = {"secp256r1", "secp384r1", "secp521r1"}
_DIGESTS: Final = {"sha256", "sha384", "sha512"}
_LEAST_RSA_BITS: Final = 2048
_MOST_AUTHORITIES: Final = 4
"""Above a member, the root among them."""
_MAY_BE_CRITICAL: Final = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.CERTIFICATE_POLICIES,
}


class Drop(enum.StrEnum):
    """Why an envelope is not taken."""

    MALFORMED = "malformed"
    FOREIGN = "foreign"
    """Of another network."""
    NOT_A_MEMBER = "not_a_member"
    UNKNOWN_CERTIFICATE = "unknown_certificate"
    """Its certificate has not come yet."""
    UNTRUSTED = "untrusted"
    """Its certificate is not of the mesh's authority, not of this name, not valid now, or nobody knows whether it is
    revoked."""
    REVOKED = "revoked"
    UNSIGNED = "unsigned"
    EXPIRED = "expired"
    CLOCK = "clock"
    """Issued in the future, or expired for so long that its sender's clock must be wrong."""
    REPLAYED = "replayed"
    REORDERED = "reordered"
    """Older than one that came before."""
    FLOOD = "flood"
    CONTENT = "content"
    """Its signature holds, and it is no message."""


class TrustError(ValueError):
    """A certificate that does not count, and why."""

    def __init__(self, reason: Drop, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Judged:
    """A certificate that counts: its key, and between which times (Unix seconds) every one of its path is valid."""

    key: PublicKey
    begins_unix_s: float
    ends_unix_s: float


class Trust:
    """``roots``: where paths end; ``intermediates`` help to build one. Envelopes carry the leaf alone."""

    def __init__(
        self,
        roots: Sequence[x509.Certificate],
        intermediates: Sequence[x509.Certificate] = (),
        revoked: CrlShelf | None = None,
    ) -> None:
        if not roots:
            raise ValueError("a mesh without a root trusts nobody")
        self._roots = tuple(roots)
        self._authorities = (*roots, *intermediates)
        self._shelf = revoked if revoked is not None else CrlShelf()

    def check(self, der: bytes, sender: str, unix_s: float) -> PublicKey:
        """The key of ``sender``. Raises :class:`TrustError`."""
        return self.judge(der, sender, unix_s).key

    def judge(self, der: bytes, sender: str, unix_s: float) -> Judged:
        """A member's certificate as it is now. Raises :class:`TrustError`, whatever the bytes are."""
        if len(der) > LARGEST_CERTIFICATE:
            raise _untrusted(f"certificate of {sender} has {len(der)} bytes, at most {LARGEST_CERTIFICATE} are taken")
        try:
            certificate = x509.load_der_x509_certificate(der)
            key = certificate.public_key()
            _check_member(certificate, sender)
            if not is_usable(key) or not isinstance(key, PublicKey):
                raise _untrusted(f"certificate of {sender} has a key that is not P-256, P-384 or Ed25519")
            begins_s, ends_s = self._climb(certificate, unix_s, 0)
        except TrustError:
            raise
        except ChainError as error:
            raise _untrusted(f"certificate of {sender}: {error}") from None
        except Exception as error:  # fields are read late, and raise what they like
            raise _untrusted(f"certificate of {sender} cannot be read: {str(error)[:160]}") from None
        return Judged(key, begins_s, ends_s)

    def keeping(self, before: Trust) -> Trust:
        """This one, with the revocations of ``before`` by those authorities of whom this one has none.

        A file that is lost does not make a revoked certificate good.
        """
        have = self._shelf.issuers()
        kept = [crl for crl in before._shelf if crl.issuer not in have]
        if not kept:
            return self
        shelf = CrlShelf([*self._shelf, *kept], self._shelf.unusable)
        return Trust(self._roots, self._authorities[len(self._roots) :], shelf)

    def _climb(self, certificate: x509.Certificate, unix_s: float, below: int) -> tuple[float, float]:
        """Between which times it and all above it are valid. ``below``: authorities between it and the member."""
        begins_s, ends_s = _check_alone(certificate, unix_s)
        if below and certificate in self._roots:
            return begins_s, ends_s
        failure: TrustError | None = None
        for issuer in self._authorities:
            if below >= _MOST_AUTHORITIES or issuer == certificate or not _issued(issuer, certificate):
                continue
            try:
                _check_authority(issuer, below)
                self._check_revocation(certificate, issuer, unix_s)
                above = self._climb(issuer, unix_s, below + 1)
                return max(begins_s, above[0]), min(ends_s, above[1])
            except TrustError as error:
                failure = failure or error
        raise failure or _untrusted(f"certificate {name_of(certificate)} is not of the mesh's authority")

    def _check_revocation(self, certificate: x509.Certificate, issuer: x509.Certificate, unix_s: float) -> None:
        finding = self._shelf.look_up(certificate, issuer, at_unix_s=unix_s, anchors=self._roots)
        if finding.verdict is Verdict.REVOKED:
            raise TrustError(Drop.REVOKED, finding.reason)
        if finding.verdict is Verdict.UNKNOWN:
            raise _untrusted(finding.reason)


def is_usable(key: object) -> bool:
    """A public or private key that members may sign with."""
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return key.curve.name in _CURVES
    return isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey)


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


def _check_member(certificate: x509.Certificate, sender: str) -> None:
    name = common_name_of(certificate)
    if name != sender:
        raise _untrusted(f"certificate that came from {sender} is of {name_of(certificate)}")
    if is_authority(certificate):
        raise _untrusted(f"certificate of {sender} is an authority's, no member's")
    usage = extension_of(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise _untrusted(f"certificate of {sender} is not for signing (key usage)")


def _check_alone(certificate: x509.Certificate, unix_s: float) -> tuple[float, float]:
    begins_s = certificate.not_valid_before_utc.timestamp()
    ends_s = certificate.not_valid_after_utc.timestamp()
    who = f"certificate {name_of(certificate)}"
    if unix_s > ends_s:
        raise _untrusted(f"{who} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: it must be renewed")
    if not unix_s >= begins_s:
        raise _untrusted(
            f"{who} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on: check the clock here"
        )
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _MAY_BE_CRITICAL:
            oid = extension.oid.dotted_string
            raise _untrusted(f"{who} has a critical extension that is not understood: {oid}")
    return begins_s, ends_s


def _check_authority(issuer: x509.Certificate, below: int) -> None:
    """``below``: authorities between it and the member."""
    constraints = extension_of(issuer, x509.BasicConstraints)
    if constraints is not None and constraints.path_length is not None and constraints.path_length < below:
        permitted = constraints.path_length
        raise _untrusted(f"{name_of(issuer)} permits {permitted} authorities below it, the chain has {below}")
    usage = extension_of(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise _untrusted(f"the key usage of {name_of(issuer)} does not permit signing certificates")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer or not _is_sound(issuer.public_key(), certificate):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _is_sound(key: object, certificate: x509.Certificate) -> bool:
    """Whether a signature of that key, and by that algorithm, is worth anything."""
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return True
    digest = certificate.signature_hash_algorithm
    if digest is None or digest.name not in _DIGESTS:
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _LEAST_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _AUTHORITY_CURVES


def _untrusted(words: str) -> TrustError:
    return TrustError(Drop.UNTRUSTED, words)
