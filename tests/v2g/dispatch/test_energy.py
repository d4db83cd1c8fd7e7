"""What a vehicle needs and can spare: figures by hand, words for what cannot be, and what always holds."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.dispatch.constraints import intersect
from v2g.dispatch.energy import Energy, Wants, energy_of
from v2g.dispatch.vehicle import VehicleData, battery_bounds

NOW_S = 1000.0
WANTS = Wants(min_soc_pct=30.0)
VEHICLE = VehicleData(expires_at_s=NOW_S + 2.0, max_charge_w=11e3, max_discharge_w=11e3, soc_pct=50.0, capacity_wh=60e3)


def found(wants: Wants = WANTS, **said: Any) -> Energy:
    return energy_of(replace(VEHICLE, **said), wants, NOW_S)


@pytest.mark.parametrize(
    ("said", "needed_wh"),
    [
        ({"target_soc_pct": 80.0, "target_energy_wh": 1e3, "max_energy_wh": 30e3}, 18e3),
        ({"target_energy_wh": 12e3, "max_energy_wh": 25e3}, 12e3),
        ({"max_energy_wh": 25e3}, 25e3),
        ({}, 30e3),
        ({"target_soc_pct": 40.0}, 0.0),
        ({"target_energy_wh": -6e3}, 0.0),
        ({"target_soc_pct": 40.0, "min_energy_wh": 3e3}, 3e3),
    ],
)
def test_the_target_is_the_first_that_is_told(said: dict[str, float], needed_wh: float) -> None:
    assert found(**said).needed_wh == pytest.approx(needed_wh)
    assert found(**said).remarks == ()


def test_room_is_up_to_max_soc_or_the_vehicles_higher_target() -> None:
    wants = replace(WANTS, max_soc_pct=80.0)
    assert found(wants).room_wh == pytest.approx(18e3)
    assert found(wants).needed_wh == pytest.approx(18e3)
    assert found(wants, target_soc_pct=90.0).room_wh == pytest.approx(24e3)
    assert found(wants, target_soc_pct=60.0).needed_wh == pytest.approx(6e3)
    assert found(wants, max_energy_wh=10e3).room_wh == pytest.approx(10e3)


def test_surplus_is_above_the_higher_floor_and_within_the_v2x_range() -> None:
    assert found().surplus_wh == pytest.approx(12e3)
    assert found(min_soc_pct=40.0).surplus_wh == pytest.approx(6e3)
    assert found(min_soc_pct=40.0).floor_pct == 40.0
    assert found(min_v2x_energy_wh=-2e3).surplus_wh == pytest.approx(2e3)
    assert found(discharged_since_soc_wh=900.0).surplus_wh == pytest.approx(11e3)


@pytest.mark.parametrize(
    "said",
    [
        {"soc_pct": 30.0},
        {"soc_pct": None},
        {"soc_expires_at_s": NOW_S},
        {"soc_pct": 120.0, "min_v2x_energy_wh": -1e3, "max_v2x_energy_wh": 1e3},
        {"min_energy_wh": 10.0},
        {"min_v2x_energy_wh": 10.0},
        {"max_v2x_energy_wh": -10.0},
        {"soc_doubt": "it jumped"},
        {"held_at_floor": True},
        {"min_soc_pct": nan},
        {"target_energy_wh": 70e3},
    ],
)
def test_nothing_is_spared_where_discharge_is_refused_or_nothing_is_known(said: dict[str, Any]) -> None:
    assert found(**said).surplus_wh == 0.0


def test_without_soc_the_energies_that_are_told_count() -> None:
    energy = found(
        soc_pct=None, target_energy_wh=9e3, max_energy_wh=20e3, min_v2x_energy_wh=-4e3, max_v2x_energy_wh=16e3
    )
    assert (energy.needed_wh, energy.room_wh, energy.surplus_wh, energy.soc_pct) == (9e3, 20e3, 4e3, None)
    nothing = found(soc_pct=None, capacity_wh=None)
    assert (nothing.needed_wh, nothing.room_wh, nothing.capacity_assumed) == (50e3, 50e3, True)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"departs_at_s": NOW_S - 720.0}, "DepartureTime was 12 min ago: 8 h from now are assumed"),
        ({"departs_at_s": nan}, "DepartureTime is no time"),
        (
            {"soc_pct": 20.0, "target_soc_pct": 25.0},
            "min-SoC of 30 % is above the vehicle's target of 25 %: it is charged to 30 %",
        ),
        ({"target_soc_pct": 120.0}, "TargetSOC of 120 % cannot be: it counts as 100 %"),
        ({"target_soc_pct": -1.0}, "TargetSOC of -1 % cannot be: it is ignored"),
        ({"min_soc_pct": 130.0}, "MinimumSOC of 130 % cannot be"),
        ({"capacity_wh": 0.0}, "BatteryCapacity of 0 Wh cannot be: 50.0 kWh are assumed"),
        ({"capacity_wh": -60e3}, "BatteryCapacity of -60000 Wh cannot be"),
        ({"capacity_wh": 10e6}, "BatteryCapacity of 1e+07 Wh cannot be"),
        ({"capacity_wh": nan}, "BatteryCapacity of nan Wh cannot be"),
        ({"capacity_wh": 20e3, "target_energy_wh": 25e3}, "EVTargetEnergyRequest of 25.0 kWh is more than the Battery"),
        ({"target_energy_wh": 35e3}, "more than the 30.0 kWh that 60.0 kWh of capacity take at 50 %: it counts as"),
        ({"max_energy_wh": 35e3}, "EVMaximumEnergyRequest of 35.0 kWh is more than the 30.0 kWh"),
        ({"target_soc_pct": 80.0, "max_energy_wh": 5e3}, "EVMaximumEnergyRequest of 5.0 kWh is less than the 18.0 kWh"),
        ({"max_energy_wh": 5e3, "min_energy_wh": 9e3}, "EVMinimumEnergyRequest of 9.0 kWh is above EVMaximum"),
        ({"soc_pct": 101.0}, "PresentSOC of 101 % cannot be: it counts as unknown"),
        ({"soc_doubt": "it jumped"}, "PresentSOC is not believed: it jumped"),
        ({"target_energy_wh": inf}, "EVTargetEnergyRequest is no number: it is ignored"),
    ],
)
def test_what_cannot_be_is_named_with_the_vehicles_values(said: dict[str, Any], words: str) -> None:
    assert any(words in remark for remark in found(**said).remarks), found(**said).remarks


def test_a_min_soc_above_the_target_raises_it() -> None:
    assert found(soc_pct=20.0, target_soc_pct=25.0).needed_wh == pytest.approx(6e3)


def test_a_vehicle_that_asks_for_more_than_is_usual_has_a_larger_battery() -> None:
    energy = found(capacity_wh=None, soc_pct=20.0, target_energy_wh=64e3)
    assert (energy.capacity_wh, energy.capacity_assumed) == (pytest.approx(80e3), True)
    assert energy.needed_wh == pytest.approx(64e3)


def test_departure_is_the_vehicles_or_assumed() -> None:
    assert (found(departs_at_s=NOW_S + 60.0).departs_at_s, found(departs_at_s=NOW_S + 60.0).departure_assumed) == (
        NOW_S + 60.0,
        False,
    )
    wants = replace(WANTS, assumed_stay_s=100.0)
    for told in (None, NOW_S, NOW_S - 1.0):
        energy = found(wants, departs_at_s=told)
        assert (energy.departs_at_s, energy.departure_assumed) == (NOW_S + 100.0, True)


def test_urgency_is_the_mean_power_until_departure() -> None:
    energy = found(target_soc_pct=60.0, departs_at_s=NOW_S + 7200.0)
    assert energy.urgency_w(NOW_S) == pytest.approx(3e3)
    assert energy.urgency_w(NOW_S + 3600.0) == pytest.approx(6e3)
    assert energy.urgency_w(NOW_S + 9000.0) == pytest.approx(6e3 * 60.0)


anything = st.one_of(st.none(), st.floats(-1e7, 1e7), st.sampled_from([nan, inf, -inf, 0.0, 100.0, 30.0]))
percent = st.one_of(st.none(), st.floats(-20.0, 120.0), st.integers(0, 100), st.just(nan))
vehicles = st.builds(
    VehicleData,
    expires_at_s=st.just(NOW_S + 2.0),
    max_charge_w=st.just(11e3),
    max_discharge_w=st.just(11e3),
    soc_pct=percent,
    soc_expires_at_s=st.sampled_from([NOW_S - 1.0, NOW_S + 30.0, inf]),
    min_soc_pct=percent,
    min_energy_wh=anything,
    max_energy_wh=anything,
    target_energy_wh=anything,
    target_soc_pct=percent,
    min_v2x_energy_wh=anything,
    max_v2x_energy_wh=anything,
    capacity_wh=anything,
    departs_at_s=anything,
    discharged_since_soc_wh=st.one_of(st.none(), st.floats(0.0, 1e5), st.just(nan)),
    held_at_floor=st.booleans(),
    soc_doubt=st.sampled_from(["", "it jumped"]),
)
wants_any = st.builds(
    Wants,
    min_soc_pct=st.floats(0.0, 100.0),
    max_soc_pct=st.floats(10.0, 100.0),
    assumed_capacity_wh=st.floats(1e3, 2e6),
)


@given(vehicles, wants_any)
def test_needed_is_within_room_and_both_within_the_battery(vehicle: VehicleData, wants: Wants) -> None:
    energy = energy_of(vehicle, wants, NOW_S)
    assert 0.0 <= energy.needed_wh <= energy.room_wh <= energy.capacity_wh * (1.0 + 1e-9)
    assert energy.departs_at_s > NOW_S
    assert 0.0 <= energy.urgency_w(NOW_S) < inf
    assert isfinite(energy.capacity_wh)
    assert energy.capacity_wh > 0.0


@given(vehicles, wants_any)
def test_surplus_is_none_at_the_floor_or_where_nothing_is_known(vehicle: VehicleData, wants: Wants) -> None:
    energy = energy_of(vehicle, wants, NOW_S)
    assert energy.surplus_wh >= 0.0
    whole_range = vehicle.min_v2x_energy_wh is not None and vehicle.max_v2x_energy_wh is not None
    if energy.soc_pct is None and not whole_range:
        assert energy.surplus_wh == 0.0
    if energy.soc_pct is not None and energy.soc_pct <= energy.floor_pct:
        assert energy.surplus_wh == 0.0


@given(vehicles, wants_any)
def test_what_may_not_be_discharged_has_nothing_to_spare(vehicle: VehicleData, wants: Wants) -> None:
    bounds = battery_bounds(wants, vehicle, 0.0, NOW_S)
    refused = bool(bounds) and intersect(bounds, NOW_S).lo_w == 0.0
    if refused:
        assert energy_of(vehicle, wants, NOW_S).surplus_wh == 0.0
