from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.grid import profiles
from v2g.grid.settings import Measured, SettingsError, Side, Timing, TripSetting, TripSettings
from v2g.grid.trip import (
    MIN_INTENTIONAL_DELAY_S,
    NO_FREQUENCY,
    UNKNOWN_HELD_S,
    TripLogic,
    TripTiming,
    require_young_samples,
    tick_timing,
)

TRIPS = profiles.resolve(nominal_frequency_hz=60.0).trips
TIMING = TripTiming(opening_time_s=0.05, voltage_latency_s=0.032, frequency_latency_s=0.065)
NORMAL = (1.0, 1.0, 1.0)
SAG = (0.45, 0.45, 0.45)
ELEMENTS = [element.element for element in TRIPS.elements]
CENTRE_AGE_S = 0.03
"""Half of three cycles of 50 Hz."""


def only(settings: TripSettings, name: str) -> TripSettings:
    return replace(settings, elements=(settings.element(name),))


def european(
    quantity: Measured, side: Side, threshold: float, time_s: float, timing: Timing = Timing.OPERATE
) -> TripSettings:
    element = TripSetting("E", quantity, side, threshold, time_s, "a profile", timing)
    return TripSettings("profile", 50.0, (element,))


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
    delay_s = element.time_s - 0.05 - latency_s - 0.01
    assert logic.step(0.0, *beyond(name)) is None
    assert logic.step(delay_s - 1e-6, *beyond(name)) is None
    trip = logic.step(delay_s + 1e-6, *beyond(name))
    assert trip is not None
    assert trip.element == name
    assert trip.phase == ("b" if name[1] == "V" else "")
    assert trip.at_s + 0.05 + latency_s <= element.time_s


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


def test_an_unknown_frequency_holds_no_timer_of_a_fast_frequency_element() -> None:
    logic = TripLogic(TRIPS, TIMING)
    logic.step(0.0, NORMAL, 63.0)
    assert logic.step(0.02, NORMAL, None) is None
    assert logic.step(0.06, NORMAL, 63.0) is None


def test_ticks_without_a_frequency_do_not_start_a_timer_of_300_s_over() -> None:
    logic = TripLogic(only(TRIPS, "UF1"), TIMING)
    trip, tick = None, 0
    while trip is None and tick < 4000:
        tick += 1
        hidden = tick % 100 < 9
        trip = logic.step(tick * 0.1, SAG if hidden else NORMAL, None if hidden else 58.0)
    assert trip is not None
    assert trip.element == "UF1"
    assert trip.picked_up_at_s == pytest.approx(0.9)
    assert trip.at_s <= 302.0


def test_a_frequency_unknown_for_longer_starts_the_timer_over() -> None:
    logic = TripLogic(only(TRIPS, "UF1"), TIMING)
    logic.step(0.0, NORMAL, 58.0)
    logic.step(UNKNOWN_HELD_S, SAG, None)
    assert logic.picked_up == ("UF1",)
    logic.step(UNKNOWN_HELD_S + 0.01, SAG, None)
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


@settings(max_examples=examples(80), deadline=None)
@given(
    st.lists(
        st.tuples(st.tuples(*[st.floats(0.89, 1.09)] * 3), st.floats(58.51, 61.19), st.floats(0, 50)),
        max_size=40,
    )
)
def test_nothing_inside_continuous_operation_ever_picks_up(history) -> None:
    logic, now_s = TripLogic(TRIPS, TIMING), 0.0
    for v_pu, frequency_hz, elapsed_s in history:
        now_s += elapsed_s
        assert logic.step(now_s, v_pu, frequency_hz) is None
        assert logic.picked_up == ()


@settings(max_examples=examples(80), deadline=None)
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


# (quantity, side, threshold, time, value beyond, how long before the newest samples its time tag lies)
OPERATE = [
    (Measured.VOLTAGE, Side.UNDER, 0.80, 2.5, 0.78, 0.5 / 50.0),
    (Measured.VOLTAGE_10MIN, Side.OVER, 1.10, 0.1, 1.11, 0.5 / 50.0),
    (Measured.FREQUENCY, Side.OVER, 51.5, 0.1, 51.6, CENTRE_AGE_S),
    (Measured.FREQUENCY, Side.UNDER, 47.5, 20.0, 47.4, CENTRE_AGE_S),
    (Measured.ROCOF, Side.OVER, 1.0, 0.5, -1.2, CENTRE_AGE_S),
]


