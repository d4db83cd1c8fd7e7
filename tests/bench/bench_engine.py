"""One second of the thermal engine, by its parts: ``python tests/bench/bench_engine.py``.

An engine that has learned for two days follows the simulated transformer, once a second for half an hour of each case,
in passes of four minutes, of which the best counts. What is done by the minute, or twice a minute, is in them. Each
part is timed where the engine calls it, so a few tenths of a microsecond of the clock are in each. Writes
``report_engine.md`` beside itself.
"""

from __future__ import annotations

import platform
import random
import sys
from collections.abc import Callable
from math import inf, pi, sin
from pathlib import Path
from time import perf_counter
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import v2g.thermal.engine as engine_module
from support.closed_loop import ClosedLoop, off_nameplate
from support.thermal_following import PARAMS
from v2g.thermal.engine import EngineSettings
from v2g.thermal.limits import Regime, SizeClass, limits_of
from v2g.thermal.sensed import EstimatorSettings
from v2g.thermal.throttle import ThrottleSettings

REPORT: Final = Path(__file__).with_name("report_engine.md")
TARGET_US: Final = 400.0
PASSES: Final = 8
PASS_S: Final = 240
HEADROOM: Final = "headroom, both ends"
WHOLE: Final = "whole step"
SETTINGS: Final = EngineSettings(
    estimator=EstimatorSettings(params=PARAMS),
    limits={regime: limits_of(regime, SizeClass.DISTRIBUTION) for regime in Regime},
    throttle=ThrottleSettings.of_rating(PARAMS.rated_va),
)
CASES: Final = {
    "no V2G, nothing near a limit": (0.3, 20.0, False),
    "charging at the hot-spot limit": (0.6, 28.0, True),
    "over the limit by base load: one end refused": (1.2, 38.0, False),
}
"""Base load per unit, ambient in °C, and whether all that is permitted is charged."""


class Timed:
    """Sums up what calls of one part take."""

    def __init__(self, of: Callable[..., Any]) -> None:
        self.of = of
        self.took_s = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        begun = perf_counter()
        result = self.of(*args, **kwargs)
        self.took_s += perf_counter() - begun
        return result


def loop(load_pu: float, ambient_c: float, charges: bool) -> ClosedLoop:
    rng = random.Random(1)
    made = ClosedLoop(
        SETTINGS,
        constants=off_nameplate(random.Random(3), 0.05),
        base=lambda hour: load_pu + 0.05 * sin(hour * pi / 12.0) + rng.gauss(0.0, 0.01),
        ambient=lambda hour: ambient_c + 4.0 * sin(hour * pi / 12.0),
        power_share=1.0 if charges else 0.0,
        step_s=60.0,
    )
    made.run(48.0)
    made.step_s = 1.0
    made.run(0.25)
    return made


def measure(case: tuple[float, float, bool]) -> dict[str, float]:
    """Seconds that each part takes of a step, on average over a pass: the best pass, since others use the machine."""
    bench = loop(*case)
    engine: Any = bench.engine
    parts = {
        "estimator": (engine._estimator, "step"),
        "ageing account": (engine._account, "step"),
        "hindsight of top-oil": (engine._hindsight, "step"),
        "forecast: learn a minute": (engine._forecaster, "observe"),
        "forecast: predict": (engine._forecaster, "predict"),
        HEADROOM: (engine_module, "permitted_interval"),
        "throttle": (engine._throttle, "update"),
        "ahead, without margins": (engine, "_ahead"),
        "when granted again": (engine._recovery, "times"),
        WHOLE: (engine, "step"),
    }
    timed = {}
    for name, (owner, what) in parts.items():
        timed[name] = Timed(getattr(owner, what))
        setattr(owner, what, timed[name])
    best = dict.fromkeys(parts, inf)
    try:
        for _ in range(PASSES):
            bench.run(PASS_S / 3_600.0)
            for name, part in timed.items():
                best[name] = min(best[name], part.took_s / PASS_S)
                part.took_s = 0.0
    finally:
        module: Any = engine_module
        module.permitted_interval = timed[HEADROOM].of
    return best


def main() -> None:
    measured = {name: measure(case) for name, case in CASES.items()}
    lines = [
        "# One second of the thermal engine",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. Written by `python tests/bench/bench_engine.py`,",
        f"which says how. Microseconds of a step. The target of a whole step is {TARGET_US:.0f} µs.",
        "",
        f"| part | {' | '.join(CASES)} |",
        f"|---|{'---|' * len(CASES)}",
    ]
    for part in next(iter(measured.values())):
        cells = [f"{best[part] * 1e6:.1f}" for best in measured.values()]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    ratios = [f"{best[WHOLE] * 1e6 / TARGET_US:.2f}" for best in measured.values()]
    lines += [f"| of the target | {' | '.join(ratios)} |", ""]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
