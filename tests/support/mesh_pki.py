"""A mesh's authority and its members' certificates, made for a test."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from v2g.mesh.envelope import Opener, Sealer
from v2g.mesh.identity import Identity, load_identity, load_trust
from v2g.mesh.trust import Trust

Kind = Literal["P-256", "P-384", "Ed25519", "P-521", "RSA-2048", "RSA-1024"]
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class MeshFiles:
    """Of one node. ``ca`` is the authority's certificate."""

    name: str
    chain: Path
    key: Path
    ca: Path


class MeshPki:
    """One authority in ``folder``. Validity counts from ``at_unix_s``.

    ``parent``: who signed it; its ``ca.pem`` then has the authorities above it, too. ``days``, ``path_length``: of its
    own certificate.
    """

    def __init__(
        self,
        folder: Path,
        at_unix_s: float,
        *,
        name: str = "Mesh CA",
        kind: Kind = "P-256",
        parent: MeshPki | None = None,
        days: float = 3650.0,
        path_length: int | None = 1,
        usage: x509.KeyUsage | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._at_unix_s = at_unix_s
        self._key = make_key(kind)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = self if parent is None else parent
        builder = (
            self._builder(self._name, self._key, days)
            .issuer_name(above._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        )
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        self.certificate = builder.sign(above._key, digest(above._key))
        self.ca = folder / "ca.pem"
        others = b"" if parent is None else parent.ca.read_bytes()
        self.ca.write_bytes(others + self.certificate.public_bytes(Encoding.PEM))
        self.certificates: dict[str, x509.Certificate] = {}

    def node(
        self,
        name: str,
        addresses: tuple[str, ...] = ("::1",),
        *,
        kind: Kind = "P-256",
        days: float = 365.0,
        begins_s: float = -DAY_S,
        folder: str | None = None,
        more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    ) -> MeshFiles:
        """Certificate and key of a node, the key 0600. Names that are no addresses become DNS names.

        ``more``: extensions, and whether they are critical.
        """
        key = make_key(kind)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            self._builder(subject, key, days, begins_s)
            .issuer_name(self._name)
            .add_extension(x509.SubjectAlternativeName([general_name(a) for a in addresses]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
        )
        for extension, critical in more:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self._key, digest(self._key))
        self.certificates[name] = certificate
        home = self.folder / (folder or name)
        home.mkdir(exist_ok=True)
        chain, file = home / "chain.pem", home / "private.key"
        chain.write_bytes(certificate.public_bytes(Encoding.PEM))
        file.touch(mode=0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return MeshFiles(name, chain, file, self.ca)

    def revoke(self, *names: str, file: str = "mesh.pem", days: float = 30.0, begins_s: float = -3600.0) -> Path:
        """A directory with a CRL that has these nodes' last certificates in it."""
        begins = self._moment(begins_s)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(begins).next_update(begins + datetime.timedelta(days=days))
        for name in names:
            entry = x509.RevokedCertificateBuilder().serial_number(self.certificates[name].serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(begins).build())
        folder = self.folder / "crl"
        folder.mkdir(exist_ok=True)
        crl = builder.sign(self._key, digest(self._key))
        (folder / file).write_bytes(crl.public_bytes(Encoding.PEM))
        return folder

    def renewed(self, days: float) -> x509.Certificate:
        """Another certificate of the same authority and key."""
        return self.crossed(self, days)

    def crossed(self, signer: MeshPki, days: float = 3650.0) -> x509.Certificate:
        """This authority's key, certified by another."""
        return (
            self._builder(self._name, self._key, days)
            .issuer_name(signer._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer._key, digest(signer._key))
        )

    def trust(self, crl_dir: Path | None = None) -> Trust:
        return load_trust(self.ca, crl_dir)

    def identity(self, name: str, *, kind: Kind = "P-256") -> Identity:
        files = self.node(name, kind=kind)
        return load_identity(files.chain, files.key, self.trust(), name, self._at_unix_s)

    def sealer(self, name: str, network: str = "test", *, boot_us: int = 1_000_000, kind: Kind = "P-256") -> Sealer:
        return Sealer(network, self.identity(name, kind=kind), boot_us)

    def opener(self, *voices: str, network: str = "test", crl_dir: Path | None = None) -> Opener:
        return Opener(network, self.trust(crl_dir), frozenset(voices))

    def _builder(self, subject: x509.Name, key: Key, days: float, begins_s: float = -DAY_S) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
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
    if kind in ("RSA-2048", "RSA-1024"):
        return rsa.generate_private_key(65_537, int(kind[4:]))
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def digest(key: Key) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
