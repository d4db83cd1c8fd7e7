from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from v2g.telemetry import catalogue, history, history_file
from v2g.telemetry.history import EvseMinute, History, MinuteRow, TripRow, load_kept, read_evse_minutes, read_minutes
from v2g.telemetry.history_file import HistoryFile

WAIT_S = 20.0


class Told:
    """What the writer says, and a way to wait for it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, text: str) -> None:
        with self._changed:
            self.texts.append(text)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.texts) >= count, WAIT_S), self.texts
            return list(self.texts)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "RETRY_S", 0.02)
    monkeypatch.setattr(history_file, "_BUSY_S", 0.02)


@contextmanager
def running(path: Path, told: Callable[[str], None] | None = None) -> Iterator[History]:
    writer = History(path, keep_days=400, max_bytes=64 << 20, on_problem=told)
    writer.start()
    try:
        yield writer
    finally:
        writer.close(WAIT_S)


def minute(unix_min: int, evses: int = 0) -> tuple[MinuteRow, tuple[EvseMinute, ...]]:
    evse = EvseMinute(unix_min=unix_min, evse_id="E", vehicle="V", power_w=1.0, granted_w=1.0, soc_pct=50.0)
    return MinuteRow(unix_min=unix_min), (evse,) * evses


def minutes_in(path: Path) -> list[int]:
    return [row.unix_min for row in read_minutes(path, 0, 1 << 40)]


def test_what_is_queued_is_written_at_close(path: Path, told: Told) -> None:
    with running(path, told) as writer:
        for n in range(500):
            writer.put_minute(*minute(n, 1))
        writer.put_trip(TripRow(unix_s=7.0, element="OV2", value=1.2, unit="pu"))
        writer.keep("engine", b"old")
        writer.keep("engine", b"new")
    assert minutes_in(path) == list(range(500))
    assert len(list(read_evse_minutes(path, 0, 1 << 40))) == 500
    assert load_kept(path, "engine") == b"new"
    assert writer.health.written_rows == 1001
    assert writer.health.dropped_rows == 0
    assert writer.health.size_bytes > 0
    assert told.texts == []


def test_rows_put_before_the_start_are_written_and_after_the_end_counted(path: Path) -> None:
    writer = History(path, keep_days=1, max_bytes=1 << 23)
    writer.put_minute(*minute(1))
    assert not path.exists()
    writer.start()
    writer.start()
    writer.close(WAIT_S)
    writer.put_minute(*minute(2, 3))
    writer.keep("late", b"")
    writer.start()
    assert minutes_in(path) == [1]
    assert writer.health.dropped_rows == 4
    assert writer.health.written_rows == 1


def test_a_writer_that_never_started_closes_and_counts_what_it_had(path: Path) -> None:
    writer = History(path, keep_days=1, max_bytes=1 << 23)
    writer.put_minute(*minute(1, 2))
    writer.close()
    assert writer.health.dropped_rows == 3
    assert not path.exists()


def test_a_full_queue_drops_the_oldest_rows_and_counts_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "QUEUE_ROWS", 30)
    writer = History(path, keep_days=1, max_bytes=1 << 23)
    for n in range(20):
        writer.put_minute(*minute(n, 2))
    assert writer.health.dropped_rows == 30
    writer.start()
    writer.close(WAIT_S)
    assert minutes_in(path) == list(range(10, 20))


def test_a_missing_directory_is_told_once_and_so_is_its_return(path: Path, told: Told) -> None:
    path = path.parent / "disk" / "h.sqlite"
    with running(path, told) as writer:
        writer.put_minute(*minute(1))
        (problem,) = told.wait_for(1)
        assert f"{path}: the directory {path.parent} does not exist: create it" in problem
        assert "control goes on" in problem
        assert writer.health.problem == problem
        writer.put_minute(*minute(2))
        path.parent.mkdir()
        assert told.wait_for(2) == [problem, ""]
        assert writer.health.problem == ""
        writer.put_minute(*minute(3))
    assert minutes_in(path) == [1, 2, 3]
    assert told.texts == [problem, ""]


def test_a_writer_in_trouble_closes_at_once_and_counts_what_is_lost(path: Path, told: Told) -> None:
    with running(path.parent / "gone" / "h.sqlite", told) as writer:
        writer.put_minute(*minute(1, 4))
        told.wait_for(1)
    assert writer.health.dropped_rows == 5
    assert writer._thread is not None
    assert not writer._thread.is_alive()


def test_a_broken_file_is_set_aside_a_new_one_begun_and_what_parts_keep_is_in_it(path: Path, told: Told) -> None:
    with running(path) as writer:
        writer.put_minute(*minute(1))
        writer.keep("engine", b"state")
    pages = bytearray(path.read_bytes())
    pages[200:] = b"\xa5" * (len(pages) - 200)
    path.write_bytes(pages)
    with running(path, told) as writer:
        writer.keep("engine", b"state 2")
        writer.put_minute(*minute(2))
        problem, again = told.wait_for(2)
    assert "was broken" in problem
    assert "history.sqlite.broken-1, a new one is begun: look at the disk" in problem
    assert again == ""
    assert minutes_in(path) == [2]
    assert load_kept(path, "engine") == b"state 2"
    assert path.with_name("history.sqlite.broken-1").read_bytes() == pages


def test_a_page_that_breaks_while_it_is_used_is_found_and_what_was_kept_before_is_written_anew(
    path: Path, told: Told
) -> None:
    with running(path, told) as writer:
        writer.keep("engine", b"state")
        writer.put_minute(*minute(1))
        while writer.health.written_rows == 0:
            threading.Event().wait(0.001)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(18)
            file.write(b"\x7f" * 4000)
        writer.put_minute(*minute(2))
        problem, again = told.wait_for(2)
    assert "was broken" in problem
    assert again == ""
    assert minutes_in(path) == [2]
    assert load_kept(path, "engine") == b"state"


def test_a_file_removed_under_the_writer_is_begun_anew(path: Path, told: Told) -> None:
    with running(path, told) as writer:
        writer.keep("engine", b"state")
        writer.put_minute(*minute(1))
        while writer.health.written_rows == 0:
            threading.Event().wait(0.001)
        path.unlink()
        writer.put_minute(*minute(2))
        problem, again = told.wait_for(2)
        assert "was removed or replaced while it was in use; a new one is begun" in problem
        assert again == ""
    assert minutes_in(path) == [2]
    assert load_kept(path, "engine") == b"state"


def test_a_directory_removed_under_the_writer_is_told_and_waited_for(path: Path, told: Told) -> None:
    path = path.parent / "disk" / "h.sqlite"
    path.parent.mkdir()
    with running(path, told) as writer:
        writer.put_minute(*minute(1))
        while writer.health.written_rows == 0:
            threading.Event().wait(0.001)
        shutil.rmtree(path.parent)
        writer.put_minute(*minute(2))
        told.wait_for(2)
        path.parent.mkdir()
        texts = told.wait_for(3)
    assert ["was removed" in texts[0], "does not exist" in texts[1], texts[2]] == [True, True, ""]
    assert minutes_in(path) == [2]


def test_a_second_writer_is_told_so_and_takes_over_when_the_first_ends(path: Path, told: Told) -> None:
    with running(path) as first:
        first.put_minute(*minute(1))
        while first.health.written_rows == 0:
            threading.Event().wait(0.001)
        with running(path, told) as second:
            second.put_minute(*minute(2))
            (problem,) = told.wait_for(1)
            assert "writes it already; only one orchestrator may" in problem
            first.close(WAIT_S)
            assert told.wait_for(2)[1] == ""
    assert minutes_in(path) == [1, 2]


def test_a_program_that_holds_the_file_is_named_as_the_reason_and_nothing_is_lost(path: Path, told: Told) -> None:
    with running(path, told) as writer:
        writer.put_minute(*minute(1))
        while writer.health.written_rows == 0:
            threading.Event().wait(0.001)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writer.put_minute(MinuteRow(unix_min=2, base_w=1.0))
            writer.put_minute(MinuteRow(unix_min=2, base_w=2.0))
            writer.keep("engine", b"state")
            assert "another program holds it locked: end that program (fuser -v" in told.wait_for(1)[0]
            other.execute("ROLLBACK")
        assert told.wait_for(2)[1] == ""
    assert [(row.unix_min, row.base_w) for row in read_minutes(path, 0, 9)] == [(1, None), (2, 2.0)]
    assert load_kept(path, "engine") == b"state"


def test_one_row_that_cannot_be_stored_holds_up_no_other(path: Path, told: Told) -> None:
    with running(path, told) as writer:
        writer.put_minute(*minute(1))
        writer.put_minute(MinuteRow(unix_min=1 << 80))
        writer.put_minute(MinuteRow(unix_min=2, base_w="much"))  # type: ignore[arg-type]
        writer.put_minute(*minute(3))
        writer.keep("engine", b"state")
    assert minutes_in(path) == [1, 3]
    assert writer.health.dropped_rows == 2
    assert load_kept(path, "engine") == b"state"
    assert told.texts == []


def test_nobody_waits_for_a_disk_that_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, released = threading.Event(), threading.Event()
    write = HistoryFile.write

    def hang(file: HistoryFile, *args: Any) -> int:
        hanging.set()
        assert released.wait(WAIT_S)
        return write(file, *args)

    monkeypatch.setattr(HistoryFile, "write", hang)
    writer = History(path, keep_days=1, max_bytes=1 << 23)
    writer.start()
    assert hanging.wait(WAIT_S)
    for n in range(10):
        writer.put_minute(*minute(n))
        writer.keep("engine", b"state")
    assert writer.health.written_rows == 0
    writer.close(0.01)
    assert writer.health.dropped_rows == 10
    released.set()
    assert writer._thread is not None
    writer._thread.join(WAIT_S)
    assert load_kept(path, "engine") == b"state"


def test_a_listener_that_fails_ends_nothing(path: Path) -> None:
    def fail(text: str) -> None:
        raise RuntimeError(text)

    path = path.parent / "disk" / "h.sqlite"
    with running(path, fail) as writer:
        writer.put_minute(*minute(1))
        while not writer.health.problem:
            threading.Event().wait(0.001)
        path.parent.mkdir()
    assert minutes_in(path) == [1]


def test_a_host_without_threads_left_is_a_problem_and_no_error(
    path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    writer = History(path, keep_days=1, max_bytes=1 << 23, on_problem=told)
    writer.start()
    writer.put_minute(*minute(1))
    writer.close()
    assert "its writer cannot start" in told.texts[0]
    assert writer.health.dropped_rows == 1


KILLED = """
import sys
from pathlib import Path
from v2g.telemetry.history_file import HistoryFile
from v2g.telemetry.history_rows import EvseMinute, MinuteRow
file = HistoryFile(Path(sys.argv[1]), keep_days=400, max_bytes=64 << 20)
for n in range(10**9):
    evses = [EvseMinute(unix_min=n, evse_id=f"E{e}", vehicle="V", power_w=1.0, granted_w=1.0, soc_pct=5) for e in "abc"]
    file.write([(MinuteRow(unix_min=n, base_w=n), tuple(evses))], {"n": str(n).encode()})
    if n == 300:
        print("going", flush=True)
