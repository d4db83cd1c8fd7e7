"""``v2g-config set``, ``unset``, ``reload``, ``diff``, ``backup``: by the daemon where one runs, else on the files."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.config_dir import two_evses, write_config
from v2g.cli import config, config_edit
from v2g.cli.config_text import reload_text, set_text
from v2g.cli.verbs import normalise
from v2g.clock import ManualClock
from v2g.config import writer
from v2g.config.loader import load
from v2g.config.schema import Roles
from v2g.control.messages import NoParams
from v2g.control.messages_config import (
    ConfigChange,
    ConfigDiffResult,
    ConfigReloadResult,
    ConfigRestoreParams,
    ConfigSetParams,
    ConfigSetResult,
)
from v2g.control.server import ControlServer, Method, Refused, Role

CHANGE = ConfigChange(
    path="dispatch.dwell_s", before=240.0, after=300.0, place="/etc/v2g/conf.d/90-operator.yaml:4", takes="reload",
    in_force=True,
)  # fmt: skip
LATE = ConfigChange(
    path="history.keep_days", before=400, after=300, place="f:9", takes="restart of v2g-orchestrator", in_force=False
)


class Site:
    def __init__(self, folder: Path) -> None:
        self.etc = folder / "etc"
        write_config(self.etc, two_evses())
        self.path = folder / "control.sock"
        self.received: list[Any] = []
        self.answers: dict[str, Any] = {"config.diff": ConfigDiffResult(config_dir=str(self.etc))}
        methods: list[Method[Any]] = [
            Method("config.set", Role.ENGINEER, ConfigSetParams, self._answer("config.set")),
            Method("config.restore", Role.ENGINEER, ConfigRestoreParams, self._answer("config.restore")),
            Method("config.reload", Role.ENGINEER, NoParams, self._answer("config.reload")),
            Method("config.diff", Role.VIEWER, NoParams, self._answer("config.diff")),
        ]
        self.server = ControlServer(self.path, methods, Roles(), lambda *args, **fields: None, ManualClock())

    def _answer(self, name: str) -> Any:
        async def handler(params: Any, caller: Any) -> Any:
            self.received.append(params)
            answer = self.answers[name]
            if isinstance(answer, Refused):
                raise answer
            return answer

        return handler

    async def run(self, *words: str, **environ: str) -> Result:
        told = {"V2G_SOCKET": str(self.path), **environ}
        line = normalise(words, config.cli.verbs)  # type: ignore[attr-defined]
        return await asyncio.to_thread(CliRunner().invoke, config.cli, line, env=told)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    await made.server.start()
    yield made
    await made.server.close()


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration without a daemon."""
    monkeypatch.setattr(config_edit, "find_socket", lambda: tmp_path / "control.sock")
    monkeypatch.delenv("V2G_SOCKET", raising=False)
    write_config(tmp_path / "etc", two_evses())
    return tmp_path / "etc"


def here(*words: str | Path) -> Result:
    return CliRunner().invoke(config.cli, [str(word) for word in words])


# ---- by the daemon ----


async def test_a_change_is_the_daemons_to_make(site: Site) -> None:
    site.answers["config.set"] = ConfigSetResult(
        file="/etc/v2g/conf.d/90-operator.yaml", backup="/b.0003", changes=(CHANGE,)
    )
    result = await site.run("set", "dispatch.dwell_s", "5min", "site.name=X")
    assert result.exit_code == 0, result.output
    assert site.received == [ConfigSetParams(changes={"dispatch.dwell_s": "5min", "site.name": "X"})]
    assert result.output.splitlines() == [
        "dispatch.dwell_s: 300.0 (was 240.0) [/etc/v2g/conf.d/90-operator.yaml:4]",
        "written to /etc/v2g/conf.d/90-operator.yaml; before: /b.0003",
        "in force",
    ]
    told = json.loads((await site.run("set", "dispatch.dwell_s", "5min", "--json")).output)
    assert told["changes"][0]["in_force"] is True


async def test_what_waits_is_told_with_what_to_run(site: Site) -> None:
    site.answers["config.set"] = ConfigSetResult(
        file="f", changes=(CHANGE, LATE), restart=("v2g-orchestrator",), remarks=("a warning",)
    )
    lines = (await site.run("unset", "dispatch.dwell_s", "history.keep_days")).output.splitlines()
    assert lines[-3:] == ["in force: dispatch.dwell_s", "waits for: systemctl restart v2g-orchestrator", "- a warning"]
    assert site.received == [ConfigSetParams(unset=("dispatch.dwell_s", "history.keep_days"))]


