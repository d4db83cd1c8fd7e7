"""Messages of AC_DER_IEC: the vehicle's own inverter as a distributed energy resource by European grid codes.

The schema (V2G_CI_AC_DER_IEC.xsd, ISO 15118-20 Amendment 1) has no messages of its own: it imports that of AC and adds
DER modes to the substitution groups of its messages, so that these have other event codes here. Names, types, bounds
and order are those of ISO's free schema, and the same as EVerest's codec documents them (EVerest/EVerest,
``lib/everest/cbv2g/include/cbv2g/iso_20/iso20_AC_DER_IEC_Datatypes.h``); meanings and units are what EVerest's sources
quote from Annex L.

Units: W, var, V, Hz, s, Wh. There are no trip curves and no conditions for entering service: those are SAE's alone.
What the station demands is agreed on before, by the bits of the service parameter ``DERControlFunctions``.

Not established by any public source, so that nothing should rely on it:

- what a ``GridEventCondition`` other than 0 (no event) means; it is a code of a table of IEC 61851-1;
- the base of ``Slope`` (of examples, 0.4 fits per unit of the reference power and Hz, 40 percent) and the unit of
  ``PowerUpRamp``;
- the unit of ``MaximumLevelDCInjection`` (examples have 0.5) and the scale of the K factors;
- the unit of the intentional delays, two bytes long for frequency and four for voltage;
- the ``yUnit`` of a power factor curve, for which none fits, and whether points must rise in x;
- whether voltages are phase to neutral, as examples of 185 V to 253 V suggest;
- the sign of discharge powers and of injected reactive power: Amendment 1 has zero or negative in limits, examples
  have positive, on curves and in set-points as well;
- the fragments of peers whose schema includes AC's instead of importing it, as one public codec's does: documents are
  the same bits either way, the event codes of signed fragments are not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pyiso15118.exi.declarations import (
    ONE_OF,
    Occurs,
    Struct,
    boolean,
    unsignedByte,
    unsignedInt,
    unsignedShort,
)
from pyiso15118.exi.schema import register
from pyiso15118.messages import ac
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.namespaces import Namespace


class powerFactorExcitationType(StrEnum):
    OverExcited = "OverExcited"
    UnderExcited = "UnderExcited"


class curveDataPointsUnitType(StrEnum):
    V = "V"
    Hz = "Hz"
    W = "W"
    s = "s"
    var = "var"


class lockValueUnitType(StrEnum):
    V = "V"
    Hz = "Hz"
    W = "W"
    s = "s"
    var = "var"


class powerReferenceType(StrEnum):
    MaximumDischargePower = "MaximumDischargePower"
    MomentaryPower = "MomentaryPower"


class evOperatingModeType(StrEnum):
    GridFollowing = "GridFollowing"
    GridForming = "GridForming"


class gridConnectionModeType(StrEnum):
    GridConnected = "GridConnected"
    GridIslanded = "GridIslanded"


class AC_ChargeParameterDiscoveryReq(ac.AC_ChargeParameterDiscoveryReq):
    AC_CPDReqEnergyTransferMode: (
        ac.BPT_AC_CPDReqEnergyTransferMode | DER_AC_CPDReqEnergyTransferMode | ac.AC_CPDReqEnergyTransferMode
    )


class AC_ChargeParameterDiscoveryRes(ac.AC_ChargeParameterDiscoveryRes):
    AC_CPDResEnergyTransferMode: (
        ac.BPT_AC_CPDResEnergyTransferMode | DER_AC_CPDResEnergyTransferMode | ac.AC_CPDResEnergyTransferMode
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
    """What a vehicle can do. It asks again as long as its ``EVProcessing`` is ``Ongoing`` (V2G20-3150, V2G20-3151)."""

    EVProcessing: ct.processingType
    EVMaximumDischargePower: ct.RationalNumberType
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None
    EVSessionTotalDischargeEnergyAvailable: ct.RationalNumberType | None = None
    EVReactivePowerLimits: EVReactivePowerLimitsType | None = None


class DER_AC_CPDResEnergyTransferMode(ac.AC_CPDResEnergyTransferMode):
    """What the connection permits, and the settings that hold for this session."""

    EVSENominalChargePower: ct.RationalNumberType
    EVSENominalChargePower_L2: ct.RationalNumberType | None = None
    EVSENominalChargePower_L3: ct.RationalNumberType | None = None
    EVSENominalDischargePower: ct.RationalNumberType
    EVSENominalDischargePower_L2: ct.RationalNumberType | None = None
    EVSENominalDischargePower_L3: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower: ct.RationalNumberType
    EVSEMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVOperatingMode: evOperatingModeType
    GridConnectionMode: gridConnectionModeType
    DERControl: DERControlType


class DER_Scheduled_AC_CLReqControlMode(ac.Scheduled_AC_CLReqControlMode):
    EVMaximumDischargePower: ct.RationalNumberType
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None
    EVMaximumChargeReactivePower: ct.RationalNumberType | None = None
    EVMaximumChargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMaximumChargeReactivePower_L3: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower_L3: ct.RationalNumberType | None = None
    GridEventCondition: unsignedByte


class DER_Scheduled_AC_CLResControlMode(ac.Scheduled_AC_CLResControlMode):
    EVSEMaximumChargePower: ct.RationalNumberType
    EVSEMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower: ct.RationalNumberType
    EVSEMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L3: ct.RationalNumberType | None = None
    DSOMaximumDischargePower: ct.RationalNumberType | None = None
    DSOMaximumDischargePower_L2: ct.RationalNumberType | None = None
    DSOMaximumDischargePower_L3: ct.RationalNumberType | None = None
    DSOQSetpoint: DSOQSetpointType | None = None
    DSOCosPhiSetpoint: DSOCosPhiSetpointType | None = None


class DER_Dynamic_AC_CLReqControlMode(ac.Dynamic_AC_CLReqControlMode):
    EVMaximumDischargePower: ct.RationalNumberType
    EVMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargePower: ct.RationalNumberType
    EVMinimumDischargePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargePower_L3: ct.RationalNumberType | None = None
    EVMaximumChargeReactivePower: ct.RationalNumberType | None = None
    EVMaximumChargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMaximumChargeReactivePower_L3: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower_L3: ct.RationalNumberType | None = None
    GridEventCondition: unsignedByte
    EVMaximumV2XEnergyRequest: ct.RationalNumberType | None = None
    EVMinimumV2XEnergyRequest: ct.RationalNumberType | None = None
    EVSessionTotalDischargeEnergyAvailable: ct.RationalNumberType | None = None


class DER_Dynamic_AC_CLResControlMode(ac.Dynamic_AC_CLResControlMode):
    EVSEMaximumChargePower: ct.RationalNumberType
    EVSEMaximumChargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumChargePower_L3: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower: ct.RationalNumberType
    EVSEMaximumDischargePower_L2: ct.RationalNumberType | None = None
    EVSEMaximumDischargePower_L3: ct.RationalNumberType | None = None
    DSOMaximumDischargePower: ct.RationalNumberType | None = None
    DSOMaximumDischargePower_L2: ct.RationalNumberType | None = None
    DSOMaximumDischargePower_L3: ct.RationalNumberType | None = None
    DSOQSetpoint: DSOQSetpointType | None = None
    DSOCosPhiSetpoint: DSOCosPhiSetpointType | None = None


class EVReactivePowerLimitsType(Struct):
    EVMaximumChargeReactivePower: ct.RationalNumberType
    EVMaximumChargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMaximumChargeReactivePower_L3: ct.RationalNumberType | None = None
    EVMinimumChargeReactivePower: ct.RationalNumberType | None = None
    EVMinimumChargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMinimumChargeReactivePower_L3: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower: ct.RationalNumberType
    EVMaximumDischargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMaximumDischargeReactivePower_L3: ct.RationalNumberType | None = None
    EVMinimumDischargeReactivePower: ct.RationalNumberType | None = None
    EVMinimumDischargeReactivePower_L2: ct.RationalNumberType | None = None
    EVMinimumDischargeReactivePower_L3: ct.RationalNumberType | None = None


class DERControlType(Struct):
    """Everything a grid code asks for; what is absent is not asked for."""

    OvervoltageFaultRideThrough: FaultRideThroughType | None = None
    UndervoltageFaultRideThrough: FaultRideThroughType | None = None
    ZeroCurrent: ZeroCurrentType | None = None
    ReactivePowerSupport: ReactivePowerSupportType | None = None
    ActivePowerSupport: ActivePowerSupportType | None = None
    MaximumLevelDCInjection: ct.RationalNumberType | None = None


class FaultRideThroughType(Struct):
    """Voltages at which support by reactive current starts and stops, and how fast it follows."""

    VoltageLimitStartFRT: ct.RationalNumberType
    VoltageLimitStopFRT: ct.RationalNumberType | None = None
    VoltageRecoveryLimit: ct.RationalNumberType | None = None
    VoltageRideThroughPositiveCurveKFactor: ct.RationalNumberType | None = None
    VoltageRideThroughNegativeCurveKFactor: ct.RationalNumberType | None = None
    PT1ResponseActivePower: boolean
    StepResponseTimeConstantActivePower: ct.RationalNumberType
    PT1ResponseReactivePower: boolean
    StepResponseTimeConstantReactivePower: ct.RationalNumberType


class ZeroCurrentType(Struct):
    """Voltages beyond which no current flows, and within which it may flow again."""

    OverVoltageLimit: ct.RationalNumberType | None = None
    UnderVoltageLimit: ct.RationalNumberType | None = None
    OverVoltageRecoveryLimit: ct.RationalNumberType | None = None
    UnderVoltageRecoveryLimit: ct.RationalNumberType | None = None
    PT1ResponseActivePower: boolean
    StepResponseTimeConstantActivePower: ct.RationalNumberType
    PT1ResponseReactivePower: boolean
    StepResponseTimeConstantReactivePower: ct.RationalNumberType


class ReactivePowerSupportType(Struct):
    """Exactly one curve: reactive power over voltage or over active power, or power factor over active power."""

    VoltVar: Annotated[DERCurveType | None, ONE_OF] = None
    WattVar: Annotated[DERCurveType | None, ONE_OF] = None
    WattCosPhi: Annotated[DERCurveType | None, ONE_OF] = None


class DERCurveType(Struct):
    """A characteristic curve and how fast it is followed.

    ``VoltVar`` has V on x and var on y, ``WattVar`` W and var, ``WattCosPhi`` W and a power factor with its excitation.
    """

    xUnit: curveDataPointsUnitType
    yUnit: curveDataPointsUnitType
    CurveDataPoints: CurveDataPointsListType
    MinCosPhi: ct.RationalNumberType | None = None
    LockValueUnit: lockValueUnitType | None = None
    LockInValue: ct.RationalNumberType | None = None
    LockOutValue: ct.RationalNumberType | None = None
    PT1ResponseReactivePower: boolean
    StepResponseTimeConstantReactivePower: ct.RationalNumberType
    IntentionalDelay: ct.RationalNumberType | None = None


class CurveDataPointsListType(Struct):
    CurveDataPoint: Annotated[list[DataTupleType], Occurs(2, 10)]


class DataTupleType(Struct):
    xValue: ct.RationalNumberType
    yValue: SetpointExcitationType


class SetpointExcitationType(Struct):
    SetpointValue: ct.RationalNumberType
    Excitation: powerFactorExcitationType | None = None


class ActivePowerSupportType(Struct):
    UnderFrequencyWatt: FrequencyWattType | None = None
    OverFrequencyWatt: FrequencyWattType | None = None
    VoltWatt: VoltWattType | None = None


class FrequencyWattType(Struct):
    """Active power that follows the frequency between ``Fstart`` and ``Fstop``.

    ``Fstop`` is the higher of the two for over-frequency and the lower for under-frequency.
    """

    Fstart: ct.RationalNumberType
    Fstop: ct.RationalNumberType
    IntentionalDelayFstop: unsignedShort | None = None
    Slope: ct.RationalNumberType
    DeactivationTime: unsignedShort | None = None
    IntentionalDelayPowerControl: unsignedShort | None = None
    PowerReference: powerReferenceType
    HysteresisControl: boolean
    PowerUpRamp: unsignedShort | None = None
    PT1ResponseActivePower: boolean
    StepResponseTimeConstantActivePower: ct.RationalNumberType


class VoltWattType(Struct):
    """Active power that falls as the voltage rises from ``UStart`` to ``UStop``."""

    PowerReference: powerReferenceType
    UStart: ct.RationalNumberType
    UStop: ct.RationalNumberType
    PT1ResponseActivePower: boolean
    StepResponseTimeConstantActivePower: ct.RationalNumberType
    IntentionalDelayPowerControl: unsignedInt | None = None


class DSOQSetpointType(Struct):
    """Reactive power that the distribution system operator asks for."""

    DSOQSetpointValue: ct.RationalNumberType
    DSOQSetpointValue_L2: ct.RationalNumberType | None = None
    DSOQSetpointValue_L3: ct.RationalNumberType | None = None
    PT1ResponseReactivePower: boolean
    StepResponseTimeConstantReactivePower: ct.RationalNumberType


class DSOCosPhiSetpointType(Struct):
    """Power factor that the distribution system operator asks for."""

    DSOCosPhiSetpointValue: ct.RationalNumberType
    DSOCosPhiSetpointValue_L2: ct.RationalNumberType | None = None
    DSOCosPhiSetpointValue_L3: ct.RationalNumberType | None = None
    Excitation: powerFactorExcitationType
    PT1ResponseReactivePower: boolean
    StepResponseTimeConstantReactivePower: ct.RationalNumberType


WIDENED = (
    AC_ChargeParameterDiscoveryReq,
    AC_ChargeParameterDiscoveryRes,
    AC_ChargeLoopReq,
    AC_ChargeLoopRes,
)

register(Namespace.AC_DER_IEC, vars(), imports=(Namespace.COMMON_TYPES, Namespace.AC), widened=WIDENED)
