"""Every setting that there is, from the types and docstrings of the schema: for reference, completion and manual.

A setting is named as in a file, with ``[]`` for the entries of a list and ``NAME`` where people choose the key:
``evses[].inverter.modbus.port``, ``grid.trips.NAME.time_s``.
"""

from __future__ import annotations

import ast
import enum
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from v2g.config.reload_rules import Rule, rule_for
from v2g.config.schema import Config
from v2g.config.validate import bare_kind, range_words, tagged_kinds, unit_of

NAME: Final = "NAME"
_ROLE: Final = re.compile(r":[a-z]+:`~?([^`]+)`")
_CODE: Final = re.compile(r"``([^`]*)``")
_KINDS: Final = {int: "whole number", float: "number", str: "text", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Entry:
    """``kind`` in words, empty for a section; ``default`` as it is written, ``required``, or empty for a section;
    ``only``: the kinds of EVSE that have it, empty where all do."""

    path: str
    kind: str
    unit: str
    default: str
    range: str
    text: str
    rule: Rule
    type: Any = None
    only: str = ""

    @property
    def is_section(self) -> bool:
        return not self.kind


@functools.cache
def reference() -> tuple[Entry, ...]:
    """All settings and sections, in the order of the schema."""
    found: dict[str, Entry] = {}
    for entry in _section(Config, "", ""):
        before = found.get(entry.path)
        if before is not None and before.only and entry.only:
            entry = _merged(before, entry)
        found.setdefault(entry.path, entry)
        found[entry.path] = entry
    return tuple(found.values())


def entry_for(path: str) -> Entry | None:
    """That of a path as people write it: ``evses[US*V2G*E1].max_charge_w``, ``evses[0].tls``, ``grid.trips.OV1``."""
    wanted = _steps(path)
    for entry in reference():
        if len(steps := _steps(entry.path)) == len(wanted) and all(
            own in (NAME, their) for own, their in zip(steps, wanted, strict=True)
        ):
            return entry
    # Keys that people choose may have dots of their own: the names of certificates do.
    for entry in reference():
        head, dot, tail = entry.path.rpartition(f".{NAME}")
        if dot and not tail and path.startswith(f"{head}.") and len(path) > len(head) + 1:
            return entry
    return None


def below(path: str, ids: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Settings that begin with ``path`` and what each is, for completion; ``ids`` are those of the EVSEs."""
    found = []
    for entry in reference():
        if entry.is_section or NAME in entry.path.split("."):
            continue
        named = [entry.path.replace("evses[]", f"evses[{own}]", 1) for own in ids or ("0",)]
        for each in dict.fromkeys(named):
            if each.startswith(path) and "[]" not in each:
                found.append((each, value_words(entry)))
    return found


def choices_of(entry: Entry) -> tuple[str, ...]:
    """The words that its value may be, where they are few."""
    bare, metas = bare_kind(entry.type)
    if bare is bool:
        return ("true", "false")
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return tuple(str(member.value) for member in bare)
    if get_origin(bare) is Literal:
        return tuple(map(str, get_args(bare)))
    listed = next((words for meta in metas if (words := _alternatives(meta))), [])
    return tuple(listed)


def _alternatives(meta: msgspec.Meta) -> list[str]:
    """``^(I|II|III)$`` -> I, II, III; none where the pattern is another."""
    pattern = meta.pattern or ""
    return pattern.strip("^($)").split("|") if re.fullmatch(r"\^?\(?[\w|-]+\)?\$?", pattern) and "|" in pattern else []


def of_path(path: str | None) -> tuple[Entry, ...]:
    """The entry of ``path`` and those below it; all without one."""
    if not path:
        return reference()
    wanted = _steps(path)
    return tuple(
        entry
        for entry in reference()
        if len(steps := _steps(entry.path)) >= len(wanted)
        and all(own in (NAME, their) for own, their in zip(steps, wanted, strict=False))
    )


def markdown(entries: Sequence[Entry]) -> str:
    """A section a heading, a setting a row of its table."""
    lines: list[str] = []
    in_table = False
    for entry in entries:
        if entry.is_section:
            lines += ["", f"{'#' * min(5, 2 + entry.path.count('.'))} `{entry.path}`", "", entry.text]
            in_table = False
            continue
        if not in_table:
            lines += ["", "| setting | value | default | in force by | |", "|---|---|---|---|---|"]
            in_table = True
        cells = (f"`{entry.path}`", value_words(entry), entry.default, entry.rule.words, entry.text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines).lstrip("\n")


def text(entries: Sequence[Entry], width: int = 80) -> str:
    """For a terminal."""
    lines: list[str] = []
    for entry in entries:
        if entry.is_section:
            lines += ["", entry.path, *_wrapped(entry.text, width, "  ")]
            continue
        facts = (
            f"{value_words(entry)}; default {entry.default}"
            if entry.default != "required"
            else (f"{value_words(entry)}; required")
        )
        lines += ["", entry.path, *_wrapped(facts, width, "    "), *_wrapped(entry.text, width, "    ")]
        lines += _wrapped(f"In force by: {entry.rule.words}.", width, "    ")
    return "\n".join(lines).lstrip("\n")


def value_words(entry: Entry) -> str:
    """``number in W, above 0 to 5``."""
    unit = f" in {entry.unit}" if entry.unit else ""
    allowed = f", {entry.range}" if entry.range else ""
    only = f" ({entry.only} only)" if entry.only and "," not in entry.only else ""
    return f"{entry.kind}{unit}{allowed}{only}"


def _section(kind: type[msgspec.Struct], path: str, only: str) -> Iterator[Entry]:
    told = field_docs(kind)
    for field in msgspec.structs.fields(kind):
        inside = f"{path}.{field.encode_name}" if path else field.encode_name
        yield from _field(field, inside, told.get(field.name, ""), only)


def _field(field: msgspec.structs.FieldInfo, path: str, words: str, only: str) -> Iterator[Entry]:
    bare, metas = bare_kind(field.type)
    inner, place = bare, path
    if get_origin(bare) is tuple and len(get_args(bare)) == 2 and get_args(bare)[1] is Ellipsis:
        inner, place = bare_kind(get_args(bare)[0])[0], f"{path}[]"
    elif get_origin(bare) is dict:
        inner, place = bare_kind(get_args(bare)[1])[0], f"{path}.{NAME}"
    structs = tagged_kinds(inner) or ({"": inner} if _is_struct(inner) else {})
    default = _default(field)
    if structs:
        own = words or " ".join(_clean(inspect.getdoc(each) or "") for each in structs.values())
        yield Entry(path, "", "", "", "", own, rule_for(path), field.type, only)
        if len(structs) > 1:
            yield _kind_entry(place, structs)
        for tag, each in structs.items():
            yield from _section(each, place, tag or only)
        return
    yield Entry(
        path, _kind_words(bare), unit_of(field.encode_name) or "", default, _range_of(bare, metas), words,
        rule_for(path), field.type, only,
    )  # fmt: skip
    if get_origin(bare) is dict:
        value, value_metas = bare_kind(get_args(bare)[1])
        yield Entry(
            place, _kind_words(value), unit_of(field.encode_name) or "", "required", _range_of(value, value_metas),
            words, rule_for(path), get_args(bare)[1], only,
        )  # fmt: skip


def _kind_entry(place: str, structs: Mapping[str, type[msgspec.Struct]]) -> Entry:
    """The word that chooses between the kinds of an entry; the first where it is left out."""
    path = f"{place}.{next(iter(structs.values())).__struct_config__.tag_field}"
    told = "; ".join(f"{tag}: {_clean(inspect.getdoc(each) or '').rstrip('.')}" for tag, each in structs.items())
    kinds = list(structs)
    return Entry(
        path, f"one of {', '.join(kinds)}", "", kinds[0], "", f"{told}.", rule_for(path), Literal[tuple(kinds)]
    )


def _merged(before: Entry, entry: Entry) -> Entry:
    """A setting that both kinds of EVSE have; with two meanings where they differ."""
    both = ", ".join(dict.fromkeys([*before.only.split(", "), *entry.only.split(", ")]))
    if before.text == entry.text and before.kind == entry.kind and before.default == entry.default:
        return Entry(**{**_as_dict(entry), "only": both})
    join = {
        name: old if old == new else f"{before.only}: {old.rstrip('.')}; {entry.only}: {new}"
        for name, old, new in (
            ("kind", before.kind, entry.kind),
            ("default", before.default, entry.default),
            ("range", before.range, entry.range),
            ("text", before.text, entry.text),
        )
    }
    return Entry(**{**_as_dict(entry), **join, "only": both, "type": before.type})


def _as_dict(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}


def _kind_words(bare: Any) -> str:
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in bare)
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(map(str, get_args(bare)))
    if get_origin(bare) is tuple:
        inner = [bare_kind(each)[0] for each in get_args(bare)]
        if len(inner) == 2 and inner[1] is Ellipsis:
            return f"list of {_plural(_kind_words(inner[0]))}"
        return f"list of {len(inner)} {_plural(_kind_words(inner[0]))}"
    if get_origin(bare) is dict:
        return f"map of names to {_plural(_kind_words(bare_kind(get_args(bare)[1])[0]))}"
    return _KINDS.get(bare, "value")


def _plural(kind: str) -> str:
    return {"number": "numbers", "whole number": "whole numbers", "text": "texts", "value": "values"}.get(kind, kind)


def _range_of(bare: Any, metas: list[msgspec.Meta]) -> str:
    words = range_words(metas)
    for meta in metas:
        if alternatives := _alternatives(meta):
            words.append(f"one of {', '.join(alternatives)}")
        elif meta.pattern:
            words.append(f"of the form {meta.pattern}")
        if meta.min_length:
            words.append(f"at least {meta.min_length} {'characters' if bare is str else 'entries'}")
        if meta.max_length is not None:
            words.append(f"at most {meta.max_length} {'characters' if bare is str else 'entries'}")
    return " ".join(words)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    if value == "":
        return "empty"
    plain = msgspec.to_builtins(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """By field, the docstring behind it; of base classes too."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.startswith("v2g."):
            found |= _docs_of_module(each.__module__).get(each.__qualname__, {})
    return found


@functools.cache
def _docs_of_module(name: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        docs = found.setdefault(node.name, {})
        for field, behind in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(behind, ast.Expr)
                and isinstance(behind.value, ast.Constant)
                and isinstance(behind.value.value, str)
            ):
                docs[field.target.id] = _clean(inspect.cleandoc(behind.value.value))
    return found


def _clean(words: str) -> str:
    return " ".join(_CODE.sub(r"\1", _ROLE.sub(r"\1", words)).split())


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _steps(path: str) -> list[str]:
    """``evses[US*V2G*E1].tls`` -> ``["evses", "[]", "tls"]``."""
    return [("[]" if name is None else name) for name in _split(path)]


def _split(path: str) -> Iterator[str | None]:
    for match in re.finditer(r"\[[^\]]*\]|[^.\[\]]+", path.strip().rstrip(".")):
        yield None if match[0].startswith("[") else match[0]


def _wrapped(words: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(words, max(20, width), initial_indent=indent, subsequent_indent=indent)
