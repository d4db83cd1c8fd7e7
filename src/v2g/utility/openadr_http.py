"""One HTTPS exchange at a time with a VTN, bounded in time and size. Blocks: for a thread of its own."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from v2g import __version__
from v2g.config.addresses import is_this_host
from v2g.host.bounded_http import Answer, Exchange, ExchangeError, Question, UntrustedServer

MAX_BODY = 4 << 20
_MAX_SECRET = 4096


def split_url(url: str) -> SplitResult:
    """Raises ``ValueError`` for a URL that is neither https nor http to this host itself, or more than a path."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of a VTN: write it like https://vtn.example/openadr3/3.1.0")
    if parts.username or parts.query or parts.fragment:
        raise ValueError(f"the URL of {parts.hostname} must be without user, '?' and '#'")
    if parts.scheme == "http" and not is_this_host(parts.hostname):
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


class Exchanger:
    """Each request has a connection of its own, so that nothing of an earlier answer can be taken for a later one."""

    def __init__(self, context: ssl.SSLContext, timeout_s: float) -> None:
        self._context = context
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._open: Exchange | None = None
        self._closed = False

    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Raises :class:`ExchangeError`. Redirects are not followed: a token must not go elsewhere."""
        sent = {"Accept": "application/json", "User-Agent": f"v2g-orchestrator/{__version__}", **headers}
        question = Question(method=method, url=url, headers=sent, body=body)
        exchange = Exchange(question, timeout_s=self._timeout_s, max_body=MAX_BODY, context=self._context)
        with self._lock:
            if self._closed:
                raise ExchangeError(f"{method} {url.partition('?')[0]}: this VEN is stopping")
            self._open = exchange
        try:
            return exchange.run()
        except UntrustedServer as error:
            raise ExchangeError(f"{error}: see utility.openadr.ca") from None
        except ExchangeError:
            if self._closed:
                raise ExchangeError(f"{method} {url.partition('?')[0]}: this VEN is stopping") from None
            raise
        finally:
            with self._lock:
                self._open = None

    def close(self) -> None:
        """From any thread: ends the exchange that is under way, and refuses others."""
        with self._lock:
            self._closed = True
            if self._open is not None:
                self._open.cut()


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
