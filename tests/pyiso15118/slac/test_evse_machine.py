"""The EVSE's side of SLAC, behaviour by behaviour, in injected time."""

from __future__ import annotations

import pytest

from pyiso15118.slac import events as slac
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse import EvseState
from pyiso15118.slac.messages import (
    CM_AMP_MAP_CNF,
    CM_AMP_MAP_REQ,
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_PROFILE_IND,
    CM_SLAC_MATCH_CNF,
    CM_SLAC_PARM_CNF,
    CM_SLAC_PARM_REQ,
)
from support.slac_rig import EV_MAC, EVSE_MAC, MODEM_MAC, SOUNDS, EvseRig, Vehicle

OTHER_MAC = bytes.fromhex("020000000c02")
OTHER_EVSE = bytes.fromhex("020000000a02")


def only_failure(rig: EvseRig) -> slac.MatchingFailed:
    (failed,) = rig.told(slac.MatchingFailed)
    return failed


# ---- before anybody is answered ----


def test_nobody_is_answered_before_the_modem_has_the_key() -> None:
    rig = EvseRig(boots=False)
    vehicle = Vehicle(rig)
    vehicle.ask()
    rig.do(rig.machine.start)
    vehicle.ask()
    assert rig.machine.state is EvseState.KEYING
    assert not rig.sent
    rig.do(rig.machine.key_set)
    vehicle.ask()
    (answer,) = rig.answers(CM_SLAC_PARM_CNF)
    assert (answer.num_sounds, answer.time_out_100ms, answer.run_id) == (SOUNDS, 6, vehicle.run_id)


@pytest.mark.parametrize("pilot", [None, False])
def test_nobody_is_answered_while_the_pilot_shows_nobody_or_is_unknown(pilot: bool | None) -> None:
    rig = EvseRig(plugged=False)
    rig.do(rig.machine.plugged, pilot)
    Vehicle(rig).ask()
    assert not rig.sent
    assert rig.machine.state is EvseState.FREE
    assert rig.machine.next_deadline() is None


def test_without_a_pilot_everybody_is_answered_and_nobody_is_waited_for() -> None:
    rig = EvseRig(plugged=False, needs_pilot=False)
    rig.wait(200.0)
    assert not rig.events
    Vehicle(rig).ask()
    assert rig.answers(CM_SLAC_PARM_CNF)


def test_a_refused_key_is_followed_by_another_and_told() -> None:
    rig = EvseRig(boots=False)
    rig.do(rig.machine.start)
    rig.machine.key_failed("result 0x02", rig.now)
    rig.collect()
    assert (only_failure(rig).step, only_failure(rig).reason) == (Step.KEY, "result 0x02")
    rig.wait(2.0)
    first, second = rig.told(slac.SetKey)
    assert first.nmk != second.nmk
    rig.do(rig.machine.key_set)
    assert rig.machine.state is EvseState.WAITING


def test_late_word_of_a_refused_key_changes_nothing() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.fresh()
    rig.machine.key_failed("late", rig.now)
    rig.collect()
    assert rig.machine.state is EvseState.LINKED
    rig.lose_modem()
    rig.fresh()
    rig.machine.key_failed("late", rig.now)
    rig.wait(10.0)
    assert not rig.events


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
    assert only_failure(rig).step is Step.START
    assert not rig.told(slac.PilotErrorWanted)


def test_a_failed_vehicle_that_does_not_begin_again_sees_an_error_which_names_the_step() -> None:
    rig = EvseRig()
    Vehicle(rig).until_sounds()
    rig.wait(0.6 + 9.9)
    assert not rig.told(slac.PilotErrorWanted)
    rig.wait(0.1)
    assert rig.told(slac.PilotErrorWanted)
    assert rig.told(slac.MatchingFailed)[-1].step is Step.SOUND


# ---- parameters ----


def test_a_repeated_request_is_answered_again_in_the_same_matching() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.ask()
    rig.wait(0.2)
    vehicle.ask()
    rig.wait(0.3)
    assert len(rig.answers(CM_SLAC_PARM_CNF)) == 2
    assert len(rig.told(slac.MatchingStarted)) == 1
    assert rig.machine.matchings == ((EV_MAC, vehicle.run_id, Step.START),)


def test_a_request_that_is_only_ever_repeated_fails_in_the_end() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    for _ in range(40):
        vehicle.ask()
        rig.wait(0.3)
    assert only_failure(rig).step is Step.START


def test_requests_of_another_application_or_with_security_are_not_for_us() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    for fields in ({"application_type": 1}, {"security_type": 1}):
        rig.hear(CM_SLAC_PARM_REQ(run_id=vehicle.run_id, **fields), EV_MAC)
    rig.hear(CM_SLAC_PARM_REQ(run_id=vehicle.run_id), b"\x03" + EV_MAC[1:])
    assert not rig.sent
    assert rig.machine.ignored["not for us"] == 3


