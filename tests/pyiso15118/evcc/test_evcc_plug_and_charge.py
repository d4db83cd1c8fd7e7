"""Plug and Charge: authorisation by contract, certificate installation, signed meter readings."""

import datetime
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from cryptography import x509

from pyiso15118.commands import PauseCharging, StopCharging
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig, ProvisioningCredential, State
from pyiso15118.events import (
    CertificateInstallationFailed,
    CertificateInstalled,
    ChargingStopped,
    ControlMode,
    EndReason,
    MeteringConfirmationSent,
    StopRequested,
    WarningReceived,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.security import (
    ContractCredential,
    Curve,
    KeySigner,
    Pki,
    SignatureError,
    TlsProfile,
    TrustAnchors,
    check_installation_request,
    issue_contract,
    validate_chain,
    verify_parts,
)
from pyiso15118.security.chain import Role
from pyiso15118.timers import EvccTimers

Code = ct.responseCodeType
Notification = ct.evseNotificationType
PnC, EIM = cm.authorizationType.PnC, cm.authorizationType.EIM
EMAID = "USV2GC123456786"
NOW = 1_700_001_000.0
CHALLENGE = bytes(range(16))
METER = ct.MeterInfoType(MeterID="M1", ChargedEnergyReadingWh=5_000, BPT_DischargedEnergyReadingWh=70)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(not_before=datetime.datetime(2023, 11, 1, tzinfo=datetime.UTC), curve=Curve.SECP521R1)


@pytest.fixture(scope="module")
def contract(pki: Pki) -> ContractCredential:
    credential = pki.contract(EMAID)
    return ContractCredential(chain=credential.chain_der(), signer=KeySigner(credential.key), emaid=EMAID)


@pytest.fixture(scope="module")
def provisioning(pki: Pki) -> dict[str, Any]:
    """What a vehicle needs to ask for contracts."""
    credential = pki.provisioning("WMIV123456789ABCDE")
    return {
        "provisioning": ProvisioningCredential(
            chain=credential.chain_der(), private_key=credential.key, agreement_key=credential.agreement_key
        ),
        "cps_anchors": anchors(pki.v2g_root),
        "contract_anchors": anchors(pki.mo_root),
    }


@pytest.fixture
def station(evse: Any) -> Any:
    """An EVSE with both ways of authorisation."""
    station = evse()
    station.authorizations = [EIM, PnC]
    return station


def anchors(*roots: Any) -> TrustAnchors:
    return TrustAnchors.from_certificates(*(root.credential.certificate for root in roots))


def issuing(pki: Pki, station: Any, ongoing: int = 0) -> None:
    """The EVSE brings a contract, after saying Ongoing so many times."""
    station.installs = True
    contract, cps = pki.contract(EMAID), pki.cps("CPS")
    left = [ongoing]

    def answer(request: cm.CertificateInstallationReq) -> Any:
        oem = check_installation_request(
            request, oem_anchors=anchors(pki.oem_root), profile=TlsProfile.STRICT, at_unix_s=NOW
        )
        response = issue_contract(
            oem=oem,
            header=station.header(),
            contract_chain=contract.chain_der(),
            contract_private_key=contract.key,
            cps_chain=cps.chain_der(),
            cps_signer=KeySigner(cps.key),
            iv=bytes(range(12)),
            remaining=2,
        )
        left[0] -= 1
        ongoing = ct.processingType.Ongoing
        return msgspec.structs.replace(response, EVSEProcessing=ongoing) if left[0] >= 0 else response

    station._CertificateInstallationReq = answer


# ---- authorisation ------------------------------------------------------------------------------------------------


def test_a_contract_is_used_where_the_evse_takes_it(bench: Any, station: Any, pki: Pki, contract: Any) -> None:
    session = bench(station, contract=contract).run()
    (request,) = session.requests("AuthorizationReq")
    assert request.SelectedAuthorizationService is PnC
    mode = request.PnC_AReqAuthorizationMode
    assert mode.GenChallenge == CHALLENGE
    chain = validate_chain(
        mode.ContractCertificateChain.Certificate,
        mode.ContractCertificateChain.SubCertificates.Certificate,
        anchors(pki.mo_root),
        role=Role.CONTRACT,
        profile=TlsProfile.STRICT,
        at_unix_s=NOW,
    )
    assert chain.emaid == EMAID
    verify_parts(request.Header.Signature, [mode], chain.public_key, profile=TlsProfile.STRICT)
    assert session.machine.session.emaid == EMAID
    assert session.end.reason is EndReason.STOPPED


@pytest.mark.parametrize("offered", [[EIM], [EIM, PnC]])
def test_without_a_contract_or_an_evse_that_takes_it_the_driver_authorises(
    bench: Any, station: Any, contract: Any, offered: list[Any]
) -> None:
    station.authorizations = offered
    session = bench(station, contract=contract if offered == [EIM] else None).run()
    assert session.requests("AuthorizationReq")[0].SelectedAuthorizationService is EIM
    assert session.requests("AuthorizationReq")[0].Header.Signature is None
    assert session.machine.session.emaid is None
    assert session.end.reason is EndReason.STOPPED


def refusing(station: Any, code: ct.responseCodeType) -> None:
    answer = station._AuthorizationReq

    def bent(request: Any) -> Any:
        response = answer(request)
        by_contract = request.SelectedAuthorizationService is PnC
        return msgspec.structs.replace(response, ResponseCode=code) if by_contract else response

    station._AuthorizationReq = bent


@pytest.mark.parametrize(
    "code", [Code.WARNING_CertificateExpired, Code.WARNING_ChallengeInvalid, Code.WARNING_NoContractMatchingPCIDFound]
)
def test_a_refused_contract_leads_to_the_driver(bench: Any, station: Any, contract: Any, code: Any) -> None:
    refusing(station, code)
    session = bench(station, contract=contract).run()
    assert [r.SelectedAuthorizationService for r in session.requests("AuthorizationReq")] == [PnC, EIM]
    assert session.told_of(WarningReceived) == [WarningReceived(message="AuthorizationRes", response_code=code)]
    assert session.machine.session.emaid is None
    assert session.end.reason is EndReason.STOPPED


def test_a_refused_contract_ends_the_session_properly_where_nothing_else_is_taken(
    bench: Any, station: Any, contract: Any
) -> None:
    station.authorizations = [PnC]
    refusing(station, Code.WARNING_CertificateRevoked)
    session = bench(station, contract=contract).run()
    assert session.sent[-1] == "SessionStopReq"
    assert "WARNING_CertificateRevoked" in session.end.detail
    assert session.end.reason is EndReason.FAILED_BY_US


def test_an_evse_for_contracts_only_is_left_without_one(bench: Any, station: Any) -> None:
    station.authorizations = [PnC]
    session = bench(station).run()
    assert session.sent[-1] == "SessionStopReq"
    assert "external identification (EIM)" in session.end.detail
    assert "the vehicle has no contract" in session.end.detail


def test_a_contract_expiring_soon_is_good(bench: Any, station: Any, contract: Any) -> None:
    refusing(station, Code.OK_CertificateExpiresSoon)
    session = bench(station, contract=contract).run()
    assert session.machine.session.emaid == EMAID
    assert session.end.reason is EndReason.STOPPED


class Broken:
    """A signer whose key is out of reach."""

    key_type = "secp521r1"

    def sign(self, data: bytes) -> bytes:
        raise SignatureError("the token does not answer")


def test_a_contract_that_cannot_sign_leads_to_the_driver(bench: Any, station: Any, contract: Any) -> None:
    session = bench(station, contract=replace(contract, signer=Broken())).run()
    assert [r.SelectedAuthorizationService for r in session.requests("AuthorizationReq")] == [EIM]
    assert session.end.reason is EndReason.STOPPED
    station.authorizations = [PnC]
    session = bench(station, contract=replace(contract, signer=Broken())).run()
    assert "the token does not answer" in session.end.detail
    assert session.sent[-1] == "SessionStopReq"


def test_the_driver_has_the_whole_time_after_a_refused_contract(bench: Any, station: Any, contract: Any) -> None:
    refusing(station, Code.WARNING_ChallengeInvalid)
    answer, since = station._AuthorizationReq, []

    def slowly(request: Any) -> Any:
        now = session.now - 1000.0
        since.append(now)
        response = answer(request)
        limit = 50.0 if request.SelectedAuthorizationService is PnC else 100.0
        ongoing = ct.processingType.Ongoing
        return msgspec.structs.replace(response, EVSEProcessing=ongoing) if now < limit else response

    station._AuthorizationReq = slowly
    session = bench(station, contract=contract)
    session.run()
    assert session.end.reason is EndReason.STOPPED
    assert 100 <= since[-1] < 101


# ---- certificate installation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ongoing", [0, 4])
def test_a_contract_is_installed_and_used_at_once(
    bench: Any, station: Any, pki: Pki, provisioning: dict[str, Any], ongoing: int
) -> None:
    issuing(pki, station, ongoing)
    session = bench(station, prioritized_emaids=("A", "B"), **provisioning).run()
    assert session.sent_once[2:5] == ["AuthorizationSetupReq", "CertificateInstallationReq", "AuthorizationReq"]
    assert session.sent.count("CertificateInstallationReq") == ongoing + 1
    request = session.requests("CertificateInstallationReq")[0]
    assert request.PrioritizedEMAIDs.EMAID == ["A", "B"]
    assert request.MaximumContractCertificateChains == 2
    assert len(request.ListOfRootCertificateIDs.RootCertificateID) == 2
    (installed,) = session.told_of(CertificateInstalled)
    assert (installed.contract.emaid, installed.remaining) == (EMAID, 2)
    authorization = session.requests("AuthorizationReq")[0]
    assert authorization.SelectedAuthorizationService is PnC
    mode = authorization.PnC_AReqAuthorizationMode
    assert mode.ContractCertificateChain.Certificate == installed.contract.chain[0]
    key = x509.load_der_x509_certificate(installed.contract.chain[0]).public_key()
    verify_parts(authorization.Header.Signature, [mode], key, profile=TlsProfile.STRICT)
    assert session.machine.session.emaid == EMAID
    assert session.end.reason is EndReason.STOPPED


def test_a_vehicle_with_a_contract_asks_for_none(
    bench: Any, station: Any, pki: Pki, contract: Any, provisioning: dict[str, Any]
) -> None:
    issuing(pki, station)
    session = bench(station, contract=contract, **provisioning).run()
    assert "CertificateInstallationReq" not in session.sent


def test_an_evse_without_installation_is_not_asked_for_it(bench: Any, station: Any, provisioning: Any) -> None:
    session = bench(station, **provisioning).run()
    assert "CertificateInstallationReq" not in session.sent
    assert session.end.reason is EndReason.STOPPED


def tampered(response: Any) -> Any:
    key = bytearray(response.SignedInstallationData.SECP521_EncryptedPrivateKey)
    key[20] ^= 1
    data = msgspec.structs.replace(response.SignedInstallationData, SECP521_EncryptedPrivateKey=bytes(key))
    return msgspec.structs.replace(response, SignedInstallationData=data)


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (tampered, "SignedInstallationData"),
        (
            lambda m: msgspec.structs.replace(m, ResponseCode=Code.WARNING_NoCertificateAvailable),
            "WARNING_NoCertificateAvailable",
        ),
    ],
)
@pytest.mark.parametrize("offered", [[EIM, PnC], [PnC]])
def test_a_failed_installation_is_told_and_the_driver_authorises(
    bench: Any, station: Any, pki: Pki, provisioning: dict[str, Any], bend: Any, reason: str, offered: list[Any]
) -> None:
    issuing(pki, station)
    station.authorizations = offered
    station.bend("CertificateInstallationRes", bend)
    session = bench(station, **provisioning).run()
    (failed,) = session.told_of(CertificateInstallationFailed)
    assert reason in failed.reason
    if EIM in offered:
        assert session.requests("AuthorizationReq")[0].SelectedAuthorizationService is EIM
        assert session.end.reason is EndReason.STOPPED
    else:
        assert session.sent[-1] == "SessionStopReq"
        assert session.end.reason is EndReason.FAILED_BY_US


