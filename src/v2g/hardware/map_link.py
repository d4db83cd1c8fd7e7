"""A register map's image filled from its device."""

from __future__ import annotations

from collections.abc import Iterable

from v2g.hardware.map_schema import Block
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.register_map import RegisterImage

__all__ = ["load_image"]


async def load_image(link: ModbusLink, image: RegisterImage, blocks: Iterable[Block]) -> None:
    """Read ``blocks`` into ``image``. Raises :class:`DeviceError`, also for a device that is not the map's."""
    for block in blocks:
        image.load(block, await link.read(block.table, block.address, block.count))
    wrong = image.wrong_identity()
    if wrong is not None:
        raise link.refuse(f"it is no {image.map.name}: {wrong}")
