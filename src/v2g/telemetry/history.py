"""History by the minute in SQLite, behind one writer thread: for the forecast, for calibration and for people.

Control never waits for it and never fails by it: a full queue drops the oldest rows, a full or broken disk drops what
cannot be written, both are counted and said once. WAL, one transaction a batch.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from v2g.telemetry.history_file import VALUE_ERRORS, Entry, FileGone, HistoryFile, set_aside
from v2g.telemetry.history_reader import load_kept, read_evse_minutes, read_minutes, read_trips
from v2g.telemetry.history_rows import EvseMinute, HistoryError, HistoryHealth, MinuteRow, TripRow
from v2g.telemetry.history_words import KEPT_AGAIN, NOT_KEPT, is_broken, problem_words

__all__ = [
    "KEPT_AGAIN",
    "NOT_KEPT",
    "EvseMinute",
    "History",
    "HistoryError",
    "HistoryHealth",
    "MinuteRow",
    "TripRow",
    "load_kept",
    "read_evse_minutes",
    "read_minutes",
    "read_trips",
]

RETRY_S: Final = 5.0
QUEUE_ROWS: Final = 50_000
"""Some 10 MB: half a day of 64 EVSEs, a month without any."""
_BATCH_ROWS: Final = 2_000


class History:
    """The writer. All methods return at once and never raise, :meth:`close` excepted, which waits up to ``wait_s``."""

    def __init__(
        self, path: Path, *, keep_days: int, max_bytes: int, on_problem: Callable[[str], None] | None = None
    ) -> None:
        """Nothing is opened here. ``on_problem`` is called from the writer's thread, with a text when writing begins to
        fail (or fails for another reason) and an empty one when it works again."""
        self._path = path
        self._keep_days = keep_days
        self._max_bytes = max_bytes
        self._on_problem = on_problem
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._queue: deque[Entry] = deque()
        self._queued_rows = 0
        self._kept: dict[str, bytes] = {}
        self._unkept: set[str] = set()
        self._closed = False
        self._file: HistoryFile | None = None
        self._begin_anew = False
        self._problem = ""
        self._dropped_rows = 0
        self._written_rows = 0
        self._size_bytes = 0

    def start(self) -> None:
        if self._thread is None and not self._closed:
            thread = threading.Thread(target=self._run, name="history", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._tell(
                    f"{self._path}: its writer cannot start ({error}); control goes on: raise TasksMax=, restart"
                )
                return
            self._thread = thread

    def put_minute(self, row: MinuteRow, evses: tuple[EvseMinute, ...] = ()) -> None:
        self._put((row, evses), 1 + len(evses))

    def put_trip(self, row: TripRow) -> None:
        self._put(row, 1)

    def keep(self, name: str, data: bytes) -> None:
        """State of some part, one newest value a name; survives restarts, and a file that has to be begun anew."""
        with self._guard:
            if self._closed:
                return
            self._kept[name] = data
            self._unkept.add(name)
        self._wake.set()

    @property
    def queued_rows(self) -> int:
        """That wait to be written."""
        return self._queued_rows

    @property
    def health(self) -> HistoryHealth:
        return HistoryHealth(
            problem=self._problem,
            dropped_rows=self._dropped_rows,
            written_rows=self._written_rows,
            size_bytes=self._size_bytes,
        )

    def close(self, wait_s: float = 2.0) -> None:
        """Write what is queued and end the thread."""
        with self._guard:
            self._closed = True
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(wait_s)
        with self._guard:
            self._dropped_rows += self._queued_rows
            self._queue.clear()
            self._queued_rows = 0

    def _put(self, entry: Entry, rows: int) -> None:
        with self._guard:
            if self._closed:
                self._dropped_rows += rows
                return
            self._queue.append(entry)
            self._queued_rows += rows
            if self._queued_rows > QUEUE_ROWS:
                self._drop_oldest()
        self._wake.set()

    def _drop_oldest(self) -> None:
        while self._queued_rows > QUEUE_ROWS:
            rows = _rows_of(self._queue.popleft())
            self._queued_rows -= rows
            self._dropped_rows += rows

    def _run(self) -> None:
        try:
            while True:
                done = self._work()
                if self._begin_anew:
                    self._begin_anew = False
                    continue
                if self._stopping.is_set() and (self._problem or done):
                    return
                if self._problem:
                    # A full disk is not asked again with every row.
                    self._stopping.wait(RETRY_S)
                elif done:
                    self._wake.wait()
                self._wake.clear()
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _work(self) -> bool:
        """Write one batch, opening the file if need be. True: nothing is left."""
        entries, rows, kept = self._take()
        try:
            file = self._opened()
            file.require_there()
            if file.is_new:
                with self._guard:
                    kept = dict(self._kept)
            try:
                self._written_rows += file.write(entries, kept)
            except VALUE_ERRORS:
                self._written_rows += self._write_singly(file, entries)
                file.write((), kept)
            file.is_new = False
            self._size_bytes = file.size_bytes
        except Exception as error:
            self._give_back(entries, rows, kept)
            self._fail(error)
            return False
        self._tell("")
        with self._guard:
            return not self._queue and not self._unkept

    def _opened(self) -> HistoryFile:
        if self._file is None:
            self._file = HistoryFile(self._path, keep_days=self._keep_days, max_bytes=self._max_bytes)
        return self._file

    def _write_singly(self, file: HistoryFile, entries: list[Entry]) -> int:
        """One of them cannot be stored by its values: the others must not wait for it."""
        written = 0
        for entry in entries:
            try:
                written += file.write((entry,), {})
            except VALUE_ERRORS:
                with self._guard:
                    self._dropped_rows += _rows_of(entry)
        return written

    def _take(self) -> tuple[list[Entry], int, dict[str, bytes]]:
        entries: list[Entry] = []
        rows = 0
        with self._guard:
            while self._queue and rows < _BATCH_ROWS:
                entry = self._queue.popleft()
                entries.append(entry)
                rows += _rows_of(entry)
            self._queued_rows -= rows
            kept = {name: self._kept[name] for name in self._unkept}
            self._unkept.clear()
        return entries, rows, kept

    def _give_back(self, entries: list[Entry], rows: int, kept: dict[str, bytes]) -> None:
        with self._guard:
            self._queue.extendleft(reversed(entries))
            self._queued_rows += rows
            self._unkept.update(kept)
            self._drop_oldest()

    def _fail(self, error: Exception) -> None:
        words = problem_words(error, self._path)
        # At once, but only the first time: a disk that breaks every file must not keep us busy.
        mended = not self._problem and isinstance(error, FileGone)
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(Exception):
                file.close()
        if is_broken(error):
            try:
                aside = set_aside(self._path)
            except OSError as refused:
                words = f"{self._path}: is broken ({error}) and cannot be renamed ({refused.strerror}): move it away"
            else:
                mended = not self._problem
                words = (
                    f"{self._path}: was broken ({error}) and is now {aside.name}, a new one is begun: look at the disk "
                    f"(dmesg); sqlite3 {aside} .recover may save what is in it"
                )
        self._begin_anew = mended
        self._tell(words)

    def _tell(self, problem: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        if self._on_problem is not None:
            # A log that fails must not end the writer.
            with contextlib.suppress(Exception):
                self._on_problem(problem)


def _rows_of(entry: Entry) -> int:
    return 1 + len(entry[1]) if isinstance(entry, tuple) else 1
