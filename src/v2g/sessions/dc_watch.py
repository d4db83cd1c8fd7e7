"""One DC EVSE's devices under watch: what they say becomes a fault, a reason for zero power, or nothing. Pure.

A fault ends a session. An inverter that reports an alarm only gets no power at first: each opening of the V2G breaker
takes its grid away and makes it say so, and its vehicle need not be sent off for that.
"""

from __future__ import annotations

import math

from v2g.hardware.ports import DcEvseCommand, DcEvseReading, InverterReading
from v2g.sessions.watch import (
    CONTACTOR_MISMATCH_S,
    CONTRADICTION_S,
    PLAUSIBLE_FACTOR,
    POWER_TOLERANCE,
    POWER_TOLERANCE_W,
    Lasting,
    PilotCheck,
    Verdict,
    follows,
    is_fresh,
)

INVERTER_FAULT_S = 5.0
"""An inverter's alarm that lasts this long although energy is permitted is a fault of the EVSE."""


class DcWatch:
    """Judges each round of readings. Holds only since when something has been wrong; outlives sessions."""

    def __init__(self) -> None:
        self._mismatch = Lasting()
        self._alarm = Lasting()
        self._contradiction = Lasting()
        self._pilot = PilotCheck()

    def observe(
        self,
        evse: DcEvseReading | None,
        inverter: InverterReading | None,
        commanded: DcEvseCommand,
        commanded_w: float,
        permitted: bool,
        now_s: float,
    ) -> Verdict:
        """The most serious matter at ``now_s``.

        ``commanded`` and ``commanded_w``: what was last sent; ``permitted``: the guard's word.
        """
        stage = _stage_fault(evse, now_s)
        if stage is not None or evse is None:
            self._mismatch.update(False, now_s)
            self._contradiction.update(False, now_s)
            self._pilot.forget()
            self._alarm.update(False, now_s)
            return Verdict(fault=stage)
        contactors = self._contactor_fault(evse.contactors_closed, commanded.close_contactors, now_s)
        alarm = f"inverter: {inverter.fault}" if inverter is not None and inverter.fault else None
        lasting = self._alarm.update(alarm is not None and permitted, now_s) > INVERTER_FAULT_S
        # A stage whose register map has no pilot measures none: its own controller judges it.
        commanded_f = commanded.pilot_error
        pilot = self._pilot.fault(evse.pilot, now_s, commanded_f=commanded_f) if evse.pilot is not None else None
        fault = contactors or pilot or _inverter_fault(inverter, now_s) or (alarm if lasting else None)
        if fault is None and inverter is not None:
            fault = self._power_fault(evse, inverter, commanded_w, now_s)
        # Without a permit the site's own limit is zero, and the alarm is most likely its consequence.
        return Verdict(fault=fault, hold=alarm if permitted else None)

    def _contactor_fault(self, closed: bool, commanded: bool, now_s: float) -> str | None:
        since_s = self._mismatch.update(closed != commanded, now_s)
        if since_s <= CONTACTOR_MISMATCH_S:
            return None
        if closed:
            return f"DC contactors stuck: commanded open for {since_s:.1f} s, feedback says closed (welded?)"
        return f"DC contactors stuck: commanded closed for {since_s:.1f} s, feedback says open"

    def _power_fault(
        self, evse: DcEvseReading, inverter: InverterReading, commanded_w: float, now_s: float
    ) -> str | None:
        contradiction = _contradiction(evse, inverter, commanded_w)
        lasting = self._contradiction.update(contradiction is not None, now_s) > CONTRADICTION_S
        return contradiction if lasting else None


def _stage_fault(evse: DcEvseReading | None, now_s: float) -> str | None:
    if evse is None:
        return "no reading from the DC output stage"
    if not is_fresh(evse, now_s):
        return f"the DC output stage's last reading is {now_s - evse.as_of_s:.1f} s old"
    if evse.fault:
        return f"DC output stage: {evse.fault}"
    for value, rating, what in (
        (evse.present_voltage_v, evse.max_voltage_v, "voltage"),
        (evse.present_current_a, evse.max_current_a, "current"),
    ):
        if not math.isfinite(value) or (math.isfinite(rating) and abs(value) > PLAUSIBLE_FACTOR * rating + 10.0):
            return f"DC output stage: {what} of {value:g} is not plausible at a rating of {rating:g}"
    return None


def _inverter_fault(inverter: InverterReading | None, now_s: float) -> str | None:
    if inverter is None:
        return "no reading from the inverter"
    if not is_fresh(inverter, now_s):
        return f"the inverter's last reading is {now_s - inverter.as_of_s:.1f} s old"
    if not math.isfinite(inverter.power_w):
        return "inverter: its power is not a number"
    rating_w = max(abs(inverter.max_charge_w), abs(inverter.max_discharge_w))
    if abs(inverter.power_w) > PLAUSIBLE_FACTOR * rating_w + POWER_TOLERANCE_W:
        return f"inverter: a power of {inverter.power_w:g} W is not plausible at a rating of {rating_w:g} W"
    return None


def _contradiction(evse: DcEvseReading, inverter: InverterReading, commanded_w: float) -> str | None:
    """Power that nobody commanded, or that only one of both sides of the inverter measures. Less than commanded is
    none: the vehicle may take or give less."""
    ac_w, dc_w = inverter.power_w, evse.present_voltage_v * evse.present_current_a
    if not abs(ac_w - dc_w) <= max(POWER_TOLERANCE_W, POWER_TOLERANCE * max(abs(ac_w), abs(dc_w))):
        return f"contradiction: the inverter measures {ac_w:.0f} W and the DC output stage {dc_w:.0f} W"
    if not follows(ac_w, commanded_w):
        return f"the inverter does not follow: {commanded_w:.0f} W commanded, {ac_w:.0f} W measured"
    return None
