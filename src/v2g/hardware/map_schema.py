"""What a register map says: which number is in which register, in which type, scale and meaning."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from v2g.hardware.registers import RegisterType, Table, WordOrder

Address = Annotated[int, Meta(ge=0, le=65535)]
Bit = Annotated[int, Meta(ge=0, le=63)]
Positive = Annotated[float, Meta(gt=0)]

MAX_READ_REGISTERS = 125
MAX_WRITE_REGISTERS = 123


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Place(_Data, frozen=True, kw_only=True):
    """Registers that hold one value. ``address`` is the one on the wire, from 0.

    ``string``: a text of so many registers, two characters each (ASCII, the first in the high byte); ``type`` then
    says nothing. ``word_order``: None is the map's.
    """

    table: Table = Table.HOLDING
    address: Address
    type: RegisterType = RegisterType.UINT16
    string: Annotated[int, Meta(ge=1, le=MAX_READ_REGISTERS)] | None = None
    word_order: WordOrder | None = None

    @property
    def words(self) -> int:
        """Registers that it occupies."""
        return self.string if self.string is not None else self.type.words

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.words


class Point(Place, frozen=True, kw_only=True):
    """One value: ``raw * scale + offset``, one bit of a register (``bit``), an enumeration (``values``) or a text.

    A negative ``scale`` turns the sign of a device that counts the other way round. ``nan``: raw numbers that mean
    "not available", written as the device's manual does (0x80000000 for an int32 as well). ``unit`` is that of the
    scaled value. ``min``, ``max`` and ``step`` bound what is written, in that unit.

    Commands of a lower ``order`` are written first; those of one ``order`` on consecutive registers in one request.
    """

    table: Table
    scale: float = 1.0
    offset: float = 0.0
    unit: str | None = None
    nan: tuple[int, ...] = ()
    bit: Bit | None = None
    values: dict[int, str] = {}
    access: Literal["r", "rw", "w"] = "r"
    min: float | None = None
    max: float | None = None
    step: float | None = None
    order: Annotated[int, Meta(ge=0)] = 0

    @property
    def written(self) -> bool:
        return self.access != "r"

    @property
    def steps(self) -> tuple[float, ...]:
        """What may be written, from ``min`` to ``max``; empty without a ``step``."""
        if self.min is None or self.max is None or self.step is None:
            return ()
        count = int((self.max - self.min) / self.step + 1e-9)
        return tuple(self.min + number * self.step for number in range(count + 1))


class Constant(Place, frozen=True, kw_only=True):
    """A holding register that must hold ``value`` for remote control, such as an operating mode.

    Written on every new connection and when it is read back as something else; with ``refresh`` in every command.
    ``access: w``: it cannot be read back.
    """

    value: int
    access: Literal["rw", "w"] = "rw"
    order: Annotated[int, Meta(ge=0)] = 0
    refresh: bool = False


class Identity(Place, frozen=True, kw_only=True):
    """A register that must hold ``value``, so that a wrong device is noticed before it is commanded.

    A list: one of these. A text: the registers must contain it.
    """

    table: Table
    value: int | str | tuple[int, ...]


class Fault(Place, frozen=True, kw_only=True):
    """A bit that means a fault, and its text for people. ``alarm``: it is told and stops nothing."""

    table: Table
    bit: Bit
    text: str
    alarm: bool = False


class States(_Data, frozen=True, kw_only=True):
    """Which texts of the role ``state`` mean that the device can deliver, and which that it failed."""

    running: tuple[str, ...] = ()
    fault: tuple[str, ...] = ()


class Ratings(_Data, frozen=True, kw_only=True):
    """What the nameplate says where no register does, magnitudes. A register by the same name comes first."""

    max_charge_w: Positive | None = None
    max_discharge_w: Positive | None = None
    apparent_va: Positive | None = None
    max_voltage_v: Positive | None = None
    min_voltage_v: Positive | None = None
    max_current_a: Positive | None = None
    max_power_w: Positive | None = None


class Reversion(_Data, frozen=True, kw_only=True):
    """How a device that nobody talks to any more goes to zero power by itself.

    Either after ``watchdog_s`` of the map, or after a time in seconds that is written to the role ``written`` and read
    back. Proof that it runs: the role ``remaining`` counts down, or the role ``echo`` follows the heartbeat.
    """

    written: str | None = None
    remaining: str | None = None
    echo: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive registers that one request reads or writes."""

    table: Table
    address: int
    count: int


