"""Who is shown the bytes of sessions."""

from __future__ import annotations

import logging

import pytest

from pyiso15118.aio import Address, SeccServer, discover
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.events import EndReason, MessageReceived, MessageSent
from pyiso15118.sdp import SdpRequest, Security, decode_request, decode_response
from pyiso15118.v2gtp import FrameReader
from support.stations import STRICT, Contexts, Station, charge


class Tap:
    def __init__(self, fails_after: int = 1 << 30) -> None:
        self.seen: list[tuple[bool, bytes, float]] = []
        self.session = b""
        self._fails_after = fails_after

    def bytes_seen(self, data: bytes, at: float, *, sent: bool) -> None:
        if len(self.seen) >= self._fails_after:
            raise RuntimeError("full")
        self.seen.append((sent, data, at))

    def ended(self, session_id: bytes) -> None:
        self.session = session_id

    def frames(self, *, sent: bool) -> int:
        reader = FrameReader()
        for _, data, _ in (each for each in self.seen if each[0] is sent):
            reader.feed(data)
        count = sum(1 for _ in reader)
        assert reader.buffered_bytes == 0
        return count


class Tracer:
    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        self.opened_by: list[tuple[str, Address, Address, bool]] = []
        self.discoveries: list[tuple[str, Address, bytes, bytes]] = []

    def opened(self, evse_id: str, vehicle: Address, station: Address, *, secured: bool) -> Tap:
        self.opened_by.append((evse_id, vehicle, station, secured))
        return self.tap

    def discovered(self, evse_id: str, vehicle: Address, request: bytes, response: bytes, at: float) -> None:
        self.discoveries.append((evse_id, vehicle, request, response))


@pytest.mark.parametrize("secured", [False, True])
async def test_every_byte_of_a_session_is_shown_as_it_is_above_tls(
    station: Station, vehicle: UpdateDcVehicle, strict: Contexts, secured: bool
) -> None:
    tracer = Tracer(Tap())
    endpoint = station.endpoint(1, tls=strict.server) if secured else station.endpoint(1)
    async with SeccServer([endpoint], station.serve, tracer=tracer) as server:
        address = server.address("US*V2G*E1")
        told = await (charge(address, vehicle, strict.client, STRICT) if secured else charge(address, vehicle))
    assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    events = station.told["US*V2G*E1"]
    assert tracer.tap.frames(sent=False) == sum(isinstance(each, MessageReceived) for each in events) > 20
    assert tracer.tap.frames(sent=True) == sum(isinstance(each, MessageSent) for each in events) > 20
    times = [at for _, _, at in tracer.tap.seen]
    assert times == sorted(times)
    assert any(tracer.tap.session)
    ((evse_id, peer, local, was_secured),) = tracer.opened_by
    assert (evse_id, local.port, was_secured) == ("US*V2G*E1", address.port, secured)
    assert peer.port != local.port


async def test_a_tap_that_fails_is_told_once_and_the_session_goes_on(
    station: Station, vehicle: UpdateDcVehicle, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = Tracer(Tap(fails_after=3))
    with caplog.at_level(logging.ERROR, "pyiso15118"):
        async with SeccServer([station.endpoint(1)], station.serve, tracer=tracer) as server:
            told = await charge(server.address("US*V2G*E1"), vehicle)
    assert told[-1].reason is EndReason.STOPPED  # type: ignore[attr-defined]
    assert len(tracer.tap.seen) == 3
    assert sum("traced no more" in record.getMessage() for record in caplog.records) == 1


async def test_discovery_is_shown_with_request_and_answer(station: Station, unused_udp_port: int) -> None:
    tracer = Tracer(Tap())
    endpoint = station.endpoint(1, sdp_port=unused_udp_port)
    async with SeccServer([endpoint], station.serve, tracer=tracer) as server:
        await discover("lo", security=Security.NONE, port=unused_udp_port)
        port = server.address("US*V2G*E1").port
    ((evse_id, _, request, response),) = tracer.discoveries
    assert evse_id == "US*V2G*E1"
    assert decode_request(request) == SdpRequest(security=Security.NONE)
    assert decode_response(response).port == port
