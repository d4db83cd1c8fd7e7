"""The observer: measurements pull the model's state, and a bias learns what the nameplate does not know. Pure.

A Luenberger observer on the exact step. The oil's steady state is ``θa + b + Δθor·(…)``: the bias ``b`` (K) is learned
from the innovations of top-oil and so stands for wrong Δθor, R, wind, sun, a wall. Since it enters like ambient does, a
headroom search takes it as ambient + b. Where a winding or hot-spot sensor is, a factor on Δθhr is learned likewise.

The gains are placed anew for every step, so that the poles of the error are ``exp(−dt/oil_s)`` and ``exp(−dt/bias_s)``
exactly, whatever the step. With a = exp(−dt/τ), τ = k11·τo, and e_θ, e_b the errors of oil and bias before a step::

    e_θ⁻ = a·e_θ + (1−a)·e_b      e_θ⁺ = (1−g)·e_θ⁻      e_b⁺ = e_b − j·e_θ⁻

has the determinant (1−g)·a and the trace (1−g)·a + 1 − j·(1−a); equated with p₁·p₂ and p₁ + p₂ they give
g = 1 − p₁·p₂/a and j = (1−p₁)·(1−p₂)/(1−a). Both poles are within 0..1, so every step is stable. Where τ is so short
that g would be negative, g is 0: the poles are then faster than asked for, and inside the unit circle still, since
(1−p₁)·(1−p₂) > 0 is all that the criterion of Jury demands.

The price of it: an error of the state alone, e_θ with e_b = 0, passes through the bias with τ/bias_s times its size,
threefold for a distribution transformer, and is an hour in leaving it. So the bias is learned only while the state may
be taken for settled. What share of an error that came about unseen may be left is kept account of: all of it after
:meth:`Observer.unsettle` and a jump; growing with oil_s where the state followed readings under inputs that were not
known, and with τ while nothing was measured; falling with oil_s while the state follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, isfinite
from typing import Final

from v2g.thermal.model import ThermalState, rises_at, step
from v2g.thermal.parameters import ThermalParameters

_COARSE_K: Final = 1.0
_SETTLED_SHARE: Final = 0.02
"""Four times oil_s after a jump: of 1.5 K less than 0.1 K goes into the bias then."""
_TELLING_GRADIENT_K: Final = 5.0
"""Below this gradient a winding sensor says little about the factor: its error would be divided by next to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverGains:
    """Time constants in s with which the state follows a measurement, and with which the bias is learned."""

    oil_s: float = 300.0
    bias_s: float = 3_600.0
    winding_s: float = 120.0
    gradient_s: float = 21_600.0
    bias_limit_k: float = 40.0
    gradient_range: tuple[float, float] = (0.5, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """``innovation_k``: measured minus predicted top-oil before correction, None without a measurement."""

    state: ThermalState
    bias_k: float
    gradient_factor: float
    innovation_k: float | None
    winding_innovation_k: float | None


class Observer:
    """One transformer's state. Every step is exact in time: steps of 10 ms and of an hour lead to the same place as
    long as the inputs are constant and nothing is measured; with measurements the gains are adapted to the step."""

    def __init__(
        self,
        state: ThermalState,
        *,
        bias_k: float = 0.0,
        gradient_factor: float = 1.0,
        gains: ObserverGains | None = None,
    ) -> None:
        self._gains = gains or ObserverGains()
        self._estimate = Estimate(
            state=state,
            bias_k=self._within_bias(bias_k),
            gradient_factor=self._within_gradient(gradient_factor),
            innovation_k=None,
            winding_innovation_k=None,
        )
        self._unsettled = 0.0

    @property
    def estimate(self) -> Estimate:
        return self._estimate

    def step(
        self,
        params: ThermalParameters,
        k_pu: float,
        ambient_c: float,
        dt_s: float,
        top_oil_c: float | None = None,
        hot_spot_c: float | None = None,
        *,
        learn: bool = True,
    ) -> Estimate:
        """Predict by ``dt_s``, then correct by what was measured. ``learn`` False, since load or ambient are not known
        or the sensor is in doubt: bias and factor stay. The bias also stays until the state has settled.

        ``params`` are the nameplate's (times loss factor); the gradient factor is applied here. Raises ValueError as
        :func:`v2g.thermal.model.step` does, and for a measurement that is not finite.
        """
        if not ((top_oil_c is None or isfinite(top_oil_c)) and (hot_spot_c is None or isfinite(hot_spot_c))):
            raise ValueError(f"top-oil of {top_oil_c} °C or hot-spot of {hot_spot_c} °C is not a number: give None")
        before = self._estimate
        bias_k, factor = before.bias_k, before.gradient_factor
        # h1 and h2 are linear in Δθhr, so the factor is applied to them instead of to the parameters.
        state = before.state
        if factor != 1.0:
            state = ThermalState(state.theta_o_c, state.h1_k / factor, state.h2_k / factor)
        state = step(state, params, k_pu, ambient_c + bias_k, dt_s)
        theta_o_c, h1_k, h2_k = state.theta_o_c, state.h1_k * factor, state.h2_k * factor

        innovation_k = winding_innovation_k = None
        tau_s = params.k11 * params.tau_o_s
        if top_oil_c is None:
            self._unsettled -= (1.0 - self._unsettled) * expm1(-dt_s / tau_s)
        else:
            innovation_k = top_oil_c - theta_o_c
            if abs(innovation_k) > self._explicable_k(tau_s, dt_s):
                self._unsettled = 1.0
            settled = self._unsettled <= _SETTLED_SHARE
            gain, bias_gain = _placed(self._gains.oil_s, self._gains.bias_s if learn and settled else None, tau_s, dt_s)
            theta_o_c += gain * innovation_k
            bias_k = self._within_bias(bias_k + bias_gain * innovation_k)
            followed = -expm1(-dt_s / self._gains.oil_s)
            self._unsettled += followed * ((0.0 if learn else 1.0) - self._unsettled)
        if hot_spot_c is not None:
            winding_innovation_k = hot_spot_c - (theta_o_c + h1_k - h2_k)
            gain, gradient_gain = _placed(
                self._gains.winding_s, self._gains.gradient_s if learn else None, params.k22 * params.tau_w_s, dt_s
            )
            h1_k += gain * winding_innovation_k
            if learn:
                full_k = params.k21 * rises_at(params, k_pu * k_pu)[1]
                tells = full_k / (full_k * full_k + _TELLING_GRADIENT_K * _TELLING_GRADIENT_K)
                factor = self._within_gradient(factor + gradient_gain * winding_innovation_k * tells)
        self._estimate = Estimate(
            state=ThermalState(theta_o_c, h1_k, h2_k),
            bias_k=bias_k,
            gradient_factor=factor,
            innovation_k=innovation_k,
            winding_innovation_k=winding_innovation_k,
        )
        return self._estimate

    def set_state(self, state: ThermalState) -> None:
        """Take over a state (a jump that is believed, a safer one); bias and factor stay."""
        self._set(state, self._estimate.bias_k)
        self.unsettle()

    def unsettle(self) -> None:
        """The state may be off by any amount: the bias stays until it has followed the measurements for a while."""
        self._unsettled = 1.0

    def set_bias(self, bias_k: float) -> None:
        """Replace a bias that was learned from a sensor that proved wrong. Limited as ever."""
        self._set(self._estimate.state, self._within_bias(bias_k))

    def _set(self, state: ThermalState, bias_k: float) -> None:
        self._estimate = Estimate(
            state=state,
            bias_k=bias_k,
            gradient_factor=self._estimate.gradient_factor,
            innovation_k=None,
            winding_innovation_k=None,
        )

    def _explicable_k(self, tau_s: float, dt_s: float) -> float:
        """What the largest bias makes of the state until it is corrected, and a sensor's coarseness.

        More than that is a jump of the sensor or of the state, which the state takes up.
        """
        gains = self._gains
        return _COARSE_K + gains.bias_limit_k * min(1.0, (gains.oil_s + dt_s) / tau_s)

    def _within_bias(self, bias_k: float) -> float:
        limit_k = self._gains.bias_limit_k
        return min(max(bias_k, -limit_k), limit_k)

    def _within_gradient(self, factor: float) -> float:
        low, high = self._gains.gradient_range
        return min(max(factor, low), high)


def _placed(state_s: float, drive_s: float | None, tau_s: float, dt_s: float) -> tuple[float, float]:
    """Gains of state and drive for one step; without ``drive_s`` only the state follows."""
    if dt_s <= 0.0:
        return 0.0, 0.0
    if drive_s is None:
        return -expm1(-dt_s / state_s), 0.0
    gain = max(0.0, -expm1(-dt_s * (1.0 / state_s + 1.0 / drive_s - 1.0 / tau_s)))
    return gain, expm1(-dt_s / state_s) * expm1(-dt_s / drive_s) / -expm1(-dt_s / tau_s)
