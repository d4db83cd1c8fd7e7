"""journald's native protocol, against a socket of ours."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from v2g.clock import ManualClock
from v2g.telemetry import console, logs
from v2g.telemetry.journal import MAX_DATAGRAM_BYTES, Journal, encode, is_journal


class Journald:
    """Its end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def entry(self) -> dict[str, str]:
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        for _, kind, payload in ancillary:
            assert kind == socket.SCM_RIGHTS
            (fd,) = array.array("i", payload[:4])
            data = os.pread(fd, 1 << 20, 0)
            os.close(fd)
        return decode(data)

    def entries(self) -> list[dict[str, str]]:
        found = []
        while True:
            try:
                found.append(self.entry())
            except BlockingIOError:
                return found


def decode(data: bytes) -> dict[str, str]:
    """As sd-journal's documentation describes it."""
    fields = {}
    while data:
        head, _, rest = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if equals:
            data = rest
        else:
            (size,) = struct.unpack("<Q", rest[:8])
            value, data = rest[8 : 8 + size], rest[9 + size :]
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    server = Journald(tmp_path / "socket")
    yield server
    server.socket.close()


@pytest.fixture
def native(journald: Journald, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journald]:
    """The logs believe that stderr is the journal."""
    real = console.Console
    monkeypatch.setattr(console, "is_journal", lambda environ: True)
    monkeypatch.setattr(logs, "Console", lambda name="": real(name, journald.path))
    yield journald
    logs.close()


def test_values_with_line_ends_are_sent_by_length() -> None:
    fields = {"MESSAGE": "one\ntwo", "CODE": "TRIP"}
    assert decode(encode(fields)) == fields


def test_what_stderr_is_connected_to_decides(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        found = os.fstat(file.fileno())
        assert is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, file.fileno())
        assert not is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}, file.fileno())
        assert not is_journal({}, file.fileno())


def test_an_entry_that_is_larger_than_a_datagram_arrives_whole(journald: Journald) -> None:
    fields = {"MESSAGE": "x" * (3 * MAX_DATAGRAM_BYTES), "CODE": "TRIP"}
    assert Journal(journald.path).send(fields)
    assert journald.entry() == fields


def test_where_no_file_may_be_passed_it_is_clipped(journald: Journald, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "memfd_create", refused)
    assert Journal(journald.path).send({"CODE": "TRIP", "MESSAGE": "x" * (3 * MAX_DATAGRAM_BYTES)})
    entry = journald.entry()
    assert entry["CODE"] == "TRIP"
    assert set(entry["MESSAGE"]) == {"x"}


def test_a_journal_without_room_is_not_waited_for_and_told_later(journald: Journald) -> None:
    journal = Journal(journald.path)
    for number in range(5000):
        assert journal.send({"MESSAGE": str(number)})
    lost = journal.lost
    assert lost > 0
    assert len(journald.entries()) == 5000 - lost
    assert journal.send({"MESSAGE": "on"})
    assert journald.entry() == {"MESSAGE": "on", "LOST_BEFORE": str(lost)}
    assert journal.lost == 0


def test_without_a_journal_it_says_so_and_finds_one_that_comes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "socket")
    assert not journal.send({"MESSAGE": "one"})
    server = Journald(tmp_path / "socket")
    assert journal.send({"MESSAGE": "two"})
    assert server.entry() == {"MESSAGE": "two"}
    server.socket.close()
    assert not journal.send({"MESSAGE": "three"})


def test_every_event_goes_to_the_journal_with_its_fields_and_none_to_stderr(
    native: Journald, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(tmp_path, clock=ManualClock(), name="v2g-guard-tick")
    logs.power_quality_log().error("TRIP", "over-voltage", element="OV2")
    logs.comms_log().info("SESSION_START", "here", evse="US*V2G*E1", session="0A0B")
    logs.daemon_log().warning("CONFIG")
    trip, session, config = native.entries()
    assert trip == {
        "MESSAGE": "ERROR: TRIP over-voltage element=OV2",
        "PRIORITY": "3",
        "SYSLOG_FACILITY": "3",
        "SYSLOG_IDENTIFIER": "v2g-guard-tick",
        "LOG": "power_quality",
        "CODE": "TRIP",
    }
    assert (session["EVSE"], session["SESSION"], session["PRIORITY"]) == ("US*V2G*E1", "0A0B", "6")
    assert (config["PRIORITY"], config["LOG"]) == ("4", "daemon")
    assert capsys.readouterr().err == ""


def test_a_journal_that_is_gone_leaves_stderr(
    native: Journald, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(tmp_path, clock=ManualClock())
    native.socket.close()
    logs.daemon_log().error("STOPPED")
    assert "ERROR: STOPPED" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_told_in_the_journal(native: Journald, tmp_path: Path) -> None:
    (tmp_path / "comms.log").mkdir()
    logs.configure(tmp_path, clock=ManualClock())
    logs.comms_log().info("ONE")
    assert [entry["CODE"] for entry in native.entries()] == ["LOG_UNWRITABLE", "ONE"]
