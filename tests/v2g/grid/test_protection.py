from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.guarded import NORMAL, TICK_S, Guarded, estimate, protection_settings
from v2g.grid import profiles
from v2g.grid.estimate import Estimate, Power, Validity
from v2g.grid.protection import Block, Inputs, Protection, RelaySettings
from v2g.grid.settings import SettingsError

OPENING_S = 0.05


def test_it_starts_open_and_closes_when_the_window_has_held() -> None:
    guard = Guarded(protection_settings(delay_s=1.0))
    first = guard.tick()
    assert not first.close
    assert first.in_window
    assert first.enter_service_remaining_s == 1.0
    assert first.waiting_for == "the grid to hold the enter-service window for 1.0 s more"
    assert not guard.run(0.99).close
    closed = guard.tick()
    assert closed.close
    assert closed.waiting_for == ""
    assert closed.enter_service_remaining_s == 0.0
    assert [told["state"] for told in guard.told("ENTER_SERVICE")] == ["waiting", "closed"]


def test_power_rises_over_the_ramp_after_closing() -> None:
    guard = Guarded(protection_settings(delay_s=0.0, ramp_s=10.0))
    assert guard.tick().service_fraction == 0.0
    assert guard.run(5.0).service_fraction == pytest.approx(0.5)
    assert guard.run(5.0).service_fraction == 1.0


# what the grid shows, element, phase, latest contact after the event (IEEE 1547-2018 defaults of category III)
TRIPS = [
    ((1.21, 1.0, 1.0), 60.0, "OV2", "a", 0.16),
    ((1.0, 1.11, 1.0), 60.0, "OV1", "b", 13.0),
    ((1.0, 1.0, 0.87), 60.0, "UV1", "c", 21.0),
    ((0.49, 1.0, 1.0), 60.0, "UV2", "a", 2.0),
    (NORMAL, 62.1, "OF2", "", 0.16),
    (NORMAL, 56.4, "UF2", "", 0.16),
    (NORMAL, 39.0, "UF2", "", 0.16),
    (NORMAL, None, "81 unknown", "a", 0.16),
]


@pytest.mark.parametrize(("v_pu", "hz", "element", "phase", "clearing_s"), TRIPS)
def test_a_quantity_beyond_its_threshold_opens_in_time_and_names_the_element(
    v_pu: tuple[float, float, float], hz: float | None, element: str, phase: str, clearing_s: float
) -> None:
    guard = Guarded().in_service()
    event_s = guard.now_s
    verdict = guard.run(clearing_s - OPENING_S, estimate(v_pu, hz))
    assert not verdict.close
    assert guard.trip is not None
    assert (guard.trip.element, guard.trip.phase) == (element, phase)
    assert guard.trip.at_s - event_s + OPENING_S <= clearing_s
    assert verdict.waiting_for.startswith("the release of the trip latch")
    assert guard.run(1.0).close is False


@pytest.mark.parametrize(("v_pu", "hz", "element", "phase", "clearing_s"), TRIPS)
def test_out_of_service_nothing_trips(
    v_pu: tuple[float, float, float], hz: float | None, element: str, phase: str, clearing_s: float
) -> None:
    guard = Guarded()
    guard.run(min(clearing_s, 3.0), estimate(v_pu, hz))
    assert guard.trip is None


def test_european_settings_trip_on_a_rate_of_change_after_their_time() -> None:
    base = protection_settings()
    g99 = profiles.resolve(nominal_frequency_hz=50.0, profile="g99", confirmed=True)
    g99 = replace(g99, enter_service=replace(g99.enter_service, delay_s=0.0, ramp_s=0.0))
    guard = Guarded(replace(base, grid=g99))
    guard.run(0.5, estimate(1.0, 50.0))
    began_s = guard.now_s
    for _ in range(90):
        guard.tick(estimate(1.0, 50.0 + 1.2 * (guard.now_s + TICK_S - began_s)))
        if guard.trip is not None:
            break
    assert guard.trip is not None
    assert (guard.trip.element, guard.trip.quantity) == ("LoM", "rocof")
    assert guard.trip.value == pytest.approx(1.2, abs=0.01)
    # The slope over 100 ms is beyond 1 Hz/s when most of the window is ramp.
    assert 0.55 <= guard.trip.at_s - began_s <= 0.62


