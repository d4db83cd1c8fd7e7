from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf, nan
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.dispatch.filling import Limit, Phases, fill_balanced, unbalance_limits
from v2g.dispatch.turns import ROOM_S, Admission, Claim, Turns

DWELL_S = 300.0


def claims(*floors_w: float, weights: Sequence[float] = ()) -> list[Claim]:
    """Vehicles A, B, C ... of 11 kW, the first the most urgent unless ``weights`` says otherwise."""
    given_weights = weights or [float(len(floors_w) - n) for n in range(len(floors_w))]
    return [
        Claim(evse_id=chr(ord("A") + n), index=n, floor_w=floor_w, cap_w=11e3, weight=weight)
        for n, (floor_w, weight) in enumerate(zip(floors_w, given_weights, strict=True))
    ]


def site(capacity_w: float, n: int) -> list[Limit]:
    return [Limit(capacity_w, [(i, 1.0) for i in range(n)], "site")]


def run(
    turns: Turns, asked: Sequence[Claim], capacity_w: Callable[[float], float], until_s: float, from_s: float = 0.0
) -> Iterator[tuple[float, Admission]]:
    """Every 10 s, the end included."""
    for n in range(int(from_s / 10.0), int(until_s / 10.0) + 1):
        now_s = 10.0 * n
        yield now_s, turns.admit(asked, site(capacity_w(now_s), len(asked)), now_s)


def names(admission: Admission) -> str:
    return "".join(sorted(admission.admitted))


def test_all_take_part_where_all_floors_fit_even_exactly() -> None:
    admission = Turns(DWELL_S).admit(claims(1400.0, 1400.0, 1400.0), site(4200.0, 3), 0.0)
    assert names(admission) == "ABC"
    assert admission.waiting_s == {}
    assert not admission.hold_floors


def test_who_takes_any_power_always_takes_part() -> None:
    admission = Turns(DWELL_S).admit(claims(0.0, 1400.0, 0.0), site(0.0, 3), 0.0)
    assert names(admission) == "AC"
    assert "B" in admission.impossible


def test_the_more_urgent_come_first_and_a_smaller_one_fills_the_rest() -> None:
    # A takes 3 of 5 kW, B's 3 do not fit, C's 2 do.
    assert names(Turns(DWELL_S).admit(claims(3e3, 3e3, 2e3), site(5e3, 3), 0.0)) == "AC"


def test_turns_go_round_after_the_dwell_time_and_no_sooner() -> None:
    seen = [(now_s, names(a)) for now_s, a in run(Turns(DWELL_S), claims(2e3, 2e3, 2e3), lambda _: 4e3, 1200.0)]
    changes = [seen[0], *(b for a, b in pairwise(seen) if a[1] != b[1])]
    # Two at a time; of A and B, who came in together, the less urgent B makes room for C, then B waits.
    assert changes == [(0.0, "AB"), (300.0, "AC"), (600.0, "BC"), (900.0, "AB"), (1200.0, "AC")]


def test_who_waited_longest_comes_next_whatever_its_urgency() -> None:
    turns = Turns(DWELL_S)
    first = claims(2e3, 2e3, weights=[9.0, 0.1])
    turns.admit(first, site(2e3, 2), 0.0)
    both = claims(2e3, 2e3, 2e3, weights=[9.0, 0.1, 5.0])
    assert names(turns.admit(both, site(2e3, 3), 10.0)) == "A"
    assert names(turns.admit(both, site(2e3, 3), 300.0)) == "B"


def test_when_limits_fall_the_least_urgent_leaves_at_once() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3, 2e3, weights=[2.0, 1.0, 3.0])
    assert names(turns.admit(asked, site(6e3, 3), 0.0)) == "ABC"
    assert names(turns.admit(asked, site(5e3, 3), 1.0)) == "AC"
    assert names(turns.admit(asked, site(3e3, 3), 2.0)) == "C"


def test_when_limits_fall_who_has_had_its_dwell_time_leaves_before_who_has_not() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3, weights=[9.0, 1.0])
    turns.admit(asked[:1], site(4e3, 2), 0.0)
    turns.admit(asked, site(4e3, 2), 200.0)
    assert names(turns.admit(asked, site(2e3, 2), 300.0)) == "B"


