"""The methods on meters: what the last cycle saw, and a day of one meter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.config.schema_utility import Utility
from v2g.control.messages import NoParams
from v2g.control.messages_meters import MeterDayParams
from v2g.control.server import Refused, Role
from v2g.orchestrator.meters_api import MetersApi
from v2g.utility.meter_reading import Reading
from v2g.utility.meters import Meters

CALLER: Any = None
UTILITY = {"meters": [{"id": "shop", "modbus": {"host": "10.0.9.1"}}], "meter_feed": {"meters": ["home1"]}}


@pytest.fixture
def meters(config_of: Callable[..., Config], log_of: Any, clock: ManualClock, tmp_path: Path) -> Meters:
    config = msgspec.structs.replace(config_of(1), utility=msgspec.convert(UTILITY, Utility))
    return Meters(config, tmp_path, clock, lambda: 0.5, log_of())


def tell(meters: Meters, clock: ManualClock, *powers_w: float) -> None:
    for power_w in powers_w:
        reading = Reading(at_unix_s=clock.unix_s(), power_w=(power_w, 0.0, -50.0))
        meters.records["shop"].take(reading, clock.monotonic_s(), clock.unix_s())
        clock.advance(20.0)


async def test_each_meter_with_its_age_source_and_problem(meters: Meters, clock: ManualClock) -> None:
    tell(meters, clock, 100.0, 200.0)
    meters.view(clock.monotonic_s(), clock.unix_s(), None)
    result = await MetersApi(meters).list(NoParams(), CALLER)
    shop, home = result.meters
    assert (shop.id, shop.source, shop.power_w) == ("shop", "SunSpec 10.0.9.1:502 unit 1", (200.0, 0.0, -50.0))
    assert (shop.age_s, shop.max_age_s, shop.used) == (20.0, 30.0, 2)
    assert (home.source, home.power_w, home.age_s) == ("feed", None, None)
    assert home.problem.startswith("nothing heard of it yet")
    assert (result.base_w, result.known_w, result.missing) == (None, (200.0, 0.0, -50.0), ("home1",))
    assert result.notes[0].startswith("1 of 2 meters tell nothing")
    assert msgspec.json.decode(msgspec.json.encode(result))["meters"][1]["power_w"] is None


async def test_a_day_of_one_meter_by_the_minute(meters: Meters, clock: ManualClock) -> None:
    clock.advance(-clock.unix_s() % 60.0)
    tell(meters, clock, 100.0, 200.0, 600.0, 40.0)
    result = await MetersApi(meters).day(MeterDayParams(meter="shop"), CALLER)
    assert [minute.power_w for minute in result.minutes] == [(300.0, 0.0, -50.0), (40.0, 0.0, -50.0)]
    assert result.minutes[1].starts_unix_s - result.minutes[0].starts_unix_s == 60
    assert result.minutes[0].starts_unix_s % 60 == 0


@pytest.mark.parametrize(("name", "words"), [("shopp", "did you mean shop?"), ("x", "there are shop, home1")])
async def test_an_unknown_meter_is_refused_with_what_there_is(meters: Meters, name: str, words: str) -> None:
    with pytest.raises(Refused, match=words.replace("?", r"\?")) as refused:
        await MetersApi(meters).day(MeterDayParams(meter=name), CALLER)
    assert refused.value.code == "UNKNOWN_METER"


def test_viewers_may_look(meters: Meters) -> None:
    assert {method.name: method.role for method in MetersApi(meters).methods()} == {
        "meters.list": Role.UTILITY,
        "meters.day": Role.UTILITY,
    }
