"""Meters as the configuration names them: polled and fed together, what is logged, and a feed that cannot be served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.sunspec_devices import wye_meter
from v2g.clock import ManualClock, SystemClock
from v2g.config.schema import Config
from v2g.utility.meter_view import MeteredLoad
from v2g.utility.meters import Meters, meter_specs


async def test_polled_and_fed_meters_make_one_base_load(
    site_with: Callable[..., Config], serve: Any, feed_client: Any, kept_log: Any, tmp_path: Path
) -> None:
    served = await serve(wye_meter(500))
    polled = {"id": "p1", "modbus": {"host": "127.0.0.1", "port": served.port}, "import_is_positive": False}
    config = site_with(meters=[polled], meter_feed={"meters": ["c1"]})
    clock = SystemClock()
    meters = Meters(config, tmp_path, clock, lambda: 0.0, kept_log)
    await meters.start()
    client = await feed_client.open(tmp_path / "meters.sock")
    assert await client.tell(meter="c1", at=clock.unix_s(), power_w={"a": 2000, "b": 2000, "c": 100}) == {"ok": True}

    async with asyncio.timeout(10.0):
        while not meters.records["p1"].counts.used:
            await asyncio.sleep(0.01)
    meters.view(clock.monotonic_s(), clock.unix_s(), None)
    assert meters.last.base_w == (1500.0, 1500.0, -400.0)
    assert [line.id for line in meters.last.lines] == ["p1", "c1"]
    client.close()
    await meters.close()
    assert not (tmp_path / "meters.sock").exists()
    assert kept_log.said == []


async def test_without_meters_nothing_runs(site_with: Callable[..., Config], kept_log: Any, tmp_path: Path) -> None:
    meters = Meters(site_with(), tmp_path, ManualClock(), lambda: 0.0, kept_log)
    await meters.start()
    assert meters.view(0.0, 0.0, 50_000.0) == MeteredLoad()
    assert list(tmp_path.iterdir()) == []
    await meters.close()


async def test_a_feed_that_cannot_be_served_is_said_and_the_rest_goes_on(
    site_with: Callable[..., Config], kept_log: Any, tmp_path: Path, clock: ManualClock
) -> None:
    config = site_with(meter_feed={"meters": ["c1"], "path": str(tmp_path / "absent" / "m.sock")})
    meters = Meters(config, tmp_path, clock, lambda: 0.0, kept_log)
    await meters.start()
    view = meters.view(clock.monotonic_s(), clock.unix_s(), None)
    assert view.base_w is None
    assert view.notes[0].startswith("the meter feed is not served: ")
    assert kept_log.codes() == ["METER_FEED_FAILED"]
    await meters.close()


async def test_a_meter_is_logged_once_when_it_is_lost_and_once_when_it_is_back(
    site_with: Callable[..., Config], kept_log: Any, tmp_path: Path, clock: ManualClock, feed_client: Any
) -> None:
    meters = Meters(site_with(meter_feed={"meters": ["c1"]}), tmp_path, clock, lambda: 0.0, kept_log)
    await meters.start()
    for _ in range(100):
        meters.view(clock.monotonic_s(), clock.unix_s(), None)
        clock.advance(1.0)
    assert kept_log.said == [
        ("METER_NOT_USED", f"meter c1: nothing heard of it yet; write its readings to {tmp_path / 'meters.sock'}")
    ]
    client = await feed_client.open(tmp_path / "meters.sock")
    for _ in range(100):
        await client.tell(meter="c1", at=clock.unix_s(), power_w=30_000)
        meters.view(clock.monotonic_s(), clock.unix_s(), 45_000.0)
        clock.advance(1.0)
    assert kept_log.codes()[1:] == ["METER_BACK", "METERS_CONTRADICT"]
    meters.view(clock.monotonic_s(), clock.unix_s(), 30_000.0)
    assert kept_log.codes()[3:] == ["METERS_AGREE"]
    client.close()
    await meters.close()


async def test_the_sum_is_made_anew_every_second_and_not_in_every_cycle(
    site_with: Callable[..., Config], kept_log: Any, tmp_path: Path, clock: ManualClock
) -> None:
    meters = Meters(site_with(meter_feed={"meters": ["c1"]}), tmp_path, clock, lambda: 0.0, kept_log)
    first = meters.view(clock.monotonic_s(), clock.unix_s(), None)
    clock.advance(0.99)
    assert meters.view(clock.monotonic_s(), clock.unix_s(), None) is first
    clock.advance(0.01)
    assert meters.view(clock.monotonic_s(), clock.unix_s(), None) is not first


async def test_a_task_that_ends_by_a_mistake_of_ours_is_said(
    site_with: Callable[..., Config], kept_log: Any, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("v2g.utility.meter_poll.MeterPoll.once", broken)
    config = site_with(meters=[{"id": "p1", "modbus": {"host": "192.0.2.1"}}])
    meters = Meters(config, tmp_path, clock, lambda: 0.0, kept_log)
    await meters.start()
    async with asyncio.timeout(10.0):
        while not kept_log.lines:
            await asyncio.sleep(0)
    assert kept_log.codes() == ["METER_TASK_ENDED"]
    (line,) = meters.view(clock.monotonic_s(), clock.unix_s(), None).lines
    assert line.problem.startswith("it is not read any more: KeyError('oops')")
    await meters.close()


def test_a_rating_that_is_not_given_is_the_transformers(site_with: Callable[..., Config]) -> None:
    config = site_with(
        meters=[{"id": "p1", "modbus": {"host": "h"}}, {"id": "p2", "modbus": {"host": "i"}, "rated_w": 5e3}],
        meter_feed={"meters": ["c1"], "rated_w": 7e3},
    )
    assert [(spec.id, spec.rated_w, spec.fed) for spec in meter_specs(config)] == [
        ("p1", 250_000.0, False),
        ("p2", 5_000.0, False),
        ("c1", 7_000.0, True),
    ]
