"""A plant in this process, as its wires and its socket show it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from v2g.hardware.sunspec.codec import END_MODEL_ID, ModelImage, load_model
from v2g.simulation.plant import Plant
from v2g.simulation.plant_client import PlantClient
from v2g.simulation.plant_config import PlantConfig

EVSE = "US*V2G*E1"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Running:
    """A plant in this process, with a hand that holds its breaker closed."""

    def __init__(self, plant: Plant, config: PlantConfig) -> None:
        self.plant = plant
        self.config = config
        self.run_dir = Path(config.run_dir)
        self.clients: list[AsyncModbusTcpClient] = []
        self.hold_closed = True

    async def modbus(self, port: int) -> AsyncModbusTcpClient:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=0.3, retries=0, reconnect_delay=0)
        assert await client.connect()
        self.clients.append(client)
        return client

    async def inverter(self) -> AsyncModbusTcpClient:
        return await self.modbus(self.config.evses[0].inverter_port)

    async def dc(self) -> AsyncModbusTcpClient:
        return await self.modbus(self.config.evses[0].dc_port)

    async def ask(self, **request: object) -> dict:
        def exchange() -> dict:
            with PlantClient(self.run_dir / "plant.sock") as client:
                return client.ask(**request)

        return await asyncio.to_thread(exchange)

    async def until(self, condition, seconds: float = 3.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition(self.plant.socket.measure()):
                await asyncio.sleep(0.005)


async def sunspec(client: AsyncModbusTcpClient, wanted: int) -> tuple[int, ModelImage]:
    at = 40002
    while True:
        number, length = (await client.read_holding_registers(at, count=2)).registers
        assert number != END_MODEL_ID, f"model {wanted} is not there"
        if number == wanted:
            break
        at += length + 2
    model, registers = load_model(wanted), []
    while len(registers) < model.length:
        count = min(125, model.length - len(registers))
        registers += (await client.read_holding_registers(at + len(registers), count=count)).registers
    return at, ModelImage(model, registers)
