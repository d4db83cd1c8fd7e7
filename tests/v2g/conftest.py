"""Modbus devices for tests: registers with a mind of their own, in memory or behind a real pymodbus server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from v2g.clock import Clock, ManualClock
from v2g.hardware.modbus import LinkState
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import RegisterImage, load_map
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import END_MODEL_ID, SUNS, ModelImage, load_model


class Registers:
    """Two tables of 65536 registers and a list of what was written."""

    def __init__(self) -> None:
        self.tables: dict[Table, list[int]] = {table: [0] * 65536 for table in Table}
        self.missing: set[int] = set()
        """Holding registers that the device says it does not have."""
        self.writes: list[tuple[int, list[int]]] = []

    def before_read(self, table: Table) -> None:
        pass

    def after_write(self, address: int, values: list[int]) -> None:
        pass

    def read(self, table: Table, address: int, count: int) -> list[int] | None:
        if table is Table.HOLDING and self.missing & set(range(address, address + count)):
            return None
        self.before_read(table)
        return self.tables[table][address : address + count]

    def write(self, address: int, values: list[int]) -> bool:
        if self.missing & set(range(address, address + len(values))):
            return False
        self.writes.append((address, list(values)))
        self.tables[Table.HOLDING][address : address + len(values)] = values
        self.after_write(address, values)
        return True


class FakeInverter(Registers):
    """A SunSpec inverter with models 1, 701-704; power follows the set-point at once; reversion counts in ``clock``."""

    def __init__(self, clock: Clock, base: int = 40000, rounding: Callable[[float], int] = int) -> None:
        super().__init__()
        self.clock = clock
        self.base = base
        self.counts = True
        """WSetRvrtRem counts down."""
        self.rounding = rounding
        self.revert_at_s: float | None = None
        self.models = {number: ModelImage.blank(load_model(number)) for number in (1, 701, 702, 703, 704)}
        m1, m701, m702, m703, m704 = (self.models[n] for n in (1, 701, 702, 703, 704))
        for name, text in (("Mn", "Acme"), ("Md", "Bi22"), ("Vr", "1"), ("SN", "42")):
            m1.set(name, text)
        for image, name, value in (
            (m701, "W_SF", 1), (m701, "V_SF", -1), (m701, "Hz_SF", -3), (m701, "Var_SF", 1), (m701, "W", 0),
            (m701, "Var", 0), (m701, "LNV", 277.1), (m701, "Hz", 60.01), (m701, "St", 1), (m701, "InvSt", 3),
            (m701, "ConnSt", 1), (m701, "Alrm", 0), (m702, "W_SF", 1), (m702, "WMaxRtg", 22000),
            (m702, "WChaRteMaxRtg", 20000), (m702, "WDisChaRteMaxRtg", 15000), (m703, "ES", 1), (m704, "WSet_SF", 0),
            (m704, "WSetEna", 0), (m704, "WSetMod", 0), (m704, "WSet", 0), (m704, "WSetRvrt", 500),
            (m704, "WSetEnaRvrt", 0), (m704, "WSetRvrtTms", 0), (m704, "WSetRvrtRem", 0),
            (m704, "AntiIslEna", 1),
        ):  # fmt: skip
            image.set(name, value)
        self.addresses: dict[int, int] = {}
        self.place()

    def place(self) -> None:
        address = self.base
        holding = self.tables[Table.HOLDING]
        holding[address : address + 2] = SUNS
        address += 2
        for number, image in self.models.items():
            self.addresses[number] = address
            holding[address : address + len(image.registers)] = image.registers
            address += len(image.registers)
        holding[address : address + 2] = [END_MODEL_ID, 0]

    def point(self, number: int, name: str) -> float | None:
        self.pull(number)
        return self.models[number].number(name)

    def put(self, number: int, name: str, value: float | None) -> None:
        self.pull(number)
        self.models[number].set(name, value)
        self.place()

    def pull(self, number: int) -> None:
        image, address = self.models[number], self.addresses[number]
        image.registers = self.tables[Table.HOLDING][address : address + len(image.registers)]

    def before_read(self, table: Table) -> None:
        remaining_s = 0.0 if self.revert_at_s is None else self.revert_at_s - self.clock.monotonic_s()
        if self.revert_at_s is not None and remaining_s <= 0:
            self.revert_at_s = None
            self.put(704, "WSet", self.point(704, "WSetRvrt"))
            self.put(704, "WSetEna", self.point(704, "WSetEnaRvrt"))
        shown = self.rounding(max(remaining_s, 0.0)) if self.counts else int(self.point(704, "WSetRvrtTms") or 0)
        self.put(704, "WSetRvrtRem", shown)
        enabled = self.point(704, "WSetEna") == 1
        self.put(701, "W", (self.point(704, "WSet") or 0.0) if enabled else 0.0)

    def after_write(self, address: int, values: list[int]) -> None:
        self.pull(704)
        seconds = self.models[704].integer("WSetRvrtTms") or 0
        enabled = self.models[704].integer("WSetEna") == 1
        self.revert_at_s = self.clock.monotonic_s() + seconds if seconds and enabled else None

    def writes_to(self, name: str) -> list[int]:
        """Positions in ``writes`` of the requests that cover a point of model 704."""
        at = self.addresses[704] + self.models[704].model.point(name).offset
        return [i for i, (address, values) in enumerate(self.writes) if address <= at < address + len(values)]


class FakeEvse(Registers):
    """A DC output that does at once what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.image = RegisterImage(load_map("v2g-dc-evse"))
        self.image.stamp_identity()
        for role, value in (
            ("plugged", True), ("insulation", "valid"), ("insulation_ohm", 1e6), ("present_voltage_v", 400.0),
            ("max_voltage_v", 900.0), ("min_voltage_v", 150.0), ("max_current_a", 60.0), ("max_power_w", 22000.0),
            ("pilot_state", "C"), ("pilot_high_v", 6.0), ("pilot_low_v", -12.0), ("pilot_duty_pct", 5.0),
            ("pilot_frequency_hz", 1000.0), ("earth_ohm", 1.0), ("earth_ok", True),
        ):  # fmt: skip
            self.image.set(role, value)
        self.stuck = False
        self.show()

    def show(self) -> None:
        for block in self.image.map.read_blocks():
            self.tables[block.table][block.address : block.address + block.count] = self.image.registers(block)

    def set(self, role: str, value: float | bool | str) -> None:
        self.image.set(role, value)
        self.show()

    def after_write(self, address: int, values: list[int]) -> None:
        block = self.image.map.write_block()
        self.image.load(block, self.tables[Table.HOLDING][block.address : block.address + block.count])
        closed = self.image.flag("close_contactors")
        self.image.set("contactors_commanded", closed)
        if not self.stuck:
            self.image.set("contactors_closed", closed)
        self.image.set("connector_locked", self.image.flag("lock_connector"))
        self.show()


