"""The journal of sessions as a file: SQLite, one row an EVSE, opened by one process at a time.

Everything here may wait for the disk and raises; :mod:`v2g.telemetry.session_journal` keeps that away from control.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from v2g.host.files import identity, make_file
from v2g.telemetry.history_file import set_aside
from v2g.telemetry.history_schema import transaction
from v2g.telemetry.history_words import code_of, is_broken

__all__ = ["JournalError", "SessionFile", "SessionRow", "is_broken", "problem_words", "set_aside"]

APPLICATION_ID: Final = 0x76_32_67_73
"""``v2gs``: how a file of ours is told from another program's."""
RUNNING: Final = "running"
PAUSED: Final = "paused"
LOST: Final = "lost"
_MODE: Final = 0o600
"""It may hold what a vehicle's contract is called."""
_BUSY_S: Final = 1.0


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """The last that is known of a session at one EVSE.

    ``state``: ``running``, ``paused`` (``record`` is what it takes to resume it) or ``lost`` (it ran when the daemon
    was lost). ``session_id`` in hexadecimal; ``certificate``: SHA-256 of the vehicle's, empty: it showed none.
    ``changed_unix_s``: when it came into this state.
    """

    evse_id: str
    state: str
    session_id: str
    evccid: str
    identity: str
    certificate: str
    began_unix_s: float
    changed_unix_s: float
    record: bytes = b""


COLUMNS: Final = tuple(field.name for field in msgspec.structs.fields(SessionRow))


class JournalError(Exception):
    """The file cannot be used; the message names it, the reason and the remedy. ``lasting``: trying again is of no
    use."""

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE session (evse_id TEXT PRIMARY KEY, state TEXT NOT NULL, session_id TEXT NOT NULL,"
        " evccid TEXT NOT NULL, identity TEXT NOT NULL, certificate TEXT NOT NULL, began_unix_s REAL NOT NULL,"
        " changed_unix_s REAL NOT NULL, record BLOB NOT NULL) STRICT, WITHOUT ROWID"
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_create,)
"""The n-th makes version n+1 out of version n, within one transaction a step."""

_PUT: Final = f"INSERT OR REPLACE INTO session VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_FORGET: Final = "DELETE FROM session WHERE evse_id = ?"
_ALL: Final = f"SELECT {', '.join(COLUMNS)} FROM session ORDER BY evse_id"  # noqa: S608


class SessionFile:
    """One open file. Methods raise :class:`JournalError`, ``sqlite3.Error`` and ``OSError``."""

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        """Open the file, or begin it; one of an older version becomes one of this. ``writes`` False: nothing is to be
        written besides, which spares the disk."""
        self._path = path
        self._writes = writes
        self.is_new = _place(path)
        self._connection = connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            self._identity = identity(path)
            version = _version(connection, path)
            if writes:
                connection.execute("PRAGMA journal_mode = WAL")
            # A pause is to outlast the power, and is written once.
            connection.execute("PRAGMA synchronous = FULL")
            for step, change in enumerate(MIGRATIONS[version:], version):
                with transaction(connection) as execute:
                    change(connection)
                    execute(f"PRAGMA user_version = {step + 1}")
        except BaseException:
            connection.close()
            raise

    def rows(self) -> tuple[SessionRow, ...]:
        """All, by EVSE. Raises ``sqlite3.DatabaseError`` with SQLITE_CORRUPT where the file does not hold together."""
        (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            error = sqlite3.DatabaseError(str(verdict))
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return tuple(SessionRow(**dict(zip(COLUMNS, values, strict=True))) for values in self._connection.execute(_ALL))

    def write(self, changes: Mapping[str, SessionRow | None]) -> None:
        """Put these rows in, take those of None out, all in one transaction."""
        with transaction(self._connection):
            for evse_id, row in changes.items():
                if row is None:
                    self._connection.execute(_FORGET, (evse_id,))
                else:
                    self._connection.execute(_PUT, msgspec.structs.astuple(row))

    def require_there(self) -> None:
        """Raises :class:`JournalError` when the path no longer names the file that is open."""
        with contextlib.suppress(OSError):
            if identity(self._path) == self._identity:
                return
        raise JournalError(f"{self._path}: was removed or replaced while it was in use; a new one is begun")

    def close(self) -> None:
        """Leave one plain file."""
        with contextlib.suppress(sqlite3.Error):
            if self._writes:
                self._connection.execute("PRAGMA journal_mode = DELETE")
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if mark != APPLICATION_ID and (tables or version or mark):
        raise JournalError(f"{path}: is the database of another program; move it away and restart", lasting=True)
    if version > len(MIGRATIONS):
        raise JournalError(
            f"{path}: was written by a newer v2g-orchestrator (schema {version}, this one knows up to "
            f"{len(MIGRATIONS)}); install that version again, or move the file away and restart",
            lasting=True,
        )
    return version


def problem_words(error: Exception, path: Path) -> str:
    """For what opening or writing raised: the file, the reason, the remedy."""
    if isinstance(error, JournalError):
        return str(error)
    code = code_of(error) if isinstance(error, sqlite3.Error) else 0
    number = error.errno if isinstance(error, OSError) else 0
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: the disk is full: free space on it"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM) or number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: may not be written: mount the disk read-write, give file and directory to the daemon's user"
    if code == sqlite3.SQLITE_CANTOPEN or number == errno.ENOENT:
        return f"{path}: cannot be opened: create {path.parent} for the daemon's user, or mount its disk"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path}: another program holds it locked: end that program (fuser -v {path})"
    return f"{path}: cannot be used ({error}): look at the disk (dmesg) and its space"


def _place(path: Path) -> bool:
    """Make the file with its mode where there is none (True)."""
    there = make_file(path, _MODE)
    if there is None:
        return True
    if not stat.S_ISREG(there.st_mode):
        raise JournalError(f"{path}: is no regular file: move it away and restart", lasting=True)
    return there.st_size == 0
