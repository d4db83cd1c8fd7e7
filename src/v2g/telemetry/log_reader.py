"""Logs read back: merged by time, over rotation, without holding them in memory.

Lines of a file are taken to be in the order of their times. A clock that was set back by more than a few seconds makes
the search for a beginning miss lines there; nothing else is lost by it.
"""

from __future__ import annotations

import gzip
import heapq
import os
import stat
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from v2g.telemetry.log_entry import MOST_LINE_BYTES, Entry, Wanted, parse, time_of
from v2g.telemetry.log_follow import Follower
from v2g.telemetry.rotated import find_files

_BLOCK = 1 << 16
_NEAR = 1 << 18
"""A search for a time ends when it is as near as this; the rest is read line by line."""
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Unreadable:
    """``denied``: for want of permission."""

    path: Path
    reason: str
    denied: bool


@dataclass(slots=True)
class _Part:
    """One file of a log, open; of what is appended later nothing is read."""

    path: Path
    file: IO[bytes]
    size: int

    @property
    def zipped(self) -> bool:
        return self.path.suffix == ".gz"


@dataclass(slots=True)
class LogFiles:
    """One log and its rotated files, opened together: a rotation meanwhile neither hides lines nor shows them twice."""

    name: str
    path: Path
    problems: list[Unreadable] = field(default_factory=list)
    _parts: list[_Part] = field(default_factory=list)

    def open(self) -> None:
        """What cannot be opened is in :attr:`problems`."""
        for _ in range(_ATTEMPTS):
            self.close()
            self.problems = []
            try:
                paths = find_files(self.path)
                for path in paths:
                    self._open_part(path)
                if paths == find_files(self.path):
                    return
            except OSError as error:
                self._note(self.path.parent, error)
                return

    def close(self) -> None:
        for part in self._parts:
            part.file.close()
        self._parts = []

    def follower(self) -> Follower:
        """Goes on behind what is read here, even if the log is moved meanwhile."""
        if not self._parts or self._parts[-1].path != self.path:
            return Follower(self.name, self.path)
        part = self._parts[-1]
        # Not dup(): that would share the position.
        file = Path(f"/proc/self/fd/{part.file.fileno()}").open("rb")  # noqa: SIM115 (it is the follower's)
        file.seek(part.size)
        return Follower(self.name, self.path, file)

    def forwards(self, wanted: Wanted) -> Iterator[Entry]:
        """Wanted lines, oldest first."""
        for part in self._parts_from(wanted.begin):
            time = ""
            for line in self._lines(part, wanted.begin):
                may_match = wanted.may_match(line)
                if not may_match and not wanted.end:
                    continue
                time = time_of(line) or time
                if wanted.end and time >= wanted.end:
                    return
                if may_match:
                    entry = parse(self.name, line, time)
                    if wanted.matches(entry) and not time < wanted.begin:
                        yield entry

    def last(self, count: int, wanted: Wanted) -> list[Entry]:
        """The last ``count`` wanted lines, oldest first."""
        found: deque[Entry] = deque()
        for part in reversed(self._parts_from(wanted.begin)):
            missing = count - len(found)
            lines = self._last_zipped(part, missing, wanted) if part.zipped else self._last_plain(part, missing, wanted)
            found.extendleft(lines)
            if len(found) >= count:
                break
        return list(found)

    # ---- within ----

    def _open_part(self, path: Path) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return
        except OSError as error:
            self._note(path, error)
            return
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            self.problems.append(Unreadable(path, "is not a regular file", denied=False))
            return
        self._parts.append(_Part(path, os.fdopen(fd, "rb"), found.st_size))

    def _note(self, path: Path, error: OSError | EOFError | zlib.error) -> None:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self.problems.append(Unreadable(path, reason, isinstance(error, PermissionError)))

    def _parts_from(self, begin: str) -> list[_Part]:
        """Without those that end before ``begin``, as the first time of the next one tells."""
        parts = self._parts
        if begin:
            for number in range(len(parts) - 1, 0, -1):
                first = self._first_time(parts[number])
                if first and first < begin:
                    return parts[number:]
        return parts

    def _first_time(self, part: _Part) -> str | None:
        for line in self._lines(part, ""):
            if time := time_of(line):
                return time
        return None

    def _lines(self, part: _Part, begin: str) -> Iterator[bytes]:
        """Whole lines of a file, from somewhere before ``begin`` on."""
        try:
            if part.zipped:
                part.file.seek(0)
                yield from _split(gzip.GzipFile(fileobj=part.file, mode="rb"), None)
                return
            start = self._offset_before(part, begin) if begin else 0
            part.file.seek(start)
            yield from _split(part.file, part.size - start)
        except (OSError, EOFError, zlib.error) as error:
            self._note(part.path, error)

    def _offset_before(self, part: _Part, begin: str) -> int:
        low, high = 0, part.size
        while high - low > _NEAR:
            middle = (low + high) // 2
            part.file.seek(middle)
            part.file.readline(MOST_LINE_BYTES)
            at, time = part.file.tell(), None
            while time is None and at < high:
                line = part.file.readline(MOST_LINE_BYTES)
                if not line:
                    break
                time = time_of(line)
                if time is None:
                    at = part.file.tell()
            if time is not None and time < begin and at > low:
                low = at
            else:
                high = middle
        return low

    def _last_plain(self, part: _Part, count: int, wanted: Wanted) -> Iterator[Entry]:
        """Newest first."""
        untimed: list[bytes] = []
        try:
            for line in _backwards(part.file, part.size):
                time = time_of(line)
                if time is None and len(untimed) < count:
                    untimed.append(line)
                if time is None:
                    continue
                if time < wanted.begin:
                    return
                for each in (*untimed, line):
                    if wanted.may_match(each) and wanted.matches(entry := parse(self.name, each, time)):
                        count -= 1
                        yield entry
                        if count <= 0:
                            return
                untimed = []
        except OSError as error:
            self._note(part.path, error)

    def _last_zipped(self, part: _Part, count: int, wanted: Wanted) -> Iterator[Entry]:
        kept: deque[Entry] = deque(maxlen=count)
        time = ""
        for line in self._lines(part, ""):
            time = time_of(line) or time
            if wanted.may_match(line) and wanted.matches(entry := parse(self.name, line, time)):
                kept.append(entry)
        return reversed(kept)


