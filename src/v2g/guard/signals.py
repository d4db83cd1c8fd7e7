"""How the guard's processes without an event loop are asked to end, or to open their logs anew."""

from __future__ import annotations

import signal
from collections.abc import Callable

from v2g.telemetry import logs


def stop_requested() -> Callable[[], bool]:
    """Takes SIGTERM and SIGINT over; what is returned says whether one has come.

    SIGHUP opens the logs anew and does nothing else: a rotation must not open the breaker.
    """
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    signal.signal(signal.SIGHUP, lambda _received, _frame: logs.reopen())
    return lambda: bool(signals)
