"""The logs of a process with an event loop: repeats are told in time, and SIGHUP opens the files anew."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from v2g.telemetry import logs

POLL_S = 1.0


@contextlib.asynccontextmanager
async def tended_logs() -> AsyncIterator[None]:
    """For processes that SIGHUP asks for nothing else. In the main thread."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _hangup)
    task = loop.create_task(_poll(), name="logs")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # What comes while the process ends must not end it at once.
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def _poll() -> None:
    while True:
        await asyncio.sleep(POLL_S)
        logs.poll()


def _hangup() -> None:
    logs.reopen()
    logs.poll()
