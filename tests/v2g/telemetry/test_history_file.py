from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.telemetry import history_file, history_schema
from v2g.telemetry.history_file import VALUE_ERRORS, Entry, FileGone, HistoryFile, broken_files, set_aside
from v2g.telemetry.history_prune import DAY_MIN, size_of
from v2g.telemetry.history_reader import load_kept, read_evse_minutes, read_minutes, read_trips
from v2g.telemetry.history_rows import EvseMinute, HistoryError, MinuteRow, TripRow
from v2g.telemetry.history_words import is_broken, problem_words

ALL = (0, 1 << 40)
NOW_MIN = 29_000_000


def minute(unix_min: int, evses: int = 0, vehicle: str = "WMIV1234", **values: float) -> Entry:
    rows = tuple(
        EvseMinute(
            unix_min=unix_min,
            evse_id=f"US*V2G*E{n}",
            vehicle=vehicle,
            power_w=-7000.4 - n,
            granted_w=-7100.0,
            soc_pct=55.04,
        )
        for n in range(evses)
    )
    return MinuteRow(unix_min=unix_min, **values), rows


def day(first_min: int, evses: int) -> list[Entry]:
    return [
        minute(m, evses, base_w=81_234.5 + m, k_pu=0.3217, ambient_c=21.37)
        for m in range(first_min, first_min + DAY_MIN)
    ]


@contextmanager
def opened(path: Path, keep_days: int = 400, max_bytes: int = 64 << 20) -> Iterator[HistoryFile]:
    file = HistoryFile(path, keep_days=keep_days, max_bytes=max_bytes)
    try:
        yield file
    finally:
        file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def minutes_in(path: Path) -> list[int]:
    return [row.unix_min for row in read_minutes(path, *ALL)]


def scalar(path: Path, sql: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()[0]


def test_what_is_written_is_read_back(path: Path) -> None:
    row = MinuteRow(unix_min=NOW_MIN, base_w=80_000.25, lo_w=-12e3, hi_w=34e3, hot_spot_c=71.03, ageing_rate=0.004)
    trip = TripRow(unix_s=NOW_MIN * 60.0 - 3, element="OV2", value=1.21, unit="pu", phase="b")
    with opened(path) as file:
        assert file.write([(row, minute(NOW_MIN, 2)[1]), trip], {"state": b"\0\1"}) == 4
    assert list(read_minutes(path, *ALL)) == [row]
    assert [(e.evse_id, e.power_w, e.granted_w, e.soc_pct) for e in read_evse_minutes(path, *ALL)] == [
        ("US*V2G*E0", -7000.0, -7100.0, 55.0),
        ("US*V2G*E1", -7001.0, -7100.0, 55.0),
    ]
    assert read_trips(path, 0, 1e12) == (trip,)
    assert load_kept(path, "state") == b"\0\1"


def test_the_file_is_in_wal_with_incremental_vacuum_and_strict_while_open_and_plain_afterwards(path: Path) -> None:
    with opened(path) as file:
        file.write([minute(1)], {})
        assert scalar(path, "PRAGMA journal_mode") == "wal"
        assert scalar(path, "PRAGMA auto_vacuum") == 2
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert stat.S_IMODE(path.with_name("history.sqlite-wal").stat().st_mode) == 0o640
    assert scalar(path, "PRAGMA journal_mode") == "delete"
    assert (
        scalar(
            path,
            "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict"
            " AND name NOT LIKE 'sqlite%'",
        )
        == 0
    )
    assert {each.name for each in path.parent.iterdir()} == {"history.sqlite", "history.sqlite.lock"}


def test_an_empty_database_that_somebody_made_becomes_one_that_can_shrink(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("VACUUM")
    assert path.stat().st_size > 0
    with opened(path) as file:
        file.write([minute(1)], {})
    assert scalar(path, "PRAGMA auto_vacuum") == 2


def test_a_minute_that_comes_again_replaces_the_first_with_its_evses(path: Path) -> None:
    with opened(path) as file:
        file.write([minute(NOW_MIN, 3, base_w=1.0), minute(NOW_MIN + 1)], {})
        file.write([minute(NOW_MIN, 1, base_w=2.0)], {})
    assert [row.base_w for row in read_minutes(path, *ALL)] == [2.0, None]
    assert len(list(read_evse_minutes(path, *ALL))) == 1


def test_a_trip_that_is_told_again_after_a_restart_is_one_trip(path: Path) -> None:
    trip = TripRow(unix_s=1e9, element="UF1", value=58.4, unit="Hz")
    with opened(path) as file:
        assert file.write([trip, TripRow(unix_s=1e9 + 0.7, element="UF1", value=58.4, unit="Hz")], {}) == 1
        file.write([TripRow(unix_s=1e9 + 5, element="UF1", value=58.4, unit="Hz")], {})
        file.write([TripRow(unix_s=1e9 + 5, element="OV1", value=1.12, unit="pu", phase="a")], {})
    assert [(t.unix_s - 1e9, t.element) for t in read_trips(path, 0, 1e12)] == [(0, "UF1"), (5, "UF1"), (5, "OV1")]


def test_an_entry_that_cannot_be_stored_is_said_so_and_leaves_nothing_behind(path: Path) -> None:
    with opened(path) as file:
        for bad in (
            minute(1 << 70),
            (MinuteRow(unix_min=5, base_w="x"), ()),
            TripRow(unix_s=float("nan"), element="OV1", value=1, unit=""),
        ):  # type: ignore[arg-type]
            with pytest.raises(VALUE_ERRORS):
                file.write([minute(4, 1, vehicle="NEW"), bad], {"k": b"v"})  # type: ignore[list-item]
        assert file.write([minute(4, 1, vehicle="NEW")], {}) == 2
    assert minutes_in(path) == [4]
    assert [e.vehicle for e in read_evse_minutes(path, *ALL)] == ["NEW"]


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HistoryFile, Path]]:
    path = tmp_path_factory.mktemp("history") / "h.sqlite"
    with opened(path) as file:
        yield file, path


