"""Changes as people type them, ``dispatch.dwell_s 5min``, as values for :func:`v2g.config.writer.write_dropin`."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from v2g.config.loader import Loaded
from v2g.config.problems import ConfigError
from v2g.config.reference import NAME, Entry, entry_for, reference, value_words
from v2g.config.schema import Config
from v2g.config.tree import parse
from v2g.config.validate import FACTORS, QUANTITY, bare_kind, is_optional, unit_of
from v2g.config.values import values
from v2g.config.writer import STEP, UNSET, dropin_path, read_dropin
from v2g.units import QuantityError, parse_duration_s

_YES: Final = frozenset({"true", "yes", "on"})
_NO: Final = frozenset({"false", "no", "off"})
_NONE: Final = frozenset({"none", "null"})
_MORE_FACTORS: Final[Mapping[str, Mapping[str, float]]] = {
    "h": {"min": 1.0 / 60.0, "m": 1.0 / 60.0, "h": 1.0, "d": 24.0},
    "days": {"d": 1.0, "days": 1.0},
    "kw": {"w": 1e-3, "kw": 1.0, "mw": 1e3},
    "kwh": {"wh": 1e-3, "kwh": 1.0, "mwh": 1e3},
    "mb": {"mb": 1.0, "gb": 1e3},
    "db": {"db": 1.0},
    "mpa": {"mpa": 1.0},
}
_ROOTS: Final = (
    "write it into v2g.yaml: root obeys it only in a file of root, and commands write drop-ins of the daemon"
)
_BY_COMMAND: Final = {
    **dict.fromkeys(("pki.dir", "pki.token", "mesh.dir", "control.daemon_user"), _ROOTS),
    "grid.profile": "v2g-tool grid profile NAME, which also asks who answers for one that nobody has verified",
    "grid.confirm_unverified": "v2g-tool grid profile NAME --confirm-unverified",
    "calibration": "calibrations write it: v2g-tool --calibrate-pll, v2g-tool sensors calibrate",
    "evses[].inverter.phase_offset_deg": "v2g-tool --calibrate-pll --evse ID measures and writes it",
}
"""Settings behind which a person has to stand, or a measurement, or root."""
_IN_SECONDS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0}
_SHARE_TO: Final = 2.0
"""Values without a unit that are at most this are shares, and may be given in per cent."""


class EditError(ValueError):
    """What was typed is no change; the text names each mistake and its remedy."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One setting: ``path`` as it was typed, ``key`` for the writer."""

    path: str
    key: str
    value: Any
    entry: Entry


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """``PATH VALUE PATH VALUE`` or ``PATH=VALUE``, mixed as one likes. Raises :class:`EditError`."""
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        path, equals, value = word.partition("=")
        entry = entry_for(path) if equals else None
        if equals and entry_for(word) is None and (entry is not None or not rest):
            found.append((path, value))
        elif rest:
            found.append((word, rest.pop(0)))
        else:
            raise EditError(f"{word}: there is no value behind it; write PATH VALUE, as in: dispatch.dwell_s 5min")
    return found


def edits(changes: Sequence[tuple[str, str]], config: Config) -> list[Edit]:
    """Every one of them, or :class:`EditError` with all mistakes. ``config`` tells which entries lists have."""
    found, problems = [], []
    for path, text in changes:
        try:
            entry = settable(path)
            found.append(Edit(path, key_for(path, entry, config), value_of(entry, text), entry))
        except EditError as error:
            problems.append(str(error))
    twice = [path for path in {edit.key for edit in found} if sum(edit.key == path for edit in found) > 1]
    problems += [f"{path}: is given twice; keep one" for path in sorted(twice)]
    if problems:
        raise EditError("\n".join(problems))
    return found


