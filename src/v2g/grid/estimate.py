"""What protective estimation tells (:mod:`v2g.grid.estimation`), for all who only read it. Pure, without arrays."""

from __future__ import annotations

import cmath
import enum
import math
from dataclasses import dataclass

PerPhase = tuple[float, float, float]
PerPhaseOrNone = tuple[float | None, float | None, float | None]

FREQUENCY_FLOOR_PU = 0.30
"""Below this voltage a frequency is noise: a recorder went on printing 47 to 40 Hz on 30 V after a blackout."""
SAMPLE_RATE_MIN_HZ = 3_200
SAMPLE_RATE_MAX_HZ = 20_000

_ALPHA = cmath.rect(1.0, 2 * math.pi / 3)
UNKNOWN: PerPhaseOrNone = (None, None, None)


class EstimationError(ValueError):
    """Samples that cannot be estimated from; the message names the value and the remedy."""


def require_sample_rate(sample_rate_hz: float, who: str) -> None:
    """Raises :class:`EstimationError` outside 3200 to 20000 Hz; ``who`` needs them, for the message."""
    if not SAMPLE_RATE_MIN_HZ <= sample_rate_hz <= SAMPLE_RATE_MAX_HZ:
        raise EstimationError(
            f"sample rate {sample_rate_hz:g} Hz: {who} needs {SAMPLE_RATE_MIN_HZ} to {SAMPLE_RATE_MAX_HZ} Hz; "
            "set the rate of the waveform writer"
        )


class Validity(enum.StrEnum):
    VALID = "valid"
    NOT_FINITE = "not finite"
    STUCK = "stuck"
    CLIPPED = "clipped"
    """A voltage reached the end of its scale."""


@dataclass(frozen=True, slots=True)
class Power:
    """Per phase over three cycles under a Hann window. Positive downstream; reactive positive when current lags."""

    w: PerPhase
    var: PerPhase
    """Of the fundamental."""
    va: PerPhase
    """V_rms times I_rms."""

    @property
    def total_w(self) -> float:
        return sum(self.w)

    @property
    def total_var(self) -> float:
        return sum(self.var)

    @property
    def total_va(self) -> float:
        return sum(self.va)


ZERO_POWER = Power((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one window says. With a ``validity`` other than ``VALID`` every figure is zero or unknown."""

    validity: Validity
    v_pu: PerPhase = (0.0, 0.0, 0.0)
    """RMS over one cycle of the present frequency, of nominal."""
    frequency_hz: float | None = None
    """Median of the phases; None below the voltage floor, where the signal is not mostly one sine, and with a hole of
    all phases in the window."""
    phase_frequency_hz: PerPhaseOrNone = UNKNOWN
    transformer: Power = ZERO_POWER
    feeder: Power = ZERO_POWER
    transformer_moves: tuple[bool, bool, bool] = (True, True, True)
    """False for a transformer current channel that holds one value over the whole window."""
    centre_age_s: float = 0.0
    """From the centre of the frequency window, which is the time that frequency and phasors belong to, to its newest
    sample."""
    v_phasor_pu: tuple[complex, complex, complex] = (0j, 0j, 0j)
    """Fundamental of the bus voltages at the window's centre, RMS p.u.; the angle is that of a cosine there."""
    v1_pu: float = 0.0
    """Positive sequence, magnitude."""
    v2_pu: float = 0.0
    """Negative sequence."""
    v0_pu: float = 0.0
    """Zero sequence."""
    transformer_a: PerPhase = (0.0, 0.0, 0.0)
    """RMS over one cycle, A."""
    feeder_a: PerPhase = (0.0, 0.0, 0.0)
    inverter_v_pu: PerPhase = (0.0, 0.0, 0.0)
    """RMS over one cycle on the inverter side of the breaker."""
    inverter_angle_deg: PerPhaseOrNone = UNKNOWN
    """Fundamental, inverter side minus bus, in (-180, 180]; None where either side is below the voltage floor."""
    inverter_frequency_hz: float | None = None
    """Median of the phases; estimated only when asked for."""


def sequences(a: complex, b: complex, c: complex) -> tuple[complex, complex, complex]:
    """Positive, negative and zero sequence of three phasors; the positive one has b a third of a turn behind a."""
    back = _ALPHA.conjugate()
    return (a + _ALPHA * b + back * c) / 3, (a + back * b + _ALPHA * c) / 3, (a + b + c) / 3


def system_frequency(phase_frequency_hz: tuple[float | None, ...], nominal_hz: float) -> float | None:
    """The median of the known phases, in Hz. Of two, the one nearer to nominal: what both phases agree on."""
    known = sorted(value for value in phase_frequency_hz if value is not None)
    if not known:
        return None
    if len(known) % 2:
        return known[len(known) // 2]
    middle = known[len(known) // 2 - 1 : len(known) // 2 + 1]
    return min(middle, key=lambda value: abs(value - nominal_hz))
