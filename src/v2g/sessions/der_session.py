"""The grid code in one AC session: what the vehicle is to be told when, and what its inverter says of itself. Pure."""

from __future__ import annotations

from dataclasses import replace

from pyiso15118 import events as ev
from pyiso15118.commands import Command, SetGridCode
from pyiso15118.der import DerFunction, DerNameplate, DerState, GridCode
from v2g.sessions.scheduling import Notice


class DerSession:
    """Of a vehicle under AC_DER_IEC or AC_DER_SAE; of any other it does nothing."""

    def __init__(self) -> None:
        self.state: DerState | None = None
        self.nameplate: DerNameplate | None = None
        self.not_enabled: tuple[DerFunction, ...] = ()
        """Functions of the code that it does not carry out by its own word."""
        self.left_out: tuple[DerFunction, ...] = ()
        """Of the code that it was handed, what its protocol has no words for."""
        self.waits: tuple[DerFunction, ...] = ()
        """What it hears of with its next parameter discovery only."""
        self._service: ev.EnergyService | None = None
        self._told: GridCode | None = None
        self._sent: GridCode | None = None
        self._notices: list[Notice] = []

    @property
    def active(self) -> bool:
        """The vehicle selected such a service."""
        return self._service is not None and self._service.is_der

    @property
    def code_sent(self) -> bool:
        """It was handed a code."""
        return self._sent is not None

    @property
    def out_of_service(self) -> str:
        """Why its inverter exchanges nothing, in words; empty: it may, or does not say."""
        state = self.state
        if not self.active or state is None or state.in_service is not False:
            return ""
        return f"the vehicle's inverter is out of service ({state.alarms.words or 'no alarm told'})"

    def handle(self, event: ev.Event) -> None:
        """Take one event of the protocol; others are ignored."""
        match event:
            case ev.EnergyServiceSelected():
                self._service = event.service
            case ev.DerNameplateReceived(nameplate=nameplate):
                self.nameplate = nameplate
            case ev.GridCodeSent():
                self._take_sent(event)
            case ev.GridCodeWaits():
                self.waits = tuple(sorted({*self.waits, *event.functions}))
                waits = ", ".join(event.functions)
                text = f"the vehicle cannot be told while it charges: {waits}; it hears of it with its next session"
                self._notices.append(Notice(code="DER_CODE_WAITS", text=text, is_warning=True))
            case ev.DerStateReceived():
                self._take_state(event)

    def commands(self, code: GridCode | None, supplied: bool) -> tuple[Command, ...]:
        """What the protocol has to be told now. ``supplied``: the guard permits energy; else the vehicle may not be in
        service. Without a ``code`` the last one stands, and the vehicle may not be in service either."""
        if not self.active:
            return ()
        permitted = supplied and code is not None
        wanted = code or self._told
        if wanted is None or wanted.enter_service is None:
            return ()
        wanted = replace(wanted, enter_service=replace(wanted.enter_service, permitted=permitted))
        if wanted == self._told:
            return ()
        self._told = wanted
        return (SetGridCode(code=wanted),)

    def take_notices(self) -> tuple[Notice, ...]:
        notices, self._notices = self._notices, []
        return tuple(notices)

    def _take_sent(self, event: ev.GridCodeSent) -> None:
        before, self._sent = self._sent, event.code
        self.left_out = event.left_out
        if not event.in_loop:
            self.waits = ()
        if before is not None and _always(before) == _always(event.code):
            return
        text = "the vehicle's inverter was handed the grid code" + (" that holds from now on" if event.in_loop else "")
        if event.left_out:
            text += f"; its protocol has no words for {', '.join(event.left_out)}, which the guard alone sees to"
        self._notices.append(Notice(code="DER_CODE_SENT", text=text))

    def _take_state(self, event: ev.DerStateReceived) -> None:
        before, self.state = self.out_of_service, event.state
        self.not_enabled = event.not_enabled
        after = self.out_of_service
        if after and after != before:
            self._notices.append(Notice(code="DER_OUT_OF_SERVICE", text=after, is_warning=True))
        elif before and not after:
            self._notices.append(Notice(code="DER_IN_SERVICE", text="the vehicle's inverter is in service again"))
        if event.not_enabled:
            text = f"the vehicle's inverter does not carry out: {', '.join(event.not_enabled)}"
            self._notices.append(Notice(code="DER_FUNCTIONS_OFF", text=text, is_warning=True))


def _always(code: GridCode) -> GridCode:
    """But for the permission, which comes and goes."""
    if code.enter_service is None:
        return code
    return replace(code, enter_service=replace(code.enter_service, permitted=True))
