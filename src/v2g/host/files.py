"""State files of the daemons."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o640, *, on_disk: bool = False) -> None:
    """Write ``data`` beside ``path`` and rename it into place, so that a reader finds the old file or the new one.

    ``mode`` holds from its first moment. In the page cache when this returns, which survives the process but not the
    power; with ``on_disk`` on the disk, which may take long. Raises ``OSError``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    # Who shares the directory may have put one there, and would own what we rename.
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
        file.write(data)
        if on_disk:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if on_disk:
        sync_file(path)


def sync_file(path: Path) -> None:
    """Put file and directory on the disk, whether the file is there or gone. May take long. Raises ``OSError``."""
    for each in (path, path.parent):
        try:
            fd = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def make_file(path: Path, mode: int) -> os.stat_result | None:
    """Make an empty file with ``mode`` where nothing is (None); else what is there, a link not followed.

    Raises ``OSError``.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode))
    except FileExistsError:
        return path.lstat()
    return None


def identity(path: Path) -> tuple[int, int]:
    """Device and inode, a link not followed: whether the file is still the one that was opened. Raises ``OSError``."""
    there = path.lstat()
    return there.st_dev, there.st_ino
