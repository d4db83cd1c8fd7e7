"""Fetches CRLs from distribution points over HTTP, and lets only better ones replace those that are there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from v2g.clock import Clock
from v2g.host.bounded_http import ExchangeError, Exchanges, Question
from v2g.host.files import replace_file
from v2g.pki.clock_sync import JudgedTime
from v2g.pki.crl import LARGEST_CRL, Crl, CrlError, CrlShelf, name_key, read_crls
from v2g.pki.revocation import staleness

DUE_AT = 0.8
"""Share of a CRL's life after which the next one is fetched."""
TIMEOUT_S = 60.0
"""For one CRL; large ones come slowly over a mobile link."""
FIRST_RETRY_S, LAST_RETRY_S = 60.0, 3600.0


class CrlFetcher:
    """Into ``folder``, one file a distribution point, written as a whole."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        time: Callable[[], JudgedTime],
        exchanges: Exchanges,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._folder = folder
        self._exchanges = exchanges
        self._clock = clock
        self._time = time
        self._timeout_s = timeout_s
        self._not_before: dict[str, tuple[float, float]] = {}
        self._fetching: set[str] = set()
        self._lock = threading.Lock()

    def fetch_if_due(self, url: str, issuer_der: bytes, shelf: CrlShelf, timeout_s: float | None = None) -> str | None:
        """None: nothing was due, or it is being fetched. Empty: a new one is in the folder. Else: what went wrong.

        Never raises.
        """
        with self._lock:
            if url in self._fetching:
                return None
            self._fetching.add(url)
        try:
            return self._fetch_if_due(url, issuer_der, shelf, timeout_s)
        finally:
            with self._lock:
                self._fetching.discard(url)

    def _fetch_if_due(self, url: str, issuer_der: bytes, shelf: CrlShelf, timeout_s: float | None) -> str | None:
        try:
            issuer = x509.load_der_x509_certificate(issuer_der)
            name = name_key(issuer.subject)
        except ValueError:
            return None
        # Where several lists of one issuer are at hand, the one of this place is the one in its file.
        path = self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.crl"
        present = [crl for crl in shelf if crl.issuer == name and crl.is_signed_by(issuer)]
        current = next((crl for crl in present if crl.name == str(path)), None)
        now_s = self._clock.monotonic_s()
        again_s, retry_s = self._not_before.get(url, (0.0, FIRST_RETRY_S))
        if not self._is_due(current) or now_s < again_s:
            return None
        try:
            self._fetch(url, issuer, path, current, timeout_s or self._timeout_s)
        except (ExchangeError, CrlError) as error:
            problem = str(error)
        except OSError as error:
            problem = f"the CRL of {url} cannot be written to {path}: {error.strerror}"
        else:
            # What was fetched may be due again at once, where an authority is late.
            self._not_before[url] = (now_s + FIRST_RETRY_S, FIRST_RETRY_S)
            return ""
        self._not_before[url] = (now_s + retry_s, min(2.0 * retry_s, LAST_RETRY_S))
        return problem

    def _is_due(self, current: Crl | None) -> bool:
        if current is None or current.next_update_s is None:
            return True
        life_s = current.next_update_s - current.this_update_s
        return self._time().at_unix_s >= current.this_update_s + DUE_AT * life_s

    def _fetch(self, url: str, issuer: x509.Certificate, path: Path, current: Crl | None, timeout_s: float) -> None:
        question = Question(method="GET", url=url)
        answer = self._exchanges.exchange(question, timeout_s=timeout_s, max_body=LARGEST_CRL)
        if answer.status != 200:
            raise CrlError(f"GET {url}: status {answer.status}")
        crls = read_crls(answer.body, url)
        if len(crls) != 1:
            raise CrlError(f"{url} gave {len(crls)} CRLs, must be one")
        new, now = crls[0], self._time()
        if new.issuer != name_key(issuer.subject) or not new.is_signed_by(issuer):
            raise CrlError(f"the CRL of {url} is not signed by {issuer.subject.rfc4514_string()[:160]}")
        if problem := staleness(new.this_update_s, new.next_update_s, now.at_unix_s, now.is_lower_bound):
            raise CrlError(f"the CRL of {url} {problem}")
        if current is not None and new.this_update_s <= current.this_update_s:
            raise CrlError(f"the CRL of {url} is no newer than the one that is here")
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        replace_file(path, answer.body)
