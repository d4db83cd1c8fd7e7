"""``wires`` with a simulated plant in one process, its breaker held closed, under an order that is renewed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from v2g.clock import SystemClock
from v2g.config.functions import support_settings
from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.config.schema import Config
from v2g.grid.profiles import resolve
from v2g.grid.settings import GridSettings, Operation
from v2g.grid.support import SupportSettings
from v2g.guard.link import EvseSetpoint, PowerSetpoint, Setpoints
from v2g.guard.link_client import WiresClient
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.wires import Wires
from v2g.guard.wires_settings import WiresSettings
from v2g.hardware.breaker import MmapBreakerOutput
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.ports import DcEvseCommand, Insulation
from v2g.host.notify import Notifier
from v2g.simulation.battery import Battery, BatteryModel
from v2g.simulation.plant import Plant
from v2g.simulation.plant_config import PlantConfig, PlantEvse
from v2g.simulation.site import PluggedVehicle
from v2g.simulation.sunspec_image import SunSpecImage

EVSE = "US*V2G*E1"
RATED_W = 22_000.0
TEST = DcEvseCommand(close_contactors=True, test_insulation=True, lock_connector=True)
LOADED = DcEvseCommand(target_voltage_v=400, current_limit_a=60, close_contactors=True, lock_connector=True)
GRID = resolve(nominal_frequency_hz=60.0, category="III", enter_service={"delay_s": 1.0, "ramp_s": 1.0})
SITE = {
    "site": {"id": "test"},
    "transformer": {"id": "T1", "rated_kva": 250},
    "grid": {"nominal_voltage_v": 277},
}


def settings_with(grid: GridSettings, support: SupportSettings) -> WiresSettings:
    device = DeviceSettings(support=support, grid=grid)
    return WiresSettings(device=device, digest=f"{zlib.crc32(repr(device).encode()):08x}")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Bench:
    """A plant with a vehicle, its breaker held closed, ``wires``, and an orchestrator that renews its order."""

    def __init__(
        self,
        run_dir: Path,
        functions: dict[str, Any] | None = None,
        without: frozenset[int] = frozenset(),
        *,
        inverter: dict[str, Any] | None = None,
        **plant: Any,
    ) -> None:
        """``without``: SunSpec models that its inverter lacks. ``inverter``: of the EVSE's configuration; ``plant``: of
        :class:`PlantEvse`."""
        inverter_port, dc_port, transducers_port = free_ports(3)
        evse = PlantEvse(evse_id=EVSE, inverter_port=inverter_port, dc_port=dc_port, **plant)
        config = PlantConfig(run_dir=str(run_dir), evses=(evse,), transducers_port=transducers_port)
        self.plant = Plant(config)
        self.charger = self.plant.engine.site.chargers[EVSE]
        self.inverter = self.charger.inverter
        self.device = self.plant.devices[f"inverter {EVSE}"]
        if without:
            self.device.image = SunSpecImage(self.inverter, "SIM", self.plant.engine.lock, without)
        self.charger.plug(
            PluggedVehicle(name="car", battery=Battery(BatteryModel(voltage_swing_pu=0.0), soc=0.6), auto=True)
        )
        self.permit, self.operation = Permit.GRANTED, Operation.CONTINUOUS
        self.v_pu, self.frequency_hz = 1.0, 60.0
        self.power_w = 0.0
        stated = {
            **SITE,
            "functions": functions or {},
            "paths": {"run_dir": str(run_dir)},
            "evses": [
                {
                    "id": EVSE,
                    "kind": "DC",
                    "interface": "lo",
                    "inverter": {"modbus": {"host": "127.0.0.1", "port": inverter_port}} | (inverter or {}),
                    "dc": {"modbus": {"host": "127.0.0.1", "port": dc_port}},
                }
            ],
        }
        made = msgspec.convert(stated, Config)
        self.settings = settings_with(GRID, support_settings(made.functions))
        self.wires = Wires(
            made, run_paths(made), (), self, config_dir=run_dir, clock=SystemClock(), notifier=Notifier({}),
            jitter=lambda: 0.5, settings=self.settings, load_settings=lambda: self.settings,
            load_site=lambda: Loaded(made, {}, run_dir),
        )  # fmt: skip
        self.client = WiresClient(run_paths(made).wires_sock)
        self.breaker = MmapBreakerOutput(run_dir / "breaker")

    def read(self, now_s: float) -> GuardStatus:
        """The guard's status, as ``wires`` asks for it."""
        return GuardStatus(
            as_of_s=now_s, permit=self.permit, breaker_commanded_closed=True, breaker_closed=True,
            v_pu=(self.v_pu,) * 3, frequency_hz=self.frequency_hz, operation=int(self.operation), service_fraction=1.0,
            settings_digest=self.settings.digest,
        )  # fmt: skip

    async def act(self) -> None:
        """Hold the breaker and renew the order, ten times a second."""
        sequence = 0
        while True:
            now_s, sequence = time.monotonic(), sequence + 1
            self.breaker.hold(True, now_s)
            lease = {"evse_id": EVSE, "source": "order", "expires_at_s": now_s + 0.5}
            command = LOADED if self.charger.stage.insulation is Insulation.VALID else TEST
            self.client.send(
                Setpoints(
                    sequence=sequence,
                    sent_at_s=now_s,
                    powers=(PowerSetpoint(power_w=self.power_w, **lease),),
                    evses=(EvseSetpoint(command=command, **lease),),
                )
            )
            await asyncio.sleep(0.1)

    async def until(self, condition: Callable[[], object], within_s: float = 8.0) -> float:
        started_s = time.monotonic()
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.002)
        return time.monotonic() - started_s

    @property
    def applied(self) -> tuple[float, str | None]:
        assert self.client.image is not None
        return self.client.image.applied[0].power_w, self.client.image.applied[0].bound_by

    async def discharging(self, power_w: float = -9_000.0) -> None:
        await self.until(lambda: self.client.image and self.client.image.inverters)
        await self.until(lambda: self.client.image.inverters[0].reversion_armed, 12.0)  # type: ignore[union-attr]
        self.power_w = power_w
        await self.until(lambda: abs(self.inverter.power_w - power_w) < 100)

    def disturb(self, v_pu: float = 1.0, hz: float = 60.0) -> None:
        """What the grid does, and what the guard measures of it."""
        grid = self.plant.engine.site.grid
        with self.plant.engine.lock:
            grid.set_voltage([v_pu] * 3, time.monotonic())
            grid.set_frequency(hz, time.monotonic())
        self.v_pu, self.frequency_hz = v_pu, hz


MakeBench = Callable[..., Awaitable[Bench]]
"""What :class:`Bench` takes after the directory; it runs until the end of the test."""


@contextlib.asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    """Until the end of the block, which ``wires`` reaches with its power at zero."""
    async with contextlib.AsyncExitStack() as stack:
        await bench.plant.start()
        stack.push_async_callback(bench.plant.close)
        stop = asyncio.Event()
        wires = asyncio.create_task(bench.wires.run(stop))
        await bench.client.start()
        acting = asyncio.create_task(bench.act())
        try:
            yield bench
        finally:
            acting.cancel()
            await bench.client.close()
            stop.set()
            await wires
