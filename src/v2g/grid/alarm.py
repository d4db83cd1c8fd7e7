"""What power_quality.log hears of frequency and voltage: warnings with their duration, disturbances ridden through."""

from __future__ import annotations

from v2g.grid.settings import GridSettings, Operation
from v2g.grid.verdict import GridEvent

FREQUENCY_HYSTERESIS_HZ = 0.02
VOLTAGE_HYSTERESIS_PU = 0.005
MIN_ON_S = 1.0
"""An alarm stays on for at least this, so that a quantity on its limit does not fill the log."""
NO_NEW_DISCHARGE_S = 10.0
"""After the frequency is back: a start is not worth a quantity that swings across its limit. Out of service the
enter-service delay holds much longer."""
CONTINUOUS_PU = (0.88, 1.10)
"""The continuous region where the profile states none."""


class Alarm:
    """On as soon as a quantity is outside its limits, off when it is back by ``hysteresis``, at the earliest after
    :data:`MIN_ON_S`. Time is an argument."""

    def __init__(self, lo: float, hi: float, hysteresis: float) -> None:
        self.limits = (lo, hi)
        self._hysteresis = hysteresis
        self.on = False
        self.began_s = 0.0
        self._back_at_s: float | None = None
        self.lowest = 0.0
        self.highest = 0.0

    def step(self, now_s: float, low: float, high: float) -> bool:
        """``low`` and ``high``: the extremes of the phases, or one value twice. True: the alarm went on or off."""
        lo, hi = self.limits
        if not self.on:
            if low >= lo and high <= hi:
                return False
            self.on, self.began_s, self.lowest, self.highest = True, now_s, low, high
            self._back_at_s = None
            return True
        self.lowest = min(self.lowest, low)
        self.highest = max(self.highest, high)
        if not (low >= lo + self._hysteresis and high <= hi - self._hysteresis):
            self._back_at_s = None
            return False
        if self._back_at_s is None:
            self._back_at_s = now_s
        self.on = 0.0 <= now_s - self.began_s < MIN_ON_S
        return not self.on

    @property
    def duration_s(self) -> float:
        """Until the quantity was back, once it is; the least time that the alarm stays on is not in it."""
        return 0.0 if self._back_at_s is None else self._back_at_s - self.began_s

    def farthest(self) -> tuple[float, float]:
        """The value that was farthest outside while the alarm was on, and the limit it exceeded."""
        lo, hi = self.limits
        return (self.highest, hi) if self.highest - hi > lo - self.lowest else (self.lowest, lo)


