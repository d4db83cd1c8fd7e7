"""Who asks an EVSE to be matched: answered, given a place, refused; and floods of requests that nothing follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

import pytest

from pyiso15118.slac import events as slac
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_watch import LINES, LINES_WITHIN_S, MOST_ASKED, Asked
from pyiso15118.slac.messages import CM_ATTEN_CHAR_IND, CM_SLAC_MATCH_CNF, CM_SLAC_PARM_CNF, CM_SLAC_PARM_REQ
from support.slac_rig import EV_MAC, EVSE_MAC, EvseRig, Vehicle

PLACES = 5


def others(rig: EvseRig, count: int) -> list[Vehicle]:
    return [Vehicle(rig, mac=bytes((2, 0, 0, 0, 1, n)), run_id=bytes((n,)) * 8) for n in range(count)]


def crowded(act: Callable[[Vehicle], None], places: int = 2) -> tuple[EvseRig, list[Vehicle], Vehicle]:
    """All places are taken by others that did ``act``; the vehicle has not asked yet."""
    rig = EvseRig(parallel_matchings=places)
    crowd = others(rig, places)
    for one in crowd:
        act(one)
    rig.fresh()
    return rig, crowd, Vehicle(rig)


# ---- parameters ----


def test_an_answer_bears_what_the_vehicle_is_to_do() -> None:
    rig = EvseRig(num_sounds=12)
    vehicle = Vehicle(rig)
    vehicle.ask()
    (frame,) = rig.sent
    assert (frame.source, frame.destination) == (EVSE_MAC, EV_MAC)
    assert frame.message == CM_SLAC_PARM_CNF(
        num_sounds=12, time_out_100ms=6, forwarding_sta=EV_MAC, run_id=vehicle.run_id
    )


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


def test_a_request_that_is_repeated_among_the_sounds_disturbs_nothing() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    vehicle.until_sounds()
    rig.wait(0.5)
    vehicle.ask()
    assert len(rig.answers(CM_SLAC_PARM_CNF)) == 1
    assert rig.machine.ignored == {"out of order": 1}
    vehicle.profile(7)
    rig.wait(0.1)
    assert rig.answers(CM_ATTEN_CHAR_IND)


def test_a_request_that_is_only_ever_repeated_fails_in_the_end() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    for _ in range(40):
        vehicle.ask()
        rig.wait(0.3)
    assert [one.step for one in rig.told(slac.MatchingFailed)] == [Step.START]


def test_requests_of_another_application_or_with_security_are_not_for_us() -> None:
    rig = EvseRig()
    vehicle = Vehicle(rig)
    for fields in ({"application_type": 1}, {"security_type": 1}):
        rig.hear(CM_SLAC_PARM_REQ(run_id=vehicle.run_id, **fields), EV_MAC)
    rig.hear(CM_SLAC_PARM_REQ(run_id=vehicle.run_id), b"\x03" + EV_MAC[1:])
    assert not rig.sent
    assert rig.machine.ignored["not for us"] == 3


# ---- places ----


def test_where_all_places_sound_one_more_is_refused_and_told_once_until_a_place_is_free() -> None:
    rig, _, late = crowded(Vehicle.until_sounds)
    late.ask()
    late.ask()
    assert not rig.sent
    (failed,) = rig.told(slac.MatchingFailed)
    assert (failed.step, failed.reason, failed.pev_mac) == (Step.PARM, "2 vehicles match here already", EV_MAC)
    assert rig.machine.ignored["refused"] == 2
    rig.wait(0.6)
    late.ask()
    assert rig.sent[-1].destination == EV_MAC, "a place is free again"


def test_a_refusal_is_told_again_of_the_next_plug() -> None:
    rig, crowd, late = crowded(Vehicle.until_sounds)
    late.ask()
    rig.do(rig.machine.plugged, False)
    rig.do(rig.machine.plugged, True)
    for one in crowd:
        one.until_sounds()
    rig.fresh()
    late.ask()
    (failed,) = rig.events
    assert isinstance(failed, slac.MatchingFailed)
    assert failed.pev_mac == EV_MAC


def test_who_has_only_to_choose_keeps_nobody_out() -> None:
    rig, _, late = crowded(Vehicle.until_match)
    late.until_match()
    assert len(rig.machine.matchings) == 3


def test_where_others_only_asked_one_more_is_answered_and_takes_the_oldest_place_when_it_sounds() -> None:
    rig, crowd, late = crowded(Vehicle.ask)
    late.ask()
    assert len(rig.answers(CM_SLAC_PARM_CNF)) == 1
    assert not rig.events
    assert [mac for mac, _, _ in rig.machine.matchings] == [one.mac for one in crowd]
    rig.wait(0.2)
    late.begin_sounds()
    assert [mac for mac, _, _ in rig.machine.matchings] == [crowd[1].mac, EV_MAC]
    displaced, started = rig.events
    assert isinstance(displaced, slac.MatchingFailed)
    assert (displaced.step, displaced.pev_mac) == (Step.START, crowd[0].mac)
    assert displaced.reason == "02:00:00:00:0c:01 began to sound first, and has its place"
    assert started == slac.MatchingStarted(pev_mac=EV_MAC, run_id=late.run_id)
    late.sounds()
    rig.wait(0.1)
    late.respond()
    late.match()
    rig.wait(1.0)
    rig.link(True)
    (up,) = rig.told(slac.LinkUp)
    assert up.took_s == pytest.approx(1.3), "from its first request on"


def test_who_lost_its_place_gets_another_when_it_sounds() -> None:
    rig, crowd, late = crowded(Vehicle.ask)
    late.until_sounds()
    crowd[0].begin_sounds()
    assert [(mac, step) for mac, _, step in rig.machine.matchings] == [
        (EV_MAC, Step.SOUND),
        (crowd[0].mac, Step.SOUND),
    ]


def test_who_was_answered_without_a_place_is_refused_when_all_others_sound_first() -> None:
    rig, crowd, late = crowded(Vehicle.ask)
    late.ask()
    for one in crowd:
        one.begin_sounds()
    late.begin_sounds()
    assert [mac for mac, _, _ in rig.machine.matchings] == [one.mac for one in crowd]
    (failed,) = rig.told(slac.MatchingFailed)
    assert (failed.step, failed.pev_mac) == (Step.PARM, EV_MAC)


@pytest.mark.parametrize(("again", "after_s", "taken"), [(False, 0.39, True), (False, 0.41, False), (True, 0.6, True)])
def test_an_answer_without_a_place_is_good_for_tt_match_sequence(again: bool, after_s: float, taken: bool) -> None:
    rig, crowd, late = crowded(Vehicle.ask)
    late.ask()
    rig.wait(0.3)
    if again:
        late.ask()
    for one in crowd:
        one.ask()
    rig.wait(after_s - 0.3)
    late.begin_sounds()
    assert (EV_MAC in [mac for mac, _, _ in rig.machine.matchings]) == taken


def test_sounds_of_who_never_asked_take_no_place() -> None:
    rig, crowd, late = crowded(Vehicle.ask)
    late.begin_sounds()
    assert [mac for mac, _, _ in rig.machine.matchings] == [one.mac for one in crowd]
    assert not rig.events


def test_a_twin_that_was_answered_without_a_place_ends_both_when_it_sounds() -> None:
    rig = EvseRig(parallel_matchings=2)
    vehicle, twin = Vehicle(rig), Vehicle(rig, run_id=b"run-0002")
    crowd = others(rig, 2)
    for one in (*crowd, twin, vehicle):
        one.ask()
    vehicle.begin_sounds()
    twin.begin_sounds()
    assert [mac for mac, _, _ in rig.machine.matchings] == [crowd[1].mac]
    assert "two vehicles call themselves" in rig.told(slac.MatchingFailed)[-1].reason


def test_nobody_gets_a_place_by_an_answer_of_before_a_match() -> None:
    rig = EvseRig(parallel_matchings=1)
    vehicle, late = Vehicle(rig), others(rig, 1)[0]
    vehicle.until_match()
    idle = Vehicle(rig, mac=bytes((2, 0, 0, 0, 1, 9)), run_id=b"run-0009")
    idle.ask()
    late.ask()
    vehicle.match()
    late.begin_sounds()
    assert not rig.machine.matchings
    assert rig.machine.vehicle == EV_MAC


# ---- floods ----


def flood(rig: EvseRig, seconds: float, per_s: int, chance: Random) -> None:
    """Requests of ever other vehicles."""
    for _ in range(round(seconds * per_s)):
        rig.wait(1.0 / per_s)
        rig.hear(CM_SLAC_PARM_REQ(run_id=chance.randbytes(8)), b"\x02" + chance.randbytes(5))


@pytest.mark.parametrize("per_s", [50, 1000, 4000])
def test_a_flood_of_requests_does_not_keep_a_vehicle_out_and_fills_no_log(per_s: int) -> None:
    rig, chance = EvseRig(), Random(per_s)
    vehicle = Vehicle(rig)
    flood(rig, 5.0, min(per_s, 300), chance)
    steps: Iterable[tuple[Callable[[], None], float]] = (
        (vehicle.ask, 0.35),
        *[(lambda: vehicle.begin_sounds(1), 0.02)] * 3,
        *[(lambda cnt=cnt: (vehicle.sound(cnt), vehicle.profile(8)), 0.02) for cnt in reversed(range(10))],
        (lambda: None, 0.05),
        (vehicle.respond, 0.05),
        (vehicle.match, 0.1),
    )
    for act, then_s in steps:
        act()
        flood(rig, then_s, per_s, chance)
    assert rig.machine.vehicle == EV_MAC
    to_us = [frame.message for frame in rig.sent if frame.destination == EV_MAC]
    assert [type(message) for message in to_us] == [CM_SLAC_PARM_CNF, CM_ATTEN_CHAR_IND, CM_SLAC_MATCH_CNF]
    own = [event for event in rig.events if getattr(event, "pev_mac", None) == EV_MAC]
    assert [type(event) for event in own] == [slac.MatchingStarted, slac.Sounded, slac.Matched]
    assert len(rig.events) - len(own) <= 2 * (LINES + PLACES)


def test_a_vehicle_that_only_asks_is_told_of_again_when_the_flood_is_over() -> None:
    rig = EvseRig()
    flood(rig, 10.0, 50, Random(3))
    assert LINES <= len(rig.told(slac.MatchingFailed)) <= LINES + PLACES
    assert len(rig.told(slac.MatchingStarted)) <= LINES + PLACES
    assert rig.machine.ignored["only asked"] == pytest.approx(10.0 * PLACES / 0.4, rel=0.3)
    rig.wait(LINES_WITHIN_S)
    rig.fresh()
    Vehicle(rig).ask()
    rig.wait(0.5)
    assert [type(event) for event in rig.events[:2]] == [slac.MatchingStarted, slac.MatchingFailed]


def test_a_vehicle_that_sounds_amid_a_flood_is_told_of_to_its_end() -> None:
    rig = EvseRig()
    flood(rig, 5.0, 300, Random(5))
    vehicle = Vehicle(rig)
    vehicle.ask()
    rig.fresh()
    vehicle.begin_sounds()
    rig.wait(0.6)
    own = [event for event in rig.events if getattr(event, "pev_mac", None) == EV_MAC]
    assert [type(event) for event in own] == [slac.MatchingStarted, slac.MatchingFailed]


def test_refusals_of_a_flood_are_few_lines() -> None:
    rig, _, _ = crowded(Vehicle.until_sounds, PLACES)
    flood(rig, 0.5, 1000, Random(4))
    assert 1 <= len(rig.told(slac.MatchingFailed)) <= LINES
    assert rig.machine.ignored["refused"] == 500
    assert not rig.sent


def test_the_table_of_who_asked_stays_bounded_and_drops_what_is_too_old() -> None:
    asked = Asked()
    for n in range(3 * MOST_ASKED):
        asked.note((EV_MAC, n.to_bytes(8, "big")), 0.0, 0.4, 0.0)
    assert len(asked) == MOST_ASKED
    asked.note((EV_MAC, b"last one"), 1.0, 1.4, 1.0)
    assert len(asked) == 1
    assert asked.take((EV_MAC, b"last one"), 1.1) == 1.0
    assert asked.take((EV_MAC, b"last one"), 1.1) is None


# ---- a pilot that does not tell ----


def ask_for(rig: EvseRig, seconds: float, vehicle: Vehicle) -> None:
    for _ in range(round(seconds / 0.5)):
        vehicle.ask()
        rig.wait(0.5)


def test_a_vehicle_that_asks_for_10_s_while_the_pilot_is_unknown_is_told_once() -> None:
    rig = EvseRig(plugged=False)
    vehicle = Vehicle(rig)
    ask_for(rig, 10.0, vehicle)
    assert not rig.events
    ask_for(rig, 20.0, vehicle)
    (failed,) = rig.events
    assert isinstance(failed, slac.MatchingFailed)
    assert (failed.step, failed.pev_mac, failed.run_id) == (Step.PARM, EV_MAC, vehicle.run_id)
    assert "the pilot has not told for 10 s" in failed.reason
    assert rig.machine.ignored["not answering"] == 60
    assert not rig.sent
    rig.do(rig.machine.plugged, False)
    rig.do(rig.machine.plugged, None)
    rig.fresh()
    ask_for(rig, 11.0, vehicle)
    assert len(rig.events) == 1


@pytest.mark.parametrize("why", ["nobody is plugged in", "another is linked", "no key"])
def test_a_vehicle_that_is_not_answered_for_another_reason_is_not_told_of(why: str) -> None:
    rig = EvseRig(boots=why != "no key", plugged=False)
    if why == "nobody is plugged in":
        rig.do(rig.machine.plugged, False)
    if why == "another is linked":
        rig.do(rig.machine.plugged, True)
        rig.linked(others(rig, 1)[0])
        rig.do(rig.machine.plugged, None)
    rig.fresh()
    ask_for(rig, 15.0, Vehicle(rig))
    assert not rig.events
    assert not rig.sent
    assert rig.machine.ignored["not answering"] == 30
