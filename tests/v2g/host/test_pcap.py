"""Captures, written and read; against Wireshark's own reading where tshark is installed."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import struct
import subprocess
from ipaddress import IPv6Address
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.v2gtp import PayloadType, encode_frame
from v2g.host.pcap import CaptureWriter, Host, TcpConversation, checksum, udp_packet
from v2g.host.pcap_read import CaptureError, packets, pieces
from v2g.host.v2gtp_capture import Bytes, Recorded, frames, write

VEHICLE = Host(IPv6Address("fe80::a:1"), 49_200)
STATION = Host(IPv6Address("fe80::1"), 57_431)
ASKER = Host(VEHICLE.address, 41_000)
CAPTURES = Path(__file__).parents[4] / "shared/data/iso15118/captures"
T0 = 1_767_323_045.25


def frame(number: int, size: int = 30) -> bytes:
    return encode_frame(PayloadType.DC, bytes([number % 256]) * size)


def session(count: int, *, size: int = 30, left_out: range = range(0), over: bool = True) -> Recorded:
    offsets, found = {True: 0, False: 0}, []
    for number in range(count):
        sent, data = number % 2 == 1, frame(number, size)
        if number not in left_out:
            found.append(Bytes(T0 + number / 10, sent, offsets[sent], data))
        offsets[sent] += len(data)
    asks, answers = encode_frame(0x9000, b"\x00\x00"), encode_frame(0x9001, bytes(20))
    return Recorded(VEHICLE, STATION, tuple(found), "E1", (T0 - 1, ASKER, asks, answers), over)


def captured(*recorded: Recorded) -> io.BytesIO:
    file = io.BytesIO()
    write(file, "test", recorded)
    file.seek(0)
    return file


def test_checksums_are_those_of_rfc_1071() -> None:
    # The example of its section 3.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


def test_what_was_written_is_read_back() -> None:
    found = list(frames(captured(session(40))))
    assert [each.frame.payload_type for each in found[:2] if each.frame] == [0x9000, 0x9001]
    assert [each.frame.payload[0] for each in found[2:] if each.frame] == list(range(40))
    assert found[2].source == VEHICLE
    assert found[3].source == Host(STATION.address, 15118)
    assert found[3].unix_s == pytest.approx(T0 + 0.1, abs=1e-6)


def test_a_gap_is_told_and_what_follows_it_is_read_in_time() -> None:
    found = list(frames(captured(session(200, left_out=range(20, 100)))))
    assert sum(bool(each.problem) for each in found) == 2
    for sent in (False, True):
        numbers = [each.frame.payload[0] for each in found[2:] if each.frame and (each.source != VEHICLE) is sent]
        assert numbers == [number for number in (*range(20), *range(100, 200)) if number % 2 == sent]
    # One second is waited for what may still come.
    assert all(after.unix_s > before.unix_s - 1.2 for before, after in pairwise(found))


def test_after_a_gap_a_capture_goes_on_where_a_message_begins() -> None:
    whole = frame(1, 100)
    recorded = Recorded(
        VEHICLE,
        STATION,
        (
            Bytes(T0, False, 0, whole),
            Bytes(T0 + 1, False, 500, b"the end of one"),
            Bytes(T0 + 2, False, 600, whole),
        ),
        "",
    )
    assert [each.frame.payload for each in frames(captured(recorded)) if each.frame] == [whole[8:]] * 2


def test_messages_larger_than_a_segment_are_whole() -> None:
    found = list(frames(captured(session(2, size=60_000))))
    assert [len(each.frame.payload) for each in found[2:] if each.frame] == [60_000, 60_000]


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_segments_in_any_order_and_twice_give_the_same_stream(chance: random.Random) -> None:
    file = io.BytesIO()
    writer = CaptureWriter(file, "", "")
    conversation = TcpConversation(writer, VEHICLE, Host(STATION.address, 15118))
    conversation.open(T0)
    stream = bytes(chance.randrange(256) for _ in range(500))
    cuts = sorted({0, len(stream), *(chance.randrange(500) for _ in range(12))})
    parts = [(begin, stream[begin:end]) for begin, end in pairwise(cuts)]
    for offset, data in chance.sample([*parts, *parts[::2]], len(parts) + len(parts[::2])):
        conversation.data(T0, offset, data, sent=False)
    file.seek(0)
    assert b"".join(piece.data for piece in pieces(file)) == stream


@given(st.binary(max_size=300))
def test_garbage_is_no_capture_and_harms_nobody(data: bytes) -> None:
    for head in (b"", b"\x0a\x0d\x0d\x0a", b"\xd4\xc3\xb2\xa1"):
        with contextlib.suppress(CaptureError):
            assert list(pieces(io.BytesIO(head + data))) == []


@given(st.integers(0, 5000))
def test_a_capture_that_was_cut_gives_what_is_there(size: int) -> None:
    whole = captured(session(40)).getvalue()
    count = 0
    with contextlib.suppress(CaptureError):
        for _ in packets(io.BytesIO(whole[:size])):
            count += 1
    assert count <= 40 + 10


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize("name", ["ISO-20_BPT_AC_DS5366_Josev"])
def test_a_capture_of_others_is_read_as_they_read_it(name: str) -> None:
    rows = [json.loads(line) for line in (CAPTURES / f"{name}.jsonl").read_text().splitlines()]
    with (CAPTURES / f"{name}.pcapng").open("rb") as file:
        found = list(frames(file))
    assert [each.frame.payload.hex() for each in found if each.frame] == [row["hex"] for row in rows]
    assert [each.frame.payload_type for each in found if each.frame] == [int(row["payload_type"], 16) for row in rows]


# ---- as Wireshark reads it -------------------------------------------------------------------------------------------


def tshark(path: Path, *words: str) -> list[list[str]]:
    command = ["tshark", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed (Debian: tshark)")
    path = tmp_path / "session.pcapng"
    path.write_bytes(captured(session(60, size=200)).getvalue())
    return path


@pytest.mark.interop
def test_wireshark_finds_nothing_wrong_with_it(capture: Path) -> None:
    fields = ("frame.number", "tcp.checksum.status", "udp.checksum.status", "tcp.analysis.flags", "_ws.expert.severity")
    rows = tshark(capture, "-T", "fields", *(word for field in fields for word in ("-e", field)))
    assert len(rows) == 2 + 3 + 60 + 3
    good = {(tcp, udp) for _, tcp, udp, _, _ in rows}
    assert good == {("1", ""), ("", "1")}
    assert {flags for _, _, _, flags, _ in rows} == {""}
    # Chats and notes only: warnings and errors are 0x600000 and 0x800000.
    severities = {int(each) for _, tcp, *_, told in rows for each in told.split(",") if each and tcp}
    assert max(severities) < 0x600000


@pytest.mark.interop
def test_wireshark_reassembles_both_directions(capture: Path) -> None:
    raw = subprocess.run(
        ["tshark", "-r", capture, "-q", "-z", "follow,tcp,raw,0"], capture_output=True, text=True, check=True
    ).stdout
    # The other end's lines begin with a tab.
    lines = [line for line in raw.splitlines() if line.strip() and set(line.strip()) <= set("0123456789abcdef")]
    ours = b"".join(bytes.fromhex(line) for line in lines if line.startswith("\t"))
    theirs = b"".join(bytes.fromhex(line) for line in lines if not line.startswith("\t"))
    assert theirs == b"".join(frame(number, 200) for number in range(0, 60, 2))
    assert ours == b"".join(frame(number, 200) for number in range(1, 60, 2))


@pytest.mark.interop
def test_wireshark_sees_a_gap_as_one(tmp_path: Path, capture: Path) -> None:
    path = tmp_path / "gap.pcapng"
    path.write_bytes(captured(session(60, left_out=range(20, 40))).getvalue())
    rows = tshark(path, "-Y", "tcp.analysis.lost_segment", "-T", "fields", "-e", "frame.number")
    assert len(rows) == 2


def test_a_datagram_is_as_udp_has_it() -> None:
    data = udp_packet(VEHICLE, Host(IPv6Address("ff02::1"), 15118), b"abc")
    assert data[0] >> 4 == 6
    assert struct.unpack(">HBB", data[4:8]) == (11, 17, 64)
    pseudo = data[8:40] + struct.pack(">II", 11, 17)
    assert checksum(pseudo + data[40:]) == 0
