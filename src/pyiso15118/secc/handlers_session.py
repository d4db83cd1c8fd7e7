"""The frame of a session: supportedAppProtocol, SessionSetup and SessionStop."""

from __future__ import annotations

from msgspec.structs import replace

from pyiso15118.events import (
    EndReason,
    EnergyServiceSelected,
    Event,
    PowerDeliveryStopped,
    ProtocolAgreed,
    RenegotiationStarted,
    SessionStarted,
)
from pyiso15118.machine import SESSION_ID_BYTES
from pyiso15118.messages import Namespace, app_protocol
from pyiso15118.messages import common_messages as cm
from pyiso15118.paused import PausedSession, binding
from pyiso15118.protocols import protocol_of
from pyiso15118.secc.answers import Code, failed
from pyiso15118.secc.config import ParameterSet, SeccConfig, ServiceOffer
from pyiso15118.secc.session import Contract, Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome

PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 0


def handle_supported_app_protocol(request: app_protocol.supportedAppProtocolReq, situation: Situation) -> Reply:
    """Of the protocols both sides speak, the one the vehicle ranks highest ([V2G20-169]).

    The protocol of DC carries the MCS services, too. An EVSE speaks those of the services it offers.
    """
    spoken = protocols(situation.config)
    known = [p for p in request.AppProtocol if p.ProtocolNamespace in spoken and p.VersionNumberMajor == PROTOCOL_MAJOR]
    if not known:
        offered = ", ".join(
            f"{p.ProtocolNamespace} {p.VersionNumberMajor}.{p.VersionNumberMinor}" for p in request.AppProtocol
        )
        ours = ", ".join(f"{namespace} {PROTOCOL_MAJOR}.x" for namespace in spoken)
        return Reply(
            response=app_protocol.supportedAppProtocolRes(
                ResponseCode=app_protocol.responseCodeType.Failed_NoNegotiation
            ),
            session=situation.session,
            outcome=None,
            detail=f"the vehicle speaks only {offered}; this EVSE speaks {ours}",
        )
    best = min(known, key=lambda p: p.Priority)
    exact = best.VersionNumberMinor == PROTOCOL_MINOR
    return Reply(
        response=app_protocol.supportedAppProtocolRes(
            ResponseCode=app_protocol.responseCodeType.OK_SuccessfulNegotiation
            if exact
            else app_protocol.responseCodeType.OK_SuccessfulNegotiationWithMinorDeviation,
            SchemaID=best.SchemaID,
        ),
        session=replace(situation.session, protocol=Namespace(best.ProtocolNamespace)),
        outcome=Outcome.DONE,
        events=(ProtocolAgreed(namespace=best.ProtocolNamespace, schema_id=best.SchemaID),),
    )


def protocols(config: SeccConfig) -> tuple[Namespace, ...]:
    """What an EVSE speaks: the protocols of the services it offers."""
    return tuple(dict.fromkeys(protocol_of(o.service) for o in config.services))


def handle_session_setup(request: cm.SessionSetupReq, situation: Situation) -> Reply:
    """The paused session goes on if its vehicle comes back ([V2G20-2545]), at parameter discovery ([V2G20-1032]).

    Whatever else comes gets a fresh session, which is no failure ([V2G20-2626], [V2G20-2627]): another SessionID,
    vehicle or certificate, another EVSE, a protocol or a service that the paused session does not fit.
    A vehicle that is bound to its certificate's name and calls itself otherwise is refused.
    """
    if situation.certified_name not in (None, request.EVCCID):
        detail = f"EVCCID {request.EVCCID} is not the name in the vehicle's certificate, {situation.certified_name}"
        return failed(request, Code.FAILED, detail, situation)
    if (joined := _join(request, situation)) is not None:
        return joined
    session_id = situation.random(SESSION_ID_BYTES)
    evse_id = situation.config.evse_id
    return Reply(
        response=cm.SessionSetupRes(
            Header=replace(situation.header, SessionID=session_id),
            ResponseCode=Code.OK_NewSessionEstablished,
            EVSEID=evse_id,
        ),
        session=replace(situation.session, session_id=session_id, evccid=request.EVCCID),
        outcome=Outcome.DONE,
        events=(SessionStarted(session_id=session_id, evccid=request.EVCCID, evse_id=evse_id),),
    )


