"""What of a plan is due now. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from v2g.planning.types import Plan


def step_at(plan: Plan, unix_s: float) -> int | None:
    """The step that ``unix_s`` is in; None before the first, after the last, and of a plan that has a problem."""
    steps = len(plan.load_w)
    into_s = unix_s - plan.starts_unix_s
    if plan.problem or not 0.0 <= into_s < steps * plan.step_s:
        return None
    return min(steps - 1, int(into_s // plan.step_s))


def powers_at(plan: Plan, unix_s: float) -> Mapping[str, float]:
    """Mean power of this step in W by EVSE, positive charges; empty: nothing is planned for now."""
    n = step_at(plan, unix_s)
    if n is None:
        return {}
    return {vehicle.evse_id: vehicle.power_w[n] for vehicle in plan.vehicles if n < len(vehicle.power_w)}


def level_at(plan: Plan, unix_s: float) -> float | None:
    """Load of the transformer in W that the plan has in this step."""
    n = step_at(plan, unix_s)
    return None if n is None else plan.load_w[n]
