"""PEM files with certificates: bundles of roots, and chains as they come from whoever signed them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from pyiso15118.errors import Iso15118Error
from pyiso15118.security.chain import extension_of, name_of, readable
from v2g.pki.model import PkiError

LONGEST_FILE = 4 << 20
"""Bytes; the roots that a Linux host comes with are some 220 kB."""
_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_KEY_MARK = b"PRIVATE KEY-----"
_PKCS7_MARK = b"-----BEGIN PKCS7-----"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is in a bundle. ``remarks``: what is odd about it and does not keep it from use, for people."""

    path: str
    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    """Authorities that others signed: they help to build a path, and nothing ends in them."""
    remarks: tuple[str, ...] = ()

    def roots_pem(self) -> bytes:
        return to_pem(self.roots)

    def pem(self) -> bytes:
        return to_pem((*self.roots, *self.intermediates))


def read_bundle(path: Path, at_unix_s: float) -> Bundle:
    """A file of trusted roots. Raises :class:`PkiError` naming file, certificate and remedy.

    Refused are files without a root that is valid now, and anything in them that is no authority: it would be trusted.
    """
    return parse_bundle(read_file(path, "certificate bundle"), str(path), at_unix_s)


def parse_bundle(content: bytes, path: str, at_unix_s: float) -> Bundle:
    """As :func:`read_bundle`, of the content of a file."""
    found = certificates_in(content, f"certificate bundle {path}")
    unique = tuple(dict.fromkeys(found))
    remarks = []
    if doubled := len(found) - len(unique):
        remarks.append(f"{path}: {doubled} certificate{'s are' if doubled > 1 else ' is'} there more than once")
    roots: list[x509.Certificate] = []
    intermediates: list[x509.Certificate] = []
    expired: list[str] = []
    for certificate in unique:
        try:
            if not is_authority(certificate):
                raise PkiError(
                    f"{path}: {name_of(certificate)} is no certification authority and must not be among the trusted "
                    "roots: take it out of the file"
                )
            if not is_self_signed(certificate):
                intermediates.append(certificate)
                remarks.append(
                    f"{path}: {name_of(certificate)} is no root but signed by another authority: it is used to build "
                    "chains, and is not trusted by itself"
                )
                continue
        except Iso15118Error as error:
            raise PkiError(f"{path}: {error}") from error
        if at_unix_s > certificate.not_valid_after_utc.timestamp():
            expired.append(f"{name_of(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
        roots.append(certificate)
    if not roots:
        raise PkiError(f"{path} has no root certificate (one that signed itself): add the root your chain ends in")
    if len(expired) == len(roots):
        raise PkiError(f"{path} has no root that is valid: {expired[0]}: get the new root, or check the clock")
    remarks += [f"{path}: {words}: no chain that ends in it is accepted" for words in expired]
    return Bundle(path, tuple(roots), tuple(intermediates), tuple(remarks))


def read_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file in its order, without repetitions. Raises :class:`PkiError`."""
    return tuple(dict.fromkeys(certificates_in(read_file(path, "certificate chain"), f"certificate chain {path}")))


def certificates_in(content: bytes, what: str) -> list[x509.Certificate]:
    """Every certificate of a PEM text, or the one of a DER file. Raises :class:`PkiError`."""
    if _PEM_BEGIN not in content:
        if content[:1] == b"\x30":
            try:
                return [x509.load_der_x509_certificate(content)]
            except ValueError:
                pass
        if _PKCS7_MARK in content:
            raise PkiError(f"{what} is PKCS#7: convert it: openssl pkcs7 -print_certs -in FILE -out FILE.pem")
        if _KEY_MARK in content:
            raise PkiError(f"{what} is a private key, no certificate: name the certificates' file")
        raise PkiError(f"{what} has no certificate in it (PEM, '-----BEGIN CERTIFICATE-----'): name the right file")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise PkiError(f"{what} has a certificate that cannot be read: {error}: get the file anew") from error


def read_file(path: Path, what: str, remedy: str = "name the right one") -> bytes:
    """The content of a file of bounded size. ``remedy``: where there is none. Raises :class:`PkiError`."""
    try:
        if not path.is_file():
            raise PkiError(f"{what} {path}: there is no such file: {remedy}")
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except PermissionError as error:
        raise PkiError(f"{what} {path} cannot be read: {error.strerror}: run this as root") from error
    except OSError as error:
        raise PkiError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(content) > LONGEST_FILE:
        raise PkiError(f"{what} {path} has more than {LONGEST_FILE >> 20} MiB: that is none")
    return content


def is_authority(certificate: x509.Certificate) -> bool:
    """By its basic constraints; roots of X.509 version 1, which have none, are authorities by where they lie."""
    if certificate.version is x509.Version.v1:
        return is_self_signed(certificate)
    constraints = extension_of(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether its own key signed it. By name alone where the signature's algorithm is not known here."""
    with readable(certificate):
        if certificate.subject != certificate.issuer:
            return False
        try:
            certificate.verify_directly_issued_by(certificate)
        except InvalidSignature:
            return False
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return True
        return True


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
