"""The switching bridge of a simulated inverter: what its carrier frequency does to its current and its temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

NORMAL_CARRIER_HZ: Final = 8_000.0
CARRIER_RANGE_HZ: Final = (8_000.0, 16_000.0)
_WEIGHTS = {5: 0.80, 7: 0.50, 11: 0.27, 13: 0.20}
_NORM = math.sqrt(sum(weight**2 for weight in _WEIGHTS.values()))
SHARES: Final = {order: weight / _NORM for order, weight in _WEIGHTS.items()}
"""Order -> share of the distortion, of one root-sum-square: the orders of a three-phase bridge."""
_AMBIENT_C = 35.0
_CONDUCTION_K = 20.0
_SWITCHING_K = 20.0
"""Rise at rated power and the normal carrier frequency; that of switching grows with the carrier."""
_TIME_CONSTANT_S = 20.0


@dataclass(slots=True)
class Bridge:
    """``normal_thd``: of its current at the normal carrier frequency, share of the fundamental."""

    normal_thd: float = 0.0
    carrier_hz: float = NORMAL_CARRIER_HZ
    held_temperature_c: float | None = None
    """Its switches are at this temperature, whatever they carry."""
    _switch_c: float = _AMBIENT_C

    @property
    def temperature_c(self) -> float:
        return self._switch_c if self.held_temperature_c is None else self.held_temperature_c

    @property
    def thd(self) -> float:
        """Of its current, share of the fundamental."""
        return self.normal_thd * (NORMAL_CARRIER_HZ / self.carrier_hz) ** 2

    def set_carrier(self, hz: float) -> bool:
        """False, and nothing is changed, outside :data:`CARRIER_RANGE_HZ`."""
        low_hz, high_hz = CARRIER_RANGE_HZ
        if not low_hz <= hz <= high_hz:
            return False
        self.carrier_hz = hz
        return True

    def step(self, load_pu: float, dt_s: float) -> None:
        """``load_pu``: magnitude of the power, of the rating."""
        rise_k = load_pu * (_CONDUCTION_K + _SWITCHING_K * self.carrier_hz / NORMAL_CARRIER_HZ)
        self._switch_c += (_AMBIENT_C + rise_k - self._switch_c) * -math.expm1(-dt_s / _TIME_CONSTANT_S)
