"""What an evening came to, in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from v2g.dispatch.auto import LATER
from v2g.dispatch.dispatcher import Phases
from v2g.thermal.ageing import relative_ageing_rate
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import ThermalState

if TYPE_CHECKING:
    from support.evening.world import Evening

SHORT_PCT: Final = 1.0
"""Of the battery: a target that less is missing to counts as reached; a state of charge is told in whole percents."""
SAMPLE_S: Final = 60
_FLOWS_W: Final = 100.0
"""Less power than this has no direction."""
_NEAR: Final = 0.02
"""Share of its minimum power by which a vehicle may be off it and still counts as at it."""


@dataclass(frozen=True, slots=True)
class Second:
    now_s: float
    load_w: float
    base_w: float
    k_pu: float
    base_k_pu: float
    state: ThermalState
    base_state: ThermalState


@dataclass(slots=True)
class Over:
    """Minutes over each limit."""

    hot_spot_min: float = 0.0
    top_oil_min: float = 0.0
    k_min: float = 0.0

    def add(self, step_s: float, hot_spot: bool, top_oil: bool, k: bool) -> None:
        self.hot_spot_min += hot_spot * step_s / 60.0
        self.top_oil_min += top_oil * step_s / 60.0
        self.k_min += k * step_s / 60.0

    @property
    def total_min(self) -> float:
        return self.hot_spot_min + self.top_oil_min + self.k_min


@dataclass(slots=True, kw_only=True)
class Shortage:
    evse_id: str
    wanted_pct: float
    reached_pct: float
    missing_wh: float


@dataclass(slots=True)
class Starved:
    """The longest time that a vehicle below its target was under its minimum power while another charged with more than
    its own minimum. Discharge counts as power."""

    longest_s: float = 0.0
    evse_id: str = ""
    until_s: float = 0.0
    because: str = ""


@dataclass(slots=True, kw_only=True)
class Figures:
    """Temperatures in °C of the true transformer. ``series`` by :data:`SAMPLE_S`."""

    hot_spot_c: float = 0.0
    top_oil_c: float = 0.0
    k_pu: float = 0.0
    base_hot_spot_c: float = 0.0
    base_top_oil_c: float = 0.0
    base_k_pu: float = 0.0
    loss_of_life_h: float = 0.0
    base_loss_of_life_h: float = 0.0
    over: Over = field(default_factory=Over)
    over_base: Over = field(default_factory=Over)
    over_beyond: Over = field(default_factory=Over)
    """While base load alone would not have been over the same limit at that second."""
    wanted_wh: float = 0.0
    """To the targets, at departure; within the batteries."""
    shortages: list[Shortage] = field(default_factory=list)
    lowest_soc_pct: float = 100.0
    """Of any vehicle, while it discharges."""
    below_floor_pct: float = 0.0
    """By how much the state of charge of a vehicle that discharges was below its min-SoC at worst."""
    reversals_mean_h: float = 0.0
    """Charge to discharge or back, per vehicle and hour plugged in."""
    reversals_worst_h: int = 0
    """Of one vehicle in one hour."""
    starts_worst_h: int = 0
    """How often a vehicle began to charge or discharge from nothing in one hour."""
    starved: Starved = field(default_factory=Starved)
    starved_unplanned: Starved = field(default_factory=Starved)
    """Without those that the plan has wait."""
    unbalance_w: float = 0.0
    """Of V2G power between two phases."""
    phase_k_pu: float = 0.0
    """Highest load of one phase over a third of the rating."""
    discharged_wh: float = 0.0
    charged_wh: float = 0.0
    step_median_ms: float = 0.0
    step_p99_ms: float = 0.0
    series: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in ("hour", "load_kw", "base_kw", "hot_spot_c", "stored_kwh")}
    )

    @property
    def missing_wh(self) -> float:
        return sum(each.missing_wh for each in self.shortages)

    @property
    def worst_missing_pct(self) -> float:
        return max((each.wanted_pct - each.reached_pct for each in self.shortages), default=0.0)


class Ledger:
    """Fed by the world: :meth:`second` with each of its steps, :meth:`control` with each answer of the strategy."""

    def __init__(self, evening: Evening, limits: ThermalLimits, begin_s: float, step_s: float) -> None:
        self._step_s = step_s
        specs = evening.vehicles
        self._specs, self._limits, self._begin_s, self._rated_va = specs, limits, begin_s, evening.rated_va
        self._capacity_wh = np.array([spec.capacity_wh for spec in specs])
        self._target_wh = self._capacity_wh * np.array([spec.target_soc_pct for spec in specs]) / 100.0
        self._floor_pct = np.array([spec.floor_pct for spec in specs])
        self._min_w = np.array([spec.min_power_w for spec in specs])
        hours = int((evening.ends_h - evening.begins_h) + 1)
        self._turned = np.zeros((hours, len(specs)), dtype=int)
        self._started = np.zeros((hours, len(specs)), dtype=int)
        self._direction = np.zeros(len(specs), dtype=int)
        self._flowed = np.zeros(len(specs), dtype=bool)
        self._starved_s, self._unplanned_s = np.zeros(len(specs)), np.zeros(len(specs))
        self._plugged_s = 0.0
        self._stored_wh = 0.0
        self._found = Figures()
        self._departed: dict[int, float] = {}
        self._was_plugged = np.zeros(len(specs), dtype=bool)
        self.took_s: list[float] = []

    def second(self, at: Second) -> None:
        found, limits = self._found, self._limits
        hot_c, base_hot_c = at.state.hot_spot_c, at.base_state.hot_spot_c
        over = hot_c > limits.hot_spot_c, at.state.theta_o_c > limits.top_oil_c, at.k_pu > limits.k_pu
        base = base_hot_c > limits.hot_spot_c, at.base_state.theta_o_c > limits.top_oil_c, at.base_k_pu > limits.k_pu
        if any(over):
            found.over.add(self._step_s, *over)
            found.over_beyond.add(self._step_s, *(one and not other for one, other in zip(over, base, strict=True)))
        if any(base):
            found.over_base.add(self._step_s, *base)
        found.hot_spot_c = max(found.hot_spot_c, hot_c)
        found.top_oil_c = max(found.top_oil_c, at.state.theta_o_c)
        found.k_pu = max(found.k_pu, at.k_pu)
        found.base_hot_spot_c = max(found.base_hot_spot_c, base_hot_c)
        found.base_top_oil_c = max(found.base_top_oil_c, at.base_state.theta_o_c)
        found.base_k_pu = max(found.base_k_pu, at.base_k_pu)
        found.loss_of_life_h += relative_ageing_rate(hot_c, upgraded_paper=False) * self._step_s / 3600.0
        found.base_loss_of_life_h += relative_ageing_rate(base_hot_c, upgraded_paper=False) * self._step_s / 3600.0
        if (at.now_s - self._begin_s) % SAMPLE_S == 0.0:
            values = at.now_s / 3600.0, at.load_w / 1e3, at.base_w / 1e3, hot_c, self._stored_wh / 1e3
            for name, value in zip(found.series, values, strict=True):
                found.series[name].append(value)

    def control(
        self,
        now_s: float,
        dt_s: float,
        plugged: Any,
        power_w: Any,
        energy_wh: Any,
        phase_w: Sequence[float],
        base: Phases,
        rests: Mapping[str, str],
    ) -> None:
        """``power_w`` as it flows, before the strategy's answer takes effect."""
        found = self._found
        hour = int((now_s - self._begin_s) // 3600.0)
        self._stored_wh = float(energy_wh.sum())
        for index in np.flatnonzero(self._was_plugged & ~plugged).tolist():
            self._departed[index] = float(energy_wh[index])
        self._was_plugged = plugged
        self._plugged_s += dt_s * float(plugged.sum())
        flows = np.abs(power_w) > _FLOWS_W
        direction = np.where(flows, np.sign(power_w), self._direction).astype(int)
        self._turned[hour] += (direction * self._direction == -1) & plugged
        self._started[hour] += flows & ~self._flowed
        self._direction, self._flowed = np.where(plugged, direction, 0), flows
        gives = power_w < -_FLOWS_W
        if gives.any():
            soc_pct = 100.0 * energy_wh / self._capacity_wh
            found.lowest_soc_pct = min(found.lowest_soc_pct, float(soc_pct[gives].min()))
            found.below_floor_pct = max(found.below_floor_pct, float((self._floor_pct - soc_pct)[gives].max()))
            found.discharged_wh -= float(power_w[gives].sum()) * dt_s / 3600.0
        found.charged_wh += float(power_w[power_w > 0.0].sum()) * dt_s / 3600.0
        self._starve(now_s, dt_s, plugged, power_w, energy_wh, rests)
        found.unbalance_w = max(found.unbalance_w, float(max(phase_w) - min(phase_w)))
        loads = (abs(one + float(other)) for one, other in zip(base, phase_w, strict=True))
        found.phase_k_pu = max(found.phase_k_pu, max(loads) / (self._rated_va / 3.0))

    def _starve(
        self, now_s: float, dt_s: float, plugged: Any, power_w: Any, energy_wh: Any, rests: Mapping[str, str]
    ) -> None:
        wants = plugged & (energy_wh < self._target_wh - SHORT_PCT / 100.0 * self._capacity_wh)
        under = wants & (np.abs(power_w) < (1.0 - _NEAR) * self._min_w)
        another = bool((power_w > (1.0 + _NEAR) * self._min_w).any())
        self._starved_s = np.where(under & another, self._starved_s + dt_s, 0.0)
        self._keep_worst(self._found.starved, self._starved_s, now_s, rests)
        planned = [n for n in np.flatnonzero(under).tolist() if rests.get(self._specs[n].evse_id) == LATER]
        under[planned] = False
        self._unplanned_s = np.where(under & another, self._unplanned_s + dt_s, 0.0)
        self._keep_worst(self._found.starved_unplanned, self._unplanned_s, now_s, rests)

    def _keep_worst(self, worst: Starved, starved_s: Any, now_s: float, rests: Mapping[str, str]) -> None:
        index = int(starved_s.argmax())
        if starved_s[index] > worst.longest_s:
            evse_id = self._specs[index].evse_id
            worst.longest_s, worst.evse_id, worst.until_s = float(starved_s[index]), evse_id, now_s
            worst.because = rests.get(evse_id) or worst.because

    def close(self, energy_wh: Any) -> Figures:
        found = self._found
        for index, spec in enumerate(self._specs):
            target_wh = float(self._target_wh[index])
            found.wanted_wh += max(0.0, target_wh - spec.capacity_wh * spec.arrival_soc_pct / 100.0)
            reached_wh = self._departed.get(index, float(energy_wh[index]))
            missing_wh = target_wh - reached_wh
            if missing_wh > SHORT_PCT / 100.0 * spec.capacity_wh:
                found.shortages.append(
                    Shortage(
                        evse_id=spec.evse_id,
                        wanted_pct=spec.target_soc_pct,
                        reached_pct=100.0 * reached_wh / spec.capacity_wh,
                        missing_wh=missing_wh,
                    )
                )
        plugged_h = self._plugged_s / 3600.0
        found.reversals_mean_h = float(self._turned.sum()) / plugged_h if plugged_h else 0.0
        found.reversals_worst_h = int(self._turned.max(initial=0))
        found.starts_worst_h = int(self._started.max(initial=0))
        took_ms = np.array(self.took_s) * 1e3
        found.step_median_ms, found.step_p99_ms = float(np.median(took_ms)), float(np.percentile(took_ms, 99))
        return found