def feed(logic: TripLogic, quantity: Measured, value: float, now_s: float, since_s: float):
    """One measurement whose newest samples are 4 ms old."""
    voltage = (1.0, value, 1.0)
    return logic.step(
        now_s,
        voltage if quantity is Measured.VOLTAGE else NORMAL,
        value if quantity is Measured.FREQUENCY else 50.0,
        since_s,
        as_of_s=now_s - 0.004,
        centre_age_s=CENTRE_AGE_S,
        rocof_hz_s=value if quantity is Measured.ROCOF else 0.0,
        v_10min_pu=voltage if quantity is Measured.VOLTAGE_10MIN else NORMAL,
    )


@pytest.mark.parametrize(("quantity", "side", "threshold", "time_s", "value", "age_s"), OPERATE)
def test_an_operate_time_counts_from_the_time_tag_of_the_first_estimate_beyond(
    quantity: Measured, side: Side, threshold: float, time_s: float, value: float, age_s: float
) -> None:
    logic = TripLogic(european(quantity, side, threshold, time_s), tick_timing(0.05, 50.0))
    due_s = 10.0 - 0.004 - age_s + time_s
    assert feed(logic, quantity, value, 10.0, 9.986) is None
    assert feed(logic, quantity, value, due_s - 1e-6, 10.0) is None
    trip = feed(logic, quantity, value, due_s + 1e-6, 10.0)
    assert trip is not None
    assert (trip.element, trip.quantity, trip.value) == ("E", quantity.value, abs(value))
    assert trip.phase == ("b" if quantity in (Measured.VOLTAGE, Measured.VOLTAGE_10MIN) else "")
    assert trip.picked_up_at_s == 9.986
    assert trip.clearing_time_s == pytest.approx(time_s + 0.05)
    assert trip.unit == {"voltage": "pu", "voltage_10min": "pu", "frequency": "Hz", "rocof": "Hz/s"}[trip.quantity]


@pytest.mark.parametrize(("quantity", "side", "threshold", "time_s", "value", "age_s"), OPERATE)
def test_an_operate_timer_starts_over_when_the_quantity_returns(
    quantity: Measured, side: Side, threshold: float, time_s: float, value: float, age_s: float
) -> None:
    logic = TripLogic(european(quantity, side, threshold, time_s), tick_timing(0.05, 50.0))
    feed(logic, quantity, value, 0.0, -0.01)
    inside = {Measured.FREQUENCY: 50.0, Measured.ROCOF: 0.0}.get(quantity, 1.0)
    assert feed(logic, quantity, inside, 0.01, 0.0) is None
    assert logic.picked_up == ()
    assert feed(logic, quantity, value, time_s, time_s - 0.01) is None


def test_a_ramp_is_timed_from_its_crossing_of_the_threshold() -> None:
    """-0.9 Hz/s from 50 Hz crosses 47.0 Hz 3.333 s later; 0.5 s to the command and 50 ms of breaker: 3.883 s."""
    logic = TripLogic(european(Measured.FREQUENCY, Side.UNDER, 47.0, 0.5), tick_timing(0.05, 50.0))
    trip, now_s, since_s = None, 0.0, None
    while trip is None:
        now_s = round(now_s + 0.010, 6)
        as_of_s = now_s - 0.003
        frequency_hz = 50.0 - 0.9 * max(0.0, as_of_s - CENTRE_AGE_S)
        trip = logic.step(now_s, NORMAL, frequency_hz, since_s, as_of_s=as_of_s, centre_age_s=CENTRE_AGE_S)
        since_s = as_of_s
    assert 3.0 / 0.9 + 0.5 <= trip.at_s <= 3.0 / 0.9 + 0.5 + 2 * 0.010


def test_an_operate_time_is_never_shorter_than_what_a_phase_jump_takes_to_leave_the_windows() -> None:
    logic = TripLogic(european(Measured.FREQUENCY, Side.OVER, 51.5, 0.04), tick_timing(0.05, 50.0))
    logic.step(10.0, NORMAL, 52.0, 9.99, as_of_s=9.996, centre_age_s=CENTRE_AGE_S)
    shortest_s = 9.99 + MIN_INTENTIONAL_DELAY_S
    assert logic.step(shortest_s - 1e-6, NORMAL, 52.0, 10.0, centre_age_s=CENTRE_AGE_S) is None
    assert logic.step(shortest_s + 1e-6, NORMAL, 52.0, 10.0, centre_age_s=CENTRE_AGE_S) is not None


