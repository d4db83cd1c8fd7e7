"""The harmonic filter of an inverter by a register map, read over the inverter's own connection.

A map has one of the roles ``carrier_hz`` (PWM carrier frequency) and ``filter_level`` (a vendor's level), access rw,
with ``min``, ``max`` and ``step``: ``min`` is the device's normal setting, each step above it filters more. Optional:
``switch_temperature_c`` (r).
"""

from __future__ import annotations

import math

from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.register_map import Block, Point, RegisterImage, RegisterMap

SETTINGS = {"carrier_hz": "Hz", "filter_level": ""}
"""Role -> unit."""
TEMPERATURE = "switch_temperature_c"
MAX_STEPS = 64
_PLAUSIBLE_C = (-60.0, 250.0)


class RegisterFilter:
    """:class:`v2g.hardware.ports.HarmonicFilterPort`. One task may use it; calls are not to overlap."""

    def __init__(self, link: ModbusLink, map_: RegisterMap) -> None:
        """Raises :class:`DeviceError` for a map without a usable role."""
        self._link = link
        self._map = map_
        self._role, self._point, self._steps = check_filter(map_)
        self._temperature = map_.points.get(TEMPERATURE)
        self._image = RegisterImage(map_)
        # Registers round: what a step is written as is read as that step.
        self._written = {tuple(self._registers_of(step)): step for step in self._steps}
        if len(self._written) < len(self._steps):
            raise DeviceError(f"register map {map_.name}: points.{self._role}: its step is finer than its scale")
        self._generation = -1

    @property
    def unit(self) -> str:
        return SETTINGS[self._role]

    @property
    def steps(self) -> tuple[float, ...]:
        return self._steps

    async def read(self) -> float:
        await self._identify()
        registers = await self._fetch(self._point)
        step = self._written.get(tuple(registers))
        return self._image.number(self._role) if step is None else step

    async def temperature_c(self) -> float | None:
        if self._temperature is None:
            return None
        await self._fetch(self._temperature)
        value_c = self._image.number(TEMPERATURE)
        low_c, high_c = _PLAUSIBLE_C
        return value_c if low_c <= value_c <= high_c else None

    async def apply(self, value: float) -> None:
        if value not in self._steps:
            raise DeviceError(f"{self._map.name}: {self._role} {value:g} is no step of {self._range_text()}")
        if await self.read() == value:
            return
        await self._link.write(self._point.address, self._registers_of(value))
        if (found := await self.read()) != value:
            # It answers and is the right device: the connection is not to blame.
            raise DeviceError(
                f"{self._link.name} at {self._link.endpoint}: {self._role} was written as {value:g} and reads "
                f"{found:g}; does the device allow remote setting, and does {self._map.name} state its range "
                f"({self._range_text()})?"
            )

    async def _identify(self) -> None:
        """Once a connection: a wrong device is not to be commanded."""
        if self._generation == self._link.generation and self._link.state.online:
            return
        for item in self._map.identity:
            block = Block(item.table, item.address, item.words)
            self._image.load(block, await self._link.read(block.table, block.address, block.count))
        if (wrong := self._image.wrong_identity()) is not None:
            raise DeviceError(
                f"{self._link.name} at {self._link.endpoint}: it is no {self._map.name}: {wrong}; check "
                "inverter.harmonic_filter.map"
            )
        self._generation = self._link.generation

    async def _fetch(self, point: Point) -> list[int]:
        block = _block(point)
        registers = await self._link.read(block.table, block.address, block.count)
        self._image.load(block, registers)
        return registers

    def _registers_of(self, value: float) -> list[int]:
        try:
            self._image.set(self._role, value)
        except ValueError as error:
            raise DeviceError(
                f"register map {self._map.name}: points.{self._role}: {error}; min and max are in the role's unit"
            ) from None
        return list(self._image.registers(_block(self._point)))

    def _range_text(self) -> str:
        return f"{self._steps[0]:g}..{self._steps[-1]:g} by {self._steps[1] - self._steps[0]:g}"


def _block(point: Point) -> Block:
    return Block(point.table, point.address, point.words)


def check_filter(map_: RegisterMap) -> tuple[str, Point, tuple[float, ...]]:
    """Role, point and steps of a map. Raises :class:`DeviceError` where it cannot be a filter."""
    role, point = _setting(map_)
    temperature = map_.points.get(TEMPERATURE)
    if temperature is not None and (temperature.bit is not None or temperature.values):
        raise DeviceError(f"register map {map_.name}: points.{TEMPERATURE} must be a number in °C")
    return role, point, _steps(map_, role, point)


def _setting(map_: RegisterMap) -> tuple[str, Point]:
    found = [(role, map_.points[role]) for role in SETTINGS if role in map_.points]
    if len(found) != 1:
        raise DeviceError(
            f"register map {map_.name}: points: a harmonic filter has one of {' and '.join(SETTINGS)}, this map has "
            f"{'both' if found else 'none'}"
        )
    role, point = found[0]
    if point.access != "rw" or point.bit is not None or point.values:
        raise DeviceError(f"register map {map_.name}: points.{role} must be a number with access rw")
    return role, point


def _steps(map_: RegisterMap, role: str, point: Point) -> tuple[float, ...]:
    where = f"register map {map_.name}: points.{role}"
    if point.min is None or point.max is None or point.step is None:
        raise DeviceError(f"{where} needs min (its normal setting), max and step")
    if point.max < point.min + point.step:
        raise DeviceError(f"{where}: min {point.min:g}, max {point.max:g}, step {point.step:g} give no two steps")
    count = math.floor((point.max - point.min) / point.step + 1e-9) + 1
    if count > MAX_STEPS:
        raise DeviceError(f"{where}: {count} steps are more than {MAX_STEPS}; make step larger")
    return tuple(point.min + number * point.step for number in range(count))
