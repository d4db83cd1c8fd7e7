from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from v2g.grid import profiles
from v2g.replay.case_settings import protection_settings
from v2g.replay.narrate import lines, text, verdict_text
from v2g.replay.plot import draw
from v2g.replay.run import Outcome, run
from v2g.replay.stimulus import ReplayError, Segment
from v2g.replay.synthesis import CaseStimulus

HEALTHY = Segment(d=2.0, v=(1.0, 1.0, 1.0), f=60.0)
SAG = Segment(d=1.5, v=(0.6, 1.0, 1.0), f=60.0)
DEEP = Segment(d=3.0, v=(0.4, 0.4, 0.4), f=60.0)
GRID = profiles.resolve(nominal_frequency_hz=60.0)


def outcome(*segments: Segment, keep_every: int = 1) -> Outcome:
    return run(CaseStimulus(segments, 60.0), protection_settings(GRID, 0.05), keep_every=keep_every)


def test_nothing_is_told_while_nothing_changes() -> None:
    told = lines(outcome(HEALTHY, HEALTHY), duration_s=4.0)
    assert [line.t_s for line in told] == [0.04]
    assert verdict_text(outcome(HEALTHY)) == "No trip: the breaker stays closed."


def test_a_short_event_is_told_by_the_cycle_and_a_long_one_by_the_second() -> None:
    made = outcome(HEALTHY, SAG, HEALTHY)
    by_cycle = lines(made, duration_s=5.5)
    assert any(2.0 <= line.t_s <= 2.06 and line.operation == "mandatory operation" for line in by_cycle)
    by_second = lines(made, duration_s=500.0, begins=datetime(2025, 4, 28, 12, 0, 0), offset_s=100.0)
    assert [(line.t_s, line.clock) for line in by_second] == [
        (100.0, "12:00:00"),
        (102.0, "12:00:02"),
        (103.0, "12:00:03"),
    ]
    assert text(by_second[1]).startswith("12:00:02  0.600 1.000 1.000 pu     60.000 Hz  closed, mandatory operation")


def test_the_trip_stands_where_it_happened_and_the_contact_after_it() -> None:
    made = outcome(HEALTHY, DEEP)
    told = lines(made, duration_s=500.0)
    notes = [(line.t_s, note) for line in told for note in line.notes]
    trip = next(at for at in notes if at[1].startswith("TRIP UV2: voltage of phase a 0.4 pu, threshold 0.5 pu"))
    assert trip[0] == 3.0
    assert notes.index(trip) < notes.index((3.0, "the breaker's contact parts"))
    said = verdict_text(made, 10.0)
    assert said.startswith("TRIP UV2: voltage of phase a 0.4 pu")
    assert "commanded at 13.9" in said
    assert "the contact parts at 13.9" in said


def test_a_record_that_ends_before_the_contact_says_so() -> None:
    made = outcome(HEALTHY, Segment(d=1.945, v=(0.4, 0.4, 0.4), f=60.0))
    assert made.trip is not None
    assert "the record ends before the contact parts" in verdict_text(made)


@pytest.mark.soak
def test_a_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    draw(path, outcome(HEALTHY, DEEP), GRID, "a deep sag")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 20_000


def test_a_picture_that_cannot_be_written_or_has_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"name a \.png in a directory"):
        draw(tmp_path / "none" / "out.png", outcome(HEALTHY), GRID, "x")
    with pytest.raises(ReplayError, match=r"name a \.png"):
        draw(tmp_path / "out.xyz", outcome(HEALTHY), GRID, "x")
    with pytest.raises(ReplayError, match="too short for a picture"):
        draw(tmp_path / "out.png", outcome(HEALTHY, keep_every=0), GRID, "x")
