"""Linear filters that run in numpy alone: second-order sections in series, applied in blocks as one matrix product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Section:
    """``(b2 s^2 + b1 s + b0) / (a2 s^2 + a1 s + a0)``, s in rad/s; made digital so that it is exact at ``exact_hz``."""

    b: tuple[float, float, float]
    a: tuple[float, float, float]
    exact_hz: float


def first_order(time_constant_s: float, *, high_pass: bool = False) -> Section:
    """Low-pass, or high-pass, with its corner at ``1 / (2 pi time_constant_s)``."""
    corner_hz = 1.0 / (2.0 * math.pi * time_constant_s)
    numerator = (0.0, time_constant_s, 0.0) if high_pass else (0.0, 0.0, 1.0)
    return Section(numerator, (0.0, time_constant_s, 1.0), corner_hz)


def butterworth_low_pass(order: int, corner_hz: float) -> tuple[Section, ...]:
    """``order`` even."""
    omega = 2.0 * math.pi * corner_hz
    return tuple(
        Section(
            (0.0, 0.0, omega * omega),
            (1.0, 2.0 * omega * math.sin(math.pi * (2 * k + 1) / (2 * order)), omega * omega),
            corner_hz,
        )
        for k in range(order // 2)
    )


class BlockFilter:
    """Sections in series at ``rate_hz``. Takes blocks of one length and keeps its state from one to the next."""

    def __init__(self, sections: Sequence[Section], rate_hz: float, block: int) -> None:
        a, b, c, d = _series([_state_space(section, rate_hz) for section in sections])
        self._matrices = a, b, c, d
        self._rate_hz = rate_hz
        powers = [np.eye(len(a))]
        for _ in range(block):
            powers.append(a @ powers[-1])
        impulse = np.array([d, *(float(c @ power @ b) for power in powers[:-1])])
        lag = np.subtract.outer(np.arange(block), np.arange(block))
        self._direct: Vector = np.where(lag >= 0, impulse[np.clip(lag, 0, None)], 0.0)
        self._observe: Vector = np.stack([c @ power for power in powers[:-1]])
        self._reach: Vector = np.stack([power @ b for power in powers[-2::-1]], axis=1)
        self._carry: Vector = powers[block]
        self._state: Vector = np.zeros(len(a))

    def __call__(self, block: Vector) -> Vector:
        out: Vector = self._direct @ block + self._observe @ self._state
        self._state = self._carry @ self._state + self._reach @ block
        return out

    def settle(self, level: float) -> None:
        """The state that an input of ``level`` since ever has left; for filters that pass a constant."""
        a, b, _, _ = self._matrices
        self._state = np.asarray(np.linalg.solve(np.eye(len(a)) - a, b * level), np.float64)

    def gain(self, hz: float) -> float:
        """Magnitude of the response at ``hz``."""
        a, b, c, d = self._matrices
        z = np.exp(2j * math.pi * hz / self._rate_hz)
        return float(abs(c @ np.linalg.solve(z * np.eye(len(a)) - a, b.astype(np.complex128)) + d))


_System = tuple[Vector, Vector, Vector, float]


def _state_space(section: Section, rate_hz: float) -> _System:
    omega = 2.0 * math.pi * section.exact_hz
    k = omega / math.tan(omega / (2.0 * rate_hz))
    (b2, b1, b0), (a2, a1, a0) = section.b, section.a
    order = 2 if a2 else 1
    if order == 2:
        numerator = [b2 * k * k + b1 * k + b0, 2.0 * (b0 - b2 * k * k), b2 * k * k - b1 * k + b0]
        denominator = [a2 * k * k + a1 * k + a0, 2.0 * (a0 - a2 * k * k), a2 * k * k - a1 * k + a0]
    else:
        numerator = [b1 * k + b0, b0 - b1 * k]
        denominator = [a1 * k + a0, a0 - a1 * k]
    b = np.array(numerator) / denominator[0]
    a = np.array(denominator) / denominator[0]
    matrix = np.eye(order, k=1)
    matrix[:, 0] = -a[1:]
    output = np.zeros(order)
    output[0] = 1.0
    return matrix, b[1:] - a[1:] * b[0], output, float(b[0])


def _series(systems: Sequence[_System]) -> _System:
    a, b, c, d = systems[0]
    for a2, b2, c2, d2 in systems[1:]:
        upper = np.hstack((a, np.zeros((len(a), len(a2)))))
        lower = np.hstack((np.outer(b2, c), a2))
        a, b, c, d = (np.vstack((upper, lower)), np.concatenate((b, b2 * d)), np.concatenate((d2 * c, c2)), d * d2)
    return a, b, c, d