def test_european_settings_trip_on_the_ten_minute_voltage() -> None:
    """1.00 to 1.12 p.u.: the mean square passes 1.10^2 after (1.10^2 - 1)/(1.12^2 - 1) = 82.5 % of 600 s, 495 s."""
    base = protection_settings()
    vde = profiles.resolve(nominal_frequency_hz=50.0, profile="vde-ar-n-4105", confirmed=True)
    vde = replace(vde, enter_service=replace(vde.enter_service, delay_s=0.0, ramp_s=0.0))
    protection = Protection(replace(base, grid=vde), lambda: 0.0)
    tick_s, began_s, trip = 0.1, 600.0, None
    for tick in range(12_000):
        now_s = tick * tick_s
        measured = estimate(1.0 if now_s < began_s else 1.12, 50.0)
        trip = protection.step(now_s, Inputs(estimate=measured, relay_closed=True)).trip
        if trip is not None:
            break
    assert trip is not None
    assert trip.quantity == "voltage_10min"
    assert trip.value > trip.threshold == 1.10
    assert trip.at_s - began_s == pytest.approx(495.0, abs=4.0)


def test_lost_mains_trip_after_two_ticks_and_latch() -> None:
    guard = Guarded().in_service()
    assert guard.tick(mains_present=False).close
    assert guard.tick(mains_present=True).close
    assert guard.tick(mains_present=False).close
    verdict = guard.tick(mains_present=False)
    assert not verdict.close
    assert verdict.trip is not None
    assert (verdict.trip.element, verdict.trip.quantity, verdict.trip.unit) == ("LOM", "mains", "")
    assert verdict.trip.at_s - verdict.trip.picked_up_at_s == pytest.approx(TICK_S)
    assert verdict.trip.clearing_time_s == 2.0
    guard.run(0.1, mains_present=True)
    assert [told["state"] for told in guard.told("LOM")] == ["lost", "back"]


def test_without_mains_service_is_not_entered_and_nothing_trips() -> None:
    guard = Guarded()
    verdict = guard.run(1.0, mains_present=False)
    assert guard.trip is None
    assert verdict.in_window
    assert verdict.waiting_for == "mains: the loss-of-mains input says that they are gone"
    assert not guard.run(0.1, mains_present=True).close
    assert guard.tick(mains_present=True).close


def test_over_current_of_the_feeder_trips_whatever_the_transformer_carries() -> None:
    guard = Guarded().in_service()
    began_s = guard.now_s
    guard.run(0.2, estimate(feeder_a=310.0, feeder_w=-70e3, transformer_w=20e3))
    assert guard.trip is not None
    assert guard.trip.element == "50 feeder"
    assert guard.trip.at_s - began_s == pytest.approx(0.1)


@pytest.mark.parametrize(("feeder_w", "trips"), [(20e3, True), (-20e3, False)])
def test_over_current_of_the_transformer_trips_only_where_the_feeder_adds_to_it(feeder_w: float, trips: bool) -> None:
    guard = Guarded().in_service()
    # Twice pick-up of 300 A: 0.1 * 0.14 / (2^0.02 - 1) = 1.003 s.
    guard.run(1.1, estimate(feeder_a=90.0, feeder_w=feeder_w, transformer_a=600.0, transformer_w=140e3))
    assert (guard.trip is not None) == trips
    if trips:
        assert guard.trip.element == "51 transformer"


def test_a_base_load_that_overloads_the_transformer_does_not_trip_an_idle_feeder() -> None:
    guard = Guarded().in_service()
    verdict = guard.run(3.0, estimate(feeder_a=0.4, feeder_w=90.0, transformer_a=700.0, transformer_w=160e3))
    assert verdict.close
    assert verdict.curtail_charge == 0.0
    assert verdict.curtail_discharge == 1.0


def test_an_overload_is_curtailed_before_anything_trips() -> None:
    guard = Guarded().in_service()
    verdict = guard.run(0.3, estimate(feeder_a=110.0, feeder_w=25e3, transformer_a=50.0, transformer_w=11e3))
    assert verdict.close
    assert verdict.curtail_charge == pytest.approx(100 / 110)
    assert verdict.curtail_discharge == 1.0
    guard.protection.adopt(protection_settings())
    assert guard.tick().curtail_charge == pytest.approx(100 / 110)


def test_swapped_phases_open_the_breaker_as_phase_mismatch_and_name_the_wiring() -> None:
    guard = Guarded().in_service()
    began_s = guard.now_s
    guard.run(0.3, estimate(inverter_v_pu=NORMAL, inverter_angle_deg=(0.0, -121.0, 120.0)), breaker_closed=True)
    assert guard.trip is not None
    assert (guard.trip.element, guard.trip.phase, guard.trip.value) == ("Phase Mismatch", "b", -121.0)
    assert (guard.trip.threshold, guard.trip.unit) == (20.0, "deg")
    assert guard.trip.remedy == "phases b and c are swapped"
    # Six cycles of 60 Hz from the first estimate.
    assert guard.trip.at_s - began_s == pytest.approx(TICK_S + 0.1)


