"""Plug and Charge at the SECC: challenge, signature, chain, the owner's word; contracts installed; receipts signed."""

import datetime
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118 import exi
from pyiso15118.commands import Authorize, InstallCertificate
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    AuthorizationRequested,
    CertificateInstallationRequested,
    MeteringConfirmed,
    MeterReading,
    SignatureVerified,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State
from pyiso15118.security import (
    Curve,
    KeySigner,
    Pki,
    SignedInfoForm,
    TlsProfile,
    TrustAnchors,
    build_installation_request,
    check_installation_request,
    issue_contract,
    sign_parts,
)
from pyiso15118.v2gtp import PayloadType, encode_frame

Code = ct.responseCodeType
PnC, EIM = cm.authorizationType.PnC, cm.authorizationType.EIM
EMAID = "USV2GC123456786"
SIGNED_IN = datetime.datetime(2023, 11, 1, tzinfo=datetime.UTC)
METER = MeterReading(meter_id="M1", charged_energy_wh=5_000, discharged_energy_wh=70)
DAY = 86_400


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(not_before=SIGNED_IN, curve=Curve.SECP256R1)


@pytest.fixture(scope="module")
def contract(pki: Pki) -> Any:
    return pki.contract(EMAID)


def anchors(*roots: Any) -> TrustAnchors:
    return TrustAnchors.from_certificates(*(root.credential.certificate for root in roots))


@pytest.fixture
def site(secc_bench: Any, pki: Pki) -> Any:
    def make(**config: Any) -> Any:
        defaults = {
            "authorization": (EIM, PnC),
            "contract_anchors": anchors(pki.mo_root),
            "certificate_installation": True,
            "oem_anchors": anchors(pki.oem_root),
            "profile": TlsProfile.COMPAT,
        }
        return secc_bench(**(defaults | config)).reach(State.AUTHORIZATION)

    return make


def shown(contract: Any, challenge: bytes = bytes(range(1, 17))) -> cm.PnC_AReqAuthorizationModeType:
    leaf, *subs = contract.chain_der()
    return cm.PnC_AReqAuthorizationModeType(
        Id="id1",
        GenChallenge=challenge,
        ContractCertificateChain=cm.ContractCertificateChainType(
            Certificate=leaf, SubCertificates=cm.SubCertificatesType(Certificate=list(subs))
        ),
    )


def by_contract(bench: Any, contract: Any, mode: Any = None, signer: Any = None, **options: Any) -> Any:
    mode = mode or shown(contract)
    signature = sign_parts([mode], signer or KeySigner(contract.key), **options)
    return cm.AuthorizationReq(
        Header=msgspec.structs.replace(bench.header(), Signature=signature),
        SelectedAuthorizationService=PnC,
        PnC_AReqAuthorizationMode=mode,
    )


# ---- setup ----


def test_the_challenge_goes_out_where_contracts_are_taken(secc_bench: Any, pki: Pki) -> None:
    config = {"authorization": (EIM, PnC), "contract_anchors": anchors(pki.mo_root), "supported_providers": ("USV2G",)}
    bench = secc_bench(**config).reach(State.AUTHORIZATION_SETUP)
    response = bench.ask(bench.request(State.AUTHORIZATION_SETUP))
    assert (response.AuthorizationServices, response.CertificateInstallationService) == ([EIM, PnC], False)
    assert response.EIM_ASResAuthorizationMode is None
    assert response.PnC_ASResAuthorizationMode.GenChallenge == bytes(range(1, 17))
    assert response.PnC_ASResAuthorizationMode.SupportedProviders.ProviderID == ["USV2G"]


def test_without_contracts_there_is_no_challenge(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.AUTHORIZATION_SETUP)
    response = bench.ask(bench.request(State.AUTHORIZATION_SETUP))
    assert response.PnC_ASResAuthorizationMode is None
    assert response.EIM_ASResAuthorizationMode is not None


# ---- authorisation ----


@pytest.mark.parametrize("form", SignedInfoForm)
def test_a_contract_authorises_once_its_owner_says_so(site: Any, contract: Any, form: SignedInfoForm) -> None:
    bench = site()
    response = bench.ask(by_contract(bench, contract, form=form))
    assert (response.ResponseCode, response.EVSEProcessing) == (Code.OK, "Finished")
    verified, asked = bench.told[-2:]
    assert verified == SignatureVerified(message="AuthorizationReq", signed_info_form=str(form))
    assert asked == AuthorizationRequested(emaid=EMAID, contract_chain=contract.chain_der())
    assert bench.machine.state is State.SERVICE_DISCOVERY


