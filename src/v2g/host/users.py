"""Who may command a process of the guard."""

from __future__ import annotations

import os
import pwd


def commanders(daemon_user: str) -> frozenset[int]:
    """User ids: root's, this process's, and that of ``daemon_user``, where there is such a user."""
    uids = {0, os.getuid(), os.geteuid()}
    try:
        uids.add(pwd.getpwnam(daemon_user).pw_uid)
    except KeyError:
        pass
    return frozenset(uids)
