from __future__ import annotations

import itertools
from math import inf, nan

import pytest

from support.allocation import allocate, vehicle_of
from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Vehicle
from v2g.dispatch.orders import Allocation, Mode, Order
from v2g.dispatch.site import interval_bounds, permit_bounds

NOW_S = 100.0
LATER_S = 1000.0
OPEN_SITE = (Bound(-1e9, 1e9, "thermal K", LATER_S),)


def order(
    mode: Mode,
    power_w: float = 0.0,
    evse_id: str | None = None,
    *,
    order_id: int = 1,
    created_at_s: float = 0.0,
    expires_at_s: float = LATER_S,
) -> Order:
    return Order(
        id=order_id,
        mode=mode,
        power_w=power_w,
        evse_id=evse_id,
        created_at_s=created_at_s,
        expires_at_s=expires_at_s,
        by="ann",
    )


def vehicle(evse_id: str, lo_w: float, hi_w: float, source: str = "vehicle power limit") -> Vehicle:
    return vehicle_of(evse_id, (Bound(lo_w, hi_w, source, LATER_S),))


def powers(allocation: Allocation) -> list[float]:
    return [round(grant.power_w, 6) for grant in allocation.grants]


def shortfalls(allocation: Allocation) -> list[tuple[int, str | None, float, str, str]]:
    return [(s.order_id, s.evse_id, round(s.missing_w, 3), s.code, s.source) for s in allocation.shortfalls]


class TestShares:
    def test_a_discharge_is_shared_in_proportion_to_what_each_can_give(self) -> None:
        # 10 kW over 11 and 22 kW of capability: a third and two thirds.
        result = allocate(
            [order(Mode.DISCHARGE, 10e3)],
            [vehicle("A", -11e3, 22e3), vehicle("B", -22e3, 22e3)],
            OPEN_SITE,
            NOW_S,
        )
        assert powers(result) == pytest.approx([-10e3 / 3, -20e3 / 3])
        assert [grant.bound_by for grant in result.grants] == [None, None]
        assert [grant.order_id for grant in result.grants] == [1, 1]
        assert result.shortfalls == ()
        assert result.site_w == pytest.approx(-10e3)

    def test_a_charge_uses_the_capability_of_its_own_direction(self) -> None:
        # 12 kW over 4 and 8 kW of charging; discharging limits do not matter.
        result = allocate(
            [order(Mode.CHARGE, 6e3)], [vehicle("A", 0.0, 4e3), vehicle("B", -50e3, 8e3)], OPEN_SITE, NOW_S
        )
        assert powers(result) == pytest.approx([2e3, 4e3])

    def test_what_one_cannot_give_the_others_do_and_its_reason_is_named(self) -> None:
        result = allocate(
            [order(Mode.DISCHARGE, 10e3)],
            [vehicle("A", 0.0, 11e3, "min-SoC"), vehicle("B", -11e3, 11e3)],
            OPEN_SITE,
            NOW_S,
        )
        assert powers(result) == [0.0, -10e3]
        assert [grant.bound_by for grant in result.grants] == ["min-SoC", None]
        assert result.shortfalls == ()

    def test_more_than_all_can_give_is_a_shortfall_of_those_below_an_equal_part(self) -> None:
        # 20 kW of two vehicles: 10 kW each would be equal. A gives 0 (10 short), B 11 (none short); 9 kW are missing.
        result = allocate(
            [order(Mode.DISCHARGE, 20e3)],
            [vehicle("A", 0.0, 11e3, "min-SoC"), vehicle("B", -11e3, 11e3, "inverter rating")],
            OPEN_SITE,
            NOW_S,
        )
        assert powers(result) == [0.0, -11e3]
        assert [grant.bound_by for grant in result.grants] == ["min-SoC", "inverter rating"]
        assert shortfalls(result) == [(1, "A", 9e3, "MIN_SOC", "min-SoC")]

    def test_a_shortfall_is_split_among_the_sources_behind_it(self) -> None:
        # 40 kW of two: 20 each. A gives 0 (20 short), B 11 (9 short): 29 kW are missing.
        result = allocate(
            [order(Mode.DISCHARGE, 40e3)],
            [vehicle("A", 0.0, 11e3, "min-SoC"), vehicle("B", -11e3, 11e3, "inverter rating")],
            OPEN_SITE,
            NOW_S,
        )
        assert shortfalls(result) == [
            (1, "B", 9e3, "INVERTER_RATING", "inverter rating"),
            (1, "A", 20e3, "MIN_SOC", "min-SoC"),
        ]

    def test_one_source_of_several_vehicles_is_said_once(self) -> None:
        result = allocate(
            [order(Mode.CHARGE, 40e3)], [vehicle("A", 0.0, 11e3), vehicle("B", 0.0, 7e3)], OPEN_SITE, NOW_S
        )
        assert shortfalls(result) == [(1, None, 22e3, "VEHICLE_LIMIT", "vehicle power limit")]

    def test_grants_keep_the_order_of_the_candidates_and_cover_all_of_them(self) -> None:
        result = allocate(
            [order(Mode.CHARGE, 5e3, "C")],
            [vehicle(name, -9e3, 9e3) for name in ("C", "A", "B")],
            OPEN_SITE,
            NOW_S,
        )
        assert [(g.evse_id, round(g.power_w, 6), g.order_id) for g in result.grants] == [
            ("C", 5e3, 1),
            ("A", 0.0, None),
            ("B", 0.0, None),
        ]


