"""The sensor ladder: what is counted on with sensors present, wrong, contradictory and lost."""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf, nan, sin

import pytest

from support.thermal_following import PARAMS, SETTINGS, Follow, kept, oil
from v2g.thermal.estimator import Estimator
from v2g.thermal.kept import Kept
from v2g.thermal.model import steady_state, step
from v2g.thermal.sensed import AMBIENT, TOP_OIL, WINDING, Estimated, Sensed
from v2g.thermal.sensor_watch import Health

# Start


def test_starts_at_the_steady_state_of_load_and_ambient_without_power() -> None:
    got = Follow().run(5.0)
    assert got.state == steady_state(PARAMS, 0.32, 25.0)
    assert got.no_power == "top-oil was never measured"
    assert got.notes == (
        "top-oil was never measured: no V2G power; check the top-oil transducer and top_oil_c in sensor_map",
    )


def test_starts_at_the_measured_top_oil_with_no_margin() -> None:
    got = Follow().run(1.0, top_oil_c=60.0)
    assert got.state.theta_o_c == pytest.approx(60.0)
    assert (got.no_power, got.notes, got.margin_k, got.bias_k) == ("", (), 0.0, 0.0)


def test_waits_for_the_sensors_but_not_for_ever_and_not_without_load() -> None:
    estimator = Estimator(SETTINGS)
    nothing = Sensed(k_pu=None, ambient_c=25.0, top_oil_c=45.0)
    assert estimator.step(nothing, 0.0) is None
    assert estimator.step(nothing, 100.0) is None
    partial = Sensed(k_pu=0.5, ambient_c=None, top_oil_c=45.0)
    assert estimator.step(partial, 101.0) is None
    assert estimator.step(partial, 103.9) is None
    started = estimator.step(partial, 104.0)
    assert started is not None
    assert started.no_power == ""


def test_a_first_reading_far_colder_than_the_air_is_no_measured_top_oil() -> None:
    got = Follow().run(5.0, top_oil_c=-30.0)
    assert got.no_power == "top-oil was never measured"
    assert got.sensors[TOP_OIL].health is Health.IMPLAUSIBLE
    assert "colder than the air" in got.notes[0]


# The observer, and what it may not be talked into


def test_the_state_follows_the_measurement_within_minutes() -> None:
    follow = Follow()
    follow.run(1.0, top_oil_c=50.0)
    after = follow.run(300.0, top_oil_c=60.0).state.theta_o_c
    assert 54.5 < after < 57.5


def test_a_settled_error_of_the_nameplate_becomes_bias() -> None:
    follow = Follow()
    follow.hours(0.1, 0.8, oil(0.8))
    got = follow.hours(12.0, 0.8, oil(0.8) + 6.0)
    assert got.bias_k == pytest.approx(6.0, abs=0.3)
    assert got.state.theta_o_c == pytest.approx(oil(0.8) + 6.0, abs=0.1)


def test_a_reading_far_below_is_not_believed() -> None:
    follow = Follow()
    before = follow.run(1.0, top_oil_c=60.0).state.theta_o_c
    got = follow.run(60.0, top_oil_c=10.0)
    assert got.state.theta_o_c > before - 1.0
    assert "not used" in got.notes[0]
    assert got.sensors[TOP_OIL].value is None


def test_oil_far_above_counts_at_once_and_goes_at_once() -> None:
    follow = Follow()
    before = follow.run(1.0, top_oil_c=50.0).state.theta_o_c
    got = follow.run(1.0, top_oil_c=100.0)
    assert got.state.theta_o_c == pytest.approx(100.0)
    assert "check cooling" in got.notes[0]
    assert follow.run(1.0, top_oil_c=50.0).state.theta_o_c == pytest.approx(before, abs=0.1)


def test_oil_far_above_after_a_loss_is_taken_at_once() -> None:
    follow = Follow()
    follow.run(1.0, 0.5, top_oil_c=45.0)
    follow.hours(3.0, 0.5, None)
    got = follow.run(1.0, 0.5, top_oil_c=90.0)
    assert got.state.theta_o_c == pytest.approx(90.0)
    assert "check cooling" in got.notes[0]


def test_oil_hotter_than_the_load_explains_is_followed() -> None:
    follow = Follow()
    follow.hours(0.1, 0.8, oil(0.8))
    got = follow.hours(4.0, 0.8, oil(0.8) + 20.0)
    assert got.state.theta_o_c == pytest.approx(oil(0.8) + 20.0, abs=1.0)
    assert got.notes == ()


