"""Random messages of any type, drawn from its declaration."""

from __future__ import annotations

from enum import Enum
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pyiso15118.exi.declarations import ANY, Binary, Group, Integer, String, Struct
from pyiso15118.exi.grammar import Datatype, Field, fields_of
from pyiso15118.exi.schema import find

ALPHABET = "abcXYZ019-_é€😀"
"""Of strings that XML can carry and that no reader of XML changes."""


def messages_of(namespace: str) -> list[type[Struct]]:
    """The requests and responses of a namespace."""
    return [cls for name, cls in find(namespace).elements.items() if name.endswith(("Req", "Res"))]


def drawn(namespace: str, number: int) -> list[Struct]:
    """At most ``number`` random messages of each request and response, the same ones every time."""
    return [message for cls in messages_of(namespace) for message in drawn_of(cls, number)]


def drawn_of(cls: type[Struct], number: int) -> list[Struct]:
    """At most ``number`` random values of a type, the same ones every time."""
    found: list[Struct] = []

    @seed(15118)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(message=structs_of(cls, st.sampled_from(ALPHABET)))
    def draw(message: Struct) -> None:
        found.append(message)

    draw()
    return found


@st.composite
def structs_of(draw: st.DrawFn, cls: type[Struct], alphabet: st.SearchStrategy[str]) -> Struct:
    if cls.__content__ is not None:
        return draw(_irregular(cls, alphabet))
    values: dict[str, Any] = {}
    choosing: dict[str, list[Field]] = {}
    for field in fields_of(cls):
        if field.choice is not None:
            choosing.setdefault(field.choice, []).append(field)
        elif field.minimum or draw(st.booleans()):
            values[field.name] = draw(_contents(field, alphabet))
    for choice, fields in choosing.items():
        chosen = draw(st.sampled_from(fields if choice == "choice" else [None, *fields]))
        if chosen is not None:
            values[chosen.name] = draw(_contents(chosen, alphabet))
    return cls(**values)


@st.composite
def _irregular(draw: st.DrawFn, cls: type[Struct], alphabet: st.SearchStrategy[str]) -> Struct:
    fields = {field.name: field for field in fields_of(cls)}
    values: dict[str, Any] = {}
    for field in fields.values():
        if field.role == "attribute" and (field.minimum or draw(st.booleans())):
            values[field.name] = draw(_values(field.datatypes[0], alphabet))

    def grow(part: Group | str) -> None:
        if isinstance(part, str):
            if part == ANY:
                return
            value = draw(_values(fields[part].datatypes[0], alphabet))
            if fields[part].repeated:
                values.setdefault(part, []).append(value)
            else:
                values[part] = value
            return
        for _ in range(draw(st.integers(part.minimum, min(part.maximum or 3, 3)))):
            if part.kind == "choice":
                grow(draw(st.sampled_from([particle for particle in part.particles if particle != ANY])))
            else:
                for particle in part.particles:
                    grow(particle)

    content = cls.__content__
    assert content is not None
    if any(particle != ANY for particle in content.particles):
        grow(content)
    return cls(**values)


def _contents(field: Field, alphabet: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    items = st.one_of(*(_values(datatype, alphabet) for datatype in field.datatypes))
    if not field.repeated:
        return items
    limit = field.maximum or 3
    return st.lists(items, min_size=max(field.minimum, 1), max_size=limit if limit <= 10 else 3)


def _values(datatype: Datatype, alphabet: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    if datatype is bool:
        return st.booleans()
    if isinstance(datatype, Integer):
        low = -(2**80) if datatype.minimum is None else datatype.minimum
        return st.integers(low, 2**160 if datatype.maximum is None else datatype.maximum)
    if isinstance(datatype, String):
        return st.text(alphabet, max_size=min(datatype.max_length or 40, 40))
    if isinstance(datatype, Binary):
        return st.binary(min_size=datatype.min_length, max_size=datatype.max_length or 40)
    if issubclass(datatype, Enum):
        return st.sampled_from(list(datatype))
    return structs_of(datatype, alphabet)
