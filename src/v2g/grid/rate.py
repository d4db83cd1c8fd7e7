"""What takes more than one window: the rate of change of frequency, and jumps of the phase angle."""

from __future__ import annotations

import cmath
import math
from collections import deque
from dataclasses import dataclass

from v2g.grid.estimate import FREQUENCY_FLOOR_PU, sequences
from v2g.grid.settings import FREQUENCY_CYCLES, ROCOF_WINDOW_S

SUSPECT_HZ = 0.3
"""A frequency that gains this beyond its slope within three cycles is not believed until they are over: a phase jump
shows in it before it shows in the angle. 4 Hz/s gain less."""

_TAG_TOLERANCE_S = 1e-6


class Rocof:
    """Slope of the frequency over the last :data:`ROCOF_WINDOW_S` by least squares.

    Time tags are those of the windows' centres. Unknown frequencies are left out; a gap longer than the window starts
    over. A phase jump is no rate of change: the caller leaves frequencies out while :attr:`PhaseJumpDetector.settling`
    and resets when a jump is told.
    """

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._slope: float | None = None

    def step(self, tag_s: float, frequency_hz: float | None) -> float | None:
        """Hz/s; None until a whole window of known frequencies is there. A tag seen before changes nothing."""
        points = self._points
        if points and not 0.0 <= tag_s - points[-1][0] <= ROCOF_WINDOW_S + _TAG_TOLERANCE_S:
            self.reset()
        if frequency_hz is None or (points and tag_s == points[-1][0]):
            return self._slope
        points.append((tag_s, frequency_hz))
        begin_s = tag_s - ROCOF_WINDOW_S + _TAG_TOLERANCE_S
        while len(points) > 1 and points[1][0] <= begin_s:
            points.popleft()
        self._slope = self._least_squares() if points[0][0] <= begin_s else None
        return self._slope

    def reset(self) -> None:
        self._points.clear()
        self._slope = None

    def _least_squares(self) -> float:
        mean_s = sum(tag_s for tag_s, _ in self._points) / len(self._points)
        spread = covered = 0.0
        for tag_s, frequency_hz in self._points:
            spread += (tag_s - mean_s) ** 2
            covered += (tag_s - mean_s) * frequency_hz
        return covered / spread


@dataclass(frozen=True, slots=True)
class PhaseJump:
    """``sequence_deg``: of the positive sequence; ``phase_deg``: of each phase. Positive: the grid leapt ahead.

    A phase below the voltage floor before or after has no angle: 0.
    """

    at_s: float
    sequence_deg: float
    phase_deg: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Window:
    tag_s: float
    frequency_hz: float
    phasors: tuple[complex, ...]
    """Positive sequence, then the phases; 0 below the voltage floor."""
    reference: tuple[complex, ...]
    """The same; 0 also where a window before was below it: one over the edge of a sag has an angle of its own."""


