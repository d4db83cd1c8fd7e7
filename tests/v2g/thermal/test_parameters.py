from __future__ import annotations

import dataclasses

import pytest

from v2g.thermal.parameters import ParameterError, ThermalParameters, from_nameplate


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
        ({"rated_kva": 0.25}, "give kVA, as printed on the nameplate; 0.25 looks like MVA: give 250"),
        ({"rated_kva": 400e6}, "looks like VA: give 400000"),
        ({"rated_kva": -400.0}, "as printed on the nameplate$"),
        ({"rated_kva": float("nan")}, "give kVA"),
        ({"top_oil_rise_k": 300.0}, "dtheta_or_k = 300 is outside 5..120"),
        ({"top_oil_rise_k": 328.15}, "328.15 looks like an absolute temperature in K: give 55"),
        ({"top_oil_rise_k": 126.0}, "126 looks like a rise in °F: give 70"),
        ({"top_oil_rise_k": float("nan")}, "dtheta_or_k = nan is outside 5..120: .*usually 40..65$"),
        ({"hot_spot_gradient_k": -23.0}, "dtheta_hr_k = -23"),
        ({"loss_ratio_r": 0.0}, "load losses / no-load losses"),
        ({"loss_ratio_r": 0.08}, "0.08 looks like no-load losses / load losses: give 12.5"),
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


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tau_o_s": 180.0}, "time constant in seconds.*180 looks like minutes: give 10800"),
        ({"tau_w_s": 4.0}, "4 looks like minutes: give 240"),
        ({"tau_o_s": 3.0}, "3 looks like hours: give 10800"),
        ({"rated_va": 400.0}, "rated_va = 400 .*looks like kVA: give 400000"),
        ({"x": 80.0}, "80 looks like %: give 0.8"),
        ({"load_loss_factor": 115.0}, "115 looks like %: give 1.15"),
        ({"load_loss_factor": 0.9}, "load_loss_factor = 0.9 is outside 1..10"),
        ({"k21": float("nan")}, "k21 = nan"),
    ],
)
def test_a_constant_in_another_unit_is_refused_with_what_it_looks_like(
    distribution: ThermalParameters, change: dict[str, float], text: str
) -> None:
    with pytest.raises(ParameterError, match=text):
        dataclasses.replace(distribution, **change)
