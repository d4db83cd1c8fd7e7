"""A simulated inverter of any vendor on the wire: its register map, rendered from the inverter model."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping

from v2g.hardware.map_inverter import DIRECTIONS
from v2g.hardware.register_map import RegisterImage, RegisterMap
from v2g.hardware.registers import Table
from v2g.simulation.inverter import SimInverter


class MapImage:
    """Implements ``DeviceImage``. The device leaves its set-point when nobody writes for the map's time.

    That is what the register of ``reversion.written`` holds, else ``watchdog_s``; a write of a heartbeat that stays the
    same is no refresh.
    """

    def __init__(self, inverter: SimInverter, map_: RegisterMap, lock: threading.RLock) -> None:
        self.map = map_
        self._inverter = inverter
        self._lock = lock
        self._image = RegisterImage(map_)
        self._image.stamp_identity()
        self._writable = {
            address
            for block in map_.write_blocks(constants=True)
            for address in range(block.address, block.address + block.count)
        }
        written = map_.reversion.written if map_.reversion is not None else None
        self._timeout_role = written
        self._beat: float | None = None

    def point_names(self) -> tuple[str, ...]:
        return tuple(name for name, point in self.map.points.items() if not point.written)

    def span(self, table: Table) -> tuple[int, int]:
        first, count = self.map.span(table)
        return first, max(count, 1)

    def render(self, table: Table, lies: Mapping[str, float], now_s: float) -> list[int]:
        with self._lock:
            values = {**self._truth(now_s), **lies}
            tripped = self._inverter.tripped
        points = self.map.points
        for role, value in values.items():
            if role not in points or points[role].written or not self._tells(role, value):
                continue
            self._image.set(role, value)
        for fault in self.map.faults:
            self._image.set_fault(fault.text, fault.text == tripped)
        return self._image.table(table) or [0]

    def write(self, address: int, values: list[int], now_s: float) -> bool:
        if not set(range(address, address + len(values))) <= self._writable:
            return False
        self._image.poke(address, values)
        with self._lock:
            self._take(now_s)
        return True

    def _tells(self, role: str, value: float | bool | str) -> bool:
        """A value that the point cannot say stays away; NaN needs a raw value of its own."""
        point = self.map.points[role]
        return not (isinstance(value, float) and math.isnan(value) and not point.nan and not point.type.is_float)

    def _take(self, now_s: float) -> None:
        image, points, inverter = self._image, self.map.points, self._inverter
        if "setpoint_w" in points:
            wanted_w = image.number("setpoint_w")
        else:
            sign = dict(zip(DIRECTIONS, (1.0, -1.0, 0.0), strict=True)).get(image.text("direction") or "idle", 0.0)
            wanted_w = sign * image.number("setpoint_magnitude_w")
        on = True
        if "enable" in points:
            on = image.text("enable") == "on" if points["enable"].values else image.flag("enable")
        remote = image.wrong_constant() is None
        inverter.setpoint_w = wanted_w if on and remote and math.isfinite(wanted_w) else 0.0
        inverter.enabled = on
        beat = image.number("heartbeat") if "heartbeat" in points else None
        if beat is None or beat != self._beat:
            timeout_s = image.number(self._timeout_role) if self._timeout_role is not None else self.map.watchdog_s
            inverter.arm_reversion(math.ceil(timeout_s), now_s)
        self._beat = beat

    def _truth(self, now_s: float) -> dict[str, float | bool | str]:
        inverter = self._inverter
        running, fault = self.map.states.running, self.map.states.fault
        others = [text for text in self._states() if text not in (*running, *fault)]
        if inverter.tripped and fault:
            state = fault[0]
        elif inverter.connected and running:
            state = running[0]
        else:
            state = others[0] if others else ""
        truth: dict[str, float | bool | str] = {
            "power_w": inverter.power_w,
            "reactive_var": inverter.reactive_var,
            "voltage_v": inverter.voltage_v,
            "frequency_hz": inverter.frequency_hz,
            "dc_power_w": inverter.dc_power_w(inverter.power_w),
            "connected": inverter.connected,
            "max_charge_w": inverter.rated_w,
            "max_discharge_w": inverter.rated_w,
            "apparent_va": inverter.rated_w,
            "anti_islanding": inverter.anti_islanding,
            "reversion_remaining_s": inverter.reversion_remaining_s(now_s),
        }
        if state:
            truth["state"] = state
        if self._beat is not None:
            truth["heartbeat_echo"] = self._beat
        return truth

    def _states(self) -> tuple[str, ...]:
        return tuple(self.map.points["state"].values.values()) if "state" in self.map.points else ()
