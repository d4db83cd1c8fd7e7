from __future__ import annotations

import random
from collections.abc import Callable
from math import cos, inf, isfinite, isnan, nan, pi

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.calendar import DayType, LocalMinute
from v2g.thermal.forecast import Forecast, Forecaster, ForecastMemory, MinuteMeans

RATED_VA = 400e3
START = 29_000_160
"""A local midnight."""


def local(minute: int, shift: int = 0) -> LocalMinute:
    return LocalMinute(START + minute, DayType.WORKDAY, (minute + shift) % 1440)


def evening_w(minute: int) -> float:
    """Rises by up to 0.5 kW a minute, and is in reverse around noon."""
    return 80e3 + 110e3 * cos(2 * pi * (minute - 1140) / 1440)


def means(minute: int, base_w: float | None, ambient_c: float | None = 20.0, shift: int = 0) -> MinuteMeans:
    return MinuteMeans(at=local(minute, shift), base_w=base_w, base_var=20e3, ambient_c=ambient_c)


def make(minutes: int = 15) -> Forecaster:
    return Forecaster(rated_va=RATED_VA, minutes=minutes)


def live(
    forecaster: Forecaster,
    minutes: range,
    load: Callable[[int], float],
    ambient: Callable[[int], float] = lambda _: 20.0,
) -> None:
    for minute in minutes:
        forecaster.observe(means(minute, load(minute), ambient(minute)))


def noisy(spread_w: float, seed: int = 1) -> Callable[[int], float]:
    rng = random.Random(seed)
    return lambda minute: evening_w(minute) + rng.gauss(0.0, spread_w)


@pytest.fixture(scope="module")
def four_days() -> ForecastMemory:
    forecaster = make()
    live(forecaster, range(4 * 1440), noisy(1e3))
    return forecaster.memory()


@pytest.fixture
def experienced(four_days: ForecastMemory) -> Forecaster:
    forecaster = make()
    forecaster.recall(four_days)
    return forecaster


def said(forecaster: Forecaster, minute: int, base_w: float, ambient_c: float = 20.0) -> Forecast:
    return forecaster.predict(local(minute), base_w, 20e3, ambient_c)