class GridAlarms:
    """Frequency outside the alarm window, voltage outside the continuous region, disturbances ridden through.

    The alarm window never trips (IEEE 1547 has a DER ride far more through): it warns and keeps discharge from
    starting.
    """

    def __init__(self, settings: GridSettings) -> None:
        self._frequency = Alarm(0.0, 0.0, FREQUENCY_HYSTERESIS_HZ)
        self._voltage = Alarm(*CONTINUOUS_PU, VOLTAGE_HYSTERESIS_PU)
        self._disturbance: _Disturbance | None = None
        self._outside_at_s: float | None = None
        self.adopt(settings)

    def adopt(self, settings: GridSettings) -> None:
        """New limits; what is on stays on until it is back inside them."""
        nominal_hz, window_hz = settings.nominal_frequency_hz, settings.alarm_window_hz
        self._frequency.limits = (nominal_hz - window_hz, nominal_hz + window_hz)
        self._voltage.limits = CONTINUOUS_PU
        for region in settings.ride_through.voltage if settings.ride_through is not None else ():
            if region.operation is Operation.CONTINUOUS:
                self._voltage.limits = (region.lo_pu, region.hi_pu)

    def no_new_discharge(self, now_s: float, frequency_hz: float | None) -> bool:
        """The frequency is unknown, or outside the alarm window, or was within :data:`NO_NEW_DISCHARGE_S`."""
        if frequency_hz is None or self._frequency.on:
            return True
        return self._outside_at_s is not None and now_s - self._outside_at_s < NO_NEW_DISCHARGE_S

    def step(
        self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None, events: list[GridEvent]
    ) -> None:
        """``frequency_hz`` None: unknown, or not believed while a phase jump settles; its alarm keeps its state."""
        low, high = min(v_pu), max(v_pu)
        if frequency_hz is not None:
            if self._frequency.step(now_s, frequency_hz, frequency_hz):
                events.append(_told(self._frequency, "FREQUENCY", "frequency", "Hz", 3))
            if self._frequency.on:
                self._outside_at_s = now_s
        if self._voltage.step(now_s, low, high):
            events.append(_told(self._voltage, "VOLTAGE", "voltage", "p.u.", 4))
        if self._disturbance is not None:
            self._disturbance.see(low, high, frequency_hz)

    def ride_through(
        self,
        now_s: float,
        operation: Operation,
        v_pu: tuple[float, float, float],
        frequency_hz: float | None,
        in_service: bool,
        events: list[GridEvent],
    ) -> None:
        """Tell when a disturbance begins and ends while the DER is in service, and when it leaves service in one."""
        disturbance = self._disturbance
        if disturbance is None:
            if in_service and operation > Operation.CONTINUOUS:
                self._disturbance = _Disturbance(now_s, operation, min(v_pu), max(v_pu), frequency_hz)
                events.append(
                    GridEvent(
                        level="warning",
                        code="RIDE_THROUGH",
                        message=f"a disturbance began: {_WORDS[operation]}",
                        fields=(("state", "began"), *self._disturbance.fields()),
                    )
                )
            return
        disturbance.operation = max(disturbance.operation, operation)
        if operation is not Operation.CONTINUOUS:
            disturbance.back_at_s = None
        elif disturbance.back_at_s is None:
            disturbance.back_at_s = now_s
        over = disturbance.back_at_s is not None and not 0.0 <= now_s - disturbance.began_s < MIN_ON_S
        if over or not in_service:
            self._disturbance = None
            back_at_s = now_s if disturbance.back_at_s is None else disturbance.back_at_s
            duration_s = round(back_at_s - disturbance.began_s, 3)
            events.append(
                GridEvent(
                    level="info" if in_service else "warning",
                    code="RIDE_THROUGH",
                    message="the disturbance is over"
                    if in_service
                    else "the disturbance ended out of service: the breaker was opened",
                    fields=(("state", "ended"), ("duration_s", duration_s), *disturbance.fields()),
                )
            )


_WORDS = {
    Operation.CONTINUOUS: "continuous operation",
    Operation.MANDATORY: "mandatory operation, power goes on",
    Operation.PERMISSIVE: "permissive operation, power goes on",
    Operation.MOMENTARY_CESSATION: "momentary cessation, no power until the voltage is back",
    Operation.CEASE: "cease to energise, no power",
}


class _Disturbance:
    def __init__(self, now_s: float, operation: Operation, low: float, high: float, frequency_hz: float | None) -> None:
        self.began_s = now_s
        self.back_at_s: float | None = None
        self.operation = operation
        self._v = (low, high)
        self._f = None if frequency_hz is None else (frequency_hz, frequency_hz)

    def see(self, low: float, high: float, frequency_hz: float | None) -> None:
        self._v = (min(self._v[0], low), max(self._v[1], high))
        if frequency_hz is not None:
            lowest, highest = self._f or (frequency_hz, frequency_hz)
            self._f = (min(lowest, frequency_hz), max(highest, frequency_hz))

    def fields(self) -> tuple[tuple[str, object], ...]:
        known: tuple[tuple[str, object], ...] = (
            ("operation", self.operation.name.lower()),
            ("lowest_v_pu", round(self._v[0], 4)),
            ("highest_v_pu", round(self._v[1], 4)),
        )
        if self._f is None:
            return known
        return (*known, ("lowest_hz", round(self._f[0], 3)), ("highest_hz", round(self._f[1], 3)))


def _told(alarm: Alarm, code: str, quantity: str, unit: str, digits: int) -> GridEvent:
    value, limit = alarm.farthest()
    lo, hi = alarm.limits
    fields: tuple[tuple[str, object], ...] = (("value", round(value, digits)), ("limit", round(limit, 3)))
    if alarm.on:
        message = f"{quantity} {value:.{digits}f} {unit} is outside {lo:g} to {hi:g} {unit}"
        return GridEvent(level="warning", code=f"{code}_WARNING", message=message, fields=fields)
    return GridEvent(
        level="info",
        code=f"{code}_BACK",
        message=f"{quantity} is back inside {lo:g} to {hi:g} {unit}",
        fields=(*fields, ("duration_s", round(alarm.duration_s, 3))),
    )
