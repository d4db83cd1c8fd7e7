from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import inf, nan

import pytest

from v2g.dispatch.codes import shortfall_code
from v2g.dispatch.constraints import Intersection, intersect
from v2g.dispatch.orders import Mode
from v2g.dispatch.vehicle import Ratings, VehicleData, vehicle_bounds
from v2g.dispatch.wants import Wants

NOW_S = 100.0
VEHICLE = VehicleData(
    expires_at_s=NOW_S + 2.0,
    max_charge_w=20e3,
    max_discharge_w=11e3,
    max_charge_a=50.0,
    max_discharge_a=25.0,
    soc_pct=60.0,
)
RATINGS = Ratings(max_charge_w=22e3, max_discharge_w=22e3, max_current_a=80.0, min_soc_pct=30.0)


@dataclass(frozen=True)
class Stage:
    as_of_s: float = NOW_S
    present_voltage_v: float = 400.0
    max_current_a: float = 80.0
    max_power_w: float = 22e3


@dataclass(frozen=True)
class Inverter:
    as_of_s: float = NOW_S
    max_charge_w: float = 22e3
    max_discharge_w: float = 22e3
    connected: bool = True
    reversion_armed: bool = True


def limits(
    *,
    ratings: Ratings = RATINGS,
    stage: Stage = Stage(),
    inverter: Inverter = Inverter(),
    now_s: float = NOW_S,
    **change: float | None,
) -> Intersection:
    vehicle = dataclasses.replace(VEHICLE, **change)  # type: ignore[arg-type]
    return intersect(vehicle_bounds(ratings, vehicle, stage, inverter, 1.0, now_s), now_s)


def rated(**change: float | None) -> Ratings:
    return dataclasses.replace(RATINGS, **change)  # type: ignore[arg-type]


def test_the_tightest_of_power_and_current_binds_each_direction() -> None:
    # Charge: 20 kW by power, 50 A · 400 V = 20 kW by current, the first named. Discharge: 25 A · 400 V = 10 kW.
    found = limits()
    assert (found.lo_w, found.hi_w) == (-10e3, 20e3)
    assert (found.lo_source, found.hi_source) == ("vehicle current limit", "vehicle power limit")


@pytest.mark.parametrize(("stage", "configured_a"), [(Stage(max_current_a=20.0), 80.0), (Stage(), 20.0)])
def test_the_lower_evse_current_counts_at_the_present_voltage(stage: Stage, configured_a: float) -> None:
    # 20 A · 400 V = 8 kW.
    found = limits(stage=stage, ratings=rated(max_current_a=configured_a))
    assert (found.lo_w, found.hi_w, found.hi_source) == (-8e3, 8e3, "EVSE current limit")


@pytest.mark.parametrize(
    ("inverter", "ratings"),
    [
        (Inverter(max_discharge_w=7e3, max_charge_w=6e3), RATINGS),
        (Inverter(), rated(inverter_max_discharge_w=7e3, inverter_max_charge_w=6e3)),
    ],
)
def test_the_lower_of_the_inverters_rating_and_the_sites_limit_binds(inverter: Inverter, ratings: Ratings) -> None:
    found = limits(inverter=inverter, ratings=ratings)
    assert (found.lo_w, found.hi_w) == (-7e3, 6e3)
    assert (found.lo_source, found.hi_source) == ("inverter rating", "inverter rating")


@pytest.mark.parametrize(
    ("stage", "ratings"), [(Stage(max_power_w=3e3), RATINGS), (Stage(), rated(max_discharge_w=3e3))]
)
def test_the_lower_of_stage_and_configured_power_binds(stage: Stage, ratings: Ratings) -> None:
    found = limits(stage=stage, ratings=ratings)
    assert (found.lo_w, found.lo_source) == (-3e3, "EVSE rating")


def test_losses_of_the_inverter_count_against_what_dc_limits_permit_of_discharge() -> None:
    # 10 kW from the vehicle are 9.5 kW at the AC terminals; 20 kW taken there are less at the vehicle.
    found = limits(ratings=rated(inverter_efficiency=0.95))
    assert (found.lo_w, found.hi_w) == (-9.5e3, 20e3)


def test_losses_do_not_count_against_the_inverters_own_rating() -> None:
    found = limits(ratings=rated(inverter_efficiency=0.95), inverter=Inverter(max_discharge_w=7e3))
    assert (found.lo_w, found.lo_source) == (-7e3, "inverter rating")


@pytest.mark.parametrize("efficiency", [0.0, -1.0, 1.5, nan])
def test_an_impossible_efficiency_permits_no_discharge(efficiency: float) -> None:
    assert limits(ratings=rated(inverter_efficiency=efficiency)).lo_w == 0.0


