"""Vehicles without an order: who charges, who discharges, and what for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, nan
from random import Random

import pytest

from support.allocation import energy_with, order_of
from v2g.dispatch.auto import SLACK_S
from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Aim, Dispatcher, Settings, Vehicle
from v2g.dispatch.energy import Energy
from v2g.dispatch.orders import Allocation, Mode, Order

NOW_S = 1000.0
HOUR_S = 3600.0
OPEN = (Bound(-1e6, 1e6, "thermal K", inf),)


def energy(
    needed_wh: float = 0.0, surplus_wh: float = 0.0, departs_in_h: float = 10.0, *, assumed: bool = False
) -> Energy:
    return energy_with(
        needed_wh=needed_wh,
        room_wh=needed_wh + 20e3,
        surplus_wh=surplus_wh,
        departs_at_s=NOW_S + departs_in_h * HOUR_S,
        departure_assumed=assumed,
    )


def vehicle(evse_id: str, has: Energy | None, limit_w: float = 11e3, *, min_charge_w: float = 0.0) -> Vehicle:
    return Vehicle(
        evse_id=evse_id,
        bounds=(Bound(-limit_w, limit_w, "EVSE rating", inf),),
        rated_charge_w=limit_w,
        rated_discharge_w=limit_w,
        energy=has,
        min_charge_w=min_charge_w,
    )


def allocate(
    vehicles: Sequence[Vehicle],
    aim: Aim,
    orders: Sequence[Order] = (),
    site: Sequence[Bound] = OPEN,
) -> dict[str, float]:
    return powers(dispatcher().step(vehicles, orders, site, (), aim, NOW_S))


def dispatcher(dwell_s: float = 300.0) -> Dispatcher:
    return Dispatcher(Settings(ramp_pu_s=inf, dwell_s=dwell_s, rated_w=100e3))


def powers(allocation: Allocation) -> dict[str, float]:
    return {grant.evse_id: round(grant.power_w, 3) for grant in allocation.grants}


class TestWithoutPlan:
    def test_vehicles_charge_below_the_level_of_peak_shaving_by_urgency(self) -> None:
        # 80 kW of level over 71 of base load leave 9; A lacks 20 kWh in 10 h, B 10: two to one.
        found = allocate([vehicle("A", energy(20e3)), vehicle("B", energy(10e3))], Aim(base_w=71e3, level_w=80e3))
        assert found == pytest.approx({"A": 6e3, "B": 3e3})

    def test_nobody_starves_however_little_he_is_in_a_hurry(self) -> None:
        # B's 0.1 kW of urgency counts as a twentieth of what it can take.
        found = allocate([vehicle("A", energy(50e3)), vehicle("B", energy(1e3))], Aim(base_w=74.45e3, level_w=80e3))
        assert found == pytest.approx({"A": 5e3, "B": 550.0})

    def test_who_has_what_he_wants_rests_and_it_is_said(self) -> None:
        allocation = dispatcher().step([vehicle("A", energy())], (), OPEN, (), Aim(base_w=0.0, level_w=80e3), NOW_S)
        assert powers(allocation) == {"A": 0.0}
        assert allocation.grants[0].bound_by == "auto: target reached"
        assert allocation.grants[0].auto

    def test_above_the_level_vehicles_give_what_they_have_to_spare_in_proportion(self) -> None:
        found = allocate(
            [vehicle("A", energy(surplus_wh=20e3)), vehicle("B", energy(surplus_wh=10e3)), vehicle("C", energy(5e3))],
            Aim(base_w=86e3, level_w=80e3),
        )
        assert found == pytest.approx({"A": -4e3, "B": -2e3, "C": 0.0})

    def test_who_cannot_wait_charges_whatever_the_level_is(self) -> None:
        # 20 kWh at 11 kW take more than 2 h with losses; the vehicle leaves in 2 h.
        found = allocate(
            [vehicle("A", energy(20e3, surplus_wh=9e3, departs_in_h=2.0)), vehicle("B", energy(surplus_wh=30e3))],
            Aim(base_w=79e3, level_w=80e3),
        )
        # What it takes beyond the level, the other one gives.
        assert found == pytest.approx({"A": 11e3, "B": -10e3})

    def test_a_departure_that_is_only_assumed_hurries_nobody(self) -> None:
        found = allocate([vehicle("A", energy(20e3, departs_in_h=1.0, assumed=True))], Aim(base_w=79e3, level_w=80e3))
        assert found == pytest.approx({"A": 1e3})

    def test_with_an_unknown_base_load_limits_alone_bound_the_charge(self) -> None:
        assert allocate([vehicle("A", energy(20e3))], Aim(level_w=80e3)) == {"A": 11e3}

    def test_a_vehicle_that_says_nothing_of_its_energy_charges_and_gives_nothing(self) -> None:
        assert allocate([vehicle("A", None)], Aim(base_w=0.0, level_w=80e3)) == {"A": 11e3}
        assert allocate([vehicle("A", None)], Aim(base_w=90e3, level_w=80e3)) == {"A": 0.0}


class TestWithPlan:
    PLAN: Mapping[str, float] = {"A": 6e3, "B": 0.0, "C": -4e3}

    def three(self) -> list[Vehicle]:
        return [
            vehicle("A", energy(20e3)),
            vehicle("B", energy(10e3)),
            vehicle("C", energy(surplus_wh=20e3)),
        ]

    def test_what_is_planned_together_is_shared_by_plan_and_need(self) -> None:
        # A weighs its 6 kW of the plan, B the 1 kW of its need; the plan would have it wait for A.
        found = allocate(self.three(), Aim(base_w=70e3, level_w=72e3, power_w=self.PLAN))
        assert found == pytest.approx({"A": 6e3 * 6 / 7, "B": 6e3 / 7, "C": -4e3})

    def test_where_nobody_charges_by_the_plan_who_is_to_charge_later_is_told_so(self) -> None:
        aim = Aim(base_w=70e3, level_w=66e3, power_w={**self.PLAN, "A": 0.0})
        allocation = dispatcher().step(self.three(), (), OPEN, (), aim, NOW_S)
        assert [grant.bound_by for grant in allocation.grants[:2]] == ["later by the plan"] * 2

    def test_a_base_load_above_the_forecast_takes_from_charge_and_then_adds_to_discharge(self) -> None:
        by_2 = allocate(self.three(), Aim(base_w=72e3, level_w=72e3, power_w=self.PLAN))
        assert by_2 == pytest.approx({"A": 4e3 * 6 / 7, "B": 4e3 / 7, "C": -4e3})
        by_9 = allocate(self.three(), Aim(base_w=79e3, level_w=72e3, power_w=self.PLAN))
        assert by_9 == pytest.approx({"A": 0.0, "B": 0.0, "C": -7e3})

    def test_a_base_load_below_the_forecast_spares_discharge_and_then_adds_to_charge(self) -> None:
        by_3 = allocate(self.three(), Aim(base_w=67e3, level_w=72e3, power_w=self.PLAN))
        assert by_3 == pytest.approx({"A": 6e3 * 6 / 7, "B": 6e3 / 7, "C": -1e3})
        by_7 = allocate(self.three(), Aim(base_w=63e3, level_w=72e3, power_w=self.PLAN))
        assert sum(by_7.values()) == pytest.approx(9e3)
        assert by_7["C"] == 0.0
        assert by_7["B"] > 0.0

    def test_one_that_came_after_the_plan_gets_what_its_need_asks_for(self) -> None:
        # 10 kWh in 10 h: 1 kW, beside the plan of the others; the level is the plan's and knows nothing of it.
        found = allocate([*self.three(), vehicle("D", energy(10e3))], Aim(level_w=72e3, power_w=self.PLAN))
        assert found["D"] == pytest.approx(7e3 / 8)
        assert found["A"] + found["B"] + found["D"] == pytest.approx(7e3)


class TestMinimumPower:
    def test_one_whose_minimum_is_more_than_is_aimed_at_has_its_turn_all_the_same(self) -> None:
        # 2 kW below the level: B and C go on with them, A needs 4.1 kW.
        run = dispatcher(dwell_s=300.0)
        three = [
            vehicle("A", energy(20e3), min_charge_w=4.1e3),
            vehicle("B", energy(20e3), min_charge_w=1.4e3),
            vehicle("C", energy(20e3), min_charge_w=0.5e3),
        ]
        longest_s = dict.fromkeys("ABC", 0.0)
        below_s = dict.fromkeys("ABC", 0.0)
        most_w = 0.0
        for n in range(3600):
            aim = Aim(base_w=78e3, level_w=80e3)
            told = powers(run.step(three, (), OPEN, (), aim, NOW_S + 2.0 * n))
            most_w = max(most_w, sum(told.values()))
            for each in three:
                above = any(told[other.evse_id] > other.min_charge_w + 1.0 for other in three)
                waits = told[each.evse_id] < each.min_charge_w - 1.0 and above
                below_s[each.evse_id] = below_s[each.evse_id] + 2.0 if waits else 0.0
                longest_s[each.evse_id] = max(longest_s[each.evse_id], below_s[each.evse_id])
        assert max(longest_s.values()) < 900.0
        assert most_w <= 4.1e3 + 1.0


def test_one_that_cannot_give_so_little_is_not_kept_from_charging_for_it() -> None:
    # 1 kW of discharge is planned: A gives 4.1 kW at least, and needs 20 kWh.
    a = replace(vehicle("A", energy(20e3, surplus_wh=20e3)), min_discharge_w=4.1e3)
    found = allocate([a, vehicle("B", energy(10e3))], Aim(level_w=72e3, power_w={"A": -1e3, "B": 3e3}))
    assert found["A"] > 0.0


class TestTheUtility:
    def test_a_set_point_replaces_plan_and_level(self) -> None:
        found = allocate([vehicle("A", energy(20e3))], Aim(base_w=0.0, level_w=80e3, target_w=3e3))
        assert found == pytest.approx({"A": 3e3})

    def test_a_floor_above_zero_asks_for_charge_and_whoever_has_room_takes_it(self) -> None:
        site = (*OPEN, Bound(5e3, inf, "utility floor", inf))
        assert allocate([vehicle("A", energy())], Aim(base_w=90e3, level_w=80e3), site=site) == pytest.approx(
            {"A": 5e3}
        )

    def test_a_cap_below_zero_asks_for_discharge(self) -> None:
        site = (*OPEN, Bound(-inf, -5e3, "utility cap", inf))
        found = allocate(
            [vehicle("A", energy(surplus_wh=20e3)), vehicle("B", energy(10e3))],
            Aim(base_w=0.0, level_w=80e3),
            site=site,
        )
        assert found == pytest.approx({"A": -5e3, "B": 0.0})

    def test_a_floor_forces_nobody_who_cannot(self) -> None:
        site = (*OPEN, Bound(5e3, inf, "utility floor", inf))
        full = replace(energy(), room_wh=0.0)
        assert allocate([vehicle("A", full)], Aim(base_w=0.0, level_w=80e3), site=site) == {"A": 0.0}


class TestOrders:
    def test_an_order_takes_its_vehicles_out_of_auto(self) -> None:
        found = allocate(
            [vehicle("A", energy(20e3)), vehicle("B", energy(20e3))],
            Aim(base_w=0.0, level_w=80e3),
            [order_of(Mode.IDLE, evse_id="A")],
        )
        assert found == pytest.approx({"A": 0.0, "B": 11e3})

    def test_auto_for_one_evse_takes_it_out_of_an_order_for_all(self) -> None:
        found = allocate(
            [vehicle("A", energy(20e3)), vehicle("B", energy(20e3))],
            Aim(base_w=0.0, level_w=80e3),
            [order_of(Mode.IDLE), order_of(Mode.AUTO, evse_id="B", order_id=2)],
        )
        assert found == pytest.approx({"A": 0.0, "B": 11e3})

    def test_where_vehicles_rest_without_an_order_auto_can_be_ordered(self) -> None:
        resting = Aim(base_w=0.0, level_w=80e3, enabled=False)
        assert allocate([vehicle("A", energy(20e3))], resting) == {"A": 0.0}
        assert allocate([vehicle("A", energy(20e3))], resting, [order_of(Mode.AUTO)]) == {"A": 11e3}


class TestTurningRound:
    def test_a_vehicle_rests_between_charge_and_discharge(self) -> None:
        run = dispatcher(dwell_s=300.0)
        both = [vehicle("A", energy(1e3, surplus_wh=20e3))]

        def at(now_s: float, base_w: float) -> float:
            aim = Aim(base_w=base_w, level_w=80e3)
            return powers(run.step(both, (), OPEN, (), aim, now_s))["A"]

        assert at(NOW_S, 70e3) > 0.0
        assert at(NOW_S + 1.0, 90e3) == 0.0
        assert at(NOW_S + 299.0, 90e3) == 0.0
        assert at(NOW_S + 300.0, 90e3) < 0.0
        # A fall of the base load counts once it has lasted for a minute.
        assert at(NOW_S + 301.0, 70e3) < 0.0
        assert at(NOW_S + 361.0, 70e3) == 0.0
        assert at(NOW_S + 600.0, 70e3) == 0.0
        assert at(NOW_S + 601.0, 70e3) > 0.0

    def test_the_noise_of_the_base_load_moves_nobody(self) -> None:
        run = dispatcher()
        told = []
        for n in range(20):
            aim = Aim(base_w=70e3 + (-1) ** n * 400.0, level_w=80e3)
            told.append(powers(run.step([vehicle("A", energy(20e3))], (), OPEN, (), aim, NOW_S + n))["A"])
        assert len(set(told)) == 1

    def test_a_rise_of_the_base_load_counts_at_once_a_fall_when_it_has_lasted(self) -> None:
        run = dispatcher()

        def at(second: float, base_w: float) -> float:
            aim = Aim(base_w=base_w, level_w=80e3)
            return powers(run.step([vehicle("A", energy(20e3))], (), OPEN, (), aim, NOW_S + second))["A"]

        assert at(0.0, 70e3) == 10e3
        assert at(1.0, 76e3) == 4e3
        assert at(2.0, 70e3) == 4e3
        assert at(60.0, 70e3) == 4e3
        assert at(62.0, 70e3) == 10e3

    def test_noise_at_the_level_starts_and_stops_nobody_all_the_time(self) -> None:
        random, run = Random(1), dispatcher()
        was, starts = 0.0, 0
        for second in range(1800):
            aim = Aim(base_w=77e3 + random.gauss(0.0, 3e3), level_w=80e3)
            now = powers(run.step([vehicle("A", energy(20e3))], (), OPEN, (), aim, NOW_S + second))["A"]
            starts += now > 0.0 == was
            was = now
        assert starts <= 5


class TestWithOrders:
    def test_what_an_order_charges_is_not_charged_once_more_below_the_level(self) -> None:
        # 80 kW of level, 70 kW of base load: 10 kW, of which the order has 6 kW.
        run = dispatcher()
        both = [vehicle("A", energy(20e3)), vehicle("B", energy(20e3))]
        aim = Aim(base_w=70e3, level_w=80e3)
        for second in range(3):
            result = run.step(both, [order_of(Mode.CHARGE, 6e3, "A")], OPEN, (), aim, NOW_S + second)
        assert powers(result) == {"A": 6e3, "B": 4e3}

    def test_a_floor_of_the_utility_is_served_once(self) -> None:
        run = dispatcher()
        both = [vehicle("A", energy(20e3)), vehicle("B", energy(0.0))]
        aim = Aim(base_w=90e3, level_w=80e3)
        site = (*OPEN, Bound(8e3, inf, "utility floor", inf))
        for second in range(3):
            result = run.step(both, [order_of(Mode.CHARGE, 8e3, "A")], site, (), aim, NOW_S + second)
        assert powers(result) == {"A": 8e3, "B": 0.0}

    def test_a_set_point_counts_ordered_discharge_as_far_as_it_flows(self) -> None:
        run = dispatcher()
        given = order_of(Mode.DISCHARGE, 9e3, "A")
        aim = Aim(base_w=70e3, target_w=-10e3, target_source="utility by ops")
        for second, (flows_w, rest_w) in enumerate([(-9e3, -10e3), (-9e3, -1e3), (-2e3, -8e3)]):
            both = [replace(vehicle("A", energy(surplus_wh=20e3)), measured_w=flows_w), vehicle("B", energy(0.0, 20e3))]
            assert powers(run.step(both, [given], OPEN, (), aim, NOW_S + second)) == {"A": -9e3, "B": rest_w}


class TestWrongPlan:
    @pytest.mark.parametrize("planned_w", [nan, inf, -inf])
    def test_what_is_no_number_counts_as_not_planned(self, planned_w: float) -> None:
        aim = Aim(base_w=70e3, level_w=80e3, power_w={"A": planned_w, "B": 4e3})
        others = Aim(base_w=70e3, level_w=80e3, power_w={"B": 4e3})
        vehicles = [vehicle("A", energy(20e3)), vehicle("B", energy(20e3))]
        assert allocate(vehicles, aim) == allocate(vehicles, others)

    @pytest.mark.parametrize("no_number", [nan, inf, -inf])
    def test_a_level_that_is_no_number_leaves_the_plan_as_it_is(self, no_number: float) -> None:
        aim = Aim(base_w=70e3, level_w=no_number, power_w={"A": 4e3}, target_w=no_number)
        assert allocate([vehicle("A", energy(20e3))], aim) == {"A": 4e3}

    def test_what_a_vehicle_cannot_do_of_it_the_others_do(self) -> None:
        # Planned for 15 kW below 20 kW of headroom, A takes 5 kW at most; B has the other 15 kW, of its 11 kW.
        aim = Aim(base_w=60e3, level_w=80e3, power_w={"A": 15e3, "B": 5e3})
        vehicles = [vehicle("A", energy(20e3), limit_w=5e3), vehicle("B", energy(20e3))]
        assert allocate(vehicles, aim) == {"A": 5e3, "B": 11e3}

    def test_vehicles_that_have_left_count_for_nothing(self) -> None:
        aim = Aim(base_w=70e3, level_w=80e3, power_w={"A": 4e3, "gone": 60e3, "left": -60e3})
        assert allocate([vehicle("A", energy(20e3))], aim) == {"A": 10e3}

    def test_a_plan_of_nothing_does_not_keep_anybody_from_his_departure(self) -> None:
        aim = Aim(base_w=80e3, level_w=80e3, power_w={"A": 0.0})
        assert allocate([vehicle("A", energy(5e3, departs_in_h=0.6))], aim) == {"A": 11e3}


class TestDepartures:
    def test_one_that_cannot_wait_does_not_share_the_level_with_those_that_can(self) -> None:
        # 10 kW below the level for 19 that can wait, and 11 kW for the one that cannot.
        others = [vehicle(f"E{n:02}", energy(20e3)) for n in range(19)]
        found = allocate([vehicle("A", energy(5e3, departs_in_h=0.6)), *others], Aim(base_w=70e3, level_w=80e3))
        assert found["A"] == 11e3

    def test_who_rests_for_one_that_cannot_wait_is_told_so(self) -> None:
        both = [vehicle("A", energy(5e3, departs_in_h=0.6)), vehicle("B", energy(20e3))]
        result = dispatcher().step(both, (), OPEN, (), Aim(base_w=80e3, level_w=80e3), NOW_S)
        assert [grant.bound_by for grant in result.grants] == ["EVSE rating", "auto: others cannot wait"]

    def test_one_that_cannot_wait_goes_before_the_others_where_the_site_is_short(self) -> None:
        others = [vehicle(f"E{n:02}", energy(5e3)) for n in range(9)]
        site = (Bound(-20e3, 20e3, "thermal K", inf),)
        found = allocate([vehicle("A", energy(5e3, departs_in_h=0.6)), *others], Aim(), site=site)
        assert found["A"] == 11e3
        assert all(found[f"E{n:02}"] > 0.0 for n in range(9))

    def test_who_could_not_wait_goes_on_until_it_has_twice_the_slack(self) -> None:
        run = dispatcher()
        aim = Aim(base_w=80e3, level_w=80e3)

        def at(second: float, slack_s: float) -> float:
            # 2.475 kWh take a quarter of an hour with 11 kW and 0.9.
            has = replace(energy(2475.0), departs_at_s=NOW_S + second + 900.0 + slack_s)
            return powers(run.step([vehicle("A", has)], (), OPEN, (), aim, NOW_S + second))["A"]

        assert at(0.0, SLACK_S + 1.0) == 0.0
        assert at(1.0, SLACK_S - 1.0) == 11e3
        assert at(2.0, SLACK_S + 60.0) == 11e3
        assert at(3.0, 2.0 * SLACK_S + 1.0) == 0.0

    def test_all_begin_in_time_where_they_have_to_share_the_room_of_the_site(self) -> None:
        # 10 x 20 kWh take 11.1 h of 20 kW; one by one each has nearly 8 h to spare.
        vehicles = [vehicle(f"E{n}", energy(20e3, departs_in_h=10.0)) for n in range(10)]
        aim = Aim(base_w=80e3, level_w=80e3)
        scarce = (Bound(-20e3, 20e3, "thermal K", inf),)
        assert sum(allocate(vehicles, aim, site=scarce).values()) == pytest.approx(20e3)
        assert sum(allocate(vehicles, aim).values()) == 0.0

    def test_twenty_vehicles_have_what_they_want_by_the_morning(self) -> None:
        random, run = Random(5), dispatcher()
        soc = {f"E{n:02}": random.uniform(0.2, 0.6) for n in range(20)}
        leaves_s = {evse_id: NOW_S + random.uniform(9.0, 12.0) * HOUR_S for evse_id in soc}
        at_leave: dict[str, float] = {}
        now_s = NOW_S
        while len(at_leave) < 20:
            now_s += 60.0
            at_leave |= {e: soc[e] for e in soc if leaves_s[e] <= now_s and e not in at_leave}
            vehicles = [
                vehicle(e, replace(energy(max(0.0, 0.8 - soc[e]) * 60e3), departs_at_s=leaves_s[e]))
                for e in soc
                if e not in at_leave
            ]
            # The base load is above the level all night; the site could carry 60 kW more.
            site = (Bound(-60e3, 60e3, "thermal K", inf),)
            aim = Aim(base_w=90e3 + random.gauss(0.0, 1e3), level_w=80e3)
            for evse_id, power_w in powers(run.step(vehicles, (), site, (), aim, now_s)).items():
                soc[evse_id] += 0.93 * power_w / 60.0 / 60e3
        assert min(at_leave.values()) > 0.78
