"""What a station is put through, and what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.fleet import parts
from support.fleet.run import Hogs, Run, prefer

LATE_P99_MS = 10.0
LATE_MAX_MS = 50.0
"""A generator that was later than this by its own fault says nothing about the station: the run is void."""
ATTEMPTS = 3
SETTLE_S = 1.0
RAMP_A_SECOND = 40.0

Figures = dict[str, Any]


class Void(Exception):
    """The generator itself was late, in every attempt."""


def fair(attempt: Callable[[], Figures]) -> Figures:
    """The first attempt in which the generator was in time. Raises :class:`Void`."""
    for _ in range(ATTEMPTS):
        figures = attempt()
        if figures["late_p99_ms"] <= LATE_P99_MS and figures["late_max_ms"] <= LATE_MAX_MS:
            return figures
    raise Void(
        f"the generator was late by {figures['late_p99_ms']:.1f} ms at its 99th percentile and "
        f"{figures['late_max_ms']:.1f} ms at most, more than {LATE_P99_MS:g} and {LATE_MAX_MS:g} ms, {ATTEMPTS} times"
    )


def turnaround(turns: int) -> Figures:
    """µs from a charge-loop request's bytes to its response's, and until the events are taken and answered."""
    parts.prepare()
    prefer(os.getpid())
    bench = parts.TurnBench()
    answered, finished = [], []
    for _ in range(2000):
        bench.turn()
    for _ in range(turns):
        began = time.perf_counter()
        bench.ask()
        answered.append((time.perf_counter() - began) * 1e6)
        bench.take_events()
        finished.append((time.perf_counter() - began) * 1e6)

    def figures(times: list[float]) -> Figures:
        times.sort()
        return {"median_us": times[turns // 2], "p99_us": times[int(turns * 0.99)], "max_us": times[-1]}

    return {"answered": figures(answered), "finished": figures(finished), "turns": turns}


def load(folder: Path, vehicles: int, seconds: float, *, echo: bool = False) -> Figures:
    """So many vehicles at 4 Hz, their schedules at random within the period."""
    with Run(folder, vehicles, echo=echo) as run:
        empty_kb = run.usage()["rss_kb"]
        joined = run.connect(0, vehicles, vehicles / RAMP_A_SECOND, "all")
        time.sleep(SETTLE_S)
        figures = fair(lambda: run.measure(seconds))
        return figures | {
            "vehicles": vehicles,
            "in_loop": joined["in_loop"],
            "lost": run.vehicles.ask(do="state")["reasons"],
            "kb_a_vehicle": (figures["rss_kb"] - empty_kb) / vehicles,
            "cpu_us_a_session_second": figures["cpu_share"] / vehicles * 1e6,
            "wrong": run.vehicles.ask(do="leave")["wrong"],
        }


def load_at_once(folder: Path, vehicles: int, seconds: float) -> Figures:
    """As :func:`load`, but every request at the same moment: no generator is in time then, so none is judged."""
    with Run(folder, vehicles) as run:
        run.connect(0, vehicles, vehicles / RAMP_A_SECOND, "all")
        run.vehicles.ask(do="align")
        time.sleep(SETTLE_S)
        return run.measure(seconds) | {"vehicles": vehicles, "lost": run.vehicles.ask(do="state")["reasons"]}


def join(folder: Path, here: int, more: int, over_s: float, *, hogs: int = 0) -> Figures:
    """``here`` vehicles in the loop while ``more`` connect within ``over_s``; ``hogs`` take their parts of the core."""
    with Run(folder, here + more) as run, Hogs(hogs):
        run.connect(0, here, here / RAMP_A_SECOND, "here")
        time.sleep(SETTLE_S)
        run.vehicles.tell(do="connect", ports=run.ports[here:], over_s=over_s, group="more")
        run.vehicles.tell(do="measure", seconds=over_s + 2.0)
        first, second = run.vehicles.read(), run.vehicles.read()
        joined, figures = (first, second) if "in_loop" in first else (second, first)
        groups = run.vehicles.ask(do="state")["groups"]
        return figures | {
            "joined_s": joined["seconds"],
            "in_loop": {name: group["in_loop"] for name, group in groups.items()},
            "lost": {name: group["lost"] for name, group in groups.items()},
            "ends": run.usage()["ends"],
        }


def stop(folder: Path, vehicles: int, stops_s: tuple[float, ...]) -> Figures:
    """The station's process is stopped, again and again, while its vehicles keep their schedule."""
    with Run(folder, vehicles) as run:
        run.connect(0, vehicles, vehicles / RAMP_A_SECOND, "all")
        time.sleep(SETTLE_S)
        run.vehicles.tell(do="measure", seconds=sum(stops_s) + 2.0 * len(stops_s))
        for stop_s in stops_s:
            time.sleep(1.0)
            run.station.pause()
            time.sleep(stop_s)
            run.station.go_on()
        figures = run.vehicles.read()
        return figures | {"lost": run.vehicles.ask(do="state")["reasons"], "ends": run.usage()["ends"]}


