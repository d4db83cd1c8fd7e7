"""Many steps of one dispatcher, and what it is given at its worst: limits hold, nothing raises, the cause is named."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from math import fsum, inf, isfinite, nan
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.allocation import ORDERS_ONLY, allocate, energy_with, order_of, vehicle_of
from support.examples import examples
from v2g.dispatch import sharing
from v2g.dispatch.constraints import Bound, intersect
from v2g.dispatch.dispatcher import Aim, Dispatcher, Group, Phases, Settings, Vehicle
from v2g.dispatch.orders import Allocation, Mode, Order

OPEN = (Bound(-1e6, 1e6, "thermal K", inf),)
ON_A: Phases = (1.0, 0.0, 0.0)
ON_B: Phases = (0.0, 1.0, 0.0)
ON_C: Phases = (0.0, 0.0, 1.0)


def vehicle(evse_id: str, **more: Any) -> Vehicle:
    return vehicle_of(evse_id, (Bound(-7e3, 7e3, "EVSE rating", inf),), **more)


def told(result: Allocation) -> dict[str, tuple[float, str | None]]:
    return {grant.evse_id: (round(grant.power_w, 3), grant.bound_by) for grant in result.grants}


class TestOtherSettings:
    def test_they_count_from_the_next_step_on_and_what_is_remembered_goes_on(self) -> None:
        slow, quick = Settings(ramp_pu_s=0.1), Settings(ramp_pu_s=0.2)
        dispatcher = Dispatcher(slow)
        one = [replace(vehicle("A"), rated_charge_w=7e3)]

        def stepped(now_s: float, measured_w: float) -> float:
            driven = [replace(each, measured_w=measured_w) for each in one]
            return dispatcher.step(driven, [order_of(Mode.CHARGE, 7e3)], OPEN, (), ORDERS_ONLY, now_s).grants[0].power_w

        first = stepped(1.0, 0.0)
        second = stepped(2.0, first)
        dispatcher.adopt(quick)
        third = stepped(3.0, second)
        assert third - second == pytest.approx(2.0 * (second - first), rel=0.05)
        assert second > first, "it goes on from where it was"

    def test_unbalance_and_dwell_time_are_taken_too(self) -> None:
        dispatcher = Dispatcher(Settings(ramp_pu_s=inf))
        both = [vehicle(name, phases=ON_A) for name in "AB"]
        orders = [order_of(Mode.CHARGE, 14e3)]
        free = dispatcher.step(both, orders, OPEN, (), ORDERS_ONLY, 1.0)
        dispatcher.adopt(Settings(ramp_pu_s=inf, unbalance_w=4e3, dwell_s=60.0))
        bound = dispatcher.step(both, orders, OPEN, (), ORDERS_ONLY, 2.0)
        assert fsum(grant.power_w for grant in free.grants) == pytest.approx(14e3)
        assert fsum(grant.power_w for grant in bound.grants) == pytest.approx(4e3)


class TestUnbalance:
    def test_minima_that_do_not_balance_take_turns(self) -> None:
        # 2 x 4.14 kW in one phase, which may have 4.6 kW above the others.
        both = [vehicle(name, min_charge_w=4140.0, phases=ON_A) for name in "AB"]
        result = allocate(
            [order_of(Mode.CHARGE, 20e3)], both, OPEN, 1.0, settings=Settings(ramp_pu_s=inf, unbalance_w=4.6e3)
        )
        assert told(result) == {
            "A": (4600.0, "unbalance of phase a"),
            "B": (0.0, "waits for its turn: it needs at least 4140 W"),
        }

    def test_a_minimum_above_the_unbalance_names_it(self) -> None:
        one = [vehicle("A", min_charge_w=4140.0, phases=ON_B)]
        result = allocate(
            [order_of(Mode.CHARGE, 20e3)], one, OPEN, 1.0, settings=Settings(ramp_pu_s=inf, unbalance_w=2e3)
        )
        assert told(result) == {"A": (0.0, "unbalance of phase b")}

    def test_a_phase_does_not_run_ahead_of_its_counterweights_ramp(self) -> None:
        dispatcher = Dispatcher(Settings(ramp_pu_s=0.1, unbalance_w=1e3))
        quick = [replace(vehicle(name, phases=on), rated_charge_w=22e3) for name, on in (("A", ON_A), ("B", ON_B))]
        slow = replace(vehicle("C", phases=ON_C), rated_charge_w=5.5e3)
        for second in range(1, 20):
            result = dispatcher.step(
                [*quick, slow], [order_of(Mode.CHARGE, 30e3)], OPEN, (), ORDERS_ONLY, float(second)
            )
            powers_w = [grant.power_w for grant in result.grants]
            assert max(powers_w) - min(powers_w) <= 1e3 + 1e-3
        assert min(powers_w) == pytest.approx(7e3)


class TestNoNumber:
    @pytest.mark.parametrize("phases", [(nan, 0.0, 0.0), (inf, 0.0, 0.0), (-1.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
    @pytest.mark.parametrize("unbalance_w", [None, 5e3])
    def test_phases_that_cannot_be_cost_their_own_vehicle_alone(
        self, phases: Phases, unbalance_w: float | None
    ) -> None:
        result = allocate(
            [order_of(Mode.CHARGE, 8e3)],
            [vehicle("A", phases=phases), vehicle("B")],
            OPEN,
            1.0,
            settings=Settings(ramp_pu_s=inf, unbalance_w=unbalance_w),
        )
        assert told(result) == {"A": (0.0, "EVSE's shares of the phases cannot be"), "B": (7e3, "EVSE rating")}

    @pytest.mark.parametrize("share", [nan, inf, -1.0])
    def test_a_share_that_cannot_be_costs_its_own_vehicle_alone(self, share: float) -> None:
        group = Group(name="phase a", bounds=OPEN, shares={"A": share, "B": 1.0})
        result = allocate([order_of(Mode.CHARGE, 8e3)], [vehicle("A"), vehicle("B")], OPEN, 1.0, groups=[group])
        assert told(result)["A"] == (0.0, f"EVSE's share of {share:g} in phase a cannot be")
        assert told(result)["B"] == (7e3, "EVSE rating")

    def test_a_share_of_almost_nothing_is_none(self) -> None:
        group = Group(name="phase a", bounds=OPEN, shares={"A": 1e-12})
        assert told(allocate([order_of(Mode.CHARGE, 5e3)], [vehicle("A")], OPEN, 1.0, groups=[group])) == {
            "A": (5e3, None)
        }

    @pytest.mark.parametrize("no_number", [nan, inf])
    def test_a_surplus_that_is_no_number_discharges_nothing(self, no_number: float) -> None:
        vehicles = [vehicle("A", energy=energy_with(surplus_wh=no_number)), vehicle("B", energy=energy_with())]
        result = allocate([order_of(Mode.DISCHARGE, 5e3)], vehicles, OPEN, 1.0)
        assert told(result)["A"][0] == 0.0
        assert told(result)["B"][0] == -5e3

    @pytest.mark.parametrize("rated_w", [nan, inf, -5.0, 0.0])
    def test_a_rating_that_cannot_be_raises_no_power(self, rated_w: float) -> None:
        dispatcher = Dispatcher(Settings())
        one = replace(vehicle("A"), rated_charge_w=rated_w)
        for second in range(5):
            result = dispatcher.step([one], [order_of(Mode.CHARGE, 5e3)], OPEN, (), ORDERS_ONLY, float(second))
            assert told(result) == {"A": (0.0, "ramp")}


class TestBothDirections:
    def test_discharge_that_is_not_told_yet_makes_no_room(self) -> None:
        # It discharges already, by nobody's word: what it is told begins with its ramp, and so does the room.
        dispatcher = Dispatcher(Settings(ramp_pu_s=0.1))
        orders = [order_of(Mode.CHARGE, 7e3, "A", 1), order_of(Mode.DISCHARGE, 7e3, "B", 2)]
        site = (Bound(-1e3, 1e3, "thermal K", inf),)
        for second in range(6):
            vehicles = [vehicle("A"), vehicle("B", measured_w=-7e3)]
            result = dispatcher.step(vehicles, orders, site, (), ORDERS_ONLY, float(second))
            assert -1e3 - 1e-3 <= result.site_w <= 1e3 + 1e-3


@pytest.mark.parametrize("unbalance_w", [None, 5e3])
def test_the_same_moment_again_gives_the_same_with_minima_in_both_directions(unbalance_w: float | None) -> None:
    random = Random(3)
    dispatcher = Dispatcher(Settings(unbalance_w=unbalance_w, dwell_s=60.0))
    orders = [order_of(Mode.CHARGE, 30e3), *(order_of(Mode.DISCHARGE, 6e3, f"E{n}", n) for n in range(2, 5))]
    measured: dict[str, float] = {}
    for second in range(120):
        limit_w = random.choice([3e3, 6e3, 12e3])
        site = (Bound(-limit_w, limit_w, "thermal K", inf),)
        vehicles = [
            vehicle(
                f"E{n}",
                min_charge_w=1380.0,
                min_discharge_w=1380.0,
                phases=(ON_A, ON_B, ON_C)[n % 3],
                measured_w=measured.get(f"E{n}", 0.0),
            )
            for n in range(8)
        ]
        result = dispatcher.step(vehicles, orders, site, (), ORDERS_ONLY, float(second))
        assert dispatcher.step(vehicles, orders, site, (), ORDERS_ONLY, float(second)) == result
        measured = {grant.evse_id: grant.power_w for grant in result.grants}


class Fleet:
    """Vehicles that follow after some steps, or not at all, under limits and orders that change without reason."""

    def __init__(self, seed: int, *, bad: bool) -> None:
        self.random = random = Random(seed)
        self.bad = bad
        self.step_s = random.choice([0.1, 1.0])
        self.names = [f"E{n}" for n in range(random.choice([1, 2, 4, 8]))]
        self.phases = {e: random.choice([(1 / 3, 1 / 3, 1 / 3), ON_A, ON_B, ON_C]) for e in self.names}
        self.rated_w = {e: random.choice([3.7e3, 11e3, 22e3]) for e in self.names}
        self.least_w = {e: random.choice([0.0, 1380.0]) for e in self.names}
        self.lag = {e: random.choice([1, 2, 3, None]) for e in self.names}
        self.grants_w: dict[str, deque[float]] = {e: deque([0.0], maxlen=4) for e in self.names}
        self.measured_w = dict.fromkeys(self.names, 0.0)
        self.limit_w = 20e3
        self.orders: list[Order] = []
        self.dispatcher = Dispatcher(
            Settings(
                ramp_pu_s=random.choice([0.05, 0.2, inf]),
                dwell_s=60.0,
                unbalance_w=random.choice([None, 0.0, 5e3]),
                rated_w=100e3,
            )
        )

    def any_of(self, *usual: Any) -> Any:
        return self.random.choice([*usual, nan, inf, -inf] if self.bad and self.random.random() < 0.1 else usual)

    def vehicle(self, evse_id: str, now_s: float) -> Vehicle:
        random, rated_w = self.random, self.rated_w[evse_id]
        bounds = [Bound(-rated_w, rated_w, "inverter rating", now_s + 1.0)]
        if random.random() < 0.1:
            bounds.append(Bound(-random.choice([0.0, 5e3]), 5e3, "vehicle power limit", now_s + self.any_of(0.0, 1.0)))
        soc = random.random()
        has = energy_with(
            needed_wh=self.any_of(0.0, 20e3),
            surplus_wh=self.any_of(0.0, 30e3 * soc),
            departs_at_s=self.any_of(now_s + 60.0, 30e3),
        )
        return Vehicle(
            evse_id=evse_id,
            bounds=tuple(bounds),
            rated_charge_w=self.any_of(rated_w),
            rated_discharge_w=self.any_of(rated_w),
            min_charge_w=self.least_w[evse_id],
            energy=has if random.random() < 0.9 else None,
            phases=self.phases[evse_id],
            measured_w=self.any_of(self.measured_w[evse_id]),
        )

    def step(self, now_s: float) -> None:
        random = self.random
        if random.random() < 0.2:
            self.limit_w = random.choice([0.0, 2e3, 10e3, 60e3])
        if random.random() < 0.1:
            self.orders = [
                order_of(random.choice(list(Mode)), self.any_of(0.0, 3e3, 5e5), random.choice([None, *self.names]), n)
                for n in range(random.choice([0, 1, 3]))
            ]
        vehicles = [self.vehicle(evse_id, now_s) for evse_id in self.names if random.random() < 0.95]
        site = (Bound(-self.limit_w, self.limit_w, "thermal hot-spot", now_s + 1.0),)
        phase_w = random.choice([5e3, 20e3])
        groups = [
            Group(
                name=f"phase {p}",
                bounds=(Bound(-phase_w, phase_w, f"transformer current of phase {p}", now_s + 1.0),),
                shares={v.evse_id: v.phases[p] for v in vehicles if v.phases[p] > 0.0},
            )
            for p in range(3)
        ]
        aim = Aim(
            base_w=self.any_of(None, 70e3, 90e3),
            level_w=self.any_of(None, 80e3),
            power_w={e: self.any_of(0.0, 5e3, -5e3) for e in (*self.names, "gone")} if random.random() < 0.5 else {},
            target_w=self.any_of(None, None, 5e3, -5e3),
        )
        arguments = (vehicles, self.orders, site, groups, aim, now_s)
        result = self.dispatcher.step(*arguments)
        assert self.dispatcher.step(*arguments) == result
        self.check(result, vehicles, (Group(name="site", bounds=site, shares=dict.fromkeys(self.names, 1.0)), *groups))
        for grant in result.grants:
            said, lag = self.grants_w[grant.evse_id], self.lag[grant.evse_id]
            said.append(grant.power_w)
            if lag is not None:
                self.measured_w[grant.evse_id] = said[max(0, len(said) - lag)]

    def check(self, result: Allocation, vehicles: list[Vehicle], limits: tuple[Group, ...]) -> None:
        now_s = limits[0].bounds[0].expires_at_s - 1.0
        by_order: dict[int, float] = defaultdict(float)
        for grant, one in zip(result.grants, vehicles, strict=True):
            within = intersect(one.bounds, now_s)
            assert isfinite(grant.power_w)
            assert grant.power_w == 0.0 or within.lo_w - 1e-3 <= grant.power_w <= within.hi_w + 1e-3
            assert abs(grant.power_w) <= abs(grant.target_w) + 1e-3
            assert not 0.0 < grant.power_w < one.min_charge_w - 1e-3
            if grant.order_id is None:
                assert grant.bound_by
                assert grant.power_w >= 0.0 or (one.energy is not None and one.energy.surplus_wh > 0.0)
            else:
                by_order[grant.order_id] += abs(grant.power_w)
        for limit in limits:
            net_w = fsum(limit.shares.get(grant.evse_id, 0.0) * grant.power_w for grant in result.grants)
            within = intersect(limit.bounds, now_s)
            assert within.lo_w - 0.01 <= net_w <= within.hi_w + 0.01
        for each in self.orders:
            ordered_w = each.power_w if isfinite(each.power_w) else 0.0
            assert by_order[each.id] <= max(0.0, ordered_w) + 0.01


@pytest.mark.parametrize("bad", [False, True])
@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 10**6))
def test_whatever_vehicles_do_no_limit_no_order_and_no_minimum_is_broken_by_what_is_granted(
    bad: bool, seed: int
) -> None:
    fleet = Fleet(seed, bad=bad)
    now_s = 100.0
    for _ in range(25):
        now_s += fleet.step_s
        if bad and fleet.random.random() < 0.05:
            now_s += fleet.random.choice([-5.0, 30.0, 1000.0])
        fleet.step(now_s)


def test_what_cannot_be_shared_out_is_nobodys_and_the_other_direction_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = Dispatcher(Settings(ramp_pu_s=inf))
    orders = [order_of(Mode.CHARGE, 5e3, "A", 1), order_of(Mode.DISCHARGE, 5e3, "B", 2)]
    real = sharing.fill

    def no_charge(caps: list[float], *rest: Any) -> Any:
        if caps == [6e3]:
            raise ValueError("limit 1 holds 0")
        return real(caps, *rest)

    monkeypatch.setattr(sharing, "fill", no_charge)
    vehicles = [vehicle_of("A", (Bound(-6e3, 6e3, "EVSE rating", inf),)), vehicle("B")]
    result = dispatcher.step(vehicles, orders, OPEN, (), ORDERS_ONLY, 1.0)
    assert told(result) == {"A": (0.0, "contradiction: limit 1 holds 0"), "B": (-5e3, None)}


@pytest.mark.parametrize("noise_w", [0.0, 7.5e3])
def test_a_vehicle_is_not_below_its_minimum_for_a_quarter_of_an_hour_while_another_is_above_its_own(
    noise_w: float,
) -> None:
    # 40 kW and the noise of a limit for 20 vehicles of which each takes 4.14 kW at least.
    random = Random(4)
    dispatcher = Dispatcher(Settings(rated_w=250e3))
    below_s = {f"E{n:02}": 0.0 for n in range(20)}
    longest_s = 0.0
    for step in range(900):
        limit_w = 40e3 + random.gauss(0.0, noise_w)
        vehicles = [
            vehicle(e, min_charge_w=4140.0, energy=energy_with(departs_at_s=7.2e3 if n % 3 else 1e5))
            for n, e in enumerate(below_s)
        ]
        site = (Bound(-limit_w, limit_w, "thermal K", inf),)
        result = dispatcher.step(vehicles, [order_of(Mode.CHARGE, 1e6)], site, (), ORDERS_ONLY, 4.0 * step)
        above = any(grant.power_w > 4141.0 for grant in result.grants)
        for grant in result.grants:
            below_s[grant.evse_id] = below_s[grant.evse_id] + 4.0 if above and grant.power_w < 4140.0 else 0.0
        longest_s = max(longest_s, *below_s.values())
    assert longest_s < 900.0
