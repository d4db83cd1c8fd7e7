"""The sensors of the site in ``wires``: what is read over Modbus and from small files, and the contacts mirrored."""

from __future__ import annotations

import abc
import asyncio
import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from v2g.clock import Clock
from v2g.config.paths import RunPaths
from v2g.config.schema import Config
from v2g.config.sensors import calibrated
from v2g.guard.link import LATENCY_EDGES_S, SensorState
from v2g.guard.wires_devices import DeviceWatch
from v2g.hardware.contact import ContactWriter
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.hardware.pilot import state_of_level
from v2g.hardware.ports import DeviceError, PilotReading, Quantity, TransducerReading
from v2g.hardware.sensing import Sensing
from v2g.hardware.sensor_map import (
    WINDING_STRESS,
    Channel,
    Family,
    FileSource,
    ModbusSource,
    SensorMap,
    pilot_channels,
    pilot_evse,
)
from v2g.hardware.transducers import read_number, read_registers
from v2g.histogram import Histogram
from v2g.telemetry import logs

MIRROR_PERIOD_S = 0.05
_READ_PERIOD_S = 1.0
_CONTACT_PERIOD_S = 0.1
_STRESS_PERIOD_S = 0.2
_FILE_THREADS = 4
_BREATH_S = 0.01
_QUANTITIES = tuple(Quantity)


