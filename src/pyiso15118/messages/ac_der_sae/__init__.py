"""Messages of AC_DER_SAE: the vehicle's own inverter as a distributed energy resource by IEEE 1547 and SAE J3072.

The schema (V2G_CI_AC_DER_SAE.xsd, ISO 15118-20 Amendment 1) imports that of AC, whose messages these are: it adds
members to their substitution groups, so that the messages' grammars are others than AC's. The declarations are those of
ISO's file (a test compares its hash); meanings and units are what EVerest's sources quote from Annex M.

Units: W, var, VA, V, Hz, s, Wh; ``EVUpdateTime``, ``EVSEUpdateTime`` and ``J3072CertificationDate`` in microseconds of
the station's clock. A trip curve has the time in s on x, rising, and the threshold on y; each axis names its unit, and
older examples have the axes the other way round.

Not established by any public source, so that nothing should rely on it:

- the bits of ``DERAlarmStatus`` (0 is no alarm), and the epoch of the station's clock those microseconds count from;
- the unit of ``DroopFactor``: examples have 0.05, which fits per unit of frequency by per unit of power (IEEE 1547);
- the unit of ``TimeConstantPT1``, and what a ``ReferenceVoltageAdjustmentTimeConstant`` of 0 means;
- the base of ``PercentageV`` where it is not ``GridNominalVoltage``, and whether voltages are phase to neutral;
- the sign of discharge powers, var injection and the y of volt-var: Amendment 1 has what leaves the vehicle at zero or
  below, examples positive;
- whether a low or a high ``Priority`` goes first, and what holds between and beyond the points of a trip curve;
- the fragments of peers whose schema includes AC's instead of importing it, as one public codec's does: documents are
  the same bits either way, the event codes of signed fragments are not.
"""

from pyiso15118.exi.schema import register
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
from pyiso15118.messages.ac_der_sae.controls import (
    ActivePowerSupportCLResType,
    ActivePowerSupportCPDResType,
    ConstantPowerFactorType,
    ConstantVarType,
    ConstantWattType,
    CurveDataPointsListType,
    DataTupleType,
    DERControlCLResType,
    DERControlCPDResType,
    DERCurveType,
    EnterServiceCLResType,
    EnterServiceCPDResType,
    FrequencyDroop,
    FrequencyDroopSettingsType,
    FrequencyDroopType,
    FrequencyTripType,
    LimitMaxDischargePowerType,
    ReactivePowerSupportCLResType,
    ReactivePowerSupportCPDResType,
    VoltageTripType,
    VoltVarType,
    VoltWattType,
    WattVarType,
)
from pyiso15118.messages.ac_der_sae.modes import (
    AC_ChargeLoopReq,
    AC_ChargeLoopRes,
    AC_ChargeParameterDiscoveryReq,
    AC_ChargeParameterDiscoveryRes,
    DER_AC_CPDReqEnergyTransferMode,
    DER_AC_CPDResEnergyTransferMode,
    DER_Dynamic_AC_CLReqControlMode,
    DER_Dynamic_AC_CLResControlMode,
    DER_Scheduled_AC_CLReqControlMode,
    DER_Scheduled_AC_CLResControlMode,
)
from pyiso15118.messages.ac_der_sae.simple_types import (
    derConnectionStatusType,
    derOperationalStateType,
    derUnitType,
    evInverterHwVersionType,
    evInverterManufacturerType,
    evInverterModelType,
    evInverterSerialNumberType,
    evInverterSwVersionType,
    gridConnectionModeType,
    ieee1547AbnormalCategoryType,
    ieee1547NormalCategoryType,
    powerFactorExcitationType,
    powerReferenceType,
    requiredDEROperatingModeType,
)
from pyiso15118.messages.namespaces import Namespace

__all__ = [
    "AC_ChargeLoopReq",
    "AC_ChargeLoopRes",
    "AC_ChargeParameterDiscoveryReq",
    "AC_ChargeParameterDiscoveryRes",
    "ActivePowerSupportCLResType",
    "ActivePowerSupportCPDResType",
    "ConstantPowerFactorType",
    "ConstantVarType",
    "ConstantWattType",
    "CurveDataPointsListType",
    "DERControlCLResType",
    "DERControlCPDResType",
    "DERCurveType",
    "DER_AC_CPDReqEnergyTransferMode",
    "DER_AC_CPDResEnergyTransferMode",
    "DER_Dynamic_AC_CLReqControlMode",
    "DER_Dynamic_AC_CLResControlMode",
    "DER_Scheduled_AC_CLReqControlMode",
    "DER_Scheduled_AC_CLResControlMode",
    "DataTupleType",
    "EVApparentPowerLimitsType",
    "EVApparentPowerType",
    "EVExcitationLimitsType",
    "EVExcitationType",
    "EVInverterDetailsType",
    "EVReactivePowerLimitsType",
    "EVReactivePowerType",
    "EVSEReactivePowerLimitsType",
    "EnterServiceCLResType",
    "EnterServiceCPDResType",
    "FrequencyDroop",
    "FrequencyDroopSettingsType",
    "FrequencyDroopType",
    "FrequencyTripType",
    "GridLimitsType",
    "LimitMaxDischargePowerType",
    "ReactivePowerSupportCLResType",
    "ReactivePowerSupportCPDResType",
    "VoltVarType",
    "VoltWattType",
    "VoltageTripType",
    "WattVarType",
    "derConnectionStatusType",
    "derOperationalStateType",
    "derUnitType",
    "evInverterHwVersionType",
    "evInverterManufacturerType",
    "evInverterModelType",
    "evInverterSerialNumberType",
    "evInverterSwVersionType",
    "gridConnectionModeType",
    "ieee1547AbnormalCategoryType",
    "ieee1547NormalCategoryType",
    "powerFactorExcitationType",
    "powerReferenceType",
    "requiredDEROperatingModeType",
]

register(
    Namespace.AC_DER_SAE,
    vars(),
    imports=(Namespace.COMMON_TYPES, Namespace.AC),
    widened=(
        AC_ChargeParameterDiscoveryReq,
        AC_ChargeParameterDiscoveryRes,
        AC_ChargeLoopReq,
        AC_ChargeLoopRes,
    ),
)
