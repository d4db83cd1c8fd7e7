"""The control pilot of one EVSE under watch: what it says becomes a fault of a session, or nothing. Pure."""

from __future__ import annotations

from v2g.hardware.ports import PilotReading, PilotState
from v2g.sessions.watch import Lasting

PILOT_LOST_S = 0.5
"""So long the pilot's state may be unknown: levels on their way between two states are neither."""


class PilotFault:
    """Holds only since when the state has been unknown; outlives sessions."""

    def __init__(self) -> None:
        self._unknown = Lasting()

    def forget(self, now_s: float) -> None:
        """No reading to judge."""
        self._unknown.update(False, now_s)

    def observe(self, pilot: PilotReading | None, now_s: float) -> str | None:
        """For people; None: nothing. A pilot that is None is not measured, so unknown."""
        unknown = pilot is None or pilot.state is None
        lost_s = self._unknown.update(unknown, now_s)
        if pilot is not None and pilot.state is PilotState.E:
            return "control pilot: state E (shorted, or no supply)"
        if pilot is not None and pilot.state is PilotState.F:
            return "control pilot: state F (the EVSE says that it is not available)"
        if pilot is not None and pilot.earth_ok is False:
            ohm = "" if pilot.earth_ohm is None else f" ({pilot.earth_ohm:.0f} ohm)"
            return f"protective earth lost{ohm}"
        return "control pilot lost: its state is unknown" if lost_s > PILOT_LOST_S else None
