"""Messages of any type, drawn from its declaration."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import strategies as st

from pyiso15118.exi.declarations import ANY, Binary, Group, Integer, String, Struct
from pyiso15118.exi.grammar import Datatype, Field, fields_of

Structs = Callable[..., st.SearchStrategy[Struct]]


@pytest.fixture(scope="session")
def structs() -> Structs:
    """A strategy for the values of a type; strings are made of ``alphabet``, any character by default."""

    def strategy(cls: type[Struct], alphabet: str | None = None) -> st.SearchStrategy[Struct]:
        return _structs(
            cls, st.characters(exclude_categories=["Cs"]) if alphabet is None else st.sampled_from(alphabet)
        )

    return strategy


@st.composite
def _structs(draw: st.DrawFn, cls: type[Struct], alphabet: st.SearchStrategy[str]) -> Struct:
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
    return st.lists(items, min_size=1, max_size=limit if limit <= 10 else 3)


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
    return _structs(datatype, alphabet)
