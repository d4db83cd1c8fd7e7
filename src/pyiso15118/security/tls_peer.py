"""Who is at the other end, and whether the profile takes it: checked before any message is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pyiso15118.errors import Iso15118Error
from pyiso15118.security.chain import (
    ChainError,
    ChainProblem,
    IsRevoked,
    Role,
    TrustAnchors,
    ValidatedChain,
    load_certificate,
    name_of,
    validate_chain,
)
from pyiso15118.security.judged_at import JudgedAt, by_the_clock
from pyiso15118.security.profile import GROUPS, KEY_TYPES, ROLES, STRICT_SUITES, TlsError, TlsObject, TlsProfile

__all__ = [
    "JudgedAt",
    "PeerIdentity",
    "PeerTrust",
    "by_the_clock",
    "check_connection",
    "group_of",
    "key_type",
    "peer_identity",
    "read_anchors",
    "refused",
]

SECC_ROLE = "CPO"
NO_VEHICLE_ROLES = frozenset({"CPO", "MO", "CPS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIdentity:
    """The certificate that the peer proved to have the key of. ``fingerprint`` is SHA-256 in hexadecimal."""

    subject: str
    common_name: str
    issuer: str
    serial_number: int
    fingerprint: str
    key_type: str


@dataclass(frozen=True, slots=True)
class PeerTrust:
    """What a vehicle's chain is held to.

    ``is_revoked`` is asked for each certificate of the path but the anchor, with its issuer's, on the thread that does
    the handshake: it may take some seconds, never for ever. What it raises refuses the vehicle.
    """

    anchors: TrustAnchors
    is_revoked: IsRevoked | None = None
    judged_at: Callable[[], JudgedAt] = by_the_clock

    def validate(self, profile: TlsProfile, leaf: bytes, others: Sequence[bytes]) -> ValidatedChain:
        """The chain of a vehicle; in ``compat`` also of a provisioning certificate, which some vehicles show.

        ``others`` in DER, in any order. Raises :class:`ChainError`, and what ``is_revoked`` raises.
        """
        at = self.judged_at()

        def as_role(role: Role) -> ValidatedChain:
            return validate_chain(
                leaf,
                others,
                self.anchors,
                role=role,
                profile=profile,
                at_unix_s=at.unix_s,
                not_before_counts=at.not_before_counts,
                is_revoked=self.is_revoked,
            )

        try:
            return as_role(Role.VEHICLE)
        except ChainError as error:
            if profile is TlsProfile.STRICT or error.problem is not ChainProblem.INVALID:
                raise
            try:
                return as_role(Role.OEM_PROVISIONING)
            except ChainError as second:
                raise (error if second.problem is ChainProblem.INVALID else second) from None


def check_connection(profile: TlsProfile, connection: TlsObject, trust: PeerTrust | None = None) -> None:
    """Call after the handshake, before anything is read. Raises :class:`TlsError` for what the profile excludes.

    Also for a peer whose certificate is not of the other side's role: a vehicle shows no certificate of a charge point
    operator, mobility operator or provisioning service, and a SECC, in profile ``strict``, one of a charge point
    operator. In ``compat`` it may leave its role out.
    ``trust``: what a vehicle's whole chain is held to, where the handshake has not done so. Where the library does not
    tell the chain, there is its leaf to look at, and its issuer if that is an anchor; the rest the library verified.
    """
    version = connection.version()
    if version != "TLSv1.3":
        raise TlsError(f"the connection is {version}, ISO 15118-20 needs TLSv1.3")
    strict = profile is TlsProfile.STRICT
    cipher = connection.cipher()
    if strict and (cipher is None or cipher[0] not in STRICT_SUITES):
        raise TlsError(
            f"cipher suite {cipher[0] if cipher else None} is not in the profile strict: use compat for this EVSE"
        )
    group = group_of(connection)
    if strict and group is not None and group.lower() not in {name.lower() for name in GROUPS[profile]}:
        raise TlsError(f"the key exchange is by {group}, which is not in the profile strict: use compat for this EVSE")
    certificate = _peer_certificate(connection)
    if certificate is None:
        if strict:
            raise TlsError("the peer showed no certificate; the profile strict is mutual TLS")
        return
    with _readable("the peer's certificate"):
        if strict and key_type(certificate) not in KEY_TYPES:
            raise TlsError(
                f"the peer's certificate has a {key_type(certificate)} key, the profile strict takes secp521r1 and "
                "ed448: use compat for this EVSE"
            )
        _check_leaf(certificate, strict=strict)
        _check_role(certificate, strict=strict, peer_is_vehicle=bool(connection.server_side))
    if trust is not None and connection.server_side:
        _check_chain(profile, connection, certificate, trust)


def peer_identity(connection: TlsObject) -> PeerIdentity | None:
    """Who the peer is by its certificate; None if it showed none. Raises :class:`TlsError` if it cannot be read."""
    certificate = _peer_certificate(connection)
    if certificate is None:
        return None
    with _readable("the peer's certificate"):
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return PeerIdentity(
            subject=certificate.subject.rfc4514_string(),
            common_name=str(names[0].value) if names else "",
            issuer=certificate.issuer.rfc4514_string(),
            serial_number=certificate.serial_number,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            key_type=key_type(certificate),
        )


def group_of(connection: TlsObject) -> str | None:
    """The key exchange's group; None where the library does not tell."""
    ask = getattr(connection, "group", None)
    return str(found) if ask is not None and (found := ask()) is not None else None


