"""A device described by data: which number is in which register, in which type, scale and meaning.

The driver and the simulated device read the same file, so that neither copies numbers from the other. The roles
(``present_voltage_v``, ``close_contactors``) are the field names of the reading and command types in
:mod:`v2g.hardware.ports`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml
from msgspec import Meta

from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import RegisterType, Table, WordOrder, pack, unpack

Address = Annotated[int, Meta(ge=0, le=65535)]
Bit = Annotated[int, Meta(ge=0, le=15)]
Value = float | bool | str

MAX_READ_REGISTERS = 125
MAX_WRITE_REGISTERS = 123


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Point(_Data, frozen=True, kw_only=True):
    """One value: a scaled number, one bit of a register (``bit``) or an enumeration (``values``)."""

    table: Table
    address: Address
    type: RegisterType = RegisterType.UINT16
    scale: Annotated[float, Meta(gt=0)] = 1.0
    offset: float = 0.0
    bit: Bit | None = None
    values: dict[Annotated[int, Meta(ge=0, le=65535)], str] = {}
    access: Literal["r", "rw"] = "r"


class Identity(_Data, frozen=True, kw_only=True):
    """A register that must hold ``value``, so that a wrong device is noticed before it is commanded."""

    table: Table
    address: Address
    type: RegisterType = RegisterType.UINT16
    value: int


class Fault(_Data, frozen=True, kw_only=True):
    """A bit that means a fault, and its text for people."""

    table: Table
    address: Address
    bit: Bit
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive registers that one request reads or writes."""

    table: Table
    address: int
    count: int


class RegisterMap(_Data, frozen=True, kw_only=True):
    name: str
    version: int = 1
    word_order: WordOrder = WordOrder.BIG
    watchdog_s: Annotated[float, Meta(gt=0)] = 3.0
    """The device drops a command that is not refreshed for this long."""
    identity: tuple[Identity, ...] = ()
    points: dict[str, Point]
    faults: tuple[Fault, ...] = ()

    def read_blocks(self) -> tuple[Block, ...]:
        """The requests that fetch every point that is not a command, gaps included, as few as fit."""
        spans = [(p.table, p.address, p.type.words) for p in self.points.values() if p.access == "r"]
        spans += [(i.table, i.address, i.type.words) for i in self.identity]
        spans += [(f.table, f.address, 1) for f in self.faults]
        return _blocks(spans, MAX_READ_REGISTERS)

    def write_block(self) -> Block:
        """The one request that writes every command."""
        spans = [(p.table, p.address, p.type.words) for p in self.points.values() if p.access == "rw"]
        (block,) = _blocks(spans, MAX_WRITE_REGISTERS)
        return block

    def size(self, table: Table) -> int:
        """Registers from address 0 to the last one used."""
        known: tuple[Point | Identity, ...] = (*self.points.values(), *self.identity)
        used = [point for point in known if point.table is table]
        ends = [p.address + p.type.words for p in used] + [f.address + 1 for f in self.faults if f.table is table]
        return max(ends, default=0)


class RegisterImage:
    """The registers of one device in memory, read and written by role.

    ``set`` and ``get`` use the units of the roles (V, A, bool, the text of an enumeration). :meth:`load` takes what a
    request returned, :meth:`registers` gives what a request shall write or a simulated device shall answer.
    """

    def __init__(self, map_: RegisterMap) -> None:
        self.map = map_
        self._tables: dict[Table, list[int]] = {table: [0] * map_.size(table) for table in Table}

    def set(self, role: str, value: Value) -> None:
        """Raises KeyError for an unknown role, ValueError for a value that does not fit."""
        point = self.map.points[role]
        table = self._tables[point.table]
        if point.bit is not None:
            mask = 1 << point.bit
            table[point.address] = table[point.address] & ~mask | (mask if value else 0)
            return
        if point.values:
            number: float = next((n for n, text in point.values.items() if text == value), -1)
            if number < 0:
                raise ValueError(f"{role} has no value {value!r}; known are {', '.join(point.values.values())}")
        elif isinstance(value, str):
            raise ValueError(f"{role} is a number, not {value!r}")
        else:
            number = (value - point.offset) / point.scale
        table[point.address : point.address + point.type.words] = pack(point.type, number, self.map.word_order)

    def number(self, role: str) -> float:
        """A scaled number. KeyError for an unknown role."""
        point = self.map.points[role]
        return self._raw(point.table, point.address, point.type) * point.scale + point.offset

    def flag(self, role: str) -> bool:
        """A bit; a whole register counts as True when it is not zero."""
        point = self.map.points[role]
        raw = int(self._raw(point.table, point.address, point.type))
        return bool(raw >> point.bit & 1 if point.bit is not None else raw)

    def text(self, role: str) -> str | None:
        """An enumeration; None when the device says a number that the map does not know."""
        point = self.map.points[role]
        return point.values.get(int(self._raw(point.table, point.address, point.type)))

    def optional_number(self, role: str) -> float | None:
        """As :meth:`number`; None when the map has no such role or the value is no finite number."""
        if role not in self.map.points:
            return None
        value = self.number(role)
        return value if math.isfinite(value) else None

    def optional_flag(self, role: str) -> bool | None:
        """As :meth:`flag`; None when the map has no such role."""
        return self.flag(role) if role in self.map.points else None

    def optional_text(self, role: str) -> str | None:
        """As :meth:`text`; None as well when the map has no such role."""
        return self.text(role) if role in self.map.points else None

    def faults(self) -> tuple[str, ...]:
        return tuple(f.text for f in self.map.faults if self._tables[f.table][f.address] >> f.bit & 1)

    def set_fault(self, text: str, present: bool) -> None:
        """For a simulated device. KeyError when the map has no such fault."""
        for fault in self.map.faults:
            if fault.text == text:
                table = self._tables[fault.table]
                table[fault.address] = table[fault.address] & ~(1 << fault.bit) | (present << fault.bit)
                return
        raise KeyError(text)

    def stamp_identity(self) -> None:
        """For a simulated device: fill in what identifies it."""
        for item in self.map.identity:
            self._tables[item.table][item.address : item.address + item.type.words] = pack(
                item.type, item.value, self.map.word_order
            )

    def wrong_identity(self) -> str | None:
        """What does not fit the map, in words; None when the device is what it should be."""
        for item in self.map.identity:
            found = self._raw(item.table, item.address, item.type)
            if found != item.value:
                return f"{item.table} register {item.address} is {found}, wanted {item.value}"
        return None

    def load(self, block: Block, registers: Sequence[int]) -> None:
        """Raises ValueError when the device answered with another number of registers."""
        if len(registers) != block.count:
            raise ValueError(f"{len(registers)} registers instead of {block.count}")
        self._tables[block.table][block.address : block.address + block.count] = registers

    def registers(self, block: Block) -> list[int]:
        return self._tables[block.table][block.address : block.address + block.count]

    def _raw(self, table: Table, address: int, type_: RegisterType) -> int | float:
        return unpack(type_, self._tables[table][address : address + type_.words], self.map.word_order)


