"""Revocation as the daemon asks for it: CRL files, fetched CRLs and OCSP answers behind one question.

:meth:`RevocationSource.is_revoked` answers from memory, at once: it may be asked on the event loop. What takes time
(:meth:`~RevocationSource.refresh`, :meth:`~RevocationSource.is_revoked_waiting`) is for a thread.
Until the first refresh nothing is known, and under ``old_data: refuse`` everybody is refused.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pyiso15118.security.chain import ChainError, ChainProblem, IsRevoked, name_of
from v2g.clock import Clock, SystemClock
from v2g.config.schema_pki import OldData, Revocation
from v2g.host.bounded_http import Exchanges
from v2g.pki.clock_sync import JudgedTime
from v2g.pki.crl import Crl, CrlShelf, crl_urls, name_key
from v2g.pki.crl_fetch import CrlFetcher
from v2g.pki.crl_files import CrlFiles, offline_shelf
from v2g.pki.ocsp_client import OcspClient
from v2g.pki.revocation import Finding, Verdict, combine, decide, staleness
from v2g.pki.revocation_state import RevocationState

FETCHED_DIR = "crl"
"""In the state directory: what was fetched, beside what people put into ``<pki.dir>/crl``."""


class Log(Protocol):
    def info(self, code: str, message: str = "", /, **fields: object) -> None: ...

    def warning(self, code: str, message: str = "", /, **fields: object) -> None: ...


class RevocationSource:
    """One for the daemon, for vehicles of all profiles."""

    def __init__(
        self,
        settings: Revocation,
        *,
        crl_dir: Path,
        state_dir: Path,
        clock: Clock | None = None,
        log: Log | None = None,
        time: Callable[[], JudgedTime] | None = None,
        anchors: Iterable[x509.Certificate] = (),
    ) -> None:
        """``time``: by which data is judged (:class:`v2g.pki.clock_sync.ClockWatch`); without, the clock's."""
        self.settings = settings
        self._clock = clock or SystemClock()
        self._time = time or (lambda: JudgedTime(self._clock.unix_s(), is_lower_bound=False))
        self._log = log
        self._crl_dir = crl_dir
        self._fetched_dir = state_dir / FETCHED_DIR
        self._files = CrlFiles(crl_dir, self._fetched_dir)
        self._state = RevocationState(state_dir)
        self._shelf: CrlShelf | None = None
        self._anchors: tuple[x509.Certificate, ...] = ()
        self.exchanges = Exchanges()
        """All that is asked of servers; :meth:`close` ends them."""
        self._ocsp = OcspClient(settings.timeout_s, self._clock, self._time, self.exchanges)
        self._fetcher = CrlFetcher(self._fetched_dir, self._clock, self._time, self.exchanges)
        self._refreshing = threading.Lock()
        self._loading = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="revocation")
        self._under_way: dict[Hashable, Future[None]] = {}
        self._starting = threading.Lock()
        self._told: dict[str, str] = {}
        self.trust(anchors)

    # ---- on the event loop ----

    def is_revoked(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """An :class:`~pyiso15118.security.chain.IsRevoked`: False, or :class:`ChainError` with reason and remedy.

        With OCSP and no answer at hand the responder is asked meanwhile, and the certificate is not known until then:
        who can wait for it calls :meth:`is_revoked_waiting`.
        """
        if not self.settings.check:
            return False
        finding = self.finding(certificate, issuer)
        decision = decide(finding, self.settings.old_data)
        if decision.revoked:
            raise ChainError(ChainProblem.REVOKED, f"{decision.told}: its holder needs a new certificate")
        if not decision.accepted:
            raise ChainError(ChainProblem.INVALID, f"{decision.told} (pki.revocation.old_data: warn would accept it)")
        if decision.told and self._log is not None:
            self._log.warning("REVOCATION_UNKNOWN", f"accepted as pki.revocation.old_data says: {decision.told}")
        return False

    def finding(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Finding:
        """What is known now, whatever is made of it."""
        if self._shelf is None:
            return Finding(Verdict.UNKNOWN, "revocation data has not been read yet: try again in a few seconds")
        now = self._time()
        by_list = self._shelf.look_up(
            certificate,
            issuer,
            at_unix_s=now.at_unix_s,
            is_lower_bound=now.is_lower_bound,
            anchors=self._anchors,
            missing=self._missing(certificate, issuer),
        )
        if self.settings.fetch_crls:
            self._note(certificate, issuer)
        if not self.settings.ocsp:
            return by_list
        if by_list.verdict in (Verdict.GOOD, Verdict.REVOKED):
            return combine([by_list, self._ocsp.known(certificate, issuer)])
        by_responder = self._ocsp.known(certificate, issuer)
        if by_responder.verdict is Verdict.UNKNOWN and self._ocsp.may_ask(certificate, issuer):
            self._in_background((certificate, issuer), self._ocsp.ask, certificate, issuer)
        return combine([by_list, by_responder])

    # ---- in a thread ----

    def refresh(self) -> None:
        """To be called at start and every some seconds. Reads files that changed, fetches CRLs that are due.

        Blocks for as long as servers take. Never raises; a call while another one runs does nothing.
        """
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            self.load()
            if self.settings.check and self.settings.fetch_crls and self._fetch():
                self.load()
            with contextlib.suppress(OSError):
                self._state.save()
        finally:
            self._refreshing.release()

    def load(self) -> None:
        """The part of :meth:`refresh` that asks no server: for the start, before anybody is served. Never raises."""
        with self._loading:
            self._load_alone()

    def is_revoked_waiting(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """As :meth:`is_revoked`, after what is missing was asked for: for the thread that does a handshake.

        Blocks for ``timeout_s`` or little more.
        """
        self._ask(certificate, issuer)
        return self.is_revoked(certificate, issuer)

    def close(self) -> None:
        """No more questions; those under way are cut."""
        self.exchanges.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ---- for people ----

    def trust(self, anchors: Iterable[x509.Certificate]) -> None:
        """The roots in force, whose CRLs may be fetched and which may sign for a namesake that was renewed."""
        self._anchors = tuple(anchors)
        if self.settings.fetch_crls:
            for anchor in self._anchors:
                if anchor.issuer == anchor.subject:
                    self._note(anchor, anchor)

    def warnings(self) -> tuple[str, ...]:
        """What a person should know at start and in the status: nothing checked, nothing configured, data old."""
        aged = [f"{crl.name} {problem}" for crl in self._newest() if (problem := self._staleness(crl))]
        unusable = self._shelf.unusable if self._shelf is not None and self.settings.check else ()
        return (*(text for _, text in self._settled()), *unusable, *(aged if self.settings.check else ()))

    def announce(self) -> None:
        """What the configuration makes of it, into the log at a start."""
        for code, text in self._settled():
            if self._log is not None:
                self._log.warning(code, text)

    def _settled(self) -> list[tuple[str, str]]:
        if not self.settings.check:
            return [
                ("REVOCATION_OFF", "revocation of vehicles' certificates is not checked (pki.revocation.check: false)")
            ]
        told = []
        shelf = self._shelf or CrlShelf()
        configured = self.settings.ocsp or self.settings.fetch_crls or self._state.issuers
        if not configured and not shelf.issuers() and not shelf.unusable:
            told.append(
                (
                    "REVOCATION_NOT_CONFIGURED",
                    "no revocation data is configured: revoked certificates are accepted; put CRLs into "
                    f"{self._crl_dir}, or set pki.revocation.ocsp",
                )
            )
        if self.settings.old_data is OldData.WARN:
            text = "certificates of which revocation is not known are accepted (pki.revocation.old_data: warn)"
            told.append(("REVOCATION_LAX", text))
        return told

    # ---- inside ----

    def _load_alone(self) -> None:
        shelf, changed = self._files.load()
        self._state.cover(shelf.issuers())
        first = self._shelf is None
        self._shelf = shelf
        if self._log is None:
            return
        if changed and (not first or shelf.issuers()):
            entries = sum(len(crl.serials) for crl in shelf)
            self._log.info("CRL_LOADED", "revocation lists in force", lists=sum(1 for _ in shelf), entries=entries)
        problems = {f"file {problem}": ("CRL_UNUSABLE", problem) for problem in shelf.unusable}
        for crl in self._newest():
            if problem := self._staleness(crl):
                problems[f"old {crl.name}"] = ("CRL_OLD", f"{crl.name} {problem}")
        for key, (code, text) in problems.items():
            if key not in self._told:
                self._log.warning(code, text)
        self._told = {key: code for key, (code, _) in problems.items()}

    def _newest(self) -> list[Crl]:
        """Of each issuer and scope."""
        newest: dict[object, Crl] = {}
        for crl in self._shelf or ():
            newest.setdefault((crl.issuer, crl.scope), crl)
        return list(newest.values())

    def _staleness(self, crl: Crl) -> str:
        now = self._time()
        return staleness(crl.this_update_s, crl.next_update_s, now.at_unix_s, now.is_lower_bound)

    def _note(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        for url in _fetched_from(certificate):
            self._state.note(url, issuer.public_bytes(Encoding.DER))

    def _fetch(self) -> bool:
        """Whether anything new came."""
        shelf = self._shelf or CrlShelf()
        new = False
        for url, issuer in list(self._state.points.items()):
            if self.exchanges.closed:
                break
            outcome = self._fetcher.fetch_if_due(url, issuer, shelf)
            self._tell_fetched(url, outcome)
            new = new or outcome == ""
        return new

    def _tell_fetched(self, url: str, outcome: str | None) -> None:
        if self._log is None or outcome is None or self.exchanges.closed:
            return
        if outcome:
            self._log.warning("CRL_NOT_FETCHED", outcome)
        else:
            self._log.info("CRL_FETCHED", "a new revocation list", url=url)

    def _missing(self, certificate: x509.Certificate, issuer: x509.Certificate) -> str:
        """Why a CRL of ``issuer`` should be here, empty if none need be."""
        if self.settings.fetch_crls and (urls := _fetched_from(certificate)):
            return f"the CRL of {urls[0]} could not be fetched yet"
        if name_key(issuer.subject) in self._state.issuers:
            return (
                f"the CRL of {name_of(issuer)} that was here is gone; put a new one into {self._crl_dir}, or remove "
                f"{self._state.path} if there are none any more"
            )
        return ""

    def _ask(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        asked = []
        if self.settings.check and self.settings.ocsp and self._ocsp.may_ask(certificate, issuer):
            asked.append(self._in_background((certificate, issuer), self._ocsp.ask, certificate, issuer))
        lacking = self._lacking(certificate, issuer)
        for url in lacking:
            self._state.note(url, issuer.public_bytes(Encoding.DER))
            asked.append(self._in_background(url, self._fetch_now, url, issuer))
        end_s = self._clock.monotonic_s() + self.settings.timeout_s + 1.0
        for each in asked:
            if each is not None:
                with contextlib.suppress(TimeoutError, CancelledError):
                    each.result(max(0.0, end_s - self._clock.monotonic_s()))
        if lacking:
            self.load()

    def _lacking(self, certificate: x509.Certificate, issuer: x509.Certificate) -> list[str]:
        """Where a CRL about ``certificate`` is to be fetched that never was."""
        if not (self.settings.check and self.settings.fetch_crls) or self._shelf is None:
            return []
        if name_key(issuer.subject) in self._shelf.issuers():
            return []
        return _fetched_from(certificate)

    def _fetch_now(self, url: str, issuer: x509.Certificate) -> None:
        outcome = self._fetcher.fetch_if_due(
            url, issuer.public_bytes(Encoding.DER), self._shelf or CrlShelf(), timeout_s=self.settings.timeout_s
        )
        self._tell_fetched(url, outcome)

    def _in_background(self, key: Hashable, work: Callable[..., None], *arguments: object) -> Future[None] | None:
        """What is under way under this key is not begun again: who comes then waits for the same.

        None where this source has been closed.
        """
        with self._starting:
            self._under_way = {each: future for each, future in self._under_way.items() if not future.done()}
            try:
                if key not in self._under_way:
                    self._under_way[key] = self._pool.submit(work, *arguments)
            except RuntimeError:
                return None
            return self._under_way[key]


def offline_check(crl_dir: Path, *, clock: Clock | None = None, old_data: OldData = OldData.REFUSE) -> IsRevoked:
    """By the CRL files that are there now and nothing else: for commands that look at our own chain."""
    shelf = offline_shelf([crl_dir])
    at_unix_s = (clock or SystemClock()).unix_s()

    def is_revoked(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        finding = shelf.look_up(certificate, issuer, at_unix_s=at_unix_s)
        decision = decide(finding, old_data)
        if not decision.accepted:
            problem = ChainProblem.REVOKED if decision.revoked else ChainProblem.INVALID
            raise ChainError(problem, decision.told)
        return False

    return is_revoked


def _fetched_from(certificate: x509.Certificate) -> list[str]:
    """The first two places over http; others of more than that are never seen."""
    return [url for url in crl_urls(certificate) if url.lower().startswith("http://")][:2]
