"""``wires`` against the simulated plant: functions reach the inverter, and power does what the guard's word asks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from v2g.clock import SystemClock
from v2g.config.functions import support_settings
from v2g.config.paths import run_paths
from v2g.config.schema import Config
from v2g.grid.profiles import resolve
from v2g.grid.settings import GridSettings, Operation
from v2g.grid.support import FrequencyDroop, SupportSettings
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

pytestmark = pytest.mark.soak

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

    def __init__(self, run_dir: Path, functions: dict[str, Any], without_models: frozenset[int]) -> None:
        inverter_port, dc_port, transducers_port = free_ports(3)
        evse = PlantEvse(evse_id=EVSE, inverter_port=inverter_port, dc_port=dc_port)
        config = PlantConfig(run_dir=str(run_dir), evses=(evse,), transducers_port=transducers_port)
        self.plant = Plant(config)
        self.charger = self.plant.engine.site.chargers[EVSE]
        self.inverter = self.charger.inverter
        image = SunSpecImage(self.inverter, "SIM", self.plant.engine.lock, without_models)
        self.plant.devices[f"inverter {EVSE}"].image = image
        self.charger.plug(
            PluggedVehicle(name="car", battery=Battery(BatteryModel(voltage_swing_pu=0.0), soc=0.6), auto=True)
        )
        self.permit, self.operation = Permit.GRANTED, Operation.CONTINUOUS
        self.v_pu, self.frequency_hz = 1.0, 60.0
        self.power_w = 0.0
        stated = {
            **SITE,
            "functions": functions,
            "paths": {"run_dir": str(run_dir)},
            "evses": [
                {
                    "id": EVSE,
                    "kind": "DC",
                    "interface": "lo",
                    "inverter": {"modbus": {"host": "127.0.0.1", "port": inverter_port}},
                    "dc": {"modbus": {"host": "127.0.0.1", "port": dc_port}},
                }
            ],
        }
        made = msgspec.convert(stated, Config)
        self.settings = settings_with(GRID, support_settings(made.functions))
        self.wires = Wires(
            made, run_paths(made), (), self, config_dir=run_dir, clock=SystemClock(), notifier=Notifier({}),
            jitter=lambda: 0.5, settings=self.settings, load_settings=lambda: self.settings,
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


MakeBench = Callable[..., Any]


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[MakeBench]:
    async with contextlib.AsyncExitStack() as stack:

        async def make(functions: dict[str, Any] | None = None, without: frozenset[int] = frozenset()) -> Bench:
            bench = Bench(tmp_path, functions or {}, without)
            await bench.plant.start()
            stack.push_async_callback(bench.plant.close)
            stop = asyncio.Event()
            running = asyncio.create_task(bench.wires.run(stop))
            await bench.client.start()
            acting = asyncio.create_task(bench.act())

            async def end() -> None:
                acting.cancel()
                await bench.client.close()
                stop.set()
                await running

            stack.push_async_callback(end)
            return bench

        yield make


async def test_the_inverter_holds_the_sites_functions_and_does_droop_itself(make_bench: MakeBench) -> None:
    bench = await make_bench({"volt_var": {"enabled": True}, "frequency_droop": {"response_s": 0.5, "k_of": 0.04}})
    made = bench.inverter.functions
    took_s = await bench.until(lambda: made.volt_var.enabled and made.droop.enabled and made.trips[710].enabled, 15.0)
    assert took_s < 12.0
    assert made.trips[707].points[1::2] == ((50, 2), (88, 21))
    await bench.discharging()
    assert bench.client.image.devices[0].lacks == ()
    bench.disturb(hz=60.0 + 0.036 + 0.24)
    await bench.until(lambda: abs(bench.inverter.power_w + 9_000 - 0.1 * RATED_W) < 100)
    assert bench.applied == (-9_000, None)
    bench.disturb(v_pu=1.06)
    await bench.until(lambda: abs(bench.inverter.reactive_var - 0.44 * RATED_W * 4 / 6) < 200, 20.0)


async def test_what_it_lacks_is_computed_and_commanded(make_bench: MakeBench) -> None:
    functions = {"volt_var": {"enabled": True, "response_s": 1.0}, "frequency_droop": {"response_s": 0.5}}
    bench = await make_bench(functions, frozenset({705, 711}))
    await bench.discharging()
    await bench.until(lambda: bench.client.image.devices[0].lacks, 15.0)
    assert bench.client.image.devices[0].lacks == ("frequency_droop", "volt_var")
    bench.disturb(hz=60.336)
    await bench.until(lambda: abs(bench.inverter.power_w + 9_000 - 0.1 * RATED_W) < 100)
    assert bench.applied[1] == "frequency_droop"
    bench.disturb(v_pu=1.08)
    await bench.until(lambda: abs(bench.inverter.reactive_var - 0.44 * RATED_W) < 200)
    bench.permit = Permit.TRIPPED
    assert await bench.until(lambda: abs(bench.inverter.power_w) < 1 and bench.inverter.reactive_var == 0) < 0.5


async def test_momentary_cessation_keeps_the_inverter_in_service_and_power_is_back_in_time(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench()
    await bench.until(lambda: bench.inverter.functions.rides_through_low, 15.0)
    await bench.discharging()
    bench.disturb(v_pu=0.3)
    bench.operation = Operation.MOMENTARY_CESSATION
    assert await bench.until(lambda: bench.inverter.power_w == 0) < 0.1
    await asyncio.sleep(0.8)
    assert bench.applied == (0, "momentary_cessation")
    assert bench.inverter.connected
    bench.disturb()
    bench.operation = Operation.CONTINUOUS
    # 80 % of what it was, within 0.4 s after the voltage is back; the plant itself ramps with its rating a second.
    assert await bench.until(lambda: bench.inverter.power_w < -0.8 * 9_000) < 0.4 + 0.8 * 9_000 / RATED_W
    assert bench.inverter.trips == 0


async def test_a_failed_breaker_takes_power_to_zero_and_opens_the_contactors(make_bench: MakeBench) -> None:
    bench = await make_bench()
    await bench.discharging()
    bench.permit = Permit.BREAKER_FAILED
    assert await bench.until(lambda: abs(bench.inverter.power_w) < 1) < 0.6
    assert await bench.until(lambda: not bench.charger.stage.contactors.closed) < 1.5


async def test_settings_that_the_guard_adopts_reach_the_inverter_without_a_restart(make_bench: MakeBench) -> None:
    bench = await make_bench(without=frozenset({711}))
    made = bench.inverter.functions
    await bench.discharging()
    await bench.until(lambda: made.trips[708].enabled and made.trips[710].enabled, 15.0)
    assert made.trips[708].points[2:4] == ((120, 13), (110, 13))
    grid = resolve(
        nominal_frequency_hz=60.0,
        category="III",
        trips={"OV1": {"time_s": 5.0}},
        enter_service={"delay_s": 1.0, "ramp_s": 1.0, "f_hi_hz": 60.5},
    )
    droop = FrequencyDroop(response_s=0.5, k_of=0.04)
    bench.settings = settings_with(grid, SupportSettings(frequency_droop=droop))
    await bench.until(lambda: made.trips[708].points[2:4] == ((120, 5), (110, 5)), 15.0)
    assert bench.inverter.enter_service_high_hz == 60.5
    # What it lacks is computed by the new settings too, and power went on meanwhile.
    assert bench.applied == (-9_000, None)
    bench.disturb(hz=60.0 + 0.036 + 0.24)
    await bench.until(lambda: abs(bench.inverter.power_w + 9_000 - 0.1 * RATED_W) < 100)
    assert bench.applied[1] == "frequency_droop"


async def test_an_inverter_that_trips_by_itself_waits_for_the_sites_delay(make_bench: MakeBench) -> None:
    bench = await make_bench()
    await bench.until(lambda: bench.inverter.functions.trips[710].enabled, 15.0)
    await bench.discharging()
    bench.inverter.tripped = "OVER_FREQUENCY"
    await bench.until(lambda: bench.applied == (0, "device_fault"))
    bench.inverter.tripped = None
    assert await bench.until(lambda: bench.applied == (0, "enter_service")) < 1.0
    assert await bench.until(lambda: bench.applied == (-9_000, None)) == pytest.approx(1.0, abs=0.2)
