"""The SECC's state machine: applies the transition table to requests, commands and time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyiso15118.commands import Authorize, CableCheckFinished, Command, UpdateEvse
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import EndReason, PowerDeliveryStopped
from pyiso15118.exi.schema import type_namespace
from pyiso15118.machine import Machine, check_finite, check_flags, check_integers, check_limits, check_text
from pyiso15118.messages import Namespace, app_protocol, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import handlers, handlers_dc
from pyiso15118.secc.config import SeccConfig
from pyiso15118.secc.refusals import refusal
from pyiso15118.secc.session import Failure, Hold, Reply, Response, Session, Situation
from pyiso15118.secc.transitions import TRANSITIONS, State
from pyiso15118.timers import SeccTimers

Handler = Callable[[Any, Situation], Reply | Hold]

HANDLERS: dict[str, Handler] = {
    "supportedAppProtocolReq": handlers.handle_supported_app_protocol,
    "SessionSetupReq": handlers.handle_session_setup,
    "AuthorizationSetupReq": handlers.handle_authorization_setup,
    "AuthorizationReq": handlers.handle_authorization,
    "ServiceDiscoveryReq": handlers.handle_service_discovery,
    "ServiceDetailReq": handlers.handle_service_detail,
    "ServiceSelectionReq": handlers.handle_service_selection,
    "SessionStopReq": handlers.handle_session_stop,
    "DC_ChargeParameterDiscoveryReq": handlers_dc.handle_charge_parameter_discovery,
    "ScheduleExchangeReq": handlers_dc.handle_schedule_exchange,
    "DC_CableCheckReq": handlers_dc.handle_cable_check,
    "DC_PreChargeReq": handlers_dc.handle_pre_charge,
    "PowerDeliveryReq": handlers_dc.handle_power_delivery,
    "DC_ChargeLoopReq": handlers_dc.handle_charge_loop,
    "DC_WeldingDetectionReq": handlers_dc.handle_welding_detection,
}

_UNAUTHORIZED = {State.APP_PROTOCOL, State.SESSION_SETUP, State.AUTHORIZATION_SETUP, State.AUTHORIZATION}


class SeccMachine(Machine):
    """One session of one EVSE, the charger's side. ``random(n)`` gives n bytes from a cryptographic source."""

    def __init__(self, config: SeccConfig, *, random: Callable[[int], bytes], unix_offset_s: float) -> None:
        super().__init__(max_payload_bytes=config.max_payload_bytes, unix_offset_s=unix_offset_s)
        self.config = config
        self.state = State.APP_PROTOCOL
        self.session = Session()
        self._random = random
        self._evse: UpdateEvse | None = None
        self._evse_at = 0.0
        self._pending: Any = None
        self._pending_until = 0.0
        self._sequence_until: float | None = None
        self._sequence_name = ""
        self._series_since: dict[str, float] = {}

    # ---- what the owner calls, beside Machine ----

    def start(self, now: float) -> None:
        """The connection was accepted: the setup timer runs from here. Without it, from the first call of any kind."""
        if self._sequence_until is None and not self._ended:
            self._arm(now, self.config.timers.setup_s, "no complete request after the connection was accepted")

    def receive_data(self, data: bytes, now: float) -> None:
        self.start(now)
        super().receive_data(data, now)

    def handle_timer(self, now: float) -> None:
        self.start(now)
        super().handle_timer(now)

    def next_deadline(self) -> float | None:
        if self._ended:
            return None
        deadline = self._pending_until if self._pending is not None else self._sequence_until
        if not self.session.charging:
            return deadline
        return self._stale_at() if deadline is None else min(deadline, self._stale_at())

    # ---- Machine ----

    def _may_read(self) -> bool:
        return self._pending is None

    def _command(self, command: Command, now: float) -> None:
        if isinstance(command, UpdateEvse):
            _check_evse(command)
            self._evse, self._evse_at = command, now
            if self.session.charging and (failure := _evse_failure(command)):
                self._fail_next(failure)
        elif isinstance(command, Authorize):
            self._authorize(command)
        elif isinstance(command, CableCheckFinished):
            self._finish_cable_check(command)
        else:
            raise LocalProtocolError(f"{type(command).__name__} is no command for a SECC")
        if self._pending is not None:
            self._handle(self._pending, now, held_out=now >= self._pending_until)

    def _authorize(self, command: Authorize) -> None:
        check_flags("Authorize", granted=command.granted)
        if self.state in _UNAUTHORIZED:
            self.session = replace(self.session, authorized=command.granted)
        elif command.granted:
            raise LocalProtocolError(f"Authorize(granted=True) during {self.state.value}: authorisation is over")
        else:
            self._fail_next(Failure(code=ct.responseCodeType.FAILED, detail="authorisation was withdrawn"))

    def _finish_cable_check(self, command: CableCheckFinished) -> None:
        check_flags("CableCheckFinished", passed=command.passed)
        check_text("CableCheckFinished", detail=command.detail)
        earlier = self.session.cable_check
        if self.session.cable_check_since is None:
            raise LocalProtocolError("CableCheckFinished before CableCheckRequested")
        if command.passed and earlier is not None and not earlier.passed:
            raise LocalProtocolError("CableCheckFinished(passed=True) after the cable check had failed")
        if self.state is State.CABLE_CHECK:
            self.session = replace(self.session, cable_check=command)
        elif command.passed:
            raise LocalProtocolError(f"CableCheckFinished(passed=True) during {self.state.value}: it is over")
        else:
            detail = f"cable check failed afterwards: {command.detail or 'no detail given'}"
            self.session = replace(self.session, cable_check=command)
            self._fail_next(Failure(code=ct.responseCodeType.FAILED, detail=detail))

    def _timeout(self, now: float) -> None:
        if self.session.charging and self._stale_at() <= now:
            self._fail_next(self._staleness())
        elif self._pending is not None:
            self._handle(self._pending, now, held_out=True)
        else:
            self._end(EndReason.TIMEOUT_SECC, self._sequence_name)

    def _stop_energy(self, reason: str) -> None:
        if self.session.live:
            self.session = replace(self.session, charging=False, live=False)
            self._emit(PowerDeliveryStopped(reason=reason))

    def _receive_message(self, message: Any, now: float) -> None:
        name = type(message).__name__
        if name not in TRANSITIONS[self.state]:
            detail = f"{name} arrived where {' or '.join(TRANSITIONS[self.state])} was expected"
            self._refuse(message, ct.responseCodeType.FAILED_SequenceError, detail, now)
        elif self._is_foreign(message):
            detail = f"{name} with SessionID {message.Header.SessionID.hex().upper()}, which is not this session's"
            self._refuse(message, ct.responseCodeType.FAILED_UnknownSession, detail, now)
        elif problem := self._series_problem(message, now):
            self._refuse(message, ct.responseCodeType.FAILED, problem, now)
        else:
            if self.session.charging and self._stale_at() < now:
                self._fail_next(self._staleness())
            self._handle(message, now, held_out=False)

    # ---- within ----

    def _stale_at(self) -> float:
        return self._evse_at + self.config.evse_state_max_age_s

    def _staleness(self) -> Failure:
        detail = f"no state of the EVSE younger than {self.config.evse_state_max_age_s:g} s while charging"
        return Failure(code=ct.responseCodeType.FAILED, detail=detail)

    def _fail_next(self, failure: Failure) -> None:
        """Energy stops now, the vehicle is told with the next response: there is no other way to speak to it."""
        self._stop_energy(failure.detail)
        if self.session.failure is None:
            self.session = replace(self.session, failure=failure)

    def _series_problem(self, request: Any, now: float) -> str | None:
        """Why the vehicle has asked the same for too long, in words; the first request of a kind starts its time."""
        name = type(request).__name__
        if isinstance(request, dc.DC_ChargeLoopReq):
            self._series_since.pop("PowerDeliveryReq", None)
        stopping = isinstance(request, cm.PowerDeliveryReq) and request.ChargeProgress is cm.chargeProgressType.Stop
        limit_s = _series_limits(self.config.timers).get(name)
        if limit_s is None or stopping or now - self._series_since.setdefault(name, now) < limit_s:
            return None
        return f"{name} was repeated for {limit_s:g} s without the session going on"

    def _is_foreign(self, message: Any) -> bool:
        if isinstance(message, app_protocol.supportedAppProtocolReq | cm.SessionSetupReq):
            return False
        session_id: bytes = message.Header.SessionID
        return session_id != self.session.session_id

    def _handle(self, request: Any, now: float, *, held_out: bool) -> None:
        if (failure := self.session.failure) is not None:
            self._pending = None
            self._refuse(request, failure.code, failure.detail, now)
            return
        fresh = self._evse is not None and now - self._evse_at <= self.config.evse_state_max_age_s
        answer = HANDLERS[type(request).__name__](
            request,
            Situation(
                config=self.config,
                session=self.session,
                now=now,
                header=self._header(now),
                evse=self._evse if fresh else None,
                held_out=held_out,
                random=self._random,
            ),
        )
        self.session = answer.session
        for event in answer.events:
            self._emit(event)
        if isinstance(answer, Hold):
            if self._pending is not request:
                self._pending, self._pending_until = request, now + answer.for_s
            return
        self._pending = None
        if answer.outcome is None:
            self._fail(answer.response, answer.detail)
            return
        if not self._respond(answer.response):
            return
        self.state = TRANSITIONS[self.state][type(request).__name__][answer.outcome]
        if answer.end is not None:
            self._end(answer.end, answer.detail)
        else:
            self._await_next(request, now)

    def _await_next(self, request: Any, now: float) -> None:
        """The sequence timeout: short after a charge-loop response ([V2G20-1502]) and while energy may flow since,
        long otherwise: between PowerDelivery(Start) and the first loop request real vehicles take seconds."""
        timers = self.config.timers
        in_loop = self.session.charging and self.session.loop_answered
        seconds = timers.sequence_charge_loop_s if in_loop else timers.sequence_s
        self._arm(now, seconds, f"no request within {seconds:g} s after the response to {type(request).__name__}")

    def _arm(self, now: float, seconds: float, what: str) -> None:
        self._sequence_until = now + seconds
        self._sequence_name = what

    def _header(self, now: float) -> ct.MessageHeaderType:
        return ct.MessageHeaderType(SessionID=self.session.session_id, TimeStamp=self._timestamp(now))

    def _refuse(self, request: Any, code: ct.responseCodeType, detail: str, now: float) -> None:
        response = refusal(request, code, self._header(now), self.config.evse_id)
        if response is None:
            self._end(EndReason.PROTOCOL_ERROR, f"{type(request).__name__} is no request")
        else:
            self._fail(response, detail)

    def _fail(self, response: Response, detail: str) -> None:
        self._stop_energy(detail)
        if self._respond(response):
            self.state = State.ENDED
            self._end(EndReason.FAILED_BY_US, detail, str(response.ResponseCode))

    def _respond(self, response: Response) -> bool:
        return self._send(Namespace(type_namespace[type(response)]), response)


