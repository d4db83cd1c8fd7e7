"""``v2g-guard wires``: every Modbus device of the site, behind leases and the guard's word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from v2g import __version__
from v2g.clock import Clock
from v2g.config.addresses import endpoint
from v2g.config.loader import Loaded
from v2g.config.paths import RunPaths
from v2g.config.problems import ConfigError
from v2g.config.schema import AcEvse, Config, DcEvse
from v2g.guard.ac_core import AcTarget
from v2g.guard.link import DEVICE_KINDS, LATENCY_EDGES_S, Applied, Image, Latency, Reload, Reloaded, Setpoints
from v2g.guard.quality_report import REPORT_FILE
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.view import GuardView, allowance, urgent, view
from v2g.guard.wires_ac import AcEvseDevices, ac_limits
from v2g.guard.wires_core import Target, WiresCore
from v2g.guard.wires_dc import DcEvseDevices, dc_limits
from v2g.guard.wires_devices import DeviceWatch
from v2g.guard.wires_filter import FilterTask
from v2g.guard.wires_sensors import MIRROR_PERIOD_S, WiresSensors, close_all
from v2g.guard.wires_server import WiresServer
from v2g.guard.wires_settings import Follower, WiresSettings
from v2g.hardware.ac_evse import RegisterMapAcEvse, load_ac_map
from v2g.hardware.dc_evse import RegisterMapEvse, load_dc_map
from v2g.hardware.inverter_driver import InverterDriver
from v2g.hardware.map_inverter import RegisterMapInverter, load_inverter_map
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.hardware.ports import PilotReading
from v2g.hardware.register_map import RegisterMap
from v2g.hardware.sensor_map import SensorMap
from v2g.hardware.sunspec.inverter import SunSpecInverter
from v2g.histogram import Histogram
from v2g.host.notify import Notifier
from v2g.host.users import commanders
from v2g.telemetry import logs

PERMIT_PERIOD_S = 0.02
FOLLOW_PERIOD_S = 0.1
"""What changes steadily (ramp, curtailment that ends, grid support) is followed so often."""
IMAGE_PERIOD_S = 0.1
STOP_WITHIN_S = 1.8
"""The end of the process waits at most this long for zero power and open contactors."""

_STATUS_PERIOD_S = 1.0


class PermitSource(Protocol):
    """:class:`v2g.guard.status_block.StatusReader`: never raises."""

    def read(self, now_s: float) -> GuardStatus: ...


class Wires:
    """All of it for one configuration. Raises :class:`v2g.hardware.ports.DeviceError` for a bad register map.

    ``settings`` are written into the inverters; when the guard adopts others, ``load_settings`` gets them, on a thread.
    ``load_site`` gets the configuration with its sensor map, on a thread, when these shall be read again.
    """

    def __init__(
        self,
        config: Config,
        paths: RunPaths,
        sensors: SensorMap,
        permits: PermitSource,
        *,
        config_dir: Path,
        clock: Clock,
        notifier: Notifier,
        jitter: Callable[[], float],
        settings: WiresSettings,
        load_settings: Callable[[], WiresSettings],
        load_site: Callable[[], Loaded],
    ) -> None:
        self._settings = settings
        self._follower = Follower(settings, load_settings, self._adopt, clock)
        self._clock = clock
        self._notifier = notifier
        self._permits = permits
        self._jitter = jitter
        self._core = WiresCore(
            map(dc_limits, config.dc_evses),
            clock.monotonic_s(),
            mains_input=bool(config.protection.mains_input_path),
            enter_service_delay_s=settings.enter_service_delay_s,
            ac_limits=[ac_limits(evse, config) for evse in config.ac_evses],
        )
        self._server = WiresServer(
            paths.wires_sock,
            self._on_setpoints,
            self._on_peer,
            self._on_reload,
            commanders(config.control.daemon_user),
        )
        self._links: list[ModbusLink] = []
        self._latencies = {kind: Histogram(LATENCY_EDGES_S) for kind in DEVICE_KINDS}
        self._watches: list[DeviceWatch] = []
        self._dc_devices: dict[str, DcEvseDevices] = {}
        self._ac_devices: dict[str, AcEvseDevices] = {}
        self._filters = FilterTask(paths.run_dir / REPORT_FILE, self._core.inverters, clock)
        self._load_site = load_site
        self._reloading: asyncio.Task[None] | None = None
        self._sensors = WiresSensors(config, sensors, paths, clock, jitter)
        self._latencies["transducers"] = self._sensors.latency
        self._maps: dict[str, RegisterMap] = {}
        self._applied: dict[str, Applied] = {}
        self._unknown: tuple[str, ...] = ()
        self._permit = Permit.GUARD_STALE
        self._view: GuardView = view(
            GuardStatus(as_of_s=0.0, permit=self._permit, breaker_commanded_closed=False, breaker_closed=None)
        )
        self._followed: GuardView = self._view
        self._follow_at_s = 0.0
        self._next_change_s = 0.0
        self._sequence = 0
        for evse in config.dc_evses:
            self._add_evse(evse, config_dir)
        for ac_evse in config.ac_evses:
            self._add_ac_evse(ac_evse, config_dir)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then zero power, open contactors, and the end."""
        await self._server.start()
        self._look_at_guard()
        self._decide_all()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run) for devices in self._devices for run in devices.runs()]
                tasks.append(group.create_task(self._filters.run()))
                self._sensors.start()
                self._notifier.ready(self._status_text())
                await self._control(stop)
                self._notifier.stopping()
                await self._come_to_rest()
                for task in tasks:
                    task.cancel()
        finally:
            await self._follower.close()
            if self._reloading is not None:
                await asyncio.wait((self._reloading,))
            await self._server.close()
            await self._sensors.close()
            for link in self._links:
                await link.close()

    async def _control(self, stop: asyncio.Event) -> None:
        image_at_s = status_at_s = alive_at_s = mirror_at_s = 0.0
        while not stop.is_set():
            now_s = self._clock.monotonic_s()
            if self._look_at_guard() or now_s >= self._next_change_s:
                self._decide_all()
            if now_s >= mirror_at_s:
                mirror_at_s = _next(mirror_at_s, now_s, MIRROR_PERIOD_S)
                self._sensors.mirror(now_s)
            if now_s >= image_at_s:
                image_at_s = _next(image_at_s, now_s, IMAGE_PERIOD_S)
                self._server.publish(self._image(now_s))
            if now_s >= status_at_s:
                status_at_s = _next(status_at_s, now_s, _STATUS_PERIOD_S)
                self._notifier.status(self._status_text())
            if self._notifier.interval_s is not None and now_s >= alive_at_s:
                alive_at_s = now_s + self._notifier.interval_s / 2
                self._notifier.watchdog()
            try:
                async with asyncio.timeout(PERMIT_PERIOD_S):
                    await stop.wait()
            except TimeoutError:
                pass

    async def _come_to_rest(self) -> None:
        self._core.stop()
        deadline_s = self._clock.monotonic_s() + STOP_WITHIN_S
        while True:
            self._decide_all()
            at_rest = not self._core.opening() and all(devices.settled for devices in self._devices)
            if at_rest or self._clock.monotonic_s() >= deadline_s:
                break
            await asyncio.sleep(PERMIT_PERIOD_S)
        if not at_rest:
            logs.daemon_log().warning(
                "WIRES_NOT_AT_REST", "ended before every device confirmed zero; their own reversion remains"
            )

    @property
    def _devices(self) -> tuple[DcEvseDevices | AcEvseDevices, ...]:
        return (*self._dc_devices.values(), *self._ac_devices.values())

    def _look_at_guard(self) -> bool:
        """Take the guard's word; True when it has to be obeyed at once."""
        now_s = self._clock.monotonic_s()
        status = self._permits.read(now_s)
        self._permit, self._view = status.permit, view(status)
        self._follower.look(status.settings_digest)
        if now_s >= self._follow_at_s and self._moves():
            return True
        return urgent(self._followed, self._view)

    def _adopt(self, settings: WiresSettings) -> None:
        self._settings = settings
        self._core.enter_service_delay_s = settings.enter_service_delay_s
        for devices in self._devices:
            devices.adopt(settings)

    def _moves(self) -> bool:
        return self._core.computes_support() or allowance(self._followed) != allowance(self._view)

    def _on_peer(self) -> None:
        self._unknown = ()
        self._core.new_peer()

    def _on_setpoints(self, setpoints: Setpoints) -> None:
        unknown = self._core.accept(setpoints, self._clock.monotonic_s())
        self._filters.take(setpoints.filter_thresholds)
        if unknown != self._unknown:
            self._unknown = unknown
            if unknown:
                logs.daemon_log().warning(
                    "SETPOINT_UNKNOWN_EVSE",
                    f"set-points for {', '.join(unknown[:8])} are not used: not in the configuration that this process "
                    "was started with; the others are. To take a changed one: systemctl restart v2g-guard-wires",
                )
        # What the guard withdrew since the last look must not serve a new set-point.
        self._look_at_guard()
        self._decide_all()

    def _on_reload(self, reload: Reload) -> None:
        if self._reloading is not None and not self._reloading.done():
            message = "the sensors are being read again already; ask again in a second"
            self._server.answer(Reloaded(id=reload.id, accepted=False, message=message))
            return
        self._reloading = asyncio.get_running_loop().create_task(self._reload(reload), name="sensors anew")

    async def _reload(self, reload: Reload) -> None:
        try:
            loaded = await asyncio.to_thread(self._load_site)
        except (ConfigError, OSError) as error:
            logs.daemon_log().warning("SENSORS_REFUSED", f"the sensors stay as they are: {error}", by=reload.by)
            self._server.answer(Reloaded(id=reload.id, accepted=False, message=str(error)))
            return
        except Exception as error:
            logs.daemon_log().error("SENSORS_REFUSED", f"the sensors stay as they are: {error!r}", by=reload.by)
            self._server.answer(Reloaded(id=reload.id, accepted=False, message=repr(error)))
            return
        gone = self._sensors.adopt(loaded.config, loaded.sensors)
        message = f"{len(loaded.sensors.channels)} channels of {loaded.sensors.file} are in force"
        logs.daemon_log().info("SENSORS_RELOADED", message, by=reload.by)
        self._server.answer(Reloaded(id=reload.id, accepted=True, message=message))
        await close_all(gone)

    def _decide_all(self) -> None:
        now_s = self._clock.monotonic_s()
        self._followed, self._follow_at_s = self._view, now_s + FOLLOW_PERIOD_S
        for evse_id, target in self._core.decide(self._view, now_s).items():
            self._command(evse_id, target)
        for evse_id, ac_target in self._core.ac.decide(self._view, now_s).items():
            self._command(evse_id, ac_target)
        self._next_change_s = self._core.next_change_s(now_s)

    def _decide_one(self, evse_id: str) -> None:
        now_s = self._clock.monotonic_s()
        core = self._core
        decide_one = core.ac.decide_one if evse_id in core.ac else core.decide_one
        self._command(evse_id, decide_one(evse_id, self._view, now_s))

    def _command(self, evse_id: str, target: Target | AcTarget) -> None:
        if isinstance(target, AcTarget):
            self._ac_devices[evse_id].command(target)
        else:
            self._dc_devices[evse_id].command(target)
        before = self._applied.get(evse_id)
        self._applied[evse_id] = target.applied
        if before is None or before.bound_by != target.applied.bound_by:
            _tell(target.applied, before)

    def _image(self, now_s: float) -> Image:
        self._sequence += 1
        return Image(
            version=__version__,
            sequence=self._sequence,
            as_of_s=now_s,
            permit=self._view.permit,
            permit_reason=self._permit.name,
            inverters=self._core.inverters(),
            evses=(*self._core.outputs(), *self._core.ac.readings()),
            transducers=self._sensors.readings(now_s),
            sensors=self._sensors.states(now_s),
            applied=tuple(self._applied.values()),
            devices=tuple(watch.health() for watch in (*self._watches, *self._sensors.watches)),
            filters=self._filters.states(),
            efficiencies=tuple(devices.efficiency() for devices in self._dc_devices.values()),
            latencies=tuple(
                Latency(kind=kind, counts=tuple(seen.counts), total_s=seen.total)
                for kind, seen in self._latencies.items()
                if seen.count
            ),
        )

    def _status_text(self) -> str:
        links = (*self._links, *self._sensors.links)
        online = sum(link.state.online for link in links)
        return (
            f"{online} of {len(links)} Modbus devices answer; permit {self._permit.name}; "
            f"orchestrator {'connected' if self._server.connected else 'not connected'}"
        )

    def _link(self, name: str, endpoint: ModbusEndpoint) -> ModbusLink:
        latency = next((self._latencies[kind] for kind in DEVICE_KINDS if name.startswith(kind)), None)
        link = ModbusLink(name, endpoint, self._clock, self._jitter, latency=latency)
        self._links.append(link)
        return link

    def _add_evse(self, evse: DcEvse, config_dir: Path) -> None:
        link = self._link(f"inverter {evse.id}", endpoint(evse.inverter.modbus, config_dir))
        inverter = self._inverter(evse, link, config_dir)
        output_link = self._link(f"DC output {evse.id}", endpoint(evse.dc.modbus, config_dir))
        map_ = self._map(evse.dc.map, load_dc_map, config_dir)
        output = RegisterMapEvse(evse.id, output_link, map_, self._clock)
        devices = DcEvseDevices(
            evse,
            self._core,
            inverter,
            link,
            output,
            output_link,
            self._settings,
            self._clock,
            self._decide_one,
            partial(self._pilot, evse.id),
        )
        self._dc_devices[evse.id] = devices
        self._filters.add(evse, link, config_dir)
        self._watches += devices.watches

    def _add_ac_evse(self, evse: AcEvse, config_dir: Path) -> None:
        link = self._link(f"AC EVSE {evse.id}", endpoint(evse.ac.modbus, config_dir))
        map_ = self._map(evse.ac.map, load_ac_map, config_dir)
        output = RegisterMapAcEvse(evse.id, link, map_, self._clock, evse.phases)
        devices = AcEvseDevices(
            evse, self._core.ac, output, link, self._clock, self._decide_one, partial(self._pilot, evse.id)
        )
        self._ac_devices[evse.id] = devices
        self._watches += devices.watches

    def _pilot(self, evse_id: str, told: PilotReading | None) -> PilotReading | None:
        return self._sensors.pilot(evse_id, told, self._clock.monotonic_s())

    def _inverter(self, evse: DcEvse, link: ModbusLink, config_dir: Path) -> InverterDriver:
        settings = self._settings.device if evse.inverter.configure_functions else None
        if evse.inverter.driver == "sunspec":
            return SunSpecInverter(
                evse.id, link, self._clock, evse.inverter.reversion_s, settings, evse.inverter.ramp_w_s
            )
        map_ = self._map(evse.inverter.map, load_inverter_map, config_dir)
        return RegisterMapInverter(
            evse.id, link, map_, self._clock, evse.inverter.reversion_s, settings, evse.inverter.ramp_w_s
        )

    def _map(self, name: str, load: Callable[[str, Path], RegisterMap], config_dir: Path) -> RegisterMap:
        key = f"{load.__name__} {name}"
        if key not in self._maps:
            self._maps[key] = load(name, config_dir)
        return self._maps[key]


def _next(due_s: float, now_s: float, period_s: float) -> float:
    """The next moment of a periodic duty, without catching up on missed ones."""
    return due_s + period_s if now_s - due_s < period_s else now_s + period_s


def _tell(applied: Applied, before: Applied | None) -> None:
    log = logs.daemon_log()
    if applied.bound_by is None:
        if before is not None:
            log.info("SETPOINT_FREE", f"{applied.evse_id}: set-points apply as they are", evse=applied.evse_id)
        return
    log.info(
        "SETPOINT_BOUND",
        f"{applied.evse_id}: bound by {applied.bound_by}",
        evse=applied.evse_id,
        power_w=round(applied.power_w),
        source=applied.source or "none",
    )
