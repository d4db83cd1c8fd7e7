"""Files that hold a secret: whose they may be, and who may read them. One rule for keys, passwords and PINs.

A regular file, no symbolic link; its owner is root or who runs this process; nobody else has any permission. Root,
who looks after other users' files, also takes those whose owner the directory belongs to.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyiso15118.errors import Iso15118Error

LONGEST_SECRET = 64 * 1024
"""Bytes; a private key has some hundreds."""


class PrivateFileError(Iso15118Error):
    """A secret's file that is absent, no file, somebody else's or open to others. The message has the command."""


def check_private(path: Path, what: str = "private key") -> None:
    """Raises :class:`PrivateFileError` if the file may not be used; ``what`` it is called there."""
    with _opened(path, what):
        pass


def read_private(path: Path, what: str = "private key") -> bytes:
    """What is in the file that was checked, and in no other. Raises :class:`PrivateFileError`."""
    with _opened(path, what) as descriptor:
        try:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                content = file.read(LONGEST_SECRET + 1)
        except OSError as error:
            raise PrivateFileError(f"{what} {path} cannot be read: {error.strerror}") from error
    if len(content) > LONGEST_SECRET:
        raise PrivateFileError(f"{what} {path} has more than {LONGEST_SECRET} bytes: that is none")
    return content


@contextmanager
def _opened(path: Path, what: str) -> Iterator[int]:
    try:
        # Without waiting, should it be a named pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise PrivateFileError(_not_opened(path, what, error)) from error
    try:
        if problem := _problem(path, what, os.fstat(descriptor)):
            raise PrivateFileError(problem)
        yield descriptor
    finally:
        os.close(descriptor)


def _not_opened(path: Path, what: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"{what} {path} is a symbolic link, which may lead anywhere: put the file itself there"
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = "run this as root" if os.geteuid() else "it is on a file system that does not obey root"
        try:
            found = path.lstat()
        except OSError:
            pass
        else:
            # The owner can be told without permission to read; an owner who may not read has a mode to mend.
            remedy = f"chmod 600 {path}" if found.st_uid == os.geteuid() else f"chown {user_name(os.geteuid())} {path}"
        return f"{what} {path} cannot be read: {error.strerror}: {remedy}"
    return f"{what} {path} cannot be read: {error.strerror}"


def _problem(path: Path, what: str, found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return f"{what} {path} is no regular file: put the file itself there"
    mode = stat.S_IMODE(found.st_mode)
    owners = [os.geteuid()]
    if owners == [0]:
        owners.insert(0, path.absolute().parent.stat().st_uid)
    if found.st_uid not in {0, *owners}:
        return f"{what} {path} belongs to {user_name(found.st_uid)}: chown {user_name(owners[0])} {path}"
    if mode & 0o077:
        return f"{what} {path} is open to others (mode {mode:04o}): chmod 600 {path}"
    return ""


def user_name(uid: int) -> str:
    """For people and their commands: the name, or the number without one."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
