"""One line of the preflight, and what several of them come to. Light to import."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class Level(enum.StrEnum):
    PASS = "pass"  # noqa: S105 (no password)
    WARN = "warn"
    FAIL = "fail"


class PreflightLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. ``remedy`` is empty where there is nothing to do.

    ``evses``: whose discharge a fail refuses; empty: that of the whole site. ``by``: ``daemon`` where it is the
    daemon's word, empty where who asks has looked himself.
    """

    name: str
    level: Level
    found: str
    remedy: str = ""
    evses: tuple[str, ...] = ()
    by: str = ""


def passed(name: str, found: str) -> PreflightLine:
    return PreflightLine(name=name, level=Level.PASS, found=found)


def warned(name: str, found: str, remedy: str) -> PreflightLine:
    return PreflightLine(name=name, level=Level.WARN, found=found, remedy=remedy)


def failed(name: str, found: str, remedy: str, evses: Iterable[str] = ()) -> PreflightLine:
    return PreflightLine(name=name, level=Level.FAIL, found=found, remedy=remedy, evses=tuple(evses))


def worst(lines: Iterable[PreflightLine]) -> Level:
    """Of no lines at all: pass."""
    levels = {line.level for line in lines}
    return next((level for level in (Level.FAIL, Level.WARN) if level in levels), Level.PASS)


def exit_code(lines: Iterable[PreflightLine]) -> int:
    """0 for passes and warnings, 1 where anything failed."""
    return 1 if worst(lines) is Level.FAIL else 0


def softened(lines: Iterable[PreflightLine], names: frozenset[str], why: str) -> tuple[PreflightLine, ...]:
    """Fails of the checks ``names`` as warnings that say ``why`` they are no more than that."""
    return tuple(
        msgspec.structs.replace(line, level=Level.WARN, found=f"{line.found} ({why})", evses=())
        if line.level is Level.FAIL and line.name in names
        else line
        for line in lines
    )
