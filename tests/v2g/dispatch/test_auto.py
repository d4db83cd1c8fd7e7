"""Vehicles without an order: who charges, who discharges, and what for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import pytest

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
    return Energy(
        needed_wh=needed_wh,
        room_wh=needed_wh + 20e3,
        surplus_wh=surplus_wh,
        departs_at_s=NOW_S + departs_in_h * HOUR_S,
        departure_assumed=assumed,
        floor_pct=30.0,
        soc_pct=50.0,
        capacity_wh=60e3,
        capacity_assumed=False,
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


def order(mode: Mode, power_w: float = 0.0, evse_id: str | None = None) -> Order:
    return Order(id=1, mode=mode, power_w=power_w, evse_id=evse_id, created_at_s=0.0, expires_at_s=inf, by="ann")


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

    def test_each_does_what_the_plan_says_while_the_base_load_is_as_forecast(self) -> None:
        found = allocate(self.three(), Aim(base_w=70e3, level_w=72e3, power_w=self.PLAN))
        assert found == pytest.approx(dict(self.PLAN))

    def test_who_is_to_charge_later_is_told_so(self) -> None:
        aim = Aim(base_w=70e3, level_w=72e3, power_w=self.PLAN)
        allocation = dispatcher().step(self.three(), (), OPEN, (), aim, NOW_S)
        assert allocation.grants[1].bound_by == "later by the plan"

    def test_a_base_load_above_the_forecast_takes_from_charge_and_then_adds_to_discharge(self) -> None:
        by_2 = allocate(self.three(), Aim(base_w=72e3, level_w=72e3, power_w=self.PLAN))
        assert by_2 == pytest.approx({"A": 4e3, "B": 0.0, "C": -4e3})
        by_9 = allocate(self.three(), Aim(base_w=79e3, level_w=72e3, power_w=self.PLAN))
        assert by_9 == pytest.approx({"A": 0.0, "B": 0.0, "C": -7e3})

    def test_a_base_load_below_the_forecast_spares_discharge_and_then_adds_to_charge(self) -> None:
        by_3 = allocate(self.three(), Aim(base_w=67e3, level_w=72e3, power_w=self.PLAN))
        assert by_3 == pytest.approx({"A": 6e3, "B": 0.0, "C": -1e3})
        by_7 = allocate(self.three(), Aim(base_w=63e3, level_w=72e3, power_w=self.PLAN))
        assert sum(by_7.values()) == pytest.approx(9e3)
        assert by_7["C"] == 0.0
        assert by_7["B"] > 0.0

    def test_one_that_came_after_the_plan_gets_what_its_need_asks_for(self) -> None:
        # 10 kWh in 10 h: 1 kW, beside the plan of the others; the level is the plan's and knows nothing of it.
        found = allocate([*self.three(), vehicle("D", energy(10e3))], Aim(level_w=72e3, power_w=self.PLAN))
        assert found == pytest.approx({**self.PLAN, "D": 1e3})


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
            [order(Mode.IDLE, evse_id="A")],
        )
        assert found == pytest.approx({"A": 0.0, "B": 11e3})

    def test_auto_for_one_evse_takes_it_out_of_an_order_for_all(self) -> None:
        found = allocate(
            [vehicle("A", energy(20e3)), vehicle("B", energy(20e3))],
            Aim(base_w=0.0, level_w=80e3),
            [order(Mode.IDLE), replace(order(Mode.AUTO, evse_id="B"), id=2)],
        )
        assert found == pytest.approx({"A": 0.0, "B": 11e3})

    def test_where_vehicles_rest_without_an_order_auto_can_be_ordered(self) -> None:
        resting = Aim(base_w=0.0, level_w=80e3, enabled=False)
        assert allocate([vehicle("A", energy(20e3))], resting) == {"A": 0.0}
        assert allocate([vehicle("A", energy(20e3))], resting, [order(Mode.AUTO)]) == {"A": 11e3}


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
        assert at(NOW_S + 301.0, 70e3) == 0.0
        assert at(NOW_S + 601.0, 70e3) > 0.0

    def test_the_noise_of_the_base_load_moves_nobody(self) -> None:
        run = dispatcher()
        told = []
        for n in range(20):
            aim = Aim(base_w=70e3 + (-1) ** n * 400.0, level_w=80e3)
            told.append(powers(run.step([vehicle("A", energy(20e3))], (), OPEN, (), aim, NOW_S + n))["A"])
        assert len(set(told)) == 1