def test_nobody_leaves_for_a_limit_that_it_does_not_load() -> None:
    limits = [Limit(4e3, [(0, 1.0), (1, 1.0)]), Limit(4e3, [(2, 1.0)])]
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3, 2e3)
    assert names(turns.admit(asked, limits, 0.0)) == "ABC"
    assert names(turns.admit(asked, [replace(limits[0], capacity=3e3), limits[1]], 1.0)) == "AC"


def test_one_that_left_does_not_come_back_to_room_that_comes_and_goes() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3)
    turns.admit(asked, site(4e3, 2), 0.0)
    noisy = lambda now_s: 3.9e3 if now_s % 40.0 == 10.0 else 4.2e3  # noqa: E731
    seen = dict(run(turns, asked, noisy, 300.0, from_s=10.0))
    assert {names(a) for a in seen.values()} == {"A"}


def test_one_that_left_comes_back_when_there_has_been_room_for_a_minute() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3)
    turns.admit(asked, site(4e3, 2), 0.0)
    assert names(turns.admit(asked, site(3.9e3, 2), 10.0)) == "A"
    back = [now_s for now_s, a in run(turns, asked, lambda _: 4.2e3, 300.0, from_s=20.0) if names(a) == "AB"]
    assert back[0] == 10.0 + ROOM_S + 10.0


def test_one_that_left_needs_a_twentieth_more_than_its_floor_to_come_back_before_the_dwell_time_is_over() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3)
    turns.admit(asked, site(4e3, 2), 0.0)
    turns.admit(asked, site(3.9e3, 2), 10.0)
    back = [now_s for now_s, a in run(turns, asked, lambda _: 4.09e3, 400.0, from_s=20.0) if names(a) == "AB"]
    assert back[0] == 10.0 + DWELL_S


def test_room_left_by_one_that_unplugs_is_taken_at_once() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3, 2e3)
    assert names(turns.admit(asked, site(4e3, 3), 0.0)) == "AB"
    assert names(turns.admit(asked[1:], site(4e3, 3), 10.0)) == "BC"


def test_a_large_one_is_not_passed_over_for_ever_by_small_ones() -> None:
    # 4 kW at a time: the small ones overlap so that the large one finds 4 kW free only if they are kept out.
    turns = Turns(DWELL_S)
    small = claims(*[1e3] * 8)
    large = Claim(evse_id="large", index=8, floor_w=4e3, cap_w=11e3, weight=0.01)
    limits = site(4e3, 9)
    seen = []
    for n in range(200):
        now_s = 10.0 * n
        here = [small[i] for i in range(8) if now_s >= 70.0 * i]
        seen.append("large" in turns.admit([*here, large] if now_s >= 20.0 else here, limits, now_s).admitted)
    assert True in seen
    assert seen.index(True) * 10.0 <= 20.0 + 2.0 * DWELL_S


def test_a_large_one_gets_its_turn_though_it_fits_now_and_then_only_and_others_come_and_go() -> None:
    # In turn 2 kW of P and 8 kW of Q, then 4 kW of each, which is what it needs. At the first there is room on Q beside
    # it, and who takes that would have no dwell time behind it at the second.
    turns = Turns(DWELL_S)
    large = Claim(evse_id="large", index=0, floor_w=4e3, cap_w=11e3, weight=0.01)
    admitted_at_s = None
    for n in range(100, 400):
        now_s = 10.0 * n
        small = [
            Claim(evse_id=f"small {k}", index=k, floor_w=1.3e3, cap_w=11e3, weight=1.0)
            for k in range(1, 60)
            if 100.0 * k <= now_s < 100.0 * k + 250.0
        ]
        p_w, q_w = (2e3, 8e3) if n // 10 % 2 else (4e3, 4e3)
        limits = [Limit(p_w, [(0, 1.0)]), Limit(q_w, [(k, 1.0) for k in range(60)])]
        asked = [*small, large] if now_s > 1000.0 else small
        if admitted_at_s is None and "large" in turns.admit(asked, limits, now_s).admitted:
            admitted_at_s = now_s
    assert admitted_at_s is not None
    assert admitted_at_s <= 1000.0 + 3.5 * DWELL_S


def test_one_that_need_not_leave_as_a_larger_one_does_keeps_its_turn() -> None:
    turns = Turns(DWELL_S)
    asked = claims(1e3, 4e3, 3.9e3, weights=[1.0, 2.0, 0.5])
    assert names(turns.admit(asked, site(5e3, 3), 0.0)) == "AB"
    assert names(turns.admit(asked, site(3.9e3, 3), 1.0)) == "A"
    assert names(turns.admit(asked, site(3.9e3, 3), 299.0)) == "A"
    assert names(turns.admit(asked, site(3.9e3, 3), 300.0)) == "C"


