"""Certificates renewed while vehicles charge: who connects next sees the new one, who is connected stays."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from pyiso15118.aio import NetworkError, SeccServer, connect
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import EndReason
from pyiso15118.security import Curve
from support.stations import COMPAT, QUICK, STRICT, Contexts, Station, charge, drive

pytestmark = pytest.mark.parametrize("library", ["pyOpenSSL", "ssl"], indirect=True, scope="module")
E1 = "US*V2G*E1"


@pytest.fixture
def renewed(tmp_path: Path) -> Contexts:
    return Contexts(tmp_path, Curve.SECP521R1, STRICT)


async def test_a_session_goes_on_over_a_change_of_certificates_and_the_next_vehicle_sees_the_new_one(
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts, renewed: Contexts
) -> None:
    async with SeccServer([station.endpoint(1, tls=strict.server)], station.serve) as server:
        config = EvccConfig(evccid="WMIV1234567890ABCDEX", timers=QUICK)
        first = await connect(server.address(E1), config, tls=strict.client, vehicle=vehicle)

        def renew(loop: int) -> None:
            if loop == 3:
                server.replace_tls(E1, renewed.server)

        told = await drive(first, 20, renew)
        assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
        while server.session(E1) is not None:
            await asyncio.sleep(0)
        with pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
            await charge(server.address(E1), vehicle, strict.client)
        told = await charge(server.address(E1), vehicle, renewed.client)
        assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]


async def test_a_handshake_under_way_ends_as_it_began(station: Station, strict: Contexts, renewed: Contexts) -> None:
    async with SeccServer([station.endpoint(1, tls=strict.server)], station.serve) as server:
        address = server.address(E1)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = strict.client.wrap_bio(incoming, outgoing, server_side=False)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        while not server._evses[E1].handshakes:
            await asyncio.sleep(0)
        server.replace_tls(E1, renewed.server)
        writer.write(outgoing.read())
        while True:
            incoming.write(await reader.read(65_536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        assert tls.version() == "TLSv1.3"
        writer.close()


async def test_certificates_may_change_before_the_sockets_are_open(
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts, renewed: Contexts
) -> None:
    server = SeccServer([station.endpoint(1, tls=strict.server)], station.serve)
    server.replace_tls(E1, renewed.server)
    async with server:
        told = await charge(server.address(E1), vehicle, renewed.client, loops=2)
    assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]


async def test_a_context_of_another_profile_or_side_is_refused_and_the_old_one_stays(
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts, compat: Contexts
) -> None:
    async with SeccServer([station.endpoint(1, tls=strict.server)], station.serve) as server:
        for wrong in (compat.server, strict.client, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)):
            with pytest.raises(LocalProtocolError, match="E1: "):
                server.replace_tls(E1, wrong)
        told = await charge(server.address(E1), vehicle, strict.client, loops=2)
    assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]


async def test_an_evse_without_tls_does_not_begin_with_it_while_it_runs(station: Station, compat: Contexts) -> None:
    async with SeccServer([station.endpoint(1, profile=COMPAT)], station.serve) as server:
        with pytest.raises(LocalProtocolError, match="without TLS"):
            server.replace_tls(E1, compat.server)