def test_windows_that_reach_back_to_the_open_breaker_are_no_mismatch() -> None:
    guard = Guarded(protection_settings(phase_cycles=2)).in_service()
    turned = estimate(inverter_v_pu=NORMAL, inverter_angle_deg=(27.0, 27.0, 27.0))
    guard.run(0.06, turned, breaker_closed=False)
    assert guard.run(0.05, turned, breaker_closed=True).close
    assert guard.run(0.5, estimate(inverter_v_pu=NORMAL, inverter_angle_deg=(1.0, 1.0, 1.0)), breaker_closed=True).close


def test_angles_count_only_across_a_closed_breaker_and_without_the_calibrated_offset() -> None:
    guard = Guarded(protection_settings(phase_offset_deg=(25.0, 25.0, 25.0))).in_service()
    off = estimate(inverter_v_pu=NORMAL, inverter_angle_deg=(60.0, 60.0, 60.0))
    assert guard.run(0.5, off, breaker_closed=False).close
    calibrated = estimate(inverter_v_pu=NORMAL, inverter_angle_deg=(25.0, 30.0, 40.0))
    assert guard.run(0.5, calibrated, breaker_closed=True).close
    guard.run(0.5, off, breaker_closed=True)
    assert guard.trip is not None
    assert guard.trip.value == 35.0


@pytest.mark.parametrize("angle_deg", [25.0, 180.0])
def test_a_live_inverter_side_out_of_step_keeps_the_breaker_open(angle_deg: float) -> None:
    guard = Guarded()
    live = {"inverter_v_pu": NORMAL, "inverter_frequency_hz": 60.0}
    verdict = guard.run(2.0, estimate(inverter_angle_deg=(angle_deg, 0.0, 0.0), **live))
    assert not verdict.close
    assert verdict.waiting_for.startswith(
        f"synchronisation: angle of phase a at the closing is +{angle_deg:.1f} degrees, limit 20"
    )
    assert guard.run(0.2, estimate(inverter_angle_deg=(15.0, 0.0, 0.0), **live)).close


def test_the_calibrated_offset_is_taken_away_before_the_sides_are_compared() -> None:
    guard = Guarded(protection_settings(phase_offset_deg=(25.0, 25.0, 25.0)))
    live = {"inverter_v_pu": NORMAL, "inverter_frequency_hz": 60.0}
    assert not guard.run(1.0, estimate(inverter_angle_deg=(0.0, 0.0, 0.0), **live)).close
    assert guard.run(0.2, estimate(inverter_angle_deg=(30.0, 20.0, 25.0), **live)).close


def test_being_in_step_starts_over_without_a_measurement() -> None:
    guard = Guarded(protection_settings(delay_s=0.0))
    live = estimate(inverter_angle_deg=(0.0, 0.0, 0.0), inverter_v_pu=NORMAL, inverter_frequency_hz=60.0)
    assert not guard.run(0.1, live).close
    guard.tick(blind=True)
    assert not guard.run(0.1, live).close
    assert guard.tick(live).close


# inputs -> what it waits for
OPENED = [
    ({"permit_service": False}, "permit service"),
    ({"relay_closed": False}, "the hardware relay"),
    ({"start_over": True}, "the grid to hold the enter-service window"),
    ({"latched": True}, "the release of the trip latch"),
]


@pytest.mark.parametrize(("inputs", "words"), OPENED)
def test_what_is_no_trip_opens_the_breaker_at_once_and_enter_service_starts_over(inputs, words: str) -> None:
    guard = Guarded().in_service()
    verdict = guard.tick(**inputs)
    assert not verdict.close
    assert verdict.trip is None
    assert verdict.waiting_for.startswith(words)
    guard.run(0.5, **(inputs if "start_over" not in inputs else {"latched": True}))
    if "latched" not in inputs and "start_over" not in inputs:
        assert not guard.run(0.1).close
    assert guard.run(0.1).close
    assert guard.trip is None


