"""The plant as a process: ``python -m v2g.simulation.plant --config plant.json``.

Grid, transformer, breaker and chargers move in a thread; this event loop serves them as hardware would appear: Modbus
TCP devices, the waveform buffer, the memory of the breaker and of contacts (``relay``: the over-voltage relay,
``mains``: the upstream switch, ``estop`` and ``door``: the interlocks), and ``plant.sock`` for plugs, faults and
measurements.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path

from v2g.clock import Clock, SystemClock
from v2g.hardware.breaker import MmapBreakerDevice
from v2g.hardware.contact import ContactWriter
from v2g.hardware.map_inverter import load_inverter_map
from v2g.hardware.ports import DeviceError
from v2g.hardware.waveform import CHANNELS, WaveformError, WaveformWriter
from v2g.host.notify import Notifier
from v2g.simulation.ac_charger import AcCharger, AcVehicle
from v2g.simulation.ac_image import AcImage
from v2g.simulation.ac_stage import AcStage
from v2g.simulation.battery import Battery, BatteryModel
from v2g.simulation.composed_image import ComposedImage, FilterImage
from v2g.simulation.dc_image import DcImage
from v2g.simulation.dc_stage import DcStage
from v2g.simulation.engine import Engine, InterlockContact
from v2g.simulation.faults import FaultError, ScenarioStep, load_scenario
from v2g.simulation.grid_source import GridSource
from v2g.simulation.inverter import SimInverter
from v2g.simulation.map_image import MapImage
from v2g.simulation.misfortune import Misfortune
from v2g.simulation.modbus_device import DeviceImage, ModbusDevice
from v2g.simulation.plant_config import INTERLOCK_FILES, PlantConfig, PlantConfigError, PlantEvse, read_config
from v2g.simulation.plant_socket import PlantSocket
from v2g.simulation.site import Charger, PluggedVehicle, Site
from v2g.simulation.sunspec_image import SunSpecImage
from v2g.simulation.sunspec_legacy_image import LegacyImage
from v2g.simulation.switchgear import OvervoltageRelay
from v2g.simulation.thermal_plant import TransformerPlant
from v2g.simulation.transducer_image import TransducerImage
from v2g.simulation.waveforms import SAMPLE_RATE_HZ, Recorder

_FOREIGN_BATTERY = BatteryModel(voltage_swing_pu=0.0)
"""Of a fixed voltage, since a vehicle that is no child of ours reports one of its own choice."""
_SWITCH_INTERVAL_S = 0.001
"""How long the event loop may keep the interpreter while the engine's thread waits for it."""


def build_site(config: PlantConfig) -> Site:
    """The physical site: base load flows, breaker open, nothing plugged in.

    In its steady state, but for an oil temperature that was given.
    """
    start = config.conditions
    load_pu = abs(start.base_load_w) / start.power_factor / config.rated_va
    transformer = TransformerPlant(ambient_c=start.ambient_c, load_pu=load_pu)
    if start.top_oil_c is not None:
        transformer.heat_oil(start.top_oil_c)
    return Site(
        grid=GridSource(nominal_voltage_v=config.nominal_voltage_v, nominal_frequency_hz=config.nominal_frequency_hz),
        transformer=transformer,
        chargers={evse.evse_id: _build_charger(evse, config) for evse in config.evses if evse.kind == "DC"},
        ac_chargers={evse.evse_id: _build_ac_charger(evse, config) for evse in config.evses if evse.kind == "AC"},
        rated_va=config.rated_va,
        base_load_w=start.base_load_w,
        base_power_factor=start.power_factor,
        thermal_speed=start.thermal_speed,
        relay=OvervoltageRelay(setting_pu=config.relay_setting_pu, delay_s=config.relay_delay_s),
    )


def _build_charger(evse: PlantEvse, config: PlantConfig) -> Charger:
    inverter = SimInverter(
        rated_w=evse.rated_w,
        nominal_voltage_v=config.nominal_voltage_v,
        nominal_frequency_hz=config.nominal_frequency_hz,
        enter_service_delay_s=config.enter_service_delay_s,
    )
    stage = DcStage(
        max_voltage_v=evse.max_voltage_v,
        min_voltage_v=evse.min_voltage_v,
        max_current_a=evse.max_current_a,
        max_power_w=evse.rated_w,
    )
    charger = Charger(evse_id=evse.evse_id, inverter=inverter, stage=stage)
    if evse.plugged:
        charger.plug(PluggedVehicle(name="foreign vehicle", battery=Battery(_FOREIGN_BATTERY, soc=0.7), auto=True))
    return charger


def _build_ac_charger(evse: PlantEvse, config: PlantConfig) -> AcCharger:
    charger = AcCharger(
        evse_id=evse.evse_id,
        nominal_voltage_v=config.nominal_voltage_v,
        rated_w=evse.rated_w,
        phases=evse.phases,
        rotation=evse.rotation,
        stage=AcStage(max_current_a=evse.max_current_a, proximity_a=evse.max_current_a),
    )
    if evse.plugged:
        charger.plug(AcVehicle(name="foreign vehicle", battery=Battery(_FOREIGN_BATTERY, soc=0.7), auto=True))
    return charger


