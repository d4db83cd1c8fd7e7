from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.max_min_lp import Case, max_min
from v2g.dispatch.filling import Limit
from v2g.mesh.filling import Claimant, fill

MOST_W = 1e6


def feeder(*pairs: tuple[float, float], weights: tuple[float, ...] = ()) -> list[Claimant]:
    """(floor, wish) of A, B, C ... in feeder f."""
    return [
        Claimant(id=chr(ord("A") + n), floor_w=floor, wish_w=wish, groups=("f",), weight=weights[n] if weights else 1.0)
        for n, (floor, wish) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("pairs", "weights", "limit", "shares"),
    [
        ([(0, 10), (0, 10), (0, 10)], (), 9.0, [3, 3, 3]),
        # 3 each; the 2 that A leaves go half and half
        ([(0, 1), (0, 10), (0, 10)], (), 9.0, [1, 4, 4]),
        ([(0, 10), (0, 10)], (1.0, 2.0), 9.0, [3, 6]),
        # above the floors of 1 and 4 there are 4 for two
        ([(1, 10), (4, 10)], (), 9.0, [3, 6]),
        ([(1, 10), (4, 5)], (), 9.0, [4, 5]),
        # B flows the other way and so makes room of 5
        ([(0, 10), (-5, -5)], (), 4.0, [9, -5]),
        ([(8, 10), (4, 10)], (), 9.0, [8, 4]),
        ([(2, 1), (0, 10)], (), 9.0, [2, 7]),
        ([(0, 10), (0, inf)], (), 30.0, [10, 20]),
        ([(0, 10), (0, 20)], (), inf, [10, 20]),
        ([(0, inf), (0, 20)], (), inf, [inf, 20]),
        ([], (), 9.0, []),
    ],
)
def test_one_feeder_by_hand(
    pairs: list[tuple[float, float]], weights: tuple[float, ...], limit: float, shares: list[float]
) -> None:
    assert list(fill(feeder(*pairs, weights=weights), {"f": limit}).values()) == pytest.approx(shares)


def test_what_one_feeder_cannot_take_goes_to_the_other_below_the_same_substation() -> None:
    claimants = [
        Claimant(id=name, floor_w=0.0, wish_w=100.0, groups=(group, "s"))
        for name, group in zip("ABC", "ffg", strict=True)
    ]
    assert fill(claimants, {"f": 20.0, "g": 200.0, "s": 90.0}) == pytest.approx({"A": 10.0, "B": 10.0, "C": 70.0})


def test_a_feeder_beyond_its_limit_takes_nothing_from_the_other_but_its_floors() -> None:
    claimants = [
        Claimant(id="A", floor_w=30.0, wish_w=100.0, groups=("f", "s")),
        Claimant(id="B", floor_w=0.0, wish_w=100.0, groups=("g", "s")),
    ]
    assert fill(claimants, {"f": 20.0, "g": 200.0, "s": 90.0}) == pytest.approx({"A": 30.0, "B": 60.0})


def test_a_tiny_weight_beside_great_ones_gets_its_part() -> None:
    claimants = feeder((0.0, 1.0), (0.0, 1.0), (0.0, 10.0), weights=(1e9, 1e9, 1e-6))
    assert fill(claimants, {"f": 7.0}) == pytest.approx({"A": 1.0, "B": 1.0, "C": 5.0})


def test_a_group_that_has_no_limit_named_binds_nobody() -> None:
    assert fill([Claimant(id="A", floor_w=0.0, wish_w=7.0, groups=("x", "f"))], {"f": 9.0}) == {"A": 7.0}


Tree = tuple[list[Claimant], dict[str, float]]


@st.composite
def trees(draw: st.DrawFn, floors_fit: bool = False, spread: float = 1.5) -> Tree:
    """Up to 12 transformers in up to 3 feeders, two of them below a busbar, all below a substation."""
    random = Random(draw(st.integers(0, 2**32)))
    paths = [("f0", "b", "s"), ("f1", "b", "s"), ("f2", "s"), ("s",)]
    claimants = []
    for n in range(draw(st.integers(1, 12))):
        floor_w = random.choice([0.0, random.uniform(-0.2, 0.3) * MOST_W])
        wish_w = floor_w + random.choice([0.0, -1.0, random.random(), random.random(), 1.0]) * MOST_W
        weight = random.choice([1.0, 10.0 ** random.uniform(-spread, spread)])
        claimants.append(
            Claimant(id=f"t{n}", floor_w=floor_w, wish_w=wish_w, groups=random.choice(paths), weight=weight)
        )
    limits = {}
    for group in ("f0", "f1", "f2", "b", "s"):
        below = [each for each in claimants if group in each.groups]
        least_w = sum(each.floor_w for each in below)
        more_w = sum(max(0.0, each.wish_w - each.floor_w) for each in below)
        part = random.choice([0.0, random.random(), random.random(), 1.2])
        limits[group] = random.choice([inf, *[least_w + part * more_w + 1.0] * 4])
        if not floors_fit and random.random() < 0.15:
            limits[group] = least_w - random.random() * MOST_W
    return claimants, limits


