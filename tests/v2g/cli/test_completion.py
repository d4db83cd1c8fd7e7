"""Completion: scripts for three shells, and words from the daemon and from the files."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from v2g.cli.completion import SHELLS, complete_evse, complete_path, script
from v2g.cli.programs import PROGRAMS

ETC = Path(__file__).resolve().parents[3] / "etc" / "v2g"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", [each.name for each in PROGRAMS])
def test_there_is_a_script_of_each_program_for_each_shell(shell: str, program: str) -> None:
    text = script(shell, program)
    assert program in text
    assert f"_{program.upper().replace('-', '_')}_COMPLETE={shell}_complete" in text
    if (binary := shutil.which(shell)) is not None:
        subprocess.run([binary, "-n"], input=text, text=True, check=True, capture_output=True)


def test_another_shell_is_refused() -> None:
    with pytest.raises(ValueError, match="none of bash, zsh, fish"):
        script("csh", "v2g-tool")


def completed(module: str, words: str, **environ: str) -> list[str]:
    name = f"v2g-{module}"
    variable = f"_V2G_{module.upper()}_COMPLETE"
    asked = {variable: "bash_complete", "COMP_WORDS": f"{name} {words}", "COMP_CWORD": str(len(words.split(" ")))}
    done = subprocess.run(
        [sys.executable, "-m", f"v2g.cli.{module}"],
        env={**os.environ, "V2G_SOCKET": "/nowhere/control.sock", **asked, **environ},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_verbs_are_completed_by_their_names() -> None:
    assert {"lockout", "log"} <= set(completed("tool", "lo"))
    assert completed("control", "trip r") == ["reset"]


def test_a_shell_asks_for_settings_and_evses_of_the_files() -> None:
    assert completed("config", "get dispatch.dw") == ["dispatch.dwell_s"]
    found = completed("config", f"get --config {ETC} evses[US*V2G*E2].max_c")
    assert found == ["evses[US*V2G*E2].max_charge_w", "evses[US*V2G*E2].max_current_a"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("dispatch.default_mode ", ["auto", "idle"]),
        ("dispatch.default_mode i", ["idle"]),
        ("dispatch.planning.enabled ", ["true", "false"]),
        ("grid.category ", ["I", "II", "III"]),
        ("dispatch.dwell_s ", []),
        ("dispatch.dwell_s 5min grid.cat", ["grid.category"]),
        ("dispatch.dwell_s=5min grid.cat", ["grid.category"]),
    ],
)
def test_behind_a_setting_its_values_are_completed(typed: str, found: list[str]) -> None:
    assert completed("config", f"set {typed}") == found


def suggestions(function: Any, incomplete: str, **params: Any) -> list[str]:
    context = click.Context(click.Command("x"))
    context.params = params
    return [item.value for item in function(context, click.Option(["--evse"]), incomplete)]


async def test_evses_come_from_the_daemon_and_else_from_the_files(site_daemon: Any) -> None:
    path = site_daemon.path
    of_daemon = await asyncio.to_thread(suggestions, complete_evse, "US", socket_path=path)
    assert of_daemon == ["US*V2G*E1", "US*V2G*E2"]
    nobody = Path("/nowhere/control.sock")
    assert suggestions(complete_evse, "'US*V2G*E2", socket_path=nobody, config_dir=ETC) == ["US*V2G*E2"]
    assert suggestions(complete_evse, "", socket_path=nobody, config_dir=Path("/nowhere")) == []


def test_what_is_completed_is_what_a_change_takes() -> None:
    assert "dispatch.dwell_s" in suggestions(complete_path, "")
    assert suggestions(complete_path, "evses[", config_dir=ETC)[0].startswith("evses[US*V2G*E1].")
    assert suggestions(complete_path, "nothing.") == []
