"""Each process killed or stopped while vehicles discharge: how long power flows on, and who takes it away."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytestmark = pytest.mark.soak

RECOVERY_S = 20.0


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    simulation = simulate("--vehicles", "2")
    simulation.wait_for("both vehicles in the charge loop", simulation.charge_loops)
    return simulation


@pytest.fixture
def discharging(site: Any) -> Any:
    """-10 kW by one order that stands longer than any of this."""
    site.wait_for("both vehicles in the charge loop again", site.charge_loops)
    site.dispatch("10kW")
    site.wait_for("-10 kW", lambda: site.steady(-10_000.0), 10.0)
    # Reversion must be armed and refreshed at its own pace, not by the change of set-point just made.
    time.sleep(1.5)
    return site


def send(site: Any, name: str, number: signal.Signals) -> float:
    """When it was sent."""
    pid = site.pids()[name]
    begin_s = time.monotonic()
    os.kill(pid, number)
    return begin_s


def power_lasted_s(site: Any, begin_s: float) -> float:
    site.wait_for("no power", site.no_power, 10.0)
    lasted_s: float = site.last_power_at_s() - begin_s
    return lasted_s


def recovers(site: Any, figures: Any, what: str, since_s: float, victim: str, pid: int) -> None:
    """``victim`` is another process, and -10 kW are back by the same order, which nobody has repeated."""
    site.wait_for(f"another {victim}", lambda: site.pids().get(victim, pid) != pid, RECOVERY_S)
    site.wait_for("-10 kW again", lambda: site.steady(-10_000.0), RECOVERY_S)
    took_s = time.monotonic() - since_s
    figures.add(f"{what}: from restart to -10 kW by the standing order, s", "20", took_s)
    assert took_s <= RECOVERY_S
    assert len(site.status()["orders"]) == 1


def test_killed_orchestrator(discharging: Any, figures: Any) -> None:
    site, pid = discharging, discharging.pids()["orchestrator"]
    begin_s = send(site, "orchestrator", signal.SIGKILL)
    lasted_s = power_lasted_s(site, begin_s)
    figures.add("kill -9 orchestrator: power zero, s", "3", lasted_s)
    assert lasted_s <= 3.0
    recovers(site, figures, "kill -9 orchestrator", begin_s, "orchestrator", pid)


def test_killed_orchestrator_that_nobody_restarts(discharging: Any, figures: Any) -> None:
    site, pid = discharging, discharging.pids()["orchestrator"]
    with site.stopped("supervisor"):
        begin_s = send(site, "orchestrator", signal.SIGKILL)
        lasted_s = power_lasted_s(site, begin_s)
        figures.add("kill -9 orchestrator, no restart: power zero (lease), s", "3", lasted_s)
        assert lasted_s <= 3.0
        answer = site.command("v2g-control", "status")
        assert answer.returncode == 3
        assert "control.sock" in answer.stderr
        assert answer.stdout == ""
    recovers(site, figures, "kill -9 orchestrator, no restart", time.monotonic(), "orchestrator", pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_wires_lost(discharging: Any, figures: Any, how: signal.Signals) -> None:
    site, pid = discharging, discharging.pids()["wires"]
    begin_s = send(site, "wires", how)
    lasted_s = power_lasted_s(site, begin_s)
    name = "kill -9 wires" if how is signal.SIGKILL else "SIGSTOP wires"
    figures.add(f"{name}: power zero, s", "5", lasted_s)
    assert lasted_s <= 5.0
    recovers(site, figures, name, begin_s, "wires", pid)


def test_killed_wires_that_nobody_restarts(discharging: Any, figures: Any) -> None:
    """The vehicles' computers are stopped too: else they would open their contactors and hide the reversion."""
    site, pid = discharging, discharging.pids()["wires"]
    before = site.measure().chargers
    with site.stopped("supervisor", "vehicle 1", "vehicle 2"):
        begin_s = send(site, "wires", signal.SIGKILL)
        lasted_s = power_lasted_s(site, begin_s)
        site.wait_for(
            "both inverters reverted",
            lambda: all(site.charger(evse_id).reversions > before[evse_id].reversions for evse_id in before),
            5.0,
        )
        after = site.measure().chargers
        reverted_s = site.measure().at_s - begin_s
        figures.add("kill -9 wires, no restart: power zero (reversion), s", "5", lasted_s)
        assert lasted_s <= 5.0
        assert reverted_s <= 6.0
        assert all(charger.setpoint_w == 0.0 for charger in after.values())
    recovers(site, figures, "kill -9 wires, no restart", time.monotonic(), "wires", pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_tick_lost(discharging: Any, figures: Any, how: signal.Signals) -> None:
    site, pid = discharging, discharging.pids()["tick"]
    begin_s = send(site, "tick", how)
    lasted_s = power_lasted_s(site, begin_s)
    name = "kill -9 tick" if how is signal.SIGKILL else "SIGSTOP tick"
    figures.add(f"{name}: power zero, s", "0.7", lasted_s)
    assert lasted_s <= 0.7
    recovers(site, figures, name, begin_s, "tick", pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_tick_lost_and_nobody_restarts_it(discharging: Any, figures: Any, how: signal.Signals) -> None:
    site, pid = discharging, discharging.pids()["tick"]
    name = "kill -9 tick" if how is signal.SIGKILL else "SIGSTOP tick"
    with site.stopped("supervisor"):
        begin_s = send(site, "tick", how)
        lasted_s = power_lasted_s(site, begin_s)
        site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 5.0)
        opened_s = site.measure().breaker.changed_at_s - begin_s
        figures.add(f"{name}, no restart: power zero, s", "0.7", lasted_s)
        figures.add(f"{name}, no restart: breaker contact open (hold-to-close), s", "0.7", opened_s)
        assert lasted_s <= 0.7
        assert 0.0 < opened_s <= 0.7
        assert site.status()["guard"]["permit"] == "guard_stale"
    recovers(site, figures, f"{name}, no restart", time.monotonic(), "tick", pid)


def test_a_supervisor_that_was_stopped_for_a_while_kills_nobody(discharging: Any) -> None:
    """Ctrl-Z and fg: nobody was silent, only nobody listened."""
    site, pids = discharging, discharging.pids()
    with site.stopped("supervisor"):
        time.sleep(4.0)
    time.sleep(1.5)
    assert site.pids() == pids, site.output[-2000:]
    assert site.steady(-10_000.0), site.measure()


def test_an_orchestrator_that_was_held_up_answers_an_order_by_what_is_and_not_by_what_was(discharging: Any) -> None:
    """Its last look at the guard is older than the guard's word counts then; the guard itself is well."""
    site = discharging
    site.call("status")
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            with site.stopped("orchestrator"):
                asked = pool.submit(site.call, "dispatch", {"mode": "discharge", "power_w": 10_000.0})
                time.sleep(0.3)
            answer = asked.result(5.0)
        assert answer["shortfalls"] == []
        assert answer["granted_w"] == pytest.approx(-10_000.0, abs=1.0)
        time.sleep(1.0)
    assert site.steady(-10_000.0)
