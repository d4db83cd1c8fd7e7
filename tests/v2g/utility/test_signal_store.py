from __future__ import annotations

import json
from pathlib import Path

import pytest

from v2g.utility.signal_book import MOST, OPERATOR, Entry, SignalBook
from v2g.utility.signal_store import SignalStore
from v2g.utility.signals import Signal, SignalKind

UNIX_S, LONGEST_S = 1_700_000_000.0, 172_800.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signals.json"


def entry(name: str, kind: SignalKind = SignalKind.SETPOINT, value: float = 1e3, lasts_s: float = 900.0) -> Entry:
    signal = Signal(
        id=name,
        kind=kind,
        value=value,
        starts_unix_s=UNIX_S,
        ends_unix_s=UNIX_S + lasts_s,
        source=f"utility by {name}",
    )
    return Entry(signal=signal, unit="EUR/kWh" if kind is SignalKind.PRICE else "")


def test_signals_stand_after_a_restart_until_their_end_and_the_newer_one_stays_the_newer(path: Path) -> None:
    book = SignalBook(LONGEST_S)
    kept = [entry("zoe"), entry("adam", value=-2e3), entry("bob", SignalKind.PRICE, 0.3), entry("short", lasts_s=60.0)]
    for each in kept:
        book.add(each, UNIX_S)
    SignalStore(path).save(book.by_age(OPERATOR))
    restored = SignalStore(path).load(UNIX_S + 100.0, LONGEST_S)
    assert (restored.entries, restored.problem) == (tuple(kept[:3]), "")
    again = SignalBook(LONGEST_S)
    for each in restored.entries:
        again.add(each, UNIX_S + 100.0)
    assert again.view(0.0, UNIX_S + 100.0).target_w == -2e3


def test_nothing_is_written_when_nothing_changed(path: Path) -> None:
    store = SignalStore(path)
    store.save([entry("a")])
    path.unlink()
    store.save([entry("a")])
    assert not path.exists()
    store.save([])
    assert json.loads(path.read_text()) == {"schema": 1, "signals": []}


def test_no_file_is_no_problem(path: Path) -> None:
    assert SignalStore(path).load(UNIX_S, LONGEST_S).problem == ""


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"signals":[{"id":"a"}]}', '{"signals":[],"x":1}', "\x00" * 9, "[" * 50_000]
)
def test_an_unreadable_file_gives_no_signal_and_names_itself(path: Path, text: str) -> None:
    path.write_text(text)
    restored = SignalStore(path).load(UNIX_S, LONGEST_S)
    assert restored.entries == ()
    assert str(path) in restored.problem


def test_a_signal_that_would_not_be_taken_now_is_dropped_and_the_others_stand(path: Path) -> None:
    SignalStore(path).save([entry("long", lasts_s=4000.0), entry("fine")])
    restored = SignalStore(path).load(UNIX_S, 3600.0)
    assert [each.signal.id for each in restored.entries] == ["fine"]
    assert "signal 'long'" in restored.problem
    SignalStore(path).save([entry(f"n{n}") for n in range(MOST[OPERATOR] + 1)])
    restored = SignalStore(path).load(UNIX_S, LONGEST_S)
    assert len(restored.entries) == MOST[OPERATOR]
    assert "501 signals" in restored.problem


def test_a_directory_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nothing"):
        SignalStore(tmp_path / "nothing" / "signals.json").save([entry("a")])
