"""Copies of the SQLite databases before an update, and how they are put back when a new version has migrated them.

A database that kept its schema is left as it is: what was written since the update is not given up for nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from v2g.host.files import replace_file, sync_file
from v2g.host.firmware.errors import FirmwareError

_INDEX: Final = "index.json"
_BUSY_S: Final = 5.0


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """``schema``: what the database had. ``putting_back``: that was begun, and has to be finished whatever is found."""

    name: str
    path: str
    schema: int
    putting_back: bool = False


def schema_of(path: Path) -> int | None:
    """``user_version``; None: there is no such file. Raises :class:`FirmwareError`."""
    if not _is_file(path):
        return None
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        raise FirmwareError(
            f"{path} cannot be read ({error}): see v2g-tool status and the log for what is wrong"
        ) from None


def copy_all(databases: Iterable[tuple[str, Path]], folder: Path) -> tuple[Copy, ...]:
    """Whole copies of those that exist, below ``folder``, on the disk when this returns. A broken one is left out: the
    daemon sets it aside by itself. Raises :class:`FirmwareError`."""
    made = []
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        for name, path in databases:
            if not _is_file(path):
                continue
            target = folder / f"{name}.sqlite"
            try:
                with (
                    contextlib.closing(sqlite3.connect(path, timeout=_BUSY_S)) as source,
                    contextlib.closing(sqlite3.connect(target)) as copied,
                ):
                    source.backup(copied)
                    schema = int(copied.execute("PRAGMA user_version").fetchone()[0])
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise FirmwareError(f"{path} cannot be copied to {target}: {error}; is there room?") from None
                target.unlink(missing_ok=True)
                continue
            sync_file(target)
            made.append(Copy(name=name, path=str(path), schema=schema))
        _write_index(folder, made)
    except OSError as error:
        raise FirmwareError(f"the databases cannot be copied to {folder}: {error.strerror or error}") from None
    return tuple(made)


def put_back(folder: Path) -> tuple[str, ...]:
    """Those whose schema has changed since :func:`copy_all`, with nobody using them; their paths. No folder: none.

    Raises :class:`FirmwareError`; called again it goes on.
    """
    done = []
    try:
        copies = list(_read_index(folder))
        for position, copy in enumerate(copies):
            path, source = Path(copy.path), folder / f"{copy.name}.sqlite"
            if not copy.putting_back and not _changed(path, copy.schema):
                continue
            copies[position] = msgspec.structs.replace(copy, putting_back=True)
            _write_index(folder, copies)
            _replace_database(source, path)
            copies[position] = copy
            _write_index(folder, copies)
            done.append(copy.path)
    except OSError as error:
        raise FirmwareError(f"the databases of {folder} cannot be put back: {error.strerror or error}") from None
    return tuple(done)


def keep_newest(backups: Path, count: int) -> None:
    """Of the copies of earlier updates. Never raises: old copies are in nobody's way."""
    with contextlib.suppress(OSError):
        folders = sorted((each for each in backups.iterdir() if each.is_dir()), key=lambda each: each.name)
        for folder in folders[: max(0, len(folders) - count)]:
            shutil.rmtree(folder, ignore_errors=True)


def _changed(path: Path, schema: int) -> bool:
    try:
        found = schema_of(path)
    except FirmwareError:
        return True
    return found is not None and found != schema


def _replace_database(source: Path, path: Path) -> None:
    """With the write-ahead log of the newer one left beside it, SQLite would write that into the older one."""
    owner = path.lstat() if _is_file(path) else path.parent.stat()
    temporary = path.with_name(f".{path.name}.returning")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    with os.fdopen(fd, "wb") as target, source.open("rb") as data:
        shutil.copyfileobj(data, target, 1 << 20)
        target.flush()
        if os.geteuid() == 0:
            os.fchown(fd, owner.st_uid, owner.st_gid)
        os.fsync(fd)
    for end in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    temporary.replace(path)
    sync_file(path)


def _is_file(path: Path) -> bool:
    """What is read and written here is written by a user with fewer rights: no link is followed."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _write_index(folder: Path, copies: Iterable[Copy]) -> None:
    replace_file(folder / _INDEX, msgspec.json.encode(tuple(copies)), 0o600, on_disk=True)


def _read_index(folder: Path) -> tuple[Copy, ...]:
    path = folder / _INDEX
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Copy, ...])
    except FileNotFoundError:
        return ()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FirmwareError(
            f"{path} is damaged ({error}): put the databases back by hand, with the services stopped"
        ) from None
