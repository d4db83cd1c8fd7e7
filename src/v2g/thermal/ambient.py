"""Ambient as it is to be counted with: measured, or held and growing warmer until the fallback counts. Pure.

A lost ambient keeps its last value and warms by :data:`AMBIENT_RISE_K_H`, which few mornings do, up to the configured
fallback; where the last value was warmer than that, it stays for a day. Never measured at all, the fallback counts at
once.
"""

from __future__ import annotations

from typing import Final

from v2g.thermal.losses import SERVICE_AMBIENT_C
from v2g.thermal.sensor_watch import Health, SensorNature, SensorReport, SensorWatch

AMBIENT_RISE_K_H: Final = 6.0
"""Faster than the air of most mornings; from 25 °C the usual fallback of 40 °C is reached in two and a half hours."""
AMBIENT_FALL_K: Final = 15.0
"""Without top-oil nothing contradicts a failing ambient transducer: it is followed down so far, as nights go."""
SERVICE_LOW_C: Final = -25.0
"""Lowest ambient of the usual outdoor service conditions (IEC 60076-1)."""
COLDEST_C: Final = -40.0
"""Below, the thermal model was never compared with anything."""
_FALL_K_H: Final = 2.0
"""What an evening may take, while ambient is not measured."""
_HOT_HELD_S: Final = 86_400.0
_DEAD_BAND_K: Final = 1.0

_NATURE: Final = SensorNature(
    name="ambient",
    low_c=-60.0,
    high_c=90.0,
    fastest_k_s=0.001,
    noise_k=10.0,
    stuck_after_k=None,
    believed_again_s=600.0,
    disbelief_k=15.0,
)


class AmbientLadder:
    """:meth:`step` at every step. ``held_c``: from before a restart, None where nothing is known."""

    def __init__(self, fallback_c: float, held_c: float | None = None) -> None:
        self._fallback_c = fallback_c
        self._watch = SensorWatch(_NATURE)
        self._held_c = held_c
        self._held_at_s: float | None = None
        self._floor_c: float | None = None
        self._beyond = ""
        self.counted_c = fallback_c
        self.measured = False

    @property
    def known_c(self) -> float:
        """The last one measured; the one counted with, where none ever was."""
        return self.counted_c if self._held_c is None else self._held_c

    def step(self, read_c: float | None, oil_believed: bool, now_s: float, notes: list[str]) -> SensorReport:
        """Judges the reading, renews :attr:`counted_c` and :attr:`measured`, and says what is assumed."""
        # A drop that no air makes is never believed, be it steady: with it, a sound top-oil would look wrong.
        report = self._watch.judge(read_c, self._lowest_likely_c(now_s), now_s)
        if oil_believed or self._held_c is None:
            self._floor_c = None
        elif self._floor_c is None:
            self._floor_c = self._held_c - AMBIENT_FALL_K
        value_c = report.value
        if value_c is not None and self._floor_c is not None and value_c < self._floor_c:
            notes.append(
                f"ambient transducer reads {value_c:.1f} °C: followed down to {self._floor_c:.1f} °C only, while there "
                "is no top-oil temperature to contradict it; check both transducers"
            )
            value_c = self._floor_c
        self.measured = value_c is not None
        if value_c is not None:
            self._held_c, self._held_at_s = value_c, now_s
            self.counted_c = value_c
        else:
            self.counted_c = self._assumed(report, now_s, notes)
        self._say_beyond(notes)
        return report

    def _lowest_likely_c(self, now_s: float) -> float | None:
        if self._held_c is None or self._held_at_s is None:
            return self._held_c
        fallen_k = _FALL_K_H / 3600.0 * (now_s - self._held_at_s)
        return min(self._held_c, self.counted_c) - min(AMBIENT_FALL_K, fallen_k)

    def _assumed(self, report: SensorReport, now_s: float, notes: list[str]) -> float:
        held_c = self._held_c
        if held_c is None:
            counted_c = self._fallback_c
        else:
            if self._held_at_s is None:
                self._held_at_s = now_s
            lost_s = now_s - self._held_at_s
            if held_c <= self._fallback_c:
                counted_c = min(self._fallback_c, held_c + AMBIENT_RISE_K_H / 3600.0 * lost_s)
            else:
                counted_c = held_c if lost_s <= _HOT_HELD_S else self._fallback_c
        if report.health is Health.JUMPED and report.read is not None:
            counted_c = max(counted_c, report.read)
        if report.words and report.read is not None:
            notes.append(f"{report.words}; {counted_c:.4g} °C assumed")
        else:
            notes.append(f"no ambient temperature: {counted_c:.4g} °C assumed; check the ambient transducer")
        return counted_c

    def _say_beyond(self, notes: list[str]) -> None:
        c, beyond = self.counted_c, self._beyond
        if c > SERVICE_AMBIENT_C - (_DEAD_BAND_K if beyond == "hot" else 0.0):
            self._beyond = "hot"
            notes.append(
                f"ambient of {c:.1f} °C is above the {SERVICE_AMBIENT_C:g} °C at which usual service ends: losses are "
                "counted as growing with it; shade or ventilate the transformer, or ask its maker"
            )
        elif c < COLDEST_C + (_DEAD_BAND_K if beyond == "coldest" else 0.0):
            self._beyond = "coldest"
            notes.append(
                f"ambient of {c:.1f} °C is below {COLDEST_C:g} °C, colder than the thermal model was ever compared "
                "with: cold oil limits the load; check the ambient transducer, and ask the maker before loading"
            )
        elif c < SERVICE_LOW_C + (_DEAD_BAND_K if beyond == "cold" else 0.0):
            self._beyond = "cold"
            notes.append(
                f"ambient of {c:.1f} °C is below the {SERVICE_LOW_C:g} °C at which usual service begins: oil is stiff "
                "and the winding warms before it; cold oil limits the load"
            )
        else:
            self._beyond = ""
