"""The DC output stage of an EVSE by a register map."""

from __future__ import annotations

import math
from pathlib import Path

from v2g.clock import Clock
from v2g.hardware.map_heartbeat import advance_heartbeat
from v2g.hardware.map_link import load_image
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.pilot_roles import PILOT_ROLES, PILOT_STATE_ROLES, pilot_reading
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, DeviceError, Insulation
from v2g.hardware.register_map import RegisterImage, RegisterMap, load_map, require_plain_flags

ROLES = {
    "contactors_closed": "r",
    "plugged": "r",
    "insulation": "r",
    "insulation_ohm": "r",
    "present_voltage_v": "r",
    "present_current_a": "r",
    "close_contactors": "rw",
    "test_insulation": "rw",
    "target_voltage_v": "rw",
    "current_limit_a": "rw",
}
"""What a map must have for this driver: role -> access."""

OPTIONAL = {
    "contactors_commanded": "r",
    "connector_locked": "r",
    "max_voltage_v": "r",
    "min_voltage_v": "r",
    "max_current_a": "r",
    "max_power_w": "r",
    "charged_energy_wh": "r",
    "discharged_energy_wh": "r",
    "heartbeat": "rw",
    "lock_connector": "rw",
    "pilot_error": "rw",
    **PILOT_ROLES,
}
"""What a map may have, and what it means without:

- ``contactors_commanded``: the command that the device acknowledged last, on this connection;
- ``connector_locked`` (and ``lock_connector`` with it): the cable holds by itself; it counts as locked while plugged;
- ratings: those of the map's ``ratings``, of which each must be there then;
- the pilot: the device judges it by itself; with any of its roles ``pilot_state`` or ``pilot_high_v`` must be there;
- ``pilot_error``: state F cannot be ordered;
- energy counters: 0, the device counts none;
- ``heartbeat``: every write refreshes the device's watchdog.
"""

_RATINGS = ("max_voltage_v", "min_voltage_v", "max_current_a", "max_power_w")
_COMMANDS = (
    "heartbeat", "close_contactors", "test_insulation", "lock_connector", "pilot_error", "target_voltage_v",
    "current_limit_a",
)  # fmt: skip


def load_dc_map(name: str, config_dir: Path | None = None) -> RegisterMap:
    """As :func:`load_map`, with all that this driver needs."""
    map_ = load_map(name, config_dir, ROLES, OPTIONAL)
    missing = [role for role in _RATINGS if role not in map_.points and getattr(map_.ratings, role) is None]
    if missing:
        raise DeviceError(
            f"register map {name}: points: {', '.join(missing)} missing; give them under ratings: when no register "
            "has them"
        )
    require_plain_flags(map_, ("contactors_closed", "contactors_commanded"), name)
    if PILOT_ROLES.keys() & map_.points.keys() and not PILOT_STATE_ROLES & map_.points.keys():
        raise DeviceError(
            f"register map {name}: points: {' or '.join(sorted(PILOT_STATE_ROLES))} missing; without one of them no "
            "other role of the pilot can be judged"
        )
    if ("lock_connector" in map_.points) is not ("connector_locked" in map_.points):
        raise DeviceError(f"register map {name}: points: lock_connector and connector_locked belong together")
    return map_


class RegisterMapEvse:
    """:class:`v2g.hardware.ports.DcEvsePort`. One task may use it; calls are not to overlap."""

    def __init__(self, evse_id: str, link: ModbusLink, map_: RegisterMap, clock: Clock) -> None:
        self.evse_id = evse_id
        self.watchdog_s = map_.watchdog_s
        self.signals_pilot_error = "pilot_error" in map_.points
        """State F can be ordered."""
        self._link = link
        self._clock = clock
        self._image = RegisterImage(map_)
        self._read_blocks = map_.read_blocks()
        self._held_blocks = map_.command_blocks(_COMMANDS)
        self._write_blocks = map_.write_blocks(_COMMANDS)
        self._generation = -1
        self._commanded = DcEvseCommand()

    async def read(self) -> DcEvseReading:
        """Raises :class:`DeviceError`, also for a device that is not the map's."""
        as_of_s = self._clock.monotonic_s()
        image = self._image
        await load_image(self._link, image, self._read_blocks)
        insulation = image.text("insulation")
        plugged = image.flag("plugged")
        commanded, locked = image.optional_flag("contactors_commanded"), image.optional_flag("connector_locked")
        # Without an answer of the device itself, what it was told on an earlier connection is not known to hold.
        told = self._commanded.close_contactors and self._generation == self._link.generation
        return DcEvseReading(
            evse_id=self.evse_id,
            as_of_s=as_of_s,
            present_voltage_v=self._measured("present_voltage_v"),
            present_current_a=self._measured("present_current_a"),
            contactors_closed=image.flag("contactors_closed"),
            contactors_commanded=told if commanded is None else commanded,
            insulation=Insulation(insulation) if insulation in tuple(Insulation) else Insulation.UNKNOWN,
            insulation_ohm=image.optional_number("insulation_ohm") or 0.0,
            connector_locked=plugged if locked is None else locked,
            plugged=plugged,
            max_voltage_v=self._rating("max_voltage_v"),
            min_voltage_v=self._rating("min_voltage_v"),
            max_current_a=self._rating("max_current_a"),
            max_power_w=self._rating("max_power_w"),
            charged_energy_wh=image.metered("charged_energy_wh"),
            discharged_energy_wh=image.metered("discharged_energy_wh"),
            fault=", ".join(image.faults()) or None,
            pilot=pilot_reading(image),
        )

    async def apply(self, command: DcEvseCommand) -> None:
        """Write the whole command with a new heartbeat, if there is one; repeat well within the map's watchdog."""
        fresh = self._generation != self._link.generation or not self._link.state.online
        if fresh:
            # The heartbeat goes on from the device's: one that stays the same is no refresh.
            held = [(b, await self._link.read(b.table, b.address, b.count)) for b in self._held_blocks]
            await self.read()
            for block, registers in held:
                self._image.load(block, registers)
            self._generation = self._link.generation
            self._commanded = DcEvseCommand()
        image, points = self._image, self._image.map.points
        image.write_constants()
        if "heartbeat" in points:
            advance_heartbeat(image)
        image.set("close_contactors", command.close_contactors)
        image.set("test_insulation", command.test_insulation)
        for role, value in (("lock_connector", command.lock_connector), ("pilot_error", command.pilot_error)):
            if role in points:
                image.set(role, value)
        image.set("target_voltage_v", command.target_voltage_v)
        image.set("current_limit_a", command.current_limit_a)
        blocks = image.map.write_blocks(_COMMANDS, constants=True) if fresh else self._write_blocks
        for block in blocks:
            await self._link.write(block.address, image.registers(block))
        self._commanded = command

    async def close(self) -> None:
        await self._link.close()

    def _measured(self, role: str) -> float:
        value = self._image.number(role)
        if not math.isfinite(value):
            raise self._link.refuse(f"it has no {role}")
        return value

    def _rating(self, role: str) -> float:
        """0 when the device tells none: then it carries nothing."""
        if role not in self._image.map.points:
            return getattr(self._image.map.ratings, role) or 0.0
        return self._image.optional_number(role) or 0.0