async def test_a_refusal_is_one(site: Site) -> None:
    site.answers["config.set"] = Refused("nothing was changed: no", code="BAD_SETTING")
    result = await site.run("set", "dispatch.dwell_s", "5min", "--json")
    assert result.exit_code == 1
    assert '"code": "BAD_SETTING"' in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "dispatch.dwell_s"), "there is no value behind it"),
        (("set", "dispatch.dwell_s", "1", "dispatch.dwell_s", "2"), "is given twice"),
        (("set",), "Missing argument"),
        (("unset",), "Missing argument"),
        (("diff", "--config", "/etc/v2g"), "--config goes with --defaults"),
        (("backup", "restore", "0"), "is not in the range"),
        (("backup", "restore", "1"), "Nobody can be asked here: say so with --yes"),
    ],
)
async def test_what_cannot_be_meant_is_two(site: Site, words: tuple[str, ...], said: str) -> None:
    result = await site.run(*words)
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert site.received == []


async def test_another_directory_than_the_daemons_is_written_here(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.etc, tmp_path / "other")
    result = await site.run("set", "dispatch.dwell_s", "5min", "--config", str(tmp_path / "other"))
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "other").config.dispatch.dwell_s == 300.0
    site.answers["config.set"] = ConfigSetResult(file="f", changes=(CHANGE,))
    await site.run("set", "dispatch.dwell_s", "5min", "--config", f"{tmp_path}/other/../etc")
    assert isinstance(site.received[-1], ConfigSetParams), "its own directory, by another name, is the daemon's"


async def test_reload_diff_and_restore_ask_the_daemon(site: Site) -> None:
    site.answers["config.reload"] = ConfigReloadResult(
        changes=(CHANGE,), waiting=(LATE,), restart=("v2g-orchestrator",), messages=("20 channels are in force",)
    )
    told = (await site.run("reload")).output
    for words in (
        "20 channels",
        "in force: dispatch.dwell_s: 300.0",
        "waiting:  history.keep_days",
        "systemctl restart",
    ):
        assert words in told
    site.answers["config.diff"] = ConfigDiffResult(
        config_dir="/etc/v2g", changes=(LATE,), restart=("v2g-orchestrator",)
    )
    told = (await site.run("diff")).output
    assert "history.keep_days: 300 (was 400) [f:9]  (restart of v2g-orchestrator)" in told
    site.answers["config.diff"] = ConfigDiffResult(config_dir="/etc/v2g", problems=("v2g.yaml:3: wrong",))
    result = await site.run("diff")
    assert (result.exit_code, "has 1 mistake" in result.output or "have 1 mistake" in result.output) == (1, True)
    site.answers["config.restore"] = ConfigSetResult(file="f", changes=(CHANGE,))
    assert (await site.run("backup", "restore", "3", "--yes")).exit_code == 0
    assert site.received[-1] == ConfigRestoreParams(name="90-operator.yaml", number=3)


def test_a_socket_that_was_named_is_not_answered_by_the_files_of_this_host(tmp_path: Path) -> None:
    nobody = {"V2G_SOCKET": str(tmp_path / "control.sock")}
    for words in (["set", "site.name", "X"], ["unset", "site.name"], ["reload"], ["diff"]):
        result = CliRunner().invoke(config.cli, words, env=nobody)
        assert (result.exit_code, "there is no" in result.output) == (3, True), result.output


# ---- without a daemon ----


def test_without_a_daemon_the_files_are_changed_and_hold_from_its_next_start(etc: Path) -> None:
    result = here("set", "dispatch.dwell_s", "5min", "relay.delay_s", "13s", "--config", etc)
    assert result.exit_code == 0, result.output
    assert load(etc).config.dispatch.dwell_s == 300.0
    assert "no daemon runs here: it holds from its next start" in result.output
    assert "if these run: systemctl restart v2g-guard-tick" in result.output
    again = here("set", "dispatch.dwell_s", "300", "--config", etc)
    assert again.output == f"no change: it is so already ({etc}/conf.d/90-operator.yaml)\n"
    back = here("unset", "dispatch.dwell_s", "--config", etc)
    assert back.exit_code == 0
    assert load(etc).config.dispatch.dwell_s == 240.0


