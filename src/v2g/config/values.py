"""Every setting that holds, by its path, with the place that it comes from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from v2g.config.loader import Loaded

_BY_ID = re.compile(r"evses\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Value:
    """``path`` as in :class:`Loaded`; ``place``: file and line, empty for a default. ``exact``: what was asked for,
    not what stands below it."""

    path: str
    value: Any
    place: str
    exact: bool = False


def values(loaded: Loaded, path: str | None = None) -> tuple[Value, ...]:
    """All, or the one at ``path`` or those below it. An EVSE is named by position or id: ``evses[US*V2G*E1]``."""
    wanted = None if path is None else _by_position(loaded, path.strip().removesuffix("."))
    return tuple(
        Value(each, value, _place(loaded, each), each == wanted)
        for each, value in _leaves(msgspec.to_builtins(loaded.config), "")
        if not wanted or each == wanted or each.startswith((f"{wanted}.", f"{wanted}["))
    )


def suggestions(loaded: Loaded, path: str) -> tuple[str, ...]:
    """Paths that look like ``path`` or end with it, best first."""
    known = [each for each, _ in _leaves(msgspec.to_builtins(loaded.config), "")]
    ending = sorted((each for each in known if each.endswith(f".{path}")), key=lambda each: ("[" in each, each))
    return tuple(dict.fromkeys([*ending, *difflib.get_close_matches(path, known, 3, 0.6)]))[:3]


def _by_position(loaded: Loaded, path: str) -> str:
    ids = [evse.id for evse in loaded.config.evses]

    def position(match: re.Match[str]) -> str:
        return f"evses[{ids.index(match[1])}]" if match[1] in ids else match[0]

    return _BY_ID.sub(position, path)


def _place(loaded: Loaded, path: str) -> str:
    """Of a list or a row that was written whole: where its first value stands."""
    if path not in loaded.origin:
        path = next((each for each in loaded.origin if each.startswith((f"{path}.", f"{path}["))), path)
    return loaded.place(path)


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for key, child in tree.items():
            yield from _leaves(child, f"{path}.{key}" if path else key)
    elif isinstance(tree, list | tuple) and any(isinstance(each, dict | list | tuple) for each in tree):
        for position, child in enumerate(tree):
            yield from _leaves(child, f"{path}[{position}]")
    else:
        yield path, tree
