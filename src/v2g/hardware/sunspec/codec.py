"""SunSpec points in registers: types, scale factors, values that mean "not implemented".

The definitions of the models are data of the package ``pysunspec2``; nothing of its code runs here. A model's image
is its registers from the model ID on; numbers are big-endian. :func:`load_model` knows a model up to its first
repeating group; :mod:`v2g.hardware.sunspec.groups` all of it, for the counts that a device tells.
"""

from __future__ import annotations

import functools
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

SUNS = (0x5375, 0x6E53)
"""The marker "SunS" at a device's base address."""
BASE_ADDRESSES = (40000, 50000, 0)
END_MODEL_ID = 0xFFFF

Value = float | int | str
"""Numbers after scaling, enumerations and bit fields as int, strings as str."""


class SunSpecError(ValueError):
    """A definition, a block or a value that does not fit; the message names model and point."""


# type: struct format, the number that means "not implemented"
_NUMBERS: dict[str, tuple[str, int]] = {
    "int16": (">h", -0x8000),
    "uint16": (">H", 0xFFFF),
    "count": (">H", 0xFFFF),
    "acc16": (">H", 0),
    "enum16": (">H", 0xFFFF),
    "bitfield16": (">H", 0xFFFF),
    "raw16": (">H", 0xFFFF),
    "pad": (">H", 0),
    "sunssf": (">h", -0x8000),
    "int32": (">i", -0x80000000),
    "uint32": (">I", 0xFFFFFFFF),
    "acc32": (">I", 0),
    "enum32": (">I", 0xFFFFFFFF),
    "bitfield32": (">I", 0xFFFFFFFF),
    "ipaddr": (">I", 0),
    "int64": (">q", -0x8000000000000000),
    "uint64": (">Q", 0xFFFFFFFFFFFFFFFF),
    "acc64": (">Q", 0),
    "bitfield64": (">Q", 0xFFFFFFFFFFFFFFFF),
    "eui48": (">Q", 0xFFFFFFFFFFFF),
}
_FLOATS = {"float32": ">f", "float64": ">d"}
_BYTES = ("string", "ipv6addr")
_SCALE_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Point:
    """One point: ``offset`` counts registers from the model ID, ``scale`` is a point name or a fixed exponent."""

    name: str
    type: str
    offset: int
    size: int
    scale: str | int | None
    writable: bool
    symbols: Mapping[int, str]
    unit: str = ""
    """As the definition writes it, of the scaled value; empty for what has none."""


@dataclass(frozen=True, slots=True)
class Model:
    """One SunSpec model's definition. Nested points are named ``PFWInj.PF``, repeated ones ``Crv[1].Pt[2].V``: the
    first is 1, as SunSpec counts."""

    id: int
    name: str
    points: Mapping[str, Point]
    length: int
    """Registers of ID, L and all that is defined here."""
    counts: tuple[str, ...] = ()
    """The points that say how often the groups repeat, in the order of the definition."""
    open_ended: bool = False
    """Its last group repeats as often as the device's length of the model has room for (129, 160 and others)."""

    def point(self, name: str) -> Point:
        try:
            return self.points[name]
        except KeyError:
            raise SunSpecError(f"SunSpec model {self.id} has no point {name}") from None

    def span(self, first: str, last: str) -> tuple[int, int]:
        """Offset and number of registers from one point to another, both included."""
        start, end = self.point(first), self.point(last)
        return start.offset, end.offset + end.size - start.offset


