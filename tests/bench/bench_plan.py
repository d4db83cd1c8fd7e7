"""The plan of a day: its time, its stages, its temperatures and its words: ``python tests/bench/bench_plan.py``.

Writes ``report_plan.md`` beside itself. :func:`keep_solving` runs one plan after the other until it is told to stop,
for a bench of what goes on beside it.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.plan_cases import STARTS, fleet, request, site, street_w, vehicle
from v2g.planning.planner import Detail, solve
from v2g.planning.types import Plan, PlanRequest
from v2g.planning.warming import course

REPORT = Path(__file__).with_name("report_plan.md")
SOURCE = Path(__file__).resolve().parents[2] / "src"
SEEDS = (1, 2, 3)
PROCESS = (sys.executable, "-m", "v2g.planning")
DEADLINE_S = 300.0


@dataclass(frozen=True)
class Run:
    name: str
    asked: PlanRequest
    plan: Plan
    detail: Detail
    whole_s: float
    """In this process, with imports done before."""
    cpu_s: float
    process_s: float
    process_cpu_s: float


def evening(count: int, seed: int = 1, steps: int = 96, **changes: object) -> PlanRequest:
    """A transformer of 8 kVA a vehicle, at least 250 kVA."""
    rated_va = max(250e3, 8e3 * count)
    where = site(steps, **({"rated_va": rated_va} | changes))
    return request(*fleet(count, seed), steps=steps, whole_site=where, deadline_s=DEADLINE_S)


def crowded() -> PlanRequest:
    """Forty vehicles that want to be full by 23:00, below 160 kVA in a heat wave."""
    steps, rated_va = 96, 160e3
    where = site(
        steps, rated_va=rated_va, base_w=street_w(steps, rated_va, 0.95), ambient_c=(36.0,) * steps,
        hot_spot_limit_c=110.0,
    )  # fmt: skip
    eager = [
        vehicle(f"E{n}", target_wh=60_000.0, departs_in_s=6 * 3600.0, max_discharge_w=11_000.0 * (n % 2))
        for n in range(40)
    ]
    return PlanRequest(starts_unix_s=STARTS, steps=steps, site=where, vehicles=tuple(eager), deadline_s=DEADLINE_S)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE)}


def through_the_process(asked: PlanRequest) -> tuple[float, float]:
    """Seconds by the clock and of CPU, from the start of the process to its answer."""
    before = os.times()
    data = msgspec.json.encode(asked)
    began_s = time.perf_counter()
    done = subprocess.run(PROCESS, input=data, capture_output=True, check=True, env=environment())
    took_s = time.perf_counter() - began_s
    problem = msgspec.json.decode(done.stdout, type=Plan).problem
    if problem:
        raise SystemExit(f"no plan: {problem}")
    after = os.times()
    return took_s, after.children_user + after.children_system - before.children_user - before.children_system


def measure(name: str, asked: PlanRequest, *, process: bool = False) -> Run:
    detail = Detail()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    plan = solve(asked, lambda: time.perf_counter() - began_s, detail)
    whole_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    print(f"{name}: {whole_s:.2f} s, HiGHS {detail.solved_s:.2f} s {plan.problem}", file=sys.stderr, flush=True)
    return Run(name, asked, plan, detail, whole_s, cpu_s, *(through_the_process(asked) if process else (nan, nan)))


class keep_solving:
    """One plan of so many vehicles after the other, each in a process of its own, until the block ends.

    ``count`` tells how many were finished. Their priority is the planning process's own.
    """

    def __init__(self, vehicles: int = 60) -> None:
        self._data = msgspec.json.encode(evening(vehicles))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.count = 0

    def __enter__(self) -> keep_solving:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        process = self._process
        if process is not None:
            process.kill()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            process = subprocess.Popen(
                PROCESS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
            )
            self._process = process
            try:
                process.communicate(self._data)
            except BrokenPipeError:
                continue
            self.count += process.returncode == 0


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(*cells: str) -> list[str]:
    return [row(*cells), "|" + "---|" * len(cells)]


def times(runs: list[Run]) -> list[str]:
    lines = head(
        "case",
        "columns × rows",
        "iterations",
        "begun anew",
        "rounds",
        "solve s (CPU)",
        "of it in HiGHS",
        "process s, start included (CPU)",
    )
    for run in runs:
        detail = run.detail
        lines.append(
            row(
                run.name,
                f"{detail.columns} × {detail.rows}",
                detail.iterations,
                detail.restarts,
                run.plan.rounds,
                f"{run.whole_s:.2f} ({run.cpu_s:.2f})",
                f"{100.0 * detail.solved_s / run.whole_s:.0f} %",
                f"{run.process_s:.2f} ({run.process_cpu_s:.2f})" if isfinite(run.process_s) else "",
            )
        )
    return lines


def stages(run: Run) -> list[str]:
    units = {
        "limits": "see `fleet.py`", "departures": "kWh, weighted", "overload": "K·steps", "ageing": "h",
        "price": "kW·h·price", "flatness": "Σ (load/rated)²", "throughput": "kWh",
        "spread": "Σ highest power/own limit",
    }  # fmt: skip
    lines = head("round", "stage", "value", "unit", "s in HiGHS")
    for number, round_ in enumerate(run.detail.stages, 1):
        lines += [
            row(number, trace.name, f"{trace.value:.3f}", units[trace.name], f"{trace.solved_s:.2f}")
            for trace in round_
        ]
    return lines


def temperatures(runs: list[Run]) -> list[str]:
    lines = head(
        "case", "programme against model, K, by round", "over a limit beyond base load alone, K, by round",
        "hot-spot base alone → plan, °C", "loss of life base alone → plan, h", "overload base alone → plan, K",
    )  # fmt: skip
    for run in runs:
        where, plan = run.asked.site, run.plan
        alone = course(where, where.base_w, run.asked.step_s, margins=False)
        lines.append(
            row(
                run.name,
                ", ".join(f"{apart:.2f}" for apart in run.detail.apart_k),
                ", ".join(f"{over:.2f}" for over in run.detail.over_k),
                f"{max(alone.hot_spot_c):.1f} → {max(plan.hot_spot_c):.1f}",
                f"{alone.loss_of_life_h:.2f} → {plan.loss_of_life_h:.2f}",
                f"{plan.overload_base_k:.1f} → {plan.overload_k:.1f}",
            )
        )
    return lines


def words(run: Run) -> list[str]:
    lines = head("EVSE", "order", "words", "because")
    for each in run.plan.relaxations:
        at = time.strftime("%H:%M", time.gmtime(each.at_unix_s or 0.0))
        lines.append(row(each.evse_id or "transformer", each.order, each.words.replace("{at}", at), each.because))
    return lines


def main() -> None:
    sixty = [measure(f"60 vehicles, evening {seed}", evening(60, seed), process=True) for seed in SEEDS]
    others = [measure(f"{count} vehicles", evening(count), process=True) for count in (4, 20)]
    onan = measure("30 vehicles, ONAN", evening(30, cooling="ONAN"))
    hot = measure("crowded: 40 vehicles, 160 kVA, 36 °C, full by 23:00", crowded())
    peak = site(96, base_w=street_w(96, peak_pu=1.75), ambient_c=(35.0,) * 96)
    relief = measure(
        "base load overloads, 8 vehicles relieve",
        request(*(vehicle(f"E{n}", energy_wh=50_000.0) for n in range(8)), whole_site=peak, deadline_s=DEADLINE_S),
    )
    price = tuple(0.20 + 0.15 * (n // 16 % 2) for n in range(96))
    priced = measure("60 vehicles, price of two levels", evening(60, price=price))
    longest = measure("20 vehicles, 72 h", evening(20, steps=288))
    many = measure("200 vehicles", evening(200))
    tiny = measure("200 vehicles, site limit 1 kW", evening(200, hi_w=(1_000.0,) * 96))
    typical_s = statistics.median(run.process_s for run in sixty)
    typical_cpu_s = statistics.median(run.process_cpu_s for run in sixty)
    load = os.getloadavg()[0]
    report = [
        "# The plan of a day",
        "",
        f"`python tests/bench/bench_plan.py`, {platform.machine()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {load:.1f} at the end: where it is above the number of cores, times of CPU tell "
        "more than those of the clock. Steps of 15 min, 24 h unless said. Vehicles of 40 to 90 kWh at 10 to 90 %, "
        "leaving in 6 to 20 h, a third of them on one phase, a fifth without discharge.",
        "",
        f"A plan for 60 vehicles and 24 h takes {typical_s:.1f} s, {typical_cpu_s:.1f} s of CPU (medians of "
        f"{len(sixty)} evenings), from the start of its process to its answer.",
        "",
        "## Time",
        "",
        *times([*others, *sixty, many, longest, priced, onan, hot, relief, tiny]),
        "",
        "## Stages, 60 vehicles, evening 1",
        "",
        *stages(sixty[0]),
        "",
        "## Temperatures",
        "",
        "What the programme took the hot-spot at each step's end for, against the thermal model minute by minute.",
        "",
        *temperatures([*sixty, onan, hot, relief, tiny]),
        "",
        f"## Words: {hot.name}, the first ten",
        "",
        *words(hot)[:12],
        "",
        f"## Words: {relief.name}",
        "",
        *words(relief),
        "",
        f"## Words: {tiny.name}, the first ten",
        "",
        *words(tiny)[:12],
    ]
    REPORT.write_text("\n".join(report) + "\n", encoding="utf-8")
    print(REPORT.name)


if __name__ == "__main__":
    main()
