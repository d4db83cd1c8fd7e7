"""Questions to OCSP responders and their answers (RFC 6960). Pure.

An answer is believed when the issuer's key signed it, or a responder's that the issuer authorised for it (extended key
usage OCSPSigning). Whether that responder's own certificate was revoked is not looked at: they live for days or weeks.
A nonce that comes back must be ours; responders that prepare their answers send none, and are believed until
nextUpdate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from pyiso15118.security.chain import extension_of, name_of, public_key_of
from v2g.pki.revocation import SKEW_S, Finding, Verdict, digest_of, staleness, verify_digest

LARGEST_ANSWER = 64 * 1024
NONCE_BYTES = 32
WITHOUT_NEXT_UPDATE_S = 300.0
"""Such an answer is of the moment, and holds no longer."""


class OcspError(ValueError):
    """No answer about the certificate that can be believed, and why."""


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """Believed; ``finding`` is GOOD, REVOKED, or UNKNOWN where the responder does not know the certificate."""

    finding: Finding
    this_update_s: float
    next_update_s: float

    def finding_at(self, at_unix_s: float, is_lower_bound: bool = False) -> Finding:
        """What it says then: revoked for good, else unknown when it is old."""
        if self.finding.verdict is Verdict.REVOKED:
            return self.finding
        problem = staleness(self.this_update_s, self.next_update_s, at_unix_s, is_lower_bound)
        return Finding(Verdict.UNKNOWN, f"the OCSP answer {problem}") if problem else self.finding


def responder_url(certificate: x509.Certificate) -> str:
    """The first http responder that a certificate names, empty if there is none."""
    access = extension_of(certificate, x509.AuthorityInformationAccess)
    for description in access or ():
        if description.access_method != AuthorityInformationAccessOID.OCSP:
            continue
        location = description.access_location
        if isinstance(location, x509.UniformResourceIdentifier) and location.value.lower().startswith("http://"):
            return location.value
    return ""


def build_question(certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes | None) -> bytes:
    """The request in DER. Raises ``ValueError`` for certificates that cannot be asked about."""
    # SHA-1 only tells certificates apart here, and is the one that every responder knows (RFC 5019, 2.1.1).
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def read_answer(
    der: bytes,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    *,
    at_unix_s: float,
    is_lower_bound: bool = False,
    nonce: bytes | None = None,
) -> OcspAnswer:
    """What a responder says about ``certificate``, which ``issuer`` issued. Raises :class:`OcspError`."""
    if len(der) > LARGEST_ANSWER:
        raise OcspError(f"the answer has {len(der)} bytes, at most {LARGEST_ANSWER} are taken")
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspError(f"the responder says {response.response_status.name.lower().replace('_', ' ')}")
        _check_nonce(response, nonce)
        single = _about(response, certificate, issuer)
        _check_signature(response, issuer, at_unix_s, is_lower_bound)
        return _answer(single, certificate, at_unix_s, is_lower_bound)
    except OcspError:
        raise
    except Exception as error:  # fields are read late, and raise what they like
        words = "".join(c if c.isprintable() else "?" for c in str(error))[:160]
        raise OcspError(f"the answer cannot be read: {words}") from None


def _check_nonce(response: ocsp.OCSPResponse, nonce: bytes | None) -> None:
    try:
        returned = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return
    if nonce is not None and returned != nonce:
        raise OcspError("the answer is to another question (its nonce is not ours)")


def _about(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    for single in response.responses:
        algorithm = single.hash_algorithm
        if (
            single.serial_number == certificate.serial_number
            and single.issuer_name_hash == _hash(issuer.subject.public_bytes(), algorithm)
            and single.issuer_key_hash == _hash(_key_bits(issuer), algorithm)
        ):
            return single
    raise OcspError(f"the answer is not about {name_of(certificate)}")


def _check_signature(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, at_unix_s: float, is_lower_bound: bool
) -> None:
    algorithm = response.signature_hash_algorithm
    digest = digest_of(response.tbs_response_bytes, algorithm)
    for signer in _signers(response, issuer, at_unix_s, is_lower_bound):
        if not _is_responder(signer, response):
            continue
        try:
            verify_digest(signer, response.signature, digest, algorithm)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            continue
        return
    raise OcspError(f"the answer is not signed by {name_of(issuer)}, nor by a responder that it authorised")


def _signers(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, at_unix_s: float, is_lower_bound: bool
) -> Iterator[x509.Certificate]:
    """Who may sign for the issuer: itself, and those that it authorised."""
    yield issuer
    for delegate in response.certificates[:4]:
        purposes = extension_of(delegate, x509.ExtendedKeyUsage)
        if purposes is None or ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
            continue
        usage = extension_of(delegate, x509.KeyUsage)
        if usage is not None and not usage.digital_signature:
            continue
        begins, ends = delegate.not_valid_before_utc.timestamp(), delegate.not_valid_after_utc.timestamp()
        if at_unix_s > ends or (not is_lower_bound and at_unix_s + SKEW_S < begins):
            continue
        try:
            delegate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            continue
        yield delegate


def _is_responder(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    if response.responder_name is not None:
        return signer.subject == response.responder_name
    return response.responder_key_hash == _hash(_key_bits(signer), hashes.SHA1())  # noqa: S303  RFC 6960, 4.2.1


def _answer(
    single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, at_unix_s: float, is_lower_bound: bool
) -> OcspAnswer:
    who = name_of(certificate)
    this_s = single.this_update_utc.timestamp()
    next_update = single.next_update_utc
    next_s = this_s + WITHOUT_NEXT_UPDATE_S if next_update is None else next_update.timestamp()
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        when, why = single.revocation_time_utc, single.revocation_reason
        since = f" since {when:%Y-%m-%d}" if when is not None else ""
        return OcspAnswer(
            Finding(Verdict.REVOKED, f"{who} is revoked{since}{f', {why.value}' if why else ''} (OCSP)"), this_s, next_s
        )
    if problem := staleness(this_s, next_s, at_unix_s, is_lower_bound):
        raise OcspError(f"the answer {problem}")
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return OcspAnswer(Finding(Verdict.GOOD), this_s, next_s)
    return OcspAnswer(Finding(Verdict.UNKNOWN, f"the OCSP responder does not know {who}"), this_s, next_s)


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The key without its algorithm, of which OCSP makes its hashes."""
    key = public_key_of(certificate)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_bytes_raw()


def _hash(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
