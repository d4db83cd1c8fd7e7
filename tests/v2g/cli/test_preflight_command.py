"""``v2g-tool preflight``: what it shows at any width, what it asks the daemon, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from support.config_dir import two_evses, write_config
from v2g.cli.preflight import preflight
from v2g.cli.preflight_look import Report
from v2g.cli.preflight_look import _Looking as Looking
from v2g.cli.preflight_text import report_text as styled_text
from v2g.clock import SystemClock
from v2g.config.schema import Roles
from v2g.control.messages import NoParams
from v2g.control.messages_preflight import PreflightResult, PreflightShowParams
from v2g.control.server import Caller, ControlServer, Method, Role
from v2g.host.preflight.model import PreflightLine, failed, passed, warned
from v2g.host.preflight.names import CHECKS

DISK = failed("disk", "logs directory /var/log/v2g is full: only 3 MiB free", "free some: df -h /var/log/v2g shows it")
LINES = (passed("relay", "set to 1.1 p.u., closed"), warned("clock", "not synchronised", "start chrony"), DISK)
REPORT = Report(lines=LINES, config_dir="/etc/v2g")


def report_text(report: Report, columns: int | None) -> str:
    return click.unstyle(styled_text(report, columns))


def of_daemon(line: PreflightLine) -> PreflightLine:
    return PreflightLine(name=line.name, level=line.level, found=line.found, remedy=line.remedy, by="daemon")


# ---- as text -------------------------------------------------------------------------------------------------------


def test_into_a_pipe_each_line_stands_whole_for_grep() -> None:
    lines = report_text(REPORT, None).splitlines()
    assert lines[2] == f"FAIL  disk   {DISK.found} -> {DISK.remedy}"
    assert lines[-1] == "1 pass, 1 warn, 1 fail"


@pytest.mark.parametrize("columns", [20, 40, 59, 60, 80, 160])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(columns: int) -> None:
    text = report_text(REPORT, columns)
    assert max(map(len, text.splitlines())) <= columns
    words = " ".join(text.split())
    for word in ("FAIL", "disk", "start chrony", "closed"):
        assert word in words


def test_at_forty_columns_name_finding_and_remedy_stand_below_each_other() -> None:
    assert report_text(Report((DISK,), ""), 40).splitlines()[:6] == [
        "FAIL disk",
        "  logs directory /var/log/v2g is full:",
        "  only 3 MiB free",
        "  -> free some: df -h /var/log/v2g shows",
        "     it",
        "",
    ]


def test_what_the_daemon_said_is_marked_and_whom_it_refuses_is_told_once() -> None:
    report = Report((of_daemon(DISK),), "", daemon=True, refuses={"E1": "disk failed", "E2": "disk failed"})
    lines = report_text(report, None).splitlines()
    assert lines[0].startswith("FAIL  disk*  ")
    assert lines[-2:] == ["* asked the daemon", "no discharge at E1, E2: disk failed"]


def test_what_a_device_says_cannot_steer_the_terminal() -> None:
    text = report_text(Report((failed("inverters", "\x1b[2Jgone", "x"),), ""), None)
    assert "\x1b[2J" not in text


# ---- without a daemon ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Any:
    # Unix sockets have short paths.
    with TemporaryDirectory(prefix="v2g") as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def no_guard_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the host of the tests somebody may well run another controller."""
    monkeypatch.setattr(Looking, "_wires_runs", lambda self, paths: False)


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(
        preflight, list(words), env={"V2G_SOCKET": "/nonexistent/control.sock", "V2G_CONFIG": "", **(env or {})}
    )


def test_a_plain_machine_is_told_what_is_missing_and_ends_with_1(folder: Path) -> None:
    result = run("--config", str(folder / "etc"))
    assert result.exit_code == 1, result.output
    assert "FAIL  configuration" in result.output
    assert "create it" in result.output
    assert "without it nobody can look at: realtime, disk" in result.output
    assert "does not answer" in result.output


def test_names_are_checked_and_joined_or_repeated(folder: Path) -> None:
    unknown = run("--only", "disc")
    assert unknown.exit_code == 2
    assert "'disc' is no check; there are configuration, kernel" in " ".join(unknown.output.split())
    some = json.loads(run("--only", "kernel,clock", "--only", "daemon", "--skip", "clock", "--json").stdout)
    assert {line["name"] for line in some["lines"]} == {"kernel", "daemon"}


def test_json_has_every_line_and_the_worst_level(folder: Path) -> None:
    result = run("--config", str(folder / "etc"), "--json")
    told = json.loads(result.stdout)
    assert (told["level"], told["daemon"], told["config_dir"]) == ("fail", False, str(folder / "etc"))
    assert set(told["lines"][0]) == {"name", "level", "found", "remedy", "evses", "by"}
    assert {line["name"] for line in told["lines"]} <= set(CHECKS)


def site(folder: Path) -> Path:
    if (folder / "etc").exists():
        return folder / "etc"
    paths = {"run_dir": str(folder / "run"), "state_dir": str(folder), "log_dir": str(folder)}
    (folder / "run").mkdir(exist_ok=True)
    main = two_evses(paths=paths, pki={"dir": str(folder / "pki")})
    for evse in main["evses"]:
        for part in ("inverter", "dc"):
            # Nobody listens there, and nobody is asked for beyond this host.
            evse[part]["modbus"] = {"host": "127.0.0.1", "port": 1, "unit": int(evse["id"][-1]) * 2 + (part == "dc")}
    write_config(folder / "etc", main)
    sensors = (folder / "etc/sensor_map.conf").read_text().replace("192.0.2.10", "127.0.0.1").replace("502", "1")
    (folder / "etc/sensor_map.conf").write_text(sensors)
    return folder / "etc"


