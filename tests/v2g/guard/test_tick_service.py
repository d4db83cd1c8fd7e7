"""The guard leaves service when the breaker may have opened by itself, and says when the load is not measured."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from v2g.clock import SystemClock
from v2g.grid.settings import SettingsError
from v2g.guard.status import Permit
from v2g.guard.tick import PERIOD_S

IN_SERVICE_S = 2.0
RATE_HZ = 3840


def steady(duration_s: float, f: float = 60.0) -> dict[str, object]:
    return {"d": duration_s, "v": [1.0, 1.0, 1.0], "f": f, "r": None}


def stall(site, seconds: float) -> None:
    site.now_s += seconds


@pytest.mark.parametrize("stalled_s", [0.3, 0.6, 1.0])
def test_after_a_stall_the_breaker_stays_open_until_enter_service_is_passed_again(make_site, stalled_s: float) -> None:
    site = make_site([steady(8.0)], delay_s=1.0)
    assert site.run_until(IN_SERVICE_S).permit is Permit.GRANTED
    stall(site, stalled_s)
    resumed = site.run_until(IN_SERVICE_S + stalled_s + PERIOD_S + 1e-6)
    assert not resumed.breaker_commanded_closed
    assert resumed.permit is Permit.ENTER_SERVICE_DELAY
    assert not site.run_until(IN_SERVICE_S + stalled_s + 0.9).breaker_commanded_closed
    assert site.run_until(IN_SERVICE_S + stalled_s + 1.3).permit is Permit.GRANTED
    assert site.codes.count("GUARD_STALLED") == 1


def test_a_stall_before_the_delay_is_over_starts_the_delay_again(make_site) -> None:
    site = make_site([steady(8.0)], delay_s=1.0)
    site.run_until(0.9)
    stall(site, 0.5)
    assert not site.run_until(2.3).breaker_commanded_closed
    assert site.run_until(2.7).breaker_commanded_closed


def test_with_an_enter_service_delay_of_zero_a_stall_still_opens_the_breaker_once(make_site) -> None:
    site = make_site([steady(8.0)], delay_s=0.0)
    site.run_until(IN_SERVICE_S)
    stall(site, 0.6)
    assert not site.run_until(IN_SERVICE_S + 0.6 + PERIOD_S + 1e-6).breaker_commanded_closed


def test_a_late_tick_keeps_service(make_site) -> None:
    site = make_site([steady(8.0)])
    site.run_until(IN_SERVICE_S)
    stall(site, 0.2)
    assert site.run_until(IN_SERVICE_S + 0.3).permit is Permit.GRANTED


def test_a_measurement_that_stands_still_does_not_close_the_breaker_again(make_site) -> None:
    site = make_site([steady(8.0)])
    site.run_until(IN_SERVICE_S)
    site.tick._ports = replace(site.tick._ports, monotonic_s=lambda: site.now_s + 0.55)
    assert not site.run_until(IN_SERVICE_S + PERIOD_S + 1e-6).breaker_commanded_closed
    assert not site.breaker.held


def test_a_suspended_host_enters_service_again(make_site) -> None:
    site = make_site([steady(8.0)], delay_s=1.0)
    asleep = [5.0]
    site.tick._ports = replace(site.tick._ports, suspended_s=lambda: asleep[0])
    site.tick._suspended_s = asleep[0]
    assert site.run_until(IN_SERVICE_S).permit is Permit.GRANTED
    asleep[0] = 65.0
    assert site.run_until(IN_SERVICE_S + 0.02).permit is Permit.ENTER_SERVICE_DELAY
    assert not site.run_until(IN_SERVICE_S + 0.9).breaker_commanded_closed


def test_a_breaker_that_opens_by_itself_is_latched_and_stays_open(make_site) -> None:
    site = make_site([steady(8.0)])
    site.run_until(IN_SERVICE_S)
    site.breaker.says = False
    opened = site.run_until(IN_SERVICE_S + 0.15)
    assert opened.permit is Permit.TRIPPED
    assert opened.trip_element == "BREAKER_OPENED"
    assert not site.breaker.held
    site.breaker.says = "truth"
    assert not site.run_until(IN_SERVICE_S + 4.0).breaker_commanded_closed
    told = next(text for text in site.told if "TRIP" in text)
    assert "opened by a relay, a person or its own protection; find out why, then reset" in told
    assert site.command("reset_trip").accepted
    assert site.run_until(IN_SERVICE_S + 5.0).permit is Permit.GRANTED


@pytest.mark.parametrize("stalled_s", [0.3, 0.55, 0.9])
def test_a_breaker_that_opened_because_the_guard_stood_still_is_not_latched(make_site, stalled_s: float) -> None:
    site = make_site([steady(8.0)], delay_s=0.5)
    site.run_until(IN_SERVICE_S)
    stall(site, stalled_s)
    site.breaker.says = False
    site.run_until(site.elapsed_s + 0.3)
    site.breaker.says = "truth"
    assert site.run_until(IN_SERVICE_S + 2.5).permit is Permit.GRANTED
    assert site.latch.trip is None


def test_a_breaker_whose_position_is_lost_enters_service_anew_without_a_latch(make_site) -> None:
    site = make_site([steady(8.0)], delay_s=1.0)
    site.run_until(IN_SERVICE_S)
    site.breaker.says = None
    opened = site.run_until(IN_SERVICE_S + 0.15)
    assert not opened.breaker_commanded_closed
    assert not site.breaker.held
    site.breaker.says = "truth"
    assert not site.run_until(IN_SERVICE_S + 1.0).breaker_commanded_closed
    assert site.run_until(IN_SERVICE_S + 1.5).permit is Permit.GRANTED
    assert site.codes.count("BREAKER_OPENED_BY_ITSELF") == 1
    assert site.latch.trip is None


def test_a_bounce_of_the_feedback_keeps_service(make_site) -> None:
    site = make_site([steady(8.0)])
    site.run_until(IN_SERVICE_S)
    site.breaker.says = False
    assert site.run_until(IN_SERVICE_S + 0.05).permit is Permit.BREAKER_OPEN
    site.breaker.says = "truth"
    assert site.run_until(IN_SERVICE_S + 0.1).permit is Permit.GRANTED


@pytest.mark.parametrize("dead", [0.0, 141.0])
@pytest.mark.parametrize("channels", [slice(3, 6), slice(4, 5)])
def test_transformer_currents_that_never_move_beside_a_live_bus_are_no_load(make_site, dead, channels) -> None:
    site = make_site([steady(8.0)])
    assert site.run_until(IN_SERVICE_S).load_measured
    site.waveform.samples[int(IN_SERVICE_S * RATE_HZ) :, channels] = dead
    assert site.run_until(IN_SERVICE_S + 0.9).load_measured
    status = site.run_until(IN_SERVICE_S + 1.2)
    assert not status.load_measured
    assert status.measured
    assert status.permit is Permit.GRANTED
    assert "CURRENTS_DEAD" in site.codes


def test_currents_dead_from_the_start_are_never_a_load(make_site) -> None:
    site = make_site([steady(3.0)])
    site.waveform.samples[:, 3:6] = 0.0
    site.run_until(3.0)
    assert any(status.measured for status in site.statuses)
    assert not any(status.load_measured for status in site.statuses)


def test_an_unloaded_transformer_with_one_count_of_noise_is_measured_and_dead_currents_can_return(make_site) -> None:
    site = make_site([steady(8.0)])
    samples = site.waveform.samples
    samples[:, 3:6] = np.random.default_rng(2).integers(0, 2, (len(samples), 3)) * 0.01
    samples[2 * RATE_HZ : 4 * RATE_HZ, 3:6] = 0.0
    assert site.run_until(IN_SERVICE_S).load_measured
    assert not site.run_until(3.9).load_measured
    assert site.run_until(4.2).load_measured
    assert "CURRENTS_BACK" in site.codes


def test_no_measurement_is_no_load(make_site) -> None:
    site = make_site([steady(4.0)])
    site.run_until(IN_SERVICE_S)
    site.waveform.frozen_at_s = site.now_s
    assert not site.run_until(IN_SERVICE_S + 0.2).load_measured


@pytest.mark.parametrize("batch_s", [0.005, 0.02, 0.03, 0.039])
@pytest.mark.parametrize(("v", "f", "element"), [(1.21, 60.0, "OV2"), (1.0, 62.05, "OF2"), (1.0, 56.4, "UF2")])
def test_late_batches_do_not_lengthen_the_clearing_time(make_site, batch_s: float, v, f, element: str) -> None:
    for offset_s in np.arange(0.0, batch_s, 0.0067):
        event_s = IN_SERVICE_S + float(offset_s)
        site = make_site([steady(event_s), {"d": 1.0, "v": [v] * 3, "f": f, "r": None}], waveform_max_age_s=0.04)
        site.waveform.batch_s = batch_s
        assert site.run_until(event_s + 0.4).trip_element == element
        opened_s = site.opened_after_s(event_s)
        assert opened_s is not None
        assert opened_s <= 0.16
        site.latch_path.unlink()


@pytest.mark.parametrize(("f", "element"), [(84.0, "OF2"), (90.0, "OF2"), (100.0, "OF2"), (36.0, "UF2"), (25.0, "UF2")])
def test_a_frequency_far_outside_trips_in_time_and_latches(make_site, f: float, element: str) -> None:
    for offset_s in (0.0, 0.004, 0.008, 0.012):
        event_s = IN_SERVICE_S + offset_s
        site = make_site([steady(event_s), steady(1.0, f)])
        assert site.run_until(event_s + 0.5).trip_element == element
        opened_s = site.opened_after_s(event_s)
        assert opened_s is not None
        assert opened_s <= 0.16
        site.latch_path.unlink()


def test_a_live_voltage_without_any_frequency_opens_within_the_strictest_clearing_time(make_site) -> None:
    site = make_site([steady(IN_SERVICE_S), steady(1.0, 180.0)])
    site.run_until(IN_SERVICE_S + 0.5)
    opened_s = site.opened_after_s(IN_SERVICE_S)
    assert opened_s is not None
    assert opened_s <= 0.16


def test_samples_are_as_old_as_they_say_not_as_when_they_were_read(make_site) -> None:
    site = make_site([steady(8.0)])
    site.waveform.batch_s = 0.02
    site.run_until(IN_SERVICE_S)
    site.waveform.frozen_at_s = 1000.0 + IN_SERVICE_S
    site.run_until(IN_SERVICE_S + 0.2)
    stale = next(status for status in site.statuses if status.as_of_s > 1001.9 and not status.measured)
    assert stale.as_of_s - (1000.0 + IN_SERVICE_S) <= 0.03 + PERIOD_S + 1e-6


def test_samples_that_may_be_too_old_are_refused_unless_allowed_by_name(make_site) -> None:
    site = make_site([steady(1.0)])
    changed = site.settings(waveform_max_age_s=0.05)
    with pytest.raises(SettingsError, match=r"waveform.max_age_s 0.05: .* older than 0.040 s .*allow_slow: true"):
        site.make_tick(changed)
    site.make_tick(site.settings(waveform_max_age_s=0.05, allow_slow=True))
    site.make_tick(site.settings(waveform_max_age_s=0.04))


def test_the_system_clock_tells_a_suspension_that_does_not_run_backwards() -> None:
    clock = SystemClock()
    first, second = clock.suspended_s(), clock.suspended_s()
    assert math.isfinite(first)
    assert abs(second - first) < 0.25
