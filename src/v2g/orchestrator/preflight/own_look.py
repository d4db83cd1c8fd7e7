"""What can be known of guard and devices without the orchestrator. Opens connections only where ``wires`` does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from v2g.clock import Clock
from v2g.config.addresses import endpoint, modbus_addresses
from v2g.config.loader import Loaded
from v2g.config.paths import run_paths
from v2g.config.schema import DcEvse
from v2g.config.sensors import calibrated
from v2g.control.messages_sensors import SensorLine
from v2g.guard.link import Image, SensorState
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.status_block import StatusReader
from v2g.hardware.contact import ContactReader
from v2g.hardware.endpoint import ModbusEndpoint
from v2g.hardware.modbus import LinkTiming, ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.hardware.sensing import Sensing
from v2g.hardware.sensor_map import FileSource, ModbusSource
from v2g.hardware.transducers import read_number, read_registers
from v2g.orchestrator.preflight.devices import DeviceFacts
from v2g.orchestrator.sensor_values import sensor_line

TIMEOUT_S = 1.0
_TIMING = LinkTiming(TIMEOUT_S, TIMEOUT_S, backoff_first_s=0.0, backoff_max_s=0.0)
_AT_ONCE = 32
_SUNSPEC_BASE = 40_000
_NAMES = {"inverter": "inverter", "dc": "DC output", "ac": "AC EVSE"}


@dataclass(frozen=True, slots=True)
class Seen:
    """``devices`` None: they were not asked, since ``wires`` holds their connections. ``guard_speaks``: whether
    ``tick`` runs."""

    guard_speaks: bool
    realtime: bool | None
    measures: bool | None
    """It has fresh samples."""
    relay_closed: bool | None
    sensors: tuple[SensorLine, ...]
    devices: tuple[DeviceFacts, ...] | None


def look(loaded: Loaded, clock: Clock, *, wires_runs: bool) -> Seen:
    """Takes a second or two where devices do not answer. Reads only."""
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    paths = run_paths(loaded.config)
    reader = StatusReader(paths.guard_status)
    guard = reader.read(clock.monotonic_s())
    reader.close()
    speaks = guard.permit is not Permit.GUARD_STALE
    devices: tuple[DeviceFacts, ...] | None = None
    states: tuple[SensorState, ...] = ()
    if not wires_runs:
        devices, states = asyncio.run(_ask(loaded, clock))
    return Seen(
        guard_speaks=speaks,
        realtime=guard.realtime if speaks else None,
        measures=guard.measured if speaks else None,
        relay_closed=guard.relay_closed if speaks else _relay(loaded, clock),
        sensors=_sensors(loaded, guard if speaks else None, None if wires_runs else states, guard, clock.monotonic_s()),
        devices=devices,
    )


def _relay(loaded: Loaded, clock: Clock) -> bool | None:
    path = run_paths(loaded.config).relay_feedback
    if path is None:
        return None
    contact = ContactReader(path)
    try:
        return contact.is_closed(clock.monotonic_s())
    finally:
        contact.close()


def _sensors(
    loaded: Loaded,
    speaking: GuardStatus | None,
    states: tuple[SensorState, ...] | None,
    guard: GuardStatus,
    now_s: float,
) -> tuple[SensorLine, ...]:
    """What nobody could be asked for is ``not told``."""
    image = Image(sequence=1, as_of_s=now_s, permit=False, permit_reason="", sensors=states or ())
    lines = []
    for channel in loaded.sensors:
        line = sensor_line(channel, loaded, guard, image, now_s)
        read_here = isinstance(channel.source, ModbusSource | FileSource) and line.kind != "contact"
        if (read_here and states is None) or (not read_here and speaking is None):
            line = msgspec.structs.replace(line, quality="not told")
        lines.append(line)
    return tuple(lines)


async def _ask(loaded: Loaded, clock: Clock) -> tuple[tuple[DeviceFacts, ...], tuple[SensorState, ...]]:
    gate = asyncio.Semaphore(_AT_ONCE)
    config = loaded.config
    wanted = [
        (
            f"{_NAMES[part]} {evse.id}",
            endpoint(address, loaded.config_dir),
            part == "inverter" and isinstance(evse, DcEvse) and evse.inverter.driver == "sunspec",
        )
        for evse in config.evses
        for part, address in modbus_addresses(evse)
    ]
    factors = calibrated(config)
    groups: dict[ModbusEndpoint | FileSource, list[Sensing]] = {}
    for channel in loaded.sensors:
        if isinstance(source := channel.source, ModbusSource | FileSource):
            key = source.device if isinstance(source, ModbusSource) else source
            groups.setdefault(key, []).append(Sensing(channel, factors.get(channel.name, 1.0)))
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_device(gate, clock, *each)) for each in wanted]
        for key, sensings in groups.items():
            tasks.create_task(_read(gate, clock, key, sensings))
    now_s = clock.monotonic_s()
    states = []
    for sensing in (each for group in groups.values() for each in group):
        value, as_of_s, problem, raw = sensing.look(now_s)
        name = sensing.channel.name
        states.append(SensorState(name=name, value=value, as_of_s=as_of_s, problem=problem, raw=raw))
    return tuple(task.result() for task in asked), tuple(states)


async def _device(
    gate: asyncio.Semaphore, clock: Clock, name: str, where: ModbusEndpoint, sunspec: bool
) -> DeviceFacts:
    """Any answer will do, a refusal too; of a SunSpec inverter, its marker."""
    async with gate:
        link = ModbusLink(name, where, clock, lambda: 0.5, _TIMING)
        try:
            await link.read(Table.HOLDING, _SUNSPEC_BASE if sunspec else 0, 2 if sunspec else 1)
        except DeviceError as error:
            return DeviceFacts(name, str(where), link.state.online, str(error))
        finally:
            await link.close()
    return DeviceFacts(name, str(where), True)


async def _read(
    gate: asyncio.Semaphore, clock: Clock, key: ModbusEndpoint | FileSource, sensings: Iterable[Sensing]
) -> None:
    async with gate:
        if isinstance(key, FileSource):
            for sensing in sensings:
                try:
                    sensing.take(await asyncio.to_thread(read_number, key.path), clock.monotonic_s())
                except DeviceError as error:
                    sensing.fail(str(error))
            return
        link = ModbusLink("transducers", key, clock, lambda: 0.5, _TIMING)
        try:
            await read_registers(link, sensings, clock)
        except DeviceError:
            return  # each of them says why
        finally:
            await link.close()
