"""The simulated transformer's temperatures, by a model of another kind than the controller's.

The controller uses the exponential equations of IEC 60076-7. This plant is a heat balance in watts of two lumped
masses, winding and oil, with copper losses that grow with temperature, natural-convection exponents, and constants a
few percent away from the nameplate that the controller is given; integrated by fourth-order Runge-Kutta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_COPPER_KELVIN_OFFSET = 235.0
_REFERENCE_WINDING_C = 75.0
_MAX_STEP_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatBalance:
    """Constants at rated load. The defaults fit a 250 kVA ONAN unit whose nameplate says 55 K and 23 K."""

    iron_loss_w: float = 500.0
    copper_loss_w: float = 2900.0
    """At rated current and 75 °C."""
    oil_rise_k: float = 53.5
    winding_gradient_k: float = 18.0
    hot_spot_factor: float = 1.22
    eddy_share: float = 0.12
    """Eddy losses in the winding over its I²R losses, at rated current and sinusoidal load."""
    oil_exponent: float = 1.25
    winding_exponent: float = 1.4
    oil_time_constant_s: float = 10_200.0
    winding_time_constant_s: float = 258.0

    @property
    def oil_heat_capacity_j_k(self) -> float:
        return self.oil_time_constant_s * (self.iron_loss_w + self.copper_loss_w) / self.oil_rise_k

    @property
    def winding_heat_capacity_j_k(self) -> float:
        return self.winding_time_constant_s * self.copper_loss_w / self.winding_gradient_k


class TransformerPlant:
    """Oil and winding temperature of the simulated transformer. Not thread-safe; the owner steps it."""

    def __init__(self, *, ambient_c: float, load_pu: float, constants: HeatBalance | None = None) -> None:
        """Starts in the steady state of ``load_pu`` (apparent power over rating) at ``ambient_c``."""
        self.constants = constants or HeatBalance()
        self.ambient_c = ambient_c
        self.top_oil_c = ambient_c
        self.winding_c = ambient_c
        self.winding_stress_mpa = 20.0
        """Of the conductor, where a strain sensor sits; it stays as it is set."""
        self.settle(load_pu)

    @property
    def hot_spot_c(self) -> float:
        """Where a fibre-optic winding sensor sits."""
        return self.top_oil_c + self.constants.hot_spot_factor * (self.winding_c - self.top_oil_c)

    def heat_oil(self, top_oil_c: float) -> None:
        """Set the oil's temperature; the winding keeps its rise above it."""
        self.winding_c += top_oil_c - self.top_oil_c
        self.top_oil_c = top_oil_c

    def sinusoidal_equivalent_pu(self, fundamental_pu: float, harmonics_pu: Mapping[int, float]) -> float:
        """The sinusoidal load with the winding losses of these currents; eddy losses go with the order squared."""
        eddy = self.constants.eddy_share
        squares = sum(pu * pu * (1.0 + eddy * order * order) for order, pu in harmonics_pu.items())
        return math.sqrt(fundamental_pu * fundamental_pu + squares / (1.0 + eddy))

    def settle(self, load_pu: float) -> None:
        """Jump to the steady state of a load (fixed point: copper losses depend on the winding's temperature)."""
        c = self.constants
        rated_heat_w = c.iron_loss_w + c.copper_loss_w
        for _ in range(40):
            copper_w = self._copper_w(load_pu, self.winding_c)
            self.top_oil_c = self.ambient_c + c.oil_rise_k * ((c.iron_loss_w + copper_w) / rated_heat_w) ** (
                1.0 / c.oil_exponent
            )
            gradient_k = c.winding_gradient_k * (copper_w / c.copper_loss_w) ** (1.0 / c.winding_exponent)
            self.winding_c = self.top_oil_c + gradient_k

    def step(self, load_pu: float, dt_s: float) -> None:
        """Advance by ``dt_s`` seconds under a constant load; long steps are divided."""
        while dt_s > 0.0:
            h = min(dt_s, _MAX_STEP_S)
            self._runge_kutta(load_pu, h)
            dt_s -= h

    def _runge_kutta(self, load_pu: float, h: float) -> None:
        oil, winding = self.top_oil_c, self.winding_c
        a1, b1 = self._rates(oil, winding, load_pu)
        a2, b2 = self._rates(oil + h / 2 * a1, winding + h / 2 * b1, load_pu)
        a3, b3 = self._rates(oil + h / 2 * a2, winding + h / 2 * b2, load_pu)
        a4, b4 = self._rates(oil + h * a3, winding + h * b3, load_pu)
        self.top_oil_c = oil + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        self.winding_c = winding + h / 6 * (b1 + 2 * b2 + 2 * b3 + b4)

    def _rates(self, oil_c: float, winding_c: float, load_pu: float) -> tuple[float, float]:
        c = self.constants
        copper_w = self._copper_w(load_pu, winding_c)
        to_oil_w = c.copper_loss_w * _convection((winding_c - oil_c) / c.winding_gradient_k, c.winding_exponent)
        rated_heat_w = c.iron_loss_w + c.copper_loss_w
        to_air_w = rated_heat_w * _convection((oil_c - self.ambient_c) / c.oil_rise_k, c.oil_exponent)
        return (
            (c.iron_loss_w + to_oil_w - to_air_w) / c.oil_heat_capacity_j_k,
            (copper_w - to_oil_w) / c.winding_heat_capacity_j_k,
        )

    def _copper_w(self, load_pu: float, winding_c: float) -> float:
        warm = (_COPPER_KELVIN_OFFSET + winding_c) / (_COPPER_KELVIN_OFFSET + _REFERENCE_WINDING_C)
        return self.constants.copper_loss_w * load_pu * load_pu * warm


def _convection(relative: float, exponent: float) -> float:
    return math.copysign(math.pow(abs(relative), exponent), relative)
