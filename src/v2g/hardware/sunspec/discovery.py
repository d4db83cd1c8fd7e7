"""Finding the SunSpec models of a device."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table
from v2g.hardware.sunspec.codec import BASE_ADDRESSES, END_MODEL_ID, SUNS, ModelImage, load_model

MAX_MODELS = 64
"""A chain longer than this is no chain."""
MAX_READ = 125


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """Where a model is: ``address`` of its ID register, ``length`` in registers with ID and L."""

    id: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device says it is (model 1)."""

    manufacturer: str
    model: str
    version: str
    serial: str


async def discover(link: ModbusLink) -> dict[int, ModelLocation]:
    """The models at the first base address that says "SunS"; the first of each number.

    Raises :class:`DeviceError` when there is none, or when the chain runs in circles or out of the address space.
    """
    for base in BASE_ADDRESSES:
        try:
            marker = await link.read(Table.HOLDING, base, 2)
        except DeviceError:
            # An exception code means "no such registers"; without an answer there is nothing to look for.
            if not link.state.online:
                raise
            continue
        if tuple(marker) == SUNS:
            return await models_at(link, base)
    raise link.refuse(f"no SunSpec marker at {', '.join(map(str, BASE_ADDRESSES))}")


async def read_identity(link: ModbusLink, location: ModelLocation) -> Identity:
    image = ModelImage(load_model(1), await read_span(link, location, 0, location.length))
    texts = [str(image.get(name) or "").strip() for name in ("Mn", "Md", "Vr", "SN")]
    return Identity(*texts)


async def read_span(link: ModbusLink, location: ModelLocation, offset: int, count: int) -> list[int]:
    """Registers of a model, in one request of at most 125. Raises :class:`DeviceError`."""
    count = min(count, location.length - offset, MAX_READ)
    if count <= 0:
        return []
    registers = await link.read(Table.HOLDING, location.address + offset, count)
    if offset == 0 and (registers[0] != location.id or (count > 1 and registers[1] != location.length - 2)):
        raise link.refuse(f"SunSpec model {location.id} is no longer at {location.address}")
    return registers


async def models_at(link: ModbusLink, base: int) -> dict[int, ModelLocation]:
    """The models behind the marker at ``base``; errors as in :func:`discover`."""
    found: dict[int, ModelLocation] = {}
    address = base + len(SUNS)
    for _ in range(MAX_MODELS):
        if address > 0xFFFE:
            break
        model_id, length = await link.read(Table.HOLDING, address, 2)
        if model_id == END_MODEL_ID:
            return found
        found.setdefault(model_id, ModelLocation(model_id, address, length + 2))
        address += length + 2
    raise link.refuse(f"its SunSpec model chain does not end ({MAX_MODELS} models, address {address})")
