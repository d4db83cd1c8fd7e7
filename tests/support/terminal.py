"""A command on a pseudo-terminal, as a person runs it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Terminal:
    """``text`` is everything that was written to it so far."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], columns: int, rows: int) -> None:
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows)
        self._modes = termios.tcgetattr(self._slave)
        self.text = ""
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=self._controlling,
        )

    def _controlling(self) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)

    def resize(self, columns: int, rows: int) -> None:
        """The kernel sends SIGWINCH to whom the terminal belongs."""
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, words: str, timeout_s: float) -> None:
        """Until ``words`` are written after now."""
        begin, end_s = len(self.text), time.monotonic() + timeout_s
        while words not in self.text[begin:]:
            assert time.monotonic() < end_s, f"{words!r} did not come; last: {self.text[-3000:]}"
            self._read(0.1)

    def wait_until(self, what: str, holds: Callable[[str], bool], timeout_s: float) -> None:
        """Until the newest screen, drawn from the home position on, is as asked for."""
        end_s = time.monotonic() + timeout_s
        while not any(map(holds, self.text.split("\x1b[H")[-2:])):
            assert time.monotonic() < end_s, f"not within {timeout_s:g} s: {what}; last: {self.text[-3000:]}"
            self._read(0.1)

    def end(self, timeout_s: float) -> int:
        """Its exit code; fails where it does not end, or leaves the terminal's modes other than they were."""
        end_s = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < end_s, f"did not end; last: {self.text[-3000:]}"
            self._read(0.05)
        while self._read(0.05):
            pass
        assert termios.tcgetattr(self._slave) == self._modes
        return self.process.returncode

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(5)
        os.close(self._slave)
        os.close(self._master)

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._master], [], [], wait_s)[0]:
            return False
        self.text += os.read(self._master, 65_536).decode(errors="replace")
        return True
