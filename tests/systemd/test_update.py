"""An update of a host that was installed from the package, by its systemd: refused, drained, applied, taken back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import updated
from support.booted import Booted, obstacle
from support.packaged import DEB, build, make_ours, tree_with

pytestmark = pytest.mark.systemd

DAEMONS = ("v2g-orchestrator", "v2g-guard-tick", "v2g-guard-wires", "v2g-guard-quality")


class Host:
    def __init__(self, booted: Booted) -> None:
        self.booted = booted
        self.run = booted.run

    def firmware(self, *words: str) -> Any:
        return self.run("v2g-tool", "firmware", *words, "--yes", check=False, timeout_s=240.0)

    def runs(self, version: str, place: str) -> None:
        """This version, from this place, all of it, and the vehicle charges."""
        assert self.run("readlink", "/opt/v2g/current").stdout.strip() == place
        assert updated.status(self.booted)["version"] == version
        for unit in DAEMONS:
            facts = self.booted.show(unit, "ActiveState", "MainPID")
            assert facts["ActiveState"] == "active", unit
            assert f"/opt/v2g/{place}/bin/python" in self.run("cat", f"/proc/{facts['MainPID']}/cmdline").stdout
        until("the vehicle charges", self.charges)

    def charges(self) -> bool:
        evses: Any = updated.status(self.booted).get("evses", ())
        return any(evse["session"] and evse["session"]["state"] == "charging" for evse in evses)


def until(what: str, holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end_s, what
        time.sleep(0.1)


def test_a_host_is_updated_and_a_release_that_does_not_start_is_taken_back(tmp_path: Path) -> None:
    if (reason := obstacle()) is not None:
        pytest.skip(reason)
    if not Path("/usr/bin/python3.11").exists() or shutil.which("dpkg-deb") is None:
        pytest.skip("needs what Debian 12 has: /usr/bin/python3.11 and dpkg-deb")
    tree_with(build(tmp_path / "built"), tmp_path / "tree", tmp_path)
    updated.put_bundles(tmp_path / "tree", tmp_path)
    with Booted(tmp_path / "tree") as booted:
        host = Host(booted)
        host.run("dpkg", "-i", DEB, timeout_s=180.0)
        make_ours(booted)
        updated.trust_the_maker(booted)
        booted.start("test-plant")
        host.run("v2g-tool", "install", "--start", timeout_s=120.0)
        booted.start("test-vehicle")
        was = str(updated.status(booted)["version"])
        host.runs(was, "package")

        refused = host.firmware("apply", f"/srv/v2g-{updated.GOOD}.v2gfw")
        assert refused.returncode == 1
        assert "sessions are active: " in refused.stderr

        applied = host.firmware("apply", f"/srv/v2g-{updated.GOOD}.v2gfw", "--drain")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        host.runs(updated.GOOD, "slots/a")
        audit = host.run("cat", "/var/log/v2g/audit.log").stdout
        assert "FIRMWARE_BEGUN" in audit
        assert "FIRMWARE_APPLIED" in audit

        failed = host.firmware("apply", f"/srv/v2g-{updated.BROKEN}.v2gfw", "--drain")
        assert failed.returncode == 1
        assert f"{updated.BROKEN} failed, and {updated.GOOD} runs again" in failed.stderr, failed.stderr
        host.runs(updated.GOOD, "slots/a")
        assert "FIRMWARE_ROLLED_BACK" in host.run("cat", "/var/log/v2g/audit.log").stdout

        # The power fails while a new version proves itself: the boot takes it back.
        a_trial_that_was_cut_off(host)
        booted.run("systemctl", "stop", *DAEMONS)
        booted.run("systemctl", "start", "v2g-firmware-boot.service")
        assert "had not proved itself" in booted.journal("v2g-firmware-boot.service")
        booted.run("systemctl", "start", "v2g-orchestrator")
        host.runs(was, "package")


def a_trial_that_was_cut_off(host: Host) -> None:
    """As apply leaves it when the power fails in the middle of its last step: slot a is in place of the package."""
    journal = (
        '{"id": "1", "step": "trial", "slot": "a", "origin": "package", "version": "9.0.0", "origin_version": "0.1.0", '
        '"digest": "d", "began_unix_s": 0}'
    )
    host.booted.write("/opt/v2g/journal.json", journal)
    host.run("ln", "-sfn", "package", "/opt/v2g/proven")
