"""Twelve evenings under three strategies: ``python tests/bench/bench_evenings.py [--only N,N] [--keep DIR]``.

Each evening is lived through in compressed time (:mod:`support.evening`): vehicles and transformer by the second, the
strategy every two seconds, a plan every quarter of an hour, two processes (coarser: ``--control-s``,
``--plan-every-s``). Writes ``report_evenings.md`` beside itself and a picture of each evening
into ``evenings/``. ``--keep`` stores each result in a directory, and takes from there what it finds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, Final

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.evening.evenings import EVENINGS, RATED_VA
from support.evening.figures import Figures, Starved
from support.evening.ours import UNBALANCE_PU, Ours
from support.evening.planned import PLAN_EVERY_S, in_process
from support.evening.strategies import YEARLY_PEAK_PU, StaticLimits, Uncontrolled
from support.evening.world import LIMITS, Strategy, World

HERE: Final = Path(__file__).parent
REPORT: Final = HERE / "report_evenings.md"
PICTURES: Final = HERE / "evenings"
STRATEGIES: Final = ("without control", "static limits", "ours")
COLOURS: Final = ("tab:red", "tab:orange", "tab:blue")
PROCESSES: Final = 2
MOST_STARVED_S: Final = 900.0
MOST_BELOW_PCT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """One evening under one strategy. The rest is of ours alone: time of a step's parts in ms, and its plans."""

    figures: Figures
    wall_s: float
    parts_ms: dict[str, float]
    plans_s: list[float]
    problems: list[str]
    without_plan_h: float


Task = tuple[int, str, int, float]
"""Number of the evening from 0, strategy, interval of control and of plans in s."""


def live(task: Task) -> Told:
    number, name, control_s, plan_every_s = task
    evening = EVENINGS[number]
    ours: Ours | None = None
    strategy: Strategy
    if name == "ours":
        strategy = ours = Ours(evening, in_process, plan_every_s=plan_every_s)
    else:
        strategy = (
            Uncontrolled() if name == "without control" else StaticLimits(evening.rated_va, len(evening.vehicles))
        )
    began_s = perf_counter()
    figures = World(evening, control_s=control_s).run(strategy)
    wall_s = perf_counter() - began_s
    if ours is None:
        return Told(figures, wall_s, {}, [], [], 0.0)
    parts_ms = {part: 1e3 * took_s / max(1, ours.steps) for part, took_s in ours.parts_s.items()}
    planned = ours.planned
    return Told(figures, wall_s, parts_ms, planned.took_s, planned.problems, planned.without_s / 3600.0)


Found = dict[int, dict[str, Told]]


# ---- tables ----


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """The first ``words`` columns are words, the others figures."""
    rule = "---|" * words + "---:|" * (len(heads) - words)
    return [f"| {' | '.join(heads)} |", f"|{rule}", *(f"| {' | '.join(row)} |" for row in rows), ""]


def minutes(value: float) -> str:
    return "0" if value == 0.0 else f"{value:.1f}"


def life(hours: float) -> str:
    return f"{hours:.1f}" if hours < 1e4 else f"{hours:.0e}"


def required(found: Found) -> list[str]:
    rows, failures = [], []
    for number, told in found.items():
        figures, name = told["ours"].figures, EVENINGS[number].name
        beyond, starved = figures.over_beyond.total_min, figures.starved
        kept = {
            "limits": beyond == 0.0,
            "min-SoC": figures.below_floor_pct <= MOST_BELOW_PCT,
            "minimum power": starved.longest_s < MOST_STARVED_S,
        }
        rows.append(
            [
                str(number + 1),
                name,
                minutes(beyond),
                f"{figures.below_floor_pct:.2f}",
                _starved(starved),
                _starved(figures.starved_unplanned),
                "yes" if all(kept.values()) else "no: " + ", ".join(what for what, well in kept.items() if not well),
            ]
        )
        if not kept["limits"]:
            over = figures.over_beyond
            failures.append(
                f"- {name}: over a limit beyond base load alone for {over.hot_spot_min:.1f} min (hot-spot), "
                f"{over.top_oil_min:.1f} min (top-oil), {over.k_min:.2f} min (K, at most {figures.k_pu:.2f})."
            )
        if not kept["minimum power"]:
            hour, minute = divmod(round(starved.until_s / 60.0) % 1440, 60)
            failures.append(
                f"- {name}: {starved.evse_id} was under its minimum power for {starved.longest_s / 60.0:.0f} min, "
                f"until {hour:02d}:{minute:02d}, while another was above its own; the last reason given: "
                f"{starved.because or 'none'}. Without those that the plan has wait: "
                f"{figures.starved_unplanned.longest_s / 60.0:.0f} min."
            )
        if not kept["min-SoC"]:
            failures.append(f"- {name}: discharged to {figures.below_floor_pct:.2f} % below min-SoC.")
    heads = (
        "no.",
        "evening",
        "minutes over a limit beyond base load alone (0)",
        f"discharged below min-SoC, % (≤ {MOST_BELOW_PCT:g})",
        f"under minimum power while another is above, min (< {MOST_STARVED_S / 60:g})",
        "the same without those that the plan has wait, min",
        "kept",
    )
    told_failures = ["Where ours fails:", "", *failures] if failures else ["Ours keeps all three on every evening."]
    return [*table(heads, rows, 2), *told_failures, ""]


