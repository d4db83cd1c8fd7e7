"""What time certificates are judged by while the host's clock may be wrong, as after a boot without network.

    clock            judged by                               "not yet valid"     "expired", old CRLs
    synchronised     the system's clock                      refused             refused
    not              the later of the system's clock and     told, not refused   refused
                     the latest time known to have passed
    cannot be told   as synchronised; but as not, where the system's clock is before a time known to have passed

Times known to have passed: the release of this software, the notBefore of our own certificate, and the time that the
daemon last wrote down while its clock was synchronised. A real time is later than all of them, so that what has
expired by them has expired; what begins later than them may have begun.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from v2g.clock import Clock
from v2g.host.files import replace_file

RELEASED_UNIX_S = 1_795_737_600.0
"""2026-11-27; moves on with each release, never past it."""
STATE_FILE = "time.json"
WRITTEN_EVERY_S = 3600.0
_PROBED_EVERY_S = 1.0
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5
_LARGEST_TIMEX = 1024
"""Bytes; struct timex has about 200. Only zeros go in, and only the return value is read."""


@dataclass(frozen=True, slots=True)
class JudgedTime:
    """``is_lower_bound``: the real time may be later, and "not yet valid" then refuses nothing by itself."""

    at_unix_s: float
    is_lower_bound: bool


def judge(system_unix_s: float, synchronised: bool | None, known_unix_s: float) -> JudgedTime:
    """``synchronised`` None: nobody can tell. ``known_unix_s``: the latest time known to have passed."""
    if synchronised or (synchronised is None and system_unix_s >= known_unix_s):
        return JudgedTime(system_unix_s, is_lower_bound=False)
    return JudgedTime(max(system_unix_s, known_unix_s), is_lower_bound=True)


def is_synchronised() -> bool | None:
    """Whether something (chrony, ntpd, systemd-timesyncd, ptp4l with phc2sys) disciplines the kernel's clock.

    By adjtimex(2), which says TIME_ERROR until then. Where a sandbox forbids that call: by the mark of timesyncd.
    """
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
        state = int(adjtimex(ctypes.create_string_buffer(_LARGEST_TIMEX)))
    except (OSError, AttributeError):
        state = -1
    if state >= 0:
        return state != _TIME_ERROR
    return True if _TIMESYNCD.exists() else None


class Log(Protocol):
    def info(self, code: str, message: str = "", /, **fields: object) -> None: ...

    def warning(self, code: str, message: str = "", /, **fields: object) -> None: ...


class ClockWatch:
    """Asks the probe now and then, tells of changes, and writes the time down while it is right."""

    def __init__(
        self,
        clock: Clock,
        state_dir: Path,
        *,
        known_unix_s: Iterable[float] = (),
        log: Log | None = None,
        probe: Callable[[], bool | None] = is_synchronised,
    ) -> None:
        """``known_unix_s``: further times known to have passed, as the notBefore of our own certificates."""
        self._clock = clock
        self._path = state_dir / STATE_FILE
        self._log = log
        self._probe = probe
        self._known_unix_s = max(RELEASED_UNIX_S, _read(self._path), *known_unix_s)
        self._synchronised: bool | None = None
        self._probed_at_s = self._written_at_s = -math.inf
        self._told: bool | None = None

    def judged(self) -> JudgedTime:
        """Quick: asks the kernel at most once a second, and no file."""
        now_s = self._clock.monotonic_s()
        if now_s - self._probed_at_s >= _PROBED_EVERY_S:
            self._probed_at_s = now_s
            self._synchronised = self._probe()
        return judge(self._clock.unix_s(), self._synchronised, self._known_unix_s)

    def refresh(self) -> None:
        """To be called every some seconds, in a thread: tells of changes and writes the time down. Never raises."""
        judged = self.judged()
        self._tell(judged)
        now_s = self._clock.monotonic_s()
        if self._synchronised and now_s - self._written_at_s >= WRITTEN_EVERY_S:
            self._written_at_s = now_s
            self._known_unix_s = max(self._known_unix_s, judged.at_unix_s)
            with contextlib.suppress(OSError):
                replace_file(self._path, json.dumps({"unix_s": round(judged.at_unix_s)}).encode())

    def _tell(self, judged: JudgedTime) -> None:
        if self._told is judged.is_lower_bound or (self._told is None and not judged.is_lower_bound):
            self._told = judged.is_lower_bound
            return
        self._told = judged.is_lower_bound
        if self._log is None:
            return
        if judged.is_lower_bound:
            self._log.warning(
                "CLOCK_UNSYNCED",
                "the host's clock is not synchronised: certificates are judged by the latest time known to have "
                "passed, and none is refused for being not yet valid",
                judged_at_unix_s=round(judged.at_unix_s),
                clock_unix_s=round(self._clock.unix_s()),
            )
        else:
            self._log.info(
                "CLOCK_SYNCED", "certificates are judged by the host's clock", unix_s=round(judged.at_unix_s)
            )


def _read(path: Path) -> float:
    """Zero where nothing that can be a time is written."""
    try:
        with path.open("rb") as file:
            found: Any = json.loads(file.read(4096))
        value = float(found["unix_s"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0.0
    return value if math.isfinite(value) else 0.0
