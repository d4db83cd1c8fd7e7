"""The grid code the station hands to the vehicle's inverter: trips, entering service, and support of the grid.

In charge parameter discovery (``…CPDRes…``) it is whole; in the loop (``…CLRes…``) only what changes need stand. Each
function has an ``Enable`` and, where two want different things, a ``Priority``.
"""

from __future__ import annotations

from typing import Annotated

from pyiso15118.exi.declarations import Occurs, Struct, boolean, unsignedInt, unsignedShort
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.ac_der_sae.simple_types import derUnitType, powerFactorExcitationType, powerReferenceType


class DERControlCPDResType(Struct):
    VoltageTrip: VoltageTripType
    FrequencyTrip: FrequencyTripType
    EnterServiceCPDRes: EnterServiceCPDResType
    ReactivePowerSupportCPDRes: ReactivePowerSupportCPDResType
    ActivePowerSupportCPDRes: ActivePowerSupportCPDResType


class DERControlCLResType(Struct):
    VoltageTrip: VoltageTripType | None = None
    FrequencyTrip: FrequencyTripType | None = None
    EnterServiceCLRes: EnterServiceCLResType
    ReactivePowerSupportCLRes: ReactivePowerSupportCLResType | None = None
    ActivePowerSupportCLRes: ActivePowerSupportCLResType | None = None


class VoltageTripType(Struct):
    OverVoltageMustTripCurve: DERCurveType
    UnderVoltageMustTripCurve: DERCurveType
    OverVoltageMomentaryCessationTripCurve: DERCurveType | None = None
    UnderVoltageMomentaryCessationTripCurve: DERCurveType | None = None
    OverVoltageMayTripCurve: DERCurveType | None = None
    UnderVoltageMayTripCurve: DERCurveType | None = None


class FrequencyTripType(Struct):
    OverFrequencyMustTripCurve: DERCurveType
    UnderFrequencyMustTripCurve: DERCurveType
    OverFrequencyMayTripCurve: DERCurveType | None = None
    UnderFrequencyMayTripCurve: DERCurveType | None = None


class EnterServiceCPDResType(Struct):
    """Voltages in V, frequencies in Hz, times in s."""

    PermitService: boolean
    EnterServiceVoltageHigh: ct.RationalNumberType
    EnterServiceVoltageLow: ct.RationalNumberType
    EnterServiceFrequencyHigh: ct.RationalNumberType
    EnterServiceFrequencyLow: ct.RationalNumberType
    EnterServiceDelay: ct.RationalNumberType | None = None
    EnterServiceRandomizedDelay: ct.RationalNumberType | None = None
    EnterServiceRampTime: ct.RationalNumberType | None = None


class EnterServiceCLResType(Struct):
    """As in discovery; a threshold left out stays as it was."""

    PermitService: boolean
    EnterServiceVoltageHigh: ct.RationalNumberType | None = None
    EnterServiceVoltageLow: ct.RationalNumberType | None = None
    EnterServiceFrequencyHigh: ct.RationalNumberType | None = None
    EnterServiceFrequencyLow: ct.RationalNumberType | None = None
    EnterServiceDelay: ct.RationalNumberType | None = None
    EnterServiceRandomizedDelay: ct.RationalNumberType | None = None
    EnterServiceRampTime: ct.RationalNumberType | None = None


class ReactivePowerSupportCPDResType(Struct):
    ConstantPowerFactor: ConstantPowerFactorType
    VoltVar: VoltVarType
    WattVar: WattVarType
    ConstantVar: ConstantVarType


class ReactivePowerSupportCLResType(Struct):
    ConstantPowerFactor: ConstantPowerFactorType | None = None
    VoltVar: VoltVarType | None = None
    WattVar: WattVarType | None = None
    ConstantVar: ConstantVarType | None = None


class ActivePowerSupportCPDResType(Struct):
    FrequencyDroop: FrequencyDroopType
    VoltWatt: VoltWattType
    ConstantWatt: ConstantWattType
    LimitMaxDischargePower: LimitMaxDischargePowerType


class ActivePowerSupportCLResType(Struct):
    FrequencyDroop: FrequencyDroopType | None = None
    VoltWatt: VoltWattType | None = None
    ConstantWatt: ConstantWattType | None = None
    LimitMaxDischargePower: LimitMaxDischargePowerType | None = None


class ConstantPowerFactorType(Struct):
    """Of 1, without a sign: the direction is the excitation."""

    Enable: boolean
    Priority: unsignedShort | None = None
    PowerFactorValue: ct.RationalNumberType
    PowerFactorValue_L2: ct.RationalNumberType | None = None
    PowerFactorValue_L3: ct.RationalNumberType | None = None
    PowerFactorExcitation: powerFactorExcitationType
    PowerFactorExcitation_L2: powerFactorExcitationType | None = None
    PowerFactorExcitation_L3: powerFactorExcitationType | None = None


