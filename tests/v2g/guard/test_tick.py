from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from support.tick_site import Site, protection
from v2g.clock import ManualClock
from v2g.grid.settings import SettingsError
from v2g.guard.status import Permit
from v2g.guard.status_block import StatusReader, StatusWriter
from v2g.guard.tick import PERIOD_S, run
from v2g.guard.tick_commands import CommandSocket, TickCommand
from v2g.hardware.breaker import MmapBreakerDevice, MmapBreakerOutput
from v2g.hardware.waveform import CHANNELS, WaveformReader, WaveformWriter
from v2g.host.notify import Notifier

NORMAL = {"d": 3.0, "v": [1.0, 1.0, 1.0], "f": 60.0, "r": None}
IN_SERVICE_S = 2.0


def then(duration_s: float, v: list[float] | None = None, f: float = 60.0, **more: object) -> dict[str, object]:
    return {"d": duration_s, "v": v or [1.0, 1.0, 1.0], "f": f, "r": None, **more}


def test_it_starts_open_and_closes_only_after_the_enter_service_delay(make_site) -> None:
    site = make_site([NORMAL], delay_s=1.0)
    assert site.run_until(0.03).permit is Permit.STARTING
    first = next(s for s in iter(lambda: site.run_until(site.now_s - 1000.0 + PERIOD_S + 1e-6), None) if s.measured)
    assert first.permit is Permit.ENTER_SERVICE_DELAY
    assert first.enter_service_remaining_s == pytest.approx(1.0)
    waiting = site.run_until(0.9)
    assert waiting.permit is Permit.ENTER_SERVICE_DELAY
    assert not waiting.breaker_commanded_closed
    site.run_until(3.0)
    permits = [permit for permit, _ in itertools.groupby(status.permit for status in site.statuses)]
    assert permits == [Permit.STARTING, Permit.ENTER_SERVICE_DELAY, Permit.BREAKER_OPEN, Permit.GRANTED]
    closed = next(s for s in site.statuses if s.breaker_commanded_closed)
    assert closed.as_of_s - first.as_of_s == pytest.approx(1.0, abs=PERIOD_S)


@pytest.mark.parametrize(("v", "f"), [([1.0, 1.06, 1.0], 60.0), ([0.91, 1.0, 1.0], 60.0), ([1.0] * 3, 60.12)])
def test_outside_the_window_it_neither_closes_nor_trips(make_site, v: list[float], f: float) -> None:
    site = make_site([then(3.0, v, f)])
    status = site.run_until(3.0)
    assert status.permit is Permit.OUT_OF_WINDOW
    assert not any(s.breaker_commanded_closed for s in site.statuses)
    assert status.trip_element == ""


def test_the_measured_figures_are_those_of_the_waveform(make_site) -> None:
    site = make_site([then(3.0, [1.01, 1.0, 0.99], 60.05)])
    status = site.run_until(3.0)
    assert status.v_pu == pytest.approx((1.01, 1.0, 0.99), rel=1e-3)
    assert status.frequency_hz == pytest.approx(60.05, abs=1e-3)
    assert status.transformer_w == pytest.approx(3 * 277 * 100, rel=1e-3)
    assert status.transformer_va == pytest.approx(3 * 277 * 100, rel=1e-3)
    assert status.feeder_w == pytest.approx(-3 * 277 * 30, rel=1e-3)
    assert abs(status.feeder_var) < 10


@pytest.mark.parametrize("sample_rate_hz", [3200, 3840, 7777, 20000])
def test_a_step_to_62_5_hz_opens_the_contact_within_160_ms_wherever_the_step_falls(
    make_site, sample_rate_hz: int
) -> None:
    for offset_s in (0.0, 0.0017, 0.0049, 0.0071, 0.0099):
        step_s = IN_SERVICE_S + offset_s
        site = make_site([then(step_s), then(1.0, f=62.5)], sample_rate_hz=sample_rate_hz)
        status = site.run_until(step_s + 0.5)
        assert status.trip_element == "OF2"
        opened_s = site.opened_after_s(step_s)
        assert opened_s is not None
        assert 0.08 < opened_s <= 0.16
        site.latch_path.unlink()


def test_a_trip_says_what_when_and_how_much(make_site) -> None:
    site = make_site([NORMAL, then(1.0, [1.0, 1.3, 1.0])])
    status = site.run_until(4.0)
    assert status.permit is Permit.TRIPPED
    assert status.trip_element == "OV2"
    assert status.trip_value == pytest.approx(1.3, rel=1e-3)
    assert status.trip_at_s == pytest.approx(1003.0, abs=0.12)
    level, _, fields = next(event for event in site.events if event[1] == "TRIP")
    assert level == "error"
    assert (fields["element"], fields["phase"], fields["limit"], fields["unit"]) == ("OV2", "b", 1.2, "pu")


