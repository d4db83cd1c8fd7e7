"""What the vehicle and the station tell of themselves and of the grid: limits, ratings and the inverter."""

from __future__ import annotations

from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.ac_der_sae.simple_types import (
    evInverterHwVersionType,
    evInverterManufacturerType,
    evInverterModelType,
    evInverterSerialNumberType,
    evInverterSwVersionType,
)


class EVApparentPowerType(Struct):
    """In VA. The vehicle's maximum now."""

    EVMaximumApparentPowerDuringChargingAndVarAbsorption: ct.RationalNumberType
    EVMaximumApparentPowerDuringChargingAndVarAbsorption_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringChargingAndVarAbsorption_L3: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringChargingAndVarInjection: ct.RationalNumberType
    EVMaximumApparentPowerDuringChargingAndVarInjection_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringChargingAndVarInjection_L3: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarAbsorption: ct.RationalNumberType
    EVMaximumApparentPowerDuringDischargingAndVarAbsorption_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarAbsorption_L3: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarInjection: ct.RationalNumberType
    EVMaximumApparentPowerDuringDischargingAndVarInjection_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarInjection_L3: ct.RationalNumberType | None = None


class EVApparentPowerLimitsType(Struct):
    """In VA. The vehicle's maximum as configured."""

    EVMaximumApparentPowerDuringChargingAndVarAbsorption: ct.RationalNumberType
    EVMaximumApparentPowerDuringChargingAndVarAbsorption_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringChargingAndVarAbsorption_L3: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringChargingAndVarInjection: ct.RationalNumberType
    EVMaximumApparentPowerDuringChargingAndVarInjection_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringChargingAndVarInjection_L3: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarAbsorption: ct.RationalNumberType
    EVMaximumApparentPowerDuringDischargingAndVarAbsorption_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarAbsorption_L3: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarInjection: ct.RationalNumberType
    EVMaximumApparentPowerDuringDischargingAndVarInjection_L2: ct.RationalNumberType | None = None
    EVMaximumApparentPowerDuringDischargingAndVarInjection_L3: ct.RationalNumberType | None = None


class EVReactivePowerType(Struct):
    """In var. The vehicle's limits now."""

    EVMaximumVarAbsorptionDuringCharging: ct.RationalNumberType
    EVMaximumVarAbsorptionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMaximumVarAbsorptionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringCharging: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringCharging: ct.RationalNumberType
    EVMaximumVarInjectionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringCharging: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMaximumVarAbsorptionDuringDischarging: ct.RationalNumberType
    EVMaximumVarAbsorptionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMaximumVarAbsorptionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringDischarging: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringDischarging: ct.RationalNumberType
    EVMaximumVarInjectionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringDischarging: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringDischarging_L3: ct.RationalNumberType | None = None


class EVReactivePowerLimitsType(Struct):
    """In var, and the susceptance (S) while discharging has ceased but the vehicle stays connected."""

    EVMaximumVarAbsorptionDuringCharging: ct.RationalNumberType
    EVMaximumVarAbsorptionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMaximumVarAbsorptionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringCharging: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringCharging: ct.RationalNumberType
    EVMaximumVarInjectionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringCharging: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringCharging_L2: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringCharging_L3: ct.RationalNumberType | None = None
    EVMaximumVarAbsorptionDuringDischarging: ct.RationalNumberType
    EVMaximumVarAbsorptionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMaximumVarAbsorptionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringDischarging: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMinimumVarAbsorptionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringDischarging: ct.RationalNumberType
    EVMaximumVarInjectionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMaximumVarInjectionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringDischarging: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVMinimumVarInjectionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVReactiveSusceptance: ct.RationalNumberType
    EVReactiveSusceptance_L2: ct.RationalNumberType | None = None
    EVReactiveSusceptance_L3: ct.RationalNumberType | None = None


