"""The logs of a process with an event loop."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from v2g.clock import ManualClock
from v2g.telemetry import logs
from v2g.telemetry.logs_loop import tended_logs


async def test_a_hangup_opens_the_files_anew_and_repeats_are_told_in_time(tmp_path: Path) -> None:
    clock = ManualClock()
    logs.configure(tmp_path, stderr=False, clock=clock)
    before = signal.getsignal(signal.SIGHUP)
    try:
        async with tended_logs():
            for _ in range(3):
                logs.daemon_log().warning("WIRES_DOWN", "refused")
            (tmp_path / "daemon.log").rename(tmp_path / "daemon.log.1")
            clock.advance(11.0)
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.05)
        assert (tmp_path / "daemon.log.1").read_text().count("WIRES_DOWN") == 1
        assert "repeated=2" in (tmp_path / "daemon.log").read_text()
    finally:
        signal.signal(signal.SIGHUP, before)
        logs.close()