def test_the_status_of_the_tripping_tick_already_says_tripped(make_site) -> None:
    site = make_site([NORMAL, then(1.0, f=63.0)])
    site.run_until(4.0)
    first_open = next(s for s in site.statuses if s.as_of_s > 1002.5 and not s.breaker_commanded_closed)
    assert first_open.permit is Permit.TRIPPED


def test_a_60_degree_jump_of_one_phase_does_not_move_the_frequency(make_site) -> None:
    site = make_site([then(IN_SERVICE_S), then(1.0, ph=[0, 60, 0]), then(1.0, ph=[-60, 0, 0])])
    status = site.run_until(4.0)
    assert status.permit is Permit.GRANTED
    around = [s.frequency_hz for s in site.statuses if s.as_of_s > 1000.0 + IN_SERVICE_S - 0.1]
    assert max(abs((f or 0.0) - 60.0) for f in around) < 0.01


def test_a_dead_grid_has_no_frequency_and_trips_by_undervoltage(make_site) -> None:
    site = make_site([NORMAL, then(3.0, [0.0, 0.0, 0.0])])
    site.run_until(3.2)
    status = site.run_until(6.0)
    assert status.trip_element == "UV2"
    assert all(s.frequency_hz is None for s in site.statuses if s.as_of_s > 1003.1)


def test_a_frozen_buffer_opens_the_breaker_without_latching_and_enters_service_again(make_site) -> None:
    site = make_site([then(8.0)])
    site.run_until(IN_SERVICE_S)
    site.waveform.frozen_at_s = 1000.0 + IN_SERVICE_S
    site.run_until(IN_SERVICE_S + 0.2)
    opened_s = site.opened_after_s(IN_SERVICE_S)
    assert opened_s is not None
    assert opened_s - 0.05 <= 0.03 + 0.005 + 2 * PERIOD_S
    status = site.statuses[-1]
    assert status.permit is Permit.WAVEFORM_STALE
    assert not status.measured
    assert status.trip_element == ""
    site.waveform.frozen_at_s = math.inf
    assert site.run_until(IN_SERVICE_S + 0.5).permit is Permit.ENTER_SERVICE_DELAY
    assert site.run_until(IN_SERVICE_S + 1.5).permit is Permit.GRANTED
    assert [code for code in site.codes if "WAVEFORM" in code] == ["WAVEFORM_STALE", "WAVEFORM_BACK"]


def test_a_site_may_allow_older_samples(make_site) -> None:
    site = make_site([then(8.0)], waveform_max_age_s=0.15)
    site.run_until(IN_SERVICE_S)
    site.waveform.frozen_at_s = 1000.0 + IN_SERVICE_S
    assert site.run_until(IN_SERVICE_S + 0.14).permit is Permit.GRANTED
    assert site.run_until(IN_SERVICE_S + 0.19).permit is Permit.WAVEFORM_STALE


def test_a_live_clock_over_a_frozen_index_is_stale(make_site) -> None:
    site = make_site([then(IN_SERVICE_S)])
    site.run_until(IN_SERVICE_S)
    assert site.run_until(IN_SERVICE_S + 0.2).permit is Permit.WAVEFORM_STALE


def test_a_vanished_buffer_is_stale_and_one_that_never_was_is_said_after_two_seconds(make_site) -> None:
    site = make_site([then(4.0)])
    site.waveform.missing = True
    assert site.run_until(1.0).permit is Permit.STARTING
    assert site.run_until(2.5).permit is Permit.WAVEFORM_STALE
    site.waveform.missing = False
    assert site.run_until(3.9).permit is Permit.GRANTED


@pytest.mark.parametrize("bad", [math.nan, 200.0])
def test_a_phase_without_samples_or_with_a_stuck_converter_is_no_measurement(make_site, bad: float) -> None:
    site = make_site([then(4.0)])
    site.waveform.samples[int(IN_SERVICE_S * 3840) :, 1] = bad
    status = site.run_until(IN_SERVICE_S + 0.2)
    assert status.permit is Permit.WAVEFORM_STALE
    assert site.breaker.opened_at_s


