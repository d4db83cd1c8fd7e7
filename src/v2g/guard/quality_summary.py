"""What one summary interval holds: extremes and means of every record, events by code, time measured. Pure."""

from __future__ import annotations

import math
from collections import Counter

from v2g.grid.metering import RMS_CYCLES, MeteringRecord
from v2g.guard.quality_watch import QualityEvent

_PHASES = "abc"


class _Range:
    __slots__ = ("count", "high", "low", "total")

    def __init__(self) -> None:
        self.low, self.high, self.total, self.count = math.inf, -math.inf, 0.0, 0

    def add(self, value: float) -> None:
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.total += value
        self.count += 1

    def text(self, digits: int) -> str:
        """``low/mean/high``."""
        if not self.count:
            return "none"
        return "/".join(f"{value:.{digits}f}" for value in (self.low, self.total / self.count, self.high))


class QualitySummary:
    """One interval that began at ``began_s``, monotonic."""

    def __init__(self, began_s: float, nominal_frequency_hz: float) -> None:
        self.began_s = began_s
        self.events: Counter[str] = Counter()
        self.gaps = 0
        """Times that samples were missing."""
        self._nominal_hz = nominal_frequency_hz
        self._measured_s = 0.0
        self._volts = tuple(_Range() for _ in _PHASES)
        self._frequency = _Range()
        self._thd, self._trd, self._unbalance, self._dc = _Range(), _Range(), _Range(), _Range()

    def add(self, record: MeteringRecord) -> None:
        self._measured_s += RMS_CYCLES / (record.frequency_hz or self._nominal_hz)
        for phase, value in zip(self._volts, record.v_pu, strict=True):
            phase.add(value)
        if record.frequency_hz is not None:
            self._frequency.add(record.frequency_hz)
        self._thd.add(max(record.thd_v_pct))
        self._trd.add(max(record.trd_pct))
        self._unbalance.add(record.unbalance_pct)
        self._dc.add(max(map(abs, record.dc_injection_pct)))

    def count(self, event: QualityEvent) -> None:
        if event.level != "info":
            self.events[event.code] += 1

    def fields(self, now_s: float) -> dict[str, object]:
        """Key=value of the log line: ranges as ``lowest/mean/highest``, distortion of the worst phase."""
        interval_s = max(now_s - self.began_s, 1e-3)
        return {
            "interval_s": round(interval_s, 1),
            "measured_pct": round(min(100.0, 100.0 * self._measured_s / interval_s), 1),
            "gaps": self.gaps,
            **{f"v_{name}_pu": phase.text(4) for name, phase in zip(_PHASES, self._volts, strict=True)},
            "frequency_hz": self._frequency.text(3),
            "thd_v_pct": self._thd.text(2),
            "trd_pct": self._trd.text(2),
            "unbalance_pct": self._unbalance.text(2),
            "dc_injection_pct": self._dc.text(3),
            "events": ",".join(f"{code}:{count}" for code, count in sorted(self.events.items())) or "none",
        }
