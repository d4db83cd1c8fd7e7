"""Logs followed as they grow, over rotation and while a log is not there yet."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from v2g.telemetry.log_entry import MOST_LINE_BYTES, Entry, Wanted, parse, time_of

_CHUNK = 1 << 20


class Follower:
    """Of one log. ``file``: the log as it is open already, where lines are new; None: all of a file that comes."""

    def __init__(self, name: str, path: Path, file: IO[bytes] | None = None) -> None:
        self._name = name
        self._path = path
        self._file = file
        self._identity = _identity(file) if file is not None else None
        self._rest = b""
        self._time = ""

    def new(self) -> Iterator[Entry]:
        """Lines that are whole since the last call. A log that was moved is read to its end, then the new one."""
        if self._file is None and not self._open():
            return
        yield from self._grown()
        if self._is_moved():
            yield from self._grown()
            if self._rest:
                yield self._entry(self._rest)
            self.close()
            if self._open():
                yield from self._grown()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._identity, self._rest = None, None, b""

    def _open(self) -> bool:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return False
        self._file = os.fdopen(fd, "rb")
        self._identity = _identity(self._file)
        return True

    def _is_moved(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            # Moved, and the new one is not made yet: the old one may still grow.
            return False
        return (there.st_dev, there.st_ino) != self._identity

    def _grown(self) -> Iterator[Entry]:
        file = self._file
        if file is None:
            return
        if os.fstat(file.fileno()).st_size < file.tell():
            # Somebody emptied it.
            file.seek(0)
            self._rest = b""
        while data := file.read(_CHUNK):
            *whole, self._rest = (self._rest + data).split(b"\n")
            for line in whole:
                yield self._entry(line)
            self._rest = self._rest[-MOST_LINE_BYTES:]

    def _entry(self, line: bytes) -> Entry:
        self._time = time_of(line) or self._time
        return parse(self._name, line, self._time)


def _identity(file: IO[bytes]) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino


def news(followers: Sequence[Follower], wanted: Wanted) -> list[Entry]:
    """What came since the last call, by time."""
    found = [entry for follower in followers for entry in follower.new() if wanted.matches(entry)]
    return sorted(found, key=lambda entry: entry.time)
