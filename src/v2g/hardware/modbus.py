"""One Modbus TCP connection to one device, whose answers can be trusted.

Requests are serialised. After a timeout or an answer that does not fit, the connection is closed and a new one opened,
so that a late reply is never taken for the next one. Attempts to reconnect back off; meanwhile calls fail at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
    WriteMultipleRegistersResponse,
)

from v2g.clock import Clock
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table

_EXCEPTIONS = {
    1: "does not know the function",
    2: "does not have these registers",
    3: "refuses the value",
    4: "reports an internal failure",
    5: "needs more time",
    6: "is busy",
    10: "is behind a gateway that cannot reach it",
    11: "did not answer its gateway",
}


@dataclass(frozen=True, slots=True)
class ModbusEndpoint:
    """Where a device is: host, TCP port and unit identifier."""

    host: str
    port: int
    unit: int = 1

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} unit {self.unit}"


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """Seconds. The first failure is followed by an attempt at once, the n-th after ``backoff_first_s * 2**(n-2)``."""

    request_timeout_s: float = 0.5
    connect_timeout_s: float = 1.0
    backoff_first_s: float = 0.1
    backoff_max_s: float = 2.0


@dataclass(slots=True)
class LinkState:
    """What happened on a connection so far."""

    online: bool = False
    last_answer_s: float | None = None
    error: str | None = None
    timeouts: int = 0
    reconnects: int = 0


class ModbusLink:
    """A connection that opens itself when it is used.

    ``name`` is for people (``inverter US*V2G*E1``). ``jitter`` gives numbers in [0, 1). ``generation`` grows with
    every new connection: whoever knows something about the device asks again when it changed. All calls raise
    :class:`DeviceError`.
    """

    def __init__(
        self,
        name: str,
        endpoint: ModbusEndpoint,
        clock: Clock,
        jitter: Callable[[], float],
        timing: LinkTiming = LinkTiming(),
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.state = LinkState()
        self.generation = 0
        self.retry_at_s = 0.0
        """No attempt to connect before this."""
        self._clock = clock
        self._jitter = jitter
        self._timing = timing
        self._client: AsyncModbusTcpClient | None = None
        self._lock = asyncio.Lock()
        self._failures = 0

    async def read(self, table: Table, address: int, count: int) -> list[int]:
        """``count`` registers (1..125) in one request."""
        what = f"reading {count} {table} registers at {address}"
        async with self._lock:
            client = await self._connected()
            holding = table is Table.HOLDING
            read = client.read_holding_registers if holding else client.read_input_registers
            expected = ReadHoldingRegistersResponse if holding else ReadInputRegistersResponse
            answer = await self._ask(read(address, count=count, device_id=self.endpoint.unit), expected, what)
            if len(answer.registers) != count:
                raise self._broken(f"{what}: it answered with {len(answer.registers)} registers")
            return list(answer.registers)

    async def write(self, address: int, registers: list[int]) -> None:
        """Up to 123 holding registers in one request (function 16)."""
        what = f"writing {len(registers)} registers at {address}"
        async with self._lock:
            client = await self._connected()
            request = client.write_registers(address, registers, device_id=self.endpoint.unit)
            answer = await self._ask(request, WriteMultipleRegistersResponse, what)
            if (answer.address, answer.count) != (address, len(registers)):
                raise self._broken(f"{what}: it acknowledged {answer.count} at {answer.address}")

    async def close(self) -> None:
        async with self._lock:
            self._drop()

    def refuse(self, reason: str) -> DeviceError:
        """What a driver raises when answers arrive but make no sense: the connection is dropped, back-off begins."""
        return self._broken(reason)

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        wait_s = self.retry_at_s - self._clock.monotonic_s()
        if wait_s > 0:
            raise self._error(f"{self.state.error or 'not connected'}; next attempt in {wait_s:.1f} s")
        client = AsyncModbusTcpClient(
            self.endpoint.host,
            port=self.endpoint.port,
            name=self.name,
            timeout=self._timing.request_timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=lambda connected: None if connected else self._lost(client),
        )
        try:
            async with asyncio.timeout(self._timing.connect_timeout_s):
                connected = await client.connect()
        except TimeoutError:
            connected = False
        except BaseException:
            client.close()
            raise
        if not connected:
            client.close()
            raise self._failed("no connection; check power, cabling and the modbus address in v2g.yaml")
        self._client = client
        self.generation += 1
        self.state.reconnects = self.generation - 1
        return client

    async def _ask(self, request: Awaitable[ModbusPDU], expected: type[ModbusPDU], what: str) -> ModbusPDU:
        try:
            async with asyncio.timeout(self._timing.request_timeout_s):
                answer = await request
            # pymodbus uses asyncio.wait_for, which before Python 3.12 swallows a cancellation that meets the answer.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
        except ConnectionException:
            raise self._failed(f"{what}: the device closed the connection or sent what is no Modbus") from None
        except (TimeoutError, ModbusException, OSError):
            self.state.timeouts += 1
            raise self._failed(f"{what}: no answer in {self._timing.request_timeout_s:g} s") from None
        except BaseException:
            # A request that was given up on the way leaves a reply under way.
            self._drop()
            raise
        if isinstance(answer, ExceptionResponse):
            self._answered()
            code = answer.exception_code
            self.state.error = f"{what}: it {_EXCEPTIONS.get(code, 'refuses')} (exception {code})"
            raise self._error(self.state.error)
        if type(answer) is not expected:
            raise self._broken(f"{what}: it answered another request")
        self._answered()
        return answer

    @staticmethod
    def _lost(client: AsyncModbusTcpClient) -> None:
        # pymodbus lets a pending request run into its timeout when the connection ends.
        pending = client.ctx.response_future
        if not pending.done():
            pending.set_exception(ConnectionException("connection lost"))
            pending.exception()

    def _answered(self) -> None:
        self.state.online = True
        self.state.error = None
        self.state.last_answer_s = self._clock.monotonic_s()
        self._failures = 0

    def _broken(self, reason: str) -> DeviceError:
        return self._failed(f"{reason}; is this the device that the configuration names?")

    def _failed(self, reason: str) -> DeviceError:
        self._drop()
        self._failures += 1
        if self._failures > 1:
            delay_s = min(self._timing.backoff_first_s * 2.0 ** min(self._failures - 2, 16), self._timing.backoff_max_s)
            self.retry_at_s = self._clock.monotonic_s() + delay_s * (0.5 + self._jitter())
        self.state.error = reason
        return self._error(reason)

    def _error(self, reason: str) -> DeviceError:
        return DeviceError(f"{self.name} at {self.endpoint}: {reason}")

    def _drop(self) -> None:
        self.state.online = False
        if self._client is not None:
            self._client.close()
            self._client = None