class ModelImage:
    """The registers of one model of one device.

    ``registers`` starts at the model ID. Points beyond what the device has (a shorter model) read as None.
    """

    def __init__(self, model: Model, registers: Sequence[int]) -> None:
        self.model = model
        self.registers = list(registers)

    @classmethod
    def blank(cls, model: Model) -> ModelImage:
        """ID and length set, every other point "not implemented"; for a simulated device."""
        image = cls(model, [0] * model.length)
        for point in model.points.values():
            image.registers[point.offset : point.offset + point.size] = _encode(point, None)
        image.registers[:2] = [model.id, model.length - 2]
        return image

    def load(self, offset: int, registers: Sequence[int]) -> None:
        """Replace a part by what a request returned."""
        self.registers[offset : offset + len(registers)] = registers

    def words(self, name: str) -> list[int]:
        """The registers of one point; fewer than its size where the model is shorter."""
        point = self.model.point(name)
        return self.registers[point.offset : point.offset + point.size]

    def raw(self, name: str) -> Value | None:
        """Without scaling; None when it is not implemented or not there."""
        point = self.model.point(name)
        words = self.words(name)
        return _decode(point, words) if len(words) == point.size else None

    def get(self, name: str) -> Value | None:
        """Scaled. None when the point or its scale factor is not implemented."""
        return self.scaled(name, self.words(name))

    def scaled(self, name: str, registers: Sequence[int]) -> Value | None:
        """What other registers would mean as this point, with this image's scale factors."""
        point = self.model.point(name)
        value = _decode(point, registers) if len(registers) == point.size else None
        if value is None or isinstance(value, str):
            return value
        exponent = self._exponent(point)
        if exponent == 0:
            return value
        if exponent is None:
            return None
        # Division is exact where a product with 0.001 is not.
        return value / 10.0**-exponent if exponent < 0 else value * 10.0**exponent

    def number(self, name: str) -> float | None:
        """Scaled, as a float; None also for a string and for a value that is not finite."""
        value = self.get(name)
        return None if value is None or isinstance(value, str) or not math.isfinite(value) else float(value)

    def integer(self, name: str) -> int | None:
        """Enumerations, bit fields and counters."""
        value = self.raw(name)
        return value if isinstance(value, int) else None

    def symbol(self, name: str) -> str | None:
        """The name of an enumeration's value; None when not implemented or unknown."""
        value = self.integer(name)
        return None if value is None else self.model.point(name).symbols.get(value)

    def bits(self, name: str) -> tuple[str, ...]:
        """The names of a bit field's set bits; ``BIT21`` for one without a name."""
        value = self.integer(name) or 0
        symbols = self.model.point(name).symbols
        return tuple(symbols.get(bit, f"BIT{bit}") for bit in range(value.bit_length()) if value >> bit & 1)

    def set(self, name: str, value: Value | None) -> None:
        """Encode a scaled value (None: "not implemented") with the scale factor in this image.

        Raises :class:`SunSpecError` when it does not fit or the scale factor is not implemented.
        """
        point = self.model.point(name)
        self.registers[point.offset : point.offset + point.size] = self.encode(name, value)

    def copy(self, source: str, target: str) -> None:
        """One point's registers to another of the same type."""
        point, to = self.model.point(source), self.model.point(target)
        self.registers[to.offset : to.offset + to.size] = self.registers[point.offset : point.offset + point.size]

    def encode(self, name: str, value: Value | None) -> list[int]:
        """The registers of ``value`` without storing them; errors as in :meth:`set`."""
        point = self.model.point(name)
        if value is not None and not isinstance(value, str):
            exponent = self._exponent(point)
            if exponent is None:
                raise SunSpecError(f"SunSpec model {self.model.id} {name}: its scale factor {point.scale} is missing")
            value = value if point.type in _FLOATS or exponent == 0 else value / 10.0**exponent
        try:
            return _encode(point, value)
        except (ValueError, OverflowError, struct.error):
            raise SunSpecError(
                f"SunSpec model {self.model.id} {name}: {value} does not fit into {point.type}"
            ) from None

    def values(self) -> Iterator[tuple[str, Value | None]]:
        """All points, scaled, for a dump."""
        return ((name, self.get(name)) for name in self.model.points)

    def _exponent(self, point: Point) -> int | None:
        if point.scale is None:
            return 0
        exponent = point.scale if isinstance(point.scale, int) else self.integer(point.scale)
        return exponent if exponent is not None and abs(exponent) <= _SCALE_LIMIT else None


@functools.lru_cache(maxsize=64)
def load_model(model_id: int) -> Model:
    """The fixed part by number. Raises :class:`SunSpecError` when ``pysunspec2`` has none."""
    return _build(model_id, {})


