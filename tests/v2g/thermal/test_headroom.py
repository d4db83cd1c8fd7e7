from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from v2g.thermal.headroom import PermittedInterval, longest_horizon_s, permitted_interval
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, ParameterError, ThermalParameters, from_nameplate

NORMAL = ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=1.5)
BINDING = {"hot_spot": "thermal hot-spot", "top_oil": "thermal top-oil", "current": "thermal K"}


def keeps_limits(
    power_w: float,
    state: ThermalState,
    params: ThermalParameters,
    limits: ThermalLimits,
    base_w: Sequence[float],
    base_var: float,
    ambient_c: Sequence[float],
) -> bool:
    for base, ambient in zip(base_w, ambient_c, strict=True):
        k = params.k_pu(base + power_w, base_var)
        state = step(state, params, k, ambient, 60.0)
        if k > limits.k_pu + 1e-9 or state.theta_o_c > limits.top_oil_c + 1e-6:
            return False
        if state.hot_spot_c > limits.hot_spot_c + 1e-6:
            return False
    return True


def test_published_headroom_cases(thermal_rows: Callable[[str], list[dict[str, str]]]) -> None:
    profiles = thermal_rows("headroom_cases_profiles.csv")
    cases = thermal_rows("headroom_cases.csv")
    assert len(cases) == 15
    for case in cases:
        rows = [row for row in profiles if row["case"] == case["case"]]
        params = from_nameplate(
            cooling=case["mode"],
            rated_kva=float(case["S_rated_kVA"]),
            top_oil_rise_k=float(case["dor_K"]),
            hot_spot_gradient_k=float(case["dhr_K"]),
            loss_ratio_r=float(case["R"]),
        )
        permitted = permitted_interval(
            ThermalState(float(case["top_oil0"]), float(case["h1_0"]), float(case["h2_0"])),
            params,
            ThermalLimits(
                hot_spot_c=float(case["hot_spot_lim"]),
                top_oil_c=float(case["top_oil_lim"]),
                k_pu=float(case["K_lim"]),
            ),
            base_w=[float(row["base_P_kW"]) * 1e3 for row in rows],
            base_var=float(case["Q_kvar"]) * 1e3,
            ambient_c=[float(row["ambient_C"]) for row in rows],
        )
        assert permitted.feasible == (case["feasible"] == "1"), case["case"]
        if permitted.feasible:
            assert permitted.lo_w / 1e3 == pytest.approx(float(case["P_lo_kW"]), abs=0.05), case["case"]
            assert permitted.hi_w / 1e3 == pytest.approx(float(case["P_hi_kW"]), abs=0.05), case["case"]
            assert permitted.lo_source == BINDING[case["binding_lo"]]
            assert permitted.hi_source == BINDING[case["binding_hi"]]


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
    ],
)
def test_an_unknown_or_impossible_input_permits_nothing(
    distribution: ThermalParameters, change: dict[str, float]
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


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"hot_spot_c": 393.0}, "hot-spot limit of 393"),
        ({"top_oil_c": float("nan")}, "top-oil limit of nan"),
        ({"k_pu": 150.0}, "not %"),
    ],
)
def test_impossible_limits_are_refused(change: dict[str, float], text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        dataclasses.replace(NORMAL, **change)


profiles = st.lists(st.floats(-800e3, 800e3), min_size=15, max_size=15)


@settings(max_examples=150, deadline=None)
@given(
    cooling=st.sampled_from(sorted(COOLING)),
    k0=st.floats(0.0, 1.6),
    ambient=st.floats(-40.0, 60.0),
    base_w=profiles | st.floats(-800e3, 800e3).map(lambda p: [p] * 15),
    base_var=st.floats(-200e3, 200e3),
    k_limit=st.sampled_from([1.3, 1.5, 2.5]),
)
def test_the_ends_are_the_last_permitted_powers(
    cooling: str, k0: float, ambient: float, base_w: list[float], base_var: float, k_limit: float
) -> None:
    params = from_nameplate(
        cooling=cooling, rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
    limits = dataclasses.replace(NORMAL, k_pu=k_limit)
    state = steady_state(params, k0, ambient)
    permitted = permitted_interval(state, params, limits, base_w=base_w, base_var=base_var, ambient_c=ambient)

    def kept(power_w: float) -> bool:
        return keeps_limits(power_w, state, params, limits, base_w, base_var, [ambient] * 15)

    assert permitted.lo_w <= 0.0 <= permitted.hi_w
    assert kept(0.0) == (permitted.base_source is None)
    if permitted.base_source is None:
        assert kept(permitted.lo_w)
        assert kept(permitted.hi_w)
        assert not kept(permitted.lo_w - 5.0)
        assert not kept(permitted.hi_w + 5.0)
    elif permitted.feasible:
        relieving = permitted.lo_w if permitted.hi_w == 0.0 else permitted.hi_w
        assert kept(relieving)
        assert not kept(relieving * (1.0 + 1e-9) + (5.0 if relieving > 0 else -5.0))
    else:
        assert not any(kept(power_w) for power_w in range(-1_600_000, 1_600_000, 20_000))


@settings(max_examples=100, deadline=None)
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
