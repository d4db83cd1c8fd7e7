"""What the cycle is given besides its devices: a plan and the orders it was made for, schedules, when to ask anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import events as ev
from support.control_world import ALICE, E1, E2, World
from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.control.messages_utility import SignalParams
from v2g.dispatch.orders import Mode
from v2g.orchestrator.aims import NO_PLAN
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.plan_runner import PlanStatus
from v2g.orchestrator.status import problems
from v2g.orchestrator.surroundings import Surroundings
from v2g.planning.types import Plan, PlanRequest, VehiclePlan
from v2g.utility.meter_view import MeteredLoad

NOWHERE = Path("/nonexistent")


class FakeRunner:
    """Plans when it is told to, from the request of the moment it is asked."""

    def __init__(self, make: Any) -> None:
        self.make = make
        self.asked: list[str] = []
        self.polled = 0
        self.standing = PlanStatus()

    def renew(self, reason: str) -> None:
        self.asked.append(reason)

    def poll(self, now_s: float) -> None:
        self.polled += 1

    def status(self, now_s: float, now_unix_s: float) -> PlanStatus:
        return self.standing

    def plan(self, now_s: float, now_unix_s: float) -> Plan | None:
        return self.standing.plan

    def request(self) -> PlanRequest:
        request = self.make()
        assert isinstance(request, PlanRequest), request
        return request

    def finish(self, request: PlanRequest) -> Plan:
        plan = Plan(
            starts_unix_s=request.starts_unix_s,
            step_s=900.0,
            vehicles=(VehiclePlan(evse_id=E1, power_w=(3e3, 4e3), energy_wh=(0.0, 0.0)),),
            load_w=(90e3, 90e3),
        )
        self.standing = PlanStatus(plan=plan, request=request)
        return plan


class Site:
    """A world that goes by surroundings of its own, whose planning process is the test's."""

    def __init__(self, world: World, log: Any, *, compressed: bool = False) -> None:
        config = world.site.config
        self.world = world
        self.surroundings = Surroundings(
            Loaded(config=config, origin={}, config_dir=NOWHERE),
            run_paths(config),
            world.site,
            world.sessions,
            world.clock,
            Changes(),
            log,
            compressed=compressed,
        )
        self.runner = FakeRunner(self.surroundings._request)
        self.surroundings.plans = self.runner  # type: ignore[assignment]

    def run(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            self.world.run()
            self.surroundings.on_cycle(self.world.clock.monotonic_s())

    def order(self, mode: Mode, evse_id: str | None = None, begins_in_s: float = 0.0) -> int:
        book = self.world.site.book
        added = book.add(
            mode=mode,
            power_w=5e3,
            evse_id=evse_id,
            duration_s=600.0,
            by="anna",
            now_s=self.world.clock.monotonic_s(),
            begins_in_s=begins_in_s,
        )
        return added.order.id

    @property
    def standing(self) -> Any:
        return self.world.site.dispatching.plan()


@pytest.fixture
def site(world: World, log_of: Any) -> Site:
    return Site(world, log_of())


def test_without_a_plan_there_is_none(site: Site) -> None:
    site.run(3)
    assert site.standing is NO_PLAN


def test_a_plan_is_of_the_orders_that_stood_when_it_was_asked_for(site: Site) -> None:
    site.run(3)
    site.order(Mode.CHARGE, E1)
    site.run()
    plan = site.runner.finish(site.runner.request())
    assert site.standing.plan is plan
    assert not site.standing.orders_changed
    site.order(Mode.IDLE, E2)
    assert site.standing.orders_changed


def test_a_request_that_is_under_way_or_fails_does_not_make_the_old_plan_one_of_the_new_orders(site: Site) -> None:
    site.run(3)
    plan = site.runner.finish(site.runner.request())
    assert not site.standing.orders_changed
    site.order(Mode.CHARGE, E1)
    site.run()
    following = site.runner.request()
    assert site.standing.plan is plan
    assert site.standing.orders_changed
    site.runner.finish(following)
    assert not site.standing.orders_changed


def test_a_plan_of_an_unknown_request_counts_as_one_of_other_orders(site: Site) -> None:
    site.run(3)
    request = site.runner.request()
    site.runner.request()
    site.runner.finish(request)
    assert site.standing.orders_changed


def test_a_change_of_orders_asks_for_a_new_plan_once(site: Site) -> None:
    site.run(3)
    site.runner.asked.clear()
    site.run(3)
    assert site.runner.asked == []
    order_id = site.order(Mode.CHARGE)
    site.run(3)
    assert len(site.runner.asked) == 1
    site.world.site.book.cancel(order_id)
    site.run(3)
    assert len(site.runner.asked) == 2


def test_the_begin_of_a_scheduled_order_asks_for_a_new_plan(site: Site) -> None:
    site.run(3)
    site.order(Mode.CHARGE, begins_in_s=1.0)
    site.run(3)
    site.runner.finish(site.runner.request())
    site.runner.asked.clear()
    site.run(5)
    assert (site.runner.asked, site.standing.orders_changed) == ([], False)
    site.run(10)
    assert (len(site.runner.asked), site.standing.orders_changed) == (1, True)


async def test_a_signal_asks_for_a_new_plan_and_one_to_come_is_in_its_request(site: Site) -> None:
    site.run(3)
    site.runner.finish(site.runner.request())
    site.runner.asked.clear()
    unix_s = site.world.clock.unix_s()
    await site.surroundings.utility.signal(
        SignalParams(kind="cap", value=2e3, starts_unix_s=unix_s + 1800.0, duration_s=900.0), ALICE
    )
    site.run(3)
    assert len(site.runner.asked) == 1
    caps_w = site.runner.request().site.hi_w
    assert caps_w[2] == 2e3
    assert caps_w[0] == caps_w[4] == site.world.site.all_rated_w[0]
    site.runner.asked.clear()
    await site.surroundings.utility.signal(
        SignalParams(kind="price", value=0.3, starts_unix_s=unix_s + 1800.0, duration_s=900.0), ALICE
    )
    site.run(3)
    assert len(site.runner.asked) == 1


def test_a_vehicle_that_wants_something_else_asks_for_a_new_plan(site: Site) -> None:
    world = site.world
    world.charge(E1)
    site.run(3)
    site.runner.asked.clear()
    site.run(3)
    assert site.runner.asked == []
    world.looping.clear()
    world.tell(E1, replace(world.loop_event(), needs=ev.EnergyNeeds(target_soc_pct=90)))
    site.run()
    assert len(site.runner.asked) == 1


def test_a_clock_that_was_put_right_asks_for_a_new_plan(site: Site) -> None:
    site.run(3)
    site.runner.request()
    site.runner.asked.clear()
    site.run(60)
    assert site.runner.asked == []
    site.world.clock._unix_s += 3600.0
    site.run(60)
    assert set(site.runner.asked) == {"the clock was put right"}


def test_a_daemon_that_stops_asks_for_no_plan(site: Site) -> None:
    site.run(3)
    polled = site.runner.polled
    site.world.site.stopping = True
    site.run(3)
    assert site.runner.polled == polled


def test_without_a_base_load_nothing_is_planned(site: Site, guard: Any) -> None:
    guard.changes |= {"load_measured": False, "measured": False}
    site.run(3)
    assert (site.runner.asked, site.runner.polled) == ([], 0)


def test_where_thermal_time_runs_faster_nothing_is_planned(world: World, log_of: Any) -> None:
    site = Site(world, log_of(), compressed=True)
    site.run(3)
    site.runner.finish(site.runner.request())
    assert site.runner.polled == 0
    assert site.standing is NO_PLAN
    assert "--thermal-speed" in site.surroundings._plan_status().problem
    outlook = site.world.site.dispatching.outlook(E1)
    assert (outlook.schedule, outlook.plan_awaited) == (None, False)


def test_a_vehicle_is_offered_its_part_of_the_plan_and_others_wait_for_theirs(site: Site) -> None:
    site.run(3)
    outlook = site.world.site.dispatching.outlook
    assert outlook(E1).plan_awaited
    site.runner.finish(site.runner.request())
    first = outlook(E1)
    assert first.schedule is not None
    assert (first.schedule.power_w, first.plan_awaited) == ((3e3, 4e3), False)
    assert first.schedule.charge_limit_w[0] == site.world.site.rated_w(E1)[0]
    assert outlook(E1).schedule is first.schedule
    assert (outlook(E2).schedule, outlook(E2).plan_awaited) == (None, True)
    site.runner.finish(site.runner.request())
    assert outlook(E1).schedule is not first.schedule


def test_the_site_takes_its_min_soc_from_what_operators_set(site: Site) -> None:
    settings = site.surroundings.min_soc.settings
    assert site.world.site.dispatching.min_soc() == settings
    assert site.world.site.dispatching.wants(E1, None, "WMI").min_soc_pct == settings.site_pct


def test_meters_that_put_the_base_load_in_other_phases_are_told_with_what_counts(world: World) -> None:
    turned = MeteredLoad(base_w=(10e3, 30e3, 40e3))
    world.site.dispatching.meters = lambda now_s, base_w: turned
    world.guard.changes |= {"transformer_a": (50.0, 100.0, 150.0)}
    world.run(3)
    assert world.site.image is not None
    base = world.site.image.base
    assert base.low_w is not None
    assert base.low_w != base.high_w
    found = [line for line in problems(world.site, world.clock.monotonic_s()) if "base load of phase" in line]
    assert found
    assert "rotation" in found[0]
    world.site.dispatching.meters = lambda now_s, base_w: MeteredLoad()
    world.run()
    assert not any("base load of phase" in line for line in problems(world.site, world.clock.monotonic_s()))
