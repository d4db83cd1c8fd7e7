from __future__ import annotations

import dataclasses
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.thermal.headroom import permitted_interval
from v2g.thermal.limits import ThermalLimits
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import ThermalParameters, from_nameplate
from v2g.thermal.recovery import Direction, granted_in_s

NORMAL = ThermalLimits(hot_spot_c=120.0, top_oil_c=105.0, k_pu=1.5)
HOT = ThermalState(104.0, 15.0, 0.0)


def permitted_then(
    after_s: float, state: ThermalState, params: ThermalParameters, base_w: float, ambient_c: float
) -> tuple[float, float]:
    cooled = step(state, params, params.k_pu(base_w, 0.0), ambient_c, after_s)
    permitted = permitted_interval(cooled, params, NORMAL, base_w=base_w, ambient_c=ambient_c)
    return permitted.lo_w, permitted.hi_w


def test_a_hot_transformer_grants_discharge_once_it_has_cooled(distribution: ThermalParameters) -> None:
    wait_s = granted_in_s(HOT, distribution, NORMAL, base_w=0.0, ambient_c=20.0, direction="discharge", power_w=500e3)
    assert wait_s is not None
    assert 600.0 < wait_s < 4 * 3600.0
    assert permitted_then(wait_s, HOT, distribution, 0.0, 20.0)[0] <= -500e3
    assert permitted_then(wait_s - 20.0, HOT, distribution, 0.0, 20.0)[0] > -500e3


def test_what_is_permitted_now_needs_no_waiting(distribution: ThermalParameters) -> None:
    cool = steady_state(distribution, 0.3, 20.0)
    for direction in ("charge", "discharge"):
        assert (
            granted_in_s(cool, distribution, NORMAL, base_w=100e3, ambient_c=20.0, direction=direction, power_w=200e3)
            == 0.0
        )


def test_discharge_that_relieves_is_granted_at_once_and_charge_later(distribution: ThermalParameters) -> None:
    def wait_s(direction: Direction) -> float | None:
        return granted_in_s(
            ThermalState(119.0, 30.0, 0.0),
            distribution,
            NORMAL,
            base_w=150e3,
            ambient_c=20.0,
            direction=direction,
            power_w=100e3,
        )

    assert wait_s("discharge") == 0.0
    charge_s = wait_s("charge")
    assert charge_s is not None
    assert charge_s > 0.0


def test_never_granted_where_the_steady_state_does_not_carry_it(distribution: ThermalParameters) -> None:
    assert (
        granted_in_s(HOT, distribution, NORMAL, base_w=0.0, ambient_c=20.0, direction="charge", power_w=650e3) is None
    )


def test_not_within_a_shorter_search(distribution: ThermalParameters) -> None:
    wait_s = granted_in_s(
        HOT,
        distribution,
        NORMAL,
        base_w=0.0,
        ambient_c=20.0,
        direction="discharge",
        power_w=500e3,
        longest_s=300.0,
    )
    assert wait_s is None


def test_a_base_load_forecast_to_fall_grants_at_its_minute(distribution: ThermalParameters) -> None:
    # 1.5 pu is 600 kW: 500 kW of base load leave 100 kW of charge, 300 kW leave 300 kW.
    wait_s = granted_in_s(
        steady_state(distribution, 0.2, 0.0),
        distribution,
        NORMAL,
        base_w=[500e3] * 7 + [300e3] * 8,
        ambient_c=0.0,
        direction="charge",
        power_w=290e3,
    )
    assert wait_s == 7 * 60.0


def test_margins_postpone_a_grant(distribution: ThermalParameters) -> None:
    def wait_s(base_margin_w: float, margin_k: float) -> float:
        result = granted_in_s(
            HOT,
            distribution,
            NORMAL,
            base_w=50e3,
            ambient_c=20.0,
            direction="discharge",
            power_w=450e3,
            base_margin_w=base_margin_w,
            margin_k=margin_k,
        )
        assert result is not None
        return result

    assert wait_s(0.0, 0.0) < min(wait_s(30e3, 0.0), wait_s(0.0, 4.0))


@settings(max_examples=examples(25), deadline=None)
@given(
    top_oil_c=st.floats(70.0, 110.0),
    gradient_k=st.floats(0.0, 30.0),
    base_w=st.integers(-300_000, 300_000).map(float),
    power_w=st.floats(10e3, 600e3),
    ambient_c=st.floats(-10.0, 40.0),
    direction=st.sampled_from(["charge", "discharge"]),
)
def test_it_is_the_first_time_that_grants(
    top_oil_c: float, gradient_k: float, base_w: float, power_w: float, ambient_c: float, direction: Direction
) -> None:
    params = from_nameplate(
        cooling="DIST_ONAN", rated_kva=400.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
    state = ThermalState(top_oil_c, gradient_k, 0.0)
    wait_s = granted_in_s(
        state, params, NORMAL, base_w=base_w, ambient_c=ambient_c, direction=direction, power_w=power_w
    )

    def granted(after_s: float) -> bool:
        lo_w, hi_w = permitted_then(after_s, state, params, base_w, ambient_c)
        return (hi_w if direction == "charge" else -lo_w) >= power_w

    if wait_s is None:
        assert not any(granted(minute * 60.0) for minute in range(0, 1440, 30))
    else:
        assert granted(wait_s)
        assert not any(granted(wait_s - earlier_s) for earlier_s in range(16, int(wait_s), 600))


@pytest.mark.parametrize(
    "change",
    [
        {"base_w": nan},
        {"ambient_c": inf},
        {"base_w": [100e3] * 20 + [nan]},
        {"state": ThermalState(nan, 0.0, 0.0)},
        {"margin_k": -1.0},
    ],
)
def test_what_is_not_known_is_never_granted(distribution: ThermalParameters, change: dict[str, object]) -> None:
    arguments: dict[str, object] = {"state": HOT, "base_w": 100e3, "ambient_c": 20.0, **change}
    wait_s = granted_in_s(
        params=distribution,
        limits=NORMAL,
        direction="discharge",
        power_w=1e3,
        **arguments,  # type: ignore[arg-type]
    )
    assert wait_s is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"power_w": -10e3}, "give a magnitude"),
        ({"power_w": nan}, "power of nan W"),
        ({"direction": "up"}, "'up' is unknown"),
        ({"base_w": []}, "a forecast of no minutes"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    distribution: ThermalParameters, change: dict[str, object], text: str
) -> None:
    arguments: dict[str, object] = {"direction": "discharge", "power_w": 1e3, "base_w": 0.0, **change}
    with pytest.raises(ValueError, match=text):
        granted_in_s(HOT, distribution, NORMAL, ambient_c=20.0, **arguments)  # type: ignore[arg-type]


def test_cold_oil_is_not_waited_for_with_the_limits_of_now(distribution: ThermalParameters) -> None:
    limits = dataclasses.replace(NORMAL, k_pu=0.0, k_source="thermal cold oil")
    cold = steady_state(distribution, 0.0, -40.0)
    assert (
        granted_in_s(cold, distribution, limits, base_w=0.0, ambient_c=-40.0, direction="charge", power_w=1e3) is None
    )
