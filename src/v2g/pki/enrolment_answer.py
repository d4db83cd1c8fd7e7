"""What a server's answer to a certificate request must be, whatever the protocol; and its words, fit for people."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from pyiso15118.security.chain import name_of
from v2g.pki.model import PkiError

MOST_CERTIFICATES = 16
"""In one answer: the leaf, its authorities, and what a server adds."""
_LONGEST_WORDS = 200
_NAMES = {
    NameOID.COMMON_NAME: "common name",
    NameOID.ORGANIZATION_NAME: "organization",
    NameOID.COUNTRY_NAME: "country",
    NameOID.DOMAIN_COMPONENT: "domain component",
}


class EnrolmentPending(PkiError):
    """The server has taken the request and wants to be asked again: request and key must be kept until then."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def issued_first(
    server: str, csr: x509.CertificateSigningRequest, answer: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """The certificate for the request's key, then the others, each once, in the server's order.

    Whether they lead to a trusted root is not looked at. Raises :class:`PkiError` where not exactly one certificate is
    for the key, or its subject lacks what the request has; a server may add to the subject.
    """
    if len(answer) > MOST_CERTIFICATES:
        raise PkiError(f"{server} answered with {len(answer)} certificates, at most {MOST_CERTIFICATES} are taken")
    try:
        unique = list(dict.fromkeys(answer))
        key = _spki(csr)
        issued = [certificate for certificate in unique if _spki(certificate) == key]
    except Exception as error:  # fields are read late, and raise what they like
        raise PkiError(f"{server} answered with a certificate that cannot be read: {printable(str(error))}") from None
    if not issued:
        found = ", ".join(name_of(certificate) for certificate in unique[:3]) or "none at all"
        raise PkiError(
            f"{server} answered without a certificate for our key (but {found}): it signed another request, or its "
            "configuration returns a fixed certificate; ask its operator"
        )
    if len(issued) > 1:
        raise PkiError(f"{server} answered with {len(issued)} certificates for our key, must be one: ask its operator")
    _check_subject(server, csr, issued[0])
    return issued[0], *(certificate for certificate in unique if certificate is not issued[0])


def printable(text: str, longest: int = _LONGEST_WORDS) -> str:
    """One line of a stranger's words: without mark-up, control characters and what is too much."""
    plain = " ".join(re.sub(r"<[^<>]{0,200}>", " ", text[: 16 * longest]).split())
    clipped = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    return "".join(c if c.isprintable() else "?" for c in clipped)


def _spki(of: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_subject(server: str, csr: x509.CertificateSigningRequest, issued: x509.Certificate) -> None:
    try:
        has = {(attribute.oid, attribute.value) for attribute in issued.subject}
    except Exception as error:
        raise PkiError(f"{server} issued a certificate whose subject cannot be read: {printable(str(error))}") from None
    missing = [attribute for attribute in csr.subject if (attribute.oid, attribute.value) not in has]
    if missing:
        wanted = ", ".join(f"{_NAMES.get(a.oid, a.rfc4514_attribute_name)} {str(a.value)!r}" for a in missing)
        raise PkiError(
            f"{server} issued a certificate for another subject ({name_of(issued)}), without the {wanted} of the "
            "request: set pki.subject as the server has it, or ask its operator"
        )
