"""What the thermal engine goes by, out of the configuration: for the one process that runs it."""

from __future__ import annotations

from v2g.config.schema import Config
from v2g.config.thermal import limits_in_force, thermal_parameters
from v2g.thermal.engine import EngineSettings
from v2g.thermal.limits import ColdOil
from v2g.thermal.sensed import EstimatorSettings
from v2g.thermal.throttle import ThrottleSettings


def engine_settings(config: Config) -> EngineSettings:
    """Everything that the thermal engine goes by. Raises :class:`~v2g.thermal.parameters.ParameterError`."""
    transformer = config.transformer
    params = thermal_parameters(transformer)
    cold = transformer.cold_oil
    return EngineSettings(
        estimator=EstimatorSettings(
            params=params,
            ambient_fallback_c=transformer.ambient_fallback_c,
            eddy_share=transformer.eddy_share,
        ),
        limits=limits_in_force(config),
        throttle=ThrottleSettings.of_rating(params.rated_va),
        cold_oil=ColdOil(full_load_above_c=cold.full_load_above_c, ramp_k=cold.ramp_k, k_pu=cold.k_pu),
        horizon_s=config.dispatch.thermal_horizon_s,
        gradient_doubt=transformer.hot_spot_gradient_doubt,
        upgraded_paper=transformer.ageing.upgraded_paper,
        budget_h_per_day=transformer.ageing.budget_h_per_day,
    )
