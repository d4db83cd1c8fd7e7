"""Numbers in Modbus registers: types, word order, packing."""

from __future__ import annotations

import enum
import math
import struct
from collections.abc import Sequence


class Table(enum.StrEnum):
    """The two tables of 16-bit registers."""

    INPUT = "input"
    HOLDING = "holding"


class RegisterType(enum.StrEnum):
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def words(self) -> int:
        """Registers that a value occupies."""
        return struct.calcsize(_FORMATS[self]) // 2

    @property
    def is_float(self) -> bool:
        return self in (RegisterType.FLOAT32, RegisterType.FLOAT64)


class WordOrder(enum.StrEnum):
    """Which register of a longer value comes first; bytes within a register are always big-endian."""

    BIG = "big"
    LITTLE = "little"


_FORMATS = {
    RegisterType.INT16: ">h",
    RegisterType.UINT16: ">H",
    RegisterType.INT32: ">i",
    RegisterType.UINT32: ">I",
    RegisterType.INT64: ">q",
    RegisterType.UINT64: ">Q",
    RegisterType.FLOAT32: ">f",
    RegisterType.FLOAT64: ">d",
}


def unpack(type_: RegisterType, registers: Sequence[int], order: WordOrder = WordOrder.BIG) -> int | float:
    """Registers -> number. ``registers`` must be exactly ``type_.words`` long, else ValueError."""
    if len(registers) != type_.words:
        raise ValueError(f"{type_} needs {type_.words} registers, not {len(registers)}")
    words = registers if order is WordOrder.BIG else list(reversed(registers))
    value: int | float = struct.unpack(_FORMATS[type_], struct.pack(f">{len(words)}H", *words))[0]
    return value


def pack(type_: RegisterType, value: float, order: WordOrder = WordOrder.BIG) -> list[int]:
    """Number -> registers; integers are rounded. ValueError when the value does not fit."""
    try:
        if not type_.is_float and not math.isfinite(value):
            raise ValueError(f"{value} is no {type_}")
        data = struct.pack(_FORMATS[type_], value if type_.is_float else round(value))
    except (struct.error, OverflowError):
        raise ValueError(f"{value} does not fit into {type_}") from None
    words = list(struct.unpack(f">{len(data) // 2}H", data))
    return words if order is WordOrder.BIG else words[::-1]


def unpack_text(registers: Sequence[int]) -> str:
    """Registers -> text, without padding; what is no printable ASCII becomes ``?``."""
    data = struct.pack(f">{len(registers)}H", *registers).split(b"\0")[0].strip()
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in data)


def pack_text(text: str, words: int) -> list[int]:
    """Text -> registers, padded with zeros. ValueError when it does not fit or is no ASCII."""
    data = text.encode("ascii", "strict")
    if len(data) > 2 * words:
        raise ValueError(f"{text!r} is longer than {2 * words} characters")
    return list(struct.unpack(f">{words}H", data.ljust(2 * words, b"\0")))
