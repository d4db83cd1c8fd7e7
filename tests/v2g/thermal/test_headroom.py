from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.headroom import PermittedInterval, longest_horizon_s, permitted_interval, relief_power_w
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, ThermalParameters, from_nameplate

NORMAL = ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=1.5)


def keeps_limits(
    power_w: float,
    state: ThermalState,
    params: ThermalParameters,
    limits: ThermalLimits,
    base_w: Sequence[float],
    base_var: float,
    ambient_c: Sequence[float],
    margin_w: Sequence[float] = (0.0,) * 15,
    margin_k: Sequence[float] = (0.0,) * 15,
) -> bool:
    for base, ambient, more_w, off_k in zip(base_w, ambient_c, margin_w, margin_k, strict=True):
        k = params.k_pu(abs(base + power_w) + more_w, base_var)
        state = step(state, params, k, ambient, 60.0)
        if params.k_pu(base + power_w, base_var) > limits.k_pu + 1e-9:
            return False
        if state.theta_o_c > limits.top_oil_c - off_k + 1e-6:
            return False
        if state.hot_spot_c > limits.hot_spot_c - off_k + 1e-6:
            return False
    return True


def test_a_cool_transformer_is_bound_by_k_alone(distribution: ThermalParameters) -> None:
    # K = 1.5 of 400 kVA is 600 kW; 100 kW of base load leaves 500 kW downstream and 700 kW upstream.
    permitted = permitted_interval(
        steady_state(distribution, 0.25, 0.0), distribution, NORMAL, base_w=100e3, ambient_c=0.0
    )
    assert (permitted.lo_w, permitted.hi_w) == pytest.approx((-700e3, 500e3))
    assert (permitted.lo_source, permitted.hi_source) == ("thermal K", "thermal K")
    assert permitted.base_source is None


def test_reactive_base_load_takes_its_part_of_k(distribution: ThermalParameters) -> None:
    # 360 kvar of 600 kVA leave 480 kW.
    permitted = permitted_interval(
        steady_state(distribution, 0.9, 0.0), distribution, NORMAL, base_w=0.0, base_var=360e3, ambient_c=0.0
    )
    assert (permitted.lo_w, permitted.hi_w) == pytest.approx((-480e3, 480e3))


def test_discharge_has_more_room_than_charge_under_base_load(distribution: ThermalParameters) -> None:
    # What counts is |base + P|: with constant base load both ends are equally far from -base.
    state = steady_state(distribution, 1.0, 30.0)
    permitted = permitted_interval(state, distribution, NORMAL, base_w=400e3, ambient_c=30.0)
    assert permitted.hi_w > 0.0
    assert -permitted.lo_w == pytest.approx(permitted.hi_w + 800e3, abs=5.0)


def test_over_the_limit_on_base_load_alone_discharge_is_permitted_and_not_forced(
    distribution: ThermalParameters,
) -> None:
    # Base load of 1.2 pu at 40 °C breaks the hot-spot limit; unloading keeps it.
    state = ThermalState(96.0, 25.0, 0.0)
    permitted = permitted_interval(state, distribution, NORMAL, base_w=480e3, ambient_c=40.0)
    assert permitted.feasible
    assert permitted.base_source == "thermal hot-spot"
    assert (permitted.hi_w, permitted.hi_source) == (0.0, "thermal hot-spot")
    assert permitted.lo_w < -480e3
    assert permitted.hot_spot_c > 120.0


def test_relief_is_found_between_a_low_and_a_high_base_load(distribution: ThermalParameters) -> None:
    # 0 kW for eight minutes, then 900 kW: neither 0 nor -900 kW of V2G keeps 120 °C, about half of it does.
    state = steady_state(distribution, 0.9, 30.0)
    limits = dataclasses.replace(NORMAL, k_pu=3.0)
    base_w = [0.0] * 8 + [900e3] * 7
    permitted = permitted_interval(state, distribution, limits, base_w=base_w, ambient_c=30.0)
    assert permitted.feasible
    assert permitted.hi_w == 0.0
    assert -900e3 < permitted.lo_w < -450e3

    def kept(power_w: float) -> bool:
        return keeps_limits(power_w, state, distribution, limits, base_w, 0.0, [30.0] * 15)

    assert [kept(power_w) for power_w in (0.0, permitted.lo_w, permitted.lo_w - 5.0)] == [False, True, False]