def test_a_repeated_request_is_neither_verified_nor_asked_again(site: Any, contract: Any) -> None:
    bench = site()
    bench.answers.clear()
    for _ in range(3):
        assert bench.ask(by_contract(bench, contract)).EVSEProcessing == "Ongoing"
    bench.command(Authorize(granted=True))
    assert bench.ask(by_contract(bench, contract)).EVSEProcessing == "Finished"
    assert sum(isinstance(e, AuthorizationRequested) for e in bench.told) == 1
    assert sum(isinstance(e, SignatureVerified) for e in bench.told) == 1


def test_while_a_contract_is_looked_at_no_other_way_is_taken(site: Any, pki: Pki, contract: Any) -> None:
    bench = site()
    bench.answers.clear()
    bench.ask(by_contract(bench, contract))
    for other in (bench.request(State.AUTHORIZATION), by_contract(bench, pki.contract("USV2GC999999999"))):
        assert bench.ask(other).ResponseCode is Code.WARNING_AuthorizationSelectionInvalid
    bench.command(Authorize(granted=True))
    assert bench.ask(by_contract(bench, contract)).ResponseCode is Code.OK
    assert bench.machine.session.contract.emaid == EMAID


@pytest.mark.parametrize(
    ("warning", "code"),
    [
        (None, Code.WARNING_GeneralPnCAuthorizationError),
        (Code.WARNING_eMSPUnknown, Code.WARNING_eMSPUnknown),
        (Code.WARNING_NoContractMatchingPCIDFound, Code.WARNING_NoContractMatchingPCIDFound),
    ],
)
def test_a_contract_that_is_refused_leaves_the_way_to_the_driver(
    site: Any, contract: Any, warning: Code | None, code: Code
) -> None:
    bench = site()
    bench.answers[AuthorizationRequested] = lambda e: bench.command(
        Authorize(granted=e.emaid is None, warning=warning if e.emaid else None)
    )
    response = bench.ask(by_contract(bench, contract))
    assert (response.ResponseCode, response.EVSEProcessing) == (code, "Finished")
    assert bench.machine.session.contract is None
    assert bench.ask(bench.request(State.AUTHORIZATION)).ResponseCode is Code.OK


def test_what_was_granted_before_a_contract_was_seen_does_not_count_for_it(site: Any, contract: Any) -> None:
    bench = site()
    bench.answers.clear()
    bench.command(Authorize(granted=True))
    assert bench.ask(by_contract(bench, contract)).EVSEProcessing == "Ongoing"
    assert bench.machine.state is State.AUTHORIZATION
    bench.command(Authorize(granted=True, emaid=EMAID))
    assert bench.ask(by_contract(bench, contract)).EVSEProcessing == "Finished"
    assert bench.machine.state is State.SERVICE_DISCOVERY


def test_an_answer_for_another_contract_is_refused_and_changes_nothing(site: Any, pki: Pki, contract: Any) -> None:
    bench = site()
    bench.answers.clear()
    with pytest.raises(LocalProtocolError, match="asked about is None"):
        bench.command(Authorize(granted=True, emaid=EMAID))
    bench.ask(by_contract(bench, pki.contract("USV2GC999999999")))
    with pytest.raises(LocalProtocolError, match="asked about is 'USV2GC999999999'"):
        bench.command(Authorize(granted=True, emaid=EMAID))
    assert bench.machine.state is State.AUTHORIZATION
    assert bench.machine.session.authorization is None


def test_an_owner_that_never_answers_for_a_contract_refuses_in_time(site: Any, contract: Any) -> None:
    bench = site()
    bench.answers.clear()
    start = bench.now
    while (response := bench.ask(by_contract(bench, contract))).EVSEProcessing == "Ongoing":
        assert bench.now - start < 56
    assert response.ResponseCode is Code.WARNING_GeneralPnCAuthorizationError


@pytest.mark.parametrize(
    ("config", "days", "code"),
    [
        ({"contract_anchors": TrustAnchors()}, 0, Code.WARNING_CertificateValidationError),
        ({"profile": TlsProfile.STRICT}, 0, Code.WARNING_CertificateValidationError),
        ({}, 365, Code.WARNING_CertificateExpired),
        ({}, -30, Code.WARNING_CertificateNotYetValid),
        ({"is_revoked": lambda *_: True}, 0, Code.WARNING_CertificateRevoked),
        ({"is_revoked": lambda *_: 1 / 0}, 0, Code.WARNING_CertificateValidationError),
    ],
)
def test_a_chain_that_does_not_hold_is_refused_with_its_own_warning(
    site: Any, contract: Any, config: dict[str, Any], days: int, code: Code
) -> None:
    bench = site(**config)
    bench.machine._secc_offset_s += days * DAY
    response = bench.ask(by_contract(bench, contract))
    assert (response.ResponseCode, response.EVSEProcessing) == (code, "Finished")
    assert bench.machine.state is State.AUTHORIZATION
    assert not any(isinstance(e, AuthorizationRequested | SignatureVerified) for e in bench.told)