class TestPrecedence:
    def test_an_order_for_an_evse_wins_over_a_newer_one_of_the_site(self) -> None:
        # A charges 3 kW by its own order; the 8 kW of discharge are left to B alone.
        result = allocate(
            [
                order(Mode.CHARGE, 3e3, "A", order_id=1, created_at_s=1.0),
                order(Mode.DISCHARGE, 8e3, order_id=2, created_at_s=2.0),
            ],
            [vehicle("A", -9e3, 9e3), vehicle("B", -9e3, 9e3)],
            OPEN_SITE,
            NOW_S,
        )
        assert powers(result) == [3e3, -8e3]
        assert [grant.order_id for grant in result.grants] == [1, 2]

    def test_a_newer_site_wide_order_replaces_the_older_one_without_a_shortfall(self) -> None:
        result = allocate(
            [
                order(Mode.DISCHARGE, 8e3, order_id=1, created_at_s=1.0),
                order(Mode.CHARGE, 4e3, order_id=2, created_at_s=2.0),
            ],
            [vehicle("A", -9e3, 9e3)],
            OPEN_SITE,
            NOW_S,
        )
        assert powers(result) == [4e3]
        assert result.shortfalls == ()

    def test_of_orders_given_at_the_same_moment_the_higher_id_wins(self) -> None:
        orders = [order(Mode.CHARGE, 1e3 * n, "A", order_id=n) for n in (1, 2, 3)]
        for shuffled in itertools.permutations(orders):
            assert powers(allocate(shuffled, [vehicle("A", -9e3, 9e3)], OPEN_SITE, NOW_S)) == [3e3]

    def test_idle_holds_its_vehicle_at_zero_without_a_shortfall(self) -> None:
        result = allocate(
            [order(Mode.DISCHARGE, 8e3, order_id=1), order(Mode.IDLE, evse_id="A", order_id=2)],
            [vehicle("A", -9e3, 9e3), vehicle("B", -9e3, 9e3)],
            OPEN_SITE,
            NOW_S,
        )
        assert powers(result) == [0.0, -8e3]
        assert [grant.order_id for grant in result.grants] == [2, 1]
        assert result.shortfalls == ()

    def test_idle_without_vehicles_lacks_nothing(self) -> None:
        assert allocate([order(Mode.IDLE), order(Mode.IDLE, evse_id="A")], [], OPEN_SITE, NOW_S).shortfalls == ()

    @pytest.mark.parametrize("evse_id", [None, "A"])
    def test_an_order_that_is_over_vanishes(self, evse_id: str | None) -> None:
        result = allocate(
            [order(Mode.DISCHARGE, 8e3, evse_id, expires_at_s=NOW_S)], [vehicle("A", -9e3, 9e3)], OPEN_SITE, NOW_S
        )
        assert [(g.power_w, g.bound_by, g.order_id) for g in result.grants] == [(0.0, None, None)]
        assert result.shortfalls == ()

    def test_no_order_means_zero(self) -> None:
        assert powers(allocate([], [vehicle("A", -9e3, 9e3)], OPEN_SITE, NOW_S)) == [0.0]


