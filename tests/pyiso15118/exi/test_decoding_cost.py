"""A hostile message costs time in proportion to its length. Counted in bits moved, so that no clock decides."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from pyiso15118 import exi
from pyiso15118.errors import ExiError
from pyiso15118.exi.compiler import decoder_of, encoder_of, locate
from pyiso15118.exi.declarations import Struct
from pyiso15118.exi.grammar import states_of
from pyiso15118.exi.runtime import Malformed
from pyiso15118.messages import Namespace, common_messages, xmldsig
from pyiso15118.messages import common_types as ct
from support.cost import counted

MAX_PAYLOAD_BYTES = 16_384


def bits_moved(message: Struct) -> int:
    data = exi.encode_fragment(message, Namespace.COMMON_MESSAGES)
    width = exi.codec.fragment_grammar(Namespace.COMMON_MESSAGES).width
    moved = [0]
    decoded, _ = decoder_of(type(message))(counted(int.from_bytes(data), moved), 8 * len(data) - 8 - width)
    assert decoded == message
    return moved[0]


def signature(algorithm: str) -> xmldsig.Signature:
    reference = xmldsig.Reference(DigestMethod=xmldsig.DigestMethod(Algorithm=""), DigestValue=b"")
    return xmldsig.Signature(
        SignedInfo=xmldsig.SignedInfo(
            CanonicalizationMethod=xmldsig.CanonicalizationMethod(Algorithm=algorithm),
            SignatureMethod=xmldsig.SignatureMethod(Algorithm=""),
            Reference=[reference] * xmldsig.MOST_REFERENCES,
        ),
        SignatureValue=xmldsig.SignatureValue(value=b""),
        KeyInfo=xmldsig.KeyInfo(KeyName=[""] * xmldsig.MOST_PARTS),
    )


def price_levels(count: int) -> Struct:
    entry = common_messages.PriceLevelScheduleEntryType(Duration=2**31, PriceLevel=1)
    return common_messages.PriceLevelScheduleEntryListType(PriceLevelScheduleEntry=[entry] * count)


def services(size: int) -> Struct:
    """A long string first, then lists within lists."""
    parameter = common_messages.ParameterType(Name="", boolValue=True)
    parameters = common_messages.ParameterSetType(ParameterSetID=1, Parameter=[parameter] * (size // 32))
    return common_messages.ServiceDetailRes(
        Header=ct.MessageHeaderType(SessionID=bytes(8), TimeStamp=1, Signature=signature("a" * (size * 8))),
        ResponseCode=ct.responseCodeType.OK,
        ServiceID=1,
        ServiceParameterList=common_messages.ServiceParameterListType(ParameterSet=[parameters] * 32),
    )


@pytest.mark.parametrize(
    "grown",
    [
        pytest.param(price_levels, id="a list"),
        pytest.param(lambda size: signature("é" * (8 * size)), id="characters of two octets"),
        pytest.param(lambda size: signature("a" * (16 * size)), id="characters of one octet"),
        pytest.param(services, id="lists within lists"),
    ],
)
def test_decoding_four_times_the_length_moves_about_four_times_the_bits(grown: Callable[[int], Struct]) -> None:
    small, large = bits_moved(grown(256)), bits_moved(grown(1024))
    assert large < 6 * small


def test_no_message_of_the_longest_kind_moves_a_bit_more_than_a_thousand_times_on_average() -> None:
    for message in (price_levels(1024), services(1024)):
        size = 8 * len(exi.encode_fragment(message, Namespace.COMMON_MESSAGES))
        assert size <= 8 * MAX_PAYLOAD_BYTES
        assert bits_moved(message) < 1000 * size


KEY_INFO_LISTS = ("KeyName", "KeyValue", "RetrievalMethod", "X509Data", "PGPData", "SPKIData", "MgmtData")


@pytest.mark.parametrize("field", KEY_INFO_LISTS)
def test_signatures_hold_no_more_than_their_bound_in_either_direction(field: str) -> None:
    items: dict[str, Any] = {
        "KeyName": "",
        "KeyValue": xmldsig.KeyValue(RSAKeyValue=xmldsig.RSAKeyValue(Modulus=b"", Exponent=b"")),
        "RetrievalMethod": xmldsig.RetrievalMethod(),
        "X509Data": xmldsig.X509Data(X509SKI=[b""]),
        "PGPData": xmldsig.PGPData(PGPKeyPacket=b""),
        "SPKIData": xmldsig.SPKIData(SPKISexp=[b""]),
        "MgmtData": "",
    }

    def key_info(count: int) -> xmldsig.KeyInfo:
        lists: dict[str, Any] = {field: [items[field]] * count}
        return xmldsig.KeyInfo(**lists)

    full = key_info(xmldsig.MOST_PARTS)
    data = exi.encode(full)
    assert exi.decode(Namespace.XMLDSIG, data) == full
    with pytest.raises(ExiError, match="9 items, where 0 to 8 are permitted"):
        exi.encode(key_info(xmldsig.MOST_PARTS + 1))
    lengths = [encoder_of(xmldsig.KeyInfo)(1, key_info(n)) for n in (7, 8)]
    seven, eight = (f"{accumulated:b}"[1:] for accumulated in lengths)
    end = states_of(xmldsig.KeyInfo)[1].width
    item = eight[-end - (len(eight) - len(seven)) : -end]
    nine = f"{eight[:-end]}{item}{eight[-end:]}"
    with pytest.raises(ExiError, match="9 items, where 0 to 8 are permitted") as caught:
        decode_key_info(nine + "0" * 8)
    assert caught.value.element == f"KeyInfo/{field}"


def decode_key_info(digits: str) -> None:
    try:
        decoder_of(xmldsig.KeyInfo)(int(digits, 2), len(digits))
    except Malformed as error:
        raise locate(error, "KeyInfo", len(digits)) from None


def unbounded_values() -> Struct:
    """A signature whose binary and text have no longest length in the schema."""
    method = xmldsig.DigestMethod(Algorithm="d")
    return xmldsig.Signature(
        SignedInfo=xmldsig.SignedInfo(
            CanonicalizationMethod=xmldsig.CanonicalizationMethod(Algorithm="c"),
            SignatureMethod=xmldsig.SignatureMethod(Algorithm="s"),
            Reference=[xmldsig.Reference(DigestMethod=method, DigestValue=b"v")],
        ),
        SignatureValue=xmldsig.SignatureValue(value=b"w"),
        KeyInfo=xmldsig.KeyInfo(KeyName=["k"]),
    )


@pytest.mark.parametrize("claim", ["ffff7f", "ffffffff07", "ffffffff0f", "ffffffffffffffffff01"])
def test_a_length_that_the_input_does_not_hold_takes_no_memory(claim: str) -> None:
    # After every bit of a good message, so that each of its length fields is among them.
    octets = f"{int(claim, 16):b}"
    good = exi.encode_fragment(unbounded_values(), Namespace.COMMON_MESSAGES)
    digits = f"{int.from_bytes(good):b}"
    for place in range(17, len(digits)):
        hostile = digits[:place] + octets
        hostile += "0" * (-len(hostile) % 8)
        assert peak_bytes(int(hostile, 2).to_bytes(len(hostile) // 8)) < 64 * 1024


def peak_bytes(fragment: bytes) -> int:
    peaks = []
    for _ in range(2):  # the first time generates code
        tracemalloc.start()
        with suppress(ExiError):
            exi.decode_fragment(Namespace.COMMON_MESSAGES, fragment)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return peaks[1]
