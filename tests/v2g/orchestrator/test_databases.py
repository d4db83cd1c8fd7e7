"""What is kept across an update: each thing says its schema; older ones are brought forward, newer ones refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from v2g.clock import ManualClock
from v2g.guard.latch import UNREADABLE as LATCH_UNREADABLE
from v2g.guard.latch import LatchStore
from v2g.guard.lockout import UNREADABLE as LOCK_UNREADABLE
from v2g.guard.lockout import Lockout
from v2g.guard.permit_service import PermitService
from v2g.orchestrator.config_record import RECORD_FILE, ConfigRecord
from v2g.orchestrator.databases import DATABASES, known_schemas, try_copies
from v2g.orchestrator.discharge_record import DischargeTests
from v2g.orchestrator.mesh_caps import CapStore
from v2g.orchestrator.order_store import OrderStore
from v2g.telemetry.history import History
from v2g.telemetry.history_file import HistoryFile
from v2g.telemetry.history_schema import MIGRATIONS, transaction
from v2g.utility.signal_store import SignalStore


def history_of_schema(path: Path, version: int) -> None:
    """As the program of that schema has left it, with a row."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        for step, change in enumerate(MIGRATIONS[:version]):
            with transaction(connection) as execute:
                change(connection)
                execute(f"PRAGMA user_version = {step + 1}")
        columns = [row[1] for row in connection.execute("PRAGMA table_info(minute)")]
        marks = ", ".join("?" * len(columns))
        row = [100, *([1.5] * (len(columns) - 1))]
        connection.execute(f"INSERT INTO minute VALUES ({marks})", row)  # noqa: S608


def schema(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_history_of_any_earlier_schema_is_brought_forward_with_its_rows(tmp_path: Path, version: int) -> None:
    path = tmp_path / "history.sqlite"
    history_of_schema(path, version)
    HistoryFile(path, keep_days=100_000, max_bytes=1 << 30).close()
    assert schema(path) == len(MIGRATIONS)
    with sqlite3.connect(path) as connection:
        row = connection.execute("SELECT * FROM minute").fetchone()
    assert row[:2] == (100, 1.5)


@pytest.mark.parametrize("each", DATABASES, ids=lambda each: each.name)
def test_a_database_of_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path, each: object) -> None:
    (database,) = [one for one in DATABASES if one is each]
    path = tmp_path / f"{database.name}.sqlite"
    database.take(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {database.newest + 1}")
    before = path.read_bytes()
    (problem,) = try_copies(tmp_path)
    assert "newer v2g-orchestrator" in problem
    assert f"{database.newest + 1}" in problem
    assert path.read_bytes() == before


def test_a_history_that_is_newer_is_not_kept_says_why_and_the_daemon_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    history_of_schema(path, len(MIGRATIONS))
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    told: list[str] = []
    history = History(path, keep_days=400, max_bytes=1 << 30, on_problem=told.append)
    history.keep("state", b"1")
    history.start()
    history.close(5.0)
    assert "written by a newer v2g-orchestrator" in history.health.problem
    assert told == [history.health.problem]
    assert not list(tmp_path.glob("*.broken-*")), "it is no broken file, and is not put aside"


def test_copies_of_all_databases_are_taken_and_others_are_no_matter(tmp_path: Path) -> None:
    history_of_schema(tmp_path / "history.sqlite", 1)
    (tmp_path / "else.sqlite").write_bytes(b"x")
    assert try_copies(tmp_path) == ()
    assert schema(tmp_path / "history.sqlite") == len(MIGRATIONS)
    (tmp_path / "history.sqlite").write_bytes(b"x" * 5000)
    (problem,) = try_copies(tmp_path)
    assert problem.startswith("history: ")


def test_each_database_and_the_configuration_have_a_schema() -> None:
    assert set(known_schemas()) == {"config", "history", "sessions"}
    assert all(schema >= 1 for schema in known_schemas().values())


# ---- the small files: what a newer version may have left -------------------------------------------------------------

NEWER = json.dumps({"schema": 2, "whatever": {"it": "holds"}})


def _orders(path: Path) -> str:
    restored = OrderStore(path, ManualClock()).load()
    assert restored.orders == ()
    return restored.problem


def _signals(path: Path) -> str:
    restored = SignalStore(path).load(1e9, 1e6)
    assert restored.entries == ()
    return restored.problem


def _lockout(path: Path) -> str:
    lockout = Lockout(path)
    assert lockout.names == LOCK_UNREADABLE, "nobody may close what somebody has locked out"
    return lockout.problem


def _permit(path: Path) -> str:
    service = PermitService(path)
    assert not service.enabled
    return service.problem


def _discharge(path: Path) -> str:
    return DischargeTests(path).refusal("US*V2G*E1", accept_low=True)


def _caps(path: Path) -> str:
    store = CapStore(path)
    assert store.load(1e9) == {}
    return store.problem


@pytest.mark.parametrize(
    "look", [_orders, _signals, _lockout, _permit, _discharge, _caps], ids=lambda look: look.__name__
)
def test_a_state_file_of_a_newer_version_is_never_taken_for_ours_and_is_named(
    tmp_path: Path, look: Callable[[Path], str]
) -> None:
    path = tmp_path / "state.json"
    path.write_text(NEWER)
    assert str(path) in look(path)


@pytest.mark.parametrize("look", [_orders, _signals, _lockout, _permit], ids=lambda look: look.__name__)
def test_the_schema_itself_is_told(tmp_path: Path, look: Callable[[Path], str]) -> None:
    path = tmp_path / "state.json"
    path.write_text(NEWER)
    assert "written by a newer version (schema 2, this one knows up to 1)" in look(path)


def test_a_trip_latch_of_a_newer_version_counts_as_a_trip(tmp_path: Path) -> None:
    path = tmp_path / "trip-latch.json"
    path.write_text(NEWER)
    trip = LatchStore(path, "boot").load(1.0, 2.0)
    assert trip is not None
    assert trip.element == LATCH_UNREADABLE


def test_a_record_of_the_configuration_of_a_newer_version_tells_every_file_as_new(tmp_path: Path) -> None:
    etc, state = tmp_path / "etc", tmp_path / "state"
    etc.mkdir()
    state.mkdir()
    (etc / "v2g.yaml").write_text("site: {}\n")
    (state / RECORD_FILE).write_text(NEWER)
    record = ConfigRecord(etc, state)
    assert [change.was for change in record.begin()] == ["none"]
    assert record.before == "unknown"
