"""Stations of the driver and vehicles on one simulated line: who is matched to whom, in jumping time."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from pyiso15118.slac import events as ev
from support.plc_line import SimulatedLine
from v2g.control.messages_plc import PlcState
from v2g.hardware.ports import PilotState
from v2g.simulation.powerline_modem import Make

EVSES = range(1, 5)


def eight(seed: int, *, own_db: float, beside_db: float, **options: object) -> SimulatedLine:
    """Vehicle n is plugged in at EVSE n, vehicle n + 4 stands beside it; all eight begin within a moment."""
    line = SimulatedLine(4, 8, seed=seed, **options)  # type: ignore[arg-type]
    for number in EVSES:
        line.attenuate(number, number, own_db)
        line.attenuate(number, number + 4, beside_db)
    chance = random.Random(seed)
    for car in chance.sample(range(1, 9), 8):
        line.plug(car, car if car in EVSES else None)
        line.run(chance.random() * 0.1)
    return line


def macs(line: SimulatedLine, cars: Iterable[int]) -> list[str | None]:
    return [line.mac(car) for car in cars]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("make", ["qualcomm", "st"])
def test_of_eight_vehicles_at_four_evses_the_plugged_ones_are_matched_to_their_own(seed: int, make: Make) -> None:
    line = eight(seed, own_db=8.0, beside_db=25.0, make=make)
    line.until(lambda: line.all_in(PlcState.LINKED), 5.0)
    line.run(2.0)
    assert line.vehicles() == macs(line, EVSES)
    assert [car.linked for car in line.cars] == [True] * 4 + [False] * 4
    assert len({place.line.nid for place in line.places}) == 4
    for place in line.places:
        assert place.line.attenuation is not None
        assert place.line.attenuation.average_db == pytest.approx(8.0, abs=0.5), "of its own, not of whom it heard last"
    now = line.now
    for number in EVSES:
        assert line.powerline.network_of(f"EVSE {number}", now) == (f"vehicle {number}",)
        assert line.powerline.network_of(f"vehicle {number + 4}", now) == ()


def test_a_tenth_of_all_frames_lost_delays_them_and_misleads_nobody() -> None:
    line = eight(3, own_db=8.0, beside_db=25.0, loss=0.1)
    line.until(lambda: line.all_in(PlcState.LINKED), 20.0)
    assert line.vehicles() == macs(line, EVSES)
    assert line.powerline.dropped > 100


@pytest.mark.parametrize("seed", [1, 2])
def test_of_two_that_are_equally_near_only_the_one_that_toggles_the_pilot_is_matched(seed: int) -> None:
    line = eight(seed, own_db=12.0, beside_db=12.0, validate=True)
    line.until(lambda: line.all_in(PlcState.LINKED), 10.0)
    line.run(2.0)
    assert line.vehicles() == macs(line, EVSES)
    assert not any(car.linked for car in line.cars[4:])
    assert any(isinstance(event, ev.Validated) and event.passed for event in line.cars[0].events)


def test_of_two_that_ask_at_the_same_moment_the_other_s_toggles_prove_nothing() -> None:
    line = SimulatedLine(1, 2, validate=True)
    for car in (1, 2):
        line.attenuate(1, car, 12.0)
        line.plug(car, 1 if car == 2 else None)
    line.until(lambda: line.all_in(PlcState.LINKED), 15.0)
    assert line.vehicles() == [line.mac(2)]


def test_a_vehicle_that_is_not_at_this_pilot_does_not_pass_validation_while_its_owner_is_silent() -> None:
    line = SimulatedLine(1, 1, validate=True)
    line.attenuate(1, 1, 12.0)
    line.places[0].station.pilot(PilotState.B)
    line.plug(1, None)
    line.run(6.0)
    assert not line.cars[0].linked
    counted = [event.toggles for event in line.cars[0].events if isinstance(event, ev.Validated)]
    assert counted
    assert set(counted) == {0}


def test_the_next_vehicle_gets_another_key_and_the_first_is_out_of_the_network_at_once() -> None:
    line = SimulatedLine(1, 2)
    for car in (1, 2):
        line.attenuate(1, car, 8.0)
    line.plug(1, 1)
    line.until(lambda: line.all_in(PlcState.LINKED))
    nid = line.places[0].line.nid
    line.unplug(1)
    line.until(lambda: line.all_in(PlcState.FREE), 2.0)
    line.powerline.stations["vehicle 1"].plugged = True
    line.run(1.0)
    assert line.powerline.network_of("vehicle 1", line.now) == ()
    line.powerline.stations["vehicle 1"].plugged = False
    line.plug(2, 1)
    line.until(lambda: line.all_in(PlcState.LINKED))
    assert line.vehicles() == [line.mac(2)]
    assert line.places[0].line.nid != nid


@pytest.mark.parametrize("make", ["qualcomm", "st"])
def test_a_vehicle_off_the_line_is_missed_within_a_second_while_its_plug_is_in(make: Make) -> None:
    line = SimulatedLine(1, 1, make=make)
    line.attenuate(1, 1, 8.0)
    line.plug(1, 1)
    line.until(lambda: line.all_in(PlcState.LINKED))
    line.run(3.0)
    line.powerline.stations["vehicle 1"].plugged = False
    assert line.until(lambda: not line.all_in(PlcState.LINKED)) <= 1.0
    assert any(line.told("PLC_LINK_LOST"))


def test_a_modem_that_stops_answering_is_told_and_found_again() -> None:
    line = SimulatedLine(1, 1)
    line.attenuate(1, 1, 8.0)
    line.plug(1, 1)
    line.until(lambda: line.all_in(PlcState.LINKED))
    modem = line.powerline.stations["EVSE 1"]
    modem.answers = False
    assert line.until(lambda: line.all_in(PlcState.NO_MODEM)) <= 1.5
    modem.answers = True
    line.until(lambda: line.all_in(PlcState.LINKED))


def test_what_is_told_of_a_link_follows_the_line() -> None:
    near, far = SimulatedLine(1, 1, make="st"), SimulatedLine(1, 1, make="st")
    for line, level_db in ((near, 3.0), (far, 18.0)):
        line.attenuate(1, 1, level_db)
        line.plug(1, 1)
        line.until(lambda line=line: line.all_in(PlcState.LINKED))  # type: ignore[misc]
        line.run(2.0)
        told = line.places[0].line.attenuation
        assert told is not None
        assert told.average_db == pytest.approx(level_db, abs=0.5)
        assert told.groups_db[-1] > told.groups_db[0]
    assert near.places[0].line.signal_db == -10.0
    assert far.places[0].line.signal_db == -15.0
    assert (near.places[0].line.tx_mbps or 0.0) > (far.places[0].line.tx_mbps or 0.0)


def test_loss_on_the_line_is_told_as_the_modems_count_it() -> None:
    line = SimulatedLine(1, 1)
    line.attenuate(1, 1, 8.0)
    line.plug(1, 1)
    line.until(lambda: line.all_in(PlcState.LINKED))
    line.run(5.0)
    assert line.places[0].line.packet_loss == 0.0
    line.powerline.loss = 0.3
    line.run(5.0)
    assert line.places[0].line.packet_loss == pytest.approx(0.3, abs=0.12)
    line.powerline.loss = 0.0
    line.run(5.0)
    assert line.places[0].line.packet_loss == 0.0
