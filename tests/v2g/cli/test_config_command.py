"""``v2g-config`` against a real control server with the real method on a site of files, and against files alone."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.config_dir import two_evses, write_config
from v2g.cli.config import cli
from v2g.cli.verbs import normalise
from v2g.clock import ManualClock
from v2g.config.loader import load
from v2g.config.schema import Roles
from v2g.control.server import ControlServer
from v2g.orchestrator.changes import Changes
from v2g.orchestrator.min_soc_api import MinSocApi
from v2g.sessions.supervisor import SessionInfo

E1, E2 = "US*V2G*E1", "US*V2G*E2"
VEHICLE = SessionInfo(evse_id=E1, evccid="WMIV2G0001", identity=None, peer="[fe80::1]:50000", started_at_s=0.0)


class Site:
    """A configuration directory, a control server on it, and one vehicle at E1 with 35 %."""

    def __init__(self, folder: Path) -> None:
        self.config_dir, self.socket = folder / "etc", folder / "control.sock"
        write_config(self.config_dir, two_evses())
        procedure = SimpleNamespace(soc_pct=35, needs=None)
        bays: dict[str, Any] = {E1: SimpleNamespace(procedure=procedure), E2: SimpleNamespace(procedure=None)}
        self.api = MinSocApi(load(self.config_dir).config, bays, {E1: VEHICLE}.get, self.config_dir, Changes())
        self.audit: list[tuple[str, dict[str, Any]]] = []
        self.server = ControlServer(self.socket, self.api.methods(), Roles(), self._audit, ManualClock())

    def _audit(self, code: str, message: str, **fields: Any) -> None:
        self.audit.append((code, fields))

    async def run(self, *words: str, reachable: bool = True) -> Result:
        environ = {"V2G_SOCKET": str(self.socket if reachable else self.socket.parent / "none.sock")}
        argv = normalise(words, tuple(cli.commands))
        return await asyncio.to_thread(CliRunner().invoke, cli, argv, env=environ)

    async def files(self, *words: str) -> Result:
        return await self.run(*words, "--config", str(self.config_dir), reachable=False)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    running = Site(tmp_path)
    await running.server.start()
    yield running
    await running.server.close()


@pytest.mark.parametrize(
    "command",
    [
        "--min-soc 40",
        "min-soc 40",
        "--min-soc=40",
        "--min-soc=40%",
        "--min-soc 40 %",
        "–min-soc 40",
        "—min-soc=40",
        "–-min-soc 40%",
        "min-soc 40,0",
    ],
)
async def test_every_spelling_of_the_manual_sets_it(site: Site, command: str) -> None:
    result = await site.run(*command.split())
    assert result.exit_code == 0, result.output
    assert site.api.settings.site_pct == 40.0
    assert load(site.config_dir).config.dispatch.min_soc_pct == 40.0


@pytest.mark.parametrize(
    "command", [f"--min-soc 40 --evse {E1}", f"--evse {E1} --min-soc=40", f"min-soc --evse={E1} 40"]
)
async def test_one_evse_is_set(site: Site, command: str) -> None:
    result = await site.run(*command.split())
    assert result.exit_code == 0, result.output
    assert (site.api.settings.site_pct, dict(site.api.settings.by_evse)) == (30.0, {E1: 40.0})


async def test_the_answer_says_what_changed_and_for_whom_it_matters(site: Site) -> None:
    file = site.config_dir / "conf.d" / "90-operator.yaml"
    assert (await site.run("--min-soc", "40")).output.splitlines() == [
        f"min-SoC of site: 40 %, was 30 %; kept in {file}:4; concerned now:",
        f"  {E1} / WMIV2G0001: 40 % (site), was 30 %; at 35 %, does not discharge",
    ]
    assert (await site.run("--min-soc", "40")).output == f"no change: min-SoC of site is 40 % already ({file}:4)\n"
    assert (await site.run("--min-soc", "20", "--evse", E2)).output.startswith(
        f"min-SoC of EVSE {E2}: 20 %, was none of its own; kept in {file}:7; no vehicle here is concerned now"
    )
    assert (await site.run("--min-soc", "--unset", "--evse", E2)).output == (
        f"min-SoC of EVSE {E2}: none of its own, was 20 %; no vehicle here is concerned now\n"
    )


async def test_a_claimed_identity_that_would_lower_it_is_told(site: Site) -> None:
    result = await site.run("--min-soc", "10", "--vehicle", "WMIV2G0001")
    assert result.exit_code == 0
    assert "- US*V2G*E1: WMIV2G0001 is only what the vehicle claims to be, which cannot lower" in result.output
    result = await site.run("--min-soc", "50", "--vehicle", "WMIV2G0001", "--json")
    (line,) = json.loads(result.output)["vehicles"]
    assert line["whose"] == "vehicle WMIV2G0001, not authenticated"


async def test_a_call_is_audited_with_who_and_what(site: Site) -> None:
    await site.run("--min-soc", "40", "--vehicle", "CN=WMIV2G0001")
    await site.run("--min-soc", "40", "--evse", "US*V2G*E9")
    calls = [(code, fields) for code, fields in site.audit if fields["method"] == "min_soc.set"]
    assert [code for code, _ in calls] == ["CALL", "REFUSED"]
    done, refused = calls[0][1], calls[1][1]
    assert done["uid"] == os.getuid()
    assert done["user"]
    assert json.loads(done["params"]) == {"value": 40.0, "evse_id": None, "vehicle": "CN=WMIV2G0001"}
    assert '"changed":true' in done["result"]
    assert '"before":null' in done["result"]
    assert (refused["error"], "US*V2G*E9" in refused["params"]) == ("UNKNOWN_EVSE", True)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("--min-soc", "give a value in percent"),
        ("--min-soc forty", "'forty' is no percentage"),
        ("--min-soc=", "is no percentage"),
        ("--min-soc 101", "outside 0..100"),
        ("--min-soc nan", "outside 0..100"),
        ("--min-soc 0.3", "for 30 % write 30"),
        ("--min-soc --unset", "--unset needs --evse ID or --vehicle ID"),
        (f"--min-soc 30 --unset --evse {E1}", "or --unset"),
        (f"--min-soc 30 --evse {E1} --vehicle X", "not both"),
    ],
)
async def test_what_cannot_be_meant_never_reaches_the_daemon(site: Site, command: str, told: str) -> None:
    result = await site.run(*command.split())
    assert (result.exit_code, told in result.output) == (2, True), result.output
    assert not [fields for _, fields in site.audit if fields["method"] == "min_soc.set"]


async def test_a_refusal_is_1_and_no_daemon_is_3(site: Site) -> None:
    result = await site.run("--min-soc", "40", "--evse", "US*V2G*E9")
    assert (result.exit_code, f"there are {E1}, {E2}" in result.output) == (1, True)
    result = await site.run("--min-soc", "40", reachable=False)
    assert (result.exit_code, "systemctl status v2g-orchestrator" in result.output) == (3, True)


# ---- files alone ----


async def test_show_names_the_file_of_each_value(site: Site) -> None:
    await site.run("--min-soc", "40")
    result = await site.files("--show", "dispatch")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert f"dispatch.min_soc_pct 40.0 [{site.config_dir}/conf.d/90-operator.yaml:4]" in lines
    assert "dispatch.max_soc_pct 100.0 [default]" in lines
    assert all(line.startswith("dispatch.") for line in lines)
    everything = (await site.files("show")).output
    assert f"[{site.config_dir}/v2g.yaml:" in everything


async def test_get_gives_the_value_alone(site: Site) -> None:
    assert (await site.files("get", f"evses[{E2}].inverter.modbus.host")).output == "10.0.0.2\n"
    assert (await site.files("get", "dispatch.unbalance_w")).output == "null\n"
    assert (await site.files("get", "dispatch.planning")).output.splitlines()[0] == "dispatch.planning.enabled=true"
    found = json.loads((await site.files("get", "site.id", "--json")).output)
    assert found == {"site.id": {"value": "s1", "file": f"{site.config_dir}/v2g.yaml:{_line(site, 'site:') + 1}"}}


def _line(site: Site, text: str) -> int:
    return (site.config_dir / "v2g.yaml").read_text().splitlines().index(text) + 1


async def test_a_setting_that_is_not_there_is_1_with_what_may_be_meant(site: Site) -> None:
    result = await site.files("get", "dispatch.min_soc")
    assert (result.exit_code, "is dispatch.min_soc_pct" in result.output) == (1, True)


async def test_validate_tells_every_mistake_with_its_place(site: Site) -> None:
    assert (await site.files("validate")).output.startswith("OK: ")
    (site.config_dir / "conf.d" / "50-x.yaml").write_text("dispatch: {min_soc_pct: 130, max_soc: 3}\n")
    for command in ("validate", "show"):
        result = await site.files(command)
        assert result.exit_code == 1
        assert "the configuration has 2 problems" in result.output
        assert "50-x.yaml:1: dispatch.min_soc_pct: 130: must be at most 100 %" in result.output


@pytest.mark.parametrize("command", ["validate", "show", "get site.id"])
async def test_a_directory_that_cannot_be_read_is_told(site: Site, command: str) -> None:
    result = await site.run(*command.split(), "--config", "x" * 300, reachable=False)
    assert (result.exit_code, "cannot be read: File name too long" in result.output) == (1, True)
    result = await site.run(*command.split(), "--config", str(site.config_dir / "none"), reachable=False)
    assert (result.exit_code, "v2g.yaml: does not exist" in result.output) == (1, True)


async def test_the_schema_describes_the_dispatch_section(site: Site) -> None:
    result = await site.run("schema", reachable=False)
    described = json.loads(result.output)["$defs"]["Dispatch"]
    assert described["properties"]["min_soc_pct"] == {
        "type": "number", "minimum": 0, "maximum": 100, "default": 30.0,
    }  # fmt: skip
    assert described["additionalProperties"] is False
