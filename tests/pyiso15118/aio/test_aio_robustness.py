"""What hostile peers, broken owners and our own defects may not do: keep an EVSE, fill the log, let energy flow on."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pyiso15118 import sdp
from pyiso15118.aio import Address, Endpoint, SeccConnection, SeccServer, connect
from pyiso15118.aio import client as client_module
from pyiso15118.aio import discovery as discovery_module
from pyiso15118.aio import quietlog as quietlog_module
from pyiso15118.aio import server as server_module
from pyiso15118.commands import Abort, UpdateDcVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import DcLimits, EndReason, Event, SessionEnded
from pyiso15118.secc import SeccConfig
from pyiso15118.security import (
    Pki,
    TlsEndpoint,
    TlsProfile,
    server_context,
    stdlib_server_context,
    write_credential,
    write_trust_anchor,
)
from pyiso15118.timers import EvccTimers

pytestmark = pytest.mark.skipif(not socket.has_ipv6, reason="ISO 15118 needs IPv6, which this host does not have")

EVSE = "US*V2G*E1"
VEHICLE = EvccConfig(evccid="WMIV1234567890ABCDEX")


@pytest.fixture
def endpoint(evse_limits: DcLimits) -> Callable[..., Endpoint]:
    def make(**fields: Any) -> Endpoint:
        config = SeccConfig(evse_id=EVSE, limits=evse_limits)
        defaults: dict[str, Any] = {
            "config": config,
            "interface": "lo",
            "sdp_port": None,
            "allow_plain": "tls" not in fields,
        }
        return Endpoint(**(defaults | fields))

    return make


async def listen(connection: SeccConnection) -> None:
    async for _ in connection.events():
        pass


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.001)


async def stream(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(address.host, address.port)


# ---- peers ----


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (server_context, "the vehicle's certificate cannot be judged: error parsing"),
        (stdlib_server_context, "the peer's certificate cannot be read"),
    ],
)
async def test_a_certificate_that_cannot_be_read_keeps_no_connection(
    endpoint: Callable[..., Endpoint],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make: Callable[..., TlsEndpoint],
    said: str,
) -> None:
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
    secc = write_credential(pki.secc(EVSE), tmp_path, "secc")
    oem = write_trust_anchor(pki.oem_root, tmp_path, "oem")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.load_cert_chain(*unreadable(pki, tmp_path))
    tls = make(TlsProfile.STRICT, secc.chain, secc.key, [oem])
    async with SeccServer([endpoint(tls=tls)], listen) as server:
        address = server.address(EVSE)
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=client, server_hostname="")
        async with asyncio.timeout(5.0):
            with contextlib.suppress(ssl.SSLError):
                assert await reader.read() == b""
        writer.close()
        assert server.session(EVSE) is None
    assert said in caplog.text


def unreadable(pki: Pki, folder: Path) -> tuple[Path, Path]:
    """A leaf that OpenSSL verifies: an extension says it is not critical, where DER says nothing; signed like that."""
    credential = pki.vehicle("UNREADABLE")
    body = bytearray(credential.certificate.tbs_certificate_bytes)
    critical_key_usage = bytes.fromhex("0603551d0f0101ff")
    body[body.rindex(critical_key_usage) + len(critical_key_usage) - 1] = 0
    signature = pki.oem_sub_ca.credential.key.sign(bytes(body), ec.ECDSA(hashes.SHA512()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040304")
    der = tlv(0x30, bytes(body) + algorithm + tlv(3, b"\0" + signature))
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in credential.chain)
    files = folder / "unreadable.pem", folder / "unreadable.key"
    files[0].write_bytes(ssl.DER_cert_to_PEM_cert(der).encode() + chain)
    files[1].write_bytes(credential.key_pem())
    return files


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = (
        bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else bytes([0x82, size >> 8, size & 255])
    )
    return bytes([tag]) + length + content


async def test_a_defect_while_a_connection_is_set_up_closes_it_and_is_logged(
    endpoint: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr(server_module, "SeccMachine", broken)
    async with SeccServer([endpoint()], listen) as server:
        reader, writer = await stream(server.address(EVSE))
        async with asyncio.timeout(5.0):
            assert await reader.read() == b""
        writer.close()
    assert "RuntimeError: defect" in caplog.text


async def test_the_log_grows_by_a_bounded_number_of_lines_however_many_requests_come(
    endpoint: Callable[..., Endpoint], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyiso15118")
    async with SeccServer([endpoint(sdp_port=0)], listen) as server:
        port, told = server.sdp_port(EVSE), len(caplog.records)
        with (
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as two,
        ):
            for sock in (one, two):
                sock.bind(("::1", 0))
                sock.setblocking(False)
            for number in range(100):
                sock = (one, two)[number % 2]
                sock.sendto(sdp.encode(sdp.SdpRequest()), ("::1", port))
            sdp_server = server._evses[EVSE].sdp_server
            assert sdp_server is not None
            await until(lambda: sdp_server.left_out == 100 - discovery_module.EACH_BURST)
            answers = 0
            for sock in (one, two):
                with contextlib.suppress(BlockingIOError):
                    while sock.recv(100):
                        answers += 1
    assert answers == discovery_module.EACH_BURST
    lines = [record.getMessage() for record in caplog.records[told:]]
    assert next(line for line in lines if "more lines like these" in line).endswith("and 5 more lines like these")
    assert f"{EVSE}: 84 SDP requests were left out" in lines
    assert len(lines) == quietlog_module.BURST + 3
    assert [r.code for r in caplog.records if "SDP requests" in r.getMessage()] == ["SDP_FLOOD"] * 2


async def test_refused_connections_fill_no_log(
    endpoint: Callable[..., Endpoint], caplog: pytest.LogCaptureFixture
) -> None:
    async with SeccServer([endpoint()], listen) as server:
        address = server.address(EVSE)
        _, first = await stream(address)
        await until(lambda: server.session(EVSE) is not None)
        for _ in range(40):
            reader, writer = await stream(address)
            assert await reader.read() == b""
            writer.close()
        first.close()
    lines = [record.getMessage() for record in caplog.records]
    assert sum("the EVSE is busy" in line for line in lines) == quietlog_module.BURST + 1
    assert any(line.endswith("and 29 more lines like these") for line in lines)


async def test_held_back_lines_are_counted_in_the_log_when_their_time_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(quietlog_module, "WINDOW_S", 0.01)
    quiet = quietlog_module.QuietLog("E1")
    for number in range(quietlog_module.BURST + 3):
        quiet.note(logging.WARNING, "refused %d", number)
    await until(lambda: "refused 10 … and 2 more lines like these" in caplog.text)
    quiet.note(logging.WARNING, "refused %d", 99)
    assert caplog.messages[-1] == "E1: refused 99"
    quiet.flush()


# ---- the vehicle's side ----


async def test_a_vehicle_that_cannot_be_leaves_no_stream_behind(
    endpoint: Callable[..., Endpoint], vehicle: UpdateDcVehicle
) -> None:
    async with SeccServer([endpoint()], listen) as server:
        with pytest.raises(LocalProtocolError, match="soc"):
            await connect(server.address(EVSE), VEHICLE, tls=None, vehicle=replace(vehicle, present_soc_pct=101))
        await until(lambda: server.session(EVSE) is None and not server._tasks)


async def test_time_spent_connecting_is_not_taken_from_the_first_response(
    vehicle: UpdateDcVehicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_stream = client_module._open
    opened_at = 0.0

    async def slow(*arguments: Any) -> asyncio.Transport:
        nonlocal opened_at
        transport = await open_stream(*arguments)
        await asyncio.sleep(0.12)
        opened_at = time.monotonic()
        return transport

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    monkeypatch.setattr(client_module, "_open", slow)
    config = replace(VEHICLE, timers=EvccTimers(message_s=0.1))
    async with await asyncio.start_server(silent, "::1", 0) as station:
        address = Address("::1", station.sockets[0].getsockname()[1])
        connection = await connect(address, config, tls=None, vehicle=vehicle)
        told = [event async for event in connection.events()]
        waited_s = time.monotonic() - opened_at
        await connection.closed()
    assert told[-1].reason is EndReason.TIMEOUT_EVCC  # type: ignore[attr-defined]
    assert waited_s >= 0.1


# ---- owners ----


async def test_a_server_can_be_opened_again_after_it_was_closed(
    endpoint: Callable[..., Endpoint], vehicle: UpdateDcVehicle
) -> None:
    server = SeccServer([endpoint(sdp_port=0)], listen)
    for _ in range(2):
        await server.start()
        with pytest.raises(LocalProtocolError, match="open already"):
            await server.start()
        connection = await connect(server.address(EVSE), VEHICLE, tls=None, vehicle=vehicle)
        await until(lambda: server.session(EVSE) is not None)
        connection.abort("enough")
        await connection.closed()
        await until(lambda: server.session(EVSE) is None)
        await server.close()


async def test_events_asked_for_after_the_end_are_none(endpoint: Callable[..., Endpoint]) -> None:
    async with SeccServer([endpoint()], listen) as server:
        connection = await connect(server.address(EVSE), VEHICLE, tls=None)
        connection.abort("enough")
        assert [e async for e in connection.events() if isinstance(e, SessionEnded)]
        async with asyncio.timeout(1.0):
            assert [e async for e in connection.events()] == []


async def test_an_owner_cancelled_while_the_stream_lingers_frees_the_evse(endpoint: Callable[..., Endpoint]) -> None:
    owners: list[asyncio.Task[Any]] = []

    async def lingering(connection: SeccConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        owners.append(task)
        connection._transport = Deaf(connection._transport)  # type: ignore[assignment]

    async with SeccServer([endpoint()], lingering) as server:
        _, writer = await stream(server.address(EVSE))
        await until(lambda: bool(owners) and server.session(EVSE) is not None)
        await asyncio.sleep(0.01)
        owners[0].cancel()
        await until(lambda: server.session(EVSE) is None)
        writer.close()


class Deaf:
    """A transport whose peer takes for ever to close."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        pass


