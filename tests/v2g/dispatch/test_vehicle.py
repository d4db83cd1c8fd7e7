from __future__ import annotations

import dataclasses
from math import nan

import pytest

from v2g.dispatch.constraints import Intersection, intersect
from v2g.dispatch.vehicle import EvseLimits, InverterData, MaxAges, VehicleData, candidate

NOW_S = 100.0
VEHICLE = VehicleData(
    as_of_s=NOW_S,
    max_charge_w=20e3,
    max_discharge_w=11e3,
    max_charge_a=50.0,
    max_discharge_a=25.0,
    present_voltage_v=400.0,
    soc_pct=60.0,
)
INVERTER = InverterData(as_of_s=NOW_S, max_charge_w=22e3, max_discharge_w=22e3)
EVSE = EvseLimits(max_charge_w=22e3, max_discharge_w=22e3, max_current_a=80.0)


def limits(
    *,
    inverter: InverterData | None = INVERTER,
    evse: EvseLimits = EVSE,
    now_s: float = NOW_S,
    own_min_soc_pct: float | None = None,
    inverter_efficiency: float = 1.0,
    **change: float | None,
) -> Intersection:
    found = candidate(
        "A",
        vehicle=dataclasses.replace(VEHICLE, min_soc_pct=own_min_soc_pct, **change),  # type: ignore[arg-type]
        inverter=inverter,
        evse=evse,
        min_soc_pct=30.0,
        now_s=now_s,
        inverter_efficiency=inverter_efficiency,
    )
    assert found.evse_id == "A"
    return intersect(found.bounds, now_s)


def test_the_tightest_of_power_and_current_binds_each_direction() -> None:
    # Charge: 20 kW by power, 50 A · 400 V = 20 kW by current, the first named. Discharge: 25 A · 400 V = 10 kW.
    found = limits()
    assert (found.lo_w, found.hi_w) == (-10e3, 20e3)
    assert (found.lo_source, found.hi_source) == ("vehicle current limit", "vehicle power limit")


def test_the_evse_current_counts_at_the_present_voltage() -> None:
    # 20 A · 400 V = 8 kW.
    found = limits(evse=dataclasses.replace(EVSE, max_current_a=20.0))
    assert (found.lo_w, found.hi_w, found.hi_source) == (-8e3, 8e3, "EVSE current limit")


def test_the_inverter_rating_binds() -> None:
    found = limits(inverter=dataclasses.replace(INVERTER, max_discharge_w=7e3, max_charge_w=6e3))
    assert (found.lo_w, found.hi_w) == (-7e3, 6e3)
    assert (found.lo_source, found.hi_source) == ("inverter rating", "inverter rating")


def test_the_configured_limit_binds() -> None:
    found = limits(evse=dataclasses.replace(EVSE, max_discharge_w=3e3))
    assert (found.lo_w, found.lo_source) == (-3e3, "EVSE limit")


def test_losses_of_the_inverter_count_against_the_vehicles_discharge_limit() -> None:
    # 10 kW from the vehicle are 9.5 kW at the AC terminals; 20 kW taken there are less at the vehicle.
    found = limits(inverter_efficiency=0.95)
    assert (found.lo_w, found.hi_w) == (-9.5e3, 20e3)


@pytest.mark.parametrize("efficiency", [0.0, -1.0, 1.5, nan])
def test_an_impossible_efficiency_permits_no_discharge(efficiency: float) -> None:
    assert limits(inverter_efficiency=efficiency).lo_w == 0.0


def test_a_discharge_limit_sent_negative_is_read_by_its_magnitude() -> None:
    assert limits(max_discharge_w=-5e3).lo_w == -5e3


@pytest.mark.parametrize("name", ["max_charge_w", "max_discharge_w", "max_charge_a", "present_voltage_v"])
def test_a_limit_that_is_no_number_means_zero(name: str) -> None:
    found = limits(**{name: nan})  # type: ignore[arg-type]
    assert (found.lo_w, found.hi_w) == (0.0, 0.0)
    assert found.hi_source.endswith("unknown")


