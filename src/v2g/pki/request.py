"""The certificate signing request: what a SECC's certificate is to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from v2g.config.schema import Config
from v2g.pki.mesh_ca import general_name
from v2g.pki.model import PkiError, PrivateKey

SECC_DOMAIN = "CPO"
_LONGEST_NAME = 64
"""RFC 5280 appendix A.1."""


@dataclass(frozen=True, slots=True)
class SubjectNames:
    """``country`` and ``organization`` may be empty: they are left out then."""

    common_name: str
    organization: str = ""
    country: str = ""
    dns_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Config) -> Self:
        """As ``pki.subject`` says; what is empty there comes from the first EVSE and the site."""
        subject = config.pki.subject
        return cls(
            subject.common_name or config.evses[0].id,
            subject.organization or config.site.name,
            subject.country,
            subject.dns_names,
        )


def build_request(key: PrivateKey, names: SubjectNames, *, client_too: bool = False) -> x509.CertificateSigningRequest:
    """A PKCS#10 request, signed with ``key``, for a leaf as ISO 15118-20 has it for a SECC.

    Subject with domain component CPO; key usage digitalSignature, extended key usage serverAuth, not an authority.
    ``client_too``: clientAuth as well, for servers that renew by the TLS client certificate (EST).
    Raises :class:`PkiError` for names that X.509 does not take, and what the token of ``key`` raises.
    """
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if client_too else [])]
    try:
        builder = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(_subject(names))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_DIGITAL_SIGNATURE, critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if names.dns_names:
            general = [x509.DNSName(name) for name in names.dns_names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    except ValueError as error:
        raise PkiError(f"pki.subject cannot be put into a certificate: {error}") from error
    try:
        return builder.sign(key, digest_for(key))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PkiError(f"the key cannot sign a certificate request: {error}") from error


def build_mesh_request(
    key: PrivateKey, node: str, addresses: Sequence[str], *, where: str = "the addresses"
) -> x509.CertificateSigningRequest:
    """A request for a member of a mesh: ``node`` is its common name, ``addresses`` are what it is dialled by.

    For both sides of a link: serverAuth and clientAuth. Raises :class:`PkiError`.
    """
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    try:
        names = x509.SubjectAlternativeName([general_name(each) for each in addresses])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node)])
    except ValueError as error:
        raise PkiError(f"{where} cannot be put into a certificate: {error}") from error
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_DIGITAL_SIGNATURE, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(names, critical=False)
        .sign(key, digest_for(key))
    )


def digest_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA512 | None:
    """ecdsa_secp521r1_sha512 and ed448 of the standard; SHA-256 with P-256."""
    if isinstance(key, ed448.Ed448PrivateKey):
        return None
    return hashes.SHA512() if isinstance(key.curve, ec.SECP521R1) else hashes.SHA256()


def request_pem(csr: x509.CertificateSigningRequest) -> bytes:
    return csr.public_bytes(Encoding.PEM)


def _subject(names: SubjectNames) -> x509.Name:
    if len(names.organization) > _LONGEST_NAME:
        raise ValueError(f"the organization has {len(names.organization)} characters, may have {_LONGEST_NAME}")
    given = (
        (NameOID.COUNTRY_NAME, names.country),
        (NameOID.ORGANIZATION_NAME, names.organization),
        (NameOID.COMMON_NAME, names.common_name),
        (NameOID.DOMAIN_COMPONENT, SECC_DOMAIN),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in given if value])


_DIGITAL_SIGNATURE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
