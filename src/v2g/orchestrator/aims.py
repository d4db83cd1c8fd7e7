"""What ``auto`` aims at in this cycle: the plan's step of now or the level of peak shaving, and the utility. Pure."""

from __future__ import annotations

from v2g.config.schema_dispatch import Dispatch
from v2g.dispatch.inputs import Aim
from v2g.planning.types import Plan
from v2g.utility.signals import UtilityView


def aim_of(
    config: Dispatch, base_w: float | None, rated_va: float, plan: Plan | None, utility: UtilityView, unix_s: float
) -> Aim:
    """``base_w``: as measured; ``plan``: the one in force, or None."""
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
        level_w=plan.load_w[step],
        power_w={vehicle.evse_id: vehicle.power_w[step] for vehicle in plan.vehicles if step < len(vehicle.power_w)},
        target_w=utility.target_w,
        target_source=utility.target_source,
        enabled=enabled,
    )


def step_of(plan: Plan, unix_s: float) -> int | None:
    """The step of ``plan`` that ``unix_s`` is in; None: before its begin, beyond its end, or no plan at all."""
    if plan.problem or not plan.load_w or not plan.step_s > 0.0:
        return None
    step = int((unix_s - plan.starts_unix_s) // plan.step_s)
    return step if 0 <= step < len(plan.load_w) else None