def test_room_just_after_somebody_had_to_leave_counts_when_it_has_lasted_a_minute() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3, 2e3)
    assert names(turns.admit(asked, site(4e3, 3), 0.0)) == "AB"
    assert names(turns.admit(asked, site(3.9e3, 3), 10.0)) == "A"
    seen = {now_s: names(a) for now_s, a in run(turns, asked, lambda _: 4.05e3, 80.0, from_s=20.0)}
    assert set(seen.values()) == {"A", "AC"}
    assert min(now_s for now_s, who in seen.items() if who == "AC") == 10.0 + ROOM_S


def test_a_turn_is_not_taken_from_one_that_another_needs_as_its_counterweight() -> None:
    # C's three phases unbalance nothing, but A may not be there without B: both make room.
    phases: list[Phases] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1 / 3, 1 / 3, 1 / 3), (0.0, 0.0, 1.0)]
    asked = claims(2e3, 2e3, 2e3, 1.1e3)
    limits = [*site(5.5e3, 4), *unbalance_limits(phases, 1.2e3)]
    turns = Turns(DWELL_S)
    assert names(turns.admit([asked[0], asked[1], asked[3]], limits, 0.0)) == "ABD"
    assert names(turns.admit(asked, limits, 300.0)) == "CD"


def test_impossible_ones_are_named_with_the_reason_and_do_not_wait() -> None:
    turns = Turns(DWELL_S)
    asked = [
        *claims(3e3, 6e3),
        Claim(evse_id="C", index=2, floor_w=3e3, cap_w=2e3, weight=9.0),
        Claim(evse_id="D", index=3, floor_w=nan, cap_w=2e3, weight=9.0),
    ]
    admissions = list(run(turns, asked, lambda _: 4e3, 1800.0))
    assert {names(a) for _, a in admissions} == {"A"}
    last = admissions[-1][1]
    assert last.waiting_s == {}
    assert last.longest_wait_s == 0.0
    assert last.impossible["B"] == "its least power of 6000 W does not fit site even alone: that has 4000 W"
    assert last.impossible["C"] == "its least power of 3000 W is above what it may have, 2000 W"
    assert "nan" in last.impossible["D"]


@pytest.mark.parametrize("capacity_w", [nan, -inf, -1.0])
def test_a_limit_that_is_none_lets_nobody_in(capacity_w: float) -> None:
    admission = Turns(DWELL_S).admit(claims(1e3), site(capacity_w, 1), 0.0)
    assert names(admission) == ""
    assert "site" in admission.impossible["A"]


def test_a_turn_that_ended_before_it_was_one_does_not_end_the_wait() -> None:
    turns = Turns(DWELL_S)
    asked = [
        Claim(evse_id=evse_id, index=n, floor_w=3e3, cap_w=9e3, weight=weight)
        for n, (evse_id, weight) in enumerate((("A", 2.0), ("B", 1.0)))
    ]
    assert turns.admit(asked, site(4e3, 2), 0.0).waiting_s == {"B": 0.0}
    assert turns.admit(asked, site(7e3, 2), 100.0).admitted == {"A", "B"}
    assert turns.admit(asked, site(4e3, 2), 110.0).waiting_s == {"B": 110.0}


def test_after_ten_minutes_of_waiting_all_are_to_be_held_at_their_floors() -> None:
    turns = Turns(800.0)
    asked = claims(3e3, 3e3)
    seen = dict(run(turns, asked, lambda _: 5e3, 800.0))
    assert seen[600.0].longest_wait_s == 600.0
    assert not seen[600.0].hold_floors
    assert seen[610.0].hold_floors
    assert names(seen[800.0]) == "B"
    assert not seen[800.0].hold_floors


def test_the_same_question_has_the_same_answer_whatever_the_order() -> None:
    turns = Turns(DWELL_S)
    asked = claims(2e3, 2e3, 3e3, 1e3)
    for now_s, admission in run(turns, asked, lambda now_s: 5e3 + now_s % 70.0 * 30.0, 1500.0):
        capacity_w = 5e3 + now_s % 70.0 * 30.0
        assert turns.admit(asked, site(capacity_w, 4), now_s) == admission
        assert turns.admit(asked[::-1], site(capacity_w, 4), now_s) == admission


