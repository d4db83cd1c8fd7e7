"""The socket file of the control plane: one owner at a time, and only its groups may open it."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from v2g.control.roles import peer

_ACL_XATTR = "system.posix_acl_access"
_ACL_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
_USER_OBJ, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x08, 0x10, 0x20
_RW = 6
_BACKLOG = 16


class EndpointError(RuntimeError):
    """The control socket cannot be opened; the text names it and the remedy."""


class Endpoint:
    """Binds ``path`` under the lock file beside it (``control.sock`` -> ``control.lock``) and removes it on close."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1
        self._inode: tuple[int, int] | None = None

    def open(self, groups: Iterable[str]) -> tuple[socket.socket, list[str]]:
        """A listening socket, mode 0660, open to ``groups``; and remarks on groups that could not be let in.

        A stale socket file is replaced. Raises :class:`EndpointError` where another process serves it.
        """
        self._take_lock()
        try:
            self._remove_stale()
            return self._bind(groups)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the socket file, if it is still ours, and let go of the lock."""
        if self._inode is not None:
            try:
                there = self.path.lstat()
                if (there.st_dev, there.st_ino) == self._inode:
                    self.path.unlink()
            except OSError:
                pass
            self._inode = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take_lock(self) -> None:
        lock_path = self.path.with_suffix(".lock")
        try:
            self._lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise EndpointError(
                f"{lock_path} cannot be created: {error.strerror}; "
                f"the directory {self.path.parent} must exist and belong to the daemon's user (paths.run_dir)"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            self._lock = -1
            raise self._taken(owner) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _remove_stale(self) -> None:
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise EndpointError(f"{self.path} is there and is no socket: remove it, or choose another paths.run_dir")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self.path))
            except (ConnectionRefusedError, FileNotFoundError):
                pass
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                    raise EndpointError(f"{self.path} cannot be tried: {error.strerror}") from None
                raise self._taken("") from None
            else:
                raise self._taken(str(peer(probe)[0]))
        self.path.unlink(missing_ok=True)

    def _bind(self, groups: Iterable[str]) -> tuple[socket.socket, list[str]]:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            umask = os.umask(0o177)
            try:
                listener.bind(str(self.path))
            finally:
                os.umask(umask)
            there = self.path.lstat()
            self._inode = (there.st_dev, there.st_ino)
            remarks = _let_in(self.path, groups)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise EndpointError(f"{self.path} cannot be opened: {error.strerror or error}") from None
        return listener, remarks

    def _taken(self, pid: str) -> EndpointError:
        who = f"another orchestrator (pid {pid})" if pid.isdigit() and pid != "0" else "another orchestrator"
        return EndpointError(
            f"{who} serves {self.path} already; stop it first (systemctl stop v2g-orchestrator), "
            "or give this one another paths.run_dir"
        )


def _let_in(path: Path, groups: Iterable[str]) -> list[str]:
    """Mode 0660 with an access list entry for each group that exists; the list needs no membership, as chown does."""
    remarks = []
    ids = []
    for name in dict.fromkeys(groups):
        try:
            ids.append(grp.getgrnam(name).gr_gid)
        except KeyError:
            remarks.append(f"the group {name} does not exist: its role has no members")
    path.chmod(0o660)
    if not ids:
        return remarks
    entries = [(_USER_OBJ, _RW, _NO_ID), (_GROUP_OBJ, _RW, _NO_ID)]
    entries += [(_GROUP, _RW, gid) for gid in sorted(set(ids))]
    entries += [(_MASK, _RW, _NO_ID), (_OTHER, 0, _NO_ID)]
    try:
        os.setxattr(path, _ACL_XATTR, struct.pack("<I", 2) + b"".join(_ACL_ENTRY.pack(*entry) for entry in entries))
    except OSError as error:
        remarks.append(
            f"{path} takes no access list ({error.strerror}): only its owner's group may open it; put paths.run_dir on "
            "a file system with POSIX access lists (tmpfs, ext4, xfs). Do not add people to that group: the daemon's "
            "files are open to it"
        )
    return remarks