class Plant:
    """All of one simulated site behind its wires. ``await start()``, ``await close()``."""

    def __init__(self, config: PlantConfig, clock: Clock | None = None) -> None:
        """Raises :class:`WaveformError`, :class:`DeviceError` or :class:`FaultError` (scenario)."""
        self._clock = clock or SystemClock()
        self._scenario = load_scenario(Path(config.scenario)) if config.scenario else ()
        run_dir = Path(config.run_dir)
        site = build_site(config)
        own = {evse.evse_id: evse.voltage_channels for evse in config.evses if evse.voltage_channels is not None}
        recorder = Recorder(site, seed=config.seed, own=own)
        currents = {name for name in CHANNELS if name.startswith("i_")}
        scales = {name: 1e-4 if name in currents else 1e-5 * config.nominal_voltage_v for name in recorder.channels}
        extra = recorder.channels[len(CHANNELS) :]

        def open_writer() -> WaveformWriter:
            return WaveformWriter.create(run_dir / "waveform", SAMPLE_RATE_HZ, scales, extra=extra)

        self.engine = Engine(
            site,
            recorder,
            open_writer,
            MmapBreakerDevice(run_dir / "breaker"),
            ContactWriter(run_dir / "relay"),
            ContactWriter(run_dir / "mains"),
            {name: InterlockContact(ContactWriter(run_dir / file)) for name, file in INTERLOCK_FILES.items()},
            self._clock,
        )
        lock = self.engine.lock
        transducers = TransducerImage(site.transformer, lock, seed=config.seed)
        self.devices: dict[str, ModbusDevice] = {}
        for evse in config.evses:
            if evse.kind == "AC":
                ac_image = AcImage(site.ac_chargers[evse.evse_id].stage, lock)
                self._add(f"ac {evse.evse_id}", config.host, evse.ac_port, ac_image)
                continue
            charger = site.chargers[evse.evse_id]
            image: DeviceImage
            if evse.inverter_map:
                image = MapImage(charger.inverter, load_inverter_map(evse.inverter_map), lock)
            else:
                family = LegacyImage if evse.family == "legacy" else SunSpecImage
                sunspec = family(charger.inverter, f"SIM-{evse.evse_id}", lock)
                image = ComposedImage(sunspec, FilterImage(charger.inverter.bridge, lock))
            self._add(f"inverter {evse.evse_id}", config.host, evse.inverter_port, image)
            self._add(f"dc {evse.evse_id}", config.host, evse.dc_port, DcImage(charger.stage, lock))
        self._add("transducers", config.host, config.transducers_port, transducers)
        self.misfortune = Misfortune(self.engine, self.devices, transducers, _say)
        self.socket = PlantSocket(run_dir / "plant.sock", self.engine, self.misfortune, _say)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Everything runs when this returns. Raises OSError when a port or the socket is taken."""
        for device in self.devices.values():
            await device.start()
        await self.socket.start()
        self.engine.start()
        if self._scenario:
            self._tasks.append(asyncio.get_running_loop().create_task(self._play(self._scenario)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.engine.close()
        await self.socket.close()
        for device in self.devices.values():
            await device.stop()

    async def _play(self, steps: tuple[ScenarioStep, ...]) -> None:
        begin_s = self._clock.monotonic_s()
        for step in steps:
            await asyncio.sleep(max(0.0, begin_s + step.at_s - self._clock.monotonic_s()))
            try:
                await self.misfortune.apply(step.fault)
            except FaultError as error:
                _say(f"scenario at {step.at_s:g} s: {error}")

    def _add(self, name: str, host: str, port: int, image: DeviceImage) -> None:
        self.devices[name] = ModbusDevice(name, host, port, image, self._clock)


async def _serve(config: PlantConfig) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    notifier = Notifier()
    plant = Plant(config)
    await plant.start()
    # The models are built once and live for ever; walking them again and again delays samples.
    gc.collect()
    gc.freeze()
    notifier.ready(f"{len(config.evses)} EVSE at {config.nominal_voltage_v:g} V")
    period_s = notifier.interval_s or 1.0
    while not ended.is_set() and plant.engine.alive:
        notifier.watchdog()
        try:
            await asyncio.wait_for(ended.wait(), period_s)
        except TimeoutError:
            continue
    notifier.stopping()
    await plant.close()
    if plant.engine.failure is not None:
        _say(f"the plant's clockwork failed: {plant.engine.failure!r}")
        return 1
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM. Exit 2: the configuration cannot be used; 1: a port, file or model failed."""
    parser = argparse.ArgumentParser(prog="python -m v2g.simulation.plant", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see v2g.simulation.plant_config")
    options = parser.parse_args(arguments)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        return asyncio.run(_serve(read_config(options.config)))
    except (PlantConfigError, FaultError) as error:
        print(f"plant: {error}", file=sys.stderr)
        return 2
    except (OSError, WaveformError, DeviceError) as error:
        print(f"plant: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
