"""Errors name the element and the bit, or on encoding the element and what is wrong with its value."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pyiso15118 import exi
from pyiso15118.errors import ExiError, Iso15118Error
from pyiso15118.exi.declarations import Struct
from pyiso15118.messages import Namespace, app_protocol, common_messages, common_types, dc, xmldsig

HEADER = common_types.MessageHeaderType(SessionID=bytes(8), TimeStamp=0)
OK = common_types.responseCodeType.OK
ONE = common_types.RationalNumberType(Exponent=0, Value=1)


def bits(text: str) -> bytes:
    """Bits, blanks between them for the reader's sake, padded to bytes with zeros."""
    digits = text.replace(" ", "")
    return int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8))


START = "10000000"
SESSION_SETUP_REQ = "100011"
HEADER_BITS = "0 0 0 00001000" + "0" * 64 + "0 0 0 00000000 0 01"
"""SessionID of eight zero bytes, TimeStamp 0, no Signature."""
PRE_CHARGE_RES = START + bin(64 + exi.codec.document_grammar(Namespace.DC).codes["DC_PreChargeRes", Namespace.DC])[3:]


@pytest.mark.parametrize(
    ("namespace", "data", "element", "bit", "reason"),
    [
        pytest.param(Namespace.DC, b"", "", 0, "no EXI header byte 0x80", id="empty"),
        pytest.param(Namespace.DC, b"$EXI\x80", "", 0, "no EXI header byte 0x80 but 0x24", id="cookie"),
        pytest.param(Namespace.DC, b"\xa0\0", "", 0, "no EXI header byte 0x80 but 0xa0", id="options in the header"),
        pytest.param(Namespace.DC, b"\x80", "", 8, "ends", id="header only"),
        pytest.param(
            Namespace.COMMON_MESSAGES, bits(START + "111111"), "", 14, "event code not permitted", id="no such element"
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + "1"),
            "SessionSetupReq/Header",
            15,
            "event code not permitted",
            id="escape code at the first element",
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + "0 0 0 00001001" + "0" * 72),
            "SessionSetupReq/Header/SessionID",
            25,
            "9 bytes, where 0 to 8 are permitted",
            id="session ID too long",
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + "0 0 0 00001000" + "0" * 64 + "0 0 0" + "1" * 96),
            "SessionSetupReq/Header/TimeStamp",
            172,
            "integer of more than 64 bits",
            id="integer without an end",
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + HEADER_BITS + "0 0 00000001 0 0"),
            "SessionSetupReq/EVCCID",
            113,
            "string table hit",
            id="string table hit",
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + HEADER_BITS + "0 0 10000010 00000010" + "0" * 8 * 256),
            "SessionSetupReq/EVCCID",
            121,
            "256 characters, where 0 to 255 are permitted",
            id="string too long",
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + HEADER_BITS + "0 0 00000011 10000000 10110000 00000011 0 0"),
            "SessionSetupReq/EVCCID",
            137,
            "code point 0xd800 is no character",
            id="half a surrogate pair",
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + HEADER_BITS + "0 0 00000100 01000001"),
            "SessionSetupReq/EVCCID",
            128,
            "the input ends within the element",
            id="string cut short",
        ),
        pytest.param(
            Namespace.COMMON_MESSAGES,
            bits(START + SESSION_SETUP_REQ + HEADER_BITS + "0 0 00000011 01000001 0 0" + "0" * 16),
            "SessionSetupReq",
            123,
            "2 bytes follow the end of the message",
            id="trailing garbage",
        ),
        pytest.param(
            Namespace.DC,
            bits(PRE_CHARGE_RES + HEADER_BITS + "0 0 101000"),
            "DC_PreChargeRes/ResponseCode",
            111,
            "value 40 of responseCodeType, which has 40",
            id="enumeration beyond its values",
        ),
        pytest.param(
            Namespace.DC,
            bits(PRE_CHARGE_RES + HEADER_BITS + "0 0 000000 0 0 0 0 10000000 0 0 0 1 11111111 11111111 00000011 0 0 0"),
            "DC_PreChargeRes/EVSEPresentVoltage/Value",
            151,
            "-65536 is outside -32768 to 32767",
            id="number outside its type",
        ),
        pytest.param(
            Namespace.APP_PROTOCOL,
            bits(START + "00" + "0" + "0 0 00000011 01000001 0 0 0 00000001 0 0 0 00000000 0 0 0 00000001 0 0 0 11111"),
            "supportedAppProtocolReq/AppProtocol/Priority",
            70,
            "32 is outside 1 to 20",
            id="n-bit number outside its range",
        ),
    ],
)
def test_decoding_stops_at_the_element_and_bit(
    namespace: Namespace, data: bytes, element: str, bit: int, reason: str
) -> None:
    with pytest.raises(ExiError, match=reason) as caught:
        exi.decode(namespace, data)
    assert (caught.value.element, caught.value.bit) == (element, bit)
    assert f"{element or 'document'} at bit {bit}" in str(caught.value)


