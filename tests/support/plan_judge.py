"""What every plan must hold, and how tests ask for one."""

from __future__ import annotations

import pytest

from support.plan_cases import STEP_S
from v2g.planning.planner import NEGLIGIBLE_K, Detail, solve
from v2g.planning.types import Plan, PlanRequest, VehiclePlan
from v2g.planning.warming import course

HOURS = STEP_S / 3600.0


def made(asked: PlanRequest, detail: Detail | None = None) -> Plan:
    return solve(asked, lambda: 0.0, detail)


def only(plan: Plan) -> VehiclePlan:
    assert not plan.problem
    (one,) = plan.vehicles
    return one


def assert_honest(asked: PlanRequest, plan: Plan) -> None:
    """Everything that no plan may break, from the plan's own figures."""
    assert not plan.problem
    assert len(plan.net_w) == asked.steps
    for told, wish in zip(plan.vehicles, asked.vehicles, strict=True):
        stay_s = asked.steps * STEP_S if wish.departs_in_s is None else wish.departs_in_s
        energy_wh = wish.energy_wh
        for n, (power_w, after_wh) in enumerate(zip(told.power_w, told.energy_wh, strict=True)):
            share = min(1.0, max(0.0, stay_s / STEP_S - n))
            lo_w, hi_w = wish.limit_w[n] if wish.limit_w else (-wish.max_discharge_w, wish.max_charge_w)
            assert share * max(min(lo_w, 0.0), -wish.max_discharge_w) - 0.1 <= power_w
            assert power_w <= share * min(max(hi_w, 0.0), wish.max_charge_w) + 0.1
            by = wish.efficiency_charge if power_w > 0.0 else 1.0 / wish.efficiency_discharge
            if energy_wh < wish.floor_wh - 2.0:
                assert power_w >= -0.1, "discharged below its floor"
            assert after_wh == pytest.approx(energy_wh + power_w * by * HOURS, abs=0.01)
            energy_wh = after_wh
            assert energy_wh >= min(wish.floor_wh, wish.energy_wh) - 0.5
            assert energy_wh <= max(wish.ceiling_wh, wish.energy_wh) + 0.5
    for n in range(asked.steps):
        net_w = sum(told.power_w[n] for told in plan.vehicles)
        assert plan.net_w[n] == pytest.approx(net_w, abs=0.01)
        assert plan.load_w[n] == pytest.approx(asked.site.base_w[n] + net_w, abs=0.01)
        assert net_w <= max(asked.site.hi_w[n], 0.0) + 1.0
        assert net_w >= min(asked.site.lo_w[n], 0.0) - 1.0
        for phase in range(3):
            in_phase_w = sum(
                told.power_w[n] * wish.phases[phase] for told, wish in zip(plan.vehicles, asked.vehicles, strict=True)
            )
            assert asked.site.phase_w is None or abs(in_phase_w) <= asked.site.phase_w + 1.0
    # Against the model itself, with the margins, step by step.
    ran = course(asked.site, plan.load_w, STEP_S, margins=True)
    alone = course(asked.site, asked.site.base_w, STEP_S, margins=True)
    for n in range(asked.steps):
        assert ran.hot_spot_c[n] <= max(asked.site.hot_spot_limit_c, alone.hot_spot_c[n]) + 2.0 * NEGLIGIBLE_K
        assert ran.top_oil_c[n] <= max(asked.site.top_oil_limit_c, alone.top_oil_c[n]) + 2.0 * NEGLIGIBLE_K
