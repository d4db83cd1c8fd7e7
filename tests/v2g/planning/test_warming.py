"""Temperatures of a load series: the thermal model's own, and tangents that lie below them."""

from __future__ import annotations

from math import hypot

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.plan_cases import RATED_VA, STEP_S, params_of, site
from v2g.planning.warming import course, reach_w, rise
from v2g.thermal.ageing import relative_ageing_rate
from v2g.thermal.model import rises_at, steady_state, step


def test_a_course_is_the_model_minute_by_minute_with_its_highest_and_last_values() -> None:
    where = site(2, base_var=(0.0, 0.0), base_margin_w=(0.0, 0.0), margin_k=0.0)
    loads = (1.3 * RATED_VA, 0.2 * RATED_VA)
    ran = course(where, loads, STEP_S, margins=True)
    state, hot, life_h = where.state, [], 0.0
    for load in loads:
        for _ in range(15):
            state = step(state, where.params, load / RATED_VA, 20.0, 60.0)
            hot.append(state.hot_spot_c)
            life_h += relative_ageing_rate(state.hot_spot_c, upgraded_paper=False) / 60.0
    assert ran.hot_spot_c == (pytest.approx(max(hot[:15])), pytest.approx(max(hot[15:])))
    assert ran.hot_spot_end_c == (pytest.approx(hot[14]), pytest.approx(hot[29]))
    assert ran.hot_spot_c[1] == pytest.approx(hot[15])
    assert hot[15] > hot[29]
    assert ran.loss_of_life_h == pytest.approx(life_h)


def test_rated_load_for_a_day_at_20_degrees_is_the_nameplate_s_temperature() -> None:
    # 20 °C + 55 K + 23 K = 98 °C, where kraft paper ages at its rated rate.
    steps = 200
    where = site(steps, base_var=(0.0,) * steps, state=steady_state(params_of(), 1.0, 20.0))
    ran = course(where, (RATED_VA,) * steps, STEP_S, margins=False)
    assert ran.hot_spot_end_c[-1] == pytest.approx(98.0, abs=0.01)
    assert ran.top_oil_c[-1] == pytest.approx(75.0, abs=0.01)
    assert ran.loss_of_life_h == pytest.approx(50.0, rel=1e-3)


def test_margins_count_on_the_side_of_the_flow_and_direction_does_not_matter() -> None:
    where = site(1)
    down, up = (course(where, (flow_w,), STEP_S, margins=True) for flow_w in (100e3, -100e3))
    assert down == up
    assert down.hot_spot_c[0] > course(where, (100e3,), STEP_S, margins=False).hot_spot_c[0] + where.margin_k


@settings(max_examples=examples(200))
@given(
    st.floats(-2.0, 2.0),
    st.floats(-2.0, 2.0),
    st.floats(0.0, 0.3),
    st.floats(-0.5, 0.5),
    st.sampled_from(("DIST_ONAN", "ONAN", "OF", "OD")),
)
def test_a_tangent_never_lies_above_the_rise_that_it_touches(
    at_pu: float, other_pu: float, margin_pu: float, var_pu: float, cooling: str
) -> None:
    where = site(1, cooling=cooling, base_margin_w=(margin_pu * RATED_VA,), base_var=(var_pu * RATED_VA,))
    at_w, other_w = at_pu * RATED_VA, other_pu * RATED_VA
    touched = rise(where, 0, at_w)
    k_pu = hypot(abs(other_w) + margin_pu * RATED_VA, var_pu * RATED_VA) / RATED_VA
    oil_k, winding_k = rises_at(where.params, k_pu * k_pu)
    assert touched.oil_k + touched.oil_slope * (other_w - at_w) <= oil_k + 1e-6
    assert touched.winding_k + touched.winding_slope * (other_w - at_w) <= winding_k + 1e-6


@pytest.mark.parametrize("load_w", [200e3, -90e3])
def test_a_slope_is_the_difference_over_a_kilowatt(load_w: float) -> None:
    where = msgspec.structs.replace(site(1))
    low, at, high = (rise(where, 0, load_w + apart_w) for apart_w in (-500.0, 0.0, 500.0))
    assert at.oil_slope == pytest.approx((high.oil_k - low.oil_k) / 1000.0, rel=1e-4)
    assert at.winding_slope == pytest.approx((high.winding_k - low.winding_k) / 1000.0, rel=1e-4)


def test_the_reach_of_k_is_what_reactive_load_and_margin_leave() -> None:
    where = site(1, k_limit_pu=1.0, base_var=(150e3,), base_margin_w=(20e3,))
    assert reach_w(where, 0) == pytest.approx(180e3)
    assert reach_w(site(1, k_limit_pu=1.0, base_var=(260e3,)), 0) == 0.0
