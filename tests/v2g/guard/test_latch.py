from __future__ import annotations

from pathlib import Path

import pytest

from v2g.guard.latch import UNREADABLE, LatchedTrip, LatchStore, ResetRefused, TripLatch

OF2 = LatchedTrip(element="OF2", quantity="frequency", value=62.5, threshold=62.0, at_s=500.0, unix_s=1_700_000_000.0)


def latch_at(path: Path, boot: str = "a", now_s: float = 510.0, unix_s: float = 1_700_000_010.0) -> TripLatch:
    return TripLatch(LatchStore(path, boot), now_s, unix_s)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trip-latch.json"


def test_without_a_file_it_is_not_tripped(path: Path) -> None:
    latch = latch_at(path)
    assert latch.trip is None
    assert latch.reset(in_window=False) is None


def test_a_kept_trip_is_there_for_the_next_process_with_its_values(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.keep()
    trip = latch_at(path).trip
    assert trip is not None
    assert (trip.element, trip.value, trip.at_s) == ("OF2", 62.5, 500.0)


def test_a_trip_of_an_earlier_boot_keeps_its_age(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.keep()
    trip = latch_at(path, boot="b", now_s=20.0, unix_s=1_700_000_100.0).trip
    assert trip is not None
    assert trip.at_s == pytest.approx(-80.0)
    assert trip.unix_s == OF2.unix_s


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"element": ""}', b'{"element": 5}', b"\xff" * 70_000])
def test_a_file_that_cannot_be_read_counts_as_a_trip(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    latch = latch_at(path)
    assert latch.trip is not None
    assert latch.trip.element == UNREADABLE
    assert latch.reset(in_window=True) is not None
    assert latch_at(path).trip is None


def test_the_first_cause_stays(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.set(LatchedTrip(element="UV2"))
    assert latch.trip is not None
    assert latch.trip.element == "OF2"


def test_reset_outside_the_window_is_refused_and_the_file_stays(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.keep()
    with pytest.raises(ResetRefused, match="outside the enter-service window"):
        latch.reset(in_window=False)
    assert latch.trip is not None
    assert path.exists()


def test_a_file_that_cannot_be_removed_keeps_the_latch(path: Path) -> None:
    path.mkdir()
    latch = latch_at(path)
    assert latch.trip is not None
    with pytest.raises(ResetRefused, match="cannot be removed"):
        latch.reset(in_window=True)
    assert latch.trip is not None


def test_saving_leaves_no_other_file_behind(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.keep()
    latch.store.sync()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    latch.reset(in_window=True)
    latch.store.sync()
    assert list(path.parent.iterdir()) == []