class WiresSensors:
    """Reads every channel of the sensor map that is a register or a file, each at its pace, one link a device.

    A contact read over Modbus is mirrored into a memory-mapped contact file, closed while healthy (of ``relay`` and
    ``mains``: as it is), and so is the winding stress, closed while within its limit. Without a young reading a file is
    not refreshed: its reader then sees an unknown position.
    """

    def __init__(
        self, config: Config, sensors: SensorMap, paths: RunPaths, clock: Clock, jitter: Callable[[], float]
    ) -> None:
        self._paths = paths
        self._clock = clock
        self._jitter = jitter
        self.latency = Histogram(LATENCY_EDGES_S)
        """Of the devices, in seconds."""
        self._sensings: dict[str, Sensing] = {}
        self._readers: dict[ModbusEndpoint | Path, _Reader] = {}
        self._mirrors: dict[str, ContactWriter | None] = {}
        self._running = False
        self._stress_since_s: float | None = None
        self._pool = ThreadPoolExecutor(_FILE_THREADS, "sensor-files")
        self._pilots: dict[str, dict[str, str]] = {}
        self.adopt(config, sensors)

    @property
    def links(self) -> tuple[ModbusLink, ...]:
        return tuple(reader.link for reader in self._readers.values() if isinstance(reader, _DeviceReader))

    @property
    def watches(self) -> tuple[DeviceWatch, ...]:
        return tuple(reader.watch for reader in self._readers.values() if isinstance(reader, _DeviceReader))

    def start(self) -> None:
        self._running = True
        for reader in self._readers.values():
            reader.start()

    async def close(self) -> None:
        self._running = False
        for reader in self._readers.values():
            await reader.close()
        for mirror in self._mirrors.values():
            if mirror is not None:
                mirror.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def adopt(self, config: Config, sensors: SensorMap) -> tuple[_Reader, ...]:
        """Read these from the next moment on: links of devices that stay are kept, and so are unchanged channels.

        Returns the readers that are of no more use; the caller closes them.
        """
        self._limit_mpa = config.interlocks.winding_stress_limit_mpa
        self._stress_s = config.interlocks.winding_stress_s
        factors = calibrated(config)
        old, self._sensings = self._sensings, {}
        groups: dict[ModbusEndpoint | Path, list[Sensing]] = {}
        for channel in sensors:
            source = channel.source
            if not isinstance(source, ModbusSource | FileSource):
                continue
            factor = factors.get(channel.name, 1.0)
            known = old.get(channel.name)
            same = known is not None and known.factor == factor and _measures_alike(known.channel, channel)
            sensing = known if known is not None and same else Sensing(channel, factor)
            self._sensings[channel.name] = sensing
            groups.setdefault(source.device if isinstance(source, ModbusSource) else source.path, []).append(sensing)
        evse_ids = {pilot_evse(name) for name in self._sensings} - {None}
        self._pilots = {evse_id: pilot_channels(sensors, evse_id) for evse_id in evse_ids if evse_id is not None}
        gone = tuple(reader for key, reader in self._readers.items() if key not in groups)
        self._readers = {key: self._reader(key, group) for key, group in groups.items()}
        self._take_mirrors()
        return gone

    def states(self, now_s: float) -> tuple[SensorState, ...]:
        states = []
        for name, sensing in self._sensings.items():
            value, as_of_s, problem, raw = sensing.look(now_s)
            states.append(SensorState(name=name, value=value, as_of_s=as_of_s, problem=problem, raw=raw))
        return tuple(states)

    def readings(self, now_s: float) -> tuple[TransducerReading, ...]:
        """Quantities with a value that may be used."""
        found = []
        for name, sensing in self._sensings.items():
            seen = sensing.look(now_s)
            if name in _QUANTITIES and seen.value is not None and seen.as_of_s is not None:
                found.append(TransducerReading(quantity=Quantity(name), as_of_s=seen.as_of_s, value=seen.value))
        return tuple(found)

    def pilot(self, evse_id: str, told: PilotReading | None, now_s: float) -> PilotReading | None:
        """What the EVSE's device told, with what the sensor map has of its pilot in its place."""
        mapped = self._pilots.get(evse_id)
        if not mapped:
            return told
        measured: dict[str, Any] = {field: self._sensings[name].look(now_s).value for field, name in mapped.items()}
        if "high_v" in measured:
            high_v = measured["high_v"]
            measured["state"] = None if high_v is None else state_of_level(high_v)
        return msgspec.structs.replace(told or PilotReading(), **measured)

    def mirror(self, now_s: float) -> None:
        """Refresh the contact files; at least every :data:`MIRROR_PERIOD_S`."""
        for name in self._mirrors:
            closed = self._within_stress(now_s) if name == WINDING_STRESS else self._healthy(name, now_s)
            if closed is not None:
                self._report(name, closed, now_s)

    def _healthy(self, name: str, now_s: float) -> bool | None:
        sensing = self._sensings[name]
        seen = sensing.look(now_s)
        return None if seen.value is None else (seen.value == 1.0) is sensing.channel.closed_is_healthy

    def _within_stress(self, now_s: float) -> bool | None:
        """None without a young value; False once it was beyond the limit for the time that is allowed."""
        value = self._sensings[Quantity.WINDING_STRESS_MPA].look(now_s).value
        if value is None or self._limit_mpa is None:
            return None
        if value <= self._limit_mpa:
            self._stress_since_s = None
            return True
        if self._stress_since_s is None:
            self._stress_since_s = now_s
        return now_s - self._stress_since_s < self._stress_s

    def _take_mirrors(self) -> None:
        wanted = [
            WINDING_STRESS if name == Quantity.WINDING_STRESS_MPA else name
            for name, sensing in self._sensings.items()
            if name == Quantity.WINDING_STRESS_MPA or sensing.channel.family is Family.CONTACT
        ]
        for name, mirror in self._mirrors.items():
            if name not in wanted and mirror is not None:
                mirror.close()
        self._mirrors = {name: self._mirrors.get(name) for name in wanted}

    def _report(self, name: str, closed: bool, now_s: float) -> None:
        # Not refreshed is unknown to its reader, which tells it and opens the breaker.
        try:
            mirror = self._mirrors[name]
            if mirror is None:
                mirror = self._mirrors[name] = ContactWriter(self._paths.contact(name))
            mirror.report(closed, now_s)
        except DeviceError:
            return

    def _reader(self, key: ModbusEndpoint | Path, group: list[Sensing]) -> _Reader:
        reader = self._readers.get(key)
        if reader is None:
            if isinstance(key, Path):
                reader = _FileReader(key, self._pool, self._clock)
            else:
                link = ModbusLink("transducers", key, self._clock, self._jitter, latency=self.latency)
                reader = _DeviceReader(link, self._clock)
        reader.take(tuple(group))
        if self._running:
            reader.start()
        return reader


