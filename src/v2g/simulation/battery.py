"""A traction battery: source voltage by state of charge behind an internal resistance. Current positive: charging."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec


class BatteryModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What does not change while driving or charging. The source voltage is nominal at 70 % state of charge."""

    capacity_wh: float = 60_000.0
    nominal_voltage_v: float = 400.0
    resistance_ohm: float = 0.08
    voltage_swing_pu: float = 0.2
    """Source voltage at 100 % minus at 0 %, per unit of nominal; 0 makes a fixed-voltage battery."""

    def __post_init__(self) -> None:
        if self.capacity_wh <= 0 or self.nominal_voltage_v <= 0 or self.resistance_ohm <= 0:
            raise ValueError("capacity_wh, nominal_voltage_v and resistance_ohm must be above zero")
        if not 0 <= self.voltage_swing_pu <= 1:
            raise ValueError("voltage_swing_pu must be within 0..1")

    def emf_v(self, soc: float) -> float:
        """Source voltage at a state of charge of 0..1."""
        return self.nominal_voltage_v * (1.0 + self.voltage_swing_pu * (soc - 0.7))


@dataclass(slots=True)
class Battery:
    """A battery with its charge. ``energy_in_wh`` and ``energy_out_wh`` count at the terminals and only grow."""

    model: BatteryModel
    soc: float
    energy_in_wh: float = 0.0
    energy_out_wh: float = 0.0
    charge_ah: float = 0.0
    """Net charge since the start, positive: charged."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.soc <= 1.0:
            raise ValueError(f"state of charge {self.soc:g} is outside 0..1")

    @property
    def emf_v(self) -> float:
        return self.model.emf_v(self.soc)

    @property
    def stored_wh(self) -> float:
        return self.soc * self.model.capacity_wh

    def terminal_voltage_v(self, current_a: float) -> float:
        return self.emf_v + current_a * self.model.resistance_ohm

    def current_for_power_a(self, power_w: float) -> float:
        """The current at which the terminals take ``power_w`` (negative: give); the most it can give beyond that."""
        emf, r = self.emf_v, self.model.resistance_ohm
        under_root = emf * emf + 4.0 * r * power_w
        if under_root < 0.0:
            return -emf / (2.0 * r)
        return (math.sqrt(under_root) - emf) / (2.0 * r)

    def move(self, current_a: float, dt_s: float) -> None:
        """Let ``current_a`` flow for ``dt_s`` seconds."""
        terminal_wh = self.terminal_voltage_v(current_a) * current_a * dt_s / 3600.0
        if terminal_wh >= 0.0:
            self.energy_in_wh += terminal_wh
        else:
            self.energy_out_wh -= terminal_wh
        stored_wh = self.stored_wh + self.emf_v * current_a * dt_s / 3600.0
        self.soc = min(1.0, max(0.0, stored_wh / self.model.capacity_wh))
        self.charge_ah += current_a * dt_s / 3600.0
