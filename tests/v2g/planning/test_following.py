"""What of a plan is due at a moment, and when nothing is."""

from __future__ import annotations

import pytest

from v2g.planning.following import level_at, powers_at, step_at
from v2g.planning.types import Plan, VehiclePlan

PLAN = Plan(
    starts_unix_s=1000.0,
    step_s=900.0,
    vehicles=(VehiclePlan(evse_id="E1", power_w=(5_000.0, -3_000.0), energy_wh=(1.0, 2.0)),),
    net_w=(5_000.0, -3_000.0),
    load_w=(90_000.0, 80_000.0),
)


@pytest.mark.parametrize(
    ("unix_s", "step", "power_w", "level_w"),
    [
        (999.9, None, {}, None),
        (1000.0, 0, {"E1": 5_000.0}, 90_000.0),
        (1899.9, 0, {"E1": 5_000.0}, 90_000.0),
        (1900.0, 1, {"E1": -3_000.0}, 80_000.0),
        (2800.0, None, {}, None),
    ],
)
def test_a_step_holds_from_its_begin_until_the_next(
    unix_s: float, step: int | None, power_w: dict[str, float], level_w: float | None
) -> None:
    assert step_at(PLAN, unix_s) == step
    assert powers_at(PLAN, unix_s) == power_w
    assert level_at(PLAN, unix_s) == level_w


def test_a_plan_with_a_problem_is_never_due() -> None:
    broken = Plan(starts_unix_s=1000.0, step_s=900.0, problem="none")
    assert step_at(broken, 1000.0) is None
    assert powers_at(broken, 1000.0) == {}