def test_a_discharge_limit_sent_negative_is_read_by_its_magnitude() -> None:
    assert limits(max_discharge_w=-5e3).lo_w == -5e3


def test_a_device_rating_of_the_wrong_sign_does_not_lift_the_configured_limit() -> None:
    found = limits(inverter=Inverter(max_discharge_w=-22e3), ratings=rated(inverter_max_discharge_w=7e3))
    assert found.lo_w == -7e3


@pytest.mark.parametrize("name", ["max_charge_w", "max_discharge_w", "max_charge_a"])
@pytest.mark.parametrize("value", [nan, inf])
def test_a_limit_that_is_no_number_means_zero(name: str, value: float) -> None:
    found = limits(**{name: value})  # type: ignore[arg-type]
    assert (found.lo_w, found.hi_w) == (0.0, 0.0)
    assert found.hi_source.endswith("unknown")


@pytest.mark.parametrize("name", ["present_voltage_v", "max_current_a", "max_power_w"])
def test_a_reading_of_the_stage_that_is_no_number_means_zero(name: str) -> None:
    found = limits(stage=dataclasses.replace(Stage(), **{name: nan}))
    assert (found.lo_w, found.hi_w) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["max_charge_w", "max_discharge_w"])
@pytest.mark.parametrize("site_w", [None, 20e3])
def test_an_inverter_rating_that_is_no_number_means_zero(name: str, site_w: float | None) -> None:
    inverter = dataclasses.replace(Inverter(), **{name: nan})
    found = limits(inverter=inverter, ratings=rated(inverter_max_charge_w=site_w, inverter_max_discharge_w=site_w))
    assert (found.lo_w, found.hi_w, found.lo_source) == (0.0, 0.0, "inverter rating unknown")


def test_an_inverter_without_its_own_reversion_is_charged_from_and_not_discharged_to() -> None:
    found = limits(inverter=Inverter(reversion_armed=False))
    assert (found.lo_w, found.hi_w, found.lo_source) == (0.0, 20e3, "reversion of the inverter not armed")
    assert shortfall_code(found.lo_source, Mode.DISCHARGE) == "NO_REVERSION"


def test_an_inverter_off_the_grid_gets_nothing() -> None:
    found = limits(inverter=Inverter(connected=False))
    assert (found.lo_w, found.hi_w, found.hi_source) == (0.0, 0.0, "inverter not connected")
    assert shortfall_code(found.lo_source, Mode.DISCHARGE) == "INVERTER_FAULT"


@pytest.mark.parametrize(
    ("soc_pct", "own_min_pct", "discharge", "floor"),
    [
        (30.1, None, True, ""),
        (30.0, None, False, "30 %"),
        (29.0, None, False, "30 %"),
        (45.0, 50.0, False, "50 % (the vehicle's own)"),
        (45.0, 20.0, True, ""),
        (45.0, -5.0, True, ""),
        (45.0, nan, False, "100 % (the vehicle's MinimumSOC of nan % cannot be)"),
        (45.0, 101.0, False, "100 % (the vehicle's MinimumSOC of 101 % cannot be)"),
    ],
)
def test_no_discharge_at_or_below_the_higher_minimum(
    soc_pct: float, own_min_pct: float | None, discharge: bool, floor: str
) -> None:
    found = limits(soc_pct=soc_pct, min_soc_pct=own_min_pct)
    assert found.lo_w == (-10e3 if discharge else 0.0)
    assert found.hi_w == 20e3
    if not discharge:
        assert found.lo_source == f"min-SoC {floor}"


@pytest.mark.parametrize("soc_pct", [60.0, None])
@pytest.mark.parametrize(("min_energy_wh", "discharge"), [(-20e3, True), (0.0, True), (50.0, False), (nan, False)])
def test_a_vehicle_that_must_first_be_charged_is_not_discharged(
    soc_pct: float | None, min_energy_wh: float, discharge: bool
) -> None:
    found = limits(soc_pct=soc_pct, min_energy_wh=min_energy_wh, min_v2x_energy_wh=-5e3, max_v2x_energy_wh=10e3)
    assert found.lo_w == (-10e3 if discharge else 0.0)
    assert discharge or found.lo_source.startswith("min-SoC: EVMinimumEnergyRequest")
    assert found.hi_w == 20e3


UNKNOWN = "min-SoC: state of charge unknown, and "