def test_one_vehicle_more_than_the_limit_is_refused_and_told_once() -> None:
    rig = EvseRig(parallel_matchings=2)
    for n in range(2):
        Vehicle(rig, mac=bytes((2, 0, 0, 0, 1, n)), run_id=bytes((n,)) * 8).ask()
    late = Vehicle(rig)
    late.ask()
    late.ask()
    assert len(rig.answers(CM_SLAC_PARM_CNF)) == 2
    assert only_failure(rig).reason == "2 vehicles match here already"
    rig.wait(0.5)
    late.ask()
    assert rig.sent[-1].destination == EV_MAC, "a place is free again"


def test_without_a_beginning_of_sounds_the_matching_fails() -> None:
    rig = EvseRig()
    Vehicle(rig).ask()
    rig.wait(0.39)
    assert rig.machine.state is EvseState.MATCHING
    rig.wait(0.01)
    assert only_failure(rig).step is Step.START
    assert "0.4 s" in only_failure(rig).reason


# ---- sounds ----


def test_the_result_follows_the_last_profile_by_50_ms_and_bears_the_calibrated_average() -> None:
    rig = EvseRig(calibration_db=3.0)
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    vehicle.sounds(db=12)
    rig.wait(0.04)
    assert not rig.answers(CM_ATTEN_CHAR_IND)
    rig.wait(0.01)
    (told,) = rig.answers(CM_ATTEN_CHAR_IND)
    assert (told.num_sounds, set(told.aag), told.source_address) == (SOUNDS, {9}, EV_MAC)
    assert rig.told(slac.Sounded)[0].attenuation.average_db == 9.0


def test_silence_after_the_beginning_fails_and_says_that_nothing_was_heard() -> None:
    rig = EvseRig()
    Vehicle(rig).until_sounds()
    rig.wait(0.6)
    assert only_failure(rig).step is Step.SOUND
    assert "none of 10 sounds was heard within 0.6 s" in only_failure(rig).reason


def test_sounds_that_the_modem_does_not_measure_are_the_modems_fault_and_said_so() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    for cnt in reversed(range(SOUNDS)):
        vehicle.sound(cnt)
    rig.wait(0.6)
    assert "the modem measured none of the 10 sounds" in only_failure(rig).reason


def test_fewer_profiles_than_sounds_are_averaged_over_those_there_are() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    for db in (4, 6, 11):
        vehicle.profile(db)
    rig.wait(0.59)
    assert not rig.answers(CM_ATTEN_CHAR_IND)
    rig.wait(0.01)
    (told,) = rig.answers(CM_ATTEN_CHAR_IND)
    assert (told.num_sounds, set(told.aag)) == (3, {7})


def test_the_profile_of_a_replayed_sound_and_surplus_profiles_do_not_count() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    vehicle.sound(9)
    vehicle.profile(10)
    vehicle.sound(9)
    vehicle.profile(0)
    vehicle.sound(SOUNDS)
    vehicle.profile(0)
    for cnt in reversed(range(9)):
        vehicle.sound(cnt)
        vehicle.profile(10)
    vehicle.profile(0)
    rig.wait(0.1)
    assert rig.told(slac.Sounded)[0].attenuation.average_db == 10.0
    assert rig.machine.ignored["replayed sound"] == 2
    assert rig.machine.ignored["surplus profile"] == 3


def test_profiles_with_another_number_of_groups_do_not_count() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    vehicle.profile(10)
    vehicle.profile((0,) * 4)
    rig.wait(0.6)
    assert rig.told(slac.Sounded)[0].attenuation.sounds == 1


def test_sounds_of_a_foreign_run_do_not_count() -> None:
    rig = EvseRig()
    Vehicle(rig).until_sounds()
    foreign = Vehicle(rig, run_id=b"foreign!")
    foreign.begin_sounds()
    foreign.sound(3)
    foreign.respond()
    assert rig.machine.ignored["foreign run"] == 5
    assert rig.machine.matchings == ((EV_MAC, b"run-0001", Step.SOUND),)


def test_profiles_count_from_the_own_modem_only_once_it_is_known() -> None:
    rig = EvseRig()
    rig.machine.modem_mac = OTHER_EVSE
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    vehicle.sounds(db=1)
    assert rig.machine.ignored["foreign profile"] == SOUNDS
    vehicle.profile(7, modem=OTHER_EVSE)
    rig.wait(0.6)
    assert rig.told(slac.Sounded)[0].attenuation.average_db == 7.0