def _starved(starved: Starved) -> str:
    return f"{starved.longest_s / 60.0:.0f}"


def by_strategy(
    found: Found, heads: Sequence[str], cells: Callable[[Figures, Told], Sequence[str]], base: bool = False
) -> list[str]:
    rows = []
    for number, told in found.items():
        if base:
            figures = next(iter(told.values())).figures
            over = figures.over_base
            rows.append(
                [
                    f"{number + 1}. {EVENINGS[number].name}",
                    "base load alone",
                    f"{figures.base_hot_spot_c:.0f}",
                    f"{figures.base_top_oil_c:.0f}",
                    f"{figures.base_k_pu:.2f}",
                    "",
                    life(figures.base_loss_of_life_h),
                    minutes(over.hot_spot_min),
                    minutes(over.top_oil_min),
                    minutes(over.k_min),
                    "",
                ]
            )
        for name in STRATEGIES:
            first = "" if base or name != STRATEGIES[0] else f"{number + 1}. {EVENINGS[number].name}"
            rows.append([first, name, *cells(told[name].figures, told[name])])
    return table(("evening", "strategy", *heads), rows, 2)


def transformer(figures: Figures, _: Told) -> list[str]:
    return [
        f"{figures.hot_spot_c:.0f}",
        f"{figures.top_oil_c:.0f}",
        f"{figures.k_pu:.2f}",
        f"{figures.phase_k_pu:.2f}",
        life(figures.loss_of_life_h),
        minutes(figures.over.hot_spot_min),
        minutes(figures.over.top_oil_min),
        minutes(figures.over.k_min),
        minutes(figures.over_beyond.total_min),
    ]


def drivers(figures: Figures, _: Told) -> list[str]:
    discharges = figures.discharged_wh > 0.0
    return [
        f"{figures.wanted_wh / 1e3:.0f}",
        f"{figures.missing_wh / 1e3:.1f}",
        str(len(figures.shortages)),
        f"{figures.worst_missing_pct:.0f}",
        f"{figures.discharged_wh / 1e3:.1f}",
        f"{figures.lowest_soc_pct:.1f}" if discharges else "–",
        f"{figures.below_floor_pct:.2f}" if discharges else "–",
    ]


def behaviour(figures: Figures, told: Told) -> list[str]:
    return [
        f"{figures.reversals_mean_h:.2f}",
        str(figures.reversals_worst_h),
        str(figures.starts_worst_h),
        _starved(figures.starved),
        _starved(figures.starved_unplanned),
        f"{figures.unbalance_w / 1e3:.1f}",
        f"{figures.step_median_ms:.2f}",
        f"{figures.step_p99_ms:.1f}",
        f"{told.wall_s:.0f}",
    ]


def effort(found: Found) -> list[str]:
    rows = []
    for number, told in found.items():
        ours = told["ours"]
        plans = [f"{fmean(ours.plans_s):.2f}", f"{max(ours.plans_s):.2f}"] if ours.plans_s else ["–", "–"]
        rows.append(
            [
                f"{number + 1}. {EVENINGS[number].name}",
                *(f"{value:.2f}" for value in ours.parts_ms.values()),
                str(len(ours.plans_s)),
                *plans,
                str(len(ours.problems)),
                f"{ours.without_plan_h:.1f}",
            ]
        )
    parts = next(iter(found.values()))["ours"].parts_ms
    heads = ("evening", *parts, "plans", "mean, s", "longest, s", "refused", "vehicles without a plan, h")
    refused = sorted({problem for told in found.values() for problem in told["ours"].problems})
    return [*table(heads, rows), *(f"- refused: {problem}" for problem in refused), *([""] if refused else [])]


