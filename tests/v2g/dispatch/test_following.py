"""Power on its way to its share: it falls at once, and rises only into room that is measured to be there."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from random import Random

import pytest

from support.allocation import ORDERS_ONLY, order_of
from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Dispatcher, Settings, Vehicle
from v2g.dispatch.orders import Allocation, Mode, Order

RATED_W = 20e3


def vehicle(evse_id: str, measured_w: float | None = None, *, min_charge_w: float = 0.0) -> Vehicle:
    return Vehicle(
        evse_id=evse_id,
        bounds=(Bound(-RATED_W, RATED_W, "EVSE rating", inf),),
        rated_charge_w=RATED_W,
        rated_discharge_w=RATED_W,
        min_charge_w=min_charge_w,
        measured_w=measured_w,
    )


def site(limit_w: float) -> tuple[Bound, ...]:
    return (Bound(-limit_w, limit_w, "thermal K", inf),)


class Run:
    """Steps of one dispatcher with vehicles that do what ``obeys`` makes of their last grant."""

    def __init__(self, limit_w: float = 100e3, ramp_pu_s: float = 0.2) -> None:
        self.dispatcher = Dispatcher(Settings(ramp_pu_s=ramp_pu_s))
        self.limit_w = limit_w
        self.now_s = 0.0

    def step(self, vehicles: list[Vehicle], orders: list[Order], after_s: float = 1.0) -> Allocation:
        self.now_s += after_s
        return self.dispatcher.step(vehicles, orders, site(self.limit_w), (), ORDERS_ONLY, self.now_s)


def powers(allocation: Allocation) -> list[float]:
    return [round(grant.power_w, 3) for grant in allocation.grants]


def test_power_rises_by_its_ramp_and_falls_at_once() -> None:
    # 0.2 of 20 kW a second.
    run = Run()
    up = [order_of(Mode.CHARGE, 10e3)]
    told = [powers(run.step([vehicle("A")], up))[0] for _ in range(5)]
    assert told == pytest.approx([0.0, 4e3, 8e3, 10e3, 10e3], abs=0.01)
    assert powers(run.step([vehicle("A")], [order_of(Mode.CHARGE, 3e3)])) == [3e3]
    assert powers(run.step([vehicle("A")], [])) == [0.0]


def test_a_share_that_is_not_reached_yet_is_told_and_why() -> None:
    run = Run()
    run.step([vehicle("A")], [order_of(Mode.CHARGE, 10e3)])
    grant = run.step([vehicle("A")], [order_of(Mode.CHARGE, 10e3)]).grants[0]
    assert grant.target_w == pytest.approx(10e3)
    assert grant.power_w < grant.target_w
    assert grant.bound_by == "ramp"


def test_power_goes_to_zero_before_it_turns_round() -> None:
    run = Run()
    for _ in range(5):
        run.step([vehicle("A")], [order_of(Mode.CHARGE, 10e3)])
    down = [order_of(Mode.DISCHARGE, 10e3)]
    told = [powers(run.step([vehicle("A")], down))[0] for _ in range(3)]
    assert told[0] == 0.0
    assert told[1:] == pytest.approx([-4e3, -8e3])


def test_a_vehicle_starts_at_its_minimum_not_below_it() -> None:
    run = Run(ramp_pu_s=0.01)
    run.step([vehicle("A", min_charge_w=4.1e3)], [])
    assert powers(run.step([vehicle("A", min_charge_w=4.1e3)], [order_of(Mode.CHARGE, 10e3)])) == [4.1e3]
    assert powers(run.step([vehicle("A", min_charge_w=4.1e3)], [order_of(Mode.CHARGE, 10e3)])) == [4.3e3]


def test_who_starts_waits_until_the_other_has_made_room() -> None:
    # 20 kW in all. A has them; B comes. A is told 10 at once, but goes on with 20 for two more steps.
    run = Run(limit_w=20e3, ramp_pu_s=inf)
    alone = [order_of(Mode.CHARGE, 20e3)]
    run.step([vehicle("A", 0.0)], alone)
    run.step([vehicle("A", 20e3)], alone)
    found = run.step([vehicle("A", 20e3), vehicle("B", 0.0)], alone)
    assert powers(found) == [10e3, 0.0]
    assert found.grants[1].bound_by == "waits until others have made room"
    assert powers(run.step([vehicle("A", 20e3), vehicle("B", 0.0)], alone)) == [10e3, 0.0]
    assert powers(run.step([vehicle("A", 10e3), vehicle("B", 0.0)], alone)) == [10e3, 10e3]


def test_room_is_given_as_far_as_it_is_measured() -> None:
    run = Run(limit_w=20e3, ramp_pu_s=inf)
    alone = [order_of(Mode.CHARGE, 20e3)]
    run.step([vehicle("A", 0.0)], alone)
    run.step([vehicle("A", 20e3)], alone)
    assert powers(run.step([vehicle("A", 14e3), vehicle("B", 0.0)], alone)) == [10e3, 6e3]


def test_what_a_vehicle_takes_beyond_its_word_for_long_is_taken_from_the_others() -> None:
    # A is told 5 of 20 kW, and takes 15: after 2 s only 10 of the 20 are left for both, 5 each.
    run = Run(limit_w=20e3, ramp_pu_s=inf)
    orders = [order_of(Mode.CHARGE, 5e3, "A"), order_of(Mode.CHARGE, 15e3, "B", order_id=2)]
    both = [vehicle("A", 5e3), vehicle("B", 15e3)]
    for _ in range(3):
        run.step(both, orders)
    deaf = [vehicle("A", 15e3), vehicle("B", 15e3)]
    found = run.step(deaf, orders)
    assert sum(powers(found)) + 10e3 <= 20e3 + 1.0
    assert powers(found)[0] <= 5e3


def test_a_vehicle_that_follows_late_is_not_taken_for_one_that_does_not() -> None:
    run = Run(limit_w=20e3, ramp_pu_s=inf)
    run.step([vehicle("A", 0.0), vehicle("B", 0.0)], [order_of(Mode.CHARGE, 20e3)])
    run.step([vehicle("A", 10e3), vehicle("B", 10e3)], [order_of(Mode.CHARGE, 20e3)])
    lower = [order_of(Mode.CHARGE, 4e3, "A"), order_of(Mode.CHARGE, 10e3, "B", order_id=2)]
    run.step([vehicle("A", 10e3), vehicle("B", 10e3)], lower)
    found = run.step([vehicle("A", 10e3), vehicle("B", 10e3)], lower, after_s=0.9)
    assert powers(found) == [4e3, 10e3]


def test_the_same_moment_again_gives_the_same_powers() -> None:
    run = Run()
    orders = [order_of(Mode.CHARGE, 10e3)]
    for _ in range(2):
        run.step([vehicle("A")], orders)
    first = run.step([vehicle("A")], orders)
    assert run.step([vehicle("A")], orders, after_s=0.0) == first


def test_a_clock_that_jumps_ahead_gives_no_jump_in_power() -> None:
    run = Run(ramp_pu_s=0.01)
    run.step([vehicle("A")], [])
    told = powers(run.step([vehicle("A")], [order_of(Mode.CHARGE, 20e3)], after_s=3600.0))
    assert told[0] <= 0.01 * RATED_W * 5.0


def test_what_charges_may_count_only_on_discharge_that_is_measured() -> None:
    # 3 kW may flow in sum, and what B gives back; B has only begun, and gives 2 of its 3.
    run = Run(limit_w=3e3, ramp_pu_s=inf)
    orders = [order_of(Mode.CHARGE, 10e3, "A"), order_of(Mode.DISCHARGE, 10e3, "B", order_id=2)]
    assert powers(run.step([vehicle("A", 0.0), vehicle("B", 0.0)], orders)) == [3e3, -3e3]
    assert powers(run.step([vehicle("A", 3e3), vehicle("B", -2e3)], orders)) == [5e3, -6e3]


def test_an_order_is_not_exceeded_while_one_makes_room_for_another() -> None:
    # 20 kW for all: A has it, and B comes; what A still takes is not granted twice.
    run = Run()
    for _ in range(10):
        run.step([vehicle("A", 20e3)], [order_of(Mode.CHARGE, 20e3)])
    late = run.step([vehicle("A", 20e3), vehicle("B", 0.0)], [order_of(Mode.CHARGE, 20e3)])
    assert powers(late) == [10e3, 0.0]
    assert late.grants[1].bound_by == "waits until others have made room"
    half = run.step([vehicle("A", 17e3), vehicle("B", 0.0)], [order_of(Mode.CHARGE, 20e3)])
    assert powers(half) == [10e3, 3e3]


def test_what_is_kept_below_a_minimum_that_rose_is_nothing() -> None:
    # C still takes most of the room: A cannot rise to its new minimum, and below it there is nothing.
    run = Run(limit_w=8e3)
    orders = [order_of(Mode.CHARGE, 2e3, "A", 1), order_of(Mode.CHARGE, 6e3, "C", 2)]
    flows_w = [0.0, 0.0]
    for _ in range(4):
        flows_w = powers(run.step([vehicle("A", flows_w[0]), vehicle("C", flows_w[1])], orders))
    assert flows_w == [2e3, 6e3]
    orders = [order_of(Mode.CHARGE, 5e3, "A", 3), order_of(Mode.CHARGE, 3e3, "C", 4)]
    for _ in range(2):
        result = run.step([vehicle("A", 2e3, min_charge_w=4140.0), vehicle("C", 6e3)], orders)
        assert powers(result) == [0.0, 3e3]
    assert powers(run.step([vehicle("A", 0.0, min_charge_w=4140.0), vehicle("C", 3e3)], orders)) == [4140.0, 3e3]


def test_power_at_an_evse_without_a_vehicle_takes_room() -> None:
    dispatcher = Dispatcher(Settings(ramp_pu_s=inf))
    result = dispatcher.step(
        [vehicle("A")], [order_of(Mode.CHARGE, 20e3)], site(12e3), (), ORDERS_ONLY, 1.0, {"Z": 5e3, "Y": 50.0, "X": nan}
    )
    assert powers(result) == [7e3]


def flows(run: Run, count: int, takes: Callable[[float, int], float], seconds: int) -> list[float]:
    """The net of vehicles that do what ``takes`` makes of their last grant, each second of the last minute."""
    told, nets = [0.0] * count, []
    for second in range(seconds):
        flows_w = [takes(told_w, second) for told_w in told]
        vehicles = [vehicle(f"E{n:02}", flow_w) for n, flow_w in enumerate(flows_w)]
        told = powers(run.step(vehicles, [order_of(Mode.CHARGE, 1e6)]))
        nets.append(sum(flows_w))
    return nets[-60:]


def test_what_each_takes_within_the_tolerance_is_not_taken_by_all_together_for_good() -> None:
    # 2.5 % of 2 kW are 50 W, a meter's error; of 20 vehicles they would be 1 kW over the limit.
    nets = flows(Run(limit_w=40e3), 20, lambda told_w, _: 1.025 * told_w, 120)
    assert max(nets) <= 40e3 + 20.0
    assert min(nets) >= 39.5e3


def test_the_noise_of_meters_costs_nothing() -> None:
    random = Random(1)
    told = flows(Run(limit_w=40e3), 20, lambda told_w, _: told_w + random.gauss(0.0, 30.0), 180)
    assert sum(told) / len(told) >= 0.99 * 40e3


def test_auxiliaries_of_one_that_rests_take_room() -> None:
    run = Run(limit_w=10e3)
    result = [
        powers(run.step([vehicle("A", 150.0), vehicle("B")], [order_of(Mode.CHARGE, 20e3, "B")])) for _ in range(60)
    ][-1]
    assert result == [0.0, pytest.approx(9850.0, abs=5.0)]


def test_one_that_does_not_follow_a_fall_costs_the_others_all_that_it_takes_at_once() -> None:
    # Ten have 6 kW each; the limit falls to 20 kW, and A goes on with 6: after 2 s the others share what is left.
    run = Run(limit_w=60e3)
    names = "ABCDEFGHIJ"
    everybody = [order_of(Mode.CHARGE, 60e3)]
    flows_w = dict.fromkeys(names, 0.0)
    for _ in range(12):
        found = run.step([vehicle(name, flows_w[name]) for name in names], everybody)
        flows_w = {grant.evse_id: grant.power_w for grant in found.grants}
    run.limit_w = 20e3
    sums_w = []
    for _ in range(6):
        found = run.step([vehicle(name, flows_w[name]) for name in names], everybody)
        flows_w = {grant.evse_id: grant.power_w for grant in found.grants} | {"A": 6e3}
        sums_w.append(sum(flows_w.values()))
    assert sums_w[-3:] == pytest.approx([20e3] * 3, abs=20.0)


def test_auxiliaries_of_a_vehicle_that_was_told_nothing_do_not_keep_it_from_power() -> None:
    run = Run()
    for _ in range(5):
        run.step([vehicle("A", 700.0)], [])
    told = [powers(run.step([vehicle("A", 700.0)], [order_of(Mode.CHARGE, 10e3)]))[0] for _ in range(4)]
    assert told[-1] > 3e3
