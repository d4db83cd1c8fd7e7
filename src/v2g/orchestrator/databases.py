"""The databases that are kept across updates: where they are, which schema this code knows, and whether it takes one.

What else is kept is small and written whole; each such file says its own ``schema`` (:mod:`v2g.host.kept`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from v2g.config.migrate import SCHEMA_VERSION
from v2g.config.paths import RunPaths
from v2g.telemetry.history_file import HistoryFile
from v2g.telemetry.history_rows import HistoryError
from v2g.telemetry.history_schema import MIGRATIONS as HISTORY_MIGRATIONS
from v2g.telemetry.session_file import MIGRATIONS as SESSION_MIGRATIONS
from v2g.telemetry.session_file import JournalError, SessionFile
from v2g.telemetry.session_journal import FILE as SESSIONS_FILE

CONFIG: Final = "config"


@dataclass(frozen=True, slots=True)
class Database:
    """``take`` opens a file as the daemon does, migrating it; raises HistoryError or JournalError, sqlite3.Error,
    OSError."""

    name: str
    path: Callable[[RunPaths], Path]
    newest: int
    take: Callable[[Path], None]


def _take_history(path: Path) -> None:
    HistoryFile(path, keep_days=100_000, max_bytes=1 << 50).close()


def _take_sessions(path: Path) -> None:
    SessionFile(path).close()


DATABASES: Final = (
    Database("history", lambda paths: paths.history, len(HISTORY_MIGRATIONS), _take_history),
    Database("sessions", lambda paths: paths.state_dir / SESSIONS_FILE, len(SESSION_MIGRATIONS), _take_sessions),
)


def known_schemas() -> dict[str, int]:
    """The newest schema that this code knows of the configuration and of each database."""
    return {CONFIG: SCHEMA_VERSION, **{each.name: each.newest for each in DATABASES}}


def kept_databases(paths: RunPaths) -> tuple[tuple[str, Path], ...]:
    """By name."""
    return tuple((each.name, each.path(paths)) for each in DATABASES)


def try_copies(folder: Path) -> tuple[str, ...]:
    """Open each ``<name>.sqlite`` of ``folder``, which are copies, as the daemon would. What speaks against it."""
    problems = []
    for each in DATABASES:
        path = folder / f"{each.name}.sqlite"
        if not path.exists():
            continue
        try:
            each.take(path)
        except (HistoryError, JournalError, sqlite3.Error, OSError) as error:
            problems.append(f"{each.name}: {error}")
    return tuple(problems)
