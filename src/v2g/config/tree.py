"""YAML as a tree in which each value knows its file and line, and how drop-ins are laid over it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from v2g.config.problems import ConfigError, Problem

MAX_FILE_BYTES = 4 << 20
_MAX_NODES = 200_000
_MAX_DEPTH = 32
_MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_SCALAR_TAGS = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"}
_INT_TAG = "tag:yaml.org,2002:int"
_PLAIN_INT = re.compile(r"[+-]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)")
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Tree:
    """A value of the configuration with its place; maps and lists hold trees."""

    value: Scalar | dict[str, Tree] | list[Tree]
    file: str
    line: int

    def plain(self) -> object:
        """The value as plain Python types."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def leaves(self, path: str = "") -> Iterator[tuple[str, Tree]]:
        """Every scalar with its path, such as ``evses[0].inverter.modbus.port``."""
        if isinstance(self.value, dict):
            for key, child in self.value.items():
                yield from child.leaves(f"{path}.{key}" if path else key)
        elif isinstance(self.value, list):
            for position, child in enumerate(self.value):
                yield from child.leaves(f"{path}[{position}]")
        else:
            yield path, self


def parse(text: str, file: str) -> Tree:
    """One YAML document, a map at its top (an empty one is an empty map). Raises :class:`ConfigError`."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Tree({}, file, 1)
            tree = _Builder(loader, file).build(node, "", 0)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(
            [Problem(file, "", "", f"is not YAML: {reason}", "check indentation, colons and quotes there", _line(mark))]
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError([Problem(file, "", "", f"is not YAML: {error}", "write it as UTF-8 text")]) from None
    if tree.value is None:
        return Tree({}, file, 1)
    if not isinstance(tree.value, dict):
        raise ConfigError(
            [Problem(file, "", "", "is no map of sections", "begin with a section such as 'site:'", tree.line)]
        )
    return tree


def overlay(base: Tree, top: Tree) -> Tree:
    """``top`` laid over ``base``: maps merge, lists of things with ``id`` merge by id, everything else is replaced."""
    if isinstance(base.value, dict):
        if top.value is None:
            return base
        if isinstance(top.value, dict):
            merged = dict(base.value)
            for key, child in top.value.items():
                merged[key] = overlay(merged[key], child) if key in merged else child
            return Tree(merged, base.file, base.line)
    if isinstance(base.value, list) and isinstance(top.value, list) and top.value:
        ours, theirs = _by_id(base.value), _by_id(top.value)
        if ours is not None and theirs is not None:
            for key, child in theirs.items():
                ours[key] = overlay(ours[key], child) if key in ours else child
            return Tree(list(ours.values()), base.file, base.line)
    return top


def without_nulls(plain: object) -> object:
    """``key:`` with nothing behind it leaves the default."""
    if isinstance(plain, dict):
        return {key: without_nulls(value) for key, value in plain.items() if value is not None}
    if isinstance(plain, list):
        return [without_nulls(value) for value in plain]
    return plain


def _by_id(items: list[Tree]) -> dict[str, Tree] | None:
    """The items by id; None where one has none, or two have the same (reported elsewhere)."""
    found: dict[str, Tree] = {}
    for item in items:
        key = item.value.get("id") if isinstance(item.value, dict) else None
        if key is None or not isinstance(key.value, str) or key.value in found:
            return None
        found[key.value] = item
    return found


class _Builder:
    """Nodes of PyYAML to trees. Aliases are expanded, so the whole is counted."""

    def __init__(self, loader: yaml.SafeLoader, file: str) -> None:
        self._loader = loader
        self._file = file
        self._nodes = 0

    def build(self, node: yaml.Node, path: str, depth: int) -> Tree:
        line = node.start_mark.line + 1
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise self._problem(
                path, "", "is nested too deeply or too large", "write it flatter, with fewer aliases", line
            )
        if isinstance(node, yaml.MappingNode):
            return Tree(self._map(node, path, depth), self._file, line)
        if isinstance(node, yaml.SequenceNode):
            items = [self.build(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(node.value)]
            return Tree(items, self._file, line)
        return Tree(self._scalar(node, path, line), self._file, line)

    def _map(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Tree]:
        merged: dict[str, Tree] = {}
        own: dict[str, Tree] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE_TAG:
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in sources:
                    tree = self.build(source, path, depth + 1)
                    if not isinstance(tree.value, dict):
                        raise self._problem(
                            path, "<<", "merges something that is no map", "name an anchor of a map", line
                        )
                    merged = {**tree.value, **merged}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._problem(path, "", "has a key that is no word", "write 'key: value'", line)
            key = str(key_node.value)
            if key in own:
                inside = f"{path}.{key}" if path else key
                raise self._problem(inside, "", f"is written twice (first on line {own[key].line})", "keep one", line)
            own[key] = self.build(value_node, f"{path}.{key}" if path else key, depth + 1)
        return {**merged, **own}

    def _scalar(self, node: yaml.Node, path: str, line: int) -> Scalar:
        text = str(node.value)
        if node.tag in _TEXT_TAGS:
            return text
        if node.tag == _INT_TAG:
            if not _PLAIN_INT.fullmatch(text):
                reason = f"YAML reads this as the number {self._loader.construct_object(node)}"
                raise self._problem(path, text, reason, "write it without leading zero or colon, or quote it", line)
            return int(self._loader.construct_object(node))
        if node.tag in _SCALAR_TAGS:
            value: Scalar = self._loader.construct_object(node)
            return value
        raise self._problem(path, text, f"has the tag {node.tag}, which is not allowed here", "remove the tag", line)

    def _problem(self, path: str, value: str, reason: str, remedy: str, line: int) -> ConfigError:
        return ConfigError([Problem(self._file, path, value, reason, remedy, line)])


def _line(mark: yaml.Mark | None) -> int | None:
    return None if mark is None else mark.line + 1