def test_a_frozen_top_oil_sensor_does_not_drag_the_state_down() -> None:
    follow = Follow()
    truth = steady_state(PARAMS, 0.45, 25.0)
    follow.hours(0.1, 0.45, truth.theta_o_c)
    got = follow.hours(12.0, 1.3, 45.0)
    truth = step(truth, PARAMS, 1.3, 25.0, 12 * 3600.0)
    assert got.state.theta_o_c == pytest.approx(truth.theta_o_c, abs=1.0)
    assert got.state.hot_spot_c == pytest.approx(truth.hot_spot_c, abs=1.0)
    assert got.sensors[TOP_OIL].health is Health.STUCK
    (note,) = (note for note in got.notes if "top-oil transducer" in note)
    assert "reads 45.0 °C" in note
    assert f"explain {got.state.theta_o_c:.1f} °C" in note
    assert "check the top-oil transducer" in note


def test_a_sensor_that_slides_low_is_contradicted_by_the_shadow() -> None:
    follow = Follow()
    truth = oil(0.9)
    follow.hours(0.1, 0.9, truth)
    read = truth
    for n in range(600):
        read -= 0.05
        got = follow.run(60.0, 0.9, round(read + 0.1 * (n % 2), 2), dt=60.0)
        assert got.state.theta_o_c > truth - 10.5
    assert got.state.theta_o_c == pytest.approx(truth, abs=0.5)
    assert got.bias_k >= 0.0


def test_a_sensor_a_little_below_is_believed_and_the_change_back_has_a_dead_band() -> None:
    follow = Follow()
    expected = oil(0.8)
    follow.hours(0.1, 0.8, expected)
    got = follow.hours(8.0, 0.8, expected - 8.0)
    assert got.state.theta_o_c == pytest.approx(expected - 8.0, abs=1.0)
    assert got.notes == ()
    assert follow.hours(1.0, 0.8, expected - 12.0).state.theta_o_c == pytest.approx(expected, abs=0.5)
    assert follow.hours(1.0, 0.8, expected - 8.0).state.theta_o_c == pytest.approx(expected, abs=0.5)
    assert follow.hours(1.0, 0.8, expected - 6.0).notes == ()


def test_hours_without_load_or_ambient_do_not_make_a_sound_sensor_look_wrong() -> None:
    follow = Follow()
    cold = oil(0.3, 0.0)
    follow.hours(0.1, 0.3, cold, 0.0)
    follow.hours(6.0, None, cold, 0.0)
    assert follow.hours(0.1, 0.3, cold, 0.0).notes == ()
    follow.hours(6.0, 0.3, cold, None)
    assert follow.hours(0.1, 0.3, cold, 0.0).notes == ()


# Drift


def _days(follow: Follow, days: float, drift_k_per_day: float) -> Estimated:
    """A day's load and ambient again and again; the sensor, in steps of 1 K, drifts."""
    truth = steady_state(PARAMS, 0.6, 20.0)
    for n in range(round(days * 144)):
        k, ambient_c = 0.6 + 0.3 * sin(n / 72.0 * 3.1416), 20.0 + 5.0 * sin(n / 72.0 * 3.1416 - 1.0)
        truth = step(truth, PARAMS, k, ambient_c, 600.0)
        got = follow.run(600.0, k, round(truth.theta_o_c + drift_k_per_day * n / 144.0), ambient_c, dt=600.0)
        assert got.state.theta_o_c > truth.theta_o_c - 10.6
    return got


def test_a_sensor_that_drifts_low_is_dropped_and_said_so() -> None:
    follow = Follow()
    got = _days(follow, 9.0, -1.0)
    report = got.sensors[TOP_OIL]
    assert (report.health, report.value) == (Health.DRIFTING, None)
    assert "not used" in report.words
    assert got.margin_k > 3.0
    assert got.notes == (report.words,)
    assert got.no_power == ""


def test_a_sensor_that_drifts_high_counts_and_is_said_so() -> None:
    got = _days(Follow(), 9.0, 1.5)
    report = got.sensors[TOP_OIL]
    assert report.health is Health.DRIFTING
    assert report.value == report.read
    assert report.value is not None
    assert got.state.theta_o_c >= report.value
    assert "the hotter reading counts" in report.words


def test_a_sound_sensor_does_not_drift() -> None:
    got = _days(Follow(), 14.0, 0.0)
    assert got.sensors[TOP_OIL].health is Health.OK
    assert got.notes == ()


def test_a_settled_error_of_the_nameplate_is_told_after_days() -> None:
    got = Follow(config=replace(SETTINGS, params=replace(PARAMS, dtheta_or_k=45.0)))
    last = _days(got, 5.0, 0.0)
    assert last.sensors[TOP_OIL].health is Health.OK
    assert "v2g-tool thermal calibrate" in last.notes[0]


