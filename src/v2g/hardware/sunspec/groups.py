"""Whole SunSpec models, repeating groups included: read without tearing, and written one stored set at a time.

What belongs together comes out of one request: a value of several registers and, in a model of up to 125 registers,
a value and its scale factor. A longer model takes several requests, each of which ends where a point ends; then its
beginning is read once more, and where a count, a scale factor, an enumeration, a bit field or a setting of it has
changed meanwhile, all of the model is read again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from v2g.hardware.modbus import ModbusLink
from v2g.hardware.sunspec.codec import Model, ModelImage, SunSpecError, load_model, load_repeated
from v2g.hardware.sunspec.discovery import MAX_READ, ModelLocation, read_span

MAX_WRITE = 123
READ_ATTEMPTS = 3
_MAX_REGISTERS = 4096
"""A model longer than this is a device that miscounts."""
_STILL = frozenset({"count", "sunssf", "enum16", "enum32", "bitfield16", "bitfield32"})
"""What of a model does not change by itself from one request to the next, as a measured value does."""


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
    if fixed.model.open_ended and length <= _MAX_REGISTERS:
        size = load_repeated(model_id, counts, 1).length - model.length
        model = load_repeated(model_id, counts, max(0, (length - model.length) // size))
    # A model without groups may be shorter than its definition: an older edition of it.
    if names and model.length > length:
        raise SunSpecError(
            f"SunSpec model {model_id} says {told}, which needs {model.length} registers; it has {length}"
        )
    return model


async def read_model(link: ModbusLink, location: ModelLocation) -> ModelImage:
    """All of a model with its repeating groups, in as many requests as it takes.

    Raises :class:`~v2g.hardware.ports.DeviceError`, and :class:`SunSpecError` for counts that do not fit and for a
    model that changed in each of three attempts.
    """
    for _ in range(READ_ATTEMPTS):
        registers = await read_span(link, location, 0, location.length)
        fixed = ModelImage(load_model(location.id), registers)
        model = repeated_model(location.id, fixed, location.length)
        length = min(model.length, location.length)
        if length <= len(registers):
            return ModelImage(model, registers[:length])
        del registers[_end_of_request(model, 0) :]
        first = len(registers)
        while len(registers) < length:
            end = min(_end_of_request(model, len(registers)), length)
            registers += await read_span(link, location, len(registers), end - len(registers))
        image = ModelImage(model, registers)
        if not _torn(image, await read_span(link, location, 0, first)):
            return image
    raise SunSpecError(f"SunSpec model {location.id} changes faster than it can be read ({READ_ATTEMPTS} attempts)")


def _end_of_request(model: Model, start: int) -> int:
    """The offset behind the last point that fits into one request from ``start`` on."""
    ends = (point.offset + point.size for point in model.points.values())
    return max(end for end in ends if start < end <= start + MAX_READ)


def _torn(image: ModelImage, again: Sequence[int]) -> bool:
    for point in image.model.points.values():
        span = slice(point.offset, point.offset + point.size)
        still = point.type in _STILL or point.writable or point.name in image.model.counts
        if span.stop <= len(again) and still and image.registers[span] != again[span]:
            return True
    return False


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
