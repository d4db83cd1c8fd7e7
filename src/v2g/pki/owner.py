"""Root lends a hand and no more: the files are the daemon's, and so is the work."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from v2g.pki.model import PkiError
from v2g.pki.store import DIRECTORY_MODE


def become_owner(directory: Path, daemon_user: str) -> str:
    """As root: make ``directory`` for the daemon's user if it is missing or empty, and go on as its owner for good.

    What was to be read as root must have been read. Does nothing for others. Returns what a person should know, or an
    empty text. Raises :class:`PkiError`.
    """
    if os.geteuid() != 0:
        return ""
    user = _user(daemon_user)
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        found = directory.stat()
        if found.st_uid == 0 and user is not None and not any(directory.iterdir()):
            os.chown(directory, user.pw_uid, user.pw_gid)
            found = directory.stat()
        if found.st_uid != 0:
            _become(found.st_uid, found.st_gid)
            return ""
    except OSError as error:
        raise PkiError(f"{directory} cannot be made the daemon's: {error.strerror or error}") from error
    if user is None:
        return ""
    return (
        f"{directory} belongs to root: a daemon that runs as {daemon_user} cannot read the key in it: "
        f"chown -R {daemon_user}: {directory}"
    )


def _become(uid: int, gid: int) -> None:
    try:
        os.initgroups(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
