from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid import ieee1547, profiles
from v2g.grid.ieee1547 import RIDE_THROUGH
from v2g.grid.ride_through import (
    RideThrough,
    RideThroughState,
    conflict,
    conflicts,
    frequency_region,
    required_s,
    voltage_region,
)
from v2g.grid.settings import Measured, Operation, RideThroughSettings, Side, TripSetting

OPERATIONS = {
    "cease": Operation.CEASE, "permissive": Operation.PERMISSIVE, "continuous": Operation.CONTINUOUS,
    "mandatory": Operation.MANDATORY, "momentary_cessation": Operation.MOMENTARY_CESSATION,
}  # fmt: skip
categories = st.sampled_from(ieee1547.CATEGORIES)
voltages = st.floats(min_value=0.0, max_value=2.0)


def ride(
    ride_through: RideThrough, segments: list[tuple[float, float]], start_s: float = 0.0, step_s: float = 0.01
) -> list[tuple[float, RideThroughState]]:
    """Balanced voltages for their times, a measurement every ``step_s``."""
    states, ticks = [], 0
    for duration_s, v_pu in segments:
        for _ in range(round(duration_s / step_s)):
            now_s = start_s + ticks * step_s
            states.append((now_s, ride_through.step(now_s, (v_pu, v_pu, v_pu), 60.0)))
            ticks += 1
    return states


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> Any:
    return yaml.safe_load((shared_data / "grid/reference/ieee1547_2018.yaml").read_text())


@pytest.mark.parametrize("category", ieee1547.CATEGORIES)
def test_voltage_regions_are_those_of_the_reference(reference: Any, category: str) -> None:
    rows = reference["voltage_ride_through"][category]
    regions = RIDE_THROUGH[category].voltage
    assert len(regions) == len(rows)
    for region, row in zip(regions, rows, strict=True):
        assert (region.lo_pu, region.hi_pu) == (row["lo"], math.inf if row["hi"] is None else row["hi"])
        assert region.operation is OPERATIONS[row["mode"]]
        for v_pu in (region.lo_pu, (region.lo_pu + min(region.hi_pu, 2.0)) / 2):
            match row["rt"]:
                case None:
                    expected = 0.0
                case "inf":
                    expected = math.inf
                case str(line):
                    base, slope, lo = (
                        float(part) for part in line.translate(str.maketrans("+*(V-)", "      ")).split()
                    )
                    expected = base + slope * (v_pu - lo)
                case number:
                    expected = float(number)
            assert region.ride_through_s(v_pu) == pytest.approx(expected)


@pytest.mark.parametrize("category", ieee1547.CATEGORIES)
def test_the_rest_of_ride_through_is_that_of_the_reference(reference: Any, category: str) -> None:
    settings = RIDE_THROUGH[category]
    sets = reference["voltage_ride_through"]["consecutive_disturbances"][category]
    assert (settings.sets, settings.min_gap_s) == (sets["sets"], sets["min_gap_s"])
    assert settings.rocof_hz_s == reference["rocof_ride_through_hz_per_s"][category]
    jump = reference["phase_jump_ride_through"]
    assert settings.phase_jump_sequence_deg == jump["positive_sequence_deg"]
    assert settings.phase_jump_phase_deg == jump["individual_phase_deg"]
    for row in reference["frequency_ride_through"]["rows"]:
        lo, hi = row["lo"] or row["hi"] - 1.0, row["hi"] or row["lo"] + 1.0
        region = frequency_region(settings.frequency, (lo + hi) / 2)
        assert region is not None
        asked_s = {"none": 0.0, "mandatory": 299.0, "continuous": math.inf}[row["mode"]]
        assert region.ride_through_s == asked_s
        if row["mode"] == "mandatory":
            assert row["rt"] == 299
        if row["mode"] != "none":
            for edge in (lo, hi):
                assert frequency_region(settings.frequency, edge).ride_through_s >= asked_s


@given(category=categories, v_pu=voltages)
def test_every_voltage_has_exactly_one_region(category: str, v_pu: float) -> None:
    region = voltage_region(RIDE_THROUGH[category], v_pu)
    if v_pu > 1.0:
        assert region.lo_pu < v_pu <= region.hi_pu
    else:
        assert region.lo_pu <= v_pu < region.hi_pu
    others = [r for r in RIDE_THROUGH[category].voltage if r is not region and r.lo_pu < v_pu < r.hi_pu]
    assert others == []


@given(category=categories, first=voltages, second=voltages)
def test_farther_from_nominal_never_asks_for_more(category: str, first: float, second: float) -> None:
    settings = RIDE_THROUGH[category]
    for near, far in ((min(first, second), max(first, second)), (max(first, second), min(first, second))):
        if (near >= 1.0 and far >= near) or (near <= 1.0 and far <= near):
            assert required_s(settings, far) <= required_s(settings, near)
            near_operation = voltage_region(settings, near).operation
            assert voltage_region(settings, far).operation >= near_operation