"""


def test_a_process_that_is_killed_leaves_whole_minutes_and_the_next_one_goes_on(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"going\n"
        process.kill()
        process.wait(WAIT_S)
    with running(path) as writer:
        writer.put_minute(*minute(10**9))
    minutes = minutes_in(path)
    assert minutes == [*range(len(minutes) - 1), 10**9]
    assert len(minutes) > 300
    assert len(list(read_evse_minutes(path, 0, 1 << 40))) == 3 * (len(minutes) - 1)
    assert load_kept(path, "n") == str(len(minutes) - 2).encode()


FULL = """
import resource, sys, threading
from pathlib import Path
from v2g.telemetry import history
from v2g.telemetry.history import History, MinuteRow, read_minutes
history.RETRY_S = 0.02
path, texts, changed = Path(sys.argv[1]), [], threading.Condition()
def told(text):
    with changed:
        texts.append(text)
        changed.notify_all()
def wait_for(count):
    with changed:
        assert changed.wait_for(lambda: len(texts) >= count, 20), texts
writer = History(path, keep_days=400, max_bytes=64 << 20, on_problem=told)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
writer.start()
put = 0
while not texts:
    writer.put_minute(MinuteRow(unix_min=put, base_w=put + 0.1, k_pu=put * 0.37, ambient_c=put / 7.0))
    put += 1
    changed.acquire(); changed.wait(0.0005); changed.release()
