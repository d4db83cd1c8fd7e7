"""Root lends a hand and no more: the files are the daemon's, and so is the work."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

from v2g.pki.model import PkiError
from v2g.pki.store import DIRECTORY_MODE

_ROOT_OBEYS = ("pki.dir", "pki.token", "mesh.dir", "control.daemon_user")


def require_roots_word(origin: Mapping[str, str]) -> None:
    """As root: what says whose directory is worked in, and which library is loaded, must stand in files of root.

    The daemon's user writes drop-ins, and must not become root, or anybody else, by them. ``origin``: as of
    :class:`v2g.config.loader.Loaded`. Does nothing for others. Raises :class:`PkiError`.
    """
    if os.geteuid() != 0:
        return
    for path, file in origin.items():
        if not any(path == each or path.startswith(f"{each}.") for each in _ROOT_OBEYS):
            continue
        found = Path(file).lstat()
        if found.st_uid != 0 or not stat.S_ISREG(found.st_mode) or found.st_mode & 0o022:
            raise PkiError(
                f"{path} is set in {file}, which others than root may write, and root does not follow it: set it in a "
                "file of root (v2g.yaml), or run this as the daemon's user: runuser -u USER -- v2g-cert-manager ..."
            )


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
        if found.st_mode & 0o022:
            raise PkiError(f"{directory} belongs to root, and others may write to it: chmod go-w {directory}")
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
