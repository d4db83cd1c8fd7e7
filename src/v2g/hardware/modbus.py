"""One Modbus TCP connection to one device, whose answers can be trusted.

Requests are serialised. After a timeout or an answer that does not fit, the connection is closed and a new one opened,
so that a late reply is never taken for the next one. Attempts to reconnect back off; meanwhile calls fail at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from v2g.clock import Clock
from v2g.hardware import mbap
from v2g.hardware.endpoint import ModbusEndpoint
from v2g.hardware.modbus_stream import ConnectionEnded, ModbusStream, open_stream
from v2g.hardware.modbus_tls import TlsClient, TlsProblem, refusal
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.histogram import Histogram

__all__ = ["LinkState", "LinkTiming", "ModbusEndpoint", "ModbusLink"]

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
class LinkTiming:
    """Seconds. The first failure is followed by an attempt at once, the n-th after ``backoff_first_s * 2**(n-2)``."""

    request_timeout_s: float = 0.5
    connect_timeout_s: float = 1.0
    tls_connect_timeout_s: float = 3.0
    """With the handshake: small devices sign slowly."""
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
    """A connection that opens itself when it is used; one for each device.

    Units behind one gateway get a connection each, so that the silence of one never closes another's: the gateway
    must accept as many.

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
        latency: Histogram | None = None,
    ) -> None:
        """``latency``: where seconds between requests and answers are counted; None: nowhere."""
        self.name = name
        self.endpoint = endpoint
        self.state = LinkState()
        self.generation = 0
        self.retry_at_s = 0.0
        """No attempt to connect before this."""
        self._clock = clock
        self._jitter = jitter
        self._timing = timing
        self._latency = latency
        self._tls = None if endpoint.tls is None else TlsClient(endpoint.tls)
        self._stream: ModbusStream | None = None
        self._lock = asyncio.Lock()
        self._failures = 0

    async def read(self, table: Table, address: int, count: int) -> list[int]:
        """``count`` registers (1..125) in one request."""
        request = mbap.read_request(table, address, count)
        what = f"reading {count} {table} registers at {address}"
        async with self._lock:
            pdu = await self._ask(request, what)
            try:
                registers = mbap.read_answer(pdu, table, count)
            except (mbap.Refused, mbap.WrongAnswer) as error:
                raise self._unwanted(error, what) from None
            self._answered()
            return registers

    async def write(self, address: int, registers: Sequence[int]) -> None:
        """Up to 123 holding registers in one request (function 16)."""
        request = mbap.write_request(address, registers)
        what = f"writing {len(registers)} registers at {address}"
        async with self._lock:
            pdu = await self._ask(request, what)
            try:
                mbap.check_write_answer(pdu, address, len(registers))
            except (mbap.Refused, mbap.WrongAnswer) as error:
                raise self._unwanted(error, what) from None
            self._answered()

    async def close(self) -> None:
        async with self._lock:
            stream, self._stream = self._stream, None
            self.state.online = False
            if stream is not None:
                stream.close()

    def refuse(self, reason: str) -> DeviceError:
        """What a driver raises when answers arrive but make no sense: the connection is dropped, back-off begins."""
        return self._broken(reason)

    async def _connected(self) -> ModbusStream:
        if self._stream is not None:
            if self._stream.open:
                return self._stream
            cause = self._stream.end_cause
            if isinstance(cause, mbap.WrongAnswer) or not self._stream.answered:
                raise self._ended(cause, "waiting")
            self._drop()
        wait_s = self.retry_at_s - self._clock.monotonic_s()
        if wait_s > 0:
            raise self._error(f"{self.state.error or 'not connected'}; next attempt in {wait_s:.1f} s")
        endpoint, timing = self.endpoint, self._timing
        limit_s = timing.connect_timeout_s if self._tls is None else timing.tls_connect_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                context = None if self._tls is None else await self._tls.context()
                name = "" if endpoint.tls is None else endpoint.tls.server_name
                stream = await open_stream(endpoint.host, endpoint.port, endpoint.unit, context, name)
        except TlsProblem as problem:
            raise self._failed(str(problem)) from None
        except (OSError, ValueError) as error:
            # A name that cannot be encoded is a ValueError.
            raise self._ended(error, "") from None
        self._stream = stream
        self.generation += 1
        self.state.reconnects = self.generation - 1
        return stream

    async def _ask(self, request: bytes, what: str) -> bytes:
        stream = await self._connected()
        try:
            asked_s = self._clock.monotonic_s()
            async with asyncio.timeout(self._timing.request_timeout_s):
                answer = await stream.ask(request)
            if self._latency is not None:
                self._latency.observe(self._clock.monotonic_s() - asked_s)
            return answer
        except ConnectionEnded as error:
            raise self._ended(error.cause, what) from None
        except mbap.WrongAnswer as error:
            raise self._broken(f"{what}: {error}") from None
        except TimeoutError:
            self.state.timeouts += 1
            raise self._failed(f"{what}: no answer in {self._timing.request_timeout_s:g} s") from None
        except BaseException:
            # A request that was given up on the way leaves a reply under way.
            self._drop()
            raise

    def _unwanted(self, error: mbap.Refused | mbap.WrongAnswer, what: str) -> DeviceError:
        if isinstance(error, mbap.WrongAnswer):
            return self._broken(f"{what}: {error}")
        self._answered()
        reason = f"{what}: it {_EXCEPTIONS.get(error.code, 'refuses')} (exception {error.code})"
        self.state.error = reason
        return self._error(reason)

    def _ended(self, cause: Exception | None, what: str) -> DeviceError:
        """A connection that could not be opened (no ``what``), or that ended before the answer."""
        tls = self.endpoint.tls
        role_words = "" if self._tls is None else self._tls.role_words
        if tls is not None and cause is not None and (reason := refusal(cause, tls, self.endpoint.host, role_words)):
            return self._failed(reason)
        if isinstance(cause, mbap.WrongAnswer):
            return self._broken(f"{what}: {cause}")
        if not what:
            return self._failed(f"no connection{_why(cause)}; check power, cabling and the modbus address in v2g.yaml")
        hint = "" if tls is None else "; a device that demands another role or certificate may do so without a word"
        return self._failed(f"{what}: the device closed the connection{hint}")

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
        if self._stream is not None:
            self._stream.abort()
            self._stream = None


def _why(cause: Exception | None) -> str:
    """Why no connection came about, in brackets; empty where nobody says."""
    if isinstance(cause, TimeoutError):
        return " (nobody answers)"
    if isinstance(cause, socket.gaierror):
        return f" (its name: {cause.strerror or cause})"
    number = cause.errno if isinstance(cause, OSError) else None
    return f" ({os.strerror(number)})" if number else ""
