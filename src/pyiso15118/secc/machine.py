"""The SECC's state machine: applies the transition table to requests, commands and time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    Command,
    EvseState,
    InstallCertificate,
    OfferSchedules,
    SetGridCode,
    SetMobilityNeeds,
    UpdateAcEvse,
    UpdateDcEvse,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import EndReason, PowerDeliveryStopped
from pyiso15118.exi.schema import type_namespace
from pyiso15118.machine import Machine
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.paused import PausedSession
from pyiso15118.secc import handlers_ac, handlers_dc, owner
from pyiso15118.secc.answers import evse_failure
from pyiso15118.secc.config import SeccConfig
from pyiso15118.secc.handlers_authorization import (
    handle_authorization,
    handle_authorization_setup,
    handle_certificate_installation,
)
from pyiso15118.secc.handlers_loop_dc import handle_dc_charge_loop
from pyiso15118.secc.handlers_metering import handle_metering_confirmation
from pyiso15118.secc.handlers_power import handle_power_delivery
from pyiso15118.secc.handlers_schedule import handle_schedule_exchange
from pyiso15118.secc.handlers_service import (
    handle_service_detail,
    handle_service_discovery,
    handle_service_selection,
)
from pyiso15118.secc.handlers_session import (
    handle_session_setup,
    handle_session_stop,
    handle_supported_app_protocol,
)
from pyiso15118.secc.refusals import refusal
from pyiso15118.secc.session import Failure, Hold, Reply, Response, Session, Situation
from pyiso15118.secc.transitions import SIDE_STREAM_REQUESTS, TRANSITIONS, Outcome, State
from pyiso15118.timers import SeccTimers
from pyiso15118.v2gtp import PayloadType

Handler = Callable[[Any, Situation], Reply | Hold]

HANDLERS: dict[str, Handler] = {
    "supportedAppProtocolReq": handle_supported_app_protocol,
    "SessionSetupReq": handle_session_setup,
    "AuthorizationSetupReq": handle_authorization_setup,
    "AuthorizationReq": handle_authorization,
    "CertificateInstallationReq": handle_certificate_installation,
    "ServiceDiscoveryReq": handle_service_discovery,
    "ServiceDetailReq": handle_service_detail,
    "ServiceSelectionReq": handle_service_selection,
    "AC_ChargeParameterDiscoveryReq": handlers_ac.handle_charge_parameter_discovery,
    "DC_ChargeParameterDiscoveryReq": handlers_dc.handle_charge_parameter_discovery,
    "ScheduleExchangeReq": handle_schedule_exchange,
    "DC_CableCheckReq": handlers_dc.handle_cable_check,
    "DC_PreChargeReq": handlers_dc.handle_pre_charge,
    "PowerDeliveryReq": handle_power_delivery,
    "AC_ChargeLoopReq": handlers_ac.handle_ac_charge_loop,
    "DC_ChargeLoopReq": handle_dc_charge_loop,
    "MeteringConfirmationReq": handle_metering_confirmation,
    "DC_WeldingDetectionReq": handlers_dc.handle_welding_detection,
    "SessionStopReq": handle_session_stop,
}

_LOOPS = (State.CHARGE_LOOP, State.STANDBY)
_RENEGOTIATION = (State.SCHEDULE_RENEGOTIATION, State.POWER_DELIVERY_AGAIN)
_LOOP_REQUESTS = {"AC_ChargeLoopReq", "DC_ChargeLoopReq"}
_WITHOUT_SESSION = {"supportedAppProtocolReq", "SessionSetupReq"}
_SIDE_STREAMS = frozenset(PayloadType(payload_type) for payload_type in SIDE_STREAM_REQUESTS)
_NO_STREAMS: frozenset[PayloadType] = frozenset()
_NAMESPACES = {str(namespace): namespace for namespace in Namespace}


class SeccMachine(Machine):
    """One session of one EVSE, the charger's side. ``random(n)`` gives n bytes from a cryptographic source.

    ``peer_certificate``: the vehicle's leaf (DER) where the stream is TLS. ``certified_name``: the only EVCCID that is
    taken, the common name of that leaf where the profile binds both; None: any. ``paused``: the session that this
    EVSE's last vehicle paused; it goes on if that vehicle comes back, and only then.
    """

    def __init__(
        self,
        config: SeccConfig,
        *,
        random: Callable[[int], bytes],
        unix_offset_s: float,
        peer_certificate: bytes | None = None,
        certified_name: str | None = None,
        paused: PausedSession | None = None,
    ) -> None:
        super().__init__(max_payload_bytes=config.max_payload_bytes, unix_offset_s=unix_offset_s)
        self.config = config
        self.state = State.APP_PROTOCOL
        self.session = Session()
        self.paused: PausedSession | None = None
        """After ``SessionEnded(PAUSED)``: what the next machine needs to go on; None where nothing is left to."""
        self._random = random
        self._peer_certificate = peer_certificate
        self._certified_name = certified_name
        self._resumable = paused
        self._evse: EvseState | None = None
        self._evse_at = 0.0
        self._pending: Any = None
        self._pending_until = 0.0
        self._sequence_until: float | None = None
        self._sequence_s = 0.0
        self._sequence_after = ""
        self._series_since: dict[str, float] = {}
        self._series_limits = _series_limits(config.timers)

    # ---- what the owner calls, beside Machine ----

    def start(self, now: float) -> None:
        """The connection was accepted: the setup timer runs from here. Without it, from the first call of any kind."""
        if self._sequence_until is None and not self._ended:
            self._sequence_until = now + self.config.timers.setup_s

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

    @property
    def _side_streams(self) -> frozenset[PayloadType]:
        return _SIDE_STREAMS if self.state in _LOOPS else _NO_STREAMS

    @property
    def _agreed(self) -> Namespace | None:
        return self.session.protocol

    def _may_read(self) -> bool:
        return self._pending is None

    def _command(self, command: Command, now: float) -> None:
        match command:
            case UpdateDcEvse() | UpdateAcEvse():
                owner.check_evse(command, self.config, self.session)
                self._evse, self._evse_at = command, now
                self._watch(command)
            case Authorize():
                self._authorize(command)
            case InstallCertificate():
                self.session = owner.with_installation(command, self.session, self.state)
            case CableCheckFinished():
                self._finish_cable_check(command)
            case OfferSchedules():
                self.session = owner.with_schedules(command, self.session, self.state, self._unix_s(now))
            case SetMobilityNeeds():
                self.session = owner.with_mobility(command, self.session, now, self._unix_s(now))
            case SetGridCode():
                self.session = owner.with_grid_code(command, self.config, self.session)
            case _:
                raise LocalProtocolError(f"{type(command).__name__} is no command for a SECC")
        if self._pending is not None:
            self._handle(self._pending, now, held_out=now >= self._pending_until)

    def _watch(self, evse: EvseState) -> None:
        session = self.session
        if not session.charging and not session.standby:
            return
        if failure := evse_failure(evse, standby=session.standby):
            self._fail_next(failure)

    def _authorize(self, command: Authorize) -> None:
        session = owner.authorized(command, self.session, self.state)
        if session is None:
            self._fail_next(Failure(code=ct.responseCodeType.FAILED, detail="authorisation was withdrawn"))
        else:
            self.session = session

    def _finish_cable_check(self, command: CableCheckFinished) -> None:
        self.session = owner.cable_checked(command, self.session, self.state)
        if self.state is not State.CABLE_CHECK:
            detail = f"cable check failed afterwards: {command.detail or 'no detail given'}"
            self._fail_next(Failure(code=ct.responseCodeType.FAILED, detail=detail))

    def _timeout(self, now: float) -> None:
        if self.session.charging and self._stale_at() <= now:
            self._fail_next(self._staleness())
        elif self._pending is not None:
            self._handle(self._pending, now, held_out=True)
        elif self._sequence_after:
            after = f"no request within {self._sequence_s:g} s after the response to {self._sequence_after}"
            self._end(EndReason.TIMEOUT_SECC, after)
        else:
            self._end(EndReason.TIMEOUT_SECC, "no complete request after the connection was accepted")

    def _stop_energy(self, reason: str) -> None:
        if self.session.live:
            self.session = self.session.stopped()
            self._emit(PowerDeliveryStopped(reason=reason))

    def _receive_message(self, message: Any, now: float) -> None:
        name = type(message).__name__
        is_side = self._is_side
        allowed = (SIDE_STREAM_REQUESTS[self._frame.payload_type],) if is_side else self._allowed
        if name not in allowed:
            detail = f"{name} arrived where {' or '.join(allowed)} was expected"
            self._refuse(message, ct.responseCodeType.FAILED_SequenceError, detail, now)
        elif name not in _WITHOUT_SESSION and message.Header.SessionID != self.session.session_id:
            detail = f"{name} with SessionID {message.Header.SessionID.hex().upper()}, which is not this session's"
            self._refuse(message, ct.responseCodeType.FAILED_UnknownSession, detail, now)
        elif problem := self._series_problem(message, name, now):
            self._refuse(message, ct.responseCodeType.FAILED, problem, now)
        else:
            if self.session.charging and self._stale_at() < now:
                self._fail_next(self._staleness())
            # Beside the loop nothing waits: the main stream must not be held up.
            self._handle(message, now, held_out=is_side)

    # ---- within ----

    @property
    def _is_side(self) -> bool:
        """The frame at hand came beside the main stream."""
        return self._frame.payload_type in _SIDE_STREAMS

    @property
    def _allowed(self) -> tuple[str, ...]:
        """Names of the requests that may come on the main stream now: those of the table, of the kind of service that
        was agreed."""
        return _ALLOWED[self.session.is_ac][self.state]

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

    def _series_problem(self, request: Any, name: str, now: float) -> str | None:
        """Why the vehicle has asked the same for too long, in words; the first request of a kind starts its time."""
        if name in _LOOP_REQUESTS:
            self._series_since.pop("PowerDeliveryReq", None)
            return None
        stopping = isinstance(request, cm.PowerDeliveryReq) and request.ChargeProgress is cm.chargeProgressType.Stop
        limit_s = self._series_limits.get(name)
        if limit_s is None or stopping or now - self._series_since.setdefault(name, now) < limit_s:
            return None
        return f"{name} was repeated for {limit_s:g} s without the session going on"

    def _handle(self, request: Any, now: float, *, held_out: bool) -> None:
        if (failure := self.session.failure) is not None:
            self._pending = None
            self._refuse(request, failure.code, failure.detail, now)
            return
        name = type(request).__name__
        answer = HANDLERS[name](request, self._situation(now, held_out))
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
        elif self._respond(answer.response) and not self._is_side:
            self._advance(answer, answer.outcome, name, now)

    def _situation(self, now: float, held_out: bool) -> Situation:
        evse = self._evse
        fresh = now - self._evse_at <= self.config.evse_state_max_age_s
        return Situation(
            config=self.config,
            session=self.session,
            now=now,
            header=self._header(now),
            state=self.state,
            evse=evse if fresh else None,
            held_out=held_out,
            side=self._is_side,
            payload=self._frame.payload,
            random=self._random,
            peer_certificate=self._peer_certificate,
            certified_name=self._certified_name,
            resumable=self._resumable,
        )

    def _advance(self, answer: Reply, outcome: Outcome, name: str, now: float) -> None:
        self.state = TRANSITIONS[self.state][name][outcome]
        if answer.end is not None:
            self.paused = answer.paused
            self._end(answer.end, answer.detail)
            return
        if self.state is State.SERVICE_DISCOVERY:
            self._series_since.clear()
        self._sequence_s, self._sequence_after = self._silence_s(), name
        self._sequence_until = now + self._sequence_s

    def _silence_s(self) -> float:
        """The sequence timeout: short after a charge-loop response ([V2G20-1500], [V2G20-1502]) and while energy may
        flow or the loop rests since, long otherwise: between PowerDelivery(Start) and the first loop request real
        vehicles take seconds. While a schedule is renegotiated energy flows and no loop is turned, which has a time of
        its own."""
        timers, session = self.config.timers, self.session
        if not session.loop_answered or not (session.charging or session.standby):
            return timers.sequence_s
        return timers.sequence_renegotiation_s if self.state in _RENEGOTIATION else timers.sequence_charge_loop_s

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
        side = PayloadType(self._frame.payload_type) if self._is_side else None
        return self._send(_NAMESPACES[type_namespace[type(response)]], response, side)


def _of_kind(name: str, is_ac: bool) -> bool:
    return not name.startswith("DC_" if is_ac else "AC_")


_ALLOWED: tuple[dict[State, tuple[str, ...]], ...] = tuple(
    {state: tuple(name for name in requests if _of_kind(name, is_ac)) for state, requests in TRANSITIONS.items()}
    for is_ac in (False, True)
)


def _series_limits(timers: SeccTimers) -> dict[str, float]:
    return {
        "ServiceDetailReq": timers.service_detail_series_s,
        "AuthorizationReq": timers.authorization_series_s,
        "CertificateInstallationReq": timers.authorization_series_s,
        "DC_PreChargeReq": timers.pre_charge_series_s,
        "PowerDeliveryReq": timers.power_delivery_series_s,
        "DC_WeldingDetectionReq": timers.welding_detection_series_s,
    }
