"""The one place of the controller where time comes from."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """``monotonic_s`` for every rule (CLOCK_MONOTONIC, shared by all processes of the host), ``unix_s`` for people."""

    def monotonic_s(self) -> float: ...

    def unix_s(self) -> float: ...


class SleepingClock(Clock, Protocol):
    """A clock that a blocking loop can wait on."""

    def sleep_until(self, deadline_s: float) -> None:
        """Return at ``deadline_s`` of ``monotonic_s``, at once when it has passed."""


class SystemClock:
    """The host's clocks."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def unix_s(self) -> float:
        return time.time()

    def suspended_s(self) -> float:
        """How long the host has been suspended since its start; only its growth means something."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

    def sleep_until(self, deadline_s: float) -> None:
        remaining_s = deadline_s - time.monotonic()
        if remaining_s > 0.0:
            # An absolute clock_nanosleep underneath, continued after signals.
            time.sleep(remaining_s)


class ManualClock:
    """A clock that moves when it is told to; for tests."""

    def __init__(self, monotonic_s: float = 1000.0, unix_s: float = 1_700_000_000.0) -> None:
        self._monotonic_s = monotonic_s
        self._unix_s = unix_s

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def unix_s(self) -> float:
        return self._unix_s

    def advance(self, seconds: float) -> None:
        self._monotonic_s += seconds
        self._unix_s += seconds

    def sleep_until(self, deadline_s: float) -> None:
        """Move to ``deadline_s``; never back."""
        self.advance(max(0.0, deadline_s - self._monotonic_s))
