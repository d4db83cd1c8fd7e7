"""The configuration as operators change it, for real: set, in force, diff, reload, taken back; and bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

POWER_W = 5_000.0


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    running = simulate("--vehicles", "1")
    running.wait_for("the vehicle in the charge loop", running.charge_loops, 60.0)
    return running


def config(site: Any, *words: str) -> dict[str, Any]:
    answer = site.command("v2g-config", *words, "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


def in_force(changes: list[dict[str, Any]]) -> dict[str, bool]:
    return {each["path"]: each["in_force"] for each in changes}


def test_settings_are_in_force_at_once_while_power_flows(site: Any) -> None:
    site.command("v2g-control", "--dispatch", "--mode=charge", f"--power={POWER_W:g}W", "--duration", "10min")
    site.wait_for("5 kW", lambda: site.steady(POWER_W), 30.0)
    changed = config(site, "set", "dispatch.dwell_s", "5min", "grid.alarm_window_hz", "0.4", "relay.delay_s", "13s")
    assert in_force(changed["changes"]) == {
        "grid.alarm_window_hz": True,
        "relay.delay_s": True,
        "dispatch.dwell_s": True,
    }
    assert changed["restart"] == []
    shown = json.loads(site.command("v2g-tool", "grid", "--json").stdout)
    assert (shown["relay"]["delay_s"], shown["digest"] == shown["in_force"]) == (13.0, True)
    site.wait_for("5 kW all the while", lambda: site.steady(POWER_W), 15.0)


def test_min_soc_by_the_cycle_keeps_a_vehicle_from_discharge(site: Any) -> None:
    changed = config(site, "set", "dispatch.min_soc_pct", "95%")
    assert in_force(changed["changes"]) == {"dispatch.min_soc_pct": True}
    refused = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=3kW")
    assert refused.returncode == 1, refused.stdout
    assert "95 %" in refused.stdout
    config(site, "unset", "dispatch.min_soc_pct")
    granted = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=3kW")
    assert granted.returncode == 0, granted.stdout + granted.stderr
    site.command("v2g-control", "cancel", "--yes")


def test_an_order_on_the_heels_of_a_change_is_answered_by_what_is_in_force(site: Any) -> None:
    """By a connection that is open already: within a few milliseconds, at any moment between two control cycles."""
    answers = []
    for number in range(6):
        for words, wanted_w in (
            (("set", "dispatch.min_soc_pct", "95%"), 0.0),
            (("unset", "dispatch.min_soc_pct"), -3e3),
        ):
            site.call("status")
            time.sleep(0.017 * number)
            config(site, *words)
            granted_w = site.call("dispatch", {"mode": "discharge", "power_w": 3_000.0})["granted_w"]
            answers.append((words[0], granted_w, pytest.approx(wanted_w, abs=1.0)))
    site.command("v2g-control", "cancel", "--yes")
    assert [each for each in answers if each[1] != each[2]] == []


def test_what_takes_a_restart_waits_and_is_named(site: Any) -> None:
    changed = config(site, "set", "history.keep_days", "300")
    assert in_force(changed["changes"]) == {"history.keep_days": False}
    assert config(site, "diff")["restart"] == ["v2g-orchestrator"]
    told = site.command("v2g-config", "reload")
    assert "waits for: systemctl restart v2g-orchestrator" in told.stdout
    config(site, "unset", "history.keep_days")
    assert config(site, "diff")["changes"] == []


def test_a_mistake_anywhere_keeps_everything_as_it_is(site: Any) -> None:
    folder = site.run_dir / "etc" / "conf.d"
    (folder / "50-hand.yaml").write_text("dispatch: {max_soc_pct: 80}\nhistory: {max_mb: soon}\nsite: {nam: x}\n")
    refused = site.command("v2g-config", "reload")
    assert refused.returncode == 1
    assert all(words in refused.stderr for words in ("50-hand.yaml:2", "history.max_mb", "50-hand.yaml:3", "site.nam"))
    os.kill(site.pids()["orchestrator"], signal.SIGHUP)
    site.wait_for("the log tells of it", lambda: "CONFIG_REFUSED" in site.log("daemon.log"), 5.0)
    assert site.command("v2g-config", "diff").returncode == 1
    (folder / "50-hand.yaml").write_text("dispatch: {max_soc_pct: 80}\n")
    assert in_force(config(site, "diff")["changes"]) == {"dispatch.max_soc_pct": False}
    os.kill(site.pids()["orchestrator"], signal.SIGHUP)
    site.wait_for("it is in force", lambda: config(site, "diff")["changes"] == [], 5.0)
    # Certificates are read after the settings are in force, and the line comes last.
    site.wait_for("the audit tells of it", lambda: "CONFIG_RELOADED" in site.log("audit.log"), 5.0)


def test_what_was_before_comes_back(site: Any) -> None:
    config(site, "set", "dispatch.ramp_pu_s", "0.4")
    config(site, "set", "dispatch.ramp_pu_s", "0.3")
    kept = config(site, "backup", "list", "--config", str(site.run_dir / "etc"))
    number = next(
        each["number"]
        for each in kept
        if "ramp_pu_s: 0.4" in Path(each["file"]).read_text()  # type: ignore[attr-defined]
    )
    back = config(site, "backup", "restore", str(number), "--yes")
    assert in_force(back["changes"]) == {"dispatch.ramp_pu_s": True}
    assert config(site, "get", "dispatch.ramp_pu_s", "--config", str(site.run_dir / "etc")) != {}


@pytest.mark.parametrize(
    "words",
    [
        ("v2g-control", "status"), ("v2g-control", "vehicles", "--json"), ("v2g-control", "orders"),
        ("v2g-tool", "status"), ("v2g-tool", "grid"), ("v2g-tool", "thermal"), ("v2g-tool", "sensors"),
        ("v2g-tool", "harmonics"), ("v2g-tool", "lockout"), ("v2g-tool", "mesh", "--json"), ("v2g-config", "diff"),
    ],
)  # fmt: skip
def test_a_pipe_that_head_closes_is_quiet(site: Any, words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = Path(site.process.args[0]).parent / words[0]
    try:
        done = subprocess.run(
            [program, *words[1:]], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
            env={**os.environ, "V2G_SOCKET": str(site.run_dir / "control.sock")},
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_daemon_that_was_killed_leaves_a_socket_that_is_told_as_such(site: Any) -> None:
    copy = site.run_dir / "left" / "control.sock"
    copy.parent.mkdir()
    os.link(site.run_dir / "control.sock", copy)
    assert site.command("v2g-control", "status", "--socket", str(copy)).returncode == 0
    os.kill(site.pids()["orchestrator"], signal.SIGKILL)
    time.sleep(0.1)
    gone = site.command("v2g-control", "status", "--socket", str(copy))
    assert (gone.returncode, "left behind by a daemon that is gone" in gone.stderr) == (3, True)
