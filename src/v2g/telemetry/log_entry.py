"""A line of our logs, read back; and which lines somebody wants. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

LEVELS: Final = ("INFO", "WARNING", "ERROR")
MOST_LINE_BYTES: Final = 1 << 17
"""Longer than any line that is written."""

_HEAD = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (INFO|WARNING|ERROR): ([A-Za-z0-9_.:-]+)(?= |$)")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")
_TIME_CHARS: Final = 24
_FIELD = re.compile(r' ([A-Za-z0-9_.-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))')
_SEAL = re.compile(r" seq=\d+ chain=[0-9a-f]+$")
_ESCAPED = re.compile(r"\\([\\\"])")


def time_of(line: bytes) -> str | None:
    """``2026-01-02T03:04:05.678Z``; None for what is no line of ours, such as one that was torn."""
    return line[:_TIME_CHARS].decode() if _TIME.match(line) else None


@dataclass(frozen=True, slots=True)
class Entry:
    """``log``: which one. ``text``: the line as people read it, printable. What has not a line's form has no level, and
    ``time`` is that of the line before it, or empty."""

    log: str
    time: str
    level: str
    code: str
    rest: str
    text: str

    def message_and_fields(self) -> tuple[str, Mapping[str, str]]:
        """Fields are what stands last in the line, ``name=value`` by ``name=value``."""
        begin, end = len(self.rest), -1
        fields: dict[str, str] = {}
        for match in _FIELD.finditer(self.rest):
            if match.start() != end:
                begin, fields = match.start(), {}
            quoted = match[2]
            fields[match[1]] = _ESCAPED.sub(r"\1", quoted) if quoted is not None else match[3]
            end = match.end()
        if end != len(self.rest):
            return self.rest.strip(), {}
        return self.rest[:begin].strip(), fields

    def as_json(self) -> dict[str, object]:
        """Fields beside time, level, log, code and message; one of these names gets a trailing underscore."""
        message, fields = self.message_and_fields()
        head = {"time": self.time, "level": self.level, "log": self.log, "code": self.code, "message": message}
        return {**head, **{f"{name}_" if name in head else name: value for name, value in fields.items()}}


def parse(log: str, line: bytes, time_before: str = "") -> Entry:
    """``line`` without its end. Control characters that somebody put into a file are shown as question marks."""
    text = line[:MOST_LINE_BYTES].decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    match = _HEAD.match(text)
    if match is None:
        return Entry(log, time_before, "", "", text, text)
    if log == "audit":
        text = _SEAL.sub("", text)
    return Entry(log, match[1], match[2], match[3], text[match.end() :], text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines. ``session`` in upper-case hexadecimal, or its beginning; ``codes`` in upper case, with ``*`` for any
    characters; ``begin`` and ``end`` as lines begin, empty: without bound. Lines that have not the form of one are
    wanted where nothing is asked for."""

    session: str = ""
    evse: str = ""
    codes: tuple[str, ...] = ()
    level: str = "INFO"
    begin: str = ""
    end: str = ""
    _needles: tuple[tuple[bytes, ...], ...] = field(init=False, repr=False, compare=False)
    """Texts of which a wanted line has one of each."""
    _codes: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        levels = LEVELS[LEVELS.index(self.level) :]
        needles = [
            (f"session={self.session}",) if self.session else (),
            (self.evse,) if self.evse else (),
            tuple(f" {level}: " for level in levels) if len(levels) < len(LEVELS) else (),
        ]
        encoded = tuple(tuple(text.encode() for text in texts) for texts in needles if texts)
        object.__setattr__(self, "_needles", encoded)
        plain = not any(set(code) & set("*?[") for code in self.codes)
        object.__setattr__(self, "_codes", tuple(code.encode() for code in self.codes) if plain else ())

    @property
    def everything(self) -> bool:
        """But for the time."""
        return not (self.session or self.evse or self.codes or self.level != "INFO")

    def may_match(self, line: bytes) -> bool:
        """Quickly: False means that it is not wanted."""
        if self._codes:
            upper = line.upper()
            if not any(code in upper for code in self._codes):
                return False
        return all(any(text in line for text in texts) for texts in self._needles)

    def matches(self, entry: Entry) -> bool:
        if entry.time and (entry.time < self.begin or (self.end and entry.time >= self.end)):
            return False
        if self.everything:
            return True
        if not entry.level or LEVELS.index(entry.level) < LEVELS.index(self.level):
            return False
        if self.codes and not any(fnmatchcase(entry.code.upper(), code) for code in self.codes):
            return False
        if self.session:
            fields = entry.message_and_fields()[1]
            if not fields.get("session", "").startswith(self.session):
                return False
        return not self.evse or self._names_evse(entry.rest)

    def _names_evse(self, rest: str) -> bool:
        """As a word of its own: ``US*V2G*E1`` is not in ``US*V2G*E12``."""
        return re.search(rf"(?<![\w*]){re.escape(self.evse)}(?![\w*])", rest) is not None
