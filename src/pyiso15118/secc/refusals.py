"""A FAILED response for every request: mandatory fields are filled with values the schema accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyiso15118.checks import rational
from pyiso15118.messages import ac, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.app_protocol import responseCodeType as SapCode
from pyiso15118.messages.app_protocol import supportedAppProtocolReq, supportedAppProtocolRes
from pyiso15118.secc.session import Response

_FINISHED = ct.processingType.Finished
_ZERO = rational(0)
_NO_SERVICE = cm.ServiceListType(Service=[cm.ServiceType(ServiceID=0, FreeService=False)])
_NO_PARAMETERS = cm.ServiceParameterListType(
    ParameterSet=[cm.ParameterSetType(ParameterSetID=0, Parameter=[cm.ParameterType(Name="", intValue=0)])]
)
_NO_CERTIFICATE = cm.CertificateChainType(Certificate=b"")
_NO_INSTALLATION = cm.SignedInstallationDataType(
    Id="id1",
    ContractCertificateChain=cm.ContractCertificateChainType(
        Certificate=b"", SubCertificates=cm.SubCertificatesType(Certificate=[b""])
    ),
    ECDHCurve=cm.ecdhCurveType.SECP521,
    DHPublicKey=bytes(133),
    SECP521_EncryptedPrivateKey=bytes(94),
)
_NO_CHARGE_MODE = dc.DC_CPDResEnergyTransferMode(
    EVSEMaximumChargePower=_ZERO,
    EVSEMinimumChargePower=_ZERO,
    EVSEMaximumChargeCurrent=_ZERO,
    EVSEMinimumChargeCurrent=_ZERO,
    EVSEMaximumVoltage=_ZERO,
    EVSEMinimumVoltage=_ZERO,
)
_NO_LOOP_MODE = dc.Dynamic_DC_CLResControlMode(
    EVSEMaximumChargePower=_ZERO,
    EVSEMinimumChargePower=_ZERO,
    EVSEMaximumChargeCurrent=_ZERO,
    EVSEMaximumVoltage=_ZERO,
)
_NO_AC_CHARGE_MODE = ac.AC_CPDResEnergyTransferMode(
    EVSEMaximumChargePower=_ZERO, EVSEMinimumChargePower=_ZERO, EVSENominalFrequency=_ZERO
)
_NO_AC_LOOP_MODE = ac.Dynamic_AC_CLResControlMode(EVSETargetActivePower=_ZERO)

_RESPONSES: dict[type[Any], tuple[Callable[..., ct.V2GResponseType], dict[str, Any]]] = {
    cm.AuthorizationSetupReq: (
        cm.AuthorizationSetupRes,
        {
            "AuthorizationServices": [cm.authorizationType.EIM],
            "CertificateInstallationService": False,
            "EIM_ASResAuthorizationMode": cm.EIM_ASResAuthorizationModeType(),
        },
    ),
    cm.AuthorizationReq: (cm.AuthorizationRes, {"EVSEProcessing": _FINISHED}),
    cm.CertificateInstallationReq: (
        cm.CertificateInstallationRes,
        {
            "EVSEProcessing": _FINISHED,
            "CPSCertificateChain": _NO_CERTIFICATE,
            "SignedInstallationData": _NO_INSTALLATION,
            "RemainingContractCertificateChains": 0,
        },
    ),
    cm.ServiceDiscoveryReq: (
        cm.ServiceDiscoveryRes,
        {"ServiceRenegotiationSupported": False, "EnergyTransferServiceList": _NO_SERVICE},
    ),
    cm.ServiceDetailReq: (cm.ServiceDetailRes, {"ServiceID": 0, "ServiceParameterList": _NO_PARAMETERS}),
    cm.ServiceSelectionReq: (cm.ServiceSelectionRes, {}),
    cm.ScheduleExchangeReq: (
        cm.ScheduleExchangeRes,
        {"EVSEProcessing": _FINISHED, "Dynamic_SEResControlMode": cm.Dynamic_SEResControlModeType()},
    ),
    cm.PowerDeliveryReq: (cm.PowerDeliveryRes, {}),
    cm.MeteringConfirmationReq: (cm.MeteringConfirmationRes, {}),
    cm.SessionStopReq: (cm.SessionStopRes, {}),
    cm.VehicleCheckInReq: (cm.VehicleCheckInRes, {}),
    cm.VehicleCheckOutReq: (
        cm.VehicleCheckOutRes,
        {"EVSECheckOutStatus": cm.evseCheckOutStatusType.Completed},
    ),
    dc.DC_ChargeParameterDiscoveryReq: (
        dc.DC_ChargeParameterDiscoveryRes,
        {"DC_CPDResEnergyTransferMode": _NO_CHARGE_MODE},
    ),
    dc.DC_CableCheckReq: (dc.DC_CableCheckRes, {"EVSEProcessing": _FINISHED}),
    dc.DC_PreChargeReq: (dc.DC_PreChargeRes, {"EVSEPresentVoltage": _ZERO}),
    dc.DC_ChargeLoopReq: (
        dc.DC_ChargeLoopRes,
        {
            "EVSEPresentCurrent": _ZERO,
            "EVSEPresentVoltage": _ZERO,
            "EVSEPowerLimitAchieved": False,
            "EVSECurrentLimitAchieved": False,
            "EVSEVoltageLimitAchieved": False,
            "CLResControlMode": _NO_LOOP_MODE,
        },
    ),
    dc.DC_WeldingDetectionReq: (dc.DC_WeldingDetectionRes, {"EVSEPresentVoltage": _ZERO}),
    ac.AC_ChargeParameterDiscoveryReq: (
        ac.AC_ChargeParameterDiscoveryRes,
        {"AC_CPDResEnergyTransferMode": _NO_AC_CHARGE_MODE},
    ),
    ac.AC_ChargeLoopReq: (ac.AC_ChargeLoopRes, {"CLResControlMode": _NO_AC_LOOP_MODE}),
}


def refusal(request: object, code: ct.responseCodeType, header: ct.MessageHeaderType, evse_id: str) -> Response | None:
    """The response type that belongs to ``request``, saying ``code``; None if ``request`` is no request."""
    if isinstance(request, supportedAppProtocolReq):
        return supportedAppProtocolRes(ResponseCode=SapCode.Failed_NoNegotiation)
    if isinstance(request, cm.SessionSetupReq):
        return cm.SessionSetupRes(Header=header, ResponseCode=code, EVSEID=evse_id)
    found = _RESPONSES.get(type(request))
    if found is None and isinstance(request, ac.AC_ChargeParameterDiscoveryReq | ac.AC_ChargeLoopReq):
        from pyiso15118.secc.handlers_der import refusal as der_refusal

        return der_refusal(request, code, header)
    if found is None:
        return None
    response, fields = found
    return response(Header=header, ResponseCode=code, **fields)