def key_type(certificate: x509.Certificate) -> str:
    """``secp521r1``, ``ed448`` or what else its key is."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name
    return "ed448" if isinstance(key, ed448.Ed448PublicKey) else type(key).__name__


def _check_chain(profile: TlsProfile, connection: TlsObject, leaf: x509.Certificate, trust: PeerTrust) -> None:
    der = leaf.public_bytes(Encoding.DER)
    ask = getattr(connection, "get_unverified_chain", None)
    shown = [bytes(c) for c in ask() or ()] if ask is not None else None
    try:
        if shown is not None or trust.anchors.issuers_of(leaf):
            trust.validate(profile, der, [c for c in shown or () if c != der])
            return
        load_certificate(der, "vehicle certificate")
    except ChainError as error:
        raise TlsError(refused(error)) from error
    if trust.is_revoked is not None:
        raise TlsError(
            f"whether {name_of(leaf)} is revoked cannot be found out: this TLS library does not tell its issuer"
        )


def refused(error: ChainError) -> str:
    """In words, for a log."""
    return f"the vehicle's certificate chain is refused, {error.problem}: {error}"


def _peer_certificate(connection: TlsObject) -> x509.Certificate | None:
    der = connection.getpeercert(True)
    if not isinstance(der, bytes):
        return None
    with _readable("the peer's certificate"):
        return x509.load_der_x509_certificate(der)


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """OpenSSL accepts certificates that ``cryptography`` cannot read, and fields are read only when asked for."""
    try:
        yield
    except Iso15118Error:
        raise
    except Exception as error:
        raise TlsError(f"{what} cannot be read: {str(error) or type(error).__name__}") from error


def _check_leaf(certificate: x509.Certificate, *, strict: bool) -> None:
    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise TlsError("the peer's certificate is that of a certification authority, not one to identify with")
    except x509.ExtensionNotFound:
        pass
    try:
        may_sign = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        may_sign = not strict
    if not may_sign:
        raise TlsError("the key usage of the peer's certificate does not hold digitalSignature, which TLS 1.3 needs")


def _check_role(certificate: x509.Certificate, *, strict: bool, peer_is_vehicle: bool) -> None:
    found = certificate.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)
    roles = {str(name.value).strip().upper() for name in found} & ROLES
    said = f"domain component {', '.join(sorted(roles))}" if roles else "no domain component of ISO 15118"
    subject = certificate.subject.rfc4514_string()
    if peer_is_vehicle:
        if roles & NO_VEHICLE_ROLES:
            raise TlsError(f"the vehicle showed a certificate with {said} ({subject}): not a vehicle's")
    elif SECC_ROLE not in roles and (strict or roles):
        raise TlsError(f"the SECC showed a certificate with {said} ({subject}), a SECC's has {SECC_ROLE}")


def read_anchors(files: Sequence[Path]) -> TrustAnchors:
    """Of PEM files. Raises :class:`TlsError` naming the file, and where none is given."""
    if not files:
        raise TlsError("no trust anchors given: without them no peer can be verified")
    found: list[x509.Certificate] = []
    for file in files:
        try:
            found += TrustAnchors.from_pem(file.read_bytes()).certificates
        except (OSError, ChainError) as error:
            raise TlsError(f"trust anchor {file} cannot be used: {error}") from error
    return TrustAnchors(tuple(found))
