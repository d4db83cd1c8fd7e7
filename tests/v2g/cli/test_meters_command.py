"""``v2g-tool meters``: the table, a day, and what is said where there is nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from v2g.cli.meters import day_text, meters, meters_text
from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.control.messages import NoParams
from v2g.control.messages_meters import MeterDayParams, MeterDayResult, MeterMinute, MetersResult, MeterStatus
from v2g.control.server import ControlServer, Method, Refused, Role

LISTED = MetersResult(
    meters=(
        MeterStatus(
            id="shop",
            source="SunSpec 10.0.9.1:502 unit 1",
            power_w=(3000.0, 0.0, -9000.0),
            age_s=2.4,
            max_age_s=30.0,
        ),
        MeterStatus(
            id="home1",
            source="feed",
            power_w=None,
            age_s=1500.0,
            max_age_s=1200.0,
            problem="no reading for 25 min",
            late=2,
            refused=1,
        ),
    ),
    base_w=None,
    known_w=(3000.0, 0.0, -9000.0),
    missing=("home1",),
    notes=("1 of 2 meters tell nothing that can be used: home1; see v2g-tool meters",),
)
DAY = MeterDayResult(meter="shop", minutes=(MeterMinute(starts_unix_s=1_700_000_040, power_w=(3000.0, 0.0, -9000.0)),))


class Daemon:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[MeterDayParams] = []
        methods = (
            Method("meters.list", Role.VIEWER, NoParams, self._list),
            Method("meters.day", Role.VIEWER, MeterDayParams, self._day),
        )
        self.server = ControlServer(path, methods, Roles(), lambda *args, **fields: None, ManualClock())

    async def _list(self, params: NoParams, caller: Any) -> MetersResult:
        return LISTED

    async def _day(self, params: MeterDayParams, caller: Any) -> MeterDayResult:
        self.asked.append(params)
        if params.meter != "shop":
            raise Refused(f"there is no meter {params.meter!r}", code="UNKNOWN_METER")
        return DAY

    async def run(self, *words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, meters, words, env={"V2G_SOCKET": str(self.path)})


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    running = Daemon(tmp_path / "control.sock")
    await running.server.start()
    yield running
    await running.server.close()


async def test_every_meter_with_what_is_wrong_and_the_base_load(daemon: Daemon) -> None:
    result = await daemon.run()
    assert result.exit_code == 0, result.output
    head, shop, home, *rest = result.output.splitlines()
    assert head.split() == ["METER", "A", "B", "C", "AGE", "SOURCE", "NOT", "USED"]
    assert shop.split() == [
        "shop", "3.00", "kW", "0", "W", "-9.00", "kW", "2", "s", "SunSpec", "10.0.9.1:502", "unit", "1",
    ]  # fmt: skip
    assert home.split() == ["home1", "?", "?", "?", "25", "min", "feed", "2", "late,", "1", "refused"]
    assert rest == [
        "",
        "base load  unknown; the meters that can be used: a 3.00 kW, b 0 W, c -9.00 kW",
        "home1: no reading for 25 min",
        "1 of 2 meters tell nothing that can be used: home1; see v2g-tool meters",
    ]


async def test_programs_get_the_answer_itself(daemon: Daemon) -> None:
    result = await daemon.run("--json")
    assert json.loads(result.output)["meters"][0]["power_w"] == [3000.0, 0.0, -9000.0]
    result = await daemon.run("day", "shop", "--json")
    assert json.loads(result.output)["minutes"] == [{"starts_unix_s": 1_700_000_040, "power_w": [3000.0, 0.0, -9000.0]}]


async def test_a_day_by_the_minute(daemon: Daemon) -> None:
    result = await daemon.run("day", "shop")
    assert result.output.splitlines()[1].split() == [
        "2023-11-14T22:14Z", "3.00", "kW", "0", "W", "-9.00", "kW", "-6.00", "kW",
    ]  # fmt: skip
    assert daemon.asked == [MeterDayParams(meter="shop")]


async def test_an_unknown_meter_is_exit_code_1_and_no_daemon_3(daemon: Daemon, tmp_path: Path) -> None:
    result = await daemon.run("day", "x")
    assert (result.exit_code, "there is no meter 'x'" in result.output) == (1, True)
    assert (await daemon.run("--socket", str(tmp_path / "none"))).exit_code == 3


def test_a_site_with_all_meters_and_one_without_any() -> None:
    full = MetersResult(meters=LISTED.meters[:1], base_w=LISTED.known_w, known_w=LISTED.known_w)
    assert meters_text(full).endswith("\nbase load  a 3.00 kW, b 0 W, c -9.00 kW, together -6.00 kW")
    none = MetersResult(meters=(), base_w=None, known_w=(0.0, 0.0, 0.0))
    assert meters_text(none) == "no meters (utility.meters and utility.meter_feed in v2g.yaml)"
    assert day_text(MeterDayResult(meter="shop", minutes=())) == "shop: no readings yet"
