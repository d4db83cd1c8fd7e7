from __future__ import annotations

from math import fsum, inf, nan
from random import Random

import pytest

from support.max_min_lp import excess, max_min, random_case
from v2g.dispatch.filling import Limit, Phases, fill, fill_balanced

A: Phases = (1.0, 0.0, 0.0)
B: Phases = (0.0, 1.0, 0.0)
C: Phases = (0.0, 0.0, 1.0)
ABC: Phases = (1 / 3, 1 / 3, 1 / 3)


def together(capacity: float, n: int) -> Limit:
    return Limit(capacity, [(i, 1.0) for i in range(n)])


@pytest.mark.parametrize(
    ("amount", "caps", "weights", "shares", "bound_by"),
    [
        (9.0, [10.0, 10.0, 10.0], [1.0, 1.0, 1.0], [3.0, 3.0, 3.0], [0, 0, 0]),
        # 3 each; the 2 that the first leaves go half and half
        (9.0, [1.0, 10.0, 10.0], [1.0, 1.0, 1.0], [1.0, 4.0, 4.0], [None, 0, 0]),
        (9.0, [1.0, 3.5, 10.0], [1.0, 1.0, 1.0], [1.0, 3.5, 4.5], [None, None, 0]),
        (9.0, [10.0, 10.0], [1.0, 2.0], [3.0, 6.0], [0, 0]),
        (9.0, [10.0, 5.0], [1.0, 2.0], [4.0, 5.0], [0, None]),
        (90.0, [10.0, 5.0], [1.0, 2.0], [10.0, 5.0], [None, None]),
        (inf, [10.0, 5.0], [1.0, 2.0], [10.0, 5.0], [None, None]),
        (9.0, [inf, 5.0], [1.0, 2.0], [4.0, 5.0], [0, None]),
        (9.0, [10.0, 5.0], [0.0, 2.0], [0.0, 5.0], [None, None]),
        (0.0, [10.0, 5.0], [1.0, 2.0], [0.0, 0.0], [0, 0]),
        (9.0, [0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [None, None]),
        (9.0, [], [], [], []),
    ],
)
def test_one_limit_by_hand(
    amount: float, caps: list[float], weights: list[float], shares: list[float], bound_by: list[int | None]
) -> None:
    filled = fill(caps, weights, [together(amount, len(caps))])
    assert filled.shares == pytest.approx(shares)
    assert filled.bound_by == bound_by


def test_a_share_stops_at_its_narrowest_limit_and_the_others_take_what_it_leaves() -> None:
    # Bertsekas and Gallager, Data Networks, 2nd edition, example 6.4: sessions 1, 2 and 3 share one link of capacity 1,
    # 2 and 4 another; link capacities are 1.
    limits = [Limit(1.0, [(0, 1.0), (1, 1.0), (2, 1.0)]), Limit(1.0, [(1, 1.0), (3, 1.0)])]
    filled = fill([inf] * 4, [1.0] * 4, limits)
    assert filled.shares == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert filled.bound_by == [0, 0, 0, 1]


def test_a_third_of_a_three_phase_share_counts_in_a_phase() -> None:
    # Phase of 10: x + y / 3 = 10 with x = y.
    filled = fill([20.0, 20.0], [1.0, 1.0], [Limit(10.0, [(0, 1.0), (1, 1 / 3)])])
    assert filled.shares == pytest.approx([7.5, 7.5])


def test_a_share_stays_at_its_floor_until_the_level_reaches_it() -> None:
    # The floor of 6 leaves 3 for two; at 15 the level of 5 has not reached it, at 21 all have 7.
    for amount, shares in [(9.0, [6.0, 1.5, 1.5]), (15.0, [6.0, 4.5, 4.5]), (21.0, [7.0, 7.0, 7.0])]:
        filled = fill([10.0] * 3, [1.0] * 3, [together(amount, 3)], [6.0, 0.0, 0.0])
        assert filled.shares == pytest.approx(shares)
        assert filled.bound_by == [0, 0, 0]


def test_a_share_of_weight_0_gets_its_floor() -> None:
    assert fill([10.0, 10.0], [0.0, 1.0], [together(9.0, 2)], [2.0, 0.0]).shares == pytest.approx([2.0, 7.0])


def test_floors_that_fill_a_limit_exactly_are_accepted() -> None:
    floors = [0.1, 0.2, 0.3]
    filled = fill([1.0] * 3, [1.0] * 3, [together(0.6, 3)], floors)
    assert filled.shares == floors
    assert filled.bound_by == [0, 0, 0]


def test_weights_over_twelve_decades_share_as_their_ratios_say() -> None:
    weights = [10.0**decade for decade in range(-6, 7)]
    caps = [weight if weight > 1.0 else inf for weight in weights]
    # At level 1 the six heavy ones are at their caps; the seven light ones share 5 of 1,111,115.
    heavy, light = fsum(weights[7:]), fsum(weights[:7])
    filled = fill(caps, weights, [together(heavy + 5.0, 13)])
    assert filled.shares[7:] == weights[7:]
    assert filled.shares[:7] == pytest.approx([5.0 * weight / light for weight in weights[:7]], rel=1e-9, abs=0.0)
    assert 0.0 <= heavy + 5.0 - fsum(filled.shares) <= 1e-9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0], [1.0, 1.0], []), "1 caps, 2 weights and 1 floors"),
        (([-1.0], [1.0], []), "share 0: a floor of 0 with a cap of -1"),
        (([nan], [1.0], []), "share 0: a floor of 0 with a cap of nan"),
        (([1.0], [1.0], [], [2.0]), "share 0: a floor of 2 with a cap of 1"),
        (([1.0], [nan], []), "share 0: a weight of nan"),
        (([1.0], [-1.0], []), "share 0: a weight of -1"),
        (([1.0], [inf], []), "share 0: a weight of inf"),
        (([inf, 1.0], [1.0, 1.0], [Limit(5.0, [(1, 1.0)])]), "share 0 has neither a finite cap nor a limit"),
        (([inf], [1.0], [Limit(inf, [(0, 1.0)])]), "share 0 has neither a finite cap nor a limit"),
        (([1.0], [1.0], [Limit(1.0, [(1, 1.0)])]), "limit 0 is loaded by share 1, of 1"),
        (([1.0], [1.0], [Limit(1.0, [(0, -1.0)])]), "limit 0: coefficient -1 of share 0"),
        (([1.0], [1.0], [Limit(nan, [(0, 1.0)])]), "limit 0 holds nan"),
        (([1.0], [1.0], [Limit(-inf, [(0, 1.0)])]), "limit 0 holds -inf"),
        (([1.0], [1.0], [Limit(-1.0, [])], None), "limit 0 holds -1, its floors need 0"),
        (
            ([5.0, 5.0], [1.0, 1.0], [together(9.0, 2), Limit(3.0, [(1, 1.0)], "feeder B")], [4.0, 4.0]),
            "feeder B holds 3, its floors need 4: let fewer take part",
        ),
    ],
)
def test_what_cannot_be_filled_is_refused_with_its_reason(arguments: tuple, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=words):
        fill(*arguments)


