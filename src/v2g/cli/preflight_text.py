"""The preflight as text: two columns where there is room, one below the other where there is not, plain into a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from v2g.cli.manners import NARROW
from v2g.host.preflight.model import Level, PreflightLine
from v2g.telemetry.lines import escape

if TYPE_CHECKING:
    from v2g.cli.preflight_look import Report

_COLOURS = {Level.PASS: "green", Level.WARN: "yellow", Level.FAIL: "red"}
_WORDS = {Level.PASS: "pass", Level.WARN: "WARN", Level.FAIL: "FAIL"}
_BY_DAEMON = "*"
_SAYS_ITSELF = ("", "as it says")


def report_text(report: Report, columns: int | None) -> str:
    """``columns`` None: no terminal; a line each, for grep."""
    lines = report.lines
    wide = max((len(line.name) + bool(line.by) for line in lines), default=0)
    parts = [text for line in lines for text in _line(line, wide, columns)]
    count = {level: sum(line.level is level for line in lines) for level in Level}
    ends = [", ".join(f"{number} {_WORDS[level].lower()}" for level, number in count.items())]
    if report.simulation:
        ends[0] += " (a simulation)"
    if any(line.by for line in lines):
        ends.append(f"{_BY_DAEMON} asked the daemon")
    for why in dict.fromkeys(report.refuses.values()):
        evses = [evse_id for evse_id, words in report.refuses.items() if words == why]
        ends.append(f"no discharge at {', '.join(evses)}: {escape(why)}")
    return "\n".join([*parts, "", *(text for end in ends for text in _wrapped(end, "", "  ", columns))])


def _line(line: PreflightLine, wide: int, columns: int | None) -> Iterator[str]:
    word = click.style(_WORDS[line.level], fg=_COLOURS[line.level], bold=line.level is Level.FAIL)
    name = line.name + (_BY_DAEMON if line.by else "")
    found = escape(line.found)
    remedy = "" if line.remedy in _SAYS_ITSELF or line.level is Level.PASS else f"-> {escape(line.remedy)}"
    if columns is None:
        yield f"{word}  {name:<{wide}}  {found}" + (f" {remedy}" if remedy else "")
    elif columns < NARROW:
        yield f"{word} {name}"
        yield from _wrapped(found, "  ", "  ", columns)
        yield from _wrapped(remedy, "  ", "     ", columns)
    else:
        indent = " " * (4 + 2 + wide + 2)
        texts = list(_wrapped(found, indent, indent, columns))
        yield f"{word}  {name:<{wide}}  {texts[0].strip()}"
        yield from texts[1:]
        yield from _wrapped(remedy, indent, f"{indent}   ", columns)


def _wrapped(text: str, first: str, rest: str, columns: int | None) -> list[str]:
    if not text:
        return []
    if columns is None:
        return [f"{first}{text}"]
    return textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