@pytest.mark.parametrize("how", ["other challenge", "no challenge signed", "other key", "altered", "unsigned", "junk"])
def test_a_signature_that_does_not_hold_is_refused(site: Any, pki: Pki, contract: Any, how: str) -> None:
    bench = site()
    request = by_contract(bench, contract)
    code = Code.WARNING_CertificateValidationError
    if how == "other challenge":
        request, code = by_contract(bench, contract, shown(contract, bytes(16))), Code.WARNING_ChallengeInvalid
    elif how == "no challenge signed":
        mode = shown(contract, bytes(16))
        request = msgspec.structs.replace(by_contract(bench, contract, mode), PnC_AReqAuthorizationMode=shown(contract))
    elif how == "other key":
        request = by_contract(bench, contract, signer=KeySigner(pki.contract(EMAID).key))
    elif how == "altered":
        other = msgspec.structs.replace(shown(contract), Id="id2")
        request = msgspec.structs.replace(request, PnC_AReqAuthorizationMode=other)
    elif how == "unsigned":
        request = msgspec.structs.replace(request, Header=bench.header())
    else:
        chain = msgspec.structs.replace(shown(contract).ContractCertificateChain, Certificate=b"junk")
        mode = msgspec.structs.replace(shown(contract), ContractCertificateChain=chain)
        request = by_contract(bench, contract, mode)
    assert bench.ask(request).ResponseCode is code
    assert not any(isinstance(e, AuthorizationRequested) for e in bench.told)
    assert bench.ask(by_contract(bench, contract)).ResponseCode is Code.OK


def test_a_request_whose_parts_contradict_each_other_is_refused(site: Any, contract: Any) -> None:
    bench = site()
    request = msgspec.structs.replace(by_contract(bench, contract), SelectedAuthorizationService=EIM)
    assert bench.ask(request).ResponseCode is Code.WARNING_AuthorizationSelectionInvalid
    request = bench.request(State.AUTHORIZATION, SelectedAuthorizationService=PnC)
    assert bench.ask(request).ResponseCode is Code.WARNING_AuthorizationSelectionInvalid


def test_a_warning_must_be_one(site: Any) -> None:
    with pytest.raises(LocalProtocolError, match="WARNING_"):
        site().command(Authorize(granted=False, warning=Code.FAILED))


# ---- certificate installation ----


@pytest.fixture(scope="module")
def oem(pki: Pki) -> Any:
    return pki.provisioning("WMIV123456789ABCDE")


def installation(bench: Any, pki: Pki, oem: Any, **options: Any) -> Any:
    return build_installation_request(
        header=bench.header(),
        oem_chain=oem.chain_der(),
        oem_signer=KeySigner(oem.key),
        roots=anchors(pki.mo_root),
        **options,
    )


def made(pki: Pki, request: Any) -> cm.CertificateInstallationRes:
    vehicle = check_installation_request(
        request, oem_anchors=anchors(pki.oem_root), profile=TlsProfile.COMPAT, at_unix_s=1_700_001_000
    )
    strong = Pki(not_before=SIGNED_IN, curve=Curve.SECP521R1)
    contract, cps = strong.contract(EMAID), strong.cps("CPS")
    return issue_contract(
        oem=vehicle,
        header=ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=1),
        contract_chain=contract.chain_der(),
        contract_private_key=contract.key,
        cps_chain=cps.chain_der(),
        cps_signer=KeySigner(cps.key),
        iv=bytes(12),
        remaining=2,
    )


@pytest.fixture(scope="module")
def strong_oem() -> tuple[Pki, Any]:
    pki = Pki(not_before=SIGNED_IN, curve=Curve.SECP521R1)
    return pki, pki.provisioning("WMIV123456789ABCDE")


