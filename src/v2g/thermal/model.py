"""The three linear states of IEC 60076-7 (its difference equations), exactly discretised.

    θo' = (θa + Δθor·((1+R·K²)/(1+R))^x − θo) / (k11·τo)
    h1' = (k21·Δθhr·K^y − h1) / (k22·τw)        h2' = ((k21−1)·Δθhr·K^y − h2) / (τo/k22)
    θh = θo + h1 − h2

K and θa are constant over a step, so each state moves by an exponential: the result does not depend on how an
interval is cut into steps, and any step is stable.
"""

from __future__ import annotations

from math import expm1, inf, isfinite
from typing import Final

import msgspec

from v2g.thermal.parameters import ThermalParameters

MAX_K_PU: Final = 100.0
"""A load factor above this is a slip of units (kVA for MVA), never a transformer."""


class ThermalState(msgspec.Struct, frozen=True):
    """Temperatures of the transformer: ``theta_o_c`` in °C, ``h1_k`` and ``h2_k`` (winding rise, oil lag) in K."""

    theta_o_c: float
    """Top oil."""
    h1_k: float
    h2_k: float

    @property
    def hot_spot_c(self) -> float:
        """θh = θo + h1 − h2, in °C."""
        return self.theta_o_c + self.h1_k - self.h2_k

    def with_top_oil(self, theta_o_c: float) -> ThermalState:
        """The same winding rise over a measured top-oil temperature in °C. Raises ValueError unless it is finite."""
        if not isfinite(theta_o_c):
            raise ValueError(f"top-oil temperature of {theta_o_c} °C is not a number: keep the model's own value")
        return ThermalState(theta_o_c, self.h1_k, self.h2_k)


def steady_state(params: ThermalParameters, k_pu: float, ambient_c: float) -> ThermalState:
    """Where constant load and ambient lead. ``k_pu`` = |S|/S_rated (its sign is ignored), ``ambient_c`` in °C.

    Raises ValueError for a load or ambient that is not finite, or |K| above :data:`MAX_K_PU`.
    """
    if not (-MAX_K_PU <= k_pu <= MAX_K_PU and isfinite(ambient_c)):
        raise ValueError(f"load K = {k_pu} or ambient {ambient_c} °C is not a number that a transformer can see")
    oil_rise_k, gradient_k = rises_at(params, k_pu * k_pu)
    return ThermalState(ambient_c + oil_rise_k, params.k21 * gradient_k, (params.k21 - 1.0) * gradient_k)


def step(state: ThermalState, params: ThermalParameters, k_pu: float, ambient_c: float, dt_s: float) -> ThermalState:
    """The state ``dt_s`` seconds later (0 or above; 10 ms to an hour is what it is used with), inputs held constant.

    ``k_pu`` = |S|/S_rated (its sign is ignored), ``ambient_c`` in °C. Raises ValueError for an input that is not
    finite, |K| above :data:`MAX_K_PU` or a negative step: one such value would stay in the state for hours.
    """
    if not (-MAX_K_PU <= k_pu <= MAX_K_PU and isfinite(ambient_c) and 0.0 <= dt_s < inf):
        raise ValueError(f"thermal step with K = {k_pu}, ambient {ambient_c} °C, dt {dt_s} s: not a step in time")
    oil_rise_k, gradient_k = rises_at(params, k_pu * k_pu)
    theta_o_c, h1_k, h2_k = state.theta_o_c, state.h1_k, state.h2_k
    return ThermalState(
        theta_o_c - (ambient_c + oil_rise_k - theta_o_c) * expm1(-dt_s / (params.k11 * params.tau_o_s)),
        h1_k - (params.k21 * gradient_k - h1_k) * expm1(-dt_s / (params.k22 * params.tau_w_s)),
        h2_k - ((params.k21 - 1.0) * gradient_k - h2_k) * expm1(-dt_s * params.k22 / params.tau_o_s),
    )


def rises_at(params: ThermalParameters, k_squared: float) -> tuple[float, float]:
    """Steady-state oil rise Δθor·((1+R·K²)/(1+R))^x and winding gradient Δθhr·K^y, both in K, at K²; K² counts times
    the load loss factor."""
    r = params.r
    k_squared *= params.load_loss_factor
    return (
        params.dtheta_or_k * ((1.0 + r * k_squared) / (1.0 + r)) ** params.x,
        params.dtheta_hr_k * k_squared ** (0.5 * params.y),
    )
