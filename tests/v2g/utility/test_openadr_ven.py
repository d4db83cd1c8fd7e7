"""The link as the daemon has it: its thread, its back-off, and what becomes of signals while the VTN is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.kept_log import KeptLog
from support.vtn import Vtn, running
from v2g.clock import ManualClock
from v2g.config.schema_openadr import OpenAdr
from v2g.utility.openadr_ven import FIRST_RETRY_S, LONGEST_RETRY_S, VenLink, retry_delay_s
from v2g.utility.signal_book import SignalBook

BEGIN_UNIX_S = 1_700_000_000.0
PERIOD = {"start": "2023-11-14T22:13:20Z", "duration": "PT1H"}
"""From BEGIN_UNIX_S."""


class HurriedLink(VenLink):
    """Waits a three hundredth of what it would, and counts how often."""

    tries = 0

    def start(self) -> None:
        wait = self._stop.wait

        def hurried(timeout: float | None = None) -> bool:
            self.tries += 1
            return wait((timeout or 0.0) / 300.0)

        self._stop.wait = hurried  # type: ignore[method-assign]
        super().start()


@pytest.fixture(scope="module")
def server() -> Iterator[Vtn]:
    with running("3.1.1") as made:
        yield made


@pytest.fixture
def vtn(server: Vtn) -> Vtn:
    server.tell(wipe=True)
    return server


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_text("ven-secret\n")
    return path


@asynccontextmanager
async def linked(
    vtn_url: str, secret: Path, **changes: Any
) -> AsyncIterator[tuple[HurriedLink, SignalBook, KeptLog, ManualClock]]:
    fields = {"url": vtn_url, "client_id": "ven", "client_secret_file": str(secret), "ven_name": "transformer-12"}
    config = msgspec.convert({**fields, "poll_s": 5.0, "timeout_s": 1.0, **changes}, OpenAdr)
    clock, book, told = ManualClock(unix_s=BEGIN_UNIX_S), SignalBook(172_800.0), KeptLog()
    link = HurriedLink(config, book, clock, told, lambda: 0.5)
    link.start()
    try:
        yield link, book, told, clock
    finally:
        await link.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.005)


def cap(vtn: Vtn, kw: float = 20.0, **more: Any) -> str:
    program = vtn.create("programs", programName=f"caps {kw}")
    descriptor = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}
    intervals = [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}]
    fields = {"eventName": "peak", "payloadDescriptors": [descriptor], "intervalPeriod": PERIOD, "intervals": intervals}
    return vtn.create("events", programID=program, **{**fields, **more})


def top_w(book: SignalBook, clock: ManualClock) -> float | None:
    bounds = book.view(clock.monotonic_s(), clock.unix_s()).bounds
    return bounds[0].hi_w if bounds else None


async def test_an_event_binds_is_changed_and_is_gone_when_it_is_deleted(vtn: Vtn, secret: Path) -> None:
    key = cap(vtn, 20.0)
    async with linked(vtn.url, secret) as (link, book, told, clock):
        await until(lambda: top_w(book, clock) == 20e3)
        vtn.change("events", key, intervals=[{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [7]}]}])
        await until(lambda: top_w(book, clock) == 7e3)
        vtn.delete("events", key)
        await until(lambda: top_w(book, clock) is None)
        await until(lambda: link.status.events == 0)
        assert (link.status.error, link.status.notes) == ("", ())
        assert link.status.ven_id
        assert told.said == [("OPENADR_UP", f"{vtn.url}: 1 events, 1 signals")]


async def test_while_the_vtn_is_away_signals_hold_until_their_own_end_and_no_longer(vtn: Vtn, secret: Path) -> None:
    cap(vtn, 20.0)
    async with linked(vtn.url, secret) as (link, book, told, clock):
        await until(lambda: top_w(book, clock) == 20e3)
        vtn.break_down("500", "/")
        await until(lambda: bool(link.status.error))
        assert "status 500" in link.status.error
        clock.advance(3599.0)
        assert top_w(book, clock) == 20e3
        clock.advance(1.0)
        assert top_w(book, clock) is None
        vtn.tell()
        await until(lambda: not link.status.error)
        assert told.codes() == ["OPENADR_UP", "OPENADR_DOWN", "OPENADR_UP"]


@pytest.mark.parametrize(
    "broken",
    [
        {"payloadDescriptors": []},
        {"intervals": "soon"},
        {"intervalPeriod": {"start": "soon"}},
    ],
)
async def test_an_event_that_can_no_longer_be_understood_does_not_lift_its_limit(
    vtn: Vtn, secret: Path, broken: dict[str, Any]
) -> None:
    key = cap(vtn, 20.0)
    async with linked(vtn.url, secret) as (link, book, _told, clock):
        await until(lambda: top_w(book, clock) == 20e3)
        vtn.change("events", key, **broken)
        await until(lambda: bool(link.status.notes))
        assert top_w(book, clock) == 20e3
        assert link.status.notes[-1] == "OpenADR event 'peak': what it said before holds until its end"
        clock.advance(3600.0)
        assert top_w(book, clock) is None
        clock.advance(-3600.0)
        vtn.delete("events", key)
        await until(lambda: top_w(book, clock) is None)


async def test_what_is_not_followed_is_told_once(vtn: Vtn, secret: Path) -> None:
    cap(vtn, 20.0, payloadDescriptors=[])
    async with linked(vtn.url, secret) as (link, book, told, _clock):
        await until(lambda: sum(r.startswith("GET /events") for r in vtn.requests()) >= 4)
        assert len(book) == 0
        assert link.status.notes == (
            "IMPORT_CAPACITY_LIMIT of OpenADR event 'peak' is not followed: no units are told in a payloadDescriptor: "
            "it takes KW",
        )
        assert told.codes().count("OPENADR_NOTE") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_secret_file": "/nonexistent/secret"}, "client secret file /nonexistent/secret cannot be read"),
        ({"ca": "/nonexistent/ca.pem"}, "utility.openadr.ca '/nonexistent/ca.pem' cannot be used"),
        ({"url": "http://vtn.example/openadr3"}, "is not encrypted"),
        ({"token_url": "http://auth.example/token"}, "is not encrypted"),
        ({"url": "http://127.0.0.1:1"}, "Connection refused"),
    ],
)
async def test_what_keeps_it_from_working_is_in_the_status_and_told_once(
    vtn: Vtn, secret: Path, changes: dict[str, str], words: str
) -> None:
    async with linked(vtn.url, secret, **changes) as (link, _, told, _clock):
        await until(lambda: bool(link.status.error))
        assert words in link.status.error
        await until(lambda: link.tries >= 3)
        assert told.codes().count("OPENADR_DOWN") == 1
        assert link.status.last_answer_unix_s is None


async def test_a_secret_that_was_corrected_is_read_again(vtn: Vtn, secret: Path) -> None:
    secret.write_text("old\n")
    async with linked(vtn.url, secret) as (link, _, _told, _clock):
        await until(lambda: "invalid_client" in link.status.error)
        secret.write_text("ven-secret\n")
        await until(lambda: link.status.last_answer_unix_s is not None and not link.status.error)


async def test_it_ends_at_once_also_while_it_waits_for_an_answer(vtn: Vtn, secret: Path) -> None:
    vtn.break_down("slow", "/")
    async with linked(vtn.url, secret, timeout_s=60.0) as (link, _, _told, _clock):
        await until(lambda: bool(vtn.requests()))
        async with asyncio.timeout(1.5):
            await link.close()
        assert link._thread is not None
        assert not link._thread.is_alive()


def test_after_failures_it_waits_ever_longer_up_to_a_bound_and_not_all_in_step() -> None:
    assert [retry_delay_s(n, 1.0) for n in (1, 2, 3, 4)] == [5.0, 10.0, 20.0, 40.0]
    assert retry_delay_s(1, 0.0) == FIRST_RETRY_S / 2
    assert retry_delay_s(10_000, 1.0) == LONGEST_RETRY_S
