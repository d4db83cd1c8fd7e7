"""V2GTP out of captures: every link, every order of segments, gaps, and what belongs to others."""

from __future__ import annotations

import contextlib
import json
import random
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.capture import Captured, CaptureError, FrameFinder, Host, Unread, content_of, frames
from pyiso15118.capture import finder as finder_module
from pyiso15118.capture import tcp as tcp_module
from pyiso15118.capture.network import LINKTYPE_ETHERNET, LINKTYPE_RAW
from pyiso15118.v2gtp import PayloadType, encode_frame
from support.captures import (
    STATION,
    T0,
    VEHICLE,
    Conversation,
    cooked,
    ethernet,
    ip,
    pcap,
    pcapng,
    tcp,
    udp,
)

IPV4 = Host(ip_address("192.0.2.7"), 49_200), Host(ip_address("192.0.2.1"), 15_118)


def frame(number: int, size: int = 30) -> bytes:
    return encode_frame(PayloadType.DC, bytes([number % 256]) * size)


def read(packets: list[bytes], link: int = LINKTYPE_RAW) -> list[Captured | Unread]:
    return list(frames([pcapng(packets, link)]))


def numbers(found: list[Captured | Unread]) -> list[int]:
    return [each.frame.payload[0] for each in found if isinstance(each, Captured) and each.frame is not None]


def talk(count: int = 10, **kinds: Any) -> Conversation:
    conversation = Conversation(**kinds)
    for number in range(count):
        conversation.send(frame(number), from_server=number % 2 == 1)
    return conversation


@pytest.mark.parametrize("ends", [(VEHICLE, STATION), IPV4], ids=["ipv6", "ipv4"])
@pytest.mark.parametrize(
    ("link", "wrap"),
    [
        (101, bytes),
        (1, ethernet),
        (1, lambda packet: ethernet(packet, [7])),
        (1, lambda packet: ethernet(packet, [7, 12])),
        (113, cooked),
        (276, lambda packet: cooked(packet, 2)),
        (0, lambda packet: b"\x1e\0\0\0" + packet),
        (108, lambda packet: b"\0\0\0\x18" + packet),
    ],
)
def test_sessions_are_read_off_every_link(link: int, wrap: Any, ends: tuple[Host, Host]) -> None:
    packets = [wrap(packet) for packet in talk(client=ends[0], server=ends[1]).packets]
    for file in (pcapng(packets, link), pcap(packets, link)):
        found = list(frames([file]))
        assert numbers(found) == list(range(10))
        assert [(each.source, each.target) for each in found[:2]] == [ends, ends[::-1]]
        assert not any(each.secured for each in found if isinstance(each, Captured))


def test_extension_headers_and_segments_that_a_card_was_to_cut_are_passed() -> None:
    packet = tcp(VEHICLE, STATION, 0, frame(1))
    uncut = packet[:4] + b"\0\0" + packet[6:]
    extended = ip(VEHICLE, STATION, 6, tcp(VEHICLE, STATION, 38, frame(2))[40:], extension=bytes(16))
    assert numbers(read([uncut, extended])) == [1, 2]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x60",
        b"\x45" + bytes(10),
        b"\x41" + bytes(40),
        ip(VEHICLE, STATION, 6, b"short"),
        ip(VEHICLE, STATION, 17, b"short"),
        ip(VEHICLE, STATION, 58, bytes(30)),
        # A fragment, whose rest is elsewhere.
        (fragment := tcp(*IPV4, 0, frame(1)))[:6] + b"\x20\x00" + fragment[8:],
        b"\x50" + bytes(60),
    ],
)
def test_what_is_no_whole_packet_of_tcp_or_udp_is_passed(packet: bytes) -> None:
    assert numbers(read([packet, *talk().packets])) == list(range(10))


def test_discovery_is_read_and_other_datagrams_are_not() -> None:
    asker, everybody = Host(VEHICLE.address, 41_000), Host(ip_address("ff02::1"), 15_118)
    request = encode_frame(PayloadType.SDP_REQUEST, b"\x00\x00")
    found = read([udp(asker, everybody, request), udp(asker, STATION, request), udp(asker, everybody, b"hello")])
    assert [each.target for each in found] == [everybody]
    assert isinstance(found[0], Captured)
    assert found[0].frame is not None
    assert content_of(found[0].frame) == {"SDPRequest": {"Security": "TLS", "TransportProtocol": "TCP"}}
    (bad,) = read([udp(asker, everybody, request + b"more")])
    assert isinstance(bad, Captured)
    assert "announces 2" in bad.problem


def test_a_capture_may_begin_within_a_connection() -> None:
    assert numbers(read(talk(begun=True).packets)) == list(range(10))


def test_messages_split_within_their_header_are_whole() -> None:
    conversation = Conversation()
    for number in range(5):
        conversation.send(frame(number), size=1)
    assert numbers(read(conversation.packets)) == list(range(5))


def test_messages_larger_than_a_segment_are_whole() -> None:
    conversation = Conversation()
    conversation.send(frame(1, 60_000) + frame(2))
    found = read(conversation.packets)
    assert [len(each.frame.payload) for each in found if isinstance(each, Captured) and each.frame] == [60_000, 30]


def test_a_gap_is_told_and_what_follows_it_is_read_in_time() -> None:
    conversation = Conversation()
    for number in range(3000):
        conversation.send(frame(number), from_server=number % 2 == 1, lost=20 <= number < 100)
    found = read(conversation.packets)
    problems = [each for each in found if isinstance(each, Captured) and each.problem]
    assert {each.problem for each in problems} == {"bytes before this are missing in the capture"}
    assert len(problems) == 2
    assert sorted(numbers(found)) == sorted(number % 256 for number in (*range(20), *range(100, 3000)))
    # Nobody is waited for longer than one second, or behind more than so many segments.
    assert all(after.unix_s > before.unix_s - 1.2 for before, after in pairwise(found))


