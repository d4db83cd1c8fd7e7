"""The package on a Debian 12 without a network, from dpkg -i to purge: installed, started, watched, restarted under a
charging vehicle, checked, and taken away without a trace. One life of one host, so one test."""

from __future__ import annotations

import json
import platform
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.booted import Booted, obstacle
from support.packaged import DEB, build, make_ours, paths, people, tree_with
from v2g.host.install.host_tools import UNITS

pytestmark = pytest.mark.systemd

ORCHESTRATOR = "v2g-orchestrator"
DAEMONS = (ORCHESTRATOR, "v2g-guard-tick", "v2g-guard-wires", "v2g-guard-quality")
PACKAGE = "v2g-orchestrator"


def until(what: str, holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end_s, what
        time.sleep(0.1)


class Host:
    """What the steps share."""

    def __init__(self, booted: Booted) -> None:
        self.booted = booted
        self.run = booted.run

    def active(self, unit: str) -> bool:
        return self.booted.show(unit, "ActiveState")["ActiveState"] == "active"

    def pid(self, unit: str) -> str:
        return self.booted.show(unit, "MainPID")["MainPID"]

    def log(self, name: str) -> str:
        return self.run("cat", f"/var/log/v2g/{name}.log").stdout

    def charging(self) -> bool:
        done = self.run("v2g-control", "status", "--json", check=False)
        evses = json.loads(done.stdout)["evses"] if done.returncode == 0 else []
        return any(evse["session"] and evse["session"]["state"] == "charging" for evse in evses)


def test_a_host_gets_the_package_works_with_it_and_is_left_as_it_was(tmp_path: Path) -> None:
    if (reason := obstacle()) is not None:
        pytest.skip(reason)
    if not Path("/usr/bin/python3.11").exists() or shutil.which("dpkg-deb") is None:
        pytest.skip("needs what Debian 12 has: /usr/bin/python3.11 and dpkg-deb")
    package = build(tmp_path / "built")
    assert package.name.endswith("_amd64.deb" if platform.machine() == "x86_64" else "_arm64.deb")
    tree_with(package, tmp_path / "tree", tmp_path)
    with Booted(tmp_path / "tree") as booted:
        host = Host(booted)
        before = paths(booted), people(booted)
        it_is_installed_without_a_network_and_starts_nothing(host)
        it_refuses_to_start_the_example(host)
        it_says_what_keeps_it_from_writing_and_goes_on_when_that_is_gone(host)
        it_starts_what_was_configured_and_says_how_it_is(host)
        the_audit_log_is_checked_and_a_forged_one_is_a_failed_unit(host)
        a_daemon_that_hangs_is_killed_and_back(host)
        a_restart_drains_and_the_vehicle_comes_back_to_its_session(host)
        an_upgrade_leaves_the_daemons_running_and_edits_alone(host)
        a_removal_keeps_what_was_edited_and_a_purge_does_not(host, before)


def it_is_installed_without_a_network_and_starts_nothing(host: Host) -> None:
    assert host.run("ip", "-br", "route").stdout == ""
    said = host.run("dpkg", "-i", DEB, timeout_s=180.0).stdout
    assert re.search(r"^made +/etc/v2g/v2g.yaml$", said, re.MULTILINE)
    assert re.search(r"^made +user v2g-guard$", said, re.MULTILINE)
    assert host.run("readlink", "/opt/v2g/current").stdout.strip() == "package"
    unit = host.run("systemctl", "cat", ORCHESTRATOR).stdout
    assert "\nExecStart=/opt/v2g/current/bin/v2g-orchestrator --config /etc/v2g\n" in unit
    verified = host.run("systemd-analyze", "verify", "--man=no", *(f"/etc/systemd/system/{unit}" for unit in UNITS))
    assert [line for line in verified.stderr.splitlines() if "v2g" in line or "kplc" in line] == []
    assert not any(host.active(unit) for unit in DAEMONS)
    assert re.match(r"v2g-tool \d", host.run("v2g-tool", "--version").stdout)
    again = host.run("v2g-tool", "install").stdout
    assert "Nothing to change" in again
    assert not re.search(r"^(made|updated|removed)", again, re.MULTILINE)
    # Whoever is no administrator is told so.
    as_nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    refused = host.run(*as_nobody, "v2g-tool", "install", check=False)
    assert (refused.returncode, "this needs root" in refused.stderr) == (1, True)


def it_refuses_to_start_the_example(host: Host) -> None:
    refused = host.run("v2g-tool", "install", "--start", check=False)
    assert refused.returncode == 1
    assert "is still the example" in refused.stderr
    assert host.run("systemctl", "is-enabled", ORCHESTRATOR, check=False).stdout.strip() == "disabled"


def it_says_what_keeps_it_from_writing_and_goes_on_when_that_is_gone(host: Host) -> None:
    place = "/etc/v2g/devices"
    host.run("mv", place, "/srv/devices")
    for mount, why in (
        (("mount", "--bind", "/etc", "/etc"), "Read-only file system; it is mounted read-only"),
        (("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", place), "No space left on device; the disk is full"),
    ):
        if mount[-1] == place:
            host.run("mkdir", place)
        host.run(*mount)
        if mount[-1] == "/etc":
            host.run("mount", "-o", "remount,bind,ro", "/etc")
        refused = host.run("v2g-tool", "install", check=False)
        host.run("umount", mount[-1])
        assert refused.returncode == 1
        assert why in refused.stderr
        assert "run this again" in refused.stderr
    said = host.run("v2g-tool", "install").stdout
    assert re.search(rf"^made +{place}/victron-vebus.yaml$", said, re.MULTILINE)
    assert "Nothing to change" in host.run("v2g-tool", "install").stdout


def it_starts_what_was_configured_and_says_how_it_is(host: Host) -> None:
    make_ours(host.booted)
    host.booted.start("test-plant")
    said = host.run("v2g-tool", "install", "--start").stdout
    assert re.search(r"^made +v2g-orchestrator.service +\(enabled and started\)$", said, re.MULTILINE)
    assert re.search(r"^kept yours +/etc/v2g/v2g.yaml", said, re.MULTILINE)
    assert all(host.active(unit) for unit in DAEMONS)
    assert host.booted.process_status(host.pid("v2g-guard-tick"))["Cpus_allowed_list"] == "0"
    host.booted.start("test-vehicle")
    until("the vehicle charges", host.charging)
    until("it is told", lambda: "1 vehicle" in host.run("systemctl", "status", ORCHESTRATOR).stdout)
    shown = host.run("systemctl", "status", ORCHESTRATOR).stdout
    assert re.search(r'Status: "1 vehicle, .*hot-spot \d+ .C, headroom .*ISO 15118 ready on ', shown)
    assert "Nothing to change" in host.run("v2g-tool", "install", "--start").stdout


def the_audit_log_is_checked_and_a_forged_one_is_a_failed_unit(host: Host) -> None:
    host.booted.start("v2g-audit-verify")
    assert "intact: " in host.booted.journal("v2g-audit-verify")
    listed = host.run("systemctl", "list-timers", "--no-pager").stdout
    assert {"v2g-audit-verify.timer", "v2g-cert-renew.timer"} <= set(listed.split())
    log = host.log("audit")
    host.booted.write("/var/log/v2g/audit.log", log.replace("CALL", "FALL", 1))
    done = host.run("systemctl", "start", "v2g-audit-verify", check=False)
    assert done.returncode != 0
    assert "v2g-audit-verify.service" in host.run("systemctl", "--failed", "--plain").stdout
    assert "BROKEN: " in host.booted.journal("v2g-audit-verify")
    host.run("systemctl", "reset-failed", "v2g-audit-verify")


def a_daemon_that_hangs_is_killed_and_back(host: Host) -> None:
    hung = host.pid(ORCHESTRATOR)
    guard = host.pid("v2g-guard-tick")
    host.run("kill", "-STOP", hung)
    until("another is there", lambda: host.pid(ORCHESTRATOR) not in ("0", hung) and host.active(ORCHESTRATOR))
    assert "Watchdog timeout" in host.booted.journal(ORCHESTRATOR)
    assert host.pid("v2g-guard-tick") == guard
    until("the vehicle charges again", host.charging)


def a_restart_drains_and_the_vehicle_comes_back_to_its_session(host: Host) -> None:
    began_s = time.monotonic()
    host.run("systemctl", "restart", ORCHESTRATOR)
    assert time.monotonic() < began_s + 45.0
    assert host.booted.show(ORCHESTRATOR, "Result")["Result"] == "success"
    until("its session was paused", lambda: "SESSION_DRAINED" in host.log("daemon") + host.log("comms"))
    until("it goes on", lambda: "SESSION_RESUMED" in host.log("daemon") + host.log("comms"))
    until("the vehicle charges again", host.charging)
    assert "the paused session goes on" in host.booted.journal("test-vehicle")


def an_upgrade_leaves_the_daemons_running_and_edits_alone(host: Host) -> None:
    mine = host.run("cat", "/etc/v2g/v2g.yaml").stdout
    before = {unit: host.pid(unit) for unit in DAEMONS}
    host.run("dpkg", "-i", DEB, timeout_s=180.0)
    assert host.run("cat", "/etc/v2g/v2g.yaml").stdout == mine
    until("all are back", lambda: all(host.active(unit) for unit in DAEMONS))
    # Not one of them goes on with files that changed below it.
    assert all(host.pid(unit) != pid for unit, pid in before.items())


def a_removal_keeps_what_was_edited_and_a_purge_does_not(host: Host, before: tuple[set[str], list[str]]) -> None:
    host.run("systemctl", "stop", "test-vehicle")
    drop_in = "/etc/systemd/system/v2g-orchestrator.service.d"
    host.run("mkdir", drop_in)
    host.booted.write(f"{drop_in}/mine.conf", "[Service]\nNice=-1\n")
    said = host.run("dpkg", "-r", PACKAGE, timeout_s=120.0).stdout
    host.run("systemctl", "stop", "test-plant")
    assert re.search(r"^kept yours +/etc/v2g/v2g.yaml +\(edited\)$", said, re.MULTILINE)
    assert host.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "v2g*", "kplc*").stdout == ""
    left = paths(host.booted) - before[0]
    assert {"/etc/v2g/v2g.yaml", "/var/log/v2g/audit.log", f"{drop_in}/mine.conf"} <= left
    assert not any(path.startswith(("/opt/v2g", "/usr", "/run/v2g")) for path in left)
    host.run("dpkg", "-P", PACKAGE)
    assert paths(host.booted) - before[0] == set()
    assert before[0] - paths(host.booted) == set()
    assert people(host.booted) == before[1] == []
