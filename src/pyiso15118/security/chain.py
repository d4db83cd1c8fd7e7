"""Certificate chains: from a peer's leaf to a root that we trust. All chain validation of the project lives here.

Checked are RFC 5280's rules as far as ISO 15118-20's profiles use them ([V2G20-1001]): signatures, validity, path
length, key usage, role, curves, policies against the issuer's, critical extensions. Subject fields are not held to the
profiles' tables.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID, SignatureAlgorithmOID

from pyiso15118.errors import Iso15118Error
from pyiso15118.security.profile import ROLES, TlsProfile

PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey
IsRevoked = Callable[[x509.Certificate, x509.Certificate], bool]
"""Asked with a certificate and its issuer's, by which revocation data is verified."""
_Kind = TypeVar("_Kind", bound=x509.ExtensionType)

LONGEST_CERTIFICATE = 1600
"""Bytes of DER; the schema's limit."""
MOST_SUB_CERTIFICATES = 4
"""Of one list: three and the root that peers add at times."""
LONGEST_PATH = 3
"""Authorities between leaf and anchor: two, and a cross certificate ([V2G20-1003], [V2G20-1005])."""

_KEYS = {TlsProfile.STRICT: {"secp521r1", "ed448"}, TlsProfile.COMPAT: {"secp521r1", "ed448", "secp256r1"}}
_STANDARD_SIGNATURES = {SignatureAlgorithmOID.ECDSA_WITH_SHA512, SignatureAlgorithmOID.ED448}
_SIGNATURES = {
    TlsProfile.STRICT: _STANDARD_SIGNATURES,
    TlsProfile.COMPAT: _STANDARD_SIGNATURES | {SignatureAlgorithmOID.ECDSA_WITH_SHA256},
}
# The standard's profiles mark key identifiers and revocation pointers critical, which RFC 5280 does not.
_MAY_BE_CRITICAL = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.SUBJECT_INFORMATION_ACCESS,
    ExtensionOID.CERTIFICATE_POLICIES,
}


_POLICY_MAPPINGS = x509.ObjectIdentifier("2.5.29.33")
_ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")


class Role(enum.StrEnum):
    """What a leaf is shown for."""

    CONTRACT = "contract"
    OEM_PROVISIONING = "OEM provisioning"
    VEHICLE = "vehicle"
    SECC = "SECC"
    CPS = "certificate provisioning service"


_DOMAINS = {
    Role.CONTRACT: {"MO"},
    Role.OEM_PROVISIONING: {"OEM"},
    Role.VEHICLE: {"OEM", "EV"},
    Role.SECC: {"CPO"},
    Role.CPS: {"CPS"},
}
# The other roles' subjects hold common name and organisation and nothing else ([V2G20-2589] for contracts).
_DOMAIN_IS_MANDATORY = {Role.SECC, Role.CPS}
_PURPOSES = {Role.VEHICLE: ExtendedKeyUsageOID.CLIENT_AUTH, Role.SECC: ExtendedKeyUsageOID.SERVER_AUTH}


