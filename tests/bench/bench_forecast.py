"""Forecast of base load and ambient on an invented year of minutes: ``python tests/bench/bench_forecast.py [DAYS]``.

Writes ``report_forecast.md`` beside itself. The year: a 400 kVA transformer in a residential street at 48° north;
evening peak, other weekends, heat pumps, 200 kWp of photovoltaics under moving clouds (reverse flow in summer), a
public fast charger, heaters switched by a clock, four gaps of up to three weeks, both changes of daylight saving time.
"""

from __future__ import annotations

import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from v2g.thermal.calendar import DayType, LocalMinute
from v2g.thermal.forecast import Forecaster, MinuteMeans

REPORT = Path(__file__).with_name("report_forecast.md")
RATED_VA = 400e3
DAY = 1440
START_MIN = 1_735_686_000 // 60
"""2025-01-01 00:00 in Central Europe, a Wednesday."""
SUMMER = (88 * DAY + 120, 298 * DAY + 120)
"""Minutes since the start at which daylight saving begins (30 March) and ends (26 October)."""
GAPS_DAYS = ((40.3, 40.8), (95.0, 97.0), (150.5, 171.5), (250.2, 250.25))
AHEAD = (1, 5, 15)
WARM_DAYS = 14
"""Days at the start that are learned from but not counted."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Year:
    local: list[LocalMinute]
    base_w: Array
    base_var: Array
    newest_w: Array
    """One second's value at the end of each minute."""
    ambient_c: Array
    """To 0.1 K, as transducers read."""
    known: NDArray[np.bool_]


def slow_noise(rng: np.random.Generator, size: int, minutes: float) -> Array:
    """Unit variance, correlated over so many minutes."""
    keep = np.exp(-1.0 / minutes)
    drive = rng.normal(size=size) * np.sqrt(1.0 - keep * keep)
    value, out = rng.normal(), np.empty(size)
    for index in range(size):
        value = keep * value + drive[index]
        out[index] = value
    return out


def bump(hour: Array, centre: float, width: float) -> Array:
    away = (hour - centre + 12.0) % 24.0 - 12.0
    return np.exp(-0.5 * (away / width) ** 2)


