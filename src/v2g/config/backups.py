"""What drop-ins were before each change: numbered copies beside them, a bounded number of each."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIRECTORY: Final = ".backup"
KEPT: Final = 10
"""Of each drop-in; the oldest go first."""
_COPY: Final = re.compile(r"(?P<name>[0-9]{2}-[a-z0-9-]+\.yaml)\.(?P<number>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Backup:
    """One former text of the drop-in ``name``; ``number`` grows by one with each."""

    name: str
    number: int
    path: Path
    written_unix_s: float
    """When that text was written, not when it was replaced."""
    size: int


def backups(directory: Path, name: str | None = None) -> tuple[Backup, ...]:
    """Of the drop-ins in ``directory`` (``conf.d``), or of one; the newest first. Raises OSError where it is there and
    cannot be read."""
    found = []
    try:
        entries = list((directory / DIRECTORY).iterdir())
    except FileNotFoundError:
        return ()
    for path in entries:
        match = _COPY.fullmatch(path.name)
        if match is None or name not in (None, match["name"]):
            continue
        with contextlib.suppress(FileNotFoundError):
            told = path.stat()
            found.append(Backup(match["name"], int(match["number"]), path, told.st_mtime, told.st_size))
    return tuple(sorted(found, key=lambda each: (each.name, -each.number)))


def keep(file: Path) -> Path | None:
    """Copy a drop-in as it is now, durably; None where there is nothing to keep, or the newest copy is equal.

    Follows no symbolic link: root may be at work in a directory of the daemon's user. Raises OSError (a full disk):
    then nothing is to be changed either.
    """
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as stream:
        text, told = stream.read(), os.fstat(fd)
    directory = file.parent / DIRECTORY
    if not directory.is_dir():
        directory.mkdir(mode=0o755)
        own_as_parent(directory)
    before = backups(file.parent, file.name)
    with contextlib.suppress(FileNotFoundError):
        if before and before[0].path.read_bytes() == text:
            return None
    copy = directory / f"{file.name}.{before[0].number + 1 if before else 1:04d}"
    place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _write(copy.name, place, text, told)
        for old in before[KEPT - 1 :]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old.path.name, dir_fd=place)
        os.fsync(place)
    finally:
        os.close(place)
    return copy


def _write(name: str, place: int, text: bytes, told: os.stat_result) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=place)
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(text)
            stream.flush()
            if os.geteuid() == 0:
                owner = os.fstat(place)
                os.fchown(fd, owner.st_uid, owner.st_gid)
            os.utime(fd, ns=(told.st_atime_ns, told.st_mtime_ns))
            os.fsync(fd)
    except BaseException:
        os.unlink(name, dir_fd=place)
        raise


def own_as_parent(path: Path) -> None:
    """What root makes belongs to the owner of the directory: the daemon has to be able to replace it."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