class MemoryLink:
    """Stands for :class:`v2g.hardware.modbus.ModbusLink` without a network."""

    def __init__(self, device: Registers, name: str = "device") -> None:
        self.name = name
        self.device = device
        self.state = LinkState(online=False)
        self.generation = 0
        self.lose = 0
        """So many requests from now on get no answer."""

    async def read(self, table: Table, address: int, count: int) -> list[int]:
        self._ask()
        registers = self.device.read(table, address, count)
        if registers is None:
            raise DeviceError("it does not have these registers (exception 2)")
        return registers

    async def write(self, address: int, registers: list[int]) -> None:
        self._ask()
        if not self.device.write(address, registers):
            raise DeviceError("it does not have these registers (exception 2)")

    async def close(self) -> None:
        self.state.online = False

    def refuse(self, reason: str) -> DeviceError:
        self.state.online = False
        return DeviceError(reason)

    def _ask(self) -> None:
        if self.lose:
            self.lose -= 1
            self.state.online = False
            raise DeviceError("no answer")
        if not self.state.online:
            self.generation += 1
            self.state.online = True


@dataclass
class Served:
    """A device behind a real server; the fields make it misbehave."""

    device: Registers
    port: int = 0
    delay_s: float = 0.0
    silent: bool = False
    exception: ExcCodes | None = None
    garbage: bytes = b""
    wrong_length: int = 0
    connections: int = 0
    requests: int = 0
    functions: set[int] = field(default_factory=set)
    """Function codes of the requests that came."""
    server: Any = field(default=None, repr=False)

    async def start(self) -> None:
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        tables = [[SimData(0, count=65535, values=0, datatype=DataType.REGISTERS)] for _ in range(2)]
        device = SimDevice(id=0, simdata=(bits, list(bits), *tables), action=self._access)
        self.server = ModbusTcpServer(
            device,
            address=("127.0.0.1", self.port),
            trace_packet=self._packet,
            trace_pdu=self._pdu,
            trace_connect=self._connect,
        )
        await self.server.serve_forever(background=True)
        self.port = self.server.transport.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.shutdown()
            self.server = None

    async def _access(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: list[int] | None
    ) -> ExcCodes | None:
        self.requests += 1
        answer: list[int] | None = []
        if values is None:
            answer = self.device.read(Table.HOLDING if function == 3 else Table.INPUT, address, count)
        elif not self.device.write(address, [int(value) for value in values]):
            answer = None
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if answer is None:
            return ExcCodes.ILLEGAL_ADDRESS
        registers[address - start : address - start + len(answer)] = answer
        return self.exception

    def _packet(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            return data
        return b"" if self.silent else self.garbage or data

    def _pdu(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not sending:
            self.functions.add(pdu.function_code)
        if sending and self.wrong_length and pdu.registers:
            pdu.registers = [*pdu.registers, *[0] * 8][: len(pdu.registers) + self.wrong_length]
        return pdu

    def _connect(self, connected: bool) -> None:
        self.connections += connected


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Registers], Awaitable[Served]]]:
    """``await serve(device)`` puts a device behind a Modbus TCP server on a free port."""
    running: list[Served] = []

    async def start(device: Registers) -> Served:
        served = Served(device)
        await served.start()
        running.append(served)
        return served

    yield start
    for served in running:
        await served.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def fake_inverter() -> type[FakeInverter]:
    return FakeInverter


@pytest.fixture
def fake_evse() -> type[FakeEvse]:
    return FakeEvse


@pytest.fixture
def memory_link() -> type[MemoryLink]:
    return MemoryLink


@pytest.fixture
def registers() -> Registers:
    return Registers()