@pytest.mark.parametrize(
    ("least_wh", "most_wh", "without_soc", "with_soc"),
    [
        (-5e3, 10e3, "", ""),
        (-5e3, 0.0, "", ""),
        (None, None, UNKNOWN + "no V2X energy range", ""),
        (-5e3, None, UNKNOWN + "only one end", ""),
        (None, 5e3, UNKNOWN + "only one end", ""),
        (0.0, 10e3, "vehicle V2X range: EVMinimumV2X", "vehicle V2X range: EVMinimumV2X"),
        (2e3, 10e3, "vehicle V2X range: EVMinimumV2X", "vehicle V2X range: EVMinimumV2X"),
        (-5e3, -1.0, "vehicle V2X range: EVMaximumV2X", "vehicle V2X range: EVMaximumV2X"),
        (None, -1.0, UNKNOWN + "only one end", "vehicle V2X range: EVMaximumV2X"),
        (nan, 10e3, "vehicle V2X range: EVMinimumV2X", "vehicle V2X range: EVMinimumV2X"),
        (-5e3, nan, "vehicle V2X range: EVMaximumV2X", "vehicle V2X range: EVMaximumV2X"),
    ],
)
def test_discharge_only_within_the_v2x_range_and_without_soc_only_with_one(
    least_wh: float | None, most_wh: float | None, without_soc: str, with_soc: str
) -> None:
    for soc_pct, refusal in ((None, without_soc), (60.0, with_soc)):
        found = limits(soc_pct=soc_pct, min_v2x_energy_wh=least_wh, max_v2x_energy_wh=most_wh)
        assert found.lo_w == (0.0 if refusal else -10e3)
        assert found.lo_source.startswith(refusal or "vehicle current limit")
        assert found.hi_w == 20e3
        if refusal:
            assert shortfall_code(found.lo_source, Mode.DISCHARGE) in ("MIN_SOC", "VEHICLE_LIMIT")


def test_a_v2x_range_does_not_lift_the_floor() -> None:
    assert limits(soc_pct=30.0, min_v2x_energy_wh=-5e3, max_v2x_energy_wh=10e3).lo_source == "min-SoC 30 %"


def test_an_old_soc_is_no_soc() -> None:
    assert limits(soc_expires_at_s=NOW_S + 1.0).lo_w == -10e3
    old = limits(soc_expires_at_s=NOW_S)
    assert (old.lo_w, old.lo_source) == (0.0, "min-SoC: state of charge unknown, and no V2X energy range")
    assert limits(soc_expires_at_s=NOW_S, min_v2x_energy_wh=-1e3, max_v2x_energy_wh=0.0).lo_w == -10e3


def test_a_floor_of_the_moment_names_whose_it_is_and_replaces_that_of_the_ratings() -> None:
    wants = Wants(min_soc_pct=65.0, min_soc_from="EVSE US*V2G*E1")
    found = intersect(vehicle_bounds(RATINGS, VEHICLE, Stage(), Inverter(), 1.0, NOW_S, wants=wants), NOW_S)
    assert (found.lo_w, found.lo_source) == (0.0, "min-SoC 65 % (EVSE US*V2G*E1)")
    lower = dataclasses.replace(VEHICLE, soc_pct=20.0)
    wants = Wants(min_soc_pct=10.0)
    assert intersect(vehicle_bounds(RATINGS, lower, Stage(), Inverter(), 1.0, NOW_S, wants=wants), NOW_S).lo_w == -10e3


def test_what_went_out_since_the_soc_was_told_counts_against_the_floor() -> None:
    # 1 % of 60 kWh are 600 Wh; 10 Wh at the meter and 6.1 Wh until a stop takes effect are 17.9 Wh of the battery.
    near = {"soc_pct": 31.0, "capacity_wh": 60e3}
    assert limits(**near, discharged_since_soc_wh=10.0).lo_w == -10e3
    # 540 Wh at the meter are 600 Wh of the battery.
    out = limits(**near, discharged_since_soc_wh=535.0)
    assert (out.lo_w, out.lo_source) == (0.0, "min-SoC 30 %: what has been discharged since 31 % was told reaches it")
    assert shortfall_code(out.lo_source, Mode.DISCHARGE) == "MIN_SOC"


def test_without_a_meter_the_rated_power_is_taken_for_what_went_out() -> None:
    # Told 50 s ago, 11 kW since: 153 Wh, of a pack of 10 kWh more than 1 %.
    small = {"soc_pct": 31.0, "capacity_wh": 10e3}
    assert limits(**small, soc_expires_at_s=NOW_S + 60.0).lo_w == -10e3
    assert limits(**small, soc_expires_at_s=NOW_S + 10.0).lo_w == 0.0
    assert limits(**small, soc_expires_at_s=NOW_S + 10.0, discharged_since_soc_wh=0.0).lo_w == -10e3


