"""The metering estimator: ten-cycle RMS, 60-cycle frequency, harmonics, THD and TRD (IEEE 1547-2018 Table 3, clause 7).

Slow and exact beside the fast estimator that protects. Pure: blocks of samples in, records out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
PerPhase = tuple[float, float, float]

RMS_CYCLES = 10
FREQUENCY_CYCLES = 60
HIGHEST_HARMONIC = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringRecord:
    """One block of ten cycles. ``at_s``: the block's centre on the writer's clock."""

    at_s: float
    v_pu: PerPhase
    frequency_hz: float | None
    """Over 60 cycles; None below the voltage floor or before 60 cycles are there."""
    thd_v_pct: PerPhase
    """Of the fundamental."""
    thd_i_pct: PerPhase
    """Of the feeder's currents, of the fundamental; 0 below 1 % of rating."""
    trd_pct: PerPhase
    """Total rated-current distortion of the feeder: ``sqrt(Irms^2 - I1^2) / Irated`` (IEEE 1547-2018 3.1, 7.3)."""
    harmonics_v_pct: tuple[PerPhase, ...]
    """Index 0 is the 2nd; up to :attr:`Metering.highest_harmonic`. Of the fundamental."""
    harmonics_i_pct: tuple[PerPhase, ...]
    """Feeder, of rated current; interharmonics within 5 Hz belong to the harmonic."""
    transformer_harmonics_a: tuple[PerPhase, ...]
    """RMS amperes, index 0 is the fundamental; for the loss factor F_HL of the thermal model."""
    unbalance_pct: float
    """Negative over positive sequence."""
    dc_injection_pct: PerPhase
    """Of rated current (clause 7.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RapidChange:
    """A rapid voltage change (7.2.2): ``change_pct`` of nominal within one second, of the one-cycle RMS."""

    at_s: float
    phase: str
    change_pct: float


class Metering:
    """Takes consecutive samples in any blocks and gives a record for every ten nominal cycles.

    ``highest_harmonic`` is 50 or what the sample rate allows (below 0.45 of it), whichever is less. A gap (``index`` that
    does not follow) or invalid samples drop the block that they fall into.
    """

    def __init__(
        self, sample_rate_hz: float, nominal_frequency_hz: float, nominal_voltage_v: float, rated_feeder_a: float
    ) -> None:
        raise NotImplementedError

    @property
    def highest_harmonic(self) -> int:
        raise NotImplementedError

    def feed(
        self, index: int, at_s: float, voltages_v: Samples, transformer_a: Samples, feeder_a: Samples
    ) -> tuple[MeteringRecord, ...]:
        """``index`` counts the samples ever written up to and with the last row; ``at_s`` is the time of that row.
        Arrays ``[n, 3]``, n of at least 1."""
        raise NotImplementedError

    def rapid_changes(self) -> tuple[RapidChange, ...]:
        """Those found since the last call, each once, with its largest change."""
        raise NotImplementedError
