"""Files of captures, fed in any pieces."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.capture import CaptureError, KeyLog, Packet, PacketReader
from support.captures import T0, block, pcap, pcapng

PACKETS = [bytes([number]) * (20 + number) for number in range(6)]
OFFSET_1000_S = struct.pack("<HHq", 14, 8, 1000)
NANOSECONDS = struct.pack("<HHBBBB", 9, 1, 9, 0, 0, 0)
HALVINGS = struct.pack("<HHBBBB", 9, 1, 0x80 | 20, 0, 0, 0)


def read(data: bytes, size: int = 1 << 20) -> list[Packet | KeyLog]:
    reader, found = PacketReader(), []
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        found += reader
    reader.end()
    return found


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "file",
    [
        pcap(PACKETS, 101),
        pcap(PACKETS, 101, order=">"),
        pcap(PACKETS, 101, nanoseconds=True),
        pcapng(PACKETS, 101),
        pcapng(PACKETS, 101, order=">"),
        pcapng(PACKETS, 101, options=NANOSECONDS, ticks=1e9),
        pcapng(PACKETS, 101, options=HALVINGS, ticks=2**20),
    ],
)
def test_packets_are_as_they_were_written_however_the_file_is_cut(file: bytes, size: int) -> None:
    found = read(file, size)
    assert [(each.link, each.data) for each in found if isinstance(each, Packet)] == [(101, data) for data in PACKETS]
    times = [each.unix_s for each in found if isinstance(each, Packet)]
    assert times == pytest.approx([T0 + number / 1000 for number in range(6)], abs=2e-6)


def test_an_interface_may_count_from_another_second() -> None:
    (found,) = read(pcapng([b"x"], 101, options=OFFSET_1000_S))
    assert isinstance(found, Packet)
    assert found.unix_s == pytest.approx(T0 + 1000)


def test_each_section_has_its_own_interfaces_and_byte_order() -> None:
    found = read(pcapng([b"a"], 1) + pcapng([b"b"], 101, order=">"))
    assert [(each.link, each.data) for each in found if isinstance(each, Packet)] == [(1, b"a"), (101, b"b")]


def test_secrets_and_simple_packets_are_taken_and_unknown_blocks_passed() -> None:
    log = b"# key log\n"
    secrets = block(10, struct.pack("<II", 0x544C534B, len(log)) + log)
    foreign = block(10, struct.pack("<II", 0x57474B4C, len(log)) + log)
    simple = block(3, struct.pack("<I", 2) + b"ab")
    found = read(pcapng([], 101) + foreign + secrets + block(0x0BAD, b"whatever") + simple)
    assert found == [KeyLog(log), Packet(0.0, 101, b"ab")]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 no capture", "begins as neither pcapng nor pcap"),
        (pcap(PACKETS, 1)[:-1], "cut off at byte 214"),
        (pcapng(PACKETS, 1)[:-1], "cut off at byte 324"),
        (block(0x0A0D0D0A, b"\0" * 16), "byte 0 of the capture tells no byte order"),
        (pcapng([], 1) + struct.pack("<III", 6, 1 << 30, 0), "byte 48 of the capture announces 1073741824 bytes"),
        (pcapng([], 1) + struct.pack("<III", 6, 14, 0), "byte 48 of the capture announces 14 bytes"),
        (pcap([], 1) + struct.pack("<IIII", 0, 0, 1 << 30, 0), "byte 24 of the capture announces 1073741824 bytes"),
    ],
)
def test_what_is_no_whole_capture_is_refused_with_its_place(file: bytes, reason: str) -> None:
    with pytest.raises(CaptureError, match=reason):
        read(file)


def test_what_was_whole_before_a_cut_is_given() -> None:
    reader = PacketReader()
    reader.feed(pcapng(PACKETS, 1)[:-1])
    assert len(list(reader)) == 5
    with pytest.raises(CaptureError):
        reader.end()


@given(st.sampled_from([b"", b"\x0a\x0d\x0d\x0a", b"\xd4\xc3\xb2\xa1", pcapng([], 1)]), st.binary(max_size=300))
def test_garbage_harms_nobody(head: bytes, data: bytes) -> None:
    with contextlib.suppress(CaptureError):
        read(head + data, 50)


@given(st.data())
def test_a_damaged_capture_is_read_or_refused(data: Any) -> None:
    whole = bytearray(pcapng(PACKETS, 101))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CaptureError):
        read(bytes(whole))
