"""Modbus/TCP Security: mutual TLS 1.3 with a role in our certificate (protocol specification v21)."""

from __future__ import annotations

import asyncio
import ssl
import stat
from pathlib import Path

from v2g.hardware.endpoint import TlsFiles

ROLE_OID = "1.3.6.1.4.1.50316.802.1"
"""Extension of a certificate that names its bearer's role, as UTF8String."""

_UTF8_STRING = 0x0C
_MAX_BYTES = 1 << 20
_OURS = {
    "CERTIFICATE_REQUIRED": "it wants a certificate and got none that it takes",
    "UNKNOWN_CA": "it does not know the CA that signed it",
    "CERTIFICATE_EXPIRED": "for it, the certificate has expired; compare its clock",
    "CERTIFICATE_REVOKED": "the certificate is revoked",
    "BAD_CERTIFICATE": "it calls the certificate bad",
    "UNSUPPORTED_CERTIFICATE": "it does not take this kind of certificate",
    "CERTIFICATE_UNKNOWN": "it does not take the certificate",
    "ACCESS_DENIED": "it denies access to the certificate's role",
}
_ANOTHER_NAME = "it bears other names than {name}: set tls.server_name to one of them, or have it issued for {name}"
_REMEDIES = {
    9: "compare the clocks of both",
    10: "have it renewed, and compare the clocks of both",
    62: _ANOTHER_NAME,
    64: _ANOTHER_NAME,
}
"""By OpenSSL's X509_V_ERR number."""


class TlsProblem(Exception):
    """Files that cannot be used; the message names the file and the remedy."""


class TlsClient:
    """The context of one device, built when it is first wanted and again when a file has changed."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.role_words = ""
        """What our certificate bears, for a device that refuses it."""
        self._built: tuple[ssl.SSLContext, list[tuple[int, int, int]]] | None = None

    async def context(self) -> ssl.SSLContext:
        """Files are read on a thread. Raises :class:`TlsProblem`."""
        return await asyncio.to_thread(self._fresh)

    def _fresh(self) -> ssl.SSLContext:
        files = self._files
        signatures = [_signature(file) for file in (files.ca, files.certificate, files.key)]
        if self._built is None or self._built[1] != signatures:
            self._built = load_context(files), signatures
            self.role_words = _role_words(files)
        return self._built[0]


def load_context(files: TlsFiles) -> ssl.SSLContext:
    """Raises :class:`TlsProblem` for a file that is missing, no PEM, expired or open to others."""
    check_key_mode(files.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(files.ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsProblem(f"{files.ca} cannot be used as CA ({_reason(error)}): it takes PEM certificates") from None
    try:
        # A password would be asked for on the terminal.
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (ssl.SSLError, OSError) as error:
        raise TlsProblem(
            f"{files.certificate} and {files.key} cannot be used together ({_reason(error)}): they take a PEM "
            "certificate and the private key that belongs to it, without password"
        ) from None
    return context


def check_key_mode(key: Path) -> None:
    """Raises :class:`TlsProblem` for a private key that is missing or that others may read."""
    _signature(key)
    mode = stat.S_IMODE(key.stat().st_mode)
    if mode & 0o077:
        raise TlsProblem(f"private key {key} is open to others (mode {mode:04o}): chmod 600 {key}")


def role(certificate: Path) -> str | None:
    """The role that the first certificate of a file bears; None without one. Raises :class:`TlsProblem`."""
    from cryptography import x509

    try:
        with certificate.open("rb") as file:
            leaf = x509.load_pem_x509_certificate(file.read(_MAX_BYTES))
        value = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(ROLE_OID)).value
    except x509.ExtensionNotFound:
        return None
    except (OSError, ValueError) as error:
        raise TlsProblem(f"{certificate} cannot be read as a PEM certificate: {_reason(error)}") from None
    data = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    if len(data) < 2 or data[0] != _UTF8_STRING or data[1] != len(data) - 2:
        return None
    return data[2:].decode("utf-8", "replace") or None


def refusal(error: BaseException, files: TlsFiles, host: str, role_words: str) -> str | None:
    """What a failed or ended TLS connection means, with the remedy; None where ``error`` is not of TLS.

    ``role_words``: of :class:`TlsClient`.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = _REMEDIES.get(error.verify_code, "put the CA that signed it into {ca}")
        remedy = remedy.format(ca=files.ca, name=files.server_name or host)
        return f"the device's certificate is refused ({error.verify_message.rstrip('.')}); {remedy}"
    if not isinstance(error, ssl.SSLError):
        return None
    reason = (error.reason or str(error)).upper()
    if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        return "the device speaks no TLS 1.3; update it, or reach it through a gateway that does"
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return "the device speaks no TLS on this port; Modbus/TCP Security has port 802"
    for name, text in _OURS.items():
        if f"ALERT_{name}" in reason:
            return f"the device refuses our certificate {files.certificate}: {text}{role_words}"
    return f"TLS failed: {reason.lower().replace('_', ' ')}"


def _role_words(files: TlsFiles) -> str:
    try:
        borne = role(files.certificate)
    except TlsProblem as problem:
        return f"; {problem}"
    if borne is None:
        return f"; it bears no role (extension {ROLE_OID}), which a device may demand: have it issued with one"
    return f"; its role is {borne!r}: is that the one the device is told to let in?"


def _signature(file: Path) -> tuple[int, int, int]:
    try:
        info = file.stat()
    except OSError as error:
        raise TlsProblem(f"{file} cannot be read: {_reason(error)}; correct tls in the modbus address") from None
    return info.st_mtime_ns, info.st_ino, info.st_size


def _no_password() -> str:
    raise TlsProblem("the private key has a password, which nobody can enter here: store it without, mode 600")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