class EVExcitationType(Struct):
    """Power factors (of 1) and the discharge power in W at each, now."""

    EVSpecifiedOverExcitedPowerFactor: ct.RationalNumberType | None = None
    EVSpecifiedOverExcitedPowerFactor_L2: ct.RationalNumberType | None = None
    EVSpecifiedOverExcitedPowerFactor_L3: ct.RationalNumberType | None = None
    EVSpecifiedOverExcitedDischargePower: ct.RationalNumberType
    EVSpecifiedOverExcitedDischargePower_L2: ct.RationalNumberType | None = None
    EVSpecifiedOverExcitedDischargePower_L3: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedPowerFactor: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedPowerFactor_L2: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedPowerFactor_L3: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedDischargePower: ct.RationalNumberType
    EVSpecifiedUnderExcitedDischargePower_L2: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedDischargePower_L3: ct.RationalNumberType | None = None


class EVExcitationLimitsType(Struct):
    """Power factors (of 1) and the discharge power in W at each, as configured."""

    EVSpecifiedOverExcitedPowerFactor: ct.RationalNumberType
    EVSpecifiedOverExcitedPowerFactor_L2: ct.RationalNumberType | None = None
    EVSpecifiedOverExcitedPowerFactor_L3: ct.RationalNumberType | None = None
    EVSpecifiedOverExcitedDischargePower: ct.RationalNumberType
    EVSpecifiedOverExcitedDischargePower_L2: ct.RationalNumberType | None = None
    EVSpecifiedOverExcitedDischargePower_L3: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedPowerFactor: ct.RationalNumberType
    EVSpecifiedUnderExcitedPowerFactor_L2: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedPowerFactor_L3: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedDischargePower: ct.RationalNumberType
    EVSpecifiedUnderExcitedDischargePower_L2: ct.RationalNumberType | None = None
    EVSpecifiedUnderExcitedDischargePower_L3: ct.RationalNumberType | None = None


class EVInverterDetailsType(Struct):
    EVInverterSwVersion: evInverterSwVersionType
    EVInverterHwVersion: evInverterHwVersionType | None = None
    EVInverterManufacturer: evInverterManufacturerType
    EVInverterModel: evInverterModelType
    EVInverterSerialNumber: evInverterSerialNumberType


class EVSEReactivePowerLimitsType(Struct):
    """In var. What the station and its connection bear."""

    EVSEMaximumVarAbsorptionDuringCharging: ct.RationalNumberType
    EVSEMaximumVarAbsorptionDuringCharging_L2: ct.RationalNumberType | None = None
    EVSEMaximumVarAbsorptionDuringCharging_L3: ct.RationalNumberType | None = None
    EVSEMaximumVarInjectionDuringCharging: ct.RationalNumberType
    EVSEMaximumVarInjectionDuringCharging_L2: ct.RationalNumberType | None = None
    EVSEMaximumVarInjectionDuringCharging_L3: ct.RationalNumberType | None = None
    EVSEMaximumVarAbsorptionDuringDischarging: ct.RationalNumberType
    EVSEMaximumVarAbsorptionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVSEMaximumVarAbsorptionDuringDischarging_L3: ct.RationalNumberType | None = None
    EVSEMaximumVarInjectionDuringDischarging: ct.RationalNumberType
    EVSEMaximumVarInjectionDuringDischarging_L2: ct.RationalNumberType | None = None
    EVSEMaximumVarInjectionDuringDischarging_L3: ct.RationalNumberType | None = None


class GridLimitsType(Struct):
    """In Hz and V."""

    GridNominalFrequency: ct.RationalNumberType
    GridNominalVoltage: ct.RationalNumberType
    GridNominalVoltageOffset: ct.RationalNumberType
    GridMinFrequency: ct.RationalNumberType | None = None
    GridMaxFrequency: ct.RationalNumberType | None = None
    GridMaximumVoltage: ct.RationalNumberType
    GridMinimumVoltage: ct.RationalNumberType