def test_a_contract_is_brought_as_it_was_signed(site: Any, strong_oem: Any) -> None:
    pki, oem = strong_oem
    bench = site(oem_anchors=anchors(pki.oem_root))
    request = installation(bench, pki, oem)
    response = bench.ask(request)
    assert (response.ResponseCode, response.EVSEProcessing) == (Code.OK, "Ongoing")
    asked = bench.told[-1]
    assert isinstance(asked, CertificateInstallationRequested)
    assert asked.payload == exi.encode(request)
    assert asked.request == request
    answer = made(pki, request)
    bench.command(InstallCertificate(response=answer))
    response = bench.ask(request)
    assert response.Header.TimeStamp == int((bench.now + 1_700_000_000) * 1_000_000)
    assert response == msgspec.structs.replace(
        answer,
        Header=msgspec.structs.replace(
            answer.Header, SessionID=bytes(range(1, 9)), TimeStamp=response.Header.TimeStamp
        ),
    )
    assert bench.machine.state is State.AUTHORIZATION
    assert sum(isinstance(e, CertificateInstallationRequested) for e in bench.told) == 1


def test_an_installation_that_is_refused_lets_the_session_go_on(site: Any, pki: Pki, oem: Any) -> None:
    bench = site()
    bench.answers[CertificateInstallationRequested] = lambda _: bench.command(InstallCertificate(response=None))
    response = bench.ask(installation(bench, pki, oem))
    assert (response.ResponseCode, response.EVSEProcessing) == (Code.WARNING_NoCertificateAvailable, "Finished")
    assert bench.ask(bench.request(State.AUTHORIZATION)).ResponseCode is Code.OK


def test_an_installation_nobody_answers_ends_in_time(site: Any, pki: Pki, oem: Any) -> None:
    bench = site()
    start = bench.now
    while (response := bench.ask(installation(bench, pki, oem))).EVSEProcessing == "Ongoing":
        assert bench.now - start < 56
    assert response.ResponseCode is Code.WARNING_NoCertificateAvailable
    assert bench.now - start >= 55


@pytest.mark.parametrize(
    ("config", "days", "code"),
    [
        ({"certificate_installation": False}, 0, Code.WARNING_NoCertificateAvailable),
        ({"oem_anchors": TrustAnchors()}, 0, Code.WARNING_CertificateValidationError),
        ({}, 365, Code.WARNING_CertificateExpired),
        ({}, -30, Code.WARNING_CertificateNotYetValid),
        ({"is_revoked": lambda *_: True}, 0, Code.WARNING_CertificateRevoked),
    ],
)
def test_a_provisioning_chain_that_does_not_hold_is_refused(
    site: Any, pki: Pki, oem: Any, config: dict[str, Any], days: int, code: Code
) -> None:
    bench = site(**config)
    bench.machine._secc_offset_s += days * DAY
    assert bench.ask(installation(bench, pki, oem)).ResponseCode is code
    assert not any(isinstance(e, CertificateInstallationRequested) for e in bench.told)


def test_a_provisioning_signature_that_does_not_hold_is_refused(site: Any, pki: Pki, oem: Any) -> None:
    bench = site()
    request = msgspec.structs.replace(installation(bench, pki, oem), Header=bench.header())
    assert bench.ask(request).ResponseCode is Code.WARNING_CertificateValidationError


def test_answers_that_are_none_are_refused(site: Any, strong_oem: Any) -> None:
    pki, oem = strong_oem
    bench = site(oem_anchors=anchors(pki.oem_root))
    with pytest.raises(LocalProtocolError, match="before CertificateInstallationRequested"):
        bench.command(InstallCertificate(response=None))
    request = installation(bench, pki, oem)
    bench.ask(request)
    good = made(pki, request)
    wrong: list[Any] = [
        request,
        msgspec.structs.replace(good, ResponseCode=Code.FAILED),
        msgspec.structs.replace(good, EVSEProcessing=ct.processingType.Ongoing),
        msgspec.structs.replace(good, Header=bench.header()),
        msgspec.structs.replace(good, RemainingContractCertificateChains=256),
    ]
    for response in wrong:
        with pytest.raises(LocalProtocolError, match="InstallCertificate"):
            bench.command(InstallCertificate(response=response))
    with pytest.raises(LocalProtocolError, match="WARNING_"):
        bench.command(InstallCertificate(response=None, warning=Code.OK))


# ---- signed meter readings ----


def charging(site: Any, contract: Any) -> Any:
    bench = site()
    bench.ask(by_contract(bench, contract))
    bench.reach(State.CHARGE_LOOP).update(meter=METER)
    return bench


