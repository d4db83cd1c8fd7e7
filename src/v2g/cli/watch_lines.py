"""Lines of coloured spans, and text cut, padded and wrapped to terminal cells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len, set_cell_size

from v2g.telemetry.lines import escape

GOOD: Final = "good"
WARN: Final = "warn"
BAD: Final = "bad"
DIM: Final = "dim"
HEAD: Final = "head"
STRONG: Final = "strong"
HOT: Final = "hot"
OIL: Final = "oil"
"""Names of styles; what they look like is the terminal's affair. None of them carries anything that no word says."""

_SEPARATOR: Final = " · "
_MOST_PIECES: Final = 20
_ASCII: Final = str.maketrans(
    {
        "°": "'",
        "·": ",",
        "…": "~",
        "–": "-",
        "−": "-",
        "─": "-",
        "━": "=",
        "╌": "-",
        "│": "|",
        "┼": "+",
        "┤": "|",
        "●": "O",
        "→": ">",
        "±": "+",
        "≥": ">",
        "≤": "<",
        "↑": "^",
        "↓": "v",
    }
)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one line. ``text`` is printable."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def safe(text: str) -> str:
    """What a vehicle, a server or a person said, without anything that a terminal would obey."""
    return escape(text)


def line(*parts: str | Span) -> Line:
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(line: Line) -> str:
    return "".join(span.text for span in line).rstrip()


def cells(line: Line) -> int:
    return sum(cell_len(span.text) for span in line)


def cut(text: str, width: int) -> str:
    """At most ``width`` cells; what is longer ends in an ellipsis."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else "…"[: max(width, 0)]


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Exactly ``width`` cells; ``right``: to the right end."""
    short = cut(text, width)
    room = " " * (width - cell_len(short))
    return room + short if right else short + room


def fitted(line: Line, width: int) -> Line:
    """At most ``width`` cells, the rest cut off."""
    if cells(line) <= width:
        return line
    kept: list[Span] = []
    left = width
    for position, span in enumerate(line):
        here = cell_len(span.text)
        more = any(later.text for later in line[position + 1 :])
        if here > left or (here == left and more):
            kept.append(Span(cut(span.text + "…" if here <= left else span.text, left), span.style))
            break
        kept.append(span)
        left -= here
    return tuple(kept)


def filled(line: Line, width: int) -> Line:
    """Exactly ``width`` cells."""
    short = fitted(line, width)
    return (*short, Span(" " * (width - cells(short))))


def wrapped(text: str, width: int, most: int, *, indent: int = 2) -> list[str]:
    """At most ``most`` lines, broken between words; later ones are indented; what is left out ends in an ellipsis."""
    rows: list[str] = []
    words = text.split()
    row = ""
    while words:
        inner = width - (indent if rows else 0)
        if inner < 8:
            inner, indent = width, 0
        word = words[0]
        joined = f"{row} {word}" if row else word
        if cell_len(joined) <= inner:
            row = joined
            words.pop(0)
            continue
        if not row:
            head = set_cell_size(word, max(inner, 1))
            row, words[0] = head, word[len(head) :] or " "
            if not words[0].strip():
                words.pop(0)
        rows.append(row)
        row = ""
        if len(rows) == most:
            break
    else:
        if row:
            rows.append(row)
    if words and rows:
        room = width - (indent if len(rows) > 1 else 0)
        last = rows[-1]
        rows[-1] = f"{last} …" if cell_len(last) + 2 <= room else cut(f"{last}…", room)
    return [(" " * indent if number else "") + each for number, each in enumerate(rows)]


def flow(label: str, facts: Iterable[Line], width: int, most: int) -> list[Line]:
    """``LABEL fact · fact · fact`` over at most ``most`` lines, broken between facts; later lines stand below the
    first fact."""
    room = cell_len(label) + 1 if label else 0
    lines: list[list[Span]] = [[Span(label, HEAD), Span(" ")] if label else []]
    empty = True
    used = room
    for fact, is_rest in _pieces(facts, width - room):
        need = cells(fact)
        gap = 0 if empty else len(_SEPARATOR)
        if not empty and (is_rest or used + gap + need > width):
            if len(lines) == most:
                if used + 2 <= width:
                    lines[-1].append(Span(" …", DIM))
                break
            lines.append([Span(" " * room)] if room else [])
            empty, used, gap = True, room, 0
        if gap:
            lines[-1].append(Span(_SEPARATOR, DIM))
        lines[-1] += fact
        empty, used = False, used + gap + need
    return [fitted(tuple(spans), width) for spans in lines[:most]]


def _pieces(facts: Iterable[Line], room: int) -> Iterator[tuple[Line, bool]]:
    """Facts as they fit into a line; True: goes on with the one before, on a line of its own."""
    for fact in facts:
        if len(fact) > 1 or room < 8 or cells(fact) <= room:
            yield fact, False
            continue
        for number, piece in enumerate(wrapped(fact[0].text, room, _MOST_PIECES, indent=0)):
            yield (Span(piece, fact[0].style),), number > 0


def joined(spans: Sequence[Span]) -> Line:
    """Neighbours of one style are one span: shorter to send."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].style == span.style:
            merged[-1] = Span(merged[-1].text + span.text, span.style)
        else:
            merged.append(span)
    return tuple(merged)


def to_ascii(line: Line) -> Line:
    """The same width in characters that every terminal has."""
    return tuple(Span("".join(map(_ascii, span.text)), span.style) for span in line)


def _ascii(char: str) -> str:
    if char.isascii():
        return char
    plain_char = char.translate(_ASCII)
    return plain_char if plain_char.isascii() else "?" * cell_len(char)


def section(title: str, rows: Sequence[Line], width: int) -> list[Line]:
    return [fitted((Span(title, HEAD),), width), *(fitted(row, width) for row in rows)]
