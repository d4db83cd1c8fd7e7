"""CPU time of something done many times, in the quickest of some series: what others on the machine do adds nothing."""

from __future__ import annotations

import time
from collections.abc import Callable


def best_us(run: Callable[[], object], *, rounds: int, series: int) -> float:
    """Microseconds for one of the ``rounds`` that ``run`` makes."""
    times = []
    for _ in range(series):
        start = time.process_time()
        run()
        times.append((time.process_time() - start) / rounds)
    return min(times) * 1e6


def repeated(action: Callable[[], object], *, rounds: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(rounds):
            action()

    return run
