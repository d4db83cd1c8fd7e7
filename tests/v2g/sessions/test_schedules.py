"""Schedules made of a plan: their room, their length, their prices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.schedules import PriceLevels, ScheduleTuple, follow, profile_problem, tuples_to_message
from v2g.planning.types import Plan, VehiclePlan
from v2g.sessions.schedules import (
    CHEAP,
    CHEAPEST,
    DAY_S,
    DEAREST,
    IDLE,
    LONGEST_S,
    MOST_SLOTS,
    PowerPlan,
    Room,
    coming,
    differing_s,
    flat_offer,
    planned_offer,
)

NOW = 1_800_000_000
ROOM = Room(
    charge_w=11_000.0, discharge_w=10_000.0, site_charge_w=50_000.0, site_discharge_w=50_000.0, rated_w=22_000.0
)


def plan_of(*powers_w: float, starts: float = NOW, step_s: float = 900.0, **limits: Any) -> PowerPlan:
    steps = len(powers_w)
    return PowerPlan(
        starts_unix_s=starts,
        step_s=step_s,
        power_w=powers_w,
        charge_limit_w=limits.get("charge", (22_000.0,) * steps),
        discharge_limit_w=limits.get("discharge", (22_000.0,) * steps),
    )


def offer(plan: PowerPlan, room: Room = ROOM, unix_s: float = NOW, **options: Any) -> ScheduleTuple:
    offered = planned_offer(plan, room, unix_s, **options)
    assert offered is not None
    return offered


def at(offered: ScheduleTuple, after_s: float) -> tuple[float, float]:
    """(charge, discharge) that the schedules allow so long after NOW."""
    powers = [
        schedule.power.power_at(NOW + after_s) for schedule in (offered.charging, offered.discharging) if schedule
    ]
    return tuple(power[0] for power in powers if power is not None)  # type: ignore[return-value]


def levels(offered: ScheduleTuple) -> list[tuple[int, int]]:
    assert isinstance(offered.charging.prices, PriceLevels)
    return [(slot.duration_s, slot.level) for slot in offered.charging.prices.slots]


def test_a_slot_has_the_plans_power_and_a_tenth_of_the_highest_limit_on_top() -> None:
    offered = offer(plan_of(5_000.0, 0.0, -4_000.0, 11_000.0))
    assert at(offered, 0) == pytest.approx((6_100.0, -1_000.0))
    assert at(offered, 900) == pytest.approx((1_100.0, -1_000.0))
    assert at(offered, 1800) == pytest.approx((1_100.0, -5_000.0))
    assert at(offered, 2700) == pytest.approx((11_000.0, -1_000.0))


def test_the_allowance_is_enough_for_a_vehicle_with_a_minimum() -> None:
    room = Room(
        charge_w=11_000.0,
        discharge_w=None,
        site_charge_w=9e9,
        site_discharge_w=0.0,
        least_charge_w=4_100.0,
        rated_w=22_000.0,
    )
    assert at(offer(plan_of(0.0, 11_000.0), room), 0) == pytest.approx((4_100.0,))


def test_a_limit_of_the_plan_is_never_passed() -> None:
    offered = offer(plan_of(5_000.0, 5_000.0, charge=(5_200.0, 300.0), discharge=(0.0, 100.0)))
    assert at(offered, 0) == (5_200.0, 0.0)
    assert at(offered, 900) == (300.0, -10.0)


def test_a_vehicle_that_only_charges_gets_no_discharging_schedule() -> None:
    room = Room(charge_w=11_000.0, discharge_w=None, site_charge_w=9e9, site_discharge_w=9e9, rated_w=22_000.0)
    assert offer(plan_of(3_000.0), room).discharging is None
    assert flat_offer(room, NOW).discharging is None


@pytest.mark.parametrize(
    ("departure_s", "lasts_s"),
    [(None, DAY_S), (3600, DAY_S), (30 * 3600, 30 * 3600), (4_294_967_295, LONGEST_S)],
)
def test_a_schedule_lasts_a_day_or_until_the_departure(departure_s: int | None, lasts_s: int) -> None:
    offered = offer(plan_of(*[1_000.0] * 4), unix_s=NOW + 100.7, departure_s=departure_s)
    for schedule in (offered.charging, offered.discharging):
        assert schedule is not None
        assert schedule.power.starts_at_unix_s == NOW + 100
        assert schedule.power.duration_s == lasts_s
        assert schedule.prices is not None
        assert sum(slot.duration_s for slot in schedule.prices.slots) == lasts_s  # type: ignore[union-attr]
    assert flat_offer(ROOM, NOW, departure_s=departure_s).charging.power.duration_s == lasts_s


def test_the_first_slot_is_what_is_left_of_the_step_that_runs() -> None:
    offered = offer(plan_of(8_000.0, 0.0), unix_s=NOW + 600.0)
    first, second = offered.charging.power.slots
    assert (first.duration_s, second.duration_s) == (300, DAY_S - 300)


def test_a_plan_that_begins_later_is_begun_with_its_first_step() -> None:
    assert offer(plan_of(8_000.0, 0.0, starts=NOW + 60.0)).charging.power.slots[0].duration_s == 960


def test_a_plan_that_is_over_gives_no_schedule() -> None:
    assert planned_offer(plan_of(8_000.0), ROOM, NOW + 900.0) is None
    assert coming(plan_of(8_000.0), ROOM, NOW + 900.0, 3600.0) is None
    assert planned_offer(plan_of(8_000.0), ROOM, NOW + 899.0) is not None


def test_price_levels_rank_the_slots_by_what_the_plan_does() -> None:
    offered = offer(plan_of(8_000.0, 3_000.0, 50.0, -200.0, 4_500.0))
    assert levels(offered) == [(900, CHEAPEST), (900, CHEAP), (900, IDLE), (900, DEAREST), (DAY_S - 3600, CHEAPEST)]


def test_too_many_slots_are_joined_where_it_moves_least_energy() -> None:
    offered = offer(plan_of(8_000.0, 7_900.0, 0.0, 8_000.0), max_points=4)
    assert [slot.duration_s for slot in offered.charging.power.slots] == [1800, 900, DAY_S - 2700]
    assert offered.charging.power.slots[0].power_w == pytest.approx(7_950.0 + 1_100.0)


def test_a_flat_offer_is_what_vehicle_evse_and_site_permit_now() -> None:
    room = Room(charge_w=11_000.0, discharge_w=10_000.0, site_charge_w=4_000.0, site_discharge_w=0.0, rated_w=22_000.0)
    assert at(flat_offer(room, NOW), 5.0) == (4_000.0, 0.0)


def test_a_site_without_a_permit_says_nothing_of_the_day_ahead() -> None:
    room = Room(charge_w=11_000.0, discharge_w=10_000.0, site_charge_w=0.0, site_discharge_w=0.0, rated_w=22_000.0)
    assert at(flat_offer(room, NOW), 5.0) == (11_000.0, -10_000.0)


def test_without_a_calendar_a_flat_offer_starts_when_it_is_sent() -> None:
    assert flat_offer(ROOM, None).charging.power.starts_at_unix_s == 0


def test_seconds_that_differ_are_counted_in_the_direction_that_differs_more() -> None:
    one, other = offer(plan_of(8_000.0, 0.0, 0.0)), offer(plan_of(8_000.0, 8_000.0, 0.0))
    assert differing_s(one, other, NOW, 3600.0, 2_200.0) == 900.0
    assert differing_s(one, other, NOW + 1000.0, 3600.0, 2_200.0) == 800.0
    assert differing_s(one, other, NOW, 600.0, 2_200.0) == 0.0
    assert differing_s(one, other, NOW, 3600.0, 9_000.0) == 0.0
    back = offer(plan_of(8_000.0, -8_000.0, -8_000.0))
    assert differing_s(one, back, NOW, 2700.0, 2_200.0) == 1800.0


def test_an_offer_that_is_over_differs_from_any_other() -> None:
    old = offer(plan_of(8_000.0))
    fresh = flat_offer(ROOM, NOW + DAY_S)
    assert differing_s(old, fresh, NOW + DAY_S, 3600.0, 1_000.0) == 3600.0


def test_a_vehicles_part_of_the_plan_is_taken_by_its_evse() -> None:
    mine = VehiclePlan(evse_id="E2", power_w=(1.0, -2.0), energy_wh=(5.0, 5.0))
    plan = Plan(starts_unix_s=NOW, step_s=900.0, vehicles=(VehiclePlan(evse_id="E1", power_w=(), energy_wh=()), mine))
    part = PowerPlan.of(plan, "E2", 11_000.0, 7_000.0)
    assert part == plan_of(1.0, -2.0, charge=(11_000.0,) * 2, discharge=(7_000.0,) * 2)
    assert PowerPlan.of(plan, "E1", 1.0, 1.0) is None
    assert PowerPlan.of(plan, "E3", 1.0, 1.0) is None
    assert PowerPlan.of(Plan(starts_unix_s=NOW, step_s=900.0, problem="late"), "E2", 1.0, 1.0) is None


@pytest.mark.parametrize(
    "change",
    [
        {"power_w": ()},
        {"power_w": (1.0, 2.0)},
        {"power_w": (float("nan"),)},
        {"charge_limit_w": (-1.0,)},
        {"step_s": 0.0},
        {"starts_unix_s": float("inf")},
    ],
)
def test_a_plan_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    good = {
        "starts_unix_s": NOW,
        "step_s": 900.0,
        "power_w": (0.0,),
        "charge_limit_w": (1.0,),
        "discharge_limit_w": (1.0,),
    }
    PowerPlan(**good)
    with pytest.raises(ValueError, match="power plan"):
        PowerPlan(**(good | change))


@given(
    powers=st.lists(st.floats(-30_000, 30_000) | st.sampled_from([0.0, 7_000.0]), min_size=1, max_size=300),
    limits=st.data(),
    step_s=st.sampled_from([60.0, 900.0, 901.5]),
    points=st.integers(12, 1024),
    begins_before_s=st.floats(0.0, 5_000.0),
    departure_s=st.none() | st.integers(0, 2**32 - 1),
    least_w=st.floats(0, 6_000),
)
def test_whatever_the_plan_its_schedule_can_be_sent_followed_and_passes_no_limit(
    powers: list[float],
    limits: Any,
    step_s: float,
    points: int,
    begins_before_s: float,
    departure_s: int | None,
    least_w: float,
) -> None:
    caps = limits.draw(st.lists(st.floats(0, 30_000), min_size=len(powers), max_size=len(powers)))
    plan = plan_of(
        *powers, starts=NOW - begins_before_s, step_s=step_s, charge=tuple(caps), discharge=tuple(reversed(caps))
    )
    room = Room(
        charge_w=11_000.0,
        discharge_w=10_000.0,
        site_charge_w=9e9,
        site_discharge_w=9e9,
        least_charge_w=least_w,
        least_discharge_w=least_w,
        rated_w=22_000.0,
    )
    offered = planned_offer(plan, room, NOW, departure_s=departure_s, max_points=points)
    if offered is None:
        assert plan.ends_unix_s <= NOW
        return
    tuples_to_message([offered], max_points=points)
    assert len(offered.charging.power.slots) <= min(MOST_SLOTS, points - 1)
    assert profile_problem(follow(offered), [offered]) is None
    assert profile_problem(follow(offered, discharge=True), [offered]) is None
    for n, (charge, discharge) in enumerate(zip(plan.charge_limit_w, plan.discharge_limit_w, strict=True)):
        middle = plan.starts_unix_s + (n + 0.5) * step_s - NOW
        if 0.0 <= middle < DAY_S:
            allowed = at(offered, middle)
            assert 0.0 <= allowed[0] <= min(charge, 11_000.0)
            assert -min(discharge, 10_000.0) <= allowed[1] <= 0.0
