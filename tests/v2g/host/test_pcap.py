"""Captures as they are written: by our own reader, and by Wireshark's where tshark is installed."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

import pytest

from pyiso15118.capture import Captured, Host, frames
from pyiso15118.v2gtp import PayloadType, encode_frame
from v2g.host.pcap import checksum, udp_packet
from v2g.host.v2gtp_capture import Bytes, Recorded, write

VEHICLE = Host(IPv6Address("fe80::a:1"), 49_200)
STATION = Host(IPv6Address("fe80::1"), 57_431)
ASKER = Host(VEHICLE.address, 41_000)
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


def read(file: io.BytesIO) -> list[Captured]:
    return [each for each in frames([file.getvalue()]) if isinstance(each, Captured)]


def captured(*recorded: Recorded) -> io.BytesIO:
    file = io.BytesIO()
    write(file, "test", recorded)
    file.seek(0)
    return file


def test_checksums_are_those_of_rfc_1071() -> None:
    # The example of its section 3.
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


def test_what_was_written_is_read_back() -> None:
    found = read(captured(session(40)))
    assert [each.frame.payload_type for each in found[:2] if each.frame] == [0x9000, 0x9001]
    assert [each.frame.payload[0] for each in found[2:] if each.frame] == list(range(40))
    assert found[2].source == VEHICLE
    assert found[3].source == Host(STATION.address, 15118)
    assert found[3].unix_s == pytest.approx(T0 + 0.1, abs=1e-6)


def test_a_gap_is_told_and_what_follows_it_is_read_in_time() -> None:
    found = read(captured(session(200, left_out=range(20, 100))))
    assert sum(bool(each.problem) for each in found) == 2
    for sent in (False, True):
        numbers = [each.frame.payload[0] for each in found[2:] if each.frame and (each.source != VEHICLE) is sent]
        assert numbers == [number for number in (*range(20), *range(100, 200)) if number % 2 == sent]
    # One second is waited for what may still come.
    assert all(after.unix_s > before.unix_s - 1.2 for before, after in pairwise(found))


def test_messages_larger_than_a_segment_are_whole() -> None:
    found = read(captured(session(2, size=60_000)))
    assert [len(each.frame.payload) for each in found[2:] if each.frame] == [60_000, 60_000]


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


def test_ipv4_is_refused() -> None:
    with pytest.raises(ValueError, match=r"of IPv6, not of 192\.0\.2\.1:1"):
        udp_packet(Host(IPv4Address("192.0.2.1"), 1), VEHICLE, b"")


def test_a_datagram_is_as_udp_has_it() -> None:
    data = udp_packet(VEHICLE, Host(IPv6Address("ff02::1"), 15118), b"abc")
    assert data[0] >> 4 == 6
    assert struct.unpack(">HBB", data[4:8]) == (11, 17, 64)
    pseudo = data[8:40] + struct.pack(">II", 11, 17)
    assert checksum(pseudo + data[40:]) == 0
