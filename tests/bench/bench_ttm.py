"""Our thermal model beside ``transformer-thermal-model``, a year of minutes: ``python tests/bench/bench_ttm.py``.

Writes ``report_ttm.md`` beside itself. Same inputs, same constants, same initial state, in one run of one process.
"""

from __future__ import annotations

import math
import platform
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from v2g.replay.thermal_run import rows
from v2g.replay.thermal_table import ThermalTable
from v2g.replay.thermal_transformer import ReplayedTransformer, read_transformer
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, ThermalParameters

REPORT = Path(__file__).with_name("report_ttm.md")
YEAR_MIN = 365 * 1440
ROUNDS = 3

EXPLAINED = """\
Set equal in theirs, since their defaults differ:

- `amb_temp_surcharge` 0: distribution transformers have 10 K by default, added to the top-oil rise (and scaled with
  the losses), power transformers 0;
- `top_oil_temp_rise`; `winding_oil_gradient`, with `hot_spot_fac` 1 (their product is our Δθhr); losses for R;
- the initial state: steady state of the first row (`InitialLoad`); their default is a cold start at ambient.

The constants of their three kinds are those of `DIST_ONAN`, `ONAN` and `ONAF`. They discretise as we do, exactly (row
n holds over the interval before it), so what is left is rounding. What they cannot be asked: k21 and k22 that are no
whole numbers (OF), reverse flow (negative loads are refused), a start from a known winding rise, and going on from
where a run ended.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A transformer that both can describe: they have three sets of constants, ours have the same names."""

    name: str
    cooling: str
    dtheta_or_k: float
    dtheta_hr_k: float
    r: float

    @property
    def params(self) -> ThermalParameters:
        constants = COOLING[self.cooling]
        return ThermalParameters(
            dtheta_or_k=self.dtheta_or_k,
            dtheta_hr_k=self.dtheta_hr_k,
            r=self.r,
            x=constants.x,
            y=constants.y,
            k11=constants.k11,
            k21=constants.k21,
            k22=constants.k22,
            tau_o_s=constants.tau_o_min * 60.0,
            tau_w_s=constants.tau_w_min * 60.0,
            rated_va=400e3,
        )

    @property
    def file(self) -> str:
        """As a transformer file of the replay."""
        return f"mode: {self.cooling}\ndor_K: {self.dtheta_or_k}\ndhr_K: {self.dtheta_hr_k}\nR: {self.r}\n"


KINDS = (
    Kind("distribution, ONAN", "DIST_ONAN", 55.0, 23.0, 5.0),
    Kind("power, ONAN", "ONAN", 52.0, 26.0, 6.0),
    Kind("power, ONAF", "ONAF", 45.0, 22.0, 8.0),
)


def profile(minutes: int) -> tuple[list[float], list[float]]:
    """K and ambient in °C by minute: seasons, days, noise, steps of load, calm and hot days. The same every time."""
    rng = random.Random(60076)
    k, ambient_c = [], []
    noise = weather_k = step_pu = 0.0
    for minute in range(minutes + 1):
        day = minute / 1440.0
        noise = 0.97 * noise + rng.gauss(0.0, 0.01)
        weather_k = 0.9995 * weather_k + rng.gauss(0.0, 0.12)
        if rng.random() < 1.0 / 240.0:
            step_pu = rng.choice((0.0, 0.0, 0.15, 0.4, -0.2))
        daily = 0.22 * math.sin(math.tau * (day - 0.4)) + 0.12 * math.sin(2.0 * math.tau * (day - 0.1))
        k.append(max(0.0, 0.6 + 0.1 * math.cos(math.tau * day / 365.0) + daily + step_pu + noise))
        season_c = 11.0 - 11.0 * math.cos(math.tau * (day - 20.0) / 365.0)
        ambient_c.append(season_c - 5.0 * math.cos(math.tau * (day - 0.12)) + weather_k)
    return k, ambient_c


def ours(params: ThermalParameters, k: list[float], ambient_c: list[float]) -> list[ThermalState]:
    state = steady_state(params, k[0], ambient_c[0])
    states = [state]
    for n in range(1, len(k)):
        state = step(state, params, k[n], ambient_c[n], 60.0)
        states.append(state)
    return states