def test_dirty_padding_is_accepted_and_an_empty_string_in_both_its_forms() -> None:
    start = START + SESSION_SETUP_REQ + HEADER_BITS
    for text in ("0 0 00000010 0 0 111", "0 1 000 0 11"):
        message = exi.decode(Namespace.COMMON_MESSAGES, bits(start + text))
        assert message == common_messages.SessionSetupReq(Header=HEADER, EVCCID="")


def test_a_list_above_its_bound_is_refused() -> None:
    item = "0 0 00000011 01000001 0 0 0 00000001 0 0 0 00000000 0 0 0 00000001 0 0 0 00000 0 0"
    start = START + "00" + "0"
    full = exi.decode(Namespace.APP_PROTOCOL, bits(start + "00".join([item] * 20) + "0"))
    assert isinstance(full, app_protocol.supportedAppProtocolReq)
    assert len(full.AppProtocol) == 20
    with pytest.raises(ExiError, match="event code") as caught:
        exi.decode(Namespace.APP_PROTOCOL, bits(start + "00".join([item] * 20) + "10" + item + "0"))
    assert caught.value.element == "supportedAppProtocolReq/AppProtocol"


def test_a_list_whose_event_codes_stay_open_is_bounded_all_the_same() -> None:
    entry = common_messages.PriceLevelScheduleEntryType(Duration=0, PriceLevel=0)
    entries = common_messages.PriceLevelScheduleEntryListType(PriceLevelScheduleEntry=[entry] * 1024)
    full = exi.encode_fragment(entries, Namespace.COMMON_MESSAGES)
    assert exi.decode_fragment(Namespace.COMMON_MESSAGES, full) == entries
    digits = bin(int.from_bytes(full))[2:]
    another = "00" + "0" * 23  # its event code, then an entry of zeros
    first = 8 + 9 + 1  # header, fragment event code, event code of the first entry
    with pytest.raises(ExiError, match="1025 items, where 1 to 1024 are permitted"):
        exi.decode_fragment(Namespace.COMMON_MESSAGES, bits(digits[:first] + another + digits[first:]))


def test_an_element_wildcard_and_text_are_refused_where_they_stand() -> None:
    # CanonicalizationMethod: after its attribute come a wildcard (00), the end (01) or text (10).
    method = xmldsig.CanonicalizationMethod(Algorithm="a")
    data = exi.encode(method)
    start = 8 + exi.codec.document_grammar(Namespace.XMLDSIG).width + 1 + 8 + 8
    digits = bin(int.from_bytes(data))[2:]
    assert digits[start:].startswith("01")
    for code, reason in (("00", "undeclared type"), ("10", "text is not accepted"), ("11", "event code")):
        with pytest.raises(ExiError, match=reason) as caught:
            exi.decode(Namespace.XMLDSIG, bits(digits[:start] + code + "0000000"))
        assert caught.value.element.startswith("CanonicalizationMethod")


def setup(**changes: Any) -> Struct:
    return msgspec.structs.replace(common_messages.SessionSetupReq(Header=HEADER, EVCCID="E"), **changes)


def header(**changes: Any) -> Struct:
    return setup(Header=msgspec.structs.replace(HEADER, **changes))


def discovery(**changes: Any) -> Struct:
    services = common_messages.ServiceListType(
        Service=[common_messages.ServiceType(ServiceID=6, FreeService=True)],
    )
    message = common_messages.ServiceDiscoveryRes(
        Header=HEADER, ResponseCode=OK, ServiceRenegotiationSupported=False, EnergyTransferServiceList=services
    )
    return msgspec.structs.replace(message, **changes)


def authorization(**changes: Any) -> Struct:
    message = common_messages.AuthorizationReq(
        Header=HEADER, SelectedAuthorizationService=common_messages.authorizationType.EIM
    )
    return msgspec.structs.replace(message, **changes)


def loop(mode: Any) -> Struct:
    return dc.DC_ChargeLoopReq(Header=HEADER, MeterInfoRequested=False, EVPresentVoltage=ONE, CLReqControlMode=mode)


EIM = common_messages.EIM_AReqAuthorizationModeType()
PNC = common_messages.PnC_AReqAuthorizationModeType(
    Id="i",
    GenChallenge=bytes(16),
    ContractCertificateChain=common_messages.ContractCertificateChainType(
        Certificate=b"c", SubCertificates=common_messages.SubCertificatesType(Certificate=[b"s"])
    ),
)
SERVICE = common_messages.ServiceType(ServiceID=1, FreeService=True)


