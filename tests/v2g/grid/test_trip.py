from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.grid.enter_service import EnterService
from v2g.grid.settings import SettingsError, default_enter_service_settings, default_trip_settings
from v2g.grid.trip import (
    MIN_INTENTIONAL_DELAY_S,
    UNKNOWN_HELD_S,
    TripLogic,
    TripTiming,
    require_young_samples,
    tick_timing,
)

TRIPS = default_trip_settings("III", 60.0)
TIMING = TripTiming(opening_time_s=0.05, voltage_latency_s=0.032, frequency_latency_s=0.065)
NORMAL = (1.0, 1.0, 1.0)
ELEMENTS = [element.element for element in TRIPS.elements]


def beyond(name: str) -> tuple[tuple[float, float, float], float]:
    element = TRIPS.element(name)
    off = 0.001 if name.startswith("O") else -0.001
    if name[1] == "V":
        return (1.0, element.threshold + off, 1.0), 60.0
    return NORMAL, element.threshold + off


@pytest.mark.parametrize("name", ELEMENTS)
def test_the_command_leaves_the_breaker_its_opening_time_and_the_estimator_its_latency(name: str) -> None:
    logic = TripLogic(TRIPS, TIMING)
    element = TRIPS.element(name)
    latency_s = 0.032 if name[1] == "V" else 0.065
    delay_s = element.clearing_time_s - 0.05 - latency_s - 0.01
    assert logic.step(0.0, *beyond(name)) is None
    assert logic.step(delay_s - 1e-6, *beyond(name)) is None
    trip = logic.step(delay_s + 1e-6, *beyond(name))
    assert trip is not None
    assert trip.element == name
    assert trip.phase == ("b" if name[1] == "V" else "")
    assert trip.at_s + 0.05 + latency_s <= element.clearing_time_s


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_timer_starts_over_when_the_quantity_returns(name: str) -> None:
    logic = TripLogic(TRIPS, TIMING)
    delay_s = TIMING.intentional_delay_s(TRIPS.element(name))
    logic.step(0.0, *beyond(name))
    assert name in logic.picked_up
    assert logic.step(delay_s - 0.001, NORMAL, 60.0) is None
    assert logic.picked_up == ()
    assert logic.step(delay_s, *beyond(name)) is None
    assert logic.step(2 * delay_s - 0.001, *beyond(name)) is None
    assert logic.step(2 * delay_s + 0.001, *beyond(name)) is not None


def test_a_fault_that_moves_to_another_phase_keeps_the_timer() -> None:
    logic = TripLogic(TRIPS, TIMING)
    logic.step(0.0, (0.4, 1.0, 1.0), 60.0)
    logic.step(1.0, (1.0, 1.0, 0.4), 60.0)
    trip = logic.step(1.95, (1.0, 1.0, 0.3), 60.0)
    assert trip is not None
    assert (trip.element, trip.phase, trip.value) == ("UV2", "c", 0.3)


def test_an_unknown_frequency_holds_no_frequency_timer() -> None:
    logic = TripLogic(TRIPS, TIMING)
    logic.step(0.0, NORMAL, 63.0)
    assert logic.step(0.02, NORMAL, None) is None
    assert logic.step(0.06, NORMAL, 63.0) is None


def test_ticks_without_a_frequency_do_not_start_a_timer_of_300_s_over() -> None:
    logic = TripLogic(TRIPS, TIMING)
    trip, tick = None, 0
    while trip is None and tick < 4000:
        tick += 1
        trip = logic.step(tick * 0.1, NORMAL, None if tick % 100 < 9 else 58.0)
    assert trip is not None
    assert trip.element == "UF1"
    assert trip.picked_up_at_s == pytest.approx(0.9)
    assert trip.at_s <= 302.0


def test_a_frequency_unknown_for_longer_starts_the_timer_over() -> None:
    logic = TripLogic(TRIPS, TIMING)
    logic.step(0.0, NORMAL, 58.0)
    logic.step(UNKNOWN_HELD_S, NORMAL, None)
    assert logic.picked_up == ("UF1",)
    logic.step(UNKNOWN_HELD_S + 0.01, NORMAL, None)
    assert logic.picked_up == ()


