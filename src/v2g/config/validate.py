"""A tree against the types of the schema: every mistake at once, each with its remedy."""

from __future__ import annotations

import difflib
import enum
import math
import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from v2g.config.problems import Problem, shown
from v2g.config.schema import EvseId
from v2g.config.tree import Tree

_UNITS = {
    "w": "W", "kva": "kVA", "v": "V", "a": "A", "s": "s", "hz": "Hz", "c": "°C", "k": "K", "pct": "%", "pu": "per unit",
    "deg": "degrees", "min": "minutes",
}  # fmt: skip
FACTORS = {
    "w": {"w": 1.0, "kw": 1e3, "mw": 1e6},
    "kva": {"va": 1e-3, "kva": 1.0, "mva": 1e3},
    "v": {"mv": 1e-3, "v": 1.0, "kv": 1e3},
    "a": {"ma": 1e-3, "a": 1.0, "ka": 1e3},
    "s": {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0},
    "min": {"s": 1.0 / 60.0, "min": 1.0, "m": 1.0, "h": 60.0},
    "hz": {"hz": 1.0, "khz": 1e3},
    "c": {"c": 1.0, "°c": 1.0},
    "k": {"k": 1.0},
    "pct": {"%": 1.0, "pct": 1.0},
    "pu": {"pu": 1.0, "%": 0.01},
    "deg": {"deg": 1.0, "°": 1.0},
}
QUANTITY = re.compile(r"\s*([+-]?[0-9]*[.,]?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([^\d\s.,]*)\s*")
_KINDS = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list",
    "object": "a section", "null": "nothing", "tuple": "a list", "dict": "a section", "list": "a list",
}  # fmt: skip
_EXPECTED_GOT = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_PATTERN = re.compile(r"Expected `str` matching regex '(.*)'")
_COMPARED = re.compile(r"Expected `(?:int|float)` (<=|>=|<|>) ([-0-9.e+]+)")
_WORDS = {"<=": "at most", ">=": "at least", "<": "below", ">": "above"}


def validate(tree: Tree, kind: Any, path: str = "") -> list[Problem]:
    """Every way in which ``tree`` is no ``kind``: unknown and missing keys, wrong types, values out of range."""
    if tree.value is None and is_optional(kind):
        return []
    bare, metas = bare_kind(kind)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return _section(tree, bare, path)
    if kinds := tagged_kinds(bare):
        return _one_of(tree, kinds, path)
    if get_origin(bare) is tuple and len(get_args(bare)) == 2 and get_args(bare)[1] is Ellipsis:
        return _list(tree, get_args(bare)[0], metas, path)
    if get_origin(bare) is tuple:
        return _row(tree, get_args(bare), path)
    if get_origin(bare) is dict:
        return _named(tree, get_args(bare)[1], path)
    if isinstance(tree.value, float) and not math.isfinite(tree.value):
        return [_problem(tree, path, "is no finite number", f"write {_wanted(bare, path)}")]
    try:
        msgspec.convert(tree.plain(), kind)
    except msgspec.ValidationError as error:
        return [_problem(tree, path, *_explained(str(error), tree, bare, metas, path))]
    return []


def unit_of(name: str) -> str | None:
    """``"max_charge_w"`` -> ``"W"``; None where the name carries no unit."""
    return _UNITS.get(name.rsplit("_", 1)[-1]) if "_" in name else None


def _section(tree: Tree, kind: type[msgspec.Struct], path: str) -> list[Problem]:
    if tree.value is None:
        tree = Tree({}, tree.file, tree.line)
    if not isinstance(tree.value, dict):
        keys = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        return [_problem(tree, path, "is no section", f"write a map with the keys {keys}")]
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    problems = []
    tag_field = kind.__struct_config__.tag_field
    for key, child in tree.value.items():
        if key == tag_field:
            continue
        inside = f"{path}.{key}" if path else key
        if key in fields:
            problems += validate(child, fields[key].type, inside)
        else:
            problems.append(_problem(child, inside, "is no known key", _suggestion(key, child, list(fields))))
    for name, field in fields.items():
        if field.required and name not in tree.value:
            inside = f"{path}.{name}" if path else name
            problems.append(
                _problem(Tree("", tree.file, tree.line), inside, "is missing", f"add {_example(name, field)}")
            )
    return problems


