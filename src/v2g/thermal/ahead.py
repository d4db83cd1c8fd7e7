"""The transformer over the horizon as it is most likely to go, without margins: what people are shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from v2g.thermal.forecast import Forecast
from v2g.thermal.model import ThermalState, step
from v2g.thermal.parameters import ThermalParameters

_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """One value for the end of each coming minute: °C, W. ``base_…``: with no V2G power; the others with the present
    one going on."""

    base_w: tuple[float, ...]
    base_margin_w: tuple[float, ...]
    top_oil_c: tuple[float, ...]
    hot_spot_c: tuple[float, ...]
    base_top_oil_c: tuple[float, ...]
    base_hot_spot_c: tuple[float, ...]


def ahead(state: ThermalState, params: ThermalParameters, forecast: Forecast, bias_k: float, v2g_w: float) -> Ahead:
    """From ``state`` on; ``bias_k`` is added to the ambient. Raises ValueError as
    :func:`v2g.thermal.model.step` does."""
    with_v2g = _course(state, params, forecast, bias_k, v2g_w)
    alone = _course(state, params, forecast, bias_k, 0.0) if v2g_w else with_v2g
    return Ahead(
        base_w=forecast.base_w,
        base_margin_w=forecast.base_margin_w,
        top_oil_c=tuple(each.theta_o_c for each in with_v2g),
        hot_spot_c=tuple(each.hot_spot_c for each in with_v2g),
        base_top_oil_c=tuple(each.theta_o_c for each in alone),
        base_hot_spot_c=tuple(each.hot_spot_c for each in alone),
    )


def _course(
    state: ThermalState, params: ThermalParameters, forecast: Forecast, bias_k: float, v2g_w: float
) -> Sequence[ThermalState]:
    states = []
    for base_w, base_var, ambient_c in zip(forecast.base_w, forecast.base_var, forecast.ambient_c, strict=True):
        state = step(state, params, params.k_pu(base_w + v2g_w, base_var), ambient_c + bias_k, _MINUTE_S)
        states.append(state)
    return states
