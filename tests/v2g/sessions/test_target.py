"""A vehicle that sets its own power at a DC EVSE, and a dispatch that shares by what it asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.dispatch.constraints import Bound, intersect
from v2g.sessions.target import SOURCE, VehicleTarget

EFFICIENCY = 0.96


class Loop:
    """A vehicle that wants a power and keeps to its limits; a dispatch that grants what it may, once a second."""

    def __init__(self) -> None:
        self.target = VehicleTarget()
        self.now = 100.0
        self.wants_w = 0.0
        """At the vehicle's side."""
        self.least_w = 0.0
        self.may = (-20_000.0, 20_000.0)
        """What dispatch may grant, at the AC terminals."""
        self.grant_w = 0.0
        self.told = (0.0, 0.0)
        self.commanded_w = 0.0
        self.sources: set[str] = set()

    def run(self, seconds: float) -> None:
        for n in range(round(seconds * 10)):
            self.now += 0.1
            if n % 2 == 0:
                charge_w, discharge_w = self.told
                asked_w = min(max(self.wants_w, -discharge_w), charge_w)
                self.target.ask(asked_w if abs(asked_w) >= self.least_w else 0.0, self.now)
            if n % 10 == 0:
                allowed = intersect((*self.target.bound(EFFICIENCY, self.now + 1.0), *self.site_bounds()), self.now)
                self.sources |= {allowed.lo_source, allowed.hi_source}
                self.grant_w = allowed.hi_w if self.may[1] > 0.0 else allowed.lo_w
            self.told = self.target.limits(self.grant_w, EFFICIENCY, self.least_w, self.least_w)
            self.target.tell(*self.told, self.now)
            self.commanded_w = self.target.within(self.grant_w, EFFICIENCY)
            assert abs(self.commanded_w) <= abs(self.grant_w) + 1e-6

    def site_bounds(self) -> tuple[Bound, ...]:
        return (Bound(min(0.0, self.may[0]), max(0.0, self.may[1]), "site", self.now + 1.0),)


@pytest.mark.parametrize("wants_w", [11_000.0, 3_000.0, 900.0])
def test_a_vehicle_that_charges_gets_what_it_asks_for_and_no_more(wants_w: float) -> None:
    loop = Loop()
    loop.may, loop.wants_w = (0.0, 20_000.0), wants_w
    loop.run(10.0)
    assert loop.commanded_w == pytest.approx(wants_w)
    assert loop.grant_w == pytest.approx(wants_w)
    assert SOURCE in loop.sources


def test_a_vehicle_that_asks_for_more_than_it_may_have_is_bound_by_the_site() -> None:
    loop = Loop()
    loop.may, loop.wants_w = (0.0, 5_000.0), 11_000.0
    loop.run(10.0)
    assert loop.commanded_w == pytest.approx(5_000.0)
    assert SOURCE not in loop.sources


def test_a_target_that_rises_is_followed_although_it_had_bound_the_grant() -> None:
    loop = Loop()
    loop.may, loop.wants_w = (0.0, 20_000.0), 0.0
    loop.run(10.0)
    assert loop.grant_w == 0.0
    loop.wants_w = 11_000.0
    loop.run(10.0)
    assert loop.commanded_w == pytest.approx(11_000.0)


def test_a_vehicle_with_a_minimum_can_say_that_it_wants_to_begin() -> None:
    loop = Loop()
    loop.may, loop.least_w = (0.0, 20_000.0), 4_000.0
    loop.run(10.0)
    loop.wants_w = 6_000.0
    loop.run(10.0)
    assert loop.commanded_w == pytest.approx(6_000.0)


def test_a_vehicle_that_does_not_discharge_binds_the_grant_and_does_not_flap() -> None:
    loop = Loop()
    loop.may, loop.wants_w = (-8_000.0, 0.0), 3_000.0
    loop.run(10.0)
    assert (loop.grant_w, loop.commanded_w) == (0.0, 0.0)
    grants = set()
    for _ in range(30):
        loop.run(1.0)
        grants.add(loop.grant_w)
    assert grants == {0.0}


def test_discharge_is_exact_at_the_ac_terminals() -> None:
    loop = Loop()
    loop.may, loop.wants_w = (-8_000.0, 0.0), -20_000.0
    loop.run(5.0)
    assert loop.commanded_w == pytest.approx(-8_000.0)
    loop.wants_w = -5_000.0
    loop.run(10.0)
    assert loop.commanded_w == pytest.approx(-5_000.0 * EFFICIENCY)


def test_nothing_flows_before_the_vehicle_has_asked() -> None:
    target = VehicleTarget()
    assert target.within(5_000.0, EFFICIENCY) == 0.0
    assert target.bound(EFFICIENCY, 1.0) == ()


@given(
    st.lists(
        st.tuples(st.floats(-15_000, 15_000), st.floats(-15_000, 15_000)),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_is_wanted_and_granted_the_command_is_within_both_and_settles(
    steps: list[tuple[float, float]],
) -> None:
    loop = Loop()
    for wants_w, may_w in steps:
        loop.wants_w, loop.may = wants_w, (min(0.0, may_w), max(0.0, may_w))
        loop.run(1.3)
    loop.run(12.0)
    expected_w = 0.0
    if wants_w > 0.0 and may_w > 0.0:
        expected_w = min(wants_w, may_w)
    elif wants_w < 0.0 and may_w < 0.0:
        expected_w = max(wants_w * EFFICIENCY, may_w)
    assert loop.commanded_w == pytest.approx(expected_w, rel=1e-6, abs=260.0)
