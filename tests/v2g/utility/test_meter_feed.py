"""The feed's socket: answers, bounds, pace, and who may open it."""

from __future__ import annotations

import asyncio
import grp
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from v2g.clock import ManualClock
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_feed import MAX_CLIENTS, MAX_LINE_BYTES, EndpointError, MeterFeedServer, answer
from v2g.utility.meter_reading import MeterSpec

UNIX_S = 1_700_000_000


class Feed:
    def __init__(self, path: Path, clock: ManualClock, group: str = "") -> None:
        self.path = path
        self.book = MeterBook([MeterSpec(id="c1", max_age_s=1200.0, rated_w=15_000.0, fed=True)])
        self.clock = clock
        self.server = MeterFeedServer(path, group, self._take, clock)

    def _take(self, line: bytes) -> bytes:
        return answer(line, self.book, self.clock.monotonic_s(), self.clock.unix_s())


@pytest.fixture
async def feed(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Feed]:
    made = Feed(tmp_path / "meters.sock", clock)
    await made.server.start()
    yield made
    await made.server.close()


async def test_a_reading_is_taken_and_answered(feed: Feed, feed_client: Any) -> None:
    client = await feed_client.open(feed.path)
    assert await client.tell(meter="c1", at=UNIX_S, power_w={"a": 1.5}, unit="kW") == {"ok": True}
    assert feed.book.view(feed.clock.monotonic_s(), UNIX_S, None).base_w == (1500.0, 0.0, 0.0)
    assert await client.tell(meter="c1", at=UNIX_S - 60, power_w={"a": 1.5}) == {
        "ok": True,
        "note": "ignored: 1 min older than what is known",
    }
    client.close()


async def test_after_a_mistake_the_connection_goes_on(feed: Feed, feed_client: Any) -> None:
    client = await feed_client.open(feed.path)
    assert "no JSON" in (await client.send(b"rubbish\n"))["error"]
    assert "is not expected here" in (await client.tell(meter="c9", at=UNIX_S, power_w={"a": 1}))["error"]
    assert "in the future" in (await client.tell(meter="c1", at=UNIX_S + 600, power_w={"a": 1}))["error"]
    assert "W told as kW" in (await client.tell(meter="c1", at=UNIX_S - 1, power_w={"a": 5000}, unit="kW"))["error"]
    assert await client.tell(meter="c1", at=UNIX_S, power_w={"a": 5000}) == {"ok": True}
    client.close()


async def test_lines_in_pieces_and_several_at_once_are_answered_in_order(feed: Feed, feed_client: Any) -> None:
    client = await feed_client.open(feed.path)
    lines = [json.dumps({"meter": "c1", "at": UNIX_S - 10 + n, "power_w": n}).encode() for n in range(3)]
    client.writer.write(lines[0][:20])
    await asyncio.sleep(0)
    client.writer.write(lines[0][20:] + b"\n\n  \n" + b"\r\n".join(lines[1:]) + b"\r\nrubbish\n")
    assert [await client.answer() for _ in range(3)] == [{"ok": True}] * 3
    assert "error" in await client.answer()
    client.close()


async def test_a_line_that_is_too_long_ends_the_connection_with_a_word(feed: Feed, feed_client: Any) -> None:
    client = await feed_client.open(feed.path)
    said = await client.send(b'{"meter": "' + b"x" * (2 * MAX_LINE_BYTES))
    assert said == {"error": "a line may have 4096 bytes at most; write one reading a line"}
    assert await client.ended()


async def test_one_client_too_many_is_told_so(feed: Feed, feed_client: Any) -> None:
    clients = [await feed_client.open(feed.path) for _ in range(MAX_CLIENTS)]
    for client in clients:
        assert "error" in await client.send(b"x\n")
    late = await feed_client.open(feed.path)
    assert await late.answer() == {"error": "the feed has 16 connections already; close some"}
    assert await late.ended()
    clients[0].close()
    while feed.server.clients == MAX_CLIENTS:
        await asyncio.sleep(0)
    again = await feed_client.open(feed.path)
    assert "no JSON" in (await again.send(b"x\n"))["error"]
    for client in (*clients, again):
        client.close()


async def test_a_burst_is_slowed_down_and_loses_nothing(
    feed: Feed, feed_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    real = asyncio.sleep

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        feed.clock.advance(seconds)
        await real(0)

    monkeypatch.setattr("v2g.utility.meter_feed.asyncio.sleep", pause)
    client = await feed_client.open(feed.path)
    client.writer.write(b"x\n" * 300)
    for _ in range(300):
        assert "error" in await client.answer()
    assert len(waits) == 100
    assert sum(waits) == pytest.approx(1.0)
    client.close()


async def test_the_socket_is_closed_to_others_and_gone_after(tmp_path: Path, clock: ManualClock) -> None:
    made = Feed(tmp_path / "m.sock", clock, grp.getgrgid(os.getgid()).gr_name)
    await made.server.start()
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o660
    assert made.server.remarks == ()
    with pytest.raises(EndpointError, match=r"serves .*m\.sock already"):
        await Feed(made.path, clock).server.start()
    await made.server.close()
    assert not made.path.exists()


async def test_a_group_that_is_not_there_is_said(tmp_path: Path, clock: ManualClock) -> None:
    made = Feed(tmp_path / "m.sock", clock, "no-such-group-here")
    await made.server.start()
    assert made.server.remarks[0].startswith("utility.meter_feed.group: there is no group no-such-group-here")
    await made.server.close()


async def test_closing_ends_clients_under_way(feed: Feed, feed_client: Any) -> None:
    client = await feed_client.open(feed.path)
    assert "error" in await client.send(b"x\n")
    await feed.server.close()
    assert await client.ended()
