"""The Hann-windowed DFT about its window's centre: the kernel is real there, so that angles keep no frequency error.

A sine of ``omega`` rad a sample gives ``X(at) = A * kernel(at - omega) + conj(A) * kernel(at + omega)`` at the angular
frequency ``at``. ``A`` is half the peak phasor at the centre of the window.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TAU = 2 * math.pi


def window(n: int) -> NDArray[np.float64]:
    """The periodic Hann window, ``[n]``; its centre is at sample ``n / 2``."""
    return 0.5 - 0.5 * np.cos(TAU * np.arange(n) / n)


def dft(n: int, bins: range) -> NDArray[np.float64]:
    """``[n, 2 * len(bins)]``: the cosines of all bins, then the negative sines, windowed, about the centre."""
    angle = TAU * np.outer(np.arange(n) - n / 2, np.array(bins)) / n
    taper = window(n)[:, None]
    return np.ascontiguousarray(np.concatenate([taper * np.cos(angle), -taper * np.sin(angle)], axis=1))


def kernel(theta: float, n: int) -> float:
    """Transform of :func:`window` about its centre at ``theta`` rad a sample."""
    half, step = theta / 2, math.pi / n
    for pole in (0.0, step, -step):
        # Removable singularities: a hair beside them the quotient is right to seven digits.
        if abs(half - pole) < 1e-9:
            half = pole + 1e-9
    square, edge = math.sin(half) ** 2, math.sin(step) ** 2
    return 0.5 * math.sin(n * half) / math.tan(half) * edge / (edge - square)


def amplitude(real: float, imaginary: float, at: float, omega: float, n: int) -> complex:
    """``A`` of the sine ``omega`` from its one value at ``at``; the image is taken away exactly."""
    direct, image = kernel(at - omega, n), kernel(at + omega, n)
    return complex(real / (direct + image), imaginary / (direct - image))


def offset_bins(left: float, middle: float, right: float) -> float:
    """Where between the bins the sine lies, from three magnitudes; -1 to 1."""
    total = left + 2 * middle + right
    return 2 * (right - left) / total if total > 0.0 else 0.0
