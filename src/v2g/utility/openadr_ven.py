"""The link to a VTN: a thread that polls, and the event loop that takes what it found, without waiting for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from v2g.clock import Clock
from v2g.config.schema_openadr import OpenAdr
from v2g.host.bounded_http import ExchangeError
from v2g.sessions.supervisor import Log
from v2g.utility.openadr_client import Account, Polled, VtnClient, VtnError
from v2g.utility.openadr_events import Followed, Reader, follow, still_held
from v2g.utility.openadr_http import Exchanger, read_secret, split_url, tls_context
from v2g.utility.signal_book import VTN, SignalBook

FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 300.0
_MAX_NOTES = 50
_STOP_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VenStatus:
    """``error`` empty: the last poll was answered. ``last_answer_unix_s`` None: none was since the start."""

    url: str
    ven_name: str
    ven_id: str = ""
    program: str = ""
    last_answer_unix_s: float | None = None
    error: str = ""
    events: int = 0
    notes: tuple[str, ...] = ()
    """What of the events is not followed, and why."""


def retry_delay_s(failures: int, uniform: float) -> float:
    """After so many failures in a row: doubling, and of that a share drawn between half and all."""
    return min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 16)) * (0.5 + 0.5 * uniform)


class VenLink:
    """Keeps the VTN's signals in ``book``. While the VTN is silent they stay until each one's own end, and no longer.

    ``uniform`` draws from 0..1, for back-off and so that not all VENs poll at once.
    """

    def __init__(self, config: OpenAdr, book: SignalBook, clock: Clock, log: Log, uniform: Callable[[], float]) -> None:
        self._config = config
        self._book = book
        self._clock = clock
        self._log = log
        self._uniform = uniform
        self._stop = threading.Event()
        self._exchanger: Exchanger | None = None
        self._client: VtnClient | None = None
        self._first_seen: dict[str, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._told: frozenset[str] = frozenset()
        self.status = VenStatus(url=config.url, ven_name=config.ven_name, program=config.program)

    def start(self) -> None:
        """Within a running event loop, where ``book`` is changed from then on."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="OpenADR", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        self._stop.set()
        exchanger = self._exchanger
        if exchanger is not None:
            exchanger.close()
        if self._thread is not None:
            # It may hang in a name server; it is a daemon thread, and takes nothing with it.
            await asyncio.to_thread(self._thread.join, _STOP_S)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                polled, followed = self._poll()
            except (VtnError, ExchangeError, ValueError) as error:
                failures += 1
                self._forget(str(error))
            except Exception as error:  # whatever it is, the thread must go on
                failures += 1
                self._forget(f"internal error ({type(error).__name__}: {error}), please report it")
            else:
                failures = 0
                self._hand_over(partial(self._take, polled, followed))
            delay_s = self._config.poll_s * (0.9 + 0.2 * self._uniform())
            self._stop.wait(retry_delay_s(failures, self._uniform()) if failures else delay_s)

    def _poll(self) -> tuple[Polled, Followed]:
        client = self._client
        if client is None:
            client = self._client = self._connect()
        polled = client.poll()
        unix_s = self._clock.unix_s()
        self._first_seen = {event.id: self._first_seen.get(event.id, unix_s) for event in polled.events}
        reader = Reader(
            ven_name=self._config.ven_name,
            longest_s=self._book.longest_s,
            targets=polled.targets | set(self._config.targets),
            simple_caps_w=self._config.simple_caps_w,
        )
        return polled, follow(polled.events, polled.programs, reader, unix_s, self._first_seen)

    def _connect(self) -> VtnClient:
        """Raises ``ValueError`` for files and URLs that cannot be used."""
        config = self._config
        url = config.url.rstrip("/")
        for each in (url, config.token_url or url):
            split_url(each)
        secret = read_secret(Path(config.client_secret_file))
        self._exchanger = Exchanger(tls_context(config.ca), config.timeout_s)
        if self._stop.is_set():
            self._exchanger.close()
        account = Account(
            url=url,
            token_url=config.token_url,
            client_id=config.client_id,
            secret=secret,
            ven_name=config.ven_name,
            program=config.program,
            scope=config.scope,
        )
        return VtnClient(account, self._exchanger, self._clock)

    def _forget(self, error: str) -> None:
        # Files are read anew: secret and CA may have been renewed.
        self._client = None
        self._hand_over(partial(self._fail, error))

    def _hand_over(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._stop.is_set():
            with contextlib.suppress(RuntimeError):  # the loop has ended in between
                self._loop.call_soon_threadsafe(call)

    def _take(self, polled: Polled, followed: Followed) -> None:
        unix_s = self._clock.unix_s()
        held = still_held(self._book.standing(unix_s, VTN), followed, polled.unread)
        refused = self._book.replace(VTN, (*followed.entries, *held), unix_s)
        kept = tuple(f"{name}: what it said before holds until its end" for name in {e.signal.source for e in held})
        notes = tuple(dict.fromkeys((*polled.notes, *followed.notes, *sorted(kept), *refused)))
        if self.status.error or self.status.last_answer_unix_s is None:
            signals = len(self._book.standing(unix_s, VTN))
            self._log.info("OPENADR_UP", f"{self._config.url}: {len(polled.events)} events, {signals} signals")
        self._tell(notes)
        self.status = replace(
            self.status,
            ven_id=self._client.ven_id if self._client is not None else self.status.ven_id,
            last_answer_unix_s=unix_s,
            error="",
            events=len(polled.events),
            notes=notes[:_MAX_NOTES],
        )

    def _fail(self, error: str) -> None:
        if error != self.status.error:
            self._log.warning("OPENADR_DOWN", f"{error}; signals hold until their own ends, and it is tried again")
        self.status = replace(self.status, error=error)

    def _tell(self, notes: Sequence[str]) -> None:
        for note in notes[:_MAX_NOTES]:
            if note not in self._told:
                self._log.warning("OPENADR_NOTE", note)
        self._told = frozenset(notes)
