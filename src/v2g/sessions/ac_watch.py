"""One AC EVSE's contactor, meter and pilot under watch: what they say becomes a fault, or nothing. Pure.

A fault ends a session. A contactor that the guard holds open is none: the guard opens it at each opening of the V2G
breaker, and its vehicle need not be sent off for that.
"""

from __future__ import annotations

import math

from v2g.hardware.ports import AcEvseCommand, AcEvseReading
from v2g.sessions.ac_limits import AcEvseProfile
from v2g.sessions.watch import (
    CONTACTOR_MISMATCH_S,
    CONTRADICTION_S,
    PLAUSIBLE_FACTOR,
    POWER_TOLERANCE,
    Lasting,
    PilotCheck,
    Verdict,
    follows,
    is_fresh,
)

KEPT_CLOSED_S = 4.0
"""So long the EVSE may still close a contactor that its session wants open: ``wires`` gives the current 3 s to end."""
OPEN_CURRENT_A = 1.0
"""More than this through an open contactor contradicts its feedback."""
METER_TOLERANCE_W = 200.0
"""Active power may pass volts times amperes by this in each phase, beside :data:`POWER_TOLERANCE`."""
OVERCURRENT = 1.1
"""Of the rated current of a phase; breakers let as much pass for hours."""


class AcWatch:
    """Judges each reading. Holds only since when something has been wrong; outlives sessions."""

    def __init__(self, profile: AcEvseProfile) -> None:
        self._profile = profile
        self._open = Lasting()
        self._closed = Lasting()
        self._kept = Lasting()
        self._leak = Lasting()
        self._pilot = PilotCheck()
        self._meter = Lasting()
        self._excess = Lasting()
        self._overcurrent = Lasting()

    def observe(
        self, evse: AcEvseReading | None, commanded: AcEvseCommand, commanded_w: float, now_s: float
    ) -> Verdict:
        """The most serious matter at ``now_s``. ``commanded`` and ``commanded_w``: what was last sent."""
        fault = _device_fault(evse, self._profile, now_s)
        if fault is not None or evse is None:
            self._pilot.forget()
            for lasting in (
                self._open, self._closed, self._kept, self._leak, self._meter, self._excess, self._overcurrent
            ):  # fmt: skip
                lasting.update(False, now_s)
            return Verdict(fault=fault)
        # Each is asked in every round: what lasts is counted from its beginning, not from when the others ended.
        faults = (
            self._contactor_fault(evse, commanded, now_s),
            self._pilot.fault(evse.pilot, now_s, commanded_f=commanded.pilot_error),
            self._meter_fault(evse, now_s),
            self._power_fault(evse, commanded_w, now_s),
        )
        return Verdict(fault=next((text for text in faults if text is not None), None))

    def _contactor_fault(self, evse: AcEvseReading, commanded: AcEvseCommand, now_s: float) -> str | None:
        wanted = commanded.close_contactor and evse.contactor_commanded
        open_s = self._open.update(wanted and not evse.contactor_closed, now_s)
        closed_s = self._closed.update(evse.contactor_closed and not evse.contactor_commanded, now_s)
        kept_s = self._kept.update(evse.contactor_closed and not commanded.close_contactor, now_s)
        leak_a = evse.most_a
        leaking = self._leak.update(not evse.contactor_closed and leak_a > OPEN_CURRENT_A, now_s)
        if closed_s > CONTACTOR_MISMATCH_S:
            return f"AC contactor stuck: commanded open for {closed_s:.1f} s, feedback says closed (welded?)"
        if kept_s > KEPT_CLOSED_S:
            return f"AC contactor stuck: asked to open for {kept_s:.1f} s, feedback says closed (welded?)"
        if open_s > CONTACTOR_MISMATCH_S:
            return f"AC contactor stuck: commanded closed for {open_s:.1f} s, feedback says open"
        if leaking > CONTACTOR_MISMATCH_S:
            return f"AC contactor: feedback says open, the meter measures {leak_a:.1f} A (welded?)"
        return None

    def _meter_fault(self, evse: AcEvseReading, now_s: float) -> str | None:
        most = [
            (1.0 + POWER_TOLERANCE) * volts * amps + METER_TOLERANCE_W
            for volts, amps in zip(evse.voltage_v, evse.current_a, strict=True)
        ]
        wrong = [
            index for index, (power_w, limit_w) in enumerate(zip(evse.power_w, most, strict=True))
            if abs(power_w) > limit_w
        ]  # fmt: skip
        if not self._meter.update(bool(wrong), now_s) > CONTRADICTION_S:
            return None
        index = wrong[0]
        return (
            f"contradiction: the meter says {evse.power_w[index]:.0f} W in L{index + 1} at "
            f"{evse.voltage_v[index]:.0f} V and {evse.current_a[index]:.1f} A"
        )

    def _power_fault(self, evse: AcEvseReading, commanded_w: float, now_s: float) -> str | None:
        rated_a = _rated_a(evse, self._profile)
        most_a = evse.most_a
        over_s = self._overcurrent.update(most_a > OVERCURRENT * rated_a, now_s)
        excess_s = self._excess.update(not follows(evse.total_w, commanded_w), now_s)
        if over_s > CONTRADICTION_S:
            return f"the vehicle takes {most_a:.1f} A of a phase rated for {rated_a:g} A"
        if excess_s > CONTRADICTION_S:
            return f"the vehicle does not follow: it was told {commanded_w:.0f} W, {evse.total_w:.0f} W measured"
        return None


def _rated_a(evse: AcEvseReading, profile: AcEvseProfile) -> float:
    ratings = (evse.max_current_a, profile.max_current_a, evse.pilot.proximity_a if evse.pilot is not None else None)
    return min((abs(value) for value in ratings if value is not None and math.isfinite(value)), default=0.0)


def _device_fault(evse: AcEvseReading | None, profile: AcEvseProfile, now_s: float) -> str | None:
    if evse is None:
        return "no reading from the AC EVSE"
    if not is_fresh(evse, now_s):
        return f"the AC EVSE's last reading is {now_s - evse.as_of_s:.1f} s old"
    if evse.fault:
        return f"AC EVSE: {evse.fault}"
    rated_w = PLAUSIBLE_FACTOR * profile.nominal_voltage_v * evse.max_current_a
    for values, rating, what in (
        (evse.voltage_v, profile.nominal_voltage_v, "voltage"),
        (evse.current_a, evse.max_current_a, "current"),
        (evse.power_w, rated_w, "active power"),
    ):
        for index, value in enumerate(values, start=1):
            if not math.isfinite(value) or (math.isfinite(rating) and abs(value) > PLAUSIBLE_FACTOR * rating + 10.0):
                return f"AC EVSE: {what} of {value:g} in L{index} is not plausible at a rating of {rating:g}"
    return None
