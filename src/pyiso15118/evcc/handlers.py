"""What each response means to the vehicle: one pure function each. FAILED responses never come here.

Those of the energy transfer are in ``handlers_energy`` and ``handlers_loop``, of authorisation in ``handlers_access``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.evcc.choice import best_parameters
from pyiso15118.evcc.handlers_access import (
    handle_authorization,
    handle_authorization_setup,
    handle_certificate_installation,
)
from pyiso15118.evcc.handlers_energy import (
    handle_cable_check,
    handle_charge_parameter_discovery,
    handle_power_delivery_renegotiation,
    handle_power_delivery_standby,
    handle_power_delivery_start,
    handle_power_delivery_stop,
    handle_pre_charge,
    handle_schedule_exchange,
    handle_schedule_renegotiation,
    handle_welding_detection,
)
from pyiso15118.evcc.handlers_loop import handle_charge_loop
from pyiso15118.evcc.requests import protocols
from pyiso15118.evcc.session import Ending, ServiceParameters, Session, Situation, Step, Transfer
from pyiso15118.evcc.steps import give_up
from pyiso15118.evcc.transitions import Outcome, State
from pyiso15118.events import EnergyServiceSelected, ProtocolAgreed, SessionStarted
from pyiso15118.machine import SESSION_ID_BYTES
from pyiso15118.messages import app_protocol
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.paused import PausedSession
from pyiso15118.protocols import protocol_of


def handle_supported_app_protocol(response: app_protocol.supportedAppProtocolRes, situation: Situation) -> Step:
    """What the EVSE picks limits the services; a paused session of the other kind cannot go on."""
    session = situation.session
    offered = dict(enumerate(protocols(situation.config, session.resuming), 1))
    namespace = offered.get(response.SchemaID or 0)
    if namespace is None:
        ids = ", ".join(str(schema_id) for schema_id in offered)
        raise RemoteProtocolError(f"supportedAppProtocolRes with SchemaID {response.SchemaID}, offered was {ids}")
    resuming = session.resuming
    if resuming is not None and protocol_of(resuming.service) is not namespace:
        resuming = None
    event = ProtocolAgreed(namespace=namespace.value, schema_id=response.SchemaID or 0)
    return Step(outcome=Outcome.DONE, session=replace(session, protocol=namespace, resuming=resuming), events=(event,))


def handle_session_setup(response: cm.SessionSetupRes, situation: Situation) -> Step:
    session_id = response.Header.SessionID
    if len(session_id) != SESSION_ID_BYTES or not any(session_id):
        raise RemoteProtocolError(f"SessionSetupRes with SessionID {session_id.hex().upper()}, which names no session")
    resuming = situation.session.resuming
    session = replace(situation.session, session_id=session_id, set_up=True, evse_id=response.EVSEID, resuming=None)
    joined = response.ResponseCode is ct.responseCodeType.OK_OldSessionJoined
    started = SessionStarted(
        session_id=session_id, evccid=situation.config.evccid, evse_id=response.EVSEID, resumed=joined
    )
    if not joined:
        return Step(outcome=Outcome.DONE, session=session, events=(started,))
    if resuming is None or resuming.session_id != session_id:
        raise RemoteProtocolError(
            f"SessionSetupRes joins session {session_id.hex().upper()}, which this vehicle did not ask for"
        )
    session = _resumed(session, resuming)
    return Step(outcome=Outcome.JOIN, session=session, events=(started, _service_selected(session)))


def handle_service_discovery(response: cm.ServiceDiscoveryRes, situation: Situation) -> Step:
    session, config = situation.session, situation.config
    offered = {s.ServiceID for s in response.EnergyTransferServiceList.Service}
    extras = {s.ServiceID for s in response.VASList.Service} if response.VASList is not None else set()
    wanted = session.wishes.services or config.services
    candidates = tuple(s for s in wanted if s in offered and protocol_of(s) is session.protocol)
    transfer = replace(
        session.transfer,
        candidates=candidates,
        value_added_wanted=tuple(dict.fromkeys(s for s in config.value_added if s in extras)),
        value_added=(),
    )
    session = replace(session, transfer=transfer, renegotiable=response.ServiceRenegotiationSupported)
    if not candidates:
        return give_up(session, f"the EVSE offers services {sorted(offered)}, none that this vehicle wants")
    return Step(outcome=Outcome.DONE, session=session)


def handle_service_detail(response: cm.ServiceDetailRes, situation: Situation) -> Step:
    """Takes the best parameter set; a service without a usable one is passed over for the next."""
    session, transfer = situation.session, situation.session.transfer
    _check_service(response, session.service)
    parameters = best_parameters(response.ServiceParameterList.ParameterSet, session.service, situation.config)
    if parameters is not None:
        session = replace(session, transfer=replace(transfer, parameters=parameters))
        outcome = Outcome.VALUE_ADDED if transfer.value_added_wanted else Outcome.DONE
        return Step(outcome=outcome, session=session)
    if len(transfer.candidates) > 1:
        session = replace(session, transfer=replace(transfer, candidates=transfer.candidates[1:]))
        return Step(outcome=Outcome.AGAIN, session=session)
    return give_up(session, f"the EVSE has no parameter set for {session.service.name} that this vehicle can use")


def handle_value_added_detail(response: cm.ServiceDetailRes, situation: Situation) -> Step:
    session, transfer = situation.session, situation.session.transfer
    service, *remaining = transfer.value_added_wanted
    _check_service(response, service)
    parameter_set = response.ServiceParameterList.ParameterSet[0]
    transfer = replace(
        transfer,
        value_added_wanted=tuple(remaining),
        value_added=(*transfer.value_added, (service, parameter_set.ParameterSetID)),
    )
    outcome = Outcome.AGAIN if remaining else Outcome.DONE
    return Step(outcome=outcome, session=replace(session, transfer=transfer))


def handle_service_selection(response: cm.ServiceSelectionRes, situation: Situation) -> Step:
    session = replace(situation.session, transfer=replace(situation.session.transfer, is_selected=True))
    return Step(outcome=Outcome.DONE, session=session, events=(_service_selected(session),))


def handle_session_stop(response: cm.SessionStopRes, situation: Situation) -> Step:
    """After a service renegotiation everything of the old service is forgotten but the SessionID."""
    session = situation.session
    if session.stop_sent is not Ending.RENEGOTIATE:
        return Step(outcome=Outcome.DONE, session=session)
    still = session.ending if session.ending > Ending.RENEGOTIATE else Ending.NONE
    transfer = Transfer(notification=session.transfer.notification)
    session = replace(session, transfer=transfer, ending=still, stop_sent=Ending.NONE)
    return Step(outcome=Outcome.RENEGOTIATE, session=session)


HANDLERS: dict[State, Callable[[Any, Situation], Step]] = {
    State.APP_PROTOCOL: handle_supported_app_protocol,
    State.SESSION_SETUP: handle_session_setup,
    State.AUTHORIZATION_SETUP: handle_authorization_setup,
    State.CERTIFICATE_INSTALLATION: handle_certificate_installation,
    State.AUTHORIZATION: handle_authorization,
    State.SERVICE_DISCOVERY: handle_service_discovery,
    State.SERVICE_DETAIL: handle_service_detail,
    State.VALUE_ADDED_DETAIL: handle_value_added_detail,
    State.SERVICE_SELECTION: handle_service_selection,
    State.CHARGE_PARAMETER_DISCOVERY: handle_charge_parameter_discovery,
    State.SCHEDULE_EXCHANGE: handle_schedule_exchange,
    State.CABLE_CHECK: handle_cable_check,
    State.PRE_CHARGE: handle_pre_charge,
    State.POWER_DELIVERY_START: handle_power_delivery_start,
    State.CHARGE_LOOP: handle_charge_loop,
    State.POWER_DELIVERY_STANDBY: handle_power_delivery_standby,
    State.STANDBY: handle_charge_loop,
    State.POWER_DELIVERY_RENEGOTIATION: handle_power_delivery_renegotiation,
    State.SCHEDULE_RENEGOTIATION: handle_schedule_renegotiation,
    State.POWER_DELIVERY_STOP: handle_power_delivery_stop,
    State.WELDING_DETECTION: handle_welding_detection,
    State.SESSION_STOP: handle_session_stop,
}


def _check_service(response: cm.ServiceDetailRes, asked: int) -> None:
    if response.ServiceID != asked:
        raise RemoteProtocolError(f"ServiceDetailRes for service {response.ServiceID}, asked was {int(asked)}")


def _service_selected(session: Session) -> EnergyServiceSelected:
    parameters = session.parameters
    return EnergyServiceSelected(
        service=session.service,
        control_mode=parameters.control_mode,
        parameter_set_id=parameters.id,
        mobility_needs_mode=parameters.mobility_needs_mode,
        value_added=session.transfer.value_added,
    )


def _resumed(session: Session, paused: PausedSession) -> Session:
    """Authorisation and service stand; everything else is agreed anew ([V2G20-1032])."""
    transfer = Transfer(
        candidates=(paused.service,),
        parameters=ServiceParameters(
            id=paused.parameter_set_id,
            control_mode=paused.control_mode,
            mobility_needs_mode=paused.mobility_needs_mode,
            bpt_channel=paused.bpt_channel,
            nominal_voltage_v=paused.nominal_voltage_v,
        ),
        value_added=paused.value_added,
        is_selected=True,
    )
    return replace(session, transfer=transfer, emaid=paused.emaid)
