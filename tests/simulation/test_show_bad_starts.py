"""EVSEs that are broken before a vehicle comes: no energy there, a reason for each attempt; the healthy one serves."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

LEAKING, OPEN, OFF_VOLTAGE, WELL, OFFLINE = (f"US*V2G*E{number}" for number in range(1, 6))
NO_CABLE_CHECK = "(cable check failed|EVSE fault at cable check|EVSE fault at parameter discovery)"
"""By whichever the protocol's side learns of it first: the result of the check, or the state of the EVSE."""
REASONS = {
    LEAKING: rf"{NO_CABLE_CHECK}: insulation fault: 10000 ohm",
    OPEN: rf"{NO_CABLE_CHECK}: .*contactor",
    OFF_VOLTAGE: r"pre-charge not reached: \d+ V of \d+ V",
}


@pytest.fixture(scope="module")
def site(simulate: Any, tmp_path_factory: Any) -> Any:
    scenario: Path = tmp_path_factory.mktemp("scenario") / "scenario.yaml"
    scenario.write_text(
        f"- {{at: 0, fault: insulation, evse_id: {LEAKING}, ohm: 10000}}\n"
        f"- {{at: 0, fault: contactor, evse_id: {OPEN}, state: open}}\n"
        f"- {{at: 0, fault: precharge, evse_id: {OFF_VOLTAGE}, gain: 0.85}}\n"
        f"- {{at: 0, fault: disconnect, device: dc {OFFLINE}}}\n"
    )
    # On a powerline nobody would be matched where the pilot cannot be read, and none of this would be reached.
    simulation = simulate("--vehicles", "5", "--scenario", str(scenario))
    simulation.wait_for("the healthy one is in its charge loop", lambda: simulation.charge_loops(4), 40.0)
    simulation.dispatch("8kW")
    simulation.wait_for("the healthy one discharges", lambda: well(simulation), 10.0)
    for evse_id in REASONS:
        simulation.wait_for(
            f"an end of a session at {evse_id}", lambda evse_id=evse_id: ends(simulation, evse_id), 30.0
        )
    return simulation


def well(site: Any) -> bool:
    return abs(site.charger(WELL).ac_w + 8_000.0) <= 160.0


def ends(site: Any, evse_id: str) -> list[str]:
    """The lines that end a session at this EVSE."""
    return [line for line in site.log("comms.log").splitlines() if evse_id in line and "lasted_s=" in line]


@pytest.mark.parametrize("evse_id", REASONS)
def test_the_first_attempt_ends_with_its_reason_and_response_code(site: Any, evse_id: str) -> None:
    first = ends(site, evse_id)[0]
    assert " ERROR: " in first
    assert re.search(REASONS[evse_id], first), first
    assert re.search(r"response_code=FAILED\w*", first), first


def test_no_energy_flows_and_no_vehicle_closes_onto_a_wrong_voltage(site: Any) -> None:
    before = site.measure().chargers
    time.sleep(4.0)
    after = site.measure().chargers
    for evse_id in (*REASONS, OFFLINE):
        charger = after[evse_id]
        assert (charger.exported_wh, charger.imported_wh) == (0.0, 0.0), evse_id
        assert charger.last_power_at_s is None
        assert not charger.vehicle_contactor_closed
        assert charger.inrush_events == 0
    for chargers in (before, after):
        assert chargers[WELL].ac_w == pytest.approx(-8_000.0, rel=0.02)


@pytest.mark.parametrize("evse_id", REASONS)
def test_every_further_attempt_is_refused_for_the_same_reason(site: Any, evse_id: str) -> None:
    site.wait_for("a second attempt", lambda: len(ends(site, evse_id)) > 1, 30.0)
    for line in ends(site, evse_id)[1:]:
        assert re.search(REASONS[evse_id], line), line


def test_an_evse_whose_output_stage_cannot_be_reached_refuses_authorisation(site: Any) -> None:
    pattern = rf" ERROR: AUTHORIZATION_REFUSED {re.escape(OFFLINE)} .*no reading from the DC output stage"
    site.wait_for("the refusal", lambda: re.search(pattern, site.log("comms.log")), 20.0)
    told = site.command("v2g-tool", "status").stdout.partition("PROBLEMS")[2]
    assert f"DC output {OFFLINE} at 127.0.0.1" in told, told


def test_repaired_evses_serve_and_the_cable_is_tested_again(site: Any) -> None:
    site.clear()
    site.wait_for("all five in the charge loop", site.charge_loops, 40.0)
