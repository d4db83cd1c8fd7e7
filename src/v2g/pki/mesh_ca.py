"""An authority of a mesh for benches and simulations: P-256, one leaf a node, a revocation list."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CHAIN, KEY, CA, CRL = "chain.pem", "private.key", "ca.pem", "crl"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?", re.ASCII)
_YEARS_10 = timedelta(days=3650)
_YEAR = timedelta(days=365)
_DAY = timedelta(days=1)


class MeshAuthority:
    """Valid from a day before ``at_unix_s``, for benches whose clocks are not quite right."""

    def __init__(self, at_unix_s: float, name: str = "Mesh CA") -> None:
        self._at = datetime.fromtimestamp(at_unix_s, UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = self._builder(self._name, self._key.public_key(), _YEARS_10)
        self._certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._serials: dict[str, int] = {}

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(Encoding.PEM)

    def write_node(self, folder: Path, name: str, addresses: Sequence[str]) -> None:
        """``chain.pem``, ``private.key`` (0600) and ``ca.pem`` of a node, as its configuration expects them.

        ``addresses``: by which it is dialled: host names and IP addresses. Raises ValueError for a name that no
        certificate can have, OSError.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        names = x509.SubjectAlternativeName([general_name(each) for each in addresses or (name,)])
        certificate = (
            self._builder(subject, key.public_key(), _YEAR)
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(both, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self._serials[name] = certificate.serial_number
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / CHAIN).write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / CA).write_bytes(self.pem)
        _write_key(folder / KEY, key)

    def write_authority(self, certificate: Path, key: Path) -> None:
        """Its own certificate, and its key (0600) to sign requests with. Raises OSError."""
        certificate.write_bytes(self.pem)
        _write_key(key, self._key)

    def crl(self, revoked: Iterable[str] = ()) -> bytes:
        """PEM, with the last certificates of these nodes in it. Raises KeyError for one that got none."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(self._at - _DAY).next_update(self._at + _YEAR)
        for name in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(self._serials[name]).revocation_date(self._at - _DAY)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._at - _DAY)
            .not_valid_after(self._at + valid)
        )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def general_name(address: str) -> x509.GeneralName:
    """Of a host name or an IP address. Raises ValueError for what is neither."""
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        if _HOST.fullmatch(address) is None:
            raise ValueError(f"{address!r} is no host name and no IP address") from None
        return x509.DNSName(address)