def lines_of(result: Result) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in json.loads(result.stdout)["lines"]:
        found.setdefault(line["name"], []).append(line)
    return found


def test_without_a_daemon_it_looks_itself_and_finds_what_is_not_there(folder: Path) -> None:
    result = run("--config", str(site(folder)), "--json", "--skip", "firewall")
    assert result.exit_code == 1
    found = lines_of(result)
    assert set(found) == set(CHECKS) - {"firewall"}
    assert [line["evses"] for line in found["inverters"]] == [[f"US*V2G*E{n}"] for n in (1, 1, 2, 2)]
    assert found["disk"][-1]["level"] == "pass"
    assert found["sensors"][0]["level"] == "fail"
    assert found["ipv6"][0]["found"] == "there is no interface evse1"
    assert found["certificates"][0]["level"] == "fail"
    assert found["ports"][-1]["found"] == "4 free"
    assert {line["by"] for lines in found.values() for line in lines} == {""}


def test_a_socket_left_by_a_dead_daemon_is_named(folder: Path) -> None:
    config = site(folder)
    path = folder / "run/control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    result = run("--config", str(config), "--socket", str(path), "--only", "sockets,daemon", "--json")
    found = lines_of(result)
    assert (found["sockets"][0]["level"], str(path) in found["sockets"][0]["found"]) == ("warn", True)
    assert "Connection refused" in found["daemon"][0]["found"]


def test_with_the_daemon_unreachable_its_own_look_ends_with_3() -> None:
    assert run("--daemon").exit_code == 3
    assert run("--daemon", "--config", "/etc/v2g").exit_code == 2


# ---- with a daemon -------------------------------------------------------------------------------------------------


class FakeDaemon:
    def __init__(self, folder: Path) -> None:
        self.result = PreflightResult(
            lines=tuple(of_daemon(line) for line in LINES),
            level="fail",
            age_s=0.1,
            in_force=False,
            config_dir=str(site(folder)),
        )
        self.asked: list[Any] = []

    async def show(self, params: PreflightShowParams, caller: Caller) -> PreflightResult:
        self.asked.append(params)
        return self.result

    async def run(self, params: NoParams, caller: Caller) -> PreflightResult:
        self.asked.append("run")
        return self.result


@asynccontextmanager
async def serving(daemon: FakeDaemon, path: Path, *, old: bool = False) -> AsyncIterator[None]:
    methods: tuple[Method[Any], ...] = (
        Method("preflight.show", Role.VIEWER, PreflightShowParams, daemon.show),
        Method("preflight.run", Role.ENGINEER, NoParams, daemon.run),
    )
    server = ControlServer(path, () if old else methods, Roles(), lambda *_, **__: None, SystemClock())
    await server.start()
    try:
        yield
    finally:
        await server.close()


async def asked(folder: Path, *words: str, daemon: FakeDaemon | None = None, old: bool = False) -> Result:
    path = folder / "run/control.sock"
    (folder / "run").mkdir(exist_ok=True)
    async with serving(daemon or FakeDaemon(folder), path, old=old):
        return await asyncio.to_thread(run, *words, env={"V2G_SOCKET": str(path)})


async def test_what_only_the_daemon_knows_is_asked_from_it_afresh(folder: Path) -> None:
    daemon = FakeDaemon(folder)
    result = await asked(folder, "--json", "--skip", "firewall", daemon=daemon)
    assert daemon.asked == [PreflightShowParams(fresh=True)]
    told = json.loads(result.stdout)
    assert (told["config_dir"], told["daemon"]) == (str(folder / "etc"), True)
    found = lines_of(result)
    assert [line["by"] for line in found["disk"] + found["relay"]] == ["daemon", "daemon"]
    assert {line["by"] for line in found["clock"]} == {""}
    # No device is asked by two.
    assert "inverters" not in found
    assert str(os.getpid()) in found["daemon"][0]["found"]


async def test_a_daemon_that_still_refuses_what_is_mended_is_a_fail_with_the_command_that_lifts_it(
    folder: Path,
) -> None:
    from msgspec.structs import replace

    daemon = FakeDaemon(folder)
    good = tuple(of_daemon(line) for line in LINES[:2])
    daemon.result = replace(daemon.result, lines=good, level="warn", refuses={"US*V2G*E1": "disk failed"})
    result = await asked(folder, "--only", "daemon", daemon=daemon)
    assert result.exit_code == 1
    assert "v2g-tool preflight --daemon lifts it" in result.output
    assert "no discharge at US*V2G*E1: disk failed" in result.output


async def test_by_the_daemon_itself_only_its_lines_are_shown(folder: Path) -> None:
    daemon = FakeDaemon(folder)
    result = await asked(folder, "--daemon", daemon=daemon)
    assert (result.exit_code, daemon.asked) == (1, ["run"])
    assert "FAIL  disk*" in result.output
    assert "kernel" not in result.output


async def test_another_configuration_than_the_daemon_s_is_looked_at_without_it(folder: Path) -> None:
    other = folder / "other"
    write_config(other, two_evses())
    result = await asked(folder, "--config", str(other), "--only", "daemon,configuration,led", "--json")
    found = lines_of(result)
    assert "was not asked" in found["daemon"][0]["found"]
    assert found["led"][0]["by"] == ""


async def test_an_older_daemon_is_named_and_nothing_breaks(folder: Path) -> None:
    config = site(folder)
    result = await asked(folder, "--config", str(config), "--only", "daemon", "--json", old=True)
    (line,) = lines_of(result)["daemon"]
    assert (line["level"], "cannot be asked" in line["found"]) == ("warn", True)
