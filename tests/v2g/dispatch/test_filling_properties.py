from __future__ import annotations

from math import fsum, inf

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.dispatch.filling import Filled, Limit, Phases, fill, fill_balanced

ONE_PHASE: list[Phases] = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
ALL_PHASES: list[Phases] = [*ONE_PHASE, (1 / 3, 1 / 3, 1 / 3)]
ANY_PHASES: list[Phases] = [*ALL_PHASES, (0.5, 0.5, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.2, 0.3, 0.5)]

Shares = tuple[list[float], list[float], list[float], list[Limit]]


@st.composite
def problems(draw: st.DrawFn, decades: float = 6.0, with_floors: bool = True) -> Shares:
    n = draw(st.integers(1, 12))
    caps = [draw(st.one_of(st.just(0.0), st.floats(1e-300, 1e5))) for _ in range(n)]
    weights = [draw(st.one_of(st.just(0.0), st.floats(-decades, decades).map(lambda e: 10.0**e))) for _ in range(n)]
    floors = [cap * draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])) if with_floors else 0.0 for cap in caps]
    limits = []
    for _ in range(draw(st.integers(0, 5))):
        members = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n))
        loads = [(i, draw(st.sampled_from([1.0, 1.0, 1 / 3, 0.5, 7.0]))) for i in members]
        spare = draw(st.one_of(st.just(0.0), st.floats(1e-250, 3e5), st.just(inf)))
        limits.append(Limit(used(loads, floors) + spare, loads))
    return caps, weights, floors, limits


def used(loads: list[tuple[int, float]], shares: list[float]) -> float:
    return fsum(coefficient * shares[i] for i, coefficient in loads)


def leads(i: int, filled: Filled, weights: list[float], floors: list[float], members: list[int]) -> bool:
    """No other member is ahead of share ``i`` in x/weight but by its floor."""
    level = filled.shares[i] / weights[i]
    return all(
        filled.shares[j] <= max(floors[j], level * weights[j]) * (1.0 + 1e-9) for j in members if weights[j] > 0.0
    )


@settings(max_examples=examples(150))
@given(problems())
def test_no_share_leaves_its_bounds_and_no_limit_is_exceeded(problem: Shares) -> None:
    caps, weights, floors, limits = problem
    filled = fill(caps, weights, limits, floors)
    assert all(f <= x <= c for f, x, c in zip(floors, filled.shares, caps, strict=True))
    for limit in limits:
        assert used(list(limit.loads), filled.shares) <= limit.capacity * (1.0 + 1e-15 * len(caps))


@settings(max_examples=examples(80))
@given(problems(with_floors=False))
def test_without_floors_no_limit_is_exceeded_by_anything(problem: Shares) -> None:
    caps, weights, floors, limits = problem
    filled = fill(caps, weights, limits, floors)
    assert all(used(list(limit.loads), filled.shares) <= limit.capacity for limit in limits)


@settings(max_examples=examples(150))
@given(problems())
def test_each_share_is_at_its_cap_or_leads_a_limit_that_is_reached(problem: Shares) -> None:
    # This characterises the weighted max-min fair shares: Bertsekas and Gallager, Data Networks, 6.5.2.
    caps, weights, floors, limits = problem
    filled = fill(caps, weights, limits, floors)
    for i, (x, k) in enumerate(zip(filled.shares, filled.bound_by, strict=True)):
        if k is None:
            assert x == (caps[i] if weights[i] > 0.0 else floors[i])
        else:
            loads = list(limits[k].loads)
            assert limits[k].capacity - used(loads, filled.shares) <= 1e-9 * limits[k].capacity
            assert x == floors[i] or leads(i, filled, weights, floors, [j for j, _ in loads])


@settings(max_examples=examples(80))
@given(problems(decades=2.0), st.randoms(use_true_random=False))
def test_the_order_of_shares_and_limits_does_not_matter(problem: Shares, random: object) -> None:
    caps, weights, floors, limits = problem
    there = list(range(len(caps)))
    random.shuffle(there)  # type: ignore[attr-defined]
    back = {i: n for n, i in enumerate(there)}
    shuffled = fill(
        [caps[i] for i in there],
        [weights[i] for i in there],
        [Limit(limit.capacity, [(back[i], a) for i, a in limit.loads]) for limit in reversed(limits)],
        [floors[i] for i in there],
    )
    shares = fill(caps, weights, limits, floors).shares
    for i, x in enumerate(shares):
        assert abs(shuffled.shares[back[i]] - x) <= 1e-9 * max(caps)


@settings(max_examples=examples(80))
@given(
    problems(decades=2.0, with_floors=False), st.lists(st.sampled_from(ANY_PHASES), min_size=12), st.floats(0.0, 1e5)
)
def test_balanced_shares_keep_every_limit_and_the_unbalance(
    problem: Shares, phases: list[Phases], unbalance: float
) -> None:
    caps, weights, floors, limits = problem
    filled = fill_balanced(caps, weights, limits, phases[: len(caps)], unbalance, floors)
    assert all(0.0 <= x <= cap for x, cap in zip(filled.shares, caps, strict=True))
    assert all(used(list(limit.loads), filled.shares) <= limit.capacity * (1.0 + 1e-12) for limit in limits)
    sums = [fsum(x * part[p] for x, part in zip(filled.shares, phases, strict=False)) for p in range(3)]
    assert max(sums) - min(sums) <= unbalance + 1e-9 * max(sums)


@settings(max_examples=examples(80))
@given(
    problems(decades=2.0, with_floors=False), st.lists(st.sampled_from(ALL_PHASES), min_size=12), st.floats(1.0, 1e5)
)
def test_who_is_held_by_a_phase_is_in_one_that_is_as_far_above_another_as_is_allowed(
    problem: Shares, phases: list[Phases], unbalance: float
) -> None:
    caps, weights, floors, limits = problem
    filled = fill_balanced(caps, weights, limits, phases[: len(caps)], unbalance, floors)
    sums = [fsum(x * part[p] for x, part in zip(filled.shares, phases, strict=False)) for p in range(3)]
    for i, k in enumerate(filled.bound_by):
        if k is None:
            assert filled.shares[i] == (caps[i] if weights[i] > 0.0 else 0.0)
        elif k >= len(limits):
            p = k - len(limits)
            assert phases[i] == ONE_PHASE[p]
            assert sums[p] - min(sums) >= unbalance - 1e-6 * max(unbalance, *sums)
            assert leads(i, filled, weights, floors, [j for j in range(len(caps)) if phases[j] == ONE_PHASE[p]])


@settings(max_examples=examples(80))
@given(problems(decades=2.0), st.lists(st.sampled_from(ANY_PHASES), min_size=12))
def test_an_unbalance_that_does_not_bind_changes_nothing(problem: Shares, phases: list[Phases]) -> None:
    caps, weights, floors, limits = problem
    assert fill_balanced(caps, weights, limits, phases[: len(caps)], 2e6, floors) == fill(caps, weights, limits, floors)