def test_a_healthy_voltage_without_a_frequency_is_no_measurement(make_site) -> None:
    site = make_site([then(4.0)])
    noise = np.random.default_rng(1).normal(0, 277.0, (len(site.waveform.samples), 3))
    start = int(IN_SERVICE_S * 3840)
    site.waveform.samples[start:, 0:3] = noise[start:] * 0.9
    site.run_until(IN_SERVICE_S + 1.0)
    assert site.breaker.opened_at_s
    assert all(s.frequency_hz is None for s in site.statuses if s.as_of_s > 1000.1 + IN_SERVICE_S)


def test_a_trip_survives_a_restart_and_a_healthy_grid(make_site) -> None:
    site = make_site([NORMAL, then(0.5, f=63.0), then(6.0)])
    site.run_until(3.5)
    value = site.statuses[-1].trip_value
    site.start()
    status = site.run_until(8.0)
    assert status.permit is Permit.TRIPPED
    assert (status.trip_element, status.trip_value) == ("OF2", value)
    assert status.trip_at_s == pytest.approx(1003.08, abs=0.05)


def test_reset_is_refused_outside_the_window_and_accepted_inside(make_site) -> None:
    site = make_site([NORMAL, then(1.0, f=63.0), then(5.0)])
    site.run_until(3.9)
    site.commands.append(TickCommand(command="reset_trip", by="anna"))
    assert site.run_until(3.95).permit is Permit.TRIPPED
    assert not site.replies[-1].accepted
    assert "enter-service window" in site.replies[-1].message
    site.run_until(4.3)
    site.commands.append(TickCommand(command="reset_trip", by="anna"))
    site.run_until(4.32)
    assert site.replies[-1].accepted
    assert not site.latch_path.exists()
    assert ("TRIP_RESET", "anna") in [(code, fields.get("by")) for _, code, fields in site.events]
    assert site.run_until(6.0).permit is Permit.GRANTED


def test_reset_is_refused_while_nothing_is_measured(make_site) -> None:
    site = make_site([NORMAL, then(0.5, f=63.0), then(5.0)])
    site.run_until(5.0)
    site.waveform.missing = True
    site.run_until(5.1)
    site.commands.append(TickCommand(command="reset_trip", by="anna"))
    assert site.run_until(5.2).permit is Permit.TRIPPED
    assert not site.replies[-1].accepted


def test_a_trip_that_cannot_be_kept_still_trips_and_says_so(make_site, tmp_path) -> None:
    site = make_site([NORMAL, then(1.0, f=63.0)])
    site.latch.store._path = tmp_path / "absent" / "latch.json"
    assert site.run_until(4.0).permit is Permit.TRIPPED
    assert "TRIP_NOT_KEPT" in site.codes


def test_the_output_is_refreshed_every_tick(make_site) -> None:
    site = make_site([NORMAL])
    site.run_until(3.0)
    assert site.breaker.holds == len(site.statuses)


def test_a_breaker_that_does_not_open_is_told_once_and_gives_no_permit(make_site) -> None:
    site = make_site([NORMAL, then(2.0, f=63.0)])
    site.run_until(3.0)
    site.breaker.stuck = True
    failed = next(s for s in iter(lambda: site.run_until(site.elapsed_s + PERIOD_S + 1e-6), None) if s.permit > 10)
    assert failed.as_of_s - failed.trip_at_s == pytest.approx(0.05 + 0.1, abs=0.03)
    status = site.run_until(5.0)
    assert status.permit is Permit.BREAKER_FAILED
    assert status.trip_element == "OF2"
    assert site.codes.count("BREAKER_FAILED_TO_OPEN") == 1


def test_no_permit_while_the_feedback_does_not_say_closed(make_site) -> None:
    site = make_site([NORMAL])
    site.breaker.closing_s = math.inf
    assert site.run_until(3.0).permit is Permit.BREAKER_OPEN


def test_a_writer_that_returns_with_another_rate_is_followed(make_site) -> None:
    site = make_site([then(6.0)])
    site.run_until(IN_SERVICE_S)
    other = make_site([then(6.0)], sample_rate_hz=8000).waveform
    site.waveform.samples, site.waveform.sample_rate_hz = other.samples, 8000
    site.waveform.generation += 1
    status = site.run_until(4.0)
    assert status.permit is Permit.GRANTED
    assert status.frequency_hz == pytest.approx(60.0, abs=1e-3)


def test_a_sample_rate_outside_the_range_is_no_measurement(make_site) -> None:
    site = make_site([NORMAL], sample_rate_hz=1000)
    assert site.run_until(3.0).permit is Permit.WAVEFORM_STALE
    assert "WAVEFORM_STALE" in site.codes


