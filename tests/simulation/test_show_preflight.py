"""The preflight of a whole site: what passes, three things broken for real and mended, and what the daemon refuses."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

E1, E2 = "US*V2G*E1", "US*V2G*E2"
KNOWN_WARNINGS = {
    "configuration",  # a profile for demonstrations
    "kernel", "realtime", "capabilities", "clock", "users", "units",  # a laptop
    "tls",  # no OCSP responder, one authority
    "efficiency",  # never measured
}  # fmt: skip


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    simulation = simulate("--vehicles", "2")
    simulation.wait_for("both are in their charge loops", simulation.charge_loops, 90.0)
    return simulation


def preflight(site: Any, *words: str) -> tuple[int, dict[str, Any]]:
    answer = site.command("v2g-tool", "preflight", "--json", *words)
    assert answer.returncode in (0, 1), answer.stdout + answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def levels(told: dict[str, Any], level: str) -> dict[str, list[str]]:
    """By check, what was found at this level."""
    found: dict[str, list[str]] = {}
    for line in told["lines"]:
        if line["level"] == level:
            found.setdefault(line["name"], []).append(line["found"])
    return found


def until(what: str, condition: Any, limit_s: float = 10.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.2)


def discharges(site: Any) -> dict[str, float]:
    """By EVSE, what an order of 8 kW is granted."""
    site.command("v2g-control", "cancel")
    answer = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=8kW", "--json")
    return {grant["evse_id"]: grant["power_w"] for grant in json.loads(answer.stdout)["grants"]}


def test_all_but_known_warnings_pass_and_discharge_is_refused_to_nobody(site: Any) -> None:
    code, told = preflight(site)
    assert (code, levels(told, "fail"), told["refuses"]) == (0, {}, {}), told
    assert set(levels(told, "warn")) <= KNOWN_WARNINGS
    assert {"disk", "ipv6", "ports", "certificates", "waveform", "sensors", "inverters", "relay", "sockets"} <= set(
        levels(told, "pass")
    )
    assert "PREFLIGHT_DONE" in site.log("daemon.log")
    assert "PREFLIGHT_FAIL" not in site.log("daemon.log")
    assert all(power_w < 0.0 for power_w in discharges(site).values())


def test_no_line_is_wider_than_a_terminal_of_forty_columns(site: Any) -> None:
    site._environment["COLUMNS"] = "40"
    try:
        answer = site.command("v2g-tool", "preflight")
    finally:
        del site._environment["COLUMNS"]
    assert answer.returncode == 0, answer.stderr
    assert max(map(len, answer.stdout.splitlines())) <= 40


def test_an_unplugged_inverter_is_named_and_only_its_evse_refused(site: Any) -> None:
    site.fault("disconnect", device=f"inverter {E1}")
    until("it is named", lambda: "inverters" in levels(site.call("preflight.run"), "fail"))
    code, told = preflight(site, "--daemon")
    assert code == 1
    assert f"inverter {E1}" in levels(told, "fail")["inverters"][0]
    assert told["refuses"] == {E1: "inverters failed"}
    site.clear()
    until("it is mended", lambda: not site.call("preflight.run")["refuses"])
    assert "PREFLIGHT_MENDED preflight inverters" in site.log("daemon.log")


def test_an_oil_sensor_that_is_lost_refuses_discharge_and_not_charge(site: Any) -> None:
    site.fault("sensor_loss", sensor="top_oil_c")
    until("it is named", lambda: "sensors" in levels(site.call("preflight.run"), "fail"), 15.0)
    code, told = preflight(site, "--daemon", "--only", "sensors")
    assert (code, "top_oil_c" in levels(told, "fail")["sensors"][0]) == (1, True)
    assert told["refuses"] == {E1: "sensors failed", E2: "sensors failed"}
    answer = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=8kW")
    assert "PREFLIGHT_FAIL" in answer.stdout
    assert "preflight: sensors failed" in answer.stdout
    assert "v2g-tool" in site.command("v2g-tool", "explain", "PREFLIGHT_FAIL").stdout
    site.command("v2g-control", "cancel")
    charge = site.command("v2g-control", "--dispatch", "--mode=charge", "--power=4kW", "--json")
    assert sum(grant["power_w"] for grant in json.loads(charge.stdout)["grants"]) > 0.0
    problems = site.status()["problems"]
    assert any(problem.startswith("no discharge: preflight sensors: top_oil_c") for problem in problems), problems
    site.clear()
    until("it is mended", lambda: not site.call("preflight.run")["refuses"])
    assert "PREFLIGHT_FAIL no discharge: preflight sensors: top_oil_c" in site.log("daemon.log")
    until("both discharge again", lambda: all(power_w < 0.0 for power_w in discharges(site).values()))


def test_a_key_that_others_may_read_is_named_and_mended_by_what_the_line_says(site: Any) -> None:
    key = site.run_dir / "pki/private.key"
    key.chmod(0o644)
    try:
        time.sleep(1.5)  # what was found a moment ago counts for as long
        code, told = preflight(site, "--only", "certificates")
        (found,) = levels(told, "fail")["certificates"]
        assert (code, f"chmod 600 {key}" in found) == (1, True)
        assert told["refuses"] == {}, "a look changes nothing"
        assert site.call("preflight.run")["refuses"].keys() == {E1, E2}
    finally:
        key.chmod(0o600)
    # Nobody asks it to: it looks again by itself while something fails.
    until("the daemon finds it mended", lambda: not site.call("preflight.show")["refuses"], 25.0)


@contextlib.contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """A tiny file system in its place, without room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], check=True)
    try:
        with contextlib.suppress(OSError):
            (path / "full").write_bytes(bytes(1 << 20))
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_full_disk_is_named_and_refuses_discharge_until_there_is_room(site: Any) -> None:
    with full_disk(site.run_dir / "state"):
        code, told = preflight(site, "--daemon", "--only", "disk")
        assert code == 1
        assert f"state directory {site.run_dir / 'state'} is full" in levels(told, "fail")["disk"][0]
        assert told["refuses"].keys() == {E1, E2}
    assert site.call("preflight.run")["refuses"] == {}


def test_a_configuration_broken_meanwhile_fails_for_the_next_start_and_refuses_nobody_now(site: Any) -> None:
    drop_in = site.run_dir / "etc/conf.d/50-broken.yaml"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("relay: {seting_pu: 1.1}\n")
    try:
        code, told = preflight(site)
        assert code == 1
        assert "50-broken.yaml" in levels(told, "fail")["configuration"][0]
        own = site.call("preflight.run")
        assert any("a restart would fail" in found for found in levels(own, "warn")["configuration"])
        assert own["refuses"] == {}
    finally:
        drop_in.unlink()


def test_without_its_daemon_the_rest_is_looked_at_and_no_connection_is_opened_beside_wires(site: Any) -> None:
    config = str(site.run_dir / "etc")
    with site.stopped("supervisor"):
        os.kill(site.pids()["orchestrator"], 9)
        told = preflight(site, "--config", config)[1]
        assert levels(told, "warn")["inverters"] == [
            "v2g-guard wires runs and holds the connections; the daemon, which would know, does not answer"
        ]
        assert any("left by a daemon that has died" in found for found in levels(told, "warn")["sockets"])
        assert "waveform" in levels(told, "pass")
        assert "relay" in levels(told, "pass")
    site.wait_for("the daemon is back", lambda: site.status().get("ready"), 30.0)
    until("its first verdict refuses nobody", lambda: preflight(site, "--only", "daemon")[1]["refuses"] == {})
