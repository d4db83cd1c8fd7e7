"""The twelve."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from support.evening.courses import COLD, HEAT_WAVE, HOT, Conditions, Step, Weather
from support.evening.vehicles import DAY, draw
from support.evening.world import Evening

RATED_VA: Final = {4: 50e3, 20: 100e3, 60: 315e3}
"""By vehicles: 5 kVA for each, the customers' load within it, and the next standard size. Four vehicles, one of which
takes 22 kW and one up to 50, have not the diversity that this counts on, and get twice as much."""


def _evening(count: int, weather: Weather, seed: int) -> Evening:
    return Evening(
        name=f"{count} vehicles, {weather.name}",
        conditions=Conditions(weather=weather, rated_va=RATED_VA[count], seed=seed),
        vehicles=draw(count, seed),
    )


def _noon() -> Evening:
    made = _evening(20, HOT, 10)
    return replace(
        made,
        name="20 vehicles by day, PV",
        conditions=replace(made.conditions, pv_pu=1.45),
        vehicles=draw(20, 10, DAY),
        begins_h=6.0,
        ends_h=19.0,
    )


def _plan_lost() -> Evening:
    return replace(_evening(60, HOT, 11), name="60 vehicles, hot, plan lost 22:00-04:00", unplanned_h=(22.0, 28.0))


def _steps() -> Evening:
    made = _evening(20, HOT, 12)
    return replace(
        made,
        name="20 vehicles, hot, base load +100 % 20:30-22:30, unmeasured 23:00-23:05, no plan",
        conditions=replace(made.conditions, steps=(Step(from_h=20.5, to_h=22.5, pu=1.0),)),
        lost_h=(23.0, 23.0 + 1 / 12),
        unplanned_h=(0.0, 48.0),
    )


EVENINGS: Final[tuple[Evening, ...]] = (
    *(
        _evening(count, weather, seed)
        for seed, (count, weather) in enumerate(
            ((count, weather) for count in RATED_VA for weather in (HOT, COLD, HEAT_WAVE)), start=1
        )
    ),
    _noon(),
    _plan_lost(),
    _steps(),
)
