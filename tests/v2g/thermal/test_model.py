from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, ThermalParameters, from_nameplate


def transformer(cooling: str, dor: float = 55.0, dhr: float = 23.0, r: float = 5.0) -> ThermalParameters:
    return from_nameplate(cooling=cooling, rated_kva=400.0, top_oil_rise_k=dor, hot_spot_gradient_k=dhr, loss_ratio_r=r)


loads = st.floats(0.0, 2.5)
ambients = st.floats(-40.0, 85.0)
loss_factors = st.floats(1.0, 3.0)
coolings = st.sampled_from(sorted(COOLING))


class TestStep:
    def test_rated_load_settles_at_the_nameplate_rises(self, distribution: ThermalParameters) -> None:
        # DIST_ONAN has k21 = 1: θo = 20 + 55, θh = θo + 23.
        state = steady_state(distribution, 1.0, 20.0)
        assert state.theta_o_c == pytest.approx(75.0)
        assert state.hot_spot_c == pytest.approx(98.0)

    def test_without_load_the_iron_losses_remain(self, distribution: ThermalParameters) -> None:
        # 55 K · (1/6)^0.8 = 13.12 K above ambient.
        assert steady_state(distribution, 0.0, 20.0).hot_spot_c == pytest.approx(33.117, abs=1e-3)

    @settings(deadline=None)
    @given(cooling=coolings, k=loads, ambient=ambients, dt_s=st.floats(0.01, 3600.0))
    def test_a_steady_state_stays(self, cooling: str, k: float, ambient: float, dt_s: float) -> None:
        params = transformer(cooling)
        state = steady_state(params, k, ambient)
        after = step(state, params, k, ambient, dt_s)
        assert (after.theta_o_c, after.h1_k, after.h2_k) == pytest.approx(
            (state.theta_o_c, state.h1_k, state.h2_k), abs=1e-9
        )

    @settings(deadline=None)
    @given(
        cooling=coolings,
        k0=loads,
        k1=loads,
        ambient=ambients,
        loss_factor=loss_factors,
        cuts=st.lists(st.floats(0.01, 3600.0), min_size=2, max_size=40),
    )
    def test_how_an_interval_is_cut_into_steps_does_not_matter(
        self, cooling: str, k0: float, k1: float, ambient: float, loss_factor: float, cuts: list[float]
    ) -> None:
        params = dataclasses.replace(transformer(cooling), load_loss_factor=loss_factor)
        start = steady_state(params, k0, ambient)
        once = step(start, params, k1, ambient, sum(cuts))
        many = start
        for dt_s in cuts:
            many = step(many, params, k1, ambient, dt_s)
        assert (many.theta_o_c, many.h1_k, many.h2_k) == pytest.approx((once.theta_o_c, once.h1_k, once.h2_k), abs=1e-9)

    def test_a_minute_of_the_tick_is_a_minute(self) -> None:
        # 6000 steps of 10 ms: rounding must not add up where a single step moves the oil by microkelvins.
        params = transformer("ONAN")
        many = start = steady_state(params, 0.3, 10.0)
        for _ in range(6000):
            many = step(many, params, 1.4, 10.0, 0.01)
        once = step(start, params, 1.4, 10.0, 60.0)
        assert (many.theta_o_c, many.h1_k, many.h2_k) == pytest.approx((once.theta_o_c, once.h1_k, once.h2_k), abs=1e-9)

    @settings(deadline=None)
    @given(cooling=coolings, k=loads, loss_factor=loss_factors, ambient=ambients)
    def test_higher_load_losses_heat_as_a_higher_load_does(
        self, cooling: str, k: float, loss_factor: float, ambient: float
    ) -> None:
        params = transformer(cooling)
        harmonic = dataclasses.replace(params, load_loss_factor=loss_factor)
        state, as_load = steady_state(harmonic, k, ambient), steady_state(params, k * loss_factor**0.5, ambient)
        assert (state.theta_o_c, state.hot_spot_c) == pytest.approx((as_load.theta_o_c, as_load.hot_spot_c), abs=1e-9)

    @settings(deadline=None)
    @given(
        cooling=coolings, k0=loads, k1=loads, more=st.floats(0.0, 1.0), ambient=ambients, dt_s=st.floats(0.01, 900.0)
    )
    def test_more_load_is_never_cooler_within_a_quarter_of_an_hour(
        self, cooling: str, k0: float, k1: float, more: float, ambient: float, dt_s: float
    ) -> None:
        params = transformer(cooling)
        start = steady_state(params, k0, ambient)
        less_load = step(start, params, k1, ambient, dt_s)
        more_load = step(start, params, k1 + more, ambient, dt_s)
        assert more_load.theta_o_c >= less_load.theta_o_c - 1e-9
        assert more_load.hot_spot_c >= less_load.hot_spot_c - 1e-9

    @settings(deadline=None)
    @given(k=loads, dt_s=st.floats(0.01, 3600.0))
    def test_reverse_flow_heats_as_forward_flow_does(self, k: float, dt_s: float) -> None:
        params = transformer("ONAN")
        start = steady_state(params, 0.3, 10.0)
        assert step(start, params, -k, 10.0, dt_s) == step(start, params, k, 10.0, dt_s)

    def test_a_step_of_no_time_changes_nothing(self, distribution: ThermalParameters) -> None:
        state = ThermalState(60.0, 20.0, 1.0)
        assert step(state, distribution, 2.0, 40.0, 0.0) == state

    @pytest.mark.parametrize(
        ("k", "ambient", "dt_s"),
        [
            (float("nan"), 20.0, 60.0),
            (float("inf"), 20.0, 60.0),
            (1000.0, 20.0, 60.0),
            (1.0, float("nan"), 60.0),
            (1.0, 20.0, -1.0),
            (1.0, 20.0, float("nan")),
            (1.0, 20.0, float("inf")),
        ],
    )
    def test_nonsense_never_enters_the_state(
        self, distribution: ThermalParameters, k: float, ambient: float, dt_s: float
    ) -> None:
        with pytest.raises(ValueError, match="not a step in time"):
            step(ThermalState(60.0, 20.0, 0.0), distribution, k, ambient, dt_s)

    def test_a_steady_state_of_nonsense_is_refused(self, distribution: ThermalParameters) -> None:
        with pytest.raises(ValueError, match="not a number"):
            steady_state(distribution, float("nan"), 20.0)


class TestState:
    def test_measured_top_oil_moves_the_hot_spot_with_it(self) -> None:
        state = ThermalState(60.0, 24.0, 2.0)
        assert state.hot_spot_c == 82.0
        assert state.with_top_oil(65.0).hot_spot_c == 87.0

    def test_a_lost_top_oil_sensor_is_no_temperature(self) -> None:
        with pytest.raises(ValueError, match="keep the model's own value"):
            ThermalState(60.0, 24.0, 2.0).with_top_oil(float("nan"))

    def test_own_constants_are_accepted(self, distribution: ThermalParameters) -> None:
        own = dataclasses.replace(distribution, k21=1.2, tau_o_s=9000.0)
        state = steady_state(own, 1.0, 20.0)
        assert (state.h1_k, state.h2_k) == pytest.approx((1.2 * 23.0, 0.2 * 23.0))
