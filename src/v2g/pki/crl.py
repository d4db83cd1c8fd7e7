"""Certificate revocation lists (RFC 5280, 5 and 6.3): reading, verifying, looking up. Pure.

Large lists are read while vehicles charge: nothing here holds the interpreter for long, so that a thread can do it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID

from pyiso15118.security.chain import extension_of, name_of
from v2g.pki.revocation import Finding, Verdict, digest_of, staleness, verify_digest

LARGEST_CRL = 16 << 20
"""Bytes; about 300,000 entries."""
MOST_CRLS = 64
_KNOWN_EXTENSIONS = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.FRESHEST_CRL,
}
_KNOWN_ENTRY_EXTENSIONS = {x509.CRLReason.oid, x509.InvalidityDate.oid}
_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
_PEM = re.compile(_BEGIN + b"[^-]*" + _END)


class CrlError(ValueError):
    """A CRL that cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which certificates of its issuer a CRL is about (RFC 5280, 5.2.5). ``uris`` empty: all, whatever they name."""

    leaves: bool = True
    authorities: bool = True
    uris: frozenset[str] = frozenset()

    def holds(self, certificate: x509.Certificate) -> bool:
        constraints = extension_of(certificate, x509.BasicConstraints)
        is_authority = constraints is not None and constraints.ca
        if not (self.authorities if is_authority else self.leaves):
            return False
        return not self.uris or not self.uris.isdisjoint(crl_urls(certificate))


@dataclass(frozen=True, slots=True, eq=False)
class Crl:
    """``name``: of its file. Times are Unix seconds; ``next_update_s`` None: it does not say until when it holds."""

    name: str
    issuer: bytes
    """Its :func:`name_key`."""
    this_update_s: float
    next_update_s: float | None
    scope: Scope
    serials: frozenset[int]
    parsed: x509.CertificateRevocationList
    digest: bytes
    """Of what is signed; with Ed448 and Ed25519, which have no digest before, that itself."""
    _verified: dict[bytes, bool] = field(default_factory=dict)
    _details: dict[int, str] = field(default_factory=dict)

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Whether its signature is of this issuer's key, which may sign CRLs. Quick after the first time."""
        known = _fingerprint(issuer)
        if known not in self._verified:
            if len(self._verified) >= MOST_CRLS:
                self._verified.clear()
            self._verified[known] = self._verify(issuer)
        return self._verified[known]

    def _verify(self, issuer: x509.Certificate) -> bool:
        usage = extension_of(issuer, x509.KeyUsage)
        if usage is not None and not usage.crl_sign:
            return False
        try:
            verify_digest(issuer, self.parsed.signature, self.digest, self.parsed.signature_hash_algorithm)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True

    def entry(self, serial: int) -> str:
        """When and why that certificate was revoked, for people."""
        if serial not in self._details:
            if len(self._details) >= MOST_CRLS:
                self._details.clear()
            self._details[serial] = _entry_words(self.parsed, serial)
        return self._details[serial]


def read_crls(data: bytes, name: str) -> list[Crl]:
    """The CRLs of a file, PEM (several may follow each other) or DER.

    Raises :class:`CrlError` for what cannot be used: too large, no CRL, a delta CRL, an indirect one, one for some
    reasons only, one with a critical extension that is not understood.
    """
    if len(data) > LARGEST_CRL:
        raise CrlError(f"{name} has {len(data)} bytes, at most {LARGEST_CRL} are taken")
    try:
        if b"-----BEGIN" not in data[:4096]:
            return [_crl(x509.load_der_x509_crl(data), data, name)]
        texts = _PEM.findall(data)
        if not 1 <= len(texts) <= MOST_CRLS:
            raise CrlError(f"{name} holds {len(texts)} CRLs, must be 1 to {MOST_CRLS}")
        ders = [base64.b64decode(text[len(_BEGIN) : -len(_END)]) for text in texts]
        return [_crl(x509.load_der_x509_crl(der), der, name) for der in ders]
    except CrlError:
        raise
    except Exception as error:  # fields are read late, and raise what they like
        raise CrlError(f"{name} is no CRL that can be read: {_plain(str(error))}") from None


