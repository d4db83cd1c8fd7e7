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
    assert latch.reset("anything") is None


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
    assert latch.reset("") is not None
    assert latch_at(path).trip is None


def test_what_was_measured_is_kept_and_a_file_of_an_older_release_still_loads(path: Path) -> None:
    latch = latch_at(path)
    whole = LatchedTrip(
        element="OV2",
        unit="pu",
        remedy="look",
        profile="ieee1547-III",
        v_pu=(1.0, 1.3, 0.9),
        frequency_hz=59.9,
        rocof_hz_s=-0.4,
        feeder_a=(1.0, 2.0, 3.0),
        transformer_a=(4.0, 5.0, 6.0),
        inverter_angle_deg=(0.1, None, 0.3),
        boot_id="a",
    )
    latch.set(whole)
    latch.keep()
    assert latch_at(path).trip == whole
    path.write_text('{"element": "OV2", "quantity": "voltage", "phase": "b", "value": 1.3, "at_s": 1, "boot_id": "a"}')
    old = latch_at(path).trip
    assert old is not None
    assert (old.element, old.value, old.v_pu, old.frequency_hz) == ("OV2", 1.3, None, None)


def test_the_first_cause_stays(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.set(LatchedTrip(element="UV2"))
    assert latch.trip is not None
    assert latch.trip.element == "OF2"


def test_a_reset_is_refused_with_what_does_not_hold_and_the_file_stays(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.keep()
    with pytest.raises(ResetRefused, match=r"frequency 62\.1 Hz"):
        latch.reset("frequency 62.1 Hz")
    assert latch.trip is not None
    assert path.exists()


def test_a_file_that_cannot_be_removed_keeps_the_latch(path: Path) -> None:
    path.mkdir()
    latch = latch_at(path)
    assert latch.trip is not None
    with pytest.raises(ResetRefused, match="cannot be removed"):
        latch.reset("")
    assert latch.trip is not None


def test_saving_leaves_no_other_file_behind(path: Path) -> None:
    latch = latch_at(path)
    latch.set(OF2)
    latch.keep()
    latch.store.sync()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    latch.reset("")
    latch.store.sync()
    assert list(path.parent.iterdir()) == []
