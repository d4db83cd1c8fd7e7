"""A dispatcher that uses all that is permitted, on a transformer off its nameplate: limits hold, nothing oscillates."""

from __future__ import annotations

import random
from dataclasses import replace
from math import pi, sin

import pytest

from support.closed_loop import ClosedLoop, Course, Dispatch, Told, ambient_course, base_course, off_nameplate
from support.thermal_following import PARAMS
from v2g.thermal.engine import EngineSettings
from v2g.thermal.limits import AGEING, Regime, SizeClass, limits_of
from v2g.thermal.sensed import EstimatorSettings
from v2g.thermal.throttle import ThrottleSettings

SETTINGS = EngineSettings(
    estimator=EstimatorSettings(params=PARAMS),
    limits={regime: limits_of(regime, SizeClass.DISTRIBUTION) for regime in Regime},
    throttle=ThrottleSettings.of_rating(PARAMS.rated_va),
)
RATED_VA = PARAMS.rated_va

TOLERANCE_K = {0.0: 0.5, 0.05: 1.0, 0.15: 4.0}
"""By how far the plant is off its nameplate: how far the true hot-spot may be above its limit while V2G adds to the
flow. 60, 60 and 100 days came to -0.6, 0.6 and 2.9 K; before gradient and errors were kept as margin, 16 and 32 days
came to 1.5 K (plant as its nameplate) and 5.1 K (15 % off)."""


def random_run(seed: int, share: float, hours: float, step_s: float = 20.0) -> Told:
    rng = random.Random(seed)
    constants, base, ambient = off_nameplate(rng, share), base_course(rng, hours), ambient_course(rng)
    dispatch: Dispatch = rng.choice(("charge", "discharge", "both"))
    loop = ClosedLoop(
        SETTINGS,
        constants=constants,
        base=base,
        ambient=ambient,
        dispatch=dispatch,
        resolution_k=rng.choice((0.1, 1.0)),
        step_s=step_s,
    )
    return loop.run(hours)


def judge(told: Told, share: float) -> None:
    assert told.over_hot_k <= TOLERANCE_K[share]
    assert told.over_oil_k <= 0.5
    assert told.most_reversals_an_hour() <= 4


@pytest.mark.parametrize(("seed", "share"), [(0, 0.0), (5, 0.15), (24, 0.15)])
def test_limits_hold_and_nothing_oscillates_whatever_the_load(seed: int, share: float) -> None:
    judge(random_run(seed, share, 8.0, 30.0), share)


