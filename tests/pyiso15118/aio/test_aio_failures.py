"""Real sockets on ::1: peers of another profile, stalls, silence, owners that fail."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pyiso15118 import exi
from pyiso15118.aio import Address, SeccConnection, SeccServer, connect
from pyiso15118.aio import driver as driver_module
from pyiso15118.aio import server as server_module
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import (
    ChargingStopped,
    DcChargeLoopReceived,
    EndReason,
    PowerDeliveryStopped,
    SessionEnded,
    SessionStarted,
)
from pyiso15118.security import Curve, Pki, TlsError, client_context, write_credential, write_trust_anchor
from pyiso15118.timers import SeccTimers
from pyiso15118.v2gtp import PayloadType, encode_frame, namespace_of
from support.stations import COMPAT, QUICK, STRICT, Contexts, Spy, Station, charge, drive

pytestmark = pytest.mark.skipif(not socket.has_ipv6, reason="ISO 15118 needs IPv6, which this host does not have")


def decode_name(frame: bytes) -> str:
    namespace = namespace_of(int.from_bytes(frame[2:4], "big"))
    assert namespace is not None
    return type(exi.decode(namespace, frame[8:])).__name__


async def test_a_compat_vehicle_at_a_strict_evse_is_refused_and_others_are_served(
    station: Station,
    vehicle: UpdateDcVehicle,
    strict: Contexts,
    compat: Contexts,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1), curve=Curve.SECP256R1)
    stray = write_credential(pki.vehicle("STRAY"), tmp_path, "stray")
    oem = write_trust_anchor(pki.oem_root, tmp_path, "oem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(stray.chain, stray.key)
    async with SeccServer([station.endpoint(1, tls=strict.trusting(oem))], station.serve) as server:
        address = server.address("US*V2G*E1")
        refused = await connect(address, EvccConfig(evccid="X", timers=QUICK), tls=context, profile=COMPAT)
        assert (await drive(refused, 1))[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]
        told = await charge(address, vehicle, strict.client)
        assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    assert "the vehicle has none, or none of a kind that the profile strict takes" in caplog.text
    assert len(station.connections) == 1


async def test_a_station_outside_the_profile_is_refused_by_the_vehicle(
    station: Station, compat: Contexts, tmp_path: Path
) -> None:
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
    vehicle = write_credential(pki.vehicle("STRICT"), tmp_path, "vehicle")
    client = client_context(STRICT, vehicle.chain, vehicle.key, [compat.v2g])
    trusting = compat.trusting(write_trust_anchor(pki.oem_root, tmp_path, "oem"))
    async with SeccServer([station.endpoint(1, tls=trusting, profile=COMPAT)], station.serve) as server:
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
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts, caplog: pytest.LogCaptureFixture
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
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts, caplog: pytest.LogCaptureFixture
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


async def test_a_vehicle_that_falls_silent_in_the_loop_times_out(station: Station, vehicle: UpdateDcVehicle) -> None:
    config = {"timers": SeccTimers(sequence_charge_loop_s=0.05)}
    async with SeccServer([station.endpoint(1, config=config)], station.serve) as server:
        slow = EvccConfig(evccid="X", timers=replace(QUICK, charge_loop_period_s=5.0))
        connection = await connect(server.address("US*V2G*E1"), slow, tls=None, vehicle=vehicle)
        told = await drive(connection, 2)
    assert station.end(1).reason is EndReason.TIMEOUT_SECC
    assert [type(e) for e in station.told["US*V2G*E1"][-2:]] == [PowerDeliveryStopped, SessionEnded]
    assert [type(e) for e in told[-2:]] == [ChargingStopped, SessionEnded]


async def test_a_stalled_host_causes_no_false_timeout(station: Station, vehicle: UpdateDcVehicle) -> None:
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
    station: Station, vehicle: UpdateDcVehicle, caplog: pytest.LogCaptureFixture
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


async def test_an_owner_that_leaves_early_ends_its_session(station: Station, vehicle: UpdateDcVehicle) -> None:
    async def leaving(connection: SeccConnection) -> None:
        async for event in connection.events():
            if isinstance(event, SessionStarted):
                return

    async with SeccServer([station.endpoint(1)], leaving) as server:
        told = await charge(server.address("US*V2G*E1"), vehicle)
    assert told[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]


async def test_shutting_down_ends_running_sessions(station: Station, vehicle: UpdateDcVehicle) -> None:
    server = SeccServer([station.endpoint(1)], station.serve)
    await server.start()
    connection = await connect(
        server.address("US*V2G*E1"), EvccConfig(evccid="X", timers=QUICK), tls=None, vehicle=vehicle
    )
    driving = asyncio.create_task(drive(connection, 10_000))
    while not any(isinstance(e, DcChargeLoopReceived) for e in station.told.get("US*V2G*E1", [])):
        await asyncio.sleep(0.005)
    await server.close()
    assert (await driving)[-1].reason is EndReason.PEER_CLOSED  # type: ignore[attr-defined]
    assert station.end(1).detail == "the charging station shuts down"
    assert [type(e) for e in station.told["US*V2G*E1"][-2:]] == [PowerDeliveryStopped, SessionEnded]


async def test_an_owner_that_reads_no_events_loses_its_session(
    station: Station, vehicle: UpdateDcVehicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "MAX_WAITING_EVENTS", 5)

    async def deaf(connection: SeccConnection) -> None:
        await connection.closed()
        station.told["US*V2G*E1"] = [e async for e in connection.events()]

    async with SeccServer([station.endpoint(1)], deaf) as server:
        await charge(server.address("US*V2G*E1"), vehicle)
    assert station.end(1).detail == "the session's owner does not read its events"


async def test_a_closed_stream_that_does_not_drain_is_cut(
    station: Station, vehicle: UpdateDcVehicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "LINGER_S", 0.01)
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        connection = await connect(server.address("US*V2G*E1"), EvccConfig(evccid="X", timers=QUICK), tls=None)
        spy = Spy(connection)
        spy.close = lambda: None  # type: ignore[attr-defined]
        connection.abort("crash sensor")
        await asyncio.wait_for(connection.closed(), 1.0)
    assert connection.machine.closed
