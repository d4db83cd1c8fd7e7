"""Responses by which a vehicle is let in: authorisation, by contract or otherwise, and certificate installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pyiso15118.errors import Iso15118Error, LocalProtocolError
from pyiso15118.evcc.session import Session, Situation, Step
from pyiso15118.evcc.steps import again, give_up
from pyiso15118.evcc.transitions import Outcome, State
from pyiso15118.events import CertificateInstallationFailed, CertificateInstalled
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.security.provisioning import ContractCredential, open_contract

Processing = ct.processingType


def handle_authorization_setup(response: cm.AuthorizationSetupRes, situation: Situation) -> Step:
    """A vehicle without contract asks for one first, where both sides can."""
    config, offered = situation.config, response.AuthorizationServices
    mode = response.PnC_ASResAuthorizationMode
    session = replace(
        situation.session,
        may_use_eim=cm.authorizationType.EIM in offered,
        challenge=mode.GenChallenge if mode is not None and cm.authorizationType.PnC in offered else None,
    )
    can_install = config.provisioning is not None and response.CertificateInstallationService
    if session.contract is None and can_install:
        return Step(outcome=Outcome.INSTALL, session=session)
    return _to_authorization(session)


def handle_certificate_installation(response: cm.CertificateInstallationRes, situation: Situation) -> Step:
    if response.EVSEProcessing is not Processing.Finished:
        if situation.series_s >= situation.config.timers.ongoing_s:
            return installation_failed(situation.session, "the EVSE did not bring a contract in time")
        return again(situation)
    if response.ResponseCode.startswith("WARNING"):
        return installation_failed(situation.session, f"the EVSE answered {response.ResponseCode}")
    try:
        contract = _opened(response, situation)
    except Iso15118Error as error:
        return installation_failed(situation.session, str(error))
    event = CertificateInstalled(contract=contract, remaining=response.RemainingContractCertificateChains)
    step = _to_authorization(replace(situation.session, contract=contract))
    return replace(step, events=(event, *step.events))


def handle_authorization(response: cm.AuthorizationRes, situation: Situation) -> Step:
    """A contract that is refused is no reason to leave, where the EVSE takes external identification, too."""
    session = situation.session
    if response.EVSEProcessing is not Processing.Finished:
        return again(situation)
    by_contract = session.challenge is not None and session.contract is not None
    if response.ResponseCode.startswith("WARNING"):
        if by_contract:
            return contract_refused(session, response.ResponseCode)
        return give_up(session, f"authorisation was refused: {response.ResponseCode}")
    emaid = session.contract.emaid if by_contract and session.contract is not None else None
    return Step(outcome=Outcome.DONE, session=replace(session, emaid=emaid))


def installation_failed(session: Session, reason: str) -> Step:
    """On without a new contract."""
    step = _to_authorization(session)
    return replace(step, events=(CertificateInstallationFailed(reason=reason), *step.events))


def contract_refused(session: Session, reason: str) -> Step:
    """On by external identification, or not at all."""
    if not session.may_use_eim:
        return give_up(session, f"authorisation by contract was refused: {reason}")
    return Step(outcome=Outcome.AGAIN, session=replace(session, challenge=None), afresh=True)


RESCUES: dict[State, Callable[[Session, str], Step]] = {
    State.CERTIFICATE_INSTALLATION: installation_failed,
    State.AUTHORIZATION: contract_refused,
}
"""Where a session goes on although its request cannot be built."""


def _to_authorization(session: Session) -> Step:
    if session.may_use_eim or (session.challenge is not None and session.contract is not None):
        return Step(outcome=Outcome.DONE, session=session)
    lacks = "the vehicle has no contract" if session.challenge is not None else "no challenge for a contract either"
    return give_up(session, f"the EVSE does not offer external identification (EIM), and {lacks}")


def _opened(response: cm.CertificateInstallationRes, situation: Situation) -> ContractCredential:
    config = situation.config
    if config.provisioning is None or config.cps_anchors is None:
        raise LocalProtocolError("there is no credential to open a contract with")
    opening_key = config.provisioning.opening_key
    if opening_key is None:
        raise LocalProtocolError("the provisioning credential has no key to open a contract with")
    return open_contract(
        response,
        oem_certificate=config.provisioning.chain[0],
        oem_private_key=opening_key,
        cps_anchors=config.cps_anchors,
        mo_anchors=config.contract_anchors,
        profile=config.profile,
        at_unix_s=situation.unix_s,
    )
