"""Real sockets on ::1: sessions side by side, discovery, what cannot be configured."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from pyiso15118 import exi, sdp
from pyiso15118.aio import Address, Endpoint, NetworkError, SeccServer, connect, discover, local_address
from pyiso15118.aio import server as server_module
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import DcChargeLoopAnswered, DcLimits, EndReason, MessageReceived, SessionEnded, SessionStarted
from pyiso15118.messages import app_protocol
from pyiso15118.sdp import SdpRequest, Security
from pyiso15118.secc import SeccConfig
from pyiso15118.v2gtp import PayloadType, encode_frame
from support.stations import COMPAT, QUICK, STRICT, Contexts, Spy, Station, charge, drive

pytestmark = pytest.mark.skipif(not socket.has_ipv6, reason="ISO 15118 needs IPv6, which this host does not have")


async def test_strict_and_compat_sessions_run_side_by_side_in_one_process(
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts, compat: Contexts
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
        assert sum(isinstance(e, DcChargeLoopAnswered) for e in told) == 5
    by_evse = {c.endpoint.evse_id: c.peer_identity for c in station.connections}
    assert by_evse["US*V2G*E1"].key_type == "secp521r1"  # type: ignore[union-attr]
    assert by_evse["US*V2G*E2"].key_type == "secp256r1"  # type: ignore[union-attr]
    ids = [e.session_id for told in station.told.values() for e in told if isinstance(e, SessionStarted)]
    assert len(set(ids)) == 2
    assert all(len(i) == 8 for i in ids)


async def test_many_vehicles_charge_at_once(station: Station, vehicle: UpdateDcVehicle) -> None:
    endpoints = [station.endpoint(n) for n in range(1, 17)]
    async with SeccServer(endpoints, station.serve) as server:
        everyone = await asyncio.gather(*(charge(server.address(e.evse_id), vehicle) for e in endpoints))
    assert [told[-1].reason for told in everyone] == [EndReason.STOPPED] * 16  # type: ignore[attr-defined]
    assert all(station.end(n).reason is EndReason.STOPPED for n in range(1, 17))


async def test_an_evse_takes_the_next_vehicle_after_the_last(station: Station, vehicle: UpdateDcVehicle) -> None:
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        for _ in range(3):
            told = await charge(server.address("US*V2G*E1"), vehicle, loops=2)
            assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
            while server.session("US*V2G*E1") is not None:
                await asyncio.sleep(0)
    assert len(station.connections) == 3


async def test_a_busy_evse_closes_a_second_connection_and_says_so(
    station: Station, vehicle: UpdateDcVehicle, caplog: pytest.LogCaptureFixture
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


async def test_each_frame_is_one_write(station: Station, vehicle: UpdateDcVehicle) -> None:
    """Some peers read one message a segment, so frames are neither joined nor cut."""
    async with SeccServer([station.endpoint(1)], station.serve) as server:
        connection = await connect(server.address("US*V2G*E1"), EvccConfig(evccid="X", timers=QUICK), tls=None)
        spy = Spy(connection)
        connection.command(vehicle)
        await drive(connection, 3)
    assert len(spy.writes) > 15
    for data in spy.writes:
        assert int.from_bytes(data[4:8], "big") == len(data) - 8


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


# ---- discovery ----


async def test_discovery_leads_to_each_evse_with_the_security_it_wants(
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts
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
    station: Station, vehicle: UpdateDcVehicle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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
