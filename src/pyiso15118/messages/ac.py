"""Messages of the AC charging services (V2G_CI_AC.xsd)."""

from __future__ import annotations

from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.schema import register
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.namespaces import Namespace


class AC_ChargeParameterDiscoveryReq(ct.ChargeParameterDiscoveryReqType):
    AC_CPDReqEnergyTransferMode: BPT_AC_CPDReqEnergyTransferMode | AC_CPDReqEnergyTransferModeType


class AC_ChargeParameterDiscoveryRes(ct.ChargeParameterDiscoveryResType):
    AC_CPDResEnergyTransferMode: BPT_AC_CPDResEnergyTransferMode | AC_CPDResEnergyTransferModeType


class AC_ChargeLoopReq(ct.ChargeLoopReqType):
    CLReqControlMode: (
        BPT_Dynamic_AC_CLReqControlMode
        | BPT_Scheduled_AC_CLReqControlMode
        | Dynamic_AC_CLReqControlMode
        | Scheduled_AC_CLReqControlMode
    )


class AC_ChargeLoopRes(ct.ChargeLoopResType):
    EVSETargetFrequency: ct.RationalNumberType | None = None
    CLResControlMode: (
        BPT_Dynamic_AC_CLResControlMode
        | BPT_Scheduled_AC_CLResControlMode
        | Dynamic_AC_CLResControlMode
        | Scheduled_AC_CLResControlMode
    )


class AC_CPDReqEnergyTransferMode(Struct):
    EVMaximumChargePower: ct.RationalNumberType
    EVMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVMinimumChargePower: ct.RationalNumberType
    EVMinimumChargePower_L2: ct.RationalNumberType | None = None
    EVMinimumChargePower_L3: ct.RationalNumberType | None = None


class AC_CPDResEnergyTransferMode(Struct):
    EVSEMaximumChargePower: ct.RationalNumberType
    EVSEMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVSEMinimumChargePower: ct.RationalNumberType
    EVSEMinimumChargePower_L2: ct.RationalNumberType | None = None
    EVSEMinimumChargePower_L3: ct.RationalNumberType | None = None
    EVSENominalFrequency: ct.RationalNumberType
    MaximumPowerAsymmetry: ct.RationalNumberType | None = None
    EVSEPowerRampLimitation: ct.RationalNumberType | None = None
    EVSEPresentActivePower: ct.RationalNumberType | None = None
    EVSEPresentActivePower_L2: ct.RationalNumberType | None = None
    EVSEPresentActivePower_L3: ct.RationalNumberType | None = None


class BPT_AC_CPDReqEnergyTransferMode(AC_CPDReqEnergyTransferMode):
    EVMaximumDischargePower: ct.RationalNumberType
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None


class BPT_AC_CPDResEnergyTransferMode(AC_CPDResEnergyTransferMode):
    EVSEMaximumDischargePower: ct.RationalNumberType
    EVSEMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVSEMinimumDischargePower: ct.RationalNumberType
    EVSEMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMinimumDischargePower_L3: ct.RationalNumberType | None = None


class Scheduled_AC_CLReqControlMode(ct.Scheduled_CLReqControlModeType):
    EVMaximumChargePower: ct.RationalNumberType | None = None
    EVMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVMinimumChargePower: ct.RationalNumberType | None = None
    EVMinimumChargePower_L2: ct.RationalNumberType | None = None
    EVMinimumChargePower_L3: ct.RationalNumberType | None = None
    EVPresentActivePower: ct.RationalNumberType
    EVPresentActivePower_L2: ct.RationalNumberType | None = None
    EVPresentActivePower_L3: ct.RationalNumberType | None = None
    EVPresentReactivePower: ct.RationalNumberType | None = None
    EVPresentReactivePower_L2: ct.RationalNumberType | None = None
    EVPresentReactivePower_L3: ct.RationalNumberType | None = None


class Scheduled_AC_CLResControlMode(ct.Scheduled_CLResControlModeType):
    EVSETargetActivePower: ct.RationalNumberType | None = None
    EVSETargetActivePower_L2: ct.RationalNumberType | None = None
    EVSETargetActivePower_L3: ct.RationalNumberType | None = None
    EVSETargetReactivePower: ct.RationalNumberType | None = None
    EVSETargetReactivePower_L2: ct.RationalNumberType | None = None
    EVSETargetReactivePower_L3: ct.RationalNumberType | None = None
    EVSEPresentActivePower: ct.RationalNumberType | None = None
    EVSEPresentActivePower_L2: ct.RationalNumberType | None = None
    EVSEPresentActivePower_L3: ct.RationalNumberType | None = None


class BPT_Scheduled_AC_CLReqControlMode(Scheduled_AC_CLReqControlMode):
    EVMaximumDischargePower: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None


class BPT_Scheduled_AC_CLResControlMode(Scheduled_AC_CLResControlMode):
    pass


class Dynamic_AC_CLReqControlMode(ct.Dynamic_CLReqControlModeType):
    EVMaximumChargePower: ct.RationalNumberType
    EVMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVMinimumChargePower: ct.RationalNumberType
    EVMinimumChargePower_L2: ct.RationalNumberType | None = None
    EVMinimumChargePower_L3: ct.RationalNumberType | None = None
    EVPresentActivePower: ct.RationalNumberType
    EVPresentActivePower_L2: ct.RationalNumberType | None = None
    EVPresentActivePower_L3: ct.RationalNumberType | None = None
    EVPresentReactivePower: ct.RationalNumberType
    EVPresentReactivePower_L2: ct.RationalNumberType | None = None
    EVPresentReactivePower_L3: ct.RationalNumberType | None = None


class Dynamic_AC_CLResControlMode(ct.Dynamic_CLResControlModeType):
    EVSETargetActivePower: ct.RationalNumberType
    EVSETargetActivePower_L2: ct.RationalNumberType | None = None
    EVSETargetActivePower_L3: ct.RationalNumberType | None = None
    EVSETargetReactivePower: ct.RationalNumberType | None = None
    EVSETargetReactivePower_L2: ct.RationalNumberType | None = None
    EVSETargetReactivePower_L3: ct.RationalNumberType | None = None
    EVSEPresentActivePower: ct.RationalNumberType | None = None
    EVSEPresentActivePower_L2: ct.RationalNumberType | None = None
    EVSEPresentActivePower_L3: ct.RationalNumberType | None = None


class BPT_Dynamic_AC_CLReqControlMode(Dynamic_AC_CLReqControlMode):
    EVMaximumDischargePower: ct.RationalNumberType
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None
    EVMaximumV2XEnergyRequest: ct.RationalNumberType | None = None
    EVMinimumV2XEnergyRequest: ct.RationalNumberType | None = None


class BPT_Dynamic_AC_CLResControlMode(Dynamic_AC_CLResControlMode):
    pass


# Within a class body a field's name hides the class of the same name, so these types go by the XSD's type names there.
AC_CPDReqEnergyTransferModeType = AC_CPDReqEnergyTransferMode
AC_CPDResEnergyTransferModeType = AC_CPDResEnergyTransferMode

register(Namespace.AC, vars(), imports=(Namespace.COMMON_TYPES,))
