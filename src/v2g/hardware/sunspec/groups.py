"""SunSpec models with repeating groups (705 to 712): read whole, and written one stored set at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from v2g.hardware.modbus import ModbusLink
from v2g.hardware.sunspec.codec import Model, ModelImage, SunSpecError, load_model, load_repeated
from v2g.hardware.sunspec.discovery import ModelLocation, read_span

MAX_WRITE = 123
_MAX_REGISTERS = 4096
"""A model longer than this is a device that miscounts."""


def repeated_model(model_id: int, fixed: ModelImage, length: int) -> Model:
    """The definition that fits a device: ``fixed`` holds its counts, ``length`` its registers with ID and L.

    Raises :class:`SunSpecError` when the counts do not fit into the length.
    """
    names = fixed.model.counts
    counts = tuple(fixed.integer(name) or 0 for name in names)
    told = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    # Each repetition takes a register at least: what cannot fit is not expanded.
    if math.prod(max(count, 1) for count in counts) > _MAX_REGISTERS:
        raise SunSpecError(f"SunSpec model {model_id} says {told}, which no model holds")
    model = load_repeated(model_id, counts)
    if model.length > length:
        raise SunSpecError(
            f"SunSpec model {model_id} says {told}, which needs {model.length} registers; it has {length}"
        )
    return model


async def read_model(link: ModbusLink, location: ModelLocation) -> ModelImage:
    """All of a model with its repeating groups, in as many requests as it takes.

    Raises :class:`~v2g.hardware.ports.DeviceError`, and :class:`SunSpecError` for counts that do not fit.
    """
    fixed_model = load_model(location.id)
    registers = await read_span(link, location, 0, location.length)
    fixed = ModelImage(fixed_model, registers)
    model = repeated_model(location.id, fixed, location.length)
    while len(registers) < model.length:
        registers += await read_span(link, location, len(registers), model.length - len(registers))
    return ModelImage(model, registers[: model.length])


async def write_points(link: ModbusLink, location: ModelLocation, image: ModelImage, names: Sequence[str]) -> None:
    """Write these points as they are in ``image``; neighbours go together. Raises ``DeviceError``."""
    for first, count in runs(image.model, names):
        await write_run(link, location, image, first, count)


async def write_run(link: ModbusLink, location: ModelLocation, image: ModelImage, first: int, count: int) -> None:
    await link.write(location.address + first, image.registers[first : first + count])


def writable_points(model: Model, prefix: str) -> tuple[str, ...]:
    """Names of the points of a group that may be written."""
    return tuple(name for name, point in model.points.items() if name.startswith(prefix) and point.writable)


def runs(model: Model, names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Neighbouring registers, as (offset, count) of at most one request."""
    start = end = -1
    for point in sorted((model.point(name) for name in names), key=lambda point: point.offset):
        if point.offset != end or end + point.size - start > MAX_WRITE:
            if end > start:
                yield start, end - start
            start = point.offset
        end = point.offset + point.size
    if end > start:
        yield start, end - start
