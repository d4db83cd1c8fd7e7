"""The thermal model beside every file of the reference data: what deviates, by how much, and what may."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from v2g.thermal.ageing import relative_ageing_rate
from v2g.thermal.headroom import permitted_interval
from v2g.thermal.limits import CURRENT, HOT_SPOT, TOP_OIL, Regime, SizeClass, ThermalLimits, limits_of
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, ThermalParameters, from_nameplate

Row = dict[str, str]


@dataclass(kw_only=True)
class Check:
    """One quantity of one file: deviations by row, in ``unit``, and rows that may deviate by more."""

    file: str
    what: str
    unit: str
    tolerance: float
    deviations: list[tuple[str, float]] = field(default_factory=list)
    exceptions: Mapping[str, float] = field(default_factory=dict)

    def add(self, row: object, deviation: float) -> None:
        self.deviations.append((str(row), abs(deviation)))

    @property
    def beyond(self) -> list[tuple[str, float]]:
        """What is outside of its tolerance; NaN is."""
        return [(row, d) for row, d in self.deviations if not d <= self.exceptions.get(row, self.tolerance)]

    @property
    def largest(self) -> float:
        """Of the rows that are no exception."""
        return max(d for row, d in self.deviations if row not in self.exceptions)


def _rows(folder: Path, file: str) -> list[Row]:
    with (folder / file).open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def _transformer(mode: str, dor: float, dhr: float, r: float, rated_kva: float = 400.0) -> ThermalParameters:
    return from_nameplate(
        cooling=mode, rated_kva=rated_kva, top_oil_rise_k=dor, hot_spot_gradient_k=dhr, loss_ratio_r=r
    )


def _relative(value: float, printed: str) -> float:
    """Relative deviation beyond the rounding of the printed figure."""
    published = float(printed)
    half_digit = 0.5 * 10.0 ** -len(printed.partition(".")[2])
    return max(0.0, abs(value - published) - half_digit) / max(abs(published), 1e-12)


def constants_by_cooling(folder: Path) -> Iterator[Check]:
    file = "constants_by_cooling.csv"
    rows = _rows(folder, file)
    printed = Check(file=file, what="x, y, k11, k21, k22, τo, τw of every mode", unit="", tolerance=0.0)
    derived = Check(file=file, what="time constants of the three states", unit="min", tolerance=1e-9)
    for row in rows:
        constants = COOLING[row["mode"]]
        for name in ("x", "y", "k11", "k21", "k22", "tau_o_min", "tau_w_min"):
            printed.add(row["mode"], getattr(constants, name) - float(row[name]))
        params = _transformer(row["mode"], 55.0, float(row["dhr_K_example"]), 6.0)
        derived.add(row["mode"], params.k11 * params.tau_o_s / 60.0 - float(row["tau_oil_effective_min"]))
        derived.add(row["mode"], params.k22 * params.tau_w_s / 60.0 - float(row["tau_h1_min"]))
        derived.add(row["mode"], params.tau_o_s / params.k22 / 60.0 - float(row["tau_h2_min"]))
    missing = set(COOLING) ^ {row["mode"] for row in rows}
    for mode in missing:
        printed.add(mode, float("nan"))
    yield from (printed, derived)


def annex_step(folder: Path) -> Iterator[Check]:
    file = "iec_annex_step_onaf_250MVA.csv"
    # That row does not reproduce in any independent integration of the equations either.
    published = Check(
        file=file, what="published top-oil and hot-spot", unit="K", tolerance=0.1, exceptions={"t = 500 min": 1.1}
    )
    integrated = Check(file=file, what="top-oil and hot-spot of an independent integrator", unit="K", tolerance=1e-3)
    params = _transformer("ONAF", 38.3, 1.4 * 14.5, 1000.0)
    state, now_min = ThermalState(38.3, 0.0, 0.0), 0.0
    for row in _rows(folder, file):
        end_min = float(row["t_min"])
        state = step(state, params, float(row["K_ending"]), 25.6, (end_min - now_min) * 60.0)
        now_min = end_min
        at = f"t = {end_min:.0f} min"
        published.add(at, state.theta_o_c - float(row["published_top_oil"]))
        published.add(at, state.hot_spot_c - float(row["published_hot_spot"]))
        integrated.add(at, state.theta_o_c - float(row["ivp_top_oil"]))
        integrated.add(at, state.hot_spot_c - float(row["ivp_hot_spot"]))
    yield from (published, integrated)


def difference_equation_example(folder: Path) -> Iterator[Check]:
    file = "iec_difference_equation_example_onaf.csv"
    start = Check(file=file, what="published initial θo, h1, h2", unit="K", tolerance=0.05)
    temperatures = Check(file=file, what="top-oil and hot-spot, exact columns", unit="K", tolerance=1e-3)
    rates = Check(file=file, what="ageing rates, exact columns", unit="relative", tolerance=1e-4)
    sums = Check(file=file, what="loss of life, exact columns", unit="relative", tolerance=1e-4)
    rows = _rows(folder, file)
    params = _transformer("ONAF", 45.0, 35.0, 8.0)
    state = steady_state(params, float(rows[0]["K"]), float(rows[0]["ambient"]))
    for value, printed in zip((state.theta_o_c, state.h1_k, state.h2_k), (63.9, 53.2, 26.6), strict=True):
        start.add("n = 0", value - printed)
    lost_min = {"nonupgraded": 0.0, "upgraded": 0.0}
    for n, row in enumerate(rows):
        at = f"n = {row['n']}"
        if n:
            state = step(state, params, float(row["K"]), float(row["ambient"]), 180.0)
        temperatures.add(at, state.theta_o_c - float(row["top_oil_exact_zoh"]))
        temperatures.add(at, state.hot_spot_c - float(row["hot_spot_exact_zoh"]))
        for paper in lost_min:
            rate = relative_ageing_rate(state.hot_spot_c, upgraded_paper=paper == "upgraded")
            lost_min[paper] += rate * 3.0 if n else 0.0
            rates.add(at, _relative(rate, row[f"V_{paper}_exact_zoh"]))
            sums.add(at, _relative(lost_min[paper], row[f"L_min_{paper}_exact_zoh"]))
    yield from (start, temperatures, rates, sums)


def step_cases(folder: Path) -> Iterator[Check]:
    file = "step_cases.csv"
    check = Check(file=file, what="top-oil and hot-spot, 12 cases", unit="K", tolerance=1e-3)
    for case, group in itertools.groupby(_rows(folder, file), key=lambda row: row["case"]):
        rows = list(group)
        first = rows[0]
        params = _transformer(first["mode"], float(first["dor_K"]), float(first["dhr_K"]), float(first["R"]))
        ambient_c = float(first["ambient_C"])
        start = steady_state(params, float(first["K0"]), ambient_c)
        for row in rows:
            state = step(start, params, float(row["K1"]), ambient_c, float(row["t_min"]) * 60.0)
            at = f"case {case}, {row['t_min']} min"
            check.add(at, state.theta_o_c - float(row["top_oil_C"]))
            check.add(at, state.hot_spot_c - float(row["hot_spot_C"]))
    yield check


def dynamic_distribution(folder: Path) -> Iterator[Check]:
    file = "dynamic_dist_400kVA.csv"
    temperatures = Check(file=file, what="top-oil and hot-spot, a day of flow both ways", unit="K", tolerance=1e-3)
    sums = Check(file=file, what="loss of life, both papers", unit="relative", tolerance=1e-4)
    rows = _rows(folder, file)
    params = _transformer("DIST_ONAN", 55.0, 23.0, 5.0)

    def k_pu(row: Row) -> float:
        return params.k_pu(float(row["P_kW"]) * 1e3, float(row["Q_kvar"]) * 1e3)

    state = steady_state(params, k_pu(rows[0]), float(rows[0]["ambient_C"]))
    lost_min = {"nonupgraded": 0.0, "upgraded": 0.0}
    for before, row in itertools.pairwise(rows):
        dt_min = float(row["t_min"]) - float(before["t_min"])
        state = step(state, params, k_pu(row), float(row["ambient_C"]), dt_min * 60.0)
        at = f"t = {row['t_min']} min"
        temperatures.add(at, state.theta_o_c - float(row["top_oil_C"]))
        temperatures.add(at, state.hot_spot_c - float(row["hot_spot_C"]))
        for paper in lost_min:
            lost_min[paper] += relative_ageing_rate(state.hot_spot_c, upgraded_paper=paper == "upgraded") * dt_min
            sums.add(at, _relative(lost_min[paper], row[f"L_min_{paper}"]))
    yield from (temperatures, sums)


def headroom_cases(folder: Path) -> Iterator[Check]:
    file = "headroom_cases.csv"
    ends = Check(file=file, what="P_lo and P_hi", unit="kW", tolerance=0.05)
    words = Check(file=file, what="feasible, and what binds (differences)", unit="", tolerance=0.0)
    sources = {"hot_spot": HOT_SPOT, "top_oil": TOP_OIL, "current": CURRENT}
    profiles = _rows(folder, "headroom_cases_profiles.csv")
    for case in _rows(folder, file):
        rows = [row for row in profiles if row["case"] == case["case"]]
        permitted = permitted_interval(
            ThermalState(float(case["top_oil0"]), float(case["h1_0"]), float(case["h2_0"])),
            _transformer(
                case["mode"],
                float(case["dor_K"]),
                float(case["dhr_K"]),
                float(case["R"]),
                float(case["S_rated_kVA"]),
            ),
            ThermalLimits(
                hot_spot_c=float(case["hot_spot_lim"]),
                top_oil_c=float(case["top_oil_lim"]),
                k_pu=float(case["K_lim"]),
            ),
            base_w=[float(row["base_P_kW"]) * 1e3 for row in rows],
            base_var=float(case["Q_kvar"]) * 1e3,
            ambient_c=[float(row["ambient_C"]) for row in rows],
        )
        at = f"case {case['case']}"
        words.add(at, permitted.feasible != (case["feasible"] == "1"))
        if case["feasible"] == "1":
            ends.add(at, permitted.lo_w / 1e3 - float(case["P_lo_kW"]))
            ends.add(at, permitted.hi_w / 1e3 - float(case["P_hi_kW"]))
            words.add(at, permitted.lo_source != sources[case["binding_lo"]])
            words.add(at, permitted.hi_source != sources[case["binding_hi"]])
    yield from (ends, words)


def ageing_rates(folder: Path) -> Iterator[Check]:
    file = "ageing_rates.csv"
    check = Check(file=file, what="V of both papers", unit="relative", tolerance=1e-6)
    for row in _rows(folder, file):
        for paper in ("nonupgraded", "upgraded"):
            rate = relative_ageing_rate(float(row["hot_spot_C"]), upgraded_paper=paper == "upgraded")
            check.add(f"{row['hot_spot_C']} °C", (rate - float(row[f"V_{paper}"])) / rate)
    yield check


def loading_limits(folder: Path) -> Iterator[Check]:
    file = "loading_limits.csv"
    check = Check(file=file, what="K, hot-spot, top-oil by regime and size", unit="", tolerance=0.0)
    for row in _rows(folder, file):
        limits = limits_of(Regime(row["regime"]), SizeClass(row["size_class"].partition("_")[0]))
        at = f"{row['regime']} {row['size_class']}"
        check.add(at, limits.k_pu - float(row["K_max_pu"]))
        check.add(at, limits.hot_spot_c - float(row["hot_spot_max_C"]))
        check.add(at, limits.top_oil_c - float(row["top_oil_max_C"]))
    yield check


FILES: Mapping[str, tuple[Callable[[Path], Iterator[Check]], int]] = {
    "constants_by_cooling": (constants_by_cooling, 8 * 7 + 8 * 3),
    "iec_annex_step_onaf_250MVA": (annex_step, 6 * 2 + 6 * 2),
    "iec_difference_equation_example_onaf": (difference_equation_example, 3 + 41 * 6),
    "step_cases": (step_cases, 264 * 2),
    "dynamic_dist_400kVA": (dynamic_distribution, 720 * 4),
    "headroom_cases": (headroom_cases, 15 + 9 * 4),
    "ageing_rates": (ageing_rates, 63 * 2),
    "loading_limits": (loading_limits, 9 * 3),
}
"""By file: its checks, and how many figures they compare (a file read in part would pass too easily)."""
