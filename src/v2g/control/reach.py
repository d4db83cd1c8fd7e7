"""Why nobody answers at the control socket, and what to run then."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import struct
from pathlib import Path
from typing import Final

UNIT: Final = "v2g-orchestrator"
_SYSTEM_DIR: Final = Path("/run/v2g")
_ACL_XATTR: Final = "system.posix_acl_access"
_ACL_ENTRY: Final = struct.Struct("<HHI")
_GROUP: Final = 0x08


def no_answer(path: Path, error: OSError) -> str:
    """In words, with the remedy: no socket, one left behind by a dead daemon, one that may not be opened, a start."""
    match error:
        case FileNotFoundError():
            return _absent(path)
        case ConnectionRefusedError():
            why = f"; why it went: {_journal()}" if path.parent == _SYSTEM_DIR else ""
            return f"{path} was left behind by a daemon that is gone: nobody listens there. {_start(path)}{why}"
        case PermissionError():
            return _forbidden(path)
        case TimeoutError():
            return busy(path, "it takes no connection")
    return f"{path} cannot be reached: {error.strerror or error}. {_look(path)}"


def is_absent(path: Path, error: OSError) -> bool:
    """Whether no daemon runs there: neither a socket nor one that is starting, or nobody behind the socket."""
    if isinstance(error, ConnectionRefusedError):
        return True
    return isinstance(error, FileNotFoundError) and _lock_owner(path) is None


def busy(path: Path, what: str) -> str:
    """It runs and does not answer."""
    return (
        f"the daemon at {path} is there, but {what}: it is busy, starting, or hangs (then its watchdog restarts it). "
        f"Try again; {_look(path)}"
    )


def _absent(path: Path) -> str:
    if not os.path.isdir(path.parent):  # noqa: PTH112
        return f"the daemon does not run: {path.parent} is not there. {_start(path)}"
    if (pid := _lock_owner(path)) is not None:
        return f"the daemon (pid {pid}) is starting or stopping: {path} is not there yet. Try again; {_look(path)}"
    return f"the daemon does not run: there is no {path}. {_start(path)}"


def _lock_owner(path: Path) -> int | None:
    """Of the daemon's lock beside the socket, where we may look and somebody holds it."""
    try:
        fd = os.open(path.with_suffix(".lock"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(fd, 20, 0).decode("ascii", "replace").strip()
        return int(owner) if owner.isdecimal() else None
    finally:
        os.close(fd)
    return None


def _forbidden(path: Path) -> str:
    user = user_name()
    groups = _let_in(path)
    if not groups:
        # Path.exists raises where a directory above may not be entered.
        where = path if os.path.exists(path) else path.parent  # noqa: PTH110
        return (
            f"{user} may not open {where}: become a member of a role group of the configuration, such as "
            f"'usermod -aG v2g-operator {user}', then log in anew"
        )
    listed = ", ".join(groups)
    if mine := [name for name in groups if name in _groups_on_record(user)]:
        return (
            f"{user} may not open {path}, though a member of {mine[0]}: this login is older than that. Log in anew, "
            f"or run the command in: newgrp {mine[0]}"
        )
    best = next((name for name in groups if "operator" in name), groups[0])
    return (
        f"{user} may not open {path}: it is open to the groups {listed}. Become a member, as with "
        f"'usermod -aG {best} {user}', then log in anew"
    )


def _let_in(path: Path) -> list[str]:
    """Names of the groups in the socket's access list; none where it has none or may not be seen."""
    try:
        raw = os.getxattr(path, _ACL_XATTR)
    except OSError:
        return []
    found = []
    for tag, _, own_id in _ACL_ENTRY.iter_unpack(raw[4:]):
        if tag == _GROUP:
            try:
                found.append(grp.getgrgid(own_id).gr_name)
            except KeyError:
                found.append(str(own_id))
    return found


def _groups_on_record(user: str) -> set[str]:
    return {each.gr_name for each in grp.getgrall() if user in each.gr_mem}


def _start(path: Path) -> str:
    if path.parent == _SYSTEM_DIR:
        return f"Start it: systemctl start {UNIT}; or, to try things out: {UNIT} --simulate"
    return f"A simulation is started with: {UNIT} --simulate; of a site, see systemctl status {UNIT}"


def _look(path: Path) -> str:
    if path.parent == _SYSTEM_DIR:
        return f"see systemctl status {UNIT}, and {_journal()}; or, to try things out: {UNIT} --simulate"
    return f"of a simulation see the terminal that runs {UNIT} --simulate, of a site systemctl status {UNIT}"


def _journal() -> str:
    return f"journalctl -u {UNIT} -n 50"


def user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