# Lost sensors


def test_lost_top_oil_is_bridged_with_the_last_bias_and_a_margin_that_widens_and_shrinks_again() -> None:
    follow = Follow()
    truth = oil(0.8) + 6.0
    follow.hours(12.0, 0.8, truth)
    got = follow.hours(3.0, 0.8, None)
    assert got.no_power == ""
    assert got.notes == ("no top-oil temperature: the thermal model runs on load and ambient alone",)
    assert got.state.theta_o_c == pytest.approx(truth, abs=0.3)
    assert got.margin_k == pytest.approx(6.0, abs=0.1)
    assert follow.hours(20.0, 0.8, None).margin_k == SETTINGS.margin_limit_k
    assert 3.0 < follow.run(300.0, 0.8, truth).margin_k < 8.0
    assert follow.hours(1.0, 0.8, truth).margin_k == 0.0


def test_lost_load_means_no_power_and_a_state_that_warms() -> None:
    follow = Follow()
    before = follow.run(10.0, 0.3, 45.0)
    got = follow.run(60.0, None, None)
    assert (got.no_power, got.k_pu) == ("transformer load unknown", 1.0)
    assert got.state.hot_spot_c > before.state.hot_spot_c + 1.0
    assert follow.run(1.0, 0.3, None).no_power == ""
    assert follow.run(1.0, 1.4, None).k_pu == 1.4
    assert follow.run(1.0, None, None).k_pu == 1.4


# Winding


def test_a_winding_sensor_teaches_the_gradient() -> None:
    follow = Follow()
    truth = steady_state(replace(PARAMS, dtheta_hr_k=29.0), 0.9, 25.0)
    got = follow.run(48 * 3600.0, 0.9, truth.theta_o_c, winding_c=truth.hot_spot_c, dt=60.0)
    assert got.params.dtheta_hr_k == pytest.approx(29.0, abs=0.5)
    assert got.state.hot_spot_c == pytest.approx(truth.hot_spot_c, abs=0.2)


def test_a_winding_sensor_far_below_does_not_cool_the_hot_spot() -> None:
    follow = Follow()
    truth = steady_state(PARAMS, 1.2, 25.0)
    follow.run(600.0, 1.2, truth.theta_o_c, winding_c=truth.hot_spot_c)
    read = truth.hot_spot_c
    for n in range(400):
        read = max(read - 0.1, truth.theta_o_c)
        got = follow.run(60.0, 1.2, truth.theta_o_c, winding_c=read + 0.01 * (n % 2), dt=60.0)
        assert got.state.hot_spot_c > truth.hot_spot_c - 10.5
    assert got.state.hot_spot_c > truth.hot_spot_c - 7.5
    assert any("winding transducer" in note for note in got.notes)


def test_a_winding_jump_up_counts() -> None:
    follow = Follow()
    truth = steady_state(PARAMS, 0.8, 25.0)
    follow.run(60.0, 0.8, truth.theta_o_c, winding_c=truth.hot_spot_c)
    got = follow.run(1.0, 0.8, truth.theta_o_c, winding_c=truth.hot_spot_c + 40.0)
    assert got.state.hot_spot_c == pytest.approx(truth.hot_spot_c + 40.0)
    assert got.sensors[WINDING].health is Health.JUMPED


# Time and units


def test_time_that_does_not_advance_gives_the_last_result() -> None:
    follow = Follow()
    got = follow.run(5.0, 0.5, 45.0)
    hot = Sensed(k_pu=3.0, ambient_c=25.0, top_oil_c=45.0)
    for now in (follow.now, follow.now - 50.0, nan, -inf, inf):
        assert follow.estimator.step(hot, now) is got


def test_a_machine_that_slept_counts_the_higher_load_and_says_so() -> None:
    follow = Follow()
    follow.run(5.0, 1.2, oil(0.5))
    got = follow.run(3 * 3600.0, 0.2, None, dt=3 * 3600.0)
    expected = step(steady_state(PARAMS, 0.5, 25.0), PARAMS, 1.2, 25.0, 3 * 3600.0)
    assert got.state.theta_o_c == pytest.approx(expected.theta_o_c, abs=0.5)
    assert got.margin_k == pytest.approx(6.0, abs=0.1)
    assert "made no step for 3.0 h" in got.notes[0]