def test_sixty_vehicles_spread_evenly_over_the_phases_are_not_throttled() -> None:
    caps = [3.7e3 + 10.0 * (i // 3) for i in range(60)]
    filled = fill_balanced(caps, [1.0 + i % 7 for i in range(60)], [together(1e6, 60)], [A, B, C] * 20, 4.6e3)
    assert filled.shares == caps
    assert filled.bound_by == [None] * 60


def test_the_heavy_phase_is_held_to_the_unbalance_above_the_lightest() -> None:
    # Phase C has 2, so A may have 2 + 5; B's 6 is within it, and the three-phase vehicle adds nothing.
    filled = fill_balanced(
        [9.0, 9.0, 6.0, 2.0, 30.0], [1.0, 3.0, 1.0, 1.0, 1.0], [together(100.0, 5)], [A, A, B, C, ABC], 5.0
    )
    assert filled.shares == pytest.approx([1.75, 5.25, 6.0, 2.0, 30.0])
    assert filled.bound_by == [1, 1, None, None, None]


def test_without_an_allowed_unbalance_all_phases_have_as_much() -> None:
    filled = fill_balanced([9.0, 9.0, 4.0, 7.0], [1.0] * 4, [together(100.0, 4)], [A, A, B, C], 0.0)
    assert filled.shares == pytest.approx([2.0, 2.0, 4.0, 4.0])


def test_a_phase_that_gives_way_under_the_limit_of_the_site_lets_the_light_ones_rise() -> None:
    # Ten vehicles on A, one on B, one on C, 20 in all: 5 + 5 on B and C carry 10 on A. Fillings, each with the caps
    # that follow from the one before, swing about this point: 6.67, 11.67, 9.17 ... on A.
    phases = [A] * 10 + [B, C]
    filled = fill_balanced([10.0] * 12, [1.0] * 12, [together(20.0, 12)], phases, 5.0)
    assert filled.shares == pytest.approx([1.0] * 10 + [5.0, 5.0], rel=1e-9)
    assert filled.bound_by == [1] * 10 + [0, 0]


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_share_of_two_phases_is_not_held_by_a_difference_to_which_it_adds_nothing(scale: float) -> None:
    # C has 20. The first adds alike to A and B; only the second makes A heavier than B. The first and C lift each other
    # by steps of the unbalance.
    caps = [10.0 * scale, 10.0 * scale, 20.0 * scale]
    filled = fill_balanced(caps, [1.0] * 3, [together(100.0 * scale, 3)], [(0.5, 0.5, 0.0), A, C], 1.0)
    assert filled.shares[1] == pytest.approx(1.0)
    sums = [filled.shares[0] / 2 + filled.shares[1], filled.shares[0] / 2, filled.shares[2]]
    assert max(sums) - min(sums) <= 1.0 + 1e-9
    assert filled.shares[0] > 9.0 * scale


def test_a_phase_with_next_to_nothing_is_no_contradiction_where_no_unbalance_is_allowed() -> None:
    filled = fill_balanced([1.0, 1.0, 4.6e-188], [1.0] * 3, [], [B, (0.5, 0.0, 0.5), A], 0.0)
    assert filled.shares == pytest.approx([0.5, 1.0, 0.0], abs=1e-9)


def test_weights_that_no_sum_can_hold_are_still_weights() -> None:
    filled = fill([inf, 1.0], [1e-300, 1e300], [together(2.0, 2)])
    assert filled.shares == pytest.approx([1.0, 1.0])


def test_floors_that_cannot_be_balanced_are_refused() -> None:
    with pytest.raises(ValueError, match="phase 0: its floors need 8, by more than 3 above another"):
        fill_balanced([9.0, 9.0, 2.0], [1.0] * 3, [together(100.0, 3)], [A, A, B], 3.0, [4.0, 4.0, 0.0])


def test_floors_are_balanced_by_what_others_can_take() -> None:
    filled = fill_balanced([9.0, 9.0, 9.0], [1.0] * 3, [together(100.0, 3)], [A, B, C], 3.0, [8.0, 0.0, 0.0])
    assert filled.shares == [9.0, 9.0, 9.0]


@pytest.mark.parametrize(
    ("phases", "unbalance", "words"),
    [
        ([A], 1.0, "2 caps and 1 phases"),
        ([A, (nan, 0.0, 0.0)], 1.0, "three finite parts"),
        ([A, (-1.0, 1.0, 1.0)], 1.0, "none below 0"),
        ([A, B], -1.0, "an unbalance of -1"),
        ([A, B], nan, "an unbalance of nan"),
    ],
)
def test_impossible_phases_are_refused(phases: list[Phases], unbalance: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fill_balanced([1.0, 1.0], [1.0, 1.0], [], phases, unbalance)


def test_shares_equal_those_of_successive_linear_programmes() -> None:
    random = Random(7)
    for _ in range(60):
        case = random_case(random)
        shares = fill(case.caps, case.weights, case.limits, case.floors).shares
        exact, _ = max_min(case)
        largest = max(limit.capacity for limit in case.limits)
        assert shares == pytest.approx(exact, rel=0.0, abs=1e-6 * largest)
        assert excess(case, shares) <= 1e-12


def test_balanced_shares_keep_every_limit_and_are_near_those_of_linear_programmes() -> None:
    random = Random(8)
    lost = []
    for _ in range(60):
        case = random_case(random)
        shares = fill_balanced(case.caps, case.weights, case.limits, case.phases, case.unbalance, case.floors).shares
        exact, _ = max_min(case, balanced=True)
        assert excess(case, shares, balanced=True) <= 1e-12
        lost.append(1.0 - fsum(shares) / fsum(exact))
    assert max(lost) <= 0.1
    assert fsum(lost) / len(lost) <= 0.01
