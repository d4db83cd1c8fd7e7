"""The handshake that agrees on a protocol (V2G_CI_AppProtocol.xsd)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pyiso15118.exi.declarations import Integer, Occurs, String, Struct, unsignedByte, unsignedInt
from pyiso15118.exi.schema import register
from pyiso15118.messages.namespaces import Namespace

idType = unsignedByte
protocolNameType = Annotated[str, String(30)]
protocolNamespaceType = Annotated[str, String(100)]
priorityType = Annotated[int, Integer(1, 20)]


class responseCodeType(StrEnum):
    OK_SuccessfulNegotiation = "OK_SuccessfulNegotiation"
    OK_SuccessfulNegotiationWithMinorDeviation = "OK_SuccessfulNegotiationWithMinorDeviation"
    Failed_NoNegotiation = "Failed_NoNegotiation"


class AppProtocolType(Struct):
    """One protocol a vehicle speaks. ``Priority`` 1 is the most wanted."""

    ProtocolNamespace: protocolNamespaceType
    VersionNumberMajor: unsignedInt
    VersionNumberMinor: unsignedInt
    SchemaID: idType
    Priority: priorityType


class supportedAppProtocolReq(Struct):
    AppProtocol: Annotated[list[AppProtocolType], Occurs(1, 20)]


class supportedAppProtocolRes(Struct):
    ResponseCode: responseCodeType
    SchemaID: idType | None = None


register(Namespace.APP_PROTOCOL, vars())