def merged(logs: Iterable[LogFiles], wanted: Wanted) -> Iterator[Entry]:
    """Wanted lines of all logs by time, oldest first."""
    return heapq.merge(*(log.forwards(wanted) for log in logs), key=lambda entry: entry.time)


def last_of(logs: Sequence[LogFiles], count: int, wanted: Wanted) -> list[Entry]:
    """The last ``count`` wanted lines of all logs together, oldest first."""
    found = heapq.merge(*(log.last(count, wanted) for log in logs), key=lambda entry: entry.time)
    return list(deque(found, maxlen=count))


def _split(source: Any, size: int | None) -> Iterator[bytes]:
    """Lines without their ends; one that is too long in pieces."""
    left = size
    while left is None or left > 0:
        line = source.readline(MOST_LINE_BYTES if left is None else min(MOST_LINE_BYTES, left))
        if not line:
            return
        left = None if left is None else left - len(line)
        yield line.rstrip(b"\n")


def _backwards(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Lines without their ends, the last one first; of one that is too long its end."""
    position, rest, ended = size, b"", False
    while position > 0:
        block = min(_BLOCK, position)
        position -= block
        file.seek(position)
        data = file.read(block) + rest
        if not ended:
            data, ended = data.removesuffix(b"\n"), True
        first, *whole = data.split(b"\n")
        yield from reversed(whole)
        rest = first[-MOST_LINE_BYTES:]
    if size:
        yield rest