@settings(max_examples=examples(50), deadline=None)
@given(vehicle=st.text(st.characters(codec=None), max_size=80), value=st.floats())
def test_no_text_of_a_vehicle_and_no_number_is_an_error(
    one_file: tuple[HistoryFile, Path], vehicle: str, value: float
) -> None:
    file, path = one_file
    evse = EvseMinute(unix_min=1, evse_id="E", vehicle=vehicle, power_w=value, granted_w=value, soc_pct=value)
    assert file.write([(MinuteRow(unix_min=1, base_w=value), (evse,))], {}) == 2
    (read,) = read_evse_minutes(path, *ALL)
    assert len(read.vehicle) <= 64


def test_days_beyond_keep_days_go_with_their_evses_trips_and_names(path: Path) -> None:
    first = NOW_MIN // DAY_MIN * DAY_MIN
    with opened(path, keep_days=2) as file:
        file.write(
            [minute(first, 1, vehicle="GONE"), TripRow(unix_s=first * 60.0, element="OV1", value=1, unit="pu")], {}
        )
        file.write(day(first + DAY_MIN, 1), {})
        file.write(day(first + 2 * DAY_MIN, 1), {})
        assert minutes_in(path)[0] == first
        file.write([minute(first + 3 * DAY_MIN, 1)], {})
    assert minutes_in(path)[0] == first + DAY_MIN
    assert read_trips(path, 0, 1e12) == ()
    assert scalar(path, "SELECT count(*) FROM name WHERE text = 'GONE'") == 0
    assert {e.vehicle for e in read_evse_minutes(path, *ALL)} == {"WMIV1234"}


