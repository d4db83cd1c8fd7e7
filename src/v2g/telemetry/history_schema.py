"""Tables of the history, and how a file of an older version becomes one of this. Version in ``user_version``."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from v2g.telemetry.history_rows import HistoryError, MinuteRow

APPLICATION_ID: Final = 0x76_32_67_68
"""``v2gh``: how a file of ours is told from another program's."""

MINUTE_COLUMNS: Final = tuple(field.name for field in msgspec.structs.fields(MinuteRow))
_ADDED: Final = {2: ("frequency_hz", "frequency_min_hz", "frequency_max_hz")}
"""Columns of ``minute`` that the first schema had not, by the schema that brought them."""


def minute_columns(version: int) -> tuple[str, ...]:
    """Those of ``minute`` in a file of this schema, in the order of :class:`MinuteRow`."""
    later = {name for since, names in _ADDED.items() if since > version for name in names}
    return tuple(name for name in MINUTE_COLUMNS if name not in later)


_TABLES: Final = (
    f"CREATE TABLE minute (unix_min INTEGER PRIMARY KEY, {', '.join(f'{name} REAL' for name in minute_columns(1)[1:])})"
    " STRICT",
    "CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, last_day INTEGER NOT NULL) STRICT",
    "CREATE TABLE evse_minute (unix_min INTEGER NOT NULL, evse INTEGER NOT NULL, vehicle INTEGER NOT NULL,"
    " power_w REAL, granted_w REAL NOT NULL, soc_pct REAL, PRIMARY KEY (unix_min, evse)) STRICT, WITHOUT ROWID",
    "CREATE VIEW evse_history AS"
    " SELECT unix_min, datetime(unix_min * 60, 'unixepoch') AS ended_utc, e.text AS evse_id, v.text AS vehicle,"
    " power_w, granted_w, soc_pct"
    " FROM evse_minute JOIN name e ON e.id = evse JOIN name v ON v.id = vehicle",
    "CREATE TABLE trip (unix_s REAL NOT NULL, element TEXT NOT NULL, value REAL, unit TEXT NOT NULL,"
    " phase TEXT NOT NULL) STRICT",
    "CREATE INDEX trip_at ON trip (unix_s)",
    "CREATE TABLE kept (name TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT",
)
"""Texts stand once, in ``name``, so that an EVSE's minute takes about a third of the room. ``evse_history`` is for
people with an sqlite3 shell."""


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _add_frequency(connection: sqlite3.Connection) -> None:
    for name in _ADDED[2]:
        connection.execute(f"ALTER TABLE minute ADD COLUMN {name} REAL")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_create, _add_frequency)
"""The n-th makes version n+1 out of version n, within the caller's transaction."""


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """0 for an empty file. Raises :class:`HistoryError` for a file of a newer version or of another program."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if mark != APPLICATION_ID and (tables or version or mark):
        raise HistoryError(
            f"{path}: is the database of another program; name another file in history.path, or move this one away"
        )
    if version > len(MIGRATIONS):
        raise HistoryError(
            f"{path}: was written by a newer v2g-orchestrator (schema {version}, this one knows up to "
            f"{len(MIGRATIONS)}); install that version again, or move the file away to begin a new one"
        )
    return version


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[Callable[..., sqlite3.Cursor]]:
    """All of it, or nothing: gives ``connection.execute``."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """From ``version`` to the newest, one transaction a step; what was interrupted begins again at its step."""
    for step, change in enumerate(MIGRATIONS[version:], version):
        with transaction(connection) as execute:
            change(connection)
            execute(f"PRAGMA user_version = {step + 1}")