def test_too_hot_for_any_power_discharge_is_permitted_until_the_flow_would_reverse(
    distribution: ThermalParameters,
) -> None:
    permitted = permitted_interval(
        ThermalState(119.0, 30.0, 0.0),
        distribution,
        NORMAL,
        base_w=[200e3 + 1e3 * n for n in range(15)],
        ambient_c=40.0,
    )
    assert not permitted.feasible
    # The least base load of the horizon is 200 kW: beyond it, |K| would rise again in that minute.
    assert (permitted.lo_w, permitted.hi_w) == (-200e3, 0.0)
    assert permitted.base_source == permitted.lo_source == permitted.hi_source == "thermal hot-spot"
    assert permitted.hi_binds_at_s == 60.0


def test_too_hot_without_base_load_nothing_is_permitted(distribution: ThermalParameters) -> None:
    permitted = permitted_interval(ThermalState(119.0, 30.0, 0.0), distribution, NORMAL, base_w=0.0, ambient_c=40.0)
    assert (permitted.lo_w, permitted.hi_w, permitted.feasible) == (0.0, 0.0, False)


def test_too_hot_from_reverse_base_flow_charging_is_what_relieves(distribution: ThermalParameters) -> None:
    permitted = permitted_interval(ThermalState(119.0, 30.0, 0.0), distribution, NORMAL, base_w=-150e3, ambient_c=40.0)
    assert (permitted.lo_w, permitted.hi_w, permitted.feasible) == (0.0, 150e3, False)


def test_base_load_above_the_k_limit_leaves_discharge_only(distribution: ThermalParameters) -> None:
    # 660 kW of base load is K = 1.65: at least 60 kW of discharge would be needed, up to 1260 kW are permitted.
    permitted = permitted_interval(
        steady_state(distribution, 0.2, 0.0), distribution, NORMAL, base_w=660e3, ambient_c=0.0
    )
    assert permitted.base_source == "thermal K"
    assert (permitted.lo_w, permitted.hi_w) == pytest.approx((-1260e3, 0.0))
    assert permitted.hi_source == "thermal K"


def test_reactive_load_beyond_k_cannot_be_helped_by_active_power(distribution: ThermalParameters) -> None:
    permitted = permitted_interval(
        steady_state(distribution, 0.2, 0.0), distribution, NORMAL, base_w=50e3, base_var=700e3, ambient_c=0.0
    )
    assert not permitted.feasible
    assert (permitted.lo_w, permitted.hi_w, permitted.lo_source) == (-50e3, 0.0, "thermal K")


def test_cold_oil_permits_more_discharge_than_hot_oil(distribution: ThermalParameters) -> None:
    cold, hot = (
        permitted_interval(
            ThermalState(top_oil_c, 8.0, 0.0),
            distribution,
            dataclasses.replace(NORMAL, k_pu=3.0),
            base_w=100e3,
            ambient_c=20.0,
        )
        for top_oil_c in (20.0, 80.0)
    )
    assert cold.lo_w < hot.lo_w < 0.0
    assert cold.hi_w > hot.hi_w > 0.0


@pytest.mark.parametrize(
    ("change"),
    [
        {"base_w": float("nan")},
        {"base_w": float("inf")},
        {"base_w": 1e300},
        {"base_var": float("nan")},
        {"ambient_c": float("nan")},
        {"ambient_c": 400.0},
        {"state": ThermalState(float("nan"), 0.0, 0.0)},
        {"state": ThermalState(50.0, 1e9, 0.0)},
        {"base_w": [100e3] * 14 + [float("nan")]},
        {"base_w": [float("nan")] + [100e3] * 14},
        {"base_margin_w": -1.0},
        {"base_margin_w": float("nan")},
        {"base_margin_w": [0.0] * 14 + [float("inf")]},
        {"margin_k": -0.1},
        {"margin_k": [0.0] * 7 + [float("nan")] + [0.0] * 7},
        {"margin_k": float("inf")},
    ],
)
def test_an_unknown_or_impossible_input_permits_nothing(
    distribution: ThermalParameters, change: dict[str, object]
) -> None:
    arguments: dict[str, object] = {
        "state": ThermalState(50.0, 10.0, 0.0),
        "base_w": 100e3,
        "base_var": 0.0,
        "ambient_c": 20.0,
    }
    permitted = permitted_interval(params=distribution, limits=NORMAL, **{**arguments, **change})  # type: ignore[arg-type]
    assert (permitted.lo_w, permitted.hi_w) == (0.0, 0.0)
    assert (permitted.lo_source, permitted.hi_source) == ("thermal state unknown", "thermal state unknown")
    assert not permitted.feasible