def test_steps_of_ten_milliseconds_and_of_an_hour_agree() -> None:
    fast, slow = Follow(), Follow()
    for follow in (fast, slow):
        follow.run(1.0, 0.9, 60.0)
    a = fast.run(100.0, 0.9, 62.0, dt=0.01)
    b = slow.run(100.0, 0.9, 62.0, dt=100.0)
    assert a.state.theta_o_c == pytest.approx(b.state.theta_o_c, abs=0.1)
    hourly = slow.run(3600.0, 0.9, 62.0, dt=3600.0)
    assert hourly.state.theta_o_c == pytest.approx(62.0, abs=0.5)


@pytest.mark.parametrize("kelvin", [298.0, 330.0])
def test_kelvin_is_recognised(kelvin: float) -> None:
    follow = Follow()
    follow.run(5.0, 0.5, 45.0)
    got = follow.run(5.0, 0.5, kelvin, kelvin)
    assert [got.sensors[name].health for name in (TOP_OIL, AMBIENT)] == [Health.IMPLAUSIBLE] * 2
    assert sum("kelvin" in note for note in got.notes) == 2
    assert got.state.theta_o_c < 50.0


@pytest.mark.parametrize("k", [nan, inf, 250.0])
def test_a_load_that_cannot_be_is_unknown(k: float) -> None:
    follow = Follow()
    follow.run(5.0, 0.5, 45.0)
    got = follow.run(1.0, k, 45.0)
    assert got.no_power == "transformer load unknown"
    assert "load" in got.notes[0]


def test_notes_are_stable_but_for_figures() -> None:
    follow = Follow()
    follow.run(60.0, 0.5, 45.0)
    seen = set()
    for n in range(200):
        got = follow.run(10.0, 0.5 + 0.001 * n, 350.0 + n / 10.0, None, dt=10.0)
        seen.add(tuple(re.sub(r"[-+]?[\d.]+", "#", note) for note in got.notes))
    assert len(seen) == 1


def test_cold_oil_under_a_load_that_has_just_risen_is_believed_after_a_restart() -> None:
    """The steady state of the load is 30 K above it, as in every evening: that makes no sensor a broken one."""
    was = kept(theta_o_c=58.2, h1_k=20.0, bias_k=0.0, gradient_factor=1.0, k_pu=0.95, ambient_c=33.0)
    follow = Follow(was, unix_s=1e9 + 120.0)
    estimated = follow.run(2.0, k=0.95, top_oil_c=58.7, ambient_c=33.0)
    assert oil(0.95, 33.0) > 58.7 + 25.0
    assert estimated.state.theta_o_c == pytest.approx(58.7, abs=1.5)
    assert estimated.sensors[TOP_OIL].health is Health.OK
    assert estimated.no_power == ""
    assert estimated.notes == ()


def test_a_first_reading_that_comes_late_decides_as_well() -> None:
    follow = Follow(kept(theta_o_c=58.2, bias_k=0.0, k_pu=0.95, ambient_c=33.0), unix_s=1e9 + 120.0)
    unread = follow.run(5.0, k=0.95, ambient_c=33.0)
    assert unread.state.theta_o_c > 80.0, "until then the safer of the two counts"
    read = follow.run(2.0, k=0.95, top_oil_c=58.7, ambient_c=33.0)
    assert read.state.theta_o_c == pytest.approx(58.7, abs=1.5)


def test_a_reading_far_below_what_was_kept_decides_nothing() -> None:
    follow = Follow(kept(theta_o_c=70.0, bias_k=0.0, k_pu=0.95, ambient_c=33.0), unix_s=1e9 + 120.0)
    estimated = follow.run(5.0, k=0.95, top_oil_c=50.0, ambient_c=33.0)
    assert estimated.state.theta_o_c > 80.0
    assert estimated.sensors[TOP_OIL].health is Health.IMPLAUSIBLE


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("was", [None, kept(theta_o_c=40.0, bias_k=0.0, k_pu=0.3)])
def test_a_winding_sensor_is_not_stuck_because_the_oil_was_found_elsewhere(was: Kept | None, late: bool) -> None:
    """The start is the steady state of the load, until the first top-oil reading says that the oil is 20 K colder."""
    follow = Follow(was, unix_s=1e9)
    if late:
        follow.run(5.0, k=0.6, winding_c=50.0)
    for _ in range(20):
        estimated = follow.run(1.0, k=0.6, top_oil_c=40.0, winding_c=50.0)
        assert estimated.sensors[WINDING].health is Health.OK, estimated.sensors[WINDING].words


def test_a_winding_sensor_that_stays_while_the_load_moves_the_winding_is_stuck() -> None:
    follow = Follow()
    follow.run(600.0, k=0.3, top_oil_c=40.0, winding_c=43.0)
    estimated = follow.run(1_800.0, k=1.0, top_oil_c=40.0, winding_c=43.0)
    assert estimated.sensors[WINDING].health is Health.STUCK