@pytest.mark.soak
@pytest.mark.parametrize("share", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("seed", range(1000, 1030))
def test_limits_hold_for_days_whatever_the_load(seed: int, share: float) -> None:
    judge(random_run(seed, share, 24.0), share)


def warm(base: Course, dispatch: Dispatch = "charge", settings: EngineSettings = SETTINGS, **more: float) -> ClosedLoop:
    return ClosedLoop(
        settings,
        constants=off_nameplate(random.Random(3), 0.05),
        base=base,
        ambient=lambda hour: more.get("ambient_c", 30.0),
        dispatch=dispatch,
        step_s=30.0,
        begin_hour=more.get("begin_hour", 12.0),
    )


def test_throttling_begins_before_the_limit() -> None:
    loop = warm(lambda hour: 0.4 + 0.5 * min(1.0, (hour - 12.0) / 4.0))
    most_w = throttled_at_c = 0.0
    for _ in range(480):
        loop.run(1.0 / 120.0)
        most_w = max(most_w, loop.view.hi_w)
        if not throttled_at_c and loop.view.hi_w < 0.9 * most_w:
            throttled_at_c = loop.plant.hot_spot_c
    assert 60.0 < throttled_at_c < 115.0
    assert loop.told.over_hot_k <= 0.0
    assert loop.told.near_s > 1_800.0, "the limit was never approached: this shows nothing"


def test_discharge_that_offsets_the_overload_goes_on_until_it_is_over() -> None:
    loop = warm(lambda hour: 1.35, dispatch="discharge", ambient_c=38.0)
    loop.plant.heat_oil(112.0)
    for _ in range(120):
        before_c = loop.plant.hot_spot_c
        loop.run(1.0 / 120.0)
        view = loop.view
        if loop.ran_s > 60.0:
            assert view.hi_w == 0.0 or view.base_source is None
            assert view.base_load_w is not None
            assert -view.lo_w >= view.base_load_w - 0.1 * RATED_VA, "relief was throttled"
            if view.base_source is not None and not view.feasible:
                assert -view.lo_w <= view.base_load_w + 0.01 * RATED_VA, "export beyond 0"
                assert any("V2G cannot prevent it" in note for note in view.notes)
                assert loop.plant.hot_spot_c <= before_c
    assert loop.plant.top_oil_c < 100.0


def test_an_emergency_s_end_is_led_up_to() -> None:
    loop = warm(lambda hour: 0.7)
    loop.engine.authorisation.authorise(Regime.LONG_TIME_EMERGENCY, "anna", 3 * 3_600.0, loop.now_s)
    loop.run(2.7)
    assert loop.view.limits == SETTINGS.limits[Regime.LONG_TIME_EMERGENCY]
    assert loop.plant.hot_spot_c > 125.0
    last_c = loop.view.limits.hot_spot_c
    while loop.view.regime is not Regime.NORMAL_CYCLIC:
        loop.run(1.0 / 120.0)
        assert loop.view.limits is not None
        assert -1.5 <= loop.view.limits.hot_spot_c - last_c <= 0.0
        last_c = loop.view.limits.hot_spot_c
    assert last_c == 120.0
    assert loop.plant.hot_spot_c < 121.0


def test_an_ageing_budget_does_not_bind_an_authorised_emergency() -> None:
    loop = warm(lambda hour: 0.7, settings=replace(SETTINGS, budget_h_per_day=0.1))
    loop.run(0.1)
    assert loop.view.limits is not None
    assert loop.view.limits.hot_spot_source == AGEING
    loop.engine.authorisation.authorise(Regime.LONG_TIME_EMERGENCY, "anna", 3 * 3_600.0, loop.now_s)
    loop.run(0.1)
    assert loop.view.limits == SETTINGS.limits[Regime.LONG_TIME_EMERGENCY]


def test_a_spent_budget_leaves_the_relief_permitted_and_charges_nothing() -> None:
    loop = warm(lambda hour: 0.9, "discharge", replace(SETTINGS, budget_h_per_day=0.02), begin_hour=21.0)
    for _ in range(90):
        loop.run(1.0 / 60.0)
        if loop.ran_s > 60.0:
            assert loop.view.hi_w == 0.0
            assert loop.view.lo_source == AGEING
            assert -loop.view.lo_w == pytest.approx(0.9 * RATED_VA, abs=0.1 * RATED_VA)
    assert abs(0.9 * RATED_VA + loop.v2g_w) < 0.1 * RATED_VA


def test_midnight_of_a_budget_does_not_overshoot() -> None:
    loop = warm(lambda hour: 0.5, settings=replace(SETTINGS, budget_h_per_day=2.0), begin_hour=20.0)
    loop.run(3.99)
    before = loop.view.limits
    loop.run(0.05)
    after = loop.view.limits
    assert before is not None
    assert after is not None
    assert before.hot_spot_c - after.hot_spot_c < 18.0
    loop.run(0.5)
    assert loop.view.hot_spot_c is not None
    assert loop.view.hot_spot_c < after.hot_spot_c + 4.0


def test_cold_oil_opens_smoothly_as_it_warms() -> None:
    loop = warm(lambda hour: 0.15, ambient_c=-38.0)
    loop.plant.heat_oil(-33.0)
    permitted = []
    for _ in range(480):
        loop.run(1.0 / 120.0)
        permitted.append(loop.view.hi_w)
    assert permitted[2] < 0.5 * RATED_VA
    assert permitted[-1] > 1.2 * RATED_VA
    assert loop.told.most_reversals_an_hour() == 0
    assert loop.told.hottest_k < -60.0


@pytest.mark.parametrize("ambient_c", [-40.0, 85.0])
@pytest.mark.parametrize("dispatch", ["charge", "discharge"])
def test_the_ends_of_the_ambient_range(ambient_c: float, dispatch: Dispatch) -> None:
    loop = warm(lambda hour: 0.15 + 0.05 * sin(hour * pi), dispatch, ambient_c=ambient_c)
    loop.run(3.0)
    assert loop.told.over_hot_k <= 0.5
    assert loop.told.over_oil_k <= 0.5
    assert any("usual service" in note for note in loop.view.notes)


@pytest.mark.parametrize("horizon_s", [60.0, 1680.0])
def test_horizons_of_a_minute_and_of_half_an_hour(horizon_s: float) -> None:
    loop = warm(lambda hour: 0.6 + 0.2 * sin(hour), settings=replace(SETTINGS, horizon_s=horizon_s))
    loop.run(4.0)
    assert loop.told.over_hot_k <= 0.5
    assert loop.view.hi_w > 0.2 * RATED_VA
