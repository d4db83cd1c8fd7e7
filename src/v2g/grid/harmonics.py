"""Spectra of whole cycles: band-limited resampling and harmonic groups."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

_STOPBAND_DB = 75.0
_PHASES = 4096
_SMOOTH = (2, 3, 5)
_AT_ONCE = 256
"""Positions that are read at once: what is gathered for them stays in the processor's cache."""


class Resampler:
    """Reads a sampled signal between its samples: a Kaiser-windowed sinc, flat to ``passband`` of the sample rate."""

    def __init__(self, passband: float) -> None:
        transition = 2.0 * (0.5 - passband)
        taps = math.ceil((_STOPBAND_DB - 8.0) / (2.285 * 2.0 * math.pi * transition)) + 1
        self.half = max(6, (taps + 1) // 2)
        """Samples needed before and after each position."""
        offsets = np.arange(1 - self.half, self.half + 1)
        distance = offsets[None, :] - np.arange(_PHASES + 1)[:, None] / _PHASES
        beta = 0.1102 * (_STOPBAND_DB - 8.7)
        window = np.i0(beta * np.sqrt(np.clip(1.0 - (distance / self.half) ** 2, 0.0, None))) / np.i0(beta)
        table = np.sinc(distance) * window
        self._table: Samples = table / table.sum(axis=1, keepdims=True)

    def at(self, signals: Samples, start: float, step: float, count: int) -> Samples:
        """``signals[n, c]`` read at ``start + k * step`` for k below ``count``; ``[count, c]``.

        The positions must keep :attr:`half` samples from both ends.
        """
        views = np.lib.stride_tricks.sliding_window_view(signals, 2 * self.half, axis=0)
        found: Samples = np.empty((count, signals.shape[1]))
        for first in range(0, count, _AT_ONCE):
            position = start + step * np.arange(first, min(count, first + _AT_ONCE))
            whole = np.floor(position).astype(np.intp)
            weights = self._table[np.rint((position - whole) * _PHASES).astype(np.intp)]
            rows = found[first : first + _AT_ONCE]
            np.einsum("ncw,nw->nc", views[whole + 1 - self.half], weights, out=rows, optimize=False)
        return found


def fast_length(least: int) -> int:
    """The smallest even count from ``least`` on that an FFT likes."""
    count = least + least % 2
    while _remainder(count) != 1:
        count += 2
    return count


def groups(spectrum: Spectrum, cycles: int, highest: int) -> Samples:
    """RMS of each harmonic with its two neighbouring bins, ``[highest, c]``, index 0 is the fundamental alone.

    ``spectrum[k, c]`` holds RMS phasors of a window of ``cycles``. The neighbours carry what lies within about 5 Hz
    (harmonic subgroups of IEC 61000-4-7).
    """
    power = np.abs(spectrum[: cycles * highest + 2]) ** 2
    centre = cycles * np.arange(1, highest + 1)
    found = power[centre] + power[centre - 1] + power[centre + 1]
    found[0] = power[cycles]
    result: Samples = np.sqrt(found)
    return result


def _remainder(count: int) -> int:
    for factor in _SMOOTH:
        while count % factor == 0:
            count //= factor
    return count
