"""The firewall under a real systemd: in force at boot inside its sandbox, and a timer that rolls back."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from support.booted import Booted, obstacle
from support.booted_site import ROOT, _environment, binds
from support.config_dir import two_evses, write_config

pytestmark = pytest.mark.systemd

OTHER_ADDRESS = "10.77.0.0/28"


def firewall(booted: Booted, *words: str, check: bool = True) -> str:
    return booted.run("v2g-tool", "firewall", *words, check=check).stdout


def configure(booted: Booted, address: str) -> None:
    section = {"firewall": {"operators": [{"addresses": [address], "ports": [22]}]}}
    booted.write("/etc/v2g/conf.d/50-firewall.yaml", yaml.safe_dump(section))


def status(booted: Booted) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(firewall(booted, "status", "--json", check=False))
    return found


def table(booted: Booted) -> str:
    return booted.run("nft", "-s", "list", "table", "inet", "v2g", check=False).stdout


def until(what: str, holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end_s, what
        time.sleep(0.1)


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    if (reason := obstacle()) is not None:
        pytest.skip(reason)
    if shutil.which("nft", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("nft is not installed")
    folder = tmp_path_factory.mktemp("booted")
    _environment(folder)
    write_config(folder / "etc/v2g", two_evses())
    for part in ("systemd/system", "sysusers.d"):
        (folder / "etc" / part).mkdir(parents=True)
    shutil.copy(ROOT / "systemd/v2g-firewall.service", folder / "etc/systemd/system")
    shutil.copy(ROOT / "systemd/sysusers.d/v2g.conf", folder / "etc/sysusers.d")
    with Booted(folder, binds()) as inside:
        inside.run("ldconfig")
        inside.run("systemd-sysusers")
        configure(inside, "10.9.0.0/28")
        yield inside


def test_the_unit_puts_the_rules_in_force_inside_its_sandbox(booted: Booted) -> None:
    booted.run("systemctl", "start", "v2g-firewall")
    assert "10.9.0.0/28" in table(booted), booted.journal("v2g-firewall")
    found = status(booted)
    assert (found["in_force"], found["configuration"], found["lacking"]) == ("as applied", "same", [])
    assert booted.run("stat", "-c", "%a %U", "/var/lib/v2g-firewall").stdout.split() == ["700", "root"]


def test_a_flush_of_the_host_s_own_rules_does_not_leave_it_open(booted: Booted) -> None:
    booted.run("systemctl", "restart", "nftables")
    until("our table is there again", lambda: "10.9.0.0/28" in table(booted))


def test_a_timer_of_systemd_rolls_back_and_the_journal_tells_it(booted: Booted) -> None:
    before = table(booted)
    configure(booted, OTHER_ADDRESS)
    assert "the timer v2g-firewall-rollback-" in firewall(booted, "apply", "--confirm-within", "5s")
    assert OTHER_ADDRESS in table(booted)
    assert "v2g-firewall-rollback-" in booted.run("systemctl", "list-timers", "--all").stdout
    until("the rules from before are back", lambda: table(booted) == before)
    # Journald takes lines a little later than they are written.
    until("the journal tells it", lambda: "FIREWALL_ROLLED_BACK" in booted.run("journalctl", "-t", "v2g-tool").stdout)
    assert "FIREWALL_APPLIED by root" in booted.run("journalctl", "-t", "v2g-tool").stdout


def test_a_confirmation_stops_the_timer(booted: Booted) -> None:
    configure(booted, OTHER_ADDRESS)
    firewall(booted, "apply", "--confirm-within", "60s")
    firewall(booted, "confirm")
    until(
        "the timer is gone",
        lambda: "v2g-firewall-rollback-" not in booted.run("systemctl", "list-timers", "--all").stdout,
    )
    assert OTHER_ADDRESS in table(booted)


def test_after_a_restart_of_the_unit_it_is_what_was_confirmed(booted: Booted) -> None:
    configure(booted, "10.88.0.0/28")
    booted.run("nft", "delete", "table", "inet", "v2g")
    booted.run("systemctl", "restart", "v2g-firewall")
    assert OTHER_ADDRESS in table(booted)
    assert "10.88.0.0/28" not in table(booted)
