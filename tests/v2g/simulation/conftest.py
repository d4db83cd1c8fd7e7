"""A plant in this process, with a hand that holds its breaker closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.running_plant import EVSE, Running, free_ports
from v2g.clock import SystemClock
from v2g.hardware.breaker import MmapBreakerOutput
from v2g.simulation.plant import Plant
from v2g.simulation.plant_config import PlantConfig, PlantEvse


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    ports = free_ports(3)
    config = PlantConfig(
        run_dir=str(tmp_path),
        evses=(PlantEvse(evse_id=EVSE, inverter_port=ports[0], dc_port=ports[1]),),
        transducers_port=ports[2],
        enter_service_delay_s=0.05,
    )
    plant = Plant(config)
    await plant.start()
    output, clock = MmapBreakerOutput(tmp_path / "breaker"), SystemClock()

    made = Running(plant, config)

    async def hold() -> None:
        while True:
            if made.hold_closed:
                output.hold(True, clock.monotonic_s())
            await asyncio.sleep(0.05)

    holding = asyncio.create_task(hold())
    yield made
    holding.cancel()
    for client in made.clients:
        client.close()
    await plant.close()
