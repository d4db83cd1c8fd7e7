"""What the writers of encoders and decoders share: lines of source that know their element, and slot arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

from pyiso15118.exi.declarations import Integer, Struct
from pyiso15118.exi.grammar import Datatype, Slot, Terminal, code_width, slots_of


class Selection:
    """Where a plain sequence stands: which slots may come next, and how wide the event code is that says so.

    ``base`` is the position (counted over all terminals) that code 0 means, ``count`` the number of productions.
    """

    def __init__(self, base: int, count: int) -> None:
        self.base = base
        self.count = count
        self.width = code_width(count)


class Layout:
    """Positions of the terminals of a plain sequence; the end of the element comes after the last slot."""

    def __init__(self, slots: tuple[Slot, ...]) -> None:
        self.slots = slots
        self.position = [0]
        for slot in slots:
            self.position.append(self.position[-1] + len(slot.terminals))

    def entering(self, index: int) -> Selection:
        """Before slot ``index``, or the end."""
        return Selection(self.position[index], self._productions(index))

    def repeating(self, index: int) -> Selection:
        """Within the list of slot ``index``, when another item or what follows may come."""
        return Selection(self.position[index], len(self.slots[index].terminals) + self._productions(index + 1))

    def owing(self, index: int) -> Selection:
        """Within the list of slot ``index``, while fewer items stand than must: only another one can come."""
        return Selection(self.position[index], len(self.slots[index].terminals))

    def is_single(self, index: int) -> bool:
        """Whether exactly one event can come at slot ``index`` once all before are done.

        Character content is never alone: it may be empty, and then the element ends by its second-level code.
        """
        return self._productions(index) == 1 and not self.is_content(index)

    def is_content(self, index: int) -> bool:
        """Whether slot ``index`` is the characters of a type with simple content; it is the last, then."""
        return index < len(self.slots) and self.slots[index].terminals[0].kind == "content"

    def _productions(self, index: int) -> int:
        if index == len(self.slots):
            return 1
        slot = self.slots[index]
        return len(slot.terminals) + (0 if slot.minimum else self._productions(index + 1))


class Source:
    """Python source under construction. Each line remembers the element it handles, so that errors can name it."""

    def __init__(self, names: Names) -> None:
        self.lines: list[str] = []
        self.places: list[str] = []
        self.names = names
        self.depth = 0
        self.path: list[str] = []

    def put(self, line: str) -> None:
        """Append one line at the current depth."""
        self.lines.append("    " * self.depth + line)
        self.places.append("/".join(self.path))

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Lines below a header that ends in a colon."""
        self.put(header)
        self.depth += 1
        yield
        self.depth -= 1

    @contextmanager
    def at(self, element: str) -> Iterator[None]:
        """Lines that handle ``element``."""
        self.path.append(element)
        yield
        self.path.pop()


class Names:
    """Global names of the objects generated functions use. One object has one name."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self._known: dict[int, str] = {}

    def of(self, thing: Any, hint: str) -> str:
        """The global name of ``thing``, made from ``hint`` on first use."""
        name = self._known.get(id(thing))
        if name is None:
            name = self._known[id(thing)] = f"{hint}_{len(self._known)}"
            self.namespace[name] = thing
        return name


def is_type(datatype: Datatype) -> bool:
    """Whether a datatype is a complex type."""
    return isinstance(datatype, type) and issubclass(datatype, Struct)


def is_enum(datatype: Datatype) -> bool:
    """Whether a datatype is an enumeration."""
    return isinstance(datatype, type) and issubclass(datatype, Enum)


def narrow_bounds(facets: Integer) -> tuple[int, int, int] | None:
    """Bounds and bits of an n-bit integer (EXI 1.0 section 7.1.5); ``None`` where the range is too wide."""
    low, high = facets.minimum, facets.maximum
    if low is None or high is None or high - low >= 4096:
        return None
    return low, high, (high - low).bit_length()


def is_inlined(cls: type[Struct]) -> bool:
    """Whether a type is small and rigid enough to be written out where it stands rather than called."""
    if cls.__content__ is not None:
        return False
    slots = slots_of(cls)
    return len(slots) <= 3 and all(
        slot.minimum == 1 and not slot.repeated and len(slot.terminals) == 1 and not is_type(slot.terminals[0].datatype)
        for slot in slots
    )


def is_long(maximum: int | None) -> bool:
    """Whether a list can grow so long that one growing ``int`` would cost quadratic time."""
    return maximum is None or maximum > 32


def describe(terminals: tuple[Terminal, ...]) -> str:
    """The names of alternatives, for an error."""
    return " | ".join(terminal.name for terminal in terminals if terminal.datatype is not None)