class CrlShelf:
    """All CRLs that are at hand, by issuer, the newest first. Does not change."""

    def __init__(self, crls: Iterable[Crl] = (), unusable: Sequence[str] = ()) -> None:
        """``unusable``: a sentence for each file that may hold a CRL and cannot be used."""
        self.unusable = tuple(unusable)
        self._by_issuer: dict[bytes, list[Crl]] = {}
        for crl in sorted(crls, key=lambda each: each.this_update_s, reverse=True):
            self._by_issuer.setdefault(crl.issuer, []).append(crl)

    def __iter__(self) -> Iterator[Crl]:
        return (crl for crls in self._by_issuer.values() for crl in crls)

    def issuers(self) -> frozenset[bytes]:
        """Their :func:`name_key`."""
        return frozenset(self._by_issuer)

    def look_up(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        *,
        at_unix_s: float,
        is_lower_bound: bool = False,
        anchors: Sequence[x509.Certificate] = (),
        missing: str = "",
    ) -> Finding:
        """By the newest verified CRL about ``certificate``, which ``issuer`` issued.

        ``anchors``: trust anchors, one of which may sign where it has the issuer's name (a key that was changed).
        ``missing``: a sentence why a CRL of this issuer should be here, should there be none; empty: none need be.
        """
        who = name_of(certificate)
        listed = self._by_issuer.get(name_key(issuer.subject), [])
        about = [crl for crl in listed if crl.scope.holds(certificate)]
        if not about:
            if listed:
                missing = f"no CRL of {name_of(issuer)} is about such certificates"
            if missing:
                return Finding(Verdict.UNKNOWN, f"revocation of {who} is not known: {missing}")
            if self.unusable:
                return Finding(Verdict.UNKNOWN, f"revocation of {who} is not known: {self.unusable[0]}")
            return Finding(Verdict.NOT_COVERED)
        signers = [issuer, *(a for a in anchors if a.subject == issuer.subject and a != issuer)]
        crl = next((crl for crl in about if any(crl.is_signed_by(signer) for signer in signers)), None)
        if crl is None:
            return Finding(
                Verdict.UNKNOWN,
                f"revocation of {who} is not known: {about[0].name} is not signed by {name_of(issuer)}, which issued "
                "it; replace the file",
            )
        if certificate.serial_number in crl.serials:
            return Finding(Verdict.REVOKED, f"{who} is revoked {crl.entry(certificate.serial_number)} ({crl.name})")
        if problem := staleness(crl.this_update_s, crl.next_update_s, at_unix_s, is_lower_bound):
            return Finding(Verdict.UNKNOWN, f"revocation of {who} is not known: {crl.name} {problem}; fetch a new one")
        return Finding(Verdict.GOOD)


def name_key(name: x509.Name) -> bytes:
    """The same for names that chains are built by as the same, in whatever kinds of strings they are written."""
    parts = (sorted(f"{a.oid.dotted_string}={a.value!r}" for a in rdn) for rdn in name.rdns)
    return "\n".join("+".join(part) for part in parts).encode()


def crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Where a certificate says that its issuer's CRL is had, over any protocol."""
    points = extension_of(certificate, x509.CRLDistributionPoints)
    return tuple(uri for point in points or () if point.crl_issuer is None for uri in _uris(point.full_name))


def _crl(crl: x509.CertificateRevocationList, der: bytes, name: str) -> Crl:
    scope = _scope(crl, name)
    next_update = crl.next_update_utc
    serials = []
    for entry in crl:
        serials.append(entry.serial_number)
        for extension in entry.extensions:
            if extension.critical and extension.oid not in _KNOWN_ENTRY_EXTENSIONS:
                raise CrlError(
                    f"{name} has an entry with a critical extension that is not understood: "
                    f"{extension.oid.dotted_string}"
                )
    return Crl(
        name=name,
        issuer=name_key(crl.issuer),
        this_update_s=crl.last_update_utc.timestamp(),
        next_update_s=None if next_update is None else next_update.timestamp(),
        scope=scope,
        serials=frozenset(serials),
        parsed=crl,
        digest=digest_of(_signed_part(der), crl.signature_hash_algorithm),
    )


def _scope(crl: x509.CertificateRevocationList, name: str) -> Scope:
    scope = Scope()
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise CrlError(f"{name} is a delta CRL: whole ones are taken only")
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl:
                raise CrlError(f"{name} is an indirect CRL, for certificates of other issuers: not taken")
            if value.only_some_reasons is not None:
                raise CrlError(f"{name} is for some reasons only: one for all reasons is needed")
            if value.only_contains_attribute_certs:
                raise CrlError(f"{name} is for attribute certificates")
            if value.relative_name is not None:
                raise CrlError(f"{name} names its distribution point in a way that is not understood")
            scope = Scope(
                leaves=not value.only_contains_ca_certs,
                authorities=not value.only_contains_user_certs,
                uris=frozenset(_uris(value.full_name)),
            )
            if value.full_name and not scope.uris:
                raise CrlError(f"{name} names its distribution point in a way that is not understood")
        elif extension.critical and extension.oid not in _KNOWN_EXTENSIONS:
            raise CrlError(f"{name} has a critical extension that is not understood: {extension.oid.dotted_string}")
    return scope


def _signed_part(der: bytes) -> bytes:
    """The first element of the outer SEQUENCE. ``tbs_certlist_bytes`` is the same, made anew in tenths of a second."""
    _, begin, _ = _element(der, 0)
    start, _, end = _element(der, begin)
    return der[start:end]


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Where a DER element starts, where its content starts, and where it ends. For DER that was parsed before."""
    length, content = der[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[content : content + octets], "big")
        content += octets
    return at, content, content + length


def _entry_words(crl: x509.CertificateRevocationList, serial: int) -> str:
    entry = crl.get_revoked_certificate_by_serial_number(serial)
    if entry is None:
        return ""
    try:
        reason = f", {entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value}"
    except (x509.ExtensionNotFound, ValueError):
        reason = ""
    return f"since {entry.revocation_date_utc:%Y-%m-%d}{reason}"


def _uris(names: Iterable[x509.GeneralName] | None) -> list[str]:
    return [name.value for name in names or () if isinstance(name, x509.UniformResourceIdentifier)]


def _fingerprint(certificate: x509.Certificate) -> bytes:
    return certificate.fingerprint(hashes.SHA256())


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:160]
