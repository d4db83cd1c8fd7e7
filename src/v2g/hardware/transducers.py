"""Transducers of one Modbus device, as ``sensor_map.conf`` describes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from v2g.clock import Clock
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError, Quantity, TransducerReading
from v2g.hardware.registers import unpack
from v2g.hardware.sensor_map import Channel, DeviceAddress, Family, ModbusSource


def by_device(sensors: Iterable[Channel]) -> dict[DeviceAddress, tuple[Channel, ...]]:
    """The quantities of each Modbus device, in the order of the file."""
    groups: dict[DeviceAddress, tuple[Channel, ...]] = {}
    for channel in sensors:
        if channel.family is Family.QUANTITY and isinstance(channel.source, ModbusSource):
            device = channel.source.device
            groups[device] = (*groups.get(device, ()), channel)
    return groups


class ModbusTransducers:
    """:class:`v2g.hardware.ports.TransducerPort` for the sensors of one device."""

    def __init__(self, link: ModbusLink, sensors: Sequence[Channel], clock: Clock) -> None:
        self.dropped: dict[Quantity, str] = {}
        """Why a quantity is not among the last readings."""
        self._link = link
        self._sensors = tuple(sensors)
        self._clock = clock

    async def read(self) -> tuple[TransducerReading, ...]:
        """What is plausible; the rest is in :attr:`dropped`.

        A sensor whose registers the device refuses is dropped alone. Raises :class:`DeviceError` when the device does
        not answer.
        """
        readings = []
        dropped: dict[Quantity, str] = {}
        for sensor in self._sensors:
            source = sensor.source
            if not isinstance(source, ModbusSource):
                continue
            quantity = Quantity(sensor.name)
            as_of_s = self._clock.monotonic_s()
            try:
                registers = await self._link.read(source.table, source.register, source.type.words)
            except DeviceError as error:
                if not self._link.state.online:
                    raise
                dropped[quantity] = str(error)
                continue
            value = unpack(source.type, registers, source.word_order) * sensor.scale + sensor.offset
            if math.isfinite(value) and sensor.minimum <= value <= sensor.maximum:
                readings.append(TransducerReading(quantity=quantity, as_of_s=as_of_s, value=value))
            else:
                dropped[quantity] = (
                    f"{quantity} reads {value:g}, outside {sensor.minimum:g}..{sensor.maximum:g}; "
                    "is the transducer connected and its scale in sensor_map.conf right?"
                )
        self.dropped = dropped
        return tuple(readings)

    async def close(self) -> None:
        await self._link.close()