class TestNobodyToServe:
    def test_no_vehicle_at_the_evse_of_an_order(self) -> None:
        result = allocate([order(Mode.DISCHARGE, 8e3, "B")], [vehicle("A", -9e3, 9e3)], OPEN_SITE, NOW_S)
        assert shortfalls(result) == [(1, "B", 8e3, "NO_VEHICLE", "no vehicle at B")]
        assert powers(result) == [0.0]

    def test_no_vehicle_at_all(self) -> None:
        result = allocate([order(Mode.CHARGE, 8e3)], [], OPEN_SITE, NOW_S)
        assert shortfalls(result) == [(1, None, 8e3, "NO_VEHICLE", "no vehicle connected")]
        assert (result.grants, result.site_w) == ((), 0.0)

    def test_every_vehicle_has_an_order_of_its_own(self) -> None:
        result = allocate(
            [order(Mode.CHARGE, 8e3), order(Mode.CHARGE, 1e3, "A", order_id=2)],
            [vehicle("A", -9e3, 9e3)],
            OPEN_SITE,
            NOW_S,
        )
        assert shortfalls(result) == [(1, None, 8e3, "NO_VEHICLE", "no vehicle without an order of its own")]
        assert powers(result) == [1e3]


class TestSite:
    def test_a_thermal_limit_on_discharge_is_reverse_flow_denied(self) -> None:
        # 6 of 12 kW are permitted: both vehicles at half of their share.
        result = allocate(
            [order(Mode.DISCHARGE, 12e3)],
            [vehicle("A", -8e3, 8e3), vehicle("B", -16e3, 8e3)],
            interval_bounds(-6e3, 50e3, "thermal hot-spot", "thermal K", LATER_S),
            NOW_S,
        )
        assert powers(result) == pytest.approx([-2e3, -4e3])
        assert [grant.bound_by for grant in result.grants] == ["thermal hot-spot", "thermal hot-spot"]
        assert shortfalls(result) == [(1, None, 6e3, "REVERSE_FLOW_DENIED", "thermal hot-spot")]

    def test_a_thermal_limit_on_charge_is_forward_flow_denied(self) -> None:
        result = allocate(
            [order(Mode.CHARGE, 12e3, "A")],
            [vehicle("A", -20e3, 20e3)],
            interval_bounds(-50e3, 0.0, "thermal K", "thermal top-oil", LATER_S),
            NOW_S,
        )
        assert powers(result) == [0.0]
        assert shortfalls(result) == [(1, "A", 12e3, "FORWARD_FLOW_DENIED", "thermal top-oil")]

    def test_own_limits_and_the_sites_are_both_named(self) -> None:
        # Ordered 20, the vehicle can 9, the site permits 4: 11 missing by the vehicle, 5 by the site.
        result = allocate(
            [order(Mode.DISCHARGE, 20e3)],
            [vehicle("A", -9e3, 9e3)],
            interval_bounds(-4e3, 50e3, "thermal hot-spot", "thermal K", LATER_S),
            NOW_S,
        )
        assert powers(result) == [-4e3]
        assert shortfalls(result) == [
            (1, None, 5e3, "REVERSE_FLOW_DENIED", "thermal hot-spot"),
            (1, "A", 11e3, "VEHICLE_LIMIT", "vehicle power limit"),
        ]

    def test_the_site_limits_the_net_so_opposite_orders_offset(self) -> None:
        # 9 charging less 6 discharging is 3 net: within 4.
        result = allocate(
            [order(Mode.CHARGE, 9e3, "A"), order(Mode.DISCHARGE, 6e3, order_id=2)],
            [vehicle("A", -9e3, 9e3), vehicle("B", -9e3, 9e3)],
            [Bound(-4e3, 4e3, "thermal K", LATER_S)],
            NOW_S,
        )
        assert powers(result) == [9e3, -6e3]
        assert result.site_w == pytest.approx(3e3)

    def test_of_opposite_orders_the_larger_side_gives_way(self) -> None:
        # 2 charging less 8 discharging is -6 net; -4 is permitted: discharge falls to 6, 2 of it by B's own order.
        result = allocate(
            [
                order(Mode.CHARGE, 2e3, "A"),
                order(Mode.DISCHARGE, 2e3, "B", order_id=2),
                order(Mode.DISCHARGE, 6e3, order_id=3),
            ],
            [vehicle(name, -9e3, 9e3) for name in "ABC"],
            [Bound(-4e3, 4e3, "thermal K", LATER_S)],
            NOW_S,
        )
        assert powers(result) == [2e3, -2e3, -4e3]
        assert [grant.bound_by for grant in result.grants] == [None, None, "thermal K"]
        assert shortfalls(result) == [
            (3, None, 2e3, "REVERSE_FLOW_DENIED", "thermal K"),
        ]

    def test_what_discharges_makes_room_for_what_charges(self) -> None:
        # 9 charging less 2 discharging is 7 net; 4 is permitted: charge falls to 6.
        result = allocate(
            [order(Mode.CHARGE, 9e3, "A"), order(Mode.DISCHARGE, 2e3, "B", order_id=2)],
            [vehicle("A", -9e3, 9e3), vehicle("B", -9e3, 9e3)],
            [Bound(-4e3, 4e3, "thermal K", LATER_S)],
            NOW_S,
        )
        assert powers(result) == pytest.approx([6e3, -2e3])
        assert shortfalls(result) == [(1, "A", 3e3, "FORWARD_FLOW_DENIED", "thermal K")]

    def test_a_site_that_wants_discharge_forces_nobody(self) -> None:
        site = [Bound(-9e3, -2e3, "thermal hot-spot", LATER_S)]
        assert powers(allocate([], [vehicle("A", -9e3, 9e3)], site, NOW_S)) == [0.0]
        charging = allocate([order(Mode.CHARGE, 5e3)], [vehicle("A", -9e3, 9e3)], site, NOW_S)
        assert powers(charging) == [0.0]
        assert shortfalls(charging) == [(1, None, 5e3, "FORWARD_FLOW_DENIED", "thermal hot-spot")]

    @pytest.mark.parametrize(
        ("site", "code", "source"),
        [
            ((), "LIMIT_UNKNOWN", "no limit known"),
            ((Bound(-9e3, 9e3, "feeder", NOW_S),), "LIMIT_EXPIRED", "feeder expired"),
            ((Bound(-inf, 9e3, "feeder", LATER_S),), "LIMIT_UNKNOWN", "no limit known"),
            (
                (Bound(5.0, 9e3, "a", LATER_S), Bound(-9e3, 1.0, "b", LATER_S)),
                "CONTRADICTION",
                "contradiction: a / b",
            ),
            (
                (*permit_bounds(False, "tripped by OV2", LATER_S), *OPEN_SITE),
                "NO_PERMIT",
                "no permit: tripped by OV2",
            ),
            ((*permit_bounds(True, "", NOW_S), *OPEN_SITE), "LIMIT_EXPIRED", "guard permit expired"),
            (permit_bounds(True, "", LATER_S), "LIMIT_UNKNOWN", "no limit known"),
        ],
    )
    def test_an_unknown_site_gets_nothing_and_says_so(self, site: tuple[Bound, ...], code: str, source: str) -> None:
        result = allocate([order(Mode.DISCHARGE, 5e3)], [vehicle("A", -9e3, 9e3)], site, NOW_S)
        assert powers(result) == [0.0]
        assert result.grants[0].bound_by == source
        assert shortfalls(result) == [(1, None, 5e3, code, source)]

    def test_a_granted_permit_bounds_nothing_by_itself(self) -> None:
        site = (*permit_bounds(True, "", LATER_S), *OPEN_SITE)
        assert powers(allocate([order(Mode.DISCHARGE, 5e3)], [vehicle("A", -9e3, 9e3)], site, NOW_S)) == [-5e3]