def test_an_unseen_inverter_means_zero() -> None:
    found = limits(inverter=None)
    assert (found.lo_w, found.hi_w, found.hi_source) == (0.0, 0.0, "inverter not seen")


def test_a_faulted_inverter_means_zero_with_its_fault() -> None:
    found = limits(inverter=dataclasses.replace(INVERTER, fault="DC over-voltage"))
    assert (found.lo_w, found.hi_w, found.lo_source) == (0.0, 0.0, "inverter fault: DC over-voltage")


@pytest.mark.parametrize(
    ("soc_pct", "own_min_pct", "discharge"),
    [(30.1, None, True), (30.0, None, False), (29.0, None, False), (45.0, 50.0, False), (45.0, 20.0, True)],
)
def test_no_discharge_at_or_below_the_higher_minimum(
    soc_pct: float, own_min_pct: float | None, discharge: bool
) -> None:
    found = limits(soc_pct=soc_pct, own_min_soc_pct=own_min_pct)
    assert found.lo_w == (-10e3 if discharge else 0.0)
    assert found.hi_w == 20e3
    if not discharge:
        assert found.lo_source == "min-SoC"


@pytest.mark.parametrize(
    ("min_energy_wh", "lo_w", "source"),
    [
        (-20e3, -10e3, "vehicle current limit"),
        (0.0, -10e3, "vehicle current limit"),
        (50.0, 0.0, "min-SoC (EVMinimumEnergyRequest)"),
        (nan, 0.0, "min-SoC unknown"),
        (None, 0.0, "min-SoC unknown"),
    ],
)
def test_without_soc_the_vehicles_own_minimum_request_decides(
    min_energy_wh: float | None, lo_w: float, source: str
) -> None:
    found = limits(soc_pct=None, min_energy_wh=min_energy_wh)
    assert (found.lo_w, found.lo_source) == (lo_w, source)
    assert found.hi_w == 20e3


def test_an_old_soc_is_no_soc() -> None:
    assert limits(soc_as_of_s=NOW_S - 59.0).lo_w == -10e3
    old = limits(soc_as_of_s=NOW_S - 60.0)
    assert (old.lo_w, old.lo_source) == (0.0, "min-SoC unknown")
    assert limits(soc_as_of_s=NOW_S - 60.0, min_energy_wh=-1e3).lo_w == -10e3


@pytest.mark.parametrize("soc_pct", [-1.0, 101.0, nan])
def test_an_impossible_soc_stops_discharge_whatever_the_energy_request_says(soc_pct: float) -> None:
    found = limits(soc_pct=soc_pct, min_energy_wh=-20e3)
    assert found.lo_w == 0.0
    assert found.lo_source.startswith("min-SoC unknown: a SoC of")


@pytest.mark.parametrize("change", [{"soc_pct": 100.0}, {"max_energy_wh": 0.0}, {"max_energy_wh": -5.0}])
def test_a_full_vehicle_takes_no_charge_and_may_discharge(change: dict[str, float]) -> None:
    found = limits(**change)  # type: ignore[arg-type]
    assert (found.lo_w, found.hi_w, found.hi_source) == (-10e3, 0.0, "vehicle full")


def test_bounds_expire_with_the_data_they_rest_on() -> None:
    ages = MaxAges(vehicle_s=2.0, inverter_s=1.0, soc_s=60.0)
    bounds = candidate(
        "A", vehicle=VEHICLE, inverter=INVERTER, evse=EVSE, min_soc_pct=30.0, now_s=NOW_S, max_ages=ages
    ).bounds
    assert intersect(bounds, NOW_S + 0.9).lo_w == -10e3
    assert intersect(bounds, NOW_S + 1.0).lo_source == "inverter rating expired"
    assert intersect(bounds, NOW_S + 2.0).lo_source == "vehicle power limit expired"