class _Reader(abc.ABC):
    """A task that reads channels of one source when they are due."""

    def __init__(self, clock: Clock) -> None:
        self.sensings: tuple[Sensing, ...] = ()
        self._clock = clock
        self._due_s: dict[str, float] = {}
        self._told: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def take(self, sensings: tuple[Sensing, ...]) -> None:
        """Read these from now on; what was not among them before at once."""
        before = self.sensings
        self.sensings = sensings
        self._due_s = {s.channel.name: self._due_s.get(s.channel.name, 0.0) for s in sensings if s in before}
        self._changed.set()

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sensors")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    @abc.abstractmethod
    async def read(self, due: tuple[Sensing, ...]) -> float:
        """Read them once; returns before when there is no use in trying again (CLOCK_MONOTONIC)."""

    async def _run(self) -> None:
        while True:
            now_s = self._clock.monotonic_s()
            self._changed.clear()
            due = tuple(s for s in self.sensings if self._due_s.get(s.channel.name, 0.0) <= now_s)
            for sensing in due:
                self._due_s[sensing.channel.name] = now_s + _period_s(sensing.channel)
            not_before_s = await self.read(due) if due else 0.0
            self._tell()
            next_s = min((self._due_s.get(s.channel.name, 0.0) for s in self.sensings), default=now_s + _READ_PERIOD_S)
            delay_s = max(next_s, not_before_s, now_s + _BREATH_S) - self._clock.monotonic_s()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(delay_s, 0.0)):
                    await self._changed.wait()

    def _tell(self) -> None:
        failing = {sensing.channel.name: sensing.problem for sensing in self.sensings if sensing.problem}
        self._tell_dropped(failing)
        for name in self._told - failing.keys():
            logs.comms_log().info("SENSOR_BACK", f"{name} is plausible again", quantity=name)
        self._told &= failing.keys()

    def _tell_dropped(self, failing: dict[str, str]) -> None:
        for name in failing.keys() - self._told:
            logs.comms_log().warning("SENSOR_DROPPED", failing[name], quantity=name)
            self._told.add(name)


class _DeviceReader(_Reader):
    def __init__(self, link: ModbusLink, clock: Clock) -> None:
        super().__init__(clock)
        self.link = link
        self.watch = DeviceWatch(link)

    async def close(self) -> None:
        await super().close()
        await self.link.close()

    async def read(self, due: tuple[Sensing, ...]) -> float:
        try:
            await read_registers(self.link, due, self._clock)
            self.watch.succeeded("read")
        except Exception as error:
            self.watch.failed("read", error)
            # What a device did not answer is told of the channels that it was asked for.
            for sensing in () if isinstance(error, DeviceError) else due:
                sensing.fail(repr(error))
        return self.link.retry_at_s

    def _tell_dropped(self, failing: dict[str, str]) -> None:
        # That the device is lost is told once, not for each of its channels.
        if self.link.state.online:
            super()._tell_dropped(failing)


class _FileReader(_Reader):
    def __init__(self, path: Path, pool: ThreadPoolExecutor, clock: Clock) -> None:
        super().__init__(clock)
        self._path = path
        self._pool = pool

    async def read(self, due: tuple[Sensing, ...]) -> float:
        as_of_s = self._clock.monotonic_s()
        try:
            raw = await asyncio.get_running_loop().run_in_executor(self._pool, read_number, self._path)
        except DeviceError as error:
            for sensing in due:
                sensing.fail(str(error))
            return 0.0
        for sensing in due:
            sensing.take(raw, as_of_s)
        return 0.0


async def close_all(readers: Iterable[_Reader]) -> None:
    """Of what :meth:`WiresSensors.adopt` gave back."""
    for reader in readers:
        await reader.close()


def _measures_alike(before: Channel, after: Channel) -> bool:
    """All but where it stands in the file is the same."""
    return all(
        getattr(before, name) == getattr(after, name)
        for name in ("source", "scale", "offset", "minimum", "maximum", "filter", "max_age_s", "closed_is_healthy")
    )


def _period_s(channel: Channel) -> float:
    if channel.family in (Family.CONTACT, Family.PILOT):
        return _CONTACT_PERIOD_S
    usual_s = _STRESS_PERIOD_S if channel.name == Quantity.WINDING_STRESS_MPA else _READ_PERIOD_S
    return min(usual_s, channel.max_age_s / 2)
