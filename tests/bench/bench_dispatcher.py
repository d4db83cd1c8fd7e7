"""What one allocation costs, and how far what flows is above a limit while vehicles follow, late, or not at all.

Run: ``python tests/bench/bench_dispatcher.py``; writes ``report_dispatcher.md`` beside it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from math import inf
from pathlib import Path
from random import Random
from time import process_time

from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Aim, Dispatcher, Group, Settings, Vehicle
from v2g.dispatch.energy import Energy
from v2g.dispatch.orders import Mode, Order

REPORT = Path(__file__).with_name("report_dispatcher.md")
RATED_W = 11e3
PHASES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1 / 3, 1 / 3, 1 / 3))


def order(mode: Mode, power_w: float, evse_id: str | None = None, order_id: int = 1) -> Order:
    return Order(id=order_id, mode=mode, power_w=power_w, evse_id=evse_id, created_at_s=0.0, expires_at_s=inf, by="a")


def vehicle(number: int, measured_w: float, now_s: float, least_w: float = 0.0, *, single: bool = False) -> Vehicle:
    soc = number * 37 % 100 / 100
    return Vehicle(
        evse_id=f"E{number:03}",
        bounds=tuple(
            Bound(-RATED_W, RATED_W, source, now_s + 1.0)
            for source in ("inverter rating", "vehicle power limit", "EVSE rating")
        ),
        rated_charge_w=RATED_W,
        rated_discharge_w=RATED_W,
        min_charge_w=least_w,
        energy=Energy(
            needed_wh=max(0.0, 0.8 - soc) * 5e4,
            room_wh=(1.0 - soc) * 5e4,
            surplus_wh=max(0.0, soc - 0.3) * 5e4,
            departs_at_s=30e3 + 60.0 * number,
            departure_assumed=False,
            floor_pct=30.0,
            soc_pct=100.0 * soc,
            capacity_wh=5e4,
            capacity_assumed=False,
        ),
        phases=PHASES[number % 4 if single else 3],
        measured_w=measured_w,
    )


def cost_ms(
    count: int, least_w: float, unbalance_w: float | None, *, both: bool, steps: int = 30
) -> tuple[float, float]:
    """Median and greatest of CPU time, ten steps a second under limits that move."""
    random = Random(1)
    dispatcher = Dispatcher(Settings(unbalance_w=unbalance_w, rated_w=2e3 * count))
    orders = [order(Mode.DISCHARGE, 9e3, f"E{n:03}", n) for n in range(1, count, 2)] if both else []
    flows_w = [0.0] * count
    times = []
    for step in range(steps):
        now_s = 100.0 + 0.1 * step
        vehicles = [vehicle(n, flows_w[n], now_s, least_w, single=least_w > 0.0) for n in range(count)]
        limit_w = 2e3 * count + random.gauss(0.0, 50.0)
        groups = [
            Group(
                name=f"phase {p}",
                bounds=(Bound(-limit_w / 2.9, limit_w / 2.9, f"transformer current of phase {p}", now_s + 1.0),),
                shares={v.evse_id: v.phases[p] for v in vehicles if v.phases[p] > 0.0},
            )
            for p in range(3)
        ]
        site = (Bound(-limit_w, limit_w, "thermal hot-spot", now_s + 1.0),)
        aim = Aim(base_w=1e3 * count + random.gauss(0.0, 5.0 * count), level_w=1.6e3 * count)
        began_s = process_time()
        result = dispatcher.step(vehicles, orders, site, groups, aim, now_s)
        times.append(process_time() - began_s)
        flows_w = [grant.power_w for grant in result.grants]
    times.sort()
    return 1e3 * times[len(times) // 2], 1e3 * times[-1]


Takes = Callable[[int, list[float]], float]
"""Of a vehicle's number and what it was told so far, the newest last: what it takes."""


def overshoot(limit: Callable[[float], float], takes: Takes, step_s: float) -> tuple[float, float, float]:
    """Greatest excess over the limit in W, for how long there was any above 50 W, and the last minute's greatest."""
    dispatcher = Dispatcher(Settings())
    told: list[list[float]] = [[0.0] for _ in range(10)]
    worst_w = lasted_s = last_w = 0.0
    for step in range(round(180.0 / step_s)):
        now_s = step * step_s
        flows_w = [takes(n, said) for n, said in enumerate(told)]
        limit_w = limit(now_s)
        over_w = sum(flows_w) - limit_w
        worst_w = max(worst_w, over_w)
        lasted_s += step_s if over_w > 50.0 else 0.0
        last_w = max(last_w, over_w) if now_s > 120.0 else 0.0
        vehicles = [vehicle(n, flow_w, now_s) for n, flow_w in enumerate(flows_w)]
        site = (Bound(-limit_w, limit_w, "thermal hot-spot", now_s + 2.0),)
        result = dispatcher.step(vehicles, [order(Mode.CHARGE, 1e6)], site, (), Aim(enabled=False), now_s)
        for said, grant in zip(told, result.grants, strict=True):
            said.append(grant.power_w)
    return worst_w, lasted_s, last_w


def report() -> str:
    lines = [
        "# The dispatcher",
        "",
        f"{platform.machine()}, Python {platform.python_version()}; `Dispatcher.step`, CPU time.",
        "",
        "| vehicles | case | median ms | greatest ms |",
        "|---|---|---|---|",
    ]
    cases = (
        ("auto, three phases", 0.0, None, False),
        ("auto, one phase each, minima", 1380.0, None, False),
        ("the same, unbalance 4.6 kW", 1380.0, 4.6e3, False),
        ("half of them under discharge orders, unbalance", 1380.0, 4.6e3, True),
    )
    for count in (10, 60, 200):
        for name, least_w, unbalance_w, both in cases:
            median_ms, most_ms = cost_ms(count, least_w, unbalance_w, both=both)
            lines.append(f"| {count} | {name} | {median_ms:.2f} | {most_ms:.2f} |")
    lines += [
        "",
        "Ten vehicles of 11 kW under an order of all; what is measured above the site's limit.",
        "",
        "| step s | case | greatest kW | for s | in the last minute kW |",
        "|---|---|---|---|---|",
    ]
    for step_s in (0.1, 1.0):
        behind = round(1.9 / step_s)

        def late(number: int, said: list[float], behind: int = behind) -> float:
            return said[max(0, len(said) - 1 - behind)]

        def steady(now_s: float) -> float:
            return 40e3

        def falls(now_s: float) -> float:
            return 60e3 if now_s < 60.0 else 20e3

        runs: tuple[tuple[str, Callable[[float], float], Takes], ...] = (
            ("all start, each 1.9 s late, 40 kW", steady, late),
            ("60 kW fall to 20 kW, each 1.9 s late", falls, late),
            ("the same, and one goes on with 11 kW", falls, lambda n, said: late(n, said) if n else RATED_W),
            ("each takes 3 % more, 40 kW", steady, lambda n, said: 1.03 * late(n, said)),
        )
        for name, limit, takes in runs:
            worst_w, lasted_s, last_w = overshoot(limit, takes, step_s)
            lines.append(f"| {step_s} | {name} | {worst_w / 1e3:.2f} | {lasted_s:.1f} | {max(0.0, last_w) / 1e3:.2f} |")
    return "\n".join((*lines, ""))


if __name__ == "__main__":
    REPORT.write_text(report(), encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))
