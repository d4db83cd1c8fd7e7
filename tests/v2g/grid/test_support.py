"""Grid-support functions: published figures, ranges, and the first-order response."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid.settings import SettingsError
from v2g.grid.support import (
    FUNCTIONS,
    ConstantPowerFactor,
    FrequencyDroop,
    SupportFunctions,
    SupportSettings,
    VoltVar,
    VoltWatt,
    WattVar,
    check,
    constant_pf_var,
    droop_pu,
    enabled,
    interpolate,
)

OFF = SupportSettings(frequency_droop=None)
RATED_W = 20_000.0


def functions(**settings: Any) -> SupportFunctions:
    return SupportFunctions(replace(OFF, **settings), FUNCTIONS, RATED_W, 22_000.0, 60.0)


def settled(made: SupportFunctions, wanted_w: float, v_pu: float = 1.0, hz: float | None = 60.0) -> Any:
    made.step(0.0, wanted_w, v_pu, hz)
    return made.step(1e6, wanted_w, v_pu, hz)


@pytest.mark.parametrize(
    ("hz", "pu"),
    [(60.336, 0.1), (59.664, -0.1), (60.036, 0.0), (59.964, 0.0), (60.0, 0.0), (61.2, 0.388), (63.036, 1.0)],
)
def test_five_per_cent_droop(hz: float, pu: float) -> None:
    assert droop_pu(FrequencyDroop(), hz, 60.0) == pytest.approx(pu)


def test_storage_takes_more_or_gives_less_on_over_frequency() -> None:
    for wanted_w, hz, expected_w in (
        (-10_000, 60.336, -8_000),
        (10_000, 60.336, 12_000),
        (-10_000, 59.664, -12_000),
        (10_000, 59.664, 8_000),
        (19_000, 60.336, 20_000),
    ):
        got = settled(functions(frequency_droop=FrequencyDroop()), wanted_w, hz=hz)
        assert (got.power_w, got.bound_by) == (pytest.approx(expected_w), "frequency_droop")


def test_inside_the_dead_band_nothing_is_bound() -> None:
    got = settled(functions(frequency_droop=FrequencyDroop()), -10_000.0, hz=60.03)
    assert (got.power_w, got.bound_by, got.injected_var) == (-10_000.0, None, 0.0)


@pytest.mark.parametrize("steps", [1, 7, 500])
def test_ninety_per_cent_of_a_step_after_the_response_time(steps: int) -> None:
    made = functions(frequency_droop=FrequencyDroop(response_s=5.0))
    made.step(100.0, 0.0, 1.0, 60.0)
    for step in range(1, steps + 1):
        got = made.step(100.0 + 5.0 * step / steps, 0.0, 1.0, 60.336)
    assert got.power_w == pytest.approx(0.9 * 0.1 * RATED_W)


@pytest.mark.parametrize("hz", [None, math.nan, math.inf, 0.0])
def test_an_unknown_frequency_leaves_what_it_was(hz: float | None) -> None:
    made = functions(frequency_droop=FrequencyDroop())
    assert settled(made, -10_000.0, hz=60.336).power_w == pytest.approx(-8_000)
    assert made.step(2e6, -10_000.0, 1.0, hz).power_w == pytest.approx(-8_000)
    assert made.step(2e6, -10_000.0, 1.0, 60.0).power_w == pytest.approx(-8_000), "no time has passed since"


@pytest.mark.parametrize(("v_pu", "cap_pu"), [(1.0, 1.0), (1.06, 1.0), (1.08, 0.6), (1.10, 0.2), (1.2, 0.2)])
def test_volt_watt_caps_what_is_injected_and_no_charge(v_pu: float, cap_pu: float) -> None:
    got = settled(functions(volt_watt=VoltWatt()), -RATED_W, v_pu)
    assert got.power_w == pytest.approx(-cap_pu * RATED_W)
    assert (got.bound_by == "volt_watt") is (cap_pu < 1)
    assert settled(functions(volt_watt=VoltWatt()), RATED_W, v_pu).power_w == RATED_W


def test_volt_watt_after_droop_is_the_one_that_is_told() -> None:
    made = functions(frequency_droop=FrequencyDroop(), volt_watt=VoltWatt())
    got = settled(made, -RATED_W, 1.08, 60.336)
    assert (got.power_w, got.bound_by) == (pytest.approx(-12_000), "volt_watt")


@pytest.mark.parametrize(
    ("v_pu", "q_pu"), [(0.9, 0.44), (0.92, 0.44), (0.95, 0.22), (1.0, 0.0), (1.05, -0.22), (1.08, -0.44), (1.2, -0.44)]
)
def test_volt_var_of_category_b(v_pu: float, q_pu: float) -> None:
    assert settled(functions(volt_var=VoltVar()), -5_000.0, v_pu).injected_var == pytest.approx(q_pu * 22_000)


@pytest.mark.parametrize("v_pu", [math.nan, 0.0, -1.0])
def test_a_voltage_that_is_none_leaves_what_it_was(v_pu: float) -> None:
    made = functions(volt_var=VoltVar(), volt_watt=VoltWatt())
    before = settled(made, -RATED_W, 1.08)
    after = made.step(2e6, -RATED_W, v_pu, 60.0)
    assert (after.injected_var, after.power_w) == (before.injected_var, before.power_w)


@pytest.mark.parametrize(
    ("power_w", "q_pu"), [(-4_000, 0.0), (-10_000, 0.0), (-15_000, -0.22), (-20_000, -0.44), (20_000, 0.0)]
)
def test_watt_var_of_category_b(power_w: float, q_pu: float) -> None:
    assert settled(functions(watt_var=WattVar()), power_w).injected_var == pytest.approx(q_pu * 22_000)


def test_constant_power_factor_in_both_directions_of_power() -> None:
    factor = ConstantPowerFactor(power_factor=0.8)
    assert constant_pf_var(factor, -8_000.0) == pytest.approx(6_000)
    assert constant_pf_var(factor, 8_000.0) == pytest.approx(6_000)
    under = functions(constant_pf=replace(factor, over_excited=False))
    assert under.reactive
    assert settled(under, -8_000.0).injected_var == pytest.approx(-6_000)


def test_only_what_is_active_is_computed() -> None:
    settings = SupportSettings(volt_watt=VoltWatt(), volt_var=VoltVar())
    assert enabled(settings) == {"frequency_droop", "volt_watt", "volt_var"}
    made = SupportFunctions(settings, frozenset({"volt_watt"}), RATED_W, RATED_W, 60.0)
    assert not made.reactive
    got = settled(made, -RATED_W, 1.08, 62.0)
    assert (got.power_w, got.injected_var) == (pytest.approx(-12_000), 0.0)


def test_the_defaults_are_those_of_the_standard(shared_data: Path) -> None:
    stated = yaml.safe_load((shared_data / "grid/reference/ieee1547_2018.yaml").read_text())
    droop, curve = stated["frequency_droop"], stated["volt_var"]["B"]
    assert FrequencyDroop() == FrequencyDroop(
        db_of_hz=droop["dbOF"]["default"],
        db_uf_hz=droop["dbUF"]["default"],
        k_of=droop["kOF"]["default"],
        k_uf=droop["kUF"]["default"],
        response_s=droop["Tresponse_s"]["default"],
    )
    assert VoltVar().points == tuple(zip(curve["V"], curve["Q"], strict=True))


@given(
    wanted_w=st.floats(-RATED_W, RATED_W),
    samples=st.lists(st.tuples(st.floats(0, 2), st.floats(0.5, 1.3), st.floats(55, 65)), min_size=1, max_size=20),
)
def test_power_and_reactive_power_stay_within_the_rating(
    wanted_w: float, samples: list[tuple[float, float, float]]
) -> None:
    made = functions(frequency_droop=FrequencyDroop(), volt_watt=VoltWatt(), volt_var=VoltVar())
    now_s = 0.0
    for dt_s, v_pu, hz in samples:
        now_s += dt_s
        got = made.step(now_s, wanted_w, v_pu, hz)
        assert abs(got.power_w) <= RATED_W
        assert abs(got.injected_var) <= 0.44 * 22_000 + 1e-6


@given(points=st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=6), x=st.floats(-3, 3))
def test_a_curve_never_leaves_its_points(points: list[tuple[float, float]], x: float) -> None:
    curve = tuple(sorted(points, key=lambda point: point[0]))
    values = [y for _, y in curve]
    assert min(values) - 1e-9 <= interpolate(curve, x) <= max(values) + 1e-9


GOOD = [
    SupportSettings(),
    SupportSettings(volt_var=VoltVar(), volt_watt=VoltWatt()),
    SupportSettings(watt_var=WattVar()),
    SupportSettings(
        watt_var=WattVar(points=((-1.0, 0.44), (-0.5, 0.0), (-0.2, 0.0), (0.2, 0.0), (0.5, 0.0), (1.0, -0.44)))
    ),
    SupportSettings(constant_pf=ConstantPowerFactor(power_factor=0.9)),
    SupportSettings(volt_watt=VoltWatt(points=((1.05, 1.0), (1.10, -1.0)))),
]


@pytest.mark.parametrize("settings", GOOD)
def test_what_the_standard_allows_is_taken(settings: SupportSettings) -> None:
    check(settings, "III")


def test_category_a_has_no_dead_band_in_volt_var() -> None:
    check(replace(OFF, volt_var=VoltVar(points=((0.9, 0.25), (1.0, 0), (1.0, 0), (1.1, -0.25)))), "I", "A")
    with pytest.raises(SettingsError, match=r"V2 = 0.98 is outside 1 \.\. 1"):
        check(replace(OFF, volt_var=VoltVar()), "I", "A")


@pytest.mark.parametrize(
    ("settings", "category", "said"),
    [
        (SupportSettings(frequency_droop=FrequencyDroop(k_of=0.06)), "III", r"k_of = 0.06 .* 0.02 .. 0.05 .*6.5.2.7.2"),
        (SupportSettings(frequency_droop=FrequencyDroop(k_uf=0.02)), "II", r"k_uf = 0.02 .* 0.03 .. 0.05"),
        (SupportSettings(frequency_droop=FrequencyDroop(db_of_hz=0.01)), "III", r"db_of_hz = 0.01 .* 0.017 .. 1"),
        (SupportSettings(frequency_droop=FrequencyDroop(response_s=0.5)), "I", r"response_s = 0.5 .* 1 .. 10"),
        (SupportSettings(frequency_droop=FrequencyDroop(k_of=math.nan)), "III", "k_of = nan"),
        (SupportSettings(volt_var=VoltVar(), watt_var=WattVar()), "III", "volt_var and watt_var exclude each other"),
        (SupportSettings(volt_var=VoltVar(points=((0.9, 0.4), (1.1, -0.4)))), "III", "has 2 points"),
        (
            SupportSettings(volt_var=VoltVar(points=((0.96, 0.4), (0.97, 0), (1.02, 0), (1.08, -0.4)))),
            "III",
            r"V1 = 0.96 .* 0.82 .. 0.95 .*5.3.3",
        ),
        (SupportSettings(volt_var=VoltVar(response_s=0.5)), "III", r"response_s = 0.5 .* 1 .. 90"),
        (SupportSettings(volt_watt=VoltWatt(points=((1.04, 1.0), (1.10, 0.2)))), "III", r"V1 = 1.04 .* 1.05 .. 1.09"),
        (SupportSettings(volt_watt=VoltWatt(points=((1.06, 0.1), (1.10, 0.2)))), "III", r"P1 = 0.1"),
        (SupportSettings(volt_watt=VoltWatt(points=((1.09, 1.0), (1.06, 0.2)))), "III", "do not ascend"),
        (SupportSettings(watt_var=WattVar(points=((0.2, 0), (0.3, 0), (1.0, 0)))), "III", r"P2 = 0.3 .* 0.4 .. 0.8"),
        (SupportSettings(constant_pf=ConstantPowerFactor(power_factor=1.2)), "III", r"power_factor = 1.2 .*5.3.2"),
    ],
)
def test_what_it_does_not_is_refused_with_value_clause_and_range(
    settings: SupportSettings, category: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        check(settings, category)