def unset_keys(paths: Sequence[str], loaded: Loaded) -> dict[str, Any]:
    """For the writer: ``paths``, settings or whole sections, out of the operator's drop-in. Raises :class:`EditError`
    with each that is not in it, and where it is."""
    file = dropin_path(loaded.config_dir)
    own = parse(read_dropin(loaded.config_dir) or "", str(file)).plain()
    found, problems = {}, []
    for path in paths:
        try:
            entry = _known(path)
            key = key_for(path, entry, loaded.config)
            if not _holds(own, key):
                places = [each.place for each in values(loaded, path) if each.place]
                where = f"; {places[0]} says it: change it there" if places else "; it has its default"
                raise EditError(f"{path}: is not in {file}{where}")
            found[key] = UNSET
        except EditError as error:
            problems.append(str(error))
    if problems:
        raise EditError("\n".join(problems))
    return found


def settable(path: str) -> Entry:
    """The setting at ``path``. Raises :class:`EditError` for a section, for what has a command of its own, and for what
    nobody knows."""
    entry = _known(path)
    for own, command in _BY_COMMAND.items():
        if entry.path == own or entry.path.startswith(f"{own}."):
            raise EditError(f"{path}: is not set here: {command}")
    if entry.is_section:
        inside = [each.path.rpartition(".")[2] for each in reference() if each.path.rpartition(".")[0] == entry.path]
        what = f"; there are {', '.join(inside)} in it" if inside else ""
        raise EditError(f"{path}: is a section, and takes no value itself{what}")
    return entry


def _known(path: str) -> Entry:
    entry = entry_for(path)
    if entry is None:
        close = suggestions(path)
        raise EditError(f"{path}: there is no such setting" + (f"; is {' or '.join(close)} meant?" if close else ""))
    return entry


def _holds(content: Any, key: str) -> bool:
    """Whether a drop-in says anything at a writer's path."""
    for name, own_id, free in STEP.findall(key):
        if own_id:
            content = next((each for each in content if each.get("id") == own_id), None) if content else None
        else:
            content = content.get(name or free, UNSET) if isinstance(content, dict) else UNSET
        if content is None or content is UNSET:
            return content is None and not own_id
    return True


def suggestions(path: str) -> list[str]:
    """Settings that look like ``path`` or end with it, best first."""
    known = [entry.path for entry in reference() if not entry.is_section]
    last = path.rpartition(".")[2]
    ending = [each for each in known if each.endswith(f".{path}") or (last and each.endswith(f".{last}"))]
    stem = [each for each in known if unit_of(each) and each.rpartition("_")[0] == path]
    return list(dict.fromkeys([*stem, *ending[:3], *difflib.get_close_matches(path, known, 3, 0.8)]))[:3]


def key_for(path: str, entry: Entry, config: Config) -> str:
    """The path for the writer: entries of lists that exist, by id; names that may have dots in braces."""
    if "[]" in entry.path:
        path = _with_ids(path, entry, config)
    head, dot, tail = entry.path.rpartition(f".{NAME}")
    if dot and not tail:
        depth = head.count(".") + 1
        steps = path.split(".", depth)
        return ".".join([*steps[:depth], f"{{{steps[depth]}}}"])
    return path


def value_of(entry: Entry, text: str) -> Any:
    """``text`` in the unit and type of ``entry``, as plain YAML has it. Raises :class:`EditError`."""
    bare, metas = bare_kind(entry.type)
    word = text.strip()
    if word.lower() in _NONE and is_optional(entry.type):
        return None
    if bare is bool:
        if word.lower() in _YES | _NO:
            return word.lower() in _YES
        raise EditError(f"{entry.path}: {text!r} is neither true nor false")
    if bare in (int, float):
        return _number(entry, bare, metas, word)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return _choice(entry, word, [str(member.value) for member in bare])
    if get_origin(bare) is Literal:
        choices = {str(choice): choice for choice in get_args(bare)}
        return choices[_choice(entry, word, list(choices))]
    if bare is str:
        return text
    return _structured(entry, bare, text)


def _number(entry: Entry, bare: type, metas: Sequence[msgspec.Meta], text: str) -> float | int:
    name = entry.path.removesuffix(f".{NAME}").rpartition(".")[2]
    suffix = name.rpartition("_")[2] if "_" in name else ""
    value = _quantity(text, suffix, metas)
    if value is None:
        raise EditError(f"{entry.path}: {text!r} is no value; write a {value_words(entry)}{_example(suffix)}")
    if bare is int:
        if round(value, 9) != round(value):
            raise EditError(f"{entry.path}: {text} is {value:g}; write a whole number")
        return round(value)
    return value


