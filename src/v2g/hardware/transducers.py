"""Transducers of one Modbus device, as ``sensor_map.conf`` describes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from v2g.clock import Clock
from v2g.hardware.modbus import ModbusEndpoint, ModbusLink
from v2g.hardware.ports import DeviceError, Quantity, TransducerReading
from v2g.hardware.registers import unpack
from v2g.hardware.sensor_map import Sensor


def by_device(sensors: Sequence[Sensor]) -> dict[ModbusEndpoint, tuple[Sensor, ...]]:
    """The sensors of each device, in the order of the file."""
    groups: dict[ModbusEndpoint, tuple[Sensor, ...]] = {}
    for sensor in sensors:
        groups[sensor.endpoint] = (*groups.get(sensor.endpoint, ()), sensor)
    return groups


class ModbusTransducers:
    """:class:`v2g.hardware.ports.TransducerPort` for the sensors of one device."""

    def __init__(self, link: ModbusLink, sensors: Sequence[Sensor], clock: Clock) -> None:
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
            as_of_s = self._clock.monotonic_s()
            try:
                registers = await self._link.read(sensor.table, sensor.register, sensor.type.words)
            except DeviceError as error:
                if not self._link.state.online:
                    raise
                dropped[sensor.quantity] = str(error)
                continue
            value = unpack(sensor.type, registers, sensor.word_order) * sensor.scale + sensor.offset
            if math.isfinite(value) and sensor.minimum <= value <= sensor.maximum:
                readings.append(TransducerReading(quantity=sensor.quantity, as_of_s=as_of_s, value=value))
            else:
                dropped[sensor.quantity] = (
                    f"{sensor.quantity} reads {value:g}, outside {sensor.minimum:g}..{sensor.maximum:g}; "
                    "is the transducer connected and its scale in sensor_map.conf right?"
                )
        self.dropped = dropped
        return tuple(readings)

    async def close(self) -> None:
        await self._link.close()
