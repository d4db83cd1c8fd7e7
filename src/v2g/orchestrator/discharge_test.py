"""The first discharge test of an EVSE: what is measured, how it is judged. Pure.

Efficiency is the mean AC power over the mean DC power of one time; it is judged in tenths of a percent, finer than
transducers of class 0.2 tell it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from v2g.guard.efficiency import BELIEVED_MOST, EFFICIENT
from v2g.hardware.ports import DcEvseReading, InverterReading

FOLLOW_TOLERANCE = 0.05
SETTLED_FOR_S = 2.0
"""Measured from when the order was kept to for this long: a power on its way from elsewhere passes it as well."""
SETTLE_S = 15.0
"""After this long it is measured all the same."""
MIN_SAMPLES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Means after settling, magnitudes of discharge in W. None: not measured."""

    order_w: float
    ac_w: float | None
    dc_w: float | None
    reversion_armed: bool
    islanding_watched: bool
    samples: int

    @property
    def efficiency(self) -> float | None:
        """AC over DC, 0..; None where it cannot be told."""
        if self.ac_w is None or self.dc_w is None or self.samples < MIN_SAMPLES or not self.dc_w > 0:
            return None
        return self.ac_w / self.dc_w

    @property
    def deviation(self) -> float | None:
        """Of the AC power from the order, share of it; negative: less."""
        return None if self.ac_w is None else (self.ac_w - self.order_w) / self.order_w


class DischargeMeter:
    """Collects readings of one test. ``order_w``: magnitude; ``began_s``: when it was ordered."""

    def __init__(self, order_w: float, began_s: float) -> None:
        self.order_w = order_w
        self.settled_at_s: float | None = None
        self._began_s = began_s
        self._last_s = -1.0
        self._reached_at_s: float | None = None
        self._samples = self._dc_samples = 0
        self._ac_w = self._dc_w = 0.0
        self._armed = self._watched = True

    def add(
        self, now_s: float, inverter: InverterReading | None, output: DcEvseReading | None, islanding_watched: bool
    ) -> None:
        """A moment's fresh readings; None: there is none. One that was seen already counts once."""
        if inverter is None or not isfinite(inverter.power_w) or inverter.as_of_s <= self._last_s:
            return
        self._last_s = inverter.as_of_s
        ac_w = -inverter.power_w
        reached = abs(ac_w - self.order_w) <= FOLLOW_TOLERANCE * self.order_w
        if self.settled_at_s is None:
            if not reached:
                self._reached_at_s = None
            elif self._reached_at_s is None:
                self._reached_at_s = now_s
            kept = self._reached_at_s is not None and now_s - self._reached_at_s >= SETTLED_FOR_S
            if kept or now_s - self._began_s >= SETTLE_S:
                self.settled_at_s = now_s
            return
        self._samples += 1
        self._ac_w += ac_w
        self._armed = self._armed and inverter.reversion_armed
        self._watched = self._watched and islanding_watched
        dc_w = _dc_w(inverter, output)
        if dc_w is not None:
            self._dc_samples += 1
            self._dc_w -= dc_w

    def figures(self) -> Figures:
        n = self._samples
        # A mean DC power of other moments than the AC power's is no partner for it.
        paired = n > 0 and self._dc_samples == n
        return Figures(
            order_w=self.order_w,
            ac_w=self._ac_w / n if n else None,
            dc_w=self._dc_w / n if paired else None,
            reversion_armed=n > 0 and self._armed,
            islanding_watched=n > 0 and self._watched,
            samples=n,
        )


def efficiency_problem(efficiency: float | None) -> str:
    """What is wrong with a measured efficiency, in words; empty for a good one and for none."""
    if efficiency is None:
        return ""
    shown = f"{100 * efficiency:.1f} %"
    if not round(efficiency, 3) >= EFFICIENT:
        return f"measured {shown}, less than {100 * EFFICIENT:.0f} %"
    if not efficiency <= BELIEVED_MOST:
        return f"measured {shown}, which no inverter has: check both measurements"
    return ""


def judge(figures: Figures, accept_low: bool, interrupted: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why the test is not passed, and remarks. ``accept_low``: inverter.accept_low_efficiency is set."""
    reasons, remarks = [], []
    if interrupted:
        reasons.append(f"interrupted: {interrupted}")
    if figures.samples < MIN_SAMPLES:
        reasons.append(f"only {figures.samples} readings of the inverter after settling: see its connection")
    deviation = figures.deviation
    if deviation is not None and not abs(deviation) <= FOLLOW_TOLERANCE:
        reasons.append(f"does not follow: {100 * deviation:+.1f} % from the order")
    low = efficiency_problem(figures.efficiency)
    if low and accept_low:
        remarks.append(f"efficiency {low}; accepted by inverter.accept_low_efficiency")
    elif low:
        reasons.append(f"efficiency {low}")
    elif figures.efficiency is None and figures.samples >= MIN_SAMPLES:
        reasons.append("efficiency not measured: neither the inverter nor the DC output tells its DC power")
    if figures.samples and not figures.reversion_armed:
        reasons.append("the inverter's own reversion to zero was not armed all the time")
    if figures.samples and not figures.islanding_watched:
        reasons.append("neither the inverter's islanding detection nor a loss-of-mains input")
    return tuple(reasons), tuple(remarks)


def _dc_w(inverter: InverterReading, output: DcEvseReading | None) -> float | None:
    """At the inverter's DC terminals, else at the output; positive: into the vehicle."""
    if inverter.dc_power_w is not None:
        return inverter.dc_power_w if isfinite(inverter.dc_power_w) else None
    if output is None:
        return None
    dc_w = output.present_voltage_v * output.present_current_a
    return dc_w if isfinite(dc_w) else None
