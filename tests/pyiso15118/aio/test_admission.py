"""Who is not admitted reaches neither SDP nor TCP, and the log says why once; with real sockets on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pyiso15118.aio import (
    Address,
    Endpoint,
    NetworkError,
    SdpServer,
    SeccConnection,
    SeccServer,
    discover,
    local_address,
)
from pyiso15118.aio import evse as evse_module
from pyiso15118.aio.evse import Evse
from pyiso15118.aio.quietlog import QuietLog
from pyiso15118.events import DcLimits
from pyiso15118.sdp import SdpRequest, SdpResponse, Security
from pyiso15118.secc import SeccConfig

pytestmark = pytest.mark.skipif(not socket.has_ipv6, reason="ISO 15118 needs IPv6, which this host does not have")
EVSE = "US*V2G*E1"


class Gate:
    """Says what it is told to, and keeps who asked."""

    def __init__(self) -> None:
        self.answer: str | None = "the powerline link is not up: free"
        self.error: Exception | None = None
        self.asked: list[tuple[str, str]] = []

    def __call__(self, evse_id: str, peer: Address) -> str | None:
        self.asked.append((evse_id, peer.host))
        if self.error is not None:
            raise self.error
        return self.answer


class Site:
    def __init__(self, endpoint: Endpoint, gate: Gate) -> None:
        self.gate = gate
        self.served = 0
        self.server = SeccServer([endpoint], self._serve, admits=gate)

    async def _serve(self, connection: SeccConnection) -> None:
        self.served += 1
        async for _ in connection.events():
            pass

    async def discovers(self) -> bool:
        try:
            found = await discover(
                "lo", security=Security.NONE, port=self.server.sdp_port(EVSE), retry_s=0.05, attempts=2
            )
        except NetworkError:
            return False
        return found.address == self.server.address(EVSE)

    async def connects(self) -> bool:
        """It stays open long enough to be served."""
        before = self.served
        reader, writer = await asyncio.open_connection("::1", self.server.address(EVSE).port)
        with contextlib.suppress(TimeoutError, OSError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.close()
        return self.served > before


@pytest.fixture
async def site(evse_limits: DcLimits, unused_udp_port: int) -> AsyncIterator[Site]:
    try:
        local_address("lo")
    except NetworkError as error:
        pytest.skip(str(error))
    config = SeccConfig(evse_id=EVSE, limits=evse_limits)
    site = Site(Endpoint(config=config, interface="lo", sdp_port=unused_udp_port, allow_plain=True), Gate())
    async with site.server:
        yield site


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if getattr(record, "code", None) == "PLC_NOT_MATCHED"]


async def test_who_is_not_admitted_reaches_neither_sdp_nor_tcp(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pyiso15118")
    assert not await site.discovers()
    assert not await site.discovers()
    assert not await site.connects()
    assert not await site.connects()
    assert set(site.gate.asked) == {(EVSE, "::1")}
    sdp_line, tcp_line = told(caplog)
    assert sdp_line.startswith(f"{EVSE}: SDP request of [::1]:")
    assert tcp_line.startswith(f"{EVSE}: connection of [::1]:")
    assert {line.split(" not answered: ")[1] for line in (sdp_line, tcp_line)} == {"the powerline link is not up: free"}


async def test_who_is_admitted_is_served(site: Site) -> None:
    site.gate.answer = None
    assert await site.discovers()
    assert await site.connects()


async def test_admission_is_judged_anew_each_time(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert not await site.discovers()
    site.gate.answer = None
    assert await site.discovers()
    site.gate.answer = "its MAC address is another"
    assert not await site.connects()
    assert not await site.discovers()
    assert len(told(caplog)) == 3


async def test_who_may_ask_again_is_left_without_answer_and_without_a_line(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.gate.answer = ""
    assert not await site.discovers()
    assert told(caplog) == []
    assert not await site.connects()
    assert told(caplog)[0].endswith("it is not known yet")


async def test_a_station_that_rests_answers_nobody_and_says_why_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pyiso15118")
    site.gate.answer = None
    site.server.resting = "maintenance until 18:00"
    assert not await site.discovers()
    assert not await site.discovers()
    assert not await site.connects()
    lines = [record for record in caplog.records if getattr(record, "code", None) == "NO_NEW_SESSION"]
    assert [record.levelname for record in lines] == ["INFO", "INFO"]
    assert all(record.getMessage().endswith("maintenance until 18:00") for record in lines)
    assert site.gate.asked == []
    site.server.resting = ""
    assert await site.discovers()
    assert await site.connects()


async def test_a_gate_that_fails_admits_nobody(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.gate.error = RuntimeError("broken")
    assert not await site.discovers()
    assert not await site.connects()
    assert any("cannot be judged" in record.getMessage() for record in caplog.records)
    assert "internal error: broken" in told(caplog)[0]


async def test_a_reason_is_told_again_after_a_minute_or_when_it_is_another(
    evse_limits: DcLimits, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    monkeypatch.setattr(evse_module, "time", type("Time", (), {"monotonic": staticmethod(lambda: now[0])}))
    config = SeccConfig(evse_id=EVSE, limits=evse_limits)
    evse = Evse(Endpoint(config=config, interface="lo", allow_plain=True), QuietLog(EVSE))
    peer = Address("fe80::1", 5, 3)
    for step_s, reason in ((0.0, "a"), (59.0, "a"), (2.0, "a"), (0.0, "b")):
        now[0] += step_s
        evse.turn_away(peer, "SDP request", reason)
    evse.log.flush()
    assert [line[-1] for line in told(caplog)] == ["a", "a", "b"]
    for number in range(500):
        evse.turn_away(Address(f"fe80::{number:x}", 5, 3), "SDP request", "c")
    assert len(evse.turned_away) <= 32
    evse.log.flush()


class Sent:
    """A datagram transport that keeps what is sent."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, tuple[Any, ...]]] = []

    def sendto(self, data: bytes, address: tuple[Any, ...]) -> None:
        self.datagrams.append((data, address))


@pytest.fixture
def solicited() -> Callable[..., list[tuple[bytes, tuple[Any, ...]]]]:
    def solicit(peer: Address, link: int | None = 7) -> list[tuple[bytes, tuple[Any, ...]]]:
        def silent(request: SdpRequest, asking: Address) -> SdpResponse | None:
            return None

        server, sent = SdpServer(EVSE, silent, link=link), Sent()
        server.connection_made(sent)  # type: ignore[arg-type]
        server.solicit(peer)
        return sent.datagrams

    return solicit


async def test_a_neighbour_is_solicited_by_one_byte_to_its_discard_port(solicited: Any) -> None:
    assert solicited(Address("fe80::ca", 40_000, 7)) == [(b"\0", ("fe80::ca", 9, 0, 7))]


@pytest.mark.parametrize(
    ("peer", "link"),
    [
        (Address("fe80::ca", 40_000, 8), 7),
        (Address("2001:db8::1", 40_000, 0), 7),
        (Address("2001:db8::1", 40_000, 7), 7),
        (Address("::1", 40_000, 0), None),
        (Address("fe80::ca", 40_000, 7), None),
    ],
)
async def test_nobody_else_is(solicited: Any, peer: Address, link: int | None) -> None:
    assert solicited(peer, link) == []


async def test_soliciting_where_nothing_is_open_is_no_error(site: Site) -> None:
    await site.server.close()
    site.server.solicit(EVSE, Address("fe80::ca", 40_000, 7))
    await site.server.start()
    site.gate.answer = None
    assert await site.discovers()
