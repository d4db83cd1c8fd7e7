"""The pilot of one EVSE as kplc-driver gets to know it: from the EVSE's device, or from the modem's board. Pure."""

from __future__ import annotations

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.slac.addresses import BROADCAST, LOCAL_MODEM, MAC_BYTES, Mac
from pyiso15118.slac.frame import decode_frame, is_homeplug
from pyiso15118.slac.vendor import VS_ST_IOTECHA_CP_STATE_IND
from v2g.hardware.pilot import state_of_level
from v2g.hardware.ports import PilotState

_MMTYPE = VS_ST_IOTECHA_CP_STATE_IND.MMTYPE.to_bytes(2, "little")
_PLUGGED = {PilotState.A: False, PilotState.B: True, PilotState.C: True, PilotState.D: True}
_NO_VEHICLE = (PilotState.E, PilotState.F)


class PilotInput:
    """``state`` None: not known. ``toggles``: B-C-B changes since somebody was plugged in."""

    def __init__(self) -> None:
        self.state: PilotState | None = None
        self.toggles = 0
        self.duty_pct: float | None = None
        """As the board measures it; None: the EVSE's device tells none."""
        self._half = False
        self._source: Mac | None = None

    @property
    def plugged(self) -> bool | None:
        """Whether a vehicle is there; None: not known, and states E and F do not tell."""
        return _PLUGGED.get(self.state) if self.state is not None else None

    @property
    def shows_fault(self) -> bool:
        return self.state in _NO_VEHICLE

    def take(self, state: PilotState | None, toggles: int | None = None) -> None:
        """As measured now. ``toggles`` None: the device counts none; then they are counted here, as far as seen."""
        before, self.state = self.state, state
        if state is PilotState.A:
            self.toggles, self._half = 0, False
        elif before is PilotState.B and state is PilotState.C:
            self._half = True
        elif before is PilotState.C and state is PilotState.B and self._half and toggles is None:
            self.toggles, self._half = self.toggles + 1, False
        if toggles is not None:
            self.toggles = toggles

    def hear(self, data: bytes, own_mac: Mac) -> bool:
        """A frame from the line. True: it was the board's word on the pilot (ST/IoTecha).

        Boards send it to their modem when something changes. Who told it first is believed, and nobody else.
        """
        if _MMTYPE not in data[15:21] or data[:MAC_BYTES] not in (LOCAL_MODEM, BROADCAST, own_mac):
            return False
        if not is_homeplug(data):
            return False
        try:
            frame = decode_frame(data)
        except RemoteProtocolError:
            return False
        told = frame.message
        if not isinstance(told, VS_ST_IOTECHA_CP_STATE_IND) or self._source not in (None, frame.source):
            return False
        self._source = frame.source
        self.duty_pct = float(told.duty_pct)
        self.take(state_of_level(told.voltage_mv / 1000.0, self.state))
        return True

    def forget_source(self) -> None:
        """The board may be another one from now on."""
        self._source = None
