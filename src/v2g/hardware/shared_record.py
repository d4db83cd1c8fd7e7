"""Records in memory shared by two processes: one writer, any number of readers, never torn, no lock.

A record is two slots of 32 bytes that are written in turn, each with a counter and a check word: a writer that dies or
is stopped in the middle leaves the other slot intact, and a reader never waits. A slot, little-endian as the machines
are that these processes run on:

====== ===== ==========================================================================================
Offset Type  Content
====== ===== ==========================================================================================
0      u64   counter: 1 for the first record ever written, one more for each; slot = counter modulo 2
8      u64   first value
16     u64   second value
24     u64   check: CRC-32 (IEEE 802.3, as zlib's) of the 24 bytes before it, plus 2^32; 0: being written
====== ===== ==========================================================================================

The writer stores 0 into the check of the slot, then counter and values, then the check, each step visible to others
before the next. The reader takes the slot with the higher counter among those whose check is right.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import zlib
from pathlib import Path

from v2g.hardware.file_owner import require_trusted

RECORD_BYTES = 64
_SLOT = struct.Struct("<4Q")
_CHECKED = struct.Struct("<3Q")
_CHECK_BIT = 1 << 32
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
        self._memory = memory
        self._at = slice(offset, offset + RECORD_BYTES)
        # Aligned 64-bit stores through a cast view are single machine stores; struct would write byte by byte.
        self._words = memoryview(memory)[self._at].cast("Q")
        newest = newest_slot(memory[self._at])
        self._counter = newest[0] if newest else 0

    def write(self, first: int, second: int) -> None:
        """Publish both values. One process may write a record."""
        self._counter += 1
        first, second = first & _MASK, second & _MASK
        words, slot = self._words, 4 * (self._counter % 2)
        words[slot + 3] = 0
        fence()
        words[slot], words[slot + 1], words[slot + 2] = self._counter, first, second
        fence()
        words[slot + 3] = zlib.crc32(_CHECKED.pack(self._counter, first, second)) | _CHECK_BIT

    def read(self) -> tuple[int, int] | None:
        """The newest intact pair; None if none was ever written."""
        newest = newest_slot(self._memory[self._at])
        return newest[1:] if newest else None


def newest_slot(record: bytes) -> tuple[int, int, int] | None:
    """Counter and both values of the newest intact slot of a record's :data:`RECORD_BYTES`."""
    best: tuple[int, int, int] | None = None
    for start in (0, _SLOT.size):
        counter, first, second, check = _SLOT.unpack_from(record, start)
        if not counter or (best is not None and counter <= best[0]):
            continue
        if check == zlib.crc32(record[start : start + _CHECKED.size]) | _CHECK_BIT:
            best = (counter, first, second)
    return best


def map_file(path: Path, size: int, writable: bool) -> tuple[mmap.mmap, tuple[int, int]]:
    """Map ``size`` bytes of ``path``; returns it and the file's identity. Raises OSError, ValueError."""
    fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    try:
        require_trusted(path, os.fstat(fd))
        return map_descriptor(fd, size, writable)
    finally:
        os.close(fd)


def map_descriptor(fd: int, size: int, writable: bool) -> tuple[mmap.mmap, tuple[int, int]]:
    """:func:`map_file` of a file that is open already."""
    status = os.fstat(fd)
    if status.st_size < size:
        raise ValueError(f"it has {status.st_size} bytes, {size} are needed")
    memory = mmap.mmap(fd, size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    return memory, (status.st_dev, status.st_ino)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of ``path``, to notice that a file was replaced; None when it is not there."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called every 10 ms; Path.stat costs twice as much
    except OSError:
        return None
    return status.st_dev, status.st_ino


def place_file(path: Path, content: bytes) -> None:
    """Create ``path`` whole, mode 0640, so that nobody sees a part; an existing file stays. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
    finally:
        temporary.unlink(missing_ok=True)
