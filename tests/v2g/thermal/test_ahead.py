"""The forecast curve that people are shown: where it begins, where it ends, and that V2G power makes the difference."""

from __future__ import annotations

import pytest

from v2g.thermal.ahead import ahead
from v2g.thermal.forecast import Forecast
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import from_nameplate

PARAMS = from_nameplate(
    cooling="ONAN", rated_kva=250.0, top_oil_rise_k=60.0, hot_spot_gradient_k=22.0, loss_ratio_r=6.0
)
MINUTES = 15


def forecast(base_w: float = 150e3) -> Forecast:
    return Forecast(
        base_w=(base_w,) * MINUTES,
        base_var=(0.0,) * MINUTES,
        ambient_c=(20.0,) * MINUTES,
        base_margin_w=tuple(1e3 * n for n in range(MINUTES)),
        ambient_margin_k=(0.0,) * MINUTES,
        learned_minutes=0,
    )


def settled(load_w: float = 150e3) -> ThermalState:
    return steady_state(PARAMS, load_w / 250e3, 20.0)


def test_a_settled_transformer_stays_where_it_is() -> None:
    state = settled()
    course = ahead(state, PARAMS, forecast(), 0.0, 0.0)
    assert course.hot_spot_c == pytest.approx([state.hot_spot_c] * MINUTES)
    assert course.base_top_oil_c == course.top_oil_c == pytest.approx([state.theta_o_c] * MINUTES)
    assert course.base_margin_w[-1] == 14e3


def test_charging_heats_minute_by_minute_and_the_base_load_alone_does_not() -> None:
    course = ahead(settled(), PARAMS, forecast(), 0.0, 60e3)
    assert list(course.hot_spot_c) == sorted(course.hot_spot_c)
    assert course.hot_spot_c[-1] > course.base_hot_spot_c[-1] + 3.0
    assert course.base_hot_spot_c == pytest.approx([settled().hot_spot_c] * MINUTES)


def test_each_minute_is_a_step_of_the_model_with_the_bias_in_the_ambient() -> None:
    state = settled(100e3)
    course = ahead(state, PARAMS, forecast(), 3.0, -40e3)
    for minute in range(MINUTES):
        state = step(state, PARAMS, 110e3 / 250e3, 23.0, 60.0)
        assert (course.top_oil_c[minute], course.hot_spot_c[minute]) == (state.theta_o_c, state.hot_spot_c)
