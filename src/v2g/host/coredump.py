"""No image of this process on a disk: keys, passwords and PINs are in its memory."""

from __future__ import annotations

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4


def forbid() -> str | None:
    """Ask the kernel never to dump the calling process; None: it will not, else why it may.

    The limit alone does not hold where core dumps are piped to a program (systemd-coredump): that one gets them
    whatever the limit. A process that is not dumpable is also closed to debuggers and to ``/proc/PID/mem`` of its own
    user; root still may look. What it starts by exec is dumpable again, with the limit kept.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        return f"this process may be dumped to disk with its keys: prctl: {os.strerror(ctypes.get_errno())}"
    return None
