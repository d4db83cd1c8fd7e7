"""Answers that are wrong, split, doubled or cut off: the same over TCP and over TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.modbus_peer import Answer, Ca, Peer, client_files, peer, reading, server_context
from v2g.clock import ManualClock, SystemClock
from v2g.hardware.endpoint import TlsFiles
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table

PATIENT = LinkTiming(request_timeout_s=5.0, connect_timeout_s=5.0, tls_connect_timeout_s=5.0)


@dataclass
class Pair:
    peer: Peer
    tls: TlsFiles | None

    def link(self, timing: LinkTiming = PATIENT) -> ModbusLink:
        endpoint = ModbusEndpoint("127.0.0.1", self.peer.port, 7, self.tls)
        return ModbusLink("inverter X", endpoint, SystemClock(), lambda: 0.5, timing)


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ca, TlsFiles]:
    ca = Ca(tmp_path_factory.mktemp("modbus_pki"))
    ca.issue("device")
    return ca, client_files(ca, ca.issue("guard", role="operator"))


@pytest.fixture(params=["tcp", "tls"])
async def pair(request: pytest.FixtureRequest, secure: tuple[Ca, TlsFiles]) -> AsyncIterator[Pair]:
    if request.param == "tcp":
        async with peer() as made:
            yield Pair(made, None)
    else:
        ca, files = secure
        folder = Path(files.ca).parent
        async with peer(server_context(ca, (folder / "device.pem", folder / "device.key"))) as made:
            yield Pair(made, files)


def bytewise(answer: Answer) -> Answer:
    return lambda request: [bytes([octet]) for chunk in answer(request) or () for octet in chunk]


def raw(*chunks: bytes) -> Answer:
    return lambda request: list(chunks)


async def test_an_answer_that_arrives_byte_by_byte_is_not_lost(pair: Pair) -> None:
    pair.peer.answers = [bytewise(reading(1, 2, 65535)), reading(4, 5, 6)]
    link = pair.link()
    assert await link.read(Table.HOLDING, 0, 3) == [1, 2, 65535]
    assert await link.read(Table.HOLDING, 0, 3) == [4, 5, 6]
    assert (pair.peer.connections, link.state.timeouts) == (1, 0)
    await link.close()


@pytest.mark.parametrize("cut", [1, 6, 7, 8, 9, 10, 130, 258])
async def test_an_answer_in_two_parts_is_not_lost_wherever_it_is_cut(pair: Pair, cut: int) -> None:
    whole = reading(*range(125))
    pair.peer.answers = [lambda request: [whole(request)[0][:cut], whole(request)[0][cut:]]]
    link = pair.link()
    assert await link.read(Table.HOLDING, 0, 125) == list(range(125))
    await link.close()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reading(1, unit=99), "unit 99 answered instead of 7"),
        (reading(1, transaction=4242), "transaction 4242 instead of 1"),
        (reading(1, function=4), "function 4 instead of 3"),
        (reading(1, 2), "answered with 2 registers"),
        (raw(b"\0\1\0\0\xff\xff\7\3"), "length of 65535"),
        (raw(b"\0\1\0\0\0\0\7\3"), "length of 0"),
        (raw(b"\0\1\0\1\0\5\7\3\2\0\1"), "protocol 1, which is no Modbus"),
        (raw(b"\0\1\0\0\0\5\7\3\4\0\1"), "announced 4 octets and sent 2"),
    ],
)
async def test_an_answer_that_does_not_fit_ends_the_connection_at_once(pair: Pair, answer: Answer, why: str) -> None:
    pair.peer.answers = [answer, reading(2)]
    link = pair.link()
    with pytest.raises(DeviceError, match=rf"inverter X at .* unit 7.*{why}.*; is this the device"):
        await link.read(Table.HOLDING, 0, 1)
    assert (link.state.online, link.state.timeouts) == (False, 0)
    assert await link.read(Table.HOLDING, 0, 1) == [2]
    assert pair.peer.connections == 2
    await link.close()


async def test_transaction_zero_is_taken_as_gateways_send_it(pair: Pair) -> None:
    pair.peer.answers = [reading(5, transaction=0)]
    link = pair.link()
    assert await link.read(Table.HOLDING, 0, 1) == [5]
    await link.close()


@pytest.mark.parametrize("extra", [b"\0\1\0\0\0\5\7\3\2\0\x63", b"\0", b"\xff" * 20])
async def test_what_follows_an_answer_is_not_taken_for_the_next(pair: Pair, extra: bytes) -> None:
    first = reading(1)
    pair.peer.answers = [lambda request: [first(request)[0] + extra], reading(2)]
    link = pair.link()
    assert await link.read(Table.HOLDING, 0, 1) == [1]
    with pytest.raises(
        DeviceError,
        match=r"waiting: it (sent what nobody asked for|sent more than the answer|answered with protocol 65535)",
    ):
        await link.read(Table.HOLDING, 0, 1)
    assert await link.read(Table.HOLDING, 0, 1) == [2]
    assert pair.peer.connections == 2
    await link.close()


async def test_what_comes_unasked_is_not_taken_for_the_next(pair: Pair) -> None:
    pair.peer.answers = [reading(1)]
    link = pair.link()
    assert await link.read(Table.HOLDING, 0, 1) == [1]
    pair.peer.writers[0].write(b"\0\2\0\0\0\5\7\3\2\0\x63")
    stream = link._stream
    assert stream is not None
    async with asyncio.timeout(5.0):
        while stream.open:
            await asyncio.sleep(0)
    with pytest.raises(DeviceError, match=r"what nobody asked for"):
        await link.read(Table.HOLDING, 0, 1)
    assert await link.read(Table.HOLDING, 0, 1) == [1]
    await link.close()


async def test_a_connection_cut_in_the_middle_of_an_answer_is_told_at_once(pair: Pair) -> None:
    whole = reading(1, 2, 3)

    async def cut() -> None:
        async with asyncio.timeout(5.0):
            while not pair.peer.requests:
                await asyncio.sleep(0)
        pair.peer.writers[0].write(whole(pair.peer.requests[0])[0][:9])
        pair.peer.writers[0].close()

    pair.peer.answers = [raw(), reading(4, 5, 6)]
    link = pair.link()
    cutting = asyncio.create_task(cut())
    with pytest.raises(DeviceError, match=r"the device closed the connection"):
        await link.read(Table.HOLDING, 0, 3)
    await cutting
    assert link.state.timeouts == 0
    assert await link.read(Table.HOLDING, 0, 3) == [4, 5, 6]
    await link.close()


async def test_an_exception_keeps_the_connection(pair: Pair) -> None:
    pair.peer.answers = [bytewise(raw(b"\0\1\0\0\0\3\7\x83\6")), reading(2)]
    link = pair.link()
    with pytest.raises(DeviceError, match=r"is busy \(exception 6\)"):
        await link.read(Table.HOLDING, 0, 1)
    assert link.state.online
    assert await link.read(Table.HOLDING, 0, 1) == [2]
    assert pair.peer.connections == 1
    await link.close()


async def test_a_write_is_acknowledged_for_what_was_written(pair: Pair) -> None:
    pair.peer.answers = [
        lambda request: [request[:4] + b"\0\6" + request[6:12]],
        raw(b"\0\2\0\0\0\6\7\x10\0\x63\0\1"),
    ]
    link = pair.link()
    await link.write(100, [1, 2])
    assert pair.peer.requests[0][7:] == bytes.fromhex("10006400020400010002")
    with pytest.raises(DeviceError, match=r"writing 1 registers at 100: it acknowledged 1 at 99"):
        await link.write(100, [1])
    await link.close()


async def test_transactions_are_numbered_and_wrap(pair: Pair) -> None:
    pair.peer.answers = [reading(1)]
    link = pair.link()
    await link.read(Table.HOLDING, 0, 1)
    assert link._stream is not None
    link._stream._transaction = 0xFFFF
    await link.read(Table.HOLDING, 0, 1)
    assert [request[:2] for request in pair.peer.requests] == [b"\0\1", b"\0\1"]
    await link.close()


async def test_silence_ends_the_connection_and_the_late_answer_goes_nowhere(pair: Pair) -> None:
    """The request that got no answer is answered on its old connection while the next one is under way."""
    pair.peer.answers = [raw(), reading(2)]
    link = pair.link(LinkTiming(request_timeout_s=0.05, connect_timeout_s=5.0, tls_connect_timeout_s=5.0))
    with pytest.raises(DeviceError, match=r"no answer in 0\.05 s"):
        await link.read(Table.HOLDING, 0, 1)
    with contextlib.suppress(OSError):
        pair.peer.writers[0].write(reading(1)(pair.peer.requests[0])[0])
    assert await link.read(Table.HOLDING, 0, 1) == [2]
    assert (link.state.timeouts, link.state.reconnects, pair.peer.connections) == (1, 1, 2)
    await link.close()


async def test_the_time_of_the_last_answer_is_when_it_came_and_a_wrong_one_does_not_count() -> None:
    clock = ManualClock(monotonic_s=100.0)

    def later(request: bytes) -> list[bytes]:
        clock.advance(0.3)
        return list(reading(1)(request) or ())

    async with peer() as made:
        made.answers = [later, reading(1, unit=9), later]
        link = ModbusLink("inverter X", ModbusEndpoint("127.0.0.1", made.port, 7), clock, lambda: 0.5, PATIENT)
        await link.read(Table.HOLDING, 0, 1)
        assert link.state.last_answer_s == pytest.approx(100.3)
        with pytest.raises(DeviceError, match=r"unit 9"):
            await link.read(Table.HOLDING, 0, 1)
        assert link.state.last_answer_s == pytest.approx(100.3)
        await link.close()


async def test_a_device_that_hangs_up_on_every_connection_is_left_alone_ever_longer() -> None:
    clock = ManualClock(monotonic_s=100.0)
    async with peer() as made:
        made.answers = [lambda request: None]
        link = ModbusLink("inverter X", ModbusEndpoint("127.0.0.1", made.port, 7), clock, lambda: 0.5, PATIENT)
        waits = []
        for _ in range(4):
            with pytest.raises(DeviceError, match=r"closed the connection"):
                await link.read(Table.HOLDING, 0, 1)
            waits.append(max(0.0, link.retry_at_s - clock.monotonic_s()))
            clock.advance(waits[-1] + 0.001)
        assert waits == pytest.approx([0.0, 0.1, 0.2, 0.4])


async def test_back_off_is_spread_by_the_jitter(unused_tcp_port: int) -> None:
    waits = []
    for share in (0.0, 0.999):
        clock = ManualClock(monotonic_s=100.0)
        link = ModbusLink("X", ModbusEndpoint("127.0.0.1", unused_tcp_port), clock, lambda s=share: s, PATIENT)
        for _ in range(2):
            with pytest.raises(DeviceError):
                await link.read(Table.HOLDING, 0, 1)
        waits.append(link.retry_at_s - clock.monotonic_s())
    assert waits == pytest.approx([0.05, 0.1499])
