"""Who pays: external identification (EIM) or Plug and Charge (PnC), and contracts brought into the vehicle."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from msgspec.structs import replace

from pyiso15118.events import AuthorizationRequested, CertificateInstallationRequested, Event, SignatureVerified
from pyiso15118.messages import common_messages as cm
from pyiso15118.secc.answers import Code, Processing
from pyiso15118.secc.refusals import refusal
from pyiso15118.secc.session import Contract, Hold, Reply, Response, Session, Situation
from pyiso15118.secc.transitions import Outcome
from pyiso15118.security.chain import (
    ChainError,
    ChainProblem,
    IsRevoked,
    Role,
    TrustAnchors,
    load_certificate,
    public_key_of,
    validate_chain,
)
from pyiso15118.security.provisioning import check_installation_request
from pyiso15118.security.signature import SignatureError, SignedInfoForm, verify_parts

CHALLENGE_BYTES = 16

_PNC = cm.authorizationType.PnC
_CHAIN_CODES = {
    ChainProblem.EXPIRED: Code.WARNING_CertificateExpired,
    ChainProblem.NOT_YET_VALID: Code.WARNING_CertificateNotYetValid,
    ChainProblem.REVOKED: Code.WARNING_CertificateRevoked,
    ChainProblem.NO_ANCHOR: Code.WARNING_CertificateValidationError,
    ChainProblem.INVALID: Code.WARNING_CertificateValidationError,
}


def handle_authorization_setup(request: cm.AuthorizationSetupReq, situation: Situation) -> Reply:
    """What is offered. With Plug and Charge among it, a challenge of 16 random bytes that the vehicle is to sign."""
    config, session = situation.config, situation.session
    eim: cm.EIM_ASResAuthorizationModeType | None = cm.EIM_ASResAuthorizationModeType()
    pnc: cm.PnC_ASResAuthorizationModeType | None = None
    if _PNC in config.authorization:
        session = replace(session, challenge=situation.random(CHALLENGE_BYTES))
        providers = list(config.supported_providers)
        eim, pnc = (
            None,
            cm.PnC_ASResAuthorizationModeType(
                GenChallenge=session.challenge,
                SupportedProviders=cm.SupportedProvidersListType(ProviderID=providers) if providers else None,
            ),
        )
    return Reply(
        response=cm.AuthorizationSetupRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            AuthorizationServices=list(config.authorization),
            CertificateInstallationService=config.certificate_installation,
            EIM_ASResAuthorizationMode=eim,
            PnC_ASResAuthorizationMode=pnc,
        ),
        session=session,
        outcome=Outcome.DONE,
    )


def handle_authorization(request: cm.AuthorizationReq, situation: Situation) -> Reply | Hold:
    """Ongoing until the owner answers. Every refusal is a warning, and the vehicle may ask again ([V2G20-2230]).

    WARNING_AuthorizationSelectionInvalid for what is not offered, and for another contract or mode while the owner
    thinks about the first.
    """
    session, config = situation.session, situation.config
    shown = request.PnC_AReqAuthorizationMode
    by_contract = request.SelectedAuthorizationService is _PNC
    if request.SelectedAuthorizationService not in config.authorization or by_contract is not (shown is not None):
        return _authorization(Code.WARNING_AuthorizationSelectionInvalid, Outcome.AGAIN, situation)
    events: tuple[Event, ...] = ()
    since = session.authorization_since
    if since is not None:
        if shown != (session.contract.shown if session.contract else None):
            return _authorization(Code.WARNING_AuthorizationSelectionInvalid, Outcome.AGAIN, situation)
    else:
        contract: Contract | None = None
        chain: tuple[bytes, ...] = ()
        if shown is not None:
            checked = check_contract(request, shown, situation)
            if isinstance(checked, Code):
                return _authorization(checked, Outcome.AGAIN, situation)
            contract, form = checked
            chain = (
                shown.ContractCertificateChain.Certificate,
                *shown.ContractCertificateChain.SubCertificates.Certificate,
            )
            events = (SignatureVerified(message="AuthorizationReq", signed_info_form=form),)
            # What was said before this contract was seen was not said of it.
            session = replace(session, authorization=None)
        since = situation.now
        session = replace(session, authorization_since=since, contract=contract)
        if session.authorization is None:
            emaid = contract.emaid if contract else None
            events = (*events, AuthorizationRequested(emaid=emaid, contract_chain=chain))
    situation = replace(situation, session=session)
    answer = session.authorization
    if answer is not None and answer.granted:
        return _authorization(Code.OK, Outcome.DONE, situation, events)
    if answer is not None or situation.now - since >= config.timers.ongoing_s:
        code = Code.WARNING_EIMAuthorizationFailure
        if by_contract:
            warning = answer.warning if answer is not None else None
            code = warning or Code.WARNING_GeneralPnCAuthorizationError
        forgotten = replace(session, authorization=None, authorization_since=None, contract=None)
        return _authorization(code, Outcome.AGAIN, replace(situation, session=forgotten), events)
    if not situation.held_out:
        return Hold(for_s=config.response_hold_s, session=session, events=events)
    return _authorization(Code.OK, Outcome.AGAIN, situation, events, Processing.Ongoing)


def check_contract(
    request: cm.AuthorizationReq, shown: cm.PnC_AReqAuthorizationModeType, situation: Situation
) -> tuple[Contract, SignedInfoForm] | Code:
    """The contract shown, or the warning that refuses it: challenge first, then signature, then chain.

    A signature that does not hold makes the certificate invalid, which is WARNING_CertificateValidationError: so
    [V2G20-2564] is read by EVerest's libiso15118, while EcoG's SECC ends the session with FAILED_SignatureError.
    """
    config = situation.config
    if shown.GenChallenge != situation.session.challenge:
        return Code.WARNING_ChallengeInvalid
    leaf = shown.ContractCertificateChain.Certificate
    try:
        key = public_key_of(load_certificate(leaf, "contract certificate"))
        form = verify_parts(request.Header.Signature, [shown], key, profile=config.profile)
        chain = validate_chain(
            leaf,
            shown.ContractCertificateChain.SubCertificates.Certificate,
            config.contract_anchors or TrustAnchors(),
            role=Role.CONTRACT,
            profile=config.profile,
            at_unix_s=situation.unix_s,
            is_revoked=_careful(config.is_revoked),
        )
    except ChainError as error:
        return _CHAIN_CODES[error.problem]
    except SignatureError:
        return Code.WARNING_CertificateValidationError
    return Contract(emaid=chain.emaid, certificate=leaf, shown=shown), form


def _careful(is_revoked: IsRevoked | None) -> IsRevoked | None:
    """An owner's check that cannot say: the chain is not trusted, and the session does not suffer."""
    if is_revoked is None:
        return None
    asked = is_revoked

    def ask(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        try:
            return asked(certificate, issuer)
        except Exception as error:
            raise ChainError(ChainProblem.INVALID, f"revocation could not be looked up: {error}") from error

    return ask


def _authorization(
    code: Code,
    outcome: Outcome,
    situation: Situation,
    events: tuple[Event, ...] = (),
    processing: Processing = Processing.Finished,
) -> Reply:
    response = cm.AuthorizationRes(Header=situation.header, ResponseCode=code, EVSEProcessing=processing)
    return Reply(response=response, session=situation.session, outcome=outcome, events=events)


def handle_certificate_installation(request: cm.CertificateInstallationReq, situation: Situation) -> Reply | Hold:
    """Ongoing until the owner brings what the provisioning service made. Every refusal is a warning: the vehicle goes
    on with another way to authorise.

    The provisioning chain is checked before the signature ([V2G20-1548]).
    """
    session, config = situation.session, situation.config
    events: tuple[Event, ...] = ()
    if not config.certificate_installation:
        return _not_installed(request, Code.WARNING_NoCertificateAvailable, session, situation)
    since = session.installation_since
    if since is None or request.OEMProvisioningCertificateChain != session.installation_for:
        checked = _check_provisioning(request, situation)
        if checked is not None:
            return _not_installed(request, checked, session, situation)
        since = situation.now
        session = replace(
            session,
            installation_since=since,
            installation_for=request.OEMProvisioningCertificateChain,
            installation=None,
        )
        events = (CertificateInstallationRequested(request=request, payload=situation.payload),)
    answer = session.installation
    over = answer is not None or situation.now - since >= config.timers.ongoing_s
    done = replace(session, installation_since=None, installation_for=None, installation=None)
    if answer is not None and answer.response is not None:
        made = answer.response
        response = replace(made, Header=replace(situation.header, Signature=made.Header.Signature))
        return Reply(response=response, session=done, outcome=Outcome.DONE, events=events)
    if over:
        code = answer.warning if answer is not None else Code.WARNING_NoCertificateAvailable
        return _not_installed(request, code, done, situation, events)
    if not situation.held_out:
        return Hold(for_s=config.response_hold_s, session=session, events=events)
    return _not_installed(request, Code.OK, session, situation, events, Processing.Ongoing)


def _check_provisioning(request: cm.CertificateInstallationReq, situation: Situation) -> Code | None:
    config = situation.config
    try:
        check_installation_request(
            request,
            oem_anchors=config.oem_anchors or TrustAnchors(),
            profile=config.profile,
            at_unix_s=situation.unix_s,
            is_revoked=_careful(config.is_revoked),
        )
    except ChainError as error:
        return _CHAIN_CODES[error.problem]
    except SignatureError:
        return Code.WARNING_CertificateValidationError
    return None


def _not_installed(
    request: cm.CertificateInstallationReq,
    code: Code,
    session: Session,
    situation: Situation,
    events: tuple[Event, ...] = (),
    processing: Processing = Processing.Finished,
) -> Reply:
    empty: Any = refusal(request, code, situation.header, situation.config.evse_id)
    response: Response = replace(empty, EVSEProcessing=processing)
    ongoing = processing is Processing.Ongoing
    outcome = Outcome.AGAIN if ongoing else Outcome.DONE
    return Reply(response=response, session=session, outcome=outcome, events=events)
