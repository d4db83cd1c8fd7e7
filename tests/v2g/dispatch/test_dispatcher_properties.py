from __future__ import annotations

import dataclasses
from math import fsum, inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.allocation import allocate, vehicle_of
from support.examples import examples
from v2g.dispatch.constraints import Bound, intersect
from v2g.dispatch.dispatcher import Vehicle
from v2g.dispatch.orders import Mode, Order

NOW_S = 100.0
LATER_S = 1000.0

names = st.sampled_from(["A", "B", "C", "D", "E", "F"])
watts = st.one_of(st.just(0.0), st.floats(0.0, 50e3), st.just(inf))
times = st.sampled_from([NOW_S - 1.0, NOW_S, NOW_S + 1.0])
sources = st.sampled_from(["thermal hot-spot", "vehicle power limit", "inverter rating", "min-SoC"])
bounds = st.builds(
    lambda lo_w, hi_w, source, fresh: Bound(-lo_w, hi_w, source, LATER_S if fresh else NOW_S),
    watts,
    watts,
    sources,
    st.integers(0, 9).map(bool),
)
floored = st.builds(
    lambda lo_w, width_w, sign, source: Bound(
        min(sign * lo_w, sign * (lo_w + width_w)), max(sign * lo_w, sign * (lo_w + width_w)), source, LATER_S
    ),
    st.floats(0.0, 10e3),
    st.floats(0.0, 20e3),
    st.sampled_from([-1.0, 1.0]),
    sources,
)
vehicles = st.lists(
    st.builds(
        lambda evse_id, bounds: vehicle_of(evse_id, tuple(bounds)),
        names,
        st.lists(st.one_of(bounds, bounds, bounds, floored), max_size=3),
    ),
    max_size=7,
    unique_by=lambda c: c.evse_id,
)
sites = st.lists(st.one_of(bounds, bounds, bounds, floored), max_size=2)
standing = st.lists(
    st.builds(
        lambda mode, power_w, evse_id, created, expires: Order(
            id=0, mode=mode, power_w=power_w, evse_id=evse_id, created_at_s=created, expires_at_s=expires, by="ann"
        ),
        st.sampled_from([Mode.CHARGE, Mode.DISCHARGE, Mode.IDLE]),
        st.floats(0.0, 100e3),
        st.one_of(st.none(), names),
        st.floats(0.0, NOW_S),
        times,
    ),
    max_size=6,
).map(lambda orders: [dataclasses.replace(o, id=i) for i, o in enumerate(orders)])


@settings(max_examples=examples(150), deadline=None)
@given(orders=standing, candidates=vehicles, site=sites)
def test_no_bound_no_order_and_no_site_limit_is_ever_exceeded(
    orders: list[Order], candidates: list[Vehicle], site: list[Bound]
) -> None:
    result = allocate(orders, candidates, site, NOW_S)
    assert [grant.evse_id for grant in result.grants] == [candidate.evse_id for candidate in candidates]
    by_id = {o.id: o for o in orders}
    served: dict[int, list[float]] = {}
    for grant, candidate in zip(result.grants, candidates, strict=True):
        limits = intersect(candidate.bounds, NOW_S)
        assert grant.power_w == 0.0 or limits.lo_w - 1e-6 <= grant.power_w <= limits.hi_w + 1e-6
        if grant.order_id is None:
            assert grant.power_w == 0.0
            continue
        by = by_id[grant.order_id]
        assert by.expires_at_s > NOW_S
        assert by.evse_id in (None, grant.evse_id)
        assert grant.power_w * by.signed_w >= 0.0
        served.setdefault(grant.order_id, []).append(abs(grant.power_w))
    for order_id, parts in served.items():
        assert fsum(parts) <= by_id[order_id].power_w + 1e-6 * len(parts)
    limits = intersect(site, NOW_S)
    assert result.site_w == fsum(grant.power_w for grant in result.grants)
    assert min(0.0, limits.lo_w) - 1e-5 <= result.site_w <= max(0.0, limits.hi_w) + 1e-5


@settings(max_examples=examples(150), deadline=None)
@given(orders=standing, candidates=vehicles, site=sites)
def test_what_is_granted_and_what_is_missing_add_up_to_every_order_in_force(
    orders: list[Order], candidates: list[Vehicle], site: list[Bound]
) -> None:
    result = allocate(orders, candidates, site, NOW_S)
    newest: dict[str | None, Order] = {}
    for o in sorted(orders, key=lambda o: (o.created_at_s, o.id)):
        if o.expires_at_s > NOW_S:
            newest[o.evse_id] = o
    for o in newest.values():
        granted_w = fsum(abs(g.power_w) for g in result.grants if g.order_id == o.id)
        missing_w = fsum(s.missing_w for s in result.shortfalls if s.order_id == o.id)
        assert granted_w + missing_w == pytest.approx(abs(o.signed_w), abs=0.01)
    in_force = {o.id for o in newest.values()}
    assert all(s.order_id in in_force and s.missing_w >= 0.0 and s.source for s in result.shortfalls)


@settings(max_examples=examples(100), deadline=None)
@given(orders=standing, candidates=vehicles, site=sites, random=st.randoms(use_true_random=False))
def test_the_order_of_the_arguments_does_not_matter(
    orders: list[Order],
    candidates: list[Vehicle],
    site: list[Bound],
    random: Random,
) -> None:
    result = allocate(orders, candidates, site, NOW_S)
    mixed_orders, mixed_candidates = list(orders), list(candidates)
    random.shuffle(mixed_orders)
    random.shuffle(mixed_candidates)
    mixed = allocate(mixed_orders, mixed_candidates, site, NOW_S)
    assert sorted(mixed.grants, key=lambda g: g.evse_id) == sorted(result.grants, key=lambda g: g.evse_id)
    assert mixed.shortfalls == result.shortfalls
    assert mixed.site_w == result.site_w


@settings(max_examples=examples(100), deadline=None)
@given(orders=standing, candidates=vehicles, site=sites)
def test_every_denied_discharge_with_a_thermal_source_is_reverse_flow_denied(
    orders: list[Order], candidates: list[Vehicle], site: list[Bound]
) -> None:
    by_id = {o.id: o for o in orders}
    for shortfall in allocate(orders, candidates, site, NOW_S).shortfalls:
        thermal = shortfall.source.startswith("thermal")
        discharge = by_id[shortfall.order_id].mode is Mode.DISCHARGE
        assert (shortfall.code == "REVERSE_FLOW_DENIED") == (thermal and discharge)
