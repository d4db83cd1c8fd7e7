"""Slow work of ``tick`` (log lines, fsync) on a thread behind a bounded queue: the tick never waits for a disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

QUEUE_LENGTH = 256
IDLE_S = 1.0
"""After so long without a job it has a moment of its own."""


class Background:
    """Runs jobs in order. A job that raises is counted and told by ``on_error``; a full queue drops the new job.

    ``prepare`` runs first on the thread, where it may set the thread's own priority; ``idle`` after each second
    without a job.
    """

    def __init__(
        self,
        name: str,
        on_error: Callable[[Exception], None] = lambda error: None,
        prepare: Callable[[], None] = lambda: None,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(QUEUE_LENGTH)
        self._on_error = on_error
        self._prepare = prepare
        self._idle = idle
        self.dropped = 0
        self.failed = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def post(self, job: Callable[[], None]) -> None:
        """Queue ``job``; returns at once."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.dropped += 1

    def close(self, timeout_s: float = 1.0) -> None:
        """Finish what is queued, for at most ``timeout_s``."""
        try:
            self._jobs.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        self._prepare()
        while (job := self._next()) is not None:
            try:
                job()
            except Exception as error:
                self.failed += 1
                self._on_error(error)

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._jobs.get(timeout=IDLE_S)
        except queue.Empty:
            return self._idle
