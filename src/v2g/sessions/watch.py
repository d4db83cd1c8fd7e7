"""What the watches of DC and AC EVSEs share: age of readings, tolerances, how long something has lasted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

STALE_AFTER_S = 1.0
"""A reading older than this is no reading."""
CONTACTOR_MISMATCH_S = 1.0
"""So long the contactors' feedback may differ from the command."""
PLAUSIBLE_FACTOR = 1.5
"""A voltage, current or power this far above the rating is not believed."""
CONTRADICTION_S = 5.0
"""Powers may contradict each other for this long: readings are of different moments, and inverters ramp."""
POWER_TOLERANCE_W = 1000.0
POWER_TOLERANCE = 0.2


@dataclass(frozen=True, slots=True)
class Verdict:
    """``fault`` ends a session; ``hold`` keeps power at zero. Texts for people, or None."""

    fault: str | None = None
    hold: str | None = None


class Reading(Protocol):
    """Anything that was measured at a moment."""

    @property
    def as_of_s(self) -> float: ...


class PowerReading(Reading, Protocol):
    """Active power of one EVSE where it meets the site's AC: positive charges."""

    @property
    def evse_id(self) -> str: ...

    @property
    def power_w(self) -> float: ...


def is_fresh(reading: Reading | None, now_s: float) -> bool:
    return reading is not None and -STALE_AFTER_S <= now_s - reading.as_of_s <= STALE_AFTER_S


class Lasting:
    """For how long something has been so without a break."""

    __slots__ = ("_since_s",)

    def __init__(self) -> None:
        self._since_s: float | None = None

    def update(self, present: bool, now_s: float) -> float:
        """Seconds that it has been so; 0 where it is not."""
        if not present:
            self._since_s = None
            return 0.0
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s


def excess_w(measured_w: float, commanded_w: float) -> float:
    """Power that nobody commanded, as a magnitude. Less than commanded is none: the vehicle may take or give less."""
    return max(measured_w - max(0.0, commanded_w), min(0.0, commanded_w) - measured_w)


def follows(measured_w: float, commanded_w: float) -> bool:
    """Whether a power stays within what was commanded, by the tolerance of readings of different moments."""
    return excess_w(measured_w, commanded_w) <= max(POWER_TOLERANCE_W, POWER_TOLERANCE * abs(commanded_w))
