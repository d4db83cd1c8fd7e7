"""A device described by data: which number is in which register, in which type, scale and meaning.

The driver and the simulated device read the same file, so that neither copies numbers from the other. The roles
(``present_voltage_v``, ``close_contactors``) are the field names of the reading and command types in
:mod:`v2g.hardware.ports`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import yaml

from v2g.hardware.map_check import check_map
from v2g.hardware.map_schema import Block, Fault, Identity, Place, Point, RegisterMap
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import RegisterType, Table, WordOrder, pack, pack_text, unpack, unpack_text

__all__ = [
    "Block",
    "Fault",
    "Point",
    "RegisterImage",
    "RegisterMap",
    "Value",
    "built_in_maps",
    "is_path",
    "known_maps",
    "load_map",
]

Value = float | bool | str


class RegisterImage:
    """The registers of one device in memory, read and written by role.

    ``set`` and the readers use the units of the roles (V, A, bool, the text of an enumeration). :meth:`load` takes
    what a request returned, :meth:`registers` gives what a request shall write or a simulated device shall answer.
    It holds what the map spans in each table, and blocks are within that.
    """

    def __init__(self, map_: RegisterMap) -> None:
        self.map = map_
        spans = {table: map_.span(table) for table in Table}
        self._tables = {table: (first, [0] * count) for table, (first, count) in spans.items()}
        """First address and the registers from there on."""

    def set(self, role: str, value: Value) -> None:
        """Raises KeyError for an unknown role, ValueError for a value that does not fit."""
        point = self.map.points[role]
        if point.bit is not None:
            mask = 1 << point.bit
            self._put(point, self._bits(point) & ~mask | (mask if value else 0))
        elif point.string is not None:
            self._store(point, pack_text(str(value), point.string))
        elif isinstance(value, float) and math.isnan(value) and point.nan:
            self._put(point, point.nan[0])
        elif point.values:
            number = next((n for n, text in point.values.items() if text == value), None)
            if number is None:
                raise ValueError(f"{role} has no value {value!r}; known are {', '.join(point.values.values())}")
            self._put(point, number)
        elif isinstance(value, str):
            raise ValueError(f"{role} is a number, not {value!r}")
        else:
            self._put(point, (value - point.offset) / point.scale)

    def number(self, role: str) -> float:
        """A scaled number, NaN where the device says that it has none. KeyError for an unknown role."""
        point = self.map.points[role]
        return math.nan if self._absent(point) else self._raw(point) * point.scale + point.offset

    def flag(self, role: str) -> bool:
        """A bit; a whole register counts as True when it is not zero."""
        point = self.map.points[role]
        if self._absent(point):
            return False
        return bool(self._bits(point) >> point.bit & 1 if point.bit is not None else self._raw(point))

    def text(self, role: str) -> str | None:
        """A text or an enumeration; None when the device says a number that the map does not know, or none."""
        point = self.map.points[role]
        if point.string is not None:
            return unpack_text(self._registers(point)) or None
        raw = self._raw(point)
        if self._absent(point) or not math.isfinite(raw):
            return None
        return point.values.get(int(raw), point.values.get(self._bits(point)))

    def optional_number(self, role: str) -> float | None:
        """As :meth:`number`; None when the map has no such role or the value is no finite number."""
        if role not in self.map.points:
            return None
        value = self.number(role)
        return value if math.isfinite(value) else None

    def metered(self, role: str) -> float:
        """A total; NaN when the map has no such role or the value is no finite number."""
        value = self.optional_number(role)
        return math.nan if value is None else value

    def optional_flag(self, role: str) -> bool | None:
        """As :meth:`flag`; None when the map has no such role."""
        return self.flag(role) if role in self.map.points else None

    def optional_text(self, role: str) -> str | None:
        """As :meth:`text`; None as well when the map has no such role."""
        return self.text(role) if role in self.map.points else None

    def value(self, role: str) -> Value | None:
        """Whatever the point is: text, flag or number; None where the device has none. For people."""
        point = self.map.points[role]
        if point.string is not None or point.values:
            return self.text(role)
        return self.flag(role) if point.bit is not None else self.optional_number(role)

    def raw(self, role: str) -> tuple[int, ...]:
        """The registers of a point as they are on the wire."""
        return tuple(self._registers(self.map.points[role]))

    def faults(self, alarm: bool = False) -> tuple[str, ...]:
        """Texts of the faults that are present; with ``alarm`` of what is only told."""
        return tuple(f.text for f in self.map.faults if f.alarm is alarm and self._bits(f) >> f.bit & 1)

    def set_fault(self, text: str, present: bool) -> None:
        """For a simulated device. KeyError when the map has no such fault."""
        for fault in self.map.faults:
            if fault.text == text:
                self._put(fault, self._bits(fault) & ~(1 << fault.bit) | (present << fault.bit))
                return
        raise KeyError(text)

    def write_constants(self) -> None:
        """What the map's ``writes`` demand is put into the image."""
        for constant in self.map.writes:
            self._put(constant, constant.value)

    def wrong_constant(self) -> str | None:
        """Which register of ``writes`` that can be read back does not hold its value, in words."""
        for constant in self.map.writes:
            if constant.access == "rw" and self._bits(constant) != _unsigned(constant.value, constant.words):
                return f"register {constant.address} is {self._raw(constant)}, wanted {constant.value}"
        return None

    def stamp_identity(self) -> None:
        """For a simulated device: fill in what identifies it."""
        for item in self.map.identity:
            value = item.value[0] if isinstance(item.value, tuple) else item.value
            if isinstance(value, str):
                self._store(item, pack_text(value, item.words))
            else:
                self._put(item, value)

    def wrong_identity(self) -> str | None:
        """What does not fit the map, in words; None when the device is what it should be."""
        for item in self.map.identity:
            found, fits = self._identify(item)
            if not fits:
                wanted = " or ".join(map(str, item.value)) if isinstance(item.value, tuple) else item.value
                return f"{item.table} register {item.address} is {found}, wanted {wanted}"
        return None

    def load(self, block: Block, registers: Sequence[int]) -> None:
        """Raises ValueError when the device answered with another number of registers, or for what the map has not."""
        if len(registers) != block.count:
            raise ValueError(f"{len(registers)} registers instead of {block.count}")
        self._replace(block.table, block.address, registers)

    def registers(self, block: Block) -> list[int]:
        first, held = self._tables[block.table]
        return held[block.address - first : block.address - first + block.count]

    def table(self, table: Table) -> list[int]:
        """For a simulated device: all registers of the map's span."""
        return list(self._tables[table][1])

    def poke(self, address: int, registers: Sequence[int]) -> None:
        """For a simulated device: somebody wrote these holding registers. ValueError for what the map has not."""
        self._replace(Table.HOLDING, address, registers)

    def _replace(self, table: Table, address: int, registers: Sequence[int]) -> None:
        first, held = self._tables[table]
        start, end = address - first, address - first + len(registers)
        if start < 0 or end > len(held):
            raise ValueError(f"{len(registers)} {table} registers from {address} on are not all in the map")
        held[start:end] = registers

    def _identify(self, item: Identity) -> tuple[str | float, bool]:
        if isinstance(item.value, str):
            text = unpack_text(self._registers(item))
            return repr(text), item.value in text
        wanted = item.value if isinstance(item.value, tuple) else (item.value,)
        found = self._raw(item)
        return found, found in wanted

    def _registers(self, place: Place) -> list[int]:
        first, held = self._tables[place.table]
        return held[place.address - first : place.end - first]

    def _store(self, place: Place, registers: Sequence[int]) -> None:
        first, held = self._tables[place.table]
        held[place.address - first : place.end - first] = registers

    def _order(self, place: Place) -> WordOrder:
        return place.word_order or self.map.word_order

    def _raw(self, place: Place) -> int | float:
        return unpack(place.type, self._registers(place), self._order(place))

    def _bits(self, place: Place) -> int:
        """The raw value without a sign."""
        words = self._registers(place)
        value = 0
        for word in words if self._order(place) is WordOrder.BIG else reversed(words):
            value = value << 16 | word
        return value

    def _put(self, place: Place, raw: float) -> None:
        if isinstance(raw, int) and not place.type.is_float and raw >= 1 << (16 * place.words - 1):
            # A raw value without its sign, such as 0x80000000 of an int32.
            words = [raw >> (16 * shift) & 0xFFFF for shift in reversed(range(place.words))]
            if raw >> (16 * place.words):
                raise ValueError(f"{raw} does not fit into {place.type}")
            self._store(place, words if self._order(place) is WordOrder.BIG else words[::-1])
            return
        self._store(place, pack(place.type, raw, self._order(place)))

    def _absent(self, point: Point) -> bool:
        return bool(point.nan) and self._bits(point) in {_unsigned(raw, point.words) for raw in point.nan}


