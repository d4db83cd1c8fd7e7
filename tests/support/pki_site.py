"""A site whose certificate is made and renewed, and the authority that signs it, as far as tests need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from support.authority import DAY_S, TestAuthority, pem
from support.config_dir import two_evses
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.pki.bundle import Bundle, read_bundle
from v2g.pki.model import Current, PkiError, PrivateKey

NOW = 1_800_000_000.0
Certificates = Sequence[x509.Certificate]


def p521() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP521R1())


class Utility:
    """A V2G root with its authorities of SECCs and of vehicles, of P-521."""

    def __init__(self, at: float = NOW) -> None:
        self.root = TestAuthority("Grid Root", at, domain="V2G", key=p521())
        self.cpo = TestAuthority("Grid CPO CA", at, issuer=self.root, domain="CPO", key=p521())
        self.oem = TestAuthority("Grid OEM CA", at, issuer=self.root, domain="OEM", key=p521())

    def chain_for(self, csr: x509.CertificateSigningRequest, **options: Any) -> list[x509.Certificate]:
        return [self.cpo.sign_request(csr, **options), *self.cpo.chain]

    def write_bundle(self, folder: Path, *more: x509.Certificate) -> Path:
        path = folder / "grid-ca.pem"
        path.write_bytes(pem(self.root.certificate, *more))
        return path

    def bundle(self, folder: Path) -> Bundle:
        return read_bundle(self.write_bundle(folder), NOW)


class FakeServer:
    """An enroller that signs what it is asked to, or fails as it is told to."""

    def __init__(self, utility: Utility, **options: Any) -> None:
        self.utility = utility
        self.options = options
        self.error: Exception | None = None
        self.asked: list[tuple[x509.CertificateSigningRequest, Current | None]] = []

    def enrol(self, csr: x509.CertificateSigningRequest, key: PrivateKey, current: Current | None) -> Certificates:
        self.asked.append((csr, current))
        if not csr.is_signature_valid or csr.public_key() != key.public_key():
            raise PkiError("the request is not signed by its key")
        if self.error is not None:
            raise self.error
        return self.utility.chain_for(csr, **self.options)


def pki_section(folder: Path, **more: Any) -> dict[str, Any]:
    return {"dir": str(folder / "ssl"), **more}


def config_tree(folder: Path, **pki: Any) -> dict[str, Any]:
    return two_evses(
        pki=pki_section(folder, **pki),
        paths={name: str(folder) for name in ("run_dir", "state_dir", "log_dir")},
    )


def make_config(folder: Path, **pki: Any) -> Config:
    """Of ``two_evses`` with its certificates in ``folder/ssl``."""
    tree = config_tree(folder, **pki)
    for evse in tree["evses"]:
        evse["kind"] = "DC"
    return msgspec.convert(tree, Config)


def clock_at(days: float = 0.0) -> ManualClock:
    return ManualClock(unix_s=NOW + days * DAY_S)
