"""Completion in bash, zsh and fish: the scripts, and what comes from the daemon or from the configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from v2g.cli.manners import completion_variable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS: Final = ("bash", "zsh", "fish")
ASK_S: Final = 0.3
"""A person waits for the answer with a finger on the key."""
_ID: Final = re.compile(r"^\s*-?\s*id:\s*['\"]?([A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]+)['\"]?\s*(?:#.*)?$", re.M)

_HELP = """Print what a shell has to read to complete this command with the Tab key.

Options, sub-commands, EVSEs and settings are completed; EVSEs are those of the running daemon, else of the
configuration.

\b
Examples:
  {program} completion bash
  {program} completion zsh
  {program} completion fish

\b
In bash, for this login or for all:
  source <({program} completion bash)
  {program} completion bash > /etc/bash_completion.d/{program}

Exit codes: 0 printed. 2 not understood.
"""


def script(shell: str, program: str) -> str:
    """What ``shell`` has to read so that it completes ``program``."""
    from click.shell_completion import get_completion_class

    from v2g.cli.programs import PROGRAMS

    kind = get_completion_class(shell)
    if kind is None or shell not in SHELLS:
        raise ValueError(f"{shell!r} is none of {', '.join(SHELLS)}")
    command = next(each for each in PROGRAMS if each.name == program).load()
    made = kind(command, {}, program, completion_variable(program))
    # Not source(): that of bash looks which bash is installed here, and the script may be for another host.
    return made.source_template % made.source_vars()


def completion_command(own: str | None) -> click.Command:
    """The command ``completion``; of ``own`` alone, or where that is None of every program."""
    from v2g.cli.programs import PROGRAMS

    names = [each.name for each in PROGRAMS] if own is None else [own]

    @click.command(
        "completion",
        short_help="What a shell reads to complete this with Tab.",
        help=_HELP.format(program=own or "v2g-tool"),
    )
    @click.argument("shell", type=click.Choice(SHELLS))
    def completion(shell: str, program: tuple[str, ...] = ()) -> None:
        for name in program or names:
            click.echo(script(shell, name))

    if own is None:
        which = "Only this one; may be given again.  [default: all of them]"
        completion.params.append(click.Option(["--program"], multiple=True, type=click.Choice(names), help=which))
    return completion


of_all = completion_command(None)


def complete_evse(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """EVSEs of the daemon, else of the files of the configuration; none where neither answers."""
    from click.shell_completion import CompletionItem

    socket_path, config_dir = context.params.get("socket_path"), context.params.get("config_dir")
    found = _of_daemon(socket_path) or [(evse_id, "") for evse_id in _of_files(config_dir or Path("/etc/v2g"))]
    return [
        CompletionItem(evse_id, help=text) for evse_id, text in found if evse_id.startswith(incomplete.strip("'\""))
    ]


def complete_path(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Settings of the configuration, one step at a time; an EVSE by its id."""
    from click.shell_completion import CompletionItem

    from v2g.config.reference import below

    ids = _of_files(context.params.get("config_dir") or Path("/etc/v2g")) if "[" in incomplete else []
    return [CompletionItem(path, help=text) for path, text in below(incomplete, ids)]


def complete_change(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A setting, or behind one its value, where there are few: the choices, true and false."""
    from click.shell_completion import CompletionItem

    from v2g.config.reference import choices_of, entry_for

    behind = 0
    for word in context.params.get("words") or ():
        behind = 0 if behind == 0 and "=" in word and entry_for(word) is None else 1 - behind
        last = word
    if not behind:
        return complete_path(context, parameter, incomplete)
    entry = entry_for(last)
    choices = choices_of(entry) if entry is not None else ()
    return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete)]


def _of_daemon(socket_path: Path | None) -> list[tuple[str, str]]:
    import contextlib
    import io

    from v2g.control.client import ControlClient, ControlError, find_socket

    try:
        with contextlib.redirect_stderr(io.StringIO()):
            path = socket_path or find_socket()
        with ControlClient(path, ASK_S, name="completion") as client:
            evses = client.call("status").get("evses", [])
    except (ControlError, OSError):
        return []
    return [(str(each["evse_id"]), (each.get("session") or {}).get("vehicle", "")) for each in evses]


def _of_files(config_dir: Path) -> list[str]:
    found: list[str] = []
    for file in (config_dir / "v2g.yaml", *sorted((config_dir / "conf.d").glob("*.yaml"))):
        try:
            found += _ID.findall(file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return list(dict.fromkeys(found))
