"""The EVCC's state machine: applies the transition table to responses, commands and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pyiso15118.commands import Command, ContactorsClosed, StopCharging, UpdateVehicle
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.evcc.config import EvccConfig
from pyiso15118.evcc.handlers import HANDLERS
from pyiso15118.evcc.requests import BUILDERS
from pyiso15118.evcc.session import Session, Situation
from pyiso15118.evcc.transitions import TRANSITIONS, Outcome, State
from pyiso15118.events import ChargingStopped, EndReason
from pyiso15118.machine import (
    Machine,
    check_finite,
    check_integers,
    check_limits,
    check_needs,
    check_optional,
)
from pyiso15118.messages import Namespace, app_protocol, dc
from pyiso15118.messages import common_types as ct

_DC_STATES = {
    State.CHARGE_PARAMETER_DISCOVERY,
    State.CABLE_CHECK,
    State.PRE_CHARGE,
    State.CHARGE_LOOP,
    State.WELDING_DETECTION,
}
_NEEDS_VEHICLE = {
    State.CHARGE_PARAMETER_DISCOVERY,
    State.SCHEDULE_EXCHANGE,
    State.PRE_CHARGE,
    State.POWER_DELIVERY_START,
    State.CHARGE_LOOP,
}

GENERAL_CODES = {"OK", "OK_SuccessfulNegotiation", "OK_SuccessfulNegotiationWithMinorDeviation"}
CODES: Mapping[State, tuple[str, ...]] = {
    State.SESSION_SETUP: ("OK_NewSessionEstablished", "OK_OldSessionJoined"),
    State.AUTHORIZATION: ("OK_CertificateExpiresSoon",),
    State.POWER_DELIVERY_START: ("OK_PowerToleranceConfirmed",),
    State.POWER_DELIVERY_STOP: ("OK_PowerToleranceConfirmed",),
}
"""OK codes that mean something for one response only."""


class EvccMachine(Machine):
    """One session of one vehicle. ``start`` sends the first request; the vehicle's data may follow later.

    ``random`` is not used yet: a fresh session has the all-zero SessionID and nothing else is drawn.
    """

    def __init__(self, config: EvccConfig, *, random: Callable[[int], bytes], unix_offset_s: float) -> None:
        super().__init__(max_payload_bytes=config.max_payload_bytes, unix_offset_s=unix_offset_s)
        self.config = config
        self.state = State.IDLE
        self.session = Session()
        self._random = random
        self._vehicle: UpdateVehicle | None = None
        self._awaiting = False
        self._send_at: float | None = None
        self._response_until: float | None = None
        self._setup_until: float | None = None
        self._series_since = 0.0

    # ---- what the owner calls, beside Machine ----

    def start(self, now: float, plugged_in_at: float | None = None) -> None:
        """The stream is open: send supportedAppProtocolReq. The setup timer runs from ``plugged_in_at``, or from here.

        Raises :class:`LocalProtocolError` at the second call, and for a ``plugged_in_at`` later than ``now``.
        """
        if self.state is not State.IDLE or self._ended:
            raise LocalProtocolError("the session has been started already")
        since = now if plugged_in_at is None else plugged_in_at
        if not since <= now:
            raise LocalProtocolError(f"plugged_in_at is {since}, later than now ({now})")
        self._setup_until = since + self.config.timers.setup_s
        self._enter(State.APP_PROTOCOL, now, 0.0)

    def next_deadline(self) -> float | None:
        if self._ended:
            return None
        candidates = (self._send_at, self._response_until, self._setup_until, self._series_until())
        return min((c for c in candidates if c is not None), default=None)

    # ---- Machine ----

    def _command(self, command: Command, now: float) -> None:
        if isinstance(command, UpdateVehicle):
            check_limits(command.limits, "UpdateVehicle.limits")
            check_needs(command.needs, "UpdateVehicle.needs")
            check_finite(
                "UpdateVehicle",
                present_voltage_v=command.present_voltage_v,
                target_voltage_v=command.target_voltage_v,
            )
            check_optional("UpdateVehicle", battery_capacity_wh=command.battery_capacity_wh)
            check_integers("UpdateVehicle", 100, present_soc_pct=command.present_soc_pct)
            blocked = self._vehicle is None and not self._awaiting and self._send_at is None
            self._vehicle = command
            if blocked and self.state in _NEEDS_VEHICLE:
                self._send_request(now)
        elif isinstance(command, ContactorsClosed):
            if not self.session.pre_charge_reached:
                raise LocalProtocolError("ContactorsClosed before PreChargeReached")
            self.session = replace(self.session, contactors_closed=True)
        elif isinstance(command, StopCharging):
            self._stop(now)
        else:
            raise LocalProtocolError(f"{type(command).__name__} is no command for an EVCC")

    def _stop(self, now: float) -> None:
        if self.session.stopping:
            return
        if not self.session.set_up:
            self._end(EndReason.ABORTED, "charging was stopped before the session was set up")
            return
        self.session = replace(self.session, stopping=True)
        if not self._awaiting:
            self._enter(self._stop_state(), now, 0.0)

    def _stop_state(self) -> State:
        if self.state in (State.CHARGE_LOOP, State.POWER_DELIVERY_STOP):
            return State.POWER_DELIVERY_STOP
        if self.state in (State.WELDING_DETECTION, State.SESSION_STOP):
            return self.state
        return State.SESSION_STOP

    def _stop_energy(self, reason: str) -> None:
        if self.session.contactors_closed:
            self.session = replace(self.session, contactors_closed=False)
            self._emit(ChargingStopped())

    def _timeout(self, now: float) -> None:
        if self._send_at is not None and self._send_at == self.next_deadline():
            self._send_request(now)
        elif self._response_until is not None and self._response_until <= now:
            what = f"no response to {self.state.value}" if self._awaiting else "no UpdateVehicle from the owner"
            self._end(EndReason.TIMEOUT_EVCC, what)
        elif self._setup_until is not None and self._setup_until <= now:
            self._end(EndReason.TIMEOUT_EVCC, f"no session within {self.config.timers.setup_s:g} s")
        else:
            self._end(EndReason.TIMEOUT_EVCC, f"{self.state.value} was not finished in time")

    def _receive_message(self, message: Any, now: float) -> None:
        name = type(message).__name__
        if not self._awaiting or name != self.state.response:
            expected = self.state.response if self._awaiting else "nothing"
            self._end(EndReason.FAILED_BY_PEER, f"{name} arrived where {expected} was expected")
            return
        code = str(message.ResponseCode)
        if code.upper().startswith("FAILED"):
            self._end(EndReason.FAILED_BY_PEER, f"the EVSE answered {name} with {code}", code)
            return
        if code not in GENERAL_CODES and code not in CODES.get(self.state, ()) and not code.startswith("WARNING"):
            self._end(EndReason.FAILED_BY_PEER, f"{name} with {code}, which does not belong to it")
            return
        if self._is_foreign(message):
            detail = f"{name} with SessionID {message.Header.SessionID.hex().upper()}, which is not this session's"
            self._end(EndReason.FAILED_BY_PEER, detail)
            return
        self._awaiting, self._response_until = False, None
        try:
            step = HANDLERS[self.state](message, self._situation(now))
        except RemoteProtocolError as error:
            self._end(EndReason.FAILED_BY_PEER, str(error))
            return
        self.session = step.session
        for event in step.events:
            self._emit(event)
        if self.state is State.SESSION_SETUP:
            self._setup_until = None
        following = TRANSITIONS[self.state]
        outcome = Outcome.STOP if self.session.stopping and Outcome.STOP in following else step.outcome
        self._enter(following[outcome], now, 0.0 if outcome is Outcome.STOP else step.pause_s)

    # ---- within ----

    def _is_foreign(self, message: Any) -> bool:
        if isinstance(message, app_protocol.supportedAppProtocolRes) or self.state is State.SESSION_SETUP:
            return False
        session_id: bytes = message.Header.SessionID
        return session_id != self.session.session_id

    def _enter(self, state: State, now: float, pause_s: float) -> None:
        if state is not self.state:
            self.state, self._series_since = state, now
        if state is State.ENDED:
            self._end(*self._end_reason())
        elif pause_s > 0:
            self._send_at = now + pause_s
        else:
            self._send_request(now)

    def _end_reason(self) -> tuple[EndReason, str]:
        if self.session.gave_up:
            return EndReason.FAILED_BY_US, self.session.gave_up
        if self.session.pausing:
            return EndReason.PAUSED, "paused at the wish of the EVSE"
        return EndReason.STOPPED, "charging ended"

    def _send_request(self, now: float) -> None:
        self._send_at = None
        timers = self.config.timers
        if self.state in _NEEDS_VEHICLE and self._vehicle is None:
            self._response_until = now + timers.ongoing_s
            return
        request = BUILDERS[self.state](self._situation(now))
        if isinstance(request, dc.DC_PreChargeReq) and request.EVProcessing is ct.processingType.Finished:
            self.session = replace(self.session, pre_charge_finished=True)
        if not self._send(self._namespace(), request):
            return
        self._awaiting = True
        seconds = timers.message_s
        if self.state is State.CHARGE_LOOP:
            seconds = timers.charge_loop_s
        elif self.state is State.SERVICE_DETAIL:
            seconds = timers.service_detail_s
        self._response_until = now + seconds

    def _namespace(self) -> Namespace:
        if self.state is State.APP_PROTOCOL:
            return Namespace.APP_PROTOCOL
        return Namespace.DC if self.state in _DC_STATES else Namespace.COMMON_MESSAGES

    def _series_until(self) -> float | None:
        """When a request that is answered again and again without result is given up."""
        timers = self.config.timers
        seconds = {
            State.AUTHORIZATION: timers.ongoing_s,
            State.SCHEDULE_EXCHANGE: timers.ongoing_s,
            State.CABLE_CHECK: timers.cable_check_s,
            State.PRE_CHARGE: timers.pre_charge_s,
        }.get(self.state)
        return None if seconds is None else self._series_since + seconds

    def _situation(self, now: float) -> Situation:
        return Situation(
            config=self.config,
            session=self.session,
            header=ct.MessageHeaderType(SessionID=self.session.session_id, TimeStamp=self._timestamp(now)),
            vehicle=self._vehicle,
            series_s=now - self._series_since,
        )
