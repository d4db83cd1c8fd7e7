"""Powers of both directions, held to the limits of their net."""

from __future__ import annotations

from itertools import pairwise
from math import inf

from v2g.dispatch.claims import Claim, Service
from v2g.dispatch.constraints import Intersection
from v2g.dispatch.inputs import Vehicle
from v2g.dispatch.netting import hold_limits
from v2g.dispatch.sharing import GroupLimit

ALL = {"A": 1.0, "B": 1.0, "C": 1.0}


def claim(evse_id: str, power_w: float, sign: float, floor_w: float = 10.0) -> Claim:
    vehicle = Vehicle(evse_id=evse_id, bounds=(), rated_charge_w=11e3, rated_discharge_w=11e3)
    service = Service(None, sign, inf)
    return Claim(vehicle, service, 11e3, floor_w, "EVSE rating", "EVSE rating", 1.0, power_w=power_w)


def limit(lo_w: float, hi_w: float, shares: dict[str, float] | None = None) -> GroupLimit:
    return GroupLimit(Intersection(lo_w, hi_w, "thermal reverse", "thermal K"), ALL if shares is None else shares)


def powers(*claims: Claim) -> list[float]:
    return [round(each.power_w, 3) for each in claims]


def test_what_keeps_its_limits_is_left_alone() -> None:
    up, down = claim("A", 10e3, 1.0), claim("B", 6e3, -1.0)
    hold_limits([up], [down], [limit(-4e3, 4e3)])
    assert powers(up, down) == [10e3, 6e3]
    assert up.reason is None


def test_the_side_that_exceeds_is_lowered_in_proportion_and_told_why() -> None:
    # 12 kW less 6 kW is 2 kW over a limit of 4 kW: a sixth of the charge.
    up, more, down = claim("A", 9e3, 1.0), claim("C", 3e3, 1.0), claim("B", 6e3, -1.0)
    hold_limits([up, more], [down], [limit(-4e3, 4e3)])
    assert powers(up, more, down) == [7.5e3, 2.5e3, 6e3]
    assert (up.reason, down.reason) == ("thermal K", None)


def test_who_would_fall_below_its_minimum_stops_and_the_other_side_follows() -> None:
    up, down = claim("A", 6e3, 1.0, floor_w=5.5e3), claim("B", 9e3, -1.0)
    hold_limits([up], [down], [limit(-4e3, 4e3), limit(-9e3, 5e3, {"A": 1.0})])
    assert powers(up, down) == [0.0, 4e3]
    assert (up.reason, down.reason) == ("thermal K", "thermal reverse")


def test_sides_that_go_on_uncovering_each_other_get_nothing() -> None:
    names = "ABCDEFGHJK"
    ups = [claim(f"{name}up", 5e3, 1.0, floor_w=5e3) for name in names]
    downs = [claim(f"{name}down", 5e3, -1.0, floor_w=5e3) for name in names]
    # Each is covered by its neighbour alone, so that one stop brings down the next, one in each round.
    pairs = [pair for up, down in zip(ups, downs, strict=True) for pair in (up, down)]
    chain = [limit(0.0, 0.0, {a.evse_id: 1.0, b.evse_id: 1.0}) for a, b in pairwise(pairs)]
    hold_limits(ups, downs, [limit(-inf, 1e3, {pairs[0].evse_id: 1.0}), *reversed(chain)])
    assert powers(*ups, *downs) == [0.0] * 20


def test_one_side_alone_is_held_by_its_shares() -> None:
    up = claim("A", 6e3, 1.0)
    hold_limits([up], [], [limit(-1e3, 1e3)])
    assert powers(up) == [6e3]
