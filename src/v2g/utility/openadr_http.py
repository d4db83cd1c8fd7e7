"""One HTTPS exchange at a time with a VTN, bounded in time and size. Blocks: for a thread of its own."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from v2g import __version__

MAX_BODY = 4 << 20
_CHUNK = 1 << 16
_MAX_SECRET = 4096


class ExchangeError(Exception):
    """No answer that can be used; the message names the place and the reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


def split_url(url: str) -> SplitResult:
    """Raises ``ValueError`` for a URL that is neither https nor http to this host itself, or more than a path."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of a VTN: write it like https://vtn.example/openadr3/3.1.0")
    if parts.username or parts.query or parts.fragment:
        raise ValueError(f"the URL of {parts.hostname} must be without user, '?' and '#'")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(f"{url!r} is not encrypted: http is for a VTN on this host only, write https")
    parts.port  # noqa: B018  raises what is no port
    return parts


def tls_context(ca: str) -> ssl.SSLContext:
    """Verifies the VTN by the authorities in the PEM file ``ca``, or the system's. Raises ``ValueError``."""
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"utility.openadr.ca {ca!r} cannot be used ({error}): it takes PEM certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Connection(http.client.HTTPConnection):
    """Can be cut by another thread, also within a TLS handshake, when ``sock`` is not yet that of TLS."""

    was_cut = False
    waker: socket.socket | None = None

    def connect(self) -> None:
        super().connect()
        self.waker = self.sock.dup()
        if self.was_cut:
            raise TimeoutError

    def cut(self) -> None:
        self.was_cut = True
        if self.waker is not None:
            with contextlib.suppress(OSError):
                self.waker.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Not ``close``, which http.client calls itself while the answer of a last request is still to be read."""
        self.close()
        if self.waker is not None:
            self.waker.close()


class _TlsConnection(http.client.HTTPSConnection, _Connection):
    pass


class Exchanger:
    """Each request has a connection of its own, so that nothing of an earlier answer can be taken for a later one."""

    def __init__(self, context: ssl.SSLContext, timeout_s: float) -> None:
        self._context = context
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._open: _Connection | None = None
        self._closed = False

    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Raises :class:`ExchangeError`. Redirects are not followed: a token must not go elsewhere."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        connection: _Connection = (
            _TlsConnection(host, parts.port, timeout=self._timeout_s, context=self._context)
            if parts.scheme == "https"
            else _Connection(host, parts.port, timeout=self._timeout_s)
        )
        place = f"{method} {parts.scheme}://{parts.netloc}{parts.path}"
        # A socket's own timeout starts again with each octet.
        alarm = threading.Timer(self._timeout_s, connection.cut)
        alarm.daemon = True
        with self._lock:
            if self._closed:
                raise ExchangeError(f"{place}: this VEN is stopping")
            self._open = connection
        alarm.start()
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            sent = {"Accept": "application/json", "User-Agent": f"v2g-orchestrator/{__version__}", **headers}
            connection.request(method, target or "/", body=body, headers=sent)
            with connection.getresponse() as response:
                answer = Answer(response.status, _read(response))
            if connection.was_cut:
                raise TimeoutError  # an answer that was cut may look like a whole one
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExchangeError(f"{place}: {self._reason(error, connection)}") from None
        finally:
            alarm.cancel()
            with self._lock:
                self._open = None
            connection.end()

    def close(self) -> None:
        """From any thread: ends the exchange that is under way, and refuses others."""
        with self._lock:
            self._closed = True
            if self._open is not None:
                self._open.cut()

    def _reason(self, error: Exception, connection: _Connection) -> str:
        if self._closed:
            return "this VEN is stopping"
        if isinstance(error, TimeoutError) or connection.was_cut:
            return f"no whole answer within {self._timeout_s:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({error.verify_message}): see utility.openadr.ca"
        if isinstance(error, socket.gaierror):
            return f"its name cannot be resolved ({error.strerror})"
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        return str(error) or type(error).__name__


def _read(response: http.client.HTTPResponse) -> bytes:
    """Raises ``ValueError`` for an answer above :data:`MAX_BODY`."""
    parts: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK):
        size += len(chunk)
        if size > MAX_BODY:
            raise ValueError(f"the answer is larger than {MAX_BODY >> 20} MiB")
        parts.append(chunk)
    if response.length:
        raise ValueError("the answer ended early")
    return b"".join(parts)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_secret(path: Path) -> str:
    """The client secret, without the line's end. Raises ``ValueError`` where others may read the file."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            raw = file.read(_MAX_SECRET + 1)
        secret = raw.decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"client secret file {path} cannot be read: {error}") from None
    if mode & 0o077:
        raise ValueError(f"client secret file {path} is open to others: chmod 600 {path}")
    if not secret or len(raw) > _MAX_SECRET:
        raise ValueError(f"client secret file {path} takes one secret of 1 to {_MAX_SECRET} octets")
    return secret
