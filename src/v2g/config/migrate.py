"""Files of the configuration from earlier schemas: brought forward when they are read, and on the disk when asked to.

Each file says its own ``schema_version`` at its top; without it, it is of schema 1. A migration is a list of edits of
the text at the places that the YAML parser names, so that comments, order and line numbers stay what people wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from v2g import __version__
from v2g.config.problems import ConfigError, Problem
from v2g.config.tree import Tree, parse

KEY: Final = "schema_version"
ANY: Final = "*"
"""In a path: each entry of a list, or each value of a map."""


@dataclass(frozen=True, slots=True)
class Rename:
    """The key at the end of ``path`` (``("evses", "*", "max_w")``) gets another name."""

    path: tuple[str, ...]
    to: str


@dataclass(frozen=True, slots=True)
class Change:
    """The single value at ``path`` becomes what ``to`` makes of its text; None: it stays."""

    path: tuple[str, ...]
    to: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Drop:
    """The key has no meaning any more: its lines become comments that say so."""

    path: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Migration:
    """From one schema to the next. ``words``: what it does, for people."""

    words: str
    edits: tuple[Rename | Change | Drop, ...]


MIGRATIONS: Final[tuple[Migration, ...]] = ()
"""The n-th (from 0) makes schema n + 2 out of schema n + 1."""
SCHEMA_VERSION: Final = 1 + len(MIGRATIONS)


@dataclass(frozen=True, slots=True)
class Read:
    """One file as this version takes it. ``notice``: for people, where it was of an earlier schema; else empty."""

    tree: Tree
    notice: str = ""


def read(text: str, file: str, migrations: Sequence[Migration] | None = None) -> Read:
    """Parse it, brought forward in memory. Raises :class:`ConfigError`, also for a newer schema than this one's."""
    migrations = MIGRATIONS if migrations is None else migrations
    tree = parse(text, file)
    version = version_of(tree, migrations)
    newest = 1 + len(migrations)
    if version == newest:
        return Read(tree)
    moved = parse(forward(text, version, migrations), file)
    assert isinstance(moved.value, dict)  # noqa: S101 (parse() saw to it)
    place = moved.value.get(KEY, moved)
    moved = Tree({**moved.value, KEY: Tree(newest, file, place.line)}, file, moved.line)
    done = "; ".join(each.words for each in migrations[version - 1 :])
    notice = f"{file} is of schema {version} and is read as {newest} ({done}): v2g-config migrate writes it so"
    return Read(moved, notice)


def version_of(tree: Tree, migrations: Sequence[Migration] | None = None) -> int:
    """Raises :class:`ConfigError` for what is no version, and for one that this code does not know."""
    assert isinstance(tree.value, dict)  # noqa: S101 (parse() saw to it)
    found, newest = tree.value.get(KEY), 1 + len(MIGRATIONS if migrations is None else migrations)
    if found is None or found.value is None:
        return 1
    version = found.value
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        reason, remedy = "is no schema version", f"write a whole number from 1 to {newest}, or leave the key out"
    elif version > newest:
        reason = f"was written for a newer v2g-orchestrator; this one ({__version__}) knows schemas up to {newest}"
        remedy = "install the newer version again, or put the file back that v2g-config migrate kept beside it"
    else:
        return version
    raise ConfigError([Problem(found.file, KEY, str(found.plain()), reason, remedy, found.line)])


def forward(text: str, version: int, migrations: Sequence[Migration] | None = None) -> str:
    """The text as of the newest schema, with as many lines as before; its ``schema_version`` is not touched."""
    for migration in (MIGRATIONS if migrations is None else migrations)[version - 1 :]:
        for edit in migration.edits:
            text = _edited(text, edit)
    return text


def stamped(text: str, version: int) -> str:
    """With ``schema_version: <version>``: in its place where it is, else as the first key."""
    root = _root(text)
    if root is not None:
        for key, value in root.value:
            if key.value == KEY:
                return text[: value.start_mark.index] + str(version) + text[value.end_mark.index :]
    at = root.start_mark.index if root is not None else 0
    at = text.rfind("\n", 0, at) + 1
    if root is not None and root.flow_style:
        at = root.start_mark.index + 1
        return f"{text[:at]}{KEY}: {version}{', ' if root.value else ''}{text[at:]}"
    return f"{text[:at]}{KEY}: {version}\n{text[at:]}"


def _edited(text: str, edit: Rename | Change | Drop) -> str:
    root = _root(text)
    changes: dict[tuple[int, int], str] = {}
    for key, value in _found(root, edit.path) if root is not None else ():
        if isinstance(edit, Rename):
            changes[key.start_mark.index, key.end_mark.index] = edit.to
        elif isinstance(edit, Change):
            new = edit.to(value.value) if isinstance(value, yaml.ScalarNode) else None
            if new is not None:
                changes[value.start_mark.index, value.end_mark.index] = new
        else:
            _drop(text, key, value, edit.because, changes)
    # An anchor is found once for each of its aliases, at one and the same place.
    for (begin, end), new in sorted(changes.items(), reverse=True):
        text = text[:begin] + new + text[end:]
    return text


def _drop(text: str, key: yaml.Node, value: yaml.Node, because: str, changes: dict[tuple[int, int], str]) -> None:
    begin = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[begin : key.start_mark.index].strip(" -"):
        # Within {…}: the entry goes, with the comma behind it or before it.
        end = _end(key, value)
        rest = text[end:]
        if rest.lstrip().startswith(","):
            end += len(rest) - len(rest.lstrip()) + 1
            start = key.start_mark.index
        else:
            start = len(text[: key.start_mark.index].rstrip().removesuffix(","))
        changes[start, end] = ""
        return
    end = text.find("\n", _end(key, value) - 1)
    lines = text[begin : end if end >= 0 else len(text)].rstrip("\n").split("\n")
    dash = lines[0].lstrip().startswith("- ")
    indent = " " * (len(lines[0]) - len(lines[0].lstrip()))
    kept = [f"{indent}# {line.strip()}" for line in lines]
    kept[0] += f"  ({because})"
    if dash:
        # The first key of an entry of a list: the dash goes to what follows it, and stands for itself until then.
        kept[0] = f"{indent}-  # {lines[0].strip().removeprefix('- ')}  ({because})"
    changes[begin, end if end >= 0 else len(text)] = "\n".join(kept)


def _end(key: yaml.Node, value: yaml.Node) -> int:
    """Where the entry ends. A block's own mark is where the next one begins, an alias' is where its anchor stands."""
    if value.start_mark.index < key.end_mark.index:
        return int(key.end_mark.index)
    while isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value:
        last = value.value[-1]
        value = last[1] if isinstance(last, tuple) else last
    return int(value.end_mark.index)


def _found(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Keys and values at ``path``."""
    step, rest = path[0], path[1:]
    if isinstance(node, yaml.SequenceNode) and step == ANY:
        for item in node.value:
            if rest:
                yield from _found(item, rest)
        return
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if step not in (ANY, key.value):
            continue
        if rest:
            yield from _found(value, rest)
        else:
            yield key, value


def _root(text: str) -> yaml.MappingNode | None:
    # The parser in Python: its marks count characters of the text, and few files ever need it.
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return node if isinstance(node, yaml.MappingNode) else None