wait_for(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
wait_for(2)
writer.close(20)
assert len(texts) == 2 and texts[1] == "", texts
assert [r.unix_min for r in read_minutes(path, 0, 1 << 40)] == list(range(put)), "rows are missing"
assert writer.health.dropped_rows == 0
print(texts[0])
"""


def test_a_disk_that_takes_no_more_loses_nothing_that_fits_in_memory(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{path}: the disk refuses to write" in done.stdout
    assert "look for free space" in done.stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=0755", "v2g-test", disk], check=False)
    if made.returncode != 0:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.mark.soak
def test_a_full_file_system_is_told_and_written_again_when_there_is_room(small_disk: Path, told: Told) -> None:
    ballast = small_disk / "ballast"
    with running(small_disk / "h.sqlite", told) as writer:
        writer.put_minute(*minute(0))
        while writer.health.written_rows == 0:
            threading.Event().wait(0.001)
        with pytest.raises(OSError, match="No space left"):
            fill(ballast)
        put = 1
        while not told.texts:
            writer.put_minute(*minute(put, 20))
            put += 1
            threading.Event().wait(0.001)
        assert "the disk is full: free space on it" in told.texts[0]
        ballast.unlink()
        assert told.wait_for(2)[1] == ""
    assert minutes_in(small_disk / "h.sqlite") == list(range(put))
    assert writer.health.dropped_rows == 0


@pytest.mark.soak
def test_a_disk_that_becomes_read_only_is_told_and_written_again_afterwards(small_disk: Path, told: Told) -> None:
    path = small_disk / "h.sqlite"
    with running(path) as writer:
        writer.put_minute(*minute(1))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with running(path, told) as writer:
        writer.put_minute(*minute(2))
        assert "the disk is mounted read-only: mount it read-write" in told.wait_for(1)[0]
        assert minutes_in(path) == [1]
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
        assert told.wait_for(2)[1] == ""
    assert minutes_in(path) == [1, 2]


def test_the_codes_of_the_history_are_explained() -> None:
    for code in (history.NOT_KEPT, history.KEPT_AGAIN):
        assert catalogue.find(code) is not None
