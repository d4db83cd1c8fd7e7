"""What orders did not get: every watt is laid at one door, and the door is the right one."""

from __future__ import annotations

from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.allocation import order_of
from v2g.dispatch.claims import Claim, Service
from v2g.dispatch.inputs import Vehicle
from v2g.dispatch.orders import Mode, Shortfall
from v2g.dispatch.shortfalls import shortfalls_of


def service(mode: Mode, wanted_w: float, evse_id: str | None = None, order_id: int = 1) -> Service:
    order = order_of(mode, wanted_w, evse_id, order_id)
    return Service(order, {Mode.CHARGE: 1.0, Mode.DISCHARGE: -1.0}.get(mode, 0.0), wanted_w)


def add(
    to: Service, evse_id: str, own_w: float, target_w: float, *, reason: str | None = None, floor_w: float = 10.0
) -> None:
    vehicle = Vehicle(evse_id=evse_id, bounds=(), rated_charge_w=11e3, rated_discharge_w=11e3)
    to.claims.append(
        Claim(
            vehicle,
            to,
            max(own_w, 1e3),
            floor_w,
            "min-SoC 30 %",
            "vehicle minimum",
            1.0,
            target_w=target_w,
            own_w=own_w,
            reason=reason,
        )
    )


def told(found: tuple[Shortfall, ...]) -> list[tuple[str | None, float, str]]:
    return [(each.evse_id, round(each.missing_w, 3), each.source) for each in found]


def test_what_is_served_lacks_nothing() -> None:
    order = service(Mode.CHARGE, 10e3)
    add(order, "A", 5e3, 5e3)
    add(order, "B", 5e3, 5e3)
    assert shortfalls_of([order]) == ()


def test_what_one_vehicle_cannot_give_is_told_of_its_evse() -> None:
    order = service(Mode.DISCHARGE, 10e3)
    add(order, "A", 1e3, 1e3)
    add(order, "B", 6e3, 6e3)
    assert told(shortfalls_of([order])) == [("A", 3e3, "min-SoC 30 %")]


def test_what_a_limit_of_all_takes_is_told_once_and_of_no_evse() -> None:
    order = service(Mode.DISCHARGE, 10e3)
    add(order, "A", 5e3, 3e3, reason="thermal K")
    add(order, "B", 5e3, 3e3, reason="thermal K")
    (found,) = shortfalls_of([order])
    assert (found.evse_id, found.missing_w, found.source, found.code) == (None, 4e3, "thermal K", "REVERSE_FLOW_DENIED")


def test_own_limits_come_beside_those_of_all() -> None:
    order = service(Mode.CHARGE, 10e3)
    add(order, "A", 2e3, 2e3)
    add(order, "B", 6e3, 4e3, reason="thermal K")
    assert told(shortfalls_of([order])) == [(None, 2e3, "thermal K"), ("A", 2e3, "min-SoC 30 %")]


def test_a_floor_that_its_part_does_not_reach_is_the_reason() -> None:
    order = service(Mode.CHARGE, 900.0, "A")
    add(order, "A", 0.0, 0.0, floor_w=950.0)
    assert told(shortfalls_of([order])) == [("A", 900.0, "vehicle minimum")]


def test_a_refused_order_lacks_all_of_it_and_idle_lacks_nothing() -> None:
    refused, idle = service(Mode.CHARGE, 10e3, "A"), service(Mode.IDLE, 0.0, "B", 2)
    refused.refused = idle.refused = "no vehicle at A"
    (found,) = shortfalls_of([refused, idle])
    assert (found.order_id, found.evse_id, found.missing_w, found.code) == (1, "A", 10e3, "NO_VEHICLE")


def test_auto_has_no_order_that_could_lack_anything() -> None:
    auto = Service(None, 1.0, 50e3)
    add(auto, "A", 0.0, 0.0)
    assert shortfalls_of([auto]) == ()


powers = st.floats(0.0, 20e3)


@given(st.floats(1.0, 60e3), st.lists(st.tuples(powers, powers), min_size=1, max_size=6))
def test_the_parts_add_up_to_all_that_is_missing(wanted_w: float, shares: list[tuple[float, float]]) -> None:
    order = service(Mode.CHARGE, wanted_w)
    # As the allocation has them: own shares within the order, and no more of them in the end.
    scale = min(1.0, wanted_w / max(1e-9, fsum(own_w for own_w, _ in shares)))
    for number, (own_w, target_w) in enumerate(shares):
        add(order, f"E{number}", own_w * scale, min(own_w * scale, target_w), reason="thermal K")
    found = shortfalls_of([order])
    assert all(each.missing_w > 0.0 and each.source for each in found)
    assert fsum(each.missing_w for each in found) == pytest.approx(wanted_w - order.total_w(), abs=0.01)