def test_a_forgotten_vehicle_that_comes_again_on_a_day_of_the_past_has_its_name(path: Path) -> None:
    first = NOW_MIN // DAY_MIN * DAY_MIN
    with opened(path, keep_days=1) as file:
        file.write([minute(first, 1, vehicle="BACK")], {})
        file.write(day(first + 2 * DAY_MIN, 1), {})
        file.write([minute(first + 3 * DAY_MIN, 1)], {})
        assert minutes_in(path)[0] == first + 2 * DAY_MIN
        file.write([minute(first, 1, vehicle="BACK")], {})
    assert next(read_evse_minutes(path, *ALL)).vehicle == "BACK"


def test_a_clock_that_is_years_ahead_for_an_hour_makes_nothing_old(path: Path) -> None:
    with opened(path, keep_days=30) as file:
        file.write([minute(NOW_MIN + m) for m in range(1000)], {})
        file.write([minute(NOW_MIN + 10 * 365 * DAY_MIN + m) for m in range(60)], {})
        file.write([minute(NOW_MIN + 1000)], {})
    assert minutes_in(path)[:1001] == [NOW_MIN + m for m in range(1001)]


def test_at_the_size_bound_the_oldest_whole_days_go_and_the_file_shrinks(path: Path) -> None:
    first, bound = NOW_MIN // DAY_MIN * DAY_MIN, 1 << 19
    largest = 0
    with opened(path, max_bytes=64 << 20) as file:
        for n in range(8):
            file.write(day(first + n * DAY_MIN, 2), {})
    grown = path.stat().st_size
    assert grown > 2 * bound
    with opened(path, max_bytes=bound) as file:
        for m in range(0, DAY_MIN, 20):
            file.write([minute(first + 8 * DAY_MIN + m + n, 2, base_w=m) for n in range(20)], {})
            largest = max(largest, size_of(path))
    assert largest <= bound
    assert path.stat().st_size < grown / 2
    kept = minutes_in(path)
    assert kept[0] % DAY_MIN == 0
    assert kept[0] > first
    assert kept == list(range(kept[0], first + 9 * DAY_MIN))


def test_within_one_day_the_oldest_hours_go(path: Path) -> None:
    first, bound = NOW_MIN // DAY_MIN * DAY_MIN, 1 << 19
    with opened(path, max_bytes=bound) as file:
        for m in range(0, 600, 10):
            file.write([minute(first + m + n, 40) for n in range(10)], {"state": b"x" * 1000})
            assert size_of(path) <= bound
    kept = minutes_in(path)
    assert kept[0] % 60 == 0
    assert 0 < kept[0] - first < 540
    assert kept[-1] == first + 599
    assert load_kept(path, "state") == b"x" * 1000


def write_many(file: HistoryFile) -> None:
    for m in range(400):
        file.write([minute(NOW_MIN + m * 10 + n, 5) for n in range(10)], {})


def test_a_reader_that_holds_the_log_cannot_make_the_file_pass_its_bound(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_file, "_BUSY_S", 0.01)
    bound = 1 << 19
    with opened(path, max_bytes=bound) as file:
        file.write([minute(NOW_MIN, 1)], {})
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM minute").fetchall()
            with pytest.raises(HistoryError, match="end that program"):
                write_many(file)
            assert size_of(path) <= bound
            reader.execute("COMMIT")
        file.write([minute(NOW_MIN + 9999, 1)], {})
    assert minutes_in(path)[-1] == NOW_MIN + 9999


def test_a_full_disk_is_an_error_with_its_remedy_and_nothing_is_half_written(path: Path) -> None:
    with opened(path) as file:
        file.write([minute(NOW_MIN)], {})
        connection = file._open()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(sqlite3.OperationalError) as caught:
            file.write(day(NOW_MIN + 1, 2), {})
        assert "the disk is full: free space on it" in problem_words(caught.value, path)
        assert minutes_in(path) == [NOW_MIN]
        connection.execute("PRAGMA max_page_count = 100000")
        file.write(day(NOW_MIN + 1, 2), {})
    assert len(minutes_in(path)) == DAY_MIN + 1


