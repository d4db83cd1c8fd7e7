"""An OEM's authorities, what they publish over real HTTP, and the daemon's view of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pyiso15118.security.chain import ChainError, Role, TrustAnchors, ValidatedChain, validate_chain
from pyiso15118.security.tls import TlsProfile
from support.authority import CN, TestAuthority, name
from support.http_files import Published, publishing
from v2g.clock import ManualClock
from v2g.config.schema_pki import Revocation
from v2g.pki.revocation_source import RevocationSource

AT = 1_800_000_000.0


class Lines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, code: str, message: str = "", /, **_: object) -> None:
        self.lines.append((code, message))

    warning = info

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.lines]


@dataclass
class World:
    folder: Path
    root: TestAuthority
    sub: TestAuthority
    web: Published
    clock: ManualClock = field(default_factory=lambda: ManualClock(unix_s=AT))
    log: Lines = field(default_factory=Lines)
    issued: list[x509.Certificate] = field(default_factory=list)

    @property
    def crl_dir(self) -> Path:
        return self.folder / "crl"

    def source(self, refreshed: bool = True, **settings: Any) -> RevocationSource:
        source = RevocationSource(
            Revocation(**{"timeout_s": 1.0, **settings}),
            crl_dir=self.crl_dir,
            state_dir=self.folder / "state",
            clock=self.clock,
            log=self.log,
        )
        if refreshed:
            source.refresh()
        return source

    def put(self, der: bytes, file_name: str = "oem.crl") -> Path:
        path = self.crl_dir / file_name
        path.write_bytes(der)
        return path

    def vehicle(self, common_name: str = "WMIV1", **options: Any) -> x509.Certificate:
        return self.sub.leaf(name((CN, common_name)), ec.generate_private_key(ec.SECP256R1()).public_key(), **options)

    def chain(self, leaf: x509.Certificate) -> ValidatedChain:
        return validate_chain(
            leaf.public_bytes(Encoding.DER),
            [self.sub.certificate.public_bytes(Encoding.DER)],
            TrustAnchors((self.root.certificate,)),
            role=Role.VEHICLE,
            profile=TlsProfile.COMPAT,
            at_unix_s=AT,
        )


@contextmanager
def revocation_world(tmp_path: Path) -> Iterator[World]:
    root = TestAuthority("OEM Root", AT)
    for folder in ("crl", "state"):
        (tmp_path / folder).mkdir()
    with publishing() as web:
        yield World(tmp_path, root, TestAuthority("OEM Sub CA", AT, issuer=root), web)


def check(source: RevocationSource, chain: ValidatedChain) -> None:
    for pair in pairwise((chain.leaf, *chain.sub_certificates, chain.anchor)):
        source.is_revoked(*pair)


def ask(source: RevocationSource, chain: ValidatedChain) -> None:
    """As a handshake does, whatever comes of it."""
    for pair in pairwise((chain.leaf, *chain.sub_certificates, chain.anchor)):
        with suppress(ChainError):
            source.is_revoked_waiting(*pair)


def refusal(source: RevocationSource, chain: ValidatedChain) -> ChainError:
    with pytest.raises(ChainError) as caught:
        check(source, chain)
    return caught.value


def at_once(source: RevocationSource, *certificates: x509.Certificate, issuer: x509.Certificate) -> list[str]:
    """What becomes of handshakes on threads of their own; empty: accepted."""
    outcomes: list[str] = []

    def handshake(certificate: x509.Certificate) -> None:
        try:
            source.is_revoked_waiting(certificate, issuer)
            outcomes.append("")
        except ChainError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=handshake, args=(certificate,)) for certificate in certificates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    return outcomes