def _unsigned(raw: int, words: int) -> int:
    return raw & ((1 << (16 * words)) - 1)


def load_map(
    name: str,
    config_dir: Path | None = None,
    roles: Mapping[str, str] | None = None,
    optional: Mapping[str, str] | None = None,
) -> RegisterMap:
    """A map by name: ``devices/<name>.yaml`` of ``config_dir``, else built in; or a YAML file by its path.

    A path is relative to ``config_dir``. ``roles``: what the driver needs, role -> ``r``, ``rw`` or ``w``;
    ``optional``: what it can use. Raises :class:`DeviceError` naming file, place and reason.
    """
    where, text = _find(name, config_dir)
    raw: Any = None
    try:
        raw = yaml.load(text, _UniqueKeys)  # noqa: S506
        map_ = msgspec.convert(raw, RegisterMap)
        check_map(map_, roles or {}, optional or {})
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f"line {mark.line + 1}: "
        raise DeviceError(f"register map {where}: {line}is not YAML: {error.problem or error.context}") from None
    except msgspec.ValidationError as error:
        raise DeviceError(f"register map {where}: {_wrong_point(raw) or error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise DeviceError(f"register map {where}: {error}") from None
    return map_


def _wrong_point(raw: Any) -> str | None:
    """The first point that is none, by its name: the error of the whole map leaves the name out."""
    points = raw.get("points") if isinstance(raw, dict) else None
    for name, value in points.items() if isinstance(points, dict) else ():
        try:
            msgspec.convert(value, Point)
        except msgspec.ValidationError as error:
            types = f"; types are {', '.join(RegisterType)}" if "`$.type`" in str(error) else ""
            return f"points.{name}: {error}{types}"
    return None


def is_path(name: str) -> bool:
    """A file by its path, and not a map by its name."""
    return name.endswith((".yaml", ".yml")) or "/" in name


def require_plain_flags(map_: RegisterMap, roles: Collection[str], name: str) -> None:
    """Feedback that may be "not available" would read as open. Raises :class:`DeviceError`."""
    for role in roles:
        if role in map_.points and map_.points[role].nan:
            raise DeviceError(
                f"register map {name}: points.{role}: has nan values; without the contactor's own feedback nothing may "
                "be closed"
            )


def built_in_maps() -> list[str]:
    maps = resources.files("v2g.hardware") / "maps"
    return sorted(item.name.removesuffix(".yaml") for item in maps.iterdir() if item.name.endswith(".yaml"))


def known_maps(config_dir: Path | None = None) -> list[str]:
    """Names that :func:`load_map` finds: built in, and in ``devices/`` of ``config_dir``."""
    own = (config_dir / "devices").glob("*.yaml") if config_dir is not None else ()
    return sorted({*built_in_maps(), *(path.stem for path in own)})


def _find(name: str, config_dir: Path | None) -> tuple[str, str]:
    if is_path(name):
        return _text_of((config_dir or Path()) / name)
    own = config_dir / "devices" / f"{name}.yaml" if config_dir is not None else None
    if own is not None and own.exists():
        return _text_of(own)
    source = resources.files("v2g.hardware") / "maps" / f"{name}.yaml"
    if not source.is_file():
        absent = f", and {own} does not exist" if own is not None else ""
        raise DeviceError(
            f"register map {name!r} is not built in{absent}; known are {', '.join(known_maps(config_dir))}, "
            "or give a path"
        )
    return f"{name} (built in)", source.read_text("utf-8")


def _text_of(path: Path) -> tuple[str, str]:
    try:
        return str(path), path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DeviceError(f"register map {path} cannot be read: {reason}; put it there, or correct its name") from None


class _UniqueKeys(yaml.SafeLoader):
    """YAML takes the last of two equal keys in silence: two points for one role would be one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ValueError(f"line {key_node.start_mark.line + 1}: {key} is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep)
