"""The history's file as its one writer has it: opened, held, written in batches, set aside when it is broken.

Everything here may wait for the disk and raises; :mod:`v2g.telemetry.history` keeps that away from control.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from v2g.hardware import file_lock
from v2g.host.files import identity, make_file
from v2g.telemetry.history_prune import DAY_MIN, Pruner, size_of
from v2g.telemetry.history_rows import EvseMinute, HistoryError, MinuteRow, TripRow
from v2g.telemetry.history_schema import MIGRATIONS, MINUTE_COLUMNS, migrate, transaction, version_of

Entry = tuple[MinuteRow, tuple[EvseMinute, ...]] | TripRow
"""What is written as one: a minute with its EVSEs, or a trip."""

BROKEN_KEPT: Final = 3
_BUSY_S: Final = 1.0
_WAL_PAGES: Final = 256
_INCREMENTAL: Final = 2
_TEXT_MAX: Final = 64
_SAME_TRIP_S: Final = 2.0
"""A trip told again (the orchestrator restarted, the guard still tripped) is the same within this."""
_MODE: Final = 0o640

_MINUTE: Final = f"INSERT OR REPLACE INTO minute VALUES ({', '.join('?' * len(MINUTE_COLUMNS))})"  # noqa: S608
_EVSE: Final = "INSERT OR REPLACE INTO evse_minute VALUES (?, ?, ?, ?, ?, ?)"
_NAME: Final = (
    "INSERT INTO name (text, last_day) VALUES (?, ?)"
    " ON CONFLICT (text) DO UPDATE SET last_day = max(last_day, excluded.last_day) RETURNING id"
)
_TRIP: Final = (
    "INSERT INTO trip SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS"
    " (SELECT 1 FROM trip WHERE unix_s BETWEEN ?1 - ?6 AND ?1 + ?6 AND element = ?2 AND phase = ?5)"
)
_KEEP: Final = "INSERT OR REPLACE INTO kept VALUES (?, ?)"


VALUE_ERRORS: Final = (
    TypeError, ValueError, OverflowError, sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError,
)  # fmt: skip
"""What a value that the tables do not take raises."""


class FileGone(HistoryError):
    """Somebody took the file away under its writer."""


class HistoryFile:
    """One open file. Methods raise :class:`HistoryError`, ``sqlite3.Error`` and ``OSError``."""

    def __init__(self, path: Path, *, keep_days: int, max_bytes: int) -> None:
        """Open, or begin, the file: locked against a second writer, of our schema."""
        self._path = path
        self._names: dict[str, tuple[int, int]] = {}
        self._connection: sqlite3.Connection | None = None
        self._lock_fd = _locked(path)
        try:
            self.is_new = _place(path)
            self._connection = connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._identity = identity(path)
            self._prepare(connection)
        except BaseException:
            self.close()
            raise
        self._pruner = Pruner(
            connection, path, keep_days=keep_days, max_bytes=max_bytes, on_forgotten=self._names.clear
        )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = version_of(connection, self._path)
        if version == 0:
            # It counts only before the first page is there, or after all are written anew.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
                connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_PAGES * 4096}")
        if version < len(MIGRATIONS):
            migrate(connection, version)

    @property
    def size_bytes(self) -> int:
        return size_of(self._path)

    def require_there(self) -> None:
        """Raises :class:`FileGone` when the path no longer names the file that is open."""
        with contextlib.suppress(OSError):
            if identity(self._path) == self._identity:
                return
        raise FileGone(
            f"{self._path}: was removed or replaced while it was in use; a new one is begun: leave the file to the "
            "daemon, or stop v2g-orchestrator first"
        )

    def write(self, entries: Sequence[Entry], kept: Mapping[str, bytes]) -> int:
        """Make room within the bounds, then all in one transaction. The rows written.

        Raises one of :data:`VALUE_ERRORS` where an entry holds what cannot be stored; nothing is written then.
        """
        connection = self._open()
        self._make_room()
        rows, newest_min = 0, None
        try:
            with transaction(connection):
                for entry in entries:
                    if isinstance(entry, TripRow):
                        rows += self._trip(connection, entry)
                    else:
                        rows += self._minute(connection, *entry)
                        newest_min = entry[0].unix_min
                connection.executemany(_KEEP, kept.items())
        except BaseException:
            # Names that this transaction made are gone with it.
            self._names.clear()
            raise
        if newest_min is not None:
            self._pruner.age(newest_min)
        return rows

    def _make_room(self) -> None:
        if not self._pruner.make_room():
            raise HistoryError(
                f"{self._path}: has reached history.max_mb, and a program that reads it keeps its write-ahead log from "
                f"being emptied: end that program (fuser -v {self._path})"
            )

    def close(self) -> None:
        """Leave one plain file that can be copied and be read by anybody who may read it."""
        connection, self._connection = self._connection, None
        # What fails here has been told, or will be when the file is opened again.
        with contextlib.suppress(sqlite3.Error):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("PRAGMA journal_mode = DELETE")
                connection.close()
        os.close(self._lock_fd)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise HistoryError(f"{self._path}: is closed")
        return self._connection

    def _minute(self, connection: sqlite3.Connection, minute: MinuteRow, evses: tuple[EvseMinute, ...]) -> int:
        connection.execute(_MINUTE, [getattr(minute, name) for name in MINUTE_COLUMNS])
        # A clock that was set back comes by the same minute again: the newest wins, whole.
        connection.execute("DELETE FROM evse_minute WHERE unix_min = ?", (minute.unix_min,))
        day = minute.unix_min // DAY_MIN
        connection.executemany(
            _EVSE,
            [
                (
                    evse.unix_min,
                    self._name(connection, evse.evse_id, day),
                    self._name(connection, evse.vehicle, day),
                    _rounded(evse.power_w, 0),
                    _rounded(evse.granted_w, 0) or 0.0,
                    _rounded(evse.soc_pct, 1),
                )
                for evse in evses
            ],
        )
        return 1 + len(evses)

    def _trip(self, connection: sqlite3.Connection, trip: TripRow) -> int:
        values = (trip.unix_s, _text(trip.element), trip.value, _text(trip.unit), _text(trip.phase), _SAME_TRIP_S)
        return connection.execute(_TRIP, values).rowcount

    def _name(self, connection: sqlite3.Connection, text: str, day: int) -> int:
        known = self._names.get(text)
        if known is not None and known[1] == day:
            return known[0]
        number = int(connection.execute(_NAME, (_text(text), day)).fetchone()[0])
        if len(self._names) > 10_000:
            self._names.clear()
        self._names[text] = number, day
        return number


def set_aside(path: Path) -> Path:
    """Rename a broken file, with its write-ahead log, to ``<name>.broken-<n>``; of these the newest stay."""
    numbers = broken_files(path)
    aside = path.with_name(f"{path.name}.broken-{max(numbers, default=0) + 1}")
    path.rename(aside)
    with contextlib.suppress(FileNotFoundError):
        path.with_name(path.name + "-wal").rename(aside.with_name(aside.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    for number in sorted(numbers, reverse=True)[BROKEN_KEPT - 1 :]:
        for end in ("", "-wal"):
            numbers[number].with_name(numbers[number].name + end).unlink(missing_ok=True)
    return aside


def broken_files(path: Path) -> dict[int, Path]:
    """Those set aside earlier, by number."""
    head = f"{path.name}.broken-"
    found = {each.name.removeprefix(head): each for each in path.parent.iterdir() if each.name.startswith(head)}
    return {int(number): each for number, each in found.items() if number.isdecimal()}


def _locked(path: Path) -> int:
    """The descriptor that holds the lock. A file beside it, since closing any descriptor of the database itself would
    take SQLite's own locks away."""
    lock_path = path.with_name(path.name + ".lock")
    fd = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    try:
        if file_lock.lock(fd):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd
        holder = os.pread(fd, 16, 0).decode("ascii", "replace").strip()
        raise HistoryError(
            f"{path}: process {holder or 'unknown'} writes it already; only one orchestrator may: stop that one, or "
            "name another file in history.path"
        )
    except BaseException:
        os.close(fd)
        raise


def _place(path: Path) -> bool:
    """Make the file with its mode where there is none (True). Raises :class:`HistoryError` for what is no file."""
    there = make_file(path, _MODE)
    if there is None:
        return True
    if stat.S_ISLNK(there.st_mode):
        raise HistoryError(f"{path}: is a symbolic link, which is not followed: name the file itself in history.path")
    if not stat.S_ISREG(there.st_mode):
        raise HistoryError(f"{path}: is no regular file: name another one in history.path")
    return there.st_size == 0


def _rounded(value: float | None, digits: int) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


def _text(text: str) -> str:
    """What a vehicle claims may hold anything; lone surrogates cannot be stored."""
    return text[:_TEXT_MAX].encode("utf-8", "replace").decode()
