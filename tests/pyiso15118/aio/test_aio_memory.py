"""What is over is free at once. A process that lives for months must not wait for the garbage collector to notice."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable, Iterator

import pytest

from pyiso15118.aio import SeccConnection, SeccServer, connect
from pyiso15118.aio.tls_stream import TlsStream
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import SessionStarted
from support.stations import STRICT, Contexts, Station, charge

pytestmark = pytest.mark.skipif(not socket.has_ipv6, reason="ISO 15118 needs IPv6, which this host does not have")

EVSE = "US*V2G*E1"
EVCCID = "WMIV1234567890ABCDEX"


class Forgetful(Station):
    """Keeps no connection, but knows whether it still exists."""

    def __post_init__(self) -> None:
        self.ref: Callable[[], SeccConnection | None] = lambda: None

    async def serve(self, connection: SeccConnection) -> None:
        self.ref = weakref.ref(connection)
        await super().serve(connection)
        self.connections.clear()


@pytest.fixture
def forgetful(station: Station) -> Forgetful:
    return Forgetful(limits=station.limits)


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def streams() -> int:
    return sum(isinstance(found, TlsStream) for found in gc.get_objects())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_session_that_ended_in_order_is_free(
    forgetful: Forgetful, vehicle: UpdateDcVehicle, strict: Contexts
) -> None:
    before = streams()
    async with SeccServer([forgetful.endpoint(1, tls=strict.server)], forgetful.serve) as server:
        await charge(server.address(EVSE), vehicle, strict.client, STRICT)
        await until(lambda: server.session(EVSE) is None)
        await until(lambda: forgetful.ref() is None and streams() == before)
    assert forgetful.told[EVSE]


async def test_a_session_that_was_cut_off_is_free(
    forgetful: Forgetful, vehicle: UpdateDcVehicle, strict: Contexts
) -> None:
    before = streams()
    async with SeccServer([forgetful.endpoint(1, tls=strict.server)], forgetful.serve) as server:
        connection = await connect(server.address(EVSE), EvccConfig(evccid=EVCCID), tls=strict.client, vehicle=vehicle)
        await until(lambda: any(isinstance(e, SessionStarted) for e in forgetful.told.get(EVSE, [])))
        assert forgetful.ref() is not None
        connection.cut()
        await connection.closed()
        del connection
        await until(lambda: server.session(EVSE) is None)
        await until(lambda: forgetful.ref() is None and streams() == before)


async def test_a_handshake_that_failed_is_free(forgetful: Forgetful, strict: Contexts) -> None:
    before = streams()
    async with SeccServer([forgetful.endpoint(1, tls=strict.server)], forgetful.serve) as server:
        address = server.address(EVSE)
        for nonsense in (b"", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            await until(lambda: streams() == before + 1)
            writer.write(nonsense)
            writer.write_eof()
            await reader.read()
            writer.close()
            await until(lambda: streams() == before)
