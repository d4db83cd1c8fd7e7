"""Records in memory shared by two processes: one writer, any number of readers, never torn, no lock.

A record is two slots written in turn, each with a counter and a checksum: a writer that dies or is stopped in the
middle leaves the other slot intact, and a reader never waits.
"""

from __future__ import annotations

import mmap
import os
import threading
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

RECORD_BYTES = 64
_WORDS = 4
_MASK = (1 << 64) - 1

_lock = threading.Lock()


def fence() -> None:
    """Order the stores and loads before against those after it, on machines (ARM) that may swap them.

    Two acquire/release pairs in a row: the first release cannot pass the second acquire.
    """
    for _ in range(2):
        _lock.acquire()
        _lock.release()


class SharedRecord:
    """Two unsigned 64-bit values at ``offset`` (a multiple of 8) of a mapping, written together."""

    def __init__(self, memory: mmap.mmap, offset: int) -> None:
        # Aligned 64-bit stores through numpy are single machine stores; struct would write byte by byte.
        self._slots: npt.NDArray[np.uint64] = np.frombuffer(memory, np.uint64, 2 * _WORDS, offset).reshape(2, _WORDS)
        newest = self._newest()
        self._counter = newest[0] if newest else 0

    def write(self, first: int, second: int) -> None:
        """Publish both values. One process may write a record."""
        self._counter += 1
        slot = self._slots[self._counter % 2]
        slot[3] = 0
        fence()
        slot[0], slot[1], slot[2] = self._counter, first & _MASK, second & _MASK
        fence()
        slot[3] = _check(self._counter, first & _MASK, second & _MASK)

    def read(self) -> tuple[int, int] | None:
        """The newest intact pair; None if none was ever written."""
        newest = self._newest()
        return newest[1:] if newest else None

    def _newest(self) -> tuple[int, int, int] | None:
        best: tuple[int, int, int] | None = None
        for slot in self._slots:
            counter, first, second, check = (int(word) for word in slot.copy())
            if counter and check == _check(counter, first, second) and (best is None or counter > best[0]):
                best = (counter, first, second)
        return best


def map_file(path: Path, size: int, writable: bool) -> tuple[mmap.mmap, tuple[int, int]]:
    """Map ``size`` bytes of ``path``; returns it and the file's identity. Raises OSError, ValueError."""
    fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_size < size:
            raise ValueError(f"it has {status.st_size} bytes, {size} are needed")
        memory = mmap.mmap(fd, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    finally:
        os.close(fd)
    return memory, (status.st_dev, status.st_ino)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of ``path``, to notice that a file was replaced; None when it is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called every 10 ms; Path.stat costs twice as much
    except OSError:
        return None
    return status.st_dev, status.st_ino


def place_file(path: Path, content: bytes, replace: bool) -> None:
    """Create ``path`` whole, mode 0640, so that nobody sees a part. Without ``replace`` an existing file stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        if replace:
            temporary.replace(path)
        else:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                pass
    finally:
        temporary.unlink(missing_ok=True)


def _check(counter: int, first: int, second: int) -> int:
    return zlib.crc32(b"%x,%x,%x" % (counter, first, second)) | 1 << 32
