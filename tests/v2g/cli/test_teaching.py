"""Every command teaches: what it is for, examples that work as they stand, exit codes."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from v2g.cli.lazy import LazyGroup
from v2g.cli.manners import run
from v2g.cli.programs import PROGRAMS, Found, every_command
from v2g.cli.teaching import Example, help_of, parse_help
from v2g.cli.verbs import normalise

COMMANDS = tuple(every_command())
EXAMPLES = sorted({(example.command, found.name) for found in COMMANDS for example in help_of(found.command).examples})
OTHERS = {"systemctl", "man", "journalctl", "openssl"}


def names(found: Found) -> str:
    return found.name


@pytest.mark.parametrize("found", COMMANDS, ids=names)
def test_its_help_has_a_purpose_examples_and_exit_codes(found: Found) -> None:
    told = help_of(found.command)
    assert told.purpose.endswith((".", "?", ":")), "a sentence says what it is for"
    assert told.examples, "a paragraph that begins with Examples: has command lines"
    codes = [code for code, _ in told.exits]
    assert codes[:1] == ["0"], "a paragraph that begins with Exit codes: names them"
    assert codes == sorted(codes, key=int)
    assert set(codes) <= {"0", "1", "2", "3", "78"}
    assert "2" in codes, "every command can be misunderstood"
    assert all(meaning for _, meaning in told.exits)


@pytest.mark.parametrize("found", COMMANDS, ids=names)
def test_who_asks_a_daemon_says_what_happens_without_one(found: Found) -> None:
    asks = any(parameter.name == "socket_path" for parameter in found.command.params)
    groups = isinstance(found.command, click.Group)
    if asks and not groups:
        assert "3" in {code for code, _ in help_of(found.command).exits}


@pytest.mark.parametrize("found", COMMANDS, ids=names)
def test_each_option_is_explained(found: Found) -> None:
    for parameter in found.command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help or isinstance(parameter.type, click.Choice) or parameter.required, parameter.name


@pytest.mark.parametrize(("line", "owner"), EXAMPLES, ids=[f"{line}" for line, _ in EXAMPLES])
def test_an_example_is_understood(line: str, owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Example(line).words()
    if words[0] == "sudo":
        words = words[1:]
    if words[0] in OTHERS:
        return
    program = next(each for each in PROGRAMS if each.name == words[0])
    root = program.load()
    for found in COMMANDS:
        if found.words[0] == program.name:
            monkeypatch.setattr(found.command, "callback", lambda *args, **options: None)
    # The files that it names are not here.
    monkeypatch.setattr(click.Path, "convert", lambda self, value, parameter, context: Path(value))
    if ">" in words:
        words = words[: words.index(">")]
    verbs = root.verbs if isinstance(root, LazyGroup) else tuple(getattr(root, "commands", ()))
    done = CliRunner().invoke(root, normalise(words[1:], verbs), prog_name=program.name)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("found", COMMANDS, ids=names)
def test_help_fits_forty_columns_but_for_what_is_to_be_copied(
    found: Found, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    program = next(each for each in PROGRAMS if each.name == found.words[0])
    monkeypatch.setattr(click.Context, "formatter_class", click.Context.formatter_class)
    with pytest.raises(SystemExit) as ended:
        run(program.load(), [*found.words[1:], "--help"], program.name)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: {found.name}")
    kept = {line.strip() for lines in help_of(found.command).description if len(lines) > 1 for line in lines}
    kept |= {
        f"{each.command}  # {each.comment}" if each.comment else each.command
        for each in help_of(found.command).examples
    }
    kept = {" ".join(line.split()) for line in kept}
    long = [line for line in shown.splitlines() if len(line) > 40 and " ".join(line.split()) not in kept]
    assert [line for line in long if len(line.strip().split()) > 1] == []


def test_a_docstring_is_taken_apart() -> None:
    told = parse_help(
        """Look at it. And more of that,
        on two lines.

        \b
        A table:
          x  1

        \b
        Examples:
          v2g-tool grid
          v2g-tool grid set OV1.time_s=5  # an engineer

        Exit codes: 0 shown, or 1.1 pu is fine. 1 refused. 2 not
        understood.
        """
    )
    assert told.purpose == "Look at it."
    assert told.description == (("And more of that, on two lines.",), ("A table:", "  x  1"))
    assert told.examples == (
        Example("v2g-tool grid"),
        Example("v2g-tool grid set OV1.time_s=5", "an engineer"),
    )
    assert told.exits == (("0", "shown, or 1.1 pu is fine"), ("1", "refused"), ("2", "not understood"))
