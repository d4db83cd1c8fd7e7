"""What the currents of each phase leave to V2G power."""

from __future__ import annotations

from math import inf, nan

import pytest

from v2g.dispatch.constraints import Intersection, intersect
from v2g.dispatch.inputs import BALANCED, Group, Phases
from v2g.orchestrator.phase_limits import measured_base_w, phase_groups, shares_of

NOW_S = 50.0
IN_B: Phases = (0.0, 1.0, 0.0)


def groups_of(
    base_w: tuple[Phases, Phases] | None, feeder_w: float | None = None, k_pu: float = 1.5
) -> dict[str, Group]:
    found = phase_groups(
        [("E1", BALANCED), ("E2", IN_B)], rated_w=300e3, k_pu=k_pu, base_w=base_w, feeder_w=feeder_w, as_of_s=NOW_S
    )
    return {group.name: group for group in found}


def interval(group: Group) -> Intersection:
    return intersect(group.bounds, NOW_S + 0.5)


def test_each_phase_carries_a_third_of_the_rating_less_its_base_load() -> None:
    # 1.5 of 100 kW a phase and 0.5 %: 150.75; 60 kW of base in b leave 90.75 of charge and 210.75 of discharge.
    base: Phases = (0.0, 60e3, 0.0)
    groups = groups_of((base, base))
    assert (interval(groups["phase b"]).lo_w, interval(groups["phase b"]).hi_w) == pytest.approx((-210.75e3, 90.75e3))
    assert interval(groups["phase b"]).hi_source == "transformer current of phase b"
    assert groups["phase b"].shares == {"E1": 1 / 3, "E2": 1.0}
    assert groups["phase a"].shares == {"E1": 1 / 3}


def test_the_less_favourable_base_load_counts_in_each_direction() -> None:
    groups = groups_of(((10e3, 10e3, 10e3), (40e3, 40e3, 40e3)))
    assert (interval(groups["phase a"]).lo_w, interval(groups["phase a"]).hi_w) == pytest.approx((-160.75e3, 110.75e3))


def test_a_phase_that_its_base_load_overloads_takes_no_charge_and_forces_nobody() -> None:
    base: Phases = (200e3, 0.0, 0.0)
    found = interval(groups_of((base, base))["phase a"])
    assert (found.lo_w, found.hi_w) == pytest.approx((-350.75e3, 0.0))


def test_the_feeders_rating_bounds_both_directions() -> None:
    found = interval(groups_of(None, feeder_w=20e3)["phase b"])
    assert (found.lo_w, found.hi_w, found.hi_source) == (-20e3, 20e3, "feeder current of phase b")


def test_limits_end_soon_after_what_they_rest_on() -> None:
    base: Phases = (0.0, 0.0, 0.0)
    group = groups_of((base, base))["phase a"]
    assert intersect(group.bounds, NOW_S + 1.1).hi_source == "transformer current of phase a expired"


def test_nothing_known_means_no_group_and_no_number_means_no_power() -> None:
    assert groups_of(None) == {}
    found = interval(groups_of(((nan, 0.0, 0.0), (nan, 0.0, 0.0)))["phase a"])
    assert (found.lo_w, found.hi_w, found.hi_source) == (0.0, 0.0, "transformer current of phase a unknown")
    assert interval(groups_of(((0.0, 0.0, 0.0), (inf, 0.0, 0.0)))["phase a"]).hi_w == 0.0


def test_base_load_is_the_transformers_current_less_the_vehicles() -> None:
    # 69 kVA, a third of it in each phase; 11 kW of charge over three phases, 2.3 kW of discharge in b.
    base_w = measured_base_w(69e3, 60e3, (100.0, 100.0, 100.0), [(BALANCED, 11e3), (IN_B, -2.3e3)])
    assert base_w == pytest.approx((23e3 - 11e3 / 3, 23e3 - 11e3 / 3 + 2.3e3, 23e3 - 11e3 / 3))


def test_phases_differ_as_their_currents_do() -> None:
    assert measured_base_w(60e3, 60e3, (100.0, 150.0, 50.0), []) == pytest.approx((20e3, 30e3, 10e3))
    assert measured_base_w(60e3, 60e3, (0.0, 0.0, 0.0), []) == pytest.approx((20e3, 20e3, 20e3))


def test_under_reverse_flow_the_currents_count_upstream() -> None:
    assert measured_base_w(69e3, -60e3, (100.0, 100.0, 100.0), []) == pytest.approx((-23e3,) * 3)


@pytest.mark.parametrize(
    ("letters", "used", "shares"),
    [
        ("abc", None, (1 / 3, 1 / 3, 1 / 3)),
        ("b", None, (0.0, 1.0, 0.0)),
        ("bca", 1, (0.0, 1.0, 0.0)),
        ("cab", 2, (0.5, 0.0, 0.5)),
        ("abc", 3, (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_shares_follow_rotation_and_the_phases_that_a_vehicle_uses(
    letters: str, used: int | None, shares: Phases
) -> None:
    assert shares_of(letters, used) == pytest.approx(shares)
