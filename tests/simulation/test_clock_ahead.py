"""The jumping clock of the failure table itself: what a process sees, and what it does not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from support.clock_ahead import ShiftedClock

SAYS = (
    "import sys, threading, time, datetime\n"
    "for _ in sys.stdin:\n"
    "    said = []\n"
    "    other = threading.Thread(target=lambda: said.append(time.time()))\n"
    "    other.start(); other.join()\n"
    "    print(time.time(), said[0], datetime.datetime.now().timestamp(), time.monotonic(), flush=True)\n"
)


def test_the_system_clock_jumps_both_ways_while_monotonic_time_goes_on(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", SAYS], env=clock.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for ahead_s in (0, 3600, -3600):
            clock.set(ahead_s)
            unix_s, monotonic_s = time.time(), time.monotonic()
            process.stdin.write("now\n")
            process.stdin.flush()
            *seen, monotonic_seen_s = map(float, process.stdout.readline().split())
            assert all(abs(each - unix_s - ahead_s) < 5.0 for each in seen)
            assert 0.0 <= monotonic_seen_s - monotonic_s < 5.0
        process.stdin.close()