class TestFailClosed:
    @pytest.mark.parametrize(
        ("bounds", "code", "source"),
        [
            ((), "LIMIT_UNKNOWN", "no limit known"),
            ((Bound(-9e3, 9e3, "inverter rating", NOW_S),), "LIMIT_EXPIRED", "inverter rating expired"),
            ((Bound(-inf, inf, "min-SoC", LATER_S),), "LIMIT_UNKNOWN", "no limit known"),
            ((Bound(0.0, 9e3, "min-SoC unknown", LATER_S),), "MIN_SOC", "min-SoC unknown"),
            ((Bound(0.0, 0.0, "inverter fault: hot", LATER_S),), "INVERTER_FAULT", "inverter fault: hot"),
        ],
    )
    def test_a_vehicle_of_unknown_limits_gets_nothing_and_says_so(
        self, bounds: tuple[Bound, ...], code: str, source: str
    ) -> None:
        result = allocate([order(Mode.DISCHARGE, 5e3)], [vehicle_of("A", bounds)], OPEN_SITE, NOW_S)
        assert powers(result) == [0.0]
        assert result.grants[0].bound_by == source
        assert shortfalls(result) == [(1, "A", 5e3, code, source)]

    @pytest.mark.parametrize("power_w", [nan, inf, -5e3])
    def test_an_order_without_a_magnitude_gets_nothing_and_says_so(self, power_w: float) -> None:
        result = allocate([order(Mode.DISCHARGE, power_w)], [vehicle("A", -9e3, 9e3)], OPEN_SITE, NOW_S)
        assert powers(result) == [0.0]
        assert [s.code for s in result.shortfalls] == ["INVALID_ORDER"]
        assert (result.grants[0].bound_by or "").startswith("order with a power of")

    def test_two_vehicles_at_one_evse_get_nothing(self) -> None:
        result = allocate(
            [order(Mode.DISCHARGE, 5e3)],
            [vehicle("A", -9e3, 9e3), vehicle("A", -9e3, 9e3), vehicle("B", -3e3, 9e3)],
            OPEN_SITE,
            NOW_S,
        )
        assert powers(result) == [0.0, 0.0, -3e3]
        assert [s.code for s in result.shortfalls] == ["CONTRADICTION"]

    def test_without_a_time_nothing_stands(self) -> None:
        assert powers(allocate([order(Mode.CHARGE, 5e3)], [vehicle("A", -9e3, 9e3)], OPEN_SITE, nan)) == [0.0]


