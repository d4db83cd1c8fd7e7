"""The permitted interval as it is handed out. Powers in W on a transformer of 250 kVA, one update a second."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.thermal.headroom import PermittedInterval, permitted_interval
from v2g.thermal.limits import HOT_SPOT, TOP_OIL, UNKNOWN, Regime, SizeClass, limits_of
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import from_nameplate
from v2g.thermal.throttle import MOST_COUNTED_S, TURNS_PER_H, Throttle, ThrottleSettings

RATED_VA = 250e3
DEFAULT = ThrottleSettings.of_rating(RATED_VA)
QUICK = ThrottleSettings(hysteresis_w=1000.0, hold_s=5.0, release_w_s=500.0)

magnitudes = st.floats(0.0, 300e3)
steps = st.sampled_from((0.1, 1.0, 1.0, 1.0, 7.0))


def raw(lo_w: float, hi_w: float, base_source: str | None = None) -> PermittedInterval:
    return PermittedInterval(
        lo_w=lo_w,
        hi_w=hi_w,
        lo_source=base_source or TOP_OIL,
        hi_source=base_source or HOT_SPOT,
        feasible=True,
        lo_binds_at_s=900.0,
        hi_binds_at_s=600.0,
        base_source=base_source,
        hot_spot_c=100.0,
        top_oil_c=90.0,
    )


UNKNOWN_RAW = PermittedInterval(
    lo_w=0.0, hi_w=0.0, lo_source=UNKNOWN, hi_source=UNKNOWN, feasible=False, lo_binds_at_s=0.0, hi_binds_at_s=0.0,
    base_source=UNKNOWN, hot_spot_c=math.inf, top_oil_c=math.inf,
)  # fmt: skip


def discharge(throttle: Throttle, values_w: Sequence[float], start_s: float = 0.0) -> list[float]:
    """Magnitudes of the discharge end, one a second."""
    return [-throttle.update(raw(-w, 0.0), 0.0, start_s + n).lo_w for n, w in enumerate(values_w)]


@given(st.lists(st.tuples(magnitudes, magnitudes, steps), min_size=1, max_size=60))
def test_never_wider_than_raw_and_zero_is_inside(sequence: list[tuple[float, float, float]]) -> None:
    throttle, now_s = Throttle(QUICK), 0.0
    for lo, hi, step_s in sequence:
        now_s += step_s
        out = throttle.update(raw(-lo, hi), 0.0, now_s)
        assert -lo <= out.lo_w <= 0.0 <= out.hi_w <= hi
        assert out.lo_source == (TOP_OIL if out.lo_w == -lo else f"{TOP_OIL}, held")
        assert out.hi_source == (HOT_SPOT if out.hi_w == hi else f"{HOT_SPOT}, held")


@given(st.lists(magnitudes, min_size=2, max_size=60))
def test_a_narrower_end_is_followed_at_once(values: list[float]) -> None:
    out = discharge(Throttle(QUICK), values)
    for before, now, now_raw in zip(out, out[1:], values[1:], strict=False):
        if now_raw <= before:
            assert now == now_raw


@given(magnitudes, st.lists(st.floats(0.0, 0.999), min_size=2, max_size=80))
def test_what_oscillates_by_less_than_the_hysteresis_never_widens(around: float, noise: list[float]) -> None:
    out = discharge(Throttle(QUICK), [around + share * QUICK.hysteresis_w for share in noise])
    assert all(now <= before for before, now in pairwise(out))


@given(st.lists(st.tuples(magnitudes, steps), min_size=2, max_size=80))
def test_it_widens_no_faster_than_the_release(sequence: list[tuple[float, float]]) -> None:
    throttle, now_s = Throttle(QUICK), 0.0
    before = -throttle.update(raw(-sequence[0][0], 0.0), 0.0, now_s).lo_w
    for value, step_s in sequence[1:]:
        now_s += step_s
        out = -throttle.update(raw(-value, 0.0), 0.0, now_s).lo_w
        assert out <= before + QUICK.release_w_s * step_s + 1e-6
        before = out


def test_a_wider_end_is_held_then_released_to_half_the_hysteresis_below() -> None:
    out = discharge(Throttle(DEFAULT), [100e3] + [200e3] * 600)
    assert out[:121] == [100e3] * 121
    assert out[121] == pytest.approx(100e3 + RATED_VA / 600.0)
    assert 120 + 234 <= out.index(197.5e3) <= 120 + 236
    assert out[-1] == 197.5e3


def test_the_full_rating_is_released_in_ten_minutes() -> None:
    out = discharge(Throttle(DEFAULT), [0.0] + [2.0 * RATED_VA] * 900)
    assert out[120 + 600] == pytest.approx(RATED_VA)


def test_one_dip_begins_the_hold_anew() -> None:
    values = [100e3] + [200e3] * 100 + [101e3] + [200e3] * 118 + [200e3] * 5
    assert max(discharge(Throttle(DEFAULT), values)[:221]) == 100e3


def test_it_is_released_to_what_held_all_the_time_not_to_the_peaks_of_noise() -> None:
    values = [100e3] + [160e3 + (8e3 if n % 2 else 0.0) for n in range(900)]
    assert max(discharge(Throttle(DEFAULT), values)) == 157.5e3


def test_once_released_noise_of_less_than_half_the_hysteresis_moves_nothing() -> None:
    values = [100e3] + [160e3 - (2.4e3 if n % 7 == 0 else 0.0) for n in range(1800)]
    out = discharge(Throttle(DEFAULT), values)
    assert len(_turns(out)) == 0
    assert len(set(out[-900:])) == 1


def test_the_two_ends_are_followed_apart() -> None:
    throttle = Throttle(DEFAULT)
    throttle.update(raw(-100e3, 50e3), 0.0, 0.0)
    out = throttle.update(raw(-150e3, 20e3), 0.0, 1.0)
    assert (out.lo_w, out.hi_w) == (-100e3, 20e3)
    assert (out.lo_source, out.hi_source) == (f"{TOP_OIL}, held", HOT_SPOT)
    assert (out.lo_binds_at_s, out.hi_binds_at_s) == (900.0, 600.0)


@given(st.lists(st.tuples(magnitudes, magnitudes), min_size=2, max_size=40))
def test_relief_by_discharge_is_never_held_back_by_more_than_the_noise_of_the_base_load(
    sequence: list[tuple[float, float]],
) -> None:
    throttle = Throttle(DEFAULT)
    for n, (width, relief) in enumerate(sequence):
        out = throttle.update(raw(-width, 0.0, HOT_SPOT), -relief, float(n))
        assert out.lo_w <= -min(width, relief) + 4.0 * DEFAULT.hysteresis_w
        assert out.hi_w == 0.0


def test_a_little_more_relief_is_given_once_it_has_lasted() -> None:
    throttle = Throttle(DEFAULT)
    throttle.update(raw(-80e3, 0.0, HOT_SPOT), -80e3, 0.0)
    out = [throttle.update(raw(-95e3, 0.0, HOT_SPOT), -95e3, float(n)).lo_w for n in range(1, 125)]
    assert out[60] == -80e3
    assert out[-1] == -95e3


def test_relief_does_not_flutter_with_the_noise_of_the_base_load() -> None:
    rng, throttle, out = random.Random(3), Throttle(DEFAULT), []
    for n in range(3600):
        base_w = 300e3 + rng.gauss(0.0, 2.5e3)
        handed = throttle.update(raw(-base_w, 0.0, HOT_SPOT), -base_w, float(n))
        out.append(-handed.lo_w)
    assert len(_turns(out)) <= TURNS_PER_H
    assert min(out) > 280e3


def test_relief_by_charging_under_reverse_flow_is_never_held_back() -> None:
    throttle = Throttle(DEFAULT)
    throttle.update(raw(0.0, 10e3, HOT_SPOT), 80e3, 0.0)
    assert throttle.update(raw(0.0, 90e3, HOT_SPOT), 80e3, 1.0).hi_w == 80e3


def test_beyond_the_relief_an_end_is_held_as_ever() -> None:
    throttle = Throttle(DEFAULT)
    throttle.update(raw(-10e3, 0.0, HOT_SPOT), -80e3, 0.0)
    assert throttle.update(raw(-120e3, 0.0, HOT_SPOT), -80e3, 1.0).lo_w == -80e3


def test_without_an_overload_there_is_no_relief() -> None:
    throttle = Throttle(DEFAULT)
    throttle.update(raw(-10e3, 0.0), -80e3, 0.0)
    assert throttle.update(raw(-120e3, 0.0), -80e3, 1.0).lo_w == -10e3


def test_unknown_is_followed_at_once_and_forgets() -> None:
    throttle = Throttle(DEFAULT)
    throttle.update(raw(-100e3, 50e3), 0.0, 0.0)
    assert throttle.update(UNKNOWN_RAW, 0.0, 1.0) == UNKNOWN_RAW
    known = raw(-120e3, 60e3)
    assert throttle.update(known, 0.0, 2.0) == known


@pytest.mark.parametrize(("lo_w", "hi_w"), [(math.nan, 10.0), (-10.0, math.nan), (5.0, 10.0), (-10.0, -5.0)])
def test_an_interval_that_is_none_permits_nothing(lo_w: float, hi_w: float) -> None:
    throttle = Throttle(DEFAULT)
    throttle.update(raw(-100e3, 50e3), 0.0, 0.0)
    out = throttle.update(raw(lo_w, hi_w), 0.0, 1.0)
    assert (out.lo_w, out.hi_w, out.lo_source, out.base_source) == (0.0, 0.0, UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("clock_s", [-1e6, -1.0, 0.0, math.nan])
def test_a_clock_that_steps_back_releases_nothing(clock_s: float) -> None:
    throttle = Throttle(QUICK)
    discharge(throttle, [10e3] + [90e3] * 6)
    before = throttle.update(raw(-90e3, 0.0), 0.0, 7.0).lo_w
    assert before < -10e3
    assert throttle.update(raw(-90e3, 0.0), 0.0, 0.0 if clock_s == 0.0 else clock_s).lo_w == before


def test_after_a_step_back_it_goes_on() -> None:
    throttle = Throttle(DEFAULT)
    discharge(throttle, [10e3] + [90e3] * 60, start_s=1e6)
    assert discharge(throttle, [90e3] * 700, start_s=3.0)[-1] == 87.5e3


def test_a_clock_that_jumps_ahead_does_not_end_the_hold() -> None:
    throttle = Throttle(DEFAULT)
    discharge(throttle, [10e3, 90e3])
    assert throttle.update(raw(-90e3, 0.0), 0.0, 1e6).lo_w == -10e3


def test_a_clock_that_jumps_ahead_releases_little() -> None:
    throttle = Throttle(DEFAULT)
    out = discharge(throttle, [0.0] + [250e3] * 130)[-1]
    jumped = -throttle.update(raw(-250e3, 0.0), 0.0, 1e6).lo_w
    assert jumped == pytest.approx(out + MOST_COUNTED_S * DEFAULT.release_w_s)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from((3, 60, 300, 900)))
def test_however_wild_the_limit_the_output_turns_four_times_in_any_hour(seed: int, dwell: int) -> None:
    rng = random.Random(seed)
    values: list[float] = []
    while len(values) < 7200:
        values += [rng.uniform(0.0, 250e3)] * rng.randint(1, dwell)
    turns = _turns(discharge(Throttle(DEFAULT), values[:7200]))
    assert all(later - first >= 3600 for first, later in zip(turns, turns[TURNS_PER_H:], strict=False))


@pytest.mark.parametrize("seed", range(2))
def test_a_noisy_limit_on_an_evening_turns_the_output_at_most_four_times_an_hour(seed: int) -> None:
    # Six hours of a limit that falls and comes back by the oil's time constant, under a base load whose noise is
    # correlated over half a minute (2 kW) and steps now and then by 12 kW for some minutes.
    rng, slow, block, until = random.Random(seed), 0.0, 0.0, 0
    values: list[float] = []
    for n in range(6 * 3600):
        slow += (rng.gauss(0.0, 2e3) * math.sqrt(2.0 / 30.0)) - slow / 30.0
        if n >= until:
            block, until = rng.choice((0.0, 12e3)), n + int(rng.expovariate(1.0 / 400.0)) + 1
        values.append(max(0.0, 120e3 - 90e3 * math.sin(math.pi * n / 21600.0) + slow - block))
    out = discharge(Throttle(DEFAULT), values)
    turns = _turns(out)
    assert all(later - first >= 3600 for first, later in zip(turns, turns[TURNS_PER_H:], strict=False)), turns
    assert sum(out) > 0.7 * sum(values)


def _turns(out: Sequence[float]) -> list[int]:
    turns, up = [], None
    for n, (before, now) in enumerate(pairwise(out), 1):
        if now == before:
            continue
        if up is not None and (now > before) is not up:
            turns.append(n)
        up = now > before
    return turns


@pytest.mark.parametrize(
    "changes", [{"hysteresis_w": -1.0}, {"hold_s": math.nan}, {"release_w_s": 0.0}, {"release_w_s": math.inf}]
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, float]) -> None:
    fields = {"hysteresis_w": 5e3, "hold_s": 120.0, "release_w_s": 400.0} | changes
    with pytest.raises(ValueError, match=f"throttle {next(iter(changes))} = "):
        ThrottleSettings(**fields)


def test_on_a_real_transformer_s_evening_the_raw_ends_flutter_and_those_handed_out_do_not() -> None:
    # 250 kVA, warm oil, base load from 150 to 235 kW and back in three hours, with the noise of a measured load.
    params = from_nameplate(
        cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
    limits = limits_of(Regime.NORMAL_CYCLIC, SizeClass.DISTRIBUTION)
    rng, state, throttle = random.Random(7), steady_state(params, 0.75, 35.0).with_top_oil(88.0), Throttle(DEFAULT)
    step_s, raws, outs = 10.0, [], []
    for n in range(1080):
        base_w = 150e3 + 85e3 * math.sin(math.pi * n / 1080.0) + rng.gauss(0.0, 2e3)
        state = step(state, params, base_w / RATED_VA, 35.0, step_s)
        interval = permitted_interval(state, params, limits, base_w=base_w, ambient_c=35.0)
        out = throttle.update(interval, -base_w, n * step_s)
        raws.append(interval)
        outs.append(out)
        assert interval.lo_w <= out.lo_w <= 0.0 <= out.hi_w <= interval.hi_w
    per_hour = round(3600.0 / step_s)
    for end in ("lo_w", "hi_w"):
        assert len(_turns([abs(getattr(each, end)) for each in raws])) > 300
        turns = _turns([abs(getattr(each, end)) for each in outs])
        assert all(later - first >= per_hour for first, later in zip(turns, turns[TURNS_PER_H:], strict=False)), turns
    assert min(each.hi_w for each in outs) < 0.6 * outs[0].hi_w
    assert outs[-1].hi_w > 0.9 * raws[-1].hi_w