class ChainProblem(enum.StrEnum):
    """Why a chain is refused; each has its own response code."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    REVOKED = "revoked"
    NO_ANCHOR = "no anchor"
    INVALID = "invalid"
    """Anything else: signature, path length, key usage, role, curve, unreadable, too long."""


class ChainError(Iso15118Error):
    """A chain that is not to be trusted. ``problem`` says which way; the message names the certificate and remedy."""

    def __init__(self, problem: ChainProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """Roots that chains may end in. Empty trusts nobody.

    Raises :class:`ChainError` for one of which a field cannot be read, since that would fail every chain later on.
    """

    certificates: tuple[x509.Certificate, ...] = ()

    def __post_init__(self) -> None:
        for anchor in self.certificates:
            with readable("a trust anchor"):
                _ = (anchor.subject, anchor.issuer, anchor.extensions, anchor.not_valid_after_utc)

    @classmethod
    def from_certificates(cls, *certificates: x509.Certificate | bytes) -> TrustAnchors:
        """From certificates, read or in DER. Raises :class:`ChainError` for one that cannot be read."""
        return cls(tuple(load_certificate(c, "trust anchor") if isinstance(c, bytes) else c for c in certificates))

    @classmethod
    def from_pem(cls, *pem: bytes) -> TrustAnchors:
        """From PEM files' contents, each with one certificate or several. Raises :class:`ChainError`."""
        with readable("a file of trust anchors"):
            return cls(tuple(c for text in pem for c in x509.load_pem_x509_certificates(text)))

    def issuers_of(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Anchors that by name, and by key identifier where both have one, may have issued ``certificate``."""
        return tuple(anchor for anchor in self.certificates if _may_have_issued(anchor, certificate))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedChain:
    """A chain that passed :func:`validate_chain`; made nowhere else."""

    role: Role
    leaf: x509.Certificate
    sub_certificates: tuple[x509.Certificate, ...]
    """Between leaf and anchor, nearest the leaf first."""
    anchor: x509.Certificate
    public_key: PublicKey
    """The leaf's."""
    common_name: str
    """The leaf's."""
    expires_at_unix_s: float
    """When the first certificate of the chain, the anchor included, expires."""

    @property
    def emaid(self) -> str:
        """The EMAID of a contract, its common name as it stands. Raises ValueError for other roles."""
        if self.role is not Role.CONTRACT:
            raise ValueError(f"a chain of role {self.role} has no EMAID")
        return self.common_name


def validate_chain(
    leaf: bytes,
    sub_certificates: Sequence[bytes],
    anchors: TrustAnchors,
    *,
    role: Role,
    profile: TlsProfile,
    at_unix_s: float,
    is_revoked: IsRevoked | None = None,
    not_before_counts: bool = True,
) -> ValidatedChain:
    """The chain of a leaf (DER) to an anchor at ``at_unix_s`` (calendar time, seconds since 1970).

    ``sub_certificates`` (DER) may stand in any order, hold the root, and hold certificates the path does not need.
    ``is_revoked`` is asked for every certificate of the path but the anchor; what it raises comes out.
    ``not_before_counts`` False: ``at_unix_s`` is a time that has passed, and the clock may be behind; nothing is then
    refused for being not yet valid. Otherwise
    raises :class:`ChainError`, whatever the bytes are: for an expired certificate before one that is not yet valid, and
    for those of the leaf before any fault of the path.
    """
    if len(sub_certificates) > MOST_SUB_CERTIFICATES:
        raise _invalid(
            f"the {role} chain came with {len(sub_certificates)} sub certificates, at most {MOST_SUB_CERTIFICATES} "
            "are taken"
        )
    with readable(f"the {role} chain"):
        first = load_certificate(leaf, f"{role} certificate")
        subs = [
            load_certificate(der, f"sub certificate of the {role} chain") for der in dict.fromkeys(sub_certificates)
        ]
        _check_validity([first], at_unix_s, not_before_counts)
        if first in anchors.certificates:
            _check_own_anchor(first, role)
            path = [first]
        else:
            path = _Search(subs, anchors, profile).path_from(first)
        _check_validity(path, at_unix_s, not_before_counts)
        for position, certificate in enumerate(path):
            _check_certificate(certificate, profile)
            if position > 0:
                _check_authority(certificate, below=position - 1, profile=profile)
                _check_policies(path[position - 1], certificate)
        _check_leaf(first, role, profile)
        chain = ValidatedChain(
            role=role,
            leaf=first,
            sub_certificates=tuple(path[1:-1]),
            anchor=path[-1],
            public_key=public_key_of(first),
            common_name=common_name_of(first),
            expires_at_unix_s=min(c.not_valid_after_utc.timestamp() for c in path),
        )
    if is_revoked is not None:
        for certificate, issuer in pairwise(path):
            if is_revoked(certificate, issuer):
                raise ChainError(
                    ChainProblem.REVOKED, f"{name_of(certificate)} is revoked: its holder needs a new certificate"
                )
    return chain


@contextmanager
def readable(what: str | x509.Certificate) -> Iterator[None]:
    """Turns whatever reading certificates raises into :class:`ChainError`: ``cryptography`` reads fields late."""
    try:
        yield
    except Iso15118Error:
        raise
    except Exception as error:
        name = what if isinstance(what, str) else name_of(what)
        raise _invalid(f"{name} cannot be read: {_printable(str(error)) or type(error).__name__}") from error


def load_certificate(der: bytes, what: str) -> x509.Certificate:
    """A certificate of bounded size from DER. Raises :class:`ChainError` that says ``what`` it is."""
    if len(der) > LONGEST_CERTIFICATE:
        raise _invalid(f"a {what} has {len(der)} bytes, at most {LONGEST_CERTIFICATE} are taken")
    with readable(f"a {what}"):
        certificate = x509.load_der_x509_certificate(der)
        if certificate.version is not x509.Version.v3:
            raise _invalid(f"{name_of(certificate)} is no X.509 version 3 certificate")
        return certificate


def public_key_of(certificate: x509.Certificate) -> PublicKey:
    """Its key. Raises :class:`ChainError` for kinds that ISO 15118 does not know."""
    with readable(certificate):
        key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | ed448.Ed448PublicKey):
        raise _invalid(f"{name_of(certificate)} has a key that is neither of an elliptic curve nor Ed448")
    return key


