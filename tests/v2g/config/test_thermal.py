"""The thermal engine's settings out of the configuration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from v2g.config.schema import Config
from v2g.config.thermal import thermal_limits, thermal_parameters
from v2g.config.thermal_engine import engine_settings
from v2g.thermal.limits import CURRENT, RATED_CURRENT, Regime
from v2g.thermal.parameters import ParameterError, from_nameplate


def config(transformer: dict[str, Any] | None = None, **sections: Any) -> Config:
    evse = {
        "id": "US*V2G*E1",
        "kind": "DC",
        "interface": "lo",
        "inverter": {"modbus": {"host": "127.0.0.1"}},
        "dc": {"modbus": {"host": "127.0.0.1"}},
    }
    return msgspec.convert(
        {
            "site": {"id": "s"},
            "transformer": {"id": "T", "rated_kva": 250.0, **(transformer or {})},
            "grid": {"nominal_voltage_v": 277.0},
            "evses": [evse],
            **sections,
        },
        type=Config,
    )


def test_own_constants_take_the_place_of_the_cooling_mode_s() -> None:
    own = config({"constants": {"tau_o_min": 200.0, "x": 0.9}}).transformer
    params = thermal_parameters(own)
    mode = from_nameplate(
        cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
    )
    assert (params.tau_o_s, params.x) == (12_000.0, 0.9)
    assert (params.tau_w_s, params.y, params.k11) == (mode.tau_w_s, mode.y, mode.k11)


def test_the_present_tap_s_loss_ratio_is_used() -> None:
    tap = {"position": 3, "principal": 5, "end": 1, "r_at_end": 7.0}
    assert thermal_parameters(config({"tap": tap}).transformer).r == pytest.approx(6.0)
    with pytest.raises(ParameterError, match="tap"):
        thermal_parameters(config({"tap": {**tap, "position": 9}}).transformer)


@pytest.mark.parametrize(
    ("rated_kva", "regime", "limits"),
    [
        (250.0, Regime.NORMAL_CYCLIC, (1.5, 120.0, 105.0)),
        (250.0, Regime.SHORT_TIME_EMERGENCY, (2.0, 160.0, 115.0)),
        (40_000.0, Regime.SHORT_TIME_EMERGENCY, (1.8, 160.0, 115.0)),
        (150_000.0, Regime.NORMAL_CYCLIC, (1.3, 120.0, 105.0)),
    ],
)
def test_limits_are_those_of_regime_and_size(
    rated_kva: float, regime: Regime, limits: tuple[float, float, float]
) -> None:
    found = thermal_limits(config({"rated_kva": rated_kva}).transformer, regime)
    assert (found.k_pu, found.hot_spot_c, found.top_oil_c) == limits


def test_a_site_s_own_limits_hold_in_normal_loading() -> None:
    own = config({"hot_spot_limit_c": 98.0, "k_limit_pu": 1.1}).transformer
    normal, emergency = thermal_limits(own), thermal_limits(own, Regime.LONG_TIME_EMERGENCY)
    assert (normal.hot_spot_c, normal.k_pu, normal.top_oil_c) == (98.0, 1.1, 105.0)
    assert (emergency.hot_spot_c, emergency.k_pu) == (140.0, 1.8)


def test_what_the_guard_would_curtail_is_not_promised() -> None:
    plain = engine_settings(config()).limits[Regime.NORMAL_CYCLIC]
    assert (plain.k_pu, plain.k_source) == (pytest.approx(1.0), RATED_CURRENT)
    raised = engine_settings(config(protection={"transformer": {"rated_a": 500.0}})).limits
    assert (raised[Regime.NORMAL_CYCLIC].k_pu, raised[Regime.NORMAL_CYCLIC].k_source) == (1.5, CURRENT)
    # 500 A of the 300.8 A of the nameplate.
    assert raised[Regime.LONG_TIME_EMERGENCY].k_pu == pytest.approx(1.662, abs=1e-3)
    lower = engine_settings(config({"k_limit_pu": 0.8})).limits[Regime.NORMAL_CYCLIC]
    assert (lower.k_pu, lower.k_source) == (0.8, CURRENT)
