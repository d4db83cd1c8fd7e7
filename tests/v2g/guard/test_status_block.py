from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.guard.interlocks import Interlock
from v2g.guard.status import MAX_AGE_S, GuardStatus, Permit
from v2g.guard.status_block import StatusBlockError, StatusReader, StatusWriter

FINITE = st.floats(-1e9, 1e9)


def granted(as_of_s: float = 100.0, **changes: object) -> GuardStatus:
    values: dict[str, object] = {
        "as_of_s": as_of_s,
        "permit": Permit.GRANTED,
        "breaker_commanded_closed": True,
        "breaker_closed": True,
        "measured": True,
        "frequency_hz": 60.01,
        "v_pu": (1.0, 0.99, 1.01),
    }
    return GuardStatus(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guard-status"


def test_a_missing_file_is_no_permit_and_the_reader_finds_it_once_it_appears(path: Path) -> None:
    reader = StatusReader(path)
    assert reader.read(100.0).permit is Permit.GUARD_STALE
    writer = StatusWriter(path)
    assert reader.read(100.0).permit is Permit.GUARD_STALE
    writer.publish(granted())
    assert reader.read(100.01) == granted()


def test_an_old_status_is_no_permit_but_still_tells_of_the_trip(path: Path) -> None:
    writer = StatusWriter(path)
    writer.publish(
        granted(
            permit=Permit.TRIPPED,
            trip_element="OV2",
            trip_value=1.25,
            trip_unit="pu",
            trip_phase="c",
            trip_at_s=99.0,
            ticks=7,
        )
    )
    stale = StatusReader(path).read(100.0 + MAX_AGE_S + 0.01)
    assert stale.permit is Permit.GUARD_STALE
    assert (stale.trip_element, stale.trip_value, stale.ticks) == ("OV2", 1.25, 7)
    assert (stale.trip_unit, stale.trip_phase) == ("pu", "c")
    assert not stale.measured
    assert stale.breaker_closed is None
    assert stale.as_of_s == 100.0


def test_a_status_from_the_future_is_no_permit(path: Path) -> None:
    StatusWriter(path).publish(granted(as_of_s=200.0))
    assert StatusReader(path).read(100.0).permit is Permit.GUARD_STALE


def test_a_half_written_slot_falls_back_to_the_status_before(path: Path) -> None:
    writer = StatusWriter(path)
    writer.publish(granted(ticks=1))
    first = path.read_bytes()
    writer.publish(granted(ticks=2))
    second = path.read_bytes()
    changed = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
    torn = bytearray(second)
    torn[changed[len(changed) // 2]] ^= 0xFF
    path.write_bytes(torn)
    assert StatusReader(path).read(100.0).ticks == 1


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 4096, b"V2GST\x00\x00\x04" + b"\0" * 4096])
def test_a_foreign_or_truncated_file_is_no_permit(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert StatusReader(path).read(100.0).permit is Permit.GUARD_STALE


def test_truncation_under_an_open_reader_is_survived(path: Path) -> None:
    writer = StatusWriter(path)
    writer.publish(granted())
    reader = StatusReader(path)
    assert reader.read(100.0).permit is Permit.GRANTED
    path.write_bytes(b"")
    assert reader.read(100.0).permit is Permit.GUARD_STALE


def test_a_second_writer_is_refused_with_the_remedy(path: Path) -> None:
    writer = StatusWriter(path)
    with pytest.raises(StatusBlockError, match="stop the other v2g-guard tick"):
        StatusWriter(path)
    writer.close()
    StatusWriter(path).close()


def test_readers_follow_a_restarted_writer_and_a_replaced_file(path: Path) -> None:
    writer = StatusWriter(path)
    writer.publish(granted(ticks=1))
    reader = StatusReader(path)
    assert reader.read(100.0).ticks == 1
    writer.close()
    again = StatusWriter(path)
    again.publish(granted(ticks=2))
    assert reader.read(100.0).ticks == 2
    path.unlink()
    StatusWriter(path).publish(granted(as_of_s=101.0, ticks=3))
    assert reader.read(101.0).ticks == 3


@settings(max_examples=examples(60), deadline=None)
@given(
    permit=st.sampled_from(Permit),
    v=st.tuples(FINITE, FINITE, FINITE),
    power=FINITE,
    frequency=st.none() | st.floats(10, 100),
    closed=st.sampled_from([None, True, False]),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    contacts=st.tuples(*[st.sampled_from([None, True, False])] * 2),
    angles=st.tuples(*[st.none() | st.floats(-180, 180)] * 3),
    blocks=st.integers(0, 15),
    element=st.sampled_from(["", "OV1", "UF2", "LATCH_UNREADABLE", "51 transformer"]),
)
def test_every_status_reads_back_as_it_was_published(
    tmp_path_factory: pytest.TempPathFactory,
    permit: Permit,
    v: tuple[float, float, float],
    power: float,
    frequency: float | None,
    closed: bool | None,
    flags: tuple[bool, bool, bool],
    contacts: tuple[bool | None, bool | None],
    angles: tuple[float | None, float | None, float | None],
    blocks: int,
    element: str,
) -> None:
    status = GuardStatus(
        as_of_s=50.0,
        permit=permit,
        breaker_commanded_closed=flags[0],
        breaker_closed=closed,
        v_pu=v,
        frequency_hz=frequency,
        transformer_w=power,
        transformer_var=power / 2,
        transformer_va=power / 3,
        feeder_w=power / 5,
        feeder_var=power / 7,
        measured=flags[1],
        load_measured=flags[0] != flags[2],
        enter_service_remaining_s=3.0,
        trip_element=element,
        trip_value=power,
        trip_unit="Hz/s",
        trip_phase="b",
        trip_at_s=4.0,
        ticks=11,
        late_ticks=5,
        worst_lateness_s=0.25,
        lateness_counts=tuple(range(blocks + 1, blocks + 12)) if flags[0] else (),
        lateness_sum_s=0.75,
        realtime=flags[2],
        operation=blocks % 5,
        blocks=blocks,
        curtail_charge=0.25,
        curtail_discharge=0.5,
        service_fraction=0.75,
        permit_service=flags[1],
        relay_closed=contacts[0],
        mains_present=contacts[1],
        rocof_hz_s=frequency,
        v1_pu=1.01,
        transformer_a=v,
        feeder_a=(power, -power, 0.0),
        inverter_v_pu=(0.1, 0.2, 0.3),
        inverter_angle_deg=angles,
        profile="vde-ar-n-4105",
        settings_digest="0a1b2c3d",
        interlocks=Interlock(blocks & 7),
        interlocks_open=Interlock(blocks & 3),
        interlocks_lost=Interlock(blocks & 4),
        locked_by="anna, ben" if flags[0] else "",
    )
    path = tmp_path_factory.mktemp("block") / "guard-status"
    writer = StatusWriter(path)
    writer.publish(status)
    assert StatusReader(path).read(50.0) == status
    writer.close()
