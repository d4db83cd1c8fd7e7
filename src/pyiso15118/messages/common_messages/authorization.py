"""Authorisation, certificate installation and the certificate chains they carry."""

from __future__ import annotations

from typing import Annotated

from pyiso15118.exi.declarations import ATTRIBUTE, ID, ONE_OF, Occurs, Struct, boolean, unsignedByte
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.common_messages.simple_types import (
    authorizationType,
    certificateType,
    dhPublicKeyType,
    ecdhCurveType,
    genChallengeType,
    secp521_EncryptedPrivateKeyType,
    tpm_EncryptedPrivateKeyType,
    x448_EncryptedPrivateKeyType,
)


class AuthorizationSetupReq(ct.V2GRequestType):
    pass


class AuthorizationSetupRes(ct.V2GResponseType):
    AuthorizationServices: Annotated[list[authorizationType], Occurs(1, 2)]
    CertificateInstallationService: boolean
    EIM_ASResAuthorizationMode: Annotated[EIM_ASResAuthorizationModeType | None, ONE_OF] = None
    PnC_ASResAuthorizationMode: Annotated[PnC_ASResAuthorizationModeType | None, ONE_OF] = None


class AuthorizationReq(ct.V2GRequestType):
    SelectedAuthorizationService: authorizationType
    EIM_AReqAuthorizationMode: Annotated[EIM_AReqAuthorizationModeType | None, ONE_OF] = None
    PnC_AReqAuthorizationMode: Annotated[PnC_AReqAuthorizationModeType | None, ONE_OF] = None


class AuthorizationRes(ct.V2GResponseType):
    EVSEProcessing: ct.processingType


class CertificateInstallationReq(ct.V2GRequestType):
    OEMProvisioningCertificateChain: SignedCertificateChainType
    ListOfRootCertificateIDs: ct.ListOfRootCertificateIDsType
    MaximumContractCertificateChains: unsignedByte
    PrioritizedEMAIDs: EMAIDListType | None = None


class CertificateInstallationRes(ct.V2GResponseType):
    EVSEProcessing: ct.processingType
    CPSCertificateChain: CertificateChainType
    SignedInstallationData: SignedInstallationDataType
    RemainingContractCertificateChains: unsignedByte


class PnC_ASResAuthorizationModeType(Struct):
    GenChallenge: genChallengeType
    SupportedProviders: SupportedProvidersListType | None = None


class SupportedProvidersListType(Struct):
    ProviderID: Annotated[list[ct.nameType], Occurs(1, 128)]


class EIM_ASResAuthorizationModeType(Struct):
    pass


class PnC_AReqAuthorizationModeType(Struct):
    GenChallenge: genChallengeType
    ContractCertificateChain: ContractCertificateChainType
    Id: Annotated[ID, ATTRIBUTE]


class EIM_AReqAuthorizationModeType(Struct):
    pass


class SignedInstallationData(Struct):
    ContractCertificateChain: ContractCertificateChainType
    ECDHCurve: ecdhCurveType
    DHPublicKey: dhPublicKeyType
    SECP521_EncryptedPrivateKey: Annotated[secp521_EncryptedPrivateKeyType | None, ONE_OF] = None
    X448_EncryptedPrivateKey: Annotated[x448_EncryptedPrivateKeyType | None, ONE_OF] = None
    TPM_EncryptedPrivateKey: Annotated[tpm_EncryptedPrivateKeyType | None, ONE_OF] = None
    Id: Annotated[ID, ATTRIBUTE]


class EMAIDListType(Struct):
    EMAID: Annotated[list[ct.identifierType], Occurs(1, 8)]


class SubCertificatesType(Struct):
    Certificate: Annotated[list[certificateType], Occurs(1, 3)]


class CertificateChainType(Struct):
    Certificate: certificateType
    SubCertificates: SubCertificatesType | None = None


class SignedCertificateChainType(Struct):
    Certificate: certificateType
    SubCertificates: SubCertificatesType | None = None
    Id: Annotated[ID, ATTRIBUTE]


class ContractCertificateChainType(Struct):
    Certificate: certificateType
    SubCertificates: SubCertificatesType


# Within a class body a field's name hides the class of the same name, so the type goes by the XSD's type name there.
SignedInstallationDataType = SignedInstallationData
