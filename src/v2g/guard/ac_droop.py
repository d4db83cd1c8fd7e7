"""By how much a vehicle's inverter may leave what it is told because the frequency is not nominal. Pure.

A vehicle that was handed the droop of :mod:`v2g.grid.support` follows the frequency by itself, and with the droop's
response time: what it was allowed fades no faster than it can come back.
"""

from __future__ import annotations

import math

from v2g.grid.support import FrequencyDroop, droop_pu

_FADES = 2.0
"""Times the droop's own time constant: a vehicle may be late to see the frequency come back."""


class DroopAllowance:
    """Of one EVSE; ``rated_w``: the most that its vehicle's rating can be."""

    def __init__(self, droop: FrequencyDroop, nominal_hz: float, rated_w: float) -> None:
        self._droop = droop
        self._nominal_hz = nominal_hz
        self._rated_w = rated_w
        self._fade_s = max(_FADES * droop.response_s / math.log(10.0), 1e-3)
        self._less_w = self._more_w = 0.0
        self._at_s: float | None = None

    def update(self, frequency_hz: float | None, now_s: float) -> tuple[float, float]:
        """(below, above) what it is told, W, magnitudes: it may inject so much more, and absorb so much more. An
        unknown frequency allows nothing new."""
        dt_s = 0.0 if self._at_s is None else max(0.0, now_s - self._at_s)
        self._at_s = now_s
        kept = math.exp(-dt_s / self._fade_s)
        shift_w = 0.0
        if frequency_hz is not None and math.isfinite(frequency_hz) and frequency_hz > 0.0:
            shift_w = droop_pu(self._droop, frequency_hz, self._nominal_hz) * self._rated_w
            shift_w = min(max(shift_w, -2.0 * self._rated_w), 2.0 * self._rated_w)
        self._less_w = max(self._less_w * kept, -shift_w)
        self._more_w = max(self._more_w * kept, shift_w)
        return self._less_w, self._more_w
