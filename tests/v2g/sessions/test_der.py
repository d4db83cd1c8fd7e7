"""The guard's settings as a grid code: every element arrives or is named, and nobody is asked for the impossible."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyiso15118.der import Cessation, TripPoint, grid_code_problem
from pyiso15118.der.checks import ride_through_s, trip_time_s
from v2g.grid import profiles
from v2g.grid.support import ConstantPowerFactor, FrequencyDroop, SupportSettings, VoltVar, VoltWatt, WattVar
from v2g.sessions.der import grid_code

CATEGORIES = ("I", "II", "III")


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_trips_of_ieee_1547_become_points(category: str) -> None:
    settings = profiles.resolve(nominal_frequency_hz=60.0, category=category)
    handed = grid_code(settings, SupportSettings(), 277.0)
    assert handed.left_out == ()
    assert grid_code_problem(handed.code) is None
    for element, side in (("OV1", "over_voltage"), ("UV2", "under_voltage"), ("OF2", "over_frequency")):
        setting = settings.trips.element(element)
        assert TripPoint(setting.threshold, setting.time_s) in getattr(handed.code.must_trip, side)
    window = handed.code.enter_service
    assert window is not None
    assert (window.delay_s, window.ramp_s, window.v_lo_pu) == (300.0, 300.0, 0.917)


def test_category_iii_ceases_below_half_and_above_a_tenth() -> None:
    handed = grid_code(profiles.resolve(nominal_frequency_hz=60.0), SupportSettings(), 277.0)
    assert handed.code.cessation == Cessation(under_pu=0.5, over_pu=1.1)
    under = handed.code.may_trip.under_voltage
    assert [ride_through_s(under, volts, over=False) for volts in (0.4, 0.6, 0.8, 0.9)] == [1.0, 10.0, 20.0, 0.0]


def test_category_ii_need_not_stay_below_three_tenths() -> None:
    handed = grid_code(profiles.resolve(nominal_frequency_hz=60.0, category="II"), SupportSettings(), 277.0)
    under = handed.code.may_trip.under_voltage
    assert ride_through_s(under, 0.2, over=False) == 0.0
    assert [ride_through_s(under, volts, over=False) for volts in (0.4, 0.6)] == [0.16, 0.32]
    assert ride_through_s(under, 0.8, over=False) == 3.0


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("end", ["lo", "hi"])
def test_a_trip_at_either_end_of_its_range_leaves_a_code_that_can_be_kept_to(category: str, end: str) -> None:
    from v2g.grid.ieee1547 import trip_rows

    trips = {
        row.element: {"threshold": getattr(row.threshold, end), "time_s": getattr(row.time_s, end)}
        for row in trip_rows(category)
        if row.element not in ("UV1", "UV2") or getattr(row.threshold, end) > 0.0
    }
    settings = profiles.resolve(nominal_frequency_hz=60.0, category=category, trips=trips)
    code = grid_code(settings, SupportSettings(), 277.0).code
    if grid_code_problem(code) is not None:
        # Ends of ranges that contradict each other by themselves: the window to enter service, a deeper step later.
        assert "ride-through asks" not in str(grid_code_problem(code))
    for volts in (0.3, 0.45, 0.6, 0.75, 0.87):
        stays_s = ride_through_s(code.may_trip.under_voltage, volts, over=False)
        assert stays_s <= trip_time_s(code.must_trip.under_voltage, volts, over=False) + 1e-9


@pytest.mark.parametrize(("profile", "named"), [("vde-ar-n-4105", ("U>",)), ("g99", ("LoM",)), ("en50549-1", ("U>",))])
def test_what_no_vehicle_can_be_told_is_named(profile: str, named: tuple[str, ...]) -> None:
    settings = profiles.resolve(nominal_frequency_hz=50.0, profile=profile, confirmed=True)
    handed = grid_code(settings, SupportSettings(frequency_droop=None), 230.0)
    assert handed.left_out == named
    assert grid_code_problem(handed.code) is None
    assert handed.code.frequency_droop is None


def test_a_randomised_delay_takes_the_place_of_the_ramp() -> None:
    settings = profiles.resolve(nominal_frequency_hz=60.0, enter_service={"random_delay_s": 60.0}, rated_kva=100.0)
    window = grid_code(settings, SupportSettings(), 277.0).code.enter_service
    assert window is not None
    assert (window.random_delay_s, window.ramp_s) == (60.0, 0.0)


@pytest.mark.parametrize(
    ("support", "name"),
    [
        (SupportSettings(volt_var=VoltVar()), "volt_var"),
        (SupportSettings(volt_watt=VoltWatt()), "volt_watt"),
        (SupportSettings(watt_var=WattVar()), "watt_var"),
        (SupportSettings(constant_pf=ConstantPowerFactor(power_factor=0.95, over_excited=False)), "power_factor"),
    ],
)
def test_support_functions_come_over_where_they_are_enabled(support: SupportSettings, name: str) -> None:
    settings = profiles.resolve(nominal_frequency_hz=60.0)
    code = grid_code(settings, support, 277.0).code
    assert getattr(code, name) is not None
    assert grid_code_problem(code) is None
    steeper = replace(support, frequency_droop=FrequencyDroop(k_of=0.02, response_s=1.0))
    droop = grid_code(settings, steeper, 277.0).code.frequency_droop
    assert droop is not None
    assert (droop.k_of, droop.response_s) == (0.02, 1.0)
