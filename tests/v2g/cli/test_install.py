"""v2g-tool install and uninstall, as a person at a shell has them, in an image."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from v2g.cli import install, man
from v2g.cli.tool import cli
from v2g.host.install.manifest import PATH, decode
from v2g.host.install.root import Root

PAGES = functools.cache(man.pages)
SLOT = ("--prefix", "/opt/v2g/current")


@pytest.fixture(autouse=True)
def pages_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands are loaded for them, which takes a second; and nobody waits for the disk."""
    monkeypatch.setattr(man, "pages", PAGES)
    monkeypatch.setattr(Root, "sync", lambda self: None)


def tool(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def test_what_was_done_is_said_line_by_line_and_the_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    first = tool("install", "--root", str(tmp_path), *SLOT)
    assert first.exit_code == 0
    lines = first.stdout.splitlines()
    assert "made        /etc/v2g/v2g.yaml" in lines
    assert "made        /etc/systemd/system/v2g-orchestrator.service" in lines
    assert any("things were changed. Next:" in line for line in lines)
    again = tool("install", "--root", str(tmp_path), *SLOT)
    assert again.exit_code == 0
    assert "Nothing to change: everything is as it should be." in again.stdout
    assert "\nmade" not in f"\n{again.stdout}"


def test_manual_pages_and_completion_are_laid_out_and_told_by_the_directory(tmp_path: Path) -> None:
    said = tool("install", "--root", str(tmp_path), *SLOT).stdout
    share = tmp_path / "usr/local/share"
    assert (share / "man/man8/v2g-tool.8").read_text().startswith(".")
    assert "v2g-tool" in (share / "bash-completion/completions/v2g-tool").read_text()
    assert (share / "zsh/site-functions/_v2g-control").exists()
    assert (share / "fish/vendor_completions.d/v2g-config.fish").exists()
    told = [line for line in said.splitlines() if "/usr/local/share/man/man8/  (" in line]
    assert len(told) == 1
    assert "v2g-tool.8" not in said


def test_commands_in_usr_bin_have_their_pages_in_usr_share(tmp_path: Path) -> None:
    tool("install", "--root", str(tmp_path), "--prefix", "/usr")
    assert (tmp_path / "usr/share/man/man8/v2g-tool.8").exists()
    assert not (tmp_path / "usr/local").exists()


def test_programs_get_every_line(tmp_path: Path) -> None:
    answer: dict[str, Any] = json.loads(tool("install", "--root", str(tmp_path), *SLOT, "--json").stdout)
    assert answer["commands"] == "/opt/v2g/current/bin"
    lines = {line["path"]: line for line in answer["lines"]}
    assert lines["/etc/v2g/v2g.yaml"] == {"did": "made", "path": "/etc/v2g/v2g.yaml", "note": "", "changed": True}
    assert lines["/usr/local/share/man/man8/v2g-tool.8"]["did"] == "made"
    assert answer["changed"] == sum(line["changed"] for line in answer["lines"])
    removed: dict[str, Any] = json.loads(
        tool("uninstall", "--root", str(tmp_path), "--purge", "--yes", "--json").stdout
    )
    assert removed["purge"] is True
    assert list(tmp_path.rglob("*")) == []


def test_a_look_changes_nothing(tmp_path: Path) -> None:
    said = tool("install", "--root", str(tmp_path), *SLOT, "--dry-run")
    assert said.exit_code == 0
    assert "would be changed; nothing was." in said.stdout
    assert list(tmp_path.rglob("*")) == []


def test_a_removal_asks_first_and_without_anybody_to_ask_refuses(tmp_path: Path) -> None:
    tool("install", "--root", str(tmp_path), *SLOT)
    refused = tool("uninstall", "--root", str(tmp_path))
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert (tmp_path / "etc/v2g/v2g.yaml").exists()


def test_nothing_to_remove_is_said_and_no_failure(tmp_path: Path) -> None:
    done = tool("uninstall", "--root", str(tmp_path), "--yes")
    assert done.exit_code == 0
    assert f"Nothing to remove: v2g-tool install has put nothing on {tmp_path}." in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--root", "{}", "--start"), "--start is for this host"),
        (("--root", "{}", "--prefix", "opt/v2g"), "--prefix is a path from the root"),
    ],
)
def test_what_makes_no_sense_is_a_mistake_of_usage(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    done = tool("install", *(word.format(tmp_path) for word in words))
    assert done.exit_code == 2
    assert why in done.stderr


def test_commands_that_daemons_cannot_see_are_refused_with_where_to_put_them(tmp_path: Path) -> None:
    done = tool("install", "--root", str(tmp_path), "--prefix", "/root/venv")
    assert done.exit_code == 1
    assert "below /root, which the units hide" in done.stderr
    assert "/opt/v2g" in done.stderr


def test_a_failure_half_way_says_how_far_it_came_also_to_programs(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/v2g").write_text("a file")
    done = tool("install", "--root", str(tmp_path), *SLOT, "--json")
    assert done.exit_code == 1
    assert "a file where a directory belongs" in json.loads(done.stdout)["error"]["message"]


def test_a_reader_that_goes_away_does_not_stop_the_work_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def one_line_only(text: str = "", **_: object) -> None:
        if shown:
            raise BrokenPipeError
        shown.append(text)

    def leaves() -> NoReturn:
        raise SystemExit(141)

    monkeypatch.setattr(install.click, "echo", one_line_only)
    monkeypatch.setattr(install, "reader_gone", leaves)
    assert tool("install", "--root", str(tmp_path), *SLOT).exit_code == 141
    assert (tmp_path / "etc/v2g/v2g.yaml").exists()
    assert decode((tmp_path / PATH[1:]).read_bytes()).complete
