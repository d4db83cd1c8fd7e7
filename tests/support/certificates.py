"""Certificates that no authority of ours would issue."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.x509.oid import NameOID

from pyiso15118.security import Credential, Curve

NOT_BEFORE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Recipe:
    """A certificate: by default the leaf of a contract under ``issuer``."""

    issuer: Credential | None
    curve: Curve = Curve.SECP521R1
    subject: tuple[tuple[x509.ObjectIdentifier, str], ...] = ((NameOID.COMMON_NAME, "USV2GC123456786"),)
    key: Any = None
    ca: bool | None = None
    path_length: int | None = None
    usage: frozenset[str] | None = frozenset({"digital_signature", "key_agreement"})
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    critical: tuple[x509.ExtensionType, ...] = ()
    extensions: tuple[x509.ExtensionType, ...] = ()
    identifiers: bool = True
    not_before: datetime.datetime = NOT_BEFORE
    days: int = 365
    digest: Any = "of the curve"

    def authority(self, path_length: int | None = 0, **changes: Any) -> Recipe:
        usage = frozenset({"key_cert_sign"})
        return replace(self, **({"ca": True, "path_length": path_length, "usage": usage} | changes))

    def make(self) -> Credential:
        key = self.key or self.curve.generate()
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in self.subject])
        issuer_key = self.issuer.key if self.issuer else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.issuer.certificate.subject if self.issuer else name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_before + datetime.timedelta(days=self.days))
        )
        for extension, is_critical in self._extensions(key, issuer_key):
            builder = builder.add_extension(extension, critical=is_critical)
        digest = self.curve.digest if self.digest == "of the curve" else self.digest
        if isinstance(issuer_key, ed448.Ed448PrivateKey):
            digest = None
        certificate = builder.sign(issuer_key, digest)
        if self.issuer is None:
            return Credential(certificate, key)
        is_root = self.issuer.certificate.subject == self.issuer.certificate.issuer
        above = () if is_root else (self.issuer.certificate, *self.issuer.chain)
        return Credential(certificate, key, above)

    def _extensions(self, key: Any, issuer_key: Any) -> list[tuple[x509.ExtensionType, bool]]:
        found: list[tuple[x509.ExtensionType, bool]] = []
        if self.ca is not None:
            found.append((x509.BasicConstraints(ca=self.ca, path_length=self.path_length if self.ca else None), True))
        if self.usage is not None:
            names = (
                *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
                *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
            )
            found.append((x509.KeyUsage(**{name: name in self.usage for name in names}), True))
        if self.purposes:
            found.append((x509.ExtendedKeyUsage(self.purposes), False))
        if self.identifiers:
            found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
            found.append((authority, False))
        found += [(extension, True) for extension in self.critical]
        return found + [(extension, False) for extension in self.extensions]