def _join(request: cm.SessionSetupReq, situation: Situation) -> Reply | None:
    paused, config = situation.resumable, situation.config
    if paused is None or not _may_join(request, paused, situation):
        return None
    offer = config.offer(paused.service)
    parameter_set = offer.parameter_set(paused.parameter_set_id) if offer is not None else None
    if offer is None or parameter_set is None or protocol_of(offer.service) is not situation.session.protocol:
        return None
    contract = None
    if paused.emaid is not None and paused.contract_certificate is not None:
        contract = Contract(emaid=paused.emaid, certificate=paused.contract_certificate)
    return Reply(
        response=cm.SessionSetupRes(
            Header=replace(situation.header, SessionID=paused.session_id),
            ResponseCode=Code.OK_OldSessionJoined,
            EVSEID=config.evse_id,
        ),
        session=replace(
            situation.session,
            session_id=paused.session_id,
            evccid=request.EVCCID,
            contract=contract,
            offer=offer,
            parameter_set=parameter_set,
            value_added=paused.value_added,
        ),
        outcome=Outcome.JOIN,
        events=(
            SessionStarted(session_id=paused.session_id, evccid=request.EVCCID, evse_id=config.evse_id, resumed=True),
            selected(offer, parameter_set, paused.value_added),
        ),
    )


def _may_join(request: cm.SessionSetupReq, paused: PausedSession, situation: Situation) -> bool:
    if request.Header.SessionID != paused.session_id or paused.session_id == bytes(SESSION_ID_BYTES):
        return False
    if paused.evccid != request.EVCCID or situation.config.evse_id != paused.evse_id:
        return False
    if not paused.peer_binding and situation.peer_certificate is None:
        return situation.config.resume_without_certificate
    return paused.belongs_to(situation.peer_certificate)


def selected(
    offer: ServiceOffer, parameter_set: ParameterSet, value_added: tuple[tuple[int, int], ...]
) -> EnergyServiceSelected:
    """The event that tells which service was selected, or goes on."""
    return EnergyServiceSelected(
        service=offer.service,
        control_mode=parameter_set.control_mode,
        parameter_set_id=parameter_set.id,
        mobility_needs_mode=parameter_set.mobility_needs_mode,
        value_added=value_added,
    )


def handle_session_stop(request: cm.SessionStopReq, situation: Situation) -> Reply:
    """Allowed at any time after SessionSetup: the end, a pause, or on from service discovery.

    FAILED_PauseNotAllowed and FAILED_NoServiceRenegotiationSupported where the configuration says so; the latter also
    before a service was selected, for there is nothing to negotiate again. A pause before that leaves nothing to
    resume.
    """
    events: tuple[Event, ...] = ()
    session, config = situation.session, situation.config
    if session.live:
        events = (PowerDeliveryStopped(reason="SessionStopReq without PowerDelivery(Stop)"),)
        session = session.stopped()
    stopped = replace(situation, session=session)
    if request.ChargingSession is cm.chargingSessionType.ServiceRenegotiation:
        return _renegotiate(request, stopped, events)
    paused = request.ChargingSession is cm.chargingSessionType.Pause
    if paused and not config.pause_allowed:
        return failed(request, Code.FAILED_PauseNotAllowed, "the vehicle asked for a pause", stopped, events)
    said = [text for text in (request.EVTerminationCode, request.EVTerminationExplanation) if text]
    return Reply(
        response=cm.SessionStopRes(Header=situation.header, ResponseCode=Code.OK),
        session=session,
        outcome=Outcome.END,
        events=events,
        detail=f"the vehicle ended the session ({request.ChargingSession}{''.join(f'; {t}' for t in said)})",
        end=EndReason.PAUSED if paused else EndReason.STOPPED,
        paused=_paused(session, situation) if paused else None,
    )


def _renegotiate(request: cm.SessionStopReq, situation: Situation, events: tuple[Event, ...]) -> Reply:
    if not situation.config.service_renegotiation or situation.session.offer is None:
        detail = "service renegotiation was asked for and is not supported"
        if situation.config.service_renegotiation:
            detail = "service renegotiation was asked for before a service was selected"
        return failed(request, Code.FAILED_NoServiceRenegotiationSupported, detail, situation, events)
    return Reply(
        response=cm.SessionStopRes(Header=situation.header, ResponseCode=Code.OK),
        session=situation.session.without_service(),
        outcome=Outcome.RENEGOTIATE,
        events=(*events, RenegotiationStarted(service=True)),
    )


def _paused(session: Session, situation: Situation) -> PausedSession | None:
    if session.offer is None or session.parameter_set is None:
        return None
    certificate = situation.peer_certificate
    return PausedSession(
        session_id=session.session_id,
        peer_binding=b"" if certificate is None else binding(session.session_id, certificate),
        evccid=session.evccid,
        evse_id=situation.config.evse_id,
        service=session.offer.service,
        parameter_set_id=session.parameter_set.id,
        control_mode=session.parameter_set.control_mode,
        mobility_needs_mode=session.parameter_set.mobility_needs_mode,
        bpt_channel=session.parameter_set.bpt_channel,
        value_added=session.value_added,
        emaid=session.contract.emaid if session.contract else None,
        contract_certificate=session.contract.certificate if session.contract else None,
    )
