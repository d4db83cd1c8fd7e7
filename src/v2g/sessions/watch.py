"""One EVSE's devices under watch: what they say becomes a fault, a reason for zero power, or nothing. Pure.

A fault ends a session. An inverter that reports an alarm only gets no power at first: each opening of the V2G breaker
takes its grid away and makes it say so, and its vehicle need not be sent off for that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from v2g.hardware.ports import DcEvseCommand, DcEvseReading, InverterReading

STALE_AFTER_S = 1.0
"""A reading older than this is no reading."""
CONTACTOR_MISMATCH_S = 1.0
"""So long the contactors' feedback may differ from the command."""
INVERTER_FAULT_S = 5.0
"""An inverter's alarm that lasts this long although energy is permitted is a fault of the EVSE."""
PLAUSIBLE_FACTOR = 1.5
"""A voltage or current this far above the rating is not believed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``fault`` ends a session; ``hold`` keeps power at zero. Texts for people, or None."""

    fault: str | None = None
    hold: str | None = None


class EvseWatch:
    """Judges each round of readings. Holds only since when something has been wrong; outlives sessions."""

    def __init__(self) -> None:
        self._mismatch_since_s: float | None = None
        self._alarm_since_s: float | None = None

    def observe(
        self,
        evse: DcEvseReading | None,
        inverter: InverterReading | None,
        commanded: DcEvseCommand,
        permitted: bool,
        now_s: float,
    ) -> Verdict:
        """The most serious matter at ``now_s``. ``commanded``: what was last sent; ``permitted``: the guard's word."""
        stage = _stage_fault(evse, now_s)
        if stage is not None or evse is None:
            self._mismatch_since_s = None
            return Verdict(fault=stage)
        contactors = self._contactor_fault(evse.contactors_closed, commanded.close_contactors, now_s)
        alarm = f"inverter: {inverter.fault}" if inverter is not None and inverter.fault else None
        if alarm is None or not permitted:
            self._alarm_since_s = None
        elif self._alarm_since_s is None:
            self._alarm_since_s = now_s
        lasting = self._alarm_since_s is not None and now_s - self._alarm_since_s > INVERTER_FAULT_S
        fault = contactors or _inverter_fault(inverter, now_s) or (alarm if lasting else None)
        # Without a permit the site's own limit is zero, and the alarm is most likely its consequence.
        return Verdict(fault=fault, hold=alarm if permitted else None)

    def _contactor_fault(self, closed: bool, commanded: bool, now_s: float) -> str | None:
        if closed == commanded:
            self._mismatch_since_s = None
            return None
        if self._mismatch_since_s is None:
            self._mismatch_since_s = now_s
        since_s = now_s - self._mismatch_since_s
        if since_s <= CONTACTOR_MISMATCH_S:
            return None
        if closed:
            return f"DC contactors stuck: commanded open for {since_s:.1f} s, feedback says closed (welded?)"
        return f"DC contactors stuck: commanded closed for {since_s:.1f} s, feedback says open"


def is_fresh(reading: DcEvseReading | InverterReading | None, now_s: float) -> bool:
    return reading is not None and -STALE_AFTER_S <= now_s - reading.as_of_s <= STALE_AFTER_S


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
    return None
