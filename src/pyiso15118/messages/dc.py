"""Messages of the DC charging services (V2G_CI_DC.xsd)."""

from __future__ import annotations

from pyiso15118.exi.declarations import Struct, boolean
from pyiso15118.exi.schema import register
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.namespaces import Namespace


class DC_ChargeParameterDiscoveryReq(ct.ChargeParameterDiscoveryReqType):
    DC_CPDReqEnergyTransferMode: BPT_DC_CPDReqEnergyTransferMode | DC_CPDReqEnergyTransferModeType


class DC_ChargeParameterDiscoveryRes(ct.ChargeParameterDiscoveryResType):
    DC_CPDResEnergyTransferMode: BPT_DC_CPDResEnergyTransferMode | DC_CPDResEnergyTransferModeType


class DC_CableCheckReq(ct.V2GRequestType):
    pass


class DC_CableCheckRes(ct.V2GResponseType):
    EVSEProcessing: ct.processingType


class DC_PreChargeReq(ct.V2GRequestType):
    EVProcessing: ct.processingType
    EVPresentVoltage: ct.RationalNumberType
    EVTargetVoltage: ct.RationalNumberType


class DC_PreChargeRes(ct.V2GResponseType):
    EVSEPresentVoltage: ct.RationalNumberType


class DC_ChargeLoopReq(ct.ChargeLoopReqType):
    EVPresentVoltage: ct.RationalNumberType
    CLReqControlMode: (
        BPT_Dynamic_DC_CLReqControlMode
        | BPT_Scheduled_DC_CLReqControlMode
        | Dynamic_DC_CLReqControlMode
        | Scheduled_DC_CLReqControlMode
    )


class DC_ChargeLoopRes(ct.ChargeLoopResType):
    EVSEPresentCurrent: ct.RationalNumberType
    EVSEPresentVoltage: ct.RationalNumberType
    EVSEPowerLimitAchieved: boolean
    EVSECurrentLimitAchieved: boolean
    EVSEVoltageLimitAchieved: boolean
    CLResControlMode: (
        BPT_Dynamic_DC_CLResControlMode
        | BPT_Scheduled_DC_CLResControlMode
        | Dynamic_DC_CLResControlMode
        | Scheduled_DC_CLResControlMode
    )


class DC_WeldingDetectionReq(ct.V2GRequestType):
    EVProcessing: ct.processingType


class DC_WeldingDetectionRes(ct.V2GResponseType):
    EVSEPresentVoltage: ct.RationalNumberType


class DC_CPDReqEnergyTransferMode(Struct):
    EVMaximumChargePower: ct.RationalNumberType
    EVMinimumChargePower: ct.RationalNumberType
    EVMaximumChargeCurrent: ct.RationalNumberType
    EVMinimumChargeCurrent: ct.RationalNumberType
    EVMaximumVoltage: ct.RationalNumberType
    EVMinimumVoltage: ct.RationalNumberType
    TargetSOC: ct.percentValueType | None = None


class DC_CPDResEnergyTransferMode(Struct):
    EVSEMaximumChargePower: ct.RationalNumberType
    EVSEMinimumChargePower: ct.RationalNumberType
    EVSEMaximumChargeCurrent: ct.RationalNumberType
    EVSEMinimumChargeCurrent: ct.RationalNumberType
    EVSEMaximumVoltage: ct.RationalNumberType
    EVSEMinimumVoltage: ct.RationalNumberType
    EVSEPowerRampLimitation: ct.RationalNumberType | None = None


class BPT_DC_CPDReqEnergyTransferMode(DC_CPDReqEnergyTransferMode):
    EVMaximumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower: ct.RationalNumberType
    EVMaximumDischargeCurrent: ct.RationalNumberType
    EVMinimumDischargeCurrent: ct.RationalNumberType


class BPT_DC_CPDResEnergyTransferMode(DC_CPDResEnergyTransferMode):
    EVSEMaximumDischargePower: ct.RationalNumberType
    EVSEMinimumDischargePower: ct.RationalNumberType
    EVSEMaximumDischargeCurrent: ct.RationalNumberType
    EVSEMinimumDischargeCurrent: ct.RationalNumberType


class Scheduled_DC_CLReqControlMode(ct.Scheduled_CLReqControlModeType):
    EVTargetCurrent: ct.RationalNumberType
    EVTargetVoltage: ct.RationalNumberType
    EVMaximumChargePower: ct.RationalNumberType | None = None
    EVMinimumChargePower: ct.RationalNumberType | None = None
    EVMaximumChargeCurrent: ct.RationalNumberType | None = None
    EVMaximumVoltage: ct.RationalNumberType | None = None
    EVMinimumVoltage: ct.RationalNumberType | None = None


class Scheduled_DC_CLResControlMode(ct.Scheduled_CLResControlModeType):
    EVSEMaximumChargePower: ct.RationalNumberType | None = None
    EVSEMinimumChargePower: ct.RationalNumberType | None = None
    EVSEMaximumChargeCurrent: ct.RationalNumberType | None = None
    EVSEMaximumVoltage: ct.RationalNumberType | None = None


class BPT_Scheduled_DC_CLReqControlMode(Scheduled_DC_CLReqControlMode):
    EVMaximumDischargePower: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType | None = None
    EVMaximumDischargeCurrent: ct.RationalNumberType | None = None


class BPT_Scheduled_DC_CLResControlMode(Scheduled_DC_CLResControlMode):
    EVSEMaximumDischargePower: ct.RationalNumberType | None = None
    EVSEMinimumDischargePower: ct.RationalNumberType | None = None
    EVSEMaximumDischargeCurrent: ct.RationalNumberType | None = None
    EVSEMinimumVoltage: ct.RationalNumberType | None = None


class Dynamic_DC_CLReqControlMode(ct.Dynamic_CLReqControlModeType):
    EVMaximumChargePower: ct.RationalNumberType
    EVMinimumChargePower: ct.RationalNumberType
    EVMaximumChargeCurrent: ct.RationalNumberType
    EVMaximumVoltage: ct.RationalNumberType
    EVMinimumVoltage: ct.RationalNumberType


class Dynamic_DC_CLResControlMode(ct.Dynamic_CLResControlModeType):
    EVSEMaximumChargePower: ct.RationalNumberType
    EVSEMinimumChargePower: ct.RationalNumberType
    EVSEMaximumChargeCurrent: ct.RationalNumberType
    EVSEMaximumVoltage: ct.RationalNumberType


class BPT_Dynamic_DC_CLReqControlMode(Dynamic_DC_CLReqControlMode):
    EVMaximumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower: ct.RationalNumberType
    EVMaximumDischargeCurrent: ct.RationalNumberType
    EVMaximumV2XEnergyRequest: ct.RationalNumberType | None = None
    EVMinimumV2XEnergyRequest: ct.RationalNumberType | None = None


class BPT_Dynamic_DC_CLResControlMode(Dynamic_DC_CLResControlMode):
    EVSEMaximumDischargePower: ct.RationalNumberType
    EVSEMinimumDischargePower: ct.RationalNumberType
    EVSEMaximumDischargeCurrent: ct.RationalNumberType
    EVSEMinimumVoltage: ct.RationalNumberType


# Within a class body a field's name hides the class of the same name, so these types go by the XSD's type names there.
DC_CPDReqEnergyTransferModeType = DC_CPDReqEnergyTransferMode
DC_CPDResEnergyTransferModeType = DC_CPDResEnergyTransferMode

register(Namespace.DC, vars(), imports=(Namespace.COMMON_TYPES,))
