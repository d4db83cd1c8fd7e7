"""How long an EVSE waits for the vehicle on its pilot, and for its own modem's key."""

from __future__ import annotations

import pytest

from pyiso15118.slac import events as slac
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse import EvseState
from support.slac_rig import EvseRig, Vehicle

NEIGHBOUR = bytes.fromhex("020000000c09")


def given_up(rig: EvseRig) -> list[slac.MatchingFailed]:
    return [one for one in rig.told(slac.MatchingFailed) if one.pev_mac is None and one.step is not Step.KEY]


# ---- a silent vehicle ----


def test_a_silent_vehicle_sees_errors_on_its_pilot_until_the_retries_are_used_up() -> None:
    rig = EvseRig()
    rig.wait(49.9)
    assert not rig.events
    rig.wait(0.1)
    assert [type(event) for event in rig.events] == [slac.MatchingFailed, slac.PilotErrorWanted]
    assert rig.told(slac.PilotErrorWanted)[0].for_s == 4.0
    assert rig.machine.state is EvseState.ERROR
    Vehicle(rig).ask()
    assert not rig.sent, "no answer while E or F is shown"
    rig.wait(4.0)
    assert rig.machine.state is EvseState.WAITING
    rig.wait(500.0)
    failures = rig.told(slac.MatchingFailed)
    assert [failed.final for failed in failures] == [False, False, True]
    assert len(rig.told(slac.PilotErrorWanted)) == 2
    assert all(failed.step is Step.PARM and failed.pev_mac is None for failed in failures)
    assert "attempt 3 of 3" in failures[-1].reason


def test_a_vehicle_that_comes_after_the_last_attempt_is_matched_all_the_same() -> None:
    rig = EvseRig()
    rig.wait(500.0)
    rig.linked(Vehicle(rig))
    assert rig.machine.state is EvseState.LINKED


def test_a_late_vehicle_that_fails_is_told_once_and_shown_no_further_error() -> None:
    rig = EvseRig()
    rig.wait(500.0)
    rig.fresh()
    Vehicle(rig).ask()
    rig.wait(500.0)
    assert [one.step for one in rig.told(slac.MatchingFailed)] == [Step.START]
    assert not rig.told(slac.PilotErrorWanted)


def test_a_failed_vehicle_that_does_not_begin_again_sees_an_error_which_names_the_step() -> None:
    rig = EvseRig()
    Vehicle(rig).until_sounds()
    rig.wait(0.6 + 9.9)
    assert not rig.told(slac.PilotErrorWanted)
    rig.wait(0.1)
    assert rig.told(slac.PilotErrorWanted)
    assert rig.told(slac.MatchingFailed)[-1].step is Step.SOUND


# ---- what the wait is for ----


def test_a_neighbours_vehicle_that_chose_another_evse_takes_no_time_from_the_one_on_the_pilot() -> None:
    rig = EvseRig()
    rig.wait(5.0)
    Vehicle(rig, mac=NEIGHBOUR).until_match(db=30)
    rig.wait(49.9 - 5.1)
    assert [failed.pev_mac for failed in rig.told(slac.MatchingFailed)] == [NEIGHBOUR]
    assert rig.machine.state is EvseState.WAITING
    rig.wait(0.2)
    (failed,) = given_up(rig)
    assert failed.step is Step.MATCH
    assert failed.reason == (
        "nobody was matched within 50 s of a vehicle on the pilot: who asked last did not choose this EVSE; "
        "attempt 1 of 3"
    )
    assert rig.told(slac.PilotErrorWanted)[0].reason == failed.reason


def test_a_vehicle_that_did_not_choose_late_has_10_s_to_begin_again() -> None:
    rig = EvseRig()
    rig.wait(45.0)
    Vehicle(rig).until_match(db=30)
    rig.wait(10.0 + 9.9)
    assert not given_up(rig)
    rig.wait(0.1)
    (failed,) = given_up(rig)
    assert failed.reason == "the vehicle did not begin again within 10 s of a failed matching; attempt 1 of 3"


def test_a_vehicle_is_not_blamed_for_a_key_that_the_own_modem_refuses() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.match()
    rig.wait(12.0)
    for _ in range(10):
        rig.machine.key_failed("result 0x00", rig.now)
        rig.wait(2.0)
    assert not given_up(rig)
    assert not rig.told(slac.PilotErrorWanted)
    assert rig.machine.state is EvseState.KEYING
    rig.do(rig.machine.key_set)
    rig.wait(49.9)
    assert not given_up(rig)
    rig.wait(0.1)
    assert given_up(rig)[0].step is Step.PARM


