from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.grid.overcurrent import (
    RECOVER_S,
    RESET_S,
    SETTLE_S,
    Curtailment,
    Curve,
    Overcurrent,
    OvercurrentSettings,
    adding,
    operate_time_s,
)

TICK_S = 0.01
FEEDER = OvercurrentSettings(place="feeder", rated_a=100.0)
TRANSFORMER = OvercurrentSettings(place="transformer", rated_a=200.0, pickup_pu=1.5)


def until_trip(element: Overcurrent, amps: tuple[float, float, float], longest_s: float, begin_s: float = 0.0):
    for tick in range(round(longest_s / TICK_S) + 1):
        trip = element.step(begin_s + tick * TICK_S, amps)
        if trip is not None:
            return trip
    return None


@pytest.mark.parametrize(
    ("curve", "multiple", "time_s"),
    [
        # t = k / (M^alpha - 1) at TMS 1
        (Curve.STANDARD_INVERSE, 2.0, 10.03),
        (Curve.STANDARD_INVERSE, 5.0, 4.28),
        (Curve.STANDARD_INVERSE, 10.0, 2.97),
        (Curve.VERY_INVERSE, 2.0, 13.50),
        (Curve.VERY_INVERSE, 10.0, 1.50),
        (Curve.EXTREMELY_INVERSE, 2.0, 26.67),
        (Curve.EXTREMELY_INVERSE, 10.0, 0.808),
    ],
)
def test_the_published_points_of_the_characteristics(curve: Curve, multiple: float, time_s: float) -> None:
    assert operate_time_s(curve, 1.0, multiple) == pytest.approx(time_s, rel=2e-3)
    settings_ = OvercurrentSettings(
        place="feeder", rated_a=100.0, pickup_pu=1.2, curve=curve, time_multiplier=1.0, instantaneous_pu=1000.0
    )
    trip = until_trip(Overcurrent(settings_), (0.0, 120.0 * multiple, 0.0), 40.0)
    assert trip is not None
    assert trip.at_s == pytest.approx(time_s, abs=0.02)
    assert (trip.element, trip.phase, trip.threshold, trip.unit) == ("51 feeder", "b", 120.0, "A")
    assert trip.value == pytest.approx(120.0 * multiple)


def test_the_characteristic_is_flat_above_twenty_times() -> None:
    assert operate_time_s(Curve.VERY_INVERSE, 1.0, 21.0) == operate_time_s(Curve.VERY_INVERSE, 1.0, 20.0)
    assert operate_time_s(Curve.VERY_INVERSE, 1.0, math.inf) == pytest.approx(13.5 / 19)
    assert operate_time_s(Curve.VERY_INVERSE, 1.0, 1.0) == math.inf


def test_on_pick_up_it_never_trips() -> None:
    assert until_trip(Overcurrent(FEEDER), (120.0, 120.0, 120.0), 60.0) is None


def test_pumping_currents_add_up() -> None:
    """SI, TMS 0.1 at twice pick-up takes 1.003 s. 0.6 s on, 1 s off (falls back by 1/10 of a full turn), again."""
    element = Overcurrent(OvercurrentSettings(place="feeder", rated_a=100.0))
    assert until_trip(element, (240.0, 0.0, 0.0), 0.6) is None
    assert until_trip(element, (50.0, 0.0, 0.0), 1.0, 0.6) is None
    trip = until_trip(element, (240.0, 0.0, 0.0), 1.0, 1.6)
    assert trip is not None
    turned = 0.6 / 1.003 - 1.0 / RESET_S
    assert trip.at_s == pytest.approx(1.6 + (1 - turned) * 1.003, abs=0.04)
    assert trip.picked_up_at_s == pytest.approx(0.0, abs=TICK_S)


def test_after_a_long_rest_the_disk_is_back() -> None:
    element = Overcurrent(FEEDER)
    assert until_trip(element, (240.0, 0.0, 0.0), 0.9) is None
    assert until_trip(element, (50.0, 0.0, 0.0), RESET_S, 0.9) is None
    assert until_trip(element, (240.0, 0.0, 0.0), 0.9, 0.9 + RESET_S) is None


