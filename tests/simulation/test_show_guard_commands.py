"""What people do with the guard, for real: calibrate, test the relay, withdraw the permit, adjust; and wrong wiring."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.soak

E1 = "US*V2G*E1"
ANNA = ("--acknowledge", "Anna Kranz")


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    running = simulate("--vehicles", "2")
    running.wait_for("both vehicles in the charge loop", running.charge_loops)
    return running


@pytest.fixture(autouse=True)
def healthy(site: Any) -> Iterator[None]:
    yield
    site.clear()
    site.command("v2g-control", "cancel", "--yes")
    time.sleep(0.5)
    site.command("v2g-control", "trip", "reset", "--yes")
    site.command("v2g-control", "permit", "on", "--yes")
    site.wait_for("energy may flow", site.charge_loops, 20.0)
    # The inverters enter service after a delay of their own.
    site.wait_for("all inverters", lambda: all(c.connected for c in site.measure().chargers.values()), 20.0)
    time.sleep(1.0)


def tool(site: Any, *words: str, timeout_s: float = 60.0) -> dict[str, Any]:
    answer = site.command("v2g-tool", *words, "--json", timeout_s=timeout_s)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("evse", [(), (E1,)])
def test_a_seven_degree_offset_is_calibrated_away(site: Any, figures: Any, evse: tuple[str, ...]) -> None:
    where = {"evse_id": evse[0]} if evse else {}
    site.fault("phase_offset", degrees=7, **where)
    time.sleep(0.2)
    result = tool(site, "--calibrate-pll", *ANNA, *(("--evse", evse[0]) if evse else ()))
    assert result["measured_deg"] == pytest.approx([7.0] * 3, abs=0.1)
    for left_deg in result["residual_deg"]:
        figures.add("calibrated offset of 7 degrees: left, degrees", "0.5", abs(left_deg))
        assert abs(left_deg) < 0.5
    assert site.measure().breaker.closed
    site.clear()
    time.sleep(0.2)
    assert tool(site, "--calibrate-pll", *ANNA, *(("--evse", evse[0]) if evse else ()))["offset_deg"] == pytest.approx(
        [0.0] * 3, abs=0.1
    )


def test_nothing_is_calibrated_while_power_flows(site: Any) -> None:
    site.dispatch("6kW")
    site.wait_for("-6 kW", lambda: site.steady(-6_000.0), 90.0)
    refused = site.command("v2g-tool", "--calibrate-pll", *ANNA)
    assert refused.returncode == 1
    # Which of the two measurements speaks first depends on whose reading is the fresher one.
    assert re.search(r"power flows (at US\*V2G\*E\d|on the V2G feeder): discharge", refused.stderr)
    assert "end it first: v2g-control dispatch --mode=idle" in refused.stderr


def test_swapped_phases_open_the_breaker_and_are_named(site: Any, figures: Any) -> None:
    site.fault("phase_swap", phases=["b", "c"])
    site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 3.0)
    measured = site.measure()
    figures.add(
        "swapped phases: breaker contact open, s", "", measured.breaker.changed_at_s - measured.grid.last_event_at_s
    )
    status = site.wait_for("the trip", lambda: site.status() if site.status()["guard"]["trip"] else None, 3.0)
    assert status["guard"]["trip"] == "Phase Mismatch"
    told = [line for line in site.log("power_quality.log").splitlines() if "Phase Mismatch" in line]
    assert any("phases b and c" in line for line in told), told


def test_a_relay_test_is_watched_and_recorded(site: Any) -> None:
    push = threading.Timer(2.0, site.fault, ("relay_test",), {"for_s": 15.0})
    push.start()
    result = tool(site, "--test-relay", *ANNA, "--yes", "--note", "button")
    push.join()
    assert [closed for _, closed in result["operations"]] == [False, True]
    record = json.loads((site.run_dir / "state" / "relay-tests.jsonl").read_text().splitlines()[-1])
    assert (record["passed"], record["note"], record["setting_pu"]) == (True, "button", 1.1)


def test_a_withdrawn_permit_ends_the_power_within_two_seconds_and_comes_back(site: Any, figures: Any) -> None:
    site.dispatch("6kW")
    site.wait_for("-6 kW", lambda: site.steady(-6_000.0), 90.0)
    asked_at_s = time.monotonic()
    assert site.command("v2g-control", "permit", "off").returncode == 0
    site.wait_for("no power", site.no_power, 3.0)
    site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 3.0)
    took_s = max(site.last_power_at_s(), site.measure().breaker.changed_at_s) - asked_at_s
    figures.add("permit off: power zero and contact open, the command's start included, s", "2.0", took_s)
    assert took_s <= 2.0
    assert site.command("v2g-control", "permit", "on", "--yes").returncode == 0
    site.wait_for("-6 kW by the standing order", lambda: site.steady(-6_000.0), 20.0)


def test_an_adjustment_is_in_force_and_a_wrong_one_changes_nothing(site: Any) -> None:
    before = tool(site, "grid")
    changed = tool(site, "grid", "set", "OV1.time_s=12.5")
    assert changed["in_force"] == changed["digest"] != before["digest"]
    refused = site.command("v2g-tool", "grid", "set", "OV1.time_s=500")
    assert refused.returncode == 1
    assert "range of adjustability of 1 to 13 s" in refused.stderr
    assert tool(site, "grid")["in_force"] == changed["in_force"]
    assert tool(site, "grid", "unset", "OV1.time_s")["in_force"] == before["in_force"]


def test_a_relay_without_feedback_refuses_discharge_by_name(site: Any) -> None:
    site.dispatch("6kW")
    site.wait_for("-6 kW", lambda: site.steady(-6_000.0), 90.0)
    site.fault("relay", feedback=False)
    site.wait_for("no power", site.no_power, 3.0)
    problems = site.wait_for("the reason", lambda: site.status().get("problems"), 3.0)
    assert any("hardware relay feedback is missing" in problem for problem in problems)
