"""The site itself, second by second: what vehicles do with what they are told, and what the transformer makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot, sqrt
from time import perf_counter
from typing import Any, Final, Protocol

import numpy as np

from support.closed_loop import NOON
from support.evening.courses import TICK_S, VAR_SHARE, Conditions, course, days_before
from support.evening.figures import Figures, Ledger, Second
from support.evening.vehicles import HOUR_S, TAPER_ABOVE_PCT, TAPER_LEAST, Spec
from v2g.dispatch.dispatcher import Phases
from v2g.thermal.limits import Regime, SizeClass, ThermalLimits, limits_of
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import ThermalParameters, from_nameplate

MIDNIGHT: Final = NOON - 12 * HOUR_S
LIMITS: Final[ThermalLimits] = limits_of(Regime.NORMAL_CYCLIC, SizeClass.DISTRIBUTION)
_EMPTY_PCT: Final = 5.0
"""Here a vehicle's own battery management ends a discharge, whatever it is told."""
_RESOLUTION_K: Final = 0.1
_BUFFER: Final = 8


def nameplate(rated_va: float) -> ThermalParameters:
    """What the controller believes."""
    return from_nameplate(
        cooling="DIST_ONAN",
        rated_kva=rated_va / 1e3,
        top_oil_rise_k=55.0,
        hot_spot_gradient_k=23.0,
        loss_ratio_r=5.0,
    )


