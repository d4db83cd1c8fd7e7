"""Time of a thermal step and of a headroom solve: ``python tests/bench/bench_thermal.py [BEFORE]``.

Writes ``report_thermal.md`` beside itself. Best of several rounds, so that other load on the machine counts less. With
BEFORE, a folder that holds an earlier ``headroom.py`` and ``model.py``, those are timed in turn with the present ones,
in the same run, and the ratio of the two goes into the report.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
import timeit
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from types import MappingProxyType, ModuleType

import numpy as np

from v2g.thermal.ageing import relative_ageing_rate
from v2g.thermal.fleet import FleetParameters, simulate
from v2g.thermal.headroom import permitted_interval
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, from_nameplate
from v2g.thermal.recovery import granted_in_s

REPORT = Path(__file__).with_name("report_thermal.md")


ROUNDS = 60
FLEET = 10_000
RANDOM = 2_000
FLEET_ROWS = 61


def best_us(calls: list[tuple[Callable[[], object], int]]) -> list[float]:
    """Of each call (and how often in a round), µs: in turn, so that the machine's moods meet them all."""
    best = [inf] * len(calls)
    for _ in range(ROUNDS):
        for n, (call, number) in enumerate(calls):
            best[n] = min(best[n], timeit.timeit(call, number=number) / number * 1e6)
    return best