def tagged_kinds(bare: Any) -> dict[str, type[msgspec.Struct]]:
    """The sections of a tagged union, by the word that chooses between them."""
    args = get_args(bare) if get_origin(bare) in (Union, types.UnionType) else ()
    if not args or not all(isinstance(arg, type) and issubclass(arg, msgspec.Struct) for arg in args):
        return {}
    return {str(arg.__struct_config__.tag): arg for arg in args}


def _one_of(tree: Tree, kinds: dict[str, type[msgspec.Struct]], path: str) -> list[Problem]:
    first = next(iter(kinds.values()))
    if not isinstance(tree.value, dict):
        return _section(tree, first, path)
    tag_field = str(first.__struct_config__.tag_field)
    chosen = tree.value.get(tag_field)
    if chosen is None or str(chosen.value) not in kinds:
        place = chosen or Tree("", tree.file, tree.line)
        return [_problem(place, f"{path}.{tag_field}", *_choice(str(place.value), list(kinds)))]
    return _section(tree, kinds[str(chosen.value)], path)


def _list(tree: Tree, item: Any, metas: list[msgspec.Meta], path: str) -> list[Problem]:
    if not isinstance(tree.value, list):
        return [_problem(tree, path, "is no list", "write a list, one '- ' an entry")]
    problems = [p for i, child in enumerate(tree.value) for p in validate(child, item, f"{path}[{i}]")]
    for meta in metas:
        if meta.min_length is not None and len(tree.value) < meta.min_length:
            problems.append(_problem(tree, path, f"has {len(tree.value)} entries", f"write at least {meta.min_length}"))
        if meta.max_length is not None and len(tree.value) > meta.max_length:
            problems.append(_problem(tree, path, f"has {len(tree.value)} entries", f"write at most {meta.max_length}"))
    return problems


def _row(tree: Tree, items: tuple[Any, ...], path: str) -> list[Problem]:
    if not isinstance(tree.value, list) or len(tree.value) != len(items):
        has = f"has {len(tree.value)} entries" if isinstance(tree.value, list) else "is no list"
        return [_problem(tree, path, has, f"write a list of {len(items)}, as [{', '.join(map(_sample, items))}]")]
    pairs = enumerate(zip(tree.value, items, strict=True))
    return [p for i, (child, item) in pairs for p in validate(child, item, f"{path}[{i}]")]


def _named(tree: Tree, item: Any, path: str) -> list[Problem]:
    if tree.value is None:
        return []
    if not isinstance(tree.value, dict):
        return [_problem(tree, path, "is no section", "write a map, each entry by its name")]
    return [p for name, child in tree.value.items() for p in validate(child, item, f"{path}.{name}")]


def _explained(error: str, tree: Tree, bare: Any, metas: list[msgspec.Meta], path: str) -> tuple[str, str]:
    name = _last(path)
    wanted = _wanted(bare, path)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return _choice(str(tree.value), [str(member.value) for member in bare])
    if get_origin(bare) is Literal:
        return _choice(str(tree.value), [str(choice) for choice in get_args(bare)])
    if isinstance(tree.value, str) and (converted := _converted(name, tree.value, bare)):
        return f"is text, {wanted} is expected", converted
    if match := _COMPARED.search(error):
        unit = f" {unit_of(name)}" if unit_of(name) else ""
        allowed = " ".join(range_words(metas))
        return f"must be {_WORDS[match[1]]} {float(match[2]):g}{unit}", f"write {wanted} {allowed}".rstrip()
    if match := _PATTERN.search(error):
        if any(meta.pattern == get_args(EvseId)[1].pattern for meta in metas):
            return "is no EVSE id", "write country, operator, 'E' and an id, such as 'US*V2G*E1'"
        if re.fullmatch(r"\^?\(?[\w|-]+\)?\$?", match[1]):
            return _choice(str(tree.value), match[1].strip("^($)").split("|"))
        return f"does not have the form {match[1]}", "write it in that form"
    if match := _EXPECTED_GOT.search(error):
        got = _KINDS.get(match[2], match[2])
        quote = f"; if {shown(tree.value)} is meant as text, put it in quotes" if bare is str else ""
        return f"is {got}, {wanted} is expected", f"write {wanted}{quote}"
    return error, f"write {wanted}"


