"""Who rolls back when nobody confirms: a timer of systemd where that runs, else a process of its own.

Both outlive the shell and the SSH session that applied the rules.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

from v2g.clock import SleepingClock
from v2g.host.firewall.nft import SEARCH_PATH, FirewallError
from v2g.host.firewall.state import Pending, StateDir
from v2g.host.firewall.transaction import Transactions

READY = b"+"
_SYSTEMD = Path("/run/systemd/system")
_START_TIMEOUT_S = 20.0
_LOOK_S = 1.0
_RETRY_S = 1.0
_RETRIES = 60
_UNIT = "v2g-firewall-rollback"


class SystemWatcher:
    """``command`` is what watches: it gets ``--state``, ``--id`` and ``--deadline`` (CLOCK_MONOTONIC, s)."""

    def __init__(self, command: tuple[str, ...], state: StateDir, systemd: bool | None = None) -> None:
        self._command = command
        self._state = state
        self._systemd = runs_systemd() if systemd is None else systemd

    def start(self, pending: Pending, seconds: float) -> str:
        """See :class:`v2g.host.firewall.transaction.Watcher`."""
        arguments = ("--state", str(self._state.path), "--id", pending.id, "--deadline", repr(pending.deadline_s))
        if self._systemd and self._timer(pending, arguments, seconds):
            return f"the timer {_unit(pending)} of systemd"
        return f"process {self._process(arguments)}"

    def stop(self, pending: Pending) -> None:
        """Best effort: a watcher that finds its pending rules gone ends by itself."""
        if self._systemd and (program := shutil.which("systemctl", path=SEARCH_PATH)) is not None:
            _quietly((program, "stop", f"{_unit(pending)}.timer"))

    def _timer(self, pending: Pending, arguments: tuple[str, ...], seconds: float) -> bool:
        program = shutil.which("systemd-run", path=SEARCH_PATH)
        if program is None:
            return False
        options = (
            "--quiet",
            "--collect",
            f"--unit={_unit(pending)}",
            f"--on-active={seconds:.3f}s",
            "--timer-property=AccuracySec=100ms",
        )
        return _quietly((program, *options, "--", *self._command, *arguments))

    def _process(self, arguments: tuple[str, ...]) -> int:
        """A session of its own, nothing of ours open but a pipe on which it says that it is at work."""
        reading, writing = os.pipe()
        try:
            try:
                child = subprocess.Popen(  # noqa: S603 (our own program)
                    (*self._command, *arguments, "--ready", str(writing)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=(writing,),
                    cwd="/",
                )
            except OSError as error:
                raise FirewallError(f"the rollback's watcher cannot be started: {error.strerror}") from None
            finally:
                os.close(writing)
            ready, _, _ = select.select([reading], [], [], _START_TIMEOUT_S)
            if not ready or os.read(reading, 1) != READY:
                child.kill()
                child.wait()
                raise FirewallError("the rollback's watcher did not start: nothing was changed")
        finally:
            os.close(reading)
        # It is not waited for: when we end it belongs to process 1.
        child.returncode = 0
        return child.pid


def watch(
    transactions: Transactions, state: StateDir, pending_id: str, deadline_s: float, clock: SleepingClock
) -> bool:
    """Wait for the deadline, then roll back unless it was confirmed or replaced. True: rolled back.

    ``deadline_s``: until the state tells a later one. Raises :class:`FirewallError` where the old rules cannot be put
    back, after trying for a minute.
    """
    failures = 0
    while True:
        if not _waited(state, pending_id, deadline_s, clock):
            return False
        try:
            looked = transactions.roll_back_if_due(pending_id)
        except FirewallError:
            failures += 1
            if failures == _RETRIES:
                raise
            deadline_s = clock.monotonic_s() + _RETRY_S
            continue
        if looked.until_s is None:
            return looked.rolled_back
        deadline_s = looked.until_s


def _waited(state: StateDir, pending_id: str, deadline_s: float, clock: SleepingClock) -> bool:
    """False: there is nothing to wait for any more."""
    seen = False
    while (now_s := clock.monotonic_s()) < deadline_s:
        with contextlib.suppress(FirewallError):
            pending = state.read(Pending)
            ours = pending is not None and pending.id == pending_id
            if seen and not ours:
                return False  # confirmed, or another apply has a watcher of its own
            seen = seen or ours
        clock.sleep_until(min(deadline_s, now_s + _LOOK_S))
    return True


def runs_systemd() -> bool:
    """systemd runs here and in our network namespace: a timer of it would work on the same firewall."""
    try:
        same = Path("/proc/1/ns/net").stat().st_ino == Path("/proc/self/ns/net").stat().st_ino
    except OSError:
        return False
    return same and _SYSTEMD.is_dir()


def own_command(module: str, *words: str) -> tuple[str, ...]:
    """This interpreter with ``module``, isolated from the caller's environment."""
    return (sys.executable, "-I", "-m", module, *words)


def _unit(pending: Pending) -> str:
    return f"{_UNIT}-{pending.id[:12]}"


def _quietly(command: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_START_TIMEOUT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