def _quantity(text: str, suffix: str, metas: Sequence[msgspec.Meta]) -> float | None:
    match = QUANTITY.fullmatch(text)
    if match is None:
        return _duration(text, suffix)
    number, unit = float(match[1].replace(",", ".")), match[2]
    if not unit:
        return number
    factors = FACTORS.get(suffix) or _MORE_FACTORS.get(suffix) or {}
    if (factor := factors.get(unit.lower())) is not None:
        # 7.4 kW are 7400 W, not 7400.000000000001.
        return float(f"{number * factor:.12g}")
    top = min((meta.le for meta in metas if meta.le is not None), default=None)
    if unit == "%" and not unit_of(f"x_{suffix}") and top is not None:
        # A share from 0 to 1, or per cent whose name does not say so.
        return float(f"{number / 100.0:.12g}") if float(top) <= _SHARE_TO else number if float(top) == 100.0 else None
    return None


def _duration(text: str, suffix: str) -> float | None:
    """``1h 30min`` for a setting in seconds, minutes or hours."""
    if (seconds := _IN_SECONDS.get(suffix)) is None:
        return None
    try:
        return float(f"{parse_duration_s(text) / seconds:.12g}")
    except QuantityError:
        return None


def _example(suffix: str) -> str:
    units = FACTORS.get(suffix) or _MORE_FACTORS.get(suffix)
    return f", alone or with {', '.join(units)} behind it" if units else ""


def _choice(entry: Entry, word: str, choices: list[str]) -> str:
    by_lower = {choice.lower(): choice for choice in choices}
    if (found := by_lower.get(word.lower())) is not None:
        return found
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    hint = f"; is {by_lower[close[0]]} meant?" if close else ""
    raise EditError(f"{entry.path}: {word!r} is none of {', '.join(choices)}{hint}")


def _structured(entry: Entry, bare: Any, text: str) -> Any:
    """A list or a map in YAML's own notation; a list of words or numbers also with commas alone."""
    shown = text.strip()
    if get_origin(bare) is tuple and not shown.startswith("["):
        shown = f"[{shown}]"
    try:
        tree = parse(f"value: {shown}\n", entry.path).value
    except ConfigError as error:
        raise EditError(f"{entry.path}: {text!r} cannot be read: {error.problems[0].reason}") from None
    assert isinstance(tree, dict)  # noqa: S101 (parse() saw to it)
    if len(tree) != 1:
        raise EditError(f"{entry.path}: {text!r} is more than one value; write a {value_words(entry)}")
    return tree["value"].plain()


def _with_ids(path: str, entry: Entry, config: Config) -> str:
    """Each ``[...]`` names an entry that is there. By position only EVSEs are known: others have an id of their own."""
    listed, wanted = _lists(entry), path
    for owner, place in listed:
        held = _held(config, owner)
        if held is None:
            raise EditError(
                f"{path}: entries of {owner} have no id by which one could be named: edit {owner} in the file"
            )
        asked = _asked(wanted, place)
        if asked.isdecimal() and int(asked) < len(held):
            wanted = wanted.replace(f"[{asked}]", f"[{held[int(asked)]}]", 1)
        elif asked not in held:
            known = f"there are {', '.join(held[:8])}" if held else "there are none"
            raise EditError(f"{path}: there is no {asked!r} in {owner}; {known}")
    return wanted


def _lists(entry: Entry) -> Iterator[tuple[str, int]]:
    """Each list on the way, and which of the brackets is its own."""
    steps = entry.path.split("[]")
    for number in range(1, len(steps)):
        yield "[]".join(steps[:number]), number - 1


def _asked(path: str, place: int) -> str:
    return path.split("[")[place + 1].partition("]")[0]


def _held(config: Config, owner: str) -> list[str] | None:
    """The ids in the list ``owner``; None where its entries have none."""
    if entry_for(f"{owner}[].id") is None:
        return None
    value: Any = config
    for step in owner.split("."):
        value = getattr(value, step, None)
        if value is None:
            return []
    return [str(each.id) for each in value]