def test_a_modem_that_begins_anew_gets_one_key_though_its_last_was_refused() -> None:
    rig = EvseRig(boots=False)
    rig.do(rig.machine.start)
    rig.machine.key_failed("result 0x00", rig.now)
    rig.wait(1.0)
    rig.do(rig.machine.start)
    rig.fresh()
    rig.wait(10.0)
    assert not rig.events


def test_where_no_pilot_is_needed_one_that_shows_a_vehicle_has_it_waited_for() -> None:
    rig = EvseRig(plugged=False, needs_pilot=False)
    rig.wait(60.0)
    assert not rig.events
    rig.do(rig.machine.plugged, True)
    rig.wait(50.0)
    assert given_up(rig)
    assert rig.machine.state is EvseState.ERROR


def test_where_no_pilot_is_needed_one_that_shows_a_vehicle_disturbs_no_matching() -> None:
    rig = EvseRig(plugged=False, needs_pilot=False)
    vehicle = Vehicle(rig)
    vehicle.until_told()
    rig.do(rig.machine.plugged, True)
    vehicle.respond()
    vehicle.match()
    rig.link(True)
    rig.wait(100.0)
    assert rig.machine.state is EvseState.LINKED
    assert not rig.told(slac.MatchingFailed)


@pytest.mark.parametrize("linked", [False, True])
def test_a_vehicle_that_was_linked_has_all_attempts_again(linked: bool) -> None:
    rig = EvseRig()
    rig.wait(50.0 + 4.0 + 50.0 + 4.0)
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.match()
    if linked:
        rig.link(True)
        rig.link(False)
    else:
        rig.wait(12.0)
    rig.do(rig.machine.key_set)
    rig.fresh()
    rig.wait(500.0)
    assert [failed.final for failed in given_up(rig)] == ([False, False, True] if linked else [True])


def test_an_error_on_the_pilot_ends_with_the_whole_wait_again() -> None:
    rig = EvseRig()
    Vehicle(rig).ask()
    rig.wait(0.4 + 10.0)
    assert rig.machine.state is EvseState.ERROR
    rig.wait(3.9)
    assert rig.machine.state is EvseState.ERROR
    rig.wait(0.1)
    assert rig.machine.state is EvseState.WAITING
    rig.fresh()
    rig.wait(49.9)
    assert not rig.events
    rig.wait(0.1)
    assert given_up(rig)[0].reason == "no CM_SLAC_PARM.REQ within 50 s of a vehicle on the pilot; attempt 2 of 3"


def test_a_failed_vehicle_is_not_waited_for_while_another_one_matches() -> None:
    rig = EvseRig(validate=True)
    other = Vehicle(rig, mac=NEIGHBOUR, run_id=b"run-0009")
    other.until_match()
    Vehicle(rig).ask()
    rig.wait(9.0)
    assert rig.told(slac.MatchingFailed)[0].step is Step.START
    other.validate(0)
    rig.wait(9.0)
    assert not given_up(rig)
    other.match()
    assert rig.machine.vehicle == NEIGHBOUR


def test_without_a_pilot_nobody_is_shown_an_error_for_a_failed_matching() -> None:
    rig = EvseRig(plugged=False, needs_pilot=False)
    Vehicle(rig).ask()
    rig.wait(100.0)
    assert [type(event) for event in rig.events] == [slac.MatchingStarted, slac.MatchingFailed]


def test_a_vehicle_that_was_plugged_in_before_the_key_has_its_time_from_the_key_on() -> None:
    rig = EvseRig(boots=False)
    rig.do(rig.machine.start)
    rig.wait(30.0)
    rig.do(rig.machine.key_set)
    rig.wait(49.9)
    assert not given_up(rig)
    rig.wait(0.1)
    assert given_up(rig)


def test_word_of_a_vehicle_that_is_known_already_lengthens_no_wait() -> None:
    rig = EvseRig()
    for _ in range(5):
        rig.wait(9.9)
        rig.do(rig.machine.plugged, True)
    assert not rig.events
    rig.wait(0.6)
    assert given_up(rig)


def test_a_renewed_key_does_not_lengthen_the_time_to_begin_again() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.match()
    rig.wait(12.0 + 5.0)
    rig.do(rig.machine.key_set)
    rig.wait(4.9)
    assert not given_up(rig)
    rig.wait(0.1)
    assert given_up(rig)[0].step is Step.LINK