def true_parameters(rated_va: float) -> ThermalParameters:
    """What the transformer is: warmer oil, a steeper gradient and less inertia than its nameplate says."""
    believed = nameplate(rated_va)
    return replace(
        believed,
        dtheta_or_k=believed.dtheta_or_k * 1.04,
        dtheta_hr_k=believed.dtheta_hr_k * 1.04,
        r=believed.r * 1.05,
        tau_o_s=believed.tau_o_s * 0.94,
        tau_w_s=believed.tau_w_s * 1.05,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evening:
    """Hours after midnight of the first day. Between ``lost_h`` the load is not measured; between ``unplanned_h``
    there is nobody to make a plan."""

    name: str
    conditions: Conditions
    vehicles: tuple[Spec, ...]
    begins_h: float = 16.0
    ends_h: float = 33.0
    lost_h: tuple[float, float] = (0.0, 0.0)
    unplanned_h: tuple[float, float] = (0.0, 0.0)
    warm_days: int = 2

    @property
    def rated_va(self) -> float:
        return self.conditions.rated_va


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the controller measures: means since the last one, K as root mean square. None: not known."""

    now_s: float
    unix_s: float
    k_pu: float | None
    load_w: float | None
    base_phase_w: Phases | None
    ambient_c: float
    top_oil_c: float

    @property
    def base_w(self) -> float | None:
        return None if self.base_phase_w is None else sum(self.base_phase_w)

    @property
    def base_var(self) -> float | None:
        return None if self.base_phase_w is None else VAR_SHARE * sum(map(abs, self.base_phase_w))


@dataclass(slots=True)
class Plugged:
    """A vehicle that is there. Powers at the AC side; ``energy_wh`` is what its battery management believes."""

    spec: Spec
    index: int
    energy_wh: float = 0.0
    measured_w: float = 0.0
    max_charge_w: float = 0.0
    max_discharge_w: float = 0.0
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    """Both by the EVSE's meter, since it plugged in."""

    @property
    def soc_pct(self) -> float:
        """As ISO 15118-20 carries it: whole percents."""
        return float(round(100.0 * self.energy_wh / self.spec.capacity_wh))


class Strategy(Protocol):
    """Who gives the powers. Before the evening it is shown the days before, by the minute and without vehicles."""

    @property
    def rests(self) -> Mapping[str, str]:
        """Why vehicles get nothing, by EVSE and in its words, after the last answer."""
        ...

    def powers_w(self, reading: Reading, vehicles: Sequence[Plugged]) -> Sequence[float]:
        """One for each of ``vehicles``."""
        ...


class World:
    """One evening, once: :meth:`run` to its end."""

    def __init__(self, evening: Evening, *, control_s: int = 2, step_s: int = 1) -> None:
        """``control_s``: how often the strategy is asked; ``step_s``: how far the physics move at once, which rounds
        the delays of the vehicles. ``control_s`` is a multiple of it."""
        self._evening, self._step_s, self._control_every = evening, step_s, max(1, control_s // step_s)
        specs = evening.vehicles
        self._params = true_parameters(evening.rated_va)
        self._begin_s = round(evening.begins_h * HOUR_S)
        made = course(evening.conditions, round(evening.ends_h * HOUR_S))
        self._base: list[Phases] = [tuple(column) for column in made.phase_w[:, self._begin_s :: step_s].T.tolist()]
        self._ambient: list[float] = made.ambient_c[self._begin_s :: step_s].tolist()
        self._capacity_wh = np.array([spec.capacity_wh for spec in specs])
        self._rated_w = np.array([spec.rated_w for spec in specs])
        self._min_w = np.array([spec.min_power_w for spec in specs])
        self._efficiency = np.array([spec.efficiency for spec in specs])
        self._delay = np.array([round(spec.delay_s / step_s) for spec in specs])
        self._ramp_w = np.array([spec.ramp_w_s * step_s for spec in specs])
        self._phases = np.array([spec.phases for spec in specs]).reshape(len(specs), 3)
        self._both_ways = np.array([spec.bidirectional for spec in specs])
        self._arrives = np.array([spec.arrives_s for spec in specs])
        self._departs = np.array([spec.departs_s for spec in specs])
        self._all = np.arange(len(specs))
        self.energy_wh = self._capacity_wh * np.array([spec.arrival_soc_pct for spec in specs]) / 100.0
        self.power_w = np.zeros(len(specs))
        self._charged_wh, self._discharged_wh = np.zeros(len(specs)), np.zeros(len(specs))
        self._told_w = np.zeros((_BUFFER, len(specs)))
        self._views = [Plugged(spec, n) for n, spec in enumerate(specs)]
        self.state = self.base_state = ThermalState(0.0, 0.0, 0.0)

    def run(self, strategy: Strategy) -> Figures:
        self._live_the_days_before(strategy)
        ledger = Ledger(self._evening, LIMITS, self._begin_s, self._step_s)
        phase_w: Any = np.zeros(3)
        reading_k2, reading_w, base_sum, count = 0.0, 0.0, [0.0, 0.0, 0.0], 0
        plugged = np.zeros(len(self._views), dtype=bool)
        max_charge_w = max_discharge_w = self.power_w
        for n, (base, ambient_c) in enumerate(zip(self._base, self._ambient, strict=True)):
            now_s = self._begin_s + n * self._step_s
            base_w = base[0] + base[1] + base[2]
            if n % self._control_every == 0:
                plugged = (self._arrives <= now_s) & (now_s < self._departs)
                max_charge_w, max_discharge_w = self._limits(plugged)
                reading = self._reading(
                    now_s,
                    ambient_c,
                    sqrt(reading_k2 / count) if count else 0.0,
                    reading_w / count if count else base_w,
                    (base_sum[0] / count, base_sum[1] / count, base_sum[2] / count) if count else base,
                )
                views = self._see(plugged, max_charge_w, max_discharge_w)
                began = perf_counter()
                powers_w = strategy.powers_w(reading, views)
                ledger.took_s.append(perf_counter() - began)
                self._told_w[n % _BUFFER] = 0.0
                if views:
                    self._told_w[n % _BUFFER, [view.index for view in views]] = powers_w
                ledger.control(
                    now_s,
                    self._control_every * self._step_s,
                    plugged,
                    self.power_w,
                    self.energy_wh,
                    phase_w,
                    base,
                    strategy.rests,
                )
                reading_k2, reading_w, base_sum, count = 0.0, 0.0, [0.0, 0.0, 0.0], 0
            else:
                self._told_w[n % _BUFFER] = self._told_w[(n - 1) % _BUFFER]
            self._move(n, plugged, max_charge_w, max_discharge_w)
            phase_w = self.power_w @ self._phases
            load_w, var = base_w + float(phase_w.sum()), VAR_SHARE * abs(base_w)
            k_pu = hypot(load_w, var) / self._params.rated_va
            base_k_pu = hypot(base_w, var) / self._params.rated_va
            self.state = step(self.state, self._params, k_pu, ambient_c, self._step_s)
            self.base_state = step(self.base_state, self._params, base_k_pu, ambient_c, self._step_s)
            ledger.second(Second(now_s, load_w, base_w, k_pu, base_k_pu, self.state, self.base_state))
            reading_k2 += k_pu * k_pu
            reading_w += load_w
            base_sum = [total + value for total, value in zip(base_sum, base, strict=True)]
            count += 1
        return ledger.close(self.energy_wh)

    def _live_the_days_before(self, strategy: Strategy) -> None:
        ticks = days_before(self._evening.conditions, self._evening.warm_days, self._begin_s)
        rated_va = self._params.rated_va
        first_k = hypot(sum(ticks[0].phase_w), VAR_SHARE * sum(ticks[0].phase_w)) / rated_va
        self.state = steady_state(self._params, first_k, ticks[0].ambient_c)
        for tick in ticks:
            load_w = sum(tick.phase_w)
            k_pu = hypot(load_w, VAR_SHARE * load_w) / rated_va
            self.state = step(self.state, self._params, k_pu, tick.ambient_c, TICK_S)
            strategy.powers_w(self._reading(tick.at_s, tick.ambient_c, k_pu, load_w, tick.phase_w), ())
        self.base_state = self.state

    def _reading(self, now_s: float, ambient_c: float, k_pu: float, load_w: float, base: Phases) -> Reading:
        from_h, to_h = self._evening.lost_h
        lost = from_h <= now_s / HOUR_S < to_h
        return Reading(
            now_s=now_s,
            unix_s=MIDNIGHT + now_s,
            k_pu=None if lost else k_pu,
            load_w=None if lost else load_w,
            base_phase_w=None if lost else base,
            ambient_c=_sensed(ambient_c),
            top_oil_c=_sensed(self.state.theta_o_c),
        )

    def _limits(self, plugged: Any) -> tuple[Any, Any]:
        """What the vehicles can take and give now, magnitudes."""
        soc_pct = 100.0 * self.energy_wh / self._capacity_wh
        share = 1.0 - (1.0 - TAPER_LEAST) * (soc_pct - TAPER_ABOVE_PCT) / (100.0 - TAPER_ABOVE_PCT)
        takes = np.where(soc_pct < 100.0, np.clip(share, 0.0, 1.0), 0.0)
        gives = self._both_ways & (soc_pct > _EMPTY_PCT)
        return self._rated_w * takes * plugged, self._rated_w * gives * plugged

    def _see(self, plugged: Any, max_charge_w: Any, max_discharge_w: Any) -> list[Plugged]:
        there = np.flatnonzero(plugged).tolist()
        lists = self.energy_wh.tolist(), self.power_w.tolist(), max_charge_w.tolist(), max_discharge_w.tolist()
        charged_wh, discharged_wh = self._charged_wh.tolist(), self._discharged_wh.tolist()
        for index in there:
            view = self._views[index]
            view.energy_wh, view.measured_w, view.max_charge_w, view.max_discharge_w = (each[index] for each in lists)
            view.charged_wh, view.discharged_wh = charged_wh[index], discharged_wh[index]
        return [self._views[index] for index in there]

    def _move(self, n: int, plugged: Any, max_charge_w: Any, max_discharge_w: Any) -> None:
        """One step: each follows what it was told a while ago, within its limits, at its ramp."""
        told_w = self._told_w[(n - self._delay) % _BUFFER, self._all]
        wanted_w = np.clip(told_w, -max_discharge_w, max_charge_w)
        wanted_w[np.abs(wanted_w) < 0.999 * self._min_w] = 0.0
        self.power_w = self.power_w + np.clip(wanted_w - self.power_w, -self._ramp_w, self._ramp_w)
        self.power_w[~plugged] = 0.0
        self._charged_wh += np.maximum(self.power_w, 0.0) * self._step_s / 3600.0
        self._discharged_wh -= np.minimum(self.power_w, 0.0) * self._step_s / 3600.0
        inner_w = np.where(self.power_w > 0.0, self.power_w * self._efficiency, self.power_w / self._efficiency)
        self.energy_wh = np.clip(self.energy_wh + inner_w * self._step_s / 3600.0, 0.0, self._capacity_wh)


def _sensed(value_c: float) -> float:
    return round(round(value_c / _RESOLUTION_K) * _RESOLUTION_K, 3)
