"""What outlives the daemon of vehicles' sessions, behind one writer thread: written as they change, never per loop.

Sessions never wait for it and never fail by it. What waits to be written is one row an EVSE, the newest. Where the file
cannot be written, it is said once and tried again; without a file a pause lasts as long as the daemon.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from v2g.telemetry.session_file import (
    JournalError,
    SessionFile,
    SessionRow,
    is_broken,
    problem_words,
    set_aside,
)

FILE: Final = "sessions.sqlite"
RETRY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Recalled:
    """``rows``: what was kept, by EVSE. ``remark``: what was wrong with the file and was put right, or empty."""

    rows: tuple[SessionRow, ...] = ()
    remark: str = ""


class SessionJournal:
    """The writer. :meth:`recall`, :meth:`start`, then :meth:`put` and :meth:`forget`, which return at once and never
    raise; :meth:`close` waits up to ``wait_s``."""

    def __init__(self, path: Path, on_problem: Callable[[str], None] | None = None) -> None:
        """Nothing is opened here. ``on_problem`` is called from the writer's thread, with a text when writing begins to
        fail (or fails for another reason) and an empty one when it works again."""
        self._path = path
        self._on_problem = on_problem
        self._wake = threading.Condition()
        self._waiting: dict[str, SessionRow | None] = {}
        self._rows: dict[str, SessionRow] = {}
        self._closed = False
        self._useless = ""
        self._problem = ""
        self._thread: threading.Thread | None = None
        self._file: SessionFile | None = None

    @property
    def problem(self) -> str:
        """Why pauses are not kept over a restart; empty: they are."""
        return self._useless or self._problem

    def recall(self) -> Recalled:
        """What an earlier process kept; waits for the disk, once, before :meth:`start`. Never raises: a broken file is
        set aside, one that is not ours to use leaves :attr:`problem`, and nothing is written to it."""
        try:
            return Recalled(self._recall())
        except Exception as error:
            if not is_broken(error):
                self._fail(error)
                return Recalled()
            return Recalled(remark=self._begin_anew(error))

    def _recall(self) -> tuple[SessionRow, ...]:
        if not os.path.lexists(self._path):
            # It is begun with the first session: a start does not wait for the disk.
            return ()
        file = SessionFile(self._path, writes=False)
        try:
            rows = file.rows()
        finally:
            file.close()
        self._rows = {row.evse_id: row for row in rows}
        return rows

    def start(self) -> None:
        if self._thread is not None or self._closed or self._useless:
            return
        thread = threading.Thread(target=self._run, name="session journal", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            self._useless = f"{self._path}: its writer cannot start ({error}): raise TasksMax=, restart"
            return
        self._thread = thread

    def put(self, row: SessionRow) -> None:
        """The last word on the session at ``row.evse_id``."""
        self._change(row.evse_id, row)

    def forget(self, evse_id: str) -> None:
        """There is nothing to be kept of that EVSE."""
        self._change(evse_id, None)

    def close(self, wait_s: float = 2.0) -> bool:
        """Write what waits and end the thread. False: something may be lost."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(wait_s)
        with self._wake:
            return not self._waiting and (self._thread is None or not self._thread.is_alive())

    def _change(self, evse_id: str, row: SessionRow | None) -> None:
        with self._wake:
            if self._closed or self._useless:
                return
            if row is not None:
                self._rows[evse_id] = row
            elif self._rows.pop(evse_id, None) is None and evse_id not in self._waiting:
                return
            self._waiting[evse_id] = row
            self._wake.notify_all()

    # ---- the writer's thread ----

    def _run(self) -> None:
        try:
            while self._wait():
                with self._wake:
                    changes, self._waiting = self._waiting, {}
                if not self._write(changes):
                    with self._wake:
                        # What has come meanwhile is newer.
                        self._waiting = {**changes, **self._waiting}
                        if self._closed or self._useless:
                            return
                        self._wake.wait_for(lambda: self._closed, RETRY_S)
        finally:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _wait(self) -> bool:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)

    def _write(self, changes: dict[str, SessionRow | None]) -> bool:
        try:
            if self._file is not None:
                self._file.require_there()
            else:
                self._file = SessionFile(self._path)
            if self._file.is_new:
                with self._wake:
                    changes = {**self._rows, **changes}
            self._file.write(changes)
            self._file.is_new = False
        except Exception as error:
            file, self._file = self._file, None
            if file is not None:
                file.close()
            if is_broken(error):
                self._tell(self._begin_anew(error))
            else:
                self._fail(error)
            return False
        self._tell("")
        return True

    def _begin_anew(self, error: Exception) -> str:
        try:
            aside = set_aside(self._path)
        except OSError as refused:
            return f"{self._path}: is broken ({error}) and cannot be renamed ({refused.strerror}): move it away"
        return (
            f"{self._path}: was broken ({error}) and is now {aside.name}, a new one is begun; vehicles that had paused "
            "begin new sessions: look at the disk (dmesg)"
        )

    def _fail(self, error: Exception) -> None:
        words = problem_words(error, self._path)
        if isinstance(error, JournalError) and error.lasting:
            self._useless = words
        self._tell(words)

    def _tell(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        if self._on_problem is not None:
            # A log that fails must not end the writer.
            with contextlib.suppress(Exception):
                self._on_problem(problem)
