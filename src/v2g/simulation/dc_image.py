"""The simulated DC EVSE on the wire: the built-in register map, rendered from the stage."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping

from v2g.hardware.ports import DcEvseCommand
from v2g.hardware.register_map import RegisterImage, RegisterMap, load_map
from v2g.hardware.registers import Table
from v2g.simulation.dc_stage import DcStage
from v2g.simulation.spoiled_pilot import pilot_values

MAP_NAME = "v2g-dc-evse"


class DcImage:
    """Implements ``DeviceImage``. A write counts as a command when it changes the heartbeat, as the map demands."""

    def __init__(self, stage: DcStage, lock: threading.RLock) -> None:
        self._stage = stage
        self._lock = lock
        self.map: RegisterMap = load_map(MAP_NAME)
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
            values = self._truth(now_s)
            faults = self._stage.faults(now_s)
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
        command = DcEvseCommand(
            target_voltage_v=self._image.number("target_voltage_v"),
            current_limit_a=self._image.number("current_limit_a"),
            close_contactors=self._image.flag("close_contactors"),
            test_insulation=self._image.flag("test_insulation"),
            lock_connector=self._image.flag("lock_connector"),
        )
        with self._lock:
            self._stage.apply(command, now_s)
        return True

    def _as_enumerated(self, role: str, value: float | bool | str) -> float | bool | str:
        names = self.map.points[role].values
        if names and isinstance(value, float) and math.isnan(value):
            return names[0]
        return names.get(int(value), value) if names and not isinstance(value, str) else value

    def _truth(self, now_s: float) -> dict[str, float | bool | str]:
        del now_s
        stage = self._stage
        return {
            "contactors_closed": stage.contactors.closed,
            "contactors_commanded": stage.command.close_contactors and not stage.watchdog_expired,
            "connector_locked": stage.locked,
            "plugged": stage.plugged,
            "command_alive": not stage.watchdog_expired,
            "insulation": stage.insulation.value,
            "present_voltage_v": stage.voltage_v,
            "present_current_a": stage.current_a,
            "insulation_ohm": stage.measured_ohm,
            "max_voltage_v": stage.max_voltage_v,
            "min_voltage_v": stage.min_voltage_v,
            "max_current_a": stage.max_current_a,
            "max_power_w": stage.max_power_w,
            "charged_energy_wh": stage.charged_wh,
            "discharged_energy_wh": stage.discharged_wh,
            **pilot_values(stage.pilot(), "unknown"),
        }
