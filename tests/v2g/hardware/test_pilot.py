"""Levels, duty, frequency and earth of the control pilot at the edges of their limits."""

from __future__ import annotations

from typing import Any

import pytest

from v2g.hardware.pilot import (
    DUTY,
    EARTH,
    FREQUENCY,
    HIGH,
    LOW,
    MAX_EARTH_OHM,
    STATE,
    PilotWatch,
    ampacity_a,
    duty_for_pct,
    judge,
    state_of_level,
)  # fmt: skip
from v2g.hardware.ports import PilotReading, PilotState


def reading(**changes: Any) -> PilotReading:
    good = {"high_v": 6.0, "low_v": -12.0, "duty_pct": 5.0, "frequency_hz": 1000.0, "earth_ohm": 0.5}
    return PilotReading(**{**good, **changes})


def limits(read: PilotReading, duty: float | None = 5.0) -> tuple[str, ...]:
    return tuple(finding.limit for finding in judge(read, duty).findings)


@pytest.mark.parametrize(
    ("level", "state"),
    [
        (13.0, "A"), (11.0, "A"), (10.0, "B"), (8.0, "B"), (7.0, "C"), (5.0, "C"), (4.0, "D"), (2.0, "D"),
        (1.0, "E"), (-1.0, "E"), (-11.0, "F"), (-13.0, "F"), (13.1, None), (-1.1, None), (-10.9, None), (-13.1, None),
    ],
)  # fmt: skip
def test_a_level_means_a_state_to_the_edge_of_its_range(level: float, state: str | None) -> None:
    assert state_of_level(level) == state


@pytest.mark.parametrize(
    ("level", "alone", "neighbours"),
    [(10.5, "A", "AB"), (7.5, "B", "BC"), (4.5, "C", "CD"), (1.5, "E", "DE")],
)
def test_between_two_states_the_one_before_stays(level: float, alone: str, neighbours: str) -> None:
    assert state_of_level(level) == alone
    for state in PilotState:
        assert state_of_level(level, state) == (state if state in neighbours else alone)


def test_a_level_that_is_no_number_is_no_state() -> None:
    assert state_of_level(float("nan")) is None


@pytest.mark.parametrize(
    ("changes", "duty", "found"),
    [
        ({}, 5.0, ()),
        ({"duty_pct": 4.5}, 5.0, ()),
        ({"duty_pct": 5.5}, 5.0, ()),
        ({"duty_pct": 4.49}, 5.0, (DUTY,)),
        ({"duty_pct": 5.51}, 5.0, (DUTY,)),
        ({"duty_pct": 100.0, "low_v": None, "frequency_hz": None}, 100.0, ()),
        ({"duty_pct": 100.0, "low_v": None, "frequency_hz": None}, 5.0, (DUTY,)),
        ({"duty_pct": 99.4}, 100.0, (DUTY,)),
        ({"duty_pct": 12.0}, None, ()),
        ({"frequency_hz": 995.0}, 5.0, ()),
        ({"frequency_hz": 1005.1}, 5.0, (FREQUENCY,)),
        ({"low_v": -11.4}, 5.0, ()),
        ({"low_v": -11.3}, 5.0, (LOW,)),
        ({"low_v": -12.7}, 5.0, (LOW,)),
        ({"high_v": 7.5}, 5.0, (HIGH,)),
        ({"high_v": 12.6}, 5.0, ()),
        ({"high_v": 12.7}, 5.0, (HIGH,)),
        ({"high_v": -5.0}, 5.0, (STATE,)),
        ({"earth_ohm": MAX_EARTH_OHM}, 5.0, ()),
        ({"earth_ohm": MAX_EARTH_OHM + 1}, 5.0, (EARTH,)),
        ({"earth_ohm": None, "earth_ok": False}, 5.0, (EARTH,)),
        ({"earth_ohm": None, "earth_ok": True}, 5.0, ()),
    ],
)
def test_each_limit_is_found_beyond_its_edge_and_not_on_it(
    changes: dict[str, Any], duty: float | None, found: tuple[str, ...]
) -> None:
    assert limits(reading(**changes), duty) == found
    assert judge(reading(**changes), duty).passed is not bool(found)


@pytest.mark.parametrize(("high_v", "energy"), [(12.0, False), (9.0, False), (6.0, True), (3.0, True), (0.0, False)])
def test_energy_needs_a_ready_vehicle(high_v: float, energy: bool) -> None:
    assert judge(reading(high_v=high_v), 5.0).energy is energy


@pytest.mark.parametrize("changes", [{"low_v": -6.0}, {"earth_ohm": 5e3}, {"high_v": None, "state": None}])
def test_no_energy_without_diode_earth_or_state(changes: dict[str, Any]) -> None:
    assert not judge(reading(**changes), 5.0).energy


def test_a_wrong_frequency_is_told_and_stops_nothing() -> None:
    verdict = judge(reading(frequency_hz=900.0), 5.0)
    assert verdict.energy
    assert verdict.problem == "frequency 900 Hz, allowed 995..1005 Hz"


def test_states_e_and_f_fail_and_say_so() -> None:
    assert not judge(PilotReading(high_v=0.0), 5.0).passed
    assert judge(PilotReading(high_v=-12.0), 5.0).problem.startswith("state F")


def test_what_the_device_says_counts_where_no_level_is_measured() -> None:
    assert judge(PilotReading(state=PilotState.C), 5.0).energy
    assert judge(PilotReading(), 5.0).problem == "no state is measured"


def test_energy_waits_for_the_debounce_and_ends_at_once() -> None:
    watch = PilotWatch(debounce_s=0.1)
    watch.observe(reading(), 5.0, 10.0)
    assert not watch.energy
    watch.observe(reading(), 5.0, 10.125)
    assert watch.energy
    watch.observe(reading(high_v=7.9), 5.0, 10.2)
    assert watch.energy, "between B and C the state stays"
    watch.observe(reading(high_v=9.0), 5.0, 10.3)
    assert not watch.energy


@pytest.mark.parametrize(
    ("duty", "amperes"),
    [(5.0, None), (7.9, None), (8.0, 6.0), (10.0, 6.0), (53.0, 31.8), (85.0, 51.0), (96.0, 80.0), (97.0, 80.0),
     (97.1, None), (100.0, None)],
)  # fmt: skip
def test_the_duty_cycle_offers_a_current(duty: float, amperes: float | None) -> None:
    assert ampacity_a(duty) == (None if amperes is None else pytest.approx(amperes))


@pytest.mark.parametrize("amperes", [6.0, 16.0, 32.0, 51.0, 63.0, 80.0])
def test_offer_and_duty_are_inverse(amperes: float) -> None:
    assert ampacity_a(duty_for_pct(amperes)) == pytest.approx(amperes)


def test_no_duty_for_a_current_that_the_pilot_cannot_offer() -> None:
    for amperes in (5.9, 80.1):
        with pytest.raises(ValueError, match=r"6\.\.80"):
            duty_for_pct(amperes)


def test_a_generator_that_stands_still_where_a_wave_is_ordered_hides_no_missing_diode() -> None:
    verdict = judge(PilotReading(high_v=6.0, low_v=6.0, duty_pct=100.0), 5.0)
    assert verdict.state is PilotState.C
    assert not verdict.energy
    assert judge(PilotReading(high_v=6.0, low_v=6.0, duty_pct=100.0), 100.0).energy
