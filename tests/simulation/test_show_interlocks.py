"""Emergency stop, door and lockout during a 10 kW discharge: what happens, how fast, and what it takes to come back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.soak

E1 = "US*V2G*E1"
OPEN_WITHIN_S = 0.2
"""Contact told (5 ms), two ticks (20 ms), the breaker's own 50 ms; the rest is an ordinary user's scheduling."""


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    running = simulate("--vehicles", "1")
    running.wait_for("the vehicle in its charge loop", running.charge_loops)
    if not running.status()["guard"]["interlocks"]:
        pytest.skip("the simulation's sensor map names no interlock")
    return running


@pytest.fixture(autouse=True)
def discharging(site: Any) -> Iterator[None]:
    site.dispatch("10kW")
    site.wait_for("-10 kW", lambda: site.steady(-10_000.0), 40.0)
    yield
    site.clear()


def opened_after_s(site: Any) -> float:
    """The breaker's contact, from the moment that the interlock's contact moved."""
    measured = site.measure()
    return measured.breaker.changed_at_s - measured.grid.last_event_at_s


@pytest.mark.parametrize(
    ("name", "element", "words"),
    [("emergency_stop", "EMERGENCY_STOP", "emergency stop pressed"), ("door", "DOOR", "door open")],
)
def test_an_interlock_opens_the_breaker_and_is_latched_until_a_person_resets_it(
    site: Any, figures: Any, name: str, element: str, words: str
) -> None:
    site.fault("interlock", name=name)
    site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 2.0)
    took_s = opened_after_s(site)
    figures.add(f"{name} during 10 kW discharge: breaker contact open, s", str(OPEN_WITHIN_S), took_s)
    assert took_s <= OPEN_WITHIN_S
    site.wait_for("no power", site.no_power, 2.0)
    zero_s = site.last_power_at_s() - site.measure().grid.last_event_at_s
    figures.add(f"{name} during 10 kW discharge: power zero, s", "0.3", zero_s)
    assert zero_s <= 0.3
    if name == "emergency_stop":
        site.wait_for("contactors open", lambda: site.evse(E1).get("contactors_closed") is False, 3.0)
        assert f"{words}" in site.log("comms.log")
    guard = site.status()["guard"]
    assert (guard["permit"], guard["trip"], guard["interlocks"][name]) == ("tripped", element, "open")
    assert words in site.command("v2g-control", "status").stdout
    refused = site.command("v2g-control", "trip", "reset", "--yes")
    assert refused.returncode == 1
    assert words in refused.stderr
    site.clear()
    time.sleep(0.3)
    assert site.status()["guard"]["permit"] == "tripped"
    begin_s = time.monotonic()
    assert site.command("v2g-control", "trip", "reset", "--yes").returncode == 0
    site.wait_for("-10 kW by the standing order", lambda: site.steady(-10_000.0), 40.0)
    figures.add(f"{name}: -10 kW again after the reset, s", "", time.monotonic() - begin_s)


def test_a_contact_that_is_not_told_any_more_opens_and_latches_nothing(site: Any, figures: Any) -> None:
    site.fault("interlock", name="door", told=False)
    site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 2.0)
    figures.add("door contact not told any more: breaker contact open, s", "0.75", opened_after_s(site))
    assert opened_after_s(site) <= 0.75
    status = site.wait_for("the reason", lambda: site.status() if site.status()["problems"] else None, 3.0)
    assert status["guard"]["permit"] == "interlock"
    assert any("no word from the contact of the door" in problem for problem in status["problems"])
    site.clear()
    site.wait_for("-10 kW, and nobody had to reset anything", lambda: site.steady(-10_000.0), 40.0)


def test_a_lockout_opens_everything_and_only_its_owner_takes_it_away(site: Any, figures: Any) -> None:
    begin_s = time.monotonic()
    assert site.command("v2g-tool", "lockout", "on", "--note", "CT 2").returncode == 0
    site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 2.0)
    figures.add(
        "lockout on: breaker contact open, the command's start included, s",
        "",
        site.measure().breaker.changed_at_s - begin_s,
    )
    site.wait_for("no power", site.no_power, 2.0)
    site.wait_for("contactors open", lambda: site.evse(E1).get("contactors_closed") is False, 3.0)
    assert site.command("v2g-control", "trip", "reset", "--yes").returncode == 0
    assert site.status()["guard"]["permit"] == "lockout"
    shown = json.loads(site.command("v2g-tool", "lockout", "--json").stdout)
    assert [lock["note"] for lock in shown["locks"]] == ["CT 2"]
    begin_s = time.monotonic()
    assert site.command("v2g-tool", "lockout", "off", "--yes").returncode == 0
    site.wait_for("-10 kW by the standing order", lambda: site.steady(-10_000.0), 40.0)
    figures.add("lockout off: -10 kW again, s", "", time.monotonic() - begin_s)


def test_the_discharge_test_passes_and_a_wasteful_inverter_is_refused(site: Any, figures: Any) -> None:
    site.command("v2g-control", "cancel", "--yes")
    words = ("test-discharge", "--evse", E1, "--duration", "5s", "--acknowledge", "Anna Kranz")
    passed = site.command("v2g-tool", *words, "--json", timeout_s=60.0)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    measured = json.loads(passed.stdout)["record"]["efficiency"]
    figures.add("discharge test: efficiency of an inverter of 98 %", "0.975..0.985", measured)
    assert abs(measured - 0.98) <= 0.005
    site.fault("efficiency", evse_id=E1, value=0.93)
    failed = site.command("v2g-tool", *words, timeout_s=60.0)
    assert failed.returncode == 1
    assert "less than 97 %" in failed.stdout
    refused = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=5kW")
    assert refused.returncode == 1
    assert "LOW_EFFICIENCY" in refused.stdout
    site.clear()
    site.command("v2g-control", "cancel", "--yes")
    assert site.command("v2g-tool", *words, timeout_s=60.0).returncode == 0
