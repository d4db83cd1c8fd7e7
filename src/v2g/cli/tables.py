"""Tables for people, on screens of any width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from v2g.cli.manners import columns
from v2g.telemetry.lines import escape

_LEAST_LAST_COLUMN: Final = 20
"""Narrower, a wrapped last column is a tower of words."""
_LEAST_CELL: Final = 12
_LABEL: Final = re.compile(r"\s*\S[^\n]{0,24}?\s{2,}(?=\S)")
"""``transformer  load 82 kW``: what comes before two blanks."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """Columns aligned, the last one ragged. Words of vehicles and servers stand in it: none moves the cursor.

    ``width``: columns of the screen, None: as many as whoever reads has (:func:`v2g.cli.manners.columns`). Where the
    table is wider, its last column is wrapped, or where that does not help each row is a block of lines.
    """
    lines = [tuple(head), *(tuple(map(escape, row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    room = columns() if width is None else width
    before = sum(widths[:-1]) + 2 * (len(head) - 1)
    if room is None or before + widths[-1] <= room:
        return "\n".join(_aligned(line, widths) for line in lines)
    if room - before < min(widths[-1], _LEAST_LAST_COLUMN):
        return "\n".join(_blocks(lines, room))
    return "\n".join(_with_wrapped_end(lines, widths, before, room))


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _with_wrapped_end(lines: Sequence[Sequence[str]], widths: Sequence[int], before: int, room: int) -> Iterator[str]:
    for *cells, last in lines:
        first, *more = textwrap.wrap(last, room - before) or [""]
        yield _aligned((*cells, first), widths)
        yield from (f"{'':{before}}{each}" for each in more)


def _blocks(lines: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    """Each row by itself: its first cell, then the others by the head of their column."""
    head, *rows = lines
    tags = max((len(each) for each in head[1:]), default=0) + 2
    for row in rows:
        yield f"{head[0]} {row[0]}".rstrip()
        for tag, cell in zip(head[1:], row[1:], strict=True):
            if not cell:
                continue
            first, *more = textwrap.wrap(cell, max(_LEAST_CELL, room - tags - 2)) or [""]
            yield f"  {tag:<{tags}}{first}"
            yield from (f"  {'':{tags}}{each}" for each in more)


def fitted(text: str, width: int | None = None) -> str:
    """``text`` with lines that are longer than the screen is wide wrapped, under what stands behind their label.

    ``width`` as for :func:`table`.
    """
    room = columns() if width is None else width
    if room is None:
        return text
    return "\n".join(each for line in text.split("\n") for each in _fitted(line, room))


def _fitted(line: str, room: int) -> list[str]:
    if len(line) <= room:
        return [line]
    label = _LABEL.match(line)
    indent = len(label[0]) if label is not None and len(label[0]) <= room // 2 else 2
    own = len(line) - len(line.lstrip())
    wrapped = textwrap.wrap(
        line,
        room,
        subsequent_indent=" " * max(indent, own + 2 if label is None else own),
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return wrapped or [line]
