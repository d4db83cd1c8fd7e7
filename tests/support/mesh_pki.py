"""A mesh's authority and its members' certificates, made for a test."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from v2g.mesh.envelope import Opener, Sealer
from v2g.mesh.identity import Identity, load_identity, load_trust
from v2g.mesh.trust import Trust

Kind = Literal["P-256", "P-384", "Ed25519", "P-521"]
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class MeshFiles:
    """Of one node. ``ca`` is the authority's certificate."""

    name: str
    chain: Path
    key: Path
    ca: Path


class MeshPki:
    """One authority in ``folder``. Validity counts from ``at_unix_s``."""

    def __init__(self, folder: Path, at_unix_s: float, *, name: str = "Mesh CA", kind: Kind = "P-256") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._at_unix_s = at_unix_s
        self._key = make_key(kind)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._builder(self._name, self._key, 3650.0)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .sign(self._key, digest(self._key))
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        self.certificates: dict[str, x509.Certificate] = {}

    def node(
        self,
        name: str,
        addresses: tuple[str, ...] = ("::1",),
        *,
        kind: Kind = "P-256",
        days: float = 365.0,
        begins_s: float = -DAY_S,
    ) -> MeshFiles:
        """Certificate and key of a node, the key 0600. Names that are no addresses become DNS names."""
        key = make_key(kind)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(subject, key, days, begins_s)
            .add_extension(x509.SubjectAlternativeName([general_name(a) for a in addresses]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .sign(self._key, digest(self._key))
        )
        self.certificates[name] = certificate
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        chain, file = folder / "chain.pem", folder / "private.key"
        chain.write_bytes(certificate.public_bytes(Encoding.PEM))
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return MeshFiles(name, chain, file, self.ca)

    def revoke(self, *names: str) -> Path:
        """A directory with a CRL that has these nodes' last certificates in it."""
        now = self._moment(0.0)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - datetime.timedelta(hours=1)).next_update(now + datetime.timedelta(days=30))
        for name in names:
            entry = x509.RevokedCertificateBuilder().serial_number(self.certificates[name].serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - datetime.timedelta(hours=1)).build())
        folder = self.folder / "crl"
        folder.mkdir(exist_ok=True)
        crl = builder.sign(self._key, digest(self._key))
        (folder / "mesh.pem").write_bytes(crl.public_bytes(Encoding.PEM))
        return folder

    def trust(self, crl_dir: Path | None = None) -> Trust:
        return load_trust(self.ca, crl_dir)

    def identity(self, name: str, *, kind: Kind = "P-256") -> Identity:
        files = self.node(name, kind=kind)
        return load_identity(files.chain, files.key, self.trust(), name, self._at_unix_s)

    def sealer(self, name: str, network: str = "test", *, boot_us: int = 1_000_000) -> Sealer:
        return Sealer(network, self.identity(name), boot_us)

    def opener(self, *voices: str, network: str = "test") -> Opener:
        return Opener(network, self.trust(), frozenset(voices))

    def _builder(self, subject: x509.Name, key: Key, days: float, begins_s: float = -DAY_S) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._moment(begins_s))
            .not_valid_after(self._moment(begins_s + days * DAY_S))
        )

    def _moment(self, after_s: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._at_unix_s + after_s, datetime.UTC)


def make_key(kind: Kind) -> Key:
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def digest(key: Key) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
