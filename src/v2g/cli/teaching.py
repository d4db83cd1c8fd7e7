"""What the help of a command teaches, in parts: purpose, text, examples, exit codes. Man pages are made of it."""

from __future__ import annotations

import inspect
import re
import shlex
from dataclasses import dataclass

import click

EXAMPLES = "Examples:"
EXITS = "Exit codes:"
_VERBATIM = "\b"
_EXIT = re.compile(r"(?:^|(?<=[.;] ))(\d+(?:\.\.\d+)?)(?:,)? ")
_COMMENT = re.compile(r"\s{2,}# ?")


@dataclass(frozen=True, slots=True)
class Example:
    """A command line as a person types it, and what it is for."""

    command: str
    comment: str = ""

    def words(self) -> list[str]:
        """As a shell splits it: the program first."""
        return shlex.split(self.command)


@dataclass(frozen=True, slots=True)
class Help:
    """``description``: paragraphs, each the lines that belong together; with more than one line it stands as it is
    written. ``exits``: code and meaning."""

    purpose: str = ""
    description: tuple[tuple[str, ...], ...] = ()
    examples: tuple[Example, ...] = ()
    exits: tuple[tuple[str, str], ...] = ()


def help_of(command: click.Command) -> Help:
    return parse_help(command.help or "")


def parse_help(text: str) -> Help:
    """The text of a docstring as click takes it: paragraphs, those that begin with ``\\b`` stand as they are."""
    purpose = ""
    description: list[tuple[str, ...]] = []
    examples: tuple[Example, ...] = ()
    exits: tuple[tuple[str, str], ...] = ()
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = [line for line in paragraph.splitlines() if line.strip() != _VERBATIM]
        verbatim = len(lines) < len(paragraph.splitlines())
        if not lines:
            continue
        joined = " ".join(line.strip() for line in lines)
        if lines[0].strip() == EXAMPLES:
            examples = tuple(_example(line) for line in lines[1:])
        elif joined.startswith(EXITS):
            exits = _exits(joined.removeprefix(EXITS).strip())
        elif not purpose:
            purpose, rest = _first_sentence(joined)
            if rest:
                description.append((rest,))
        else:
            description.append(tuple(lines) if verbatim else (joined,))
    return Help(purpose=purpose, description=tuple(description), examples=examples, exits=exits)


def _example(line: str) -> Example:
    command, *comment = _COMMENT.split(line.strip(), maxsplit=1)
    return Example(command.strip(), comment[0].strip() if comment else "")


def _exits(text: str) -> tuple[tuple[str, str], ...]:
    found = _EXIT.split(text)
    pairs = zip(found[1::2], found[2::2], strict=True)
    return tuple((code, meaning.strip().rstrip(".;")) for code, meaning in pairs)


def _first_sentence(text: str) -> tuple[str, str]:
    match = re.search(r"[.:](?: (?=[A-Z])|$)", text)
    if match is None:
        return text, ""
    return text[: match.start() + 1], text[match.end() :].strip()
