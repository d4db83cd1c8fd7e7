"""The allocator against successive linear programmes, and its time: ``python tests/bench/bench_allocator.py``.

Writes ``report_allocator.md`` beside itself. The programmes (HiGHS) are those of ``tests/support/max_min_lp.py``.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.max_min_lp import Case, excess, max_min, random_case
from v2g.dispatch.filling import Filled, Limit, fill, fill_balanced, unbalance_limits
from v2g.dispatch.turns import Claim, Turns

REPORT = Path(__file__).with_name("report_allocator.md")

CASES = 2_000
SIZES = (10, 100, 1_000, 10_000)
LP_SIZES = (10, 100, 1_000)
EXACT = 1e-6


@dataclass
class Difference:
    """Of one way to share against the programmes. ``by``: greatest difference of a share, of the largest capacity."""

    name: str
    by: list[float] = field(default_factory=list)
    over: float = 0.0
    binding: int = 0
    power: list[float] = field(default_factory=list)

    def take(self, case: Case, shares: list[float], exact: list[float], balanced: bool) -> None:
        largest = max(limit.capacity for limit in case.limits)
        self.by.append(max(abs(a - b) for a, b in zip(shares, exact, strict=True)) / largest)
        self.over = max(self.over, excess(case, shares, balanced))
        if fsum(exact) > 1e-6 * largest:
            self.power.append(fsum(shares) / fsum(exact))

    def row(self) -> str:
        by = sorted(self.by)
        same = sum(d <= EXACT for d in by) / len(by)
        return (
            f"| {self.name} | {len(by)} | {same:.1%} | {by[len(by) // 2]:.1e} | {by[len(by) * 9 // 10]:.1e} | "
            f"{by[-1]:.1e} | {self.over:.1e} | {statistics.fmean(self.power):.4f} | {min(self.power):.3f} |"
        )


def filled(case: Case) -> Filled:
    return fill(case.caps, case.weights, case.limits, case.floors)


def balanced(case: Case) -> Filled:
    return fill_balanced(case.caps, case.weights, case.limits, case.phases, case.unbalance, case.floors)


def compare() -> list[Difference]:
    plain = Difference("`fill`")
    one_phase = Difference("`fill_balanced`, unbalance binds, 1- and 3-phase")
    two_phases = Difference("`fill_balanced`, unbalance binds, 1-, 2- and 3-phase")
    for seed, two in ((1, True), (2, False)):
        random = Random(seed)
        for _ in range(CASES):
            case = random_case(random, two_phases=two)
            free = filled(case)
            if two:
                plain.take(case, free.shares, max_min(case)[0], balanced=False)
            even = balanced(case)
            if even.shares != free.shares:
                exact, _ = max_min(case, balanced=True)
                (two_phases if two else one_phase).take(case, even.shares, exact, balanced=True)
    return [plain, one_phase, two_phases]


def median_ms(call: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return statistics.median(times) * 1e3


def large_case(n: int) -> Case:
    """All limits of :func:`random_case`, with four feeders; those of the phases and the unbalance bind."""
    random = Random(n)
    while True:
        case = random_case(random, count=n)
        if len(case.limits) == 8 and balanced(case).shares != filled(case).shares:
            return case


def times() -> list[str]:
    lines = []
    for n in SIZES:
        case = large_case(n)
        runs = max(3, 2_000 // n)
        plain_ms = median_ms(lambda case=case: filled(case), runs)
        even_ms = median_ms(lambda case=case: balanced(case), max(1 if n > 1_000 else 3, runs // 4))
        lp = " | |"
        if n in LP_SIZES:
            programmes = max_min(case)[1]
            lp_ms = median_ms(lambda case=case: max_min(case), 3 if n > 100 else 9)
            lp = f" {lp_ms:.4g} ({programmes}) | {lp_ms / plain_ms:.0f} |"
        lines.append(f"| {n} | {plain_ms:.3g} | {even_ms:.3g} |{lp}")
    return lines


def turns_times() -> list[str]:
    lines = []
    for n in (20, 64, 200):
        random = Random(n)
        claims = [
            Claim(evse_id=f"E{i}", index=i, floor_w=1380.0, cap_w=11e3, weight=random.uniform(0.1, 10.0))
            for i in range(n)
        ]
        differences = unbalance_limits(
            [((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))[i % 3] for i in range(n)], 5e3
        )
        turns, spent = Turns(300.0), []
        for step in range(3_000):
            site_w = n * 1380.0 / 3.0 + random.gauss(0.0, 500.0)
            limits = [
                Limit(site_w, [(i, 1.0) for i in range(n)]),
                *(Limit(site_w / 2.0, [(i, 1.0) for i in range(p, n, 3)]) for p in range(3)),
                *differences,
            ]
            began = time.process_time()
            turns.admit(claims, limits, float(step))
            spent.append((time.process_time() - began) * 1e3)
        spent.sort()
        lines.append(f"| {n} | {spent[1500]:.2f} | {spent[2970]:.1f} | {spent[-1]:.1f} |")
    return lines


def main() -> None:
    differences = compare()
    exact = differences[0]
    lines = [
        "# Allocator: exactness and time",
        "",
        f"Python {platform.python_version()}, {platform.machine()}, with a load of {os.getloadavg()[1]:.1f} on "
        f"{os.cpu_count()} cores. Written by `python tests/bench/bench_allocator.py`.",
        "",
        f"{CASES} random cases with and as many without two-phase vehicles: 1 to 50 vehicles of up to 22 kW, weights "
        "over three decades, floors in half of the cases; limits of the site, the three phases and 0 to 4 feeders. "
        "The reference maximises the lowest x/weight by a linear programme (HiGHS), fixes the shares whose rows have a "
        "multiplier, and goes on with the rest. Differences and excesses are of the largest capacity of the case.",
        "",
        "| | cases | equal within 1e-6 | median difference | 9 in 10 below | greatest | greatest excess "
        "| total power, mean ratio | least |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(difference.row() for difference in differences),
        "",
        f"`fill` {'is exact' if max(exact.by) <= EXACT else 'IS NOT EXACT'}: the greatest difference is within the "
        "tolerance of the programmes. `fill_balanced` keeps every limit and is not the lexicographic maximum: nobody "
        "is lowered so that a light phase can carry a heavy one, which the programmes do. With two-phase vehicles its "
        "raising by rounds may besides stop short. Where the unbalance does not bind it is `fill`.",
        "",
        "Median of processor time, ms (in brackets: how many programmes). Eight limits, four of them feeders; the "
        "unbalance binds.",
        "",
        "| vehicles | `fill` | `fill_balanced` | programmes | times `fill` |",
        "|---:|---:|---:|---:|---:|",
        *times(),
        "",
        "`Turns.admit`, ms of processor time, at one step a second for 50 minutes; room for a third of the floors, "
        "with noise of 0.5 kW.",
        "",
        "| vehicles | median | 99 % | greatest |",
        "|---:|---:|---:|---:|",
        *turns_times(),
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
