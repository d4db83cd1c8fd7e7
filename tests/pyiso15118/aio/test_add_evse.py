"""An EVSE that comes to a station at work, as one does that had no certificate when the station was opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pyiso15118.aio import NetworkError, SeccServer
from pyiso15118.aio import server as server_module
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import EndReason
from support.stations import Contexts, Station, charge

E1, E2 = "US*V2G*E1", "US*V2G*E2"


@pytest.fixture
async def server(station: Station, strict: Contexts) -> AsyncIterator[SeccServer]:
    async with SeccServer([station.endpoint(1, tls=strict.server)], station.serve) as server:
        yield server


async def test_its_vehicle_charges_and_the_others_are_not_disturbed(
    server: SeccServer, station: Station, vehicle: UpdateDcVehicle, strict: Contexts
) -> None:
    before = server.address(E1)
    await server.add(station.endpoint(2, tls=strict.server))
    assert server.problems == {}
    assert server.address(E1) == before
    for evse_id in (E1, E2):
        told = await charge(server.address(evse_id), vehicle, strict.client, loops=2)
        assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]


async def test_one_that_cannot_be_opened_yet_is_tried_again(
    server: SeccServer, station: Station, strict: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "RETRY_S", 0.02)
    taken = server.address(E1).port
    await server.add(station.endpoint(2, tls=strict.server, tcp_port=taken))
    assert list(server.problems) == [E2]
    with pytest.raises(NetworkError, match="not listening"):
        server.address(E2)
    server._close_sockets(server._evses[E1])
    async with asyncio.timeout(5.0):
        while server.problems:
            await asyncio.sleep(0.01)
    assert server.address(E2).port == taken


async def test_one_that_is_there_already_is_refused(server: SeccServer, station: Station, strict: Contexts) -> None:
    with pytest.raises(LocalProtocolError, match="given twice"):
        await server.add(station.endpoint(1, tls=strict.server))


async def test_before_the_start_it_only_joins_the_others(station: Station, strict: Contexts) -> None:
    server = SeccServer([station.endpoint(1, tls=strict.server)], station.serve)
    await server.add(station.endpoint(2, tls=strict.server))
    async with server:
        assert server.address(E2).port > 0
