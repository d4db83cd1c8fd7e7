"""Keys that lie in files: PKCS#8 in PEM, not encrypted, mode 0600."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from pyiso15118.security import TlsProfile
from pyiso15118.security.private_file import PrivateFileError, read_private
from v2g.config.schema_pki import KeyKind
from v2g.pki.model import KeyReference, PkiError, PrivateKey

FILE_NAME = "private.key"


class FileKeys:
    """Keys in ``directory``. Profile strict has what ISO 15118-20 allows; compat has P-256, whatever ``kind``."""

    def __init__(self, directory: Path, kind: KeyKind, profile: TlsProfile) -> None:
        self._path = directory / FILE_NAME
        self._kind = kind
        self._profile = profile

    @property
    def description(self) -> str:
        return f"file {self._path}"

    def generate(self) -> tuple[PrivateKey, KeyReference]:
        try:
            key = self._new()
        except UnsupportedAlgorithm as error:
            raise PkiError(f"no {self._kind} key can be made here: {error}; set pki.key to P-521") from error
        return key, KeyReference(FILE_NAME, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def load(self, reference: bytes) -> PrivateKey:
        return key_from_pem(reference, str(self._path))

    def discard(self, reference: bytes) -> None:
        """Nothing is left of a key whose file is gone."""

    def _new(self) -> PrivateKey:
        if self._profile is TlsProfile.COMPAT:
            return ec.generate_private_key(ec.SECP256R1())
        if self._kind is KeyKind.ED448:
            # All 57 bytes: no message of the standard carries this key, as one carries a contract's.
            return ed448.Ed448PrivateKey.generate()
        return ec.generate_private_key(ec.SECP521R1())


def load_key(path: Path, password: bytes | None = None) -> PrivateKey:
    """The key in a file that is private and of a kind that a SECC may have. Raises :class:`PkiError`."""
    try:
        content = read_private(path)
    except PrivateFileError as error:
        raise PkiError(str(error)) from error
    return key_from_pem(content, str(path), password)


def key_from_pem(content: bytes, where: str, password: bytes | None = None) -> PrivateKey:
    """The key of a PEM text. Raises :class:`PkiError` that names ``where`` it came from, and nothing of the key."""
    try:
        try:
            key = load_pem_private_key(content, password)
        except TypeError:
            # The library's word for a password that is missing, or that a key does not need: TLS takes it then, too.
            if password is None:
                raise PkiError(
                    f"private key {where} is encrypted: name its password's file in pki.key_password_file"
                ) from None
            key = load_pem_private_key(content, None)
    except (ValueError, UnsupportedAlgorithm):
        raise PkiError(
            f"private key {where} is no PEM private key, or its password is wrong: put the right file there, or make a "
            "new key with v2g-cert-manager provision --force"
        ) from None
    if isinstance(key, ed448.Ed448PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP521R1 | ec.SECP256R1):
        return key
    raise PkiError(f"private key {where} is neither secp521r1, Ed448 nor, for tls compat, secp256r1")
