"""``trace.*``, and the command that asks for them: a capture of what a vehicle and a station said."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyiso15118 import exi
from pyiso15118.aio import Address
from pyiso15118.messages import Namespace, jsonform
from pyiso15118.v2gtp import PayloadType, encode_frame
from v2g.cli.trace import trace
from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.control.server import ControlServer
from v2g.orchestrator.trace_part import PAGE_BYTES, TracePart
from v2g.telemetry import logs

VEHICLE = Address("fe80::a:1", 49_200, 2)
STATION = Address("fe80::1", 57_431, 2)
SESSION = bytes.fromhex("0A0B0C0D0E0F0A0B")


def request() -> bytes:
    body = {"SessionSetupReq": {"Header": {"SessionID": "0000000000000000", "TimeStamp": 1}, "EVCCID": "WMIV1"}}
    message = jsonform.from_json(Namespace.COMMON_MESSAGES.value, body, fragment=False)
    return encode_frame(PayloadType.MAINSTREAM, exi.encode(message, Namespace.COMMON_MESSAGES.value))


class Site:
    """A daemon that has nothing but its traces."""

    def __init__(self, folder: Path, keep_sessions: int = 8) -> None:
        self.socket = folder / "control.sock"
        self.clock = ManualClock()
        self.folder = folder
        self.connections: dict[str, Any] = {}
        settings = SimpleNamespace(keep_sessions=keep_sessions, keep_kib=64)
        logs.configure(folder / "log", stderr=False, clock=self.clock)
        self.part = TracePart(
            SimpleNamespace(  # type: ignore[arg-type]
                loaded=SimpleNamespace(config=SimpleNamespace(trace=settings)),
                site=SimpleNamespace(bays={"US*V2G*E1": None}),
                clock=self.clock,
                log=logs.daemon_log(),
                secc=lambda: SimpleNamespace(session=self.connections.get),
            )
        )
        self.server = ControlServer(
            self.socket, self.part.methods(), Roles(), logs.audit_log().info, self.clock, own_uid=0
        )

    def session(self, messages: int, identifier: bytes = SESSION, over: bool = True) -> Any:
        book = self.part.tracer
        assert book is not None
        book.discovered("US*V2G*E1", Address("fe80::a:1", 41_000, 2), b"\x01\xfe\x90\x00\0\0\0\x02\0\0", b"", 999.0)
        tap = book.opened("US*V2G*E1", VEHICLE, STATION, secured=True)
        for number in range(messages):
            tap.bytes_seen(request(), self.clock.monotonic_s() + number / 10, sent=number % 2 == 1)
        if over:
            tap.ended(identifier)
        return tap

    async def run(self, *words: str) -> Result:
        command = [*words, *(() if "--decode" in words else ("--socket", str(self.socket)))]
        return await asyncio.to_thread(CliRunner().invoke, trace, command)

    def log(self, name: str) -> str:
        path = self.folder / "log" / f"{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    with TemporaryDirectory() as folder:
        made = Site(Path(folder))
        await made.server.start()
        yield made
        await made.server.close()
        logs.close()


async def test_a_session_is_written_for_its_owner_alone_and_can_be_decoded(site: Site, tmp_path: Path) -> None:
    site.session(6)
    file = tmp_path / "s.pcapng"
    result = await site.run("--session", "0a0b0c0d", "--pcap", str(file))
    assert result.exit_code == 0, result.output
    assert "session 0A0B0C0D0E0F0A0B: 6 messages" in result.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    decoded = await site.run("--decode", str(file))
    lines = decoded.stdout.splitlines()
    assert decoded.exit_code == 0, decoded.output
    assert "SDPRequest" in lines[0]
    assert [line.split()[4] for line in lines[1:]] == ["SessionSetupReq"] * 6
    assert "[fe80::a:1]:49200 -> [fe80::1]:15118" in lines[1]
    told = json.loads((await site.run("--decode", str(file), "--json")).stdout.splitlines()[1])
    assert told["json"]["SessionSetupReq"]["EVCCID"] == "WMIV1"


async def test_who_read_it_is_in_the_audit_log_and_no_message_is(site: Site, tmp_path: Path) -> None:
    site.session(6)
    await site.run("--evse", "US*V2G*E1", "--pcap", str(tmp_path / "s.pcapng"))
    audit = site.log("audit")
    assert audit.count("TRACE_FETCHED") == 1
    assert "session=0A0B0C0D0E0F0A0B" in audit
    assert "AAAA" not in audit.replace("0A0B", "")


async def test_a_session_of_many_pages_is_fetched_whole(site: Site, tmp_path: Path) -> None:
    tap = site.session(2, over=False)
    assert site.part.tracer is not None
    site.part.tracer.record("", 1e9)
    payload = encode_frame(PayloadType.DC, bytes(50_000))
    for number in range(20):
        tap.bytes_seen(payload, 1001.0 + number, sent=False)
    tap.ended(SESSION)
    result = await site.run("--session", SESSION.hex(), "--pcap", str(tmp_path / "s.pcapng"), "--json")
    assert json.loads(result.stdout)["messages"] == 22
    assert json.loads(result.stdout)["bytes"] > 20 * 50_000 > PAGE_BYTES


async def test_a_resumed_session_is_in_one_capture_with_both_connections(site: Site, tmp_path: Path) -> None:
    site.session(4)
    site.session(6)
    result = await site.run("--session", "0A0B", "--pcap", str(tmp_path / "s.pcapng"), "--json")
    assert json.loads(result.stdout)["messages"] == 10


async def test_a_capture_can_go_to_stdout_for_wireshark(site: Site) -> None:
    site.session(4)
    result = await site.run("--evse", "US*V2G*E1", "--pcap", "-")
    assert result.stdout_bytes.startswith(b"\x0a\x0d\x0d\x0a")
    assert "4 messages" in result.stderr


async def test_a_running_session_is_found_by_the_identifier_it_has_now(site: Site) -> None:
    site.session(4, over=False)
    machine = SimpleNamespace(session=SimpleNamespace(session_id=bytes.fromhex("FF" * 8)))
    site.connections["US*V2G*E1"] = SimpleNamespace(machine=machine, peer_address=VEHICLE)
    result = await site.run("--list")
    assert "FFFFFFFFFFFFFFFF" in result.stdout
    assert "running" in result.stdout
    assert "4 of 4" in result.stdout


async def test_what_is_not_kept_is_told_with_what_is(site: Site, tmp_path: Path) -> None:
    site.session(4)
    result = await site.run("--session", "BEEF", "--pcap", str(tmp_path / "s.pcapng"))
    assert result.exit_code == 1
    assert "no session BEEF is kept; there are 0A0B0C0D0E0F0A0B" in result.stderr
    assert not (tmp_path / "s.pcapng").exists()


async def test_a_beginning_that_fits_several_sessions_is_refused(site: Site, tmp_path: Path) -> None:
    site.session(4)
    site.session(4, bytes.fromhex("0A0BFFFFFFFFFFFF"))
    result = await site.run("--session", "0A0B", "--pcap", str(tmp_path / "s.pcapng"))
    assert result.exit_code == 1
    assert "several sessions" in result.stderr


async def test_a_place_that_cannot_be_written_is_told_before_anything_is_recorded(site: Site, tmp_path: Path) -> None:
    result = await site.run("--evse", "US*V2G*E1", "--duration", "60s", "--pcap", str(tmp_path / "no" / "s"))
    assert result.exit_code == 1
    assert "is no directory" in result.stderr
    assert "TRACE_STARTED" not in site.log("daemon")


async def test_a_recording_is_started_by_an_engineer_and_ends_by_itself(site: Site) -> None:
    tap = site.session(1, over=False)
    answer = await asyncio.to_thread(_call, site.socket, "trace.start", {"evse_id": "US*V2G*E1", "duration_s": 60.0})
    assert answer["duration_s"] == 60.0
    assert "trace.start" in site.log("audit")
    for number in range(2000):
        tap.bytes_seen(request(), site.clock.monotonic_s() + number / 100, sent=False)
    assert tap.complete
    assert "recording US*V2G*E1 in full" in (await site.run("--list")).stdout
    site.clock.advance(61.0)
    site.part.on_cycle(site.clock.monotonic_s())
    assert site.part.tracer is not None
    assert site.part.tracer.recording is None
    assert "TRACE_STOPPED its time is over" in site.log("daemon")
    assert "nothing was being recorded" in (await site.run("--stop")).stdout


async def test_an_evse_that_is_not_there_cannot_be_recorded(site: Site) -> None:
    with pytest.raises(Exception, match="there is no EVSE 'E9'"):
        await asyncio.to_thread(_call, site.socket, "trace.start", {"evse_id": "E9"})


async def test_where_nothing_is_kept_it_is_said(tmp_path: Path) -> None:
    with TemporaryDirectory() as folder:
        site = Site(Path(folder), keep_sessions=0)
        await site.server.start()
        result = await site.run("--list")
        await site.server.close()
    logs.close()
    assert result.exit_code == 1
    assert "keep_sessions is 0" in result.stderr


@pytest.mark.parametrize(
    "words", ["", "--list --stop", "--session 0A", "--pcap x", "--session 0A --evse E --pcap x", "--duration 60s"]
)
def test_what_cannot_be_meant_is_a_mistake_of_usage(words: str) -> None:
    assert CliRunner().invoke(trace, words.split()).exit_code == 2


def test_a_duration_without_unit_is_a_mistake_of_usage() -> None:
    result = CliRunner().invoke(trace, ["--evse", "E", "--pcap", "/tmp/x", "--duration", "60"])
    assert result.exit_code == 2
    assert "60s" in result.stderr


async def test_unreadable_logs_are_in_the_status(site: Site) -> None:
    (site.folder / "log" / "comms.log").mkdir(parents=True)
    logs.comms_log().info("ONE")
    assert "comms.log: cannot be written (is a directory)" in site.part.problems()[0]


def _call(socket: Path, method: str, params: dict[str, Any]) -> dict[str, Any]:
    from v2g.control.client import ControlClient

    with ControlClient(socket) as client:
        return client.call(method, params)
