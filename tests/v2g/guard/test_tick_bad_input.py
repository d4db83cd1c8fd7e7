"""What a buffer, a clock or a contact may do wrong, and that the breaker is open in the end."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from support.tick_site import START_S, protection
from v2g.guard.status import Permit
from v2g.guard.tick import PERIOD_S
from v2g.hardware.contact import ContactReader
from v2g.hardware.waveform import CHANNELS, WaveformError, WaveformReader, WaveformWriter

IN_SERVICE_S = 2.0
RATE_HZ = 3840


def steady(duration_s: float, f: float = 60.0, v: list[float] | None = None, **more: object) -> dict[str, object]:
    return {"d": duration_s, "v": v or [1.0, 1.0, 1.0], "f": f, "r": None, **more}


@pytest.fixture
def site(make_site):
    site = make_site([steady(20.0)])
    assert site.run_until(IN_SERVICE_S).permit is Permit.GRANTED
    return site


def commanded_open_after_s(site, moment_s: float) -> float:
    first = next(s for s in site.statuses if s.as_of_s > START_S + moment_s and not s.breaker_commanded_closed)
    return first.as_of_s - START_S - moment_s


class TestWriter:
    def test_one_that_is_gone_opens_the_breaker_at_the_next_tick(self, site) -> None:
        died_s = site.elapsed_s
        site.waveform.writer_gone = True
        status = site.run_until(died_s + PERIOD_S + 1e-6)
        assert not status.breaker_commanded_closed
        assert not status.measured
        assert commanded_open_after_s(site, died_s) <= 0.020
        site.run_until(died_s + 1.0)
        assert any("its writer has ended" in text for text in site.told)
        site.waveform.writer_gone = False
        assert site.run_until(died_s + 3.0).permit is Permit.GRANTED
        assert site.latch.trip is None

    def test_one_that_stands_still_opens_it_by_its_heartbeat(self, site) -> None:
        site.waveform.frozen_at_s = site.now_s
        stood_s = site.elapsed_s
        site.run_until(stood_s + 0.2)
        assert commanded_open_after_s(site, stood_s) <= 0.03 + 2 * PERIOD_S
        assert any("the writer has stopped" in text for text in site.told)

    def test_samples_that_were_lost_are_no_measurement_until_a_whole_window_is_there(self, site) -> None:
        site.waveform.lost = 400
        site.run_until(IN_SERVICE_S + 0.1)
        assert site.breaker.opened_at_s
        assert any("the sequence jumps" in text or "a gap" in text for text in site.told)
        assert site.run_until(5.0).permit is Permit.GRANTED

    def test_two_at_once_are_said_and_nothing_is_believed(self, site) -> None:
        for tick in range(60):
            site.waveform.lost = 5000 * (tick % 2)
            site.run_until(site.elapsed_s + PERIOD_S + 1e-6)
        assert not any(status.measured for status in site.statuses[-20:])
        assert site.breaker.opened_at_s
        assert any("two writers on one buffer" in text for text in site.told)

    def test_a_heartbeat_in_the_future_is_not_believed(self, site) -> None:
        site.waveform.ahead_s = 3600.0
        assert site.run_until(IN_SERVICE_S + 0.2).permit is Permit.WAVEFORM_STALE
        assert any("clock: the newest samples are 3" in text and "in the future" in text for text in site.told)

    def test_a_rate_two_percent_off_is_not_believed_after_ten_seconds(self, make_site) -> None:
        site = make_site([steady(20.0)], sample_rate_hz=RATE_HZ)
        site.waveform.sample_rate_hz = round(RATE_HZ / 1.02)
        latest = site.waveform.latest

        def at_true_rate(n: int):
            window = latest(n)
            index = round((window.as_of_s - START_S) * RATE_HZ)
            return window._replace(samples=site.waveform.samples[index - n : index], last_index=index)

        site.waveform.latest = at_true_rate
        assert site.run_until(9.0).measured
        assert not site.run_until(13.0).measured
        assert any("clock: 38" in text and "the buffer says 3765" in text for text in site.told)


class TestSamples:
    def test_a_voltage_at_the_converters_full_scale_is_no_measurement(self, site) -> None:
        site.waveform.full_scale[0:3] = 392.0
        site.waveform.generation += 1
        assert site.run_until(IN_SERVICE_S + 0.5).permit is not Permit.WAVEFORM_STALE
        from_row = int(2.5 * RATE_HZ)
        volts = site.waveform.samples[from_row:, 0]
        np.clip(volts * 1.05, -392.0, 392.0, out=volts)
        assert site.run_until(3.0).permit is Permit.WAVEFORM_STALE
        assert any("samples are clipped" in text for text in site.told)

    @pytest.mark.parametrize("channel", ["v_bus_a", "i_v2g_b", "v_inv_c"])
    def test_one_missing_sample_a_cycle_is_no_measurement(self, site, channel: str) -> None:
        site.waveform.samples[int(IN_SERVICE_S * RATE_HZ) :: 64, CHANNELS.index(channel)] = math.nan
        assert site.run_until(IN_SERVICE_S + 0.2).permit is Permit.WAVEFORM_STALE
        assert any("missing (not finite)" in text for text in site.told)

    def test_noise_after_a_blackout_is_no_frequency_and_no_reason_to_close(self, make_site) -> None:
        site = make_site([steady(IN_SERVICE_S), steady(8.0, v=[0.0, 0.0, 0.0])])
        dark = int(IN_SERVICE_S * RATE_HZ)
        noise = np.random.default_rng(5).normal(0.0, 30.0, (len(site.waveform.samples) - dark, 3))
        wander = 30.0 * np.sin(2 * np.pi * np.cumsum(np.linspace(47.0, 40.0, len(noise))) / RATE_HZ)
        site.waveform.samples[dark:, 0:3] = noise + wander[:, None]
        status = site.run_until(9.0)
        after = [s for s in site.statuses if s.as_of_s > START_S + IN_SERVICE_S + 0.06]
        assert all(s.frequency_hz is None for s in after)
        assert not any(s.breaker_commanded_closed for s in after if s.as_of_s > START_S + 5.0)
        assert status.trip_element == "UV2"


class TestBufferFiles:
    """Through the real file."""

    def tick_on(self, make_site, path):
        site = make_site([steady(1.0)])
        ports = replace(site.make_ports(), open_waveform=lambda: WaveformReader(path))
        site.make_ports = lambda: ports
        site.tick = site.make_tick(site.settings())
        return site

    @pytest.mark.parametrize(
        ("at", "data", "said"),
        [
            (8, b"\x07", "it has version 7; version 2 is needed"),
            (16, b"\xe8\x03\0\0", "sample rate 1000 Hz: the guard needs 3200 to 20000 Hz"),
            (64 + 24, b"\0" * 8, "the scale of v_bus_a is 0"),
            (64 + 40, b"v_foo\0\0", "it has no channel v_bus_b"),
        ],
    )
    def test_a_wrong_one_is_named_and_the_breaker_stays_open(self, make_site, tmp_path, at, data, said) -> None:
        path = tmp_path / "waveform"
        writer = WaveformWriter.create(path, RATE_HZ, dict.fromkeys(CHANNELS, 0.01))
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)
        site = self.tick_on(make_site, path)
        samples = site.waveform.samples
        for tick in range(300):
            now_s = START_S + (tick + 1) * PERIOD_S
            rows = np.arange(tick * 38, tick * 38 + 38) % len(samples)
            writer.write(samples[rows], now_s)
            status = site.tick.step(now_s + 0.001)
        assert status.permit is Permit.WAVEFORM_STALE
        assert not any(s.breaker_commanded_closed for s in site.statuses)
        assert any(said in text for text in site.told)
        writer.close()

    def test_the_writer_that_ends_is_noticed_at_the_next_tick(self, make_site, tmp_path) -> None:
        path = tmp_path / "waveform"
        writer = WaveformWriter.create(path, RATE_HZ, dict.fromkeys(CHANNELS, 0.01))
        site = self.tick_on(make_site, path)
        samples = site.waveform.samples
        for tick in range(80):
            rows = np.arange(round(tick * 38.4), round((tick + 1) * 38.4)) % len(samples)
            writer.write(samples[rows], START_S + (tick + 1) * PERIOD_S)
            status = site.tick.step(START_S + (tick + 1) * PERIOD_S + 0.001)
        assert status.measured
        writer.close()
        assert not site.tick.step(START_S + 81 * PERIOD_S + 0.001).measured


class TestClocks:
    @pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
    def test_a_jump_of_the_wall_clock_changes_nothing_but_the_time_for_people(self, make_site, jump_s: float) -> None:
        def run(jumps: bool):
            site = make_site([steady(3.0), steady(2.0, f=62.5)])
            site.run_until(IN_SERVICE_S)
            site.unix_ahead_s = jump_s if jumps else 0.0
            site.run_until(4.0)
            kept = json.loads(site.latch_path.read_text())
            site.latch_path.unlink()
            return site.statuses, site.events, kept

        (statuses, events, kept), (jumped_statuses, jumped_events, jumped_kept) = run(False), run(True)
        assert statuses == jumped_statuses
        assert events == jumped_events
        assert jumped_kept.pop("unix_s") - kept.pop("unix_s") == pytest.approx(jump_s)
        assert jumped_kept == kept


class TestContacts:
    def test_lost_mains_trip_and_a_mains_input_that_cannot_be_read_counts_as_lost(self, site) -> None:
        site.mains.closed = None
        status = site.run_until(IN_SERVICE_S + 0.1)
        assert (status.trip_element, status.mains_present) == ("LOM", False)
        assert commanded_open_after_s(site, IN_SERVICE_S) < 0.05

    def test_without_a_mains_input_there_is_nothing_to_lose(self, make_site) -> None:
        site = make_site([steady(4.0)])
        site.tick = site.make_tick(site.settings(mains_input=None))
        status = site.run_until(3.0)
        assert (status.permit, status.mains_present) == (Permit.GRANTED, None)

    def test_a_relay_that_opens_is_said_and_the_breaker_follows_without_a_latch(self, site) -> None:
        site.relay.closed = False
        status = site.run_until(IN_SERVICE_S + 0.1)
        assert (status.permit, status.relay_closed) == (Permit.RELAY_OPEN, False)
        assert not status.breaker_commanded_closed
        site.relay.closed = True
        assert site.run_until(5.0).permit is Permit.GRANTED
        assert site.latch.trip is None

    def test_a_relay_without_feedback_blocks_discharge_and_keeps_service(self, make_site, tmp_path) -> None:
        site = make_site([steady(4.0)])
        ports = replace(site.make_ports(), open_contact=lambda path: ContactReader(tmp_path / path))
        site.make_ports = lambda: ports
        site.tick = site.make_tick(site.settings(mains_input=None))
        status = site.run_until(3.0)
        assert status.permit is Permit.GRANTED
        assert status.blocks & 4

    def test_a_breaker_that_fails_to_open_is_not_closed_until_it_was_seen_open(self, site) -> None:
        site.breaker.stuck = True
        site.waveform.frozen_at_s = site.now_s
        assert site.run_until(IN_SERVICE_S + 0.3).permit is Permit.BREAKER_FAILED
        site.waveform.frozen_at_s = math.inf
        status = site.run_until(5.0)
        assert (status.permit, status.breaker_commanded_closed) == (Permit.BREAKER_FAILED, False)
        site.breaker.stuck = False
        assert site.run_until(5.1).permit is Permit.ENTER_SERVICE_DELAY
        assert site.run_until(7.0).permit is Permit.GRANTED
        assert [code for code in site.codes if "BREAKER" in code] == ["BREAKER_FAILED_TO_OPEN", "BREAKER_OPENED_LATE"]

    def test_a_live_inverter_side_out_of_step_is_not_closed_on(self, make_site) -> None:
        site = make_site([steady(6.0)])
        site.waveform.samples[:, 9:12] = np.roll(site.waveform.samples[:, 9:12], 8, axis=0)
        status = site.run_until(4.0)
        assert status.permit is Permit.NOT_SYNCHRONOUS
        assert not any(s.breaker_commanded_closed for s in site.statuses)


def test_over_current_trips_and_curtails(make_site) -> None:
    site = make_site([steady(8.0)])
    site.run_until(IN_SERVICE_S)
    site.waveform.samples[int(IN_SERVICE_S * RATE_HZ) :, 6:9] *= -110 / 30
    assert site.run_until(IN_SERVICE_S + 0.5).curtail_charge == pytest.approx(100 / 110, abs=0.01)
    site.waveform.samples[int(3.0 * RATE_HZ) :, 6:9] *= 3.0
    status = site.run_until(3.5)
    assert status.trip_element == "50 feeder"
    assert site.latch.trip.feeder_a == pytest.approx((330.0,) * 3, rel=0.01)
    assert site.latch.trip.unit == "A"


@pytest.mark.parametrize("f", [10.0, 15.0, 110.0, 180.0])
def test_a_healthy_voltage_far_outside_any_grid_frequency_latches(make_site, f: float) -> None:
    site = make_site([steady(IN_SERVICE_S), steady(2.0, f=f)])
    status = site.run_until(3.5)
    assert status.permit is Permit.TRIPPED
    assert site.opened_after_s(IN_SERVICE_S) <= 0.16


def test_the_status_carries_what_was_judged(site) -> None:
    status = site.run_until(3.0)
    assert (status.profile, status.settings_digest) == ("ieee1547-III", "0badcafe")
    assert status.service_fraction == 1.0
    assert status.v1_pu == pytest.approx(1.0, abs=1e-3)
    assert status.feeder_a == pytest.approx((30.0,) * 3, rel=1e-3)
    assert status.transformer_a == pytest.approx((100.0,) * 3, rel=1e-3)
    assert status.inverter_v_pu == pytest.approx((1.0,) * 3, rel=1e-3)
    assert status.inverter_angle_deg == pytest.approx((0.0,) * 3, abs=0.01)
    assert status.rocof_hz_s == pytest.approx(0.0, abs=0.01)
    assert (status.relay_closed, status.mains_present, status.permit_service) == (True, True, True)


def test_the_ramp_after_entering_service_is_told(make_site) -> None:
    site = make_site([steady(8.0)])
    grid = protection().grid
    ramp = replace(grid, enter_service=replace(grid.enter_service, delay_s=0.5, ramp_s=4.0))
    site.tick = site.make_tick(site.settings(protection=protection(grid=ramp)))
    site.run_until(0.5 + 0.07 + 2.0)
    assert site.statuses[-1].service_fraction == pytest.approx(0.5, abs=0.03)


def test_a_buffer_that_is_missing_is_asked_for_again(make_site) -> None:
    site = make_site([steady(4.0)])
    opened: list[float] = []

    def missing():
        opened.append(site.now_s)
        raise WaveformError("the buffer is not there")

    ports = replace(site.make_ports(), open_waveform=missing)
    site.make_ports = lambda: ports
    site.tick = site.make_tick(site.settings())
    site.run_until(3.0)
    assert 20 < len(opened) < 40