@given(frequency_hz=st.floats(min_value=0.0, max_value=200.0))
def test_every_frequency_has_a_region(frequency_hz: float) -> None:
    region = frequency_region(RIDE_THROUGH["I"].frequency, frequency_hz)
    assert region is not None
    assert (region.operation is Operation.CONTINUOUS) == (58.8 <= frequency_hz <= 61.2)
    assert (region.ride_through_s == 299.0) == (57.0 <= frequency_hz < 58.8 or 61.2 < frequency_hz <= 61.8)


@pytest.mark.parametrize(
    ("category", "v_pu", "operation", "asked_s"),
    [
        ("I", 0.88, Operation.CONTINUOUS, math.inf),
        ("I", 0.72, Operation.MANDATORY, 0.78),
        ("I", 0.70, Operation.MANDATORY, 0.70),
        ("I", 0.4999, Operation.CEASE, 0.0),
        ("II", 0.66, Operation.MANDATORY, 3.087),
        ("II", 0.48, Operation.PERMISSIVE, 0.32),
        ("II", 0.30, Operation.PERMISSIVE, 0.16),
        ("II", 1.15, Operation.PERMISSIVE, 1.0),
        ("II", 1.1501, Operation.PERMISSIVE, 0.5),
        ("II", 1.20, Operation.PERMISSIVE, 0.2),
        ("III", 1.10, Operation.CONTINUOUS, math.inf),
        ("III", 1.20, Operation.MOMENTARY_CESSATION, 12.0),
        ("III", 1.2001, Operation.CEASE, 0.0),
        ("III", 0.70, Operation.MANDATORY, 20.0),
        ("III", 0.50, Operation.MANDATORY, 10.0),
        ("III", 0.0, Operation.MOMENTARY_CESSATION, 1.0),
    ],
)
def test_a_voltage_asks_for_its_row(category: str, v_pu: float, operation: Operation, asked_s: float) -> None:
    settings = RIDE_THROUGH[category]
    assert voltage_region(settings, v_pu).operation is operation
    assert required_s(settings, v_pu) == pytest.approx(asked_s)


def test_what_is_no_number_takes_the_power_away() -> None:
    for category in ieee1547.CATEGORIES:
        for phase in range(3):
            v_pu = tuple(math.nan if at == phase else 1.0 for at in range(3))
            state = RideThrough(RIDE_THROUGH[category]).step(0.0, v_pu, 60.0)
            assert state.operation >= Operation.MOMENTARY_CESSATION


def test_the_hardest_phase_decides() -> None:
    settings = RIDE_THROUGH["III"]
    assert RideThrough(settings).step(0.0, (1.0, 0.8, 1.0), 60.0).operation is Operation.MANDATORY
    assert RideThrough(settings).step(0.0, (1.15, 0.8, 1.0), 60.0).operation is Operation.MOMENTARY_CESSATION
    assert RideThrough(settings).step(0.0, (1.15, 0.4, 1.0), 60.0).remaining_s == 1.0
    assert RideThrough(settings).step(0.0, (1.25, 0.8, 1.0), 60.0).operation is Operation.CEASE
    assert RideThrough(settings).step(0.0, (1.0, 1.0, 1.0), 61.5).operation is Operation.MANDATORY


def test_in_continuous_operation_nothing_runs() -> None:
    states = ride(RideThrough(RIDE_THROUGH["III"]), [(30.0, 1.0)], step_s=0.1)
    assert {state for _, state in states} == {RideThroughState(Operation.CONTINUOUS, math.inf, 0, False)}


@pytest.mark.parametrize(
    ("category", "v_pu", "asked_s"),
    [
        ("III", 0.8, 20.0),
        ("III", 0.6, 10.0),
        ("III", 0.2, 1.0),
        ("III", 1.15, 12.0),
        ("II", 0.8, 4.305),
        ("II", 1.12, 1.0),
    ],
)
def test_what_remains_counts_down_and_then_it_may_trip(category: str, v_pu: float, asked_s: float) -> None:
    states = ride(RideThrough(RIDE_THROUGH[category]), [(1.0, 1.0), (asked_s + 0.5, v_pu)])
    for now_s, state in states:
        if now_s >= 1.0:
            assert state.remaining_s == pytest.approx(max(0.0, asked_s - (now_s - 1.0)), abs=1e-6)
            assert state.disturbances == 1
    first = next(now_s for now_s, state in states if state.may_trip)
    assert first == pytest.approx(1.0 + asked_s, abs=0.011)


