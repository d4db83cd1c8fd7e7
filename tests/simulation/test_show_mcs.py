"""Megawatts: lorries at EVSEs of MCS, by order, in both directions and both control modes."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.soak

LORRY, PLANNER = "US*V2G*E1", "US*V2G*E2"
VEHICLES = ("mcs,v2g,soc=60,power=3MW", "mcs,v2g,soc=55,mode=scheduled")


@pytest.fixture(scope="module")
def depot(simulate: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Without a plan scheduled vehicles are offered all that they may have, and follow orders at once."""
    overlay = tmp_path_factory.mktemp("depot") / "no-plan.yaml"
    overlay.write_text("dispatch: {planning: {enabled: false}}\n")
    words = (word for vehicle in VEHICLES for word in ("--vehicle", vehicle))
    simulation = simulate(*words, "--overlay", str(overlay))
    simulation.wait_for("both lorries in the charge loop", simulation.charge_loops, 60.0)
    return simulation


def test_lorries_are_served_by_mcs_in_their_control_modes(depot: Any) -> None:
    served = dict(re.findall(r": SERVICE (\S+) / .* service=(\w+ mode=\w+)", depot.log("comms.log")))
    assert served == {LORRY: "MCS_BPT mode=DYNAMIC", PLANNER: "MCS_BPT mode=SCHEDULED"}
    assert [depot.evse(evse_id)["kind"] for evse_id in (LORRY, PLANNER)] == ["MCS", "MCS"]


def test_nearly_three_megawatts_flow_out_of_a_lorry_by_order(depot: Any, read_ac_w: Any, figures: Any) -> None:
    before = charge_of(depot, LORRY)
    printed = depot.dispatch("2.8MW")
    assert "discharge 2.800 MW granted" in printed, printed
    depot.wait_for("2.8 MW out", lambda: depot.steady(-2_800_000.0), 20.0)
    depot.wait_for("a good deal less in the lorry", lambda: charge_of(depot, LORRY) < before - 0.003, 20.0)
    out_w = read_ac_w(depot.inverter_ports()[0])
    figures.add("MCS: order of 2.8 MW, AC terminals by an independent Modbus client, MW", "2.8 ± 2 %", out_w / 1e6)
    assert out_w == pytest.approx(2_800_000.0, rel=0.02)
    assert depot.charger(LORRY).dc_a < -2_700.0
    status = depot.evse(LORRY)
    assert status["fault"] is None
    assert status["session"]["state"] == "discharging"


def test_beyond_its_limit_a_lorry_gives_what_it_can_and_the_shortfall_is_named(depot: Any) -> None:
    printed = depot.dispatch("5MW")
    found = re.search(r"discharge ([\d.]+) MW of 5\.000 MW granted", printed)
    assert found, printed
    assert 2.8 < float(found[1]) <= 3.0, "3 MW at its battery; the other one follows its plan, which is to charge"
    assert re.search(r"MW short at .*VEHICLE_LIMIT, bound by .*vehicle", printed), printed


def test_both_charge_by_order_and_rest(depot: Any) -> None:
    depot.dispatch("3.5MW", mode="charge")
    depot.wait_for("3.5 MW in", lambda: depot.steady(3_500_000.0), 20.0)
    assert depot.charger(PLANNER).ac_w > 400_000.0
    depot.command("v2g-control", "cancel", "--yes")
    depot.wait_for("rest", depot.no_power, 10.0)
    assert all(vehicle.sessions == 1 for vehicle in depot.vehicles())


def charge_of(depot: Any, evse_id: str) -> float:
    return float(next(vehicle.soc for vehicle in depot.vehicles() if vehicle.evse_id == evse_id))
