"""The transformer's thermal parameters and limits out of the configuration."""

from __future__ import annotations

from dataclasses import replace

from v2g.config.protection import nameplate_a, transformer_rated_a
from v2g.config.schema import Config, Transformer
from v2g.thermal.limits import RATED_CURRENT, Regime, ThermalLimits, limits_of, size_class
from v2g.thermal.losses import loss_ratio_at_tap
from v2g.thermal.parameters import ThermalParameters, from_nameplate


def thermal_parameters(transformer: Transformer) -> ThermalParameters:
    """Raises :class:`~v2g.thermal.parameters.ParameterError` for a nameplate that no transformer has."""
    r, tap = transformer.loss_ratio_r, transformer.tap
    if tap is not None:
        r = loss_ratio_at_tap(tap.position, principal=tap.principal, r=r, end=tap.end, r_at_end=tap.r_at_end)
    params = from_nameplate(
        cooling=transformer.cooling,
        rated_kva=transformer.rated_kva,
        top_oil_rise_k=transformer.top_oil_rise_k,
        hot_spot_gradient_k=transformer.hot_spot_gradient_k,
        loss_ratio_r=r,
    )
    own = transformer.constants
    return replace(
        params,
        x=_or(own.x, params.x),
        y=_or(own.y, params.y),
        k11=_or(own.k11, params.k11),
        k21=_or(own.k21, params.k21),
        k22=_or(own.k22, params.k22),
        tau_o_s=params.tau_o_s if own.tau_o_min is None else own.tau_o_min * 60.0,
        tau_w_s=params.tau_w_s if own.tau_w_min is None else own.tau_w_min * 60.0,
    )


def thermal_limits(transformer: Transformer, regime: Regime = Regime.NORMAL_CYCLIC) -> ThermalLimits:
    """Of a regime: the site's own in normal cyclic loading where it states them, never stricter in an emergency.

    Raises :class:`~v2g.thermal.parameters.ParameterError`.
    """
    table = limits_of(Regime.NORMAL_CYCLIC, size_class(transformer.rated_kva * 1e3))
    own = ThermalLimits(
        hot_spot_c=_or(transformer.hot_spot_limit_c, table.hot_spot_c),
        top_oil_c=_or(transformer.top_oil_limit_c, table.top_oil_c),
        k_pu=_or(transformer.k_limit_pu, table.k_pu),
    )
    if regime is Regime.NORMAL_CYCLIC:
        return own
    emergency = limits_of(regime, size_class(transformer.rated_kva * 1e3))
    return ThermalLimits(
        hot_spot_c=max(own.hot_spot_c, emergency.hot_spot_c),
        top_oil_c=max(own.top_oil_c, emergency.top_oil_c),
        k_pu=max(own.k_pu, emergency.k_pu),
    )


def limits_in_force(config: Config) -> dict[Regime, ThermalLimits]:
    """Of every regime, as the engine keeps them: no further than the guard lets the transformer be loaded."""
    return {regime: _within_curtailment(thermal_limits(config.transformer, regime), config) for regime in Regime}


def _within_curtailment(limits: ThermalLimits, config: Config) -> ThermalLimits:
    """The guard curtails V2G at the rated current that it protects the transformer by. What it would take back is not
    promised: more than that is permitted only where ``protection.transformer.rated_a`` says so."""
    curtailed_pu = transformer_rated_a(config) / nameplate_a(config)
    return limits if curtailed_pu >= limits.k_pu else replace(limits, k_pu=curtailed_pu, k_source=RATED_CURRENT)


def _or(own: float | None, table: float) -> float:
    return table if own is None else own