def test_floors_on_one_phase_wait_for_their_counterweight() -> None:
    phases: list[Phases] = [(1.0, 0.0, 0.0)] * 3 + [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    asked = claims(2e3, 2e3, 2e3, 2e3, 2e3)
    limits = [*site(20e3, 5), *unbalance_limits(phases, 4.5e3)]
    assert names(Turns(DWELL_S).admit(asked[:3], limits, 0.0)) == "AB"
    assert names(Turns(DWELL_S).admit(asked, limits, 0.0)) == "ABCDE"


def test_three_that_unbalance_alone_come_in_together() -> None:
    asked = claims(2e3, 2e3, 2e3)
    phases: list[Phases] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    turns = Turns(DWELL_S)
    assert names(turns.admit(asked[:2], [*site(9e3, 3), *unbalance_limits(phases, 1e3)], 0.0)) == ""
    assert names(turns.admit(asked, [*site(5e3, 3), *unbalance_limits(phases, 1e3)], 1.0)) == ""
    assert names(turns.admit(asked, [*site(9e3, 3), *unbalance_limits(phases, 1e3)], 2.0)) == "ABC"


def test_when_a_counterweight_leaves_the_heavy_phase_gives_way() -> None:
    phases: list[Phases] = [(1.0, 0.0, 0.0)] * 3 + [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    asked = claims(2e3, 2e3, 2e3, 2e3, 2e3)
    limits = [*site(20e3, 5), *unbalance_limits(phases, 4.5e3)]
    turns = Turns(DWELL_S)
    turns.admit(asked, limits, 0.0)
    assert names(turns.admit(asked[:4], limits, 1.0)) == "ABD"


def test_sixty_vehicles_with_floors_spread_evenly_all_take_part() -> None:
    phases: list[Phases] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)] * 20
    asked = [Claim(evse_id=f"E{n:02}", index=n, floor_w=1380.0, cap_w=3680.0, weight=1.0 + n % 7) for n in range(60)]
    limits = [*site(1e6, 60), *unbalance_limits(phases, 4.6e3)]
    assert len(Turns(DWELL_S).admit(asked, limits, 0.0).admitted) == 60


@pytest.mark.parametrize("dwell_s", [0.0, -1.0, nan, inf])
def test_a_dwell_time_must_be_a_time(dwell_s: float) -> None:
    with pytest.raises(ValueError, match="a dwell time of"):
        Turns(dwell_s)


def test_two_claims_of_one_evse_are_refused() -> None:
    with pytest.raises(ValueError, match="two claims of one EVSE"):
        Turns(DWELL_S).admit([*claims(1e3), *claims(1e3)], site(1e4, 1), 0.0)
    with pytest.raises(ValueError, match="or of one index"):
        Turns(DWELL_S).admit([*claims(1e3), replace(claims(1e3)[0], evse_id="B")], site(1e4, 1), 0.0)


Capacity = Callable[[Random, float], float]


def steps_up_and_down(random: Random, before_w: float) -> float:
    return random.uniform(4.2e3, 40e3) if random.random() < 0.05 else before_w


def anything(random: Random, before_w: float) -> float:
    return random.uniform(1e3, 30e3)


def often_too_small_for_the_largest(random: Random, before_w: float) -> float:
    return random.choice([1.4e3, 1.4e3, 4.2e3, 6e3])


def noise(random: Random, before_w: float) -> float:
    return random.gauss(20e3, 400.0)


