from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from v2g.thermal.parameters import COOLING, ParameterError, ThermalParameters, from_nameplate


def test_constants_equal_the_published_table(thermal_rows: Callable[[str], list[dict[str, str]]]) -> None:
    rows = thermal_rows("constants_by_cooling.csv")
    assert {row["mode"] for row in rows} == set(COOLING)
    for row in rows:
        constants = COOLING[row["mode"]]
        for name in ("k11", "k21", "k22", "x", "y", "tau_o_min", "tau_w_min"):
            assert getattr(constants, name) == float(row[name]), (row["mode"], name)


def test_nameplate_in_kva_becomes_va_and_seconds(distribution: ThermalParameters) -> None:
    assert distribution.rated_va == 400e3
    assert distribution.tau_o_s == 180 * 60
    assert distribution.tau_w_s == 4 * 60


def test_load_factor_ignores_the_direction_of_flow(distribution: ThermalParameters) -> None:
    assert distribution.k_pu(-240e3, 320e3) == pytest.approx(1.0)
    assert distribution.k_pu(240e3, 320e3) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cooling": "ONAM"}, "'ONAM' is unknown; use one of DIST_ONAN"),
        ({"rated_kva": 0.25}, "give kVA"),
        ({"rated_kva": 400e6}, "give kVA"),
        ({"rated_kva": float("nan")}, "give kVA"),
        ({"top_oil_rise_k": 300.0}, "dtheta_or_k = 300 is outside 5..120"),
        ({"top_oil_rise_k": float("nan")}, "dtheta_or_k = nan"),
        ({"hot_spot_gradient_k": -23.0}, "dtheta_hr_k = -23"),
        ({"loss_ratio_r": 0.0}, "load losses / no-load losses"),
    ],
)
def test_an_impossible_nameplate_is_refused_with_its_name(change: dict[str, object], text: str) -> None:
    nameplate: dict[str, object] = {
        "cooling": "ONAN",
        "rated_kva": 400.0,
        "top_oil_rise_k": 55.0,
        "hot_spot_gradient_k": 23.0,
        "loss_ratio_r": 5.0,
    }
    with pytest.raises(ParameterError, match=text.replace("'", ".")):
        from_nameplate(**{**nameplate, **change})  # type: ignore[arg-type]


def test_a_time_constant_in_minutes_is_refused(distribution: ThermalParameters) -> None:
    with pytest.raises(ParameterError, match="time constant in seconds"):
        dataclasses.replace(distribution, tau_o_s=180.0)
