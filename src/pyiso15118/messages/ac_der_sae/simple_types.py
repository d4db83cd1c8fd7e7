"""Simple types of AC_DER_SAE: enumerations and lengths."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pyiso15118.exi.declarations import String

evInverterSwVersionType = Annotated[str, String(32)]
evInverterHwVersionType = Annotated[str, String(32)]
evInverterManufacturerType = Annotated[str, String(32)]
evInverterModelType = Annotated[str, String(32)]
evInverterSerialNumberType = Annotated[str, String(32)]


class derUnitType(StrEnum):
    V = "V"
    Hz = "Hz"
    W = "W"
    s = "s"
    var = "var"
    PercentageEVMaximumConfiguredActivePower = "PercentageEVMaximumConfiguredActivePower"
    PercentageEVMaximumConfiguredReactivePower = "PercentageEVMaximumConfiguredReactivePower"
    PercentageEVMaximumConfiguredApparentPower = "PercentageEVMaximumConfiguredApparentPower"
    PercentageEVMaximumAvailableActivePower = "PercentageEVMaximumAvailableActivePower"
    PercentageEVMaximumAvailableReactivePower = "PercentageEVMaximumAvailableReactivePower"
    PercentageV = "PercentageV"


class ieee1547NormalCategoryType(StrEnum):
    CategoryA = "CategoryA"
    CategoryB = "CategoryB"


class ieee1547AbnormalCategoryType(StrEnum):
    CategoryI = "CategoryI"
    CategoryII = "CategoryII"
    CategoryIII = "CategoryIII"


class derOperationalStateType(StrEnum):
    On = "On"
    Off = "Off"


class derConnectionStatusType(StrEnum):
    Disconnected = "Disconnected"
    Connected = "Connected"


class powerFactorExcitationType(StrEnum):
    OverExcited = "OverExcited"
    UnderExcited = "UnderExcited"


class powerReferenceType(StrEnum):
    MaximumActivePower = "MaximumActivePower"
    MomentaryPower = "MomentaryPower"


class requiredDEROperatingModeType(StrEnum):
    GridFollowing = "GridFollowing"
    GridForming = "GridForming"


class gridConnectionModeType(StrEnum):
    GridConnected = "GridConnected"
    GridIslanded = "GridIslanded"
