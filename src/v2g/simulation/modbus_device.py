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
    """One server on one port, answering any unit id. What misbehaves is in the attributes, or it is stopped."""

    def __init__(self, name: str, host: str, port: int, image: DeviceImage, clock: Clock) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.image = image
        self.stalled = False
        self.garbage = False
        self.delay_s = 0.0
        self.exception: int | None = None
        """Modbus exception code that every request gets."""
        self.other_unit: int | None = None
        """Unit that it answers as."""
        self.length_error = 0
        """Registers more (or less, below zero) than a read asked for."""
        self.tear_every = 0
        """Every n-th read shows its even registers of now and its odd ones of the read before; 0: none."""
        self.lies: dict[str, float] = {}
        self.reads = 0
        self.writes = 0
        self._clock = clock
        self._server: ModbusTcpServer | None = None
        self._shown: dict[Table, list[int]] = {}

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
        """End all that misbehaves, but for being stopped."""
        self.stalled = self.garbage = False
        self.delay_s = 0.0
        self.exception = self.other_unit = None
        self.length_error = self.tear_every = 0
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
        if self.exception is not None:
            # The packet gets the code: pymodbus knows fewer of them.
            return ExcCodes.DEVICE_FAILURE
        now_s = self._clock.monotonic_s()
        if values is None:
            self.reads += 1
            if table := _TABLES.get(function_code):
                registers[:-1] = self._torn(table, self.image.render(table, self.lies, now_s))
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
        if self.garbage:
            return b"\xde\xad\xbe\xef" * 4
        return self._bent(data)

    def _torn(self, table: Table, registers: list[int]) -> list[int]:
        before = self._shown.get(table, registers)
        self._shown[table] = registers
        if not self.tear_every or self.reads % self.tear_every:
            return registers
        mixed = list(registers)
        mixed[1::2] = before[1::2]
        return mixed

    def _bent(self, data: bytes) -> bytes:
        """An answer as another unit, another exception or of another length gives it."""
        head, unit, pdu = data[:4], data[6], data[7:]
        if self.other_unit is not None:
            unit = self.other_unit
        if self.exception is not None and pdu[0] & 0x80:
            pdu = pdu[:1] + bytes([self.exception])
        elif self.length_error and pdu[0] in _TABLES:
            octets = min(max(pdu[1] + 2 * self.length_error, 0), 250)
            pdu = bytes([pdu[0], octets]) + pdu[2 : 2 + octets].ljust(octets, b"\0")
        return head + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu
