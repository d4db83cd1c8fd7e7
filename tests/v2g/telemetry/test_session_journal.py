"""The journal of sessions: what a later process finds, and what becomes of files that cannot be used."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from v2g.telemetry import session_file, session_journal
from v2g.telemetry.session_file import LOST, PAUSED, RUNNING, SessionFile, SessionRow
from v2g.telemetry.session_journal import Recalled, SessionJournal

ROW = SessionRow(
    evse_id="US*V2G*E1",
    state=RUNNING,
    session_id="0123456789ABCDEF",
    evccid="WMIV1",
    identity="CN=WMIV1",
    certificate="ab" * 32,
    began_unix_s=1_700_000_000.25,
    changed_unix_s=1_700_000_001.5,
)
PAUSED_ROW = msgspec.structs.replace(ROW, evse_id="US*V2G*E2", state=PAUSED, record=b'{"a":1}')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.sqlite"


def kept(path: Path, *rows: SessionRow) -> None:
    journal = SessionJournal(path)
    journal.start()
    for row in rows:
        journal.put(row)
    assert journal.close()


def recalled(path: Path) -> Recalled:
    return SessionJournal(path).recall()


def until(done: Callable[[], bool], limit_s: float = 5.0) -> None:
    end_s = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_what_was_put_is_there_in_the_next_process_exactly(path: Path) -> None:
    kept(path, ROW, PAUSED_ROW)
    assert recalled(path) == Recalled((ROW, PAUSED_ROW))


def test_nothing_kept_is_nothing_recalled_and_no_problem(path: Path) -> None:
    journal = SessionJournal(path)
    assert journal.recall() == Recalled()
    assert journal.problem == ""


def test_the_newest_word_on_an_evse_counts_and_what_is_forgotten_is_gone(path: Path) -> None:
    kept(path, ROW, PAUSED_ROW)
    journal = SessionJournal(path)
    journal.recall()
    journal.start()
    journal.put(msgspec.structs.replace(ROW, state=LOST))
    journal.forget(PAUSED_ROW.evse_id)
    assert journal.close()
    assert [row.state for row in recalled(path).rows] == [LOST]


def test_only_the_daemon_may_read_it(path: Path) -> None:
    kept(path, ROW)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_process_that_is_killed_leaves_what_it_was_told(path: Path) -> None:
    """No close: what a crash leaves is the file and its write-ahead log."""
    journal = SessionJournal(path)
    journal.start()
    journal.put(ROW)
    until(lambda: path.exists() and not journal._waiting and journal._file is not None and not journal._file.is_new)
    copy = path.with_name("copy.sqlite")
    for end in ("", "-wal"):
        copy.with_name(copy.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    assert recalled(copy).rows == (ROW,)
    journal.close()


@pytest.mark.parametrize("damage", ["garbage", "torn"])
def test_a_broken_file_is_set_aside_said_and_begun_anew(path: Path, damage: str) -> None:
    kept(path, *(msgspec.structs.replace(ROW, evse_id=f"E{number}", record=bytes(600)) for number in range(100)))
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data = bytearray(b"no database at all " * 100)
    else:
        data[4096 * 2 : 4096 * 4] = b"\xff" * 8192
    path.write_bytes(data)
    journal = SessionJournal(path)
    found = journal.recall()
    assert found.rows == ()
    assert "was broken" in found.remark
    assert "sessions.sqlite.broken-1" in found.remark
    assert path.with_name("sessions.sqlite.broken-1").read_bytes()[100:] == data[100:]
    journal.start()
    journal.put(ROW)
    assert journal.close()
    assert recalled(path).rows == (ROW,)


def test_a_file_of_the_future_is_not_touched_and_said(path: Path) -> None:
    kept(path, ROW)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    told: list[str] = []
    journal = SessionJournal(path, told.append)
    assert journal.recall() == Recalled()
    assert "newer v2g-orchestrator (schema 99, this one knows up to 1)" in journal.problem
    journal.start()
    journal.put(PAUSED_ROW)
    journal.forget(ROW.evse_id)
    assert journal.close()
    assert path.read_bytes() == before
    assert told == [journal.problem]


def test_a_file_of_an_older_version_is_brought_forward(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(path, ROW)

    def add_mark(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE later (mark INTEGER) STRICT")

    monkeypatch.setattr(session_file, "MIGRATIONS", (*session_file.MIGRATIONS, add_mark))
    assert recalled(path).rows == (ROW,)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM later").fetchone() == (0,)
    connection.close()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    journal = SessionJournal(path)
    journal.recall()
    assert "another program" in journal.problem
    journal.start()
    journal.put(ROW)
    journal.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    connection.close()


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    path.symlink_to(elsewhere)
    journal = SessionJournal(path)
    journal.recall()
    assert "no regular file" in journal.problem


def test_without_its_directory_it_says_so_and_writes_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_journal, "RETRY_S", 0.01)
    path = tmp_path / "not mounted" / "sessions.sqlite"
    told: list[str] = []
    journal = SessionJournal(path, told.append)
    assert journal.recall() == Recalled()
    journal.start()
    journal.put(ROW)
    until(lambda: bool(told))
    assert "not mounted" in journal.problem
    path.parent.mkdir()
    until(lambda: told[-1] == "")
    assert journal.problem == ""
    assert journal.close()
    assert recalled(path).rows == (ROW,)


def test_a_file_that_is_taken_away_is_begun_anew_with_all_that_is_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_journal, "RETRY_S", 0.01)
    kept(path, PAUSED_ROW)
    journal = SessionJournal(path)
    journal.recall()
    journal.start()
    journal.put(ROW)
    until(lambda: not journal._waiting and journal._file is not None)
    for each in path.parent.glob("sessions.sqlite*"):
        each.unlink()
    journal.put(msgspec.structs.replace(ROW, state=LOST))
    until(lambda: path.exists() and journal.problem == "" and not journal._waiting)
    assert journal.close()
    assert [(row.evse_id, row.state) for row in recalled(path).rows] == [
        (ROW.evse_id, LOST),
        (PAUSED_ROW.evse_id, PAUSED),
    ]


def test_what_waits_is_one_row_an_evse_however_long_the_disk_takes(path: Path) -> None:
    journal = SessionJournal(path)
    for number in range(10_000):
        journal.put(msgspec.structs.replace(ROW, changed_unix_s=float(number)))
    assert list(journal._waiting) == [ROW.evse_id]
    journal.start()
    assert journal.close()
    assert recalled(path).rows[0].changed_unix_s == 9_999.0


def test_a_closed_journal_takes_nothing(path: Path) -> None:
    journal = SessionJournal(path)
    journal.start()
    assert journal.close()
    journal.put(ROW)
    assert recalled(path).rows == ()


def test_a_row_that_is_no_text_is_refused_by_the_table_not_kept_wrong(path: Path) -> None:
    file = SessionFile(path)
    with pytest.raises(sqlite3.IntegrityError):
        file.write({"E1": msgspec.structs.replace(ROW, began_unix_s="soon")})
    assert file.rows() == ()
    file.close()
