"""From a type declaration to its EXI grammar (EXI 1.0 section 8.5.4): terminals, slots and, where needed, states."""

from __future__ import annotations

import inspect
import types
import typing
from enum import Enum
from functools import cache
from typing import Any

import msgspec

from pyiso15118.exi.declarations import (
    ANY,
    AT_MOST_ONE_OF,
    ATTRIBUTE,
    CONTENT,
    ONE_OF,
    Binary,
    Group,
    Integer,
    Occurs,
    String,
    Struct,
)
from pyiso15118.exi.schema import abstract_types, type_namespace

Datatype = Any
"""``bool``, an enumeration, ``Integer``, ``String``, ``Binary``, a ``Struct`` class; ``None`` for abstract content."""


class Terminal(msgspec.Struct, frozen=True):
    """One production's event: an attribute, an element, character content or a wildcard.

    ``field`` is the struct's field that holds the value; ``name`` is the element's own, which differs from it for the
    members of a substitution group.
    """

    kind: str
    name: str
    namespace: str
    field: str
    datatype: Datatype


class Field(msgspec.Struct, frozen=True):
    """A struct's field as the schema sees it. ``maximum`` ``None`` is unbounded."""

    name: str
    namespace: str
    role: str
    minimum: int
    maximum: int | None
    repeated: bool
    open_grammar: bool
    choice: str | None
    datatypes: tuple[Datatype, ...]

    @property
    def terminals(self) -> tuple[Terminal, ...]:
        """The events that can stand for this field, sorted as EXI sorts a substitution group."""
        if len(self.datatypes) == 1:
            (datatype,) = self.datatypes
            # A reference to a global element keeps that element's namespace.
            refers = getattr(datatype, "__name__", None) == self.name and datatype in type_namespace
            namespace = type_namespace[datatype] if refers else self.namespace
            return (Terminal(self.role, self.name, namespace, self.name, datatype),)
        members = {
            cls.__name__: Terminal("element", cls.__name__, type_namespace[cls], self.name, cls)
            for cls in self.datatypes
        }
        # The head belongs to the group even where its type is abstract and it can never be sent.
        members.setdefault(self.name, Terminal("element", self.name, self.namespace, self.name, None))
        return tuple(sorted(members.values(), key=lambda terminal: (terminal.name, terminal.namespace)))


class Slot(msgspec.Struct, frozen=True):
    """A particle of a plain sequence: its alternatives and how often one of them stands."""

    terminals: tuple[Terminal, ...]
    minimum: int
    maximum: int | None
    repeated: bool
    open_grammar: bool


class State(msgspec.Struct, frozen=True):
    """A state of irregular content: its productions in event-code order, each with the number of the next state.

    Beyond ``productions`` come end of element, where ``ends``, and characters, where ``mixed``.
    """

    productions: tuple[tuple[Terminal, int], ...]
    ends: bool
    mixed: bool

    @property
    def width(self) -> int:
        """Bits of an event code."""
        return code_width(len(self.productions) + self.ends + self.mixed)


def code_width(productions: int) -> int:
    """Bits of the first part of an event code in a non-strict grammar, whose escape code is one production more."""
    return productions.bit_length()


