"""A test of the hardware relay: watches its feedback, keeps what it did, records the outcome.

``v2g-guard tick`` holds the breaker open meanwhile, and ends a test by itself after ten minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from v2g.clock import Clock
from v2g.guard.status import GuardStatus

POLL_S = 0.02
LONGEST_S = 600.0
FILE = "relay-tests.jsonl"
_MAX_OPERATIONS = 200


class RelayTestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``<state_dir>/relay-tests.jsonl``. ``operations``: seconds since the start, and closed or not."""

    at: str
    by: str
    acknowledged_by: str = ""
    setting_pu: float | None
    delay_s: float
    operations: tuple[tuple[float, bool], ...]
    passed: bool
    note: str


class RelayTest:
    """One running test. Make it in the event loop; :meth:`close` ends the watching."""

    def __init__(self, read: Callable[[], GuardStatus], clock: Clock, acknowledged_by: str) -> None:
        self.acknowledged_by = acknowledged_by
        self._read = read
        self._clock = clock
        self._began_s = clock.monotonic_s()
        self._ended_s: float | None = None
        self._last: bool | None = None
        self._operations: list[tuple[float, bool]] = []
        self._watching = asyncio.get_running_loop().create_task(self._watch(), name="relay test")

    @property
    def running(self) -> bool:
        return self._ended_s is None and self.elapsed_s <= LONGEST_S

    @property
    def elapsed_s(self) -> float:
        return (self._clock.monotonic_s() if self._ended_s is None else self._ended_s) - self._began_s

    @property
    def operations(self) -> tuple[tuple[float, bool], ...]:
        return tuple(self._operations)

    @property
    def opened_and_closed(self) -> bool:
        """The contact was seen to open, and to close after that."""
        opened = [at_s for at_s, closed in self._operations if not closed]
        return bool(opened) and any(closed and at_s > opened[0] for at_s, closed in self._operations)

    def look(self) -> None:
        """Note the contact's position as it is now. An unknown one is left out: it is no operation."""
        now_s = self._clock.monotonic_s()
        closed = self._read().relay_closed
        if closed is None:
            return
        if self._last is not None and closed != self._last and len(self._operations) < _MAX_OPERATIONS:
            self._operations.append((round(now_s - self._began_s, 2), closed))
        self._last = closed

    async def close(self) -> None:
        if self._ended_s is None:
            self._ended_s = self._clock.monotonic_s()
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching

    async def _watch(self) -> None:
        while self.running:
            self.look()
            await asyncio.sleep(POLL_S)


def record(
    path: Path,
    test: RelayTest,
    *,
    by: str,
    unix_s: float,
    setting_pu: float | None,
    delay_s: float,
    passed: bool,
    note: str,
) -> None:
    """Append the outcome, durably. Blocks. Raises OSError."""
    line = msgspec.json.encode(
        RelayTestRecord(
            at=datetime.datetime.fromtimestamp(unix_s, datetime.UTC).isoformat(timespec="seconds"),
            by=by,
            acknowledged_by=test.acknowledged_by,
            setting_pu=setting_pu,
            delay_s=delay_s,
            operations=test.operations,
            passed=passed,
            note=note,
        )
    )
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    with os.fdopen(fd, "ab") as file:
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
