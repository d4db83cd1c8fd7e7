"""The simulated AC EVSE on the wire: the built-in register map, rendered from the stage."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from v2g.hardware.ports import AcEvseCommand
from v2g.hardware.register_map import RegisterImage, RegisterMap, load_map
from v2g.hardware.registers import Table
from v2g.simulation.ac_stage import AcStage
from v2g.simulation.pilot_wire import pilot_values

MAP_NAME = "v2g-ac-evse"


class AcImage:
    """Implements ``DeviceImage``. A write counts as a command when it changes the heartbeat, as the map demands."""

    def __init__(self, stage: AcStage, lock: threading.RLock) -> None:
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
            values = self._truth()
            faults = self._stage.faults(now_s)
        for role, value in {**values, **lies}.items():
            names = self.map.points[role].values
            named = names.get(int(value), value) if names and not isinstance(value, str) else value
            self._image.set(role, named)
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
        command = AcEvseCommand(
            close_contactor=self._image.flag("close_contactor"),
            lock_connector=self._image.flag("lock_connector"),
            pilot_error=self._image.flag("pilot_error"),
            pilot_duty_pct=self._image.number("pilot_duty_order_pct"),
        )
        with self._lock:
            self._stage.apply(command, now_s)
        return True

    def _truth(self) -> dict[str, float | bool | str]:
        stage = self._stage
        values: dict[str, float | bool | str] = {
            "contactor_closed": stage.contactor.closed,
            "contactor_commanded": stage.command.close_contactor and not stage.watchdog_expired,
            "connector_locked": stage.locked,
            "plugged": stage.plugged,
            "command_alive": not stage.watchdog_expired,
            "max_current_a": stage.max_current_a,
            "charged_energy_wh": stage.charged_wh,
            "discharged_energy_wh": stage.discharged_wh,
        }
        values |= pilot_values(stage.pilot())
        for position, line in enumerate(("l1", "l2", "l3")):
            values[f"voltage_{line}_v"] = stage.supply_v[position]
            values[f"current_{line}_a"] = stage.current_a[position]
            values[f"power_{line}_w"] = stage.power_w[position]
            values[f"reactive_{line}_var"] = stage.reactive_var[position]
        return values
