"""A vehicle's computer hands a grid code to its inverter over the plant's socket, and hears what that does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyiso15118.der import GridCode
from support.running_plant import EVSE, Running, free_ports
from v2g.clock import SystemClock
from v2g.grid import profiles
from v2g.grid.support import SupportSettings
from v2g.hardware.breaker import MmapBreakerOutput
from v2g.hardware.ports import AcEvseCommand
from v2g.sessions.der import grid_code
from v2g.simulation.battery import BatteryModel
from v2g.simulation.plant import Plant
from v2g.simulation.plant_client import Cable, PlantRefused
from v2g.simulation.plant_config import PlantConfig, PlantEvse

CODE = grid_code(profiles.resolve(nominal_frequency_hz=60.0), SupportSettings(), 277.0).code
DC = "US*V2G*E2"
CLOSE = AcEvseCommand(close_contactor=True, lock_connector=True, pilot_duty_pct=5.0)


def code(*, permitted: bool) -> GridCode:
    assert CODE.enter_service is not None
    return replace(CODE, enter_service=replace(CODE.enter_service, permitted=permitted, delay_s=0.2))


def told(cable: Cable) -> tuple[int, bool] | None:
    """What the vehicle's own sensors say: whole Hz, in service."""
    return None if cable.tick is None else (round(cable.tick.frequency_hz), cable.tick.in_service)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    ac, inverter, dc, transducers = free_ports(4)
    evses = (
        PlantEvse(evse_id=EVSE, kind="AC", ac_port=ac, max_current_a=32.0),
        PlantEvse(evse_id=DC, inverter_port=inverter, dc_port=dc),
    )
    config = PlantConfig(run_dir=str(tmp_path), evses=evses, transducers_port=transducers)
    plant = Plant(config)
    await plant.start()
    charger = plant.engine.site.ac_chargers[EVSE]
    output, clock = MmapBreakerOutput(tmp_path / "breaker"), SystemClock()

    async def hold() -> None:
        while True:
            output.hold(True, clock.monotonic_s())
            with plant.engine.lock:
                charger.stage.apply(CLOSE, clock.monotonic_s())
            await asyncio.sleep(0.05)

    holding = asyncio.create_task(hold())
    yield Running(plant, config)
    holding.cancel()
    await plant.close()


async def test_an_inverter_leaves_service_when_its_code_says_so_and_comes_back(running: Running) -> None:
    cable = await Cable.plug(running.run_dir / "plant.sock", EVSE, "car", 0.5, BatteryModel())
    await cable.drive(0.0, ready=True)
    await running.until(lambda m: m.chargers[EVSE].in_service is True)
    await cable.take_over(code(permitted=True), 11_000.0, 11_000.0)
    await cable.take_over(code(permitted=False), 11_000.0, 11_000.0)
    await running.until(lambda m: m.chargers[EVSE].in_service is False)
    await running.until(lambda m: told(cable) == (60, False))
    await cable.take_over(code(permitted=True), 11_000.0, 11_000.0)
    await running.until(lambda m: m.chargers[EVSE].in_service is True)
    assert running.plant.socket.measure().chargers[EVSE].trips == 0, "told to leave is no trip"
    await cable.close()


async def test_a_rating_of_nothing_and_a_dc_evse_are_refused(running: Running) -> None:
    cable = await Cable.plug(running.run_dir / "plant.sock", EVSE, "car", 0.5, BatteryModel())
    for rated_w, rated_va in ((0.0, 11_000.0), (11_000.0, -1.0)):
        with pytest.raises(PlantRefused, match="above zero"):
            await cable.take_over(CODE, rated_w, rated_va)
    await cable.close()
    beside = await Cable.plug(running.run_dir / "plant.sock", DC, "other", 0.5, BatteryModel())
    with pytest.raises(PlantRefused, match="not plugged into an AC EVSE"):
        await beside.take_over(CODE, 11_000.0, 11_000.0)
    await beside.close()
