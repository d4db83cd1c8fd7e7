"""Flicker severity by IEC 61000-4-15: Pst over ten minutes, Plt over two hours (IEEE 1547-2018 7.2.3: 0.35 and 0.25).

The blocks are the standard's: the voltage against its own slow mean (1), squared (2), band-limited and weighted by lamp
and eye (3), squared and smoothed (4), classified (5). Behind the square the signal is decimated to 800 to 1100 Hz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from v2g.grid.filters import BlockFilter, Section, butterworth_low_pass, first_order

Vector = NDArray[np.float64]

PST_S = 600.0
PLT_COUNT = 12
SETTLING_S = 60.0

_INSIDE_HZ = 800.0
_BLOCK = 24
_DECIMATOR_SPAN = 8
_MEAN_S = 27.3
_FIRST_MEAN_CYCLES = 20
_SMOOTH_S = 0.3
_HIGH_PASS_HZ = 0.05
_REFERENCE_HZ = 8.8

_CLASS_HZ = 50.0
_CLASSES = 2048
_LOWEST, _HIGHEST = 1e-4, 1e5


@dataclass(frozen=True, slots=True)
class _Lamp:
    """The weighting filter and the sinusoidal change at 8.8 Hz, peak to peak, that is just perceived."""

    k: float
    lambda_hz: float
    omega_hz: tuple[float, float, float, float]
    threshold: float


_LAMPS = {
    "120V": _Lamp(1.6357, 4.167375, (9.077169, 2.939902, 1.394468, 17.31512), 0.00321),
    "230V": _Lamp(1.74802, 4.05981, (9.15494, 2.27979, 1.22535, 21.9), 0.00250),
}

_PERCENTILES = (
    (0.0314, (0.1,)),
    (0.0525, (0.7, 1.0, 1.5)),
    (0.0657, (2.2, 3.0, 4.0)),
    (0.28, (6.0, 8.0, 10.0, 13.0, 17.0)),
    (0.08, (30.0, 50.0, 80.0)),
)
"""Weight in Pst squared, and the shares of time in per cent whose levels are averaged."""


class Flickermeter:
    """One phase. Feeds at ``sample_rate_hz`` (decimated inside); 120 V and 230 V lamp weightings by ``lamp``."""

    def __init__(self, sample_rate_hz: float, nominal_frequency_hz: float, lamp: str = "120V") -> None:
        weights = _LAMPS[lamp]
        self._step = max(1, math.floor(sample_rate_hz / _INSIDE_HZ))
        rate_hz = sample_rate_hz / self._step
        self._taps = _low_pass_taps(_DECIMATOR_SPAN * self._step, 0.25 / self._step)
        self._mean = BlockFilter([first_order(_MEAN_S)], rate_hz, _BLOCK)
        corner_hz = 35.0 if nominal_frequency_hz < 55.0 else 42.0
        self._weighting = BlockFilter(
            [
                first_order(1.0 / (2.0 * math.pi * _HIGH_PASS_HZ), high_pass=True),
                *butterworth_low_pass(6, corner_hz),
                *_eye(weights),
            ],
            rate_hz,
            _BLOCK,
        )
        self._smooth = BlockFilter([first_order(_SMOOTH_S)], rate_hz, _BLOCK)
        sensed = (weights.threshold * self._weighting.gain(_REFERENCE_HZ)) ** 2 / 2.0
        self._scale = 1.0 / (sensed * (1.0 + self._smooth.gain(2.0 * _REFERENCE_HZ)))
        self._settling = math.ceil(SETTLING_S * rate_hz)
        self._class_step = max(1, math.floor(rate_hz / _CLASS_HZ))
        self._skip = 0
        self._raw: Vector = np.empty(0)
        self._inside: Vector = np.empty(0)
        self._first_mean = round(_FIRST_MEAN_CYCLES * rate_hz / nominal_frequency_hz)
        self._instantaneous = 0.0
        self._counts = np.zeros(_CLASSES, np.int64)

    def feed(self, voltages_v: Vector) -> None:
        """Finite samples of one phase, ``[n]``. State is kept from block to block."""
        raw = np.concatenate((self._raw, voltages_v * voltages_v))
        count = (len(raw) - len(self._taps)) // self._step + 1
        if count <= 0:
            self._raw = raw
            return
        views = np.lib.stride_tricks.sliding_window_view(raw, len(self._taps))
        slow = views[: count * self._step : self._step] @ self._taps
        self._raw = raw[count * self._step :]
        inside = np.concatenate((self._inside, slow))
        if self._first_mean:
            if len(inside) < self._first_mean:
                self._inside = inside
                return
            self._mean.settle(float(inside[: self._first_mean].mean()))
            self._first_mean = 0
        whole = len(inside) // _BLOCK * _BLOCK
        for begin in range(0, whole, _BLOCK):
            self._take(inside[begin : begin + _BLOCK])
        self._inside = inside[whole:]

    @property
    def instantaneous(self) -> float:
        """The newest instantaneous flicker sensation, in units of the perception threshold."""
        return self._instantaneous

    @property
    def settled(self) -> bool:
        """The filters have run for 60 s."""
        return self._settling <= 0

    def pst(self) -> float | None:
        """Over what was fed since the last call of :meth:`restart`; None before the filters have settled (60 s)."""
        total = int(self._counts.sum())
        if total == 0:
            return None
        below = np.concatenate(([0], np.cumsum(self._counts))) / total
        edges = np.linspace(0.0, 1.0, _CLASSES + 1)
        levels = np.interp([1.0 - p / 100.0 for _, group in _PERCENTILES for p in group], below, edges)
        sensed = iter((_LOWEST * (_HIGHEST / _LOWEST) ** levels).tolist())
        squared = 0.0
        for weight, group in _PERCENTILES:
            squared += weight * sum(next(sensed) for _ in group) / len(group)
        return math.sqrt(squared)

    def restart(self) -> None:
        """Begin the next interval of ten minutes; filters go on."""
        self._counts[:] = 0

    def _take(self, square: Vector) -> None:
        mean = self._mean(square)
        # Without a voltage there is nothing to see by.
        relative = np.where(mean > 0.0, square / np.where(mean > 0.0, mean, 1.0) - 1.0, 0.0)
        sensed = self._scale * self._smooth(self._weighting(relative) ** 2)
        self._instantaneous = float(sensed[-1])
        if self._settling > 0:
            self._settling -= len(square)
            return
        picked = sensed[self._skip :: self._class_step]
        self._skip = (self._skip - len(sensed)) % self._class_step
        share = np.log(np.clip(picked / _LOWEST, 1.0, None)) / math.log(_HIGHEST / _LOWEST)
        which = np.clip((share * _CLASSES).astype(np.intp), 0, _CLASSES - 1)
        self._counts += np.bincount(which, minlength=_CLASSES)


def plt(psts: tuple[float, ...]) -> float:
    """Long-term severity: the cubic mean of twelve Pst (of those there are)."""
    newest = psts[-PLT_COUNT:]
    if not newest:
        return 0.0
    return float((sum(pst**3 for pst in newest) / len(newest)) ** (1.0 / 3.0))


def _eye(lamp: _Lamp) -> tuple[Section, Section]:
    w1, w2, w3, w4 = (2.0 * math.pi * hz for hz in lamp.omega_hz)
    resonance = Section((0.0, lamp.k * w1, 0.0), (1.0, 4.0 * math.pi * lamp.lambda_hz, w1 * w1), _REFERENCE_HZ)
    lead_lag = Section((0.0, 1.0 / w2, 1.0), (1.0 / (w3 * w4), 1.0 / w3 + 1.0 / w4, 1.0), lamp.omega_hz[3])
    return resonance, lead_lag


def _low_pass_taps(count: int, corner: float) -> Vector:
    """A windowed sinc with its corner at ``corner`` of the sample rate, unity at zero frequency."""
    at = np.arange(count) - (count - 1) / 2.0
    taps = np.sinc(2.0 * corner * at) * np.kaiser(count, 7.0)
    return np.asarray(taps / taps.sum(), np.float64)
