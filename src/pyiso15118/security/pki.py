"""A small public key infrastructure made in memory: for the simulation (P-521) and for tests (P-256).

    V2G root ─┬─ CPO sub CA ── SECC leaf                (what the vehicle verifies)
              └─ CPS sub CA ── CPS leaf                 (who signs contracts on their way into a vehicle)
    OEM root ─── OEM sub CA ─┬─ vehicle leaf            (what the SECC verifies)
                             └─ provisioning leaf       (by which a vehicle asks for contracts)
    MO root ──── MO sub CA ──── contract leaf           (who pays)

Not for production: keys live in memory and root keys are as near as the leaves'.
"""

from __future__ import annotations

import datetime
import enum
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.x509.oid import NameOID

from pyiso15118.security.contract_key import ALTERNATIVE_KEY, new_ed448_contract_key

PrivateKey = ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey

LEAF_DAYS = 365
CA_DAYS = 3650


class Curve(enum.Enum):
    """ISO 15118-20 wants secp521r1 or Ed448; secp256r1 is what older stacks have, and is quicker in tests."""

    SECP521R1 = "secp521r1"
    SECP256R1 = "secp256r1"
    ED448 = "ed448"

    def generate(self) -> PrivateKey:
        """A new key on this curve."""
        if self is Curve.ED448:
            return new_ed448_contract_key()
        return ec.generate_private_key(ec.SECP521R1() if self is Curve.SECP521R1 else ec.SECP256R1())

    @property
    def digest(self) -> hashes.SHA256 | hashes.SHA512 | None:
        """The hash that certificates on this curve are signed with; None for Ed448."""
        if self is Curve.ED448:
            return None
        return hashes.SHA512() if self is Curve.SECP521R1 else hashes.SHA256()


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate, its key, and the sub CAs between it and its root, nearest first, root not included."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()
    agreement_key: ec.EllipticCurvePrivateKey | x448.X448PrivateKey | None = None
    """Of a provisioning certificate: what contract keys are encrypted for."""

    def chain_der(self) -> tuple[bytes, ...]:
        """Certificate first, then its issuers, as messages carry them."""
        return tuple(c.public_bytes(serialization.Encoding.DER) for c in (self.certificate, *self.chain))

    def chain_pem(self) -> bytes:
        """Certificate first, then its issuers, as TLS sends them."""
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (self.certificate, *self.chain))

    def key_pem(self) -> bytes:
        """PKCS#8, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFiles:
    """Where a credential lies."""

    chain: Path
    key: Path


class Authority:
    """A certification authority that signs what it is asked to."""

    def __init__(self, credential: Credential, curve: Curve, not_before: datetime.datetime, is_root: bool) -> None:
        self.credential = credential
        self._curve = curve
        self._not_before = not_before
        self._is_root = is_root

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.credential.certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def root(cls, common_name: str, *, domain: str, curve: Curve, not_before: datetime.datetime) -> Authority:
        """A self-signed root. ``domain``: the standard's domain component, ``V2G``, ``OEM`` or ``MO``."""
        key = curve.generate()
        name = _name(common_name, domain)
        builder = _builder(name, name, key, not_before, CA_DAYS)
        builder = _ca_extensions(builder, key, key, path_length=None)
        return cls(Credential(builder.sign(key, curve.digest), key), curve, not_before, is_root=True)

    def sub_ca(self, common_name: str, *, domain: str) -> Authority:
        """A certification authority below this one that may sign leaves only."""
        key = self._curve.generate()
        issuer = self.credential
        builder = _builder(_name(common_name, domain), issuer.certificate.subject, key, self._not_before, CA_DAYS)
        builder = _ca_extensions(builder, key, issuer.key, path_length=0)
        certificate = builder.sign(issuer.key, self._curve.digest)
        return Authority(Credential(certificate, key, self._chain()), self._curve, self._not_before, is_root=False)

    def leaf(self, common_name: str, *, domain: str) -> Credential:
        """A certificate to identify and sign with, valid for a year.

        ``common_name``: SECC id, EVSEID, EVCCID, EMAID or PCID, 1..64 characters.
        """
        key = self._curve.generate()
        return Credential(self._leaf(common_name, domain, key).sign(*self._signing()), key, self._chain())

    def provisioning_leaf(self, pcid: str, *, domain: str) -> Credential:
        """A certificate to ask for contracts with; of Ed448 with an X448 key beside it."""
        key = self._curve.generate()
        builder = self._leaf(pcid, domain, key)
        agreement_key: ec.EllipticCurvePrivateKey | x448.X448PrivateKey
        if isinstance(key, ec.EllipticCurvePrivateKey):
            agreement_key = key
        else:
            agreement_key = x448.X448PrivateKey.generate()
            alternative = agreement_key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            builder = builder.add_extension(x509.UnrecognizedExtension(ALTERNATIVE_KEY, alternative), critical=False)
        return Credential(builder.sign(*self._signing()), key, self._chain(), agreement_key)

    def crl(self, *revoked: x509.Certificate, days: int = LEAF_DAYS) -> bytes:
        """A list of certificates that this authority takes back, in PEM; good for ``days`` from ``not_before`` on."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.credential.certificate.subject)
            .last_update(self._not_before)
            .next_update(self._not_before + datetime.timedelta(days=days))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.credential.key.public_key()), critical=False
            )
        )
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(self._not_before).build())
        return builder.sign(*self._signing()).public_bytes(serialization.Encoding.PEM)

    def _signing(self) -> tuple[PrivateKey, hashes.SHA256 | hashes.SHA512 | None]:
        return self.credential.key, self._curve.digest

    def _leaf(self, common_name: str, domain: str, key: PrivateKey) -> x509.CertificateBuilder:
        issuer = self.credential
        return (
            _builder(_name(common_name, domain), issuer.certificate.subject, key, self._not_before, LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_agreement=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        )

    def _chain(self) -> tuple[x509.Certificate, ...]:
        return () if self._is_root else (self.credential.certificate, *self.credential.chain)


class Pki:
    """All chains of a charging site, its vehicles and their contracts."""

    def __init__(self, *, not_before: datetime.datetime, curve: Curve = Curve.SECP521R1) -> None:
        """``not_before``: start of validity of everything; aware of its time zone."""
        self.curve = curve
        self.v2g_root = Authority.root("V2G Root CA", domain="V2G", curve=curve, not_before=not_before)
        self.cpo_sub_ca = self.v2g_root.sub_ca("CPO Sub CA", domain="CPO")
        self.oem_root = Authority.root("OEM Root CA", domain="OEM", curve=curve, not_before=not_before)
        self.oem_sub_ca = self.oem_root.sub_ca("OEM Sub CA", domain="OEM")
        self.cps_sub_ca = self.v2g_root.sub_ca("CPS Sub CA", domain="CPS")
        self.mo_root = Authority.root("MO Root CA", domain="MO", curve=curve, not_before=not_before)
        self.mo_sub_ca = self.mo_root.sub_ca("MO Sub CA", domain="MO")

    def secc(self, secc_id: str) -> Credential:
        """Leaf of a SECC, its id or EVSEID as common name."""
        return self.cpo_sub_ca.leaf(secc_id, domain="CPO")

    def vehicle(self, evccid: str) -> Credential:
        """Leaf of a vehicle, its EVCCID as common name."""
        return self.oem_sub_ca.leaf(evccid, domain="OEM")

    def provisioning(self, pcid: str) -> Credential:
        """Leaf by which a vehicle asks for contracts, its PCID as common name."""
        return self.oem_sub_ca.provisioning_leaf(pcid, domain="OEM")

    def contract(self, emaid: str) -> Credential:
        """Leaf of a contract, its EMAID as common name."""
        return self.mo_sub_ca.leaf(emaid, domain="MO")

    def cps(self, common_name: str) -> Credential:
        """Leaf of a certificate provisioning service."""
        return self.cps_sub_ca.leaf(common_name, domain="CPS")


def write_credential(credential: Credential, folder: Path, name: str) -> CredentialFiles:
    """``<name>.pem`` (the chain) and ``<name>.key`` (mode 0600 from its first byte on) in ``folder``."""
    files = CredentialFiles(chain=folder / f"{name}.pem", key=folder / f"{name}.key")
    folder.mkdir(parents=True, exist_ok=True)
    files.chain.write_bytes(credential.chain_pem())
    _write_private(files.key, credential.key_pem())
    return files


def write_trust_anchor(authority: Authority, folder: Path, name: str) -> Path:
    """``<name>.pem`` with the authority's certificate in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.pem"
    path.write_bytes(authority.certificate_pem)
    return path


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _name(common_name: str, domain: str) -> x509.Name:
    if not 1 <= len(common_name) <= 64:
        raise ValueError(f"common name {common_name!r} has {len(common_name)} characters, must have 1..64")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "v2g simulation"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, domain),
        ]
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PrivateKey,
    not_before: datetime.datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_before + datetime.timedelta(days=days))
    )


def _ca_extensions(
    builder: x509.CertificateBuilder,
    key: PrivateKey,
    issuer_key: PrivateKey,
    path_length: int | None,
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _usage(
    *,
    digital_signature: bool = False,
    key_agreement: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_agreement=key_agreement,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        encipher_only=False,
        decipher_only=False,
    )
