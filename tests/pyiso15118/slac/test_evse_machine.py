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
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_CNF,
    CM_SLAC_PARM_REQ,
    UnknownMessage,
)
from support.slac_rig import EV_MAC, EVSE_MAC, MODEM_MAC, SOUNDS, EvseRig, Vehicle, on_wire

OTHER_MAC = bytes.fromhex("020000000c02")
OTHER_EVSE = bytes.fromhex("020000000a02")


def only_failure(rig: EvseRig) -> slac.MatchingFailed:
    (failed,) = rig.told(slac.MatchingFailed)
    assert not failed.unplugged
    return failed


# ---- before anybody is answered ----


def test_nobody_is_answered_before_the_modem_has_the_key() -> None:
    rig = EvseRig(boots=False)
    vehicle = Vehicle(rig)
    rig.do(rig.machine.key_set)
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
    rig.wait(1.9)
    assert len(rig.told(slac.SetKey)) == 1
    rig.wait(0.1)
    first, second = rig.told(slac.SetKey)
    assert first.nmk != second.nmk
    rig.do(rig.machine.key_set)
    assert rig.machine.state is EvseState.WAITING


def test_late_word_of_a_refused_key_changes_nothing() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.fresh()
    rig.machine.key_failed("late", rig.now)
    rig.do(rig.machine.key_set)
    rig.wait(10.0)
    assert not rig.events
    assert rig.machine.state is EvseState.LINKED
    rig.lose_modem()
    rig.fresh()
    rig.machine.key_failed("late", rig.now)
    rig.wait(10.0)
    assert not rig.events


def test_no_key_follows_a_refused_one_when_the_modem_is_lost() -> None:
    rig = EvseRig(boots=False)
    rig.do(rig.machine.start)
    rig.machine.key_failed("result 0x02", rig.now)
    rig.lose_modem()
    rig.fresh()
    rig.wait(10.0)
    assert not rig.events


# ---- sounds ----


def test_without_a_beginning_of_sounds_the_matching_fails() -> None:
    rig = EvseRig()
    Vehicle(rig).ask()
    rig.wait(0.39)
    assert rig.machine.state is EvseState.MATCHING
    rig.wait(0.01)
    assert only_failure(rig).step is Step.START
    assert "0.4 s" in only_failure(rig).reason


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


def test_profiles_before_the_beginning_and_after_the_result_do_not_count() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.ask()
    vehicle.profile(0)
    vehicle.begin_sounds()
    vehicle.profile(6)
    rig.wait(0.6)
    vehicle.profile(0)
    vehicle.sound(3)
    assert rig.told(slac.Sounded)[0].attenuation.sounds == 1
    assert rig.machine.ignored == {"foreign profile": 2, "out of order": 1}
    rig.wait(0.2)
    first, second = rig.answers(CM_ATTEN_CHAR_IND)
    assert first == second


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
    assert only_failure(rig).reason == "no CM_ATTEN_CHAR.RSP to 3 CM_ATTEN_CHAR.IND, each within 0.2 s"
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


def test_a_match_that_names_another_vehicle_gets_no_key() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_match()
    rig.hear(CM_SLAC_MATCH_REQ(pev_mac=OTHER_MAC, evse_mac=EVSE_MAC, run_id=vehicle.run_id), EV_MAC, EVSE_MAC)
    assert not rig.answers(CM_SLAC_MATCH_CNF)
    assert rig.machine.ignored == {"out of order": 1}


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
    assert rig.sent[-1].destination == EV_MAC
    assert rig.machine.ignored == {"not for us": 2}


# ---- what is not for it ----


def test_what_is_not_for_an_evse_is_counted_by_reason() -> None:
    rig = EvseRig()
    profile = on_wire(CM_ATTEN_PROFILE_IND(pev_mac=EV_MAC, aag=(8,) * 58), MODEM_MAC)
    for data in (
        b"",
        b"\xff" * 60,
        profile[:40],
        on_wire(CM_SLAC_PARM_CNF(num_sounds=9, time_out_100ms=6, forwarding_sta=EV_MAC, run_id=bytes(8)), OTHER_MAC),
        on_wire(UnknownMessage(mmv=1, mmtype=0x6FFF, body=b"?"), OTHER_MAC),
        on_wire(CM_SLAC_PARM_REQ(run_id=bytes(8)), EVSE_MAC),
        on_wire(CM_SLAC_PARM_REQ(run_id=bytes(8)), EV_MAC, OTHER_EVSE),
        profile,
    ):
        rig.do(rig.machine.receive_frame, data)
    assert rig.machine.ignored == {
        "not HomePlug": 2,
        "malformed": 1,
        "not for us": 2,
        "our own": 1,
        "for another station": 1,
        "foreign profile": 1,
    }
    assert not rig.sent
    assert not rig.events