def test_a_contract_from_a_service_that_is_not_trusted_is_not_taken(
    bench: Any, station: Any, pki: Pki, provisioning: dict[str, Any]
) -> None:
    issuing(pki, station)
    session = bench(station, **(provisioning | {"cps_anchors": anchors(pki.oem_root)})).run()
    assert session.told_of(CertificateInstallationFailed)
    assert not session.told_of(CertificateInstalled)
    assert session.end.reason is EndReason.STOPPED


def test_an_installation_without_end_is_given_up_and_charging_is_not(
    bench: Any, station: Any, pki: Pki, provisioning: dict[str, Any]
) -> None:
    issuing(pki, station)
    answered = []

    def answer(request: Any) -> Any:
        if not answered:
            answered.append(issue(request))
        return msgspec.structs.replace(answered[0], EVSEProcessing=ct.processingType.Ongoing)

    issue, station._CertificateInstallationReq = station._CertificateInstallationReq, answer
    session = bench(station, timers=EvccTimers(ongoing_period_s=5.0), **provisioning).run()
    assert "in time" in session.told_of(CertificateInstallationFailed)[0].reason
    assert session.end.reason is EndReason.STOPPED


def test_a_vehicle_with_a_wrong_provisioning_key_goes_on_without_contract(
    bench: Any, station: Any, pki: Pki, provisioning: dict[str, Any]
) -> None:
    issuing(pki, station)
    wrong = replace(provisioning["provisioning"], private_key=pki.vehicle("other").key)
    session = bench(station, **(provisioning | {"provisioning": wrong})).run()
    assert "CertificateInstallationReq" not in session.sent
    assert session.told_of(CertificateInstallationFailed)
    assert session.end.reason is EndReason.STOPPED