@pytest.mark.parametrize(
    ("message", "element", "reason"),
    [
        (setup(EVCCID=None), "SessionSetupReq/EVCCID", "is required"),
        (setup(EVCCID=b"E"), "SessionSetupReq/EVCCID", "bytes where str is required"),
        (setup(EVCCID="E" * 256), "SessionSetupReq/EVCCID", "256 characters, where 0 to 255"),
        (setup(EVCCID="\ud800"), "SessionSetupReq/EVCCID", "surrogates not allowed"),
        (setup(Header=None), "SessionSetupReq/Header", "is required"),
        (setup(Header=ONE), "SessionSetupReq/Header", "RationalNumberType where MessageHeaderType"),
        (header(SessionID=bytes(9)), "SessionSetupReq/Header/SessionID", "9 bytes, where 0 to 8"),
        (header(SessionID="00"), "SessionSetupReq/Header/SessionID", "str where bytes"),
        (header(TimeStamp=-1), "SessionSetupReq/Header/TimeStamp", "-1 is outside 0 to 18446744073709551615"),
        (header(TimeStamp=2**64), "SessionSetupReq/Header/TimeStamp", "is outside"),
        (header(TimeStamp=1.5), "SessionSetupReq/Header/TimeStamp", "1.5 is no integer"),
        (header(TimeStamp=True), "SessionSetupReq/Header/TimeStamp", "True is no integer"),
        (discovery(ResponseCode="Fine"), "ServiceDiscoveryRes/ResponseCode", "'Fine' is no responseCodeType"),
        (discovery(ServiceRenegotiationSupported=1), "ServiceDiscoveryRes/ServiceRenegotiationSupported", "int where"),
        (
            discovery(EnergyTransferServiceList=common_messages.ServiceListType(Service=[])),
            "ServiceDiscoveryRes/EnergyTransferServiceList/Service",
            "0 items, where 1 to 8",
        ),
        (
            discovery(EnergyTransferServiceList=common_messages.ServiceListType(Service=[SERVICE] * 9)),
            "ServiceDiscoveryRes/EnergyTransferServiceList/Service",
            "9 items, where 1 to 8",
        ),
        (
            discovery(VASList=common_messages.ServiceListType(Service=SERVICE)),  # type: ignore[arg-type]
            "ServiceDiscoveryRes/VASList/Service",
            "ServiceType where a list is required",
        ),
        (authorization(), "AuthorizationReq", "one of EIM_AReqAuthorizationMode, PnC_AReqAuthorizationMode is requ"),
        (
            authorization(EIM_AReqAuthorizationMode=EIM, PnC_AReqAuthorizationMode=PNC),
            "AuthorizationReq",
            "more than one of EIM_AReqAuthorizationMode, PnC_AReqAuthorizationMode is set",
        ),
        (
            authorization(PnC_AReqAuthorizationMode=msgspec.structs.replace(PNC, GenChallenge=bytes(15))),
            "AuthorizationReq",
            "15 bytes, where 16 to 16",
        ),
        (loop(None), "DC_ChargeLoopReq", "is required"),
        (loop(common_types.CLReqControlMode()), "DC_ChargeLoopReq", "CLReqControlMode where BPT_Dynamic"),
    ],
)
def test_encoding_names_the_element_and_what_is_wrong(message: Struct, element: str, reason: str) -> None:
    with pytest.raises(ExiError, match=reason) as caught:
        exi.encode(message)
    assert caught.value.element.startswith(element)
    assert caught.value.bit is None


def test_a_string_stands_for_its_enumeration_member_and_an_integer_enum_for_its_number() -> None:
    assert exi.encode(discovery(ResponseCode="OK")) == exi.encode(discovery())


def test_what_is_no_element_is_no_message() -> None:
    for thing in (ONE, common_types.CLReqControlMode(), {"SessionSetupReq": {}}):
        with pytest.raises(ExiError, match="is no element that can be a message"):
            exi.encode(thing)  # type: ignore[arg-type]


def test_an_unknown_namespace_is_named_with_those_known() -> None:
    with pytest.raises(Iso15118Error, match=r"'urn:nobody' \(known: .*urn:iso:15118:2:2010:AppProtocol"):
        exi.decode("urn:nobody", b"\x80\0")


def test_irregular_content_says_what_it_needs() -> None:
    key = xmldsig.DSAKeyValue(P=b"p", Y=b"y")
    with pytest.raises(ExiError, match="needs Q"):
        exi.encode(key)
    with pytest.raises(ExiError, match="not permitted beside the other elements") as caught:
        exi.encode(
            xmldsig.KeyValue(
                DSAKeyValue=xmldsig.DSAKeyValue(Y=b"y"), RSAKeyValue=xmldsig.RSAKeyValue(Modulus=b"m", Exponent=b"e")
            )
        )
    assert caught.value.element == "KeyValue/RSAKeyValue"
    with pytest.raises(ExiError, match="a list is required"):
        exi.encode(xmldsig.Transform(Algorithm="a", XPath="x"))  # type: ignore[arg-type]


def test_a_fragment_needs_an_element_of_its_own_type() -> None:
    chain = common_messages.CertificateChainType(Certificate=b"c")
    assert exi.element_name(type(chain)) == "CPSCertificateChain"
    with pytest.raises(ExiError, match=r"RationalNumberType is the type of \d+ elements; say which is meant"):
        exi.encode_fragment(ONE, Namespace.DC)
    with pytest.raises(ExiError, match="has no element Nobody of type"):
        exi.encode_fragment(chain, Namespace.COMMON_MESSAGES, "Nobody")
    data = exi.encode_fragment(chain, Namespace.COMMON_MESSAGES)
    assert exi.decode_fragment(Namespace.COMMON_MESSAGES, data) == chain
