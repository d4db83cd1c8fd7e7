"""Pieces that management messages are laid out of. Numbers are little-endian, as everywhere in HomePlug AV."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

from pyiso15118.errors import LocalProtocolError, RemoteProtocolError


class SlacFrameError(RemoteProtocolError):
    """A frame that is no HomePlug management message, or a broken one; says which message, field and offset."""


class Cursor:
    """Reads a message's body from its beginning; ``at`` is the offset in the frame, for errors."""

    __slots__ = ("at", "data", "name")

    def __init__(self, name: str, data: bytes, at: int) -> None:
        self.name = name
        self.data = data
        self.at = at

    def take(self, count: int, field: str) -> bytes:
        """Raises :class:`SlacFrameError` where fewer bytes are left."""
        begin, self.at = self.at, self.at + count
        piece = self.data[begin : self.at]
        if len(piece) < count:
            raise SlacFrameError(
                f"{self.name}: {field} at byte {begin} needs {count} bytes, and the frame has {len(piece)} left"
            )
        return piece

    def wrong(self, field: str, why: str) -> SlacFrameError:
        return SlacFrameError(f"{self.name}: {field} before byte {self.at} {why}")


class Part(Protocol):
    """One piece of a layout. ``name`` is that of the message's field, empty where it has none."""

    @property
    def name(self) -> str: ...

    @property
    def code(self) -> str:
        """For :mod:`struct`, one value where it has a name or is fixed; empty: its length varies."""
        ...

    def read(self, cursor: Cursor) -> Any: ...

    def write(self, value: Any, message: str) -> bytes: ...


class Number:
    """``size`` bytes, unsigned."""

    def __init__(self, name: str, size: int = 1) -> None:
        self.name = name
        self.code = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
        self._size = size

    def read(self, cursor: Cursor) -> int:
        return int.from_bytes(cursor.take(self._size, self.name), "little")

    def write(self, value: int, message: str) -> bytes:
        try:
            return value.to_bytes(self._size, "little")
        except OverflowError:
            most = (1 << 8 * self._size) - 1
            raise LocalProtocolError(f"{message}: {self.name} is {value}, must be within 0..{most}") from None


