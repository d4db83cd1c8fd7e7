"""Files in a directory that several users write: whose may be trusted."""

from __future__ import annotations

import os
from pathlib import Path


def require_trusted(path: Path, status: os.stat_result) -> None:
    """Raises ValueError unless the file belongs to root, to this process's user or to the owner of its directory.

    Who shares the directory may put a file there before its rightful writer does, and keep it mapped.
    """
    if not _trusted(path, status):
        raise ValueError(
            f"it belongs to user {status.st_uid}, who is neither root nor the owner of its directory: remove it, and "
            "run its writer as the guard's user"
        )


def discard_untrusted(path: Path) -> None:
    """Before a writer makes or opens ``path``: take away what :func:`require_trusted` would not take, if the directory
    is ours. Else who shares it, or a version that ran as another user, keeps the writer from starting. Raises OSError.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not _trusted(path, status) and path.parent.stat().st_uid == os.geteuid():
        path.unlink(missing_ok=True)


def _trusted(path: Path, status: os.stat_result) -> bool:
    return status.st_uid in (0, os.geteuid(), path.parent.stat().st_uid)