def earlier(folder: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"earlier_{name}", folder / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder} holds no {name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    before = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    params = from_nameplate(
        cooling="ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=26.0, loss_ratio_r=5.0
    )
    limits = ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=1.5)
    cool = steady_state(params, 0.3, 10.0)
    warm = steady_state(params, 0.9, 30.0)
    hot = ThermalState(100.0, 35.0, 17.0)
    burning = ThermalState(130.0, 40.0, 20.0)
    base_w = [300e3 + 2e3 * minute for minute in range(15)]
    base_var, ambient_c = [60e3] * 15, [30.0] * 15
    margin_w, margin_k = [5e3 + 1e3 * minute for minute in range(15)], [2.0 + 0.1 * minute for minute in range(15)]

    def solve(
        state: ThermalState,
        permitted: Callable[..., object] = permitted_interval,
        margins: Mapping[str, list[float]] = MappingProxyType({}),
    ) -> Callable[[], object]:
        return lambda: permitted(
            state, params, limits, base_w=base_w, base_var=base_var, ambient_c=ambient_c, **margins
        )

    def recovery() -> object:
        return granted_in_s(
            burning,
            params,
            limits,
            base_w=base_w,
            base_var=base_var,
            ambient_c=ambient_c,
            direction="charge",
            power_w=300e3,
            base_margin_w=margin_w,
            margin_k=margin_k,
        )

    fleet = FleetParameters.of([params] * FLEET)
    random = np.random.default_rng(0)
    fleet_k_pu = random.uniform(0.0, 1.5, (FLEET_ROWS, FLEET))
    fleet_ambient_c = random.uniform(-20.0, 40.0, (FLEET_ROWS, FLEET))
    fleet_steps = FLEET * (FLEET_ROWS - 1)

    def fleet_hour() -> object:
        return simulate(fleet, fleet_k_pu, fleet_ambient_c, 60.0)

    def scalar_with_ageing() -> object:
        state = step(warm, params, 0.8, 20.0, 60.0)
        return (
            relative_ageing_rate(state.hot_spot_c, upgraded_paper=False),
            relative_ageing_rate(state.hot_spot_c, upgraded_paper=True),
        )

    margins = {"base_margin_w": margin_w, "margin_k": margin_k}
    headroom = {
        "headroom, 15 minutes, both ways: K binds": cool,
        "headroom, 15 minutes, both ways: hot-spot binds": warm,
        "headroom, base load over the limit": hot,
        "headroom, no power keeps the limits": burning,
    }
    plain: list[tuple[str, Callable[[], object], int]] = [
        ("thermal step", lambda: step(warm, params, 0.8, 20.0, 60.0), 1000),
        *((what, solve(state), 20) for what, state in headroom.items()),
    ]
    others: list[tuple[str, Callable[[], object], int]] = [
        *((f"{what}; with margins", solve(state, margins=margins), 20) for what, state in headroom.items()),
        ("when a refused power is granted, a day ahead", recovery, 1),
        ("thermal step and ageing of both papers", scalar_with_ageing, 1000),
        ("the same of 10,000 transformers, one hour by the minute", fleet_hour, 1),
    ]
    old: list[tuple[str, Callable[[], object], int]] = []
    if before is not None:
        old_step, old_permitted = earlier(before, "model").step, earlier(before, "headroom").permitted_interval
        old = [
            ("thermal step", lambda: old_step(warm, params, 0.8, 20.0, 60.0), 1000),
            *((what, solve(state, old_permitted), 20) for what, state in headroom.items()),
        ]
    figures = best_us([(call, number) for _, call, number in [*plain, *others, *old]])
    us = dict(zip([what for what, *_ in [*plain, *others]], figures, strict=False))
    old_us = dict(zip([what for what, *_ in old], figures[len(plain) + len(others) :], strict=True))
    of_fleet = us.pop("the same of 10,000 transformers, one hour by the minute")
    scalar = us["thermal step and ageing of both papers"]
    us_random = sorted(best_us([(call, 1) for call in random_solves(RANDOM)]))
    lines = [
        "# Thermal model: time",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. Written by `python tests/bench/bench_thermal.py`: "
        f"the best of {ROUNDS} rounds in which all take turns. Before: the same call before there were margins, load "
        "losses beyond the nameplate's, and a model of the response in the search.",
        "",
        "| what | µs | before, µs | ratio |",
        "|---|---:|---:|---:|",
        *(
            f"| {what} | {figure(value)} | {figure(old_us[what])} | {value / old_us[what]:.2f} |"
            if what in old_us
            else f"| {what} | {figure(value)} | | |"
            for what, value in us.items()
        ),
        "",
        f"Headroom with margins over {RANDOM} random cases (all cooling modes, 5 kVA to 250 MVA, limits K 0 to 2.5): "
        f"median {us_random[RANDOM // 2]:.0f} µs, 99 % within {us_random[RANDOM * 99 // 100]:.0f} µs, "
        f"slowest {us_random[-1]:.0f} µs.",
        "",
        f"{FLEET} transformers over {FLEET_ROWS - 1} minutes, ageing of both papers included, in one vectorised call: "
        f"{of_fleet / 1e3:.0f} ms, {of_fleet / fleet_steps * 1e3:.0f} ns a transformer and step: "
        f"1/{scalar / (of_fleet / fleet_steps):.0f} of the scalar step with ageing.",
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def random_solves(count: int) -> list[Callable[[], object]]:
    """Headroom with margins over all cooling modes, limits, states and shapes of base load, from a fixed seed."""
    random = np.random.default_rng(1)

    def one() -> Callable[[], object]:
        params = from_nameplate(
            cooling=str(random.choice(sorted(COOLING))),
            rated_kva=float(random.choice([5.0, 400.0, 25e3, 250e3])),
            top_oil_rise_k=55.0,
            hot_spot_gradient_k=23.0,
            loss_ratio_r=5.0,
        )
        limits = ThermalLimits(
            hot_spot_c=120.0,
            top_oil_c=float(random.choice([80.0, 105.0])),
            k_pu=float(random.choice([0.0, 0.5, 1.3, 1.5, 2.5])),
        )
        va = params.rated_va
        spread = float(random.choice([0.0, 0.01, 0.1, 1.0]))
        base_w = (va * (random.uniform(-1.5, 1.5) + random.uniform(-spread, spread, 15))).tolist()
        margin_w = np.sort(random.uniform(0.0, 0.1 * va, 15)).tolist()
        ambient_c = float(random.uniform(-20.0, 50.0))
        state = steady_state(params, float(random.uniform(0.0, 1.6)), ambient_c)
        return lambda: permitted_interval(
            state,
            params,
            limits,
            base_w=base_w,
            base_var=[0.1 * va] * 15,
            ambient_c=[ambient_c] * 15,
            base_margin_w=margin_w,
            margin_k=[2.0] * 15,
        )

    return [one() for _ in range(count)]


def figure(us: float) -> str:
    return f"{us:.2f}" if us < 10 else f"{us:.0f}"


if __name__ == "__main__":
    main()