@pytest.mark.parametrize("measured", [None, Estimate(Validity.STUCK), Estimate(Validity.NOT_FINITE)])
def test_without_a_measurement_the_breaker_is_open_and_nothing_trips(measured: Estimate | None) -> None:
    guard = Guarded().in_service()
    verdict = guard.tick(measured, blind=True)
    assert not verdict.close
    assert verdict.trip is None
    assert not verdict.in_window
    assert "no valid samples" in verdict.waiting_for
    assert Block.NEW_DISCHARGE in verdict.blocks
    assert not guard.run(0.1).close
    assert guard.tick().close


def test_with_a_delay_of_zero_a_stall_still_opens_the_breaker_once() -> None:
    guard = Guarded(protection_settings(delay_s=0.0))
    assert guard.tick().close
    assert not guard.tick(start_over=True).close
    assert guard.tick().close


# Both at once: what is harder decides.
SEVERITY = [
    ({"blind": True, "latched": True}, "a measurement", ""),
    ({"latched": True, "permit_service": False}, "the release of the trip latch", ""),
    ({"permit_service": False, "mains_present": False}, "permit service", ""),
    ({"mains_present": False, "measured": estimate(1.3)}, "the release of the trip latch", "LOM"),
    ({"measured": estimate(1.3, feeder_a=400.0)}, "the release of the trip latch", "OV2"),
    (
        {"measured": estimate(feeder_a=400.0, inverter_angle_deg=(90.0, 90.0, 90.0))},
        "the release of the trip latch",
        "50 feeder",
    ),
    (
        {"measured": estimate(inverter_angle_deg=(90.0, 90.0, 90.0)), "relay_closed": True},
        "the release of the trip latch",
        "Phase Mismatch",
    ),
    ({"relay_closed": False, "measured": estimate(0.5)}, "the hardware relay", ""),
]


@pytest.mark.parametrize(
    ("inputs", "element"), [({}, "OV2"), ({"permit_service": False}, None), ({"latched": True}, None)]
)
def test_permit_off_goes_before_a_trip_that_is_due_in_the_same_tick(inputs, element: str | None) -> None:
    guard = Guarded().in_service()
    assert guard.run(0.07, estimate(1.25)).close
    verdict = guard.tick(estimate(1.25), **inputs)
    assert not verdict.close
    assert (verdict.trip.element if verdict.trip else None) == element


def test_over_current_of_both_places_is_told_of_the_feeder() -> None:
    guard = Guarded().in_service()
    guard.run(0.2, estimate(feeder_a=400.0, feeder_w=90e3, transformer_a=700.0, transformer_w=160e3))
    assert guard.trip is not None
    assert guard.trip.element == "50 feeder"


def test_the_tick_that_trips_does_not_close_again_with_a_delay_of_zero() -> None:
    guard = Guarded(protection_settings(delay_s=0.0)).in_service()
    while guard.trip is None:
        verdict = guard.tick(estimate(feeder_a=400.0, feeder_w=90e3))
    assert not verdict.close


@pytest.mark.parametrize(("inputs", "words", "element"), SEVERITY)
def test_of_several_reasons_the_hardest_is_named(inputs, words: str, element: str) -> None:
    guard = Guarded().in_service()
    for _ in range(12):
        verdict = guard.tick(**inputs)
        if not verdict.close:
            break
    assert not verdict.close
    assert verdict.waiting_for.startswith(words)
    assert (guard.trip.element if guard.trip else "") == element


def test_the_same_estimate_again_is_not_judged_as_a_new_window() -> None:
    fresh, repeated = Guarded().in_service(), Guarded().in_service()
    for tick in range(30):
        at_s = fresh.now_s + TICK_S
        measured = estimate(1.0, 60.0 + 0.01 * tick)
        last = fresh.tick(measured, as_of_s=at_s)
        repeated.tick(measured, as_of_s=at_s)
        again = repeated.tick(measured, as_of_s=at_s)
    assert last.rocof_hz_s == pytest.approx(1.0)
    assert again.rocof_hz_s == pytest.approx(1.0)


def test_service_goes_on_with_new_settings_and_their_times_start_anew() -> None:
    guard = Guarded(protection_settings(ramp_s=100.0)).in_service()
    guard.run(1.8, estimate(0.49))
    guard.protection.adopt(protection_settings("II", delay_s=5.0, ramp_s=200.0))
    verdict = guard.tick(estimate(0.49))
    assert verdict.close
    assert verdict.service_fraction == pytest.approx(1.9 / 200.0, abs=0.001)
    assert guard.run(9.0, estimate(0.69)).close
    guard.run(1.0, estimate(0.69))
    assert guard.trip is not None
    assert (guard.trip.element, guard.trip.clearing_time_s) == ("UV1", 10.0)


