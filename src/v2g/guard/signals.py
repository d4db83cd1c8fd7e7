"""How the guard's processes without an event loop are asked to end."""

from __future__ import annotations

import signal
from collections.abc import Callable


def stop_requested() -> Callable[[], bool]:
    """Takes SIGTERM and SIGINT over; what is returned says whether one has come.

    SIGHUP is ignored: logs reopen by themselves, and a rotation that asks for it must not open the breaker.
    """
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return lambda: bool(signals)
