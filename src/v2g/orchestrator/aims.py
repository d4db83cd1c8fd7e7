"""What ``auto`` aims at in this cycle: the plan's step of now or the level of peak shaving, and the utility. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from v2g.config.schema_dispatch import Dispatch
from v2g.dispatch.inputs import Aim
from v2g.planning.types import Plan
from v2g.utility.signals import UtilityView


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingPlan:
    """The plan in force, or None, and how it stands to the orders of now.

    ``under_orders``: EVSEs that it held to one.
    """

    plan: Plan | None = None
    orders_changed: bool = False
    under_orders: frozenset[str] = frozenset()


NO_PLAN = StandingPlan()


def aim_of(
    config: Dispatch,
    base_w: float | None,
    rated_va: float,
    standing: StandingPlan,
    utility: UtilityView,
    unix_s: float,
) -> Aim:
    """``base_w``: as measured. Where orders have changed since the plan, the load that it aims at is that of other
    orders: until the next one its powers are followed as they are, by those that it did not hold to an order."""
    plan = standing.plan
    enabled = config.default_mode == "auto"
    step = step_of(plan, unix_s) if plan is not None else None
    if plan is None or step is None:
        return Aim(
            base_w=base_w,
            level_w=config.peak_shaving_pu * rated_va,
            target_w=utility.target_w,
            target_source=utility.target_source,
            source=f"peak shaving at {config.peak_shaving_pu:.0%} of the rating",
            enabled=enabled,
        )
    return Aim(
        base_w=base_w,
        level_w=plan.load_w[step] if not standing.orders_changed else None,
        power_w={
            vehicle.evse_id: vehicle.power_w[step]
            for vehicle in plan.vehicles
            if step < len(vehicle.power_w)
            and not (standing.orders_changed and vehicle.evse_id in standing.under_orders)
        },
        target_w=utility.target_w,
        target_source=utility.target_source,
        enabled=enabled,
    )


def step_of(plan: Plan, unix_s: float) -> int | None:
    """The step of ``plan`` that ``unix_s`` is in; None: before its begin, beyond its end, or no plan at all."""
    if plan.problem or not plan.load_w or not plan.step_s > 0.0 or not isfinite(unix_s - plan.starts_unix_s):
        return None
    step = int((unix_s - plan.starts_unix_s) // plan.step_s)
    return step if 0 <= step < len(plan.load_w) else None
