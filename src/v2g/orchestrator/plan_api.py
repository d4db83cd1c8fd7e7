"""The method ``plan`` of the control socket: the plan that stands, and why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from v2g.control import messages
from v2g.control.messages_plan import PlanResult, PlanVehicleLine, RelaxationLine
from v2g.control.server import Caller, Method, Role
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.plan_runner import PlanStatus
from v2g.planning.types import Plan, PlanRequest, PlanVehicle, VehiclePlan

_DAY_S = 86_400.0


class PlanApi:
    """``status``: of the runner now. ``notes``: what was assumed of the coming day when the plan was made."""

    def __init__(
        self, status: Callable[[], PlanStatus], zone: SiteZone, notes: Callable[[], Sequence[str]] = tuple
    ) -> None:
        self._status = status
        self._zone = zone
        self._notes = notes

    def methods(self) -> tuple[Method[Any], ...]:
        return (Method("plan", Role.VIEWER, messages.NoParams, self.plan),)

    async def plan(self, params: messages.NoParams, caller: Caller) -> PlanResult:
        return plan_result(self._status(), self._zone, self._notes())


def plan_result(status: PlanStatus, zone: SiteZone, notes: Sequence[str] = ()) -> PlanResult:
    """The status for people and programs, with the site's times."""
    plan, request = status.plan, status.request
    if plan is None or request is None:
        problem = status.problem or "the first plan is not made yet"
        return PlanResult(available=False, problem=problem, running_s=status.running_s, took_s=status.took_s)
    site = request.site
    return PlanResult(
        available=True,
        problem=status.problem,
        age_s=status.age_s,
        reason=status.reason,
        running_s=status.running_s,
        took_s=status.took_s,
        starts_unix_s=plan.starts_unix_s,
        step_s=plan.step_s,
        times=tuple(zone.time_of_day(plan.starts_unix_s + n * plan.step_s) for n in range(len(plan.net_w))),
        base_w=site.base_w,
        net_w=plan.net_w,
        load_w=plan.load_w,
        hot_spot_c=plan.hot_spot_c,
        top_oil_c=plan.top_oil_c,
        soc_wh=plan.soc_wh,
        rated_va=site.params.rated_va,
        hot_spot_limit_c=site.hot_spot_limit_c,
        top_oil_limit_c=site.top_oil_limit_c,
        k_limit_pu=site.k_limit_pu,
        loss_of_life_h=plan.loss_of_life_h,
        overload_k=plan.overload_k,
        overload_base_k=plan.overload_base_k,
        rounds=plan.rounds,
        solve_s=plan.solve_s,
        limited_by_deadline=plan.limited_by_deadline,
        simpler=plan.simpler,
        vehicles=tuple(_vehicles(plan, request, zone)),
        relaxations=tuple(
            RelaxationLine(
                evse_id=each.evse_id,
                what=each.what,
                order=each.order,
                wanted=each.wanted,
                reached=each.reached,
                unit=each.unit,
                words=each.words.replace("{at}", _when(zone, plan, each.at_unix_s)),
                because=each.because,
            )
            for each in plan.relaxations
        ),
        notes=tuple(notes),
    )


def _vehicles(plan: Plan, request: PlanRequest, zone: SiteZone) -> list[PlanVehicleLine]:
    by_id = {vehicle.evse_id: vehicle for vehicle in request.vehicles}
    return [_vehicle(planned, by_id[planned.evse_id], plan, zone) for planned in plan.vehicles]


def _vehicle(planned: VehiclePlan, vehicle: PlanVehicle, plan: Plan, zone: SiteZone) -> PlanVehicleLine:
    horizon_s, hours = len(plan.net_w) * plan.step_s, plan.step_s / 3600.0
    stay_s = horizon_s if vehicle.departs_in_s is None else vehicle.departs_in_s
    departs_unix_s = plan.starts_unix_s + stay_s
    return PlanVehicleLine(
        evse_id=planned.evse_id,
        departs=_when(zone, plan, departs_unix_s),
        departs_unix_s=departs_unix_s,
        departure_assumed=vehicle.departure_assumed,
        energy_now_wh=vehicle.energy_wh,
        energy_at_departure_wh=planned.energy_wh[-1],
        target_wh=vehicle.target_wh,
        floor_wh=vehicle.floor_wh,
        capacity_wh=vehicle.capacity_wh,
        unserved_wh=planned.unserved_wh,
        charged_wh=hours * sum(power_w for power_w in planned.power_w if power_w > 0.0),
        discharged_wh=-hours * sum(power_w for power_w in planned.power_w if power_w < 0.0) + 0.0,
        power_w=planned.power_w,
        energy_wh=planned.energy_wh,
    )


def _when(zone: SiteZone, plan: Plan, unix_s: float | None) -> str:
    """``07:00``; ``07:00 in 2 days`` where the time of day alone would mislead."""
    if unix_s is None:
        return "?"
    days = zone.local(unix_s).day - zone.local(plan.starts_unix_s).day
    time_of_day = zone.time_of_day(unix_s)
    if days > 1 or unix_s - plan.starts_unix_s >= _DAY_S:
        return f"{time_of_day} in {days} day{'s' if days > 1 else ''}"
    return time_of_day
