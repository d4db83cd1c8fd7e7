"""The measured efficiency of one inverter, by direction and load. Pure.

AC and DC power of nearly the same moment are booked as energies while the power is steady, and older ones fade, so
that a band tells of the last minutes in which it was in use. What the transducers cannot tell apart from an inverter
without losses is told as that: an efficiency above :data:`BELIEVED_MOST` is a wrong transducer, not a good inverter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

EFFICIENT = 0.97
"""Below this an inverter is told of; in its discharge test it is refused."""
BACK_ABOVE = 0.973
"""It is efficient again above this."""
BELIEVED_MOST = 1.005
BANDS = ((0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.1))
"""Shares of the rating. Below a tenth standing losses and the transducers' own errors decide."""
STEADY_SHARE = 0.02
"""Of the rating: so much the power may change between two readings."""
SAME_MOMENT_S = 0.5
"""So far apart AC and DC may have been measured while the power is steady."""
ENOUGH = 50
"""Readings before a band is judged: ten seconds at the usual pace."""
_FADES_WITH = 1.0 / 1500.0
"""Of each reading: a band remembers five minutes at the usual pace."""

Band = tuple[str, float, float, float, int]
"""(``charge`` or ``discharge``, lower edge, upper edge, efficiency, readings)."""


@dataclass(slots=True)
class _Sums:
    in_w: float = 0.0
    out_w: float = 0.0
    readings: int = 0
    low: bool = False

    @property
    def efficiency(self) -> float:
        return self.out_w / self.in_w if self.in_w > 0 else 0.0


@dataclass(frozen=True, slots=True)
class EfficiencyEvent:
    """A band has fallen below :data:`EFFICIENT` (``low``), or is back."""

    direction: str
    band: tuple[float, float]
    efficiency: float
    low: bool


class EfficiencyMeter:
    """One inverter. Powers in W, positive into the vehicle, of AC and DC terminals alike."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, tuple[float, float]], _Sums] = {}
        self._last_ac_w = math.nan
        self._last_dc_w = math.nan

    def observe(
        self, ac_w: float, ac_at_s: float, dc_w: float, dc_at_s: float, rated_w: float
    ) -> EfficiencyEvent | None:
        """A pair of readings. None, or what changed in the judgement of its band."""
        last_ac_w, last_dc_w = self._last_ac_w, self._last_dc_w
        self._last_ac_w, self._last_dc_w = ac_w, dc_w
        if not (rated_w > 0 and abs(ac_at_s - dc_at_s) <= SAME_MOMENT_S):
            return None
        steady_w = STEADY_SHARE * rated_w
        if not (abs(ac_w - last_ac_w) <= steady_w and abs(dc_w - last_dc_w) <= steady_w and ac_w * dc_w > 0):
            return None
        band = next((edges for edges in BANDS if edges[0] <= abs(ac_w) / rated_w < edges[1]), None)
        if band is None:
            return None
        direction = "charge" if ac_w > 0 else "discharge"
        sums = self._sums.setdefault((direction, band), _Sums())
        into_w, out_w = (abs(ac_w), abs(dc_w)) if direction == "charge" else (abs(dc_w), abs(ac_w))
        sums.in_w += into_w - sums.in_w * _FADES_WITH
        sums.out_w += out_w - sums.out_w * _FADES_WITH
        sums.readings += 1
        return self._judged(direction, band, sums)

    def bands(self) -> tuple[Band, ...]:
        """Those with :data:`ENOUGH` readings, discharge last, from low load to high."""
        return tuple(
            (direction, *band, sums.efficiency, sums.readings)
            for (direction, band), sums in sorted(self._sums.items())
            if sums.readings >= ENOUGH
        )

    def problem(self) -> str:
        """What cannot be: the transducers contradict each other. Empty: nothing."""
        worst = max((sums.efficiency for sums in self._sums.values() if sums.readings >= ENOUGH), default=0.0)
        if worst <= BELIEVED_MOST:
            return ""
        return f"more comes out than goes in ({100.0 * worst:.1f} %): calibrate its AC and DC transducers"

    @staticmethod
    def _judged(direction: str, band: tuple[float, float], sums: _Sums) -> EfficiencyEvent | None:
        if sums.readings < ENOUGH:
            return None
        efficiency = sums.efficiency
        low = efficiency < (BACK_ABOVE if sums.low else EFFICIENT)
        if low is sums.low:
            return None
        sums.low = low
        return EfficiencyEvent(direction, band, efficiency, low)
