"""Exit codes are the same everywhere: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon is not reachable."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from v2g.cli.lazy import LazyGroup
from v2g.cli.programs import PROGRAMS, Found, every_command
from v2g.cli.teaching import help_of
from v2g.cli.verbs import normalise

ASKING = [
    found
    for found in every_command()
    if any(parameter.name == "socket_path" for parameter in found.command.params)
    and any(code == "3" for code, _ in help_of(found.command).exits)
]
OF_FILES = {
    "v2g-tool audit verify",
    "v2g-tool log",
    "v2g-tool trace",
    "v2g-tool report",
    "v2g-tool firmware apply",
    "v2g-tool preflight",
    "v2g-tool watch",
}
"""They look at this host first, or at the terminal, or need none of the daemon's answers."""
DANGEROUS = ["v2g-control cancel", "v2g-control permit on", "v2g-control trip reset", "v2g-tool lockout off"]
SAFE = ["v2g-control permit off", "v2g-control cancel 1", "v2g-tool lockout on"]


def line_of(found: Found) -> list[str]:
    """Its first example that calls it, and what a script says."""
    for example in help_of(found.command).examples:
        words = normalise(example.words()[1:], verbs(found.words[0]))
        if tuple(words[: len(found.words) - 1]) == found.words[1:]:
            names = {parameter.name for parameter in found.command.params}
            more = ["--yes"] if "yes" in names and "--yes" not in words else []
            more += ["--acknowledge", "A. Volta"] if "acknowledge" in names and "--acknowledge" not in words else []
            return [*words, *more]
    raise AssertionError(f"no example calls {found.name}")


def verbs(program: str) -> tuple[str, ...]:
    root = next(each for each in PROGRAMS if each.name == program).load()
    return root.verbs if isinstance(root, LazyGroup) else tuple(getattr(root, "commands", ()))


def ended(program: str, words: list[str], socket: Path) -> Result:
    root = next(each for each in PROGRAMS if each.name == program).load()
    line = normalise(words, verbs(program))
    return CliRunner().invoke(root, line, env={"V2G_SOCKET": str(socket)}, prog_name=program)


@pytest.mark.parametrize(
    "found", [each for each in ASKING if each.name not in OF_FILES and not isinstance(each.command, click.Group)],
    ids=lambda found: found.name,
)  # fmt: skip
def test_without_a_daemon_it_is_three_and_the_text_says_what_to_run(
    found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ended(found.words[0], line_of(found), tmp_path / "control.sock")
    assert result.exit_code == 3, result.output
    for words in (str(tmp_path / "control.sock"), "v2g-orchestrator"):
        assert words in result.stderr


@pytest.mark.parametrize(
    "found",
    [
        each
        for each in ASKING
        if each.name not in OF_FILES
        and not isinstance(each.command, click.Group)
        and any(parameter.name == "as_json" for parameter in each.command.params)
    ],
    ids=lambda found: found.name,
)
def test_a_program_is_told_the_same_as_json(found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = line_of(found)
    result = ended(found.words[0], words if "--json" in words else [*words, "--json"], tmp_path / "control.sock")
    assert result.exit_code == 3, result.output
    assert json.loads(result.stdout)["error"]["code"] == "DAEMON_NOT_REACHABLE"


@pytest.mark.parametrize("line", DANGEROUS)
def test_what_lets_energy_flow_or_takes_others_orders_away_asks_before_it_reaches_anybody(
    line: str, tmp_path: Path
) -> None:
    program, *words = line.split()
    result = ended(program, words, tmp_path / "control.sock")
    assert result.exit_code == 2
    assert "Nobody can be asked here: say so with --yes" in result.output
    assert ended(program, [*words, "--yes"], tmp_path / "control.sock").exit_code == 3


@pytest.mark.parametrize("line", SAFE)
def test_what_makes_safe_never_asks(line: str, tmp_path: Path) -> None:
    program, *words = line.split()
    assert ended(program, words, tmp_path / "control.sock").exit_code == 3