@cache
def fields_of(cls: type[Struct]) -> tuple[Field, ...]:
    """The fields of a type in schema order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    namespaces = {
        name: type_namespace[base]
        for base in reversed(cls.__mro__)
        if base in type_namespace
        for name in inspect.get_annotations(base)
    }
    return tuple(_field(name, hints[name], namespaces[name]) for name in cls.__struct_fields__)


def _field(name: str, hint: Any, namespace: str) -> Field:
    metadata: list[Any] = []
    optional = repeated = False
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            metadata += hint.__metadata__
            hint = hint.__origin__
        elif origin in (typing.Union, types.UnionType):
            members = [member for member in typing.get_args(hint) if member is not types.NoneType]
            optional = optional or len(members) < len(typing.get_args(hint))
            if len(members) > 1:
                return Field(name, namespace, "element", 0 if optional else 1, 1, repeated, False, None, tuple(members))
            hint = members[0]
        elif origin is list:
            repeated = True
            hint = typing.get_args(hint)[0]
        else:
            break
    occurs = next((item for item in metadata if isinstance(item, Occurs)), Occurs(0 if optional else 1, 1))
    role = "attribute" if ATTRIBUTE in metadata else "content" if CONTENT in metadata else "element"
    marker = next((item.name for item in metadata if item in (ONE_OF, AT_MOST_ONE_OF)), None)
    return Field(
        name,
        namespace,
        role,
        occurs.minimum,
        occurs.maximum,
        repeated,
        occurs.open_grammar,
        marker,
        (_datatype(name, hint, metadata),),
    )


def _datatype(name: str, base: Any, metadata: list[Any]) -> Datatype:
    if base is bool or issubclass(base, (Enum, Struct)):
        return base
    facets = next((item for item in metadata if isinstance(item, (Integer, String, Binary))), None)
    if facets is None:
        raise TypeError(f"field {name} of type {base} has no facets")
    return facets


def attributes_of(cls: type[Struct]) -> list[Field]:
    """Attributes in the order EXI writes them: by name."""
    return sorted((f for f in fields_of(cls) if f.role == "attribute"), key=lambda field: (field.name, field.namespace))


@cache
def slots_of(cls: type[Struct]) -> tuple[Slot, ...]:
    """The content of a type without ``__content__``: attributes, then the sequence of its elements."""
    slots = [Slot(field.terminals, field.minimum, 1, False, False) for field in attributes_of(cls)]
    choosing: str | None = None
    for field in fields_of(cls):
        if field.role == "attribute":
            continue
        if field.choice is not None and field.choice == choosing:
            slots[-1] = msgspec.structs.replace(slots[-1], terminals=slots[-1].terminals + field.terminals)
            continue
        choosing = field.choice
        minimum = field.minimum if choosing is None else int(choosing == ONE_OF.name)
        slots.append(Slot(field.terminals, minimum, field.maximum, field.repeated, field.open_grammar))
    return tuple(slots)


@cache
def states_of(cls: type[Struct]) -> tuple[State, ...]:
    """The content of a type with ``__content__`` as an automaton; state 0 is the first."""
    content = cls.__content__
    if content is None:
        raise TypeError(f"{cls.__name__} is a plain sequence")
    fields = {field.name: field for field in fields_of(cls)}
    start: tuple[Group | str, ...] = (
        *(Group("attribute", (field.name,), field.minimum, 1) for field in attributes_of(cls)),
        content,
    )
    numbers: dict[tuple[Group | str, ...], int] = {start: 0}
    found: list[State] = []
    pending = [start]
    while pending:
        rest = pending.pop(0)
        steps: dict[str, tuple[Group | str, ...]] = {}
        ends = _first(rest, steps, set())
        productions = []
        for particle in sorted(steps, key=lambda particle: particle == ANY):
            target = steps[particle]
            if target not in numbers:
                numbers[target] = len(numbers)
                pending.append(target)
            terminal = Terminal("any", ANY, "", "", None) if particle == ANY else fields[particle].terminals[0]
            productions.append((terminal, numbers[target]))
        must = any(isinstance(part, Group) and part.kind == "attribute" and part.minimum for part in rest)
        found.append(State(tuple(productions), ends, content.mixed and not must))
    return tuple(found)


def _first(rest: tuple[Group | str, ...], steps: dict[str, Any], seen: set[Any]) -> bool:
    """Collect the particles that can come next, with what may follow each; true if the element may end here."""
    if rest in seen:
        return False
    seen.add(rest)
    if not rest:
        return True
    head, tail = rest[0], rest[1:]
    if isinstance(head, str):
        steps.setdefault(head, tail)
        return False
    after = tail
    if head.maximum is None:
        after = (msgspec.structs.replace(head, minimum=0, mixed=False), *tail)
    ends = False
    if head.kind == "choice":
        for particle in head.particles:
            ends |= _first((particle, *after), steps, seen)
    else:
        ends |= _first((*head.particles, *after), steps, seen)
    if head.minimum == 0:
        ends |= _first(tail, steps, seen)
    return ends


def is_abstract(cls: type[Struct]) -> bool:
    """Whether a type can stand in no message."""
    return cls in abstract_types


def element_terminals(cls: type[Struct]) -> tuple[Terminal, ...]:
    """All elements a type's own content may contain."""
    return tuple(terminal for field in fields_of(cls) if field.role == "element" for terminal in field.terminals)
