"""A vehicle asks for a contract, gets it over the wire, and pays with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118 import exi
from pyiso15118.messages import Namespace
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.security import (
    ChainError,
    ChainProblem,
    ContractCredential,
    Credential,
    KeySigner,
    Pki,
    ProvisioningError,
    Role,
    SignatureError,
    SignedInfoForm,
    TlsProfile,
    TrustAnchors,
    build_installation_request,
    check_installation_request,
    issue_contract,
    open_contract,
    root_ids,
    sign_parts,
    validate_chain,
    verify_parts,
)
from support.examples import examples

HEADER = ct.MessageHeaderType(SessionID=bytes(range(8)), TimeStamp=1_780_000_000)
EMAID = "USV2GC123456786"
PCID = "WMIV123456789ABCDE"
IV = bytes(range(12))
replace = msgspec.structs.replace
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def over_the_wire(message: Any) -> Any:
    return exi.decode(Namespace.COMMON_MESSAGES, exi.encode(message))


@dataclass(frozen=True)
class Parties:
    """Vehicle, issuer and provisioning service of one PKI."""

    pki: Pki
    now: float
    oem: Credential
    contract: Credential
    cps: Credential
    profile: TlsProfile = TlsProfile.STRICT

    def request(self, **changes: Any) -> cm.CertificateInstallationReq:
        options = {
            "header": HEADER,
            "oem_chain": self.oem.chain_der(),
            "oem_signer": KeySigner(self.oem.key),
            "roots": anchors(self.pki.v2g_root, self.pki.mo_root),
        }
        return over_the_wire(build_installation_request(**(options | changes)))  # type: ignore[no-any-return]

    def check(self, request: cm.CertificateInstallationReq, **changes: Any) -> Any:
        options = {"oem_anchors": anchors(self.pki.oem_root), "profile": self.profile, "at_unix_s": self.now}
        return check_installation_request(request, **(options | changes))

    def response(self, **changes: Any) -> cm.CertificateInstallationRes:
        options = {
            "oem": self.check(self.request()),
            "header": HEADER,
            "contract_chain": self.contract.chain_der(),
            "contract_private_key": self.contract.key,
            "cps_chain": self.cps.chain_der(),
            "cps_signer": KeySigner(self.cps.key),
            "iv": IV,
        }
        return over_the_wire(issue_contract(**(options | changes)))  # type: ignore[no-any-return]

    def open(self, response: cm.CertificateInstallationRes, **changes: Any) -> ContractCredential:
        options = {
            "oem_certificate": self.oem.chain_der()[0],
            "oem_private_key": self.oem.agreement_key,
            "cps_anchors": anchors(self.pki.v2g_root),
            "mo_anchors": anchors(self.pki.mo_root),
            "profile": self.profile,
            "at_unix_s": self.now,
        }
        return open_contract(response, **(options | changes))


def anchors(*roots: Any) -> TrustAnchors:
    return TrustAnchors.from_certificates(*(r.credential.certificate for r in roots))


def parties_of(pki: Pki, now: float) -> Parties:
    return Parties(pki, now, pki.provisioning(PCID), pki.contract(EMAID), pki.cps("CPS"))


@pytest.fixture(params=["strict_pki", "ed448_pki"])
def both(request: pytest.FixtureRequest, now: float) -> Parties:
    return parties_of(request.getfixturevalue(request.param), now)


@pytest.fixture(scope="module")
def parties(strict_pki: Pki, now: float) -> Parties:
    return parties_of(strict_pki, now)


@pytest.fixture(scope="module")
def response(parties: Parties) -> cm.CertificateInstallationRes:
    return parties.response()


# ---- from asking to paying ----


def test_a_contract_is_asked_for_installed_and_paid_with(both: Parties) -> None:
    chain = both.check(both.request())
    assert (chain.role, chain.common_name) == (Role.OEM_PROVISIONING, PCID)
    credential = both.open(both.response(oem=chain))
    assert (credential.emaid, credential.chain) == (EMAID, both.contract.chain_der())

    part = cm.PnC_AReqAuthorizationModeType(
        Id="id1", GenChallenge=bytes(16), ContractCertificateChain=credential.certificate_chain
    )
    signature = sign_parts([part], credential.signer)
    header = replace(HEADER, Signature=signature)
    sent = over_the_wire(
        cm.AuthorizationReq(
            Header=header, SelectedAuthorizationService=cm.authorizationType.PnC, PnC_AReqAuthorizationMode=part
        )
    )
    shown = sent.PnC_AReqAuthorizationMode.ContractCertificateChain
    contract = validate_chain(
        shown.Certificate,
        shown.SubCertificates.Certificate,
        anchors(both.pki.mo_root),
        role=Role.CONTRACT,
        profile=both.profile,
        at_unix_s=both.now,
    )
    assert contract.emaid == EMAID
    assert verify_parts(
        sent.Header.Signature, [sent.PnC_AReqAuthorizationMode], contract.public_key, profile=both.profile
    )


@pytest.mark.parametrize("form", SignedInfoForm)
def test_both_messages_may_be_signed_in_either_form(form: SignedInfoForm, parties: Parties) -> None:
    request = parties.request(form=form)
    assert parties.open(parties.response(oem=parties.check(request), form=form))


# ---- the request ----


def test_a_request_says_what_the_vehicle_trusts_and_wants(parties: Parties) -> None:
    request = parties.request(max_chains=3, prioritized_emaids=[EMAID, "DEV2GC123456787"])
    assert request.Header.SessionID == HEADER.SessionID
    assert request.MaximumContractCertificateChains == 3
    assert request.PrioritizedEMAIDs == cm.EMAIDListType(EMAID=[EMAID, "DEV2GC123456787"])
    assert parties.request().PrioritizedEMAIDs is None
    first, _ = request.ListOfRootCertificateIDs.RootCertificateID
    root = parties.pki.v2g_root.credential.certificate
    assert first.X509SerialNumber == root.serial_number
    assert "CN=V2G Root CA" in first.X509IssuerName


@pytest.mark.parametrize(("room", "emaids"), [(0, 0), (256, 0), (1, 2), (-1, 0)])
def test_a_vehicle_asks_for_no_more_than_it_stores(room: int, emaids: int, parties: Parties) -> None:
    with pytest.raises(ProvisioningError, match="room for"):
        parties.request(max_chains=room, prioritized_emaids=[EMAID] * emaids)


@pytest.mark.parametrize("count", [0, 21])
def test_a_list_of_roots_has_one_to_twenty(count: int, parties: Parties) -> None:
    with pytest.raises(ProvisioningError, match="roots"):
        root_ids(TrustAnchors((parties.pki.v2g_root.credential.certificate,) * count))


def test_a_request_is_signed_by_the_vehicle_it_names(parties: Parties) -> None:
    request = parties.request()
    other = parties.pki.provisioning(PCID)
    unsigned = replace(request, Header=HEADER)
    with pytest.raises(SignatureError, match="no signature"):
        parties.check(unsigned)
    part = request.OEMProvisioningCertificateChain
    forged = replace(request, Header=replace(HEADER, Signature=sign_parts([part], KeySigner(other.key))))
    with pytest.raises(SignatureError, match="not made with the key"):
        parties.check(forged)


def test_a_provisioning_chain_is_validated(parties: Parties) -> None:
    request = parties.request()
    with pytest.raises(ChainError) as caught:
        parties.check(request, oem_anchors=anchors(parties.pki.v2g_root))
    assert caught.value.problem is ChainProblem.NO_ANCHOR
    with pytest.raises(ChainError) as caught:
        parties.check(request, at_unix_s=parties.now + 366 * 86400)
    assert caught.value.problem is ChainProblem.EXPIRED
    with pytest.raises(ChainError) as caught:
        parties.check(request, is_revoked=lambda *_: True)
    assert caught.value.problem is ChainProblem.REVOKED


def test_older_provisioning_certificates_pass_in_compat_and_get_no_contract(
    compat_pki: Pki, parties: Parties, now: float
) -> None:
    old = parties_of(compat_pki, now)
    request = old.request()
    with pytest.raises(ChainError, match="use compat"):
        old.check(request)
    chain = old.check(request, profile=TlsProfile.COMPAT)
    with pytest.raises(ProvisioningError, match="secp256r1"):
        parties.response(oem=chain)


def test_a_key_that_is_not_the_certificates_is_noticed_before_anything_is_sent(parties: Parties) -> None:
    other = KeySigner(parties.pki.cps("other").key)
    with pytest.raises(ProvisioningError, match="configure both alike"):
        parties.request(oem_signer=other)
    with pytest.raises(ProvisioningError, match="configure both alike"):
        parties.response(cps_signer=other)


@pytest.mark.parametrize("count", [0, 5])
def test_chains_that_do_not_fit_the_message_are_refused(count: int, parties: Parties) -> None:
    chain = parties.oem.chain_der()[:1] * count
    with pytest.raises(ProvisioningError, match="a chain of"):
        parties.request(oem_chain=chain)
    for name in ("contract_chain", "cps_chain"):
        with pytest.raises(ProvisioningError, match="a chain of"):
            parties.response(**{name: chain})
    with pytest.raises(ProvisioningError, match="no sub certificate"):
        parties.response(contract_chain=parties.contract.chain_der()[:1])


def test_certificates_that_cannot_be_read_are_refused(parties: Parties) -> None:
    with pytest.raises(ChainError, match="contract certificate"):
        parties.response(contract_chain=[b"junk", b"junk"])
    with pytest.raises(ChainError, match="to sign with"):
        parties.request(oem_chain=[b"junk"])


# ---- the response ----


def test_a_response_is_finished_and_says_how_many_remain(parties: Parties) -> None:
    response = parties.response(remaining=2)
    assert response.ResponseCode is ct.responseCodeType.OK
    assert response.EVSEProcessing is ct.processingType.Finished
    assert response.RemainingContractCertificateChains == 2


def test_only_a_provisioning_service_signs_contracts(parties: Parties) -> None:
    for shown in (parties.pki.secc("US*V2G*E1"), parties.contract):
        response = parties.response(cps_chain=shown.chain_der(), cps_signer=KeySigner(shown.key))
        with pytest.raises(ChainError) as caught:
            parties.open(response, cps_anchors=anchors(parties.pki.v2g_root, parties.pki.mo_root))
        assert caught.value.problem is ChainProblem.INVALID


def test_the_service_must_be_known(parties: Parties, response: cm.CertificateInstallationRes) -> None:
    with pytest.raises(ChainError) as caught:
        parties.open(response, cps_anchors=anchors(parties.pki.oem_root))
    assert caught.value.problem is ChainProblem.NO_ANCHOR


def test_the_signature_covers_the_contract(parties: Parties, response: cm.CertificateInstallationRes) -> None:
    with pytest.raises(SignatureError, match="no signature"):
        parties.open(replace(response, Header=HEADER))
    other = parties.response(contract_chain=parties.contract.chain_der())
    with pytest.raises(SignatureError, match="digest"):
        parties.open(replace(response, SignedInstallationData=other.SignedInstallationData))


def test_a_contract_of_an_unknown_operator_is_the_vehicles_to_judge(
    parties: Parties, response: cm.CertificateInstallationRes
) -> None:
    with pytest.raises(ChainError) as caught:
        parties.open(response, mo_anchors=anchors(parties.pki.oem_root))
    assert caught.value.problem is ChainProblem.NO_ANCHOR
    assert parties.open(response, mo_anchors=None).emaid == EMAID


def test_a_contract_for_another_vehicle_stays_closed(parties: Parties, response: cm.CertificateInstallationRes) -> None:
    other = parties.pki.provisioning(PCID)
    with pytest.raises(ProvisioningError, match="another provisioning certificate"):
        parties.open(response, oem_private_key=other.agreement_key, oem_certificate=other.chain_der()[0])
    with pytest.raises(ChainError, match="provisioning certificate"):
        parties.open(response, oem_certificate=b"junk")


def resigned(parties: Parties, response: Any, **changes: Any) -> Any:
    """A response whose service signed something else."""
    data = replace(response.SignedInstallationData, **changes)
    header = replace(HEADER, Signature=sign_parts([data], KeySigner(parties.cps.key)))
    return replace(response, Header=header, SignedInstallationData=data)


def test_keys_for_a_tpm_or_another_curve_are_refused(parties: Parties, response: cm.CertificateInstallationRes) -> None:
    tpm = resigned(parties, response, SECP521_EncryptedPrivateKey=None, TPM_EncryptedPrivateKey=bytes(206))
    with pytest.raises(ProvisioningError, match="TPM"):
        parties.open(over_the_wire(tpm))
    wrong = resigned(parties, response, ECDHCurve=cm.ecdhCurveType.X448)
    with pytest.raises(ProvisioningError, match="X448"):
        parties.open(over_the_wire(wrong))


@pytest.mark.parametrize("point", [b"", b"\4" * 57, b"\4" * 133, bytes(133)], ids=range(4))
def test_public_keys_that_are_none_are_refused(
    point: bytes, parties: Parties, response: cm.CertificateInstallationRes
) -> None:
    with pytest.raises(ProvisioningError, match="DHPublicKey"):
        parties.open(over_the_wire(resigned(parties, response, DHPublicKey=point)))


@settings(max_examples=examples(200), deadline=None)
@given(bit=st.integers(8, 8 * 3000))
def test_a_changed_bit_of_a_response_gives_the_same_contract_or_an_error(
    bit: int, parties: Parties, response: cm.CertificateInstallationRes
) -> None:
    data = bytearray(exi.encode(response))
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    try:
        changed = exi.decode(Namespace.COMMON_MESSAGES, bytes(data))
    except exi.ExiError:
        return
    if not isinstance(changed, cm.CertificateInstallationRes):
        return
    try:
        credential = parties.open(changed)
    except (ChainError, SignatureError, ProvisioningError):
        return
    assert credential.chain == parties.contract.chain_der()


@settings(max_examples=examples(200), deadline=None)
@given(bit=st.integers(8, 8 * 2000))
def test_a_changed_bit_of_a_request_names_the_same_vehicle_or_is_refused(bit: int, parties: Parties) -> None:
    data = bytearray(exi.encode(parties.request()))
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    try:
        changed = exi.decode(Namespace.COMMON_MESSAGES, bytes(data))
    except exi.ExiError:
        return
    if not isinstance(changed, cm.CertificateInstallationReq):
        return
    try:
        chain = parties.check(changed)
    except (ChainError, SignatureError):
        return
    assert isinstance(chain.leaf, x509.Certificate)
    assert chain.leaf.tbs_certificate_bytes == parties.oem.certificate.tbs_certificate_bytes
