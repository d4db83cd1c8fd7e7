"""Where fuzzing starts: the reference messages where they are at hand, else and besides what our own encoder makes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from pyiso15118 import exi
from pyiso15118.exi.declarations import ANY, Binary, Group, Integer, String, Struct
from pyiso15118.exi.grammar import Datatype, fields_of
from pyiso15118.exi.schema import abstract_types, find, known_namespaces
from pyiso15118.messages.jsonform import to_json
from pyiso15118.v2gtp import namespace_of

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "iso15118"
LONGEST = 4096
"""Bytes of the longest message taken for a seed."""


@cache
def messages(namespace: str, *, fragment: bool = False) -> tuple[bytes, ...]:
    """EXI documents or fragments of a namespace, each once."""
    found = dict.fromkeys(_reference(namespace, fragment))
    for cls in find(namespace).types:
        for full in (False, True):
            encoded = _encoded(cls, namespace, full, fragment)
            if encoded is not None:
                found[encoded] = None
    return tuple(data for data in found if len(data) <= LONGEST)


def _encoded(cls: type[Struct], namespace: str, full: bool, fragment: bool) -> bytes | None:
    if cls in abstract_types:
        return None
    try:
        message = example(cls, full)
        return exi.encode_fragment(message, namespace) if fragment else exi.encode(message)
    except exi.ExiError:
        return None  # no element of its own, or nothing of it can be written


def json_objects(namespace: str) -> Iterator[dict[str, Any]]:
    """The JSON form of the documents."""
    for data in messages(namespace):
        yield to_json(exi.decode(namespace, data))


def words() -> list[str]:
    """The names of all elements and the values of all enumerations."""
    found: set[str] = set()
    for namespace in known_namespaces():
        for cls in find(namespace).types:
            found.add(cls.__name__)
            for field in fields_of(cls):
                found.update(terminal.name for terminal in field.terminals)
                for datatype in field.datatypes:
                    if isinstance(datatype, type) and issubclass(datatype, Enum):
                        found.update(str(member.value) for member in datatype)
    return sorted(found)


def _reference(namespace: str, fragment: bool) -> Iterator[bytes]:
    files = [
        *REFERENCE.glob("vectors*.jsonl"),
        *REFERENCE.glob("captures/*.jsonl"),
        *REFERENCE.glob("sessions/*.jsonl"),
    ]
    for file in sorted(files):
        with file.open() as lines:
            for row in map(json.loads, lines):
                named = row.get("namespace") or namespace_of(int(row.get("payload_type") or "0", 0))
                if named == namespace and bool(row.get("fragment")) is fragment:
                    yield bytes.fromhex(row["hex"])


def example(cls: type[Struct], full: bool) -> Struct:
    """A message of a type: all that is optional left out, or all of it set."""
    if cls.__content__ is not None:
        return _irregular(cls, cls.__content__, full)
    values: dict[str, Any] = {}
    chosen: set[str] = set()
    for field in fields_of(cls):
        if field.choice in chosen or not (full or field.minimum or field.choice == "choice"):
            continue
        if field.choice is not None:
            chosen.add(field.choice)
        value = _value(field.datatypes[-1], full)
        values[field.name] = (
            [value] * max(field.minimum, 2 if field.maximum != 1 and full else 1) if field.repeated else value
        )
    return cls(**values)


def _irregular(cls: type[Struct], content: Group, full: bool) -> Struct:
    fields = {field.name: field for field in fields_of(cls)}
    values: dict[str, Any] = {
        field.name: _value(field.datatypes[0], full)
        for field in fields.values()
        if field.role == "attribute" and (full or field.minimum)
    }

    def grow(part: Group | str) -> None:
        if isinstance(part, Group):
            if part.minimum or full:
                particles = [particle for particle in part.particles if particle != ANY]
                for particle in particles[:1] if part.kind == "choice" else particles:
                    grow(particle)
        elif part != ANY:
            value = _value(fields[part].datatypes[0], full)
            values[part] = [value] if fields[part].repeated else value

    grow(content)
    return cls(**values)


def _value(datatype: Datatype, full: bool) -> Any:
    if datatype is bool:
        return full
    if isinstance(datatype, Integer):
        low = -(2**40) if datatype.minimum is None else datatype.minimum
        return (2**160 if datatype.maximum is None else datatype.maximum) if full else low
    if isinstance(datatype, String):
        return "é"[: datatype.max_length] + "a" * min((datatype.max_length or 8) - 1, 7) if full else ""
    if isinstance(datatype, Binary):
        return bytes(max(datatype.min_length, min(datatype.max_length or 8, 8) if full else 0))
    if issubclass(datatype, Enum):
        return list(datatype)[-1 if full else 0]
    return example(datatype, full)