def test_installation_has_its_own_timeout_and_may_be_stopped(
    bench: Any, station: Any, pki: Pki, provisioning: dict[str, Any]
) -> None:
    issuing(pki, station)
    session = bench(station, **provisioning).until(State.CERTIFICATE_INSTALLATION)
    assert session.machine.next_deadline() == session.now + 5.0
    session.command(StopCharging())
    session.run()
    assert session.sent_once[-2:] == ["CertificateInstallationReq", "SessionStopReq"]
    assert session.end.reason is EndReason.STOPPED


def test_provisioning_needs_something_to_verify_with(provisioning: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="cps_anchors"):
        EvccConfig(evccid="X", provisioning=provisioning["provisioning"])
    with pytest.raises(LocalProtocolError, match="8 prioritized_emaids"):
        EvccConfig(evccid="X", prioritized_emaids=("A",) * 8, **provisioning)


def test_an_ed448_provisioning_key_needs_one_to_open_contracts_with() -> None:
    pki = Pki(not_before=datetime.datetime(2023, 11, 1, tzinfo=datetime.UTC), curve=Curve.ED448)
    credential = pki.provisioning("WMIV123456789ABCDE")
    alone = ProvisioningCredential(chain=credential.chain_der(), private_key=credential.key)
    with pytest.raises(LocalProtocolError, match="agreement_key"):
        EvccConfig(evccid="X", provisioning=alone, cps_anchors=anchors(pki.v2g_root))
    EvccConfig(
        evccid="X",
        provisioning=replace(alone, agreement_key=credential.agreement_key),
        cps_anchors=anchors(pki.v2g_root),
    )


