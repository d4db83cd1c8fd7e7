"""A certification authority for tests, with what it publishes: certificates for requests and servers, CRLs, OCSP."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

CN, DC, ORG = NameOID.COMMON_NAME, NameOID.DOMAIN_COMPONENT, NameOID.ORGANIZATION_NAME
DAY_S = 86400.0


def utc(unix_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(unix_s, tz=datetime.UTC)


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def digest_for(key: Any) -> hashes.HashAlgorithm | None:
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return hashes.SHA512() if isinstance(key.curve, ec.SECP521R1) else hashes.SHA256()


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_private(path: Path, data: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


class TestAuthority:
    """``at``: Unix time about which everything is valid, from a day before to ten years (leaves: 90 days) after."""

    __test__ = False

    def __init__(
        self,
        common_name: str,
        at: float,
        *,
        issuer: TestAuthority | None = None,
        domain: str = "",
        key: Any = None,
        extensions: Iterable[x509.ExtensionType] = (),
        crl_sign: bool = True,
    ) -> None:
        self.at = at
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.issuer = issuer
        self.crl_number = 0
        subject = name((CN, common_name), *([(DC, domain)] if domain else []))
        signer = issuer or self
        builder = self._builder(subject, issuer.certificate.subject if issuer else subject, self.key.public_key(), 3650)
        builder = builder.add_extension(x509.BasicConstraints(True, 0 if issuer else None), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=crl_sign), critical=True)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        self.certificate = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False
        ).sign(signer.key, digest_for(signer.key))

    @property
    def chain(self) -> list[x509.Certificate]:
        """This authority and those above it but the root."""
        return [self.certificate, *self.issuer.chain] if self.issuer else []

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, public_key: Any, days: float, begins: float | None = None
    ) -> x509.CertificateBuilder:
        begin = self.at - DAY_S if begins is None else begins
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(utc(begin))
            .not_valid_after(utc(begin + days * DAY_S))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )

    def leaf(
        self,
        subject: x509.Name,
        public_key: Any,
        *,
        purpose: x509.ObjectIdentifier | Sequence[x509.ObjectIdentifier] | None = None,
        extensions: Iterable[x509.ExtensionType] = (),
        days: float = 90.0,
        begins: float | None = None,
    ) -> x509.Certificate:
        builder = self._builder(subject, self.certificate.subject, public_key, days, begins)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(_usage(digital_signature=True), critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if purpose is not None:
            purposes = [purpose] if isinstance(purpose, x509.ObjectIdentifier) else purpose
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, digest_for(self.key))

    def sign_request(
        self,
        csr: x509.CertificateSigningRequest,
        *,
        days: float = 90.0,
        extensions: Iterable[x509.ExtensionType] = (),
        purpose: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    ) -> x509.Certificate:
        return self.leaf(
            csr.subject,
            csr.public_key(),
            purpose=purpose,
            days=days,
            extensions=extensions,
            begins=self.at - 60.0,
        )

    def server_files(self, folder: Path, *, hosts: Sequence[str] = ("localhost", "127.0.0.1")) -> tuple[Path, Path]:
        """Chain and key of a TLS server."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        certificate = self.leaf(
            name((CN, "server")),
            key.public_key(),
            purpose=ExtendedKeyUsageOID.SERVER_AUTH,
            extensions=[x509.SubjectAlternativeName(names)],
        )
        chain = folder / "server.pem"
        chain.write_bytes(pem(certificate, *self.chain))
        return chain, write_private(folder / "server.key", key_pem(key))

    # ---- revocation ----

    def crl(
        self,
        *revoked: int | x509.Certificate,
        this_update: float | None = None,
        next_update: float | None = None,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        key: Any = None,
        reason: x509.ReasonFlags | None = None,
    ) -> bytes:
        """In DER."""
        this = self.at - 3600.0 if this_update is None else this_update
        self.crl_number += 1
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(utc(this))
            .next_update(utc(this + 7 * DAY_S if next_update is None else next_update))
            .add_extension(x509.CRLNumber(self.crl_number), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key((key or self.key).public_key()), critical=False
            )
        )
        for each in revoked:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(each if isinstance(each, int) else each.serial_number)
                .revocation_date(utc(this - 60.0))
            )
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(key or self.key, digest_for(key or self.key)).public_bytes(Encoding.DER)

    def responder(self, **options: Any) -> tuple[x509.Certificate, Any]:
        """A delegated OCSP responder's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        options = {"purpose": ExtendedKeyUsageOID.OCSP_SIGNING, **options}
        return self.leaf(name((CN, "OCSP responder")), key.public_key(), **options), key

    def ocsp(
        self,
        certificate: x509.Certificate,
        *,
        revoked: bool = False,
        unknown: bool = False,
        this_update: float | None = None,
        next_update: float | None = None,
        no_next_update: bool = False,
        nonce: bytes | None = None,
        signer: tuple[x509.Certificate, Any] | None = None,
        issuer: x509.Certificate | None = None,
        key: Any = None,
        algorithm: hashes.HashAlgorithm | None = None,
        by_name: bool = False,
    ) -> bytes:
        """A response in DER, signed by this authority, or by ``signer`` (whose certificate is put in)."""
        this = self.at - 60.0 if this_update is None else this_update
        status = ocsp.OCSPCertStatus.GOOD
        if revoked or unknown:
            status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.UNKNOWN
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=certificate,
            issuer=issuer or self.certificate,
            algorithm=algorithm or hashes.SHA1(),  # noqa: S303
            cert_status=status,
            this_update=utc(this),
            next_update=None if no_next_update else utc(this + DAY_S if next_update is None else next_update),
            revocation_time=utc(this - 60.0) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        signs, signing_key = signer or (self.certificate, self.key)
        encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
        builder = builder.responder_id(encoding, signs)
        if signer is not None:
            builder = builder.certificates([signs])
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        used = key or signing_key
        return builder.sign(used, digest_for(used)).public_bytes(Encoding.DER)


def responder_at(url: str) -> x509.AuthorityInformationAccess:
    """What a certificate says of its OCSP responder."""
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))]
    )


def crl_at(*urls: str) -> x509.CRLDistributionPoints:
    """What a certificate says of where its issuer's CRL is had."""
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.UniformResourceIdentifier(url) for url in urls], None, None, None)]
    )


def request_for(key: Any, subject: x509.Name | None = None) -> x509.CertificateSigningRequest:
    subject = subject or name((ORG, "Maple Street"), (CN, "US*V2G*E1"), (DC, "CPO"))
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, digest_for(key))


def _usage(**granted: bool) -> x509.KeyUsage:
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{each: granted.get(each, False) for each in every})
