"""The observer: measurements pull the model's state, and a bias learns what the nameplate does not know. Pure.

A Luenberger observer on the exact step. The oil's steady state is ``θa + b + Δθor·(…)``: the bias ``b`` (K) is learned
from the innovations of top-oil and so stands for wrong Δθor, R, wind, sun, a wall. Since it enters like ambient does, a
headroom search takes it as ambient + b. Where a winding or hot-spot sensor is, a factor on Δθhr is learned likewise.
"""

from __future__ import annotations

from dataclasses import dataclass

from v2g.thermal.model import ThermalState
from v2g.thermal.parameters import ThermalParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverGains:
    """Time constants in s with which the state follows a measurement, and with which the bias is learned."""

    oil_s: float = 300.0
    bias_s: float = 3_600.0
    winding_s: float = 120.0
    gradient_s: float = 3_600.0
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
        raise NotImplementedError

    @property
    def estimate(self) -> Estimate:
        raise NotImplementedError

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
        """Predict by ``dt_s``, then correct by what was measured. ``learn`` False: bias and factor stay.

        ``params`` are the nameplate's (times loss factor); the gradient factor is applied here. Raises ValueError as
        :func:`v2g.thermal.model.step` does.
        """
        raise NotImplementedError

    def set_state(self, state: ThermalState) -> None:
        """Take over a state (a jump that is believed, a safer one); bias and factor stay."""
        raise NotImplementedError