# ---- meter readings -----------------------------------------------------------------------------------------------


def metering(bench: Any, station: Any, **config: Any) -> Any:
    session = bench(station, loops=10_000, **config).looped()
    station.meter = METER
    station.notification = Notification.MeteringConfirmation
    return session


@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_meter_reading_is_signed_beside_the_loop_and_once(
    bench: Any, evse: Any, pki: Pki, contract: ContractCredential, mode: ControlMode
) -> None:
    """[V2G20-1084]."""
    station = evse(mode=mode)
    station.authorizations = [PnC]
    session = metering(bench, station, contract=contract)
    session.looped(4)
    (request,) = session.requests("MeteringConfirmationReq")
    assert session.frames.count(0x8102) == 1
    data = request.SignedMeteringData
    assert (data.SessionID, data.MeterInfo) == (bytes(range(1, 9)), METER)
    assert (data.Scheduled_SMDTControlMode is None) is (mode is ControlMode.DYNAMIC)
    chain = validate_chain(
        contract.chain[0],
        contract.chain[1:],
        anchors(pki.mo_root),
        role=Role.CONTRACT,
        profile=TlsProfile.STRICT,
        at_unix_s=NOW,
    )
    verify_parts(request.Header.Signature, [data], chain.public_key, profile=TlsProfile.STRICT)
    (confirmed,) = session.told_of(MeteringConfirmationSent)
    assert (confirmed.meter.meter_id, confirmed.meter.charged_energy_wh) == ("M1", 5_000)
    assert confirmed.meter.discharged_energy_wh == 70
    assert [e.notification for e in session.told_of(StopRequested)] == ["MeteringConfirmation"]
    assert session.loop_answers[-1].meter == confirmed.meter
    assert session.progress == ["Start"]


