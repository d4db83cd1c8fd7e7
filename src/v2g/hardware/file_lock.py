"""The lock of a file's one writer (Linux open-file-description locks): gone with the writer, however it ends.

A write lock (``F_OFD_SETLK``, ``F_WRLCK``, ``l_start`` 0, ``l_len`` 0) belongs to the open file, not to the process
that opened it; the kernel takes it away with the last descriptor or mapping made through it. Others ask for it
(``F_OFD_GETLK``) in one system call.
"""

from __future__ import annotations

import fcntl
import os
import struct

# l_type, l_whence, l_start, l_len, l_pid (0 with these locks), aligned as struct flock is
_FLOCK = struct.Struct("hhqqi4x")
_WRITE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_READ = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)


def lock(fd: int) -> bool:
    """Take the write lock through ``fd`` (open for writing); False: another open file has it. Raises OSError."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _WRITE)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_locked(fd: int) -> bool:
    """Another open file than that of ``fd`` holds the write lock. Raises OSError."""
    answer: bytes = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _READ)
    return int(_FLOCK.unpack(answer)[0]) != fcntl.F_UNLCK
