"""Who serves which order, with what of its power, and what no vehicle can be claimed for."""

from __future__ import annotations

from math import inf, nan

import pytest

from support.allocation import energy_with
from v2g.dispatch.claims import LEAST_W, claim_of, doubts_of, services_of
from v2g.dispatch.constraints import Bound, Intersection
from v2g.dispatch.energy import Energy
from v2g.dispatch.inputs import Group, Vehicle
from v2g.dispatch.orders import Mode, Order

NOW_S = 100.0


def energy(needed_wh: float = 0.0, surplus_wh: float = 0.0) -> Energy:
    return energy_with(needed_wh=needed_wh, room_wh=needed_wh, surplus_wh=surplus_wh, departs_at_s=NOW_S + 3600.0)


def vehicle(evse_id: str, has: Energy | None = None, *, least_w: float = 0.0, lo_w: float = -8e3) -> Vehicle:
    return Vehicle(
        evse_id=evse_id,
        bounds=(Bound(lo_w, 11e3, "EVSE rating", inf),),
        rated_charge_w=11e3,
        rated_discharge_w=11e3,
        energy=has,
        min_charge_w=least_w,
        min_discharge_w=least_w,
    )


def order(
    mode: Mode, evse_id: str | None = None, order_id: int = 1, power_w: float = 5e3, begins_at_s: float = 0.0
) -> Order:
    return Order(
        id=order_id,
        mode=mode,
        power_w=power_w,
        evse_id=evse_id,
        created_at_s=0.0,
        begins_at_s=begins_at_s,
        expires_at_s=1000.0,
        by="ann",
    )


def served(orders: list[Order], *names: str) -> dict[int, list[str]]:
    services = services_of(orders, [vehicle(name) for name in names], NOW_S)
    return {s.order.id: [claim.evse_id for claim in s.claims] for s in services.orders if s.order is not None}


def test_an_order_of_one_evse_comes_before_one_of_the_site_whichever_is_newer() -> None:
    orders = [order(Mode.DISCHARGE, "A", 1), order(Mode.CHARGE, None, 2)]
    assert served(orders, "A", "B", "C") == {1: ["A"], 2: ["B", "C"]}


def test_of_one_target_the_one_that_began_last_is_served() -> None:
    scheduled = order(Mode.IDLE, "A", 1, begins_at_s=NOW_S)
    assert served([scheduled, order(Mode.CHARGE, "A", 2)], "A") == {1: ["A"]}
    assert served([order(Mode.CHARGE, "A", 3, begins_at_s=NOW_S + 1.0)], "A") == {}


def test_auto_frees_its_vehicles_and_says_that_it_was_ordered() -> None:
    services = services_of([order(Mode.CHARGE), order(Mode.AUTO, "B", 2)], [vehicle("A"), vehicle("B")], NOW_S)
    assert [claim.evse_id for claim in services.orders[0].claims] == ["A"]
    assert [each.evse_id for each, _ in services.free] == ["B"]
    assert services.auto == {"B"}
    whole = services_of([order(Mode.AUTO)], [vehicle("A")], NOW_S)
    assert (whole.orders, whole.auto) == ([], {"A"})


def test_an_order_without_a_vehicle_is_refused_in_words() -> None:
    words = [
        service.refused
        for orders, names in (([order(Mode.CHARGE, "Z")], "A"), ([order(Mode.CHARGE)], ""))
        for service in services_of(orders, [vehicle(name) for name in names], NOW_S).orders
    ]
    assert words == ["no vehicle at Z", "no vehicle connected"]


@pytest.mark.parametrize("power_w", [nan, inf, -1.0])
def test_an_order_that_is_no_magnitude_is_refused(power_w: float) -> None:
    (service,) = services_of([order(Mode.CHARGE, power_w=power_w)], [vehicle("A")], NOW_S).orders
    assert service.refused == f"order with a power of {power_w} W"


def test_a_shared_charge_weighs_by_urgency_a_discharge_by_what_is_to_spare() -> None:
    vehicles = [vehicle("A", energy(9e3, 4e3)), vehicle("B", energy(3e3, 12e3)), vehicle("C", energy())]
    (charge,) = services_of([order(Mode.CHARGE)], vehicles, NOW_S).orders
    # 9 and 3 kWh in an hour; whoever needs nothing weighs a twentieth of its rating.
    assert [claim.weight for claim in charge.claims] == [9e3, 3e3, 550.0]
    (discharge,) = services_of([order(Mode.DISCHARGE)], vehicles, NOW_S).orders
    assert [claim.weight for claim in discharge.claims] == [4e3, 12e3, 8e3]


class TestClaim:
    def test_its_cap_and_floor_are_those_of_its_direction(self) -> None:
        service = services_of([order(Mode.DISCHARGE)], [vehicle("A")], NOW_S).orders[0]
        claim = claim_of(vehicle("A"), service, Intersection(-8e3, -2e3, "min-SoC", "utility"), None)
        assert (claim.cap_w, claim.source, claim.floor_w, claim.floor_source) == (8e3, "min-SoC", 2e3, "utility")

    def test_the_higher_of_minimum_and_bound_is_its_floor(self) -> None:
        service = services_of([order(Mode.CHARGE)], [vehicle("A")], NOW_S).orders[0]
        claim = claim_of(vehicle("A", least_w=4140.0), service, Intersection(1e3, 9e3, "a", "b"), None)
        assert (claim.floor_w, claim.floor_source, claim.minimum_w) == (4140.0, "vehicle minimum of 4140 W", 4140.0)

    def test_without_a_floor_it_takes_any_power_that_is_one(self) -> None:
        service = services_of([order(Mode.CHARGE)], [vehicle("A")], NOW_S).orders[0]
        claim = claim_of(vehicle("A"), service, Intersection(-8e3, 9e3, "a", "b"), None)
        assert (claim.floor_w, claim.minimum_w) == (LEAST_W, 0.0)

    def test_an_end_that_nobody_states_is_zero(self) -> None:
        service = services_of([order(Mode.CHARGE)], [vehicle("A")], NOW_S).orders[0]
        claim = claim_of(vehicle("A"), service, Intersection(-8e3, inf, "a", "b"), None)
        assert (claim.cap_w, claim.source) == (0.0, "no limit known")


def test_doubts_name_what_cannot_be() -> None:
    group = Group(name="phase a", bounds=(), shares={"A": nan, "B": 1.0, "C": 0.0})
    vehicles = [vehicle(name) for name in ("A", "B", "C", "D", "D")]
    assert doubts_of(vehicles, [group]) == {
        "A": "EVSE's share of nan in phase a cannot be",
        "D": "contradiction: two vehicles at D",
    }
