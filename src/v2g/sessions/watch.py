"""What the watches of DC and AC EVSEs share: age of readings, tolerances, how long something has lasted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from v2g.hardware.ports import PilotReading, PilotState

STALE_AFTER_S = 1.0
"""A reading older than this is no reading."""
CONTACTOR_MISMATCH_S = 1.0
"""So long the contactors' feedback may differ from the command."""
PLAUSIBLE_FACTOR = 1.5
"""A voltage, current or power this far above the rating is not believed."""
CONTRADICTION_S = 5.0
"""Powers may contradict each other for this long: readings are of different moments, and inverters ramp."""
PILOT_LOST_S = 0.5
"""So long the pilot's state may be unknown: levels on their way between two states are neither."""
FLOWING_W = 100.0
"""More than this is power that flows, in either direction."""
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


class PilotCheck:
    """What of the control pilot ends a session: state E or F, a lost protective earth, a state that stays unknown."""

    def __init__(self) -> None:
        self._unknown = Lasting()

    def fault(self, pilot: PilotReading | None, now_s: float, *, commanded_f: bool = False) -> str | None:
        """``pilot`` None: the device has lost it. ``commanded_f``: we hold it in state F."""
        lost_s = self._unknown.update(pilot is None or pilot.state is None, now_s)
        if pilot is not None and pilot.state is PilotState.F and commanded_f:
            return "control pilot: state F, as commanded: the powerline link has failed, the vehicle shall begin anew"
        if pilot is not None and pilot.state is PilotState.E:
            return "control pilot: state E (shorted, or no supply)"
        if pilot is not None and pilot.state is PilotState.F:
            return "control pilot: state F (the EVSE says that it is not available)"
        if pilot is not None and pilot.earth_ok is False:
            ohm = "" if pilot.earth_ohm is None else f" ({pilot.earth_ohm:.0f} ohm)"
            return f"protective earth lost{ohm}"
        return "control pilot lost: its state is unknown" if lost_s > PILOT_LOST_S else None

    def forget(self) -> None:
        """There is no reading that could tell."""
        self._unknown.update(False, 0.0)


def excess_w(measured_w: float, commanded_w: float) -> float:
    """Power that nobody commanded, as a magnitude. Less than commanded is none: the vehicle may take or give less."""
    return max(measured_w - max(0.0, commanded_w), min(0.0, commanded_w) - measured_w)


def follows(measured_w: float, commanded_w: float) -> bool:
    """Whether a power stays within what was commanded, by the tolerance of readings of different moments."""
    return excess_w(measured_w, commanded_w) <= max(POWER_TOLERANCE_W, POWER_TOLERANCE * abs(commanded_w))