class Octets:
    """``size`` bytes as they are: addresses, identifiers, keys."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.code = f"{size}s"
        self._size = size

    def read(self, cursor: Cursor) -> bytes:
        return cursor.take(self._size, self.name)

    def write(self, value: bytes, message: str) -> bytes:
        if len(value) != self._size:
            raise LocalProtocolError(f"{message}: {self.name} has {len(value)} bytes, must have {self._size}")
        return value


class Reserved:
    """Zeros when written, whatever comes when read."""

    name = ""

    def __init__(self, size: int) -> None:
        self.code = f"{size}x"
        self._size = size

    def read(self, cursor: Cursor) -> None:
        cursor.take(self._size, "a reserved field")

    def write(self, value: None, message: str) -> bytes:
        return bytes(self._size)


class Constant:
    """Always these bytes; ``what`` names them in errors."""

    name = ""

    def __init__(self, what: str, value: bytes) -> None:
        self.code = f"{len(value)}s"
        self._what = what
        self.value = value

    def read(self, cursor: Cursor) -> None:
        found = cursor.take(len(self.value), self._what)
        if found != self.value:
            raise cursor.wrong(self._what, f"is {found.hex()}, must be {self.value.hex()}")

    def write(self, value: None, message: str) -> bytes:
        return self.value


class Levels:
    """A count, ``gap`` reserved bytes, and as many bytes: attenuation by carrier group, in dB."""

    code = ""

    def __init__(self, name: str, gap: int = 0) -> None:
        self.name = name
        self._gap = gap

    def read(self, cursor: Cursor) -> tuple[int, ...]:
        count = cursor.take(1, f"the count of {self.name}")[0]
        if count == 0:
            raise cursor.wrong(self.name, "has no carrier group")
        cursor.take(self._gap, "a reserved field")
        return tuple(cursor.take(count, self.name))

    def write(self, value: Iterable[int], message: str) -> bytes:
        levels = tuple(value)
        if not 1 <= len(levels) <= 255:
            raise LocalProtocolError(f"{message}: {self.name} has {len(levels)} groups, must have 1..255")
        try:
            return bytes((len(levels), *bytes(self._gap), *levels))
        except ValueError:
            raise LocalProtocolError(f"{message}: {self.name} has a level outside 0..255 dB") from None


class Nibbles:
    """A count of two bytes and as many half bytes, the first in the lower half: an amplitude map."""

    code = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, cursor: Cursor) -> tuple[int, ...]:
        count = int.from_bytes(cursor.take(2, f"the count of {self.name}"), "little")
        packed = cursor.take((count + 1) // 2, self.name)
        return tuple(half for byte in packed for half in (byte & 15, byte >> 4))[:count]

    def write(self, value: Iterable[int], message: str) -> bytes:
        halves = tuple(value)
        if len(halves) > 2048 or any(not 0 <= half <= 15 for half in halves):
            raise LocalProtocolError(f"{message}: {self.name} must be up to 2048 numbers of 0..15")
        even = (*halves, 0) if len(halves) % 2 else halves
        packed = bytes(low | high << 4 for low, high in zip(even[::2], even[1::2], strict=True))
        return len(halves).to_bytes(2, "little") + packed


class Text:
    """A count and as many bytes of Latin-1."""

    code = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, cursor: Cursor) -> str:
        count = cursor.take(1, f"the length of {self.name}")[0]
        return cursor.take(count, self.name).decode("latin-1")

    def write(self, value: str, message: str) -> bytes:
        try:
            raw = value.encode("latin-1")
        except UnicodeEncodeError:
            raise LocalProtocolError(f"{message}: {self.name} {value!r} is no Latin-1") from None
        if len(raw) > 255:
            raise LocalProtocolError(f"{message}: {self.name} has {len(raw)} characters, at most 255 are possible")
        return bytes((len(raw),)) + raw


class Items:
    """A count, ``gap`` reserved bytes, and as many records."""

    code = ""

    def __init__(self, name: str, record: type[Record], gap: int = 0) -> None:
        self.name = name
        self._record = record
        self._gap = gap

    def read(self, cursor: Cursor) -> tuple[Any, ...]:
        count = cursor.take(1, f"the count of {self.name}")[0]
        cursor.take(self._gap, "a reserved field")
        return tuple(self._record.read(cursor) for _ in range(count))

    def write(self, value: Iterable[Record], message: str) -> bytes:
        records = tuple(value)
        if len(records) > 255:
            raise LocalProtocolError(f"{message}: {len(records)} {self.name}, at most 255 are possible")
        body = b"".join(record.pack(message) for record in records)
        return bytes((len(records), *bytes(self._gap))) + body


class _Run:
    """Parts in a row that have a fixed length each: read at once."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = parts
        self._struct = struct.Struct("<" + "".join(part.code for part in parts))
        self._valued = [part for part in parts if part.name or isinstance(part, Constant)]
        self._names = [part.name for part in self._valued]
        self._fixed = [(at, part.value) for at, part in enumerate(self._valued) if isinstance(part, Constant)]

    def read(self, cursor: Cursor, values: dict[str, Any]) -> None:
        data, at = cursor.data, cursor.at
        if len(data) - at >= self._struct.size:
            found = self._struct.unpack_from(data, at)
            for place, value in self._fixed:
                if found[place] != value:
                    break
            else:
                cursor.at = at + self._struct.size
                values.update(zip(self._names, found, strict=True))
                return
        # Part by part, what is wrong is named.
        for part in self._parts:
            values[part.name] = part.read(cursor)


def _runs(parts: tuple[Part, ...]) -> tuple[_Run | Part, ...]:
    found: list[_Run | Part] = []
    fixed: list[Part] = []
    for part in parts:
        if part.code:
            fixed.append(part)
            continue
        if fixed:
            found.append(_Run(tuple(fixed)))
            fixed = []
        found.append(part)
    return (*found, _Run(tuple(fixed))) if fixed else tuple(found)


class Record:
    """What is laid out of parts: a message's body, or one entry of a list in it."""

    __slots__ = ()
    PARTS: ClassVar[tuple[Part, ...]] = ()
    _RUNS: ClassVar[tuple[_Run | Part, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._RUNS = _runs(cls.PARTS)

    @classmethod
    def read(cls, cursor: Cursor) -> Any:
        """Raises :class:`SlacFrameError`."""
        values: dict[str, Any] = {}
        for run in cls._RUNS:
            if isinstance(run, _Run):
                run.read(cursor, values)
            else:
                values[run.name] = run.read(cursor)
        values.pop("", None)
        return cls(**values)

    def pack(self, message: str = "") -> bytes:
        """Raises :class:`LocalProtocolError` for a value that does not fit its field."""
        name = message or type(self).__name__
        return b"".join(part.write(getattr(self, part.name) if part.name else None, name) for part in self.PARTS)