class RegisterMap(_Data, frozen=True, kw_only=True):
    name: str
    version: int = 1
    kind: Literal["inverter", "dc_evse", "ac_evse", "other"] = "other"
    """What it describes, for ``v2g-tool inverter``."""
    word_order: WordOrder = WordOrder.BIG
    watchdog_s: Positive = 3.0
    """The device drops a command that is not refreshed for this long."""
    read_gap: Annotated[int, Meta(ge=0)] = MAX_READ_REGISTERS
    """So many registers that the map does not know may be read between two that it does; 0 for a device that answers
    an exception there."""
    identity: tuple[Identity, ...] = ()
    points: dict[str, Point]
    faults: tuple[Fault, ...] = ()
    writes: tuple[Constant, ...] = ()
    states: States = States()
    ratings: Ratings = Ratings()
    reversion: Reversion | None = None
    lacks: tuple[str, ...] = ()
    """What the device or the map does not give, in words for people."""

    def read_blocks(self) -> tuple[Block, ...]:
        """The requests that fetch every point that is not a command, known gaps included, as few as fit."""
        places: list[Place] = [p for p in self.points.values() if not p.written]
        return _blocks([*places, *self.identity, *self.faults], MAX_READ_REGISTERS, self.read_gap)

    def command_blocks(self, roles: Collection[str] | None = None) -> tuple[Block, ...]:
        """The requests that read back commands and constants that can be read; ``roles``: None for all."""
        places: list[Place] = [p for p in self._commands(roles) if p.access == "rw"]
        return _blocks([*places, *(c for c in self.writes if c.access == "rw")], MAX_READ_REGISTERS, self.read_gap)

    def write_blocks(self, roles: Collection[str] | None = None, constants: bool = False) -> tuple[Block, ...]:
        """The requests that write the commands, in their order; no register that is none of them.

        ``roles``: None for all. ``constants``: those of ``writes`` without ``refresh`` as well.
        """
        written: list[Point | Constant] = [*self._commands(roles)]
        written += [c for c in self.writes if c.refresh or constants]
        orders = sorted({place.order for place in written})
        return tuple(
            block
            for order in orders
            for block in _blocks([p for p in written if p.order == order], MAX_WRITE_REGISTERS, 0)
        )

    def write_block(self) -> Block:
        """The one request that writes every command. ValueError when the map needs several."""
        (block,) = self.write_blocks()
        return block

    def span(self, table: Table) -> tuple[int, int]:
        """First address and number of registers from there to the last one used."""
        used: list[Place] = [*self.points.values(), *self.identity, *self.faults, *self.writes]
        mine = [place for place in used if place.table is table]
        first = min((place.address for place in mine), default=0)
        return first, max((place.end for place in mine), default=first) - first

    def size(self, table: Table) -> int:
        """Registers from address 0 to the last one used."""
        return sum(self.span(table))

    def _commands(self, roles: Collection[str] | None) -> list[Point]:
        return [p for role, p in self.points.items() if p.written and (roles is None or role in roles)]


def _blocks(places: Iterable[Place], limit: int, gap: int) -> tuple[Block, ...]:
    blocks: list[Block] = []
    for place in sorted(places, key=lambda place: (place.table, place.address, place.words)):
        last = blocks[-1] if blocks else None
        near = last is not None and last.table is place.table and place.address - last.address - last.count <= gap
        if last is not None and near and place.end - last.address <= limit:
            end = max(last.address + last.count, place.end)
            blocks[-1] = Block(place.table, last.address, end - last.address)
        else:
            blocks.append(Block(place.table, place.address, place.words))
    return tuple(blocks)