def test_a_profile_that_does_not_fit_the_horizon_is_an_error(distribution: ThermalParameters) -> None:
    with pytest.raises(ValueError, match="base_w has 3 values for a horizon of 15 minutes"):
        permitted_interval(ThermalState(50.0, 10.0, 0.0), distribution, NORMAL, base_w=[1.0, 2.0, 3.0], ambient_c=20.0)


def test_a_horizon_beyond_the_models_monotonicity_is_an_error() -> None:
    params = from_nameplate(
        cooling="ONAF_RESTRICTED", rated_kva=1000.0, top_oil_rise_k=55.0, hot_spot_gradient_k=26.0, loss_ratio_r=6.0
    )
    with pytest.raises(ValueError, match="use 36 min or less"):
        permitted_interval(ThermalState(50.0, 10.0, 0.0), params, NORMAL, base_w=0.0, ambient_c=20.0, horizon_s=3600.0)


@pytest.mark.parametrize("cooling", sorted(COOLING))
def test_within_the_longest_horizon_a_step_of_load_only_heats(cooling: str) -> None:
    params = from_nameplate(
        cooling=cooling, rated_kva=1000.0, top_oil_rise_k=55.0, hot_spot_gradient_k=26.0, loss_ratio_r=6.0
    )
    cold = ThermalState(0.0, 0.0, 0.0)
    gradients = []
    for minute in range(int(longest_horizon_s(params) // 60)):
        state = step(cold, params, 1.0, 0.0, 60.0 * (minute + 1))
        gradients.append(state.h1_k - state.h2_k)
    assert gradients == sorted(gradients)
    assert len(gradients) >= 25


@pytest.mark.parametrize("cooling", sorted(COOLING))
def test_every_cooling_mode_serves_twenty_five_minutes(cooling: str) -> None:
    params = from_nameplate(
        cooling=cooling, rated_kva=1000.0, top_oil_rise_k=55.0, hot_spot_gradient_k=26.0, loss_ratio_r=6.0
    )
    state = steady_state(params, 0.5, 20.0)
    short, long = (
        permitted_interval(state, params, NORMAL, base_w=500e3, ambient_c=20.0, horizon_s=horizon_s)
        for horizon_s in (900.0, 1500.0)
    )
    assert short.lo_w <= long.lo_w < 0.0 < long.hi_w <= short.hi_w


loads_w = st.integers(-800_000, 800_000).map(float)
profiles = st.lists(loads_w, min_size=15, max_size=15)


margins_w = st.just([0.0] * 15) | st.lists(st.integers(0, 60_000).map(float), min_size=15, max_size=15).map(sorted)
margins_k = st.just([0.0] * 15) | st.lists(st.floats(0.0, 8.0), min_size=15, max_size=15)


@settings(max_examples=examples(150), deadline=None)
@given(
    cooling=st.sampled_from(sorted(COOLING)),
    k0=st.floats(0.0, 1.6),
    ambient=st.floats(-40.0, 60.0),
    base_w=profiles | loads_w.map(lambda p: [p] * 15),
    base_var=st.integers(-190_000, 190_000).map(float),
    k_limit=st.sampled_from([0.0, 0.5, 1.3, 1.5, 2.5]),
    margin_w=margins_w,
    margin_k=margins_k,
    loss_factor=st.sampled_from([1.0, 1.4]),
)
def test_the_ends_are_the_last_permitted_powers(
    cooling: str,
    k0: float,
    ambient: float,
    base_w: list[float],
    base_var: float,
    k_limit: float,
    margin_w: list[float],
    margin_k: list[float],
    loss_factor: float,
) -> None:
    params = dataclasses.replace(
        from_nameplate(
            cooling=cooling, rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
        ),
        load_loss_factor=loss_factor,
    )
    limits = dataclasses.replace(NORMAL, k_pu=k_limit)
    state = steady_state(params, k0, ambient)
    permitted = permitted_interval(
        state,
        params,
        limits,
        base_w=base_w,
        base_var=base_var,
        ambient_c=ambient,
        base_margin_w=margin_w,
        margin_k=margin_k,
    )

    def kept(power_w: float) -> bool:
        return keeps_limits(
            power_w, state, params, limits, base_w, base_var, [ambient] * 15, margin_w=margin_w, margin_k=margin_k
        )

    assert permitted.lo_w <= 0.0 <= permitted.hi_w
    assert kept(0.0) == (permitted.base_source is None)
    # Nearer to the power of least |K| every minute is relieved: throttling must never forbid that.
    assert permitted.lo_w <= min(0.0, relief_power_w(min(base_w))) + 1.0
    assert permitted.hi_w >= max(0.0, relief_power_w(max(base_w))) - 1.0
    if permitted.base_source is None:
        assert kept(permitted.lo_w)
        assert kept(permitted.hi_w)
        assert not kept(permitted.lo_w - 5.0)
        assert not kept(permitted.hi_w + 5.0)
        for power_w in range(-1_600_000, 1_600_000, 160_000):
            assert kept(power_w) == (permitted.lo_w <= power_w <= permitted.hi_w)
    elif permitted.feasible:
        relieving = permitted.lo_w if permitted.hi_w == 0.0 else permitted.hi_w
        assert kept(relieving)
        assert not kept(relieving * (1.0 + 1e-9) + (5.0 if relieving > 0 else -5.0))
    else:
        assert permitted.lo_w == min(0.0, relief_power_w(min(base_w)))
        assert permitted.hi_w == max(0.0, relief_power_w(max(base_w)))
        assert not any(kept(power_w) for power_w in range(-1_600_000, 1_600_000, 40_000))


@settings(max_examples=examples(100), deadline=None)
@given(
    k0=st.floats(0.0, 1.4),
    ambient=st.floats(-20.0, 50.0),
    base_w=profiles,
    margin_w=margins_w,
    margin_k=margins_k,
)
def test_a_margin_never_permits_more(
    k0: float, ambient: float, base_w: list[float], margin_w: list[float], margin_k: list[float]
) -> None:
    params = from_nameplate(
        cooling="DIST_ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
    state = steady_state(params, k0, ambient)
    without = permitted_interval(state, params, NORMAL, base_w=base_w, ambient_c=ambient)
    assume(without.base_source is None)
    within = permitted_interval(
        state, params, NORMAL, base_w=base_w, ambient_c=ambient, base_margin_w=margin_w, margin_k=margin_k
    )
    if within.base_source is None:
        assert without.lo_w - 1.0 <= within.lo_w <= within.hi_w <= without.hi_w + 1.0


def test_a_margin_of_load_heats_and_leaves_the_current_limit_alone(distribution: ThermalParameters) -> None:
    # 600 kW by K either way of 100 kW of base load, and nothing near a temperature.
    cold = steady_state(distribution, 0.25, -40.0)
    permitted = permitted_interval(cold, distribution, NORMAL, base_w=100e3, ambient_c=-40.0, base_margin_w=20e3)
    assert (permitted.lo_w, permitted.hi_w) == pytest.approx((-700e3, 500e3))
    warm = steady_state(distribution, 1.0, 30.0)
    exact = permitted_interval(warm, distribution, NORMAL, base_w=300e3, ambient_c=30.0)
    doubtful = permitted_interval(warm, distribution, NORMAL, base_w=300e3, ambient_c=30.0, base_margin_w=20e3)
    # Known of every minute alike, it takes the whole of itself from either end.
    assert (doubtful.lo_w, doubtful.hi_w) == pytest.approx((exact.lo_w + 20e3, exact.hi_w - 20e3), abs=2.0)


def test_a_margin_that_grows_takes_less_than_its_last_value(distribution: ThermalParameters) -> None:
    warm = steady_state(distribution, 1.0, 30.0)
    exact = permitted_interval(warm, distribution, NORMAL, base_w=300e3, ambient_c=30.0)
    growing = [2e3 * n for n in range(1, 16)]
    doubtful = permitted_interval(warm, distribution, NORMAL, base_w=300e3, ambient_c=30.0, base_margin_w=growing)
    assert exact.hi_w - 30e3 < doubtful.hi_w < exact.hi_w - 10e3
    assert doubtful.hi_binds_at_s == 900.0


def test_a_margin_of_temperature_acts_as_lower_limits(distribution: ThermalParameters) -> None:
    state = steady_state(distribution, 1.0, 30.0)
    by_margin = permitted_interval(state, distribution, NORMAL, base_w=300e3, ambient_c=30.0, margin_k=4.0)
    by_limit = permitted_interval(
        state,
        distribution,
        dataclasses.replace(NORMAL, hot_spot_c=116.0, top_oil_c=101.0),
        base_w=300e3,
        ambient_c=30.0,
    )
    assert (by_margin.lo_w, by_margin.hi_w) == pytest.approx((by_limit.lo_w, by_limit.hi_w), abs=1.0)
    assert by_margin.hot_spot_c == pytest.approx(by_limit.hot_spot_c + 4.0)


def test_where_a_margin_alone_breaks_a_limit_relief_goes_to_the_base_load_itself(
    distribution: ThermalParameters,
) -> None:
    permitted = permitted_interval(
        steady_state(distribution, 0.5, 20.0),
        distribution,
        NORMAL,
        base_w=200e3,
        ambient_c=20.0,
        base_margin_w=1000e3,
    )
    assert (permitted.lo_w, permitted.hi_w, permitted.feasible) == (-200e3, 0.0, False)


def test_cold_oil_that_permits_no_load_leaves_relief_only(distribution: ThermalParameters) -> None:
    limits = dataclasses.replace(NORMAL, k_pu=0.0, k_source="thermal cold oil")
    cold = steady_state(distribution, 0.1, -40.0)
    for base_w, expected in ((120e3, (-120e3, 0.0)), (-80e3, (0.0, 80e3)), (0.0, (0.0, 0.0))):
        permitted = permitted_interval(cold, distribution, limits, base_w=base_w, ambient_c=-40.0)
        assert (permitted.lo_w, permitted.hi_w) == pytest.approx(expected)
        assert {permitted.lo_source, permitted.hi_source} == {"thermal cold oil"}
        assert permitted.base_source == (None if base_w == 0.0 else "thermal cold oil")


def test_limits_name_themselves(distribution: ThermalParameters) -> None:
    limits = dataclasses.replace(NORMAL, hot_spot_c=98.0, hot_spot_source="thermal ageing budget")
    permitted = permitted_interval(
        steady_state(distribution, 0.8, 20.0), distribution, limits, base_w=200e3, ambient_c=20.0
    )
    assert (permitted.lo_source, permitted.hi_source) == ("thermal ageing budget", "thermal ageing budget")
    burning = permitted_interval(ThermalState(90.0, 30.0, 0.0), distribution, limits, base_w=200e3, ambient_c=20.0)
    assert burning.base_source == "thermal ageing budget"


def test_harmonics_take_from_temperatures_and_not_from_k(distribution: ThermalParameters) -> None:
    harmonic = dataclasses.replace(distribution, load_loss_factor=1.5)
    hot, cool = steady_state(distribution, 1.0, 30.0), steady_state(distribution, 0.2, 0.0)

    def hi_w(state: ThermalState, params: ThermalParameters) -> float:
        return permitted_interval(state, params, NORMAL, base_w=100e3, ambient_c=0.0).hi_w

    assert hi_w(hot, harmonic) < hi_w(hot, distribution) - 20e3
    assert hi_w(cool, harmonic) == pytest.approx(hi_w(cool, distribution)) == pytest.approx(500e3)


def test_the_power_of_least_k_cancels_the_base_load() -> None:
    assert [relief_power_w(base_w) for base_w in (250e3, -40e3, 0.0)] == [-250e3, 40e3, 0.0]


@settings(max_examples=examples(100), deadline=None)
@given(k0=st.floats(0.8, 1.8), ambient=st.floats(0.0, 60.0), base_w=st.floats(-800e3, 800e3), share=st.floats(0.0, 1.0))
def test_over_the_limit_nothing_permitted_heats_beyond_what_the_base_load_does(
    k0: float, ambient: float, base_w: float, share: float
) -> None:
    params = from_nameplate(
        cooling="DIST_ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
    state = steady_state(params, k0, ambient)
    permitted: PermittedInterval = permitted_interval(state, params, NORMAL, base_w=base_w, ambient_c=ambient)
    assume(permitted.base_source is not None)
    power_w = share * (permitted.lo_w if permitted.hi_w == 0.0 else permitted.hi_w)
    alone = step(state, params, params.k_pu(base_w, 0.0), ambient, 900.0)
    relieved = step(state, params, params.k_pu(base_w + power_w, 0.0), ambient, 900.0)
    assert relieved.hot_spot_c <= max(alone.hot_spot_c, NORMAL.hot_spot_c) + 1e-3
