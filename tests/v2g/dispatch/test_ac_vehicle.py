"""What binds a vehicle at an AC EVSE: figures of device, cable, supply, configuration and its own consent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest

from v2g.dispatch.ac_vehicle import AcRatings, ac_rated_w, ac_vehicle_bounds
from v2g.dispatch.constraints import intersect
from v2g.dispatch.vehicle import VehicleData
from v2g.dispatch.wants import Wants

RATINGS = AcRatings(
    max_charge_w=22_000.0,
    max_discharge_w=11_000.0,
    max_current_a=32.0,
    phases=3,
    nominal_voltage_v=230.0,
    allow_discharge=True,
)
VEHICLE = VehicleData(
    expires_at_s=20.0,
    max_charge_w=50_000.0,
    max_discharge_w=50_000.0,
    max_charge_a=100.0,
    max_discharge_a=100.0,
    soc_pct=70,
    soc_expires_at_s=20.0,
    min_soc_pct=None,
    min_energy_wh=None,
    max_energy_wh=None,
)


@dataclass(frozen=True)
class Cable:
    proximity_a: float | None


@dataclass(frozen=True)
class Reading:
    as_of_s: float = 10.0
    voltage_v: tuple[float, float, float] = (230.0, 230.0, 230.0)
    max_current_a: float = 32.0
    pilot: Cable | None = None


def allowed(ratings: AcRatings = RATINGS, reading: Reading = Reading(), **more: Any) -> tuple[float, float]:
    options = {"bidirectional": True} | more
    bounds = ac_vehicle_bounds(ratings, VEHICLE, reading, 1.0, 10.5, **options)
    interval = intersect(bounds, 10.5)
    return interval.lo_w, interval.hi_w


def test_device_and_configuration_bind_each_direction() -> None:
    assert allowed() == (-11_000.0, pytest.approx(22_000.0))
    assert allowed(replace(RATINGS, max_current_a=16.0)) == (-11_000.0, pytest.approx(11_040.0))
    assert allowed(reading=Reading(max_current_a=10.0)) == (pytest.approx(-6_900.0), pytest.approx(6_900.0))
    assert allowed(reading=Reading(pilot=Cable(13.0)))[1] == pytest.approx(8_970.0)


def test_a_vehicle_on_one_phase_gets_one_phase() -> None:
    assert allowed(vehicle_phases=1) == (pytest.approx(-7_360.0), pytest.approx(7_360.0))


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf, -230.0, 0.0])
def test_a_voltage_that_is_none_gives_no_power_in_either_direction(position: int, value: float) -> None:
    volts = [230.0, 231.0, 232.0]
    volts[position] = value
    reading = Reading(voltage_v=(volts[0], volts[1], volts[2]))
    assert allowed(reading=reading) == (0.0, 0.0)
    assert ac_rated_w(RATINGS, reading) == (0.0, 0.0)


def test_a_current_that_is_no_number_gives_no_power() -> None:
    assert allowed(reading=Reading(max_current_a=math.nan)) == (0.0, 0.0)
    assert allowed(reading=Reading(pilot=Cable(math.nan))) == (0.0, 0.0)


def test_discharge_needs_the_site_s_and_the_vehicle_s_consent() -> None:
    assert allowed(replace(RATINGS, allow_discharge=False))[0] == 0.0
    assert allowed(bidirectional=False)[0] == 0.0


def test_an_old_reading_gives_nothing() -> None:
    assert allowed(reading=Reading(as_of_s=9.0)) == (0.0, 0.0)


def test_the_floor_of_the_moment_and_the_v2x_range_hold_here_as_well() -> None:
    assert allowed(wants=Wants(min_soc_pct=70.0))[0] == 0.0
    assert allowed(replace(RATINGS, min_soc_pct=70.0))[0] == 0.0
    assert allowed(replace(RATINGS, min_soc_pct=70.0), wants=Wants(min_soc_pct=69.0))[0] == -11_000.0
    above = replace(VEHICLE, min_v2x_energy_wh=-1e3, max_v2x_energy_wh=-5.0)
    found = intersect(ac_vehicle_bounds(RATINGS, above, Reading(), 1.0, 10.5, bidirectional=True), 10.5)
    assert (found.lo_w, found.lo_source[:17]) == (0.0, "vehicle V2X range")
