"""The EVSE's side of SLAC when plugs, modems, links and vehicles come and go, and when frames come in any order."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.slac import events as slac
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse import EvseState
from pyiso15118.slac.evse_run import MOST_RUNS
from pyiso15118.slac.messages import CM_SLAC_MATCH_CNF
from support.examples import examples
from support.slac_rig import EV_MAC, EVSE_MAC, EvseRig, Vehicle

OTHER_MAC = bytes.fromhex("020000000c02")


def until_joining(vehicle: Vehicle) -> None:
    vehicle.until_match()
    vehicle.match()


def until_validating(vehicle: Vehicle) -> None:
    vehicle.until_match()
    vehicle.validate(0)
    vehicle.validate(20)


MATCHING: dict[Step, Callable[[Vehicle], None]] = {
    Step.START: Vehicle.ask,
    Step.SOUND: Vehicle.until_sounds,
    Step.ATTEN_CHAR: Vehicle.until_told,
    Step.VALIDATE: until_validating,
    Step.MATCH: Vehicle.until_match,
    Step.LINK: until_joining,
}
each_step = pytest.mark.parametrize("step", MATCHING)


def rig_in(step: Step) -> tuple[EvseRig, Vehicle]:
    rig = EvseRig(validate=True)
    vehicle = Vehicle(rig)
    MATCHING[step](vehicle)
    rig.fresh()
    return rig, vehicle


# ---- the plug ----


@each_step
def test_unplugging_ends_a_matching_as_nobodys_failure(step: Step) -> None:
    rig, _ = rig_in(step)
    rig.do(rig.machine.plugged, False)
    (failed,) = rig.told(slac.MatchingFailed)
    assert (failed.step, failed.unplugged, failed.pev_mac) == (step, True, EV_MAC)
    assert bool(rig.told(slac.SetKey)) == (step is Step.LINK), "a key that was given is not kept"
    rig.wait(100.0)
    assert len(rig.told(slac.MatchingFailed)) == 1
    assert rig.machine.next_deadline() is None


@each_step
def test_a_pilot_that_is_not_known_any_more_ends_a_matching(step: Step) -> None:
    rig, _ = rig_in(step)
    rig.do(rig.machine.plugged, None)
    (failed,) = rig.told(slac.MatchingFailed)
    assert (failed.step, failed.unplugged) == (step, False)
    assert rig.machine.vehicle is None


def test_unplugging_ends_a_link_and_brings_a_new_key() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.fresh()
    rig.do(rig.machine.plugged, False)
    down, key = rig.events
    assert isinstance(down, slac.LinkDown)
    assert (down.pev_mac, down.evse_mac, down.reason) == (EV_MAC, EVSE_MAC, "the vehicle was unplugged")
    assert isinstance(key, slac.SetKey)
    rig.do(rig.machine.key_set)
    assert rig.machine.state is EvseState.FREE


def test_a_link_outlives_a_pilot_that_is_unknown_and_ends_with_the_plug() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.do(rig.machine.plugged, None)
    assert rig.machine.state is EvseState.LINKED
    rig.do(rig.machine.plugged, True)
    rig.do(rig.machine.plugged, None)
    rig.fresh()
    rig.do(rig.machine.plugged, False)
    assert rig.told(slac.LinkDown)
    assert rig.machine.vehicle is None


@pytest.mark.parametrize("present", [False, None])
def test_unplugging_ends_the_error_on_the_pilot_and_the_wait(present: bool | None) -> None:
    for seconds, state in ((10.0, EvseState.WAITING), (50.0, EvseState.ERROR)):
        rig = EvseRig()
        rig.wait(seconds)
        assert rig.machine.state is state
        rig.do(rig.machine.plugged, present)
        assert rig.machine.state is EvseState.FREE
        assert rig.machine.next_deadline() is None


def test_the_next_vehicle_on_the_plug_has_all_attempts_again() -> None:
    rig = EvseRig()
    rig.wait(500.0)
    rig.do(rig.machine.plugged, False)
    rig.fresh()
    rig.do(rig.machine.plugged, True)
    rig.wait(500.0)
    assert [failed.final for failed in rig.told(slac.MatchingFailed)] == [False, False, True]


def test_where_no_pilot_is_needed_one_that_tells_of_an_unplugged_vehicle_is_believed() -> None:
    rig = EvseRig(plugged=False, needs_pilot=False)
    rig.linked(Vehicle(rig))
    rig.do(rig.machine.plugged, False)
    assert rig.told(slac.LinkDown)


def test_a_vehicle_on_the_pilot_that_becomes_unknown_is_not_waited_for_where_no_pilot_is_needed() -> None:
    for unknown in (False, True):
        rig = EvseRig(boots=False, needs_pilot=False)
        rig.do(rig.machine.start)
        rig.do(rig.machine.key_set)
        rig.fresh()
        if unknown:
            rig.do(rig.machine.plugged, None)
        rig.wait(60.0)
        assert bool(rig.events) != unknown


# ---- the modem, and the link ----


@each_step
def test_a_lost_modem_ends_a_matching_and_names_itself(step: Step) -> None:
    rig, vehicle = rig_in(step)
    rig.lose_modem("no answer for 3 s")
    (failed,) = rig.told(slac.MatchingFailed)
    assert (failed.step, failed.reason, failed.unplugged) == (Step.MODEM, "no answer for 3 s", False)
    assert rig.machine.state is EvseState.KEYING
    assert rig.machine.next_deadline() is None
    vehicle.ask()
    assert not rig.sent
    rig.do(rig.machine.start)
    rig.do(rig.machine.key_set)
    rig.linked(vehicle)
    assert rig.machine.state is EvseState.LINKED


def test_a_lost_modem_ends_a_link() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.lose_modem("no answer for 3 s")
    assert rig.told(slac.LinkDown)[0].reason == "no answer for 3 s"


def test_a_modem_that_begins_anew_ends_what_its_old_key_was_for() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.fresh()
    rig.do(rig.machine.start)
    assert [type(event) for event in rig.events] == [slac.LinkDown, slac.SetKey]


@pytest.mark.parametrize("seconds", [5.0, 52.0])
def test_a_lost_modem_ends_the_wait_and_the_error(seconds: float) -> None:
    rig = EvseRig()
    rig.wait(seconds)
    rig.lose_modem()
    assert rig.machine.state is EvseState.KEYING
    assert rig.machine.next_deadline() is None


def test_a_matched_vehicle_that_does_not_join_fails_after_12_s_and_its_key_is_renewed() -> None:
    rig, vehicle = rig_in(Step.LINK)
    rig.wait(11.9)
    assert not rig.events
    rig.wait(0.1)
    failed, key = rig.events
    assert isinstance(failed, slac.MatchingFailed)
    assert failed.step is Step.LINK
    assert failed.attenuation is not None
    assert isinstance(key, slac.SetKey)
    vehicle.match()
    assert not rig.answers(CM_SLAC_MATCH_CNF)
    rig.do(rig.machine.key_set)
    assert rig.machine.state is EvseState.WAITING


def test_a_lost_link_is_told_and_the_vehicle_may_come_again_with_a_new_key() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    rig.linked(vehicle)
    rig.link(False, "its modem is silent")
    assert rig.told(slac.LinkDown)[0].reason == "its modem is silent"
    rig.do(rig.machine.key_set)
    assert rig.machine.state is EvseState.WAITING
    rig.linked(vehicle)
    first, second = rig.answers(CM_SLAC_MATCH_CNF)
    assert first.nmk != second.nmk


def test_word_of_a_link_that_is_up_already_is_nothing() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.fresh()
    rig.link(True)
    assert not rig.events
    rig.link(False)
    assert rig.told(slac.LinkDown)[0].reason == "the vehicle's modem left the network"


def test_no_key_is_asked_of_a_lost_modem_when_the_plug_is_pulled() -> None:
    rig = EvseRig()
    rig.linked(Vehicle(rig))
    rig.lose_modem()
    rig.fresh()
    rig.do(rig.machine.plugged, False)
    assert not rig.events


def test_word_of_a_link_without_a_matched_vehicle_is_nothing() -> None:
    rig = EvseRig()
    Vehicle(rig).until_match()
    rig.fresh()
    rig.link(True)
    rig.link(False)
    assert not rig.events
    assert rig.machine.state is EvseState.MATCHING


# ---- time ----


def refused_key(rig: EvseRig) -> None:
    rig.do(rig.machine.start)
    rig.machine.key_failed("result 0x00", rig.now)


AWAITING: dict[str, Callable[[EvseRig], None]] = {
    "another key": refused_key,
    "a vehicle": lambda rig: None,
    "the end of an error": lambda rig: rig.wait(51.0),
    **{step.value: lambda rig, act=act: act(Vehicle(rig)) for step, act in MATCHING.items()},
}


@pytest.mark.parametrize("what", AWAITING)
def test_a_timer_does_nothing_before_it_is_due_and_all_of_it_at_once_then(what: str) -> None:
    rig = EvseRig(validate=True)
    AWAITING[what](rig)
    rig.collect()
    rig.fresh()
    due = rig.machine.next_deadline()
    assert due is not None
    before = rig.machine.state, rig.machine.matchings
    rig.now = due - 0.001
    rig.do(rig.machine.handle_timer)
    assert not rig.sent
    assert not rig.events
    assert (rig.machine.state, rig.machine.matchings, rig.machine.next_deadline()) == (*before, due)
    rig.now = due
    rig.do(rig.machine.handle_timer)
    assert rig.sent or rig.events or rig.machine.state is not before[0]
    after = rig.machine.next_deadline()
    assert after is None or after > due


# ---- anything at all ----

VEHICLES, RUNS = 3, 2
ACTS = (
    "ask", "begin", "sound", "profile", "sounds", "respond", "refuse", "validate", "toggle_time", "match", "foreign",
    "wait", "long_wait", "key_set", "key_failed", "link", "no_link", "in", "out", "unknown", "lost", "start", "toggled",
    "junk", "whole", "until_match", "until_told",
)  # fmt: skip
act = st.tuples(st.sampled_from(ACTS), st.integers(0, VEHICLES - 1), st.integers(0, RUNS - 1), st.integers(0, 255))


def perform(rig: EvseRig, vehicle: Vehicle, what: str, number: int) -> None:
    machine = rig.machine
    match what:
        case "begin":
            vehicle.begin_sounds(1)
        case "sound":
            vehicle.sound(number % 12)
        case "profile":
            vehicle.profile((number,) * (number % 60 + 1))
        case "refuse":
            vehicle.respond(result=1)
        case "validate":
            vehicle.validate(0)
        case "toggle_time":
            vehicle.validate(number)
        case "foreign":
            vehicle.match(evse=OTHER_MAC)
        case "wait":
            rig.wait(number / 255)
        case "long_wait":
            rig.wait(number / 4)
        case "key_failed":
            machine.key_failed("refused", rig.now)
        case "link" | "no_link":
            rig.link(what == "link")
        case "in" | "out" | "unknown":
            rig.do(machine.plugged, {"in": True, "out": False, "unknown": None}[what])
        case "lost":
            rig.lose_modem()
        case "start" | "key_set":
            rig.do(getattr(machine, what))
        case "toggled":
            machine.toggles(number, rig.now)
        case "junk":
            rig.do(machine.receive_frame, Random(number).randbytes(number))
        case "whole":
            rig.linked(vehicle)
        case _:
            getattr(vehicle, what)()


@settings(max_examples=examples(150))
@given(acts=st.lists(act, min_size=20, max_size=60), needs_pilot=st.booleans(), validate=st.booleans())
def test_in_any_order_one_vehicle_at_most_has_a_key_and_no_key_is_given_to_two(
    acts: list[tuple[str, int, int, int]], needs_pilot: bool, validate: bool
) -> None:
    rig = EvseRig(needs_pilot=needs_pilot, validate=validate, parallel_matchings=2)
    vehicles = [
        [Vehicle(rig, mac=bytes((2, 0, 0, 0, 3, n)), run_id=bytes((n, run)) * 4) for run in range(RUNS)]
        for n in range(VEHICLES)
    ]
    holders: dict[bytes, bytes] = {}
    sessions = 0
    for what, n, run, number in acts:
        rig.fresh()
        perform(rig, vehicles[n][run], what, number)
        for answer in rig.answers(CM_SLAC_MATCH_CNF):
            assert holders.setdefault(answer.nmk, answer.pev_mac) == answer.pev_mac
            assert answer.evse_mac == EVSE_MAC
        sessions += len(rig.told(slac.Matched))
        assert len(holders) == sessions, "each session has a key of its own"
        machine = rig.machine
        assert len(machine.matchings) <= MOST_RUNS
        assert sum(step is not Step.MATCH for _, _, step in machine.matchings) <= 2, "no more than there are places"
        assert len({mac for mac, _, _ in machine.matchings}) == len(machine.matchings)
        assert not (machine.vehicle and machine.matchings)
        due = machine.next_deadline()
        if due is not None and due <= rig.now:
            rig.do(machine.handle_timer)
            after = machine.next_deadline()
            assert after is None or after > rig.now
