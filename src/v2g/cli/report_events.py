"""What the logs tell of the time of a report: each code once, with how often, when first and last. Pure but for
:func:`log_lines`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from v2g.telemetry.lines import timestamp
from v2g.telemetry.log_entry import LEVELS, MOST_LINE_BYTES, parse, time_of
from v2g.telemetry.rotated import find_files

LOGS: Final = ("power_quality", "comms", "daemon")
MOST_KINDS: Final = 2_000
_STARTS: Final = ("READY", "STOPPED", "START_FAILED")
_MOST_STARTS: Final = 50


@dataclass(slots=True, kw_only=True)
class Kind:
    """All lines of one code in one log. Times as lines begin; ``message`` is the last one's."""

    log: str
    code: str
    level: str
    count: int = 0
    first: str = ""
    last: str = ""
    message: str = ""


@dataclass(slots=True, kw_only=True)
class Events:
    """``kinds``: warnings and errors by log and code; ``starts``: (time, code, message) of the daemon's starts and
    ends; ``problems``: logs that could not be read, in words."""

    kinds: dict[tuple[str, str, str], Kind] = field(default_factory=dict)
    starts: list[tuple[str, str, str]] = field(default_factory=list)
    lines: int = 0
    left_out: int = 0
    """Lines of kinds beyond :data:`MOST_KINDS`."""
    problems: list[str] = field(default_factory=list)

    def sorted_kinds(self) -> list[Kind]:
        """Errors first, then by how often."""
        return sorted(self.kinds.values(), key=lambda kind: (-LEVELS.index(kind.level), -kind.count, kind.code))


def add_lines(events: Events, log: str, lines: Iterable[bytes], since_s: float, until_s: float) -> None:
    begin, end = timestamp(since_s), timestamp(until_s)
    for line in lines:
        at = time_of(line)
        if at is None or not begin <= at < end:
            continue
        events.lines += 1
        entry = parse(log, line)
        if not entry.level:
            continue
        if log == "daemon" and entry.code in _STARTS and len(events.starts) < _MOST_STARTS:
            events.starts.append((entry.time, entry.code, entry.message_and_fields()[0]))
        if entry.level == LEVELS[0]:
            continue
        key = (log, entry.code, entry.level)
        kind = events.kinds.get(key)
        if kind is None:
            if len(events.kinds) >= MOST_KINDS:
                events.left_out += 1
                continue
            kind = events.kinds[key] = Kind(log=log, code=entry.code, level=entry.level, first=entry.time)
        kind.count += 1
        kind.last = max(kind.last, entry.time)
        kind.first = min(kind.first, entry.time)
        kind.message = entry.rest.strip()


def read_events(log_dir: Path, since_s: float, until_s: float) -> Events:
    """Of the logs and of what logrotate made of older ones. Never raises: what cannot be read is a problem."""
    events = Events()
    for log in LOGS:
        path = log_dir / f"{log}.log"
        try:
            files = find_files(path)
        except OSError as error:
            events.problems.append(_words(log_dir, error))
            return events
        if not files:
            events.problems.append(f"{path}: there is none; is paths.log_dir where the daemon writes?")
        for file in files:
            try:
                if file.stat().st_mtime >= since_s:
                    add_lines(events, log, log_lines(file), since_s, until_s)
            except (OSError, EOFError, zlib.error) as error:
                events.problems.append(_words(file, error))
    return events


def log_lines(path: Path) -> Iterator[bytes]:
    """Lines without their ends, longer ones cut. Raises OSError, and what zlib raises for a broken file."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        whole = True
        while line := file.readline(MOST_LINE_BYTES):
            if whole:
                yield line.rstrip(b"\r\n")
            whole = line.endswith(b"\n")


def _words(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{path}: may not be read: ask as root, or as a member of group v2g"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{path}: cannot be read ({reason})"
