"""The sensor ladder in closed loop: whatever fails, power goes the safe way, the words are right, and it recovers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from math import pi, sin

import msgspec
import pytest

from support.closed_loop import ClosedLoop, off_nameplate
from support.thermal_following import PARAMS
from v2g.thermal.engine import EngineMemory, EngineSettings, ThermalEngine
from v2g.thermal.limits import Regime, SizeClass, limits_of
from v2g.thermal.sensed import TOP_OIL, EstimatorSettings, Sensed
from v2g.thermal.sensor_watch import Health
from v2g.thermal.throttle import ThrottleSettings

SETTINGS = EngineSettings(
    estimator=EstimatorSettings(params=PARAMS),
    limits={regime: limits_of(regime, SizeClass.DISTRIBUTION) for regime in Regime},
    throttle=ThrottleSettings.of_rating(PARAMS.rated_va),
)


def charging(hours: float = 6.0, step_s: float = 30.0) -> ClosedLoop:
    """On a warm day, charged as much as is permitted for so long."""
    loop = ClosedLoop(
        SETTINGS,
        constants=off_nameplate(random.Random(3), 0.05),
        base=lambda hour: 0.55 + 0.2 * sin(hour * pi / 12.0),
        ambient=lambda hour: 25.0 + 5.0 * sin((hour - 3.0) * pi / 12.0),
        step_s=step_s,
        begin_hour=4.0,
    )
    loop.run(hours)
    return loop


def failing(loop: ClosedLoop, hours: float, garble: Callable[[Sensed], Sensed]) -> None:
    loop.garble = garble
    loop.run(hours)


def recovers(loop: ClosedLoop, hours: float = 1.5) -> None:
    loop.garble = lambda sensed: sensed
    loop.run(hours)
    view = loop.view
    assert view.notes == ()
    assert view.sensors[TOP_OIL].health is Health.OK
    assert view.top_oil_c == pytest.approx(loop.plant.top_oil_c, abs=0.6)
    assert view.margin_k < 3.0
    assert view.hi_w > 50e3


@pytest.mark.soak
def test_top_oil_lost_for_six_hours_and_back() -> None:
    loop = charging()
    before = loop.view
    failing(loop, 6.0, lambda sensed: replace(sensed, top_oil_c=None))
    view = loop.view
    assert view.notes == ("no top-oil temperature: the thermal model runs on load and ambient alone",)
    assert view.margin_k > before.margin_k + 11.0
    assert view.hot_spot_c is not None
    assert view.hot_spot_c + view.hot_spot_margin_k > loop.plant.hot_spot_c
    assert loop.told.over_hot_k <= 0.0
    recovers(loop)


@pytest.mark.soak
def test_a_sensor_that_freezes_low_is_found_within_two_hours_though_the_loop_holds_the_oil_still() -> None:
    loop = charging()
    frozen_c = round(loop.plant.top_oil_c - 6.0, 1)
    failing(loop, 2.0, lambda sensed: replace(sensed, top_oil_c=frozen_c))
    assert loop.view.sensors[TOP_OIL].health is Health.STUCK
    assert f"reads {frozen_c:.1f} °C and does not move" in loop.view.notes[0]
    failing(loop, 4.0, lambda sensed: replace(sensed, top_oil_c=frozen_c))
    assert loop.plant.hot_spot_c < 120.0
    assert loop.told.over_hot_k < 6.0
    recovers(loop)


@pytest.mark.soak
def test_a_sensor_that_drifts_by_two_kelvin_a_day_is_named_within_a_week() -> None:
    loop = charging()
    begun_s = loop.ran_s
    failing(
        loop,
        24.0 * 7.0,
        lambda sensed: replace(sensed, top_oil_c=(sensed.top_oil_c or 0.0) - 2.0 * (loop.ran_s - begun_s) / 86_400.0),
    )
    assert loop.view.sensors[TOP_OIL].health is Health.DRIFTING
    assert "drifts by" in loop.view.notes[0]
    assert loop.told.over_hot_k < 12.0
    assert loop.plant.hot_spot_c < 120.0
    recovers(loop, 30.0)


@pytest.mark.soak
def test_a_jump_up_counts_and_leaves_the_relief_permitted() -> None:
    loop = charging()
    failing(loop, 1.0, lambda sensed: replace(sensed, top_oil_c=(sensed.top_oil_c or 0.0) + 40.0))
    view = loop.view
    assert view.hi_w == 0.0
    assert view.base_load_w is not None
    assert -view.lo_w == pytest.approx(view.base_load_w, abs=25e3)
    assert "hotter than load and ambient explain: measurement taken" in view.notes[0]
    recovers(loop)


def test_a_jump_down_is_not_believed() -> None:
    loop = charging()
    failing(loop, 1.0, lambda sensed: replace(sensed, top_oil_c=(sensed.top_oil_c or 0.0) - 40.0))
    assert "top-oil transducer jumped to" in loop.view.notes[0]
    assert loop.told.over_hot_k <= 0.0
    recovers(loop)


@pytest.mark.soak
def test_ambient_lost_is_counted_warmer_and_warmer() -> None:
    loop = charging()
    failing(loop, 4.0, lambda sensed: replace(sensed, ambient_c=None))
    assert loop.view.ambient_c == 40.0
    assert "40 °C assumed" in loop.view.notes[0]
    assert loop.told.over_hot_k <= 0.0
    recovers(loop)


def test_load_lost_means_no_power_and_teaches_no_bias() -> None:
    loop = charging()
    before = loop.view
    failing(loop, 1.0, lambda sensed: replace(sensed, k_pu=None))
    view = loop.view
    assert (view.lo_w, view.hi_w) == (0.0, 0.0)
    assert view.hi_source == "thermal: transformer load unknown"
    assert view.bias_k == before.bias_k
    loop.garble = lambda sensed: sensed
    loop.run(0.2)
    assert loop.view.bias_k == pytest.approx(before.bias_k, abs=0.3)
    recovers(loop)


def test_harmonics_that_come_narrow_and_that_go_are_held_for_ten_minutes() -> None:
    loop = charging()
    before = loop.view
    failing(loop, 0.05, lambda sensed: replace(sensed, f_hl=6.0))
    assert loop.view.load_loss_factor == pytest.approx(1.6 / 1.1, abs=0.01)
    assert loop.view.hi_w < before.hi_w - 20e3
    loop.garble = lambda sensed: sensed
    loop.run(0.1)
    assert loop.view.load_loss_factor > 1.4
    loop.run(0.2)
    assert loop.view.load_loss_factor == 1.0
    assert "harmonics of the load current are no longer measured" in loop.view.notes[0]


def test_a_restart_in_the_middle_changes_nothing_but_the_throttle() -> None:
    loop = charging()
    before = loop.view
    memory = loop.engine.memory(loop.now_s, loop.unix_s)
    memory = msgspec.structs.replace(memory, forecast=loop.engine.learned())
    memory = msgspec.json.decode(msgspec.json.encode(memory), type=EngineMemory)
    loop.engine = ThermalEngine(SETTINGS, memory, now_s=5.0, now_unix_s=loop.unix_s + 30.0)
    loop.now_s = 5.0
    assert loop.engine.remarks == []
    loop.run(0.1)
    view = loop.view
    assert view.hi_w == pytest.approx(before.hi_w, abs=15e3)
    assert view.margin_k == pytest.approx(before.margin_k, abs=0.6)
    loop.run(2.0)
    assert view.bias_k == pytest.approx(before.bias_k, abs=0.3)
    assert loop.told.over_hot_k <= 0.0


@pytest.mark.soak
def test_a_wall_clock_set_back_by_a_year_stops_nothing() -> None:
    loop = charging()
    loop.unix_s -= 366 * 86_400.0
    loop.run(1.0)
    recovers(loop)


@pytest.mark.soak
def test_a_machine_that_slept_for_two_hours_goes_on() -> None:
    loop = charging()
    loop.now_s += 7_200.0
    loop.unix_s += 7_200.0
    for _ in range(720):
        loop.plant.step(0.9, 10.0)
    loop.run(loop.step_s / 3_600.0)
    assert "made no step for 2.0 h" in loop.view.notes[0]
    recovers(loop)
    assert loop.told.over_hot_k <= 0.0