def invent(days: int, seed: int = 5) -> Year:
    rng = np.random.default_rng(seed)
    size = days * DAY
    t = np.arange(size)
    day_of_year = t / DAY
    shift = np.where((t >= SUMMER[0]) & (t < SUMMER[1]), 60, 0)
    local_min = t + shift
    hour = local_min % DAY / 60.0
    sun_hour = t % DAY / 60.0
    weekday = (local_min // DAY + 2) % 7
    kind = np.where(weekday == 5, 1, np.where(weekday == 6, 2, 0))

    season = -np.cos(2 * np.pi * (day_of_year - 15) / 365)
    declination = np.radians(23.4) * season
    latitude = np.radians(48.0)
    elevation = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(
        np.pi * (sun_hour - 12.2) / 12
    )
    sun = np.clip(elevation, 0.0, None)
    cloudy = 1 / (1 + np.exp(-2.0 * slow_noise(rng, size, 1500.0)))
    broken = 4 * cloudy * (1 - cloudy)
    clear = 1 - 0.75 * cloudy - 0.5 * broken * (slow_noise(rng, size, 6.0) > 0.5)
    ambient = (
        10.5 + 9.5 * season + (2.0 + 4.0 * (1 - cloudy)) * np.sin(2 * np.pi * (sun_hour - 9.5) / 24)
        + 3.0 * slow_noise(rng, size, 4000.0) + 0.15 * slow_noise(rng, size, 20.0)
    )  # fmt: skip

    work = 25e3 + 60e3 * bump(hour, 7.2, 0.9) + 25e3 * bump(hour, 12.5, 1.5) + 120e3 * bump(hour, 19.2, 1.8)
    free = 25e3 + 55e3 * bump(hour, 9.8, 1.7) + 45e3 * bump(hour, 13.0, 1.8) + 105e3 * bump(hour, 19.0, 2.2)
    people = np.where(kind == 0, work, free) * (1 + 0.06 * slow_noise(rng, size, 700.0))
    felt, feels = ambient[0], np.empty(size)
    for index in range(size):
        felt += (ambient[index] - felt) / 400.0
        feels[index] = felt
    heating = (
        3.2e3 * np.clip(15.0 - feels, 0.0, None) * (0.7 + 0.5 * bump(hour, 6.5, 1.5) + 0.3 * bump(hour, 18.0, 2.5))
    )
    clock = 35e3 * ((hour >= 22.0) & (hour < 24.0))
    charger = np.zeros(size)
    for begin in np.flatnonzero(rng.random(size) < 12 / DAY * (0.2 + bump(hour, 15.0, 4.0))):
        charger[begin : begin + rng.integers(12, 40)] = 50e3
    appliances = 5e3 * slow_noise(rng, size, 4.0) + 2e3 * rng.normal(size=size)
    solar = 200e3 * sun * clear
    base = people + heating + clock + charger + appliances - solar
    known = np.ones(size, dtype=bool)
    for first, last in GAPS_DAYS:
        known[int(first * DAY) : int(last * DAY)] = False
    return Year(
        local=[
            LocalMinute(START_MIN + i, DayType(int(k)), int(m))
            for i, k, m in zip(range(size), kind, local_min % DAY, strict=True)
        ],
        base_w=base,
        base_var=0.25 * (people + heating) + 1e3 * rng.normal(size=size),
        newest_w=base + 4e3 * rng.normal(size=size),
        ambient_c=np.round(ambient, 1),
        known=known,
    )


@dataclass(frozen=True)
class Run:
    base_w: Array
    ambient_c: Array
    base_margin_w: Array
    ambient_margin_k: Array
    observe_us: float
    predict_us: float


def run(year: Year) -> Run:
    forecaster = Forecaster(rated_va=RATED_VA)
    size = len(year.local)
    out = [np.full((size, 15), np.nan) for _ in range(4)]
    observe_s, predict_s = [], []
    for i in np.flatnonzero(year.known):
        at = year.local[i]
        base_w, base_var = float(year.base_w[i]), float(year.base_var[i])
        ambient_c, newest_w = float(year.ambient_c[i]), float(year.newest_w[i])
        means = MinuteMeans(at=at, base_w=base_w, base_var=base_var, ambient_c=ambient_c)
        t0 = time.perf_counter()
        forecaster.observe(means)
        t1 = time.perf_counter()
        said = forecaster.predict(at, newest_w, base_var, ambient_c)
        predict_s.append(time.perf_counter() - t1)
        observe_s.append(t1 - t0)
        out[0][i], out[1][i] = said.base_w, said.ambient_c
        out[2][i], out[3][i] = said.base_margin_w, said.ambient_margin_k
    return Run(*out, observe_us=float(np.median(observe_s)) * 1e6, predict_us=float(np.median(predict_s)) * 1e6)


def figures(error: Array) -> str:
    return f"{np.mean(np.abs(error)):.2f} | {np.percentile(np.abs(error), 95):.2f}"


def table(year: Year, done: Run, actual: Array, said: Array, unit: float, newest: Array | None) -> list[str]:
    size = len(actual)
    warm = np.arange(size) >= WARM_DAYS * DAY
    lines = []
    for n in AHEAD:
        i = np.flatnonzero(year.known[: size - n] & year.known[n:] & warm[: size - n])
        i = i[i >= DAY]
        i = i[year.known[i + n - DAY]]
        came = actual[i + n]
        row = [f"+{n} min", figures((came - said[i, n - 1]) / unit), figures((came - actual[i]) / unit)]
        row.append(figures((came - newest[i]) / unit) if newest is not None else "– | –")
        row.append(figures((came - actual[i + n - DAY]) / unit))
        lines.append("| " + " | ".join(row) + " |")
    return lines


def coverage(year: Year, done: Run) -> list[str]:
    size = len(year.local)
    warm = np.arange(size) >= WARM_DAYS * DAY
    lines = []
    for n in range(1, 16):
        i = np.flatnonzero(year.known[: size - n] & year.known[n:] & warm[: size - n])
        off_w = np.abs(year.base_w[i + n] - done.base_w[i, n - 1])
        within = off_w <= done.base_margin_w[i, n - 1]
        hour = np.array([year.local[k].minute // 60 for k in i + n])
        by_hour = [within[hour == h].mean() for h in range(24)]
        cool = year.ambient_c[i + n] - done.ambient_c[i, n - 1] <= done.ambient_margin_k[i, n - 1] + 1e-9
        lines.append(
            f"| +{n} | {100 * within.mean():.1f} | {100 * min(by_hour):.1f} … {100 * max(by_hour):.1f} "
            f"| {done.base_margin_w[i, n - 1].mean() / 1e3:.1f} | {np.quantile(off_w, 0.95) / 1e3:.1f} "
            f"| {100 * cool.mean():.1f} | {done.ambient_margin_k[i, n - 1].mean():.2f} |"
        )
    return lines


def main() -> None:
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 365
    year = invent(days)
    done = run(year)
    head = (
        "| | ours, MAE | P95 | last minute stays, MAE | P95 | newest second stays, MAE | P95 | yesterday, MAE | P95 |"
    )
    rule = "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    lines = [
        "# Forecast of base load and ambient: an invented year of minutes",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. Written by `python tests/bench/bench_forecast.py`, "
        f"which says what the {days} days hold. Base load {year.base_w.min() / 1e3:.0f} to "
        f"{year.base_w.max() / 1e3:.0f} kW, {100 * (year.base_w < 0).mean():.0f} % of the minutes in reverse; "
        f"{100 * (1 - year.known.mean()):.1f} % missing. The first {WARM_DAYS} days are learned from, not counted; "
        "learning goes on throughout, each forecast made before what it is held against.",
        "",
        f"One minute costs {done.observe_us:.0f} µs to learn, a forecast {done.predict_us:.0f} µs (medians).",
        "",
        "## Base load, error in kW",
        "",
        head,
        rule,
        *table(year, done, year.base_w, done.base_w, 1e3, year.newest_w),
        "",
        "## Ambient, error in K",
        "",
        head,
        rule,
        *table(year, done, year.ambient_c, done.ambient_c, 1.0, None),
        "",
        "## Bounds, 95 % meant",
        "",
        "Base load is bounded on both sides, ambient on the warm one. `constant`: the one width that would have held "
        "95 % of the same errors, known only afterwards.",
        "",
        "| min | base load within, % | by hour of the day | mean bound, kW | constant, kW "
        "| ambient within, % | mean bound, K |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *coverage(year, done),
    ]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
