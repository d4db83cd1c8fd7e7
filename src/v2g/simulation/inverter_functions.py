"""What a simulated inverter does by itself: droop, curves over voltage and power, must-trip and momentary cessation.

Written from the SunSpec models' point of view (percent, injected power positive), not from the controller's formulas,
so that the one shows up the other's mistakes.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

Points = tuple[tuple[float, float], ...]

UNDER_VOLTAGE, OVER_VOLTAGE, UNDER_FREQUENCY, OVER_FREQUENCY = 707, 708, 709, 710
_NO_FREQUENCY_BELOW_PCT = 30.0


@dataclass(slots=True, kw_only=True)
class Droop:
    """711: dead bands in Hz, droops per unit of the nominal frequency."""

    enabled: bool = False
    db_of_hz: float = 0.036
    db_uf_hz: float = 0.036
    k_of: float = 0.05
    k_uf: float = 0.05
    response_s: float = 5.0


@dataclass(slots=True, kw_only=True)
class CurveFunction:
    """705, 706, 712: percent over percent; ``response_s`` 0: at once."""

    enabled: bool = False
    points: Points = ()
    response_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TripCurve:
    """707 to 710: ``points`` are (percent or Hz, s); the second, fourth ... carry the settings."""

    enabled: bool = True
    points: Points = ()
    ceases_at_pct: float | None = None
    """Momentary cessation beyond this; None: there is none."""
    settings: Points = field(init=False)
    """(threshold, time) of what is enabled, the widest last."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", self.points[1::2] if self.enabled else ())


@dataclass(slots=True, kw_only=True)
class PowerFactor:
    """704: one direction of active power."""

    enabled: bool = False
    pf: float = 1.0
    over_excited: bool = True


@dataclass(slots=True, kw_only=True)
class ReactiveSetpoint:
    """704 VarSet with its reversion; var, injected positive."""

    enabled: bool = False
    var: float = 0.0
    revert_enabled: bool = False
    revert_var: float = 0.0
    reversion_s: int = 0
    reverts_at_s: float | None = None

    def start_timer(self, now_s: float) -> None:
        runs = self.enabled and self.reversion_s > 0
        self.reverts_at_s = now_s + self.reversion_s if runs else None

    def check_timer(self, now_s: float) -> None:
        if self.reverts_at_s is not None and now_s >= self.reverts_at_s:
            self.reverts_at_s = None
            self.var, self.enabled = self.revert_var, self.revert_enabled

    def remaining_s(self, now_s: float) -> int:
        return 0 if self.reverts_at_s is None else max(0, math.ceil(self.reverts_at_s - now_s))


def _factory_trips() -> dict[int, TripCurve]:
    """A device as delivered: IEEE 1547-2018 category II."""
    return {
        UNDER_VOLTAGE: TripCurve(points=((35.0, 0.16), (45.0, 0.16), (45.0, 10.0), (70.0, 10.0), (70.0, 11.0))),
        OVER_VOLTAGE: TripCurve(points=((130.0, 0.16), (120.0, 0.16), (120.0, 2.0), (110.0, 2.0), (110.0, 3.0))),
        UNDER_FREQUENCY: TripCurve(enabled=False),
        OVER_FREQUENCY: TripCurve(enabled=False),
    }