def hours(folder: Path, vehicles: int, turns: int) -> Figures:
    """So many turns in all, each vehicle asking again as soon as it is answered: hours at 4 Hz without the pauses."""
    with Run(folder, vehicles) as run:
        run.connect(0, vehicles, vehicles / RAMP_A_SECOND, "all")
        run.vehicles.ask(do="rush", turns=vehicles * 20)
        before = run.usage(collect=True)
        figures = run.vehicles.ask(do="rush", turns=turns)
        after = run.usage(collect=True)
        return figures | {
            "turns": after["turns"] - before["turns"],
            "growth_kb": after["rss_kb"] - before["rss_kb"],
            "cpu_us_a_turn": (after["cpu_s"] - before["cpu_s"]) / (after["turns"] - before["turns"]) * 1e6,
            "lost": run.vehicles.ask(do="state")["reasons"],
            "ends": after["ends"],
        }


def churn(folder: Path, sessions: int, *, evses: int = 64, parallel: int = 8, warm_up: int = 512) -> Figures:
    """Connections that end as vehicles' do: before TLS, after it, silently in the loop, and by SessionStop."""
    with Run(folder, evses) as run:
        run.vehicles.ask(do="churn", ports=run.ports, sessions=warm_up, parallel=parallel)
        before = run.usage(collect=True)
        began_at = time.monotonic()
        figures = run.vehicles.ask(do="churn", ports=run.ports, sessions=sessions, parallel=parallel)
        seconds = time.monotonic() - began_at
        time.sleep(SETTLE_S)
        after = run.usage(collect=True)
        return figures | {
            "seconds": seconds,
            "growth_kb": after["rss_kb"] - before["rss_kb"],
            "cpu_ms_a_session": (after["cpu_s"] - before["cpu_s"]) / sessions * 1e3,
            "sessions": after["sessions"],
            "ends": after["ends"],
        }


def costs(folder: Path, vehicles: int, seconds: float) -> Figures:
    """µs of processor time a turn by part, with clocks between the parts."""
    with Run(folder, vehicles, extra=("costs",)) as run:
        run.connect(0, vehicles, vehicles / RAMP_A_SECOND, "all")
        time.sleep(SETTLE_S)
        before = run.usage()
        figures = fair(lambda: run.measure(seconds))
        after = run.usage()
        turns = after["turns"] - before["turns"]
        own = {name: (s - before["own_s"].get(name, 0.0)) / turns * 1e6 for name, s in after["own_s"].items()}
        kernel_us = ((after["cpu_s"] - after["user_s"]) - (before["cpu_s"] - before["user_s"])) / turns * 1e6
        return {"own_us": own, "kernel_us": kernel_us, "all_us": figures["cpu_us_a_turn"], "vehicles": vehicles}
