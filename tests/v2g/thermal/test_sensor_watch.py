"""One sensor judged: range, units, jumps, stuck, lost, and how it is believed again."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.thermal.sensed import TOP_OIL_NATURE
from v2g.thermal.sensor_watch import Health, SensorNature, SensorReport, SensorWatch

OIL = TOP_OIL_NATURE
AIR = SensorNature(
    name="ambient",
    low_c=-60.0,
    high_c=90.0,
    fastest_k_s=0.001,
    noise_k=15.0,
    stuck_after_k=None,
    believed_again_s=600.0,
)


class Watched:
    def __init__(self, nature: SensorNature = OIL) -> None:
        self.watch = SensorWatch(nature)
        self.now = 0.0

    def see(
        self, read_c: float | None, expected_c: float | None = 50.0, seconds: float = 10.0, wiggle: bool = True
    ) -> SensorReport:
        for n in range(max(1, round(seconds / 10.0))):
            self.now += 10.0
            read = read_c if read_c is None or not wiggle else read_c + 0.1 * (n % 2)
            report = self.watch.judge(read, expected_c, self.now)
        return report


def test_a_plausible_reading_is_believed() -> None:
    report = Watched().see(50.0)
    assert (report.health, report.value, report.read, report.words) == (Health.OK, 50.0, 50.0, "")


def test_never_seen_and_lost_are_told_apart() -> None:
    sensor = Watched()
    assert sensor.see(None).health is Health.NEVER_SEEN
    sensor.see(50.0)
    lost = sensor.see(None)
    assert (lost.health, lost.value, lost.read, lost.since_s) == (Health.LOST, None, None, 30.0)
    assert sensor.see(None).since_s == 30.0
    assert sensor.see(49.0).health is Health.OK


@pytest.mark.parametrize("read_c", [nan, inf, -inf, -400.0, 151.0, -51.0])
def test_what_cannot_be_is_implausible(read_c: float) -> None:
    sensor = Watched()
    sensor.see(50.0)
    report = sensor.see(read_c)
    assert (report.health, report.value) == (Health.IMPLAUSIBLE, None)
    assert "check" in report.words
    assert "kelvin" not in report.words
    assert sensor.see(50.0).health is Health.OK


@pytest.mark.parametrize("read_c", [330.0, 273.15, 298.0])
def test_kelvin_is_named_with_its_remedy(read_c: float) -> None:
    report = Watched().see(read_c, wiggle=False)
    assert f"{read_c - 273.15:.1f} °C if it is in kelvin" in report.words
    assert "-273.15" in report.words


@pytest.mark.parametrize("by_k", [40.0, -40.0, 20.0, -20.0])
def test_a_jump_is_not_believed_and_its_return_is_at_once(by_k: float) -> None:
    sensor = Watched()
    sensor.see(50.0, seconds=100.0)
    report = sensor.see(50.0 + by_k)
    assert (report.health, report.value) == (Health.JUMPED, None)
    assert sensor.see(50.0 + by_k, seconds=60.0).health is Health.JUMPED
    assert sensor.see(51.0).value == 51.0


def test_a_jump_that_stays_where_physics_allows_is_the_new_truth() -> None:
    sensor = Watched()
    sensor.see(50.0, seconds=100.0)
    assert sensor.see(70.0, seconds=590.0).health is Health.JUMPED
    assert sensor.see(70.0, seconds=30.0).value == pytest.approx(70.0, abs=0.2)


def test_a_jump_that_physics_contradicts_is_never_believed() -> None:
    for read_c in (95.0, 5.0):
        sensor = Watched()
        sensor.see(50.0, seconds=100.0)
        assert sensor.see(read_c, seconds=500.0).value is None
    assert sensor.see(5.0, seconds=86_400.0).value is None


def test_a_jump_that_jumps_on_starts_its_time_again() -> None:
    sensor = Watched()
    sensor.see(50.0, seconds=100.0)
    sensor.see(70.0, seconds=400.0)
    sensor.see(31.0, seconds=400.0)
    assert sensor.see(70.0, seconds=400.0).health is Health.JUMPED
    assert sensor.see(70.0, seconds=300.0).health is Health.OK


def test_oil_that_warms_as_fast_as_oil_can_is_believed() -> None:
    sensor = Watched()
    for n in range(300):
        assert sensor.see(40.0 + 0.15 * n, 40.0 + 0.15 * n).health is Health.OK


def test_far_below_the_model_is_implausible_with_a_dead_band() -> None:
    sensor = Watched()
    sensor.see(50.0, 70.0)
    report = sensor.see(44.0, 70.0)
    assert (report.health, report.value) == (Health.IMPLAUSIBLE, None)
    assert "44.0 °C, 70.0 °C is expected" in report.words
    assert sensor.see(46.0, 70.0).value is None
    assert sensor.see(49.0, 70.0).value == 49.0


def test_the_same_value_while_the_model_moves_is_stuck() -> None:
    sensor = Watched()
    for n in range(100):
        report = sensor.see(50.0, 50.0 + 0.1 * n, wiggle=False)
    assert (report.health, report.value) == (Health.STUCK, None)
    assert "does not move" in report.words


def test_the_same_value_while_nothing_moves_or_nothing_is_expected_is_no_sign() -> None:
    still = Watched()
    assert still.see(50.0, 52.0, seconds=86_400.0, wiggle=False).health is Health.OK
    unknown = Watched()
    assert unknown.see(50.0, None, seconds=3600.0, wiggle=False).health is Health.OK
    air = Watched(AIR)
    for n in range(100):
        assert air.see(20.0, 20.0 + 0.2 * n, wiggle=False).health is Health.OK


def test_what_the_inputs_drive_decides_where_it_is_given() -> None:
    settling, driven = Watched(), Watched()
    for n in range(100):
        now = 10.0 * n
        assert settling.watch.judge(50.0, 50.0 - 0.1 * n, now, 47.0).health is Health.OK
        report = driven.watch.judge(50.0, 50.0, now, 50.0 + 0.1 * n)
    assert report.health is Health.STUCK


def test_a_stuck_sensor_that_moves_again_is_believed_after_a_while_only() -> None:
    sensor = Watched()
    for n in range(100):
        sensor.see(50.0, 50.0 + 0.1 * n, wiggle=False)
    assert sensor.see(58.0, 60.0).health is Health.JUMPED
    assert sensor.see(58.0, 60.0, seconds=560.0).health is Health.JUMPED
    assert sensor.see(58.0, 60.0, seconds=60.0).health is Health.OK


def test_after_a_long_loss_it_may_have_moved_far() -> None:
    sensor = Watched()
    sensor.see(50.0)
    sensor.see(None, seconds=3600.0)
    assert sensor.see(95.0, 90.0).health is Health.OK


def test_an_unchanged_report_is_the_same_object() -> None:
    sensor = Watched()
    assert sensor.see(50.0, wiggle=False) is sensor.see(50.0, wiggle=False)


@given(
    steps=st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.floats(-100.0, 300.0)), st.floats(0.0, 1e6)
        ),
        max_size=40,
    ),
    nature=st.sampled_from([OIL, AIR]),
)
def test_whatever_is_believed_is_within_range_and_as_read(
    steps: list[tuple[float | None, float | None, float]], nature: SensorNature
) -> None:
    watch, now = SensorWatch(nature), 0.0
    for read_c, expected_c, dt in steps:
        now += dt
        report = watch.judge(read_c, expected_c, now)
        assert (report.value is not None) == (report.health is Health.OK)
        assert (report.words == "") == (report.health is Health.OK)
        if report.value is not None:
            assert report.value == read_c
            assert nature.low_c <= report.value <= nature.high_c


@pytest.mark.parametrize(("resolution_k", "stuck_k"), [(0.1, 1.5), (1.0, 4.0), (2.0, 5.0)])
def test_a_sensor_of_fine_steps_is_found_stuck_sooner(resolution_k: float, stuck_k: float) -> None:
    watch = SensorWatch(OIL)
    for n in range(4):
        assert watch.judge(60.0 + n * resolution_k, 60.0, 10.0 * n, 60.0).health is Health.OK
    frozen_c = 60.0 + 3.0 * resolution_k
    for n in range(60):
        driven_c = 60.0 + 0.1 * n
        got = watch.judge(frozen_c, 62.0, 100.0 + 10.0 * n, driven_c).health
        assert (got is Health.STUCK) is (driven_c - 60.0 > stuck_k + 1e-9), driven_c
