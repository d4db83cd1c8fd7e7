from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.config_dir import two_evses, write_config
from support.firewall_kernel import HERE, FakeNft, FakeWatcher
from v2g.cli import firewall as command
from v2g.cli import firewall_context as context
from v2g.cli.firewall_commands import firewall
from v2g.cli.firewall_words import changes
from v2g.clock import ManualClock
from v2g.config.firewall_plan import firewall_plan
from v2g.config.loader import load
from v2g.host.firewall.render import render
from v2g.host.firewall.session import Peer
from v2g.host.firewall.sockets import Listener
from v2g.host.firewall.state import StateDir
from v2g.host.firewall.transaction import Transactions

OPERATORS = [{"addresses": ["10.9.0.0/28"], "ports": [22]}]
MAC = "00:e0:4c:68:00:1d"


class Bench:
    """The commands on a kernel that is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "etc"
        self.nft = FakeNft()
        self.clock = ManualClock()
        self.watcher = FakeWatcher()
        self.told: list[tuple[str, str]] = []
        self.write(operators=OPERATORS)

    def write(self, **section: Any) -> None:
        main = two_evses(firewall={"state_dir": str(self.folder / "state"), **section})
        if self.config.exists():
            (self.config / "v2g.yaml").write_text(json.dumps(main))
        else:
            write_config(self.config, main)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(firewall, [*words, "--config", str(self.config)])

    def transactions(self, state: StateDir, sock: Path | None) -> Transactions:
        return Transactions(
            self.nft, state, HERE, self.clock, self.watcher, lambda code, words: self.told.append((code, words))
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)
    monkeypatch.setattr(command, "transactions", made.transactions)
    monkeypatch.setattr(command, "Nft", lambda: made.nft)
    monkeypatch.setattr(command, "place", lambda: HERE)
    monkeypatch.setattr(command, "SystemClock", lambda: made.clock)
    monkeypatch.setattr(command, "ssh_peer", lambda pid: None)
    monkeypatch.setattr(command, "login", lambda pid: None)
    monkeypatch.setattr(command, "noter", lambda sock: lambda code, words: made.told.append((code, words)))
    return made


def test_render_prints_the_rules_and_changes_nothing(bench: Bench) -> None:
    done = bench.run("render")
    assert (done.exit_code, done.stdout) == (0, render(firewall_plan(load(bench.config))))
    assert not (bench.folder / "state").exists()


@pytest.mark.parametrize(
    "words", [("render",), ("apply",), ("check",), ("admit", "--interface", "evse1", "--mac", MAC)]
)
def test_a_configuration_that_cannot_be_used_is_told_with_its_line(bench: Bench, words: tuple[str, ...]) -> None:
    bench.write(operators=[{"addresses": ["10.9.0.1/28"], "ports": [22]}])
    done = bench.run(*words)
    assert done.exit_code == 1
    assert "v2g.yaml:" in done.stderr
    assert bench.nft.loads == []


def test_rules_that_let_nobody_in_are_refused_unless_that_is_meant(bench: Bench) -> None:
    bench.write()
    for words in (("apply",), ("apply", "--no-confirm"), ("apply", "--boot")):
        done = bench.run(*words)
        assert (done.exit_code, "local_only: true" in done.stderr) == (1, True)
    assert bench.nft.loads == []
    bench.write(local_only=True)
    assert bench.run("apply").exit_code == 0


def test_who_would_lock_himself_out_is_warned_and_without_a_way_back_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(ipaddress.ip_address("172.16.0.9"), 22)
    monkeypatch.setattr(command, "ssh_peer", lambda pid: peer)
    done = bench.run("apply", "--no-confirm")
    assert (done.exit_code, "you came from 172.16.0.9 to port 22" in done.stderr) == (1, True)
    assert bench.nft.loads == []
    done = bench.run("apply")
    assert (done.exit_code, "no rule surely lets in a new connection" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    "words",
    [("--no-confirm", "--boot"), ("--confirm-within", "60"), ("--confirm-within", "1s"), ("--confirm-within", "2h"),
     ("--confirm-within", "soon")],
)  # fmt: skip
def test_what_is_not_understood_is_a_mistake_of_usage(bench: Bench, words: tuple[str, ...]) -> None:
    assert bench.run("apply", *words).exit_code == 2


def test_apply_says_how_to_keep_the_rules_and_confirm_keeps_them(bench: Bench) -> None:
    done = bench.run("apply", "--confirm-within", "2min")
    assert "for 2 min (a fake watches). Open a NEW connection and run there: v2g-tool firewall confirm" in done.stdout
    assert bench.watcher.started[0].deadline_s == bench.clock.monotonic_s() + 120.0
    assert json.loads(bench.run("status", "--json").stdout)["pending_s"] == 120.0
    assert bench.run("confirm").exit_code == 0
    assert json.loads(bench.run("status", "--json").stdout)["pending_s"] is None
    assert [code for code, _ in bench.told] == ["FIREWALL_APPLIED", "FIREWALL_CONFIRMED"]
    assert bench.told[0][1].startswith("by ")


def test_rollback_is_at_once(bench: Bench) -> None:
    bench.run("apply", "--no-confirm")
    before = bench.nft.rules
    bench.write(operators=[{"addresses": ["10.9.9.0/28"], "ports": [22]}])
    bench.run("apply")
    assert bench.nft.rules != before
    assert bench.run("rollback").exit_code == 0
    assert bench.nft.rules == before
    assert bench.run("rollback").exit_code == 1


def test_a_boot_puts_what_was_confirmed_last_whatever_the_configuration_says(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run("apply", "--no-confirm")
    confirmed = bench.nft.rules
    monkeypatch.setattr(context, "DEFAULT_DIR", bench.folder / "state")
    bench.write(operators=[{"addresses": ["10.9.9.0/28"], "ports": [22]}])
    for _ in range(2):
        bench.nft.rules = ""
        done = bench.run("apply", "--boot")
        assert (done.exit_code, bench.nft.rules) == (0, confirmed)
        (bench.config / "v2g.yaml").write_text("site: [")


def test_a_boot_that_has_nothing_to_put_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "DEFAULT_DIR", bench.folder / "state")
    (bench.config / "v2g.yaml").write_text("site: [")
    done = bench.run("apply", "--boot")
    assert (done.exit_code, "nothing was ever confirmed" in done.stderr) == (1, True)
    assert bench.nft.loads == []


def test_a_first_boot_puts_what_the_configuration_makes(bench: Bench) -> None:
    done = bench.run("apply", "--boot")
    assert (done.exit_code, "from the configuration" in done.stdout) == (0, True)


def test_a_boot_confirms_nothing_in_anybodys_place(bench: Bench) -> None:
    bench.run("apply", "--boot")
    bench.write(operators=[{"addresses": ["10.9.9.0/28"], "ports": [22]}])
    done = bench.run("apply", "--boot")
    assert (done.exit_code, "from the configuration" in done.stdout, "10.9.9.0/28" in bench.nft.rules) == (
        0,
        True,
        True,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
@pytest.mark.parametrize(
    "dropin",
    [{"firewall": {"state_dir": "/tmp/elsewhere"}}, {"firewall": {"output": "open"}},
     {"evses": [{"id": "US*V2G*E1", "inverter": {"modbus": {"host": "10.9.0.77"}}}]}],
)  # fmt: skip
def test_rules_are_not_taken_from_a_file_that_the_daemon_may_write(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, dropin: dict[str, Any]
) -> None:
    monkeypatch.setattr(context, "DEFAULT_DIR", bench.folder / "state")
    bench.run("apply", "--no-confirm")
    confirmed = bench.nft.rules
    file = bench.config / "conf.d" / "90-operator.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(dropin))
    assert bench.run("render").exit_code == 0
    os.chown(file, 54_321, -1)
    done = bench.run("apply", "--no-confirm")
    assert (done.exit_code, "belongs to user 54321" in done.stderr) == (1, True)
    assert "unusable" in bench.run("status", "--json").stdout
    bench.nft.rules = ""
    assert (bench.run("apply", "--boot").exit_code, bench.nft.rules) == (0, confirmed)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user: needs root")
def test_what_the_daemon_calibrates_does_not_touch_the_rules(bench: Bench) -> None:
    file = bench.config / "conf.d" / "90-operator.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"evses": [{"id": "US*V2G*E1", "min_soc_pct": 30}]}))
    os.chown(file, 54_321, -1)
    assert bench.run("apply", "--no-confirm").exit_code == 0


def test_status_is_sound_only_while_nothing_differs(bench: Bench) -> None:
    done = bench.run("status")
    assert (done.exit_code, "NOT applied" in done.stdout) == (1, True)
    bench.run("apply", "--no-confirm")
    assert bench.run("status").exit_code == 0
    bench.write(operators=[{"addresses": ["10.9.9.0/28"], "ports": [22]}])
    done = bench.run("status")
    assert done.exit_code == 1
    assert "+\t\t\t10.9.9.0/28," in done.stdout
    bench.nft.rules += "\n# changed"
    assert "CHANGED since it was applied" in bench.run("status").stdout
    (bench.folder / "state" / "applied.json").unlink()
    assert "has not put there" in bench.run("status").stdout


def test_a_configuration_that_is_broken_meanwhile_does_not_hide_the_status(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run("apply", "--no-confirm")
    monkeypatch.setattr(context, "DEFAULT_DIR", bench.folder / "state")
    (bench.config / "v2g.yaml").write_text("site: [")
    found = json.loads(bench.run("status", "--json").stdout)
    assert (found["in_force"], found["configuration"], found["sound"]) == ("as applied", "unusable", False)


def test_admit_and_withdraw_are_told(bench: Bench) -> None:
    bench.write(operators=OPERATORS, plc_interfaces=["evse1"])
    bench.run("apply", "--no-confirm")
    done = bench.run("admit", "--interface", "evse1", "--mac", MAC, "--for", "12h")
    assert (done.exit_code, "for 12 h" in done.stdout) == (0, True)
    assert bench.nft.commands[-1]["add"]["element"]["elem"] == [{"elem": {"val": MAC, "timeout": 43200}}]
    assert bench.run("withdraw", "--interface", "evse1", "--mac", MAC).exit_code == 0
    assert [code for code, _ in bench.told][-2:] == ["FIREWALL_ADMITTED", "FIREWALL_WITHDRAWN"]
    assert bench.run("admit", "--interface", "evse1", "--mac", "x; flush ruleset").exit_code == 1
    assert bench.run("admit", "--interface", "evse1", "--mac", MAC, "--for", "12").exit_code == 2


@pytest.mark.parametrize(("port", "exit_code"), [(22, 0), (8080, 1)])
def test_check_fails_while_an_open_port_is_not_explained(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, port: int, exit_code: int
) -> None:
    one = Listener("tcp", ipaddress.ip_address("0.0.0.0"), port, 0, 1, "prog[9]")
    monkeypatch.setattr(command.sockets, "listeners", lambda: (one,))
    done = bench.run("check")
    assert (done.exit_code, f"tcp 0.0.0.0:{port}" in done.stdout) == (exit_code, True)
    found = json.loads(bench.run("check", "--json").stdout)
    assert found["sockets"][0]["process"] == "prog[9]"
    assert {"protocol": "tcp", "port": 15118, "source": "evses[0].tcp_port"} in found["idle_rules"]


def test_only_lines_that_differ_are_changes() -> None:
    assert changes("a\nb\nc", "a\nx\nc") == ("-b", "+x")


@pytest.mark.parametrize(("login_uid", "expected"), [("0", "by root"), ("4294967295", None), ("nonsense", None)])
def test_who_is_the_one_who_logged_in(tmp_path: Path, login_uid: str, expected: str | None) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "loginuid").write_text(login_uid)
    assert context.who(tmp_path) == (expected or context.who(tmp_path / "absent"))


def test_the_system_s_log_hears_of_it_without_a_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines: list[str] = []
    monkeypatch.setattr(context.syslog, "syslog", lambda level, text: lines.append(text))
    note: Callable[[str, str], None] = context.noter(tmp_path / "control.sock")
    note("FIREWALL_APPLIED", "by root\nand " + 300 * "x")
    assert lines[0].startswith("FIREWALL_APPLIED by root and x")
    assert len(lines[0]) < 230
