"""The ten-minute mean of the voltage that European profiles trip on."""

from __future__ import annotations

import math

PerPhase = tuple[float, float, float]

SLOT_S = 3.0
SLOTS = 200
"""Of :data:`SLOT_S`: ten minutes."""
_LONGEST_STEP_S = 0.2
"""A measurement stands for the time since the one before it, at most this."""


class TenMinuteVoltage:
    """RMS of each phase over the last ten minutes, per unit, renewed every :data:`SLOT_S`.

    What is not known, before the start and in gaps, counts as nominal: so soon after a start a short excursion trips
    no more than it would have later. An excursion that began before the start is seen at most ten minutes late; the
    fast over-voltage element stands beside this one.
    """

    def __init__(self) -> None:
        self._slots: list[PerPhase] = [(1.0, 1.0, 1.0)] * SLOTS
        self._next = 0
        self._sums = [0.0, 0.0, 0.0]
        self._filled_s = 0.0
        self._slot_began_s: float | None = None
        self._stepped_at_s = 0.0
        self._rms_pu: PerPhase = (1.0, 1.0, 1.0)

    @property
    def rms_pu(self) -> PerPhase:
        return self._rms_pu

    def step(self, now_s: float, v_pu: PerPhase) -> PerPhase:
        """Take one measurement; returns :attr:`rms_pu`. Time is an argument."""
        if self._slot_began_s is None or now_s < self._slot_began_s:
            self._slot_began_s = self._stepped_at_s = now_s
        elapsed_s = min(max(0.0, now_s - self._stepped_at_s), _LONGEST_STEP_S)
        self._stepped_at_s = now_s
        self._filled_s += elapsed_s
        a, b, c = v_pu
        self._sums[0] += a * a * elapsed_s
        self._sums[1] += b * b * elapsed_s
        self._sums[2] += c * c * elapsed_s
        if now_s - self._slot_began_s >= SLOT_S:
            self._close(now_s)
        return self._rms_pu

    def _close(self, now_s: float) -> None:
        unknown_s = max(0.0, SLOT_S - self._filled_s)
        whole_s = self._filled_s + unknown_s
        a, b, c = ((total + unknown_s) / whole_s for total in self._sums)
        self._put((a, b, c))
        began_s = self._slot_began_s or 0.0
        missed = min((now_s - began_s) / SLOT_S - 1.0, float(SLOTS))
        for _ in range(int(missed)):
            self._put((1.0, 1.0, 1.0))
        self._slot_began_s = now_s if missed >= 1.0 else began_s + SLOT_S
        self._sums = [0.0, 0.0, 0.0]
        self._filled_s = 0.0
        self._rms_pu = (self._rms(0), self._rms(1), self._rms(2))

    def _put(self, mean_squares: PerPhase) -> None:
        self._slots[self._next] = mean_squares
        self._next = (self._next + 1) % SLOTS

    def _rms(self, phase: int) -> float:
        return math.sqrt(sum(slot[phase] for slot in self._slots) / SLOTS)
