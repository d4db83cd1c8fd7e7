"""Supervised processes, as systemd would run them: readiness, watchdog, restart, stop.

Each child gets its own notification socket, a process group of its own and a death signal bound to this process. Its
output is collected line by line.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from v2g.clock import Clock

RESTART_DELAY_S = 0.2
MAX_RESTART_DELAY_S = 2.0
_QUICK_DEATH_S = 2.0
_POLL_S = 0.05
_MAX_LINE_BYTES = 65_536
CONFIG_EXIT_CODES = (2, 78)
"""A child that cannot use its configuration is not started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run. ``watchdog_s`` None: no watchdog is asked of it."""

    name: str
    arguments: Sequence[str]
    watchdog_s: float | None = 2.0
    ready_timeout_s: float = 20.0
    stop_timeout_s: float = 4.0
    environment: Mapping[str, str] = field(default_factory=dict)
    nice: int = 0
    """Below zero only where the system permits it."""


class ChildState(enum.StrEnum):
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting for restart"
    STOPPED = "stopped"
    GIVEN_UP = "given up"


class Child:
    """One supervised process. ``on_line`` gets its output, ``on_change`` what happens to it, in words."""

    def __init__(
        self,
        spec: ChildSpec,
        notify_dir: Path,
        clock: Clock,
        on_line: Callable[[str, str], None],
        on_change: Callable[[str, str], None],
    ) -> None:
        self.spec = spec
        self.state = ChildState.STOPPED
        self.pid: int | None = None
        self.starts = 0
        self.status = ""
        self.exit_code: int | None = None
        self.ready = asyncio.Event()
        self.over = asyncio.Event()
        """Set when it will not run again."""
        self._clock = clock
        self._on_line = on_line
        self._on_change = on_change
        self._notify_path = notify_dir / f"{_file_name(spec.name)}.sock"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._process: asyncio.subprocess.Process | None = None
        self._alive_at_s = 0.0
        self._quick_deaths = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to supervise."""
        self._notify_path.unlink(missing_ok=True)
        self._notify.bind(str(self._notify_path))
        self._task = asyncio.get_running_loop().create_task(self._supervise())

    async def stop(self, *, kill: bool = False) -> None:
        """SIGTERM, then SIGKILL after the stop timeout; returns when it is gone. ``kill``: SIGKILL at once."""
        self._stopping = True
        if self._task is None or self._notify.fileno() < 0:
            return
        self._signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.stop_timeout_s):
                await asyncio.shield(self._task)
        except TimeoutError:
            self._on_change(self.spec.name, f"did not end within {self.spec.stop_timeout_s:g} s: killed")
            self._signal(signal.SIGKILL)
            await self._task
        finally:
            if self._notify.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(self._notify)
                self._notify.close()
            self._notify_path.unlink(missing_ok=True)

    async def _supervise(self) -> None:
        try:
            while not self._stopping:
                began_s = self._clock.monotonic_s()
                await self._run_once()
                lived_s = self._clock.monotonic_s() - began_s
                if self._stopping:
                    break
                if self.exit_code in CONFIG_EXIT_CODES:
                    self.state = ChildState.GIVEN_UP
                    self._on_change(self.spec.name, f"ended with {self.exit_code}: its configuration is not usable")
                    return
                self._quick_deaths = self._quick_deaths + 1 if lived_s < _QUICK_DEATH_S else 0
                delay_s = min(MAX_RESTART_DELAY_S, RESTART_DELAY_S * 2 ** max(0, self._quick_deaths - 1))
                self.state = ChildState.WAITING
                self._on_change(self.spec.name, f"{_ending(self.exit_code)}; restart in {delay_s:g} s")
                await asyncio.sleep(delay_s)
            self.state = ChildState.STOPPED
        finally:
            self.over.set()

    async def _run_once(self) -> None:
        self.ready.clear()
        self.status = ""
        environment = {
            **os.environ,
            **self.spec.environment,
            "NOTIFY_SOCKET": str(self._notify_path),
            "PYTHONUNBUFFERED": "1",
        }
        environment.pop("WATCHDOG_USEC", None)
        environment.pop("WATCHDOG_PID", None)
        if self.spec.watchdog_s is not None:
            environment["WATCHDOG_USEC"] = str(int(self.spec.watchdog_s * 1e6))
        # What the one before said last is not of this one; what this one says while it is being made waits for us.
        self._take_notifications()
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "v2g.simulation.spawn",
            str(os.getpid()),
            str(self.spec.nice),
            *self.spec.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            limit=_MAX_LINE_BYTES,
        )
        self.pid = process.pid
        self.starts += 1
        self.state = ChildState.STARTING
        self._alive_at_s = self._clock.monotonic_s()
        if self._stopping:
            self._signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._notify, self._take_notifications)
        reading = asyncio.create_task(self._read_lines(process))
        watching = asyncio.create_task(self._watch())
        self.exit_code = await process.wait()
        watching.cancel()
        loop.remove_reader(self._notify)
        self.pid = None
        # What the process left behind in its group has no business without it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await reading
        self._process = None

    async def _read_lines(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - PIPE was asked for
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue
            if not line:
                return
            self._on_line(self.spec.name, line.decode("utf-8", "replace").rstrip())

    async def _watch(self) -> None:
        while True:
            due_s = self._clock.monotonic_s() + _POLL_S
            await asyncio.sleep(_POLL_S)
            # A supervisor that was stopped itself (Ctrl-Z) has heard nothing; that is no silence of the child's.
            self._alive_at_s += max(0.0, self._clock.monotonic_s() - due_s)
            self._take_notifications()
            silent_s = self._clock.monotonic_s() - self._alive_at_s
            limit_s = self.spec.watchdog_s if self.ready.is_set() else self.spec.ready_timeout_s
            if limit_s is not None and silent_s > limit_s and not self._stopping:
                what = "its watchdog" if self.ready.is_set() else "readiness"
                self._on_change(self.spec.name, f"missed {what} for {limit_s:g} s: killed")
                self._signal(signal.SIGKILL)
                return

    def _take_notifications(self) -> None:
        while True:
            try:
                message = self._notify.recv(4096)
            except OSError:
                return
            if self._process is None:
                continue
            for line in message.decode("utf-8", "replace").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        key, _, value = line.partition("=")
        if key == "READY" and value == "1" and not self.ready.is_set():
            self._alive_at_s = self._clock.monotonic_s()
            self.state = ChildState.READY
            self.ready.set()
            if self.starts > 1:
                self._on_change(self.spec.name, f"ready again, pid {self.pid}")
        elif key == "WATCHDOG":
            self._alive_at_s = self._clock.monotonic_s()
        elif key == "STATUS":
            self.status = value

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with {code}"


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
