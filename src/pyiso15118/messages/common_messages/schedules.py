"""Schedules, prices and power profiles, and the messages that exchange them."""

from __future__ import annotations

from typing import Annotated

from pyiso15118.exi.declarations import (
    AT_MOST_ONE_OF,
    ATTRIBUTE,
    ID,
    ONE_OF,
    Occurs,
    Struct,
    boolean,
    unsignedByte,
    unsignedInt,
    unsignedLong,
    unsignedShort,
)
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.common_messages.simple_types import (
    channelSelectionType,
    chargeProgressType,
    currencyType,
    languageType,
    maxSupportingPointsScheduleTupleType,
    powerToleranceAcceptanceType,
)


class ScheduleExchangeReq(ct.V2GRequestType):
    MaximumSupportingPoints: maxSupportingPointsScheduleTupleType
    Dynamic_SEReqControlMode: Annotated[Dynamic_SEReqControlModeType | None, ONE_OF] = None
    Scheduled_SEReqControlMode: Annotated[Scheduled_SEReqControlModeType | None, ONE_OF] = None


class ScheduleExchangeRes(ct.V2GResponseType):
    EVSEProcessing: ct.processingType
    GoToPause: boolean | None = None
    Dynamic_SEResControlMode: Annotated[Dynamic_SEResControlModeType | None, ONE_OF] = None
    Scheduled_SEResControlMode: Annotated[Scheduled_SEResControlModeType | None, ONE_OF] = None


class PowerDeliveryReq(ct.V2GRequestType):
    EVProcessing: ct.processingType
    ChargeProgress: chargeProgressType
    EVPowerProfile: EVPowerProfileType | None = None
    BPT_ChannelSelection: channelSelectionType | None = None


class PowerDeliveryRes(ct.V2GResponseType):
    EVSEStatus: ct.EVSEStatusType | None = None


class ScheduleTupleType(Struct):
    ScheduleTupleID: ct.numericIDType
    ChargingSchedule: ChargingScheduleType
    DischargingSchedule: ChargingScheduleType | None = None


class ChargingScheduleType(Struct):
    PowerSchedule: PowerScheduleType
    AbsolutePriceSchedule: Annotated[AbsolutePriceScheduleType | None, AT_MOST_ONE_OF] = None
    PriceLevelSchedule: Annotated[PriceLevelScheduleType | None, AT_MOST_ONE_OF] = None


class Scheduled_SEReqControlModeType(Struct):
    DepartureTime: unsignedInt | None = None
    EVTargetEnergyRequest: ct.RationalNumberType | None = None
    EVMaximumEnergyRequest: ct.RationalNumberType | None = None
    EVMinimumEnergyRequest: ct.RationalNumberType | None = None
    EVEnergyOffer: EVEnergyOfferType | None = None


class Scheduled_SEResControlModeType(Struct):
    ScheduleTuple: Annotated[list[ScheduleTupleType], Occurs(1, 3)]


class Dynamic_SEReqControlModeType(Struct):
    DepartureTime: unsignedInt
    MinimumSOC: ct.percentValueType | None = None
    TargetSOC: ct.percentValueType | None = None
    EVTargetEnergyRequest: ct.RationalNumberType
    EVMaximumEnergyRequest: ct.RationalNumberType
    EVMinimumEnergyRequest: ct.RationalNumberType
    EVMaximumV2XEnergyRequest: ct.RationalNumberType | None = None
    EVMinimumV2XEnergyRequest: ct.RationalNumberType | None = None


class Dynamic_SEResControlModeType(Struct):
    DepartureTime: unsignedInt | None = None
    MinimumSOC: ct.percentValueType | None = None
    TargetSOC: ct.percentValueType | None = None
    AbsolutePriceSchedule: Annotated[AbsolutePriceScheduleType | None, AT_MOST_ONE_OF] = None
    PriceLevelSchedule: Annotated[PriceLevelScheduleType | None, AT_MOST_ONE_OF] = None


class PowerScheduleType(Struct):
    TimeAnchor: unsignedLong
    AvailableEnergy: ct.RationalNumberType | None = None
    PowerTolerance: ct.RationalNumberType | None = None
    PowerScheduleEntries: PowerScheduleEntryListType


class PowerScheduleEntryListType(Struct):
    PowerScheduleEntry: Annotated[list[PowerScheduleEntryType], Occurs(1, 1024, open_grammar=True)]


class PowerScheduleEntryType(Struct):
    Duration: unsignedInt
    Power: ct.RationalNumberType
    Power_L2: ct.RationalNumberType | None = None
    Power_L3: ct.RationalNumberType | None = None


class PriceScheduleType(Struct):
    """Abstract."""

    TimeAnchor: unsignedLong
    PriceScheduleID: ct.numericIDType
    PriceScheduleDescription: ct.descriptionType | None = None


class PriceLevelScheduleType(PriceScheduleType):
    NumberOfPriceLevels: unsignedByte
    PriceLevelScheduleEntries: PriceLevelScheduleEntryListType
    Id: Annotated[ID | None, ATTRIBUTE] = None


