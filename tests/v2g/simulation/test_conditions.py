"""Conditions of the plant: how it starts, courses over compressed time, harmonics of the base load."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid.metering import Metering
from v2g.hardware.waveform import CHANNELS
from v2g.simulation import faults
from v2g.simulation.course import Course
from v2g.simulation.faults import FaultError, find_scenario, load_scenario, parse_fault
from v2g.simulation.plant import build_site
from v2g.simulation.plant_config import Conditions, PlantConfig
from v2g.simulation.site import Site
from v2g.simulation.thermal_plant import TransformerPlant
from v2g.simulation.waveforms import SAMPLE_RATE_HZ, Recorder

RATED_VA = 250_000.0
DT_S = 0.005
MINUTES = st.floats(-1e4, 1e4)


def site_at(**conditions: float) -> Site:
    return build_site(
        PlantConfig(run_dir="", evses=(), transducers_port=1, rated_va=RATED_VA, conditions=Conditions(**conditions))
    )


def run(site: Site, seconds: float, dt_s: float = DT_S) -> None:
    for step in range(1, round(seconds / dt_s) + 1):
        site.step(50.0 + step * dt_s, dt_s)


# ---- course ---------------------------------------------------------------------------------------------------------


def test_a_course_is_straight_between_its_points_and_stays_beyond_them() -> None:
    course = Course([(0, 100.0), (10, 200.0), (30, 100.0)])
    assert [course.at(minute) for minute in (-5, 0, 5, 10, 20, 30, 99)] == [100, 100, 150, 200, 150, 100, 100]


@given(st.lists(st.tuples(MINUTES, st.floats(-1e6, 1e6)), min_size=1, max_size=8, unique_by=lambda p: p[0]), MINUTES)
def test_a_course_never_leaves_its_points(points: list[tuple[float, float]], minute: float) -> None:
    course = Course(sorted(points))
    low, high = min(course.values), max(course.values)
    assert low - 1e-6 <= course.at(minute) <= high + 1e-6
    assert all(course.at(at) == pytest.approx(value) for at, value in points)


@pytest.mark.parametrize("points", [[], [(0, 1), (0, 2)], [(5, 1), (3, 2)], [(0, math.nan)], [(math.inf, 1)]])
def test_a_course_that_cannot_be_followed_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="profile"):
        Course(points)


# ---- start and speed ------------------------------------------------------------------------------------------------


def test_without_a_top_oil_the_plant_starts_where_base_load_and_ambient_lead() -> None:
    site = site_at(base_load_w=200_000.0, power_factor=0.8, ambient_c=10.0)
    assert site.transformer_va() == pytest.approx(RATED_VA, rel=0.001)
    settled = TransformerPlant(ambient_c=10.0, load_pu=1.0)
    assert site.transformer.top_oil_c == pytest.approx(settled.top_oil_c)


def test_a_hot_start_heats_the_oil_and_leaves_the_winding_s_rise() -> None:
    usual, hot = site_at(), site_at(top_oil_c=108.0)
    assert hot.transformer.top_oil_c == 108.0
    assert hot.transformer.hot_spot_c - 108.0 == pytest.approx(
        usual.transformer.hot_spot_c - usual.transformer.top_oil_c
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("power_factor", 0.0), ("thermal_speed", 0.5), ("thermal_speed", 1e9), ("ambient_c", 90.0), ("top_oil_c", 373.0)],
)
def test_conditions_that_no_plant_has_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        Conditions(**{field: value})
    with pytest.raises(msgspec.ValidationError, match="outside"):
        msgspec.convert({field: value}, Conditions)


def test_a_minute_at_speed_sixty_is_an_hour_of_temperatures() -> None:
    quick, slow = site_at(thermal_speed=60.0, top_oil_c=90.0), site_at(top_oil_c=90.0)
    run(quick, 10.0)
    run(slow, 600.0, dt_s=0.3)
    assert quick.thermal_time_s == pytest.approx(600.0)
    assert quick.transformer.top_oil_c == pytest.approx(slow.transformer.top_oil_c, abs=1e-6)
    assert quick.transformer.hot_spot_c == pytest.approx(slow.transformer.hot_spot_c, abs=1e-6)
    assert quick.base_load_now_w() == pytest.approx(slow.base_load_now_w())


def test_the_base_load_swings_a_little_and_not_at_all_where_there_is_none() -> None:
    for base_load_w, most_w in ((80_000.0, 1_500.0), (10_000.0, 200.0), (0.0, 0.0)):
        site, seen = site_at(base_load_w=base_load_w, thermal_speed=60.0), []
        for _ in range(8):
            run(site, 1.0)
            seen.append(site.base_load_now_w() - base_load_w)
        assert max(map(abs, seen)) == pytest.approx(most_w, rel=0.05)


# ---- set and profile ------------------------------------------------------------------------------------------------


def test_a_profile_is_followed_in_thermal_time_until_something_else_is_set() -> None:
    site = site_at(thermal_speed=60.0)
    run(site, 1.0)
    site.follow_base_load(Course([(0, 100_000.0), (2, 200_000.0)]))
    site.follow_ambient(Course([(0, 20.0), (4, 40.0)]))
    run(site, 1.0)
    assert site.base_load_w == pytest.approx(150_000.0, rel=0.01)
    assert site.transformer.ambient_c == pytest.approx(25.0, abs=1.1)
    run(site, 4.0)
    assert site.base_load_w == 200_000.0
    assert site.transformer.ambient_c == pytest.approx(40.0, abs=1.1)
    site.set_base_load(70_000.0)
    site.set_ambient(5.0)
    run(site, 1.0)
    assert site.base_load_w == 70_000.0
    assert site.transformer.ambient_c == pytest.approx(5.0, abs=1.1)


def test_customers_that_feed_in_send_power_upstream() -> None:
    site = site_at(base_load_w=-50_000.0)
    active_w, reactive_var = site.transformer_flow()
    assert active_w == pytest.approx(-50_000.0)
    assert reactive_var == pytest.approx(16_434.0, rel=0.001)


@pytest.mark.parametrize("points", [[(0.0, -300_000.0)], [(0.0, 0.0), (1.0, 2e6)]])
def test_a_base_load_that_is_no_base_load_is_refused(points: list[tuple[float, float]]) -> None:
    site = site_at()
    with pytest.raises(ValueError, match="base_load_w"):
        site.follow_base_load(Course(points))
    assert site.base_load_w == 80_000.0


def test_the_evening_is_built_in_and_a_name_that_is_nothing_is_refused(tmp_path: Path) -> None:
    (step,) = load_scenario(find_scenario("evening"))
    assert isinstance(step.fault, faults.Profile)
    loads_pu = [power_w / 0.95 / RATED_VA for _, power_w in step.fault.base_load_w or ()]
    assert loads_pu[0] == pytest.approx(0.4, abs=0.01)
    assert max(loads_pu) > 1.0
    assert loads_pu[-1] < 0.5
    own = tmp_path / "mine.yaml"
    own.touch()
    assert find_scenario(str(own)) == own
    with pytest.raises(FaultError, match=r"'morning'.*evening"):
        find_scenario("morning")


def test_a_profile_is_read_as_it_is_written() -> None:
    fault = parse_fault({"fault": "profile", "ambient_c": [[0, 20], [60, 30.5]]})
    assert fault == faults.Profile(ambient_c=[(0, 20), (60, 30.5)])
    with pytest.raises(FaultError, match=r"ambient_c"):
        parse_fault({"fault": "profile", "ambient_c": [[0, 20, 5]]})


# ---- harmonics ------------------------------------------------------------------------------------------------------


def transformer_harmonics_a(site: Site) -> list[float]:
    """Phase a, by the estimator that ``v2g-guard quality`` runs; index 0 is the fundamental."""
    recorder, records = Recorder(site), []
    meter = Metering(SAMPLE_RATE_HZ, 60.0, 277.0, 80.0)
    for block in range(6):
        rows = recorder.record(640, 50.0 + block / 6.0, 50.0 + (block + 1) / 6.0)
        rows = rows[:, : len(CHANNELS)]
        records += meter.feed(block * 640, 50.0 + (block + 1) / 6.0, rows[:, 0:3], rows[:, 3:6], rows[:, 6:9])
    return [phase[0] for phase in records[-1].transformer_harmonics_a]


def test_harmonics_of_the_base_load_are_seen_by_the_quality_estimator() -> None:
    site = site_at(base_load_w=190_000.0)
    clean = transformer_harmonics_a(site)
    site.base_harmonics.update({5: 0.20, 7: 0.08})
    dirty = transformer_harmonics_a(site)
    fundamental_a = 200_000.0 / 3.0 / 277.0
    assert dirty[0] == pytest.approx(fundamental_a, rel=0.01)
    assert dirty[4] == pytest.approx(0.20 * fundamental_a, rel=0.02)
    assert dirty[6] == pytest.approx(0.08 * fundamental_a, rel=0.02)
    assert max(clean[1:]) < 0.5
    assert max(dirty[order - 1] for order in range(2, 20) if order not in (5, 7)) < 0.5


def test_harmonics_turn_as_their_order_does() -> None:
    site = site_at(base_load_w=190_000.0)
    site.base_harmonics[5] = 0.2
    samples = Recorder(site).record(640, 50.0, 50.0 + 1.0 / 6.0)[:, 3:6]
    fifth = np.angle(np.fft.rfft(samples, axis=0)[50])
    # Negative sequence: b is 120 degrees ahead of a.
    assert math.degrees((fifth[1] - fifth[0]) % (2 * math.pi)) == pytest.approx(120.0, abs=1.0)


def test_harmonics_heat_the_winding() -> None:
    site = site_at(base_load_w=190_000.0)
    clean_pu = site.thermal_load_pu()
    site.base_harmonics[5] = 0.2
    eddy = site.transformer.constants.eddy_share
    assert site.thermal_load_pu() == pytest.approx(clean_pu * math.sqrt(1 + 0.04 * (1 + 25 * eddy) / (1 + eddy)))
    site.grid.switch_mains(False, 60.0)
    assert site.thermal_load_pu() == 0.0


def test_a_dead_bus_has_no_harmonic_current() -> None:
    site = site_at(base_load_w=190_000.0)
    site.base_harmonics[5] = 0.2
    site.grid.set_voltage([0.0, 0.0, 0.0], 50.0)
    assert np.abs(Recorder(site).record(640, 50.0, 50.2)[:, 3:6]).max() < 2.0