@pytest.mark.parametrize(("source", "counted"), [(MODEM_MAC, 1), (OTHER_EVSE, 0)])
def test_the_own_modem_may_send_its_profiles_to_any_address(source: bytes, counted: int) -> None:
    rig = EvseRig()
    rig.machine.modem_mac = MODEM_MAC
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    rig.hear(CM_ATTEN_PROFILE_IND(pev_mac=EV_MAC, aag=(8,) * 58), source, OTHER_MAC)
    rig.wait(0.6)
    assert len(rig.answers(CM_ATTEN_CHAR_IND)) == counted


# ---- the result, and the choice ----


def test_an_unanswered_result_is_sent_again_twice_and_then_fails() -> None:
    rig = EvseRig()
    Vehicle(rig).until_told()
    rig.wait(0.5)
    assert len(rig.answers(CM_ATTEN_CHAR_IND)) == 3
    rig.wait(0.1)
    assert (only_failure(rig).step, len(rig.answers(CM_ATTEN_CHAR_IND))) == (Step.ATTEN_CHAR, 3)
    assert only_failure(rig).attenuation is not None


def test_an_answer_to_the_repeated_result_is_as_good() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_told()
    rig.wait(0.45)
    vehicle.respond()
    vehicle.respond()
    vehicle.match()
    assert rig.answers(CM_SLAC_MATCH_CNF)
    assert rig.machine.ignored["out of order"] == 1


def test_a_refused_result_ends_the_matching() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_told()
    vehicle.respond(result=1)
    assert only_failure(rig).step is Step.ATTEN_CHAR
    assert "with 1" in only_failure(rig).reason
    vehicle.match()
    assert not rig.answers(CM_SLAC_MATCH_CNF)


def test_a_response_to_another_evse_is_not_ours() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_told()
    vehicle.respond(to=OTHER_EVSE)
    assert rig.machine.matchings[0][2] is Step.ATTEN_CHAR
    assert rig.machine.ignored["for another station"] == 1


def test_a_vehicle_that_chooses_another_is_told_with_its_attenuation() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_match(db=27)
    vehicle.match(evse=OTHER_EVSE)
    vehicle.match(to=OTHER_EVSE)
    rig.wait(9.9)
    assert not rig.told(slac.MatchingFailed)
    rig.wait(0.1)
    failed = only_failure(rig)
    assert failed.step is Step.MATCH
    assert "did not choose" in failed.reason
    assert failed.attenuation is not None
    assert failed.attenuation.average_db == 27.0
    assert not rig.answers(CM_SLAC_MATCH_CNF)


def test_a_match_before_its_turn_gets_no_key() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    for step in (vehicle.ask, vehicle.begin_sounds, vehicle.sounds, lambda: rig.wait(0.1)):
        step()
        vehicle.match()
    assert not rig.answers(CM_SLAC_MATCH_CNF)
    vehicle.respond()
    vehicle.match()
    assert rig.answers(CM_SLAC_MATCH_CNF)


def test_a_repeated_match_is_confirmed_again_with_the_same_key_until_another_evse_is_named() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.match()
    vehicle.match()
    vehicle.match(evse=OTHER_EVSE)
    first, second = rig.answers(CM_SLAC_MATCH_CNF)
    assert first == second
    assert len(rig.told(slac.Matched)) == 1


def test_when_one_is_matched_the_others_end_and_are_told_why() -> None:
    rig = EvseRig()
    other = Vehicle(rig, mac=OTHER_MAC, run_id=b"run-0002")
    other.until_match(db=30)
    vehicle = Vehicle(rig)
    vehicle.until_match()
    vehicle.match()
    assert only_failure(rig).pev_mac == OTHER_MAC
    assert only_failure(rig).reason == "02:00:00:00:0c:01 was matched"
    other.match()
    assert [answer.pev_mac for answer in rig.answers(CM_SLAC_MATCH_CNF)] == [EV_MAC]
    rig.link(True)
    rig.wait(60.0)
    assert len(rig.told(slac.MatchingFailed)) == 1


def test_the_map_of_amplitudes_is_confirmed_to_the_matched_vehicle_alone() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    rig.hear(CM_AMP_MAP_REQ(amap=(0, 1, 2)), EV_MAC, EVSE_MAC)
    assert not rig.sent
    rig.linked(vehicle)
    rig.hear(CM_AMP_MAP_REQ(amap=(0, 1, 2)), OTHER_MAC, EVSE_MAC)
    rig.hear(CM_AMP_MAP_REQ(amap=(0, 1, 2)), EV_MAC, EVSE_MAC)
    assert rig.answers(CM_AMP_MAP_CNF) == [CM_AMP_MAP_CNF()]