def shortages(found: Found) -> list[str]:
    lines = []
    for number, told in found.items():
        missing = told["ours"].figures.shortages
        at_best = {each.evse_id: each.reached_pct for each in told["without control"].figures.shortages}
        words = [
            f"{each.evse_id} {each.reached_pct:.0f} % instead of {each.wanted_pct:.0f} %"
            + (f" (at full power from arrival on {at_best[each.evse_id]:.0f} %)" if each.evse_id in at_best else "")
            for each in sorted(missing, key=lambda each: each.missing_wh, reverse=True)
        ]
        lines.append(f"- {number + 1}. {EVENINGS[number].name}: {'; '.join(words) or 'nobody'}.")
    return [*lines, ""]


# ---- pictures ----


def draw(number: int, told: dict[str, Told]) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    evening = EVENINGS[number]
    figure: Any = Figure(figsize=(9.0, 7.5), layout="constrained")
    load, hot, stored = figure.subplots(3, 1, sharex=True)
    for name, colour in zip(STRATEGIES, COLOURS, strict=True):
        series = told[name].figures.series
        load.plot(series["hour"], series["load_kw"], color=colour, linewidth=0.8, label=name)
        hot.plot(series["hour"], series["hot_spot_c"], color=colour, linewidth=0.9)
        stored.plot(series["hour"], series["stored_kwh"], color=colour, linewidth=0.9)
    series = told["ours"].figures.series
    load.plot(series["hour"], series["base_kw"], color="black", linewidth=0.6, label="base load")
    for end in (-1.0, 1.0) if min(series["base_kw"]) < 0.0 else (1.0,):
        load.axhline(end * LIMITS.k_pu * evening.rated_va / 1e3, color="grey", linestyle="--", linewidth=0.7)
    hot.axhline(LIMITS.hot_spot_c, color="grey", linestyle="--", linewidth=0.7)
    hot.set_ylim(top=min(200.0, hot.get_ylim()[1]))
    load.set(title=f"{evening.name}, {evening.rated_va / 1e3:.0f} kVA", ylabel="transformer, kW")
    hot.set(ylabel="hot-spot, °C")
    stored.set(ylabel="in all batteries, kWh", xlabel="hours after midnight of the first day")
    load.legend(loc="upper right", fontsize="small")
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"evening_{number + 1:02d}.png"
    figure.savefig(path, dpi=75)
    return path


# ---- report ----


