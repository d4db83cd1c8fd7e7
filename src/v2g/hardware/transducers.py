"""Transducers and contacts of ``sensor_map.conf``: registers of one Modbus device, numbers in small files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from v2g.clock import Clock
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import unpack
from v2g.hardware.sensing import Sensing
from v2g.hardware.sensor_map import ModbusSource

_MAX_FILE_BYTES = 64


async def read_registers(link: ModbusLink, sensings: Iterable[Sensing], clock: Clock) -> None:
    """Read each of the channels once, all of one device.

    A channel whose registers the device refuses fails alone. Raises :class:`DeviceError` when the device does not
    answer; all of them have failed then.
    """
    waiting = list(sensings)
    while waiting:
        sensing = waiting[0]
        source = sensing.channel.source
        assert isinstance(source, ModbusSource)  # noqa: S101 - they are chosen by their source
        as_of_s = clock.monotonic_s()
        try:
            registers = await link.read(source.table, source.register, source.type.words)
        except DeviceError as error:
            if not link.state.online:
                for lost in waiting:
                    lost.fail(str(error))
                raise
            sensing.fail(str(error))
        else:
            if source.bit is None:
                sensing.take(unpack(source.type, registers, source.word_order), as_of_s)
            else:
                sensing.switch(bool(registers[0] >> source.bit & 1), as_of_s)
        waiting.pop(0)


def read_number(path: Path) -> float:
    """The number in a small file of IIO or hwmon; may block. Raises :class:`DeviceError` naming the file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            content = os.read(fd, _MAX_FILE_BYTES)
        finally:
            os.close(fd)
        return float(content.decode("ascii"))
    except OSError as error:
        reason = f"{path}: {error.strerror}; is the driver loaded and the path in sensor_map.conf right?"
        raise DeviceError(reason) from None
    except ValueError:
        raise DeviceError(f"{path}: holds no number; sensor_map.conf has to name a file with one") from None
