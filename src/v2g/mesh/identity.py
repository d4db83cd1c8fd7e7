"""Who we are in a mesh: our certificate, its key, and whom we trust, from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from pyiso15118.errors import Iso15118Error
from pyiso15118.security.private_file import PrivateFileError, read_private
from v2g.mesh.trust import Trust, TrustError, is_usable, sign
from v2g.pki.bundle import Bundle, parse_bundle, read_chain, read_file
from v2g.pki.crl_files import offline_shelf
from v2g.pki.model import PkiError

_CA = "certificates of the mesh's authority"
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class IdentityError(Exception):
    """A file that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Identity:
    """``name``: the certificate's common name."""

    name: str
    certificate_der: bytes
    key: PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        return sign(self.key, data)


def load_trust(ca: Path, crl_dir: Path | None) -> Trust:
    """``ca``: roots and intermediates, PEM. ``crl_dir``: as of :mod:`v2g.pki.crl_files`; None: nobody is revoked.

    While revocation data of an authority is old or cannot be read, nobody's certificate by it counts: the remedy is
    said with each. Raises :class:`IdentityError`.
    """
    try:
        # Whether an authority is valid is looked at with every certificate, and the clock may be set later.
        bundle = parse_bundle(read_file(ca, _CA), str(ca), at_unix_s=0.0)
    except (PkiError, Iso15118Error) as error:
        raise IdentityError(str(error)) from error
    return trust_of(bundle, crl_dir)


def trust_of(bundle: Bundle, crl_dir: Path | None) -> Trust:
    """As of :func:`load_trust`."""
    has_lists = crl_dir is not None and crl_dir.is_dir()
    return Trust(bundle.roots, bundle.intermediates, offline_shelf([crl_dir]) if crl_dir and has_lists else None)


def load_identity(chain: Path, key: Path, trust: Trust, name: str, unix_s: float) -> Identity:
    """Ours, checked as the others will check it. Raises :class:`IdentityError`."""
    try:
        certificates, content = read_chain(chain), read_private(key)
    except (PkiError, PrivateFileError) as error:
        raise IdentityError(str(error)) from error
    return identity_of(certificates, content, trust, name, unix_s, chain=str(chain), key=str(key))


def identity_of(
    certificates: Sequence[x509.Certificate],
    key_pem: bytes,
    trust: Trust,
    name: str,
    unix_s: float,
    *,
    chain: str,
    key: str,
) -> Identity:
    """As :func:`load_identity`, of what was read; ``chain`` and ``key``: from where, for people."""
    try:
        private = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityError(f"private key {key} is no PEM private key, or has a password: put the right one") from error
    if not is_usable(private) or not isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise IdentityError(f"private key {key} is not P-256, P-384 or Ed25519: make a new one for the mesh")
    ours = next((each for each in certificates if _is_of(each, private)), None)
    if ours is None:
        raise IdentityError(f"no certificate in {chain} has the key of {key}: install those that belong together")
    der = ours.public_bytes(Encoding.DER)
    try:
        trust.check(der, name, unix_s)
    except TrustError as error:
        raise IdentityError(f"{chain} cannot be used as {name!r} (mesh.node): {error}") from error
    return Identity(name, der, private)


def _is_of(certificate: x509.Certificate, key: PrivateKey) -> bool:
    try:
        public: object = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    return public == key.public_key()
