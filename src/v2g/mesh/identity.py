"""Who we are in a mesh: our certificate, its key, and whom we trust, from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from pyiso15118.security.private_file import PrivateFileError, read_private
from v2g.mesh.trust import Trust, TrustError, is_usable, sign
from v2g.pki.bundle import certificates_in, read_chain, read_file
from v2g.pki.crl_files import offline_shelf
from v2g.pki.model import PkiError

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class IdentityError(Exception):
    """A file that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Identity:
    """``name``: the certificate's common name."""

    name: str
    certificate_der: bytes
    key: PrivateKey

    def sign(self, data: bytes) -> bytes:
        return sign(self.key, data)


def load_trust(ca: Path, crl_dir: Path | None) -> Trust:
    """Raises :class:`IdentityError`."""
    try:
        authorities = certificates_in(read_file(ca, "certificates of the mesh's authority"), str(ca))
        return Trust(authorities, offline_shelf([crl_dir]) if crl_dir is not None else None)
    except (PkiError, ValueError) as error:
        raise IdentityError(f"{ca}: {error}") from error


def load_identity(chain: Path, key: Path, trust: Trust, name: str, unix_s: float) -> Identity:
    """Ours, checked as the others will check it. Raises :class:`IdentityError`."""
    try:
        certificates = read_chain(chain)
        private = load_pem_private_key(read_private(key), None)
    except (PkiError, PrivateFileError) as error:
        raise IdentityError(str(error)) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityError(f"private key {key} cannot be read: {error}: give it in PEM, without a password") from error
    if not is_usable(private) or not isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise IdentityError(f"private key {key} is not P-256, P-384 or Ed25519: make a new one for the mesh")
    ours = next((each for each in certificates if _key_of(each) == _key_of(private)), None)
    if ours is None:
        raise IdentityError(f"no certificate in {chain} has the key of {key}: install those that belong together")
    der = ours.public_bytes(Encoding.DER)
    try:
        trust.check(der, name, unix_s)
    except TrustError as error:
        raise IdentityError(f"{chain} cannot be used as {name!r} (mesh.node): {error}") from error
    return Identity(name, der, private)


def _key_of(what: x509.Certificate | PrivateKey) -> bytes:
    return what.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
