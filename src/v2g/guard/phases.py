"""The phase between inverters and grid: watched for EVSEs with transducers of their own, measured when asked for."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass

from v2g.grid.synchronisation import PerPhaseAngle, PhaseWatch
from v2g.grid.trip import PHASES, Trip
from v2g.hardware.waveform import WaveformError

PHASE_MISMATCH = "Phase Mismatch"
MEASURE_CYCLES = 60


@dataclass(frozen=True, slots=True)
class EvseChannels:
    """Channels of the waveform buffer at an inverter's own terminals, and their calibrated offset."""

    evse_id: str
    channels: tuple[str, str, str]
    offset_deg: tuple[float, float, float]


class EvsePhases:
    """Judges one EVSE a tick, in turn. The trip is the feeder's, and names the EVSE."""

    def __init__(
        self, evses: tuple[EvseChannels, ...], limit_deg: float, cycles: int, nominal_frequency_hz: float
    ) -> None:
        self._watches = tuple(
            (evse, PhaseWatch(limit_deg, cycles, nominal_frequency_hz, evse.offset_deg)) for evse in evses
        )
        self._after_s = cycles / nominal_frequency_hz
        self._turn = 0
        self.problem = ""
        """A channel that cannot be read, in words; of the last one that could not."""

    def step(self, now_s: float, angles: Callable[[tuple[str, str, str]], PerPhaseAngle]) -> Trip | None:
        """One call a tick while the breaker is closed. ``angles`` raises WaveformError."""
        if not self._watches:
            return None
        self._turn = (self._turn + 1) % len(self._watches)
        evse, watch = self._watches[self._turn]
        try:
            mismatch = watch.step(now_s, angles(evse.channels))
        except WaveformError as error:
            self.problem = f"{evse.evse_id}: {error}"
            return None
        if mismatch is None:
            return None
        return Trip(
            element=PHASE_MISMATCH,
            quantity="phase",
            phase=mismatch.phase,
            value=mismatch.angle_deg,
            threshold=mismatch.limit_deg,
            clearing_time_s=0.0,
            picked_up_at_s=now_s - self._after_s,
            at_s=now_s,
            unit="deg",
            remedy=f"at {evse.evse_id}: {mismatch.likely}",
        )

    def reset(self) -> None:
        for _, watch in self._watches:
            watch.reset()


class PhaseMeasurement:
    """The mean angle over :data:`MEASURE_CYCLES` nominal cycles from its first sample on, as measured."""

    def __init__(self, evse_id: str, channels: tuple[str, str, str] | None, nominal_frequency_hz: float) -> None:
        self.evse_id = evse_id
        self.channels = channels
        """None: those of the feeder."""
        self._duration_s = MEASURE_CYCLES / nominal_frequency_hz
        self._began_s: float | None = None
        self._turns: list[tuple[complex, complex, complex]] = []

    def add(self, now_s: float, angle_deg: PerPhaseAngle) -> bool:
        """True: complete. Raises ValueError naming a phase with a dead side."""
        dead = [phase for phase, angle in zip(PHASES, angle_deg, strict=True) if angle is None]
        if dead:
            raise ValueError(
                f"phase {', '.join(dead)}: one side has no voltage; the breaker must be closed and the inverter's side "
                "live"
            )
        if self._began_s is None:
            self._began_s = now_s
        a, b, c = (cmath.rect(1.0, math.radians(angle or 0.0)) for angle in angle_deg)
        self._turns.append((a, b, c))
        return now_s - self._began_s >= self._duration_s

    def result(self) -> tuple[tuple[float, float, float], float]:
        """Mean angle of each phase and how far a single one lay from its mean, degrees."""
        means: list[float] = []
        spread_deg = 0.0
        for phase in range(3):
            mean = sum(turn[phase] for turn in self._turns)
            means.append(math.degrees(cmath.phase(mean)))
            spread_deg = max(
                spread_deg,
                *(abs(math.degrees(cmath.phase(turn[phase] * mean.conjugate()))) for turn in self._turns),
            )
        return (means[0], means[1], means[2]), spread_deg
