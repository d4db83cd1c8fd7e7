"""The EVCC's state machine: applies the transition table to responses, commands and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pyiso15118.commands import Command, UpdateAcVehicle, UpdateDcVehicle, VehicleState
from pyiso15118.errors import Iso15118Error, LocalProtocolError, RemoteProtocolError
from pyiso15118.evcc.config import EvccConfig
from pyiso15118.evcc.handlers import HANDLERS
from pyiso15118.evcc.handlers_access import RESCUES
from pyiso15118.evcc.handlers_loop import (
    asks_for_confirmation,
    build_metering_confirmation,
    handle_metering_confirmation,
    meter_reading,
)
from pyiso15118.evcc.requests import BUILDERS, DECISIONS
from pyiso15118.evcc.session import Ending, Session, Situation, Step
from pyiso15118.evcc.steering import following, ordered, redirected
from pyiso15118.evcc.steps import give_up
from pyiso15118.evcc.transitions import State
from pyiso15118.evcc.vehicle_checks import check_vehicle
from pyiso15118.events import ChargingStopped, EndReason, WarningReceived
from pyiso15118.machine import Machine
from pyiso15118.messages import Namespace, app_protocol
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.paused import PausedSession, binding
from pyiso15118.schedules.wire import MAX_UNIX_S, unix_s_of
from pyiso15118.v2gtp import PayloadType

_ENERGY_STATES = {
    State.CHARGE_PARAMETER_DISCOVERY,
    State.CABLE_CHECK,
    State.PRE_CHARGE,
    State.CHARGE_LOOP,
    State.STANDBY,
    State.WELDING_DETECTION,
}
"""Their messages are those of the AC or DC namespace."""
_NEEDS_VEHICLE = {
    State.CHARGE_PARAMETER_DISCOVERY,
    State.SCHEDULE_EXCHANGE,
    State.SCHEDULE_RENEGOTIATION,
    State.PRE_CHARGE,
    State.POWER_DELIVERY_START,
    State.CHARGE_LOOP,
    State.STANDBY,
}
_LOOPS = {State.CHARGE_LOOP, State.STANDBY}
_SLOW = {State.SERVICE_DETAIL, State.VALUE_ADDED_DETAIL, State.CERTIFICATE_INSTALLATION}
_SIDE_STREAMS = frozenset({PayloadType.METERING_CONFIRMATION})
_WITHOUT_OWN_SESSION = {State.APP_PROTOCOL, State.SESSION_SETUP}

GENERAL_CODES = {"OK", "OK_SuccessfulNegotiation", "OK_SuccessfulNegotiationWithMinorDeviation"}
CODES: Mapping[State, tuple[str, ...]] = {
    State.SESSION_SETUP: ("OK_NewSessionEstablished", "OK_OldSessionJoined"),
    State.AUTHORIZATION: ("OK_CertificateExpiresSoon",),
    State.POWER_DELIVERY_START: ("OK_PowerToleranceConfirmed",),
    State.POWER_DELIVERY_STANDBY: ("OK_PowerToleranceConfirmed",),
    State.POWER_DELIVERY_RENEGOTIATION: ("OK_PowerToleranceConfirmed",),
    State.POWER_DELIVERY_STOP: ("OK_PowerToleranceConfirmed",),
}
"""OK codes that mean something for one response only."""


class EvccMachine(Machine):
    """One session of one vehicle. ``start`` sends the first request; the vehicle's data may follow later.

    ``peer_certificate``: the SECC's leaf (DER) where the stream is TLS. ``paused``: the session to go on with; it is
    asked for only if the SECC is the one with which it was paused ([V2G20-2539]), else a fresh session begins.
    ``random`` is not used yet: a fresh session has the all-zero SessionID and nothing else is drawn.
    """

    def __init__(
        self,
        config: EvccConfig,
        *,
        random: Callable[[int], bytes],
        unix_offset_s: float,
        peer_certificate: bytes | None = None,
        paused: PausedSession | None = None,
    ) -> None:
        super().__init__(max_payload_bytes=config.max_payload_bytes, unix_offset_s=unix_offset_s)
        self.config = config
        self.state = State.IDLE
        resuming = paused if paused is not None and _may_resume(paused, config, peer_certificate) else None
        self.session = Session(contract=config.contract, resuming=resuming)
        self.paused: PausedSession | None = None
        """After ``SessionEnded(PAUSED)``: what a later machine needs to go on."""
        self._random = random
        self._peer_certificate = peer_certificate
        self._vehicles: dict[bool, VehicleState] = {}
        self._awaiting = False
        self._send_at: float | None = None
        self._response_until: float | None = None
        self._side_until: float | None = None
        self._setup_until: float | None = None
        self._series_since = 0.0
        self._series_limits = {
            State.AUTHORIZATION: config.timers.ongoing_s,
            State.SCHEDULE_EXCHANGE: config.timers.ongoing_s,
            State.SCHEDULE_RENEGOTIATION: config.timers.ongoing_s,
            State.CABLE_CHECK: config.timers.cable_check_s,
            State.PRE_CHARGE: config.timers.pre_charge_s,
        }

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
        self._enter(State.APP_PROTOCOL, now)

    def next_deadline(self) -> float | None:
        if self._ended:
            return None
        candidates = (self._send_at, self._response_until, self._side_until, self._setup_until, self._series_until())
        return min((c for c in candidates if c is not None), default=None)

    # ---- Machine ----

    def _command(self, command: Command, now: float) -> None:
        if isinstance(command, UpdateDcVehicle | UpdateAcVehicle):
            self._update(command, now)
            return
        session = ordered(self.session, self.state, command)
        if session.stopping and not session.set_up:
            self._end(EndReason.ABORTED, "charging was stopped before the session was set up")
            return
        self.session = session
        if not self._awaiting and self.state is not State.IDLE:
            state = redirected(self.state, session)
            if state is not self.state:
                self._enter(state, now)

    def _update(self, command: VehicleState, now: float) -> None:
        check_vehicle(command)
        blocked = self.state in _NEEDS_VEHICLE and self._vehicle is None and not self._awaiting
        self._vehicles[isinstance(command, UpdateAcVehicle)] = command
        if blocked and self._vehicle is not None and self._send_at is None:
            self._send_request(now)

    @property
    def _side_streams(self) -> frozenset[PayloadType]:
        return _SIDE_STREAMS

    @property
    def _agreed(self) -> Namespace:
        return self.session.protocol

    def _stop_energy(self, reason: str) -> None:
        transfer = self.session.transfer
        if transfer.contactors_closed or transfer.charging:
            transfer = replace(transfer, contactors_closed=False, charging=False)
            self.session = replace(self.session, transfer=transfer)
            self._emit(ChargingStopped())

    def _timeout(self, now: float) -> None:
        if self._send_at is not None and self._send_at == self.next_deadline():
            self._send_request(now)
        elif self._response_until is not None and self._response_until <= now:
            what = (
                f"no response to {self.state.named(is_ac=self.session.is_ac)}"
                if self._awaiting
                else "no vehicle state from the owner"
            )
            self._end(EndReason.TIMEOUT_EVCC, what)
        elif self._side_until is not None and self._side_until <= now:
            self._end(EndReason.TIMEOUT_EVCC, "no response to MeteringConfirmation")
        elif self._setup_until is not None and self._setup_until <= now:
            self._end(EndReason.TIMEOUT_EVCC, f"no session within {self.config.timers.setup_s:g} s")
        else:
            self._end(EndReason.TIMEOUT_EVCC, f"{self.state.named(is_ac=self.session.is_ac)} was not finished in time")

    def _receive_message(self, message: Any, now: float) -> None:
        name = type(message).__name__
        is_side = self._side_until is not None and isinstance(message, cm.MeteringConfirmationRes)
        expected = self.state.response(is_ac=self.session.is_ac)
        if not is_side and not (self._awaiting and name == expected):
            expected = expected if self._awaiting else "nothing"
            self._end(EndReason.FAILED_BY_PEER, f"{name} arrived where {expected} was expected")
            return
        code = str(message.ResponseCode)
        if problem := self._problem(message, name, code, is_side):
            failed = code if code.upper().startswith("FAILED") else None
            self._end(EndReason.FAILED_BY_PEER, problem, failed)
        elif is_side:
            self._side_until = None
            self.session, events = handle_metering_confirmation(self.session)
            for event in events:
                self._emit(event)
        else:
            self._advance(message, name, code, now)

    # ---- within ----

    def _problem(self, message: Any, name: str, code: str, is_side: bool) -> str | None:
        """Why a response cannot be taken, in words."""
        if code.upper().startswith("FAILED"):
            return f"the EVSE answered {name} with {code}"
        belonging = () if is_side else CODES.get(self.state, ())
        if code not in GENERAL_CODES and code not in belonging and not code.startswith("WARNING"):
            return f"{name} with {code}, which does not belong to it"
        if not isinstance(message, app_protocol.supportedAppProtocolRes) and self.state not in _WITHOUT_OWN_SESSION:
            session_id: bytes = message.Header.SessionID
            if session_id != self.session.session_id:
                return f"{name} with SessionID {session_id.hex().upper()}, which is not this session's"
        return None

    def _advance(self, message: Any, name: str, code: str, now: float) -> None:
        self._awaiting, self._response_until = False, None
        before = self.session
        try:
            step = HANDLERS[self.state](message, self._situation(now))
        except RemoteProtocolError as error:
            self._end(EndReason.FAILED_BY_PEER, str(error))
            return
        if code.startswith("WARNING") and not step.session.gave_up:
            self._emit(WarningReceived(message=name, response_code=code))
        if self.state is State.SESSION_SETUP:
            self._setup_until = None
            # From here on both sides count by the SECC's clock ([V2G20-1536]).
            if 0 < (secc_unix_s := unix_s_of(message.Header.TimeStamp)) <= MAX_UNIX_S:
                self._secc_offset_s = secc_unix_s - now
        if self.state in _LOOPS and asks_for_confirmation(message, before):
            step = self._confirm_meter(message, step, now)
        self._apply(step, now)

    def _apply(self, step: Step, now: float) -> None:
        self.session = step.session
        for event in step.events:
            self._emit(event)
        if self._ended:
            return
        state = following(self.state, step.session, step.outcome)
        waits = state is self.state or (state is State.POWER_DELIVERY_START and self.state not in _LOOPS)
        self._enter(state, now, step.pause_s if waits else 0.0, afresh=step.afresh)

    def _confirm_meter(self, message: Any, step: Step, now: float) -> Step:
        """Sign the meter reading beside the loop."""
        try:
            request = build_metering_confirmation(message, self._situation(now))
        except Iso15118Error as error:
            return replace(give_up(step.session, f"the meter reading was not signed: {error}"), events=step.events)
        self.session = step.session
        if self._send(Namespace.COMMON_MESSAGES, request, PayloadType.METERING_CONFIRMATION):
            self._side_until = now + self.config.timers.message_s
        return replace(step, session=replace(step.session, confirming=meter_reading(message.MeterInfo)))

    def _enter(self, state: State, now: float, pause_s: float = 0.0, *, afresh: bool = False) -> None:
        if state is not self.state or afresh:
            self.state, self._series_since = state, now
        if state is State.ENDED:
            self._end_in_order()
        elif pause_s > 0:
            self._send_at = now + pause_s
        else:
            self._send_request(now)

    def _end_in_order(self) -> None:
        session = self.session
        if session.stop_sent is Ending.PAUSE:
            self.paused = _paused(session, self.config, self._peer_certificate)
            self._end(EndReason.PAUSED, "charging pauses")
        elif session.gave_up:
            self._end(EndReason.FAILED_BY_US, session.gave_up)
        else:
            self._end(EndReason.STOPPED, "charging ended")

    def _send_request(self, now: float) -> None:
        self._send_at = None
        timers = self.config.timers
        if self.state in _NEEDS_VEHICLE and self._vehicle is None:
            self._response_until = now + timers.ongoing_s
            return
        if self.state in DECISIONS:
            self.session = DECISIONS[self.state](self._situation(now))
        try:
            request = BUILDERS[self.state](self._situation(now))
        except Iso15118Error as error:
            if self.state in RESCUES:
                self._apply(RESCUES[self.state](self.session, str(error)), now)
            else:
                self._end(EndReason.FAILED_BY_US, str(error))
            return
        if not self._send(self._namespace(), request):
            return
        self._awaiting = True
        seconds = timers.message_s
        if self.state in _LOOPS:
            seconds = timers.charge_loop_s
        elif self.state in _SLOW:
            seconds = timers.service_detail_s
        self._response_until = now + seconds

    def _namespace(self) -> Namespace:
        if self.state is State.APP_PROTOCOL:
            return Namespace.APP_PROTOCOL
        return self.session.protocol if self.state in _ENERGY_STATES else Namespace.COMMON_MESSAGES

    def _series_until(self) -> float | None:
        """When a request that is answered again and again without result is given up."""
        seconds = self._series_limits.get(self.state)
        return None if seconds is None else self._series_since + seconds

    @property
    def _vehicle(self) -> VehicleState | None:
        """As its owner told it last, for the kind of EVSE at hand."""
        return self._vehicles.get(self.session.is_ac)

    def _situation(self, now: float) -> Situation:
        return Situation(
            config=self.config,
            session=self.session,
            header=ct.MessageHeaderType(SessionID=self.session.session_id, TimeStamp=self._timestamp(now)),
            unix_s=self._unix_s(now),
            vehicle=self._vehicle,
            in_standby=self.state is State.STANDBY,
            series_s=now - self._series_since,
        )


def _may_resume(paused: PausedSession, config: EvccConfig, peer_certificate: bytes | None) -> bool:
    if paused.evccid != config.evccid:
        return False
    if not paused.peer_binding and peer_certificate is None:
        return config.resume_without_certificate
    return paused.belongs_to(peer_certificate)


def _paused(session: Session, config: EvccConfig, peer_certificate: bytes | None) -> PausedSession:
    parameters = session.parameters
    return PausedSession(
        session_id=session.session_id,
        peer_binding=b"" if peer_certificate is None else binding(session.session_id, peer_certificate),
        evccid=config.evccid,
        evse_id=session.evse_id,
        service=session.service,
        parameter_set_id=parameters.id,
        control_mode=parameters.control_mode,
        mobility_needs_mode=parameters.mobility_needs_mode,
        bpt_channel=parameters.bpt_channel,
        nominal_voltage_v=parameters.nominal_voltage_v,
        value_added=session.transfer.value_added,
        emaid=session.emaid,
    )
