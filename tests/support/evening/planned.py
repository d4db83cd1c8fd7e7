"""The plan of an evening: made in this process when it is due, and for how long it is good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from time import perf_counter
from typing import Final

from support.closed_loop import local
from support.evening.vehicles import HOUR_S
from support.evening.world import Evening, Plugged, Reading
from v2g.config.schema_dispatch import Planning
from v2g.dispatch.auto import CHARGE_EFFICIENCY
from v2g.dispatch.dispatcher import Vehicle
from v2g.dispatch.vehicle import DISCHARGE_EFFICIENCY
from v2g.orchestrator import plan_request
from v2g.orchestrator.plan_runner import GOOD_FOR
from v2g.planning.planner import solve
from v2g.planning.types import Plan, PlanRequest
from v2g.thermal.calendar import LocalMinute
from v2g.thermal.engine import ThermalEngine

Planner = Callable[[PlanRequest], Plan]
PLAN_EVERY_S: Final = 900.0


def in_process(request: PlanRequest) -> Plan:
    """The real one, without a process of its own."""
    began_s = perf_counter()
    return solve(request, lambda: perf_counter() - began_s)


class Planned:
    """``planner`` None: no plan, all evening."""

    def __init__(self, evening: Evening, planner: Planner | None, every_s: float) -> None:
        self._evening, self._planner = evening, planner
        self._settings = Planning(every_s=every_s)
        self._asked_at_s = self._made_at_s = -inf
        self._plan: Plan | None = None
        self.took_s: list[float] = []
        self.problems: list[str] = []
        self.without_s = 0.0
        """How long vehicles were there and no plan was."""

    def plan(
        self, reading: Reading, engine: ThermalEngine, plugged: Sequence[Plugged], vehicles: Sequence[Vehicle]
    ) -> Plan | None:
        """The one in force at this moment, made anew where it is time."""
        now_s = reading.now_s
        from_h, to_h = self._evening.unplanned_h
        there = not from_h <= now_s / HOUR_S < to_h
        if self._planner is not None and there and now_s - self._asked_at_s >= self._settings.every_s:
            self._asked_at_s = now_s
            request = self._request(reading, engine, plugged, vehicles)
            if request is not None:
                began_s = perf_counter()
                plan = self._planner(request)
                self.took_s.append(perf_counter() - began_s)
                if plan.problem:
                    self.problems.append(plan.problem)
                else:
                    self._plan, self._made_at_s = plan, now_s
        return self._plan if now_s - self._made_at_s < GOOD_FOR * self._settings.every_s else None

    def _request(
        self, reading: Reading, engine: ThermalEngine, plugged: Sequence[Plugged], vehicles: Sequence[Vehicle]
    ) -> PlanRequest | None:
        there = tuple(_plugged(seen, vehicle) for seen, vehicle in zip(plugged, vehicles, strict=True))
        steps = plan_request.steps_of(there, self._settings, reading.now_s)
        outlook = engine.day_ahead(_calendar, reading.unix_s, steps)
        if outlook is None:
            return None
        return plan_request.plan_request(
            plan_request.PlanInputs(
                now_s=reading.now_s,
                now_unix_s=reading.unix_s,
                settings=self._settings,
                vehicles=there,
                outlook=outlook,
                lo_w=-sum(vehicle.rated_discharge_w for vehicle in vehicles),
                hi_w=sum(vehicle.rated_charge_w for vehicle in vehicles),
            )
        )


def _plugged(seen: Plugged, vehicle: Vehicle) -> plan_request.Plugged:
    assert vehicle.energy is not None
    return plan_request.Plugged(
        evse_id=vehicle.evse_id,
        energy=vehicle.energy,
        max_charge_w=min(vehicle.rated_charge_w, seen.max_charge_w),
        max_discharge_w=min(vehicle.rated_discharge_w, seen.max_discharge_w),
        phases=vehicle.phases,
        efficiency_charge=CHARGE_EFFICIENCY,
        efficiency_discharge=DISCHARGE_EFFICIENCY,
    )


def _calendar(unix_s: float) -> LocalMinute:
    return local(unix_s).minute
