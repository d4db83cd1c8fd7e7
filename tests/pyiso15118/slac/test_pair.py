"""Both sides of SLAC against each other on a small line, with losses: both link, or both end cleanly."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.slac import events as slac
from pyiso15118.slac.ev import EvState
from pyiso15118.slac.evse import EvseState
from support.examples import examples
from support.slac_line import Line, Node

SETTLED_S = 250.0
"""Three times TT_EVSE_SLAC_init, and what is between."""


def clean_end(line: Line) -> None:
    """Nobody waits for anything any more, and both sides say the same."""
    for vehicle in line.vehicles:
        assert vehicle.machine.state in (EvState.LINKED, EvState.FAILED)
        assert vehicle.machine.next_deadline() is None
        if vehicle.machine.state is EvState.LINKED:
            (evse,) = [evse for evse in line.evses if evse.mac == vehicle.machine.chosen]
            assert evse.machine.vehicle == vehicle.mac
            assert evse.machine.state is EvseState.LINKED
            assert vehicle.nid == evse.nid == evse.machine.nid
            assert vehicle.nmk == evse.nmk == vehicle.told(slac.SetKey)[-1].nmk
    for evse in line.evses:
        assert evse.machine.state in (EvseState.LINKED, EvseState.WAITING, EvseState.FREE)
        assert evse.machine.next_deadline() is None
        if evse.machine.state is EvseState.LINKED:
            (vehicle,) = [vehicle for vehicle in line.vehicles if vehicle.mac == evse.machine.vehicle]
            assert vehicle.machine.state is EvState.LINKED
    keys = [nmk for _, nmk in line.given]
    assert len(set(keys)) == len(keys)


def at_its_own(line: Line, vehicle: Node) -> bool:
    return vehicle.machine.state is EvState.LINKED and vehicle.machine.chosen == line.evse_of(vehicle).mac


@pytest.mark.parametrize(("evses", "vehicles"), [(1, 1), (2, 1), (5, 1), (2, 2), (5, 4)])
@pytest.mark.parametrize("validate", [False, True])
def test_each_vehicle_is_matched_at_its_own_evse(evses: int, vehicles: int, validate: bool) -> None:
    line = Line(evses, vehicles, validate=validate)
    line.begin(everywhere=True)
    line.run(8.0)
    assert all(at_its_own(line, vehicle) for vehicle in line.vehicles)
    line.run(SETTLED_S)
    clean_end(line)


@settings(max_examples=examples(50))
@given(levels=st.lists(st.integers(0, 40), min_size=5, max_size=5))
def test_of_five_evses_that_answer_the_nearest_is_matched_if_it_is_near_enough(levels: list[int]) -> None:
    line = Line(5, 1, pairs_db={(evse, 0): level for evse, level in enumerate(levels)})
    line.begin(everywhere=True)
    line.run(SETTLED_S)
    clean_end(line)
    (vehicle,) = line.vehicles
    heard = [evse.told(slac.Sounded)[0].attenuation.average_db for evse in line.evses]
    assert heard == levels
    if min(levels) <= 20:
        (up,) = vehicle.told(slac.LinkUp)
        assert up.attenuation.average_db == min(levels)
        assert up.evse_mac in {evse.mac for evse, level in zip(line.evses, levels, strict=True) if level == min(levels)}
        assert vehicle.machine.state is EvState.LINKED
    else:
        assert vehicle.machine.state is EvState.FAILED
        assert not vehicle.told(slac.SetKey)


def test_toggles_tell_two_evses_apart_that_are_as_near() -> None:
    line = Line(2, 2, own_db=8, other_db=8, validate=True)
    line.begin(apart_s=6.0)
    line.run(30.0)
    assert all(at_its_own(line, vehicle) for vehicle in line.vehicles)


def test_with_35_db_everywhere_nobody_is_matched_and_both_sides_say_so() -> None:
    line = Line(2, 2, own_db=35, other_db=35)
    line.begin()
    line.run(SETTLED_S)
    clean_end(line)
    for vehicle in line.vehicles:
        assert vehicle.told(slac.MatchingFailed)[-1].final
        assert "35.0 dB" in vehicle.told(slac.MatchingFailed)[-1].reason
    for evse in line.evses:
        assert any("did not choose" in failed.reason for failed in evse.told(slac.MatchingFailed))
        assert evse.told(slac.MatchingFailed)[-1].final


def test_an_evse_that_hears_no_vehicle_shows_errors_and_ends() -> None:
    line = Line(1, 1, loses=lambda number: True)
    line.begin()
    line.run(SETTLED_S)
    clean_end(line)
    assert len(line.evses[0].told(slac.PilotErrorWanted)) == 2
    assert line.vehicles[0].told(slac.MatchingFailed)[-1].final


def test_a_vehicle_that_lost_everything_at_first_is_matched_after_the_error_on_its_pilot() -> None:
    line = Line(1, 1)
    line.loses = lambda number: line.now < 20.0
    line.begin()
    line.run(SETTLED_S)
    clean_end(line)
    assert at_its_own(line, line.vehicles[0])


def test_four_vehicles_at_one_evse_leave_one_link() -> None:
    line = Line(1, 4)
    line.begin(apart_s=0.02)
    line.run(SETTLED_S)
    clean_end(line)
    assert sum(vehicle.machine.state is EvState.LINKED for vehicle in line.vehicles) == 1


def test_unplugging_and_plugging_in_again_brings_another_key() -> None:
    line = Line(1, 1)
    line.begin()
    line.run(8.0)
    evse, vehicle = line.evses[0], line.vehicles[0]
    first = vehicle.nid
    evse.machine.plugged(False, line.now)
    vehicle.machine.unplugged(line.now)
    line.run(1.0)
    evse.machine.plugged(True, line.now)
    vehicle.machine.start(line.now)
    line.run(8.0)
    assert at_its_own(line, vehicle)
    assert vehicle.nid not in (b"", first)


@settings(max_examples=examples(150))
@given(lost=st.sets(st.integers(0, 60), max_size=40), validate=st.booleans(), delay_ms=st.integers(0, 40))
def test_whatever_is_lost_of_one_matching_both_sides_link_or_end(lost: set[int], validate: bool, delay_ms: int) -> None:
    line = Line(1, 1, loses=lost.__contains__, validate=validate, delay_s=delay_ms / 1000)
    line.begin()
    line.run(SETTLED_S)
    clean_end(line)


@settings(max_examples=examples(50))
@given(
    size=st.sampled_from([(1, 1), (1, 3), (2, 2), (2, 4), (5, 4)]),
    share=st.sampled_from([0.02, 0.1, 0.3, 0.6]),
    seed=st.integers(0, 2**32),
    validate=st.booleans(),
)
def test_on_a_bad_line_each_vehicle_and_each_evse_link_or_end(
    size: tuple[int, int], share: float, seed: int, validate: bool
) -> None:
    chance = Random(seed)
    loses: Callable[[int], bool] = lambda number: chance.random() < share  # noqa: E731
    line = Line(*size, loses=loses, validate=validate, seed=seed)
    line.begin(apart_s=0.1)
    line.run(SETTLED_S)
    clean_end(line)