def test_the_definite_time_element_trips_after_its_time_and_starts_over_when_the_current_returns() -> None:
    element = Overcurrent(OvercurrentSettings(place="transformer", rated_a=100.0, time_multiplier=1.5))
    element.step(0.0, (10.0, 10.0, 10.0))
    assert element.step(0.01, (10.0, 10.0, 301.0)) is None
    assert element.step(0.09, (10.0, 10.0, 301.0)) is None
    assert element.step(0.10, (10.0, 10.0, 300.0)) is None
    assert element.step(0.11, (10.0, 10.0, 301.0)) is None
    assert element.step(0.19, (10.0, 10.0, 301.0)) is None
    trip = element.step(0.2001, (10.0, 10.0, 301.0))
    assert trip is not None
    assert (trip.element, trip.phase, trip.value, trip.threshold) == ("50 transformer", "c", 301.0, 300.0)
    assert trip.picked_up_at_s == pytest.approx(0.10)


def test_a_gap_counts_for_no_more_than_a_tenth_of_a_second() -> None:
    element = Overcurrent(FEEDER)
    element.step(0.0, (240.0, 0.0, 0.0))
    assert element.step(60.0, (240.0, 0.0, 0.0)) is None
    element.reset()
    assert element.step(61.0, (240.0, 0.0, 0.0)) is None


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.tuples(*[st.floats(0.0, 119.9)] * 3)), max_size=50))
def test_below_pick_up_nothing_trips(history) -> None:
    element, now_s = Overcurrent(FEEDER), 0.0
    for elapsed_s, amps in history:
        now_s += elapsed_s
        assert element.step(now_s, amps) is None


# feeder A, feeder W, transformer A, transformer W -> charge, discharge that may stay
CURTAILED = [
    # Nothing is beyond its rating.
    (90.0, 20e3, 150.0, 30e3, 1.0, 1.0),
    # The feeder charges with 125 A of 100 A: 100/125.
    (125.0, 28e3, 150.0, 30e3, 0.8, 1.0),
    # It discharges with as much.
    (125.0, -28e3, 50.0, 10e3, 1.0, 0.8),
    # The transformer carries 220 A of 200 A, 80 A of it to the vehicles: (80-20)/80.
    (80.0, 18e3, 220.0, 50e3, 0.75, 1.0),
    # The same with discharge that offsets local load: charge would add, discharge is left alone.
    (80.0, -18e3, 220.0, 50e3, 0.0, 1.0),
    # Reverse flow of 220 A, 80 A of it from the vehicles.
    (80.0, -18e3, 220.0, -50e3, 1.0, 0.75),
    # Reverse flow, vehicles charge and relieve it.
    (80.0, 18e3, 220.0, -50e3, 1.0, 0.0),
    # Base load alone exceeds the rating.
    (0.0, 0.0, 260.0, 59e3, 0.0, 1.0),
    # More is too much than the vehicles take.
    (30.0, 7e3, 260.0, 59e3, 0.0, 1.0),
    # Only reactive current: neither direction.
    (125.0, 0.0, 150.0, 30e3, 0.8, 0.8),
]


@pytest.mark.parametrize(("feeder_a", "feeder_w", "transformer_a", "transformer_w", "charge", "discharge"), CURTAILED)
@pytest.mark.parametrize("phase", [0, 1, 2])
def test_only_the_direction_that_adds_is_cut_and_to_what_fits(
    feeder_a: float,
    feeder_w: float,
    transformer_a: float,
    transformer_w: float,
    charge: float,
    discharge: float,
    phase: int,
) -> None:
    def on(value: float) -> tuple[float, float, float]:
        values = [0.0, 0.0, 0.0]
        values[phase] = value
        return (values[0], values[1], values[2])

    curtailment = Curtailment(FEEDER, TRANSFORMER)
    curtailment.step(0.0, on(feeder_a), on(transformer_a), on(feeder_w), on(transformer_w))
    assert curtailment.charge == pytest.approx(charge)
    assert curtailment.discharge == pytest.approx(discharge)


def run(curtailment: Curtailment, begin_s: float, seconds: float, feeder_a: float) -> float:
    """Charge on all phases; returns the time."""
    for tick in range(1, round(seconds / TICK_S) + 1):
        curtailment.step(begin_s + tick * TICK_S, (feeder_a,) * 3, (50.0,) * 3, (20e3,) * 3, (9e3,) * 3)
    return begin_s + seconds