def test_times_add_up_over_the_regions_of_one_disturbance() -> None:
    """1 s dead, 9 s at 0.6, 10 s at 0.8: category III is to survive all of it, and not longer."""
    states = ride(RideThrough(RIDE_THROUGH["III"]), [(1.0, 0.02), (9.0, 0.6), (11.0, 0.8)])
    assert not any(state.may_trip for now_s, state in states if now_s < 19.99)
    assert next(now_s for now_s, state in states if state.may_trip) == pytest.approx(20.0, abs=0.011)


def test_a_sloping_region_asks_at_each_voltage_for_its_own_time() -> None:
    """Category II asks 4.913 s at 0.87 and 3.0 s at 0.65; four seconds at 0.87 are no four seconds at 0.65."""
    states = ride(RideThrough(RIDE_THROUGH["II"]), [(4.0, 0.87), (2.0, 0.65)])
    assert next(now_s for now_s, state in states if state.may_trip) == pytest.approx(4.913, abs=0.1)
    back = ride(RideThrough(RIDE_THROUGH["II"]), [(2.0, 0.65), (4.0, 0.87)])
    assert next(now_s for now_s, state in back if state.may_trip) == pytest.approx(4.913, abs=0.02)


@pytest.mark.parametrize("category", ieee1547.CATEGORIES)
def test_disturbances_are_counted_with_their_least_gap(category: str) -> None:
    settings = RIDE_THROUGH[category]
    sag = (0.1, 0.8)
    close = ride(RideThrough(settings), [sag, (settings.min_gap_s - 0.5, 1.0), sag])
    assert close[-1][1].disturbances == 1
    states = ride(RideThrough(settings), [sag, (settings.min_gap_s + 0.5, 1.0)] * settings.sets + [sag])
    counts = [state.disturbances for _, state in states]
    assert counts == sorted(counts)
    assert counts[-1] == settings.sets + 1
    assert [state.may_trip for _, state in states] == [count > settings.sets for count in counts]


def test_close_disturbances_share_their_time_and_distant_ones_do_not() -> None:
    settings = RIDE_THROUGH["III"]
    close = ride(RideThrough(settings), [(0.8, 0.2), (1.0, 1.0), (0.1, 0.2)])
    assert close[-1][1].remaining_s == pytest.approx(0.11, abs=0.011)
    distant = ride(RideThrough(settings), [(0.8, 0.2), (6.0, 1.0), (0.1, 0.2)])
    assert distant[-1][1].remaining_s == pytest.approx(0.91, abs=0.011)


def test_old_disturbances_are_forgotten() -> None:
    settings = RIDE_THROUGH["III"]
    ride_through = RideThrough(settings)
    ride(ride_through, [(0.1, 0.8), (6.0, 1.0)] * 3)
    later = ride(ride_through, [(0.1, 0.8)], start_s=settings.count_window_s + 1.0)
    assert (later[-1][1].disturbances, later[-1][1].may_trip) == (1, False)


def test_reset_forgets_the_past() -> None:
    ride_through = RideThrough(RIDE_THROUGH["III"])
    ride(ride_through, [(0.9, 0.2)])
    ride_through.reset()
    assert ride_through.step(0.9, (0.2, 0.2, 0.2), 60.0) == RideThroughState(
        Operation.MOMENTARY_CESSATION, 1.0, 1, False
    )


def test_a_clock_that_goes_back_takes_no_time_away() -> None:
    ride_through = RideThrough(RIDE_THROUGH["III"])
    for now_s in (10.0, 10.5, 3.0, 3.1):
        state = ride_through.step(now_s, (0.2, 0.2, 0.2), 60.0)
    assert state.remaining_s == pytest.approx(0.4)


def test_frequency_is_ridden_through_for_299_s_in_total() -> None:
    ride_through = RideThrough(RIDE_THROUGH["II"])
    flat = (1.0, 1.0, 1.0)
    now_s = 0.0
    for frequency_hz in [61.5] * 200 + [60.0] * 100 + [57.5] * 99:
        state = ride_through.step(now_s, flat, frequency_hz)
        assert state.operation is (Operation.CONTINUOUS if frequency_hz == 60.0 else Operation.MANDATORY)
        assert not state.may_trip
        now_s += 1.0
    assert state.remaining_s == pytest.approx(1.0)
    assert ride_through.step(now_s, flat, 57.5).may_trip
    for _ in range(602):
        now_s += 1.0
        assert not ride_through.step(now_s, flat, 60.0).may_trip
    assert ride_through.step(now_s + 1.0, flat, 57.5).remaining_s == 299.0


def test_an_unknown_frequency_asks_for_nothing() -> None:
    state = RideThrough(RIDE_THROUGH["I"]).step(0.0, (1.0, 1.0, 1.0), None)
    assert state == RideThroughState(Operation.CONTINUOUS, math.inf, 0, False)


