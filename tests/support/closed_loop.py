"""The engine in closed loop: a plant off its nameplate, random loads and weather, a dispatcher that takes all."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import hypot, inf, pi, sin
from typing import Literal

from v2g.simulation.thermal_plant import HeatBalance, TransformerPlant
from v2g.thermal.calendar import DayType, LocalMinute, LocalTime
from v2g.thermal.engine import EngineMemory, EngineSettings, Measured, ThermalEngine
from v2g.thermal.sensed import Sensed
from v2g.thermal.view import ThermalView

NOON = 28_401_840 * 60.0
"""A Monday, 12:00 UTC."""

Dispatch = Literal["charge", "discharge", "both"]
Course = Callable[[float], float]


def local(unix_s: float) -> LocalTime:
    """UTC, every day a workday."""
    second = unix_s % 86_400.0
    minute = LocalMinute(int(unix_s // 60.0), DayType.WORKDAY, int(second // 60.0))
    return LocalTime(minute, int(unix_s // 86_400.0), 86_400.0 - second)


def off_nameplate(rng: random.Random, share: float) -> HeatBalance:
    """Constants of the plant, each up to ``share`` off what the nameplate says of a 250 kVA unit."""

    def off(value: float) -> float:
        return value * rng.uniform(1.0 - share, 1.0 + share)

    c = HeatBalance()
    return replace(
        c,
        oil_rise_k=off(55.0),
        winding_gradient_k=off(23.0 / c.hot_spot_factor),
        copper_loss_w=off(c.copper_loss_w),
        oil_time_constant_s=off(c.oil_time_constant_s),
        winding_time_constant_s=off(c.winding_time_constant_s),
    )


def base_course(rng: random.Random, hours: float) -> Course:
    """Per unit of rating: a day's swing, with ramps, steps, PV that flows back, clusters of vehicles, and noise."""
    mean, swing, phase = rng.uniform(0.1, 0.7), rng.uniform(0.0, 0.3), rng.uniform(0.0, 24.0)
    pv = rng.choice((0.0, 0.0, rng.uniform(0.5, 1.6)))
    events: list[tuple[float, float, float, float]] = []
    for _ in range(round(hours / 2.0)):
        begin = rng.uniform(0.0, hours)
        rises = rng.choice((0.005, 0.1, 1.0))
        events.append((begin, begin + rng.uniform(0.2, 4.0), rises, rng.uniform(-0.2, 0.45)))
    noise = rng.choice((0.002, 0.01, 0.03))

    def course(hour: float) -> float:
        load = mean + swing * sin((hour - phase) * pi / 12.0)
        load -= pv * float(max(0.0, sin((hour - 4.0) * pi / 12.0)) ** 1.5)
        for begin, end, rises, size in events:
            load += size * min(1.0, max(0.0, (hour - begin) / rises)) * (1.0 - min(1.0, max(0.0, (hour - end) / rises)))
        return max(-1.2, min(1.25, load)) + rng.gauss(0.0, noise)

    return course


def ambient_course(rng: random.Random) -> Course:
    mean, swing, front = rng.uniform(-5.0, 35.0), rng.uniform(0.0, 9.0), rng.uniform(0.0, 24.0)
    falls = rng.choice((0.0, rng.uniform(-8.0, 5.0)))

    def course(hour: float) -> float:
        return mean + swing * sin((hour - 3.0) * pi / 12.0) + falls * min(1.0, max(0.0, hour - front))

    return course


@dataclass
class Told:
    """What befell in a run; temperatures in K over the limit, powers per unit."""

    over_hot_k: float = -inf
    """Hot-spot over its limit at worst, while V2G adds to the flow."""
    over_oil_k: float = -inf
    over_s: float = 0.0
    near_s: float = 0.0
    """How long the hot-spot or top-oil was within 5 K of its limit."""
    hottest_k: float = -inf
    """Hot-spot less its limit at worst, whoever was to blame."""
    reversals: dict[str, list[float]] = field(default_factory=lambda: {"lo": [], "hi": []})
    """When each end of the permitted interval changed its direction, but for relief, which follows the base load."""
    views: list[ThermalView] = field(default_factory=list)

    def most_reversals_an_hour(self) -> int:
        return max(
            (
                sum(1 for other in times if at <= other < at + 3_600.0)
                for times in self.reversals.values()
                for at in times
            ),
            default=0,
        )


