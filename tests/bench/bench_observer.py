"""The observer with wrong parameters and a coarse sensor: ``python tests/bench/bench_observer.py``.

Truth is the simulated transformer's heat balance, which is a model of another kind. The controller's nameplate is wrong
on purpose; it sees top-oil through a sensor that rounds. Every ten minutes it predicts fifteen minutes ahead, with the
load and ambient that will be (so only the state and the parameters err), with the observer and without. Five days, the
first one not counted. Writes ``report_observer.md`` beside itself.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from v2g.simulation.thermal_plant import TransformerPlant
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.observer import Observer, ObserverGains
from v2g.thermal.parameters import ThermalParameters, from_nameplate

REPORT = Path(__file__).with_name("report_observer.md")
NAMEPLATE = from_nameplate(
    cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.8
)
DAYS, AHEAD = 5, 15


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute's truth: the inputs that held over it, the temperatures at its end."""

    k_pu: float
    ambient_c: float
    top_oil_c: float
    hot_spot_c: float


def truth(seed: int) -> list[Minute]:
    """A varying daily load with steps in both directions, and a daily ambient."""
    rng = random.Random(seed)
    plant = TransformerPlant(ambient_c=15.0, load_pu=0.4)
    minutes, charging = [], 0.0
    for minute in range(DAYS * 1440):
        hour = minute / 60.0 % 24.0
        base = 0.55 + 0.25 * math.sin((hour - 12.0) / 24.0 * 2 * math.pi) + (0.3 if 17.5 <= hour < 21.0 else 0.0)
        if rng.random() < 1 / 45:
            charging = rng.choice([-0.4, 0.0, 0.0, 0.25, 0.4])
        plant.ambient_c = 15.0 + 8.0 * math.sin((hour - 9.0) / 24.0 * 2 * math.pi) + 2.0 * math.sin(minute / 700.0)
        k_pu = abs(base + charging + rng.gauss(0.0, 0.03))
        plant.step(k_pu, 60.0)
        minutes.append(Minute(k_pu, plant.ambient_c, plant.top_oil_c, plant.hot_spot_c))
    return minutes


def wrong(
    params: ThermalParameters, *, dor: float = 1.0, dhr: float = 1.0, tau: float = 1.0, r: float = 1.0
) -> ThermalParameters:
    return replace(
        params,
        dtheta_or_k=params.dtheta_or_k * dor,
        dtheta_hr_k=params.dtheta_hr_k * dhr,
        tau_o_s=params.tau_o_s * tau,
        r=params.r * r,
    )


def ahead(state: ThermalState, params: ThermalParameters, coming: list[Minute], bias_k: float = 0.0) -> ThermalState:
    for minute in coming:
        state = step(state, params, minute.k_pu, minute.ambient_c + bias_k, 60.0)
    return state


Errors = tuple[list[float], list[float]]


def run(
    minutes: list[Minute],
    params: ThermalParameters,
    quantum_k: float,
    noise_k: float,
    gains: ObserverGains,
    *,
    winding: bool = False,
) -> tuple[Errors, Errors]:
    """Errors of top-oil and hot-spot at +15 min in K: open loop, observer."""
    rng = random.Random(7)
    first = minutes[0]
    start = steady_state(params, first.k_pu, first.ambient_c).with_top_oil(first.top_oil_c)
    free, observer = start, Observer(start, gains=gains)
    open_loop: Errors = ([], [])
    observed: Errors = ([], [])
    for n, now in enumerate(minutes[:-AHEAD]):
        free = step(free, params, now.k_pu, now.ambient_c, 60.0)
        read_c = _through_sensor(now.top_oil_c, quantum_k, noise_k, rng)
        wound_c = _through_sensor(now.hot_spot_c, quantum_k, noise_k, rng) if winding else None
        estimate = observer.step(params, now.k_pu, now.ambient_c, 60.0, read_c, wound_c)
        if n < 1440 or n % 10:
            continue
        coming = minutes[n + 1 : n + 1 + AHEAD]
        then = coming[-1]
        scaled = replace(params, dtheta_hr_k=params.dtheta_hr_k * estimate.gradient_factor)
        for errors, state in (
            (open_loop, ahead(free, params, coming)),
            (observed, ahead(estimate.state, scaled, coming, estimate.bias_k)),
        ):
            errors[0].append(state.theta_o_c - then.top_oil_c)
            errors[1].append(state.hot_spot_c - then.hot_spot_c)
    return open_loop, observed


def _through_sensor(value_c: float, quantum_k: float, noise_k: float, rng: random.Random) -> float:
    noisy = value_c + (rng.gauss(0.0, noise_k) if noise_k else 0.0)
    return round(noisy / quantum_k) * quantum_k


def figures(errors: list[float]) -> tuple[float, float, float]:
    """Mean, 95th percentile and largest of the absolute errors."""
    size = sorted(abs(e) for e in errors)
    return sum(size) / len(size), size[int(0.95 * len(size))], size[-1]


CASES: tuple[tuple[str, dict[str, float]], ...] = (
    ("nameplate as printed", {}),
    ("Δθor +15 %", {"dor": 1.15}),
    ("Δθor −15 %", {"dor": 0.85}),
    ("Δθhr −25 %", {"dhr": 0.75}),
    ("Δθor −15 %, Δθhr +25 %", {"dor": 0.85, "dhr": 1.25}),
    ("Δθor −15 %, τo +20 %", {"dor": 0.85, "tau": 1.2}),
    ("Δθor +15 %, τo −20 %", {"dor": 1.15, "tau": 0.8}),
    ("Δθor −15 %, τo −20 %, R halved", {"dor": 0.85, "tau": 0.8, "r": 0.5}),
    ("Δθor +15 %, τo +20 %, R doubled", {"dor": 1.15, "tau": 1.2, "r": 2.0}),
)
SENSORS = ((1.0, 0.0, False), (0.5, 0.2, False), (1.0, 0.0, True))


def table() -> Iterator[str]:
    minutes = truth(3)
    for quantum_k, noise_k, winding in SENSORS:
        noise = f", noise {noise_k:g} K" if noise_k else ""
        yield ""
        yield f"Sensor in steps of {quantum_k:g} K{noise}{', and a hot-spot sensor alike' if winding else ''}:"
        yield ""
        yield "| wrong | top-oil, without | top-oil, with | hot-spot, without | hot-spot, with |"
        yield "|---|---|---|---|---|"
        for name, factors in CASES:
            params = wrong(NAMEPLATE, **factors)
            without, observed = run(minutes, params, quantum_k, noise_k, ObserverGains(), winding=winding)
            cells = (
                " / ".join(f"{x:.2f}" for x in figures(errors))
                for errors in (without[0], observed[0], without[1], observed[1])
            )
            yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    lines = [
        "# Fifteen minutes ahead with wrong parameters, with and without the observer",
        "",
        "Written by `python tests/bench/bench_observer.py`, which says how. Errors in K: mean / 95th percentile /",
        "largest of the absolute values, over four days. Truth is the simulated heat balance, so the nameplate as",
        "printed errs too.",
        *table(),
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
