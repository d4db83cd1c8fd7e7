"""The reference cases in injected time: synthesised waveforms, the guard's own estimation and protection, a breaker of
50 ms. By default the shortest of each family; with ``-m soak`` all of them, in about two minutes."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from v2g.replay.case_file import read_cases
from v2g.replay.run import as_expected, run_case
from v2g.replay.stimulus import Case

CASES = Path(__file__).resolve().parents[3] / "../shared/data/grid/cases.csv"
LONGEST_S = 12.0
SECOND_S = 2.5
"""A second one of the same family and expectation may last this long."""


def duration_s(case: Case) -> float:
    return sum(segment.d for segment in case.segments)


def chosen() -> tuple[list[Case], list[Case]]:
    """The default subset and the rest."""
    if not CASES.exists():
        return [], []
    cases = sorted(read_cases(CASES), key=lambda case: (case.family, case.expect, duration_s(case)))
    short = [
        case
        for _, family in groupby(cases, key=lambda case: (case.family, case.expect))
        for number, case in enumerate(family)
        if number < 2 and duration_s(case) <= (SECOND_S if number else LONGEST_S)
    ]
    return short, [case for case in cases if case not in short]


SHORT, REST = chosen()


@pytest.mark.skipif(not SHORT, reason=f"reference data absent: {CASES}")
@pytest.mark.parametrize("case", SHORT, ids=lambda case: f"{case.id}-{case.family}")
def test_the_guard_does_what_the_case_expects(case: Case) -> None:
    assert as_expected(case, run_case(case)) == ""


@pytest.mark.soak
@pytest.mark.skipif(not REST, reason=f"reference data absent: {CASES}")
@pytest.mark.parametrize("case", REST, ids=lambda case: f"{case.id}-{case.family}")
def test_the_guard_does_what_every_other_case_expects(case: Case) -> None:
    assert as_expected(case, run_case(case)) == ""


@pytest.mark.skipif(not SHORT, reason=f"reference data absent: {CASES}")
def test_no_case_is_left_out() -> None:
    assert len(SHORT) + len(REST) == 169


@pytest.mark.skipif(not SHORT, reason=f"reference data absent: {CASES}")
@pytest.mark.parametrize("sample_rate_hz", [3200.0, 10_000.0])
def test_a_fast_trip_holds_its_time_at_other_sample_rates(sample_rate_hz: float) -> None:
    case = next(case for case in SHORT if case.family == "volt_trip" and case.tmax_s == 0.16)
    assert as_expected(case, run_case(case, sample_rate_hz=sample_rate_hz)) == ""


FAST = ("S046", "S131", "S154")
FAST_TOO = ("S047", "S054", "S062", "S075", "S079", "S124", "S125", "S128", "S133", "S165")


@pytest.mark.skipif(not SHORT, reason=f"reference data absent: {CASES}")
@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.soak) for name in FAST_TOO)])
def test_wherever_between_two_ticks_an_event_begins_the_outcome_is_the_same(name: str) -> None:
    """Steady times are cut to a second."""
    case = next(case for case in SHORT + REST if case.id == name)
    before, *rest = case.segments
    rest = [replace(segment, d=min(segment.d, 2.0)) if segment.r is None else segment for segment in rest]
    for shift in range(0, 10, 3):
        moved = replace(case, segments=(replace(before, d=1.0 + shift * 1e-3 + 1e-4), *rest))
        assert as_expected(moved, run_case(moved)) == "", f"begins {shift} ms after a batch"