def test_new_settings_of_alarm_and_relay_count_and_lost_mains_are_counted_anew() -> None:
    guard = Guarded().in_service()
    assert guard.tick(estimate(1.0, 60.3), mains_present=False).blocks is Block.NONE
    base = protection_settings(relay=RelaySettings(setting_pu=1.15, feedback=True))
    guard.protection.adopt(replace(base, grid=replace(base.grid, alarm_window_hz=0.2)))
    verdict = guard.tick(estimate(1.0, 60.3), mains_present=False)
    assert verdict.close
    assert verdict.blocks == Block.NEW_DISCHARGE | Block.RELAY_SETTING
    assert not guard.tick(mains_present=False).close


def test_settings_that_cannot_be_kept_change_nothing() -> None:
    guard = Guarded().in_service()
    guard.run(0.07, estimate(1.25))
    with pytest.raises(SettingsError, match=r"breaker\.opening_time_s 0\.2"):
        guard.protection.adopt(protection_settings("II", opening_time_s=0.2))
    guard.tick(estimate(1.25))
    assert guard.trip is not None
    assert guard.trip.element == "OV2"


def test_a_breaker_too_slow_is_refused_from_the_start() -> None:
    with pytest.raises(SettingsError, match=r"breaker\.opening_time_s"):
        Protection(protection_settings(opening_time_s=0.2), lambda: 0.0)


NUMBER = st.one_of(st.floats(-2.0, 2.0), st.floats(-1e6, 1e6), st.floats(allow_nan=False))
MAYBE = st.one_of(st.none(), NUMBER)
MAYBE_HZ = st.one_of(st.none(), st.floats(55.0, 65.0), st.just(60.0), NUMBER)
TRIPLE = st.one_of(st.just(NORMAL), st.tuples(NUMBER, NUMBER, NUMBER))
MAYBE_TRIPLE = st.tuples(MAYBE, MAYBE, MAYBE)
COMPLEX = st.complex_numbers(max_magnitude=1e6, allow_nan=False)
ESTIMATES = st.one_of(
    st.none(),
    st.just(estimate()),
    st.builds(
        Estimate,
        st.sampled_from(Validity),
        v_pu=TRIPLE,
        frequency_hz=MAYBE_HZ,
        transformer=st.builds(Power, TRIPLE, TRIPLE, TRIPLE),
        feeder=st.builds(Power, TRIPLE, TRIPLE, TRIPLE),
        centre_age_s=st.floats(0.0, 0.1),
        v_phasor_pu=st.tuples(COMPLEX, COMPLEX, COMPLEX),
        transformer_a=TRIPLE,
        feeder_a=TRIPLE,
        inverter_v_pu=TRIPLE,
        inverter_angle_deg=MAYBE_TRIPLE,
        inverter_frequency_hz=MAYBE_HZ,
    ),
)
FLAG = st.sampled_from([None, True, True, False])
INPUTS = st.builds(
    Inputs,
    estimate=ESTIMATES,
    as_of_s=MAYBE,
    judged_from_s=MAYBE,
    breaker_closed=FLAG,
    mains_present=FLAG,
    relay_closed=FLAG,
    permit_service=st.sampled_from([True, True, False]),
    latched=st.sampled_from([False, False, True]),
    start_over=st.sampled_from([False, False, False, True]),
)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.tuples(st.one_of(st.just(TICK_S), st.floats(-1.0, 1e4)), INPUTS), min_size=1, max_size=20),
    st.sampled_from([0.0, 0.05]),
)
def test_no_input_raises_or_closes_the_breaker_against_a_reason(history, delay_s: float) -> None:
    protection = Protection(protection_settings(delay_s=delay_s, random_delay_s=delay_s), lambda: 0.5)
    now_s = 0.0
    for elapsed_s, inputs in history:
        now_s += elapsed_s
        verdict = protection.step(now_s, inputs)
        valid = inputs.estimate is not None and inputs.estimate.validity is Validity.VALID
        if inputs.latched or not inputs.permit_service or not valid or inputs.start_over:
            assert not verdict.close
        if inputs.relay_closed is False or verdict.trip is not None:
            assert not verdict.close
        assert bool(verdict.waiting_for) != verdict.close
        assert 0.0 <= verdict.curtail_charge <= 1.0
        assert 0.0 <= verdict.curtail_discharge <= 1.0
        assert 0.0 <= verdict.service_fraction <= 1.0
