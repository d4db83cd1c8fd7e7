"""Simple types of the common messages: enumerations, lengths and ranges."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pyiso15118.exi.declarations import Binary, Integer, String, unsignedShort

genChallengeType = Annotated[bytes, Binary(16, 16)]
serviceIDType = unsignedShort
maxSupportingPointsScheduleTupleType = Annotated[int, Integer(12, 1024)]
# The schema says 133, which is secp521r1; an X448 key has 57 and is not filled up ([V2G20-2495], [V2G20-2574]).
dhPublicKeyType = Annotated[bytes, Binary(133, 133, shorter=True)]
secp521_EncryptedPrivateKeyType = Annotated[bytes, Binary(94, 94)]
x448_EncryptedPrivateKeyType = Annotated[bytes, Binary(84, 84)]
tpm_EncryptedPrivateKeyType = Annotated[bytes, Binary(206, 206)]
currencyType = Annotated[str, String(3)]
languageType = Annotated[str, String(3)]
certificateType = Annotated[bytes, Binary(0, 1600)]


class authorizationType(StrEnum):
    EIM = "EIM"
    PnC = "PnC"


class chargeProgressType(StrEnum):
    Start = "Start"
    Stop = "Stop"
    Standby = "Standby"
    ScheduleRenegotiation = "ScheduleRenegotiation"


class channelSelectionType(StrEnum):
    Charge = "Charge"
    Discharge = "Discharge"


class ecdhCurveType(StrEnum):
    SECP521 = "SECP521"
    X448 = "X448"


class chargingSessionType(StrEnum):
    Pause = "Pause"
    Terminate = "Terminate"
    ServiceRenegotiation = "ServiceRenegotiation"


class evCheckInStatusType(StrEnum):
    CheckIn = "CheckIn"
    Processing = "Processing"
    Completed = "Completed"


class evCheckOutStatusType(StrEnum):
    CheckOut = "CheckOut"
    Processing = "Processing"
    Completed = "Completed"


class evseCheckOutStatusType(StrEnum):
    Scheduled = "Scheduled"
    Completed = "Completed"


class parkingMethodType(StrEnum):
    AutoParking = "AutoParking"
    MVGuideManual = "MVGuideManual"
    Manual = "Manual"


class powerToleranceAcceptanceType(StrEnum):
    PowerToleranceNotConfirmed = "PowerToleranceNotConfirmed"
    PowerToleranceConfirmed = "PowerToleranceConfirmed"
