"""Restarts with vehicles in their charge loops: paused ones go on with their sessions, lost ones are known again."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

FIRST, SECOND = "US*V2G*E1", "US*V2G*E2"


@pytest.fixture(scope="module")
def site(simulate: Callable[..., Any]) -> Any:
    site = simulate("--vehicles", "2")
    site.wait_for("both charge loops", site.charge_loops, 60.0)
    site.dispatch("10kW")
    site.wait_for("10 kW of discharge", lambda: site.steady(-10_000.0))
    return site


class Said:
    """What comms.log has from now on."""

    def __init__(self, site: Any) -> None:
        self._site = site
        self._from = len(site.log("comms.log"))

    def lines(self, code: str, evse_id: str = "") -> list[str]:
        text = self._site.log("comms.log")[self._from :]
        return [line for line in text.splitlines() if f": {code} " in line and f" {evse_id}" in line]


def session_of(line: str) -> str:
    found = re.search(r"\bsession=([0-9A-F]{16})\b", line)
    assert found is not None, line
    return found[1]


def unix_s(line: str) -> float:
    return datetime.fromisoformat(line.split()[0]).timestamp()


def end_daemon(site: Any, how: signal.Signals) -> tuple[float, float]:
    """When it was told, monotonic and Unix; once another one is there."""
    pid = site.pids()["orchestrator"]
    at = time.monotonic(), time.time()
    os.kill(pid, how)
    site.wait_for("another daemon", lambda: site.pids().get("orchestrator", pid) != pid, 30.0)
    return at


def journal(site: Any) -> Path:
    (path,) = site.run_dir.rglob("sessions.sqlite")
    return Path(path)


def test_after_sigterm_paused_sessions_go_on_where_they_were(site: Any, figures: Any) -> None:
    said = Said(site)
    begin_s, begin_unix_s = end_daemon(site, signal.SIGTERM)
    last_power_s = site.last_power_at_s() - begin_s
    asked = [line for line in said.lines("SESSION_PHASE") if line.endswith("phase=stopping")]
    paused = said.lines("SESSION_PAUSED")
    assert len(asked) == len(paused) == 2
    # A vehicle acts on the notification at once here: its PowerDelivery(Stop) is the earliest that it was told.
    assert last_power_s < min(unix_s(line) for line in asked) - begin_unix_s
    figures.add("SIGTERM: power zero, s", "6", last_power_s)
    figures.add("SIGTERM: all sessions paused, s", "15", max(unix_s(line) for line in paused) - begin_unix_s)
    assert last_power_s < 6.0
    resumed = site.wait_for(
        "both sessions resumed", lambda: len(found := said.lines("SESSION_RESUMED")) == 2 and found, 20.0
    )
    assert all("OK_OldSessionJoined" in line for line in resumed)
    assert sorted(map(session_of, resumed)) == sorted(map(session_of, paused))
    assert all("setup=OK_OldSessionJoined" in line for line in said.lines("SESSION_START"))
    site.wait_for("the order is carried out again", lambda: site.steady(-10_000.0), 20.0)
    figures.add("SIGTERM: discharging again, s", "30", time.monotonic() - begin_s)
    assert all(vehicle.sessions == 2 for vehicle in site.vehicles())


def test_after_a_kill_a_paused_session_goes_on_and_a_lost_vehicle_is_known_again(site: Any, figures: Any) -> None:
    said = Said(site)
    os.kill(site.pids()["vehicle 2"], signal.SIGUSR1)
    (paused,) = site.wait_for("the second vehicle's pause", lambda: said.lines("SESSION_PAUSED", SECOND), 10.0)
    site.wait_for("all power at the first", lambda: site.charger(FIRST).ac_w < -5_000.0, 10.0)
    begin_s, _ = end_daemon(site, signal.SIGKILL)
    lasted_s = site.last_power_at_s() - begin_s
    figures.add("kill -9 orchestrator: power zero (lease), s", "1.5", lasted_s)
    assert lasted_s < 1.5
    (known,) = site.wait_for("the first is recognised", lambda: said.lines("SESSION_RECOGNISED", FIRST), 20.0)
    assert "was in its session when the controller was lost" in known
    (started,) = said.lines("SESSION_START", FIRST)
    assert "setup=OK_NewSessionEstablished" in started
    before = re.search(r"\bbefore=([0-9A-F]{16})\b", known)
    assert before is not None
    assert before[1] != session_of(started)
    assert before[1] in site.log("comms.log")[: said._from]
    assert not said.lines("SESSION_START", SECOND)
    os.kill(site.pids()["vehicle 2"], signal.SIGUSR2)
    (resumed,) = site.wait_for("the second goes on", lambda: said.lines("SESSION_RESUMED", SECOND), 20.0)
    assert session_of(resumed) == session_of(paused)
    site.wait_for("the order is carried out again by both", lambda: site.steady(-10_000.0), 20.0)


def test_a_broken_journal_is_set_aside_and_vehicles_begin_anew(site: Any) -> None:
    said = Said(site)
    for end in ("", "-wal"):
        path = journal(site)
        path.with_name(path.name + end).write_bytes(b"lightning struck here" * 1000)
    end_daemon(site, signal.SIGKILL)
    site.wait_for("both are served", lambda: len(said.lines("SESSION_START")) == 2, 20.0)
    assert "SESSIONS_NOT_KEPT" in site.log("daemon.log")
    assert "is now sessions.sqlite.broken-1, a new one is begun" in site.log("daemon.log")
    assert all("setup=OK_NewSessionEstablished" in line for line in said.lines("SESSION_START"))
    assert not any("paused sessions" in problem for problem in site.status()["problems"])


def test_a_journal_of_the_future_is_left_alone_and_the_status_says_so(site: Any) -> None:
    said = Said(site)
    with sqlite3.connect(journal(site)) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    end_daemon(site, signal.SIGKILL)
    site.wait_for("both are served", lambda: len(said.lines("SESSION_START")) == 2, 20.0)
    problem = next(words for words in site.status()["problems"] if "paused sessions" in words)
    assert "newer v2g-orchestrator (schema 99" in problem
    with sqlite3.connect(journal(site)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)
    connection.close()