def test_a_breaker_too_slow_for_the_clearing_time_is_refused(make_site) -> None:
    site = make_site([NORMAL])
    with pytest.raises(SettingsError, match=r"breaker.opening_time_s 0.1: OF2 .* must open within 0.055 s"):
        site.make_tick(site.settings(protection=protection(opening_time_s=0.1), allow_slow=True))


class StallingClock(ManualClock):
    """Wakes late when told to."""

    def __init__(self) -> None:
        super().__init__(monotonic_s=1000.0)
        self.stalls_s: dict[int, float] = {}
        self.deadlines_s: list[float] = []

    def sleep_until(self, deadline_s: float) -> None:
        self.deadlines_s.append(deadline_s)
        super().sleep_until(deadline_s)
        self.advance(self.stalls_s.get(len(self.deadlines_s), 0.0))


def test_the_loop_keeps_absolute_deadlines_skips_missed_ones_and_opens_at_the_end(make_site) -> None:
    site = make_site([NORMAL])
    clock = StallingClock()
    clock.stalls_s = {5: 0.003, 10: 0.042}

    def stop() -> bool:
        site.waveform.now_s = clock.monotonic_s() + PERIOD_S
        return len(clock.deadlines_s) >= 250

    fed: list[int] = []
    run(site.tick, clock, Notifier({}), stop, lambda: fed.append(len(clock.deadlines_s)))
    assert fed == list(range(1, len(clock.deadlines_s) + 1))
    gaps = np.diff(clock.deadlines_s)
    assert gaps[:9] == pytest.approx(0.01)
    assert gaps[9] == pytest.approx(0.05)
    assert gaps[10:] == pytest.approx(0.01)
    assert site.tick.lateness.late_ticks == 1
    assert site.tick.lateness.worst_s == pytest.approx(0.042)
    assert site.statuses[-2].permit is Permit.GRANTED
    assert site.statuses[-1].permit is Permit.BREAKER_OPEN
    assert not site.breaker.held


def test_an_error_in_a_step_opens_the_breaker_before_the_process_ends(make_site) -> None:
    site = make_site([NORMAL])
    site.run_until(IN_SERVICE_S)
    assert site.breaker.held

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    site.tick._judge = broken
    with pytest.raises(RuntimeError):
        run(site.tick, ManualClock(site.now_s), Notifier({}), lambda: False)
    assert not site.breaker.held


def test_through_the_real_files_a_frequency_step_opens_the_breaker(tmp_path, make_site) -> None:
    samples = make_site([then(1.5), then(0.5, f=62.5)]).waveform.samples
    scales = {name: (1.0 if name.startswith("i") else 0.01) for name in CHANNELS}
    writer = WaveformWriter.create(tmp_path / "waveform", 3840, scales)
    device = MmapBreakerDevice(tmp_path / "breaker")
    status = StatusWriter(tmp_path / "guard-status")
    commands = CommandSocket(tmp_path / "tick.sock")
    site = make_site([then(0.1)], delay_s=0.3)
    site.make_ports = lambda: replace(
        Site.make_ports(site),
        open_waveform=lambda: WaveformReader(tmp_path / "waveform"),
        breaker=MmapBreakerOutput(tmp_path / "breaker"),
        status=status,
        commands=commands,
    )
    tick = site.make_tick(site.settings())
    reader = StatusReader(tmp_path / "guard-status")
    written, commanded_open_s, permits = 0, None, []
    for batch in range(400):
        now_s = 1000.0 + (batch + 1) * 0.005
        end = round((batch + 1) * 0.005 * 3840)
        writer.write(samples[written:end], now_s)
        written = end
        device.report(device.commanded(now_s), now_s)
        if batch % 2:
            tick.step(now_s + 0.002)
            permits.append(reader.read(now_s + 0.002).permit)
            if now_s > 1001.5 and commanded_open_s is None and not device.commanded(now_s + 0.002):
                commanded_open_s = now_s + 0.002 - 1001.5
    assert commanded_open_s is not None
    assert commanded_open_s <= 0.16 - 0.05
    kept = json.loads((tmp_path / "trip-latch.json").read_text())
    assert kept["element"] == "OF2"
    assert kept["frequency_hz"] == pytest.approx(62.5, abs=0.05)
    assert kept["profile"] == "ieee1547-III"
    assert [permit for permit, _ in itertools.groupby(permits)] == [
        Permit.STARTING,
        Permit.ENTER_SERVICE_DELAY,
        Permit.BREAKER_OPEN,
        Permit.GRANTED,
        Permit.TRIPPED,
    ]
    commands.close()
    status.close()
