"""A simulated bidirectional inverter with the behaviour of SunSpec models 702 to 712.

Power positive: charges. The register image turns the sign; this model knows no registers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from v2g.simulation.inverter_functions import InverterFunctions
from v2g.simulation.switching import Bridge

_ACTIVE_ABOVE_PU = 0.005

EFFICIENCY = 0.98
"""Above the 97 % that a discharge test asks for, so that noise does not decide it."""
ISLAND_BIAS_HZ_S, ISLAND_GAIN_PER_S = 0.5, 3.0
"""Active islanding detection by frequency shift: leaves 60 +- 2 Hz within a second."""
HEARTBEAT_LOST_S = 3.0


@dataclass(slots=True, kw_only=True)
class SimInverter:
    """Set-point, reversion timer, ride through the loss of its terminals' voltage, and ramps."""

    rated_w: float
    nominal_voltage_v: float
    nominal_frequency_hz: float
    efficiency: float = EFFICIENCY

    # 704: WSet and its reversion
    enabled: bool = False
    setpoint_w: float = 0.0
    revert_enabled: bool = False
    revert_setpoint_w: float = 0.0
    reversion_s: int = 0
    limit_enabled: bool = False
    limit_pct: float = 100.0
    ramp_pct_s: float = 100.0
    # 702 settings
    max_charge_w: float = 0.0
    max_discharge_w: float = 0.0
    # 703
    permit_service: bool = True
    enter_service_delay_s: float = 1.0
    enter_service_high_pu: float = 1.05
    enter_service_low_pu: float = 0.917
    enter_service_high_hz: float = 60.1
    enter_service_low_hz: float = 59.0
    enter_service_random_s: float = 0.0
    """Kept and shown; this device draws no delay."""
    enter_service_ramp_s: float = 0.0

    anti_islanding: bool = True
    """Its own active islanding detection is enabled (704 AntiIslEna)."""
    functions: InverterFunctions = field(init=False)
    bridge: Bridge = field(default_factory=Bridge)

    # faults
    tripped: str | None = None
    deaf: bool = False
    """Accepts set-points and reports them, and does nothing of the kind (stays where it is)."""
    reversion_dead: bool = False
    """The reversion timer never counts."""

    power_w: float = 0.0
    reactive_var: float = 0.0
    """At the AC terminals, positive: taken as by a coil."""
    tripped_by: int | None = None
    """The SunSpec model (707 to 710) by which it left service last."""
    trips: int = 0
    voltage_v: float = 0.0
    frequency_hz: float = 0.0
    connected: bool = False
    imported_wh: float = 0.0
    exported_wh: float = 0.0
    reversions: int = 0
    _reverts_at_s: float | None = None
    _beat_at_s: float | None = None
    _healthy_since_s: float | None = None
    _connected_at_s: float = 0.0
    _ceases: bool = False

    def __post_init__(self) -> None:
        self.max_charge_w = self.max_charge_w or self.rated_w
        self.max_discharge_w = self.max_discharge_w or self.rated_w
        self.functions = InverterFunctions(rated_w=self.rated_w, nominal_hz=self.nominal_frequency_hz)

    def enable(self, enabled: bool, now_s: float) -> None:
        """WSetEna was written; 1 starts the reversion timer anew."""
        self.enabled = enabled
        self._start_timer(now_s)

    def arm_reversion(self, seconds: int, now_s: float) -> None:
        """WSetRvrtTms was written: the timer starts anew; 0 stops it."""
        self.reversion_s = seconds
        self._start_timer(now_s)

    def _start_timer(self, now_s: float) -> None:
        runs = self.enabled and self.reversion_s > 0 and not self.reversion_dead
        self._reverts_at_s = now_s + self.reversion_s if runs else None

    def beat(self, now_s: float) -> None:
        """The controller's heartbeat (715) came; from the first one on, its set-point ends with it."""
        self._beat_at_s = now_s

    def reversion_remaining_s(self, now_s: float) -> int:
        """WSetRvrtRem: whole seconds, rounded up; 0 when the timer does not run (the set-point is not enabled)."""
        if self.reversion_dead:
            return self.reversion_s
        if self._reverts_at_s is None:
            return 0
        return max(0, math.ceil(self._reverts_at_s - now_s))

    def enter_service_remaining_s(self, now_s: float) -> float:
        """ESDlyRemTms: 0 when connected or when the delay has not begun."""
        if self.connected or self._healthy_since_s is None:
            return 0.0
        return max(0.0, self._healthy_since_s + self.enter_service_delay_s - now_s)

    def check_timer(self, now_s: float) -> None:
        """Revert when the time has come."""
        self.functions.var_set.check_timer(now_s)
        if self._reverts_at_s is not None and now_s >= self._reverts_at_s:
            self._reverts_at_s = None
            self.setpoint_w = self.revert_setpoint_w
            self.enabled = self.revert_enabled
            self.reversions += 1
        silent = self._beat_at_s is not None and now_s - self._beat_at_s > HEARTBEAT_LOST_S
        if silent and not self.reversion_dead:
            self._beat_at_s = None
            self.setpoint_w, self.enabled = 0.0, False

    def wanted_w(self, now_s: float, dt_s: float, voltages_v: tuple[float, float, float], frequency_hz: float) -> float:
        """What the inverter drives at this step given the voltages at its terminals; 0 while it is not in service.

        Loss of voltage at the terminals (below half of nominal) stops it at once, as the switching bridge has nothing
        to follow; it comes back after the enter-service criteria held for the delay. Where momentary cessation is set
        it stays in service instead, until its must-trip curve runs out.
        """
        self.check_timer(now_s)
        self.voltage_v = sum(voltages_v) / 3.0
        live = max(voltages_v) > 0.1 * self.nominal_voltage_v
        self.frequency_hz = frequency_hz if live else 0.0
        self._judge_service(now_s, voltages_v, frequency_hz)
        self.functions.step(dt_s, 100.0 * self.voltage_v / self.nominal_voltage_v, self.frequency_hz)
        if not self.connected or self._ceases:
            return 0.0
        if self.deaf:
            return self.power_w
        up_w, down_w = min(self.rated_w, self.max_charge_w), min(self.rated_w, self.max_discharge_w)
        if self.limit_enabled:
            ceiling_w = self.rated_w * self.limit_pct / 100.0
            up_w, down_w = min(up_w, ceiling_w), min(down_w, ceiling_w)
        target_w = 0.0
        if self.enabled and self.setpoint_w != 0.0:
            target_w = 0.0 - self.functions.injected_w(0.0 - self.setpoint_w)
        if self.enter_service_ramp_s > 0.0:
            ramped_w = self.rated_w * min(1.0, (now_s - self._connected_at_s) / self.enter_service_ramp_s)
            up_w, down_w = min(up_w, ramped_w), min(down_w, ramped_w)
        target_w = min(up_w, max(-down_w, target_w))
        step_w = self.rated_w * self.ramp_pct_s / 100.0 * dt_s
        return self.power_w + min(step_w, max(-step_w, target_w - self.power_w))

    def island_push_hz_s(self) -> float:
        """What its active islanding detection does to a frequency that nothing else holds: away from nominal, the
        faster the farther. 0 while it does not generate."""
        if not (self.anti_islanding and self.connected) or self.power_w > -_ACTIVE_ABOVE_PU * self.rated_w:
            return 0.0
        deviation_hz = self.frequency_hz - self.nominal_frequency_hz
        return math.copysign(ISLAND_BIAS_HZ_S, deviation_hz) + ISLAND_GAIN_PER_S * deviation_hz

    def dc_power_w(self, ac_power_w: float) -> float:
        """Power at the DC side for a power at the AC terminals."""
        return ac_power_w * self.efficiency if ac_power_w >= 0.0 else ac_power_w / self.efficiency

    def ac_power_w(self, dc_power_w: float) -> float:
        """Power at the AC terminals for a power at the DC side."""
        return dc_power_w / self.efficiency if dc_power_w >= 0.0 else dc_power_w * self.efficiency

    def deliver(self, ac_power_w: float, dt_s: float) -> None:
        """What really flowed, after the DC side had its say."""
        self.power_w = ac_power_w
        self.bridge.step(abs(ac_power_w) / self.rated_w, dt_s)
        active = self.connected and abs(ac_power_w) > _ACTIVE_ABOVE_PU * self.rated_w
        self.reactive_var = 0.0 - self.functions.injected_var(0.0 - ac_power_w) if active else 0.0
        if ac_power_w >= 0.0:
            self.imported_wh += ac_power_w * dt_s / 3600.0
        else:
            self.exported_wh -= ac_power_w * dt_s / 3600.0

    def _judge_service(self, now_s: float, voltages_v: tuple[float, float, float], frequency_hz: float) -> None:
        low_pct, high_pct = (100.0 * v / self.nominal_voltage_v for v in (min(voltages_v), max(voltages_v)))
        self._ceases = self.functions.ceases(low_pct, high_pct)
        tripping = self.functions.tripping(now_s, low_pct, high_pct, frequency_hz)
        if tripping is not None and self.connected:
            self.tripped_by = tripping
            self.trips += 1
        lost = low_pct < 50.0 and not self.functions.rides_through_low
        if lost or tripping is not None or self.tripped or not self.permit_service:
            self.connected = False
            self._healthy_since_s = None
            return
        if self.connected:
            return
        low_v = self.enter_service_low_pu * self.nominal_voltage_v
        high_v = self.enter_service_high_pu * self.nominal_voltage_v
        healthy = (
            low_v <= min(voltages_v)
            and max(voltages_v) <= high_v
            and self.enter_service_low_hz <= frequency_hz <= self.enter_service_high_hz
        )
        if not healthy:
            self._healthy_since_s = None
        elif self._healthy_since_s is None:
            self._healthy_since_s = now_s
        elif now_s - self._healthy_since_s >= self.enter_service_delay_s:
            self.connected = True
            self._connected_at_s = now_s