class TestFloors:
    def test_a_minimum_is_kept_before_the_rest_is_shared(self) -> None:
        # 4 kW over 8 and 8 kW would be 2 each; A does not work below 3 kW, and nobody is stopped where both can go on.
        result = allocate(
            [order(Mode.CHARGE, 4e3)],
            [vehicle("A", 3e3, 8e3, "vehicle minimum"), vehicle("B", 0.0, 8e3)],
            OPEN_SITE,
            1.0,
        )
        assert powers(result) == [3e3, 1e3]
        assert [grant.bound_by for grant in result.grants] == [None, None]

    def test_a_floor_that_is_reached_is_served(self) -> None:
        result = allocate([order(Mode.CHARGE, 8e3)], [vehicle("A", 3e3, 8e3), vehicle("B", 0.0, 8e3)], OPEN_SITE, 1.0)
        assert powers(result) == [4e3, 4e3]

    def test_a_floor_above_the_order_is_a_shortfall(self) -> None:
        result = allocate([order(Mode.CHARGE, 2e3)], [vehicle("A", 3e3, 8e3, "vehicle minimum")], OPEN_SITE, 1.0)
        assert shortfalls(result) == [(1, "A", 2e3, "VEHICLE_LIMIT", "vehicle minimum")]

    def test_a_side_that_drops_out_at_its_floor_still_leaves_the_net_within_the_site(self) -> None:
        # 10 charging less 6 discharging is 4; 2 permitted would leave A 8, below its floor of 9: A stops, and the
        # remaining -6 is beyond -3, so B falls to 3.
        result = allocate(
            [order(Mode.CHARGE, 10e3, "A"), order(Mode.DISCHARGE, 6e3, "B", order_id=2)],
            [vehicle("A", 9e3, 10e3), vehicle("B", -6e3, 0.0)],
            [Bound(-3e3, 2e3, "thermal K", LATER_S)],
            NOW_S,
        )
        assert powers(result) == [0.0, -3e3]


def test_what_the_noise_of_a_limit_leaves_is_no_grant() -> None:
    """Without base load the relief that a hot transformer permits is the noise of its measurement."""
    site = (Bound(-0.3, inf, "thermal top-oil", inf), Bound(-inf, 0.0, "thermal top-oil", inf))
    vehicle = vehicle_of("E1", (Bound(-11_000.0, 11_000.0, "EVSE rating", inf),))
    order = Order(id=1, mode=Mode.DISCHARGE, power_w=10_000.0, evse_id=None, created_at_s=0.0, expires_at_s=9.0, by="a")
    found = allocate([order], [vehicle], site, 1.0)
    assert found.grants[0].power_w == 0.0
    assert found.grants[0].bound_by == "thermal top-oil"
    assert [(s.code, round(s.missing_w, 6)) for s in found.shortfalls] == [("REVERSE_FLOW_DENIED", 10_000.0)]
