"""Session, service selection, metering confirmation and vehicle check-in."""

from __future__ import annotations

from typing import Annotated

from pyiso15118.exi.declarations import (
    ATTRIBUTE,
    ID,
    ONE_OF,
    Occurs,
    Struct,
    boolean,
    byte,
    int_,
    short,
    unsignedLong,
    unsignedShort,
)
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.common_messages.simple_types import (
    chargingSessionType,
    evCheckInStatusType,
    evCheckOutStatusType,
    evseCheckOutStatusType,
    parkingMethodType,
    serviceIDType,
)


class SessionSetupReq(ct.V2GRequestType):
    EVCCID: ct.identifierType


class SessionSetupRes(ct.V2GResponseType):
    EVSEID: ct.identifierType


class ServiceDiscoveryReq(ct.V2GRequestType):
    SupportedServiceIDs: ServiceIDListType | None = None


class ServiceDiscoveryRes(ct.V2GResponseType):
    ServiceRenegotiationSupported: boolean
    EnergyTransferServiceList: ServiceListType
    VASList: ServiceListType | None = None


class ServiceDetailReq(ct.V2GRequestType):
    ServiceID: serviceIDType


class ServiceDetailRes(ct.V2GResponseType):
    ServiceID: serviceIDType
    ServiceParameterList: ServiceParameterListType


class ServiceSelectionReq(ct.V2GRequestType):
    SelectedEnergyTransferService: SelectedServiceType
    SelectedVASList: SelectedServiceListType | None = None


class ServiceSelectionRes(ct.V2GResponseType):
    pass


class MeteringConfirmationReq(ct.V2GRequestType):
    SignedMeteringData: SignedMeteringDataType


class MeteringConfirmationRes(ct.V2GResponseType):
    pass


class SessionStopReq(ct.V2GRequestType):
    ChargingSession: chargingSessionType
    EVTerminationCode: ct.nameType | None = None
    EVTerminationExplanation: ct.descriptionType | None = None


class SessionStopRes(ct.V2GResponseType):
    pass


class VehicleCheckInReq(ct.V2GRequestType):
    EVCheckInStatus: evCheckInStatusType
    ParkingMethod: parkingMethodType
    VehicleFrame: short | None = None
    DeviceOffset: short | None = None
    VehicleTravel: short | None = None


class VehicleCheckInRes(ct.V2GResponseType):
    ParkingSpace: short | None = None
    DeviceLocation: short | None = None
    TargetDistance: short | None = None


class VehicleCheckOutReq(ct.V2GRequestType):
    EVCheckOutStatus: evCheckOutStatusType
    CheckOutTime: unsignedLong


class VehicleCheckOutRes(ct.V2GResponseType):
    EVSECheckOutStatus: evseCheckOutStatusType


class ServiceIDListType(Struct):
    ServiceID: Annotated[list[serviceIDType], Occurs(1, 16)]


class ServiceType(Struct):
    ServiceID: serviceIDType
    FreeService: boolean


class ServiceListType(Struct):
    Service: Annotated[list[ServiceType], Occurs(1, 8)]


class SelectedServiceType(Struct):
    ServiceID: serviceIDType
    ParameterSetID: serviceIDType


class SelectedServiceListType(Struct):
    SelectedService: Annotated[list[SelectedServiceType], Occurs(1, 16)]


class ParameterType(Struct):
    boolValue: Annotated[boolean | None, ONE_OF] = None
    byteValue: Annotated[byte | None, ONE_OF] = None
    shortValue: Annotated[short | None, ONE_OF] = None
    intValue: Annotated[int_ | None, ONE_OF] = None
    rationalNumber: Annotated[ct.RationalNumberType | None, ONE_OF] = None
    finiteString: Annotated[ct.nameType | None, ONE_OF] = None
    Name: Annotated[ct.nameType, ATTRIBUTE]


class ParameterSetType(Struct):
    ParameterSetID: serviceIDType
    Parameter: Annotated[list[ParameterType], Occurs(1, 32)]


class ServiceParameterListType(Struct):
    ParameterSet: Annotated[list[ParameterSetType], Occurs(1, 32)]


class SignedMeteringData(Struct):
    SessionID: ct.sessionIDType
    MeterInfo: ct.MeterInfoType
    Receipt: ct.ReceiptType | None = None
    Dynamic_SMDTControlMode: Annotated[Dynamic_SMDTControlModeType | None, ONE_OF] = None
    Scheduled_SMDTControlMode: Annotated[Scheduled_SMDTControlModeType | None, ONE_OF] = None
    Id: Annotated[ID, ATTRIBUTE]


class Scheduled_SMDTControlModeType(Struct):
    SelectedScheduleTupleID: ct.numericIDType


class Dynamic_SMDTControlModeType(Struct):
    pass


class TargetPositionType(Struct):
    TargetOffsetX: unsignedShort
    TargetOffsetY: unsignedShort


# Within a class body a field's name hides the class of the same name, so the type goes by the XSD's type name there.
SignedMeteringDataType = SignedMeteringData