async def test_closing_does_not_wait_for_an_owner_that_ignores_it(
    endpoint: Callable[..., Endpoint], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "SHUTDOWN_S", 0.01)
    monkeypatch.setattr(server_module, "CANCEL_S", 0.01)
    release = asyncio.Event()

    async def stubborn(connection: SeccConnection) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    server = SeccServer([endpoint()], stubborn)
    await server.start()
    _, writer = await stream(server.address(EVSE))
    await until(lambda: server.session(EVSE) is not None)
    async with asyncio.timeout(2.0):
        await server.close()
    writer.close()
    assert f"the owner of session {EVSE}" in caplog.text
    release.set()
    await until(lambda: server.session(EVSE) is None)


# ---- defects of our own ----


@pytest.mark.parametrize("step", ["receive_data", "handle_timer", "next_deadline", "command"])
async def test_a_defect_of_the_machine_ends_the_session_in_order(
    endpoint: Callable[..., Endpoint], vehicle: UpdateDcVehicle, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    told: list[Event] = []

    async def owner(connection: SeccConnection) -> None:
        machine: Any = connection.machine
        works = getattr(machine, step)

        def defect(*arguments: Any) -> Any:
            if arguments and isinstance(arguments[0], Abort):
                return works(*arguments)
            if step == "next_deadline" and machine.closed:
                return None
            raise ZeroDivisionError("defect")

        setattr(machine, step, defect)
        if step == "handle_timer":
            machine.next_deadline = lambda: None if machine.closed else 0.0
            connection._arm()
        elif step == "next_deadline":
            connection._guarded()
        elif step == "command":
            connection.command(UpdateDcVehicle)  # type: ignore[arg-type]
        told.extend([event async for event in connection.events()])

    async with SeccServer([endpoint()], owner) as server:
        connection = await connect(server.address(EVSE), VEHICLE, tls=None, vehicle=vehicle)
        async with asyncio.timeout(5.0):
            await connection.closed()
        await until(lambda: server.session(EVSE) is None)
    last = told[-1]
    assert isinstance(last, SessionEnded)
    assert (last.reason, last.detail) == (EndReason.ABORTED, "internal error: ZeroDivisionError: defect")
    assert "Traceback" in caplog.text


async def test_where_even_ending_fails_the_owner_is_told_and_the_stream_closed(
    endpoint: Callable[..., Endpoint], vehicle: UpdateDcVehicle
) -> None:
    told: list[Event] = []

    async def owner(connection: SeccConnection) -> None:
        def defect(*_: object) -> None:
            raise ZeroDivisionError("defect")

        connection.machine._end = defect  # type: ignore[method-assign, assignment]
        connection.machine._receive_frame = defect  # type: ignore[method-assign, assignment]
        told.extend([event async for event in connection.events()])

    async with SeccServer([endpoint()], owner) as server:
        connection = await connect(server.address(EVSE), VEHICLE, tls=None, vehicle=vehicle)
        async with asyncio.timeout(5.0):
            await connection.closed()
        await until(lambda: server.session(EVSE) is None)
    assert isinstance(told[-1], SessionEnded)
    assert "ZeroDivisionError" in told[-1].detail


async def test_a_station_that_shuts_down_does_not_wait_for_a_handshake_that_hangs(
    endpoint: Callable[..., Endpoint],
) -> None:
    class Hanging:
        """As a token whose module does not come back."""

        def __init__(self) -> None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.began, self.sign, self.ended = threading.Event(), threading.Event(), threading.Event()

        def wrap_bio(self, *args: Any, **named: Any) -> Any:
            tls = self.context.wrap_bio(*args, **named)
            tls.do_handshake = self.hang  # type: ignore[method-assign]
            return tls

        def hang(self) -> None:
            self.began.set()
            self.sign.wait(5.0)
            self.ended.set()

    async def nobody(connection: SeccConnection) -> None:
        raise AssertionError

    hanging = Hanging()
    server = SeccServer([endpoint(tls=hanging, profile=TlsProfile.COMPAT)], nobody)
    async with server:
        address = server.address(EVSE)
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"\x16")
        while not hanging.began.is_set():
            await asyncio.sleep(0.001)
    assert not hanging.ended.is_set()
    hanging.sign.set()
    writer.close()
