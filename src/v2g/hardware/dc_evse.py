"""The DC output stage of an EVSE by a register map."""

from __future__ import annotations

from v2g.clock import Clock
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, Insulation
from v2g.hardware.register_map import RegisterImage, RegisterMap

ROLES = {
    "contactors_closed": "r",
    "contactors_commanded": "r",
    "connector_locked": "r",
    "plugged": "r",
    "insulation": "r",
    "insulation_ohm": "r",
    "present_voltage_v": "r",
    "present_current_a": "r",
    "max_voltage_v": "r",
    "min_voltage_v": "r",
    "max_current_a": "r",
    "max_power_w": "r",
    "charged_energy_wh": "r",
    "discharged_energy_wh": "r",
    "heartbeat": "rw",
    "close_contactors": "rw",
    "test_insulation": "rw",
    "lock_connector": "rw",
    "target_voltage_v": "rw",
    "current_limit_a": "rw",
}
"""What a map must have for this driver: role -> access."""

_HEARTBEAT_MODULUS = 1 << 16


class RegisterMapEvse:
    """:class:`v2g.hardware.ports.DcEvsePort`. One task may use it; calls are not to overlap."""

    def __init__(self, evse_id: str, link: ModbusLink, map_: RegisterMap, clock: Clock) -> None:
        self.evse_id = evse_id
        self.watchdog_s = map_.watchdog_s
        self._link = link
        self._clock = clock
        self._image = RegisterImage(map_)
        self._read_blocks = map_.read_blocks()
        self._write_block = map_.write_block()
        self._generation = -1

    async def read(self) -> DcEvseReading:
        as_of_s = self._clock.monotonic_s()
        image = self._image
        for block in self._read_blocks:
            image.load(block, await self._link.read(block.table, block.address, block.count))
        wrong = image.wrong_identity()
        if wrong is not None:
            raise self._link.refuse(f"it is no {image.map.name}: {wrong}")
        insulation = image.text("insulation")
        return DcEvseReading(
            evse_id=self.evse_id,
            as_of_s=as_of_s,
            present_voltage_v=image.number("present_voltage_v"),
            present_current_a=image.number("present_current_a"),
            contactors_closed=image.flag("contactors_closed"),
            contactors_commanded=image.flag("contactors_commanded"),
            insulation=Insulation(insulation) if insulation in tuple(Insulation) else Insulation.UNKNOWN,
            insulation_ohm=image.number("insulation_ohm"),
            connector_locked=image.flag("connector_locked"),
            plugged=image.flag("plugged"),
            max_voltage_v=image.number("max_voltage_v"),
            min_voltage_v=image.number("min_voltage_v"),
            max_current_a=image.number("max_current_a"),
            max_power_w=image.number("max_power_w"),
            charged_energy_wh=image.number("charged_energy_wh"),
            discharged_energy_wh=image.number("discharged_energy_wh"),
            fault=", ".join(image.faults()) or None,
        )

    async def apply(self, command: DcEvseCommand) -> None:
        """Write the whole command and a new heartbeat in one request; repeat well within the map's watchdog."""
        block = self._write_block
        if self._generation != self._link.generation or not self._link.state.online:
            # The heartbeat goes on from the device's: one that stays the same is no refresh.
            registers = await self._link.read(block.table, block.address, block.count)
            await self.read()
            self._image.load(block, registers)
            self._generation = self._link.generation
        image = self._image
        image.set("heartbeat", (image.number("heartbeat") + 1) % _HEARTBEAT_MODULUS)
        image.set("close_contactors", command.close_contactors)
        image.set("test_insulation", command.test_insulation)
        image.set("lock_connector", command.lock_connector)
        image.set("target_voltage_v", command.target_voltage_v)
        image.set("current_limit_a", command.current_limit_a)
        await self._link.write(block.address, image.registers(block))

    async def close(self) -> None:
        await self._link.close()
