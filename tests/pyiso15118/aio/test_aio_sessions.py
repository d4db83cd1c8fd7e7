"""Real sockets on ::1: sessions side by side, TLS profiles, refusals, stalls."""

from __future__ import annotations

import asyncio
import datetime
import logging
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pyiso15118 import exi, sdp
from pyiso15118.aio import (
    Address,
    Endpoint,
    EvccConnection,
    NetworkError,
    SeccConnection,
    SeccServer,
    connect,
    discover,
    local_address,
)
from pyiso15118.aio import driver as driver_module
from pyiso15118.aio import server as server_module
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    ContactorsClosed,
    StopCharging,
    UpdateEvse,
    UpdateVehicle,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import (
    AuthorizationRequested,
    CableCheckRequested,
    ChargeLoopAnswered,
    ChargeLoopReceived,
    ChargingStopped,
    DcLimits,
    EndReason,
    Event,
    MessageReceived,
    PowerDeliveryStopped,
    PreChargeReached,
    PreChargeRequested,
    SessionEnded,
    SessionStarted,
)
from pyiso15118.messages import app_protocol
from pyiso15118.sdp import SdpRequest, Security
from pyiso15118.secc import SeccConfig
from pyiso15118.security import (
    Curve,
    Pki,
    TlsError,
    TlsProfile,
    client_context,
    server_context,
    write_credential,
    write_trust_anchor,
)
from pyiso15118.timers import EvccTimers, SeccTimers
from pyiso15118.v2gtp import PayloadType, encode_frame, namespace_of

pytestmark = pytest.mark.skipif(not socket.has_ipv6, reason="ISO 15118 needs IPv6, which this host does not have")

QUICK = EvccTimers(charge_loop_period_s=0.01, ongoing_period_s=0.01)
STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT


