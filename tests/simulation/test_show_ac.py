"""Vehicles that invert by themselves, beside one at a DC EVSE: one order, single-phase load, faults."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.soak

DC, THREE_PHASE, SINGLE_PHASE = "US*V2G*E1", "US*V2G*E2", "US*V2G*E3"
NO_POWER_W = 100.0


@pytest.fixture(scope="module")
def trio(simulate: Any) -> Any:
    simulation = simulate("--vehicles", "1", "--ac-vehicles", "2")
    simulation.wait_for("all three vehicles in the charge loop", simulation.charge_loops)
    return simulation


def powers(trio: Any) -> dict[str, float]:
    return {evse_id: charger.ac_w for evse_id, charger in trio.measure().chargers.items()}


def all_give(trio: Any) -> bool:
    return trio.steady(-9_000.0) and all(power_w < -1_000.0 for power_w in powers(trio).values())


def test_one_order_is_shared_by_both_kinds_and_a_single_phase_vehicle_loads_its_phase(trio: Any) -> None:
    trio.dispatch("10kW")
    trio.wait_for("-10 kW", lambda: trio.steady(-10_000.0), 10.0)
    shares = powers(trio)
    assert all(power_w < -1_000.0 for power_w in shares.values()), shares
    told = {evse["evse_id"]: evse["setpoint_w"] for evse in trio.status()["evses"]}
    assert shares == pytest.approx(told, rel=0.05)
    a, b, c = trio.status()["guard"]["feeder_a"]
    assert b - a == pytest.approx(-shares[SINGLE_PHASE] / 277.0, rel=0.1)
    assert a == pytest.approx(c, abs=0.5)
    trio.dispatch("9kW", mode="charge")
    trio.wait_for("+9 kW", lambda: trio.steady(9_000.0), 10.0)


@pytest.mark.parametrize(
    ("fault", "fields", "within_s"),
    [
        ("pilot", {"high_v": 0.0}, 2.0),
        ("overdraw", {"power_w": 11_000.0}, 3.0),
        ("evse_trip", {}, 2.0),
    ],
    ids=["pilot E", "overdraw", "emergency stop"],
)
def test_a_fault_ends_the_power_of_its_evse_only_and_its_vehicle_comes_back(
    trio: Any, fault: str, fields: dict[str, Any], within_s: float
) -> None:
    trio.dispatch("9kW")
    trio.wait_for("-9 kW by all three", lambda: all_give(trio), 30.0)
    trio.fault(fault, evse_id=THREE_PHASE, **fields)
    trio.wait_for("its contactor open", lambda: not trio.charger(THREE_PHASE).contactors_closed, within_s)
    assert abs(trio.charger(THREE_PHASE).ac_w) < NO_POWER_W
    trio.wait_for("the others give what it does not", lambda: powers(trio)[DC] < -4_000.0, 10.0)
    trio.clear()
    if fault == "overdraw":
        trio.wait_for("the session ended", lambda: trio.evse(THREE_PHASE)["fault"], 5.0)
        trio.ask(do="unplug", evse_id=THREE_PHASE)
    trio.wait_for("-9 kW by all three again", lambda: all_give(trio), 40.0)


def test_a_welded_contactor_is_told_and_no_power_flows_through_it(trio: Any) -> None:
    trio.dispatch("9kW")
    trio.wait_for("-9 kW by all three", lambda: all_give(trio), 30.0)
    trio.fault("contactor", evse_id=THREE_PHASE, state="closed")
    trio.fault("pilot", evse_id=THREE_PHASE, high_v=0.0)
    trio.wait_for("no power there", lambda: abs(trio.charger(THREE_PHASE).ac_w) < NO_POWER_W, 5.0)
    assert trio.charger(THREE_PHASE).contactors_closed
    assert trio.evse(THREE_PHASE)["fault"]
    trio.clear()
