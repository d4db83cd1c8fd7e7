"""What takes more than one window: the rate of change of frequency, and jumps of the phase angle."""

from __future__ import annotations

from dataclasses import dataclass

ROCOF_WINDOW_S = 0.1
"""The least time a rate of change is taken over (IEEE 1547-2018 Table 21)."""


class Rocof:
    """Slope of the frequency over the last :data:`ROCOF_WINDOW_S` by least squares.

    Time tags are those of the windows' centres. Unknown frequencies are left out; a gap longer than the window starts
    over, and so does a phase jump, which is no rate of change.
    """

    def step(self, tag_s: float, frequency_hz: float | None) -> float | None:
        """Hz/s; None until a whole window of known frequencies is there."""
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class PhaseJump:
    """``sequence_deg``: of the positive sequence; ``phase_deg``: of each phase. Positive: the grid leapt ahead."""

    at_s: float
    sequence_deg: float
    phase_deg: tuple[float, float, float]


class PhaseJumpDetector:
    """Compares the phasors with those that the frequency before the jump would have brought.

    Reports a jump once, within 100 ms, when phase angles have settled again; right within 2 degrees.
    ``threshold_deg``: the smallest jump that is one (of a phase or of the sequence).
    """

    def __init__(self, nominal_frequency_hz: float, threshold_deg: float = 5.0) -> None:
        raise NotImplementedError

    def step(
        self, tag_s: float, phasors: tuple[complex, complex, complex], frequency_hz: float | None
    ) -> PhaseJump | None:
        raise NotImplementedError

    @property
    def settling(self) -> bool:
        """A jump is inside the windows: frequency and rate of change are not to be believed now."""
        raise NotImplementedError
