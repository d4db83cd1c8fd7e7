"""The messages of AC charging as this namespace widens them, and the energy transfer and control modes it adds."""

from __future__ import annotations

from pyiso15118.exi.declarations import boolean, unsignedInt, unsignedLong
from pyiso15118.messages import ac
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.ac_der_sae.capabilities import (
    EVApparentPowerLimitsType,
    EVApparentPowerType,
    EVExcitationLimitsType,
    EVExcitationType,
    EVInverterDetailsType,
    EVReactivePowerLimitsType,
    EVReactivePowerType,
    EVSEReactivePowerLimitsType,
    GridLimitsType,
)
from pyiso15118.messages.ac_der_sae.controls import DERControlCLResType, DERControlCPDResType
from pyiso15118.messages.ac_der_sae.simple_types import (
    derConnectionStatusType,
    derOperationalStateType,
    gridConnectionModeType,
    ieee1547AbnormalCategoryType,
    ieee1547NormalCategoryType,
    requiredDEROperatingModeType,
)


class AC_ChargeParameterDiscoveryReq(ac.AC_ChargeParameterDiscoveryReq):
    AC_CPDReqEnergyTransferMode: (
        ac.BPT_AC_CPDReqEnergyTransferMode | DER_AC_CPDReqEnergyTransferMode | ac.AC_CPDReqEnergyTransferModeType
    )


class AC_ChargeParameterDiscoveryRes(ac.AC_ChargeParameterDiscoveryRes):
    AC_CPDResEnergyTransferMode: (
        ac.BPT_AC_CPDResEnergyTransferMode | DER_AC_CPDResEnergyTransferMode | ac.AC_CPDResEnergyTransferModeType
    )


class AC_ChargeLoopReq(ac.AC_ChargeLoopReq):
    CLReqControlMode: (
        ac.BPT_Dynamic_AC_CLReqControlMode
        | ac.BPT_Scheduled_AC_CLReqControlMode
        | DER_Dynamic_AC_CLReqControlMode
        | DER_Scheduled_AC_CLReqControlMode
        | ac.Dynamic_AC_CLReqControlMode
        | ac.Scheduled_AC_CLReqControlMode
    )


class AC_ChargeLoopRes(ac.AC_ChargeLoopRes):
    CLResControlMode: (
        ac.BPT_Dynamic_AC_CLResControlMode
        | ac.BPT_Scheduled_AC_CLResControlMode
        | DER_Dynamic_AC_CLResControlMode
        | DER_Scheduled_AC_CLResControlMode
        | ac.Dynamic_AC_CLResControlMode
        | ac.Scheduled_AC_CLResControlMode
    )


class DER_AC_CPDReqEnergyTransferMode(ac.AC_CPDReqEnergyTransferMode):
    EVProcessing: ct.processingType
    EVMaximumDischargePower: ct.RationalNumberType
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None
    EVSessionTotalDischargeEnergyAvailable: ct.RationalNumberType | None = None
    EVApparentPowerLimits: EVApparentPowerLimitsType
    EVReactivePowerLimits: EVReactivePowerLimitsType
    EVExcitationLimits: EVExcitationLimitsType
    EVInverterDetails: EVInverterDetailsType
    IEEE1547NormalCategory: ieee1547NormalCategoryType
    IEEE1547AbnormalCategory: ieee1547AbnormalCategoryType
    EVNominalVoltage: ct.RationalNumberType
    EVMaximumVoltage: ct.RationalNumberType
    EVMinimumVoltage: ct.RationalNumberType
    EVNominalVoltageOffset: ct.RationalNumberType
    J3072Certified: boolean
    J3072CertificationDate: unsignedLong
    EVUseableWattHours: unsignedInt
    EVUpdateTime: unsignedLong
    SupportedModes: unsignedInt
    EnabledModes: unsignedInt


class DER_AC_CPDResEnergyTransferMode(ac.AC_CPDResEnergyTransferMode):
    EVSEProcessing: ct.processingType
    EVSEStatus: ct.EVSEStatusType | None = None
    DERControlCPDRes: DERControlCPDResType
    EVSENominalChargePower: ct.RationalNumberType | None = None
    EVSENominalChargePower_L2: ct.RationalNumberType | None = None
    EVSENominalChargePower_L3: ct.RationalNumberType | None = None
    EVSENominalDischargePower: ct.RationalNumberType | None = None
    EVSENominalDischargePower_L2: ct.RationalNumberType | None = None
    EVSENominalDischargePower_L3: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower: ct.RationalNumberType
    EVSEMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVSEReactivePowerLimits: EVSEReactivePowerLimitsType
    GridLimits: GridLimitsType
    RequiredDEROperatingMode: requiredDEROperatingModeType
    GridConnectionMode: gridConnectionModeType
    EVSEUpdateTime: unsignedLong


class DER_Scheduled_AC_CLReqControlMode(ac.Scheduled_AC_CLReqControlMode):
    EVPresentVoltage: ct.RationalNumberType
    EVPresentFrequency: ct.RationalNumberType
    EVMaximumDischargePower: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None
    DEROperationalState: derOperationalStateType
    DERConnectionStatus: derConnectionStatusType
    EVApparentPower: EVApparentPowerType | None = None
    EVReactivePower: EVReactivePowerType | None = None
    EVExcitation: EVExcitationType | None = None
    EVUpdateTime: unsignedLong
    EVMinimumChargingDuration: unsignedInt | None = None
    EVDurationMaximumChargeRate: unsignedInt | None = None
    EVDurationMaximumDischargeRate: unsignedInt | None = None
    DERAlarmStatus: unsignedInt
    EnabledModes: unsignedInt


class DER_Scheduled_AC_CLResControlMode(ac.Scheduled_AC_CLResControlMode):
    DERControlCLRes: DERControlCLResType
    EVSEMaximumChargePower: ct.RationalNumberType | None = None
    EVSEMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L3: ct.RationalNumberType | None = None
    RequiredDEROperatingMode: requiredDEROperatingModeType | None = None
    GridConnectionMode: gridConnectionModeType | None = None


class DER_Dynamic_AC_CLReqControlMode(ac.Dynamic_AC_CLReqControlMode):
    EVMaximumDischargePower: ct.RationalNumberType
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None
    EVPresentVoltage: ct.RationalNumberType
    EVPresentFrequency: ct.RationalNumberType
    EVSessionTotalDischargeEnergyAvailable: ct.RationalNumberType | None = None
    EVApparentPower: EVApparentPowerType | None = None
    EVReactivePower: EVReactivePowerType | None = None
    EVExcitation: EVExcitationType | None = None
    EVMaximumV2XEnergyRequest: ct.RationalNumberType | None = None
    EVMinimumV2XEnergyRequest: ct.RationalNumberType | None = None
    DEROperationalState: derOperationalStateType
    DERConnectionStatus: derConnectionStatusType
    EVUpdateTime: unsignedLong
    EVMinimumChargingDuration: unsignedInt
    EVDurationMaximumChargeRate: unsignedInt
    EVDurationMaximumDischargeRate: unsignedInt
    DERAlarmStatus: unsignedInt
    EnabledModes: unsignedInt


class DER_Dynamic_AC_CLResControlMode(ac.Dynamic_AC_CLResControlMode):
    DERControlCLRes: DERControlCLResType
    EVSEMaximumChargePower: ct.RationalNumberType | None = None
    EVSEMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L3: ct.RationalNumberType | None = None
    RequiredDEROperatingMode: requiredDEROperatingModeType | None = None
    GridConnectionMode: gridConnectionModeType | None = None
