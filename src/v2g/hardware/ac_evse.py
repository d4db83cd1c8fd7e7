"""An AC EVSE by a register map: contactor, lock, meter and control pilot."""

from __future__ import annotations

import math
from pathlib import Path

from v2g.clock import Clock
from v2g.hardware.map_heartbeat import advance_heartbeat
from v2g.hardware.map_link import load_image
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.pilot_roles import PILOT_ROLES, pilot_reading
from v2g.hardware.ports import AcEvseCommand, AcEvseReading
from v2g.hardware.register_map import RegisterImage, RegisterMap, load_map, require_plain_flags

ROLES = {
    "contactor_closed": "r",
    "contactor_commanded": "r",
    "plugged": "r",
    "voltage_l1_v": "r",
    "current_l1_a": "r",
    "power_l1_w": "r",
    "max_current_a": "r",
    "heartbeat": "rw",
    "close_contactor": "rw",
}
"""What a map must have for this driver: role -> access."""

_LINES = ("l1", "l2", "l3")
OPTIONAL = {
    "connector_locked": "r",
    "lock_connector": "rw",
    "pilot_error": "rw",
    "pilot_duty_order_pct": "rw",
    **{f"voltage_{line}_v": "r" for line in _LINES[1:]},
    **{f"current_{line}_a": "r" for line in _LINES[1:]},
    **{f"power_{line}_w": "r" for line in _LINES[1:]},
    **{f"reactive_{line}_var": "r" for line in _LINES},
    "charged_energy_wh": "r",
    "discharged_energy_wh": "r",
    **PILOT_ROLES,
}
"""What a map may have. Without ``connector_locked`` and ``lock_connector`` the cable is fixed: it is locked while it is
plugged in."""

_UNSUPERVISED = frozenset(f"reactive_{line}_var" for line in _LINES)
_COMMANDS = ("heartbeat", "close_contactor", "lock_connector", "pilot_error", "pilot_duty_order_pct")


def load_ac_map(name: str, config_dir: Path | None = None) -> RegisterMap:
    """As :func:`load_map`, with all that this driver needs."""
    map_ = load_map(name, config_dir, ROLES, OPTIONAL)
    require_plain_flags(map_, ("contactor_closed", "contactor_commanded"), name)
    return map_


class RegisterMapAcEvse:
    """:class:`v2g.hardware.ports.AcEvsePort`. One task may use it; calls are not to overlap."""

    def __init__(self, evse_id: str, link: ModbusLink, map_: RegisterMap, clock: Clock, phases: int = 3) -> None:
        """``phases``: how many are connected; a line beyond them that is not measured is 0."""
        self.evse_id = evse_id
        self._phases = phases
        self.watchdog_s = map_.watchdog_s
        self.sets_pilot = "pilot_duty_order_pct" in map_.points
        """The duty cycle is ours to command."""
        self.signals_pilot_error = "pilot_error" in map_.points
        """State F can be ordered."""
        self._link = link
        self._clock = clock
        self._image = RegisterImage(map_)
        self._read_blocks = map_.read_blocks()
        self._held_blocks = map_.command_blocks(_COMMANDS)
        self._write_blocks = map_.write_blocks(_COMMANDS)
        self._generation = -1

    async def read(self) -> AcEvseReading:
        as_of_s = self._clock.monotonic_s()
        image = self._image
        await load_image(self._link, image, self._read_blocks)
        plugged = image.flag("plugged")
        locked = image.optional_flag("connector_locked")
        return AcEvseReading(
            evse_id=self.evse_id,
            as_of_s=as_of_s,
            contactor_closed=image.flag("contactor_closed"),
            contactor_commanded=image.flag("contactor_commanded"),
            plugged=plugged,
            connector_locked=plugged if locked is None else locked,
            voltage_v=self._lines("voltage_{}_v"),
            current_a=self._lines("current_{}_a"),
            power_w=self._lines("power_{}_w"),
            reactive_var=self._lines("reactive_{}_var"),
            max_current_a=image.number("max_current_a"),
            charged_energy_wh=image.metered("charged_energy_wh"),
            discharged_energy_wh=image.metered("discharged_energy_wh"),
            pilot=pilot_reading(image),
            fault=", ".join(image.faults()) or None,
        )

    async def apply(self, command: AcEvseCommand) -> None:
        """Write the whole command with a new heartbeat; repeat well within the map's watchdog."""
        fresh = self._generation != self._link.generation or not self._link.state.online
        if fresh:
            # The heartbeat goes on from the device's: one that stays the same is no refresh.
            await self.read()
            for block in self._held_blocks:
                self._image.load(block, await self._link.read(block.table, block.address, block.count))
            self._generation = self._link.generation
        image = self._image
        image.write_constants()
        advance_heartbeat(image)
        image.set("close_contactor", command.close_contactor)
        for role, value in (
            ("lock_connector", command.lock_connector),
            ("pilot_error", command.pilot_error),
            ("pilot_duty_order_pct", command.pilot_duty_pct),
        ):
            if role in image.map.points:
                image.set(role, value)
        blocks = image.map.write_blocks(_COMMANDS, constants=True) if fresh else self._write_blocks
        for block in blocks:
            await self._link.write(block.address, image.registers(block))

    async def close(self) -> None:
        await self._link.close()

    def _lines(self, role: str) -> tuple[float, float, float]:
        """Of L1 to L3: NaN what the device does not measure or its map does not have, 0 beyond the EVSE's phases."""
        one, two, three = (self._line(role.format(line), number) for number, line in enumerate(_LINES))
        return one, two, three

    def _line(self, name: str, number: int) -> float:
        missing = 0.0 if name in _UNSUPERVISED else math.nan
        value = self._image.number(name) if name in self._image.map.points else missing
        return 0.0 if math.isnan(value) and number >= self._phases else value