@pytest.mark.parametrize("capacity", [steps_up_and_down, anything, often_too_small_for_the_largest, noise])
def test_nobody_starves_nor_flaps_in_five_hours(capacity: Capacity) -> None:
    random = Random(5)
    n, until_s = 20, 5 * 3600.0
    asked = {
        f"E{i:02}": Claim(
            evse_id=f"E{i:02}",
            index=i,
            floor_w=random.choice([1380.0, 2070.0, 4140.0]),
            cap_w=11e3,
            weight=10.0 ** random.uniform(-2.0, 1.0),
        )
        for i in range(n)
    }
    turns = Turns(DWELL_S)
    site_w = [20e3]
    came_s: dict[str, float] = {}
    went_s = dict.fromkeys(asked, -inf)
    absent_s: dict[str, list[float]] = defaultdict(list)
    before: frozenset[str] = frozenset()
    for step in range(int(until_s / 10.0)):
        now_s = 10.0 * step
        site_w.append(capacity(random, site_w[-1]))
        phase_w = max(4.2e3, 0.5 * site_w[-1])
        limits = [*site(site_w[-1], n), *(Limit(phase_w, [(i, 1.0) for i in range(p, n, 3)]) for p in range(3))]
        admitted = turns.admit(list(asked.values()), limits, now_s).admitted
        floors_w = {asked[e].index: asked[e].floor_w for e in admitted}
        assert all(sum(floors_w.get(i, 0.0) for i, _ in k.loads) <= k.capacity * (1.0 + 1e-9) for k in limits)
        stayed_w = sum(asked[e].floor_w for e in admitted & before)
        for evse_id in admitted - before:
            if now_s - went_s[evse_id] < DWELL_S:
                assert min(site_w[-7:]) >= stayed_w + 1.05 * asked[evse_id].floor_w - 1e-6
            absent_s[evse_id].append(now_s - max(0.0, went_s[evse_id]))
            came_s[evse_id] = now_s
        for evse_id in before - admitted:
            assert now_s - came_s[evse_id] >= DWELL_S or site_w[-1] < site_w[-2]
            went_s[evse_id] = now_s
        before = admitted
    for evse_id in asked.keys() - before:
        absent_s[evse_id].append(until_s - max(0.0, went_s[evse_id]))
    assert absent_s.keys() == asked.keys()
    assert max(map(max, absent_s.values())) <= (n + 3) * DWELL_S


@settings(max_examples=examples(60))
@given(data=st.data())
def test_floors_always_fit_and_everybody_is_admitted_waiting_or_impossible(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    asked = [
        Claim(
            evse_id=f"E{i}",
            index=i,
            floor_w=data.draw(st.sampled_from([0.0, 1e3, 1.4e3, 2.5e3, 4e3])),
            cap_w=data.draw(st.sampled_from([2e3, 11e3])),
            weight=data.draw(st.floats(0.01, 10.0)),
        )
        for i in range(n)
    ]
    phases: list[Phases] = [
        data.draw(st.sampled_from([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1 / 3, 1 / 3, 1 / 3)]))
        for _ in range(n)
    ]
    members = [data.draw(st.lists(st.integers(0, n - 1), unique=True)) for _ in range(2)]
    turns = Turns(DWELL_S)
    now_s = 0.0
    for _ in range(data.draw(st.integers(1, 40))):
        now_s += data.draw(st.sampled_from([0.25, 1.0, 20.0, 90.0, 300.0]))
        capacities = [data.draw(st.floats(0.0, 12e3)) for _ in range(3)]
        unbalance_w = data.draw(st.floats(0.0, 6e3))
        limits = [
            *site(capacities[0], n),
            *(Limit(w, [(i, 1.0) for i in group]) for w, group in zip(capacities[1:], members, strict=True)),
        ]
        here = [claim for claim in asked if data.draw(st.integers(0, 9)) > 0]
        admission = turns.admit(here, [*limits, *unbalance_limits(phases, unbalance_w)], now_s)
        waiting = set(admission.waiting_s)
        assert admission.admitted | waiting | admission.impossible.keys() == {claim.evse_id for claim in here}
        assert not admission.admitted & waiting
        assert not admission.admitted & admission.impossible.keys()
        taking_part = {claim.index: claim for claim in here if claim.evse_id in admission.admitted}
        floors = [taking_part[i].floor_w if i in taking_part else 0.0 for i in range(n)]
        caps = [taking_part[i].cap_w if i in taking_part else 0.0 for i in range(n)]
        filled = fill_balanced(caps, [1.0] * n, limits, phases, unbalance_w, floors)
        assert all(x >= floor for x, floor in zip(filled.shares, floors, strict=True))


def test_who_had_no_power_for_other_reasons_has_waited_as_long() -> None:
    """One that rested before it could turn round is not the last in the queue again."""
    turns = Turns(300.0)
    limits = [Limit(5e3, [(0, 1.0), (1, 1.0)])]
    first = Claim(evse_id="A", index=0, floor_w=4e3, cap_w=11e3, weight=1.0)
    second = Claim(evse_id="B", index=1, floor_w=4e3, cap_w=11e3, weight=1.0, idle_s=400.0)
    for n in range(300):
        assert turns.admit([first], [Limit(5e3, [(0, 1.0)])], float(n)).admitted == {"A"}
    found = turns.admit([first, second], limits, 300.0)
    assert found.admitted == {"B"}
    assert found.waiting_s == {"A": 0.0}