class PriceLevelScheduleEntryListType(Struct):
    PriceLevelScheduleEntry: Annotated[list[PriceLevelScheduleEntryType], Occurs(1, 1024, open_grammar=True)]


class PriceLevelScheduleEntryType(Struct):
    Duration: unsignedInt
    PriceLevel: unsignedByte


class AbsolutePriceScheduleType(PriceScheduleType):
    Currency: currencyType
    Language: languageType
    PriceAlgorithm: ct.identifierType
    MinimumCost: ct.RationalNumberType | None = None
    MaximumCost: ct.RationalNumberType | None = None
    TaxRules: TaxRuleListType | None = None
    PriceRuleStacks: PriceRuleStackListType
    OverstayRules: OverstayRuleListType | None = None
    AdditionalSelectedServices: AdditionalServiceListType | None = None
    Id: Annotated[ID | None, ATTRIBUTE] = None


class TaxRuleListType(Struct):
    TaxRule: Annotated[list[TaxRuleType], Occurs(1, 10)]


class TaxRuleType(Struct):
    TaxRuleID: ct.numericIDType
    TaxRuleName: ct.nameType | None = None
    TaxRate: ct.RationalNumberType
    TaxIncludedInPrice: boolean | None = None
    AppliesToEnergyFee: boolean
    AppliesToParkingFee: boolean
    AppliesToOverstayFee: boolean
    AppliesMinimumMaximumCost: boolean


class PriceRuleStackListType(Struct):
    PriceRuleStack: Annotated[list[PriceRuleStackType], Occurs(1, 1024, open_grammar=True)]


class PriceRuleStackType(Struct):
    Duration: unsignedInt
    PriceRule: Annotated[list[PriceRuleType], Occurs(1, 8)]


class PriceRuleType(Struct):
    EnergyFee: ct.RationalNumberType
    ParkingFee: ct.RationalNumberType | None = None
    ParkingFeePeriod: unsignedInt | None = None
    CarbonDioxideEmission: unsignedShort | None = None
    RenewableGenerationPercentage: unsignedByte | None = None
    PowerRangeStart: ct.RationalNumberType


class OverstayRuleListType(Struct):
    OverstayTimeThreshold: unsignedInt | None = None
    OverstayPowerThreshold: ct.RationalNumberType | None = None
    OverstayRule: Annotated[list[OverstayRuleType], Occurs(1, 5)]


class OverstayRuleType(Struct):
    OverstayRuleDescription: ct.descriptionType | None = None
    StartTime: unsignedInt
    OverstayFee: ct.RationalNumberType
    OverstayFeePeriod: unsignedInt


class AdditionalServiceListType(Struct):
    AdditionalService: Annotated[list[AdditionalServiceType], Occurs(1, 5)]


class AdditionalServiceType(Struct):
    ServiceName: ct.nameType
    ServiceFee: ct.RationalNumberType


class EVPowerProfileEntryListType(Struct):
    EVPowerProfileEntry: Annotated[list[PowerScheduleEntryType], Occurs(1, 2048, open_grammar=True)]


class EVPowerProfileType(Struct):
    TimeAnchor: unsignedLong
    Dynamic_EVPPTControlMode: Annotated[Dynamic_EVPPTControlModeType | None, ONE_OF] = None
    Scheduled_EVPPTControlMode: Annotated[Scheduled_EVPPTControlModeType | None, ONE_OF] = None
    EVPowerProfileEntries: EVPowerProfileEntryListType


class Scheduled_EVPPTControlModeType(Struct):
    SelectedScheduleTupleID: ct.numericIDType
    PowerToleranceAcceptance: powerToleranceAcceptanceType | None = None


class Dynamic_EVPPTControlModeType(Struct):
    pass


class EVEnergyOfferType(Struct):
    EVPowerSchedule: EVPowerScheduleType
    EVAbsolutePriceSchedule: EVAbsolutePriceScheduleType


class EVPowerScheduleType(Struct):
    TimeAnchor: unsignedLong
    EVPowerScheduleEntries: EVPowerScheduleEntryListType


class EVPowerScheduleEntryListType(Struct):
    EVPowerScheduleEntry: Annotated[list[EVPowerScheduleEntryType], Occurs(1, 1024, open_grammar=True)]


class EVPowerScheduleEntryType(Struct):
    Duration: unsignedInt
    Power: ct.RationalNumberType


class EVAbsolutePriceScheduleType(Struct):
    TimeAnchor: unsignedLong
    Currency: currencyType
    PriceAlgorithm: ct.identifierType
    EVPriceRuleStacks: EVPriceRuleStackListType


class EVPriceRuleStackListType(Struct):
    EVPriceRuleStack: Annotated[list[EVPriceRuleStackType], Occurs(1, 1024, open_grammar=True)]


class EVPriceRuleStackType(Struct):
    Duration: unsignedInt
    EVPriceRule: Annotated[list[EVPriceRuleType], Occurs(1, 8)]


class EVPriceRuleType(Struct):
    EnergyFee: ct.RationalNumberType
    PowerRangeStart: ct.RationalNumberType
