"""The request of each state, built from what is known: one pure function each. Those of the energy transfer are in
``requests_energy`` and ``requests_loop``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc.config import EvccConfig
from pyiso15118.evcc.requests_energy import (
    build_cable_check,
    build_charge_parameter_discovery,
    build_power_delivery_renegotiation,
    build_power_delivery_standby,
    build_power_delivery_start,
    build_power_delivery_stop,
    build_pre_charge,
    build_schedule_exchange,
    build_welding_detection,
    decide_power_delivery_start,
    decide_pre_charge,
)
from pyiso15118.evcc.requests_loop import build_charge_loop
from pyiso15118.evcc.session import Session, Situation
from pyiso15118.evcc.transitions import State
from pyiso15118.messages import Namespace, app_protocol
from pyiso15118.messages import common_messages as cm
from pyiso15118.paused import PausedSession
from pyiso15118.protocols import protocol_of
from pyiso15118.security.chain import TrustAnchors
from pyiso15118.security.provisioning import build_installation_request
from pyiso15118.security.signature import KeySigner, sign_parts


def protocols(config: EvccConfig, resuming: PausedSession | None) -> tuple[Namespace, ...]:
    """Namespaces of the wanted services, the most wanted first; that of a paused session before all."""
    services = (resuming.service, *config.services) if resuming else config.services
    return tuple(dict.fromkeys(protocol_of(service) for service in services))


def build_supported_app_protocol(situation: Situation) -> app_protocol.supportedAppProtocolReq:
    """Priority and SchemaID count from 1, priority 1 being the highest ([V2G20-167])."""
    namespaces = protocols(situation.config, situation.session.resuming)
    return app_protocol.supportedAppProtocolReq(
        AppProtocol=[
            app_protocol.AppProtocolType(
                ProtocolNamespace=namespace.value,
                VersionNumberMajor=1,
                VersionNumberMinor=0,
                SchemaID=rank,
                Priority=rank,
            )
            for rank, namespace in enumerate(namespaces, 1)
        ]
    )


def build_session_setup(situation: Situation) -> cm.SessionSetupReq:
    """With the old SessionID where a paused session is to go on."""
    header, resuming = situation.header, situation.session.resuming
    if resuming is not None:
        header = msgspec.structs.replace(header, SessionID=resuming.session_id)
    return cm.SessionSetupReq(Header=header, EVCCID=situation.config.evccid)


def build_authorization_setup(situation: Situation) -> cm.AuthorizationSetupReq:
    return cm.AuthorizationSetupReq(Header=situation.header)


def build_certificate_installation(situation: Situation) -> cm.CertificateInstallationReq:
    """Raises :class:`ProvisioningError`, :class:`SignatureError` and :class:`ChainError` for a credential that does
    not do."""
    config = situation.config
    if config.provisioning is None or config.cps_anchors is None:
        raise LocalProtocolError("there is no credential to ask for a contract with")
    roots = config.cps_anchors.certificates
    roots += config.contract_anchors.certificates if config.contract_anchors is not None else ()
    return build_installation_request(
        header=situation.header,
        oem_chain=config.provisioning.chain,
        oem_signer=KeySigner(config.provisioning.private_key),
        roots=TrustAnchors(tuple(dict.fromkeys(roots))),
        max_chains=max(1, len(config.prioritized_emaids)),
        prioritized_emaids=config.prioritized_emaids,
        form=config.signed_info_form,
    )


def build_authorization(situation: Situation) -> cm.AuthorizationReq:
    """By the contract where the EVSE gave a challenge for it, else by external identification. Raises
    :class:`SignatureError` and :class:`ProvisioningError` for a contract that cannot sign."""
    header, session = situation.header, situation.session
    if session.challenge is None or session.contract is None:
        return cm.AuthorizationReq(
            Header=header,
            SelectedAuthorizationService=cm.authorizationType.EIM,
            EIM_AReqAuthorizationMode=cm.EIM_AReqAuthorizationModeType(),
        )
    mode = cm.PnC_AReqAuthorizationModeType(
        Id="id1",
        GenChallenge=session.challenge,
        ContractCertificateChain=session.contract.certificate_chain,
    )
    signature = sign_parts([mode], session.contract.signer, form=situation.config.signed_info_form)
    return cm.AuthorizationReq(
        Header=msgspec.structs.replace(header, Signature=signature),
        SelectedAuthorizationService=cm.authorizationType.PnC,
        PnC_AReqAuthorizationMode=mode,
    )


def build_service_discovery(situation: Situation) -> cm.ServiceDiscoveryReq:
    return cm.ServiceDiscoveryReq(Header=situation.header)


def build_service_detail(situation: Situation) -> cm.ServiceDetailReq:
    return cm.ServiceDetailReq(Header=situation.header, ServiceID=int(situation.session.service))


def build_value_added_detail(situation: Situation) -> cm.ServiceDetailReq:
    return cm.ServiceDetailReq(Header=situation.header, ServiceID=situation.session.transfer.value_added_wanted[0])


def build_service_selection(situation: Situation) -> cm.ServiceSelectionReq:
    session = situation.session
    value_added = [
        cm.SelectedServiceType(ServiceID=service, ParameterSetID=parameters)
        for service, parameters in session.transfer.value_added
    ]
    return cm.ServiceSelectionReq(
        Header=situation.header,
        SelectedEnergyTransferService=cm.SelectedServiceType(
            ServiceID=int(session.service), ParameterSetID=session.parameters.id
        ),
        SelectedVASList=cm.SelectedServiceListType(SelectedService=value_added) if value_added else None,
    )


def decide_session_stop(situation: Situation) -> Session:
    return replace(situation.session, stop_sent=situation.session.ending)


def build_session_stop(situation: Situation) -> cm.SessionStopReq:
    session = situation.session
    return cm.SessionStopReq(
        Header=situation.header,
        ChargingSession=session.ending.charging_session,
        EVTerminationExplanation=session.gave_up[:160] or None,
    )


BUILDERS: dict[State, Callable[[Situation], Any]] = {
    State.APP_PROTOCOL: build_supported_app_protocol,
    State.SESSION_SETUP: build_session_setup,
    State.AUTHORIZATION_SETUP: build_authorization_setup,
    State.CERTIFICATE_INSTALLATION: build_certificate_installation,
    State.AUTHORIZATION: build_authorization,
    State.SERVICE_DISCOVERY: build_service_discovery,
    State.SERVICE_DETAIL: build_service_detail,
    State.VALUE_ADDED_DETAIL: build_value_added_detail,
    State.SERVICE_SELECTION: build_service_selection,
    State.CHARGE_PARAMETER_DISCOVERY: build_charge_parameter_discovery,
    State.SCHEDULE_EXCHANGE: build_schedule_exchange,
    State.CABLE_CHECK: build_cable_check,
    State.PRE_CHARGE: build_pre_charge,
    State.POWER_DELIVERY_START: build_power_delivery_start,
    State.CHARGE_LOOP: build_charge_loop,
    State.POWER_DELIVERY_STANDBY: build_power_delivery_standby,
    State.STANDBY: build_charge_loop,
    State.POWER_DELIVERY_RENEGOTIATION: build_power_delivery_renegotiation,
    State.SCHEDULE_RENEGOTIATION: build_schedule_exchange,
    State.POWER_DELIVERY_STOP: build_power_delivery_stop,
    State.WELDING_DETECTION: build_welding_detection,
    State.SESSION_STOP: build_session_stop,
}

DECISIONS: dict[State, Callable[[Situation], Session]] = {
    State.PRE_CHARGE: decide_pre_charge,
    State.POWER_DELIVERY_START: decide_power_delivery_start,
    State.SESSION_STOP: decide_session_stop,
}
"""What the vehicle settles just before it asks, so that the answer can be read by it."""