def report(found: Found, control_s: int, plan_every_s: float, wall_s: float, pictures: Sequence[Path]) -> list[str]:
    sizes = ", ".join(f"{va / 1e3:.0f} kVA with {count} vehicles" for count, va in RATED_VA.items())
    shares = ", ".join(
        f"{va * (1.0 - YEARLY_PEAK_PU) / count / 1e3:.2f} kW of {count}" for count, va in RATED_VA.items()
    )
    left_out = [each.name for n, each in enumerate(EVENINGS) if n not in found]
    return [
        "# Twelve evenings",
        "",
        *([f"Not lived through for this report: {'; '.join(left_out)}.", ""] if left_out else []),
        f"Python {platform.python_version()}, {platform.machine()}, load of the machine {os.getloadavg()[1]:.1f} on "
        f"{os.cpu_count()} cores. Written by `python tests/bench/bench_evenings.py` in {wall_s / 60.0:.0f} min; "
        f"vehicles and transformer move by the second, the strategy is asked every {control_s} s.",
        "",
        "The world (`tests/support/evening`): base load by phase with appliances, 16:00 to 09:00, highest from 18:00 "
        "to 21:00; ambient 22-30 °C (hot), -9 to -5 °C (cold), 31-40 °C with air conditioning (heat wave), each after "
        "two days of the same. Vehicles arrive between 16:00 and 20:00 (normal, mean 17:45, deviation 1 h, truncated) "
        "and leave between 05:30 and 09:00 (mean 07:15, deviation 45 min); batteries of 40-100 kWh at 15-70 %, targets "
        "of 70, 80 or 90 %, uniform; of twenty 7 are AC 1~ 7.4 kW, 5 AC 3~ 11 kW, 3 AC 3~ 22 kW, 5 DC 22-50 kW; "
        "two thirds are bidirectional; minimum powers 1.4, 4.1 and 0.5 kW; efficiency 0.90-0.95 each way; above 80 % "
        "the power falls to 15 %; what they are told they follow after 1-3 s, at a ramp of 2-5 s. State of charge is "
        "told in whole percents. Min-SoC is 30 %, or the vehicle's own of up to 40 %.",
        "",
        f"Transformers: {sizes}: 5 kVA for each vehicle, the customers' load within it, and the next standard size; "
        "twice as much for four, which have no diversity. The true one is off the nameplate that the controller "
        "believes: rises +4 %, losses ratio +5 %, oil time constant -6 %. Limits: hot-spot "
        f"{LIMITS.hot_spot_c:.0f} °C, top-oil {LIMITS.top_oil_c:.0f} °C, K {LIMITS.k_pu:g}.",
        "",
        "Strategies: *without control*, full power at once until the target. *Static limits*, an equal fixed share of "
        f"the rating less a yearly peak of {YEARLY_PEAK_PU:.0%} ({shares}), no discharge; a three-phase vehicle whose "
        "share is below 4.1 kW does not charge at all. *Ours*: thermal engine, dispatcher, battery bounds with the "
        f"watch over states of charge, phase limits, V2G unbalance of {UNBALANCE_PU:.0%} of the rating at most, and a "
        f"plan every {plan_every_s / 60.0:.0f} min in process from the engine's outlook.",
        "",
        "## What is required of ours",
        "",
        *required(found),
        "## Transformer",
        "",
        "Peaks of the true transformer; K of the three phases together and of the most loaded one; loss of life in "
        "hours (kraft paper, 17 h pass); minutes over each limit; and minutes over a limit that base load alone would "
        "have kept at that second.",
        "",
        *by_strategy(
            found,
            (
                "hot-spot, °C",
                "top-oil, °C",
                "K",
                "K of a phase",
                "loss of life, h",
                "over hot-spot, min",
                "over top-oil, min",
                "over K, min",
                "beyond base, min",
            ),
            transformer,
            base=True,
        ),
        "## Drivers",
        "",
        "Energy in the batteries at departure; a vehicle counts as short from 1 % of its battery on. State of charge "
        "and min-SoC of vehicles while they discharge.",
        "",
        *by_strategy(
            found,
            (
                "wanted, kWh",
                "missing, kWh",
                "vehicles short",
                "worst, %",
                "discharged, kWh",
                "lowest SoC, %",
                "below min-SoC, %",
            ),
            drivers,
        ),
        "Who was short under ours:",
        "",
        *shortages(found),
        "## Behaviour",
        "",
        "Reversals between charge and discharge per vehicle and hour, and of one vehicle in its worst hour; starts "
        "from nothing likewise. Under its minimum power: the longest time that a vehicle below its target was, neither "
        "charging nor discharging, while another charged with more than its own. Unbalance: V2G power between two "
        "phases. Step: one answer of the strategy, plans included. Wall: the whole run.",
        "",
        *by_strategy(
            found,
            (
                "reversals/h",
                "worst",
                "starts, worst",
                "under minimum, min",
                "not by plan, min",
                "unbalance, kW",
                "step, median ms",
                "step, p99 ms",
                "wall, s",
            ),
            behaviour,
        ),
        "What ours takes, ms a step on average, and its plans:",
        "",
        *effort(found),
        "## Pictures",
        "",
        *(f"![{EVENINGS[int(path.stem[-2:]) - 1].name}](evenings/{path.name})" for path in pictures),
        "",
    ]


def finished(keep: Path | None, task: Task) -> Path | None:
    number, name, control_s, plan_every_s = task
    return None if keep is None else keep / f"{number + 1:02d} {name} {control_s} {plan_every_s:g}.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="numbers of evenings, 1 to 12, in this order")
    parser.add_argument("--control-s", type=int, default=2)
    parser.add_argument("--plan-every-s", type=float, default=PLAN_EVERY_S)
    parser.add_argument("--keep", type=Path, help="directory of results")
    args = parser.parse_args()
    numbers = [int(part) - 1 for part in args.only.split(",")] if args.only else list(range(len(EVENINGS)))
    tasks = [(n, name, args.control_s, args.plan_every_s) for name in reversed(STRATEGIES) for n in numbers]
    began_s = perf_counter()
    found: Found = {number: {} for number in numbers}
    todo = []
    for task in tasks:
        path = finished(args.keep, task)
        if path is not None and path.exists():
            found[task[0]][task[1]] = msgspec.json.decode(path.read_bytes(), type=Told)
        else:
            todo.append(task)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for task, told in zip(todo, pool.imap(live, todo), strict=True):
            found[task[0]][task[1]] = told
            path = finished(args.keep, task)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(msgspec.json.encode(told))
            print(f"{EVENINGS[task[0]].name}, {task[1]}: {told.wall_s:.0f} s", file=sys.stderr, flush=True)
    wall_s = sum(each.wall_s for told in found.values() for each in told.values()) / PROCESSES
    print(f"took {perf_counter() - began_s:.0f} s", file=sys.stderr)
    found = dict(sorted(found.items()))
    pictures = [draw(number, told) for number, told in found.items()]
    lines = report(found, args.control_s, args.plan_every_s, wall_s, pictures)
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