def test_a_missing_directory_of_drop_ins_is_made(etc: Path) -> None:
    shutil.rmtree(etc / "conf.d")
    assert here("set", "site.name", "X", "--config", etc).exit_code == 0
    assert load(etc).config.site.name == "X"


def test_backups_are_listed_and_restored(etc: Path) -> None:
    assert "there are no backups" in here("backup", "list", "--config", etc).output
    here("set", "dispatch.dwell_s", "100", "--config", etc)
    here("set", "dispatch.dwell_s", "200", "--config", etc)
    lines = here("backup", "list", "--config", etc).output.splitlines()
    assert lines[1].split()[:2] == ["1", "90-operator.yaml"]
    assert json.loads(here("backup", "list", "--json", "--config", etc).output)[0]["number"] == 1
    result = here("backup", "restore", "1", "--yes", "--config", etc)
    assert result.exit_code == 0, result.output
    assert load(etc).config.dispatch.dwell_s == 100.0
    missing = here("backup", "restore", "7", "--yes", "--config", etc)
    assert (missing.exit_code, "there is no backup 7" in missing.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "dispatch.dwell_s", "5000"), "must be at most 800 s"),
        (("set", "dispatch.dwel_s", "50"), "is dispatch.dwell_s meant?"),
        (("set", "dispatch.dwell_s", "fast"), "write a number in s, from 30 to 800"),
        (("unset", "dispatch.dwell_s"), "it has its default"),
    ],
)
def test_what_cannot_hold_is_one_and_changes_nothing(etc: Path, words: tuple[str, ...], said: str) -> None:
    result = here(*words, "--config", etc)
    assert (result.exit_code, said in result.output, "nothing was changed" in result.output) == (1, True, True)
    assert not (etc / "conf.d" / "90-operator.yaml").exists()


@pytest.mark.parametrize(
    ("number", "reason", "remedy"),
    [
        (28, "No space left on device", "make room there first"),
        (30, "Read-only file system", "it is mounted read-only"),
        (13, "Permission denied", "run it as root, or start the daemon"),
    ],
)
def test_what_cannot_be_written_names_place_and_remedy(
    etc: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, remedy: str
) -> None:
    here("set", "dispatch.dwell_s", "100", "--config", etc)

    def refuse(*args: object, **options: object) -> None:
        raise OSError(number, reason, str(etc / "conf.d" / ".90-operator.yaml.x"))

    monkeypatch.setattr(writer.tempfile, "mkstemp", refuse)
    result = here("set", "dispatch.dwell_s", "200", "--config", etc)
    assert result.exit_code == 1
    for words in ("nothing was changed", str(etc / "conf.d"), reason, remedy):
        assert words in result.output
    assert load(etc).config.dispatch.dwell_s == 100.0


def test_a_configuration_that_does_not_hold_is_not_changed(etc: Path) -> None:
    (etc / "conf.d" / "50-wrong.yaml").write_text("dispatch: {dwell_s: soon}\n")
    result = here("set", "site.name", "X", "--config", etc)
    assert result.exit_code == 1
    assert "50-wrong.yaml:1" in result.output


def test_what_differs_from_the_defaults_is_told_without_a_daemon(etc: Path) -> None:
    here("set", "dispatch.dwell_s", "5min", "--config", etc)
    lines = here("diff", "--defaults", "--config", etc).output.splitlines()
    assert any(line.startswith("dispatch.dwell_s: 300.0 (was 240.0) [") for line in lines)
    assert not any(line.startswith("dispatch.max_soc_pct") for line in lines)
    told = json.loads(here("diff", "--defaults", "--json", "--config", etc).output)
    assert told["dispatch.dwell_s"]["default"] == "240.0"


# ---- words ----


def test_settings_that_have_a_command_of_their_own_name_it() -> None:
    own = ConfigChange(
        path="firewall.dns",
        before=[],
        after=["192.0.2.1"],
        place="f:1",
        takes="v2g-tool firewall apply",
        in_force=False,
    )
    for running in (True, False):
        text = set_text(ConfigSetResult(file="f", changes=(own,)), running=running)
        assert "waits for: v2g-tool firewall apply" in text
        assert "reload" not in text


def test_a_reload_that_changes_nothing_says_so() -> None:
    assert reload_text(ConfigReloadResult(messages=("read",))) == "read\nno setting is another than before"
