"""What ``auto`` aims at in this cycle: the plan's step of now or the level of peak shaving, and the utility. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.config.schema_dispatch import Dispatch
from v2g.dispatch.inputs import Aim
from v2g.planning.following import level_at, powers_at
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
    level_w = level_at(plan, unix_s) if plan is not None else None
    if plan is None or level_w is None:
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
        level_w=level_w if not standing.orders_changed else None,
        power_w={
            evse_id: power_w
            for evse_id, power_w in powers_at(plan, unix_s).items()
            if not (standing.orders_changed and evse_id in standing.under_orders)
        },
        target_w=utility.target_w,
        target_source=utility.target_source,
        enabled=enabled,
    )
