"""State F on the pilot of an EVSE whose device cannot be ordered to put it there: said once."""

from __future__ import annotations

from v2g.hardware.ports import AcEvseCommand, DcEvseCommand
from v2g.telemetry import logs


class PilotErrorNote:
    """``signals``: the device's map has the role ``pilot_error``."""

    def __init__(self, evse_id: str, *, signals: bool) -> None:
        self._evse_id = evse_id
        self._said = signals

    def note(self, command: AcEvseCommand | DcEvseCommand) -> None:
        """What the device is about to be told."""
        if self._said or not command.pilot_error:
            return
        self._said = True
        logs.comms_log().warning(
            "PLC_PILOT",
            f"{self._evse_id}: state F cannot be put on the pilot: the register map of its device has no pilot_error; "
            "a vehicle whose powerline link failed begins anew by itself, or once it was plugged in again",
            evse=self._evse_id,
        )
