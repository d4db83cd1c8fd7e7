"""A simulated EVSE on the wire: a built-in register map, rendered from its stage."""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Mapping
from typing import Protocol

from v2g.hardware.register_map import RegisterImage, RegisterMap, Value, load_map
from v2g.hardware.registers import Table


class Stage(Protocol):
    watchdog_s: float

    def faults(self, now_s: float) -> tuple[str, ...]: ...


class EvseImage(abc.ABC):
    """Implements ``DeviceImage``. A write counts as a command when it changes the heartbeat, as the map demands."""

    def __init__(self, name: str, stage: Stage, lock: threading.RLock) -> None:
        self._faulty = stage
        self._lock = lock
        self.map: RegisterMap = load_map(name)
        stage.watchdog_s = self.map.watchdog_s
        self._image = RegisterImage(self.map)
        self._image.stamp_identity()
        self._commands = self.map.write_block()
        self._held: list[int] = self._image.registers(self._commands)

    def point_names(self) -> tuple[str, ...]:
        return tuple(name for name, point in self.map.points.items() if point.access == "r")

    def span(self, table: Table) -> tuple[int, int]:
        return 0, self.map.size(table)

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        with self._lock:
            values = self._truth()
            faults = self._faulty.faults(now_s)
        for role, value in {**values, **lies}.items():
            self._image.set(role, self._as_enumerated(role, value))
        for fault in self.map.faults:
            self._image.set_fault(fault.text, fault.text in faults)
        registers: list[int] = []
        for block in (*self.map.read_blocks(), self._commands):
            if block.table is table:
                registers.extend([0] * (block.address + block.count - len(registers)))
                registers[block.address : block.address + block.count] = self._image.registers(block)
        return registers

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        first, count = self._commands.address, self._commands.count
        if address < first or address + len(values) > first + count:
            return False
        heartbeat = self._image.number("heartbeat")
        self._held[address - first : address - first + len(values)] = values
        self._image.load(self._commands, self._held)
        if self._image.number("heartbeat") == heartbeat:
            return True
        with self._lock:
            self._apply(now_s)
        return True

    def _as_enumerated(self, role: str, value: Value) -> Value:
        names = self.map.points[role].values
        if names and isinstance(value, float) and math.isnan(value):
            return names[0]
        return names.get(int(value), value) if names and not isinstance(value, str) else value

    @abc.abstractmethod
    def _apply(self, now_s: float) -> None:
        """The stage takes the command that is in the image."""

    @abc.abstractmethod
    def _truth(self) -> dict[str, Value]:
        """What the stage's registers are, by role."""