def test_after_a_gap_it_goes_on_where_a_message_begins() -> None:
    conversation = Conversation()
    conversation.send(frame(1))
    conversation.send(bytes(100), lost=True)
    conversation.send(b"the end of one")
    conversation.send(frame(2))
    assert numbers(read(conversation.packets)) == [1, 2]


def test_the_next_connection_between_the_same_ports_begins_anew() -> None:
    first, second = Conversation(), talk(first_number=5)
    first.send(frame(77)[:20])
    found = read([*first.packets, *second.packets])
    assert numbers(found) == list(range(10))
    assert not any(isinstance(each, Captured) and each.problem for each in found)


def test_a_stream_that_stops_being_v2gtp_is_told_once() -> None:
    conversation = Conversation()
    conversation.send(frame(1) + b"GET / HTTP/1.1\r\n")
    conversation.send(b"Host: somewhere\r\n")
    found = read(conversation.packets)
    assert [each.problem for each in found if isinstance(each, Captured) and each.problem] == [
        "V2GTP header starts with 0x47 0x45 instead of 0x01 0xfe: not a V2GTP stream"
    ]


def test_other_protocols_are_passed() -> None:
    other = Conversation(Host(VEHICLE.address, 33_000), Host(STATION.address, 80))
    other.send(b"GET / HTTP/1.1\r\n\r\n")
    other.send(b"HTTP/1.1 200 OK\r\n\r\n", from_server=True)
    assert numbers(found := read([*other.packets, *talk().packets])) == list(range(10))
    assert len(found) == 10


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_segments_in_any_order_and_twice_give_the_same_messages(chance: random.Random) -> None:
    conversation = Conversation()
    stream = b"".join(frame(number, 60) for number in range(12))
    cuts = sorted({0, len(stream), *(chance.randrange(len(stream)) for _ in range(20))})
    parts = [(begin, stream[begin:end]) for begin, end in pairwise(cuts)]
    # Some come again, together with what follows them.
    parts += [(begin, stream[begin : begin + 100]) for begin, _ in parts[::3]]
    for begin, data in chance.sample(parts, len(parts)):
        conversation.packets.append(tcp(VEHICLE, STATION, conversation.first_number + begin, data))
    assert numbers(read(conversation.packets)) == list(range(12))


def test_memory_is_bounded_by_waiting_segments_and_by_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_module, "MAX_FLOWS", 4)
    monkeypatch.setattr(tcp_module, "MAX_WAITING_BYTES", 5_000)
    monkeypatch.setattr(finder_module, "MAX_CONNECTIONS", 4)
    finder, packets = FrameFinder(), []
    for port in range(1000, 1040):
        conversation = Conversation(Host(VEHICLE.address, port), begun=True)
        conversation.send(frame(1))
        conversation.send(b"\0", lost=True)
        for number in range(30):
            conversation.send(frame(number, 600))
        packets += conversation.packets
    found = list(finder.feed(pcapng(packets, LINKTYPE_RAW)))
    streams = finder._streams._flows
    assert len(streams) == len(finder._v2gtp) == 4
    assert all(flow.waiting_bytes < 6_000 for flow in streams.values())
    assert len(numbers(found)) >= 40 * 25


@given(st.data())
def test_a_damaged_capture_gives_what_can_be_read_and_raises_nothing_else(data: Any) -> None:
    whole = bytearray(pcapng([ethernet(packet) for packet in talk(30).packets], LINKTYPE_ETHERNET))
    for _ in range(data.draw(st.integers(1, 20))):
        whole[data.draw(st.integers(60, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CaptureError):
        for each in frames([bytes(whole)]):
            assert isinstance(each, Captured | Unread)


# ---- recorded by others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count", "secured"), [("ISO-20_BPT_AC_DS5366_Josev", 48, 0), ("ISO-20_TLS13_DC_DS5366_Josev", 114, 112)]
)
def test_captures_of_others_are_read_as_they_read_them(shared_data: Path, name: str, count: int, secured: int) -> None:
    """The one within TLS 1.3 names its secrets in datagrams, some of them after the records."""
    captures = shared_data / "iso15118" / "captures"
    rows = [json.loads(line) for line in (captures / f"{name}.jsonl").read_text().splitlines()]
    found = list(frames([(captures / f"{name}.pcapng").read_bytes()]))
    read = [each for each in found if isinstance(each, Captured) and each.frame is not None]
    assert len(found) == len(read) == len(rows) == count
    assert sum(each.secured for each in read) == secured
    assert [(f"{each.frame.payload_type:#06x}", each.frame.payload.hex()) for each in read if each.frame] == [
        (row["payload_type"], row["hex"]) for row in rows
    ]
    assert [content_of(each.frame) for each in read[2:] if each.frame] == [row["decoded"] for row in rows[2:]]
    # Their times count from the first packet and end at the last segment of a message.
    ours, theirs = [each.unix_s - read[0].unix_s for each in read], [row["t"] - rows[0]["t"] for row in rows]
    assert ours == pytest.approx(theirs, abs=0.3)
    vehicle = read[0].source.address
    assert [each.source.address == vehicle for each in read] == [row["dir"] == "ev->evse" for row in rows]
    assert T0 > read[0].unix_s > T0 - 86_400 * 365