def test_a_second_writer_is_refused_in_words_until_the_first_ends(path: Path) -> None:
    with opened(path) as first:
        first.write([minute(1)], {})
        with pytest.raises(HistoryError, match=rf"process {os.getpid()} writes it already; only one orchestrator may"):
            HistoryFile(path, keep_days=1, max_bytes=1 << 23)
        first.write([minute(2)], {})
    with opened(path) as second:
        second.write([minute(3)], {})
    assert minutes_in(path) == [1, 2, 3]


@pytest.mark.parametrize("name", ["history.sqlite", "history.sqlite.lock"])
def test_a_symbolic_link_is_not_followed(path: Path, name: str) -> None:
    target = path.parent / "other"
    target.write_bytes(b"")
    (path.parent / name).symlink_to(target)
    with pytest.raises((HistoryError, OSError)) as caught:
        HistoryFile(path, keep_days=1, max_bytes=1 << 23)
    assert "symbolic link" in problem_words(caught.value, path)
    assert target.read_bytes() == b""


def test_a_directory_in_its_place_and_a_missing_directory_are_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(HistoryError, match="is no regular file"):
        HistoryFile(path, keep_days=1, max_bytes=1 << 23)
    gone = path.parent / "disk" / "h.sqlite"
    with pytest.raises(FileNotFoundError) as caught:
        HistoryFile(gone, keep_days=1, max_bytes=1 << 23)
    assert f"the directory {gone.parent} does not exist: create it" in problem_words(caught.value, gone)


def test_a_file_that_was_removed_or_replaced_is_noticed(path: Path) -> None:
    with opened(path) as file:
        file.require_there()
        path.unlink()
        with pytest.raises(FileGone, match="was removed or replaced"):
            file.require_there()
        path.write_bytes(b"")
        with pytest.raises(FileGone):
            file.require_there()