@settings(max_examples=examples(500))
@given(trees(floors_fit=True))
def test_it_is_what_successive_linear_programmes_find(tree: Tree) -> None:
    claimants, limits = tree
    over = [max(0.0, each.wish_w - each.floor_w) for each in claimants]
    rows = [
        Limit(
            limits[group] - sum(each.floor_w for each in claimants if group in each.groups),
            [(i, 1.0) for i, each in enumerate(claimants) if group in each.groups],
        )
        for group in limits
        if limits[group] < inf and any(group in each.groups for each in claimants)
    ]
    rows.append(Limit(sum(over) + 1.0, [(i, 1.0) for i in range(len(claimants))]))
    exact, _ = max_min(Case(over, [each.weight for each in claimants], [0.0] * len(claimants), rows))
    shares = fill(claimants, limits)
    scale_w = max(row.capacity for row in rows)
    for each, above_w in zip(claimants, exact, strict=True):
        assert shares[each.id] - each.floor_w == pytest.approx(above_w, abs=1e-6 * scale_w)


@settings(max_examples=examples(500))
@given(trees(spread=2.0))
def test_it_stays_within_limits_floors_and_wishes_and_nobody_is_short_without_a_full_group(tree: Tree) -> None:
    claimants, limits = tree
    shares = fill(claimants, limits)
    assert set(shares) == {each.id for each in claimants}
    full = {}
    for group, limit_w in limits.items():
        below = [each for each in claimants if group in each.groups]
        total_w = sum(shares[each.id] for each in below)
        assert total_w <= max(limit_w, sum(each.floor_w for each in below)) + 1e-6
        if total_w >= limit_w - 1e-3:
            full[group] = max(((shares[each.id] - each.floor_w) / each.weight for each in below), default=0.0)
    for each in claimants:
        above_w = shares[each.id] - each.floor_w
        assert above_w >= 0.0
        assert shares[each.id] <= max(each.wish_w, each.floor_w)
        if shares[each.id] < each.wish_w - 1e-3:
            # It is among those that have the most above their floors, by weight, of some group that is full.
            most = [full[group] * each.weight for group in each.groups if group in full]
            assert any(above_w >= of_weight_w * (1.0 - 1e-6) - 1e-4 for of_weight_w in most)


@settings(max_examples=examples(300))
@given(trees(), st.randoms(use_true_random=False))
def test_the_order_of_the_facts_does_not_matter_to_the_last_bit(tree: Tree, random: Random) -> None:
    claimants, limits = tree
    shares = fill(claimants, limits)
    mixed, groups = list(claimants), list(limits)
    random.shuffle(mixed)
    random.shuffle(groups)
    assert fill(mixed, {group: limits[group] for group in groups}) == shares


@settings(max_examples=examples(500))
@given(trees(), st.integers(0, 11), st.floats(0.0, 1.0), st.sampled_from(["wish", "floor", "both"]))
def test_who_needs_more_has_no_less_and_leaves_nobody_more(tree: Tree, which: int, more: float, what: str) -> None:
    """So one that counts with its worst leaves the others no more than by what it tells; healing takes nothing."""
    claimants, limits = tree
    which %= len(claimants)
    before = fill(claimants, limits)
    each = claimants[which]
    more_w = more * MOST_W
    other = replace(
        each,
        wish_w=max(each.floor_w, each.wish_w) + (0.0 if what == "floor" else more_w),
        floor_w=each.floor_w + (0.0 if what == "wish" else more_w),
    )
    after = fill([*claimants[:which], other, *claimants[which + 1 :]], limits)
    assert after[each.id] >= before[each.id] - 1e-3
    for name in before:
        if name != each.id:
            assert after[name] <= before[name] + 1e-3


@settings(max_examples=examples(300))
@given(trees(), st.floats(0.0, 1.0))
def test_more_room_at_the_root_takes_from_nobody(tree: Tree, more: float) -> None:
    claimants, limits = tree
    before = fill(claimants, limits)
    after = fill(claimants, {**limits, "s": limits["s"] + more * MOST_W})
    assert all(after[name] >= before[name] - 1e-3 for name in before)
