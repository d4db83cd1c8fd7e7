"""What the site cannot choose: the customers' load by phase, the sun on their roofs, and the weather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, sqrt
from typing import Any

import numpy as np

DAY_S = 86_400
PHASE_SHARES = (0.36, 0.33, 0.31)
POWER_FACTOR = 0.97
VAR_SHARE = sqrt(1.0 - POWER_FACTOR**2) / POWER_FACTOR
TICK_S = 60
"""Of the days before, which are only there to be learned from."""

Floats = Any
"""An array of float64."""

_HOURS = (0.0, 2.0, 5.0, 7.0, 9.0, 12.0, 14.0, 16.0, 17.5, 18.5, 19.5, 21.0, 22.5, 24.0)
_SHAPE = (0.50, 0.40, 0.37, 0.62, 0.55, 0.57, 0.53, 0.62, 0.84, 0.98, 1.00, 0.92, 0.70, 0.50)
"""Of the peak: a residential weekday, highest from 18:00 to 21:00."""
_APPLIANCE_PART = 0.25
"""Of the load is kettles, ovens, showers and washing machines, each on for minutes in one phase; the rest is smooth."""
_DRIFT_PU, _DRIFT_S = 0.012, 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Ambient between ``low_c`` at 04:00 and ``high_c`` at 16:00. ``cooling_pu``: air conditioning at its height,
    15:30, per unit of rating; ``load``: factor of the rest of the load."""

    name: str
    low_c: float
    high_c: float
    cooling_pu: float = 0.0
    load: float = 1.0


HOT = Weather(name="hot", low_c=22.0, high_c=30.0)
COLD = Weather(name="cold", low_c=-9.0, high_c=-5.0, load=1.1)
HEAT_WAVE = Weather(name="heat wave", low_c=31.0, high_c=40.0, cooling_pu=0.45)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The base load is higher by ``pu`` of rating for a time; hours after midnight of the first day."""

    from_h: float
    to_h: float
    pu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """``peak_pu``: evening peak of the base load without cooling; ``pv_pu``: of the roofs at noon of a clear day."""

    weather: Weather
    rated_va: float
    seed: int
    peak_pu: float = 0.5
    pv_pu: float = 0.0
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """From midnight on: base load (3 phases, second) in W, and ambient in °C by second."""

    phase_w: Floats
    ambient_c: Floats

    @property
    def base_w(self) -> Floats:
        return self.phase_w.sum(axis=0)


@dataclass(frozen=True, slots=True)
class Tick:
    """Means over the minute that ends at ``at_s``."""

    at_s: float
    phase_w: tuple[float, float, float]
    ambient_c: float


def course(conditions: Conditions, seconds: int) -> Course:
    """The same for the same conditions."""
    rng = np.random.default_rng(conditions.seed)
    at_h = np.arange(seconds) / 3600.0
    weather, rated_va = conditions.weather, conditions.rated_va
    shape = np.interp(at_h % 24.0, _HOURS, _SHAPE)
    peak_w = conditions.peak_pu * weather.load * rated_va
    smooth_w = (1.0 - _APPLIANCE_PART) * peak_w * shape
    smooth_w += weather.cooling_pu * rated_va * _bell(at_h % 24.0, 15.5, 3.0)
    smooth_w += rated_va * _drift(rng, seconds)
    for each in conditions.steps:
        smooth_w += each.pu * rated_va * ((at_h >= each.from_h) & (at_h < each.to_h))
    phase_w = np.outer(PHASE_SHARES, smooth_w) + _appliances(rng, _APPLIANCE_PART * peak_w * shape)
    phase_w -= conditions.pv_pu * rated_va * _sun(rng, at_h) / 3.0
    daily = 0.5 + 0.5 * np.cos((at_h - 16.0) * np.pi / 12.0)
    ambient_c = weather.low_c + (weather.high_c - weather.low_c) * daily
    return Course(phase_w, ambient_c)


def days_before(conditions: Conditions, days: int, until_s: int) -> list[Tick]:
    """By the minute: ``days`` whole days of the same weather, then this one until ``until_s``; times below ``until_s``,
    midnight of this day is 0. The base load's steps are not in them."""
    ticks: list[Tick] = []
    for ago in range(days, 0, -1):
        other = replace(conditions, seed=conditions.seed + 1000 * ago, steps=())
        ticks += _ticks(course(other, DAY_S), -ago * DAY_S, DAY_S)
    return ticks + _ticks(course(conditions, until_s), 0, until_s)


def _ticks(of: Course, begin_s: int, seconds: int) -> list[Tick]:
    count = seconds // TICK_S
    phases = of.phase_w[:, : count * TICK_S].reshape(3, count, TICK_S).mean(axis=2)
    ambient: Sequence[float] = of.ambient_c[: count * TICK_S : TICK_S].tolist()
    return [
        Tick(begin_s + (n + 1) * TICK_S, (a, b, c), ambient[n])
        for n, (a, b, c) in enumerate(zip(*phases.tolist(), strict=True))
    ]


def _bell(at_h: Floats, centre_h: float, width_h: float) -> Floats:
    return np.exp(-(((at_h - centre_h) / width_h) ** 2))


def _drift(rng: np.random.Generator, seconds: int) -> Floats:
    """Slow noise, per unit: by the minute, with a memory of a quarter of an hour, linear between."""
    minutes = seconds // 60 + 2
    keep = exp(-60.0 / _DRIFT_S)
    values, noise = np.zeros(minutes), rng.normal(0.0, _DRIFT_PU * sqrt(1.0 - keep * keep), minutes)
    for n in range(1, minutes):
        values[n] = keep * values[n - 1] + noise[n]
    return np.interp(np.arange(seconds), np.arange(minutes) * 60.0, values)


def _appliances(rng: np.random.Generator, mean_w: Floats) -> Floats:
    """Rectangles of 1-4 kW and 2-30 minutes, each in one phase, as many as make ``mean_w`` on average."""
    mean_power_w, mean_stay_s = 2_500.0, 960.0
    starts = np.flatnonzero(rng.random(mean_w.size) < mean_w / (mean_power_w * mean_stay_s))
    diff = np.zeros((3, mean_w.size + 1))
    phase = rng.integers(0, 3, starts.size)
    power_w = rng.uniform(1_000.0, 4_000.0, starts.size)
    ends = np.minimum(starts + rng.integers(120, 1_800, starts.size), mean_w.size)
    np.add.at(diff, (phase, starts), power_w)
    np.add.at(diff, (phase, ends), -power_w)
    return np.cumsum(diff[:, :-1], axis=1)


def _sun(rng: np.random.Generator, at_h: Floats) -> Floats:
    """0..1: a summer's day from 06:00 to 20:00 with passing clouds."""
    clear = np.maximum(0.0, np.sin((at_h % 24.0 - 6.0) * np.pi / 14.0)) ** 1.3
    minutes = at_h.size // 60 + 2
    cloud = np.where(rng.random(minutes) < 0.08, rng.uniform(0.3, 0.9, minutes), 0.0)
    shade = np.interp(np.arange(at_h.size), np.arange(minutes) * 60.0, cloud)
    return clear * (1.0 - shade)
