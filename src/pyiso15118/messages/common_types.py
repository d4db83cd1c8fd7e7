"""Types shared by all ISO 15118-20 namespaces (V2G_CI_CommonTypes.xsd)."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

from pyiso15118.exi.declarations import (
    Binary,
    Integer,
    Occurs,
    String,
    Struct,
    boolean,
    byte,
    short,
    unsignedInt,
    unsignedLong,
    unsignedShort,
)
from pyiso15118.exi.schema import register
from pyiso15118.messages import xmldsig
from pyiso15118.messages.namespaces import Namespace

numericIDType = Annotated[int, Integer(1, 4294967295)]
sessionIDType = Annotated[bytes, Binary(8, 8, hexadecimal=True, shorter=True)]
percentValueType = Annotated[int, Integer(0, 100)]
identifierType = Annotated[str, String(255)]
nameType = Annotated[str, String(80)]
descriptionType = Annotated[str, String(160)]
meterIDType = Annotated[str, String(32)]
meterSignatureType = Annotated[bytes, Binary(0, 64)]


def _scaled(value: float, exponent: int) -> int:
    return round(value / 10**exponent) if exponent >= 0 else round(value * 10.0**-exponent)


class evseNotificationType(StrEnum):
    Pause = "Pause"
    ExitStandby = "ExitStandby"
    Terminate = "Terminate"
    ScheduleRenegotiation = "ScheduleRenegotiation"
    ServiceRenegotiation = "ServiceRenegotiation"
    MeteringConfirmation = "MeteringConfirmation"


class processingType(StrEnum):
    Finished = "Finished"
    Ongoing = "Ongoing"
    Ongoing_WaitingForCustomerInteraction = "Ongoing_WaitingForCustomerInteraction"


class responseCodeType(StrEnum):
    OK = "OK"
    OK_CertificateExpiresSoon = "OK_CertificateExpiresSoon"
    OK_NewSessionEstablished = "OK_NewSessionEstablished"
    OK_OldSessionJoined = "OK_OldSessionJoined"
    OK_PowerToleranceConfirmed = "OK_PowerToleranceConfirmed"
    WARNING_AuthorizationSelectionInvalid = "WARNING_AuthorizationSelectionInvalid"
    WARNING_CertificateExpired = "WARNING_CertificateExpired"
    WARNING_CertificateNotYetValid = "WARNING_CertificateNotYetValid"
    WARNING_CertificateRevoked = "WARNING_CertificateRevoked"
    WARNING_CertificateValidationError = "WARNING_CertificateValidationError"
    WARNING_ChallengeInvalid = "WARNING_ChallengeInvalid"
    WARNING_EIMAuthorizationFailure = "WARNING_EIMAuthorizationFailure"
    WARNING_eMSPUnknown = "WARNING_eMSPUnknown"
    WARNING_EVPowerProfileViolation = "WARNING_EVPowerProfileViolation"
    WARNING_GeneralPnCAuthorizationError = "WARNING_GeneralPnCAuthorizationError"
    WARNING_NoCertificateAvailable = "WARNING_NoCertificateAvailable"
    WARNING_NoContractMatchingPCIDFound = "WARNING_NoContractMatchingPCIDFound"
    WARNING_PowerToleranceNotConfirmed = "WARNING_PowerToleranceNotConfirmed"
    WARNING_ScheduleRenegotiationFailed = "WARNING_ScheduleRenegotiationFailed"
    WARNING_StandbyNotAllowed = "WARNING_StandbyNotAllowed"
    WARNING_WPT = "WARNING_WPT"
    FAILED = "FAILED"
    FAILED_AssociationError = "FAILED_AssociationError"
    FAILED_ContactorError = "FAILED_ContactorError"
    FAILED_EVPowerProfileInvalid = "FAILED_EVPowerProfileInvalid"
    FAILED_EVPowerProfileViolation = "FAILED_EVPowerProfileViolation"
    FAILED_MeteringSignatureNotValid = "FAILED_MeteringSignatureNotValid"
    FAILED_NoEnergyTransferServiceSelected = "FAILED_NoEnergyTransferServiceSelected"
    FAILED_NoServiceRenegotiationSupported = "FAILED_NoServiceRenegotiationSupported"
    FAILED_PauseNotAllowed = "FAILED_PauseNotAllowed"
    FAILED_PowerDeliveryNotApplied = "FAILED_PowerDeliveryNotApplied"
    FAILED_PowerToleranceNotConfirmed = "FAILED_PowerToleranceNotConfirmed"
    FAILED_ScheduleRenegotiation = "FAILED_ScheduleRenegotiation"
    FAILED_ScheduleSelectionInvalid = "FAILED_ScheduleSelectionInvalid"
    FAILED_SequenceError = "FAILED_SequenceError"
    FAILED_ServiceIDInvalid = "FAILED_ServiceIDInvalid"
    FAILED_ServiceSelectionInvalid = "FAILED_ServiceSelectionInvalid"
    FAILED_SignatureError = "FAILED_SignatureError"
    FAILED_UnknownSession = "FAILED_UnknownSession"
    FAILED_WrongChargeParameter = "FAILED_WrongChargeParameter"


class MessageHeaderType(Struct):
    SessionID: sessionIDType
    TimeStamp: unsignedLong
    Signature: xmldsig.Signature | None = None


class V2GMessageType(Struct):
    """Abstract."""

    Header: MessageHeaderType


class V2GRequestType(V2GMessageType):
    """Abstract."""


class V2GResponseType(V2GMessageType):
    """Abstract."""

    ResponseCode: responseCodeType


class ChargeParameterDiscoveryReqType(V2GRequestType):
    """Abstract."""


class ChargeParameterDiscoveryResType(V2GResponseType):
    """Abstract."""


class ChargeLoopReqType(V2GRequestType):
    """Abstract."""

    DisplayParameters: DisplayParametersType | None = None
    MeterInfoRequested: boolean


class ChargeLoopResType(V2GResponseType):
    """Abstract."""

    EVSEStatus: EVSEStatusType | None = None
    MeterInfo: MeterInfoType | None = None
    Receipt: ReceiptType | None = None


class CLReqControlMode(Struct):
    """Abstract."""


class CLResControlMode(Struct):
    """Abstract."""


class Scheduled_CLReqControlModeType(CLReqControlMode):
    """Abstract."""

    EVTargetEnergyRequest: RationalNumberType | None = None
    EVMaximumEnergyRequest: RationalNumberType | None = None
    EVMinimumEnergyRequest: RationalNumberType | None = None


class Scheduled_CLResControlModeType(CLResControlMode):
    """Abstract."""


class Dynamic_CLReqControlModeType(CLReqControlMode):
    """Abstract."""

    DepartureTime: unsignedInt | None = None
    EVTargetEnergyRequest: RationalNumberType
    EVMaximumEnergyRequest: RationalNumberType
    EVMinimumEnergyRequest: RationalNumberType


class Dynamic_CLResControlModeType(CLResControlMode):
    """Abstract."""

    DepartureTime: unsignedInt | None = None
    MinimumSOC: percentValueType | None = None
    TargetSOC: percentValueType | None = None
    AckMaxDelay: unsignedShort | None = None


class DisplayParametersType(Struct):
    PresentSOC: percentValueType | None = None
    MinimumSOC: percentValueType | None = None
    TargetSOC: percentValueType | None = None
    MaximumSOC: percentValueType | None = None
    RemainingTimeToMinimumSOC: unsignedInt | None = None
    RemainingTimeToTargetSOC: unsignedInt | None = None
    RemainingTimeToMaximumSOC: unsignedInt | None = None
    ChargingComplete: boolean | None = None
    BatteryEnergyCapacity: RationalNumberType | None = None
    InletHot: boolean | None = None


class EVSEStatusType(Struct):
    NotificationMaxDelay: unsignedShort
    EVSENotification: evseNotificationType


class RationalNumberType(Struct):
    """``Value`` times ten to the ``Exponent``, in the unit its element implies (W, A, V, Wh, s)."""

    Exponent: byte
    Value: short

    @classmethod
    def of(cls, value: float) -> RationalNumberType:
        """The nearest representable number: five or four significant digits, exact for integers up to 32767.

        Raises ``ValueError`` for what is no finite number and for magnitudes above 32767e127.
        """
        try:
            finite = math.isfinite(value)
        except OverflowError:
            raise ValueError("an integer this large is beyond the largest RationalNumber, 32767e127") from None
        if not finite:
            raise ValueError(f"{value} is no finite number and has no RationalNumber form")
        if -32768 <= value <= 32767 and value == int(value):
            return cls(Exponent=0, Value=int(value))
        exponent = max(math.ceil(math.log10(abs(value)) - math.log10(32767)) - 1, -128)
        mantissa = _scaled(value, exponent)
        while not -32768 <= mantissa <= 32767:
            exponent += 1
            mantissa = _scaled(value, exponent)
        while exponent < 0 and mantissa % 10 == 0:
            mantissa //= 10
            exponent += 1
        if exponent > 127:
            raise ValueError(f"{value} is beyond the largest RationalNumber, 32767e127")
        return cls(Exponent=exponent, Value=mantissa)

    def to_float(self) -> float:
        """The number as a float, correctly rounded."""
        if self.Exponent >= 0:
            return float(self.Value * 10**self.Exponent)
        return float(self.Value / 10**-self.Exponent)

    __float__ = to_float


class MeterInfoType(Struct):
    MeterID: meterIDType
    ChargedEnergyReadingWh: unsignedLong
    BPT_DischargedEnergyReadingWh: unsignedLong | None = None
    CapacitiveEnergyReadingVARh: unsignedLong | None = None
    BPT_InductiveEnergyReadingVARh: unsignedLong | None = None
    MeterSignature: meterSignatureType | None = None
    MeterStatus: short | None = None
    MeterTimestamp: unsignedLong | None = None


class DetailedCostType(Struct):
    Amount: RationalNumberType
    CostPerUnit: RationalNumberType


class DetailedTaxType(Struct):
    TaxRuleID: numericIDType
    Amount: RationalNumberType


class ReceiptType(Struct):
    TimeAnchor: unsignedLong
    EnergyCosts: DetailedCostType | None = None
    OccupancyCosts: DetailedCostType | None = None
    AdditionalServicesCosts: DetailedCostType | None = None
    OverstayCosts: DetailedCostType | None = None
    TaxCosts: Annotated[list[DetailedTaxType] | None, Occurs(0, 10)] = None


class ListOfRootCertificateIDsType(Struct):
    RootCertificateID: Annotated[list[xmldsig.X509IssuerSerialType], Occurs(1, 20)]


ABSTRACT = (
    V2GMessageType,
    V2GRequestType,
    V2GResponseType,
    ChargeParameterDiscoveryReqType,
    ChargeParameterDiscoveryResType,
    ChargeLoopReqType,
    ChargeLoopResType,
    CLReqControlMode,
    CLResControlMode,
    Scheduled_CLReqControlModeType,
    Scheduled_CLResControlModeType,
    Dynamic_CLReqControlModeType,
    Dynamic_CLResControlModeType,
)

register(Namespace.COMMON_TYPES, vars(), imports=(Namespace.XMLDSIG,), abstract=ABSTRACT)
