"""Requests of the common part, from SessionSetup to ServiceSelection, and SessionStop: one pure function each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from pyiso15118.events import (
    AuthorizationRequested,
    EndReason,
    EnergyServiceSelected,
    Event,
    PowerDeliveryStopped,
    ProtocolAgreed,
    SessionStarted,
)
from pyiso15118.machine import SESSION_ID_BYTES
from pyiso15118.messages import Namespace, app_protocol
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc.config import SeccConfig
from pyiso15118.secc.refusals import refusal
from pyiso15118.secc.session import Hold, Reply, Session, Situation
from pyiso15118.secc.transitions import Outcome

Code = ct.responseCodeType
Processing = ct.processingType

PROTOCOL_MAJOR = 1
PROTOCOL_MINOR = 0


def failed(request: object, code: Code, detail: str, situation: Situation, events: Iterable[Event] = ()) -> Reply:
    """The session ends with ``code`` in the response that belongs to ``request``."""
    response = refusal(request, code, situation.header, situation.config.evse_id)
    if response is None:
        raise TypeError(f"{type(request).__name__} is no request")
    return Reply(response=response, session=situation.session, outcome=None, events=tuple(events), detail=detail)


def handle_supported_app_protocol(request: app_protocol.supportedAppProtocolReq, situation: Situation) -> Reply:
    """Of the protocols both sides speak, the one the vehicle ranks highest ([V2G20-169])."""
    known = [
        p for p in request.AppProtocol if p.ProtocolNamespace == Namespace.DC and p.VersionNumberMajor == PROTOCOL_MAJOR
    ]
    if not known:
        offered = ", ".join(
            f"{p.ProtocolNamespace} {p.VersionNumberMajor}.{p.VersionNumberMinor}" for p in request.AppProtocol
        )
        return Reply(
            response=app_protocol.supportedAppProtocolRes(
                ResponseCode=app_protocol.responseCodeType.Failed_NoNegotiation
            ),
            session=situation.session,
            outcome=None,
            detail=f"the vehicle speaks only {offered}; this EVSE speaks {Namespace.DC} {PROTOCOL_MAJOR}.x",
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
        session=situation.session,
        outcome=Outcome.DONE,
        events=(ProtocolAgreed(namespace=best.ProtocolNamespace, schema_id=best.SchemaID),),
    )


def handle_session_setup(request: cm.SessionSetupReq, situation: Situation) -> Reply:
    """Always a fresh session: an old SessionID that cannot be joined is no failure ([V2G20-2626], [V2G20-2627])."""
    session_id = situation.random(SESSION_ID_BYTES)
    header = msgspec.structs.replace(situation.header, SessionID=session_id)
    evse_id = situation.config.evse_id
    return Reply(
        response=cm.SessionSetupRes(Header=header, ResponseCode=Code.OK_NewSessionEstablished, EVSEID=evse_id),
        session=replace(situation.session, session_id=session_id, evccid=request.EVCCID),
        outcome=Outcome.DONE,
        events=(SessionStarted(session_id=session_id, evccid=request.EVCCID, evse_id=evse_id),),
    )


def handle_authorization_setup(request: cm.AuthorizationSetupReq, situation: Situation) -> Reply:
    """Offers external identification (EIM) only."""
    return Reply(
        response=cm.AuthorizationSetupRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            AuthorizationServices=[cm.authorizationType.EIM],
            CertificateInstallationService=False,
            EIM_ASResAuthorizationMode=cm.EIM_ASResAuthorizationModeType(),
        ),
        session=situation.session,
        outcome=Outcome.DONE,
    )


def handle_authorization(request: cm.AuthorizationReq, situation: Situation) -> Reply | Hold:
    """Ongoing until the owner answers. A refusal is a warning, and the vehicle may ask again ([V2G20-2230])."""
    session = situation.session

    def answer(code: Code, processing: Processing, outcome: Outcome, after: Session) -> Reply:
        response = cm.AuthorizationRes(Header=situation.header, ResponseCode=code, EVSEProcessing=processing)
        return Reply(response=response, session=after, outcome=outcome)

    if request.SelectedAuthorizationService is not cm.authorizationType.EIM:
        code = Code.WARNING_AuthorizationSelectionInvalid
        return answer(code, Processing.Finished, Outcome.AGAIN, session)
    events: tuple[Event, ...] = ()
    since = session.authorization_since
    if since is None:
        since = situation.now
        session = replace(session, authorization_since=since)
        if session.authorized is None:
            events = (AuthorizationRequested(),)
    if session.authorized:
        return answer(Code.OK, Processing.Finished, Outcome.DONE, session)
    if session.authorized is False or situation.now - since >= situation.config.timers.ongoing_s:
        forgotten = replace(session, authorized=None, authorization_since=None)
        return answer(Code.WARNING_EIMAuthorizationFailure, Processing.Finished, Outcome.AGAIN, forgotten)
    if not situation.held_out:
        return Hold(for_s=situation.config.response_hold_s, session=session, events=events)
    return answer(Code.OK, Processing.Ongoing, Outcome.AGAIN, session)


def handle_service_discovery(request: cm.ServiceDiscoveryReq, situation: Situation) -> Reply:
    """The services of the EVSE, limited to those the vehicle names if any of them is offered."""
    offers = situation.config.services
    if request.SupportedServiceIDs is not None:
        wanted = set(request.SupportedServiceIDs.ServiceID)
        offers = tuple(o for o in offers if o.service in wanted) or offers
    return Reply(
        response=cm.ServiceDiscoveryRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            ServiceRenegotiationSupported=False,
            EnergyTransferServiceList=cm.ServiceListType(
                Service=[cm.ServiceType(ServiceID=int(o.service), FreeService=o.free) for o in offers]
            ),
        ),
        session=situation.session,
        outcome=Outcome.DONE,
    )


def handle_service_detail(request: cm.ServiceDetailReq, situation: Situation) -> Reply:
    """The parameter sets of one service; FAILED_ServiceIDInvalid for a service this EVSE does not have."""
    offer = situation.config.offer(request.ServiceID)
    if offer is None:
        detail = f"ServiceDetailReq for service {request.ServiceID}, offered: {_services(situation.config)}"
        return failed(request, Code.FAILED_ServiceIDInvalid, detail, situation)
    return Reply(
        response=cm.ServiceDetailRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            ServiceID=request.ServiceID,
            ServiceParameterList=cm.ServiceParameterListType(
                ParameterSet=[s.to_message(offer.service) for s in offer.parameter_sets]
            ),
        ),
        session=situation.session,
        outcome=Outcome.DONE,
    )


def handle_service_selection(request: cm.ServiceSelectionReq, situation: Situation) -> Reply:
    """Fixes the service. FAILED_ServiceSelectionInvalid for what was not offered, value-added services included."""
    selected = request.SelectedEnergyTransferService
    offer = situation.config.offer(selected.ServiceID)
    parameter_set = offer.parameter_set(selected.ParameterSetID) if offer else None
    if offer is None or parameter_set is None:
        detail = (
            f"service {selected.ServiceID} with parameter set {selected.ParameterSetID} selected, "
            f"offered: {_services(situation.config)}"
        )
        return failed(request, Code.FAILED_ServiceSelectionInvalid, detail, situation)
    if request.SelectedVASList is not None and request.SelectedVASList.SelectedService:
        detail = "value-added services were selected, none is offered"
        return failed(request, Code.FAILED_ServiceSelectionInvalid, detail, situation)
    return Reply(
        response=cm.ServiceSelectionRes(Header=situation.header, ResponseCode=Code.OK),
        session=replace(situation.session, offer=offer, parameter_set=parameter_set),
        outcome=Outcome.DONE,
        events=(
            EnergyServiceSelected(
                service=offer.service, control_mode=parameter_set.control_mode, parameter_set_id=parameter_set.id
            ),
        ),
    )


def handle_session_stop(request: cm.SessionStopReq, situation: Situation) -> Reply:
    """Allowed at any time after SessionSetup. ServiceRenegotiation is refused: ServiceDiscoveryRes says so."""
    events: tuple[Event, ...] = ()
    session = situation.session
    if session.live:
        events = (PowerDeliveryStopped(reason="SessionStopReq without PowerDelivery(Stop)"),)
        session = replace(session, charging=False, live=False)
    if request.ChargingSession is cm.chargingSessionType.ServiceRenegotiation:
        detail = "service renegotiation was asked for and is not supported"
        stopped = replace(situation, session=session)
        return failed(request, Code.FAILED_NoServiceRenegotiationSupported, detail, stopped, events)
    paused = request.ChargingSession is cm.chargingSessionType.Pause
    said = [text for text in (request.EVTerminationCode, request.EVTerminationExplanation) if text]
    return Reply(
        response=cm.SessionStopRes(Header=situation.header, ResponseCode=Code.OK),
        session=session,
        outcome=Outcome.END,
        events=events,
        detail=f"the vehicle ended the session ({request.ChargingSession}{''.join(f'; {t}' for t in said)})",
        end=EndReason.PAUSED if paused else EndReason.STOPPED,
    )


def _services(config: SeccConfig) -> str:
    return ", ".join(f"{o.service.value} with sets {[s.id for s in o.parameter_sets]}" for o in config.services)