def test_beyond_the_table_nothing_is_asked_and_power_may_stay() -> None:
    state = RideThrough(RIDE_THROUGH["III"]).step(0.0, (1.0, 1.0, 1.0), 62.5)
    assert (state.operation, state.remaining_s, state.may_trip) == (Operation.PERMISSIVE, 0.0, True)


@pytest.mark.parametrize("category", ieee1547.CATEGORIES)
def test_the_defaults_ride_through_everything(category: str) -> None:
    settings = profiles.resolve(nominal_frequency_hz=60.0, category=category)
    assert conflicts(settings.trips, RIDE_THROUGH[category]) == ()
    assert conflicts(profiles.widest(category).trips, RIDE_THROUGH[category]) == ()


@pytest.mark.parametrize(
    ("element", "words"),
    [
        (("OV1", Measured.VOLTAGE, Side.OVER, 1.15, 0.16), "1.15 to 1.2 p.u. must be ridden through for 12 s"),
        (("UV1", Measured.VOLTAGE, Side.UNDER, 0.95, 21.0), "0.88 to 0.95 p.u. must be ridden through without end"),
        (("UV2", Measured.VOLTAGE, Side.UNDER, 0.5, 0.5), "0 to 0.5 p.u. must be ridden through for 1 s"),
        (("OF1", Measured.FREQUENCY, Side.OVER, 61.3, 180.0), "61.3 to 61.8 Hz must be ridden through for 299 s"),
        (("UF1", Measured.FREQUENCY, Side.UNDER, 58.5, 180.0), "57 to 58.5 Hz must be ridden through for 299 s"),
        (
            ("LoM", Measured.ROCOF, Side.OVER, 1.0, 0.5),
            "3 Hz/s must be ridden through (IEEE 1547-2018 6.5.2, Table 21)",
        ),
    ],
)
def test_a_conflict_names_both_times_the_band_and_the_clause(element: Any, words: str) -> None:
    setting = TripSetting(*element, clause="")
    found = conflict(setting, RIDE_THROUGH["III"])
    assert found.startswith(f"{setting.element} trips ")
    assert words in found
    assert "IEEE 1547-2018 6." in found


@pytest.mark.parametrize(
    "element",
    [
        ("OV2", Measured.VOLTAGE, Side.OVER, 1.20, 0.0),
        ("OF2", Measured.FREQUENCY, Side.OVER, 61.8, 0.0),
        ("UF2", Measured.FREQUENCY, Side.UNDER, 57.0, 0.16),
        ("U>", Measured.VOLTAGE_10MIN, Side.OVER, 1.10, 0.1),
        ("LoM", Measured.ROCOF, Side.OVER, 3.0, 0.5),
        ("UV0", Measured.VOLTAGE, Side.UNDER, 0.0, 0.0),
    ],
)
def test_beyond_what_must_be_ridden_through_an_element_may_be_quick(element: Any) -> None:
    assert conflict(TripSetting(*element, clause=""), RIDE_THROUGH["III"]) == ""


@given(
    category=categories,
    side=st.sampled_from(Side),
    threshold=st.floats(min_value=0.05, max_value=1.5),
    time_s=st.floats(min_value=0.0, max_value=30.0),
    depth=st.floats(min_value=0.001, max_value=0.5),
)
def test_without_a_conflict_no_voltage_beyond_asks_for_more_time(
    category: str, side: Side, threshold: float, time_s: float, depth: float
) -> None:
    setting = TripSetting("X", Measured.VOLTAGE, side, threshold, time_s, "")
    v_pu = threshold + depth if side is Side.OVER else max(0.0, threshold - depth)
    if setting.is_beyond(v_pu) and required_s(RIDE_THROUGH[category], v_pu) > time_s + 1e-9:
        assert conflict(setting, RIDE_THROUGH[category])


@pytest.mark.soak
def test_the_curve_cases_leave_no_leave_to_trip(shared_data: Path) -> None:
    """95 % of what is asked at their voltage: nothing may be used up."""
    with (shared_data / "grid/cases.csv").open() as file:
        cases = [case for case in csv.DictReader(file) if case["family"] in ("lvrt_curve", "hvrt_curve")]
    assert len(cases) == 20
    for case in cases:
        settings: RideThroughSettings = RIDE_THROUGH[json.loads(case["settings"])["profile"].removeprefix("default_")]
        segments = [(segment["d"], segment["v"][0]) for segment in json.loads(case["stimulus"])]
        states = ride(RideThrough(settings), segments, step_s=0.001 if segments[1][0] < 1.0 else 0.01)
        assert not any(state.may_trip for _, state in states), case["id"]
        assert any(state.operation is not Operation.CONTINUOUS for _, state in states), case["id"]
