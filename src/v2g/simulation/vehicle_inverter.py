"""The inverter of a simulated vehicle: it keeps to the grid code that its computer took over, and knows no other.

Without one it follows the grid as long as there is a voltage. With one it trips, ceases, droops, enters service after
its delay and ramps by it. Power positive: into the vehicle. A delay drawn at random is not drawn here: it waits for the
fixed one alone. A droop changes what it exchanges, and never turns it round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pyiso15118.der import DerAlarm, GridCode, TripPoint
from v2g.simulation.inverter_functions import (
    OVER_FREQUENCY,
    OVER_VOLTAGE,
    UNDER_FREQUENCY,
    UNDER_VOLTAGE,
    CurveFunction,
    Droop,
    InverterFunctions,
    PowerFactor,
    ReactiveSetpoint,
    TripCurve,
)

FOLLOWS_ABOVE_PU = 0.5
"""Without a grid code: below this there is nothing to follow."""
DEAD_PU = 0.1
"""Below this nothing can be told from an open contactor."""
_NEVER_HZ = 1e6
_ALARMS = {
    UNDER_VOLTAGE: DerAlarm.UNDER_VOLTAGE,
    OVER_VOLTAGE: DerAlarm.OVER_VOLTAGE,
    UNDER_FREQUENCY: DerAlarm.UNDER_FREQUENCY,
    OVER_FREQUENCY: DerAlarm.OVER_FREQUENCY,
}


@dataclass(slots=True, kw_only=True)
class VehicleInverter:
    """``rated_w`` and ``rated_va``: what per-unit settings are of. ``adopt`` before it counts."""

    rated_w: float
    rated_va: float
    code: GridCode | None = None
    in_service: bool = False
    alarms: DerAlarm = field(default_factory=lambda: DerAlarm(0))
    """Why it left service, until it is in service again."""
    trips: int = 0
    frequency_hz: float = 0.0
    """At the inlet; 0 without a voltage."""
    _functions: InverterFunctions | None = None
    _healthy_since_s: float | None = None
    _entered_at_s: float = -math.inf
    _ceases: bool = False

    @property
    def ceases(self) -> bool:
        """In service, and without current while the voltage is where it has to cease."""
        return self._ceases

    def adopt(self, code: GridCode | None) -> None:
        """From now on. One that is in service stays in it as far as the code lets it."""
        self.code = code
        self._functions = None if code is None else _functions(code, self.rated_va)

    def step(
        self, now_s: float, dt_s: float, voltages_v: tuple[float, ...], hz: float, wanted_w: float, nominal_v: float
    ) -> float:
        """What it is to exchange now, W, instead of ``wanted_w``; ``nominal_v`` counts without a grid code."""
        code, functions = self.code, self._functions
        volts = nominal_v if code is None else code.nominal_voltage_v
        low_pu, high_pu = min(voltages_v) / volts, max(voltages_v) / volts
        self.frequency_hz = hz if high_pu > DEAD_PU else 0.0
        if code is None or functions is None:
            self.in_service = low_pu > FOLLOWS_ABOVE_PU
            return wanted_w if self.in_service else 0.0
        self._judge(now_s, low_pu, high_pu, code, functions)
        functions.step(dt_s, 100.0 * sum(voltages_v) / len(voltages_v) / volts, self.frequency_hz)
        if not self.in_service or self._ceases:
            return 0.0
        return self._limited(now_s, wanted_w, code, functions)

    def reactive_var(self, power_w: float) -> float:
        """Positive: taken as by a coil."""
        functions = self._functions
        if functions is None or not self.in_service or self._ceases or power_w == 0.0:
            return 0.0
        # The functions count per unit of their rating, which is the apparent power here.
        return 0.0 - functions.injected_var(0.0 - power_w)

    def _limited(self, now_s: float, wanted_w: float, code: GridCode, functions: InverterFunctions) -> float:
        if wanted_w == 0.0:
            return 0.0
        scale = self.rated_va / self.rated_w
        power_w = 0.0 - functions.injected_w(0.0 - wanted_w * scale) / scale
        power_w = max(power_w, 0.0) if wanted_w > 0.0 else min(power_w, 0.0)
        most_w = self.rated_w
        window = code.enter_service
        if window is not None and window.ramp_s > 0.0:
            most_w *= min(1.0, (now_s - self._entered_at_s) / window.ramp_s)
        limit_pu = 1.0 if code.discharge_limit_pu is None else code.discharge_limit_pu
        return min(most_w, max(power_w, -min(most_w, limit_pu * self.rated_w)))

    def _judge(self, now_s: float, low_pu: float, high_pu: float, code: GridCode, functions: InverterFunctions) -> None:
        if high_pu <= DEAD_PU:
            self._leave(DerAlarm(0))
            self._ceases = False
            return
        hz = self.frequency_hz
        self._ceases = functions.ceases(100.0 * low_pu, 100.0 * high_pu)
        tripping = functions.tripping(now_s, 100.0 * low_pu, 100.0 * high_pu, hz)
        window = code.enter_service
        permitted = window is None or window.permitted
        if tripping is not None or not permitted:
            self._leave(DerAlarm(0) if tripping is None else _ALARMS[tripping])
            return
        if self.in_service:
            return
        healthy = window is None or (
            window.v_lo_pu <= low_pu and high_pu <= window.v_hi_pu and window.f_lo_hz <= hz <= window.f_hi_hz
        )
        if not healthy:
            self._healthy_since_s = None
        elif self._healthy_since_s is None:
            self._healthy_since_s = now_s
        if self._healthy_since_s is not None and now_s - self._healthy_since_s >= (window.delay_s if window else 0.0):
            self.in_service, self.alarms = True, DerAlarm(0)
            self._entered_at_s = now_s

    def _leave(self, alarm: DerAlarm) -> None:
        if self.in_service:
            self.trips += bool(alarm)
            self.alarms = alarm
        elif alarm:
            self.alarms = alarm
        self.in_service = False
        self._healthy_since_s = None


def _functions(code: GridCode, rated_va: float) -> InverterFunctions:
    droop, volt_var, volt_watt, watt_var = code.frequency_droop, code.volt_var, code.volt_watt, code.watt_var
    factor = code.power_factor
    power_factor = PowerFactor(
        enabled=factor is not None,
        pf=factor.power_factor if factor else 1.0,
        over_excited=factor.over_excited if factor else True,
    )
    must, cessation = code.must_trip, code.cessation
    return InverterFunctions(
        rated_w=rated_va,
        nominal_hz=code.nominal_frequency_hz,
        droop=Droop(
            enabled=droop is not None,
            db_of_hz=droop.db_of_hz if droop and droop.db_of_hz is not None else _NEVER_HZ,
            db_uf_hz=droop.db_uf_hz if droop and droop.db_uf_hz is not None else _NEVER_HZ,
            k_of=droop.k_of if droop else 1.0,
            k_uf=droop.k_uf if droop else 1.0,
            response_s=droop.response_s if droop else 0.0,
        ),
        volt_var=_percent(volt_var.points if volt_var else None, volt_var.response_s if volt_var else 0.0),
        volt_watt=_percent(volt_watt.points if volt_watt else None, volt_watt.response_s if volt_watt else 0.0),
        watt_var=_percent(watt_var.points if watt_var else None, 0.0),
        pf_injecting=power_factor,
        pf_absorbing=power_factor,
        var_set=ReactiveSetpoint(enabled=code.set_var_pu is not None, var=(code.set_var_pu or 0.0) * rated_va),
        trips={
            UNDER_VOLTAGE: _curve(must.under_voltage, 100.0, cessation.under_pu),
            OVER_VOLTAGE: _curve(must.over_voltage, 100.0, cessation.over_pu),
            UNDER_FREQUENCY: _curve(must.under_frequency, 1.0, None),
            OVER_FREQUENCY: _curve(must.over_frequency, 1.0, None),
        },
    )


def _percent(points: tuple[tuple[float, float], ...] | None, response_s: float) -> CurveFunction:
    if points is None:
        return CurveFunction()
    drawn = tuple((100.0 * x, 100.0 * y) for x, y in points)
    return CurveFunction(enabled=True, points=drawn, response_s=response_s)


def _curve(points: tuple[TripPoint, ...], scale: float, ceases_pu: float | None) -> TripCurve:
    """Corners of a staircase, of which the second, fourth ... carry the settings."""
    corners = tuple((point.threshold * scale, point.time_s) for point in points for _ in (0, 1))
    return TripCurve(
        enabled=bool(points) or ceases_pu is not None,
        points=corners,
        ceases_at_pct=None if ceases_pu is None else 100.0 * ceases_pu,
    )
