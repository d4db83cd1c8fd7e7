"""SCHED_FIFO, locked memory and a quiet garbage collector for the calling process, as far as the host permits."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICK_PRIORITY = 60
"""Above threaded interrupts (50), below the kernel's own watchdog and migration threads (99)."""

_MCL_CURRENT = 1
_MCL_FUTURE = 2
_MCL_ONFAULT = 4
_NOT_AHEAD = ("openblas", "gfortran", "quadmath", "libcrypto", "libssl", "_ssl", "_hashlib")
"""Libraries of 40 MB, of which ticks use nothing or the corner that the first of them touches: an estimate is the same
few products each time, and none is judged before the breaker may close."""
_PR_SET_TIMERSLACK = 29
_CAP_IPC_LOCK = 14


@dataclass(frozen=True, slots=True)
class Realtime:
    """What was granted; a warning for each thing that was not, with the remedy."""

    scheduled: bool
    locked: bool
    warnings: tuple[str, ...]

    @property
    def granted(self) -> bool:
        return self.scheduled and self.locked


WATCHDOG_S = 1.0


class Watchdog:
    """The kernel ends this process (SIGALRM, default action) when nothing feeds it for :data:`WATCHDOG_S`.

    For what hangs inside the process; the supervisor starts it anew. A process that was stopped for longer than that
    ends when it is continued. Main thread only.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    def feed(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, WATCHDOG_S)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def enter(priority: int = TICK_PRIORITY) -> Realtime:
    """Ask for SCHED_FIFO at ``priority`` for the calling thread and for locked memory. Never raises."""
    warnings: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    locked = False
    if not _may_lock_all():
        warnings.append(
            "memory is not locked: RLIMIT_MEMLOCK is limited; set LimitMEMLOCK=infinity in the unit, or CAP_IPC_LOCK"
        )
    # What is never touched need not be in memory: OpenBLAS alone reserves 32 MB for products larger than ours.
    elif libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        warnings.append(f"memory is not locked: mlockall: {os.strerror(ctypes.get_errno())}")
    else:
        locked = True
        _touch_code(libc)
    return Realtime(schedule_fifo(priority, warnings), locked, tuple(warnings))


def schedule_fifo(priority: int, warnings: list[str]) -> bool:
    """SCHED_FIFO for the calling thread; a refusal is appended to ``warnings``."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        warnings.append(
            f"no SCHED_FIFO priority {priority}: {error.strerror}; set LimitRTPRIO={priority} in the unit, or "
            "CAP_SYS_NICE. Ticks may be late under load"
        )
        return False
    return True


def pin(cpus: Sequence[int]) -> tuple[str, ...]:
    """Keep the calling thread, and those that it starts later, on ``cpus``; empty: on any. A warning for each that was
    not to be had; where none was, it stays as it is. Never raises."""
    if not cpus:
        return ()
    permitted = os.sched_getaffinity(0)
    missing = sorted(set(cpus) - permitted)
    warnings = []
    if missing:
        names = ", ".join(map(str, missing))
        have = ", ".join(map(str, sorted(permitted)))
        warnings.append(f"realtime.tick_cpus: this process has no CPU {names}, only {have}; see lscpu and CPUAffinity=")
    wanted = set(cpus) & permitted
    if wanted:
        try:
            os.sched_setaffinity(0, wanted)
        except OSError as error:
            warnings.append(
                f"realtime.tick_cpus: sched_setaffinity: {error.strerror}; the unit must permit it (SystemCallFilter=)"
            )
    return tuple(warnings)


def quiet_collector() -> None:
    """No collection at a moment of the interpreter's choosing: what lives now is set aside, the rest is reference
    counted, and :func:`collect_leftovers` takes the few cycles (exceptions) when there is time."""
    # A background thread must give the interpreter lock back within a twentieth of a tick.
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.disable()


def collect_leftovers() -> None:
    """Collect what was made since :func:`quiet_collector`; tens of microseconds when it is next to nothing."""
    gc.collect()


def _touch_code(libc: ctypes.CDLL) -> None:
    """Read the code that may run from the disk now: a trip must not be the first to wait for its page."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, modes, _, _, inode, *path = line.split(maxsplit=5)
        if inode == "0" or "r" not in modes or any(word in path[0] for word in _NOT_AHEAD):
            continue
        begin, end = (int(address, 16) for address in addresses.split("-"))
        # A mapping longer than its file has pages that cannot be had: they are locked when they are touched.
        libc.mlock(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin))


def _may_lock_all() -> bool:
    # With a finite limit mlockall may succeed now and make a later allocation fail, which would kill the tick.
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    try:
        status = Path("/proc/self/status").read_text()
        effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return False
    return bool(int(effective, 16) >> _CAP_IPC_LOCK & 1)
