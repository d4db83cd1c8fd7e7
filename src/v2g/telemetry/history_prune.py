"""Keeps the history within its days and bytes: the oldest whole days go first, and the file really shrinks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from v2g.telemetry.history_schema import transaction

HOUR_MIN: Final = 60
DAY_MIN: Final = 1440
_STEP_PAGES: Final = 256
_SHARE: Final = 0.9
"""Of the bound: where deleting begins, so that the next batch and its write-ahead log still fit below it."""


def size_of(path: Path) -> int:
    """Bytes of the database with its write-ahead log and index; 0 where there is none."""
    total = 0
    for end in ("", "-wal", "-shm"):
        try:
            total += path.with_name(path.name + end).stat().st_size
        except OSError:
            continue
    return total


def checkpoint(connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead log into the database. False: a reader keeps it."""
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


class Pruner:
    """Deletes in small transactions, so that the write-ahead log stays small. Methods raise sqlite3.Error."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        keep_days: int,
        max_bytes: int,
        on_forgotten: Callable[[], None],
    ) -> None:
        """``on_forgotten``: names may have gone from their table."""
        self._connection = connection
        self._path = path
        self._keep_min = keep_days * DAY_MIN
        self._limit = int(max_bytes * _SHARE)
        self._aged_day: int | None = None
        self._on_forgotten = on_forgotten

    def age(self, newest_min: int) -> None:
        """Once a day: what is older than the days to keep, seen from the newest row."""
        day = newest_min // DAY_MIN
        if day == self._aged_day:
            return
        self._aged_day = day
        cut_min = (newest_min - self._keep_min) // DAY_MIN * DAY_MIN
        oldest_min = self._oldest_min()
        if oldest_min is None or oldest_min >= cut_min:
            return
        # A clock that is wrong for some hours, years ahead, must not make everything look old.
        recent = "SELECT count(*) FROM (SELECT 1 FROM minute WHERE unix_min >= ? LIMIT ?)"
        if self._connection.execute(recent, (cut_min, DAY_MIN)).fetchone()[0] < DAY_MIN:
            return
        self._delete_before(cut_min)
        self._forget_names(cut_min // DAY_MIN)
        self._shrink()

    def make_room(self) -> bool:
        """Before a write. False: a reader keeps the write-ahead log from being emptied, and there is no room."""
        while size_of(self._path) > self._limit:
            if not checkpoint(self._connection):
                return False
            if size_of(self._path) <= self._limit:
                return True
            oldest_min, newest_min = self._oldest_min(), self._newest_min()
            if oldest_min is None or newest_min is None:
                # What remains is what the parts keep here.
                return self._shrink()
            whole_day = oldest_min // DAY_MIN < newest_min // DAY_MIN
            unit_min = DAY_MIN if whole_day else HOUR_MIN
            until_min = (oldest_min // unit_min + 1) * unit_min
            self._delete_before(until_min)
            self._forget_names(until_min // DAY_MIN)
            if not self._shrink():
                return False
        return True

    def _oldest_min(self) -> int | None:
        return min(self._edges("min"), default=None)

    def _newest_min(self) -> int | None:
        return max(self._edges("max"), default=None)

    def _edges(self, which: str) -> list[int]:
        tables = ("minute", "evse_minute")
        rows = [self._connection.execute(f"SELECT {which}(unix_min) FROM {name}").fetchone() for name in tables]  # noqa: S608
        return [int(value) for (value,) in rows if value is not None]

    def _delete_before(self, until_min: int) -> None:
        """Hour by hour, each a transaction."""
        oldest_min = self._oldest_min()
        while oldest_min is not None and oldest_min < until_min:
            hour_min = min(until_min, (oldest_min // HOUR_MIN + 1) * HOUR_MIN)
            with transaction(self._connection) as execute:
                execute("DELETE FROM minute WHERE unix_min < ?", (hour_min,))
                execute("DELETE FROM evse_minute WHERE unix_min < ?", (hour_min,))
                execute("DELETE FROM trip WHERE unix_s < ?", (hour_min * 60.0,))
            oldest_min = self._oldest_min()

    def _forget_names(self, day: int) -> None:
        self._connection.execute("DELETE FROM name WHERE last_day < ?", (day,))
        self._on_forgotten()

    def _shrink(self) -> bool:
        """Give free pages back to the disk, some at a time."""
        free, before = self._free_pages(), -1
        while free and free != before:
            # Each row is one page given back: unread, nothing happens.
            self._connection.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()
            before, free = free, self._free_pages()
        return checkpoint(self._connection)

    def _free_pages(self) -> int:
        return int(self._connection.execute("PRAGMA freelist_count").fetchone()[0])
