"""The XML namespaces whose messages this package knows."""

from enum import StrEnum


class Namespace(StrEnum):
    """Target namespace of a schema; what a V2GTP payload type selects."""

    AC = "urn:iso:std:iso:15118:-20:AC"
    ACDP = "urn:iso:std:iso:15118:-20:ACDP"
    AC_DER_IEC = "urn:iso:std:iso:15118:-20:AC-DER-IEC"
    AC_DER_SAE = "urn:iso:std:iso:15118:-20:AC-DER-SAE"
    APP_PROTOCOL = "urn:iso:15118:2:2010:AppProtocol"
    COMMON_MESSAGES = "urn:iso:std:iso:15118:-20:CommonMessages"
    COMMON_TYPES = "urn:iso:std:iso:15118:-20:CommonTypes"
    DC = "urn:iso:std:iso:15118:-20:DC"
    WPT = "urn:iso:std:iso:15118:-20:WPT"
    XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
