"""What keeps an installation from being made or taken away."""

from __future__ import annotations

import errno
from pathlib import Path

_REMEDIES = {
    errno.EROFS: "it is mounted read-only: mount it for writing (mount -o remount,rw ...), then run this again",
    errno.ENOSPC: "the disk is full: make room (journalctl --vacuum-size=50M, old logs), then run this again",
    errno.EDQUOT: "the quota is used up: make room, then run this again",
    errno.EACCES: "run it as root: sudo",
    errno.EPERM: "run it as root; and see whether the file is immutable (lsattr)",
    errno.ENOTDIR: "there is a file where a directory belongs: move it away, then run this again",
    errno.EIO: "the disk does not work: see dmesg",
}


class InstallError(Exception):
    """The text names the place, what is wrong there and the remedy."""


def from_os(error: OSError, path: Path | str, doing: str) -> InstallError:
    """``error`` of the kernel while ``doing`` ("write", "remove") ``path``, with its remedy."""
    remedy = _REMEDIES.get(error.errno or 0, "put that right, then run this again")
    return InstallError(f"cannot {doing} {path}: {error.strerror or error}; {remedy}")
