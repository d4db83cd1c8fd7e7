"""The vehicle's side of SLAC, behaviour by behaviour, in injected time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.slac import events as slac
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.ev import EvState
from pyiso15118.slac.events import Step
from pyiso15118.slac.messages import (
    CM_ATTEN_CHAR_RSP,
    CM_MNBC_SOUND_IND,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    CM_VALIDATE_CNF,
)
from support.examples import examples
from support.slac_rig import EV_MAC, SOUNDS, EvRig

NEAR, FAR, STRANGE = (bytes((2, 0, 0, 0, 0x0A, n)) for n in (1, 2, 3))


def failure(rig: EvRig) -> slac.MatchingFailed:
    return rig.told(slac.MatchingFailed)[-1]


# ---- the request ----


def test_an_unanswered_request_is_sent_three_times_200_ms_apart_and_then_in_a_new_run() -> None:
    rig = EvRig()
    rig.wait(0.59)
    assert len(rig.answers(CM_SLAC_PARM_REQ)) == 3
    rig.wait(0.02)
    assert (failure(rig).step, failure(rig).final) == (Step.PARM, False)
    rig.wait(0.4)
    first, last = rig.answers(CM_SLAC_PARM_REQ)[0], rig.answers(CM_SLAC_PARM_REQ)[-1]
    assert first.run_id != last.run_id


def test_matchings_are_begun_again_for_10_s_and_then_it_is_final() -> None:
    rig = EvRig()
    rig.wait(60.0)
    failures = rig.told(slac.MatchingFailed)
    assert [failed.final for failed in failures] == [False] * (len(failures) - 1) + [True]
    assert 10 <= len(failures) <= 11
    assert len(rig.answers(CM_SLAC_PARM_REQ)) == 3 * len(failures)
    assert rig.machine.state is EvState.FAILED
    assert rig.machine.next_deadline() is None
    rig.do(rig.machine.start)
    assert rig.machine.state is EvState.ASKING


def test_sounds_follow_at_30_ms_for_all_that_answered_in_time() -> None:
    rig = EvRig()
    rig.parm(NEAR)
    rig.parm(FAR)
    rig.wait(0.2)
    rig.parm(STRANGE)
    rig.wait(12 * 0.03 + 0.001)
    begins, sounds = rig.answers(CM_START_ATTEN_CHAR_IND), rig.answers(CM_MNBC_SOUND_IND)
    assert len(begins) == 3
    assert [sound.cnt for sound in sounds] == list(reversed(range(SOUNDS)))
    assert len({sound.rnd for sound in sounds}) == SOUNDS
    rig.tell(STRANGE, 1)
    assert not rig.answers(CM_ATTEN_CHAR_RSP)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_sounds": 0},
        {"num_sounds": 255},
        {"application_type": 1},
        {"security_type": 1},
        {"run_id": b"foreign!"},
    ],
)
def test_an_unusable_answer_is_none(fields: dict[str, object]) -> None:
    rig = EvRig()
    rig.parm(NEAR, **fields)  # type: ignore[arg-type]
    rig.wait(0.25)
    assert not rig.answers(CM_START_ATTEN_CHAR_IND)
    assert rig.machine.ignored["not for us"] == 1


def test_no_more_than_32_evses_are_heard_of_and_none_by_a_group_address() -> None:
    rig = EvRig()
    many = [bytes((2, 0, 0, 1, 0, n)) for n in range(33)]
    rig.parm(bytes((3, 0, 0, 0, 0, 1)))
    for evse in many:
        rig.parm(evse)
    assert rig.machine.ignored == {"not for us": 2}
    rig.wait(0.7)
    for evse in many:
        rig.tell(evse, 5)
    answered = [frame.destination for frame in rig.sent if isinstance(frame.message, CM_ATTEN_CHAR_RSP)]
    assert answered == many[:32]


def test_the_vehicle_repeats_the_longest_time_that_an_evse_listens() -> None:
    rig = EvRig()
    for evse, listens_100ms in ((NEAR, 4), (FAR, 7), (STRANGE, 5)):
        rig.parm(evse, time_out_100ms=listens_100ms)
    rig.wait(0.3)
    assert {begin.time_out_100ms for begin in rig.answers(CM_START_ATTEN_CHAR_IND)} == {7}


@pytest.mark.parametrize("order", [(1, 50), (50, 1)])
def test_as_many_sounds_are_made_as_the_most_demanding_evse_asks_for(order: tuple[int, int]) -> None:
    rig = EvRig()
    rig.parm(NEAR, order[0])
    rig.parm(FAR, order[1])
    rig.wait(0.2 + 0.5)
    rig.tell(NEAR, 12)
    rig.tell(FAR, 9)
    rig.wait(5 * 0.2 + 0.1)
    assert len(rig.answers(CM_MNBC_SOUND_IND)) == 50
    assert rig.machine.chosen == FAR


def test_a_new_run_makes_as_many_sounds_as_its_own_evses_ask_for() -> None:
    rig = EvRig()
    rig.parm(NEAR, 50)
    rig.wait(0.2 + 53 * 0.03 + 0.45)
    assert failure(rig).step is Step.ATTEN_CHAR
    rig.sent.clear()
    rig.parm(NEAR, SOUNDS)
    rig.wait(0.2 + 1.0)
    assert len(rig.answers(CM_MNBC_SOUND_IND)) == SOUNDS


# ---- the choice ----


def test_the_nearest_is_chosen_at_once_when_all_have_told() -> None:
    rig = EvRig()
    rig.until_choice({FAR: 24, NEAR: 8})
    (asked,) = rig.answers(CM_SLAC_MATCH_REQ)
    assert (asked.evse_mac, asked.pev_mac, rig.sent[-1].destination) == (NEAR, EV_MAC, NEAR)
    assert len(rig.answers(CM_ATTEN_CHAR_RSP)) == 2


def test_results_that_came_among_the_sounds_are_not_waited_for_after_the_last() -> None:
    rig = EvRig()
    rig.parm(NEAR, 20)
    rig.wait(0.2 + 15 * 0.03)
    rig.tell(NEAR, 9)
    assert not rig.answers(CM_SLAC_MATCH_REQ)
    rig.wait(8 * 0.03)
    assert rig.machine.chosen == NEAR


def test_evses_that_do_not_tell_are_waited_for_1200_ms() -> None:
    rig = EvRig()
    rig.parm(NEAR)
    rig.parm(FAR)
    rig.wait(0.2 + 13 * 0.03)
    rig.tell(NEAR, 8)
    rig.wait(1.2 - 13 * 0.03 - 0.01)
    assert rig.machine.state is EvState.RESULTS
    rig.wait(0.02)
    assert rig.machine.chosen == NEAR


def test_an_evse_that_is_farther_than_the_indirect_limit_is_not_matched_and_its_attenuation_is_told() -> None:
    rig = EvRig()
    rig.until_choice({FAR: 35, NEAR: 21})
    assert not rig.answers(CM_SLAC_MATCH_REQ)
    assert "is 21.0 dB away; at most 20 dB" in failure(rig).reason
    assert failure(rig).attenuation is not None
    assert rig.machine.chosen is None


def test_an_evse_exactly_at_the_indirect_limit_is_matched() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 20})
    assert rig.machine.chosen == NEAR


def test_evses_that_tell_nothing_fail_the_matching() -> None:
    rig = EvRig()
    rig.parm(NEAR)
    rig.wait(1.5)
    assert (failure(rig).step, failure(rig).reason) == (Step.ATTEN_CHAR, "none of 1 EVSEs told what it heard")


def test_an_evse_that_heard_no_sound_is_not_taken_for_a_near_one() -> None:
    rig = EvRig()
    rig.parm(NEAR)
    rig.parm(FAR)
    rig.wait(0.6)
    rig.tell(FAR, 0, num_sounds=0)
    assert rig.machine.ignored == {"heard nothing": 1}
    rig.tell(NEAR, 9)
    rig.wait(1.2)
    assert rig.machine.chosen == NEAR
    assert len(rig.answers(CM_ATTEN_CHAR_RSP)) == 2


def test_a_repeated_result_is_answered_again_and_a_later_one_changes_no_choice() -> None:
    rig = EvRig()
    rig.parm(NEAR)
    rig.parm(FAR)
    rig.wait(0.6)
    rig.tell(NEAR, 9)
    rig.tell(NEAR, 40)
    rig.wait(1.2)
    rig.tell(FAR, 1)
    assert len(rig.answers(CM_ATTEN_CHAR_RSP)) == 3
    assert [sounded.attenuation.average_db for sounded in rig.told(slac.Sounded)] == [9.0]
    assert rig.machine.chosen == NEAR
    assert not rig.machine.ignored


@pytest.mark.parametrize("ends", ["unplugged", "failed"])
def test_no_result_is_answered_when_the_matching_is_over(ends: str) -> None:
    rig = EvRig()
    rig.parm(NEAR)
    rig.wait(0.6)
    if ends == "unplugged":
        rig.do(rig.machine.unplugged)
    else:
        rig.wait(0.9)
    rig.tell(NEAR, 5)
    assert not rig.answers(CM_ATTEN_CHAR_RSP)
    assert rig.machine.ignored == {"not for us": 1}


# ---- the match, the key and the link ----


def test_a_lost_confirmation_is_asked_for_again_twice_and_then_fails() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 5})
    rig.wait(0.55)
    assert len(rig.answers(CM_SLAC_MATCH_REQ)) == 3
    rig.wait(0.1)
    assert failure(rig).step is Step.MATCH
    assert failure(rig).reason == f"no CM_SLAC_MATCH.CNF of {mac_text(NEAR)} within 0.2 s, 3 times"
    assert failure(rig).attenuation is not None
    assert rig.machine.chosen is None
    rig.confirm(NEAR)
    assert not rig.told(slac.SetKey)


def test_only_the_chosen_evse_confirms_and_only_once() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 5, FAR: 15})
    rig.confirm(FAR, nmk=b"x" * 16)
    rig.confirm(NEAR, run_id=b"foreign!", nmk=b"x" * 16)
    rig.confirm(NEAR, names=FAR, nmk=b"x" * 16)
    rig.confirm(NEAR)
    rig.confirm(NEAR, nmk=b"x" * 16)
    (key,) = rig.told(slac.SetKey)
    assert (key.nid, key.nmk) == (b"network", b"k" * 16)
    assert rig.machine.ignored == {"not for us": 4}
    assert rig.machine.state is EvState.KEYING


def test_a_link_is_told_with_the_attenuation_and_the_time_it_took() -> None:
    rig = EvRig()
    rig.until_linked(NEAR)
    assert not rig.machine.ignored
    (up,) = rig.told(slac.LinkUp)
    assert (up.evse_mac, up.attenuation.average_db, round(up.took_s, 2)) == (NEAR, 5.0, 0.59)
    rig.wait(1000.0)
    assert rig.machine.state is EvState.LINKED


def test_a_key_that_the_own_modem_refuses_fails_and_is_tried_again() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 5})
    rig.confirm(NEAR)
    rig.machine.key_failed("result 0x02", rig.now)
    rig.collect()
    assert (failure(rig).step, failure(rig).reason, failure(rig).final) == (Step.KEY, "result 0x02", False)
    rig.wait(0.5)
    assert rig.machine.state is EvState.ASKING


def test_an_own_modem_that_says_nothing_fails_within_the_time_to_join() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 5})
    rig.confirm(NEAR)
    rig.wait(11.9)
    assert rig.machine.state is EvState.KEYING
    rig.wait(0.2)
    assert failure(rig).step is Step.KEY


def test_the_time_to_join_runs_from_the_confirmation() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 5})
    rig.confirm(NEAR)
    rig.wait(5.0)
    rig.do(rig.machine.key_set)
    rig.wait(7.1)
    assert failure(rig).step is Step.LINK


def test_modems_that_find_no_link_within_12_s_fail_for_good() -> None:
    rig = EvRig()
    rig.until_choice({NEAR: 5})
    rig.confirm(NEAR)
    rig.do(rig.machine.key_set)
    rig.wait(11.9)
    assert rig.machine.state is EvState.JOINING
    rig.wait(0.2)
    assert (failure(rig).step, failure(rig).final) == (Step.LINK, True)


@pytest.mark.parametrize(("reason", "told"), [("silent", "silent"), ("", "the EVSE's modem is gone")])
def test_a_lost_link_is_told_and_nothing_begins_by_itself(reason: str, told: str) -> None:
    rig = EvRig()
    rig.until_linked(NEAR)
    rig.link(False, reason)
    assert [down.reason for down in rig.told(slac.LinkDown)] == [told]
    assert (rig.machine.state, rig.machine.chosen, rig.machine.next_deadline()) == (EvState.IDLE, None, None)


UNTIL: dict[EvState, Callable[[EvRig], None]] = {
    EvState.ASKING: lambda rig: None,
    EvState.SOUNDING: lambda rig: (rig.parm(NEAR), rig.wait(0.3)),  # type: ignore[func-returns-value]
    EvState.RESULTS: lambda rig: (rig.parm(NEAR), rig.wait(0.7)),  # type: ignore[func-returns-value]
    EvState.VALIDATING: lambda rig: rig.until_choice({NEAR: 15}),
    EvState.MATCHING: lambda rig: rig.until_choice({NEAR: 5}),
    EvState.KEYING: lambda rig: (rig.until_choice({NEAR: 5}), rig.confirm(NEAR)),  # type: ignore[func-returns-value]
    EvState.LINKED: lambda rig: rig.until_linked(NEAR),
    EvState.PAUSED: lambda rig: rig.wait(0.7),
}


@pytest.mark.parametrize("state", UNTIL)
def test_a_timer_that_is_not_due_does_nothing(state: EvState) -> None:
    rig = EvRig(use_validation=True)
    UNTIL[state](rig)
    due = rig.machine.next_deadline()
    rig.fresh()
    rig.do(rig.machine.handle_timer)
    assert not rig.sent
    assert not rig.events
    assert (rig.machine.state, rig.machine.next_deadline()) == (state, due)


@pytest.mark.parametrize("state", UNTIL)
def test_unplugging_ends_everything_in_every_state(state: EvState) -> None:
    rig = EvRig(use_validation=True)
    UNTIL[state](rig)
    assert rig.machine.state is state
    rig.fresh()
    rig.do(rig.machine.unplugged)
    (event,) = rig.events
    assert isinstance(event, slac.LinkDown) if state is EvState.LINKED else event.unplugged and event.final  # type: ignore[union-attr]
    assert (rig.machine.state, rig.machine.chosen, rig.machine.next_deadline()) == (EvState.IDLE, None, None)


def test_frames_to_others_and_broken_ones_are_counted() -> None:
    rig = EvRig()
    rig.hear(CM_VALIDATE_CNF(result=1), NEAR, FAR)
    rig.hear(CM_SLAC_PARM_REQ(run_id=bytes(8)), EV_MAC)
    rig.do(rig.machine.receive_frame, b"\xff" * 12 + b"\x88\xe1" + b"\x01")
    rig.do(rig.machine.receive_frame, bytes(60))
    rig.parm(NEAR, run_id=b"foreign!")
    reasons = ("for another station", "our own", "malformed", "not HomePlug", "not for us")
    assert rig.machine.ignored == dict.fromkeys(reasons, 1)


ACTS: dict[str, Callable[[EvRig, Mac, int], None]] = {
    "parm": lambda rig, evse, n: rig.parm(evse, n % 60),
    "tell": lambda rig, evse, n: rig.tell(evse, n % 40, n % 11),
    "confirm": lambda rig, evse, n: rig.confirm(evse),
    "choice": lambda rig, evse, n: rig.until_choice({evse: n % 30, FAR: 12}),
    "validated": lambda rig, evse, n: rig.validated(evse, n % 6, n % 4),
    "wait": lambda rig, evse, n: rig.wait(n / 100),
    "key_set": lambda rig, evse, n: rig.do(rig.machine.key_set),
    "key_failed": lambda rig, evse, n: rig.machine.key_failed("no", rig.now),
    "link": lambda rig, evse, n: rig.link(n % 3 > 0),
    "start": lambda rig, evse, n: rig.do(rig.machine.start),
    "unplugged": lambda rig, evse, n: rig.do(rig.machine.unplugged),
    "toggled": lambda rig, evse, n: rig.do(rig.machine.toggled, n % 4),
    "junk": lambda rig, evse, n: rig.do(rig.machine.receive_frame, Random(n).randbytes(n)),
}
acts = st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from([NEAR, FAR, STRANGE]), st.integers(0, 255))


@settings(max_examples=examples(200))
@given(done=st.lists(acts, min_size=10, max_size=50), use_validation=st.booleans())
def test_in_any_order_nothing_raises_and_no_key_comes_from_one_that_was_not_chosen(
    done: list[tuple[str, Mac, int]], use_validation: bool
) -> None:
    rig = EvRig(use_validation=use_validation)
    for what, evse, number in done:
        before = len(rig.told(slac.SetKey))
        chosen = rig.machine.chosen
        ACTS[what](rig, evse, number)
        if len(rig.told(slac.SetKey)) > before:
            assert rig.told(slac.Matched)[-1].evse_mac == chosen == evse
    started, up = len(rig.told(slac.MatchingStarted)), len(rig.told(slac.LinkUp))
    rig.wait(60.0)
    assert rig.machine.state in (EvState.IDLE, EvState.FAILED, EvState.LINKED)
    assert up <= started
