"""Plug and Charge, ours against ours: a contract, its installation, and signed meter readings."""

import datetime
from typing import Any

import pytest
from cryptography import x509

from pyiso15118.commands import Authorize, InstallCertificate, StopCharging
from pyiso15118.evcc import ProvisioningCredential
from pyiso15118.events import (
    AuthorizationRequested,
    CertificateInstallationFailed,
    CertificateInstallationRequested,
    CertificateInstalled,
    ControlMode,
    EndReason,
    EnergyService,
    MeteringConfirmationSent,
    MeteringConfirmed,
    MeterReading,
    SignatureVerified,
    WarningReceived,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.security import (
    ContractCredential,
    Curve,
    KeySigner,
    Pki,
    TlsProfile,
    TrustAnchors,
    check_installation_request,
    issue_contract,
    verify_parts,
)
from pyiso15118.security.signature import SignedInfoForm

PnC, EIM = cm.authorizationType.PnC, cm.authorizationType.EIM
EMAID = "USV2GC123456786"
NOW = 1_700_001_000.0
Code = ct.responseCodeType
METER = MeterReading(meter_id="M1", charged_energy_wh=5_000, discharged_energy_wh=70)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(not_before=datetime.datetime(2023, 11, 1, tzinfo=datetime.UTC), curve=Curve.SECP521R1)


@pytest.fixture(scope="module")
def contract(pki: Pki) -> ContractCredential:
    credential = pki.contract(EMAID)
    return ContractCredential(chain=credential.chain_der(), signer=KeySigner(credential.key), emaid=EMAID)


@pytest.fixture
def site(station: Any, pki: Pki) -> Any:
    """An EVSE that takes and brings contracts."""
    return station(
        authorization=(EIM, PnC),
        contract_anchors=anchors(pki.mo_root),
        certificate_installation=True,
        oem_anchors=anchors(pki.oem_root),
    )


@pytest.fixture(scope="module")
def provisioning(pki: Pki) -> dict[str, Any]:
    credential = pki.provisioning("WMIV123456789ABCDE")
    return {
        "provisioning": ProvisioningCredential(
            chain=credential.chain_der(), private_key=credential.key, agreement_key=credential.agreement_key
        ),
        "cps_anchors": anchors(pki.v2g_root),
        "contract_anchors": anchors(pki.mo_root),
    }


def anchors(*roots: Any) -> TrustAnchors:
    return TrustAnchors.from_certificates(*(root.credential.certificate for root in roots))


def issued(pki: Pki, request: cm.CertificateInstallationReq) -> cm.CertificateInstallationRes:
    """What a provisioning service makes of a request."""
    oem = check_installation_request(
        request, oem_anchors=anchors(pki.oem_root), profile=TlsProfile.STRICT, at_unix_s=NOW
    )
    contract, cps = pki.contract(EMAID), pki.cps("CPS")
    return issue_contract(
        oem=oem,
        header=ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=1),
        contract_chain=contract.chain_der(),
        contract_private_key=contract.key,
        cps_chain=cps.chain_der(),
        cps_signer=KeySigner(cps.key),
        iv=bytes(range(12)),
        remaining=1,
    )


@pytest.mark.parametrize("form", list(SignedInfoForm))
def test_a_contract_authorises(pair: Any, site: Any, contract: Any, form: SignedInfoForm) -> None:
    session = pair(site, contract=contract, signed_info_form=form).run()
    session.check_ended_well()
    (asked,) = session.told_of(AuthorizationRequested)
    assert asked.emaid == EMAID
    verified = session.told_of(SignatureVerified)[0]
    assert (verified.message, verified.signed_info_form) == ("AuthorizationReq", form)
    assert session.end.reason is EndReason.STOPPED


def test_a_contract_that_nobody_bills_leads_to_the_driver(pair: Any, site: Any, contract: Any) -> None:
    site.answers[AuthorizationRequested] = lambda e: site.command(
        Authorize(granted=e.emaid is None, warning=None if e.emaid is None else Code.WARNING_eMSPUnknown)
    )
    session = pair(site, contract=contract).run()
    session.check_ended_well()
    assert [e.emaid for e in session.told_of(AuthorizationRequested)] == [EMAID, None]
    assert session.told_of(WarningReceived)[0].response_code == "WARNING_eMSPUnknown"
    assert session.end.reason is EndReason.STOPPED


def test_a_contract_is_installed_and_authorises_at_once(
    pair: Any, site: Any, pki: Pki, provisioning: dict[str, Any]
) -> None:
    site.answers[CertificateInstallationRequested] = lambda e: site.command(
        InstallCertificate(response=issued(pki, e.request))
    )
    session = pair(site, **provisioning).run()
    session.check_ended_well()
    (installed,) = session.told_of(CertificateInstalled)
    assert (installed.contract.emaid, installed.remaining) == (EMAID, 1)
    (asked,) = session.told_of(AuthorizationRequested)
    assert (asked.emaid, asked.contract_chain[0]) == (EMAID, installed.contract.chain[0])
    assert session.end.reason is EndReason.STOPPED


def test_without_a_contract_to_install_the_driver_authorises(
    pair: Any, site: Any, provisioning: dict[str, Any]
) -> None:
    site.answers[CertificateInstallationRequested] = lambda _: site.command(InstallCertificate(response=None))
    session = pair(site, **provisioning).run()
    session.check_ended_well()
    assert "WARNING_NoCertificateAvailable" in session.told_of(CertificateInstallationFailed)[0].reason
    assert session.told_of(AuthorizationRequested)[0].emaid is None
    assert session.end.reason is EndReason.STOPPED


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_meter_reading_is_signed_and_kept(
    pair: Any, site: Any, pki: Pki, contract: ContractCredential, service: Any, mode: Any
) -> None:
    session = pair(site, contract=contract, services=(service,), control_modes=(mode,), loops=10_000).looped(2)
    site.update(meter=METER, notification=ct.evseNotificationType.MeteringConfirmation)
    session.run(stop=lambda: bool(session.told_of(MeteringConfirmationSent)), max_s=30.0)
    site.update(notification=None)
    session.looped(5)
    (confirmed,) = session.told_of(MeteringConfirmed)
    assert confirmed.charged_energy_wh == 5_000
    data = confirmed.receipt.SignedMeteringData
    assert (data.Scheduled_SMDTControlMode is not None) is (mode is ControlMode.SCHEDULED)
    key = session.told_of(AuthorizationRequested)[0].contract_chain[0]
    public_key = x509.load_der_x509_certificate(key).public_key()
    verify_parts(confirmed.receipt.Header.Signature, [data], public_key, profile=TlsProfile.STRICT)
    assert session.told_of(MeteringConfirmationSent)[0].meter.charged_energy_wh == 5_000
    session.command(StopCharging())
    session.run()
    session.check_ended_well()
    assert session.end.reason is EndReason.STOPPED