@dataclass(slots=True, kw_only=True)
class InverterFunctions:
    """All of one device; ``step`` first, then the questions."""

    rated_w: float
    nominal_hz: float
    droop: Droop = field(default_factory=Droop)
    volt_var: CurveFunction = field(default_factory=CurveFunction)
    volt_watt: CurveFunction = field(default_factory=CurveFunction)
    watt_var: CurveFunction = field(default_factory=CurveFunction)
    pf_injecting: PowerFactor = field(default_factory=PowerFactor)
    pf_absorbing: PowerFactor = field(default_factory=PowerFactor)
    var_set: ReactiveSetpoint = field(default_factory=ReactiveSetpoint)
    trips: dict[int, TripCurve] = field(default_factory=_factory_trips)
    _droop_pct: float = 0.0
    _var_pct: float = 0.0
    _cap_pct: float = 100.0
    _beyond_since_s: dict[tuple[int, int], float] = field(default_factory=dict)

    def step(self, dt_s: float, v_pct: float, hz: float) -> None:
        """Move the open-loop responses to the present mean voltage and frequency."""
        if self.droop.enabled or self._droop_pct:
            self._droop_pct = _follow(self._droop_pct, self._droop_target_pct(hz), dt_s, self.droop.response_s)
        if self.volt_var.enabled or self._var_pct:
            target = _along(self.volt_var.points, v_pct, 0.0) if self.volt_var.enabled else 0.0
            self._var_pct = _follow(self._var_pct, target, dt_s, self.volt_var.response_s)
        if self.volt_watt.enabled or self._cap_pct != 100.0:
            target = _along(self.volt_watt.points, v_pct, 100.0) if self.volt_watt.enabled else 100.0
            self._cap_pct = _follow(self._cap_pct, target, dt_s, self.volt_watt.response_s)

    def injected_w(self, wanted_w: float) -> float:
        """What is injected instead of ``wanted_w`` (injected positive)."""
        injected_w = wanted_w - self._droop_pct / 100.0 * self.rated_w
        return min(injected_w, self._cap_pct / 100.0 * self.rated_w)

    def injected_var(self, injected_w: float) -> float:
        """One mode at a time, the set-point last."""
        if self.volt_var.enabled:
            return self._var_pct / 100.0 * self.rated_w
        if self.watt_var.enabled:
            return _along(self.watt_var.points, 100.0 * injected_w / self.rated_w, 0.0) / 100.0 * self.rated_w
        factor = self.pf_injecting if injected_w >= 0.0 else self.pf_absorbing
        if factor.enabled:
            return abs(injected_w) * math.tan(math.acos(factor.pf)) * (1.0 if factor.over_excited else -1.0)
        return self.var_set.var if self.var_set.enabled else 0.0

    def ceases(self, low_pct: float, high_pct: float) -> bool:
        """Momentary cessation: no current now, and back at once."""
        under, over = self.trips[UNDER_VOLTAGE], self.trips[OVER_VOLTAGE]
        return (under.enabled and under.ceases_at_pct is not None and low_pct < under.ceases_at_pct) or (
            over.enabled and over.ceases_at_pct is not None and high_pct > over.ceases_at_pct
        )

    @property
    def rides_through_low(self) -> bool:
        """It has a momentary cessation for low voltage, and so stays connected."""
        under = self.trips[UNDER_VOLTAGE]
        return under.enabled and under.ceases_at_pct is not None

    def tripping(self, now_s: float, low_pct: float, high_pct: float, hz: float) -> int | None:
        """Number of the model whose must-trip curve has run out; None while none has."""
        frequency = hz if high_pct >= _NO_FREQUENCY_BELOW_PCT else self.nominal_hz
        measured = {
            UNDER_VOLTAGE: low_pct,
            OVER_VOLTAGE: high_pct,
            UNDER_FREQUENCY: frequency,
            OVER_FREQUENCY: frequency,
        }
        found = None
        for model, curve in self.trips.items():
            value, over = measured[model], model in (OVER_VOLTAGE, OVER_FREQUENCY)
            for number, (threshold, time_s) in enumerate(curve.settings):
                if not (value > threshold if over else value < threshold):
                    if self._beyond_since_s:
                        self._beyond_since_s.pop((model, number), None)
                    continue
                since_s = self._beyond_since_s.setdefault((model, number), now_s)
                if now_s - since_s >= time_s - 1e-9:
                    found = model
        return found

    def _droop_target_pct(self, hz: float) -> float:
        droop, deviation_hz = self.droop, hz - self.nominal_hz
        if not droop.enabled or hz <= 0.0:
            return 0.0
        if deviation_hz > droop.db_of_hz:
            return 100.0 * (deviation_hz - droop.db_of_hz) / (self.nominal_hz * droop.k_of)
        if deviation_hz < -droop.db_uf_hz:
            return 100.0 * (deviation_hz + droop.db_uf_hz) / (self.nominal_hz * droop.k_uf)
        return 0.0


def _follow(value: float, target: float, dt_s: float, response_s: float) -> float:
    """90 % of a step after ``response_s``."""
    return target if response_s <= 0.0 or value == target else target + (value - target) * 0.1 ** (dt_s / response_s)


def _along(points: Points, x: float, default: float) -> float:
    if not points:
        return default
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 < x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[0][1] if x <= points[0][0] else points[-1][1]
