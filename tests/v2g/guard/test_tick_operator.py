"""Commands of people to the tick: what they change, and what is refused with which words."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from support.tick_site import NOMINAL_V, protection, synthesise
from v2g.config.loader import ConfigError
from v2g.grid.settings import SettingsError
from v2g.guard.latch import LatchedTrip
from v2g.guard.phases import EvseChannels
from v2g.guard.status import Permit
from v2g.guard.tick import PERIOD_S
from v2g.guard.tick_operator import RELAY_TEST_S

IN_SERVICE_S = 2.0


def steady(duration_s: float, f: float = 60.0, v: list[float] | None = None) -> dict[str, object]:
    return {"d": duration_s, "v": v or [1.0, 1.0, 1.0], "f": f, "r": None}


@pytest.fixture
def site(make_site):
    site = make_site([steady(12.0)])
    assert site.run_until(IN_SERVICE_S).permit is Permit.GRANTED
    return site


class TestReset:
    @pytest.mark.parametrize(
        ("after", "said"),
        [
            (steady(8.0, v=[1.0, 1.07, 1.0]), r"voltage of phase b 1\.070 p\.u\. \(0\.917 to 1\.05\)"),
            (steady(8.0, f=60.3), r"frequency 60\.300 Hz \(59\.5 to 60\.1 Hz\)"),
            (steady(8.0, v=[0.0, 0.0, 0.0]), r"voltage of phase a 0\.000 p\.u\..*frequency unknown"),
        ],
    )
    def test_into_a_fault_is_refused_with_what_is_wrong(self, make_site, after, said: str) -> None:
        site = make_site([steady(IN_SERVICE_S), steady(0.5, f=63.0), after])
        site.run_until(4.0)
        assert site.latch.trip is not None
        reply = site.command("reset_trip")
        assert not reply.accepted
        assert re.search(said, reply.message)
        assert site.run_until(5.0).permit is Permit.TRIPPED

    def test_is_refused_while_the_mains_are_gone_the_relay_is_open_or_the_breaker_failed(self, make_site) -> None:
        site = make_site([steady(IN_SERVICE_S), steady(0.5, f=63.0), steady(8.0)])
        site.run_until(4.0)
        site.mains.closed = None
        assert "mains are gone" in site.command("reset_trip").message
        site.mains.closed, site.relay.closed = True, False
        assert "hardware relay is open" in site.command("reset_trip").message
        site.relay.closed, site.breaker.stuck = True, True
        site.run_until(4.5)
        assert "failed to open" in site.command("reset_trip").message
        site.breaker.stuck = False
        reply = site.command("reset_trip")
        assert reply.accepted
        assert reply.digest == "0badcafe"


class TestPermitService:
    def test_withdrawn_it_opens_within_two_seconds_survives_a_restart_and_can_be_given_again(self, site) -> None:
        assert site.command("permit_service", enabled=False).accepted
        status = site.run_until(IN_SERVICE_S + 0.1)
        assert status.permit is Permit.PERMIT_OFF
        assert not status.permit_service
        assert site.breaker.opened_at_s[0] - 1000.0 - IN_SERVICE_S < 2.0
        site.start()
        assert site.run_until(5.0).permit is Permit.PERMIT_OFF
        assert not any(status.breaker_commanded_closed for status in site.statuses[-200:])
        assert site.command("permit_service", enabled=True).accepted
        assert site.run_until(7.0).permit is Permit.GRANTED
        assert site.latch.trip is None

    def test_a_file_that_cannot_be_read_is_a_withdrawal(self, site) -> None:
        site.latch_path.with_name("permit-service.json").write_text("{")
        site.start()
        assert site.run_until(4.0).permit is Permit.PERMIT_OFF

    def test_what_cannot_be_kept_is_not_given_and_a_withdrawal_holds_all_the_same(self, site) -> None:
        site.tick._permit_service.path = site.latch_path / "absent" / "x.json"
        reply = site.command("permit_service", enabled=False)
        assert reply.accepted
        assert "a restart would give it again" in reply.message
        assert site.run_until(3.0).permit is Permit.PERMIT_OFF
        reply = site.command("permit_service", enabled=True)
        assert not reply.accepted
        assert "could not be kept" in reply.message
        assert site.run_until(4.0).permit is Permit.PERMIT_OFF

    def test_who_did_it_is_kept(self, site) -> None:
        site.command("permit_service", enabled=False)
        kept = json.loads(site.latch_path.with_name("permit-service.json").read_text())
        assert (kept["enabled"], kept["by"]) == (False, "anna")


class TestAdoption:
    def other(self, site, **changes):
        return replace(site.settings(), digest="12345678", **changes)

    def test_new_settings_are_in_force_with_their_digest_and_service_goes_on(self, site) -> None:
        changed = protection(0.5, category="II")
        site.new_settings = lambda: self.other(site, protection=changed)
        reply = site.command("adopt_settings")
        assert reply.accepted
        assert reply.digest == "12345678"
        status = site.run_until(3.0)
        assert (status.profile, status.settings_digest, status.permit) == ("ieee1547-II", "12345678", Permit.GRANTED)
        assert not site.breaker.opened_at_s
        assert "SETTINGS_ADOPTED" in site.codes

    def test_a_calibrated_factor_is_in_the_next_tick_s_measurement_and_a_mistake_leaves_the_one_before(
        self, site
    ) -> None:
        site.new_settings = lambda: self.other(site, factors={"v_bus_b": (1.03, 0.0)})
        assert site.command("adopt_settings").accepted
        status = site.run_until(site.elapsed_s + PERIOD_S + 1e-6)
        assert status.v_pu == pytest.approx((1.0, 1.03, 1.0), rel=1e-3)

        def fail():
            raise ConfigError([])

        site.new_settings = fail
        assert not site.command("adopt_settings").accepted
        status = site.run_until(3.0)
        assert status.v_pu == pytest.approx((1.0, 1.03, 1.0), rel=1e-3)
        assert (status.permit, site.breaker.opened_at_s) == (Permit.GRANTED, [])

    def test_they_trip_as_the_new_ones_say(self, make_site) -> None:
        site = make_site([steady(3.0), steady(2.0, v=[0.0, 0.0, 0.0])])
        site.run_until(IN_SERVICE_S)
        site.new_settings = lambda: self.other(site, protection=protection(0.5, category="II"))
        assert site.command("adopt_settings").accepted
        assert site.run_until(3.4).trip_element == "UV2"

    @pytest.mark.parametrize(
        "mistake", [ConfigError([]), SettingsError("grid.trips.OV1.threshold 1.5 is outside 1.1..1.2 (Table 13)")]
    )
    def test_a_mistake_changes_nothing_and_is_told_in_words(self, site, mistake: Exception) -> None:
        def fail():
            raise mistake

        site.new_settings = fail
        reply = site.command("adopt_settings")
        assert not reply.accepted
        assert reply.message == f"nothing has changed: {mistake}"
        assert reply.digest == "0badcafe"
        status = site.run_until(3.0)
        assert (status.settings_digest, status.permit) == ("0badcafe", Permit.GRANTED)

    def test_settings_that_the_breaker_is_too_slow_for_are_refused(self, site) -> None:
        site.new_settings = lambda: self.other(site, protection=protection(opening_time_s=0.1), allow_slow=True)
        reply = site.command("adopt_settings")
        assert not reply.accepted
        assert "breaker.opening_time_s 0.1" in reply.message
        assert site.run_until(3.0).permit is Permit.GRANTED

    def test_settings_that_are_not_confirmed_are_refused(self, site) -> None:
        site.new_settings = lambda: self.other(site, protection=None, unset="grid.profile is not confirmed")
        reply = site.command("adopt_settings")
        assert (reply.accepted, reply.message) == (False, "nothing has changed: grid.profile is not confirmed")

    def test_a_reading_that_takes_too_long_is_answered_within_a_second_and_comes_to_nothing(self, site) -> None:
        site.jobs = []
        site.new_settings = lambda: self.other(site)
        began_s = site.now_s
        assert site.command("adopt_settings") is None
        assert "is being read already" in site.command("adopt_settings").message
        while len(site.replies) < 2:
            site.run_until(site.elapsed_s + PERIOD_S + 1e-6)
        assert site.now_s - began_s < 1.1
        assert not site.replies[-1].accepted
        assert "within 1 s" in site.replies[-1].message
        site.jobs[0]()
        assert site.run_until(4.0).settings_digest == "0badcafe"

    def test_another_nominal_voltage_starts_enter_service_over(self, site) -> None:
        site.new_settings = lambda: self.other(site, nominal_voltage_v=NOMINAL_V / 1.02)
        assert site.command("adopt_settings").accepted
        site.run_until(site.elapsed_s + 2 * PERIOD_S)
        assert site.breaker.opened_at_s
        status = site.run_until(4.0)
        assert status.v_pu == pytest.approx((1.02, 1.02, 1.02), rel=1e-3)
        assert status.permit is Permit.GRANTED

    def test_factors_correct_the_samples_from_then_on(self, site) -> None:
        factors = {"v_bus_a": (1.02, 0.0)}
        site.new_settings = lambda: self.other(site, factors=factors)
        assert site.command("adopt_settings").accepted
        assert site.waveform.factors == factors
        assert site.run_until(3.0).settings_digest == "12345678"

    def test_factors_of_a_channel_that_the_buffer_has_not_are_refused_and_the_old_ones_stay(self, site) -> None:
        before = {"v_bus_a": (1.02, 0.0)}
        site.new_settings = lambda: self.other(site, factors=before)
        assert site.command("adopt_settings").accepted
        site.new_settings = lambda: replace(site.settings(), digest="87654321", factors={"spare": (1.1, 0.0)})
        reply = site.command("adopt_settings")
        assert (reply.accepted, reply.message) == (False, "nothing has changed: it has no channel spare")
        assert site.waveform.factors == before
        status = site.run_until(4.0)
        assert (status.settings_digest, status.permit) == ("12345678", Permit.GRANTED)

    def test_settings_that_are_refused_take_their_factors_back(self, site) -> None:
        site.new_settings = lambda: self.other(
            site, factors={"v_bus_a": (1.02, 0.0)}, protection=protection(opening_time_s=0.1), allow_slow=True
        )
        assert not site.command("adopt_settings").accepted
        assert site.waveform.factors == {}
        assert site.run_until(3.0).permit is Permit.GRANTED


class TestWithoutSettings:
    def test_it_measures_and_stays_open_says_so_once_and_takes_settings_when_they_come(self, make_site) -> None:
        site = make_site([steady(12.0)])
        site.tick = site.make_tick(site.settings(protection=None, unset="no profile for 50 Hz", digest="00000000"))
        status = site.run_until(3.0)
        assert status.permit is Permit.NO_SETTINGS
        assert status.measured
        assert status.v_pu == pytest.approx((1.0, 1.0, 1.0), rel=1e-3)
        assert not any(status.breaker_commanded_closed for status in site.statuses)
        assert site.codes.count("NO_SETTINGS") == 1
        assert any("no profile for 50 Hz" in text for text in site.told)
        site.latch.set(LatchedTrip(element="OF2"))
        assert "the guard has no settings: no profile for 50 Hz" in site.command("reset_trip").message
        site.latch._trip = None
        assert site.command("adopt_settings").accepted
        status = site.run_until(5.0)
        assert (status.permit, status.profile) == (Permit.GRANTED, "ieee1547-III")


def turned(duration_s: float, degrees: tuple[float, float, float]) -> np.ndarray:
    """Three voltages that lead those of the bus by ``degrees``."""
    samples = synthesise([{"d": duration_s, "v": [1.0] * 3, "f": 60.0, "r": None}])
    quadrature = synthesise([{"d": duration_s, "v": [1.0] * 3, "f": 60.0, "r": None, "ph": [90, 90, 90]}])
    radians = np.radians(degrees)
    return samples[:, 0:3] * np.cos(radians) + quadrature[:, 0:3] * np.sin(radians)


class TestPhases:
    def test_the_mean_angle_of_sixty_cycles_comes_after_a_second(self, site) -> None:
        noise = np.random.default_rng(3).normal(0.0, 1.0, (len(site.waveform.samples), 3))
        site.waveform.samples[:, 9:12] = turned(12.0, (7.0, 6.5, -3.0)) + noise
        assert site.command("measure_phase") is None
        assert "another phase measurement runs" in site.command("measure_phase").message
        began_s = site.now_s
        while len(site.replies) < 2:
            site.run_until(site.elapsed_s + PERIOD_S + 1e-6)
        reply = site.replies[-1]
        assert site.now_s - began_s == pytest.approx(1.0, abs=0.1)
        assert reply.accepted
        assert reply.angle_deg == pytest.approx((7.0, 6.5, -3.0), abs=0.05)
        assert 0.0 < reply.spread_deg < 1.0

    def test_it_is_refused_while_one_side_is_dead_or_nothing_is_measured(self, site) -> None:
        site.waveform.samples[:, 10] = 0.0
        reply = site.command("measure_phase")
        assert not reply.accepted
        assert "phase b: one side has no voltage" in reply.message
        site.waveform.missing = True
        site.run_until(site.elapsed_s + 0.1)
        assert "the grid is not measured" in site.command("measure_phase").message

    def test_an_evse_without_transducers_of_its_own_is_told_so(self, site) -> None:
        assert "US*V2G*E9 has no voltage channels" in site.command("measure_phase", evse_id="US*V2G*E9").message

    def test_an_evses_own_transducers_are_measured(self, make_site) -> None:
        site = with_evse(make_site, (12.0, 12.0, 12.0), offset_deg=(12.0, 12.0, 12.0))
        site.run_until(IN_SERVICE_S)
        assert site.command("measure_phase", evse_id="US*V2G*E1") is None
        site.run_until(IN_SERVICE_S + 1.2)
        assert site.replies[-1].angle_deg == pytest.approx((12.0, 12.0, 12.0), abs=0.05)

    def test_swapped_phases_of_the_feeder_open_the_breaker_and_are_named(self, make_site) -> None:
        site = make_site([steady(12.0)])
        site.run_until(IN_SERVICE_S)
        site.waveform.samples[:, 9:12] = site.waveform.samples[:, [9, 11, 10]]
        status = site.run_until(IN_SERVICE_S + 0.3)
        assert (status.permit, status.trip_element) == (Permit.TRIPPED, "Phase Mismatch")
        assert status.trip_phase in ("b", "c")
        assert status.trip_unit == "deg"
        assert status.trip_at_s - 1000.0 - IN_SERVICE_S < 6 / 60 + 0.05
        told = next(text for text in site.told if "PHASE_MISMATCH" in text)
        assert told.startswith("ERROR: PHASE_MISMATCH Phase Mismatch: phase ")
        assert "deg (limit " in told
        assert "for 6 cycles): phases b and c are swapped; check " in told
        a_deg, b_deg, c_deg = site.latch.trip.inverter_angle_deg
        assert (abs(a_deg), abs(b_deg), abs(c_deg)) == pytest.approx((0.0, 120.0, 120.0), abs=0.5)

    def test_swapped_phases_of_one_evse_open_the_breaker_and_name_it(self, make_site) -> None:
        site = with_evse(make_site, (0.0, 0.0, 0.0))
        site.run_until(IN_SERVICE_S)
        extra = site.waveform.extra
        extra["v_e1_b"], extra["v_e1_c"] = extra["v_e1_c"], extra["v_e1_b"]
        status = site.run_until(IN_SERVICE_S + 0.5)
        assert (status.permit, status.trip_element) == (Permit.TRIPPED, "Phase Mismatch")
        assert "at US*V2G*E1: phases b and c are swapped" in next(t for t in site.told if "PHASE_MISMATCH" in t)

    def test_an_inverter_that_ran_out_of_step_before_the_closing_is_no_mismatch(self, make_site) -> None:
        site = with_evse(make_site, (100.0, 100.0, 100.0))
        strict = protection(0.5, phase_limit_deg=4.0, phase_cycles=2)
        site.tick = site.make_tick(replace(site.tick.settings, protection=strict))
        right = site.waveform.samples[:, 9:12]
        while not site.breaker.is_closed(site.now_s):
            site.run_until(site.elapsed_s + PERIOD_S + 1e-6)
        row = round(site.elapsed_s * 3840)
        for column, wave in enumerate(site.waveform.extra.values()):
            wave[row:] = right[row:, column]
        assert site.run_until(site.elapsed_s + 1.0).permit is Permit.GRANTED

    def test_an_offset_is_taken_away_and_a_channel_that_is_missing_is_told_once(self, make_site) -> None:
        site = with_evse(make_site, (25.0, 25.0, 25.0), offset_deg=(25.0, 25.0, 25.0))
        assert site.run_until(4.0).permit is Permit.GRANTED
        del site.waveform.extra["v_e1_a"]
        assert site.run_until(5.0).permit is Permit.GRANTED
        assert site.codes.count("PHASE_UNKNOWN") == 1


def with_evse(make_site, degrees, offset_deg=(0.0, 0.0, 0.0)):
    site = make_site([steady(12.0)])
    volts = turned(12.0, degrees)
    channels = ("v_e1_a", "v_e1_b", "v_e1_c")
    site.waveform.extra = {name: volts[:, column] for column, name in enumerate(channels)}
    evses = (EvseChannels("US*V2G*E1", channels, offset_deg),)
    site.tick = site.make_tick(site.settings(evse_channels=evses))
    return site


class TestRelayTest:
    def test_it_opens_the_breaker_proves_the_relay_and_enters_service_anew(self, site) -> None:
        assert site.command("test_relay").accepted
        status = site.run_until(IN_SERVICE_S + 0.3)
        assert (status.permit, status.breaker_commanded_closed) == (Permit.TESTING, False)
        site.relay.closed = False
        assert site.run_until(IN_SERVICE_S + 0.5).relay_closed is False
        site.relay.closed = True
        site.run_until(IN_SERVICE_S + 0.7)
        assert site.command("test_relay", enabled=False).accepted
        assert site.run_until(5.0).permit is Permit.GRANTED
        assert [code for code in site.codes if "RELAY_TEST" in code] == [
            "RELAY_TEST_BEGAN",
            "RELAY_TEST_OPENED",
            "RELAY_TEST_ENDED",
        ]
        assert site.latch.trip is None

    def test_it_ends_by_itself(self, site) -> None:
        site.command("test_relay")
        site.now_s += RELAY_TEST_S
        site.tick.step(site.now_s)
        assert not site.tick._operator.testing
        assert "RELAY_TEST_ENDED" in site.codes

    def test_without_feedback_there_is_none(self, make_site) -> None:
        site = make_site([steady(4.0)])
        site.tick = site.make_tick(site.settings(relay_feedback=None))
        site.run_until(1.0)
        assert "set relay.feedback_path" in site.command("test_relay").message
