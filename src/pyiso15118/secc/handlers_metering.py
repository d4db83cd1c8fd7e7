"""The EVSE's meter in the charge loop, and the vehicle's signature under a reading."""

from __future__ import annotations

from typing import Any

from pyiso15118.commands import EvseState
from pyiso15118.events import MeteringConfirmed, MeterReading, SignatureVerified
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc.answers import Code, failed
from pyiso15118.secc.session import Reply, Situation
from pyiso15118.secc.transitions import Outcome
from pyiso15118.security.chain import ChainError, load_certificate, public_key_of
from pyiso15118.security.signature import SignatureError, verify_parts

_CONFIRM = ct.evseNotificationType.MeteringConfirmation


def shown_reading(request: ct.ChargeLoopReqType, evse: EvseState, situation: Situation) -> ct.MeterInfoType | None:
    """The meter where it is to be shown: on request ([V2G20-1082]), in the first loop response ([V2G20-1833]), and
    where it is to be confirmed."""
    if evse.meter is None:
        return None
    if request.MeterInfoRequested or situation.session.meter_info is None or evse.notification is _CONFIRM:
        return meter_info(evse.meter, situation)
    return None


def meter_info(reading: MeterReading, situation: Situation) -> ct.MeterInfoType:
    """A reading as messages carry it."""
    at_unix_s = situation.unix_s if reading.at_unix_s is None else reading.at_unix_s
    return ct.MeterInfoType(
        MeterID=reading.meter_id,
        ChargedEnergyReadingWh=reading.charged_energy_wh,
        BPT_DischargedEnergyReadingWh=reading.discharged_energy_wh
        if situation.config.meter_discharge_reading
        else None,
        MeterSignature=reading.signature,
        MeterStatus=reading.status,
        MeterTimestamp=at_unix_s,
    )


def handle_metering_confirmation(request: cm.MeteringConfirmationReq, situation: Situation) -> Reply:
    """OK for the reading shown last, of this session, signed with the key of the contract that pays.

    FAILED_MeteringSignatureNotValid for anything else, and without a contract: there is no key that could have signed.
    """
    session, data = situation.session, request.SignedMeteringData
    problem = None
    if data.SessionID != session.session_id:
        problem = f"a meter reading of session {data.SessionID.hex().upper()} was confirmed, which is not this one"
    elif session.meter_info is None or data.MeterInfo != session.meter_info:
        problem = "a meter reading was confirmed that is not the one shown last"
    if problem is not None:
        return failed(request, Code.FAILED_MeteringSignatureNotValid, problem, situation)
    form = _verified(request, situation)
    if not isinstance(form, SignatureVerified):
        return failed(request, Code.FAILED_MeteringSignatureNotValid, form, situation)
    return Reply(
        response=cm.MeteringConfirmationRes(Header=situation.header, ResponseCode=Code.OK),
        session=session,
        outcome=Outcome.DONE,
        events=(
            form,
            MeteringConfirmed(charged_energy_wh=data.MeterInfo.ChargedEnergyReadingWh, receipt=request),
        ),
    )


def _verified(request: cm.MeteringConfirmationReq, situation: Situation) -> SignatureVerified | str:
    contract = situation.session.contract
    if contract is None:
        return "a meter reading was signed in a session without contract"
    part: Any = request.SignedMeteringData
    try:
        key = public_key_of(load_certificate(contract.certificate, "contract certificate"))
        form = verify_parts(request.Header.Signature, [part], key, profile=situation.config.profile)
    except (ChainError, SignatureError) as error:
        return f"the signature under a meter reading does not hold: {error}"
    return SignatureVerified(message="MeteringConfirmationReq", signed_info_form=form)