def test_a_frequency_back_in_range_starts_the_timer_over_at_once() -> None:
    logic = TripLogic(TRIPS, TIMING)
    logic.step(0.0, NORMAL, 58.0)
    logic.step(0.1, NORMAL, None)
    logic.step(0.2, NORMAL, 60.0)
    assert logic.picked_up == ()


def test_a_timer_runs_from_the_last_samples_before_the_event() -> None:
    logic = TripLogic(TRIPS, TIMING)
    delay_s = TIMING.intentional_delay_s(TRIPS.element("OV2"))
    assert logic.step(10.0, (1.3, 1.0, 1.0), 60.0, 9.98) is None
    trip = logic.step(9.98 + delay_s + 1e-6, (1.3, 1.0, 1.0), 60.0, 10.0)
    assert trip is not None
    assert trip.picked_up_at_s == 9.98


def test_samples_may_be_as_old_as_the_strictest_clearing_time_leaves_room_for() -> None:
    timing = tick_timing(0.05, 60.0)
    assert timing.max_age_s(TRIPS) == pytest.approx(0.04)
    require_young_samples(timing, TRIPS, 0.04)
    with pytest.raises(SettingsError, match=r"waveform.max_age_s 0.15: .*allow_slow"):
        require_young_samples(timing, TRIPS, 0.15)


def test_a_breaker_too_slow_for_the_strictest_element_is_refused_with_the_time_it_would_need() -> None:
    slowest_s = 0.16 - 0.065 - 0.01 - MIN_INTENTIONAL_DELAY_S
    TripLogic(TRIPS, TripTiming(slowest_s, 0.032, 0.065))
    with pytest.raises(SettingsError, match=r"OF2 .* must open within 0.050 s"):
        TripLogic(TRIPS, TripTiming(slowest_s + 0.001, 0.032, 0.065))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.tuples(*[st.floats(0.89, 1.09)] * 3), st.one_of(st.none(), st.floats(58.51, 61.19)), st.floats(0, 50)
        ),
        max_size=40,
    )
)
def test_nothing_inside_continuous_operation_ever_picks_up(history) -> None:
    logic, now_s = TripLogic(TRIPS, TIMING), 0.0
    for v_pu, frequency_hz, elapsed_s in history:
        now_s += elapsed_s
        assert logic.step(now_s, v_pu, frequency_hz) is None
        assert logic.picked_up == ()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 1.4), st.floats(50, 66), st.floats(0.005, 0.02)), min_size=1, max_size=200))
def test_a_trip_only_comes_after_its_delay_without_a_break(history) -> None:
    logic, now_s, beyond_since_s = TripLogic(TRIPS, TIMING), 0.0, {}
    for v, f, elapsed_s in history:
        now_s += elapsed_s
        for element in TRIPS.elements:
            if element.is_beyond(v if element.element[1] == "V" else f):
                beyond_since_s.setdefault(element.element, now_s)
            else:
                beyond_since_s.pop(element.element, None)
        trip = logic.step(now_s, (v, v, v), f)
        due = {
            name
            for name, since_s in beyond_since_s.items()
            if now_s - since_s - TIMING.intentional_delay_s(TRIPS.element(name)) >= 0.0
        }
        assert (trip is None) == (not due)
        if trip is not None:
            assert trip.element in due


def test_enter_service_needs_the_window_without_a_break() -> None:
    service = EnterService(default_enter_service_settings(60.0, 5.0))
    assert not service.step(0.0, NORMAL, 60.0)
    assert service.remaining_s == 5.0
    assert not service.step(4.0, NORMAL, 60.0)
    assert service.remaining_s == pytest.approx(1.0)
    assert not service.step(4.5, NORMAL, None)
    assert not service.in_window
    assert not service.step(5.0, NORMAL, 59.5)
    assert not service.step(9.9, (0.917, 1.05, 1.0), 60.1)
    assert service.step(10.0, NORMAL, 60.0)
    service.reset()
    assert not service.ready
    assert service.remaining_s == 5.0


def test_enter_service_without_a_delay_is_ready_at_once() -> None:
    service = EnterService(default_enter_service_settings(60.0, 0.0))
    assert service.step(0.0, NORMAL, 60.0)
    assert not service.step(0.01, (1.0, 1.0, 1.051), 60.0)
