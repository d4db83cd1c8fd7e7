"""Why the history is not written, for people: what is wrong, where, and the remedy."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from v2g.telemetry.history_rows import HistoryError

NOT_KEPT: Final = "HISTORY_NOT_KEPT"
KEPT_AGAIN: Final = "HISTORY_KEPT_AGAIN"
"""Codes for the daemon log, for ``on_problem`` with a text and with an empty one."""

_AFTER: Final = "; control goes on, rows wait in memory and the oldest of them go first"
LOCKED_CODES: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BASIC: Final = 0xFF
"""SQLite's primary code within an extended one."""


def is_broken(error: Exception) -> bool:
    """The file itself is damaged, or is no database."""
    return isinstance(error, sqlite3.Error) and code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def problem_words(error: Exception, path: Path) -> str:
    """For what opening or writing raised."""
    return (str(error) if isinstance(error, HistoryError) else f"{path}: {_reason(error, path)}") + _AFTER


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, path)
    if isinstance(error, OSError):
        return _of_system(error, path)
    return f"cannot be written ({type(error).__name__}: {error}): report this with the daemon log"


def _of_sqlite(error: sqlite3.Error, path: Path) -> str:
    code = code_of(error)
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full: free space on it, or lower history.max_mb and restart"
    if code in LOCKED_CODES:
        return locked_words(path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return "may not be written: mount the disk read-write, or give the file to the daemon's user"
    if code == sqlite3.SQLITE_CANTOPEN:
        return "cannot be opened: look at its directory, and whether the daemon's user may write there"
    if code == sqlite3.SQLITE_IOERR:
        return f"the disk refuses to write ({error}): look for free space, quota and errors of the disk (dmesg)"
    return f"cannot be written ({error}): look at the disk and its space"


def _of_system(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: free space on it, or lower history.max_mb and restart"
    if error.errno == errno.ENOENT:
        return f"the directory {path.parent} does not exist: create it for the daemon's user, or mount its disk"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"the daemon's user may not write there: give {path.parent} to that user"
    if error.errno == errno.EROFS:
        return "the disk is mounted read-only: mount it read-write; see dmesg for why"
    return f"cannot be opened ({error.strerror or error}): look at the disk, or name another file in history.path"


def locked_words(path: Path) -> str:
    return f"another program holds it locked: end that program (fuser -v {path})"


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary code; 0 for an error of the module itself."""
    return getattr(error, "sqlite_errorcode", 0) & _BASIC
