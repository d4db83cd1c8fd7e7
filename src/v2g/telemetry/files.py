"""A log file that survives rotation, a full disk, missing permissions and odd files in its place without raising."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

_RETRY_S = 1.0
_MODE = 0o660
"""The daemons run as two users of one group and write the same logs; less where the umask says so."""
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_KINDS = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFLNK: "is a symbolic link",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFBLK: "is a block device",
}


class LogFile:
    """Appends whole lines. Reopens when the path names another file; one ``write`` a line, so processes may share it.

    When it cannot be written, ``alarm`` is told the reason once, and writing is tried again each second. ``relief`` is
    told when it can be written again. A link in its place is not followed: who may write the directory must not choose
    what we write to.
    """

    _mode = _MODE
    relief: Callable[[str], None] | None = None

    def __init__(self, path: Path, alarm: Callable[[str], None]) -> None:
        self.path = path
        self._alarm = alarm
        self._fd = -1
        self._identity: tuple[int, int] | None = None
        self._failing = False
        self._torn = False
        self._retry_at_s = 0.0
        self._lost = 0
        self.problem = ""
        """Why it cannot be written; empty: it can, as far as is known."""

    def write(self, line: str, now_s: float) -> bool:
        """Append one line (without its end); ``now_s`` monotonic. False: it is not in the file."""
        if self._failing and now_s < self._retry_at_s:
            self._lost += 1
            return False
        try:
            self._open_if_moved()
            data = self._framed(line)
            written = os.write(self._fd, data)
            self._note(data, written)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._fail(error, now_s)
            return False
        if self._failing:
            self._recovered()
        return True

    def reopen(self) -> None:
        """The next line opens the path anew, even where the last one failed a moment ago."""
        self._shut()
        self._retry_at_s = 0.0

    def close(self) -> None:
        self._shut()

    def _shut(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._identity = None

    def _framed(self, line: str) -> bytes:
        """What is written for ``line``: it, its end, and before it what has to be told of what was not written."""
        head = b"\n" if self._torn else b""
        if self._failing:
            head += f"… {self._lost} lines could not be written here: see the journal\n".encode()
        return head + (line + "\n").encode("utf-8", "backslashreplace")

    def _note(self, data: bytes, written: int) -> None:
        """So many bytes of :meth:`_framed`'s are in the file."""
        self._torn = 0 < written < len(data)

    def _opened(self, size: int) -> None:
        """A file was opened that has ``size`` bytes."""
        self._torn = False

    def _open_if_moved(self) -> None:
        try:
            there = self.path.lstat()
            if self._fd >= 0 and (there.st_dev, there.st_ino) == self._identity:
                return
        except FileNotFoundError:
            pass
        self._shut()
        self._fd = os.open(self.path, _FLAGS, self._mode)
        here = os.fstat(self._fd)
        if not stat.S_ISREG(here.st_mode) and not stat.S_ISCHR(here.st_mode):
            self._shut()
            raise OSError(errno.EINVAL, "not a regular file")
        self._identity = (here.st_dev, here.st_ino)
        self._opened(here.st_size)

    def _fail(self, error: OSError, now_s: float) -> None:
        first, self._failing = not self._failing, True
        self._retry_at_s = now_s + _RETRY_S
        self._lost += 1
        reason = f"{self.path}: cannot be written ({self._odd_kind() or error.strerror or error})"
        self.problem = f"{reason}; its lines go to the journal or stderr until it can"
        if first:
            self._alarm(self.problem)

    def _recovered(self) -> None:
        lost, self._failing, self._lost, self.problem = self._lost, False, 0, ""
        if self.relief is not None:
            self.relief(f"{self.path}: is written again; {lost} lines are in the journal or on stderr only")

    def _odd_kind(self) -> str:
        try:
            return _KINDS.get(stat.S_IFMT(self.path.lstat().st_mode), "")
        except OSError:
            return ""
