"""Synchronisation (IEEE 1547-2018 4.10.4) and the phase between inverter output and grid ("Phase Mismatch")."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.settings import SyncLimits

PerPhaseAngle = tuple[float | None, float | None, float | None]
"""Degrees, inverter side minus grid side, in (-180, 180]; None where either side is dead."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """``live``: the inverter side has voltage although the breaker is open. ``ready``: closing is allowed now.

    ``reason`` names the quantity, its value and its limit where it is not; empty otherwise.
    """

    live: bool
    ready: bool
    reason: str


class Synchronisation:
    """Judges the closing of the breaker. A dead inverter side may always be closed on; a live one only while frequency,
    voltage and angle differences are inside their limits for :data:`HOLD_S` without a break."""

    def __init__(self, limits: SyncLimits) -> None:
        raise NotImplementedError

    def step(
        self,
        now_s: float,
        bus_v_pu: tuple[float, float, float],
        bus_hz: float | None,
        inverter_v_pu: tuple[float, float, float],
        inverter_hz: float | None,
        angle_deg: PerPhaseAngle,
    ) -> SyncState:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class PhaseMismatch:
    """``likely``: the wiring check to make, in words: ``phases b and c are swapped`` ..."""

    phase: str
    angle_deg: float
    limit_deg: float
    cycles: int
    likely: str


class PhaseWatch:
    """Watches the angle of each phase across the closed breaker, corrected by the calibrated offset.

    ``limit_deg`` (default: the synchronisation limit) exceeded for ``cycles`` nominal cycles in a row is a mismatch. An
    unknown angle keeps what was counted for at most a tenth of a second, then resets it.
    """

    def __init__(
        self,
        limit_deg: float,
        cycles: int,
        nominal_frequency_hz: float,
        offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        raise NotImplementedError

    def step(self, now_s: float, angle_deg: PerPhaseAngle) -> PhaseMismatch | None:
        """``angle_deg`` as measured, not corrected."""
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError
