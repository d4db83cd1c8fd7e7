"""Reads the history, beside a running writer or without one. Read-only: a writer is never kept waiting."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from v2g.telemetry.history_rows import EvseMinute, HistoryError, MinuteRow, TripRow
from v2g.telemetry.history_schema import MIGRATIONS, minute_columns, version_of
from v2g.telemetry.history_words import LOCKED_CODES, code_of, is_broken, locked_words

_BATCH: Final = 2_000
_BUSY_S: Final = 1.0
_MINUTES: Final = "SELECT {} FROM minute WHERE unix_min >= ? AND unix_min < ? ORDER BY unix_min LIMIT ?"
_EVSES: Final = (
    "SELECT unix_min, evse, e.text, v.text, power_w, granted_w, soc_pct FROM evse_minute"
    " JOIN name e ON e.id = evse JOIN name v ON v.id = vehicle"
    " WHERE (unix_min, evse) > (?, ?) AND unix_min < ? ORDER BY unix_min, evse LIMIT ?"
)
_TRIPS: Final = "SELECT unix_s, element, value, unit, phase FROM trip WHERE unix_s >= ? AND unix_s < ? ORDER BY unix_s"


def load_kept(path: Path, name: str) -> bytes | None:
    """What :meth:`~v2g.telemetry.history.History.keep` stored; None where there is none. Raises :class:`HistoryError`
    for a file that is broken (the writer moves such a file aside and starts a new one)."""
    with contextlib.suppress(OSError):
        if not path.exists() or path.stat().st_size == 0:
            return None
    with _reading(path) as connection:
        row = connection.execute("SELECT data FROM kept WHERE name = ?", (name,)).fetchone()
    return None if row is None else bytes(row[0])


def read_minutes(path: Path, since_min: int, until_min: int) -> Iterator[MinuteRow]:
    """``since_min <= unix_min < until_min``, ascending, gaps as they are. Read-only, beside a running writer.
    Raises :class:`HistoryError`, at the call or at any row."""
    with _reading(path):
        return _minutes(path, since_min, until_min)


def read_evse_minutes(path: Path, since_min: int, until_min: int) -> Iterator[EvseMinute]:
    """As :func:`read_minutes`, for each EVSE that was not idle."""
    with _reading(path):
        return _evse_minutes(path, since_min, until_min)


def read_trips(path: Path, since_s: float, until_s: float) -> tuple[TripRow, ...]:
    """``since_s <= unix_s < until_s``, ascending. Raises :class:`HistoryError`."""
    with _reading(path) as connection:
        rows = connection.execute(_TRIPS, (since_s, until_s)).fetchall()
    return tuple(
        TripRow(unix_s=unix_s, element=element, value=value if value is not None else 0.0, unit=unit, phase=phase)
        for unix_s, element, value, unit, phase in rows
    )


def _minutes(path: Path, since_min: int, until_min: int) -> Iterator[MinuteRow]:
    with _reading(path) as connection:
        columns = minute_columns(version_of(connection, path))
        statement = _MINUTES.format(", ".join(columns))
        while rows := connection.execute(statement, (since_min, until_min, _BATCH)).fetchall():
            for row in rows:
                yield MinuteRow(**dict(zip(columns, row, strict=True)))
            since_min = int(rows[-1][0]) + 1


def _evse_minutes(path: Path, since_min: int, until_min: int) -> Iterator[EvseMinute]:
    after: tuple[int, int] = (since_min, -1)
    with _reading(path) as connection:
        while rows := connection.execute(_EVSES, (*after, until_min, _BATCH)).fetchall():
            for unix_min, _, evse_id, vehicle, power_w, granted_w, soc_pct in rows:
                yield EvseMinute(
                    unix_min=unix_min,
                    evse_id=evse_id,
                    vehicle=vehicle,
                    power_w=power_w,
                    granted_w=granted_w,
                    soc_pct=soc_pct,
                )
            after = rows[-1][:2]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    connection: sqlite3.Connection | None = None
    try:
        if not path.exists():
            raise HistoryError(f"{path}: there is no history yet; v2g-orchestrator begins it (history.path names it)")
        # No transaction stays open between statements, so the writer's log can be emptied between two batches.
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None
        )
        # What a file of an older schema has not is None: a daemon that has just been updated reads its memory in one.
        version = version_of(connection, path)
        if version < 1:
            raise HistoryError(
                f"{path}: is of schema {version}, this program reads {len(MIGRATIONS)}; v2g-orchestrator brings it to "
                "that when it starts"
            )
        yield connection
    except sqlite3.Error as error:
        raise HistoryError(f"{path}: {_reason(error, path)}") from error
    except OSError as error:
        raise HistoryError(f"{path}: cannot be read ({error.strerror or error}): ask as root or as v2g") from error
    finally:
        if connection is not None:
            connection.close()


def _reason(error: sqlite3.Error, path: Path) -> str:
    code = code_of(error)
    if is_broken(error):
        return (
            f"is broken ({error}); v2g-orchestrator moves it aside when it next writes, sqlite3 {path} .recover may "
            "save what is in it"
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return f"cannot be read ({error}): ask as root or as the daemon's user"
    if code in LOCKED_CODES:
        return locked_words(path)
    return f"cannot be read ({error}): look at the disk (dmesg)"