def theirs(kind: Kind, k: list[float], ambient_c: list[float]) -> Callable[[], Any]:
    """A run that is set up: what is timed is the model alone."""
    import numpy as np
    from transformer_thermal_model.cooler import CoolerType
    from transformer_thermal_model.model import Model
    from transformer_thermal_model.schemas import InputProfile, UserTransformerSpecifications
    from transformer_thermal_model.schemas.thermal_model.initial_state import InitialLoad
    from transformer_thermal_model.transformer import DistributionTransformer, PowerTransformer

    specs = UserTransformerSpecifications(
        no_load_loss=1000.0,
        load_loss=1000.0 * kind.r,
        nom_load_sec_side=1.0,
        top_oil_temp_rise=kind.dtheta_or_k,
        winding_oil_gradient=kind.dtheta_hr_k,
        hot_spot_fac=1.0,
        amb_temp_surcharge=0.0,
    )
    transformer: DistributionTransformer | PowerTransformer
    if kind.cooling == "DIST_ONAN":
        transformer = DistributionTransformer(user_specs=specs)
    else:
        transformer = PowerTransformer(user_specs=specs, cooling_type=CoolerType(kind.cooling))
    times = np.datetime64("2026-01-01T00:00", "s") + np.arange(len(k)) * np.timedelta64(60, "s")
    given = InputProfile(
        datetime_index=times, load_profile=np.array(k), ambient_temperature_profile=np.array(ambient_c)
    )
    return Model(
        temperature_profile=given, transformer=transformer, initial_condition=InitialLoad(initial_load=k[0])
    ).run


@dataclass(frozen=True, slots=True)
class Compared:
    top_oil_k: float
    hot_spot_k: float
    """Largest differences."""
    highest_top_oil_c: float
    highest_hot_spot_c: float
    ours_s: float
    theirs_s: float


def compare(kind: Kind, k: list[float], ambient_c: list[float], rounds: int = 1) -> Compared:
    """The best CPU time of ``rounds`` of each, alternating, so that other load on the machine counts less."""
    run = theirs(kind, k, ambient_c)
    params = kind.params
    ours_s = theirs_s = math.inf
    for _ in range(rounds):
        begun_s = time.process_time()
        states = ours(params, k, ambient_c)
        between_s = time.process_time()
        result = run()
        ended_s = time.process_time()
        ours_s, theirs_s = min(ours_s, between_s - begun_s), min(theirs_s, ended_s - between_s)
    top_oil_c, hot_spot_c = result.top_oil_temp_profile.tolist(), result.hot_spot_temp_profile.tolist()
    return Compared(
        top_oil_k=max(abs(state.theta_o_c - c) for state, c in zip(states, top_oil_c, strict=True)),
        hot_spot_k=max(abs(state.hot_spot_c - c) for state, c in zip(states, hot_spot_c, strict=True)),
        highest_top_oil_c=max(top_oil_c),
        highest_hot_spot_c=max(hot_spot_c),
        ours_s=ours_s,
        theirs_s=theirs_s,
    )


def replayed_s(kind: Kind, k: list[float], ambient_c: list[float], directory: Path) -> float:
    """The replay's own loop, which also counts ageing of both papers."""
    path = directory / "transformer.yaml"
    path.write_text(kind.file, encoding="utf-8")
    known: ReplayedTransformer = read_transformer(path)
    table = ThermalTable(path=Path("year.csv"))
    table.t_min.extend(float(n) for n in range(len(k)))
    table.k.extend(k)
    table.ambient_c.extend(ambient_c)
    table.line.extend(range(2, len(k) + 2))
    begun_s = time.process_time()
    for _ in rows(table, known, ahead=None):
        pass
    return time.process_time() - begun_s


def main() -> None:
    import tempfile

    k, ambient_c = profile(YEAR_MIN)
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        for kind in KINDS:
            found = compare(kind, k, ambient_c, ROUNDS)
            replay_s = min(replayed_s(kind, k, ambient_c, Path(directory)) for _ in range(ROUNDS))
            lines.append(
                f"| {kind.name} | {found.highest_top_oil_c:.1f} | {found.highest_hot_spot_c:.1f} "
                f"| {found.top_oil_k:.1e} | {found.hot_spot_k:.1e} | {found.theirs_s:.2f} | {found.ours_s:.2f} "
                f"| {found.theirs_s / found.ours_s:.0f} | {replay_s:.2f} |"
            )
            print(lines[-1], flush=True)
    text = [
        "# A year of minutes beside transformer-thermal-model",
        "",
        f"`transformer-thermal-model` {version('transformer-thermal-model')} (numpy {version('numpy')}, pandas "
        f"{version('pandas')}), Python {platform.python_version()}, {platform.machine()}. Written by",
        f"`python tests/bench/bench_ttm.py`; CPU seconds, both in one process, best of {ROUNDS} alternating runs. "
        f"{YEAR_MIN} steps of",
        f"one minute; K from {min(k):.2f} to {max(k):.2f}, ambient from {min(ambient_c):.0f} to {max(ambient_c):.0f} "
        "°C, with steps of load.",
        "",
        "| transformer | highest top oil, °C | hot-spot, °C | largest difference of top oil, K | of hot-spot, K "
        "| theirs, s | ours, s | ratio | ours with ageing of both papers, s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *lines,
        "",
        EXPLAINED,
    ]
    REPORT.write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
