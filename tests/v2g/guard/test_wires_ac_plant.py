"""``wires`` against the simulated AC EVSE over Modbus: driver, rules and plant as one."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from v2g.clock import SystemClock
from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.config.schema import Config
from v2g.grid.profiles import resolve
from v2g.grid.support import SupportSettings
from v2g.guard.link import EvseSetpoint, PowerSetpoint, Setpoints
from v2g.guard.link_client import WiresClient
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.wires import Wires
from v2g.guard.wires_settings import WiresSettings
from v2g.hardware.breaker import MmapBreakerOutput
from v2g.hardware.inverter_driver import DeviceSettings
from v2g.hardware.ports import AcEvseCommand, PilotState
from v2g.host.notify import Notifier
from v2g.simulation import faults
from v2g.simulation.battery import BatteryModel
from v2g.simulation.plant import Plant
from v2g.simulation.plant_client import Cable
from v2g.simulation.plant_config import PlantConfig, PlantEvse
from v2g.telemetry import logs

pytestmark = pytest.mark.soak

EVSE = "US*V2G*E1"
CLOSE = AcEvseCommand(close_contactor=True, lock_connector=True, pilot_duty_pct=5.0)


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


class Bench:
    """A plant with one AC EVSE, its breaker held, ``wires``, and an orchestrator that renews its order."""

    def __init__(self, run_dir: Path) -> None:
        ac_port, transducers_port = free_ports()
        evse = PlantEvse(evse_id=EVSE, kind="AC", ac_port=ac_port, max_current_a=32.0, rotation="bca")
        self.run_dir = run_dir
        self.plant = Plant(PlantConfig(run_dir=str(run_dir), evses=(evse,), transducers_port=transducers_port))
        self.charger = self.plant.engine.site.ac_chargers[EVSE]
        self.permit = Permit.GRANTED
        self.power_w, self.command = 0.0, CLOSE
        device = {"id": EVSE, "kind": "AC", "interface": "lo", "allow_discharge": True, "rotation": "bca"}
        stated = {
            "site": {"id": "test"},
            "transformer": {"id": "T1", "rated_kva": 250},
            "grid": {"nominal_voltage_v": 277},
            "protection": {"mains_input_path": str(run_dir / "mains")},
            "paths": {"run_dir": str(run_dir)},
            "evses": [device | {"ac": {"modbus": {"host": "127.0.0.1", "port": ac_port}}}],
        }
        config = msgspec.convert(stated, Config)
        settings = WiresSettings(
            device=DeviceSettings(support=SupportSettings(), grid=resolve(nominal_frequency_hz=60.0, category="III")),
            digest="00000000",
        )
        self.wires = Wires(
            config, run_paths(config), (), self, config_dir=run_dir, clock=SystemClock(), notifier=Notifier({}),
            jitter=lambda: 0.5, settings=settings, load_settings=lambda: settings,
            load_site=lambda: Loaded(config, {}, run_dir),
        )  # fmt: skip
        self.client = WiresClient(run_paths(config).wires_sock)
        self.breaker = MmapBreakerOutput(run_dir / "breaker")

    def read(self, now_s: float) -> GuardStatus:
        """The guard's status, as ``wires`` asks for it."""
        return GuardStatus(
            as_of_s=now_s, permit=self.permit, breaker_commanded_closed=True, breaker_closed=True,
            v_pu=(1.0,) * 3, frequency_hz=60.0, service_fraction=1.0, settings_digest="00000000",
        )  # fmt: skip

    async def act(self) -> None:
        sequence = 0
        while True:
            now_s, sequence = time.monotonic(), sequence + 1
            self.breaker.hold(True, now_s)
            lease = {"evse_id": EVSE, "source": "order", "expires_at_s": now_s + 0.5}
            power = PowerSetpoint(power_w=self.power_w, **lease)
            evse = EvseSetpoint(command=self.command, **lease)
            self.client.send(Setpoints(sequence=sequence, sent_at_s=now_s, powers=(power,), evses=(evse,)))
            await asyncio.sleep(0.1)

    async def until(self, condition: Callable[[], object], within_s: float = 5.0) -> float:
        started_s = time.monotonic()
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.002)
        return time.monotonic() - started_s

    @property
    def closed(self) -> bool:
        return self.charger.stage.contactor.closed

    @property
    def bound_by(self) -> str | None:
        return self.client.image.applied[0].bound_by if self.client.image else None

    async def driven(self, cable: Cable, power_w: float) -> None:
        await cable._ask(do="drive", power_w=0.0, ready=True)
        await self.until(lambda: self.closed)
        self.power_w = power_w
        await cable._ask(do="drive", power_w=power_w, ready=True)
        await self.until(lambda: abs(self.charger.power_w - power_w) < 1.0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.plant.start()
    stop = asyncio.Event()
    running = asyncio.create_task(bench.wires.run(stop))
    await bench.client.start()
    acting = asyncio.create_task(bench.act())
    yield bench
    acting.cancel()
    await bench.client.close()
    stop.set()
    await running
    # Well before the device would open by its own watchdog.
    await bench.until(lambda: not bench.closed, 0.5)
    await bench.plant.close()


@pytest.fixture
async def cable(bench: Bench) -> AsyncIterator[Cable]:
    cable = await Cable.plug(bench.run_dir / "plant.sock", EVSE, "car", 0.5, BatteryModel())
    yield cable
    await cable.close()


async def test_a_discharge_runs_and_a_lost_permit_opens_the_contactor(bench: Bench, cable: Cable) -> None:
    await bench.driven(cable, -6_000.0)
    await bench.until(lambda: cable.tick is not None and abs(sum(cable.tick.ac_w) + 6_000.0) < 1.0)
    assert cable.tick is not None
    assert (cable.tick.pilot, cable.tick.pilot_duty_pct) == ("C", 5.0)
    assert cable.tick.supply_v == pytest.approx((277.0,) * 3)
    measured = bench.plant.socket.measure()
    assert measured.ac_w == pytest.approx(-6_000.0)
    assert measured.chargers[EVSE].pilot == "C"
    await bench.until(lambda: bench.client.image and abs(bench.client.image.evses[0].total_w + 6_000.0) < 1.0)
    assert bench.bound_by is None
    bench.permit = Permit.TRIPPED
    await bench.until(lambda: not bench.closed)
    await bench.until(lambda: bench.bound_by == "no_permit")
    assert bench.charger.power_w == 0.0


async def test_a_pilot_in_state_e_and_a_lost_earth_open_and_a_good_one_closes_again(bench: Bench, cable: Cable) -> None:
    await bench.driven(cable, 3_000.0)
    for fault in (faults.PilotFault(evse_id=EVSE, high_v=0.0), faults.PilotFault(evse_id=EVSE, earth_ohm=5_000.0)):
        number = await bench.plant.misfortune.apply(fault)
        await bench.until(lambda: not bench.closed and bench.bound_by == "pilot")
        await bench.plant.misfortune.clear(number)
        await bench.until(lambda: bench.closed)


async def test_a_vehicle_that_overdraws_is_cut_off(bench: Bench, cable: Cable) -> None:
    await bench.driven(cable, 3_000.0)
    await bench.plant.misfortune.apply(faults.Overdraw(evse_id=EVSE, power_w=9_000.0))
    await bench.until(lambda: not bench.closed)
    await bench.until(lambda: bench.bound_by == "overdraw")


async def test_an_ordered_state_f_is_on_the_pilot_is_no_fault_and_ends_with_the_order(
    bench: Bench, cable: Cable, tmp_path: Path
) -> None:
    logs.configure(tmp_path / "log")
    bench.command = AcEvseCommand(pilot_duty_pct=5.0)
    await bench.until(lambda: cable.tick is not None and (cable.tick.pilot, cable.tick.pilot_duty_pct) == ("B", 5.0))
    bench.command = AcEvseCommand(pilot_error=True)
    await bench.until(lambda: cable.tick is not None and cable.tick.pilot == "F")
    await bench.until(lambda: bench.client.image and bench.client.image.evses[0].pilot.state is PilotState.F)
    await asyncio.sleep(1.0)
    bench.command = AcEvseCommand(pilot_duty_pct=5.0)
    await bench.until(lambda: cable.tick is not None and cable.tick.pilot == "B")
    await asyncio.sleep(1.0)
    log = tmp_path / "log" / "comms.log"
    assert not log.exists() or "PILOT" not in log.read_text()


async def test_the_vehicles_toggles_are_counted_and_told(bench: Bench, cable: Cable) -> None:
    bench.command = AcEvseCommand(pilot_duty_pct=5.0)
    await cable.toggle(3, 0.05)

    def toggles() -> int | None:
        return bench.client.image.evses[0].pilot.toggles if bench.client.image else None

    await bench.until(lambda: toggles() == 3)
    measured = bench.plant.socket.measure().chargers[EVSE]
    assert (measured.pilot, measured.pilot_toggles) == ("B", 3)
