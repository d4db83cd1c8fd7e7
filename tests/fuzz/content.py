"""Messages that stay legal, or nearly, while their content changes: they get past the decoder, into the machines."""

from __future__ import annotations

import random
from enum import Enum
from typing import Any

import msgspec

from fuzz.seeds import example
from pyiso15118.exi.declarations import Binary, Integer, String, Struct
from pyiso15118.exi.grammar import Datatype, Field, fields_of
from pyiso15118.exi.schema import abstract_types

CHARACTERS = "aZ09-_:/ é€😀\0\n\x7f"


def change(rng: random.Random, message: Struct) -> Struct:
    """``message`` with one value changed somewhere in its tree, mostly to another that its schema permits."""
    fields = fields_of(type(message))
    if not fields:
        return message
    field = rng.choice(fields)
    changes = {field.name: _other_value(rng, field, getattr(message, field.name))}
    if field.choice is not None and changes[field.name] is not None:
        changes |= {other.name: None for other in fields if other.choice == field.choice and other is not field}
    return msgspec.structs.replace(message, **changes)


def _other_value(rng: random.Random, field: Field, value: Any) -> Any:
    if value is not None and not field.minimum and rng.random() < 0.15:
        return None
    if not field.repeated:
        return _other_item(rng, field, value)
    items = list(value or ())
    action = rng.randrange(4)
    if action == 0 or not items:
        items.append(_any_item(rng, field))
    elif action == 1:
        del items[rng.randrange(len(items))]
    elif action == 2:
        items = items * rng.choice((2, 3, field.maximum or 40))
        items = items[: rng.choice((field.maximum or 1000, 1025))]
    else:
        place = rng.randrange(len(items))
        items[place] = _other_item(rng, field, items[place])
    return items


def _other_item(rng: random.Random, field: Field, value: Any) -> Any:
    if isinstance(value, Struct) and rng.random() < 0.9:
        return change(rng, value)
    return _any_item(rng, field)


def _any_item(rng: random.Random, field: Field) -> Any:
    concrete = [datatype for datatype in field.datatypes if datatype not in abstract_types]
    return _any_value(rng, rng.choice(concrete))


def _any_value(rng: random.Random, datatype: Datatype) -> Any:
    if datatype is bool:
        return rng.random() < 0.5
    if isinstance(datatype, Integer):
        low = -(2**100) if datatype.minimum is None else datatype.minimum
        high = 2**200 if datatype.maximum is None else datatype.maximum
        near = rng.choice((low, high, 0, 1, -1, 127, 128, 16383, 16384, 2**28, 2**35, rng.randint(low, high)))
        return min(max(near + rng.choice((-1, 0, 0, 1)), low), high)
    if isinstance(datatype, String):
        length = _length(rng, datatype.max_length)
        return "".join(rng.choice(CHARACTERS) for _ in range(length)) if rng.random() < 0.5 else "a" * length
    if isinstance(datatype, Binary):
        return rng.randbytes(max(_length(rng, datatype.max_length), datatype.min_length))
    if issubclass(datatype, Enum):
        return rng.choice(list(datatype))
    return example(datatype, rng.random() < 0.5)


def _length(rng: random.Random, most: int | None) -> int:
    return rng.choice((0, 1, 2, 8, 125, 126, 127, 128, rng.randrange(300), most or 600)) % ((most or 600) + 1)
