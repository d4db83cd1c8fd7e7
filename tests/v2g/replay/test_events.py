"""Recorded events: the Iberian blackout of 28 April 2025 and the fault records of two 220 kV stations."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from v2g.grid import profiles
from v2g.grid.estimate import FREQUENCY_FLOOR_PU
from v2g.replay.case_settings import protection_settings, voltage_only
from v2g.replay.comtrade_file import read_comtrade
from v2g.replay.csv_file import read_csv
from v2g.replay.narrate import lines, text, verdict_text
from v2g.replay.record import ReadOptions, Record
from v2g.replay.run import Outcome, run

NOMINAL = ReadOptions(nominal_voltage_v=127_017.0)


def by_category(record: Record, category: str) -> Outcome:
    grid = voltage_only(profiles.resolve(nominal_frequency_hz=60.0, category=category), 50.0)
    return run(record.stimulus, protection_settings(grid, 0.05), keep_every=1)


@cache
def iberia(shared_data: Path) -> tuple[Record, Outcome]:
    record = read_csv(shared_data / "grid/events/iberia_2025-04-28_toledo_2s.csv", ReadOptions()).cut(5570.0, 5640.0)
    grid = profiles.resolve(nominal_frequency_hz=50.0, profile="vde-ar-n-4105", confirmed=True)
    return record, run(record.stimulus, protection_settings(grid, 0.05), keep_every=1)


@pytest.mark.soak
def test_the_collapse_trips_on_under_frequency_before_the_voltage_goes(shared_data: Path) -> None:
    record, outcome = iberia(shared_data)
    assert outcome.trip is not None
    assert outcome.trip.element == "f<"
    # The record passes 47.5 Hz a moment before the row of 12:33:22, t_s 5602.
    assert 5601.9 < outcome.trip.at_s + record.offset_s < 5602.2
    assert outcome.closed_s is None


def test_the_noise_after_the_collapse_is_never_a_frequency(shared_data: Path) -> None:
    record, outcome = iberia(shared_data)
    low = [step for step in outcome.steps if max(step.v_pu) < FREQUENCY_FLOOR_PU]
    assert len(low) > 3000
    assert [step for step in low if step.frequency_hz is not None] == []
    # From the row of 12:33:24 on (0.02 p.u., "47.408 Hz" in the record).
    dead = [step for step in outcome.steps if step.t_s + record.offset_s > 5604.0]
    assert len(dead) > 3500
    assert {step.frequency_hz for step in dead} == {None}


def test_the_story_is_told_by_the_clock_and_names_the_trip(shared_data: Path) -> None:
    record, outcome = iberia(shared_data)
    told = [
        text(line)
        for line in lines(
            outcome, duration_s=record.stimulus.duration_s, begins=record.begins, offset_s=record.offset_s
        )
    ]
    assert told[0].startswith("12:32:50  1.023 1.024 1.022 pu     49.986 Hz  closed")
    tripped = next(line for line in told if "TRIP f<" in line)
    assert tripped.startswith("12:33:22")
    assert "no frequency  open, waits: the release of the trip latch" in told[-1]
    assert len(told) < 20, "only seconds in which something changes"
    assert verdict_text(outcome, record.offset_s).startswith("TRIP f<: frequency 47.4")


@pytest.mark.parametrize("name", ["pow_ygz_220kV_line_seg0_3200Hz", "pow_ygz_220kV_line_seg2_3200Hz"])
def test_a_dead_phase_trips_category_ii_on_uv2_and_category_iii_rides_through(shared_data: Path, name: str) -> None:
    record = read_csv(shared_data / f"grid/events/{name}.csv", NOMINAL)
    outcome = by_category(record, "II")
    assert outcome.trip is not None
    assert outcome.trip.element == "UV2"
    assert outcome.trip.value < 0.45
    assert outcome.opened_s is not None
    assert by_category(record, "III").opened_s is None


def test_which_phases_are_dead_in_the_two_segments(shared_data: Path) -> None:
    """In the first only phase a, from the fault on; in the second all three after the reclose onto the fault."""
    at_the_end = []
    for name in ("pow_ygz_220kV_line_seg0_3200Hz", "pow_ygz_220kV_line_seg2_3200Hz"):
        outcome = by_category(read_csv(shared_data / f"grid/events/{name}.csv", NOMINAL), "III")
        at_the_end.append([v < 0.45 for v in outcome.steps[-1].v_pu])
    assert at_the_end == [[True, False, False], [True, True, True]]


@pytest.mark.parametrize("category", ["II", "III"])
def test_the_comtrade_file_gives_what_its_csv_gives_and_neither_trips(shared_data: Path, category: str) -> None:
    events = shared_data / "grid/events"
    for record, name in zip(read_comtrade(events / "xtz.cfg", NOMINAL), ("seg0", "seg2"), strict=True):
        recorded = by_category(record, category)
        listed = by_category(read_csv(events / f"pow_xtz_220kV_busI_{name}_3200Hz.csv", NOMINAL), category)
        assert recorded.trip is listed.trip is None
        assert recorded.opened_s is listed.opened_s is None
        for one, other in zip(recorded.steps, listed.steps, strict=True):
            assert one.v_pu == pytest.approx(other.v_pu, abs=2e-5)
            assert one.frequency_hz == pytest.approx(other.frequency_hz, abs=1e-3)
            assert one.operation == other.operation