def _converted(name: str, text: str, bare: Any) -> str | None:
    """The remedy for a number with its unit, or with a comma, or in quotes."""
    if bare not in (int, float) or (match := QUANTITY.fullmatch(text)) is None:
        return None
    number = float(match[1].replace(",", "."))
    suffix = name.rsplit("_", 1)[-1]
    if not match[2]:
        return f"write {number:.10g}, without quotes, with a point and without an exponent"
    factor = FACTORS.get(suffix, {}).get(match[2].lower())
    unit = unit_of(name)
    if factor is None or unit is None:
        return f"write a number in {unit}, without the unit" if unit else "write a number, without a unit"
    return f"write a number in {unit}: {number * factor:.10g}"


def _suggestion(key: str, child: Tree, known: list[str]) -> str:
    stem = key.rsplit("_", 1)[0]
    same_stem = [name for name in known if unit_of(name) and name.rsplit("_", 1)[0] in (stem, key)]
    close = same_stem or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not close:
        return f"the keys here are {', '.join(known)}"
    name = close[0]
    unit = unit_of(name)
    given = key.rsplit("_", 1)[-1].lower()
    factor = FACTORS.get(name.rsplit("_", 1)[-1], {}).get(given)
    if factor is not None and factor != 1.0 and isinstance(child.value, int | float):
        return f"did you mean {name}? It is in {unit}: write {name}: {child.value * factor:.10g}"
    return f"did you mean {name}?" + (f" It is in {unit}" if unit else "")


def _choice(value: str, choices: list[str]) -> tuple[str, str]:
    close = difflib.get_close_matches(value.lower(), [c.lower() for c in choices], n=1)
    hint = next((f"did you mean {c}? " for c in choices if close and c.lower() == close[0]), "")
    only = f"the choices are {', '.join(choices)}" if len(choices) > 1 else f"only {choices[0]} is supported"
    return "is not supported", hint + only


def _wanted(bare: Any, path: str) -> str:
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in bare)
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(map(str, get_args(bare)))
    kind = _KINDS.get(getattr(bare, "__name__", ""), "a value")
    unit = unit_of(_last(path))
    return f"{kind} in {unit}" if unit and bare in (int, float) else kind


def _example(name: str, field: msgspec.structs.FieldInfo) -> str:
    bare, _ = bare_kind(field.type)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        keys = [f.encode_name for f in msgspec.structs.fields(bare) if f.required]
        return f"the section '{name}:' with at least {', '.join(keys)}"
    return f"'{name}: ' with {_wanted(bare, name)}"


def range_words(metas: list[msgspec.Meta]) -> list[str]:
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    return [
        f"{word} {getattr(meta, bound):g}"
        for meta in metas
        for bound, word in words.items()
        if getattr(meta, bound) is not None
    ]


def bare_kind(kind: Any) -> tuple[Any, list[msgspec.Meta]]:
    """The type without ``Annotated`` and ``| None``, and the constraints that were on it."""
    metas: list[msgspec.Meta] = []
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            metas += [meta for meta in more if isinstance(meta, msgspec.Meta)]
        elif get_origin(kind) in (Union, types.UnionType):
            rest = [arg for arg in get_args(kind) if arg is not types.NoneType]
            if len(rest) != 1:
                return kind, metas
            kind = rest[0]
        else:
            return kind, metas


def is_optional(kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        return is_optional(get_args(kind)[0])
    return get_origin(kind) in (Union, types.UnionType) and types.NoneType in get_args(kind)


def _sample(kind: Any) -> str:
    return "name" if bare_kind(kind)[0] is str else "0.0"


def _last(path: str) -> str:
    return path.rsplit(".", 1)[-1].partition("[")[0]


def _problem(tree: Tree, path: str, reason: str, remedy: str) -> Problem:
    value = "" if reason == "is missing" else shown(tree.value)
    return Problem(tree.file, path, value, reason, remedy, tree.line)
