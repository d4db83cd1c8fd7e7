"""``plan`` over its handler: a plan with the site's times, and why there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from support.plan_cases import STARTS, request, vehicle
from v2g.control import messages
from v2g.control.messages_plan import PlanResult
from v2g.control.server import Caller, Role
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.plan_api import PlanApi
from v2g.orchestrator.plan_runner import PlanStatus
from v2g.planning.planner import solve
from v2g.planning.types import Plan, PlanRequest

ANNA = Caller(uid=1000, gid=1000, pid=1, user="anna", role=Role.VIEWER)
BERLIN = SiteZone("Europe/Berlin")


def status_of(asked: PlanRequest, **changes: Any) -> PlanStatus:
    plan: Plan = solve(asked, lambda: 1.5)
    assert not plan.problem
    return PlanStatus(plan=plan, request=asked, age_s=42.0, reason="vehicle at E1", **changes)


async def told(status: PlanStatus, notes: tuple[str, ...] = ()) -> PlanResult:
    api = PlanApi(lambda: status, BERLIN, lambda: notes)
    (method,) = api.methods()
    assert (method.name, method.role) == ("plan", Role.VIEWER)
    result = await method.handler(messages.NoParams(), ANNA)
    assert isinstance(result, PlanResult)
    return msgspec.json.decode(msgspec.json.encode(result), type=PlanResult)


async def test_a_plan_is_told_with_the_site_s_times_and_what_it_was_made_of() -> None:
    asked = request(vehicle(departs_in_s=14 * 3600.0, departure_assumed=True))
    result = await told(status_of(asked), ("base load is taken to stay as it is",))
    assert result.available
    assert (result.age_s, result.reason, result.problem) == (42.0, "vehicle at E1", "")
    assert result.starts_unix_s == STARTS
    assert (result.times[0], result.times[4], result.times[28]) == ("18:00", "19:00", "01:00")
    assert len(result.times) == len(result.load_w) == len(result.base_w) == 96
    assert result.hot_spot_limit_c == 120.0
    assert result.notes == ("base load is taken to stay as it is",)
    (line,) = result.vehicles
    assert (line.departs, line.departure_assumed, line.energy_now_wh, line.target_wh) == ("08:00", True, 30e3, 48e3)
    assert line.energy_at_departure_wh == pytest.approx(48e3, abs=50.0)
    stored_wh = 0.95 * line.charged_wh - line.discharged_wh / 0.95
    assert stored_wh == pytest.approx(line.energy_at_departure_wh - line.energy_now_wh, abs=1.0)
    assert line.discharged_wh >= 0.0


async def test_a_plan_that_no_programme_made_is_told_with_the_reason() -> None:
    status = status_of(request(vehicle()))
    assert status.plan is not None
    assert (await told(status)).simpler == status.plan.simpler
    simpler = msgspec.structs.replace(status.plan, simpler="the deadline was over")
    assert (await told(replace(status, plan=simpler))).simpler == "the deadline was over"


async def test_wishes_that_are_given_up_bear_the_time_of_the_departure() -> None:
    asked = request(vehicle("E7", departs_in_s=3600.0, target_wh=60_000.0))
    result = await told(status_of(asked))
    (line,) = result.relaxations
    assert line.evse_id == "E7"
    assert line.words == "67 % at 19:00 instead of 100 %"
    assert line.because.startswith("its own power")


async def test_a_departure_beyond_a_day_names_the_day() -> None:
    idle = {"max_charge_w": 0.0, "max_discharge_w": 0.0}
    asked = request(
        vehicle(departs_in_s=30 * 3600.0, **idle), vehicle("E2", departs_in_s=60 * 3600.0, **idle), steps=240
    )
    result = await told(status_of(asked))
    assert [line.departs for line in result.vehicles] == ["00:00 in 2 days", "06:00 in 3 days"]


async def test_beside_a_plan_it_is_told_why_there_is_no_newer_one() -> None:
    result = await told(status_of(request(vehicle()), problem="its process ended with 7", running_s=3.0))
    assert result.available
    assert (result.problem, result.running_s) == ("its process ended with 7", 3.0)


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (PlanStatus(problem="transformer load unknown"), "transformer load unknown"),
        (PlanStatus(running_s=2.0), "the first plan is not made yet"),
    ],
)
async def test_without_a_plan_it_says_why(status: PlanStatus, problem: str) -> None:
    result = await told(status)
    assert (result.available, result.problem, result.load_w, result.vehicles) == (False, problem, (), ())
