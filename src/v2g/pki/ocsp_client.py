"""Asks OCSP responders over HTTP, and keeps what they say until it is old. Used from several threads."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pyiso15118.security.chain import name_of
from v2g.clock import Clock
from v2g.host.bounded_http import ExchangeError, Exchanges, Question
from v2g.pki.clock_sync import JudgedTime
from v2g.pki.ocsp import LARGEST_ANSWER, NONCE_BYTES, OcspAnswer, OcspError, build_question, read_answer, responder_url
from v2g.pki.revocation import Finding, Verdict

MOST_ANSWERS = 1024
FAILED_S = 30.0
"""A responder that is not reached is asked nothing more for so long; one that answers badly, not about the same
certificate."""
_Pair = tuple[bytes, bytes]
_K = TypeVar("_K")
_T = TypeVar("_T")


class OcspClient:
    def __init__(self, timeout_s: float, clock: Clock, time: Callable[[], JudgedTime], exchanges: Exchanges) -> None:
        self._timeout_s = timeout_s
        self._exchanges = exchanges
        self._clock = clock
        self._time = time
        self._lock = threading.Lock()
        self._answers: OrderedDict[_Pair, OcspAnswer] = OrderedDict()
        self._failures: OrderedDict[_Pair | str, tuple[float, str]] = OrderedDict()
        """Also by the responder's URL."""
        self._asking: set[_Pair] = set()

    def known(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Finding:
        """By the answer at hand; UNKNOWN with the reason where there is none. Does not wait."""
        pair, now = _pair(certificate, issuer), self._time()
        with self._lock:
            answer, failure = self._answers.get(pair), self._failure(pair, certificate)
        who = f"revocation of {name_of(certificate)} is not known: "
        if answer is not None:
            finding = answer.finding_at(now.at_unix_s, now.is_lower_bound)
            if finding.verdict is not Verdict.UNKNOWN:
                return finding
            return Finding(Verdict.UNKNOWN, f"{who}{finding.reason}{f'; {failure[1]}' if failure else ''}")
        if failure is not None:
            return Finding(Verdict.UNKNOWN, f"{who}{failure[1]}")
        if not responder_url(certificate):
            return Finding(Verdict.UNKNOWN, f"{who}it names no OCSP responder (http)")
        return Finding(Verdict.UNKNOWN, f"{who}its OCSP responder has not answered yet; try again")

    def may_ask(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Whether its responder should be asked now: nothing at hand, no failure just before."""
        if not responder_url(certificate) or self._has_answer(certificate, issuer):
            return False
        pair = _pair(certificate, issuer)
        with self._lock:
            failure = self._failure(pair, certificate)
        return failure is None or self._clock.monotonic_s() - failure[0] >= FAILED_S

    def ask(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        """Blocks for ``timeout_s`` at most. Never raises: a failure is remembered with its reason."""
        pair = _pair(certificate, issuer)
        if not self.may_ask(certificate, issuer):
            return
        with self._lock:
            if pair in self._asking:
                return
            self._asking.add(pair)
        try:
            answer = fetch_answer(certificate, issuer, self._timeout_s, self._time(), self._exchanges)[0]
            # It may know it soon, a new one for instance; until when it need not be asked again says nothing of that.
            if answer.finding.verdict is Verdict.UNKNOWN:
                raise OcspError(answer.finding.reason)
        except (OcspError, ExchangeError) as error:
            failed = responder_url(certificate) if isinstance(error, ExchangeError) else pair
            with self._lock:
                _put(self._failures, failed, (self._clock.monotonic_s(), str(error)))
        else:
            with self._lock:
                self._failures.pop(pair, None)
                self._failures.pop(responder_url(certificate), None)
                _put(self._answers, pair, answer)
        finally:
            with self._lock:
                self._asking.discard(pair)

    def _failure(self, pair: _Pair, certificate: x509.Certificate) -> tuple[float, str] | None:
        found = (self._failures.get(pair), self._failures.get(responder_url(certificate)))
        return max((each for each in found if each is not None), default=None)

    def _has_answer(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        now = self._time()
        with self._lock:
            answer = self._answers.get(_pair(certificate, issuer))
        if answer is None:
            return False
        fresh = answer.next_update_s >= now.at_unix_s
        return answer.finding.verdict is Verdict.REVOKED or fresh


def fetch_answer(
    certificate: x509.Certificate, issuer: x509.Certificate, timeout_s: float, now: JudgedTime, exchanges: Exchanges
) -> tuple[OcspAnswer, bytes]:
    """Asks the responder that ``certificate`` names; the answer, and the same in DER.

    Raises :class:`OcspError` and :class:`ExchangeError`, with the place.
    """
    url = responder_url(certificate)
    if not url:
        raise OcspError(f"{name_of(certificate)} names no OCSP responder (http)")
    place = f"OCSP responder {urlsplit(url).netloc}"
    nonce = secrets.token_bytes(NONCE_BYTES)
    try:
        question = build_question(certificate, issuer, nonce)
    except ValueError as error:
        raise OcspError(f"{name_of(certificate)} cannot be asked about: {error}") from None
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    answer = exchanges.exchange(
        Question(method="POST", url=url, headers=headers, body=question), timeout_s=timeout_s, max_body=LARGEST_ANSWER
    )
    if answer.status != 200:
        raise OcspError(f"{place} answers with status {answer.status}")
    try:
        read = read_answer(
            answer.body,
            certificate,
            issuer,
            at_unix_s=now.at_unix_s,
            is_lower_bound=now.is_lower_bound,
            nonce=nonce,
        )
    except OcspError as error:
        raise OcspError(f"{place}: {error}") from None
    return read, answer.body


def _pair(certificate: x509.Certificate, issuer: x509.Certificate) -> _Pair:
    return certificate.fingerprint(hashes.SHA256()), issuer.fingerprint(hashes.SHA256())


def _put(kept: OrderedDict[_K, _T], key: _K, value: _T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MOST_ANSWERS:
        kept.popitem(last=False)
