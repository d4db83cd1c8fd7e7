from __future__ import annotations

from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.errors import ExiError
from pyiso15118.messages import Namespace, common_types, dc, xmldsig
from pyiso15118.messages.jsonform import from_json, to_json

HEADER = {"SessionID": "00112233AABBCCDD", "TimeStamp": 1700000000}
RATIONAL = {"Exponent": 0, "Value": 1}


def test_a_member_of_a_substitution_group_stands_under_its_own_name() -> None:
    one = common_types.RationalNumberType(Exponent=0, Value=1)
    message = dc.DC_ChargeLoopReq(
        Header=common_types.MessageHeaderType(SessionID=bytes.fromhex("00112233aabbccdd"), TimeStamp=1700000000),
        MeterInfoRequested=False,
        EVPresentVoltage=one,
        CLReqControlMode=dc.Scheduled_DC_CLReqControlMode(EVTargetCurrent=one, EVTargetVoltage=one),
    )
    expected = {
        "DC_ChargeLoopReq": {
            "Header": HEADER,
            "MeterInfoRequested": False,
            "EVPresentVoltage": RATIONAL,
            "Scheduled_DC_CLReqControlMode": {"EVTargetCurrent": RATIONAL, "EVTargetVoltage": RATIONAL},
        }
    }
    assert to_json(message) == expected
    assert from_json(Namespace.DC, expected) == message


def setup(**changes: Any) -> dict[str, Any]:
    body = {"Header": HEADER, "EVCCID": "E"} | changes
    return {"SessionSetupReq": {key: value for key, value in body.items() if value is not ...}}


@pytest.mark.parametrize(
    ("obj", "element", "reason"),
    [
        ([], "", "an object with one key"),
        ({}, "", "an object with one key"),
        ({"SessionSetupReq": 1}, "SessionSetupReq", "int where an object is required"),
        ({"Nobody": {}}, "Nobody", "has no global element of this name"),
        ({"CLReqControlMode": {}}, "CLReqControlMode", "cannot stand alone"),
        (setup(EVCCID=...), "SessionSetupReq/EVCCID", "is required"),
        (setup(EVCCID=None), "SessionSetupReq/EVCCID", "null where str is required"),
        (setup(EVCCID=5), "SessionSetupReq/EVCCID", "int where str is required"),
        (setup(Evccid="E"), "SessionSetupReq/Evccid", "unknown element or attribute"),
        (setup(Header=HEADER | {"SessionID": "0g"}), "SessionSetupReq/Header/SessionID", "not hexadecimal digits"),
        (setup(Header=HEADER | {"SessionID": 0}), "SessionSetupReq/Header/SessionID", "int where hexadecimal"),
        (setup(Header=HEADER | {"TimeStamp": 1.0}), "SessionSetupReq/Header/TimeStamp", "float where int"),
        (setup(Header=HEADER | {"TimeStamp": True}), "SessionSetupReq/Header/TimeStamp", "bool where int"),
        (
            {"AuthorizationRes": {"Header": HEADER, "ResponseCode": "Fine", "EVSEProcessing": "Finished"}},
            "AuthorizationRes/ResponseCode",
            "'Fine' is no responseCodeType",
        ),
        (
            {"AuthorizationRes": {"Header": HEADER, "ResponseCode": 0, "EVSEProcessing": "Finished"}},
            "AuthorizationRes/ResponseCode",
            "int where the name of a responseCodeType is required",
        ),
        (
            {"ServiceDiscoveryReq": {"Header": HEADER, "SupportedServiceIDs": {"ServiceID": 6}}},
            "ServiceDiscoveryReq/SupportedServiceIDs/ServiceID",
            "int where a list is required",
        ),
        (
            {"ServiceDiscoveryReq": {"Header": HEADER, "SupportedServiceIDs": {"ServiceID": [6, "7"]}}},
            "ServiceDiscoveryReq/SupportedServiceIDs/ServiceID[1]",
            "str where int is required",
        ),
    ],
)
def test_json_that_is_no_message_is_refused_by_element(obj: Any, element: str, reason: str) -> None:
    with pytest.raises(ExiError, match=reason) as caught:
        from_json(Namespace.COMMON_MESSAGES, obj)
    assert caught.value.element == element


def test_two_members_of_a_substitution_group_are_one_too_many() -> None:
    mode = {"EVTargetCurrent": RATIONAL, "EVTargetVoltage": RATIONAL}
    body = {"Header": HEADER, "MeterInfoRequested": False, "EVPresentVoltage": RATIONAL}
    body |= {"Scheduled_DC_CLReqControlMode": mode, "BPT_Scheduled_DC_CLReqControlMode": mode}
    with pytest.raises(ExiError, match="only one of"):
        from_json(Namespace.DC, {"DC_ChargeLoopReq": body})


def test_base64_is_taken_strictly() -> None:
    body = {"GenChallenge": "AA=A", "Id": "i", "ContractCertificateChain": {"Certificate": "", "SubCertificates": {}}}
    with pytest.raises(ExiError, match="is not base64"):
        from_json(Namespace.COMMON_MESSAGES, {"PnC_AReqAuthorizationMode": body}, fragment=True)


def nested(depth: int) -> list[Any]:
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    return tree


def test_lists_nested_deeper_than_can_be_written_out_are_refused_where_a_name_belongs() -> None:
    body = {"Header": HEADER, "ResponseCode": nested(100_000), "EVSEProcessing": "Finished"}
    with pytest.raises(ExiError, match="list where the name of a responseCodeType is required"):
        from_json(Namespace.COMMON_MESSAGES, {"AuthorizationRes": body})


def test_an_empty_list_where_none_is_needed_is_the_message_without_it() -> None:
    message = from_json(Namespace.XMLDSIG, {"Transform": {"Algorithm": "a", "XPath": []}})
    assert message == xmldsig.Transform(Algorithm="a")
    assert exi.decode(Namespace.XMLDSIG, exi.encode(message)) == message
    assert to_json(message) == {"Transform": {"Algorithm": "a"}}
