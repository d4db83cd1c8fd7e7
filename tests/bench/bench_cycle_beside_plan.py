"""The control cycle beside a plan that is being solved: ``python tests/bench/bench_cycle_beside_plan.py``.

60 vehicles at 10 Hz in real time, as ``bench_cycle.py`` has them, alone and beside a planning process that solves the
plan of 60 vehicles and 24 h over and over. Wall time from a cycle's due moment to its end, which counts waiting for a
processor too, and the cycle itself. Writes ``report_cycle_beside_plan.md`` beside itself.
"""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
from pathlib import Path

from bench_cycle import LOOP, LOOP_EVERY, PERIOD_S, Bench
from bench_plan import keep_solving

REPORT = Path(__file__).with_name("report_cycle_beside_plan.md")
VEHICLES = 60
CYCLES = 600


def run() -> tuple[list[float], list[float]]:
    """Milliseconds from the due moment to the end of each cycle, and of the cycle itself."""
    late, took = [], []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(VEHICLES, Path(folder))
        due_s = time.monotonic()
        for n in range(CYCLES):
            due_s += PERIOD_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            if n % LOOP_EVERY == 0:
                bench.tell(LOOP)
            began_s = time.monotonic()
            bench.run()
            ended_s = time.monotonic()
            late.append(1e3 * (ended_s - due_s))
            took.append(1e3 * (ended_s - began_s))
        bench.chronicle.close(bench.site, bench.clock.monotonic_s())
    return late, took


def share(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def main() -> None:
    rows = []
    for name, beside in (("alone", contextlib.nullcontext()), ("beside a solve", keep_solving(VEHICLES))):
        with beside:
            late, took = run()
        rows.append(
            f"| {name} | {share(took, 0.5):.1f} | {share(took, 0.99):.1f} | {max(took):.1f} | {share(late, 0.5):.1f} | "
            f"{share(late, 0.99):.1f} | {max(late):.1f} |"
        )
    lines = [
        "# The control cycle beside a plan that is being solved",
        "",
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} before. Written by `python tests/bench/bench_cycle_beside_plan.py`: {CYCLES} cycles "
        f"of {VEHICLES} vehicles at 10 Hz, ms. Due to end: from the moment when a cycle was due, vehicles' messages, "
        "encoding and decoding of the image and waiting for a processor included.",
        "",
        "| | cycle p50 | p99 | longest | due to end p50 | p99 | longest |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
