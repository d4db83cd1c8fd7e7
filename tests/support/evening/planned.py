"""The plan of an evening: what it is asked for, how long it is good, and what the dispatcher aims at by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, inf
from time import perf_counter
from typing import Final

from support.evening.courses import DAY_S, VAR_SHARE
from support.evening.vehicles import HOUR_S
from support.evening.world import MIDNIGHT, Evening, Plugged, Reading
from v2g.dispatch.auto import CHARGE_EFFICIENCY
from v2g.dispatch.dispatcher import Vehicle
from v2g.dispatch.vehicle import DISCHARGE_EFFICIENCY
from v2g.planning.planner import solve
from v2g.planning.types import STEP_S, Plan, PlanRequest, PlanSite, PlanVehicle
from v2g.thermal.engine import EngineSettings
from v2g.thermal.limits import Regime
from v2g.thermal.model import ThermalState
from v2g.thermal.view import ThermalView

Planner = Callable[[PlanRequest], Plan]


def in_process(request: PlanRequest) -> Plan:
    """The real one, without a process of its own."""
    began_s = perf_counter()
    return solve(request, lambda: perf_counter() - began_s)


STALE_AFTER_S: Final = 1_800.0
"""A plan that is older is none, as when its process is gone."""
HORIZON_STEPS: Final = 96
_SLOTS: Final = int(DAY_S / STEP_S)
_FORGETS_S: Final = 3_600.0
"""Time constant by which a forecast returns from what is measured to what is usual."""
_MARGIN_PU: Final = 0.03


class _Usual:
    """What a quarter of an hour of the day has been on the days before, and the last value."""

    def __init__(self) -> None:
        self._sums, self._counts = [0.0] * _SLOTS, [0] * _SLOTS
        self._now = 0.0
        self._steady: float | None = None

    def learn(self, now_s: float, value: float, days_before: bool, elapsed_s: float) -> None:
        share = min(1.0, elapsed_s / 300.0)
        self._steady = value if self._steady is None else self._steady + share * (value - self._steady)
        if days_before:
            slot = int(now_s % DAY_S // STEP_S)
            self._sums[slot] += value
            self._counts[slot] += 1

    def ahead(self, now_s: float, steps: int) -> tuple[float, ...]:
        steady = self._steady or 0.0
        off = steady - self._usual(now_s, steady)
        return tuple(
            self._usual(at_s, steady) + off * exp(-(at_s - now_s) / _FORGETS_S)
            for at_s in (now_s + (n + 0.5) * STEP_S for n in range(steps))
        )

    def _usual(self, at_s: float, otherwise: float) -> float:
        slot = int(at_s % DAY_S // STEP_S)
        return self._sums[slot] / self._counts[slot] if self._counts[slot] else otherwise


class Planned:
    """``planner`` None: no plan, all evening."""

    def __init__(self, evening: Evening, planner: Planner | None, settings: EngineSettings, every_s: float) -> None:
        self._evening, self._planner, self._settings, self._every_s = evening, planner, settings, every_s
        self._base, self._ambient = _Usual(), _Usual()
        self._asked_at_s = -inf
        self._made_at_s = -inf
        self._plan: Plan | None = None
        self._learned_at_s: float | None = None
        self.took_s: list[float] = []
        self.problems: list[str] = []
        self.without_s = 0.0
        """How long vehicles were there and no plan was."""

    def learn(self, reading: Reading) -> None:
        elapsed_s = 0.0 if self._learned_at_s is None else reading.now_s - self._learned_at_s
        self._learned_at_s = reading.now_s
        before = reading.now_s < self._evening.begins_h * HOUR_S
        self._ambient.learn(reading.now_s, reading.ambient_c, before, elapsed_s)
        if reading.base_w is not None:
            self._base.learn(reading.now_s, reading.base_w, before, elapsed_s)

    def plan(
        self, reading: Reading, view: ThermalView, plugged: Sequence[Plugged], vehicles: Sequence[Vehicle]
    ) -> Plan | None:
        """The one in force at this moment, made anew where it is time."""
        now_s = reading.now_s
        from_h, to_h = self._evening.unplanned_h
        there = self._planner is not None and not from_h <= now_s / HOUR_S < to_h
        if there and now_s - self._asked_at_s >= self._every_s and view.top_oil_c is not None:
            self._asked_at_s = now_s
            request = self._request(reading, view, plugged, vehicles)
            assert self._planner is not None
            began_s = perf_counter()
            plan = self._planner(request)
            self.took_s.append(perf_counter() - began_s)
            if plan.problem:
                self.problems.append(plan.problem)
            else:
                self._plan, self._made_at_s = plan, now_s
        return self._plan if now_s - self._made_at_s < STALE_AFTER_S else None

    def _request(
        self, reading: Reading, view: ThermalView, plugged: Sequence[Plugged], vehicles: Sequence[Vehicle]
    ) -> PlanRequest:
        now_s, rated_va = reading.now_s, self._evening.rated_va
        base_w = self._base.ahead(now_s, HORIZON_STEPS)
        limits = self._settings.limits[Regime.NORMAL_CYCLIC]
        charge_w = sum(vehicle.rated_charge_w for vehicle in vehicles)
        discharge_w = sum(vehicle.rated_discharge_w for vehicle in vehicles)
        gradient_k = view.hot_spot_c - view.top_oil_c if view.hot_spot_c is not None and view.top_oil_c else 0.0
        params = self._settings.estimator.params
        site = PlanSite(
            base_w=base_w,
            base_margin_w=(_MARGIN_PU * rated_va,) * HORIZON_STEPS,
            base_var=tuple(VAR_SHARE * abs(value) for value in base_w),
            ambient_c=self._ambient.ahead(now_s, HORIZON_STEPS),
            params=params,
            state=ThermalState(view.top_oil_c or 0.0, params.k21 * gradient_k, (params.k21 - 1.0) * gradient_k),
            bias_k=view.bias_k,
            margin_k=view.hot_spot_margin_k,
            hot_spot_limit_c=limits.hot_spot_c,
            top_oil_limit_c=limits.top_oil_c,
            k_limit_pu=limits.k_pu,
            lo_w=(-discharge_w,) * HORIZON_STEPS,
            hi_w=(charge_w,) * HORIZON_STEPS,
        )
        return PlanRequest(
            starts_unix_s=MIDNIGHT + now_s,
            steps=HORIZON_STEPS,
            site=site,
            vehicles=tuple(
                _plan_vehicle(view_of, vehicle, now_s) for view_of, vehicle in zip(plugged, vehicles, strict=True)
            ),
        )


def _plan_vehicle(plugged: Plugged, vehicle: Vehicle, now_s: float) -> PlanVehicle:
    energy = vehicle.energy
    assert energy is not None
    soc_known = energy.soc_pct is not None
    energy_wh = energy.capacity_wh * energy.soc_pct / 100.0 if energy.soc_pct is not None else 0.0
    return PlanVehicle(
        evse_id=vehicle.evse_id,
        max_charge_w=min(vehicle.rated_charge_w, plugged.max_charge_w),
        max_discharge_w=min(vehicle.rated_discharge_w, plugged.max_discharge_w),
        energy_wh=energy_wh,
        floor_wh=energy.capacity_wh * energy.floor_pct / 100.0 if soc_known else -energy.surplus_wh,
        ceiling_wh=energy_wh + energy.room_wh,
        target_wh=energy_wh + energy.needed_wh,
        capacity_wh=energy.capacity_wh if soc_known and not energy.capacity_assumed else None,
        departs_in_s=energy.departs_at_s - now_s,
        departure_assumed=energy.departure_assumed,
        efficiency_charge=CHARGE_EFFICIENCY,
        efficiency_discharge=DISCHARGE_EFFICIENCY,
        phases=vehicle.phases,
    )
