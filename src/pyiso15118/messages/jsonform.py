"""The JSON form of messages, as logs, test vectors and ``python -m pyiso15118`` use it.

A message is an object with one key, its element's name. Binary is base64, a session ID upper-case hexadecimal; members
of substitution groups stand under their own element's name; what is absent is left out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any

from pyiso15118.errors import ExiError
from pyiso15118.exi import element_name
from pyiso15118.exi.codec import element_type
from pyiso15118.exi.declarations import Binary, Integer, String, Struct
from pyiso15118.exi.grammar import Datatype, Field, Terminal, fields_of
from pyiso15118.exi.source import is_enum, is_type

Converter = Callable[[Any], Any]


def to_json(message: Struct) -> dict[str, Any]:
    """A message as an object of JSON types. Enumerations stay ``StrEnum`` members, which serialise as strings."""
    return {element_name(type(message)): _to_object(message)}


def from_json(namespace: str, obj: Any, *, fragment: bool = False) -> Struct:
    """The message that :func:`to_json` made ``obj`` of; ``fragment`` looks among local elements too.

    Raises :class:`ExiError` naming the element that is unknown, missing or of the wrong type. Ranges and lengths are
    checked on encoding.
    """
    if not isinstance(obj, dict) or len(obj) != 1:
        raise ExiError('a message is an object with one key, the name of its element: {"SessionSetupReq": {...}}')
    ((name, body),) = obj.items()
    return _from_object(element_type(namespace, name, fragment=fragment), body, name)


def _to_object(message: Struct) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for field, name, convert in _writers(type(message)):
        value = getattr(message, field)
        if value is None:
            continue
        if name is None:
            member: type[Struct] = type(value)
            result[element_name(member)] = _to_object(value)
        elif convert is None:
            result[name] = value
        elif isinstance(value, list):
            result[name] = [convert(item) for item in value]
        else:
            result[name] = convert(value)
    return result


@cache
def _writers(cls: type[Struct]) -> tuple[tuple[str, str | None, Converter | None], ...]:
    return tuple(
        (field.name, None if len(field.datatypes) > 1 else field.name, _writer(field.datatypes[0]))
        for field in fields_of(cls)
    )


def _writer(datatype: Datatype) -> Converter | None:
    if is_type(datatype):
        return _to_object
    if isinstance(datatype, Binary):
        return _to_hexadecimal if datatype.hexadecimal else _to_base64
    return None


def _to_hexadecimal(value: bytes) -> str:
    return value.hex().upper()


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _from_object(cls: type[Struct], body: Any, path: str) -> Struct:
    if not isinstance(body, dict):
        raise ExiError(f"{_kind(body)} where an object is required", path)
    readers = _readers(cls)
    values: dict[str, Any] = {}
    for name, item in body.items():
        place = f"{path}/{name}"
        if name not in readers:
            raise ExiError(f"unknown element or attribute of {cls.__name__}", place)
        field, terminal = readers[name]
        if field.name in values:
            raise ExiError(f"only one of {', '.join(t.name for t in field.terminals)} may stand here", place)
        if not field.repeated:
            values[field.name] = _from_value(terminal.datatype, item, place)
        elif isinstance(item, list):
            items = [_from_value(terminal.datatype, each, f"{place}[{i}]") for i, each in enumerate(item)]
            values[field.name] = items if items or field.minimum else None
        else:
            raise ExiError(f"{_kind(item)} where a list is required", place)
    for field in fields_of(cls):
        if field.minimum and field.choice is None and field.name not in values:
            raise ExiError("is required", f"{path}/{field.name}")
    return cls(**values)


@cache
def _readers(cls: type[Struct]) -> dict[str, tuple[Field, Terminal]]:
    return {
        terminal.name: (field, terminal)
        for field in fields_of(cls)
        for terminal in field.terminals
        if terminal.datatype is not None
    }


def _from_value(datatype: Datatype, value: Any, path: str) -> Any:
    if is_type(datatype):
        return _from_object(datatype, value, path)
    if is_enum(datatype):
        return _from_name(datatype, value, path)
    if isinstance(datatype, Binary):
        return _from_text(datatype, value, path)
    expected = int if isinstance(datatype, Integer) else str if isinstance(datatype, String) else bool
    if type(value) is not expected:
        raise ExiError(f"{_kind(value)} where {expected.__name__} is required", path)
    return value


def _from_name(datatype: type[Enum], value: Any, path: str) -> Enum:
    # An enumeration writes what it refuses into its error, which a list nested deep enough does not survive.
    if not isinstance(value, str):
        raise ExiError(f"{_kind(value)} where the name of a {datatype.__name__} is required", path)
    try:
        return datatype(value)
    except ValueError:
        raise ExiError(f"{value!r} is no {datatype.__name__}", path) from None


def _from_text(datatype: Binary, value: Any, path: str) -> bytes:
    form = "hexadecimal digits" if datatype.hexadecimal else "base64"
    if not isinstance(value, str):
        raise ExiError(f"{_kind(value)} where {form} are required", path)
    try:
        return bytes.fromhex(value) if datatype.hexadecimal else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise ExiError(f"{value!r} is not {form}", path) from None


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
