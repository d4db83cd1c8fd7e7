"""What a plan is asked: vehicles by what is believed of them, orders, the utility and prices by step."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from support.plan_cases import params_of
from v2g.config.schema_dispatch import Planning
from v2g.dispatch.energy import Energy
from v2g.dispatch.orders import Mode, Order
from v2g.orchestrator.plan_request import PlanInputs, Plugged, plan_request, steps_of
from v2g.planning.planner import solve
from v2g.planning.types import PlanRequest
from v2g.thermal.day_ahead import DayAhead, Outlook
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import steady_state
from v2g.utility.signals import PriceSeries

NOW_S, NOW_UNIX_S = 5_000.0, 1_767_200_400.0
STEPS = 96


def energy(**changes: Any) -> Energy:
    fields: dict[str, Any] = {
        "needed_wh": 18_000.0, "room_wh": 30_000.0, "surplus_wh": 12_000.0, "departs_at_s": NOW_S + 50_400.0,
        "departure_assumed": False, "floor_pct": 30.0, "soc_pct": 50.0, "capacity_wh": 60_000.0,
        "capacity_assumed": False,
    }  # fmt: skip
    return Energy(**(fields | changes))


def plugged(evse_id: str = "E1", max_charge_w: float = 11_000.0, **changes: Any) -> Plugged:
    return Plugged(evse_id=evse_id, energy=energy(**changes), max_charge_w=max_charge_w, max_discharge_w=10_000.0)


def outlook(steps: int = STEPS) -> Outlook:
    ahead = DayAhead(
        base_w=(80e3,) * steps, base_margin_w=(8e3,) * steps, base_var=(10e3,) * steps, ambient_c=(20.0,) * steps,
        ambient_margin_k=(0.0, 4.0) * (steps // 2),
    )  # fmt: skip
    return Outlook(
        state=steady_state(params_of(), 0.4, 20.0), params=params_of(),
        limits=ThermalLimits(hot_spot_c=118.0, top_oil_c=104.0, k_pu=1.4), bias_k=0.5, margin_k=1.0,
        upgraded_paper=True, ahead=ahead,
    )  # fmt: skip


def made(*vehicles: Plugged, **changes: Any) -> PlanRequest:
    fields: dict[str, Any] = {
        "now_s": NOW_S, "now_unix_s": NOW_UNIX_S, "settings": Planning(deadline_s=30.0), "vehicles": vehicles,
        "outlook": outlook(), "lo_w": -50e3, "hi_w": 60e3,
    }  # fmt: skip
    return plan_request(PlanInputs(**(fields | changes)))


def order(mode: Mode, power_w: float, evse_id: str | None = None, left_s: float = 1800.0, number: int = 1) -> Order:
    return Order(
        id=number, mode=mode, power_w=power_w, evse_id=evse_id, created_at_s=NOW_S - 100.0 + number,
        expires_at_s=NOW_S + left_s, by="anna",
    )  # fmt: skip


def test_a_vehicle_with_a_state_of_charge_has_energies_of_its_battery() -> None:
    (one,) = made(plugged()).vehicles
    assert (one.energy_wh, one.floor_wh, one.target_wh, one.ceiling_wh) == (30e3, 18e3, 48e3, 60e3)
    assert (one.capacity_wh, one.departs_in_s, one.max_discharge_w) == (60e3, 50_400.0, 10e3)


def test_a_surplus_that_is_not_believed_keeps_what_is_held() -> None:
    (one,) = made(plugged(surplus_wh=0.0)).vehicles
    assert one.floor_wh == 30e3


def test_below_its_floor_the_floor_stays_where_it_is() -> None:
    (one,) = made(plugged(soc_pct=10.0, surplus_wh=0.0)).vehicles
    assert (one.energy_wh, one.floor_wh) == (6e3, 18e3)


def test_without_a_state_of_charge_energies_count_from_now() -> None:
    (one,) = made(plugged(soc_pct=None, surplus_wh=2_000.0)).vehicles
    assert (one.energy_wh, one.floor_wh, one.target_wh, one.capacity_wh) == (0.0, -2e3, 18e3, None)


def test_a_figure_that_is_no_number_leaves_its_vehicle_out() -> None:
    asked = made(plugged("E1", needed_wh=nan), plugged("E2"), plugged("E3", max_charge_w=inf))
    assert [vehicle.evse_id for vehicle in asked.vehicles] == ["E2"]


def test_the_transformer_comes_with_margins_and_limits_and_the_process_with_less_than_its_deadline() -> None:
    asked = made()
    site = asked.site
    assert site.margin_k == pytest.approx(3.0), "the model's and the mean of the ambient's"
    assert (site.hot_spot_limit_c, site.top_oil_limit_c, site.k_limit_pu) == (118.0, 104.0, 1.4)
    assert (site.bias_k, site.upgraded_paper, site.base_w[0]) == (0.5, True, 80e3)
    assert (asked.starts_unix_s, asked.steps, asked.deadline_s) == (NOW_UNIX_S, STEPS, 24.0)


@pytest.mark.parametrize(
    ("departs_in_s", "steps"), [(3_600.0, 96), (30 * 3600.0, 120), (30 * 3600.0 + 1.0, 121), (1e9, 288), (inf, 96)]
)
def test_the_horizon_reaches_to_the_last_departure_within_24_to_72_h(departs_in_s: float, steps: int) -> None:
    assert steps_of([plugged(departs_at_s=NOW_S + departs_in_s)], Planning(), NOW_S) == steps
    assert steps_of([], Planning(horizon_h=36.0), NOW_S) == 144


def test_the_utility_s_floors_and_caps_hold_within_the_ratings_and_contradictory_ones_mean_no_power() -> None:
    free = (-inf, inf)
    site = made(utility=(free, (-inf, 20e3), (-5e3, 90e3), (5e3, 6e3), (8e3, 6e3), *(free,) * (STEPS - 5))).site
    assert site.lo_w[:6] == (-50e3, -50e3, -5e3, 5e3, 0.0, -50e3)
    assert site.hi_w[:6] == (60e3, 20e3, 60e3, 6e3, 0.0, 60e3)


def test_an_order_of_one_evse_comes_before_one_of_all_and_ends_within_a_step() -> None:
    orders = (order(Mode.DISCHARGE, 4_000.0, "E1", 1350.0, 1), order(Mode.CHARGE, 11_000.0, None, 900.0, 2))
    one, other = made(plugged("E1"), plugged("E2"), orders=orders).vehicles
    assert one.limit_w[0] == (-4_000.0, -4_000.0)
    assert one.limit_w[1] == (pytest.approx(-7_000.0), pytest.approx(3_500.0))
    assert one.limit_w[2] == (-10_000.0, 11_000.0)
    assert other.limit_w[0] == (5_500.0, 5_500.0), "shared by what each can take"
    assert other.limit_w[1] == (-10_000.0, 11_000.0)


def test_idle_is_an_order_too_and_more_than_a_vehicle_can_is_what_it_can() -> None:
    orders = (order(Mode.IDLE, 0.0, "E1"), order(Mode.CHARGE, 99e3, "E2"))
    one, other, free = made(plugged("E1"), plugged("E2"), plugged("E3"), orders=orders).vehicles
    assert one.limit_w[0] == (0.0, 0.0)
    assert other.limit_w[0] == (11_000.0, 11_000.0)
    assert free.limit_w == ()


def test_an_expired_order_is_gone() -> None:
    (one,) = made(plugged("E1"), orders=(order(Mode.IDLE, 0.0, "E1", left_s=0.0),)).vehicles
    assert one.limit_w == ()


def test_prices_are_means_over_the_steps_and_unknown_hours_neither_cheap_nor_dear() -> None:
    hourly = PriceSeries(starts_unix_s=NOW_UNIX_S - 450.0, step_s=900.0, values=(0.2, 0.4, None, 0.1), unit="EUR/kWh")
    price = made(prices=hourly).site.price
    assert len(price) == STEPS
    assert price[:4] == (pytest.approx(0.3), pytest.approx(0.4), pytest.approx(0.1), pytest.approx(0.1))
    assert price[4] == pytest.approx((0.3 + 0.4 + 0.1 + 0.1) / 4)


@pytest.mark.parametrize("values", [(), (None, None), (nan,)])
def test_without_a_price_there_is_no_price(values: tuple[float | None, ...]) -> None:
    series = PriceSeries(starts_unix_s=NOW_UNIX_S, step_s=3600.0, values=values, unit="EUR/kWh")
    assert made(prices=series).site.price == ()
    assert made().site.price == ()


def test_the_request_can_be_solved_as_it_is() -> None:
    asked = made(plugged("E1"), plugged("E2", soc_pct=None), orders=(order(Mode.DISCHARGE, 4_000.0),))
    plan = solve(asked, lambda: 0.0)
    assert plan.problem == ""
    assert plan.vehicles[0].unserved_wh < 60.0


def test_where_vehicles_rest_without_an_order_the_plan_has_them_rest_but_for_orders_and_auto() -> None:
    ever = {"created_at_s": -inf, "begins_at_s": -inf, "expires_at_s": inf}
    resting = Order(id=0, mode=Mode.IDLE, power_w=0.0, evse_id=None, by="dispatch.default_mode", **ever)
    orders = (resting, order(Mode.CHARGE, 5_000.0, "E2", 900.0, 1), order(Mode.AUTO, 0.0, "E3", 900.0, 2))
    one, other, auto = made(plugged("E1"), plugged("E2"), plugged("E3"), orders=orders).vehicles
    assert one.limit_w == ((0.0, 0.0),) * STEPS
    assert other.limit_w[:2] == ((5_000.0, 5_000.0), (0.0, 0.0))
    assert auto.limit_w[:2] == ((-10_000.0, 11_000.0), (0.0, 0.0))