def key_type(key: PublicKey) -> str:
    """``secp521r1``, ``ed448`` or another curve's name."""
    return key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else "ed448"


def common_name_of(certificate: x509.Certificate) -> str:
    """Its only common name. Raises :class:`ChainError` if there is none or more than one."""
    with readable(certificate):
        names = [str(n.value) for n in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not names[0]:
        raise _invalid(f"{name_of(certificate)} has {len(names)} common names, must have one")
    return names[0]


def extension_of(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    """What it says under an extension, None if it has none of that kind. Raises :class:`ChainError`."""
    with readable(certificate):
        try:
            return certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None


def name_of(certificate: x509.Certificate) -> str:
    """Its subject, for people: short, and without characters that would spoil a log."""
    try:
        return _printable(certificate.subject.rfc4514_string()) or "a certificate without subject"
    except Exception:
        return "a certificate whose subject cannot be read"


class _Search:
    """Depth first, anchors before sub certificates, so that the shortest path is found; at most 3 deep of 4."""

    def __init__(self, subs: list[x509.Certificate], anchors: TrustAnchors, profile: TlsProfile) -> None:
        # A root among them leads no further than to itself.
        self._subs = [s for s in subs if s.subject != s.issuer]
        self._anchors = anchors
        self._profile = profile
        self._broken = ""
        self._missing = ""

    def path_from(self, leaf: x509.Certificate) -> list[x509.Certificate]:
        """From leaf to anchor. Raises :class:`ChainError` for the best reason known."""
        path = self._continue([leaf])
        if path is not None:
            return path
        if self._broken:
            raise _invalid(self._broken)
        raise ChainError(ChainProblem.NO_ANCHOR, self._missing)

    def _continue(self, path: list[x509.Certificate]) -> list[x509.Certificate] | None:
        last = path[-1]
        for anchor in self._anchors.issuers_of(last):
            if self._signed(last, anchor):
                return [*path, anchor]
        issuers = [s for s in self._subs if s not in path and _may_have_issued(s, last)]
        if not issuers and not self._missing:
            self._missing = (
                f"{name_of(last)} leads to no trust anchor: neither the anchors nor the chain hold a certificate of "
                f"its issuer {_printable(last.issuer.rfc4514_string())}; install its root if it is to be trusted"
            )
        if issuers and len(path) > LONGEST_PATH:
            self._broken = f"the chain of {name_of(path[0])} is longer than {LONGEST_PATH} authorities"
            return None
        for issuer in issuers:
            if self._signed(last, issuer) and (found := self._continue([*path, issuer])) is not None:
                return found
        return None

    def _signed(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        # Before the signature is looked at, so that no peer chooses how long that takes.
        _check_algorithms(certificate, issuer, self._profile)
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            self._broken = f"{name_of(certificate)} is not signed by the key of {name_of(issuer)}"
            return False
        return True


def _may_have_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    wanted = extension_of(certificate, x509.AuthorityKeyIdentifier)
    has = extension_of(issuer, x509.SubjectKeyIdentifier)
    return wanted is None or wanted.key_identifier is None or has is None or wanted.key_identifier == has.digest


def _check_validity(path: Sequence[x509.Certificate], at_unix_s: float, not_before_counts: bool) -> None:
    for certificate in path:
        if at_unix_s > certificate.not_valid_after_utc.timestamp():
            raise ChainError(
                ChainProblem.EXPIRED,
                f"{name_of(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: it must be renewed",
            )
    for certificate in path if not_before_counts else ():
        if not at_unix_s >= certificate.not_valid_before_utc.timestamp():
            raise ChainError(
                ChainProblem.NOT_YET_VALID,
                f"{name_of(certificate)} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on: "
                "check the clock",
            )


def _check_algorithms(certificate: x509.Certificate, issuer: x509.Certificate, profile: TlsProfile) -> None:
    _check_key(issuer, profile)
    if certificate.signature_algorithm_oid not in _SIGNATURES[profile]:
        raise _invalid(
            f"{name_of(certificate)} is signed with an algorithm ({certificate.signature_algorithm_oid.dotted_string}) "
            f"that the profile {profile} does not take"
        )


def _check_key(certificate: x509.Certificate, profile: TlsProfile) -> None:
    kind = key_type(public_key_of(certificate))
    if kind not in _KEYS[profile]:
        remedy = ": use compat for this peer" if kind in _KEYS[TlsProfile.COMPAT] else ""
        raise _invalid(f"{name_of(certificate)} has a {kind} key, which the profile {profile} does not take{remedy}")


def _check_own_anchor(leaf: x509.Certificate, role: Role) -> None:
    """A private site's SECC may be its own root; nobody else."""
    if role is not Role.SECC:
        raise _invalid(f"{name_of(leaf)} is a trust anchor and is shown as a {role} certificate itself")


def _check_certificate(certificate: x509.Certificate, profile: TlsProfile) -> None:
    _check_key(certificate, profile)
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _MAY_BE_CRITICAL:
            raise _invalid(
                f"{name_of(certificate)} has a critical extension that is not understood: {extension.oid.dotted_string}"
            )


def _check_authority(certificate: x509.Certificate, *, below: int, profile: TlsProfile) -> None:
    """``below``: authorities between this one and the leaf."""
    constraints = extension_of(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise _invalid(f"{name_of(certificate)} signed a certificate and is no certification authority")
    if constraints.path_length is not None and constraints.path_length < below:
        raise _invalid(
            f"{name_of(certificate)} permits {constraints.path_length} authorities below it, the chain has {below}"
        )
    usage = _usage(certificate, profile)
    if usage is not None and not usage.key_cert_sign:
        raise _invalid(f"the key usage of {name_of(certificate)} does not permit signing certificates")


def _check_leaf(leaf: x509.Certificate, role: Role, profile: TlsProfile) -> None:
    constraints = extension_of(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise _invalid(f"{name_of(leaf)} is a certification authority, not a {role} certificate")
    usage = _usage(leaf, profile)
    if usage is not None:
        if not usage.digital_signature or usage.key_cert_sign:
            raise _invalid(f"the key usage of {name_of(leaf)} is not that of a {role} certificate (digitalSignature)")
        if role is Role.OEM_PROVISIONING and not usage.key_agreement:
            raise _invalid(f"the key usage of {name_of(leaf)} does not hold keyAgreement ([V2G20-822])")
    _check_purpose(leaf, role)
    _check_domain(leaf, role, profile)


def _check_purpose(leaf: x509.Certificate, role: Role) -> None:
    try:
        found = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return
    wanted = _PURPOSES.get(role)
    binding = found.critical or wanted is not None
    if binding and wanted not in found.value and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in found.value:
        raise _invalid(f"the extended key usage of {name_of(leaf)} is not that of a {role} certificate")


def _check_domain(leaf: x509.Certificate, role: Role, profile: TlsProfile) -> None:
    found = {str(n.value).strip().upper() for n in leaf.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)}
    known = found & (ROLES | {"EV"})
    if known and not known <= _DOMAINS[role]:
        raise _invalid(f"{name_of(leaf)} has the domain component {', '.join(sorted(known))}: not a {role} certificate")
    if not known and profile is TlsProfile.STRICT and role in _DOMAIN_IS_MANDATORY:
        raise _invalid(
            f"{name_of(leaf)} has no domain component {', '.join(sorted(_DOMAINS[role]))}, as a {role} certificate must"
        )


def _usage(certificate: x509.Certificate, profile: TlsProfile) -> x509.KeyUsage | None:
    usage = extension_of(certificate, x509.KeyUsage)
    if usage is None and profile is TlsProfile.STRICT:
        raise _invalid(f"{name_of(certificate)} has no key usage, which the profile strict needs")
    return usage


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:160]


def _check_policies(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """RFC 5280, 6.1: what an authority was given policies for, what is below it may only have of these."""
    allowed, claimed = _policies(issuer), _policies(certificate)
    mapped = any(extension.oid == _POLICY_MAPPINGS for extension in issuer.extensions)
    if allowed is None or claimed is None or _ANY_POLICY in allowed or mapped:
        return
    if excess := sorted(oid.dotted_string for oid in claimed - allowed - {_ANY_POLICY}):
        raise _invalid(
            f"{name_of(certificate)} claims the certificate policy {', '.join(excess)}, which its issuer "
            f"{name_of(issuer)} may not give: the authority must issue it under its own policy"
        )


def _policies(certificate: x509.Certificate) -> set[x509.ObjectIdentifier] | None:
    found = extension_of(certificate, x509.CertificatePolicies)
    return None if found is None else {policy.policy_identifier for policy in found}


def _invalid(message: str) -> ChainError:
    return ChainError(ChainProblem.INVALID, message)
