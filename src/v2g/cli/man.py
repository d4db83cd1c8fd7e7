"""Manual pages, written from what ``--help`` is written from; run as a module, it writes them into a directory.

``python -m v2g.cli.man --output DIR`` leaves ``man1``, ``man5`` and ``man8`` there: a page for each command, one for
each first word of ``v2g-tool`` and its like, and one for the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from v2g import __version__
from v2g.cli.manners import run
from v2g.cli.programs import PROGRAMS, Found, Program, walk
from v2g.cli.roff import bold, heading, italic, line, paragraph, subheading, tagged, title, verbatim
from v2g.cli.teaching import Help, help_of

_NAME = "v2g-tool man-pages"
MANUAL: Final = "V2G orchestrator"
_EXITS: Final = (
    ("0", "Done."),
    ("1", "Refused or failed."),
    ("2", "Wrong usage."),
    ("3", "The daemon is not reachable."),
)
_SIGNALS: Final = (
    ("130", "Ended by ^C."),
    ("141", "The reader of standard output went away, as head(1) does."),
)
_FILES: Final = (
    ("/etc/v2g/v2g.yaml", "The configuration: v2g.yaml(5)."),
    ("/etc/v2g/conf.d/*.yaml", "Drop-ins that win over it, in the order of their names; commands write some of them."),
    ("/run/v2g/control.sock", "Where the daemon answers."),
    ("/var/log/v2g", "Logs."),
)
_ENVIRONMENT: Final = (
    ("V2G_SOCKET", "Control socket of the daemon, where --socket does not name one."),
    ("COLUMNS", "So wide is the output; otherwise as the terminal is, and without a terminal as wide as it comes."),
    ("NO_COLOR", "Not empty: no colours. Without a terminal, or with TERM=dumb, there are none either."),
)


def pages() -> dict[str, str]:
    """Every page by its place below a manual directory: ``man8/v2g-tool.8`` -> roff."""
    found: dict[str, str] = {}
    for program in PROGRAMS:
        commands = list(walk(program.load(), program.name))
        own, verbs = commands[0], _by_verb(commands)
        several = isinstance(own.command, click.Group) and len(verbs) > 4
        names = [program.name, *(f"{program.name}-{verb}" for verb in verbs)] if several else [program.name]
        found[_place(program.name, program.section)] = _page(
            program, [own] if several else commands, verbs if several else {}, names
        )
        if several:
            for verb, below in verbs.items():
                found[_place(f"{program.name}-{verb}", program.section)] = _page(program, below, {}, names[:1])
    from v2g.cli.man_config import configuration_page

    found["man5/v2g.yaml.5"] = configuration_page()
    return found


def write(directory: Path) -> list[Path]:
    """Every page below ``directory``, which is made where it is missing. Raises OSError."""
    written = []
    for place, text in pages().items():
        path = directory / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
        written.append(path)
    return written


def _place(name: str, section: int) -> str:
    return f"man{section}/{name}.{section}"


def _by_verb(commands: Sequence[Found]) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for each in commands[1:]:
        found.setdefault(each.words[1], []).append(each)
    return found


def _page(program: Program, commands: Sequence[Found], verbs: dict[str, list[Found]], names: Sequence[str]) -> str:
    first = commands[0]
    told = help_of(first.command)
    name = "-".join(first.words)
    parts = [
        title(name, program.section, f"v2g-orchestrator {__version__}", MANUAL),
        heading("NAME"),
        line(f"{name} - {_lowered(told.purpose.rstrip('.:'))}"),
        heading("SYNOPSIS"),
        *(_synopsis(each) for each in commands if each is first or not isinstance(each.command, click.Group)),
        heading("DESCRIPTION"),
        *_description(told, with_purpose=True),
    ]
    if verbs:
        parts.append(heading("COMMANDS"))
        for verb, below in verbs.items():
            text = help_of(below[0].command).purpose
            parts.append(tagged(bold(f"{program.name}-{verb}({program.section})"), text))
    parts += _options(first)
    for each in commands[1:]:
        parts += [subheading(each.name), *_description(help_of(each.command), with_purpose=True), *_options(each, "")]
    parts += _examples(commands)
    parts += [heading("EXIT STATUS")]
    for code, meaning in (*(told.exits or _EXITS), *_SIGNALS):
        parts.append(tagged(bold(code), _sentence(meaning)))
    parts.append(heading("ENVIRONMENT"))
    parts += [tagged(bold(variable), text) for variable, text in _ENVIRONMENT]
    parts.append(heading("FILES"))
    parts += [tagged(italic(path), text) for path, text in _FILES]
    parts += [heading("SEE ALSO"), line(_see_also(name, program, names))]
    return "".join(parts)


def _synopsis(found: Found) -> str:
    words = [bold(found.name)]
    for parameter in found.command.params:
        if isinstance(parameter, click.Option):
            if not parameter.hidden:
                words.append(_usage(parameter, found.context))
        else:
            words.append(italic(parameter.make_metavar(found.context)))
    if isinstance(found.command, click.Group):
        words += [italic("COMMAND"), "[...]"]
    return paragraph(*words)


def _usage(option: click.Option, context: click.Context) -> str:
    name = bold("/".join(option.opts[:1] + option.secondary_opts[:1]))
    shown = name if option.is_flag or option.count else f"{name} {italic(option.make_metavar(context))}"
    shown = shown if option.required else f"[{shown}]"
    return f"{shown}..." if option.multiple else shown


def _description(told: Help, with_purpose: bool) -> Iterator[str]:
    if with_purpose and told.purpose:
        yield paragraph(_escaped(told.purpose))
    for lines in told.description:
        yield verbatim(lines) if len(lines) > 1 else paragraph(_escaped(lines[0]))


def _options(found: Found, head: str = "OPTIONS") -> Iterator[str]:
    rows = [row for each in found.command.get_params(found.context) if (row := each.get_help_record(found.context))]
    rows = [(names, text) for names, text in rows if text and (head or not names.startswith("-h"))]
    if not rows:
        return
    if head:
        yield heading(head)
    for names, text in rows:
        yield tagged(bold(names), text)


def _examples(commands: Sequence[Found]) -> Iterator[str]:
    told = [example for each in commands for example in help_of(each.command).examples]
    if told:
        yield heading("EXAMPLES")
    for example in dict.fromkeys(told):
        if example.comment:
            yield paragraph(_escaped(_raised(_sentence(example.comment))))
        yield verbatim([example.command])


def _see_also(name: str, program: Program, names: Sequence[str]) -> str:
    others = [f"{each.name}({each.section})" for each in PROGRAMS if each.name != name]
    family = [f"{each}({program.section})" for each in names if each not in (name, program.name)]
    return ", ".join([*family, *others, "v2g.yaml(5)"])


def _escaped(text: str) -> str:
    from v2g.cli.roff import escape

    return escape(text)


def _lowered(text: str) -> str:
    """For the line that apropos shows: a first word in capitals stays."""
    first = text.split(" ", 1)[0]
    return text if first.isupper() and len(first) > 1 else text[:1].lower() + text[1:]


def _raised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    text = _raised(text)
    return text if text.endswith((".", ":", "?")) else f"{text}."


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="The manual directory to fill."
)
def cli(output: Path) -> None:
    """Write the manual pages of all commands and files below a directory.

    \b
    Examples:
      v2g-tool man-pages build/man
      man -l build/man/man8/v2g-tool.8

    Exit codes: 0 written. 1 a page cannot be written. 2 not understood.
    """
    for path in write(output):
        click.echo(str(path))


if __name__ == "__main__":
    run(cli, None, "v2g.cli.man")
