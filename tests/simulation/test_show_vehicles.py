"""Vehicles that differ: scheduled ones, one without a state of charge, one that lies, one that ignores its limits."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

pytestmark = pytest.mark.soak

DC_SCHEDULED, AC_SCHEDULED, LIAR, SILENT, WILD = (f"US*V2G*E{number}" for number in range(1, 6))
VEHICLES = (
    "dc,v2g,soc=40,mode=scheduled",
    "ac,v2g,soc=60,mode=scheduled,phases=3",
    "dc,v2g,soc=50,lie-soc=90,needs=station",
    "ac,v2g,soc=55,no-soc,departs=-1h,phases=1",
    "ac,ignore-limits,phases=1",
)


@pytest.fixture(scope="module")
def fleet(simulate: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Without a plan scheduled vehicles are offered all that they may have, and follow orders at once."""
    overlay = tmp_path_factory.mktemp("fleet") / "no-plan.yaml"
    overlay.write_text("dispatch: {planning: {enabled: false}}\n")
    simulation = simulate(*(word for vehicle in VEHICLES for word in ("--vehicle", vehicle)), "--overlay", str(overlay))
    simulation.wait_for("four vehicles in the charge loop", lambda: simulation.charge_loops(1, 2, 3, 4))
    return simulation


def told(fleet: Any, evse_id: str, code: str) -> list[str]:
    return [line for line in fleet.log("comms.log").splitlines() if f": {code} " in line and evse_id in line]


def test_each_is_served_as_it_asks(fleet: Any) -> None:
    modes = {
        evse_id: re.search(r"service=(\w+) mode=(\w+) needs=(\w+)", told(fleet, evse_id, "SERVICE")[-1])
        for evse_id in (DC_SCHEDULED, AC_SCHEDULED, LIAR, SILENT, WILD)
    }
    assert {evse_id: mode and mode.groups() for evse_id, mode in modes.items()} == {
        DC_SCHEDULED: ("DC_BPT", "SCHEDULED", "BY_EVCC"),
        AC_SCHEDULED: ("AC_BPT", "SCHEDULED", "BY_EVCC"),
        LIAR: ("DC_BPT", "DYNAMIC", "BY_SECC"),
        SILENT: ("AC_BPT", "DYNAMIC", "BY_EVCC"),
        WILD: ("AC", "DYNAMIC", "BY_EVCC"),
    }
    for evse_id in (DC_SCHEDULED, AC_SCHEDULED):
        assert told(fleet, evse_id, "SCHEDULE_OFFERED")


def test_one_that_ignores_its_limits_is_isolated(fleet: Any) -> None:
    fleet.wait_for(
        "its contactor open and why", lambda: "more than it was told" in str(fleet.evse(WILD)["fault"]), 20.0
    )
    fleet.wait_for("no power there", lambda: abs(fleet.charger(WILD).ac_w) < 100.0, 5.0)


def held_to_grants(fleet: Any) -> bool:
    return all(
        (granted_w := fleet.evse(evse_id)["setpoint_w"]) > 1_000.0
        and fleet.charger(evse_id).ac_w == pytest.approx(granted_w, rel=0.05)
        for evse_id in (DC_SCHEDULED, AC_SCHEDULED)
    )


def test_scheduled_vehicles_are_held_to_their_grants_in_either_mode(fleet: Any) -> None:
    for power, total_w in (("12kW", 12_000.0), ("6kW", 6_000.0)):
        fleet.dispatch(power, mode="charge")
        # The total alone is met on the way, too: power falls at once, and what is shared anew rises by its ramp.
        since_s: list[float] = []

        def held(total_w: float = total_w, since_s: list[float] = since_s) -> bool:
            if not (fleet.steady(total_w) and held_to_grants(fleet)):
                since_s.clear()
            else:
                since_s.append(time.monotonic())
            return bool(since_s) and since_s[-1] - since_s[0] >= 2.0

        fleet.wait_for(f"{power} by all for two seconds", held, 20.0)


def test_what_is_told_of_the_state_of_charge_is_what_the_daemon_knows(fleet: Any) -> None:
    session = {evse_id: fleet.evse(evse_id)["session"] for evse_id in (DC_SCHEDULED, LIAR, SILENT)}
    assert session[LIAR]["soc_pct"] == 90
    assert session[SILENT]["soc_pct"] is None
    assert 40 <= session[DC_SCHEDULED]["soc_pct"] <= 45
    true_pct = {vehicle.evse_id: vehicle.soc * 100.0 for vehicle in fleet.vehicles()}
    assert true_pct[LIAR] == pytest.approx(50.0, abs=3.0)
