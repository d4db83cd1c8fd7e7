from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from v2g.grid import profiles
from v2g.grid.settings import Operation
from v2g.replay.breaker import Breaker
from v2g.replay.case_settings import protection_settings, settings_of, voltage_only
from v2g.replay.feed import Feed
from v2g.replay.run import as_expected, run, run_case, verdict
from v2g.replay.stimulus import Case, ReplayError, Segment
from v2g.replay.synthesis import I_TR, I_V2G, V_BUS, V_INV, CaseStimulus, LiveInverterSide, SampledRecord

HEALTHY = Segment(d=1.0, v=(1.0, 1.0, 1.0), f=60.0)
HIGH = Segment(d=0.5, v=(1.0, 1.25, 1.0), f=60.0)


def case(*segments: Segment, expect: str = "NO_TRIP", **changes) -> Case:
    made = Case(
        id="C1",
        family="volt_trip",
        category="III",
        nominal_hz=60.0,
        settings={"profile": "default_III"},
        segments=segments,
        ref_segment=1 if len(segments) > 1 else 0,
        expect=expect,
        element="OV2",
        tmin_s=0.0,
        tmax_s=0.16,
    )
    return replace(made, **changes)


TRIP = case(HEALTHY, HIGH, expect="TRIP")


def test_a_trip_is_told_with_its_phase_and_the_contact_that_parted() -> None:
    outcome = run_case(TRIP)
    assert outcome.trip is not None
    assert (outcome.trip.element, outcome.trip.phase, outcome.trip.threshold) == ("OV2", "b", 1.2)
    assert outcome.opened_s == pytest.approx(outcome.trip.at_s + 0.05)
    assert as_expected(TRIP, outcome) == ""
    said = verdict(TRIP, outcome)
    assert list(said) == ["id", "tripped", "element", "t_s"]
    assert said["t_s"] == pytest.approx(outcome.opened_s - 1.0)


@pytest.mark.parametrize("opening_time_s", [0.02, 0.05])
def test_a_faster_breaker_is_waited_for_so_that_the_clearing_time_is_used(opening_time_s: float) -> None:
    outcome = run_case(TRIP, opening_time_s=opening_time_s)
    assert outcome.opened_s is not None
    assert 1.12 < outcome.opened_s <= 1.16


def test_after_a_trip_the_breaker_stays_open_however_good_the_grid_is() -> None:
    settings = profiles.resolve(nominal_frequency_hz=60.0, enter_service={"delay_s": 0.0})
    stimulus = CaseStimulus((HEALTHY, HIGH, replace(HEALTHY, d=5.0)), 60.0)
    outcome = run(stimulus, protection_settings(settings, 0.05), keep_every=1)
    assert outcome.opened_s is not None
    assert outcome.closed_s is None
    assert not outcome.steps[-1].breaker_closed
    assert outcome.steps[-1].waiting_for


def test_from_out_of_service_it_closes_after_the_delay_and_the_contact_follows() -> None:
    settings = profiles.resolve(nominal_frequency_hz=60.0, enter_service={"delay_s": 2.0})
    outcome = run(CaseStimulus((replace(HEALTHY, d=4.0),), 60.0), protection_settings(settings, 0.05), in_service=False)
    assert outcome.close_commanded_s == pytest.approx(2.06, abs=0.02)
    assert outcome.closed_s == pytest.approx(outcome.close_commanded_s + 0.06, abs=1e-6)


def test_a_closing_before_the_counting_began_is_not_one() -> None:
    entry = case(HEALTHY, HEALTHY, expect="CLOSE", settings={"es": {"delay": 0}}, element="ES", tmin_s=0.0, tmax_s=1.0)
    outcome = run_case(entry)
    assert outcome.close_commanded_s is None
    assert as_expected(entry, outcome).startswith("did not close from the reference segment on, expected is CLOSE")


def test_a_closing_before_the_reference_counts_where_none_may_be() -> None:
    entry = case(HEALTHY, HEALTHY, expect="NO_CLOSE", settings={"es": {"delay": 0}}, element="ES")
    assert as_expected(entry, run_case(entry)).endswith("expected is NO_CLOSE")


def test_every_nth_tick_is_kept_and_says_what_the_guard_does() -> None:
    sag = Segment(d=0.5, v=(0.6, 0.6, 0.6), f=60.0)
    outcome = run(
        CaseStimulus((HEALTHY, sag, HEALTHY), 60.0), protection_settings(settings_of(TRIP), 0.05), keep_every=5
    )
    times_s = [step.t_s for step in outcome.steps]
    assert np.diff(times_s) == pytest.approx([0.05] * (len(times_s) - 1))
    during = [step.operation for step in outcome.steps if 1.1 < step.t_s < 1.4]
    assert set(during) == {int(Operation.MANDATORY)}
    assert outcome.steps[0].operation == int(Operation.CONTINUOUS)


def test_samples_that_are_stuck_are_no_measurement_and_open_without_a_trip() -> None:
    good = next(CaseStimulus((HEALTHY,), 60.0).blocks(4000))[0][:, V_BUS]
    volts = np.concatenate((good, np.repeat(good[-1:], 2000, axis=0)))
    settings = protection_settings(settings_of(TRIP), 0.05)
    outcome = run(SampledRecord(volts, 3840.0, 60.0, 277.0), settings, keep_every=1)
    assert outcome.trip is None
    assert outcome.opened_s == pytest.approx(1.13, abs=0.04)
    assert outcome.steps[-1].frequency_hz is None