def confirmation(bench: Any, info: Any, signer: Any, **changes: Any) -> Any:
    fields = {
        "Id": "id1",
        "SessionID": bench.machine.session.session_id,
        "MeterInfo": info,
        "Dynamic_SMDTControlMode": cm.Dynamic_SMDTControlModeType(),
    }
    data = cm.SignedMeteringDataType(**(fields | changes))
    header = msgspec.structs.replace(bench.header(), Signature=sign_parts([data], signer))
    return cm.MeteringConfirmationReq(Header=header, SignedMeteringData=data)


def test_a_reading_is_shown_with_the_wish_to_have_it_confirmed(site: Any, contract: Any) -> None:
    bench = charging(site, contract)
    bench.ask(bench.request(State.CHARGE_LOOP))
    assert bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo is None
    bench.update(notification=ct.evseNotificationType.MeteringConfirmation)
    info = bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo
    assert (info.MeterID, info.ChargedEnergyReadingWh, info.BPT_DischargedEnergyReadingWh) == ("M1", 5_000, 70)
    assert info.MeterTimestamp == 1_700_001_000


def test_a_signed_reading_is_taken_as_a_receipt(site: Any, contract: Any) -> None:
    bench = charging(site, contract)
    info = bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo
    request = confirmation(bench, info, KeySigner(contract.key))
    assert bench.ask(request).ResponseCode is Code.OK
    verified, confirmed = bench.told[-2:]
    assert verified.message == "MeteringConfirmationReq"
    assert confirmed == MeteringConfirmed(charged_energy_wh=5_000, receipt=request)
    assert bench.machine.state is State.CHARGE_LOOP


def test_a_signed_reading_may_come_beside_the_loop(site: Any, contract: Any) -> None:
    bench = charging(site, contract)
    info = bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo
    deadline = bench.machine.next_deadline()
    bench.now += 0.1
    payload = exi.encode(confirmation(bench, info, KeySigner(contract.key)))
    bench.machine.receive_data(encode_frame(PayloadType.METERING_CONFIRMATION, payload), bench.now)
    assert bench.machine.data_to_send()[2:4] == (0x8102).to_bytes(2)
    bench._take_events()
    assert isinstance(bench.told[-1], MeteringConfirmed)
    assert bench.machine.next_deadline() == deadline


@pytest.mark.parametrize("how", ["other session", "other reading", "older reading", "other key", "unsigned"])
def test_a_reading_that_was_not_signed_as_shown_is_no_receipt(site: Any, pki: Pki, contract: Any, how: str) -> None:
    bench = charging(site, contract)
    info = bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo
    signer = KeySigner(pki.contract(EMAID).key if how == "other key" else contract.key)
    changes: dict[str, Any] = {"SessionID": bytes(8)} if how == "other session" else {}
    if how == "other reading":
        info = msgspec.structs.replace(info, ChargedEnergyReadingWh=1)
    if how == "older reading":
        bench.update(meter=replace(METER, charged_energy_wh=5_001))
        bench.ask(bench.request(State.CHARGE_LOOP, MeterInfoRequested=True))
    request = confirmation(bench, info, signer, **changes)
    if how == "unsigned":
        request = msgspec.structs.replace(request, Header=bench.header())
    assert bench.ask(request).ResponseCode is Code.FAILED_MeteringSignatureNotValid
    assert not any(isinstance(e, MeteringConfirmed) for e in bench.told)


def test_without_a_contract_nobody_can_sign_a_reading(secc_bench: Any, contract: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(meter=METER)
    info = bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo
    request = confirmation(bench, info, KeySigner(contract.key))
    assert bench.ask(request).ResponseCode is Code.FAILED_MeteringSignatureNotValid
    assert "without contract" in bench.end.detail


def test_a_resumed_session_still_knows_the_contract_that_signs(site: Any, secc_bench: Any, contract: Any) -> None:
    bench = charging(site, contract)
    stop = bench.request(State.SESSION_STOP, ChargingSession=cm.chargingSessionType.Pause)
    bench.ask(stop)
    paused = bench.machine.paused
    assert paused.emaid == EMAID
    bench = secc_bench(paused=paused, resume_without_certificate=True, profile=TlsProfile.COMPAT)
    bench.reach(State.SESSION_SETUP)
    bench.ask(bench.request(State.SESSION_SETUP, Header=bench.header(paused.session_id)))
    bench.reach(State.CHARGE_LOOP).update(meter=METER)
    info = bench.ask(bench.request(State.CHARGE_LOOP)).MeterInfo
    assert bench.ask(confirmation(bench, info, KeySigner(contract.key))).ResponseCode is Code.OK