def test_a_soc_that_is_not_believed_stops_discharge_and_says_why() -> None:
    found = limits(soc_doubt="it jumped", min_v2x_energy_wh=-5e3, max_v2x_energy_wh=5e3)  # type: ignore[arg-type]
    assert (found.lo_w, found.hi_w, found.lo_source) == (0.0, 20e3, "SoC implausible: it jumped")
    assert shortfall_code(found.lo_source, Mode.DISCHARGE) == "SOC_IMPLAUSIBLE"


def test_held_at_its_floor_it_resumes_one_percent_above() -> None:
    found = limits(soc_pct=31.0, held_at_floor=True)
    assert (found.lo_w, found.lo_source) == (0.0, "min-SoC 30 %: discharge resumes above 31 %")
    assert limits(soc_pct=None, held_at_floor=True, min_v2x_energy_wh=-5.0, max_v2x_energy_wh=5.0).lo_w == 0.0


@pytest.mark.parametrize(
    ("soc_pct", "target", "hi_w", "source"),
    [
        (79.0, {}, 20e3, "vehicle power limit"),
        (80.0, {}, 0.0, "max-SoC 80 %"),
        (85.0, {"target_soc_pct": 90.0}, 20e3, "vehicle power limit"),
        (90.0, {"target_soc_pct": 90.0}, 0.0, "max-SoC 90 %"),
        (80.0, {"target_soc_pct": 50.0}, 0.0, "max-SoC 80 %"),
        (85.0, {"target_energy_wh": 1e3}, 20e3, "vehicle power limit"),
        (85.0, {"target_energy_wh": 0.0}, 0.0, "max-SoC 80 %"),
        (85.0, {"target_soc_pct": 150.0}, 0.0, "max-SoC 80 %"),
        (85.0, {"min_soc_pct": nan}, 0.0, "max-SoC 80 %"),
        (100.0, {"target_energy_wh": 1e3}, 0.0, "vehicle full"),
        (None, {}, 20e3, "vehicle power limit"),
    ],
)
def test_no_charge_above_max_soc_unless_the_vehicle_itself_wants_more(
    soc_pct: float | None, target: dict[str, float], hi_w: float, source: str
) -> None:
    vehicle = dataclasses.replace(VEHICLE, soc_pct=soc_pct, **target)  # type: ignore[arg-type]
    wants = Wants(min_soc_pct=30.0, max_soc_pct=80.0)
    found = intersect(vehicle_bounds(RATINGS, vehicle, Stage(), Inverter(), 1.0, NOW_S, wants=wants), NOW_S)
    assert (found.hi_w, found.hi_source) == (hi_w, source)
    if source.startswith("max-SoC"):
        assert shortfall_code(found.hi_source, Mode.CHARGE) == "MAX_SOC"


@pytest.mark.parametrize("soc_pct", [-1.0, 101.0, nan])
def test_an_impossible_soc_stops_discharge_whatever_the_energy_request_says(soc_pct: float) -> None:
    found = limits(soc_pct=soc_pct, min_energy_wh=-20e3)
    assert found.lo_w == 0.0
    assert found.lo_source.startswith("min-SoC: a state of charge of")


@pytest.mark.parametrize("change", [{"soc_pct": 100.0}, {"max_energy_wh": 0.0}, {"max_energy_wh": -5.0}])
def test_a_full_vehicle_takes_no_charge_and_may_discharge(change: dict[str, float]) -> None:
    found = limits(**change)  # type: ignore[arg-type]
    assert (found.lo_w, found.hi_w, found.hi_source) == (-10e3, 0.0, "vehicle full")


def test_bounds_expire_with_the_data_they_rest_on() -> None:
    def at(now_s: float, stage_s: float = NOW_S, inverter_s: float = NOW_S) -> Intersection:
        bounds = vehicle_bounds(RATINGS, VEHICLE, Stage(as_of_s=stage_s), Inverter(as_of_s=inverter_s), 1.0, NOW_S)
        return intersect(bounds, now_s)

    assert at(NOW_S + 0.9).lo_w == -10e3
    assert at(NOW_S + 1.0, stage_s=NOW_S + 0.5).lo_source == "inverter rating expired"
    assert at(NOW_S + 1.0, inverter_s=NOW_S + 0.5).lo_source == "vehicle current limit expired"
    assert at(NOW_S + 2.0, NOW_S + 2.0, NOW_S + 2.0).lo_source == "vehicle power limit expired"