def test_a_breaker_that_is_too_slow_for_an_element_is_refused() -> None:
    with pytest.raises(ReplayError, match="must open within"):
        run_case(TRIP, opening_time_s=0.2)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (case(HEALTHY, HIGH), "tripped on OV2 at 0.0"),
        (case(HEALTHY, HIGH, expect="TRIP", element="OV1"), "OV2 acted at 0.1"),
        (case(HEALTHY, HIGH, expect="TRIP", tmax_s=0.05), "expected 0 to 0.05 s"),
        (case(HEALTHY, HEALTHY, expect="TRIP"), "did not trip, expected is TRIP"),
        (
            case(HEALTHY, expect="NO_CLOSE", settings={"sync": {"kva": 100}, "der": {"dtheta_deg": 0}}),
            "expected is NO_CLOSE",
        ),
        (
            case(HEALTHY, expect="CLOSE", settings={"sync": {"kva": 100}, "der": {"dtheta_deg": 90}}),
            "expected is CLOSE",
        ),
    ],
)
def test_what_differs_is_said_in_words(made: Case, said: str) -> None:
    assert said in as_expected(made, run_case(made))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"profile": "default_IV"}, "no profile 'default_IV'; known are default_I, "),
        ({"profile": "default_III", "override": {"OV9": {"v": 1}}}, "OV9"),
        ({"profile": "default_III", "override": {"OV1": {"v": 1.5}}}, "1.5"),
        ({"profile": "default_III", "override": {"OV1": {"x": 1.5}}}, "x"),
        ({"profile": "widest_IV"}, "IV"),
        ({"es": {"pause": 3}}, "pause"),
        ({"sync": {}}, "kva"),
        ({"profile": "ui", "override": {"OV1": {"t": 3}}}, "ui stands alone"),
        ({"profile": "widest_II", "es": {"delay": 0}}, "widest_II stands alone"),
    ],
)
def test_settings_that_are_unknown_or_out_of_range_name_the_case(settings: dict, said: str) -> None:
    with pytest.raises(ReplayError, match="case C1") as raised:
        settings_of(case(HEALTHY, settings=settings))
    assert said in str(raised.value)


def test_the_forms_of_settings_become_settings_of_the_guard() -> None:
    lone = settings_of(
        case(
            HEALTHY, settings={"profile": "default_II", "override": {"UV2": {"v": 0.05, "t": 2}}, "disable_other": True}
        )
    )
    assert [(e.element, e.threshold, e.time_s) for e in lone.trips.elements] == [("UV2", 0.05, 2.0)]
    assert settings_of(case(HEALTHY, settings={"profile": "ui"})).trips.element("OV1").threshold == 1.2
    assert settings_of(case(HEALTHY, settings={"profile": "widest_III"})).trips.element("UV1").time_s == 50.0
    assert settings_of(case(HEALTHY, settings={"sync": {"kva": 5000}})).sync.df_hz == 0.1
    assert settings_of(case(HEALTHY, settings={"profile": "default_I", "sync": {"kva": 5}})).profile == "ieee1547-I"
    entry = settings_of(case(HEALTHY, settings={"es": {"delay": 0, "ramp": 0, "random": 300, "v_hi": 1.06}}))
    assert (entry.enter_service.random_delay_s, entry.enter_service.v_hi_pu) == (300.0, 1.06)


def test_voltage_elements_alone_say_nothing_of_frequency() -> None:
    settings = voltage_only(profiles.resolve(nominal_frequency_hz=60.0), 50.0)
    assert [element.element for element in settings.trips.elements] == ["OV2", "OV1", "UV1", "UV2"]
    assert settings.nominal_frequency_hz == 50.0
    assert settings.ride_through is not None
    assert settings.ride_through.frequency == ()
    off = CaseStimulus((Segment(d=1.0, v=(1.0, 1.0, 1.0), f=46.0),), 50.0)
    assert run(off, protection_settings(settings, 0.05)).trip is None


def test_the_feed_puts_the_breaker_into_the_samples() -> None:
    feed = Feed(CaseStimulus((replace(HEALTHY, d=3.0),), 60.0, inverter_side=LiveInverterSide(dv_pu=0.1)), 100)
    live = feed.take(1000, False)
    assert live is not None
    assert np.abs(live[:, V_INV]).max() > np.abs(live[:, V_BUS]).max()
    assert not live[:, I_V2G].any()
    assert np.sqrt(np.mean(live[:960, I_TR] ** 2)) == pytest.approx(100.0, rel=1e-3)
    closed = feed.take(2000, True)
    assert closed is not None
    assert np.array_equal(closed[:, V_INV], closed[:, V_BUS])
    assert np.sqrt(np.mean(closed[:960, I_TR] ** 2)) == pytest.approx(70.0, rel=1e-3)
    assert len(feed.window) == 100
    assert np.array_equal(feed.window, closed[-100:])
    assert feed.take(20_000, True) is None


def test_the_feed_forgets_what_no_window_needs() -> None:
    feed = Feed(CaseStimulus((replace(HEALTHY, d=30.0),), 60.0), 200)
    for index in range(20, 100_000, 20):
        assert feed.take(index, True) is not None
    assert len(feed._rows) <= 2 * 3840 + 200


def test_a_breaker_completes_an_opening_and_gives_up_a_closing() -> None:
    breaker = Breaker(0.05, 0.06, closed=True)
    breaker.hold(False, 1.0)
    breaker.hold(True, 1.01)
    assert breaker.move(1.04)
    assert not breaker.move(1.05)
    assert breaker.opened_at_s == pytest.approx(1.05)
    breaker.hold(True, 1.06)
    breaker.hold(False, 1.07)
    assert not breaker.move(2.0)
    breaker.hold(True, 2.0)
    breaker.hold(True, 2.05)
    assert breaker.move(2.06)
    assert breaker.closed_at_s == pytest.approx(2.06)