class PhaseJumpDetector:
    """Compares the phasors with those that the frequency before the jump would have brought.

    Reports a jump once, within 100 ms, when phase angles have settled again; right within 2 degrees.
    ``threshold_deg``: the smallest jump that is one (of a phase or of the sequence).

    A window is compared with an older one that shares no sample with it. A deviation of half the threshold, or of
    :data:`SUSPECT_HZ`, is a suspicion. It is judged when the jump has left the windows, with the mean of the
    frequencies before and after, so that a ramp is no jump. A frequency that has become another leaves open what angle
    it gained on the way; only what exceeds that is a jump, so that a step of frequency is none either.
    """

    def __init__(self, nominal_frequency_hz: float, threshold_deg: float = 5.0) -> None:
        self._threshold_deg = threshold_deg
        self._window_s = FREQUENCY_CYCLES / nominal_frequency_hz
        self._kept: deque[_Window] = deque()
        self._before: _Window | None = None
        self._slope_hz_s = 0.0
        self._dead_at_s = [-math.inf] * 4
        self._course: list[tuple[float, float]] = []
        """Time tags and largest deviations in degrees: the last inconspicuous one and those of the suspicion."""

    @property
    def settling(self) -> bool:
        """A jump is inside the windows: frequency and rate of change are not to be believed now.

        A step of frequency looks the same for three cycles: trip elements that have 160 ms must not wait for this.
        """
        return self._before is not None

    def reset(self) -> None:
        """Forget every window."""
        self._start_over()
        self._dead_at_s = [-math.inf] * 4

    def step(
        self, tag_s: float, phasors: tuple[complex, complex, complex], frequency_hz: float | None
    ) -> PhaseJump | None:
        """One call for each window; ``tag_s`` is its centre. A tag seen before changes nothing."""
        kept = self._kept
        if kept and not 0.0 <= tag_s - kept[-1].tag_s <= 2 * self._window_s:
            self._start_over()
        alive = self._alive(tag_s, (sequences(*phasors)[0], *phasors))
        if frequency_hz is None or (kept and tag_s == kept[-1].tag_s):
            return None
        reference = tuple(
            phasor if tag_s - dead_at_s >= self._window_s else 0j
            for phasor, dead_at_s in zip(alive, self._dead_at_s, strict=True)
        )
        now = _Window(tag_s, frequency_hz, alive, reference)
        kept.append(now)
        if self._before is None:
            self._suspect(now)
            return None
        self._course.append((tag_s, self._largest_deg(self._before, now)))
        return self._judge(self._before, now)

    def _start_over(self) -> None:
        self._kept.clear()
        self._course.clear()
        self._before = None

    def _alive(self, tag_s: float, phasors: tuple[complex, ...]) -> tuple[complex, ...]:
        for index, phasor in enumerate(phasors):
            if abs(phasor) < FREQUENCY_FLOOR_PU:
                self._dead_at_s[index] = tag_s
        return tuple(phasor if abs(phasor) >= FREQUENCY_FLOOR_PU else 0j for phasor in phasors)

    def _suspect(self, now: _Window) -> None:
        kept, apart_s = self._kept, self._window_s - _TAG_TOLERANCE_S
        while now.tag_s - kept[0].tag_s >= 2 * apart_s and now.tag_s - kept[1].tag_s >= apart_s:
            kept.popleft()
        before = next((window for window in reversed(kept) if now.tag_s - window.tag_s >= apart_s), None)
        if before is None:
            return
        first = kept[0]
        self._slope_hz_s = (
            (before.frequency_hz - first.frequency_hz) / (before.tag_s - first.tag_s) if first is not before else 0.0
        )
        largest_deg = self._largest_deg(before, now)
        if largest_deg >= self._threshold_deg / 2 or abs(self._gained_hz(before, now)) >= SUSPECT_HZ:
            self._before = before
        else:
            self._course.clear()
        self._course.append((now.tag_s, largest_deg))

    def _judge(self, before: _Window, now: _Window) -> PhaseJump | None:
        at_s = self._half_way_s()
        if now.tag_s < min(at_s + self._window_s / 2, self._course[1][0] + self._window_s):
            return None
        open_deg = 180 * abs(self._gained_hz(before, now)) * (now.tag_s - before.tag_s)
        deviations = _deviations_deg(before, now, (before.frequency_hz + now.frequency_hz) / 2)
        self._start_over()
        self._kept.append(now)
        if max(map(abs, deviations)) < self._threshold_deg + open_deg:
            return None
        sequence, a, b, c = deviations
        return PhaseJump(at_s, sequence, (a, b, c))

    def _gained_hz(self, before: _Window, now: _Window) -> float:
        """Beyond what the slope before the suspicion brings."""
        return now.frequency_hz - before.frequency_hz - self._slope_hz_s * (now.tag_s - before.tag_s)

    def _largest_deg(self, before: _Window, now: _Window) -> float:
        expected_hz = before.frequency_hz + self._slope_hz_s * (now.tag_s - before.tag_s) / 2
        return max(map(abs, _deviations_deg(before, now, expected_hz)))

    def _half_way_s(self) -> float:
        """When the deviation passed half of what it is now: there the jump was in the middle of the window."""
        half_deg = self._course[-1][1] / 2
        earlier_s, earlier_deg = self._course[0]
        for tag_s, deg in self._course[1:]:
            if deg >= half_deg:
                share = (half_deg - earlier_deg) / (deg - earlier_deg) if deg > earlier_deg else 0.0
                return earlier_s + max(share, 0.0) * (tag_s - earlier_s)
            earlier_s, earlier_deg = tag_s, deg
        return earlier_s


def _deviations_deg(before: _Window, now: _Window, mean_hz: float) -> tuple[float, float, float, float]:
    turn = cmath.exp(-1j * math.tau * mean_hz * (now.tag_s - before.tag_s))
    sequence, a, b, c = (
        math.degrees(cmath.phase(after * turn * earlier.conjugate())) if after and earlier else 0.0
        for after, earlier in zip(now.phasors, before.reference, strict=True)
    )
    return sequence, a, b, c
