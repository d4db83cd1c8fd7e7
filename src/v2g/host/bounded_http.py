"""One HTTP exchange, bounded as a whole: in time also where octets trickle, and in size. Blocks: for a thread."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK = 1 << 16


class ExchangeError(Exception):
    """No answer that can be used; the message names the place and the reason."""


class UntrustedServer(ExchangeError):
    """The server's certificate is not accepted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Names in ``headers`` are lower-case; of a header that came twice the first counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """``url``: http or https. ``headers`` may hold secrets: they are never part of an error."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


def exchange(question: Question, *, timeout_s: float, max_body: int, context: ssl.SSLContext | None = None) -> Answer:
    """Ask, and wait for the answer. See :class:`Exchange`. Raises :class:`ExchangeError`."""
    return Exchange(question, timeout_s=timeout_s, max_body=max_body, context=context).run()


class Exchanges:
    """Those of one owner, asked from any thread, which it can end all at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Exchange] = set()
        self.closed = False

    def exchange(self, question: Question, *, timeout_s: float, max_body: int) -> Answer:
        """As :func:`exchange`; once closed, refuses."""
        running = Exchange(question, timeout_s=timeout_s, max_body=max_body)
        with self._lock:
            if self.closed:
                raise ExchangeError(f"{question.method} {question.url.partition('?')[0]}: not asked while stopping")
            self._open.add(running)
        try:
            return running.run()
        finally:
            with self._lock:
                self._open.discard(running)

    def close(self) -> None:
        """Cut what is under way, and refuse others."""
        with self._lock:
            self.closed = True
            for running in self._open:
                running.cut()


class Exchange:
    """One question on a connection of its own. Redirects are answers like others: nothing is followed.

    ``timeout_s`` bounds everything from the connection to the last octet; only the resolver of names has its own
    bounds. ``context`` is for https.
    """

    def __init__(
        self, question: Question, *, timeout_s: float, max_body: int, context: ssl.SSLContext | None = None
    ) -> None:
        """Raises :class:`ExchangeError` for a URL that cannot be asked."""
        parts = urlsplit(question.url)
        self._question = question
        self._timeout_s = timeout_s
        self._max_body = max_body
        self._place = f"{question.method} {parts.scheme}://{parts.netloc}{parts.path}"
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection: _Connection
        try:
            if parts.scheme == "https" and context is not None:
                self._connection = _TlsConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=context)
            elif parts.scheme == "http":
                self._connection = _Connection(parts.hostname or "", parts.port, timeout=timeout_s)
            else:
                raise ExchangeError(f"{self._place}: neither http nor https")
        except (ValueError, http.client.HTTPException) as error:
            raise ExchangeError(f"{self._place}: {error}") from None

    def run(self) -> Answer:
        """Raises :class:`ExchangeError`, also for a body of more than ``max_body`` bytes or one that ended early."""
        question, connection = self._question, self._connection
        # A socket's own timeout starts again with each octet.
        alarm = threading.Timer(self._timeout_s, connection.cut)
        alarm.daemon = True
        alarm.start()
        try:
            connection.request(question.method, self._target, body=question.body, headers=dict(question.headers))
            with connection.getresponse() as response:
                headers = {name.lower(): value for name, value in reversed(response.getheaders())}
                answer = Answer(response.status, headers, _read(response, self._max_body))
            if connection.was_cut:
                raise TimeoutError  # an answer that was cut may look like a whole one
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            kind = UntrustedServer if isinstance(error, ssl.SSLCertVerificationError) else ExchangeError
            raise kind(f"{self._place}: {_reason(error, connection, self._timeout_s)}") from None
        finally:
            alarm.cancel()
            connection.end()

    def cut(self) -> None:
        """From any thread: end it now; :meth:`run` raises."""
        self._connection.cut()


class _Connection(http.client.HTTPConnection):
    """Can be cut by another thread: while it connects, to whichever of several addresses, and within a TLS handshake,
    when ``sock`` is not yet that of TLS."""

    was_cut = False
    wakers: tuple[socket.socket, ...] = ()

    def connect(self) -> None:
        failure: OSError = OSError("its name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                self.wakers = (*self.wakers, sock.dup())
                sock.settimeout(self.timeout)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                sock.close()
                failure = error
            else:
                self.sock = sock
            if self.was_cut:
                raise TimeoutError
            if self.sock is not None:
                return
        raise failure

    def cut(self) -> None:
        self.was_cut = True
        for waker in self.wakers:
            with contextlib.suppress(OSError):
                waker.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Not ``close``, which http.client calls itself while the answer of a last request is still to be read."""
        self.close()
        for waker in self.wakers:
            waker.close()


class _TlsConnection(http.client.HTTPSConnection, _Connection):
    pass


def _read(response: http.client.HTTPResponse, max_body: int) -> bytes:
    if response.length is not None and response.length > max_body:
        raise ValueError(f"the answer is larger than {_size(max_body)}")
    parts: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK):
        size += len(chunk)
        if size > max_body:
            raise ValueError(f"the answer is larger than {_size(max_body)}")
        parts.append(chunk)
    if response.length:
        raise ValueError("the answer ended early")
    return b"".join(parts)


def _size(octets: int) -> str:
    return f"{octets >> 20} MiB" if octets >= 1 << 20 else f"{octets >> 10} KiB"


def _reason(error: Exception, connection: _Connection, timeout_s: float) -> str:
    if isinstance(error, TimeoutError) or connection.was_cut:
        return f"no whole answer within {timeout_s:.3g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({(error.reason or str(error)).replace('_', ' ').lower()})"
    if isinstance(error, socket.gaierror):
        return f"its name cannot be resolved ({error.strerror})"
    if isinstance(error, http.client.BadStatusLine | http.client.IncompleteRead):
        return "the answer is no HTTP, or ended early"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "".join(c if c.isprintable() else "?" for c in str(error))[:200] or type(error).__name__
