"""The OCSP answer about our own certificate that a TLS server staples to its handshakes (RFC 6066, 8).

It is fetched from the responder that the certificate names, verified, kept in the state directory over a restart, and
fetched anew at half of its life. A certificate without a responder has nothing to staple. What is old is not stapled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pyiso15118.security.chain import name_of
from v2g.clock import Clock, SystemClock
from v2g.host.bounded_http import ExchangeError, Exchanges
from v2g.host.files import replace_file
from v2g.pki.clock_sync import JudgedTime
from v2g.pki.ocsp import LARGEST_ANSWER, OcspAnswer, OcspError, read_answer, responder_url
from v2g.pki.ocsp_client import fetch_answer
from v2g.pki.revocation import Verdict

DIRECTORY = "staples"
REFRESHED_AT = 0.5
"""Share of an answer's life."""
FIRST_RETRY_S, LAST_RETRY_S = 60.0, 3600.0


class Log(Protocol):
    def info(self, code: str, message: str = "", /, **fields: object) -> None: ...

    def warning(self, code: str, message: str = "", /, **fields: object) -> None: ...

    def error(self, code: str, message: str = "", /, **fields: object) -> None: ...


class Stapler:
    """Of one chain: called for each handshake, it gives the answer in DER, or None. Make a new one for a new chain."""

    def __init__(
        self,
        chain: Sequence[x509.Certificate],
        *,
        state_dir: Path,
        timeout_s: float,
        clock: Clock | None = None,
        time: Callable[[], JudgedTime] | None = None,
        log: Log | None = None,
        exchanges: Exchanges | None = None,
    ) -> None:
        """``chain``: our leaf first. Its issuer must be among the others, else there is nothing to staple."""
        self._clock = clock or SystemClock()
        self._time = time or (lambda: JudgedTime(self._clock.unix_s(), is_lower_bound=False))
        self._timeout_s = timeout_s
        self._log = log
        self._exchanges = exchanges or Exchanges()
        self._leaf = chain[0]
        self._issuer = next((c for c in chain[1:] if c.subject == self._leaf.issuer), None)
        self._path = state_dir / DIRECTORY / f"{self._leaf.fingerprint(hashes.SHA256()).hex()}.ocsp"
        self._refreshing = threading.Lock()
        self._again_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._told = ""
        self._kept: tuple[OcspAnswer, bytes] | None = self._stored()

    def __call__(self) -> bytes | None:
        """From memory, at once."""
        if self._kept is None:
            return None
        answer, der = self._kept
        now = self._time()
        return None if now.at_unix_s > answer.next_update_s else der

    def refresh(self) -> None:
        """To be called every some seconds, in a thread: asks when it is due. Never raises."""
        if self._issuer is None or not responder_url(self._leaf) or not self._refreshing.acquire(blocking=False):
            return
        try:
            if self._is_due():
                self._fetch(self._issuer)
        finally:
            self._refreshing.release()

    @property
    def problem(self) -> str:
        """Why there is nothing new, for the status; empty while all is well or nothing is to be stapled."""
        return self._told

    def _is_due(self) -> bool:
        if self._clock.monotonic_s() < self._again_s:
            return False
        if self._kept is None:
            return True
        answer = self._kept[0]
        half_s = answer.this_update_s + REFRESHED_AT * (answer.next_update_s - answer.this_update_s)
        return self._time().at_unix_s >= half_s

    def _fetch(self, issuer: x509.Certificate) -> None:
        now_s = self._clock.monotonic_s()
        try:
            answer, der = fetch_answer(self._leaf, issuer, self._timeout_s, self._time(), self._exchanges)
            if answer.finding.verdict is Verdict.UNKNOWN:
                raise OcspError(answer.finding.reason)
        except (OcspError, ExchangeError) as error:
            self._again_s = now_s + self._retry_s
            self._retry_s = min(2.0 * self._retry_s, LAST_RETRY_S)
            self._tell(f"no OCSP answer to staple for {name_of(self._leaf)}: {error}")
            return
        # A responder whose answers are past half of their life when they come is not asked all the time.
        self._again_s, self._retry_s = now_s + FIRST_RETRY_S, FIRST_RETRY_S
        self._kept = (answer, der)
        if answer.finding.verdict is Verdict.REVOKED:
            self._tell(f"our own certificate {answer.finding.reason}: provision a new one", revoked=True)
        else:
            self._tell("")
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            replace_file(self._path, der)
        except OSError as error:
            self._tell(f"the OCSP answer to staple cannot be kept: {self._path}: {error.strerror}")

    def _tell(self, problem: str, revoked: bool = False) -> None:
        if problem == self._told:
            return
        was, self._told = self._told, problem
        if self._log is None:
            return
        if revoked:
            self._log.error("CERTIFICATE_REVOKED", problem)
        elif problem:
            self._log.warning("STAPLE_FAILED", problem)
        elif was:
            self._log.info("STAPLE_OK", "there is an OCSP answer to staple again")

    def _stored(self) -> tuple[OcspAnswer, bytes] | None:
        """What was kept before a restart, verified as if it came from the responder."""
        if self._issuer is None:
            return None
        now = self._time()
        try:
            with self._path.open("rb") as file:
                der = file.read(LARGEST_ANSWER + 1)
            answer = read_answer(
                der, self._leaf, self._issuer, at_unix_s=now.at_unix_s, is_lower_bound=now.is_lower_bound
            )
        except (OSError, OcspError):
            return None
        return answer, der
