"""Certificate installation: a vehicle with a provisioning certificate asks for contracts and their private keys.

The issuer encrypts a contract's private key for the provisioning certificate's key, and the certificate provisioning
service (CPS) signs the whole ([V2G20-1077]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.messages import xmldsig
from pyiso15118.security.chain import (
    IsRevoked,
    Role,
    TrustAnchors,
    ValidatedChain,
    common_name_of,
    load_certificate,
    name_of,
    public_key_of,
    validate_chain,
)
from pyiso15118.security.contract_key import (
    STANDARD_DERIVATION,
    AgreementPrivateKey,
    ContractPrivateKey,
    EncryptedKey,
    KeyDerivation,
    ProvisioningError,
    decrypt_contract_key,
    encrypt_contract_key,
)
from pyiso15118.security.signature import (
    DEFAULT_FORM,
    KeySigner,
    SignatureError,
    SignedInfoForm,
    Signer,
    sign_parts,
    verify_parts,
)
from pyiso15118.security.tls import TlsProfile

LONGEST_CHAIN = 4
"""Certificates of one message element: a leaf and three sub certificates."""
MOST_ROOTS = 20
_PART_ID = "id1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractCredential:
    """A contract of a vehicle, ready for Plug and Charge."""

    chain: tuple[bytes, ...]
    """DER, leaf first, root not included."""
    signer: Signer
    emaid: str

    @property
    def certificate_chain(self) -> cm.ContractCertificateChainType:
        """As AuthorizationReq carries it. Raises :class:`ProvisioningError` if its length is not 2 to 4."""
        return _contract_chain(self.chain)


def root_ids(anchors: TrustAnchors) -> ct.ListOfRootCertificateIDsType:
    """Issuer names and serial numbers of roots, as CertificateInstallationReq lists them.

    Raises :class:`ProvisioningError` for none or more than 20.
    """
    if not 1 <= len(anchors.certificates) <= MOST_ROOTS:
        raise ProvisioningError(f"{len(anchors.certificates)} roots to list, must be 1 to {MOST_ROOTS}")
    return ct.ListOfRootCertificateIDsType(
        RootCertificateID=[
            xmldsig.X509IssuerSerialType(X509IssuerName=c.issuer.rfc4514_string(), X509SerialNumber=c.serial_number)
            for c in anchors.certificates
        ]
    )


def build_installation_request(
    *,
    header: ct.MessageHeaderType,
    oem_chain: Sequence[bytes],
    oem_signer: Signer,
    roots: TrustAnchors,
    max_chains: int = 1,
    prioritized_emaids: Sequence[str] = (),
    form: SignedInfoForm = DEFAULT_FORM,
) -> cm.CertificateInstallationReq:
    """A signed request. ``oem_chain``: DER, leaf first, root not included. ``header`` gets the signature.

    ``roots``: what the vehicle trusts. ``max_chains``: contracts it can store, 1..255, not less than the EMAIDs it asks
    for first ([V2G20-1551]). Raises :class:`ProvisioningError`, and :class:`ChainError` for a leaf that cannot be read.
    """
    if not max(1, len(prioritized_emaids)) <= max_chains <= 255:
        raise ProvisioningError(f"room for {max_chains} contracts, {len(prioritized_emaids)} EMAIDs asked for first")
    leaf, subs = _split(oem_chain)
    chain = cm.SignedCertificateChainType(Id=_PART_ID, Certificate=leaf, SubCertificates=subs)
    return cm.CertificateInstallationReq(
        Header=_signed(header, chain, oem_signer, leaf, form),
        OEMProvisioningCertificateChain=chain,
        ListOfRootCertificateIDs=root_ids(roots),
        MaximumContractCertificateChains=max_chains,
        PrioritizedEMAIDs=cm.EMAIDListType(EMAID=list(prioritized_emaids)) if prioritized_emaids else None,
    )


def check_installation_request(
    request: cm.CertificateInstallationReq,
    *,
    oem_anchors: TrustAnchors,
    profile: TlsProfile,
    at_unix_s: float,
    is_revoked: IsRevoked | None = None,
) -> ValidatedChain:
    """The provisioning chain of a vehicle that proved to have its key.

    Raises :class:`ChainError` for the chain and after that :class:`SignatureError` for the signature ([V2G20-1548]).
    """
    signed = request.OEMProvisioningCertificateChain
    chain = validate_chain(
        signed.Certificate,
        _listed(signed.SubCertificates),
        oem_anchors,
        role=Role.OEM_PROVISIONING,
        profile=profile,
        at_unix_s=at_unix_s,
        is_revoked=is_revoked,
    )
    verify_parts(request.Header.Signature, [signed], chain.public_key, profile=profile)
    return chain


def issue_contract(
    *,
    oem: ValidatedChain,
    header: ct.MessageHeaderType,
    contract_chain: Sequence[bytes],
    contract_private_key: ContractPrivateKey,
    cps_chain: Sequence[bytes],
    cps_signer: Signer,
    iv: bytes,
    ephemeral_key: AgreementPrivateKey | None = None,
    remaining: int = 0,
    derivation: KeyDerivation = STANDARD_DERIVATION,
    form: SignedInfoForm = DEFAULT_FORM,
) -> cm.CertificateInstallationRes:
    """A signed response with a contract and its key, which only the vehicle of ``oem`` can open.

    Chains: DER, leaf first, root not included. ``iv``: 12 random bytes, never used twice. ``ephemeral_key``: by default
    a new one. ``remaining``: contracts the vehicle can still ask for, 0..255. ``header`` gets the signature.
    Raises :class:`ProvisioningError`, and :class:`ChainError` for certificates that cannot be read.
    """
    contract = _contract_chain(contract_chain)
    encrypted = encrypt_contract_key(
        contract_private_key,
        load_certificate(contract.Certificate, "contract certificate"),
        oem.leaf,
        iv=iv,
        ephemeral_key=ephemeral_key,
        derivation=derivation,
    )
    is_x448 = encrypted.curve is cm.ecdhCurveType.X448
    data = cm.SignedInstallationData(
        Id=_PART_ID,
        ContractCertificateChain=contract,
        ECDHCurve=encrypted.curve,
        DHPublicKey=encrypted.dh_public_key,
        SECP521_EncryptedPrivateKey=None if is_x448 else encrypted.sealed,
        X448_EncryptedPrivateKey=encrypted.sealed if is_x448 else None,
    )
    leaf, subs = _split(cps_chain)
    return cm.CertificateInstallationRes(
        Header=_signed(header, data, cps_signer, leaf, form),
        ResponseCode=ct.responseCodeType.OK,
        EVSEProcessing=ct.processingType.Finished,
        CPSCertificateChain=cm.CertificateChainType(Certificate=leaf, SubCertificates=subs),
        SignedInstallationData=data,
        RemainingContractCertificateChains=remaining,
    )


def open_contract(
    response: cm.CertificateInstallationRes,
    *,
    oem_certificate: bytes,
    oem_private_key: AgreementPrivateKey,
    cps_anchors: TrustAnchors,
    mo_anchors: TrustAnchors | None,
    profile: TlsProfile,
    at_unix_s: float,
    derivation: KeyDerivation = STANDARD_DERIVATION,
) -> ContractCredential:
    """The contract in a response. ``oem_certificate``: DER of the leaf that asked for it.

    ``oem_private_key``: that of the certificate, or of the X448 key it names. Revocation of the CPS is not looked at
    ([V2G20-1078]). ``mo_anchors`` None: the CPS vouches for the contract's chain, as the standard has it for vehicles.
    Raises :class:`ChainError` (CPS or contract chain), :class:`SignatureError` and :class:`ProvisioningError`.
    """
    cps, data = response.CPSCertificateChain, response.SignedInstallationData
    signed_by = validate_chain(
        cps.Certificate,
        _listed(cps.SubCertificates),
        cps_anchors,
        role=Role.CPS,
        profile=profile,
        at_unix_s=at_unix_s,
    )
    verify_parts(response.Header.Signature, [data], signed_by.public_key, profile=profile)
    leaf, subs = data.ContractCertificateChain.Certificate, data.ContractCertificateChain.SubCertificates.Certificate
    if mo_anchors is not None:
        validate_chain(leaf, subs, mo_anchors, role=Role.CONTRACT, profile=profile, at_unix_s=at_unix_s)
    certificate = load_certificate(leaf, "contract certificate")
    private_key = decrypt_contract_key(
        _encrypted(data),
        certificate,
        load_certificate(oem_certificate, "provisioning certificate"),
        oem_private_key,
        derivation=derivation,
    )
    return ContractCredential(chain=(leaf, *subs), signer=KeySigner(private_key), emaid=common_name_of(certificate))


def _signed(
    header: ct.MessageHeaderType, part: Struct, signer: Signer, leaf: bytes, form: SignedInfoForm
) -> ct.MessageHeaderType:
    signature = sign_parts([part], signer, form=form)
    certificate = load_certificate(leaf, "certificate to sign with")
    try:
        # One verification here spares the other side's owner a search for a wrongly configured key.
        verify_parts(signature, [part], public_key_of(certificate), profile=TlsProfile.COMPAT)
    except SignatureError as error:
        raise ProvisioningError(
            f"the signer's key is not that of {name_of(certificate)}: configure both alike"
        ) from error
    return msgspec.structs.replace(header, Signature=signature)


def _split(chain: Sequence[bytes]) -> tuple[bytes, cm.SubCertificatesType | None]:
    if not 1 <= len(chain) <= LONGEST_CHAIN:
        raise ProvisioningError(f"a chain of {len(chain)} certificates, must have 1 to {LONGEST_CHAIN}")
    leaf, *subs = chain
    return leaf, cm.SubCertificatesType(Certificate=subs) if subs else None


def _contract_chain(chain: Sequence[bytes]) -> cm.ContractCertificateChainType:
    leaf, subs = _split(chain)
    if subs is None:
        raise ProvisioningError("the chain of a contract has no sub certificate, the message needs one")
    return cm.ContractCertificateChainType(Certificate=leaf, SubCertificates=subs)


def _listed(subs: cm.SubCertificatesType | None) -> Sequence[bytes]:
    return subs.Certificate if subs is not None else ()


def _encrypted(data: cm.SignedInstallationData) -> EncryptedKey:
    is_x448 = data.ECDHCurve is cm.ecdhCurveType.X448
    sealed = data.X448_EncryptedPrivateKey if is_x448 else data.SECP521_EncryptedPrivateKey
    if sealed is None:
        raise ProvisioningError(
            f"the response has no contract key encrypted for {data.ECDHCurve}; one for a TPM is not supported"
        )
    return EncryptedKey(curve=data.ECDHCurve, dh_public_key=data.DHPublicKey, sealed=sealed)
