"""Starts a program that ends when its parent does: ``python -m v2g.simulation.spawn <parent pid> <nice> program ...``.

Linux delivers SIGKILL to the program when the parent dies, however it dies; the setting survives the exec.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_AUTOGROUP = Path("/proc/self/autogroup")
_AUTOGROUP_TRIES = 8
_AUTOGROUP_PAUSE_S = 0.11


def main(arguments: list[str]) -> None:
    """Does not return: becomes the program, or ends with 1 when the parent is gone already."""
    parent, niceness, program = int(arguments[0]), int(arguments[1]), arguments[2:]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    _be_nice(niceness)
    os.execv(program[0], program)  # noqa: S606 - the supervisor's own argument list


def _be_nice(niceness: int) -> None:
    """Also among sessions: with autogroups, which most distributions have on, nice alone weighs within one only."""
    if niceness == 0:
        return
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    for _ in range(_AUTOGROUP_TRIES):
        try:
            _AUTOGROUP.write_text(str(niceness), encoding="ascii")
            return
        except BlockingIOError:
            # The kernel takes one such change in a tenth of a second from ordinary users.
            signal.sigtimedwait((), _AUTOGROUP_PAUSE_S)
        except OSError:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
