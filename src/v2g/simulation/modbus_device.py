"""A simulated Modbus TCP device: a register image behind a pymodbus server, with the ways a real device misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from v2g.clock import Clock
from v2g.hardware.registers import Table

_TABLES = {3: Table.HOLDING, 4: Table.INPUT}


class DeviceImage(Protocol):
    """What a device shows on the wire."""

    def span(self, table: Table) -> tuple[int, int]:
        """First address and number of registers of a table."""

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        """All registers of a table now; ``lies`` replaces points by name (values in the point's unit)."""

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        """Take a write to holding registers. False: not writable (the client gets exception 2)."""

    def point_names(self) -> tuple[str, ...]:
        """The points that a lie may name."""


class ModbusDevice:
    """One server on one port, answering any unit id. Faults: ``stall``, ``delay_s``, ``garbage``, ``lies``, offline."""

    def __init__(self, name: str, host: str, port: int, image: DeviceImage, clock: Clock) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.image = image
        self.stalled = False
        self.garbage = False
        self.delay_s = 0.0
        self.lies: dict[str, float] = {}
        self.reads = 0
        self.writes = 0
        self._clock = clock
        self._server: ModbusTcpServer | None = None

    @property
    def online(self) -> bool:
        return self._server is not None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken. No effect when it listens already."""
        if self._server is not None:
            return
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        holding, input_ = (
            [SimData(start, values=[0] * count, datatype=DataType.REGISTERS)]
            for start, count in (self.image.span(Table.HOLDING), self.image.span(Table.INPUT))
        )
        device = SimDevice(id=0, simdata=(bits, list(bits), holding, input_), action=self._access)
        server = ModbusTcpServer(device, address=(self.host, self.port), trace_packet=self._packet)
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise OSError(
                f"{self.name}: cannot listen on {self.host}:{self.port}; is another plant running?"
            ) from error
        self._server = server

    async def stop(self) -> None:
        """Close all connections and the port: the device is gone from the network."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]

    def heal(self) -> None:
        """End stall, delay, garbage and lies."""
        self.stalled = self.garbage = False
        self.delay_s = 0.0
        self.lies.clear()

    async def _access(
        self,
        function_code: int,
        start_address: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        del start_address, count
        if self.delay_s > 0:
            await asyncio.sleep(self.delay_s)
        now_s = self._clock.monotonic_s()
        if values is None:
            self.reads += 1
            if table := _TABLES.get(function_code):
                registers[:-1] = self.image.render(table, self.lies, now_s)
            return None
        self.writes += 1
        if not self.image.write(address, [int(value) for value in values], now_s):
            return ExcCodes.ILLEGAL_ADDRESS
        return None

    def _packet(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            return data
        if self.stalled:
            return b""
        return b"\xde\xad\xbe\xef" * 4 if self.garbage else data