class ConstantVarType(Struct):
    Enable: boolean
    Priority: unsignedShort | None = None
    VarSetpoint: ct.RationalNumberType
    VarSetpoint_L2: ct.RationalNumberType | None = None
    VarSetpoint_L3: ct.RationalNumberType | None = None
    Unit: derUnitType


class ConstantWattType(Struct):
    Enable: boolean
    Priority: unsignedShort | None = None
    WattSetpoint: ct.RationalNumberType
    WattSetpoint_L2: ct.RationalNumberType | None = None
    WattSetpoint_L3: ct.RationalNumberType | None = None
    Unit: derUnitType


class DERCurveType(Struct):
    """A trip curve: see the package on which axis is the time."""

    Enable: boolean
    Priority: unsignedShort | None = None
    xUnit: derUnitType
    yUnit: derUnitType
    CurveDataPoints: CurveDataPointsListType
    CurveDataPoints_L2: CurveDataPointsListType | None = None
    CurveDataPoints_L3: CurveDataPointsListType | None = None


class VoltVarType(Struct):
    """``OpenLoopResponseTime`` in s, ``ReferenceVoltage`` in V."""

    Enable: boolean
    Priority: unsignedShort | None = None
    xUnit: derUnitType
    yUnit: derUnitType
    CurveDataPoints: CurveDataPointsListType
    CurveDataPoints_L2: CurveDataPointsListType | None = None
    CurveDataPoints_L3: CurveDataPointsListType | None = None
    OpenLoopResponseTime: ct.RationalNumberType
    TimeConstantPT1: unsignedInt | None = None
    ReferenceVoltage: ct.RationalNumberType
    AutonomousReferenceVoltageAdjustmentEnable: boolean
    ReferenceVoltageAdjustmentTimeConstant: unsignedInt


class WattVarType(Struct):
    Enable: boolean
    Priority: unsignedShort | None = None
    xUnit: derUnitType
    yUnit: derUnitType
    CurveDataPoints: CurveDataPointsListType
    CurveDataPoints_L2: CurveDataPointsListType | None = None
    CurveDataPoints_L3: CurveDataPointsListType | None = None
    OpenLoopResponseTime: ct.RationalNumberType | None = None
    TimeConstantPT1: unsignedInt | None = None


class VoltWattType(Struct):
    Enable: boolean
    Priority: unsignedShort | None = None
    xUnit: derUnitType
    yUnit: derUnitType
    CurveDataPoints: CurveDataPointsListType
    CurveDataPoints_L2: CurveDataPointsListType | None = None
    CurveDataPoints_L3: CurveDataPointsListType | None = None
    OpenLoopResponseTime: ct.RationalNumberType
    TimeConstantPT1: unsignedInt | None = None


class CurveDataPointsListType(Struct):
    CurveDataPoint: Annotated[list[DataTupleType], Occurs(2, 10)]


class DataTupleType(Struct):
    xValue: ct.RationalNumberType
    yValue: ct.RationalNumberType


class FrequencyDroop(Struct):
    """A global element, though only its type is ever used."""

    Enable: boolean
    Priority: unsignedShort | None = None
    OverFrequencyDroop: FrequencyDroopSettingsType | None = None
    UnderFrequencyDroop: FrequencyDroopSettingsType | None = None


class FrequencyDroopSettingsType(Struct):
    """``db`` is the dead band in Hz, ``OpenLoopResponseTime`` in s."""

    db: ct.RationalNumberType
    DroopFactor: ct.RationalNumberType
    DroopFactor_L2: ct.RationalNumberType | None = None
    DroopFactor_L3: ct.RationalNumberType | None = None
    PowerReference: powerReferenceType
    PowerReference_L2: powerReferenceType | None = None
    PowerReference_L3: powerReferenceType | None = None
    OpenLoopResponseTime: ct.RationalNumberType


class LimitMaxDischargePowerType(Struct):
    """In percent; ``OpenLoopResponseTime`` in s."""

    Enable: boolean
    Priority: unsignedShort | None = None
    PercentageValue: unsignedShort
    PercentageValue_L2: unsignedShort | None = None
    PercentageValue_L3: unsignedShort | None = None
    OpenLoopResponseTime: ct.RationalNumberType | None = None


# Within a class body a field's name hides the class of the same name, so this type goes by the XSD's type name there.
FrequencyDroopType = FrequencyDroop