class Contexts:
    def __init__(self, folder: Path, curve: Curve, profile: TlsProfile) -> None:
        pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), curve=curve)
        secc = write_credential(pki.secc("US*V2G*E1"), folder, "secc")
        vehicle = write_credential(pki.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
        v2g = self.v2g = write_trust_anchor(pki.v2g_root, folder, "v2g")
        oem = write_trust_anchor(pki.oem_root, folder, "oem")
        self.server = server_context(profile, secc.chain, secc.key, [oem])
        self.client = client_context(profile, vehicle.chain, vehicle.key, [v2g])


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return Contexts(tmp_path_factory.mktemp("strict"), Curve.SECP521R1, STRICT)


@pytest.fixture(scope="module")
def compat(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return Contexts(tmp_path_factory.mktemp("compat"), Curve.SECP256R1, COMPAT)


@dataclass
class Station:
    """Owner of every session: a perfect EVSE. Keeps what it was told, by EVSE."""

    limits: DcLimits
    told: dict[str, list[Event]] = field(default_factory=dict)
    connections: list[SeccConnection] = field(default_factory=list)
    current_a: float = -25.0

    def endpoint(self, number: int, **changes: Any) -> Endpoint:
        config = SeccConfig(evse_id=f"US*V2G*E{number}", limits=self.limits, **changes.pop("config", {}))
        fields: dict[str, Any] = {
            "config": config,
            "interface": "lo",
            "sdp_port": None,
            "allow_plain": "tls" not in changes,
        }
        return Endpoint(**(fields | changes))

    async def serve(self, connection: SeccConnection) -> None:
        self.connections.append(connection)
        told = self.told.setdefault(connection.endpoint.evse_id, [])
        evse = UpdateEvse(present_voltage_v=0.0, present_current_a=0.0, limits=self.limits, contactors_closed=False)

        def update(**changes: Any) -> None:
            nonlocal evse
            evse = replace(evse, **changes)
            connection.command(evse)

        async for event in connection.events():
            told.append(event)
            match event:
                case AuthorizationRequested():
                    connection.command(Authorize(granted=True))
                case CableCheckRequested():
                    update(contactors_closed=True)
                    connection.command(CableCheckFinished(passed=True))
                case PreChargeRequested():
                    update(present_voltage_v=event.target_voltage_v)
                case ChargeLoopReceived():
                    update(present_current_a=self.current_a)
                case PowerDeliveryStopped():
                    update(present_current_a=0.0, present_voltage_v=0.0)
        await connection.closed()

    def end(self, number: int) -> SessionEnded:
        last = self.told[f"US*V2G*E{number}"][-1]
        assert isinstance(last, SessionEnded)
        return last


@pytest.fixture
def station(evse_limits: DcLimits) -> Station:
    return Station(limits=evse_limits)


async def drive(connection: EvccConnection, loops: int, at_loop: Callable[[int], None] = lambda n: None) -> list[Event]:
    """A perfect vehicle: charges for so many loops and stops."""
    told: list[Event] = []
    done = 0
    async for event in connection.events():
        told.append(event)
        match event:
            case PreChargeReached():
                connection.command(ContactorsClosed())
            case ChargeLoopAnswered():
                done += 1
                at_loop(done)
                if done == loops:
                    connection.command(StopCharging())
    await connection.closed()
    return told


async def charge(
    address: Address,
    vehicle: UpdateVehicle,
    tls: ssl.SSLContext | None = None,
    profile: TlsProfile = STRICT,
    loops: int = 5,
) -> list[Event]:
    config = EvccConfig(evccid="WMIV1234567890ABCDEX", timers=QUICK)
    connection = await connect(address, config, tls=tls, profile=profile, vehicle=vehicle)
    return await drive(connection, loops)


async def test_strict_and_compat_sessions_run_side_by_side_in_one_process(
    station: Station, vehicle: UpdateVehicle, strict: Contexts, compat: Contexts
) -> None:
    endpoints = [
        station.endpoint(1, tls=strict.server),
        station.endpoint(2, tls=compat.server, profile=COMPAT),
    ]
    async with SeccServer(endpoints, station.serve) as server:
        first, second = await asyncio.gather(
            charge(server.address("US*V2G*E1"), vehicle, strict.client, STRICT),
            charge(server.address("US*V2G*E2"), vehicle, compat.client, COMPAT),
        )
    for told in (first, second):
        assert told[-1] == SessionEnded(reason=EndReason.STOPPED, detail="charging ended")
        assert sum(isinstance(e, ChargeLoopAnswered) for e in told) == 5
    by_evse = {c.endpoint.evse_id: c.peer_identity for c in station.connections}
    assert by_evse["US*V2G*E1"].key_type == "secp521r1"  # type: ignore[union-attr]
    assert by_evse["US*V2G*E2"].key_type == "secp256r1"  # type: ignore[union-attr]
    ids = [e.session_id for told in station.told.values() for e in told if isinstance(e, SessionStarted)]
    assert len(set(ids)) == 2
    assert all(len(i) == 8 for i in ids)


async def test_many_vehicles_charge_at_once(station: Station, vehicle: UpdateVehicle) -> None:
    endpoints = [station.endpoint(n) for n in range(1, 17)]
    async with SeccServer(endpoints, station.serve) as server:
        everyone = await asyncio.gather(*(charge(server.address(e.evse_id), vehicle) for e in endpoints))
    assert [told[-1].reason for told in everyone] == [EndReason.STOPPED] * 16  # type: ignore[attr-defined]
    assert all(station.end(n).reason is EndReason.STOPPED for n in range(1, 17))


async def test_an_evse_takes_the_next_vehicle_after_the_last(station: Station, vehicle: UpdateVehicle) -> None:
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        for _ in range(3):
            told = await charge(server.address("US*V2G*E1"), vehicle, loops=2)
            assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
            while server.session("US*V2G*E1") is not None:
                await asyncio.sleep(0)
    assert len(station.connections) == 3


async def test_a_busy_evse_closes_a_second_connection_and_says_so(
    station: Station, vehicle: UpdateVehicle, caplog: pytest.LogCaptureFixture
) -> None:
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        address = server.address("US*V2G*E1")
        config = EvccConfig(evccid="A", timers=QUICK)
        first = await connect(address, config, tls=None, vehicle=vehicle)
        driving = asyncio.create_task(drive(first, 20))
        while server.session("US*V2G*E1") is None:
            await asyncio.sleep(0)
        second = await drive(await connect(address, config, tls=None, vehicle=vehicle), 1)
        assert second[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]
        assert (await driving)[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    assert "the EVSE is busy" in caplog.text


class Spy:
    """Stands between a vehicle's connection and its transport."""

    def __init__(self, connection: EvccConnection, after_write: Callable[[int], None] = lambda n: None) -> None:
        self._transport = connection._transport
        self._after_write = after_write
        self.writes: list[bytes] = []
        connection._transport = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)
        self._after_write(len(self.writes))


def decode_name(frame: bytes) -> str:
    namespace = namespace_of(int.from_bytes(frame[2:4], "big"))
    assert namespace is not None
    return type(exi.decode(namespace, frame[8:])).__name__


# ---- discovery ----


async def test_discovery_leads_to_each_evse_with_the_security_it_wants(
    station: Station, vehicle: UpdateVehicle, strict: Contexts
) -> None:
    endpoints = [
        station.endpoint(1, tls=strict.server, sdp_port=0),
        station.endpoint(2, tls=strict.server, sdp_port=0, allow_plain=True),
        station.endpoint(3, sdp_port=0),
    ]
    async with SeccServer(endpoints, station.serve) as server:

        async def ask(number: int, security: Security) -> tuple[int, Security]:
            found = await discover("lo", security=security, port=server.sdp_port(f"US*V2G*E{number}"))
            return found.address.port, found.security

        tls_port = [server.address(f"US*V2G*E{n}").port for n in (1, 2, 3)]
        assert await ask(1, Security.TLS) == (tls_port[0], Security.TLS)
        assert await ask(1, Security.NONE) == (tls_port[0], Security.TLS)
        assert await ask(2, Security.TLS) == (tls_port[1], Security.TLS)
        port, security = await ask(2, Security.NONE)
        assert port != tls_port[1]
        assert security is Security.NONE
        assert await ask(3, Security.TLS) == (tls_port[2], Security.NONE)
        told = await charge(Address("::1", port), vehicle, loops=1)
        assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]


async def test_garbage_on_the_discovery_port_is_ignored(station: Station) -> None:
    async with SeccServer([station.endpoint(1, sdp_port=0)], station.serve) as server:
        port = server.sdp_port("US*V2G*E1")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            for datagram in (b"", b"x" * 600, sdp.encode(SdpRequest())[:-1]):
                sock.sendto(datagram, ("::1", port))
        assert (await discover("lo", port=port)).address == server.address("US*V2G*E1")


async def test_a_silent_link_is_an_error_that_says_where(unused_udp_port: int) -> None:
    with pytest.raises(NetworkError, match=rf"no SECC answered 2 SDP requests to \[::1\]:{unused_udp_port} on lo"):
        await discover("lo", port=unused_udp_port, retry_s=0.01, attempts=2)


@pytest.fixture
def unused_udp_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return int(sock.getsockname()[1])


# ---- what goes wrong ----


async def test_a_compat_vehicle_at_a_strict_evse_is_refused_and_others_are_served(
    station: Station,
    vehicle: UpdateVehicle,
    strict: Contexts,
    compat: Contexts,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), curve=Curve.SECP256R1)
    stray = write_credential(pki.vehicle("STRAY"), tmp_path, "stray")
    oem = write_trust_anchor(pki.oem_root, tmp_path, "oem")
    strict.server.load_verify_locations(oem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(stray.chain, stray.key)
    async with SeccServer([station.endpoint(1, tls=strict.server)], station.serve) as server:
        address = server.address("US*V2G*E1")
        refused = await connect(address, EvccConfig(evccid="X", timers=QUICK), tls=context, profile=COMPAT)
        assert (await drive(refused, 1))[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]
        told = await charge(address, vehicle, strict.client)
        assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    assert "secp256r1 key, the profile strict takes" in caplog.text
    assert len(station.connections) == 1


async def test_a_station_outside_the_profile_is_refused_by_the_vehicle(
    station: Station, compat: Contexts, tmp_path: Path
) -> None:
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
    vehicle = write_credential(pki.vehicle("STRICT"), tmp_path, "vehicle")
    client = client_context(STRICT, vehicle.chain, vehicle.key, [compat.v2g])
    compat.server.load_verify_locations(write_trust_anchor(pki.oem_root, tmp_path, "oem"))
    async with SeccServer([station.endpoint(1, tls=compat.server, profile=COMPAT)], station.serve) as server:
        with pytest.raises(TlsError, match="secp256r1"):
            await connect(server.address("US*V2G*E1"), EvccConfig(evccid="X"), tls=client)


async def test_a_context_of_another_profile_is_refused_on_both_sides(station: Station, compat: Contexts) -> None:
    with pytest.raises(LocalProtocolError, match=r"US\*V2G\*E1: the TLS context was made for profile compat"):
        station.endpoint(1, tls=compat.server, profile=STRICT)
    with pytest.raises(LocalProtocolError, match="strict needs a context of"):
        station.endpoint(1, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(LocalProtocolError, match="made for profile compat, not for strict"):
        await connect(Address("::1", 1), EvccConfig(evccid="X"), tls=compat.client)


async def test_plain_bytes_at_a_tls_port_harm_nobody(
    station: Station, vehicle: UpdateVehicle, strict: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    async with SeccServer([station.endpoint(1, tls=strict.server)], station.serve) as server:
        address = server.address("US*V2G*E1")
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(encode_frame(PayloadType.SAP, b"\x80\x00"))
        while await reader.read(100):
            pass
        writer.close()
        assert (await charge(address, vehicle, strict.client))[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    assert "failed:" in caplog.text


async def test_a_connection_that_never_speaks_is_closed_by_the_setup_timer(station: Station) -> None:
    config = {"timers": SeccTimers(setup_s=0.05)}
    async with SeccServer([station.endpoint(1, config=config)], station.serve) as server:
        address = server.address("US*V2G*E1")
        reader, writer = await asyncio.open_connection(address.host, address.port)
        assert await reader.read() == b""
        writer.close()
        while server.session("US*V2G*E1") is not None:
            await asyncio.sleep(0)
    assert station.end(1).reason is EndReason.TIMEOUT_SECC


async def test_a_handshake_that_never_ends_is_closed_by_the_setup_timer(station: Station, strict: Contexts) -> None:
    endpoint = station.endpoint(1, tls=strict.server, config={"timers": SeccTimers(setup_s=0.05)})
    async with SeccServer([endpoint], station.serve) as server:
        address = server.address("US*V2G*E1")
        reader, writer = await asyncio.open_connection(address.host, address.port)
        assert await reader.read() == b""
        writer.close()
    assert station.connections == []


async def test_a_handshake_that_never_ends_is_closed_long_before_the_setup_timer(
    station: Station, strict: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HANDSHAKE_S", 0.05)
    async with SeccServer([station.endpoint(1, tls=strict.server)], station.serve) as server:
        address = server.address("US*V2G*E1")
        reader, writer = await asyncio.open_connection(address.host, address.port)
        async with asyncio.timeout(SeccTimers().setup_s / 4):
            assert await reader.read() == b""
        writer.close()


async def test_silent_connections_keep_no_vehicle_out(
    station: Station, vehicle: UpdateVehicle, strict: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    async with SeccServer([station.endpoint(1, tls=strict.server, max_connections=2)], station.serve) as server:
        address = server.address("US*V2G*E1")
        idle = [await asyncio.open_connection(address.host, address.port) for _ in range(2)]
        told = await charge(address, vehicle, strict.client)
        assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
        reader, _ = idle[0]
        assert await reader.read() == b""
        for _, writer in idle:
            writer.close()
    assert "2 connections are open already, and it is the oldest without a session" in caplog.text


async def test_a_vehicle_that_falls_silent_in_the_loop_times_out(station: Station, vehicle: UpdateVehicle) -> None:
    config = {"timers": SeccTimers(sequence_charge_loop_s=0.05)}
    async with SeccServer([station.endpoint(1, config=config)], station.serve) as server:
        slow = EvccConfig(evccid="X", timers=replace(QUICK, charge_loop_period_s=5.0))
        connection = await connect(server.address("US*V2G*E1"), slow, tls=None, vehicle=vehicle)
        told = await drive(connection, 2)
    assert station.end(1).reason is EndReason.TIMEOUT_SECC
    assert [type(e) for e in station.told["US*V2G*E1"][-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert [type(e) for e in told[-2:]] == [ChargingStopped, SessionEnded]


async def test_a_stalled_host_causes_no_false_timeout(station: Station, vehicle: UpdateVehicle) -> None:
    """The request lies in the socket while the process stalls past the loop timeout: it counts as in time."""
    config = {"timers": SeccTimers(sequence_charge_loop_s=0.05), "evse_state_max_age_s": 60.0}
    endpoint = station.endpoint(1, config=config)
    async with SeccServer([endpoint], station.serve) as server:
        quick = EvccConfig(evccid="X", timers=replace(QUICK, charge_loop_s=30.0))
        connection = await connect(server.address("US*V2G*E1"), quick, tls=None)
        spy = Spy(connection, after_write=lambda n: time.sleep(0.12) if n == 15 else None)
        connection.command(vehicle)
        told = await drive(connection, 4)
    assert decode_name(spy.writes[14]) == "DC_ChargeLoopReq"
    assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    assert station.end(1).reason is EndReason.STOPPED


async def test_an_owner_that_fails_ends_its_session_only(
    station: Station, vehicle: UpdateVehicle, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(connection: SeccConnection) -> None:
        if connection.endpoint.evse_id == "US*V2G*E1":
            raise RuntimeError("inverter gone")
        await station.serve(connection)

    async with SeccServer([station.endpoint(1), station.endpoint(2)], broken) as server:
        first, second = await asyncio.gather(
            charge(server.address("US*V2G*E1"), vehicle), charge(server.address("US*V2G*E2"), vehicle)
        )
    assert first[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]
    assert second[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    assert "inverter gone" in caplog.text


async def test_an_owner_that_leaves_early_ends_its_session(station: Station, vehicle: UpdateVehicle) -> None:
    async def leaving(connection: SeccConnection) -> None:
        async for event in connection.events():
            if isinstance(event, SessionStarted):
                return

    async with SeccServer([station.endpoint(1)], leaving) as server:
        told = await charge(server.address("US*V2G*E1"), vehicle)
    assert told[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]


async def test_shutting_down_ends_running_sessions(station: Station, vehicle: UpdateVehicle) -> None:
    server = SeccServer([station.endpoint(1)], station.serve)
    await server.start()
    connection = await connect(
        server.address("US*V2G*E1"), EvccConfig(evccid="X", timers=QUICK), tls=None, vehicle=vehicle
    )
    driving = asyncio.create_task(drive(connection, 10_000))
    while not any(isinstance(e, ChargeLoopReceived) for e in station.told.get("US*V2G*E1", [])):
        await asyncio.sleep(0.005)
    await server.close()
    assert (await driving)[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]
    assert station.end(1).detail == "the charging station shuts down"
    assert [type(e) for e in station.told["US*V2G*E1"][-2:]] == [PowerDeliveryStopped, SessionEnded]


async def test_an_owner_that_reads_no_events_loses_its_session(
    station: Station, vehicle: UpdateVehicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "MAX_WAITING_EVENTS", 5)

    async def deaf(connection: SeccConnection) -> None:
        await connection.closed()
        station.told["US*V2G*E1"] = [e async for e in connection.events()]

    async with SeccServer([station.endpoint(1)], deaf) as server:
        await charge(server.address("US*V2G*E1"), vehicle)
    assert station.end(1).detail == "the session's owner does not read its events"


async def test_a_closed_stream_that_does_not_drain_is_cut(
    station: Station, vehicle: UpdateVehicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "LINGER_S", 0.01)
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        connection = await connect(server.address("US*V2G*E1"), EvccConfig(evccid="X", timers=QUICK), tls=None)
        spy = Spy(connection)
        spy.close = lambda: None  # type: ignore[attr-defined]
        connection.abort("crash sensor")
        await asyncio.wait_for(connection.closed(), 1.0)
    assert connection.machine.closed


async def test_each_frame_is_one_write(station: Station, vehicle: UpdateVehicle) -> None:
    """Some peers read one message a segment, so frames are neither joined nor cut."""
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        connection = await connect(server.address("US*V2G*E1"), EvccConfig(evccid="X", timers=QUICK), tls=None)
        spy = Spy(connection)
        connection.command(vehicle)
        await drive(connection, 3)
    assert len(spy.writes) > 15
    for data in spy.writes:
        assert int.from_bytes(data[4:8], "big") == len(data) - 8


# ---- configuration ----


async def test_when_no_evse_opens_what_failed_is_named_and_nothing_stays_open(station: Station) -> None:
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        taken = server.address("US*V2G*E1").port
        second = SeccServer(
            [station.endpoint(2, interface="nosuch0"), station.endpoint(3, tcp_port=taken)], station.serve
        )
        with pytest.raises(NetworkError, match=rf"E2: .*nosuch0.*E3: .*:{taken}: .*another program has this port"):
            await second.start()
        with pytest.raises(NetworkError, match="not listening"):
            second.address("US*V2G*E3")


async def test_an_evse_that_cannot_be_opened_keeps_nobody_else_and_is_tried_again(
    station: Station, vehicle: UpdateVehicle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyiso15118")
    monkeypatch.setattr(server_module, "RETRY_S", 0.02)
    blocker = SeccServer([station.endpoint(9)], station.serve)
    await blocker.start()
    taken = blocker.address("US*V2G*E9").port
    async with SeccServer([station.endpoint(1), station.endpoint(2, tcp_port=taken)], station.serve) as server:
        assert list(server.problems) == ["US*V2G*E2"]
        assert "another program has this port" in server.problems["US*V2G*E2"]
        assert await charge(server.address("US*V2G*E1"), vehicle)
        await asyncio.sleep(0.1)
        assert caplog.text.count("US*V2G*E2: no vehicle can connect") == 1
        await blocker.close()
        async with asyncio.timeout(5.0):
            while server.problems:
                await asyncio.sleep(0.01)
        assert await charge(server.address("US*V2G*E2"), vehicle)
        assert station.end(2).reason is station.end(1).reason


async def test_an_evse_whose_discovery_fails_does_not_listen_at_all(station: Station, unused_udp_port: int) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as blocker:
        blocker.bind(("::", unused_udp_port))
        async with SeccServer([station.endpoint(1), station.endpoint(2, sdp_port=unused_udp_port)], station.serve) as s:
            assert list(s.problems) == ["US*V2G*E2"]
            with pytest.raises(NetworkError, match="not listening"):
                s.address("US*V2G*E2")


def test_tcp_ports_are_those_the_standard_allows(station: Station) -> None:
    async def ports() -> list[int]:
        endpoints = [station.endpoint(n) for n in range(1, 9)]
        async with SeccServer(endpoints, station.serve) as server:
            return [server.address(e.evse_id).port for e in endpoints]

    assert all(49152 <= p <= 65535 for p in asyncio.run(ports()))


def test_plain_tcp_needs_to_be_allowed(evse_limits: DcLimits) -> None:
    with pytest.raises(LocalProtocolError, match="test mode, is not allowed"):
        Endpoint(config=SeccConfig(evse_id="US*V2G*E1", limits=evse_limits), interface="lo")


def test_an_evse_given_twice_is_refused(station: Station) -> None:
    with pytest.raises(LocalProtocolError, match=r"US\*V2G\*E1"):
        SeccServer([station.endpoint(1), station.endpoint(1)], station.serve)


def test_unknown_interfaces_and_addresses_are_named() -> None:
    with pytest.raises(NetworkError, match=r"no network interface 'eth99'; there are .*lo"):
        local_address("eth99")
    with pytest.raises(NetworkError, match="is no IPv6 address"):
        local_address("lo", "192.0.2.1")
    assert local_address("lo") == Address("::1", 0)


async def test_an_unreachable_station_is_named() -> None:
    with pytest.raises(NetworkError, match=r"no connection to \[::1\]:1:"):
        await connect(Address("::1", 1), EvccConfig(evccid="X"), tls=None)


async def test_a_session_on_a_bare_socket_reads_requests_in_pieces(station: Station) -> None:
    request = app_protocol.supportedAppProtocolReq(
        AppProtocol=[
            app_protocol.AppProtocolType(
                ProtocolNamespace="urn:iso:std:iso:15118:-20:DC",
                VersionNumberMajor=1,
                VersionNumberMinor=0,
                SchemaID=1,
                Priority=1,
            )
        ]
    )
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        address = server.address("US*V2G*E1")
        reader, writer = await asyncio.open_connection(address.host, address.port)
        for byte in encode_frame(PayloadType.SAP, exi.encode(request)):
            writer.write(bytes([byte]))
            await writer.drain()
        header = await reader.readexactly(8)
        assert header[:4].hex() == "01fe8001"
        writer.close()
    received = [e.name for e in station.told["US*V2G*E1"] if isinstance(e, MessageReceived)]
    assert received == ["supportedAppProtocolReq"]