def test_a_cut_is_given_time_to_show_before_it_is_made_again() -> None:
    curtailment = Curtailment(FEEDER, TRANSFORMER)
    run(curtailment, 0.0, SETTLE_S, 125.0)
    assert curtailment.charge == pytest.approx(0.8)


def test_an_overload_that_stays_is_cut_further() -> None:
    curtailment = Curtailment(FEEDER, TRANSFORMER)
    run(curtailment, 0.0, SETTLE_S + 2 * TICK_S, 125.0)
    assert curtailment.charge == pytest.approx(0.8 * 0.8)


def test_an_overload_that_grows_is_cut_at_once() -> None:
    curtailment = Curtailment(FEEDER, TRANSFORMER)
    now_s = run(curtailment, 0.0, 0.1, 125.0)
    run(curtailment, now_s, 0.1, 200.0)
    assert curtailment.charge == pytest.approx(100.0 / 200.0)


def test_it_comes_back_below_97_percent_only_and_over_its_time() -> None:
    curtailment = Curtailment(FEEDER, TRANSFORMER)
    now_s = run(curtailment, 0.0, 0.1, 200.0)
    now_s = run(curtailment, now_s, 5.0, 98.0)
    assert curtailment.charge == pytest.approx(0.5)
    now_s = run(curtailment, now_s, 2.0, 96.0)
    assert curtailment.charge == pytest.approx(0.5 + 2.0 / RECOVER_S)
    run(curtailment, now_s, 3.1, 96.0)
    assert curtailment.charge == 1.0


def test_a_plant_that_takes_a_third_of_a_second_settles_at_its_rating() -> None:
    curtailment = Curtailment(FEEDER, TRANSFORMER)
    wanted_a, pipe = 160.0, [1.0] * 33
    for tick in range(6000):
        current_a = wanted_a * pipe[0]
        curtailment.step(tick * TICK_S, (current_a,) * 3, (50.0,) * 3, (20e3,) * 3, (9e3,) * 3)
        pipe = [*pipe[1:], curtailment.charge]
        if tick > 100:
            assert 85.0 <= current_a <= 104.0
    assert 90.0 <= wanted_a * curtailment.charge <= 102.0


AMPS = st.tuples(*[st.floats(0.0, 1e4)] * 3)
WATTS = st.tuples(*[st.floats(-1e6, 1e6)] * 3)


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.tuples(st.floats(-0.1, 5.0), AMPS, AMPS, WATTS, WATTS), min_size=1, max_size=40))
def test_factors_stay_within_0_and_1_and_never_rise_in_the_direction_that_adds_to_an_overload(history) -> None:
    curtailment, now_s = Curtailment(FEEDER, TRANSFORMER), 0.0
    for elapsed_s, feeder_a, transformer_a, feeder_w, transformer_w in history:
        now_s += elapsed_s
        before = (curtailment.charge, curtailment.discharge)
        curtailment.step(now_s, feeder_a, transformer_a, feeder_w, transformer_w)
        assert 0.0 <= curtailment.charge <= 1.0
        assert 0.0 <= curtailment.discharge <= 1.0
        overloads = [w for a, w in zip(feeder_a, feeder_w, strict=True) if a > 100.0]
        overloads += [w for a, w in zip(transformer_a, transformer_w, strict=True) if a > 200.0]
        if any(w >= 0.0 for w in overloads):
            assert curtailment.charge <= before[0]
        if any(w <= 0.0 for w in overloads):
            assert curtailment.discharge <= before[1]


@pytest.mark.parametrize(
    ("feeder_a", "feeder_w", "transformer_w", "adds"),
    [
        (50.0, 11e3, 20e3, True),
        (50.0, -11e3, -20e3, True),
        (50.0, -11e3, 20e3, False),
        (50.0, 11e3, -20e3, False),
        (1.9, 400.0, 20e3, False),
        (50.0, 0.0, 20e3, False),
    ],
)
def test_the_feeder_adds_to_the_transformer_in_its_direction_and_beyond_noise(
    feeder_a: float, feeder_w: float, transformer_w: float, adds: bool
) -> None:
    assert adding(FEEDER, (feeder_a,) * 3, (feeder_w,) * 3, (transformer_w,) * 3) == [adds] * 3