def _check_evse(command: UpdateEvse) -> None:
    what = "UpdateEvse"
    check_limits(command.limits, "UpdateEvse.limits")
    check_finite(what, present_voltage_v=command.present_voltage_v, present_current_a=command.present_current_a)
    check_flags(
        what,
        contactors_closed=command.contactors_closed,
        power_limit_achieved=command.power_limit_achieved,
        current_limit_achieved=command.current_limit_achieved,
        voltage_limit_achieved=command.voltage_limit_achieved,
        notify_stop=command.notify_stop,
    )
    if command.fault is not None:
        check_text(what, fault=command.fault)
    check_integers(
        what,
        2**64 - 1,
        charged_energy_wh=command.charged_energy_wh,
        discharged_energy_wh=command.discharged_energy_wh,
    )


def _evse_failure(evse: UpdateEvse) -> Failure | None:
    """Why energy must not flow, in the words and with the code that the charge loop uses."""
    if evse.fault is not None:
        return Failure(code=ct.responseCodeType.FAILED, detail=f"EVSE fault: {evse.fault}")
    if not evse.contactors_closed:
        detail = "the EVSE's contactors opened during the charge loop"
        return Failure(code=ct.responseCodeType.FAILED_ContactorError, detail=detail)
    return None


def _series_limits(timers: SeccTimers) -> dict[str, float]:
    return {
        "ServiceDetailReq": timers.service_detail_series_s,
        "AuthorizationReq": timers.authorization_series_s,
        "DC_PreChargeReq": timers.pre_charge_series_s,
        "PowerDeliveryReq": timers.power_delivery_series_s,
        "DC_WeldingDetectionReq": timers.welding_detection_series_s,
    }
