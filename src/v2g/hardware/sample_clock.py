"""Whether sequence and heartbeat of a waveform buffer can be believed: gaps, two writers, a wrong clock. Pure."""

from __future__ import annotations

from v2g.hardware.waveform import HEARTBEAT_LATE_S, WaveformWindow

STAMP_SLACK_S = 0.02
"""How far time tags of two windows may lie from what the samples between them say: the writer's own unsteadiness."""
RATE_OFF_SHARE = 0.01
"""A sample count that differs by more than this from the monotonic time is of another rate than the header says."""
RATE_OVER_S = 10.0
"""The time over which that is judged."""
_MARK_EVERY_S = 1.0
_MARKS = round(RATE_OVER_S / _MARK_EVERY_S)


class SampleClock:
    """Follows the windows of one buffer as they come. Holds ten marks and no more."""

    def __init__(self) -> None:
        self._generation = -1
        self._rate_hz = 0
        self._last: tuple[int, float] = (0, 0.0)
        self._marks: list[tuple[int, float]] = []
        self._at = 0
        self._whole_from = 0

    def judge(self, window: WaveformWindow, sample_rate_hz: int, now_s: float) -> str:
        """Why the window is not to be believed; empty: it can be. ``now_s`` is CLOCK_MONOTONIC.

        A window that is no newer than the one before is neither good nor bad news; it is judged as that one was.
        """
        ahead_s = window.as_of_s - now_s
        if ahead_s > HEARTBEAT_LATE_S:
            return f"clock: the newest samples are {ahead_s:.3f} s in the future; the writer's clock is wrong"
        if window.generation != self._generation or sample_rate_hz != self._rate_hz:
            self._generation, self._rate_hz = window.generation, sample_rate_hz
            self._whole_from = 0
            self._start(window)
            return ""
        steps, elapsed_s = window.last_index - self._last[0], window.as_of_s - self._last[1]
        if steps < 0 or elapsed_s < 0:
            self._start(window)
            self._whole_from = window.last_index
            return "the sequence runs backwards: two writers on one buffer? there must be one"
        off_s = steps / sample_rate_hz - elapsed_s
        if abs(off_s) > STAMP_SLACK_S + RATE_OFF_SHARE * elapsed_s:
            self._start(window)
            self._whole_from = window.last_index
            return (
                f"the sequence jumps by {steps} samples in {elapsed_s:.3f} s: samples were lost, or there are two "
                "writers on one buffer"
            )
        self._last = window.last_index, window.as_of_s
        if window.last_index - len(window.samples) < self._whole_from:
            return "a gap in the samples: waiting for a whole window after it"
        return self._rate(window)

    def _start(self, window: WaveformWindow) -> None:
        self._last = window.last_index, window.as_of_s
        self._marks.clear()
        self._marks.append(self._last)
        self._at = 0

    def _rate(self, window: WaveformWindow) -> str:
        marks = self._marks
        if window.as_of_s - marks[self._at][1] >= _MARK_EVERY_S:
            if len(marks) <= _MARKS:
                marks.append(self._last)
                self._at = len(marks) - 1
            else:
                self._at = (self._at + 1) % len(marks)
                marks[self._at] = self._last
        if len(marks) <= _MARKS:
            return ""
        index, at_s = marks[(self._at + 1) % len(marks)]
        elapsed_s = window.as_of_s - at_s
        rate_hz = (window.last_index - index) / elapsed_s
        if abs(rate_hz / self._rate_hz - 1.0) <= RATE_OFF_SHARE:
            return ""
        return (
            f"clock: {rate_hz:.0f} samples a second over {elapsed_s:.0f} s, the buffer says {self._rate_hz}; the "
            "writer's clock or its rate is wrong"
        )