@pytest.mark.parametrize(
    ("trips", "shown_hz", "nominal_hz"),
    [
        (TRIPS, 62.9, 60.0),
        (TRIPS, 56.0, 60.0),
        (european(Measured.FREQUENCY, Side.OVER, 51.5, 0.1), 52.5, 50.0),
        (european(Measured.FREQUENCY, Side.OVER, 51.5, 0.04), 52.5, 50.0),
    ],
)
@pytest.mark.parametrize("batch_late_s", [0.0, 0.005])
def test_what_a_phase_jump_shows_for_15_ms_trips_nothing(
    trips: TripSettings, shown_hz: float, nominal_hz: float, batch_late_s: float
) -> None:
    logic = TripLogic(trips, tick_timing(0.05, nominal_hz))
    since_s = None
    for tick in range(12):
        now_s = tick * 0.010
        as_of_s = now_s - batch_late_s
        settling = 0.030 <= as_of_s < 0.045
        frequency_hz = shown_hz if settling else nominal_hz
        assert logic.step(now_s, NORMAL, frequency_hz, since_s, as_of_s=as_of_s, centre_age_s=0.025) is None
        since_s = as_of_s


def test_an_unknown_rate_of_change_resets_its_timer() -> None:
    logic = TripLogic(european(Measured.ROCOF, Side.OVER, 1.0, 0.5), tick_timing(0.05, 50.0))
    logic.step(0.0, NORMAL, 50.0, rocof_hz_s=1.2)
    assert logic.picked_up == ("E",)
    logic.step(0.01, NORMAL, 50.0, rocof_hz_s=None)
    assert logic.picked_up == ()


@pytest.mark.parametrize("told_hz", [0.65 * 60.0, 1.35 * 60.0])
def test_a_frequency_beyond_the_believable_range_is_told_as_its_nearer_end_and_trips(told_hz: float) -> None:
    logic = TripLogic(TRIPS, TIMING)
    logic.step(0.0, NORMAL, told_hz)
    trip = logic.step(0.16, NORMAL, told_hz)
    assert trip is not None
    assert trip.element == ("UF2" if told_hz < 60.0 else "OF2")


def test_a_healthy_voltage_without_a_frequency_trips_after_50_ms() -> None:
    logic = TripLogic(TRIPS, TIMING)
    assert logic.step(1.00, NORMAL, None) is None
    assert logic.picked_up == (NO_FREQUENCY,)
    assert logic.step(1.049, NORMAL, None) is None
    trip = logic.step(1.051, NORMAL, None)
    assert trip is not None
    assert (trip.element, trip.quantity, trip.value, trip.threshold) == (NO_FREQUENCY, "voltage", 1.0, 0.5)
    assert "check the bus voltage channels" in trip.remedy


@pytest.mark.parametrize(("v_pu", "frequency_hz"), [((0.49, 0.2, 0.1), None), (NORMAL, 60.0)])
def test_the_unknown_frequency_element_starts_over(v_pu: tuple[float, float, float], frequency_hz) -> None:
    logic = TripLogic(only(TRIPS, "OF2"), TIMING)
    logic.step(0.0, NORMAL, None)
    logic.step(0.04, v_pu, frequency_hz)
    assert logic.picked_up == ()
    assert logic.step(0.06, NORMAL, None) is None
    assert logic.step(0.10, NORMAL, None) is None


def test_a_breaker_may_be_slow_where_times_count_to_the_command() -> None:
    trips = european(Measured.FREQUENCY, Side.OVER, 51.5, 0.1)
    TripLogic(trips, tick_timing(0.2, 50.0))
    with pytest.raises(SettingsError, match=r"must open within 0\.045 s"):
        TripLogic(european(Measured.FREQUENCY, Side.OVER, 51.5, 0.16, Timing.CLEARING), tick_timing(0.2, 50.0))


def test_no_samples_are_too_old_for_no_element() -> None:
    require_young_samples(tick_timing(0.05, 50.0), TripSettings("none", 50.0, ()), 0.5)


def test_samples_may_not_be_older_than_an_operate_time_leaves_room_for() -> None:
    """0.1 s less three cycles and a tick leave 30 ms; the shortest delay of 35 ms is what counts."""
    timing = tick_timing(0.05, 50.0)
    trips = european(Measured.FREQUENCY, Side.OVER, 51.5, 0.1)
    assert timing.max_age_s(trips) == pytest.approx(max(MIN_INTENTIONAL_DELAY_S, 0.1 - 0.06 - 0.01))
    with pytest.raises(SettingsError, match="E; set at most that"):
        require_young_samples(timing, trips, 0.04)


def test_a_clock_that_went_back_starts_the_timer_over() -> None:
    logic = TripLogic(only(TRIPS, "OV1"), TIMING)
    delay_s = TIMING.intentional_delay_s(TRIPS.element("OV1"))
    logic.step(100.0, (1.15, 1.0, 1.0), 60.0)
    assert logic.step(50.0, (1.15, 1.0, 1.0), 60.0) is None
    trip = logic.step(50.0 + delay_s + 1e-6, (1.15, 1.0, 1.0), 60.0)
    assert trip is not None
    assert trip.picked_up_at_s == 50.0
