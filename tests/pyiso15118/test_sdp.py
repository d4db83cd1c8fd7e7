import json
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118 import sdp
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.sdp import SdpRequest, SdpResponse, Security
from pyiso15118.v2gtp import encode_frame

RESPONSE = SdpResponse(host=IPv6Address("fe80::664d:70ff:fe01:3bf"), port=55119, security=Security.TLS)


def test_request_bytes_carry_security_and_transport() -> None:
    assert sdp.encode(SdpRequest(security=Security.TLS)).hex() == "01fe9000000000020000"
    assert sdp.encode(SdpRequest(security=Security.NONE)).hex() == "01fe9000000000021000"


def test_response_bytes_are_those_of_a_recorded_station() -> None:
    payload = "fe80000000000000664d70fffe0103bfd74f0000"
    assert sdp.encode(RESPONSE).hex() == "01fe900100000014" + payload
    assert sdp.decode_response(bytes.fromhex("01fe900100000014" + payload)) == RESPONSE


@given(st.builds(SdpRequest, security=st.sampled_from(Security)))
def test_requests_survive_the_wire(request: SdpRequest) -> None:
    assert sdp.decode_request(sdp.encode(request)) == request


@given(
    st.builds(
        SdpResponse,
        host=st.ip_addresses(v=6),
        port=st.integers(1, 65535),
        security=st.sampled_from(Security),
    )
)
def test_responses_survive_the_wire(response: SdpResponse) -> None:
    assert sdp.decode_response(sdp.encode(response)) == response


@pytest.mark.parametrize(
    ("datagram", "complaint"),
    [
        ("", "shorter than a V2GTP header"),
        ("01fe90000000000200", "1 bytes where its V2GTP header announces 2"),
        ("01fe900000000002000000", "3 bytes where its V2GTP header announces 2"),
        ("01fe9000000000030000", "2 bytes where"),
        ("01fe900000000003000000", "3 bytes instead of 2"),
        ("02fd9000000000020000", "not a V2GTP stream"),
        ("01fe9001000000020000", "SDP_REQUEST was expected"),
        ("01fe9000000000020100", "neither 0x00"),
        ("01fe9000000000020010", "not 0x00 (TCP)"),
        ("01fe9000ffffffff0000", "more than the"),
    ],
)
def test_a_malformed_request_says_what_is_wrong(datagram: str, complaint: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        sdp.decode_request(bytes.fromhex(datagram))
    assert complaint in str(caught.value)


def test_port_zero_is_refused_both_ways() -> None:
    with pytest.raises(LocalProtocolError, match=r"1\.\.65535"):
        sdp.encode(SdpResponse(host=IPv6Address("::1"), port=0))
    with pytest.raises(RemoteProtocolError, match="port 0"):
        sdp.decode_response(bytes.fromhex("01fe900100000014" + "00" * 20))


@given(st.binary(max_size=40))
def test_garbage_is_a_protocol_error_and_nothing_else(data: bytes) -> None:
    for decode in (sdp.decode_request, sdp.decode_response):
        try:
            decode(data)
        except RemoteProtocolError:
            pass


def test_recorded_discovery_is_read_and_written_back(shared_data: Path) -> None:
    seen = 0
    for path in sorted((shared_data / "iso15118" / "captures").glob("*.jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            payload_type = int(row["payload_type"], 16)
            if payload_type not in (0x9000, 0x9001):
                continue
            datagram = encode_frame(payload_type, bytes.fromhex(row["hex"]))
            decoded = row["decoded"][row["message"]]
            message: SdpRequest | SdpResponse
            if payload_type == 0x9000:
                message = sdp.decode_request(datagram)
            else:
                message = sdp.decode_response(datagram)
                assert (str(message.host), message.port) == (decoded["IP"], decoded["Port"])
            assert message.security == decoded["Security"]
            assert sdp.encode(message) == datagram
            seen += 1
    assert seen == 4