@pytest.mark.parametrize("garbage", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_broken_file_is_known_as_such(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        HistoryFile(path, keep_days=1, max_bytes=1 << 23)
    assert is_broken(caught.value)


def test_three_broken_files_are_kept_and_the_newest_has_the_highest_number(path: Path) -> None:
    for n in range(1, 6):
        path.write_bytes(b"%d" % n)
        path.with_name(path.name + "-wal").write_bytes(b"w%d" % n)
        assert set_aside(path).name == f"history.sqlite.broken-{n}"
    assert sorted(broken_files(path)) == [3, 4, 5]
    assert path.with_name("history.sqlite.broken-5-wal").read_bytes() == b"w5"
    assert not path.with_name("history.sqlite.broken-2-wal").exists()


def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="is the database of another program; name another file in history"):
        HistoryFile(path, keep_days=1, max_bytes=1 << 23)
    with pytest.raises(HistoryError, match="another program"):
        read_minutes(path, *ALL)
    assert path.read_bytes() == before


def test_a_newer_version_is_left_alone_and_named(path: Path) -> None:
    with opened(path) as file:
        file.write([minute(1)], {})
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    for attempt in (lambda: HistoryFile(path, keep_days=1, max_bytes=1 << 23), lambda: read_minutes(path, *ALL)):
        with pytest.raises(HistoryError, match=r"newer v2g-orchestrator \(schema 7, this one knows up to 2\)"):
            attempt()
    assert path.read_bytes() == before


def test_an_older_file_is_brought_to_the_new_version_and_keeps_its_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as file:
        file.write([minute(1, base_w=2.0)], {})

    def add(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE later (x INTEGER) STRICT")

    newer = (*history_schema.MIGRATIONS, add)
    for module in (history_schema, history_file):
        monkeypatch.setattr(module, "MIGRATIONS", newer)
    with opened(path) as file:
        file.write([minute(2)], {})
    assert scalar(path, "PRAGMA user_version") == len(newer)
    assert scalar(path, "SELECT count(*) FROM later") == 0
    assert scalar(path, "SELECT sum(base_w) FROM minute") == 2.0


def first_schema(path: Path) -> None:
    """A file as the first version wrote it, with one minute and something kept."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        history_schema.MIGRATIONS[0](connection)
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO minute (unix_min, base_w, hot_spot_c) VALUES (1, 2.0, 60.0)")
        connection.execute("INSERT INTO kept VALUES ('thermal', ?)", (b"memory",))


def test_a_file_of_the_first_schema_is_read_as_it_is_and_gets_the_frequency_when_it_is_written(
    path: Path,
) -> None:
    first_schema(path)
    before = path.read_bytes()
    assert load_kept(path, "thermal") == b"memory"
    (row,) = read_minutes(path, *ALL)
    assert (row.base_w, row.hot_spot_c, row.frequency_hz, row.frequency_min_hz) == (2.0, 60.0, None, None)
    assert path.read_bytes() == before
    with opened(path) as file:
        file.write([minute(2, frequency_hz=60.01, frequency_min_hz=59.9, frequency_max_hz=60.1)], {})
    old, new = read_minutes(path, *ALL)
    assert old == row
    assert (new.frequency_hz, new.frequency_min_hz, new.frequency_max_hz) == (60.01, 59.9, 60.1)
    assert load_kept(path, "thermal") == b"memory"
    assert scalar(path, "PRAGMA user_version") == 2


def test_a_migration_that_fails_leaves_the_older_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as file:
        file.write([minute(1)], {})

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE minute")
        raise sqlite3.OperationalError("out of luck")

    with monkeypatch.context() as patched:
        for module in (history_schema, history_file):
            patched.setattr(module, "MIGRATIONS", (*history_schema.MIGRATIONS, fail))
        with pytest.raises(sqlite3.OperationalError):
            HistoryFile(path, keep_days=1, max_bytes=1 << 23)
    assert minutes_in(path) == [1]


def test_reading_goes_on_beside_a_writer_and_never_holds_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v2g.telemetry.history_reader._BATCH", 10)
    with opened(path) as file:
        file.write([minute(m, 2) for m in range(100)], {})
        rows = read_minutes(path, 0, 1000)
        evses = read_evse_minutes(path, 5, 1000)
        seen = [next(rows).unix_min for _ in range(15)]
        assert next(evses).unix_min == 5
        file.write([minute(m, 2) for m in range(100, 120)], {})
        assert file._open().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert [*seen, *(row.unix_min for row in rows)] == list(range(120))
        assert sum(1 for _ in evses) == 115 * 2 - 1


def test_errors_of_reading_name_file_and_remedy(path: Path) -> None:
    assert load_kept(path, "x") is None
    with pytest.raises(HistoryError, match=r"history\.sqlite: there is no history yet; v2g-orchestrator begins it"):
        read_minutes(path, *ALL)
    path.write_bytes(b"")
    assert load_kept(path, "x") is None
    with pytest.raises(HistoryError, match="is of schema 0, this program reads 2"):
        read_trips(path, 0, 1)
    path.write_bytes(b"rubbish" * 999)
    for attempt in (lambda: load_kept(path, "x"), lambda: read_minutes(path, *ALL)):
        with pytest.raises(HistoryError, match=r"is broken .* moves it aside when it next writes"):
            attempt()


def test_a_name_with_signs_of_an_address_is_the_name_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=rwc#b%20.sqlite"
    with opened(path) as file:
        file.write([minute(1)], {})
    assert minutes_in(path) == [1]
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, path.name + ".lock"]


def test_readers_in_other_threads_see_whole_minutes_only(path: Path) -> None:
    wrong: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            counts: dict[int, int] = {}
            for evse in read_evse_minutes(path, *ALL):
                counts[evse.unix_min] = counts.get(evse.unix_min, 0) + 1
            wrong.extend(count for count in counts.values() if count != 3)

    with opened(path) as file:
        file.write([minute(0, 3)], {})
        reader = threading.Thread(target=look)
        reader.start()
        for m in range(1, 150):
            file.write([minute(m, 3)], {})
        done.set()
        reader.join()
    assert wrong == []