@functools.lru_cache(maxsize=256)
def load_repeated(model_id: int, counts: tuple[int, ...], fitting: int = 0) -> Model:
    """All of a model, its groups as often as ``counts`` says: numbers for :attr:`Model.counts`, in that order.

    ``fitting``: how often the group of an open-ended model repeats.
    """
    return _build(model_id, dict(zip(load_model(model_id).counts, counts, strict=True)), fitting)


def _build(model_id: int, counts: Mapping[str, int], fitting: int = 0) -> Model:
    source = resources.files("sunspec2") / "models" / "json" / f"model_{model_id}.json"
    if not source.is_file():
        raise SunSpecError(f"SunSpec model {model_id} is unknown to the installed pysunspec2")
    group = json.loads(source.read_text("utf-8"))["group"]
    points: dict[str, Point] = {}
    length, _ = _flatten(group, "", 0, points, counts, fitting)
    open_ended = any(child.get("count") == 0 for child in group.get("groups", ()))
    return Model(model_id, group["name"], points, length, tuple(dict.fromkeys(_count_names(group))), open_ended)


def _count_names(group: Mapping[str, Any]) -> Iterator[str]:
    for child in group.get("groups", ()):
        if isinstance(child.get("count"), str):
            yield child["count"]
        yield from _count_names(child)


def _flatten(
    group: Mapping[str, Any],
    prefix: str,
    offset: int,
    points: dict[str, Point],
    counts: Mapping[str, int],
    fitting: int,
) -> tuple[int, bool]:
    """Offset after the group, and whether all of it was fixed or counted."""
    for item in group["points"]:
        size = int(item["size"])
        points[prefix + item["name"]] = Point(
            name=prefix + item["name"],
            type=item["type"],
            offset=offset,
            size=size,
            scale=item.get("sf"),
            writable=item.get("access") == "RW",
            symbols={s["value"]: s["name"] for s in item.get("symbols", ())},
            unit=item.get("units", ""),
        )
        offset += size
    for child in group.get("groups", ()):
        stated = child.get("count", 1)
        count = counts.get(stated, 0) if isinstance(stated, str) else int(stated) or fitting
        if count == 0 and stated not in counts:
            return offset, False
        for number in range(1, count + 1):
            name = child["name"] if stated == 1 else f"{child['name']}[{number}]"
            offset, known = _flatten(child, f"{prefix}{name}.", offset, points, counts, fitting)
            if not known:
                return offset, False
    return offset, True


def _decode(point: Point, words: Sequence[int]) -> Value | None:
    data = struct.pack(f">{len(words)}H", *words)
    if point.type in _BYTES:
        if not any(data):
            return None
        return data.hex() if point.type == "ipv6addr" else data.split(b"\0")[0].decode("utf-8", "replace")
    if point.type in _FLOATS:
        real: float = struct.unpack(_FLOATS[point.type], data)[0]
        return None if math.isnan(real) else real
    if point.type not in _NUMBERS:
        raise SunSpecError(f"SunSpec point {point.name} is of the unknown type {point.type}")
    format_, absent = _NUMBERS[point.type]
    number: int = struct.unpack(format_, data)[0]
    if number == absent and not point.type.startswith("acc"):
        return None
    # With the top bit set a bit field carries no information.
    if point.type.startswith("bitfield") and number >> (8 * len(data) - 1):
        return None
    return number


def _encode(point: Point, value: Value | None) -> list[int]:
    length = 2 * point.size
    if point.type in _BYTES:
        text = "" if value is None else str(value)
        data = bytes.fromhex(text) if point.type == "ipv6addr" else text.encode("utf-8")
        if len(data) > length:
            raise ValueError("too long")
        data = data.ljust(length, b"\0")
    elif isinstance(value, str):
        raise ValueError("not a number")
    elif point.type in _FLOATS:
        data = struct.pack(_FLOATS[point.type], math.nan if value is None else value)
    elif point.type in _NUMBERS:
        format_, absent = _NUMBERS[point.type]
        number = absent if value is None else round(value)
        # 0xFFFF as a measured value would be read back as "not implemented".
        if value is not None and number == absent and absent != 0:
            raise ValueError("means not implemented")
        data = struct.pack(format_, number)
    else:
        raise SunSpecError(f"SunSpec point {point.name} is of the unknown type {point.type}")
    return list(struct.unpack(f">{point.size}H", data))
