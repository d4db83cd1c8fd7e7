"""What ``auto`` aims at: the plan's step of now while it is good, else peak shaving; and the utility in either."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from v2g.config.schema_dispatch import Dispatch
from v2g.dispatch.inputs import Aim
from v2g.orchestrator.aims import NO_PLAN, StandingPlan, aim_of
from v2g.planning.types import Plan, VehiclePlan
from v2g.utility.signals import UtilityView

PLAN = Plan(
    starts_unix_s=9000.0,
    step_s=900.0,
    vehicles=(
        VehiclePlan(evse_id="A", power_w=(1e3, -2e3), energy_wh=(0.0, 0.0)),
        VehiclePlan(evse_id="B", power_w=(5e3,), energy_wh=(0.0,)),
    ),
    load_w=(120e3, 130e3),
)


def aim(
    standing: StandingPlan = NO_PLAN, unix_s: float = 9000.0, utility: UtilityView | None = None, **config: str
) -> Aim:
    settings = Dispatch(peak_shaving_pu=0.8, **config)  # type: ignore[arg-type]
    return aim_of(settings, 70e3, 250e3, standing, utility or UtilityView(), unix_s)


def test_without_a_plan_the_level_is_that_of_peak_shaving() -> None:
    assert aim() == Aim(base_w=70e3, level_w=200e3, source="peak shaving at 80% of the rating")


@pytest.mark.parametrize(
    ("unix_s", "level_w", "power_w"),
    [(9000.0, 120e3, {"A": 1e3, "B": 5e3}), (9899.9, 120e3, {"A": 1e3, "B": 5e3}), (9900.0, 130e3, {"A": -2e3})],
)
def test_with_a_plan_it_is_the_step_of_now(unix_s: float, level_w: float, power_w: dict[str, float]) -> None:
    found = aim(StandingPlan(plan=PLAN), unix_s)
    assert (found.level_w, dict(found.power_w), found.source) == (level_w, power_w, "plan")


@pytest.mark.parametrize("unix_s", [8999.9, 10_800.0, nan, inf, -inf])
def test_a_plan_of_another_time_counts_as_none(unix_s: float) -> None:
    assert aim(StandingPlan(plan=PLAN), unix_s) == aim()


def _plan(**other: Any) -> Plan:
    return Plan(**{"starts_unix_s": 9000.0, "step_s": 900.0, "load_w": (1.0,), **other})


@pytest.mark.parametrize(
    "plan", [_plan(problem="infeasible"), _plan(starts_unix_s=nan), _plan(step_s=0.0), _plan(load_w=())]
)
def test_what_is_no_plan_counts_as_none(plan: Plan) -> None:
    assert aim(StandingPlan(plan=plan)) == aim()


def test_a_plan_of_other_orders_keeps_no_level_and_tells_nothing_of_whom_they_held() -> None:
    found = aim(StandingPlan(plan=PLAN, orders_changed=True, under_orders=frozenset({"B"})))
    assert (found.level_w, dict(found.power_w)) == (None, {"A": 1e3})


@pytest.mark.parametrize("standing", [NO_PLAN, StandingPlan(plan=PLAN)])
def test_a_set_point_of_the_utility_goes_along_with_its_source(standing: StandingPlan) -> None:
    found = aim(standing, utility=UtilityView(target_w=-9e3, target_source="utility by grid-ops"))
    assert (found.target_w, found.target_source) == (-9e3, "utility by grid-ops")


@pytest.mark.parametrize("standing", [NO_PLAN, StandingPlan(plan=PLAN)])
def test_where_vehicles_rest_without_an_order_it_is_off(standing: StandingPlan) -> None:
    assert not aim(standing, default_mode="idle").enabled
    assert aim(standing).enabled
