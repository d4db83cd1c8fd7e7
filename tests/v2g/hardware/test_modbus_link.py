"""The connection to a device, against a real pymodbus server and against raw sockets that misbehave."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from v2g.clock import ManualClock, SystemClock
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.histogram import Histogram

FAST = LinkTiming(request_timeout_s=0.08, connect_timeout_s=0.5, backoff_first_s=0.02, backoff_max_s=0.05)


def link_to(port: int, clock: Any = None, timing: LinkTiming = FAST) -> ModbusLink:
    return ModbusLink("inverter X", ModbusEndpoint("127.0.0.1", port, 7), clock or SystemClock(), lambda: 0.5, timing)


async def test_reads_and_writes_what_the_device_holds(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    registers.tables[Table.INPUT][10:13] = [1, 2, 65535]
    link = link_to(served.port)
    assert await link.read(Table.INPUT, 10, 3) == [1, 2, 65535]
    await link.write(100, [7, 8])
    assert registers.tables[Table.HOLDING][100:102] == [7, 8]
    assert await link.read(Table.HOLDING, 100, 125) == [7, 8] + [0] * 123
    assert (link.state.online, link.generation, link.state.reconnects) == (True, 1, 0)
    await link.close()
    assert not link.state.online


async def test_answers_are_counted_by_how_long_they_took_and_silence_is_none(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    seen = Histogram((0.03, 1.0))
    endpoint = ModbusEndpoint("127.0.0.1", served.port, 7)
    link = ModbusLink("inverter X", endpoint, SystemClock(), lambda: 0.5, FAST, latency=seen)
    await link.read(Table.HOLDING, 0, 1)
    served.delay_s = 0.04
    await link.write(0, [1])
    served.delay_s = 0.3
    with pytest.raises(DeviceError):
        await link.read(Table.HOLDING, 0, 1)
    assert seen.count == 2
    assert seen.counts[1] >= 1
    assert 0.04 <= seen.total < 1.0
    await link.close()


async def asked(served: Any) -> None:
    """The device has a request and still thinks."""
    async with asyncio.timeout(5.0):
        while not served.requests:
            await asyncio.sleep(0.001)


async def test_concurrent_requests_are_serialised_and_each_gets_its_own_answer(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    registers.tables[Table.HOLDING][:50] = range(50)
    link = link_to(served.port)
    answers = await asyncio.gather(*(link.read(Table.HOLDING, n, 1) for n in range(50)))
    assert answers == [[n] for n in range(50)]
    await link.close()


async def test_after_a_timeout_the_connection_is_new_and_the_late_answer_is_not_taken(
    serve: Any, registers: Any
) -> None:
    served = await serve(registers)
    registers.tables[Table.HOLDING][:2] = [111, 222]
    link = link_to(served.port)
    served.delay_s = 0.12
    with pytest.raises(DeviceError, match=r"inverter X at 127.0.0.1:\d+ unit 7: reading 1 holding .* no answer"):
        await link.read(Table.HOLDING, 0, 1)
    served.delay_s = 0.0
    assert await link.read(Table.HOLDING, 1, 1) == [222]
    await asyncio.sleep(0.06)
    assert await link.read(Table.HOLDING, 1, 1) == [222]
    assert (link.state.timeouts, link.generation, link.state.reconnects) == (1, 2, 1)
    await link.close()


async def test_a_late_answer_without_transaction_id_is_not_taken_for_the_next_one() -> None:
    """Serial gateways answer with transaction 0, which fits every request: only a new connection is safe."""
    connections = 0

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while True:
                head = await reader.readexactly(7)
                body = await reader.readexactly(struct.unpack(">H", head[4:6])[0] - 1)
                address = struct.unpack(">H", body[1:3])[0]
                if address == 1:
                    await asyncio.sleep(0.12)
                writer.write(struct.pack(">HHHBBBH", 0, 0, 5, head[6], body[0], 2, address))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(gateway, "127.0.0.1", 0)
    link = link_to(server.sockets[0].getsockname()[1])
    with pytest.raises(DeviceError, match="no answer"):
        await link.read(Table.HOLDING, 1, 1)
    for address in (2, 3, 4, 5):
        assert await link.read(Table.HOLDING, address, 1) == [address]
        await asyncio.sleep(0.02)
    assert connections == 2
    await link.close()
    server.close()


async def test_a_request_that_is_cancelled_leaves_no_connection_behind(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    served.delay_s = 0.05
    registers.tables[Table.HOLDING][:2] = [111, 222]
    link = link_to(served.port)
    request = asyncio.create_task(link.read(Table.HOLDING, 0, 1))
    await asked(served)
    request.cancel()
    await asyncio.wait([request])
    assert await link.read(Table.HOLDING, 1, 1) == [222]
    assert link.generation == 2
    await link.close()


async def test_a_cancellation_that_meets_the_answer_is_not_swallowed(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    link = link_to(served.port)
    await link.read(Table.HOLDING, 0, 1)

    async def poll() -> None:
        while True:
            await link.read(Table.HOLDING, 0, 1)

    for _ in range(30):
        task = asyncio.create_task(poll())
        answered_s = link.state.last_answer_s
        while link.state.last_answer_s == answered_s:
            await asyncio.sleep(0)
        assert link._stream is not None
        assert link._stream._pending is not None
        link._stream._pending.add_done_callback(lambda _, task=task: task.cancel())
        done, _ = await asyncio.wait([task], timeout=1.0)
        assert done
        assert task.cancelled()
    await link.close()


async def test_a_connection_that_ends_fails_the_request_at_once_and_is_opened_again(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    served.delay_s = 1.0
    slow = LinkTiming(request_timeout_s=5.0)
    link = link_to(served.port, timing=slow)
    request = asyncio.create_task(link.read(Table.HOLDING, 0, 1))
    await asked(served)
    await served.stop()
    with pytest.raises(DeviceError, match="closed the connection"):
        await asyncio.wait_for(request, 1.0)
    assert link.state.timeouts == 0
    served.delay_s = 0.0
    await served.start()
    assert await link.read(Table.HOLDING, 0, 1) == [0]
    await link.close()


async def test_a_device_that_answers_with_another_length_is_refused_by_name(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    link = link_to(served.port)
    for wrong in (-1, 2):
        served.wrong_length = wrong
        with pytest.raises(DeviceError, match=rf"answered with {3 + wrong} registers; is this the device"):
            await link.read(Table.HOLDING, 0, 3)
        assert not link.state.online
        served.wrong_length = 0
        await asyncio.sleep(0.06)
        assert await link.read(Table.HOLDING, 0, 3) == [0, 0, 0]
    await link.close()


async def test_an_exception_code_is_told_in_words_and_keeps_the_connection(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    registers.missing.add(5)
    link = link_to(served.port)
    with pytest.raises(DeviceError, match=r"does not have these registers \(exception 2\)"):
        await link.read(Table.HOLDING, 0, 6)
    with pytest.raises(DeviceError, match="writing 1 registers at 5"):
        await link.write(5, [1])
    served.exception = ExcCodes.DEVICE_BUSY
    with pytest.raises(DeviceError, match="busy"):
        await link.read(Table.HOLDING, 0, 1)
    assert link.state.online
    assert link.generation == 1
    await link.close()


@pytest.mark.parametrize(
    "garbage", [b"\xde\xad\xbe\xef" * 8, b"\0\1\0\0\0\3\7\x83", b"\0\1\0\0\0\4\7\x03\xff\0", b"\0" * 300]
)
async def test_garbage_fails_the_request_and_the_link_recovers(serve: Any, registers: Any, garbage: bytes) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    served = await serve(registers)
    link = link_to(served.port)
    served.garbage = garbage
    with pytest.raises(DeviceError, match="inverter X"):
        await link.read(Table.HOLDING, 0, 1)
    served.garbage = b""
    assert await link.read(Table.HOLDING, 0, 1) == [0]
    await link.close()


async def test_attempts_back_off_with_jitter_and_fail_at_once_meanwhile(unused_tcp_port: int) -> None:
    clock = ManualClock(monotonic_s=100.0)
    timing = LinkTiming(connect_timeout_s=0.5, backoff_first_s=1.0, backoff_max_s=4.0)
    link = link_to(unused_tcp_port, clock, timing)
    waits = []
    for _ in range(6):
        with pytest.raises(
            DeviceError, match=r"no connection \(Connection refused\); check power, cabling and the modbus address"
        ):
            await link.read(Table.HOLDING, 0, 1)
        waits.append(link.retry_at_s - clock.monotonic_s() if link.retry_at_s else 0.0)
        if waits[-1]:
            with pytest.raises(DeviceError, match="next attempt in"):
                await link.read(Table.HOLDING, 0, 1)
        clock.advance(waits[-1] + 0.001)
    assert waits == pytest.approx([0.0, 1.0, 2.0, 4.0, 4.0, 4.0])


async def test_an_answer_ends_the_back_off(serve: Any, registers: Any) -> None:
    served = await serve(registers)
    link = link_to(served.port)
    served.silent = True
    for _ in range(3):
        with pytest.raises(DeviceError):
            await link.read(Table.HOLDING, 0, 1)
        await asyncio.sleep(max(0.0, link.retry_at_s - SystemClock().monotonic_s()))
    assert link.state.timeouts == 3
    served.silent = False
    assert await link.read(Table.HOLDING, 0, 1) == [0]
    served.silent = True
    with pytest.raises(DeviceError):
        await link.read(Table.HOLDING, 0, 1)
    served.silent = False
    assert await link.read(Table.HOLDING, 0, 1) == [0]
    assert link.state.error is None
    await link.close()