class _Turns:
    def __init__(self, times: list[float]) -> None:
        self._times = times
        self._rises: bool | None = None
        self._before: float | None = None

    def see(self, value: float | None, at_s: float) -> None:
        """None: relief, which follows the base load; what comes after it begins anew."""
        if value is None or self._before is None:
            self._rises = None
        elif value != self._before:
            rises = value > self._before
            if self._rises is not None and rises is not self._rises:
                self._times.append(at_s)
            self._rises = rises
        self._before = value


class ClosedLoop:
    """One plant and one engine."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        constants: HeatBalance,
        base: Course,
        ambient: Course,
        dispatch: Dispatch = "charge",
        power_share: float = 1.0,
        power_factor: float = 0.97,
        resolution_k: float = 0.1,
        step_s: float = 10.0,
        memory: EngineMemory | None = None,
        begin_hour: float = 12.0,
    ) -> None:
        self.settings, self.base, self.ambient = settings, base, ambient
        self.dispatch, self.step_s, self.resolution_k = dispatch, step_s, resolution_k
        self._power_share = power_share
        self._var_share = (1.0 - power_factor * power_factor) ** 0.5 / power_factor
        self.now_s, self.unix_s = 1_000.0, NOON + (begin_hour - 12.0) * 3_600.0
        self._begin_hour = begin_hour
        load = base(begin_hour)
        k = abs(load) * hypot(1.0, self._var_share)
        self.plant = TransformerPlant(ambient_c=ambient(begin_hour), load_pu=k, constants=constants)
        self.engine = ThermalEngine(settings, memory, now_s=self.now_s, now_unix_s=self.unix_s)
        self.view = ThermalView()
        self.told = Told()
        self._turns = {name: _Turns(self.told.reversals[name]) for name in ("lo", "hi")}
        self.garble: Callable[[Sensed], Sensed] = lambda sensed: sensed
        self.v2g_w = 0.0
        self.ran_s = 0.0

    def _wanted_w(self) -> float:
        if self.dispatch == "charge":
            return self.view.hi_w
        if self.dispatch == "discharge":
            return self.view.lo_w
        return self.view.hi_w if int(self.ran_s // 1_500.0) % 2 else self.view.lo_w

    def run(self, hours: float, *, keep: bool = False) -> Told:
        rated_va, told = self.settings.rated_va, self.told
        for _ in range(round(hours * 3_600.0 / self.step_s)):
            hour = self._begin_hour + self.ran_s / 3_600.0
            base_w = self.base(hour) * rated_va
            base_var = self._var_share * base_w
            ambient_c = self.ambient(hour)
            self.v2g_w = self._power_share * self._wanted_w()
            load_w = base_w + self.v2g_w
            k, k_base = hypot(load_w, base_var) / rated_va, hypot(base_w, base_var) / rated_va
            self.plant.ambient_c = ambient_c
            self.plant.step(k, self.step_s)
            for name in ("now_s", "unix_s", "ran_s"):
                setattr(self, name, getattr(self, name) + self.step_s)
            self._see(k, k_base)
            step_k = self.resolution_k
            sensed = self.garble(
                Sensed(
                    k_pu=k,
                    ambient_c=round(round(ambient_c / step_k) * step_k, 3),
                    top_oil_c=round(round(self.plant.top_oil_c / step_k) * step_k, 3),
                )
            )
            known = sensed.k_pu is not None
            measured = Measured(
                sensed=sensed,
                load_w=load_w if known else None,
                base_w=base_w if known else None,
                base_var=base_var if known else None,
                load_problem="" if known else "transformer load is not measured: no V2G power",
            )
            self.view = self.engine.step(measured, self.now_s, local(self.unix_s))
            relieves = self.view.base_source is not None
            self._turns["lo"].see(None if relieves else -self.view.lo_w, self.now_s)
            self._turns["hi"].see(None if relieves else self.view.hi_w, self.now_s)
            if keep:
                told.views.append(self.view)
        return told

    def _see(self, k: float, k_base: float) -> None:
        told, limits = self.told, self.view.limits
        if limits is None:
            return
        hot_k = self.plant.hot_spot_c - limits.hot_spot_c
        oil_k = self.plant.top_oil_c - limits.top_oil_c
        told.hottest_k = max(told.hottest_k, hot_k, oil_k)
        if k > k_base + 0.005:
            told.over_hot_k = max(told.over_hot_k, hot_k)
            told.over_oil_k = max(told.over_oil_k, oil_k)
            if hot_k > 0.0 or oil_k > 0.0:
                told.over_s += self.step_s
        if hot_k > -5.0 or oil_k > -5.0:
            told.near_s += self.step_s