class TestWhatComesNext:
    def test_the_first_minute_ever_is_the_present_with_bounds_by_the_rating(self) -> None:
        forecast = said(make(), 0, 100e3)
        assert forecast.base_w == pytest.approx((100e3,) * 15)
        assert forecast.base_var == pytest.approx((20e3,) * 15)
        assert forecast.ambient_c == pytest.approx((20.0,) * 15)
        assert forecast.base_margin_w[0] == pytest.approx(0.05 * RATED_VA)
        assert forecast.base_margin_w[-1] == pytest.approx(0.19 * RATED_VA)
        assert forecast.ambient_margin_k[-1] == pytest.approx(2.0)
        assert forecast.learned_minutes == 0

    @pytest.mark.parametrize("minute", [420, 700, 960, 1140, 1432])
    def test_the_usual_rise_is_foreseen(self, experienced: Forecaster, minute: int) -> None:
        begin = 4 * 1440
        live(experienced, range(begin, begin + minute), noisy(1e3, seed=2))
        now = begin + minute - 1
        forecast = said(experienced, now, evening_w(now))
        came = [evening_w(now + n) for n in range(1, 16)]
        errors = [abs(a - b) for a, b in zip(forecast.base_w, came, strict=True)]
        assert max(errors) < 2e3
        assert all(error <= margin for error, margin in zip(errors, forecast.base_margin_w, strict=True))

    def test_reverse_flow_is_foreseen_with_its_sign(self, experienced: Forecaster) -> None:
        before = next(minute for minute in range(1440) if evening_w(minute) > 0.0 > evening_w(minute + 8))
        now = 4 * 1440 + before
        live(experienced, range(now - 30, now + 1), evening_w)
        forecast = said(experienced, now, evening_w(now))
        assert forecast.base_w[0] > 0.0 > forecast.base_w[-1]

    def test_a_ramp_that_proved_to_go_on_goes_on(self) -> None:
        forecaster = make()

        def saw(minute: int) -> float:
            return 100e3 + 500.0 * abs(minute % 200 - 100)

        live(forecaster, range(1_200), lambda minute: saw(minute * 7 // 5))
        now = 1_250
        live(forecaster, range(1_200, now + 1), lambda minute: saw(minute * 7 // 5))
        forecast = said(forecaster, now, saw(now * 7 // 5))
        came = saw((now + 5) * 7 // 5)
        stays = abs(came - saw(now * 7 // 5))
        assert abs(forecast.base_w[4] - came) < 0.75 * stays

    def test_a_load_step_is_followed_at_once(self, experienced: Forecaster) -> None:
        now = 4 * 1440 + 600
        live(experienced, range(now - 60, now + 1), noisy(1e3, seed=3))
        forecast = said(experienced, now, evening_w(now) + 150e3)
        assert forecast.base_w[0] == pytest.approx(evening_w(now + 1) + 150e3, abs=10e3)

    def test_the_ripple_of_single_seconds_is_smoothed_once_it_proved_to_be_ripple(
        self, experienced: Forecaster
    ) -> None:
        rng = random.Random(4)
        begin = 4 * 1440
        swing = []
        for minute in range(begin, begin + 1_000):
            experienced.observe(means(minute, evening_w(minute) + rng.gauss(0.0, 1e3)))
            newest = evening_w(minute) + rng.gauss(0.0, 2e3)
            swing.append(
                (
                    abs(said(experienced, minute, newest).base_w[0] - evening_w(minute + 1)),
                    abs(newest - evening_w(minute + 1)),
                )
            )
        late = swing[-500:]
        assert sum(ours for ours, _ in late) < 0.6 * sum(theirs for _, theirs in late)

    def test_each_minutes_values_are_as_many_as_asked_for(self) -> None:
        for minutes in (1, 2, 30):
            forecaster = make(minutes)
            live(forecaster, range(100), noisy(1e3))
            forecast = said(forecaster, 100, 50e3)
            assert {len(forecast.base_w), len(forecast.base_var), len(forecast.ambient_c)} == {minutes}
            assert {len(forecast.base_margin_w), len(forecast.ambient_margin_k)} == {minutes}


class TestBounds:
    def test_nineteen_of_twenty_errors_lie_within_for_every_minute_ahead(self, experienced: Forecaster) -> None:
        begin, count = 4 * 1440, 2_500
        rng = random.Random(6)
        loads = [evening_w(minute) + rng.gauss(0.0, 3e3) for minute in range(begin, begin + count + 15)]
        within = [0] * 15
        for offset in range(count):
            minute = begin + offset
            experienced.observe(means(minute, loads[offset]))
            forecast = said(experienced, minute, loads[offset])
            for n in range(1, 16):
                within[n - 1] += abs(loads[offset + n] - forecast.base_w[n - 1]) <= forecast.base_margin_w[n - 1]
        assert [share / count for share in within] == pytest.approx([0.96] * 15, abs=0.025)

    def test_a_quiet_load_has_narrow_bounds_and_a_burst_widens_them_within_minutes(
        self, experienced: Forecaster
    ) -> None:
        now = 4 * 1440 + 300
        live(experienced, range(now - 120, now), noisy(1e3, seed=7))
        calm = said(experienced, now - 1, evening_w(now - 1)).base_margin_w
        assert calm[-1] < 0.03 * RATED_VA
        live(experienced, range(now, now + 5), noisy(40e3, seed=8))
        wide = said(experienced, now + 4, evening_w(now + 4)).base_margin_w
        assert all(a > 4.0 * b for a, b in zip(wide, calm, strict=True))

    def test_bounds_are_of_what_was_handed_out(self, four_days: ForecastMemory) -> None:
        rng = random.Random(10)
        widths = []
        for off_w in (0.0, 60e3):
            forecaster = make()
            forecaster.recall(four_days)
            for minute in range(4 * 1440, 4 * 1440 + 120):
                forecaster.observe(means(minute, evening_w(minute)))
                said(forecaster, minute, evening_w(minute) + rng.choice((-off_w, off_w)))
            widths.append(said(forecaster, minute, evening_w(minute)).base_margin_w[0])
        assert widths[1] > 5.0 * widths[0]

    def test_ambient_is_bounded_on_the_warm_side(self) -> None:
        forecaster = make()
        rng = random.Random(9)
        live(forecaster, range(2_000), evening_w, lambda minute: 20.0 + 0.1 * rng.randrange(3))
        forecast = said(forecaster, 2_000, evening_w(2_000))
        assert 0.0 < forecast.ambient_margin_k[0] < 0.6

    def test_months_of_absence_bring_the_prior_back(self, experienced: Forecaster) -> None:
        before = said(experienced, 4 * 1440, evening_w(0)).base_margin_w[-1]
        later = 300 * 1440
        experienced.observe(means(later, evening_w(later)))
        forecast = said(experienced, later, evening_w(later))
        assert forecast.base_margin_w[-1] > 5.0 * before / 2.0
        assert forecast.learned_minutes < 100
        came = evening_w(later + 15)
        assert abs(forecast.base_w[14] - came) < 0.6 * abs(evening_w(later) - came)


class TestTime:
    def test_repeated_and_older_minutes_are_ignored(self, experienced: Forecaster) -> None:
        experienced.observe(means(6_000, evening_w(6_000)))
        before = experienced.memory()
        experienced.observe(means(6_000, 390e3))
        experienced.observe(means(5_900, 390e3))
        assert experienced.memory() == before

    def test_a_clock_set_back_by_more_than_a_day_does_not_stop_the_learning(self, experienced: Forecaster) -> None:
        experienced.observe(means(50_000_000, evening_w(0)))
        learned = said(experienced, 6_000, evening_w(6_000)).learned_minutes
        live(experienced, range(6_000, 6_060), evening_w)
        assert said(experienced, 6_060, evening_w(6_060)).learned_minutes > learned + 50

    def test_gaps_leave_no_false_trend(self, experienced: Forecaster) -> None:
        begin = 4 * 1440
        live(experienced, range(begin, begin + 300), evening_w)
        after = begin + 900
        experienced.observe(means(after, evening_w(after)))
        forecast = said(experienced, after, evening_w(after))
        assert forecast.base_w[9] == pytest.approx(evening_w(after + 10), abs=4e3)

    @pytest.mark.parametrize("shift", [60, -60], ids=["missing hour", "doubled hour"])
    def test_daylight_saving_moves_the_profile_with_local_time(self, experienced: Forecaster, shift: int) -> None:
        def load(minute: int) -> float:
            return evening_w(minute + (shift if minute >= change else 0))

        change = 4 * 1440 + (120 if shift > 0 else 180)
        for minute in range(change - 60, change + 600):
            moved = shift if minute >= change else 0
            experienced.observe(means(minute, load(minute), shift=moved))
        now = change + 599
        forecast = experienced.predict(local(now, shift), load(now), 20e3, 20.0)
        assert forecast.base_w[14] == pytest.approx(load(now + 15), abs=2e3)


class TestBadInput:
    @pytest.mark.parametrize("bad", [nan, inf, -inf, 1e12, -5e6])
    def test_a_load_that_cannot_be_is_not_learned_and_gives_no_forecast(
        self, experienced: Forecaster, bad: float
    ) -> None:
        before = experienced.memory().data["profile base_w"]
        experienced.observe(means(6_000, bad))
        assert experienced.memory().data["profile base_w"] == before
        forecast = said(experienced, 6_000, bad)
        assert all(map(isnan, forecast.base_w))
        assert all(map(isfinite, (*forecast.base_var, *forecast.ambient_c, *forecast.base_margin_w)))

    def test_kelvin_is_not_learned_as_celsius(self, experienced: Forecaster) -> None:
        experienced.observe(means(5_999, evening_w(5_999), 20.0))
        before = experienced.memory()
        experienced.observe(means(6_000, None, 293.15))
        after = experienced.memory()
        assert after.data["profile ambient_c"] == before.data["profile ambient_c"]
        assert after.data["building"] == before.data["building"]
        assert all(map(isnan, said(experienced, 6_000, evening_w(6_000), 293.15).ambient_c))

    @pytest.mark.parametrize(
        ("what", "words"),
        [
            ({"rated_va": 0.0}, "rated power"),
            ({"rated_va": nan}, "rated power"),
            ({"rated_va": 1e5, "minutes": 0}, "0 minutes"),
            ({"rated_va": 1e5, "minutes": 61}, "61 minutes"),
            ({"rated_va": 1e5, "coverage": 1.0}, "coverage"),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, what: dict[str, float], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            Forecaster(**what)  # type: ignore[arg-type]

    values = st.none() | st.floats() | st.floats(-1e6, 1e6)

    @settings(max_examples=examples(60), deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(-3_000, 3_000), st.sampled_from(DayType), st.integers(-10, 3_000), values, values, values
            ),
            max_size=40,
        ),
        st.tuples(st.floats(-4e6, 4e6), st.floats(-4e6, 4e6), st.floats(-60.0, 90.0)),
    )
    def test_no_stream_of_minutes_breaks_it(
        self,
        stream: list[tuple[int, DayType, int, float | None, float | None, float | None]],
        present: tuple[float, float, float],
    ) -> None:
        forecaster = make(5)
        size = sum(map(len, forecaster.memory().data.values()))
        at = LocalMinute(START, DayType.WORKDAY, 0)
        for offset, kind, minute, base_w, base_var, ambient_c in stream:
            at = LocalMinute(START + offset, kind, minute)
            forecaster.observe(MinuteMeans(at=at, base_w=base_w, base_var=base_var, ambient_c=ambient_c))
            forecaster.predict(at, *(nan if value is None else value for value in (base_w, base_var, ambient_c)))
        forecast = forecaster.predict(at, *present)
        for bounds in (forecast.base_margin_w, forecast.ambient_margin_k):
            assert all(isfinite(bound) and bound >= 0.0 for bound in bounds)
            assert list(bounds) == sorted(bounds)
        assert all(map(isfinite, (*forecast.base_w, *forecast.base_var, *forecast.ambient_c)))
        memory = forecaster.memory()
        assert sum(map(len, memory.data.values())) <= size + 2
        make(5).recall(memory)


class TestMemory:
    def test_what_was_learned_survives_a_restart_as_plain_numbers(self, experienced: Forecaster) -> None:
        encoded = msgspec.json.encode(experienced.memory())
        assert len(encoded) < 200_000
        again = make()
        again.recall(msgspec.json.decode(encoded, type=ForecastMemory))
        assert again.memory() == experienced.memory()
        assert said(again, 6_000, 50e3) == said(experienced, 6_000, 50e3)

    def test_its_size_does_not_grow_with_time(self, four_days: ForecastMemory) -> None:
        assert sum(map(len, four_days.data.values())) == sum(map(len, make().memory().data.values())) + 2

    def test_another_transformers_memory_is_refused_and_nothing_of_it_taken(self, four_days: ForecastMemory) -> None:
        other = Forecaster(rated_va=630e3)
        fresh = other.memory()
        with pytest.raises(ValueError, match="it learns anew"):
            other.recall(four_days)
        assert other.memory() == fresh

    def test_a_damaged_memory_is_refused_and_nothing_of_it_taken(self, four_days: ForecastMemory) -> None:
        def changed(**parts: list[float]) -> ForecastMemory:
            names = {name: name.replace("_", " ", 1) if name.startswith("bounds") else name for name in parts}
            return ForecastMemory(version=1, data=four_days.data | {names[k]: v for k, v in parts.items()})

        lacking = ForecastMemory(version=1, data={k: v for k, v in four_days.data.items() if k != "bounds base_w"})
        damaged = [
            lacking,
            ForecastMemory(version=2, data=four_days.data),
            changed(last=[nan]),
            changed(building=[1.0, 2.0]),
            changed(building=[1e300]),
            changed(bounds_base_w=[1.0]),
            changed(bounds_ambient_c=[inf] * len(four_days.data["bounds ambient_c"])),
        ]
        for memory in damaged:
            forecaster = make()
            fresh = forecaster.memory()
            with pytest.raises(ValueError, match=r"it learns anew|damaged"):
                forecaster.recall(memory)
            assert forecaster.memory() == fresh