def test_each_time_the_evse_asks_anew_a_reading_is_signed(bench: Any, station: Any, contract: Any) -> None:
    session = metering(bench, station, contract=contract)
    session.looped(2)
    station.notification = None
    session.looped(2)
    station.notification = Notification.MeteringConfirmation
    session.looped(2)
    assert len(session.told_of(MeteringConfirmationSent)) == 2


def test_the_loop_goes_on_while_the_evse_ponders_the_signature(bench: Any, station: Any, contract: Any) -> None:
    session = metering(bench, station, contract=contract)
    station.silent = {"MeteringConfirmationReq"}
    session.looped(6)
    assert not session.told_of(MeteringConfirmationSent)
    assert not session.machine.closed
    session.feed(station._MeteringConfirmationReq(None), 0x8102)
    session.looped(15)
    assert len(session.told_of(MeteringConfirmationSent)) == 1
    assert not session.machine.closed, "nor is the receipt waited for any longer"


def test_one_receipt_at_a_time_is_under_way(bench: Any, station: Any, contract: Any) -> None:
    session = metering(bench, station, contract=contract)
    station.silent = {"MeteringConfirmationReq"}
    for asked in (Notification.MeteringConfirmation, None, Notification.MeteringConfirmation):
        station.notification = asked
        session.looped(2)
    assert session.sent.count("MeteringConfirmationReq") == 1


@pytest.mark.parametrize(("emaid", "signed"), [(EMAID, 1), ("USV2GC000000001", 0), (None, 0)])
def test_after_a_pause_only_the_contract_that_authorised_the_session_signs(
    bench: Any, station: Any, contract: Any, emaid: str | None, signed: int
) -> None:
    session = bench(station, contract=contract, loops=10_000).looped()
    session.command(PauseCharging())
    paused = replace(session.run().machine.paused, emaid=emaid)
    session = metering(bench, station, contract=contract, paused=paused, resume_without_certificate=True)
    session.looped(3)
    assert session.sent.count("MeteringConfirmationReq") == signed
    assert "AuthorizationReq" not in session.sent


def test_an_evse_that_never_takes_the_receipt_is_given_up(bench: Any, station: Any, contract: Any) -> None:
    session = metering(bench, station, contract=contract)
    station.silent = {"MeteringConfirmationReq"}
    session.run()
    assert session.end.reason is EndReason.TIMEOUT_EVCC
    assert "MeteringConfirmation" in session.end.detail
    assert ChargingStopped in session.told_kinds


def test_an_evse_that_rejects_the_receipt_ends_the_session(bench: Any, station: Any, contract: Any) -> None:
    session = metering(bench, station, contract=contract)
    station.bend(
        "MeteringConfirmationRes",
        lambda m: msgspec.structs.replace(m, ResponseCode=Code.FAILED_MeteringSignatureNotValid),
    )
    session.run()
    assert session.end.response_code == "FAILED_MeteringSignatureNotValid"
    assert session.told_kinds[-2] is ChargingStopped


def test_a_confirmation_that_was_not_asked_for_ends_the_session(bench: Any, station: Any, contract: Any) -> None:
    session = bench(station, contract=contract, loops=10_000).looped()
    session.feed(station._MeteringConfirmationReq(None), 0x8102)
    assert session.end.reason is EndReason.FAILED_BY_PEER


def test_without_a_contract_or_a_reading_nothing_is_signed(bench: Any, station: Any, contract: Any) -> None:
    """Only the key that authorised the session can sign."""
    session = metering(bench, station)
    session.looped(3)
    assert session.told_of(StopRequested)[0].notification == "MeteringConfirmation"
    assert "MeteringConfirmationReq" not in session.sent
    session = metering(bench, station, contract=contract)
    station.meter = None
    session.looped(3)
    assert "MeteringConfirmationReq" not in session.sent


def test_stopping_while_a_receipt_is_under_way_is_orderly(bench: Any, station: Any, contract: Any) -> None:
    session = metering(bench, station, contract=contract)
    station.silent = {"MeteringConfirmationReq"}
    session.looped(2)
    session.command(StopCharging())
    assert session.run().end.reason is EndReason.STOPPED


def test_a_contract_whose_key_is_gone_ends_the_session_properly(bench: Any, station: Any, contract: Any) -> None:
    session = metering(bench, station, contract=contract)
    broken = replace(contract, signer=Broken())
    session.machine.session = replace(session.machine.session, contract=broken)
    session.run()
    assert session.sent[-1] == "SessionStopReq"
    assert "the token does not answer" in session.end.detail
    assert ChargingStopped in session.told_kinds