def load_map(name: str, config_dir: Path | None = None, roles: Mapping[str, str] | None = None) -> RegisterMap:
    """A built-in map by name (``v2g-dc-evse``), or a YAML file by path (relative to ``config_dir``).

    ``roles``: what the driver needs, role -> ``r`` or ``rw``. Raises :class:`DeviceError` naming file, place and
    reason.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = (config_dir or Path()) / name
        where = str(path)
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceError(f"register map {where}: {error}; check evses[].dc.map") from None
    else:
        where = f"{name} (built in)"
        source = resources.files("v2g.hardware") / "maps" / f"{name}.yaml"
        if not source.is_file():
            raise DeviceError(
                f"register map {name!r} is not built in; known are {', '.join(built_in_maps())}, or give a path"
            )
        text = source.read_text("utf-8")
    try:
        map_ = msgspec.convert(yaml.safe_load(text), RegisterMap)
        _check(map_, roles or {})
    except (yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        raise DeviceError(f"register map {where}: {error}") from None
    return map_


def built_in_maps() -> list[str]:
    maps = resources.files("v2g.hardware") / "maps"
    return sorted(item.name.removesuffix(".yaml") for item in maps.iterdir() if item.name.endswith(".yaml"))


def _check(map_: RegisterMap, roles: Mapping[str, str]) -> None:
    missing = [role for role in roles if role not in map_.points]
    if missing:
        raise ValueError(f"points: {', '.join(missing)} missing")
    for role, access in roles.items():
        if map_.points[role].access != access:
            raise ValueError(f"points.{role}.access must be {access}")
    for role, point in map_.points.items():
        if point.bit is not None and (point.type is not RegisterType.UINT16 or point.values):
            raise ValueError(f"points.{role}: a bit is of type uint16 and has no values")
        if point.values and point.type is not RegisterType.UINT16:
            raise ValueError(f"points.{role}: an enumeration is of type uint16")
        if point.access == "rw" and point.table is not Table.HOLDING:
            raise ValueError(f"points.{role}: only holding registers can be written")
        if point.address + point.type.words > 65536:
            raise ValueError(f"points.{role}: beyond register 65535")
    if "heartbeat" in roles:
        _check_heartbeat(map_.points["heartbeat"])
    _check_overlaps(map_)
    if any(point.access == "rw" for point in map_.points.values()):
        _check_writes(map_)


def _check_heartbeat(point: Point) -> None:
    plain = point.scale == 1.0 and point.offset == 0.0 and point.bit is None and not point.values
    if point.type is not RegisterType.UINT16 or not plain:
        # It counts 0..65535; any other register would refuse it one day, and every command with it.
        raise ValueError("points.heartbeat: a whole register of type uint16, with scale 1 and offset 0")


def _check_overlaps(map_: RegisterMap) -> None:
    owner: dict[tuple[Table, int, int | None], str] = {}
    for role, point in map_.points.items():
        for address in range(point.address, point.address + point.type.words):
            bits = range(16) if point.bit is None else (point.bit,)
            for bit in bits:
                other = owner.setdefault((point.table, address, bit), role)
                if other != role:
                    raise ValueError(f"points.{role} and points.{other} overlap at {point.table} register {address}")


def _check_writes(map_: RegisterMap) -> None:
    written = [p for p in map_.points.values() if p.access == "rw"]
    covered = {a for p in written for a in range(p.address, p.address + p.type.words)}
    if len(covered) != max(covered) - min(covered) + 1 or len(covered) > MAX_WRITE_REGISTERS:
        # A gap would be written with zeros, and two writes could be torn apart.
        raise ValueError(f"points with access rw must be consecutive, at most {MAX_WRITE_REGISTERS} registers")


def _blocks(spans: Iterable[tuple[Table, int, int]], limit: int) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for table, address, words in sorted(spans):
        last = blocks[-1] if blocks else None
        if last is not None and last.table is table and address + words - last.address <= limit:
            end = max(last.address + last.count, address + words)
            blocks[-1] = Block(table, last.address, end - last.address)
        else:
            blocks.append(Block(table, address, words))
    return tuple(blocks)
