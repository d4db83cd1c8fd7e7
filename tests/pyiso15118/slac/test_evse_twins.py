"""Vehicles that begin anew, never choose, or are two of one name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyiso15118.slac import events as slac
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse import EvseState
from pyiso15118.slac.evse_run import MOST_RUNS
from pyiso15118.slac.evse_watch import BARRED_S, RESTARTS, RESTARTS_WITHIN_S
from pyiso15118.slac.messages import CM_SLAC_MATCH_CNF
from support.slac_rig import EV_MAC, EvseRig, Vehicle

OTHER_MAC = bytes.fromhex("020000000c02")
UNTIL: dict[Step, Callable[[Vehicle], None]] = {
    Step.START: Vehicle.ask,
    Step.SOUND: Vehicle.until_sounds,
    Step.ATTEN_CHAR: Vehicle.until_told,
    Step.MATCH: Vehicle.until_match,
    Step.LINK: lambda vehicle: (vehicle.until_match(), vehicle.match()),
}


def rig_in(step: Step) -> tuple[EvseRig, Vehicle]:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    UNTIL[step](vehicle)
    rig.fresh()
    return rig, vehicle


# ---- one that begins anew ----


@pytest.mark.parametrize("step", [Step.START, Step.ATTEN_CHAR, Step.MATCH])
def test_a_vehicle_that_begins_anew_outside_its_sounds_takes_its_own_place(step: Step) -> None:
    rig, vehicle = rig_in(step)
    again = Vehicle(rig, run_id=b"run-0002")
    again.ask()
    assert rig.machine.matchings == ((EV_MAC, b"run-0002", Step.START),)
    vehicle.respond()
    again.begin_sounds()
    again.sounds()
    rig.wait(0.1)
    again.respond()
    again.match()
    assert rig.machine.vehicle == EV_MAC


def test_two_vehicles_with_one_mac_that_sound_at_once_both_fail_and_are_named() -> None:
    rig, _ = rig_in(Step.SOUND)
    Vehicle(rig, run_id=b"run-0002").ask()
    (failed,) = rig.told(slac.MatchingFailed)
    assert (failed.step, failed.pev_mac) == (Step.SOUND, EV_MAC)
    assert "two vehicles call themselves 02:00:00:00:0c:01" in failed.reason
    assert not rig.machine.matchings
    assert not rig.sent


def test_a_matched_vehicle_that_begins_anew_instead_of_joining_gets_another_key() -> None:
    rig, _ = rig_in(Step.LINK)
    again = Vehicle(rig, run_id=b"run-0002")
    again.ask()
    failed, key = rig.events
    assert isinstance(failed, slac.MatchingFailed)
    assert (failed.step, failed.reason) == (Step.LINK, "the vehicle began a new matching instead of joining")
    assert isinstance(key, slac.SetKey)
    rig.do(rig.machine.key_set)
    rig.linked(again)
    assert rig.answers(CM_SLAC_MATCH_CNF)[-1].nmk == key.nmk


def test_a_linked_vehicle_that_begins_anew_loses_its_link_and_gets_another_key() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    Vehicle(rig).ask()
    assert rig.machine.state is EvseState.LINKED, "a late copy of its own request"
    again = Vehicle(rig, run_id=b"run-0002")
    again.ask()
    assert rig.told(slac.LinkDown)
    rig.do(rig.machine.key_set)
    rig.linked(again)
    first, second = rig.answers(CM_SLAC_MATCH_CNF)
    assert first.nmk != second.nmk


def test_a_stranger_beside_a_linked_vehicle_is_not_answered() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.fresh()
    other = Vehicle(rig, mac=OTHER_MAC, run_id=b"run-0002")
    other.until_match()
    other.match()
    assert not rig.sent
    assert rig.machine.vehicle == EV_MAC


def test_vehicles_that_never_choose_do_not_fill_the_memory_and_are_each_told() -> None:
    rig = EvseRig()
    for n in range(3 * MOST_RUNS):
        Vehicle(rig, mac=bytes((2, 0, 0, 0, 2, n)), run_id=bytes((n,)) * 8).until_match(db=40)
    assert len(rig.machine.matchings) <= MOST_RUNS
    rig.wait(10.0)
    told = [failed for failed in rig.told(slac.MatchingFailed) if failed.step is Step.MATCH]
    assert len(told) >= MOST_RUNS
    assert not rig.machine.matchings


@pytest.mark.parametrize("ends", ["unplugged", "modem lost"])
def test_a_vehicle_that_never_chose_is_not_told_of_any_more_when_all_has_ended(ends: str) -> None:
    rig = EvseRig(parallel_matchings=1)
    Vehicle(rig).until_match()
    Vehicle(rig, mac=OTHER_MAC).ask()
    Vehicle(rig, run_id=b"run-0002").ask()
    assert [mac for mac, _, _ in rig.machine.matchings] == [OTHER_MAC]
    if ends == "unplugged":
        rig.do(rig.machine.plugged, False)
    else:
        rig.lose_modem()
    rig.fresh()
    rig.wait(60.0)
    assert not rig.events


# ---- one that takes no key, or two that take each other's ----


def restart(rig: EvseRig, number: int, mac: bytes = EV_MAC) -> None:
    vehicle = Vehicle(rig, mac=mac, run_id=bytes((number,)) * 8)
    vehicle.ask()
    rig.do(rig.machine.key_set)
    rig.linked(vehicle)


def test_a_matched_mac_that_keeps_beginning_anew_is_two_and_barred_until_the_plug_was_out() -> None:
    rig = EvseRig()
    for n in range(RESTARTS + 1):
        restart(rig, n)
    assert "two vehicles call themselves" in rig.told(slac.MatchingFailed)[-1].reason
    assert rig.machine.vehicle is None
    rig.do(rig.machine.plugged, False)
    rig.do(rig.machine.plugged, True)
    rig.do(rig.machine.key_set)
    rig.linked(Vehicle(rig))
    assert rig.machine.state is EvseState.LINKED


def test_where_no_pilot_tells_of_the_plug_it_is_barred_for_10_minutes() -> None:
    rig = EvseRig(plugged=False, needs_pilot=False)
    for n in range(RESTARTS + 1):
        restart(rig, n)
    rig.wait(BARRED_S - 1.0)
    restart(rig, 9)
    assert rig.machine.vehicle is None
    rig.wait(2.0)
    restart(rig, 9)
    assert rig.machine.vehicle == EV_MAC


def test_who_is_not_barred_is_matched_beside_one_that_is() -> None:
    rig = EvseRig()
    for n in range(RESTARTS + 1):
        restart(rig, n)
    rig.linked(Vehicle(rig, mac=OTHER_MAC))
    assert rig.machine.vehicle == OTHER_MAC


def test_a_pilot_that_is_unknown_for_a_moment_does_not_pardon() -> None:
    rig = EvseRig()
    for n in range(RESTARTS + 1):
        restart(rig, n)
    rig.do(rig.machine.plugged, None)
    rig.do(rig.machine.plugged, True)
    restart(rig, 9)
    assert rig.machine.vehicle is None


def test_new_matchings_far_apart_bar_nobody() -> None:
    rig = EvseRig()
    for n in range(2 * RESTARTS):
        restart(rig, n)
        rig.wait(RESTARTS_WITHIN_S / (RESTARTS - 1) + 1.0)
    assert rig.machine.state is EvseState.LINKED


def test_new_matchings_of_one_vehicle_do_not_bar_another() -> None:
    rig = EvseRig()
    for n in range(RESTARTS):
        restart(rig, n)
    rig.link(False)
    rig.do(rig.machine.key_set)
    for n in range(RESTARTS):
        restart(rig, n, OTHER_MAC)
    assert rig.machine.vehicle == OTHER_MAC


# ---- one that never chooses ----


def undecided(rig: EvseRig, seconds: float, mac: bytes = EV_MAC) -> None:
    """It is told its attenuation again and again, once a second."""
    for n in range(round(seconds)):
        Vehicle(rig, mac=mac, run_id=bytes((n,)) * 8).until_match(db=35)
        rig.wait(0.9)


def test_a_vehicle_that_begins_anew_instead_of_choosing_is_told_every_10_s() -> None:
    rig = EvseRig()
    undecided(rig, 10.0)
    assert not rig.told(slac.MatchingFailed)
    undecided(rig, 11.0)
    first, second = rig.told(slac.MatchingFailed)
    assert first.step is Step.MATCH
    assert first.reason == (
        "no CM_SLAC_MATCH.REQ within 10 s: the vehicle was told an attenuation 10 times and did not choose this EVSE"
    )
    assert (first.pev_mac, first.final) == (EV_MAC, False)
    assert first.attenuation is not None
    assert first.attenuation.average_db == 35.0
    assert second.reason == first.reason
    assert rig.machine.matchings, "it goes on"


def test_a_vehicle_that_was_told_once_and_is_silent_is_told_of_once() -> None:
    rig = EvseRig()
    Vehicle(rig).until_match(db=35)
    rig.wait(11.0)
    (failed,) = rig.told(slac.MatchingFailed)
    assert failed.reason == "no CM_SLAC_MATCH.REQ within 10 s: the vehicle did not choose this EVSE"
    assert not rig.machine.matchings


def test_a_vehicle_that_has_chosen_is_not_said_not_to_have() -> None:
    rig = EvseRig()
    undecided(rig, 5.0)
    rig.linked(Vehicle(rig))
    rig.wait(30.0)
    assert not rig.told(slac.MatchingFailed)
    assert rig.machine.next_deadline() is None
